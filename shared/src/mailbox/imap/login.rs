//! Greeting, STARTTLS, capabilities, login (RFC 9051 §6.1, §6.2).

use super::super::fault::{Asked, clean};
use super::super::sasl;
use super::super::wire::{Io, Wire};
use super::super::{FaultKind, Login, MailboxFault};
use super::answer::{self, Answer, Status};
use super::{Capabilities, Imap, SMALL_LITERAL, command, refusal};
use crate::account::{Encryption, Server};
use crate::net::Tls;
use crate::secret::{ExposeSecret, Secret};
use tokio::time::Instant;

/// A longer command line goes as an answer to a continuation: Dovecot closes the connection at 8 kB.
const INITIAL_RESPONSE_BYTES: usize = 7000;

impl Imap {
    /// Opens over a connection that stands; `here` says that its other end is this machine.
    pub(super) async fn open_over(
        io: Box<dyn Io>,
        here: bool,
        server: &Server,
        login: &Login,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Self, MailboxFault> {
        check_clear_text(server.encryption, here, login)?;
        let first_message = sasl::first_message(login)?;
        let secrets = sasl::secrets(login, &first_message);
        let io: Box<dyn Io> = match server.encryption {
            Encryption::Tls => Box::new(tls.wrap(io, &server.host).await?),
            Encryption::Starttls | Encryption::None => io,
        };
        let mut imap = Self::over(io, server, secrets, deadline);
        imap.greet(server.encryption).await?;
        if server.encryption == Encryption::Starttls {
            imap = imap.start_tls(server, tls).await?;
        }
        imap.log_in(login, &first_message).await?;
        Ok(imap)
    }

    pub(super) async fn greet(&mut self, encryption: Encryption) -> Result<(), MailboxFault> {
        let greeting = answer::parse(self.wire.read().await?).map_err(FaultKind::Protocol)?;
        match greeting {
            Answer::Said { status: Status::Ok, text } => {
                self.capabilities = text.argument("CAPABILITY").map(Capabilities::read);
                Ok(())
            }
            Answer::Said { status: Status::PreAuth, .. } if encryption == Encryption::Starttls => {
                // RFC 9051 §11.1: a PREAUTH in clear is how STARTTLS is taken away.
                Err(FaultKind::Downgrade("the server logged us in before encryption could start").into())
            }
            Answer::Said { status: Status::PreAuth, .. } => {
                Err(FaultKind::Protocol("it logged us in, as somebody, before we said who we are").into())
            }
            Answer::Said { text, .. } => Err(refusal(&self.secrets, Asked::Command("the connection"), true, &text)),
            _ => Err(FaultKind::Protocol("what answered is no IMAP server").into()),
        }
    }

    /// STARTTLS (RFC 9051 §6.2.1), required: nothing heard before it is believed after it.
    async fn start_tls(mut self, server: &Server, tls: &Tls) -> Result<Self, MailboxFault> {
        if !self.capabilities().await?.has("STARTTLS") {
            return Err(FaultKind::Downgrade("the server does not offer STARTTLS").into());
        }
        let tag = self.send("STARTTLS").await?;
        self.finish(tag, Asked::Command("STARTTLS"), |_| Ok(false)).await.map_err(|fault| match fault.kind {
            FaultKind::Refused(_) => {
                MailboxFault { kind: FaultKind::Downgrade("the server refuses STARTTLS"), ..fault }
            }
            _ => fault,
        })?;
        if self.wire.holds_more() {
            return Err(FaultKind::Downgrade("something was slipped in before encryption started").into());
        }
        let deadline = self.wire.deadline;
        let io = tls.wrap(self.wire.into_io(), &server.host).await?;
        let wire = Wire::new(Box::new(io), &server.host, SMALL_LITERAL, deadline);
        Ok(Self { wire, capabilities: None, ..self })
    }

    /// What the server can do, asked when it has not said.
    pub(super) async fn capabilities(&mut self) -> Result<Capabilities, MailboxFault> {
        if let Some(known) = &self.capabilities {
            return Ok(known.clone());
        }
        let mut heard = None;
        let tag = self.send("CAPABILITY").await?;
        let done = self.finish(tag, Asked::Command("CAPABILITY"), |answer| {
            if let Answer::Capability(words) = answer {
                heard = Some(Capabilities::read(words));
            }
            Ok(false)
        });
        done.await?;
        let heard = heard.ok_or(FaultKind::Protocol("it does not say what it can do"))?;
        self.capabilities = Some(heard.clone());
        Ok(heard)
    }

    pub(super) async fn log_in(&mut self, login: &Login, first_message: &Secret) -> Result<(), MailboxFault> {
        let capabilities = self.capabilities().await?;
        // What a server can do changes with the login.
        self.capabilities = None;
        let mechanism = sasl::mechanism(login);
        if capabilities.has(&format!("AUTH={mechanism}")) {
            return self.authenticate(mechanism, first_message, capabilities.has("SASL-IR")).await;
        }
        match login {
            Login::XOAuth2 { .. } => Err(FaultKind::NoMechanism("AUTH=XOAUTH2, so no token can be used").into()),
            Login::Password { .. } if capabilities.has("LOGINDISABLED") => {
                Err(FaultKind::NoMechanism("any login by password").into())
            }
            Login::Password { user, password } => self.log_in_plainly(user, password).await,
        }
    }

    /// AUTHENTICATE (RFC 9051 §6.2.2), the first message at once where SASL-IR (RFC 4959) is offered.
    async fn authenticate(&mut self, mechanism: &str, message: &Secret, at_once: bool) -> Result<(), MailboxFault> {
        let message = message.expose_secret();
        let at_once = at_once && message.len() <= INITIAL_RESPONSE_BYTES;
        let initial = if at_once { format!(" {message}") } else { String::new() };
        let tag = self.send(&format!("AUTHENTICATE {mechanism}{initial}")).await?;
        let (mut sent, mut status) = (at_once, None);
        loop {
            let Some(challenge) = self.login_step(tag).await.map_err(|fault| with_status(fault, status.as_deref()))?
            else {
                return Ok(());
            };
            if !sent {
                sent = true;
                self.round_trips += 1;
                self.wire.write(format!("{message}\r\n").as_bytes()).await?;
            } else if status.is_none() {
                // The reason of a refusal: an empty line is wanted before the tagged NO.
                status = Some(sasl::refusal_status(&challenge).unwrap_or_default());
                self.round_trips += 1;
                self.wire.write(b"\r\n").await?;
            } else {
                return Err(FaultKind::Protocol("the login does not end").into());
            }
        }
    }

    /// LOGIN, for servers without AUTH=PLAIN: quoted where that carries the text, else in literals.
    async fn log_in_plainly(&mut self, user: &str, password: &Secret) -> Result<(), MailboxFault> {
        let mut line = String::from("LOGIN");
        let mut tag = None;
        for text in [user, password.expose_secret()] {
            if command::is_quotable(text) {
                line.push_str(&format!(" {}", command::quoted(text)));
                continue;
            }
            line.push_str(&format!(" {{{}}}", text.len()));
            tag = Some(self.login_line(tag, &line).await?);
            if self.login_step(tag.unwrap_or_default()).await?.is_none() {
                return Err(FaultKind::Protocol("it took a login that was not finished").into());
            }
            line = text.to_owned();
        }
        let tag = self.login_line(tag, &line).await?;
        match self.login_step(tag).await? {
            None => Ok(()),
            Some(_) => Err(FaultKind::Protocol("it asks for more than the command had").into()),
        }
    }

    /// Sends a command's first line, or the next line of the command `tag`.
    async fn login_line(&mut self, tag: Option<u32>, line: &str) -> Result<u32, MailboxFault> {
        let Some(tag) = tag else { return self.send(line).await };
        self.round_trips += 1;
        self.wire.write(format!("{line}\r\n").as_bytes()).await?;
        Ok(tag)
    }

    /// Reads until the login ends well (none) or the server wants more: its challenge.
    async fn login_step(&mut self, tag: u32) -> Result<Option<Vec<u8>>, MailboxFault> {
        let mut challenge = None;
        for _ in 0..100 {
            let answer = answer::parse(self.wire.read().await?).map_err(FaultKind::Protocol)?;
            match answer {
                Answer::Continue(text) => challenge = Some(text.to_vec()),
                Answer::Done { tag: ended, status, text } if ended == tag => {
                    if status != Status::Ok {
                        return Err(refusal(&self.secrets, Asked::Login, false, &text));
                    }
                    self.capabilities =
                        text.argument("CAPABILITY").map(Capabilities::read).or(self.capabilities.take());
                    return Ok(None);
                }
                Answer::Done { .. } => {
                    return Err(FaultKind::Protocol("an answer to a command that was not sent").into());
                }
                Answer::Said { status: Status::Bye, text } => {
                    return Err(refusal(&self.secrets, Asked::Login, true, &text));
                }
                Answer::Capability(words) => self.capabilities = Some(Capabilities::read(words)),
                _ => {}
            }
            if challenge.is_some() {
                return Ok(challenge);
            }
        }
        Err(FaultKind::Limit("more than we listen to").into())
    }
}

/// No token on a connection that is not encrypted; no password but to this machine.
fn check_clear_text(encryption: Encryption, here: bool, login: &Login) -> Result<(), FaultKind> {
    match (encryption, login) {
        (Encryption::Tls | Encryption::Starttls, _) => Ok(()),
        (Encryption::None, Login::XOAuth2 { .. }) => {
            Err(FaultKind::ClearText("an access token never travels in clear"))
        }
        (Encryption::None, Login::Password { .. }) if here => Ok(()),
        (Encryption::None, Login::Password { .. }) => {
            Err(FaultKind::ClearText("a password travels in clear within this machine alone"))
        }
    }
}

fn with_status(fault: MailboxFault, status: Option<&str>) -> MailboxFault {
    let Some(status) = status.filter(|status| !status.is_empty()) else { return fault };
    let words = fault.said.as_deref().unwrap_or_default();
    let said = Some(clean(format!("{words} (status {status})").as_bytes(), &[]));
    MailboxFault { said, ..fault }
}
