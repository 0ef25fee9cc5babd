//! Secrets are a type of their own: they never print themselves and are wiped when dropped.

pub use secrecy::{ExposeSecret, SecretString as Secret};
