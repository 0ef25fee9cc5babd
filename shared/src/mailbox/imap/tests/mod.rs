//! Sessions with a scripted server in memory: what Dovecot would never do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod logins;
mod messages;

use super::super::{Fetched, Missed, Settled, sasl};
use super::login::Opening;
use super::*;
use crate::account::{AfterReading, Encryption};
use crate::cursor::Reference;
use crate::secret::ExposeSecret as _;
use crate::secret::Secret;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What the server has to say, and what it heard.
struct Script {
    /// How each line of the client must begin, behind its tag, and what is answered; `#` stands for the tag.
    steps: VecDeque<(String, Vec<u8>)>,
    out: VecDeque<u8>,
    heard: Arc<Mutex<String>>,
    line: Vec<u8>,
    tag: String,
    /// Said over and over when all else is said.
    forever: &'static [u8],
    /// When all is said: hang up, or keep silent.
    hangs_up: bool,
    /// No read goes across this byte of what is said.
    split_at: usize,
    said: usize,
    /// Time between two bytes.
    pause: Option<Duration>,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl Script {
    fn new(greeting: &str, steps: &[(&str, &str)]) -> Self {
        let steps = steps.iter().map(|(command, reply)| ((*command).to_owned(), reply.as_bytes().to_vec()));
        Self {
            steps: steps.collect(),
            out: greeting.bytes().collect(),
            heard: Arc::default(),
            line: vec![],
            tag: String::new(),
            forever: b"",
            hangs_up: false,
            split_at: usize::MAX,
            said: 0,
            pause: None,
            pausing: None,
        }
    }

    fn hear(&mut self, line: &str) {
        self.heard.lock().unwrap().push_str(line);
        let command = match line.split_once(' ') {
            // Ours before the session, async-imap's within it.
            Some((tag, command)) if tag.starts_with([answer::TAG, 'A']) && tag[1..].parse::<u32>().is_ok() => {
                self.tag = tag.to_owned();
                command
            }
            _ => line,
        };
        let Some((expected, reply)) = self.steps.pop_front() else { return };
        assert!(command.starts_with(&expected), "the client sent {line:?} where {expected:?} was due");
        let reply = String::from_utf8(reply).unwrap().replace("\n#", &format!("\n{}", self.tag));
        self.out.extend(reply.strip_prefix('#').map_or(reply.clone(), |rest| format!("{}{rest}", self.tag)).bytes());
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(pause) = self.pause {
            let pausing = self.pausing.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(pausing.as_mut().poll(cx));
            self.pausing = None;
        }
        if self.out.is_empty() {
            let forever = self.forever;
            while !forever.is_empty() && self.out.len() < 60_000 {
                self.out.extend(forever);
            }
        }
        if self.out.is_empty() {
            return if self.hangs_up { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let until_split = self.split_at.checked_sub(self.said).filter(|left| *left > 0).unwrap_or(usize::MAX);
        let most = if self.pause.is_some() { 1 } else { until_split };
        let count = self.out.len().min(buf.remaining()).min(most);
        let bytes: Vec<u8> = self.out.drain(..count).collect();
        self.said += count;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.line.extend(bytes);
        while let Some(end) = self.line.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.line.drain(..end + 2).collect();
            self.hear(std::str::from_utf8(&line).unwrap());
        }
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

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
    let first = sasl::first_message(login).unwrap();
    let secrets = sasl::secrets(login, &first);
    let mut opening = Opening::over(Box::new(script), &server(Encryption::Tls), secrets, Instant::now() + time);
    opening.greet(Encryption::Tls).await?;
    opening.log_in(login, &first).await
}

async fn open(steps: &[(&str, &str)]) -> Imap {
    let steps = [&[LOGIN_OK, SELECT_OK], steps].concat();
    let mut imap = open_as(Script::new(GREETING, &steps), &password(), Duration::from_secs(60)).await.unwrap();
    imap.select("INBOX").await.unwrap();
    imap
}

fn listed(uids: &[u32]) -> Vec<Listed> {
    uids.iter().map(|&uid| Listed { uid, size: 3, arrival: None }).collect()
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
