//! What IMAP and POP3 begin with, in one order: connect, encrypt, greeting, capabilities; then the login. A poll takes all
//! steps at once; the doctor looks at each.

use super::sasl::Credential;
use super::wire::{Io, Wire};
use super::{FaultKind, Login, MailboxFault};
use crate::account::{Encryption, Server};
use crate::net::{self, Reach, Tls};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A step of the way from the settings to one message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// What the account says of itself.
    Settings,
    /// The host's name becomes addresses that may be reached.
    Dns,
    /// One of them takes the connection.
    Tcp,
    /// The handshake, and whose certificate it is.
    Tls,
    /// The server's first words.
    Greeting,
    /// What the server can do, said before encryption.
    CapabilitiesBefore,
    /// What the server can do, said on the connection as it stays.
    Capabilities,
    /// Password or access token.
    Token,
    /// The login.
    Authentication,
    /// The folders.
    Mailbox,
    /// How much is in them.
    Count,
    /// One message.
    Message,
}

/// A step that was taken.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which.
    pub rung: Rung,
    /// How long it took.
    pub took: Duration,
    /// What was found or said, fit to show.
    pub said: String,
}

/// The steps that were taken, and the one under way.
#[derive(Debug, Default)]
pub struct Trail {
    /// Those that ended well.
    pub steps: Vec<Step>,
    under_way: Option<(Rung, Instant)>,
}

impl Trail {
    /// Takes the next step.
    pub fn start(&mut self, rung: Rung) {
        self.under_way = Some((rung, Instant::now()));
    }

    /// It ended well.
    pub fn end(&mut self, said: impl Into<String>) {
        if let Some((rung, since)) = self.under_way.take() {
            self.steps.push(Step { rung, took: since.elapsed(), said: said.into() });
        }
    }

    /// The step that did not end, and how long it has been under way.
    pub fn broken(&self) -> Option<(Rung, Duration)> {
        self.under_way.map(|(rung, since)| (rung, since.elapsed()))
    }

    /// What was said on a step.
    pub fn said(&self, rung: Rung) -> &str {
        self.steps.iter().rev().find(|step| step.rung == rung).map_or("", |step| &step.said)
    }
}

/// A connection of one protocol on which nobody is logged in. Texts that are returned are fit to show.
pub(super) trait Line: Sized + Send {
    /// What a login makes of it.
    type Opened: Send;
    /// Bytes of a literal that may come before the login.
    const LITERAL_BYTES: usize;

    /// Speaks over this connection; `secrets` must not be shown.
    fn over(wire: Wire, secrets: Vec<Secret>) -> Self;
    /// Hears the greeting.
    fn greet(&mut self, encryption: Encryption) -> impl Future<Output = Result<String, MailboxFault>> + Send;
    /// What the server can do, asked where it has not said.
    fn capable(&mut self) -> impl Future<Output = Result<String, MailboxFault>> + Send;
    /// Has the server start TLS, which is required.
    fn start_tls(&mut self) -> impl Future<Output = Result<(), MailboxFault>> + Send;
    /// The connection beneath.
    fn wire(&mut self) -> &mut Wire;
    /// Goes on over `wire`: nothing that was heard before is believed any more.
    fn renew(&mut self, wire: Wire);
    /// Logs in.
    fn log_in(self, credential: &Credential<'_>) -> impl Future<Output = Result<Self::Opened, MailboxFault>> + Send;
}

/// Opens a mailbox: all before `deadline`, which then holds for whatever follows.
pub(super) async fn open<L: Line>(
    server: &Server,
    login: &Login,
    reach: &Reach,
    tls: &Tls,
    deadline: Instant,
) -> Result<L::Opened, MailboxFault> {
    within(deadline, async {
        let (io, near) = connect(server, reach, &mut Trail::default()).await?;
        open_over::<L>(io, near, server, login, tls, deadline).await
    })
    .await
}

/// The same over a connection that stands; `near` says that its other end is this machine or a private address.
pub(super) async fn open_over<L: Line>(
    io: Box<dyn Io>,
    near: bool,
    server: &Server,
    login: &Login,
    tls: &Tls,
    deadline: Instant,
) -> Result<L::Opened, MailboxFault> {
    check_clear_text(server.encryption, near, login)?;
    let credential = Credential::of(login)?;
    let secrets = credential.secrets.clone();
    let line: L = approach(io, secrets, server, tls, deadline, &mut Trail::default()).await?;
    line.log_in(&credential).await
}

/// Connects to the server, and says whether that is this machine or a private address.
pub(super) async fn connect(
    server: &Server,
    reach: &Reach,
    trail: &mut Trail,
) -> Result<(Box<dyn Io>, bool), MailboxFault> {
    trail.start(Rung::Dns);
    let addresses = net::resolve(&server.host, server.port, reach).await?;
    trail.end(addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", "));
    trail.start(Rung::Tcp);
    let stream = net::connect_to(&server.host, server.port, &addresses).await?;
    let peer = stream.peer_addr().ok();
    trail.end(peer.map_or(String::new(), |peer| format!("connected to {peer}")));
    Ok((Box::new(stream), peer.is_some_and(|peer: SocketAddr| net::is_near(peer.ip()))))
}

/// Encrypts as the server's settings say, and hears what it says before a login.
pub(super) async fn approach<L: Line>(
    io: Box<dyn Io>,
    secrets: Vec<Secret>,
    server: &Server,
    tls: &Tls,
    deadline: Instant,
    trail: &mut Trail,
) -> Result<L, MailboxFault> {
    let over = |io| Wire::new(io, &server.host, L::LITERAL_BYTES, deadline);
    let io = match server.encryption {
        Encryption::Tls => encrypt(io, server, tls, trail).await?,
        Encryption::Starttls | Encryption::None => io,
    };
    let mut line = L::over(over(io), secrets);
    trail.start(Rung::Greeting);
    trail.end(line.greet(server.encryption).await?);
    if server.encryption == Encryption::Starttls {
        trail.start(Rung::CapabilitiesBefore);
        trail.end(line.capable().await?);
        trail.start(Rung::Tls);
        line.start_tls().await?;
        if line.wire().holds_more() {
            return Err(FaultKind::Downgrade("something was slipped in before encryption started").into());
        }
        let io = line.wire().take_io();
        line.renew(over(encrypt(io, server, tls, trail).await?));
    }
    trail.start(Rung::Capabilities);
    trail.end(line.capable().await?);
    Ok(line)
}

/// The TLS handshake.
pub(super) async fn encrypt(
    io: Box<dyn Io>,
    server: &Server,
    tls: &Tls,
    trail: &mut Trail,
) -> Result<Box<dyn Io>, MailboxFault> {
    trail.start(Rung::Tls);
    let stream = tls.wrap(io, &server.host).await?;
    trail.end(net::protocol(&stream));
    Ok(Box::new(stream))
}

/// The outcome, or that our time is over.
pub(super) async fn within<T>(
    deadline: Instant,
    opening: impl Future<Output = Result<T, MailboxFault>>,
) -> Result<T, MailboxFault> {
    timeout_at(deadline, opening).await.unwrap_or_else(|_| Err(FaultKind::Deadline.into()))
}

/// No token on a connection that is not encrypted; no password but to this machine, or to a private address that the
/// reach policy names.
pub(super) fn check_clear_text(encryption: Encryption, near: bool, login: &Login) -> Result<(), FaultKind> {
    match (encryption, login) {
        (Encryption::Tls | Encryption::Starttls, _) => Ok(()),
        (Encryption::None, Login::XOAuth2 { .. }) => {
            Err(FaultKind::ClearText("an access token never travels in clear"))
        }
        (Encryption::None, Login::Password { .. }) if near => Ok(()),
        (Encryption::None, Login::Password { .. }) => {
            Err(FaultKind::ClearText("a password travels in clear to this machine or a private address alone"))
        }
    }
}
