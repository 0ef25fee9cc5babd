//! What the functions of Rebond share.
//!
//! A person connects a mailbox; a poll reads what is new in it; each message becomes a
//! [`report::Report`] with one outcome for each recipient, written once: the fact.
//!
//! Rooms without a feature are pure: bytes, settings and the clock come in as arguments.
//! `mailbox` adds sockets; `aws` adds the rooms that may name `aws_*`.

pub mod account;
pub mod advice;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod connection;
pub mod cursor;
pub mod delivery;
#[cfg(feature = "aws")]
pub mod deployment;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod doctor;
pub mod erase;
pub mod events;
#[cfg(feature = "aws")]
pub mod follow;
pub mod forward;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod grant;
#[cfg(feature = "aws")]
pub mod identity;
pub mod incident;
pub mod instance;
pub mod limits;
#[cfg(feature = "mailbox")]
pub mod mailbox;
#[cfg(feature = "mailbox")]
pub mod net;
pub mod oauth;
pub mod page;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod poll;
pub mod proof;
pub mod qualify;
#[cfg(feature = "aws")]
pub mod queue;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod raw;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod replay;
pub mod secret;
pub mod standing;
#[cfg(feature = "aws")]
pub mod table;
#[cfg(feature = "aws")]
pub mod telemetry;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod tell;
#[cfg(feature = "aws")]
pub mod vault;

pub use rebond_report as report;
