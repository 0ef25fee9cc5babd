//! A server that takes mail (RFC 5321, RFC 6409), opened as IMAP and POP3 are: for what is forwarded, and nothing else. One
//! message at a time, from nobody (`MAIL FROM:<>`), to one address.

#[cfg(test)]
mod tests;

use super::fault::{Asked, classify, clean};
use super::opening::{self, Line as _, Rung, Trail};
use super::sasl::{self, Credential};
use super::wire::Wire;
use super::{FaultKind, Login, MailboxFault};
use crate::account::{Encryption, Server};
use crate::limits;
use crate::net::{Reach, Tls};
use crate::secret::{ExposeSecret, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use tokio::time::Instant;

/// Who we say we are: an address literal, since a client of a network has seldom a name of its own (RFC 5321 §4.1.3).
const HELLO: &str = "EHLO [127.0.0.1]";
/// A command line that carries a first message (RFC 4954 §4).
const AUTH_LINE_BYTES: usize = 12_288;
/// Time for QUIT.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server that takes mail.
pub struct Submission {
    line: Line,
    capabilities: Capabilities,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The server answers for it from now on.
    Taken,
    /// The server will not have this message, now or later.
    Refused(String),
}

/// A message that was not sent, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Why.
    pub fault: MailboxFault,
    /// The whole of it was handed over, and no answer came: it may have been taken.
    pub perhaps_taken: bool,
}

#[derive(Debug, Clone, Default)]
struct Capabilities(Vec<String>);

impl Capabilities {
    fn arguments(&self, name: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
        self.0.iter().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(name)).then_some(words)
        })
    }

    fn has_mechanism(&self, name: &str) -> bool {
        self.arguments("AUTH").is_some_and(|mut mechanisms| mechanisms.any(|mechanism| mechanism == name))
    }
}

struct Reply {
    code: u16,
    /// The lines' texts, joined by a line feed.
    text: Vec<u8>,
}

impl Reply {
    fn is_ok(&self) -> bool {
        self.code / 100 == 2
    }

    fn is_final(&self) -> bool {
        self.code / 100 == 5
    }
}

struct Line {
    wire: Wire,
    capabilities: Option<Capabilities>,
    secrets: Vec<Secret>,
}

impl Line {
    /// One line without its end.
    async fn line(&mut self) -> Result<Vec<u8>, MailboxFault> {
        let mut line = vec![];
        loop {
            let bytes = self.wire.peek().await?;
            let end = memchr::memchr(b'\n', bytes);
            let taken = end.map_or(bytes.len(), |end| end + 1);
            line.extend_from_slice(&bytes[..taken]);
            self.wire.take(taken);
            if line.len() > limits::SERVER_LINE_BYTES {
                return Err(FaultKind::Limit("a line longer than we read").into());
            }
            if end.is_some() {
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
        }
    }

    /// The next reply, all its lines (RFC 5321 §4.2.1).
    async fn next(&mut self) -> Result<Reply, MailboxFault> {
        let mut text = vec![];
        for number in 0..limits::SMTP_REPLY_LINES {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
            let more = match line.get(3) {
                Some(b'-') => true,
                Some(b' ') | None => false,
                Some(_) => return Err(self.no_smtp(&line)),
            };
            let Some(code) = code.filter(|code| (200..600).contains(code)) else { return Err(self.no_smtp(&line)) };
            if number > 0 {
                text.push(b'\n');
            }
            text.extend_from_slice(line.get(4..).unwrap_or_default());
            if !more {
                return Ok(Reply { code, text });
            }
        }
        Err(FaultKind::Limit("an answer of more lines than we read").into())
    }

    fn no_smtp(&self, line: &[u8]) -> MailboxFault {
        let said = Some(clean(line, &self.secrets));
        MailboxFault { said, ..FaultKind::Protocol("what answered takes no mail by SMTP").into() }
    }

    async fn ask(&mut self, command: &str) -> Result<Reply, MailboxFault> {
        self.wire.write(format!("{command}\r\n").as_bytes()).await?;
        self.next().await
    }

    fn fault(&self, asked: Asked<'_>, reply: &Reply) -> MailboxFault {
        let said = clean(format!("{} {}", reply.code, String::from_utf8_lossy(&reply.text)).as_bytes(), &self.secrets);
        let fault = classify(asked, false, b"", &reply.text, said);
        match reply.is_final() {
            false if !fault.is_passing() => MailboxFault { kind: FaultKind::Unavailable, ..fault },
            _ => fault,
        }
    }

    async fn capabilities(&mut self) -> Result<Capabilities, MailboxFault> {
        if let Some(known) = &self.capabilities {
            return Ok(known.clone());
        }
        let reply = self.ask(HELLO).await?;
        if !reply.is_ok() {
            return Err(self.fault(Asked::Command("EHLO"), &reply));
        }
        let text = String::from_utf8_lossy(&reply.text).to_ascii_uppercase();
        // The first line is the server's name.
        let lines = text.lines().skip(1).map(|line| line.trim().to_owned()).collect();
        Ok(self.capabilities.insert(Capabilities(lines)).clone())
    }
}

impl opening::Line for Line {
    type Opened = Submission;
    const LITERAL_BYTES: usize = 0;

    fn over(wire: Wire, secrets: Vec<Secret>) -> Self {
        Self { wire, capabilities: None, secrets }
    }

    async fn greet(&mut self, _: Encryption) -> Result<String, MailboxFault> {
        let greeting = self.next().await?;
        match greeting.is_ok() {
            true => Ok(clean(&greeting.text, &self.secrets)),
            false => Err(self.fault(Asked::Command("the connection"), &greeting)),
        }
    }

    async fn capable(&mut self) -> Result<String, MailboxFault> {
        Ok(clean(self.capabilities().await?.0.join(", ").as_bytes(), &self.secrets))
    }

    /// STARTTLS (RFC 3207).
    async fn start_tls(&mut self) -> Result<(), MailboxFault> {
        if self.capabilities().await?.arguments("STARTTLS").is_none() {
            return Err(FaultKind::Downgrade("the server does not offer STARTTLS").into());
        }
        let reply = self.ask("STARTTLS").await?;
        match self.fault(Asked::Command("STARTTLS"), &reply) {
            _ if reply.is_ok() => Ok(()),
            fault if reply.is_final() => {
                Err(MailboxFault { kind: FaultKind::Downgrade("the server refuses STARTTLS"), ..fault })
            }
            fault => Err(fault),
        }
    }

    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn renew(&mut self, wire: Wire) {
        (self.wire, self.capabilities) = (wire, None);
    }

    /// AUTH (RFC 4954): XOAUTH2 for a token; PLAIN for a password, or LOGIN, which is all that Exchange has.
    async fn log_in(mut self, credential: &Credential<'_>) -> Result<Submission, MailboxFault> {
        self.secrets.clone_from(&credential.secrets);
        let capabilities = self.capabilities().await?;
        let mechanism = sasl::mechanism(credential.login);
        let mut reply = match credential.login {
            _ if capabilities.has_mechanism(mechanism) => {
                let message = credential.first_message.expose_secret();
                let whole = format!("AUTH {mechanism} {message}");
                match whole.len() + 2 <= AUTH_LINE_BYTES {
                    true => self.ask(&whole).await?,
                    false => match self.ask(&format!("AUTH {mechanism}")).await? {
                        reply if reply.code == 334 => self.ask(message).await?,
                        reply => reply,
                    },
                }
            }
            Login::XOAuth2 { .. } => {
                return Err(FaultKind::NoMechanism("AUTH XOAUTH2, so no token can be used").into());
            }
            Login::Password { user, password } if capabilities.has_mechanism("LOGIN") => {
                let words = [user.as_str(), password.expose_secret()].map(|word| Secret::from(STANDARD.encode(word)));
                self.secrets.extend(words.clone());
                let mut reply = self.ask("AUTH LOGIN").await?;
                for word in &words {
                    if reply.code == 334 {
                        reply = self.ask(word.expose_secret()).await?;
                    }
                }
                reply
            }
            Login::Password { .. } => return Err(FaultKind::NoMechanism("any login by password").into()),
        };
        let mut explained = None;
        if reply.code == 334 {
            // A refused token is explained in base64 JSON; the server waits for an empty line before it says 535.
            explained = sasl::refusal_status(&reply.text);
            reply = self.ask("").await?;
        }
        if !reply.is_ok() {
            return Err(self.fault(Asked::Login, &reply).with_status(explained.as_deref()));
        }
        // What a server can do changes with the login.
        self.capabilities = None;
        Submission::over(self).await
    }
}

/// A server that takes mail, and has said what it says before a login: for who looks at each step.
pub struct Approached {
    near: bool,
    line: Line,
}

impl Approached {
    /// Goes as far as one can without a login. Each step that ends well is on the trail, and the one that did not.
    pub async fn reach(
        server: &Server,
        reach: &Reach,
        tls: &Tls,
        deadline: Instant,
        trail: &mut Trail,
    ) -> Result<Self, MailboxFault> {
        opening::within(deadline, async {
            let (io, near) = opening::connect(server, reach, trail).await?;
            Ok(Self { near, line: opening::approach(io, vec![], server, tls, deadline, trail).await? })
        })
        .await
    }

    /// Logs in, where there is a login. Mail in clear goes to this machine, or to a private address, alone.
    pub async fn log_in(
        self,
        server: &Server,
        login: Option<&Login>,
        deadline: Instant,
    ) -> Result<Submission, MailboxFault> {
        opening::within(deadline, async {
            let Some(login) = login else {
                if server.encryption == Encryption::None && !self.near {
                    return Err(FaultKind::ClearText(
                        "mail travels in clear to this machine or a private address alone",
                    )
                    .into());
                }
                return Submission::over(self.line).await;
            };
            opening::check_clear_text(server.encryption, self.near, login)?;
            self.line.log_in(&Credential::of(login)?).await
        })
        .await
    }
}

impl Submission {
    /// Connects, encrypts as `server` says, and logs in where there is a login, all before `deadline`, which then holds for
    /// whatever follows. The step that does not end well stays on the trail.
    pub async fn open(
        server: &Server,
        login: Option<&Login>,
        reach: &Reach,
        tls: &Tls,
        deadline: Instant,
        trail: &mut Trail,
    ) -> Result<Self, MailboxFault> {
        let approached = Approached::reach(server, reach, tls, deadline, trail).await?;
        trail.start(Rung::Authentication);
        approached.log_in(server, login, deadline).await
    }

    async fn over(mut line: Line) -> Result<Self, MailboxFault> {
        let capabilities = line.capabilities().await?;
        Ok(Self { line, capabilities })
    }

    /// Whether it takes messages with eight bits (RFC 6152).
    pub fn takes_eight_bits(&self) -> bool {
        self.capabilities.arguments("8BITMIME").is_some()
    }

    /// Sends a message whose lines end in CR LF, to an address that was checked. After a fault nothing more can be sent here.
    pub async fn send(&mut self, to: &str, message: &[u8]) -> Result<Sent, Unsent> {
        let not_sent = |fault| Unsent { fault, perhaps_taken: false };
        let size = self.capabilities.arguments("SIZE").map(|mut size| size.next().and_then(|most| most.parse().ok()));
        if let Some(Some(most)) = size
            && most > 0
            && message.len() as u64 > most
        {
            return Ok(Sent::Refused(format!(
                "{} bytes are more than the {most} that the server takes",
                message.len()
            )));
        }
        let mut from = "MAIL FROM:<>".to_owned();
        if size.is_some() {
            from.push_str(&format!(" SIZE={}", message.len()));
        }
        if !message.is_ascii() {
            from.push_str(" BODY=8BITMIME");
        }
        let line = &mut self.line;
        for (command, name) in [(from, "MAIL FROM:<>"), (format!("RCPT TO:<{to}>"), "the address")] {
            let reply = line.ask(&command).await.map_err(not_sent)?;
            if !reply.is_ok() {
                return Err(not_sent(line.fault(Asked::Command(name), &reply)));
            }
        }
        let reply = line.ask("DATA").await.map_err(not_sent)?;
        if reply.code != 354 {
            return Err(not_sent(line.fault(Asked::Command("DATA"), &reply)));
        }
        // Before the last dot the server has nothing (RFC 5321 §4.1.1.4), however the connection ends.
        line.wire.write(&stuffed(message)).await.map_err(not_sent)?;
        let perhaps = |fault| Unsent { fault, perhaps_taken: true };
        line.wire.write(b".\r\n").await.map_err(perhaps)?;
        let reply = line.next().await.map_err(perhaps)?;
        match line.fault(Asked::Command("the message"), &reply) {
            _ if reply.is_ok() => Ok(Sent::Taken),
            fault if reply.is_final() => Ok(Sent::Refused(fault.said.unwrap_or_default())),
            fault => Err(not_sent(fault)),
        }
    }

    /// Says goodbye, and hangs up whatever comes.
    pub async fn close(mut self) {
        self.line.wire.deadline = Instant::now() + FAREWELL;
        let _ = self.line.ask("QUIT").await;
    }
}

/// A message with its dots doubled (RFC 5321 §4.5.2), ended by CR LF.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}
