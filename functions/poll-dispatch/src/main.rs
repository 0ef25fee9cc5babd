//! poll-dispatch
fn main() {}
