//! bounce-poll
fn main() {}
