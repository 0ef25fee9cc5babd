//! A small IMAP4rev1 server (RFC 3501) that behaves as Exchange Online does where a mailbox client can tell: its
//! capabilities, XOAUTH2, "Basic authentication is disabled", "User is authenticated but not connected". In memory, on
//! loopback, over TLS and over plain TCP with STARTTLS.

mod command;
mod fetch;
mod folder;
mod mailbox;
mod search;
mod session;
mod store;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::tls;
use session::Session;
use store::Store;

/// What a token is worth for a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Not a token for this service: `NO AUTHENTICATE failed.`
    Refused,
    /// Good, but not for this mailbox: `OK`, and then `BAD User is authenticated but not connected.`
    NotConnected,
    /// Opens the mailbox.
    Connected,
}

/// Decides about (mailbox, bearer token).
pub type Gate = Arc<dyn Fn(&str, &str) -> Admission + Send + Sync>;

/// How the server starts.
#[derive(Clone)]
pub struct ImapSettings {
    /// Who decides about tokens.
    pub gate: Gate,
    /// Mailboxes that may use LOGIN and AUTHENTICATE PLAIN with this password; all others are told that basic
    /// authentication is disabled.
    pub passwords: BTreeMap<String, String>,
    /// Address to listen at: loopback, or that of a test's own network namespace.
    pub address: Ipv4Addr,
    /// Port of implicit TLS; 0 lets the system choose.
    pub tls_port: u16,
    /// Port of plain TCP with STARTTLS; 0 lets the system choose.
    pub plain_port: u16,
}

impl ImapSettings {
    /// Tokens only, ports chosen by the system.
    pub fn new(gate: Gate) -> ImapSettings {
        ImapSettings { gate, passwords: BTreeMap::new(), address: Ipv4Addr::LOCALHOST, tls_port: 0, plain_port: 0 }
    }
}

/// A scripted fault: what the next commands of a name meet instead of being carried out.
#[derive(Clone, Debug)]
pub struct ImapFault {
    /// Command name in capitals: `SELECT`, `UID FETCH`, `AUTHENTICATE`; empty for any.
    pub command: String,
    /// How many commands of that name are carried out first.
    pub after: usize,
    /// How many commands meet the fault.
    pub times: usize,
    /// What happens.
    pub action: ImapAction,
}

/// What a scripted command meets.
#[derive(Clone, Debug)]
pub enum ImapAction {
    /// A tagged answer: `BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds`.
    Tagged(String),
    /// An untagged line first, then the command is carried out.
    Untagged(String),
    /// `* BYE …`, and the connection is closed.
    Bye(String),
    /// The connection is closed without a word.
    Drop,
    /// The answer comes this many milliseconds late.
    Late(u64),
    /// The command is carried out, and the connection is closed after this many bytes of its answer.
    CutAfter(usize),
}

/// A running server. It stops when dropped.
pub struct ImapServer {
    shared: Arc<Shared>,
    tls_port: u16,
    plain_port: u16,
    ca_pem: String,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) struct Shared {
    settings: ImapSettings,
    store: Mutex<Store>,
    script: Mutex<Vec<ImapFault>>,
    log: Mutex<Vec<String>>,
    /// Moves with every change of the store: wakes those who IDLE.
    changed: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    /// The fault that a command meets, counted down.
    pub(crate) fn fault(&self, command: &str) -> Option<ImapAction> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let matching = |fault: &&mut ImapFault| fault.command.is_empty() || fault.command == command;
        let fault = script.iter_mut().find(matching)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let action = fault.action.clone();
        script.retain(|fault| fault.times > 0);
        Some(action)
    }

    pub(crate) fn note(&self, command: &str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(command.to_owned());
    }
}

impl ImapServer {
    /// Listens on two ports until dropped. Errors: a port is taken, or no certificate can be made.
    pub async fn start(settings: ImapSettings) -> anyhow::Result<ImapServer> {
        let tls = TcpListener::bind((settings.address, settings.tls_port)).await.context("stand-in IMAP, TLS port")?;
        let plain =
            TcpListener::bind((settings.address, settings.plain_port)).await.context("stand-in IMAP, plain port")?;
        let (acceptor, ca_pem) = tls::acceptor(settings.address)?;
        let (tls_port, plain_port) = (tls.local_addr()?.port(), plain.local_addr()?.port());
        let shared = Arc::new(Shared {
            settings,
            store: Mutex::new(Store::default()),
            script: Mutex::new(Vec::new()),
            log: Mutex::new(Vec::new()),
            changed: watch::Sender::new(0),
        });
        let tasks = vec![
            tokio::spawn(listen(tls, Arc::clone(&shared), acceptor.clone(), true)),
            tokio::spawn(listen(plain, Arc::clone(&shared), acceptor, false)),
        ];
        Ok(ImapServer { shared, tls_port, plain_port, ca_pem, tasks })
    }

    /// Port of implicit TLS on 127.0.0.1.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// Port of plain TCP with STARTTLS on 127.0.0.1.
    pub fn plain_port(&self) -> u16 {
        self.plain_port
    }

    /// The certificate authority that signed the server's certificate (for `localhost` and `127.0.0.1`), as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Puts a message into a folder, which is made if it is missing, and tells its UID.
    pub fn deliver(&self, mailbox: &str, folder: &str, bytes: Vec<u8>, arrival: Timestamp) -> u32 {
        let uid = self.shared.store().folder_made(mailbox, folder).add(bytes, arrival, Default::default());
        self.shared.touch();
        uid
    }

    /// What a folder holds: UID and flags of each message, by UID. Empty for a folder that does not exist.
    pub fn messages(&self, mailbox: &str, folder: &str) -> Vec<(u32, Vec<String>)> {
        let store = self.shared.store();
        let Some(folder) = store.folder(mailbox, folder) else { return Vec::new() };
        folder.messages.iter().map(|message| (message.uid, message.flags.iter().cloned().collect())).collect()
    }

    /// Takes a message out of a folder, as another client's EXPUNGE does; `false` when it is not there.
    pub fn expunge(&self, mailbox: &str, folder: &str, uid: u32) -> bool {
        let gone = {
            let mut store = self.shared.store();
            let folder = store.folder_mut(mailbox, folder);
            folder.is_some_and(|folder| {
                let before = folder.messages.len();
                folder.messages.retain(|message| message.uid != uid);
                folder.messages.len() < before
            })
        };
        self.shared.touch();
        gone
    }

    /// Gives a folder a new UIDVALIDITY and its messages new UIDs from 1, as a restored mailbox has.
    pub fn renumber(&self, mailbox: &str, folder: &str) {
        self.shared.store().folder_made(mailbox, folder).renumber();
        self.shared.touch();
    }

    /// Adds a scripted fault.
    pub fn script(&self, fault: ImapFault) {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// The names of the commands received so far, without arguments.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ImapServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>, acceptor: tokio_rustls::TlsAcceptor, encrypted: bool) {
    // Connections end with the listener: a dropped server leaves none behind.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
        connections.spawn(async move {
            let result = if encrypted {
                match acceptor.accept(stream).await {
                    Ok(stream) => Session::new(stream, shared, true).serve(true).await.map(|_| ()),
                    Err(error) => Err(error),
                }
            } else {
                serve_plain(stream, shared, acceptor).await
            };
            if let Err(error) = result {
                tracing::debug!(%error, "stand-in IMAP connection ended");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Plain TCP until STARTTLS, then TLS on the same connection.
async fn serve_plain(
    stream: tokio::net::TcpStream,
    shared: Arc<Shared>,
    acceptor: tokio_rustls::TlsAcceptor,
) -> std::io::Result<()> {
    if let Some(stream) = Session::new(stream, Arc::clone(&shared), false).serve(true).await? {
        let stream = acceptor.accept(stream).await?;
        Session::new(stream, shared, true).serve(false).await?;
    }
    Ok(())
}
