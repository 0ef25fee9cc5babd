//! What a message says: bytes in, [`Report`] out. Pure and total.

mod types;

pub use types::{Action, Diagnostic, Evidence, Feedback, Kind, Original, Outcome, Reason, Report};
