//! Stand-ins for what cannot run on one machine: an identity provider that answers as Microsoft Entra ID v2.0 does,
//! a small IMAP server that answers as Exchange Online does, a front that makes another mail server speak so, and the part
//! of Microsoft Graph that reads mail. All are written from the public documents of the real ones, and refuse what the real
//! ones refuse. They hold everything in memory and listen on loopback only.

pub mod entra;
pub mod front;
pub mod graph;
pub mod imap;
mod mail;
pub mod person;
mod random;
mod tls;

pub use entra::{Answer, Call, Endpoint, Entra, Refusal, Settings};
pub use front::{ExchangeFront, FrontRefusal, FrontSettings};
pub use graph::{GraphMail, GraphServer, GraphSettings};
pub use imap::{Admission, Gate, ImapServer, ImapSettings};
pub use mail::demo_mail;
pub use person::Person;
