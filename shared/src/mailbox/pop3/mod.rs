//! POP3 (RFC 1939), with CAPA and response codes (RFC 2449, RFC 3206), STLS (RFC 2595), SASL (RFC 5034).
//!
//! Replies are read by a machine without a socket ([`machine`]); what is believed, when, is the login's ([`login`]); a
//! mailbox has one folder, and a message is known again by its UIDL alone ([`engine`]).

mod engine;
mod login;
mod machine;
#[cfg(test)]
mod tests;

use self::machine::{Broken, Form, Machine, Reply, Status};
use super::fault::{Asked, classify, clean};
use super::wire::Wire;
use super::{FaultKind, Login, Mailbox, MailboxFault, opening};
use crate::account::Server;
use crate::limits;
use crate::net::{Reach, Tls};
use crate::secret::Secret;
use std::time::Duration;
use tokio::time::Instant;

/// The one folder that POP3 shows.
pub const INBOX: &str = "INBOX";
/// Commands under way at once where the server takes several (PIPELINING, RFC 2449 §6.6).
const PIPELINE: usize = 64;
/// Time for QUIT where it only says goodbye.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time for QUIT where it deletes; within what a run keeps back for its end.
const COMMIT: Duration = Duration::from_secs(8);

/// An open mailbox.
pub struct Pop3 {
    line: Line,
    /// What the server can do, said since encryption began.
    capabilities: Capabilities,
    /// How many messages there are; none before the folder was opened.
    messages: Option<u32>,
    reading: engine::Reading,
}

/// What a server says it can do, in capitals, one capability with its arguments a line; none where it knows no CAPA.
#[derive(Debug, Clone, Default)]
struct Capabilities(Vec<String>);

impl Capabilities {
    fn read(body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body).to_ascii_uppercase();
        Self(body.lines().map(|line| line.trim().to_owned()).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.arguments(name).is_some()
    }

    /// What stands behind a capability's name.
    fn arguments(&self, name: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
        self.0.iter().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(name)).then_some(words)
        })
    }

    fn has_mechanism(&self, name: &str) -> bool {
        self.arguments("SASL").is_some_and(|mut mechanisms| mechanisms.any(|mechanism| mechanism == name))
    }
}

/// The connection: commands out, replies in.
pub(super) struct Line {
    wire: Wire,
    machine: Machine,
    /// What the server can do; none when it has not said so since the start of TLS.
    capabilities: Option<Capabilities>,
    /// Whether it greets as Exchange does.
    exchange: bool,
    /// What must not be shown.
    secrets: Vec<Secret>,
    round_trips: u32,
}

impl Line {
    /// Sends commands in one go; replies of these forms will come.
    async fn send(&mut self, commands: &str, forms: impl IntoIterator<Item = Form>) -> Result<(), MailboxFault> {
        self.round_trips += 1;
        forms.into_iter().for_each(|form| self.machine.expect(form));
        self.wire.write(commands.as_bytes()).await
    }

    /// The next reply.
    async fn next(&mut self) -> Result<Reply, MailboxFault> {
        loop {
            let (used, reply) = self.machine.take(self.wire.peek().await?).map_err(|broken| match broken {
                Broken::Limit(what) => FaultKind::Limit(what),
                Broken::Form(what) => FaultKind::Protocol(what),
            })?;
            self.wire.take(used);
            if let Some(reply) = reply {
                return Ok(reply);
            }
        }
    }

    /// Sends one command and returns its reply, whatever it is.
    async fn ask(&mut self, command: &str, form: Form) -> Result<Reply, MailboxFault> {
        self.send(&format!("{command}\r\n"), [form]).await?;
        self.next().await
    }

    /// Sends one command, which must end well.
    async fn run(&mut self, command: &'static str, form: Form) -> Result<Reply, MailboxFault> {
        let reply = self.ask(command, form).await?;
        self.expect_ok(reply, Asked::Command(command))
    }

    fn expect_ok(&self, reply: Reply, asked: Asked<'_>) -> Result<Reply, MailboxFault> {
        match reply.status {
            Status::Ok => Ok(reply),
            Status::Err => Err(self.refusal(asked, &reply)),
            Status::Continue => Err(FaultKind::Protocol("it asks for more than the command had").into()),
        }
    }

    /// The fault behind a -ERR: its response code (RFC 2449 §8), its words.
    fn refusal(&self, asked: Asked<'_>, reply: &Reply) -> MailboxFault {
        let (code, words) = match reply.text.strip_prefix(b"[").and_then(|rest| {
            let end = memchr::memchr(b']', rest)?;
            Some((&rest[..end], rest[end + 1..].trim_ascii()))
        }) {
            Some((code, words)) => (code, words),
            None => (&b""[..], &reply.text[..]),
        };
        classify(asked, false, code, words, clean(&reply.text, &self.secrets))
    }
}

impl Pop3 {
    /// Connects, encrypts as `server` says, and logs in, all before `deadline`, which then holds for whatever follows.
    pub async fn open(
        server: &Server,
        login: &Login,
        reach: &Reach,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Self, MailboxFault> {
        opening::open::<Line>(server, login, reach, tls, deadline).await
    }
}
