//! Whether a server that takes no connection at the account's port takes one at the protocol's other usual port.

use super::diagnosis::Fault;
use crate::account::{Account, Encryption, Protocol};
use crate::mailbox::{FaultKind, MailboxFault, Rung};
use crate::net::{self, NetError, Reach};
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time for a port.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other ports that were tried, with the encryption that goes with each (RFC 8314 §3.2, §3.3), and whether something
/// listens there.
#[derive(Debug)]
pub(super) struct Elsewhere(Vec<(u16, Encryption, bool)>);

impl Elsewhere {
    pub fn answers(&self) -> bool {
        self.0.iter().any(|(_, _, answers)| *answers)
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (port, encryption, answers)) in self.0.iter().enumerate() {
            let answer = if *answers { "takes connections" } else { "takes none either" };
            let encryption = if *encryption == Encryption::Tls { "tls" } else { "starttls" };
            write!(f, "{}port {port} ({encryption}) {answer}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Whether the machine was there and took no connection.
pub(super) fn nothing_listens(broken: Option<(Rung, Duration)>, fault: &MailboxFault) -> bool {
    let refused = |error: &NetError| matches!(error, NetError::Connect { why, .. } if why.contains("refused"));
    matches!(broken, Some((Rung::Tcp, _))) && matches!(&fault.kind, FaultKind::Net(error) if refused(error))
}

/// Tries the protocol's usual ports at the same host, by the same reach policy. Graph has one port alone.
pub(super) async fn look_elsewhere(account: &Account, fault: MailboxFault, reach: &Reach, deadline: Instant) -> Fault {
    let usual = match account.protocol {
        Protocol::Imap => [(993, Encryption::Tls), (143, Encryption::Starttls)],
        Protocol::Pop3 => [(995, Encryption::Tls), (110, Encryption::Starttls)],
        Protocol::Graph => return Fault::Mailbox(fault),
    };
    let server = &account.server;
    let mut tried = vec![];
    for (port, encryption) in usual.into_iter().filter(|(port, _)| *port != server.port) {
        let connected = async {
            let addresses = net::resolve(&server.host, port, reach).await?;
            net::connect_to(&server.host, port, &addresses).await
        };
        let end = deadline.min(Instant::now() + PATIENCE);
        let answers = matches!(timeout_at(end, connected).await, Ok(Ok(_)));
        tried.push((port, encryption, answers));
    }
    Fault::NothingListens { fault, elsewhere: Elsewhere(tried) }
}
