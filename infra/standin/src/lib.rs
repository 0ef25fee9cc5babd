//! Stand-ins for what cannot run on one machine: an identity provider that answers as Microsoft Entra ID v2.0 does,
//! a small IMAP server that answers as Exchange Online does, and a front that makes another mail server speak so. Both are written from the public documents of the
//! real ones, and refuse what the real ones refuse. They hold everything in memory and listen on loopback only.

pub mod entra;
pub mod front;
pub mod imap;
mod mail;
pub mod person;
mod random;

pub use entra::{Answer, Call, Endpoint, Entra, Refusal, Settings};
pub use front::{ExchangeFront, FrontRefusal, FrontSettings};
pub use imap::{Admission, Gate, ImapServer, ImapSettings};
pub use mail::demo_mail;
pub use person::Person;
