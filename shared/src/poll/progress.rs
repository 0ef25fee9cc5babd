//! Telling a person how far a poll is.

/// Told while a poll runs: on the command line a bar, in a function nothing.
pub trait Progress: Send + Sync {
    /// A folder has so many messages ahead; told again when another piece of it is listed.
    fn folder(&self, name: &str, messages: u64) {
        let _ = (name, messages);
    }

    /// So many more messages are recorded.
    fn recorded(&self, messages: u64) {
        let _ = messages;
    }
}

/// Nobody is watching.
impl Progress for () {}
