//! Harness.

pub mod dovecot;
