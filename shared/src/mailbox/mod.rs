//! Mailboxes: how one is opened, listed, read, and left in order. Nothing a server says is believed beyond its bounds.
//!
//! An engine is a [`Mailbox`] and knows one protocol; [`open`] chooses it. What it remembers between polls is its own
//! variant of [`crate::cursor::Position`].

mod fault;
pub mod graph;
mod guard;
pub mod imap;
mod opening;
pub mod pop3;
mod sasl;
#[cfg(test)]
mod script;
pub mod submission;
mod wire;

pub use self::fault::{FaultKind, MailboxFault};
use self::opening::Line as _;
pub use self::opening::{Rung, Step, Trail};
use crate::account::{Account, AfterReading, Protocol, Server, Since};
use crate::cursor::{Position, Reference};
use crate::net::{Reach, Tls};
use crate::secret::Secret;
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

/// How a mailbox is opened.
#[derive(Debug, Clone)]
pub enum Login {
    /// An access token, by SASL XOAUTH2; to Graph as a bearer (RFC 6750 §2.1).
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

/// A mailbox that stands open. The order of calls: for each folder select, list, then as often as it takes fetch, settle
/// and advance; at the end close. After a fault only `position`, `round_trips` and `close` make sense.
#[async_trait]
pub trait Mailbox: Send {
    /// Opens a folder by its name as people write it; everything below is about this one.
    async fn select(&mut self, folder: &str) -> Result<(), MailboxFault>;

    /// What is in the folder and not yet behind `from`, in the order in which it should be read; bounded, and what did
    /// not fit is [`Mailbox::beyond`], or the next poll's. `since` says where a folder begins that has no position yet,
    /// or whose position means nothing any more. Where the server says that nothing can be new, nothing is asked.
    async fn list(
        &mut self,
        from: Option<&Position>,
        since: Since,
        now: Timestamp,
    ) -> Result<Vec<Listed>, MailboxFault>;

    /// Messages that the listing had no room for, as far as the server tells: once it is behind, they can be listed from
    /// the position that is reached.
    fn beyond(&self) -> u64 {
        0
    }

    /// Where the next poll goes on: at first what `list` made of its `from`, then moved by `advance`.
    fn position(&self) -> Option<Position>;

    /// Fetches messages of the listing, or of an earlier one of the same validity, without marking anything, the first
    /// [`crate::limits::MESSAGE_BYTES`] of each, and sends every one to `out` as it comes, in the server's order. Returns
    /// what did not come.
    async fn fetch(&mut self, wanted: &[Listed], out: Sender<Fetched>) -> Result<Vec<Missed>, MailboxFault>;

    /// Marks, moves or deletes messages whose facts are durable. Messages that are gone already are no fault. An engine
    /// that can only do so at the end does it in `close`, and its position then leaves such messages out.
    async fn settle(&mut self, done: &[Reference], what: &AfterReading) -> Result<Settled, MailboxFault>;

    /// Puts messages of the listing behind: read and settled, or gone. Asks the server nothing.
    fn advance(&mut self, done: &[Reference]);

    /// Exchanges with the server so far, and its farewell where it has one.
    fn round_trips(&self) -> u32;

    /// Says goodbye, and hangs up whatever comes. A fault says that what was settled may not have come about.
    async fn close(self: Box<Self>) -> Result<(), MailboxFault>;
}

/// A message that is in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the server calls it.
    pub reference: Reference,
    /// Its size in bytes, as the server says: Exchange's is an estimate; `u32::MAX` where it does not say.
    pub size: u32,
    /// When it arrived, where the server says so.
    pub arrival: Option<Timestamp>,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What the server calls it.
    pub reference: Reference,
    /// Its size in bytes, as it was listed.
    pub size: u32,
    /// When it arrived: INTERNALDATE, receivedDateTime, or over POP3 the topmost Received.
    pub arrival: Option<Timestamp>,
    /// The message, from its first byte.
    pub bytes: Vec<u8>,
    /// Whether it is longer than what was asked for.
    pub cut: bool,
}

/// A message that was asked for and did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// What the server calls it.
    pub reference: Reference,
    /// Why the server would not give it out; none when it is not there any more, or not ours to read.
    pub refused: Option<String>,
}

/// How far the server could follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// As it was asked.
    Done,
    /// Marked as deleted, not removed: the server has no UID EXPUNGE (RFC 4315), and a bare EXPUNGE would also remove
    /// what other people marked.
    MarkedDeleted,
}

/// Opens an account's mailbox by its protocol: connects, encrypts and logs in, all before `deadline`, which then holds for
/// whatever follows.
pub async fn open(
    account: &Account,
    login: &Login,
    reach: &Reach,
    tls: &Tls,
    deadline: Instant,
) -> Result<Box<dyn Mailbox>, MailboxFault> {
    let server = &account.server;
    Ok(match account.protocol {
        Protocol::Imap => Box::new(imap::Imap::open(server, login, reach, tls, deadline).await?),
        Protocol::Graph => Box::new(graph::Graph::open(server, login, reach, tls, deadline).await?),
        Protocol::Pop3 => Box::new(pop3::Pop3::open(server, login, reach, tls, deadline).await?),
    })
}

/// A server that was connected to, and has said what it says before a login: the same way as [`open`], step by step, for
/// who looks at each.
pub struct Approached {
    near: bool,
    line: Lines,
}

enum Lines {
    Imap(Box<imap::Opening>),
    Pop3(Box<pop3::Line>),
    /// Graph says nothing before it is asked something; the request makes a connection of its own.
    Graph,
}

/// Goes as far as one can without a login. Each step that ends well is on the trail, and the one that did not.
pub async fn approach(
    server: &Server,
    protocol: Protocol,
    reach: &Reach,
    tls: &Tls,
    deadline: Instant,
    trail: &mut Trail,
) -> Result<Approached, MailboxFault> {
    opening::within(deadline, async {
        let (io, near) = opening::connect(server, reach, trail).await?;
        let line = match protocol {
            Protocol::Imap => Lines::Imap(Box::new(opening::approach(io, vec![], server, tls, deadline, trail).await?)),
            Protocol::Pop3 => Lines::Pop3(Box::new(opening::approach(io, vec![], server, tls, deadline, trail).await?)),
            Protocol::Graph => {
                opening::encrypt(io, server, tls, trail).await?;
                Lines::Graph
            }
        };
        Ok(Approached { near, line })
    })
    .await
}

impl Approached {
    /// Logs in.
    pub async fn log_in(
        self,
        server: &Server,
        login: &Login,
        reach: &Reach,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Box<dyn Mailbox>, MailboxFault> {
        opening::check_clear_text(server.encryption, self.near, login)?;
        let credential = sasl::Credential::of(login)?;
        opening::within(deadline, async {
            Ok(match self.line {
                Lines::Imap(line) => Box::new(line.log_in(&credential).await?) as Box<dyn Mailbox>,
                Lines::Pop3(line) => Box::new(line.log_in(&credential).await?),
                Lines::Graph => Box::new(graph::Graph::open(server, login, reach, tls, deadline).await?),
            })
        })
        .await
    }
}
