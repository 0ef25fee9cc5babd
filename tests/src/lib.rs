//! Harness.

pub mod delay;
pub mod dovecot;
