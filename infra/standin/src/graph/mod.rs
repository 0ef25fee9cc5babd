//! The part of Microsoft Graph v1.0 that reads mail: folders, delta queries, MIME, mark, move, delete. Written from
//! Microsoft's documents ("message: delta", "Get incremental changes to messages in a folder", "Obtain immutable
//! identifiers", "Microsoft Graph throttling guidance"); it has met no code of Rebond. In memory, over TLS on loopback.

mod delta;
mod fault;
mod route;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use fault::{GraphAction, GraphCall, GraphFault};
use store::Store;

/// What a token is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphAdmission {
    /// No token for this service, or its life is over: 401, with these words.
    Refused(&'static str),
    /// Lacks the permission: 403.
    Denied,
    /// The permission is there, the mailbox is not, or not for this person: 404.
    NotFound,
    /// Opens the mailbox that was asked for.
    Open,
    /// The same, and this is the person's own: what `/me` means.
    OpenOf(String),
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphRight {
    /// List folders and messages without their bodies.
    List,
    /// Read messages.
    Read,
    /// Change messages.
    Write,
}

impl GraphRight {
    /// The permissions that allow it, from the least.
    pub(crate) fn permissions(self) -> &'static [&'static str] {
        match self {
            GraphRight::List => &["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"],
            GraphRight::Read => &["Mail.Read", "Mail.ReadWrite"],
            GraphRight::Write => &["Mail.ReadWrite"],
        }
    }
}

/// Decides about (bearer token, mailbox or nothing for `/me`, right).
pub type GraphGate = Arc<dyn Fn(&str, &str, GraphRight) -> GraphAdmission + Send + Sync>;

/// How the server starts.
#[derive(Clone)]
pub struct GraphSettings {
    /// Who decides about tokens.
    pub gate: GraphGate,
    /// Address to listen at.
    pub address: Ipv4Addr,
    /// Port; 0 lets the system choose.
    pub port: u16,
    /// Messages on a page at most, whatever is preferred.
    pub page: usize,
    /// How long each answer takes.
    pub latency: Duration,
}

impl GraphSettings {
    /// Pages of at most 1,000 messages, answers at once, port chosen by the system.
    pub fn new(gate: GraphGate) -> GraphSettings {
        GraphSettings { gate, address: Ipv4Addr::LOCALHOST, port: 0, page: 1_000, latency: Duration::ZERO }
    }
}

/// A running server. It stops when dropped.
pub struct GraphServer {
    mail: GraphMail,
    port: u16,
    ca_pem: String,
    server: JoinHandle<()>,
}

/// What the server holds and what it does next; a clone is the same.
#[derive(Clone)]
pub struct GraphMail(Arc<Shared>);

pub(crate) struct Shared {
    settings: Mutex<GraphSettings>,
    url: String,
    store: Mutex<Store>,
    script: Mutex<Vec<GraphFault>>,
    log: Mutex<Vec<String>>,
    /// Requests under way, and the most there ever were.
    under_way: Mutex<(usize, usize)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GraphServer {
    /// Listens until dropped. Errors: the port is taken, or no certificate can be made.
    pub async fn start(settings: GraphSettings) -> anyhow::Result<GraphServer> {
        let tcp = TcpListener::bind((settings.address, settings.port)).await.context("stand-in Graph")?;
        let port = tcp.local_addr()?.port();
        let (acceptor, ca_pem) = crate::tls::acceptor(settings.address)?;
        let host = if settings.address.is_loopback() { "localhost".to_owned() } else { settings.address.to_string() };
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            url: format!("https://{host}:{port}"),
            store: Mutex::default(),
            script: Mutex::default(),
            log: Mutex::default(),
            under_way: Mutex::default(),
        });
        let routes = Router::new().fallback(route::answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(Tls { tcp, acceptor }, routes).await {
                tracing::error!(%error, "stand-in Graph stopped");
            }
        });
        Ok(GraphServer { mail: GraphMail(shared), port, ca_pem, server })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority that signed the server's certificate (for `localhost` and `127.0.0.1`), as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What it holds.
    pub fn mail(&self) -> &GraphMail {
        &self.mail
    }
}

impl Drop for GraphServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl GraphMail {
    /// Makes a mailbox with the folders that every one has, where it is missing.
    pub fn open(&self, mailbox: &str) {
        lock(&self.0.store).mailbox_made(mailbox);
    }

    /// Makes a folder, by its path of display names, where it is missing.
    pub fn make_folder(&self, mailbox: &str, path: &str) {
        lock(&self.0.store).mailbox_made(mailbox).folder_made(path);
    }

    /// Puts a message into a folder, which is made if it is missing, and tells its immutable id.
    pub fn deliver(&self, mailbox: &str, path: &str, bytes: Vec<u8>, received: Timestamp) -> String {
        let mut store = lock(&self.0.store);
        let mailbox = store.mailbox_made(mailbox);
        let folder = mailbox.folder_made(path);
        mailbox.add(folder, bytes, received)
    }

    /// What a folder holds: immutable id and whether it is read, in the order of arrival.
    pub fn messages(&self, mailbox: &str, path: &str) -> Vec<(String, bool)> {
        let mut store = lock(&self.0.store);
        let mailbox = store.mailbox_made(mailbox);
        let folder = mailbox.folder_made(path);
        let there = mailbox.messages.iter().filter(|message| message.folder == folder);
        there.map(|message| (message.immutable.clone(), message.read)).collect()
    }

    /// Moves a message as another client does; `false` when it is not there.
    pub fn move_to(&self, mailbox: &str, id: &str, path: &str) -> bool {
        let mut store = lock(&self.0.store);
        let mailbox = store.mailbox_made(mailbox);
        let folder = mailbox.folder_made(path);
        mailbox.move_message(id, &folder).is_some()
    }

    /// Takes a message away for good; `false` when it is not there.
    pub fn remove(&self, mailbox: &str, id: &str) -> bool {
        lock(&self.0.store).mailbox_made(mailbox).remove(id)
    }

    /// Removes a folder with all it holds, and makes an empty one of the same name.
    pub fn replace_folder(&self, mailbox: &str, path: &str) {
        lock(&self.0.store).mailbox_made(mailbox).replace_folder(path);
    }

    /// Forgets every token of every delta query: 410 from now on.
    pub fn expire_tokens(&self) {
        lock(&self.0.store).tokens.clear();
    }

    /// Changes how it answers.
    pub fn change(&self, how: impl FnOnce(&mut GraphSettings)) {
        how(&mut lock(&self.0.settings));
    }

    /// Adds a scripted fault.
    pub fn script(&self, fault: GraphFault) {
        lock(&self.0.script).push(fault);
    }

    /// What was asked so far: `GET folder`, `GET delta`, `GET $value`, `POST move`, `PATCH`, `DELETE`.
    pub fn log(&self) -> Vec<String> {
        lock(&self.0.log).clone()
    }

    /// The most requests that were under way at once.
    pub fn busiest(&self) -> usize {
        lock(&self.0.under_way).1
    }
}

/// Connections over TLS; those that fail at it are nobody's.
struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.tcp.accept().await else { continue };
            let accepted = tokio::time::timeout(Duration::from_secs(5), self.acceptor.accept(stream)).await;
            if let Ok(Ok(stream)) = accepted {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
