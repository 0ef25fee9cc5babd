//! A front before a real mail server that speaks as Exchange Online does: its greetings, its capabilities, its refusals and
//! limits, POP3's AUTH in two lines, "User is authenticated but not connected". What is read and deleted, the server
//! behind reads and deletes. Written from Microsoft's "Authenticate an IMAP, POP or SMTP connection using OAuth" and from
//! the words that users of Exchange report.

mod imap;
mod pop3;
mod relay;

use crate::tls;
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server behind, and what the front lets through.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// Where it speaks IMAP in clear, as host:port.
    pub imap: String,
    /// Where it speaks POP3 in clear, as host:port.
    pub pop3: String,
    /// Ports of the front itself, over TLS: IMAP and POP3; 0 is any.
    pub ports: [u16; 2],
    /// Whether passwords are taken; Exchange Online takes none.
    pub passwords: bool,
    /// Connections at once; Exchange ends the next with `Connection closed. 14`.
    pub connections: usize,
}

impl FrontSettings {
    /// As Exchange on premises before a server at these ports of loopback: passwords are taken, sixteen connections.
    pub fn new(imap: u16, pop3: u16) -> Self {
        let [imap, pop3] = [imap, pop3].map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
        Self { imap, pop3, ports: [0, 0], passwords: true, connections: 16 }
    }
}

/// What the next command of a name is answered, in place of being carried out.
#[derive(Clone, Debug)]
pub struct FrontRefusal {
    /// Its name in capitals, `UID FETCH` or `RETR`.
    pub command: String,
    /// The answer: over IMAP behind the tag (`BAD Request is throttled. …`), or untagged where it begins with `BYE`.
    pub answer: String,
    /// Whether the connection ends with it.
    pub ends: bool,
}

/// A running front. It stops when dropped.
pub struct ExchangeFront {
    shared: Arc<Shared>,
    imap: u16,
    pop3: u16,
    ca_pem: String,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    settings: FrontSettings,
    refusals: Mutex<Vec<FrontRefusal>>,
    not_connected: Mutex<BTreeSet<String>>,
    heard: Mutex<Vec<String>>,
    open: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Protocol {
    Imap,
    Pop3,
}

impl ExchangeFront {
    /// Listens on two ports of loopback, over TLS.
    pub async fn start(settings: FrontSettings) -> anyhow::Result<Self> {
        let (acceptor, ca_pem) = tls::acceptor(Ipv4Addr::LOCALHOST)?;
        let shared = Arc::new(Shared {
            settings,
            refusals: Mutex::default(),
            not_connected: Mutex::default(),
            heard: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let (mut ports, mut tasks) = (shared.settings.ports, vec![]);
        for (port, protocol) in ports.iter_mut().zip([Protocol::Imap, Protocol::Pop3]) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await;
            let listener = listener.with_context(|| format!("listening at port {port}"))?;
            *port = listener.local_addr()?.port();
            let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
            tasks.push(tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let (reader, writer) = tokio::io::split(stream);
                        let _ = shared.serve(protocol, relay::Lines::new(reader), writer).await;
                    });
                }
            }));
        }
        let [imap, pop3] = ports;
        Ok(Self { shared, imap, pop3, ca_pem, tasks })
    }

    /// Port of IMAP over TLS.
    pub fn imap_port(&self) -> u16 {
        self.imap
    }

    /// Port of POP3 over TLS.
    pub fn pop3_port(&self) -> u16 {
        self.pop3
    }

    /// The authority that signed its certificate (for localhost), as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The next command of a name is refused.
    pub fn refuse(&self, command: &str, answer: &str) {
        let ends = answer.starts_with("BYE") || answer.contains("Connection is closed");
        let refusal = FrontRefusal { command: command.to_owned(), answer: answer.to_owned(), ends };
        lock(&self.shared.refusals).push(refusal);
    }

    /// A mailbox that lets its user in and opens nothing, as where the protocol is disabled for it, or its back end is down:
    /// Exchange says the same of both.
    pub fn disconnect(&self, mailbox: &str) {
        lock(&self.shared.not_connected).insert(mailbox.to_lowercase());
    }

    /// The names of all commands so far.
    pub fn heard(&self) -> Vec<String> {
        lock(&self.shared.heard).clone()
    }
}

impl Drop for ExchangeFront {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    async fn serve(
        &self,
        protocol: Protocol,
        client: relay::Lines<relay::Reader>,
        writer: relay::Writer,
    ) -> std::io::Result<()> {
        let over = self.open.fetch_add(1, Ordering::Relaxed) >= self.settings.connections;
        let served = async {
            match protocol {
                Protocol::Imap => {
                    let server = TcpStream::connect(&self.settings.imap).await?;
                    imap::serve(self, client, writer, server, over).await
                }
                Protocol::Pop3 => {
                    let server = TcpStream::connect(&self.settings.pop3).await?;
                    pop3::serve(self, client, writer, server, over).await
                }
            }
        }
        .await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        served
    }

    /// Notes a command, and gives what it is refused with, if it is.
    fn hear(&self, command: &str) -> Option<FrontRefusal> {
        lock(&self.heard).push(command.to_owned());
        let mut refusals = lock(&self.refusals);
        let at = refusals.iter().position(|refusal| refusal.command == command)?;
        Some(refusals.remove(at))
    }

    fn is_connected(&self, mailbox: &str) -> bool {
        !lock(&self.not_connected).contains(&mailbox.to_lowercase())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
