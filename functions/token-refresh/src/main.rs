//! token-refresh
fn main() {}
