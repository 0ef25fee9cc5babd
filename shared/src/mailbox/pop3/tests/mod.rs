//! Sessions with a scripted server in memory: what Dovecot would never do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod hostile;
mod logins;
mod sessions;

use super::super::Listed;
use super::super::opening::{Line as _, open_over};
use super::super::sasl::Credential;
use super::super::script::Script;
use super::*;
use crate::account::{AfterReading, Encryption, Since};
use crate::cursor::{Position, Reference};
use jiff::Timestamp;

const GREETING: &str = "+OK ready\r\n";
const CAPA: (&str, &str) =
    ("CAPA\r\n", "+OK\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nUSER\r\nSASL PLAIN XOAUTH2\r\n.\r\n");
const LOGIN: (&str, &str) = ("AUTH PLAIN AGEAYg==\r\n", "+OK Logged in.\r\n");

fn password() -> Login {
    Login::Password { user: "a".into(), password: Secret::from("b".to_owned()) }
}

fn token(length: usize) -> Login {
    Login::XOAuth2 { mailbox: "a@example.com".into(), token: Secret::from("t".repeat(length)) }
}

fn server(encryption: Encryption) -> Server {
    Server { host: "mail.example.com".into(), port: 110, encryption }
}

/// Logs in over the script as if TLS stood beneath it.
async fn open_as(script: Script, login: &Login, time: Duration) -> Result<Pop3, MailboxFault> {
    let server = server(Encryption::None);
    let wire = Wire::new(Box::new(script), &server.host, 0, Instant::now() + time);
    let credential = Credential::of(login).unwrap();
    let mut line = Line::over(wire, credential.secrets.clone());
    line.greet(Encryption::Tls).await?;
    line.log_in(&credential).await
}

async fn open(steps: &[(&str, &str)]) -> Pop3 {
    let steps = [&[CAPA, LOGIN], steps].concat();
    open_as(Script::new(GREETING, &steps), &password(), Duration::from_secs(60)).await.unwrap()
}

async fn list(pop3: &mut Pop3, from: Option<&Position>, since: Since) -> Result<Vec<Listed>, MailboxFault> {
    pop3.select("inbox").await?;
    pop3.list(from, since, "2026-11-20T12:00:00Z".parse::<Timestamp>().unwrap()).await
}

fn names(listed: &[Listed]) -> Vec<String> {
    listed.iter().map(|message| message.reference.to_string()).collect()
}

type Came = Vec<(String, String, bool)>;

async fn fetch(pop3: &mut Pop3, wanted: &[Listed]) -> Result<(Came, Vec<(String, Option<String>)>), MailboxFault> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let missed = pop3.fetch(wanted, sender).await?;
    let mut came = vec![];
    while let Some(message) = receiver.recv().await {
        came.push((message.reference.to_string(), String::from_utf8(message.bytes).unwrap(), message.cut));
    }
    Ok((came, missed.into_iter().map(|missed| (missed.reference.to_string(), missed.refused)).collect()))
}
