//! Messages as a bounce mailbox receives them.

/// The demo's messages, in the order of their arrival.
pub fn demo_mail() -> Vec<&'static [u8]> {
    Vec::new()
}
