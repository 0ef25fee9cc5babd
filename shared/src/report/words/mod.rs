//! Words: text cut, phrases found, and the notices that a message may be.

pub mod scan;
pub mod token;
