//! Mailboxes: how one is opened, listed, read, and left in order. Nothing a server says is believed beyond its bounds.

mod fault;
mod guard;
pub mod imap;
mod sasl;
mod wire;

pub use self::fault::{FaultKind, MailboxFault};
use crate::secret::Secret;

/// How a mailbox is opened.
#[derive(Debug, Clone)]
pub enum Login {
    /// An access token, by SASL XOAUTH2.
    XOAuth2 {
        /// The mailbox to open: a shared mailbox differs from the person whose token it is.
        mailbox: String,
        /// The access token.
        token: Secret,
    },
    /// A user name and a password, by SASL PLAIN (RFC 4616) or LOGIN (RFC 9051 §6.2.3).
    Password {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
}
