//! Sessions with a scripted server in memory: what Dovecot would never do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod logins;
mod messages;

use super::super::opening::{Line as _, open_over};
use super::super::sasl::Credential;
use super::super::script::Script;
use super::super::wire::Wire;
use super::super::{Fetched, Missed, Settled};
use super::*;
use crate::account::{AfterReading, Encryption, Since};
use crate::cursor::Reference;
use crate::secret::ExposeSecret as _;
use crate::secret::Secret;

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2] hello\r\n";
const LOGIN_OK: (&str, &str) = ("AUTHENTICATE PLAIN AGEAYg==", "# OK [CAPABILITY IMAP4rev1 MOVE UIDPLUS] welcome\r\n");
const SELECT_OK: (&str, &str) = (
    "SELECT \"INBOX\"",
    "* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 12] x\r\n# OK [READ-WRITE] x\r\n",
);

fn password() -> Login {
    Login::Password { user: "a".into(), password: Secret::from("b".to_owned()) }
}
fn token() -> Login {
    Login::XOAuth2 { mailbox: "a@example.com".into(), token: Secret::from("tokentoken".to_owned()) }
}

fn server(encryption: Encryption) -> Server {
    Server { host: "mail.example.com".into(), port: 143, encryption }
}

/// Logs in over the script as if TLS stood beneath it.
async fn open_as(script: Script, login: &Login, time: Duration) -> Result<Imap, MailboxFault> {
    let credential = Credential::of(login).unwrap();
    let wire = Wire::new(Box::new(script), "mail.example.com", SMALL_LITERAL, Instant::now() + time);
    let mut opening = Opening::over(wire, credential.secrets.clone());
    opening.greet(Encryption::Tls).await?;
    opening.log_in(&credential).await
}

async fn open(steps: &[(&str, &str)]) -> Imap {
    let steps = [&[LOGIN_OK, SELECT_OK], steps].concat();
    let mut imap = open_as(Script::new(GREETING, &steps), &password(), Duration::from_secs(60)).await.unwrap();
    imap.select("INBOX").await.unwrap();
    imap
}

fn listed(uids: &[u32]) -> Vec<Listed> {
    uids.iter().map(|&uid| Listed { uid, sequence: uid, size: 3, arrival: None }).collect()
}

async fn fetch(imap: &mut Imap, uids: &[u32]) -> (Vec<(u32, String)>, Result<Vec<Missed>, MailboxFault>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let missed = imap.fetch(&listed(uids), 1000, sender).await;
    let mut came = vec![];
    while let Some(message) = receiver.recv().await {
        let Reference::Uid(uid) = message.reference else { panic!("{:?}", message.reference) };
        came.push((uid, String::from_utf8(message.bytes).unwrap()));
    }
    (came, missed)
}
