//! What a message says: bytes in, [`Report`] out. Pure and total.

pub mod reason;
mod types;
pub mod words;

pub use types::{Action, Diagnostic, Evidence, Feedback, Kind, Original, Outcome, Reason, Report};
