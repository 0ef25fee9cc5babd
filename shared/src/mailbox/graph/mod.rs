//! A mailbox of Exchange Online by Microsoft Graph v1.0: listed by delta queries, read as MIME, which is the message that
//! IMAP gives out. Always by the mailbox's own address: `/me` would be whoever signed in. Every id is asked for as an
//! immutable one (Microsoft, "Obtain immutable identifiers for Outlook resources"): it outlives being moved.

mod client;
mod delta;
mod engine;
mod folder;

use self::client::{Client, Refusal};
use self::delta::Reading;
use super::{FaultKind, Login, MailboxFault};
use crate::account::{Encryption, Server};
use crate::net::{Http, Reach, Tls};
use std::collections::HashMap;
use tokio::time::Instant;

/// A mailbox that Graph has opened.
pub struct Graph {
    client: Client,
    /// Ids of folders by their names.
    folders: HashMap<String, String>,
    /// The folder that is selected.
    reading: Option<Reading>,
}

/// What every mailbox has, and what says best whether a token opens it.
const INBOX: &str = "inbox";

impl Graph {
    /// Asks for the inbox, which shows whether the token is good and opens this mailbox.
    pub async fn open(
        server: &Server,
        login: &Login,
        reach: &Reach,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Self, MailboxFault> {
        let Login::XOAuth2 { mailbox, token } = login else {
            return Err(FaultKind::NoMechanism("passwords: Graph takes access tokens alone").into());
        };
        if server.encryption != Encryption::Tls {
            return Err(FaultKind::ClearText("an access token never travels in clear").into());
        }
        if matches!(mailbox.as_str(), "." | "..") {
            return Err(FaultKind::Unsendable("the mailbox").into());
        }
        let client = Client::new(Http::new(reach, tls)?, server, mailbox, token, deadline)?;
        let mut graph = Self { client, folders: HashMap::new(), reading: None };
        graph.folder_by_known_name(INBOX).await?.map_err(|refusal| refused_mailbox(&graph.client, refusal))?;
        graph.client.opened = true;
        Ok(graph)
    }
}

/// What a refusal of the inbox means.
fn refused_mailbox(client: &Client, refusal: Refusal) -> MailboxFault {
    let kind = match refusal.status {
        403 => FaultKind::NotPermitted,
        404 => FaultKind::NoMailbox,
        _ => return client.fault(refusal, "to open the mailbox"),
    };
    MailboxFault { kind, said: refusal.said, retry_after: None }
}
