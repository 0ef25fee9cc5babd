//! How mail is understood: fixtures, corpus, properties, hostile mail. Needs the pure rooms only, so it is a test of the
//! common crate and builds in seconds: `cargo test -p rebond-report --test report`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../shared/report/fuzz/check.rs"]
mod check;
mod corpus;
mod fuzz;
mod golden;
mod hostile;
mod properties;
mod senders;
