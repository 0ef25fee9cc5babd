//! oauth-start
fn main() {}
