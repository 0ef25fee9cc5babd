//! poll-dispatch
