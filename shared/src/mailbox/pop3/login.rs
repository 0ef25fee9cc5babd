//! Greeting, CAPA, STLS, login.

use super::super::wire::{Io, Wire};
use super::super::{check_clear_text, sasl};
use super::*;
use crate::account::Encryption;
use crate::secret::ExposeSecret;

/// A command line with its CR LF (RFC 5034 §4): a longer first message goes as a line of its own.
const LINE_BYTES: usize = 255;
/// How Exchange greets, Online and on premises.
const EXCHANGE: &[u8] = b"Microsoft Exchange";
const CAPA: Form = Form::Body { keep: limits::SERVER_LINE_BYTES };

impl Pop3 {
    /// Opens over a connection that stands; `near` says that its other end is this machine or a private address.
    pub(super) async fn open_over(
        io: Box<dyn Io>,
        near: bool,
        server: &Server,
        login: &Login,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Self, MailboxFault> {
        check_clear_text(server.encryption, near, login)?;
        let first_message = sasl::first_message(login)?;
        let secrets = sasl::secrets(login, &first_message);
        let io: Box<dyn Io> = match server.encryption {
            Encryption::Tls => Box::new(tls.wrap(io, &server.host).await?),
            Encryption::Starttls | Encryption::None => io,
        };
        let mut line = Line::over(Wire::new(io, &server.host, 0, deadline), secrets);
        let greeting = greet(&mut line).await?;
        if server.encryption == Encryption::Starttls {
            line = start_tls(line, server, tls).await?;
        }
        Self::log_in(line, &greeting, login, &first_message).await
    }

    /// Logs in on a connection that is as safe as it will be.
    pub(super) async fn log_in(
        mut line: Line,
        greeting: &[u8],
        login: &Login,
        first_message: &Secret,
    ) -> Result<Self, MailboxFault> {
        let capabilities = capabilities(&mut line).await?;
        let mechanism = sasl::mechanism(login);
        if capabilities.has_mechanism(mechanism) {
            // Exchange refuses the first message on the command's own line, and offers no pipelining.
            let exchange = memchr::memmem::find(greeting, EXCHANGE).is_some();
            let one_line = !exchange && capabilities.has("PIPELINING");
            authenticate(&mut line, mechanism, first_message, one_line).await?;
        } else {
            match login {
                Login::XOAuth2 { .. } => {
                    return Err(FaultKind::NoMechanism("SASL XOAUTH2, so no token can be used").into());
                }
                // RFC 2449 §6.3: without USER among them it does not take the command; without CAPA nobody knows.
                Login::Password { .. } if !capabilities.0.is_empty() && !capabilities.has("USER") => {
                    return Err(FaultKind::NoMechanism("any login by password").into());
                }
                Login::Password { user, password } => log_in_plainly(&mut line, user, password).await?,
            }
        }
        Ok(Self { line, capabilities, messages: None, reading: engine::Reading::default() })
    }
}

/// The greeting's words.
pub(super) async fn greet(line: &mut Line) -> Result<Vec<u8>, MailboxFault> {
    line.machine.expect(Form::Line);
    let greeting = line.next().await.map_err(|fault| match fault.kind {
        FaultKind::Protocol(_) => FaultKind::Protocol("what answered is no POP3 server").into(),
        _ => fault,
    })?;
    Ok(line.expect_ok(greeting, Asked::Command("the connection"))?.text)
}

/// What the server can do (RFC 2449 §5); nothing is known of one that has no CAPA.
async fn capabilities(line: &mut Line) -> Result<Capabilities, MailboxFault> {
    let reply = line.ask("CAPA", CAPA).await?;
    match reply.status {
        Status::Err => match line.refusal(Asked::Command("CAPA"), &reply) {
            fault if fault.is_passing() => Err(fault),
            _ => Ok(Capabilities::default()),
        },
        _ => Ok(Capabilities::read(&line.expect_ok(reply, Asked::Command("CAPA"))?.body)),
    }
}

/// STLS (RFC 2595 §4), required: nothing heard before it is believed after it.
async fn start_tls(line: Line, server: &Server, tls: &Tls) -> Result<Line, MailboxFault> {
    let Line { wire, secrets, round_trips, .. } = before_tls(line).await?;
    let deadline = wire.deadline;
    let io = tls.wrap(wire.into_io(), &server.host).await?;
    let line = Line::over(Wire::new(Box::new(io), &server.host, 0, deadline), secrets);
    Ok(Line { round_trips, ..line })
}

/// Asks the server to start TLS.
pub(super) async fn before_tls(mut line: Line) -> Result<Line, MailboxFault> {
    if !capabilities(&mut line).await?.has("STLS") {
        return Err(FaultKind::Downgrade("the server does not offer STLS").into());
    }
    line.run("STLS", Form::Line).await.map_err(|fault| match fault.kind {
        FaultKind::Refused(_) => MailboxFault { kind: FaultKind::Downgrade("the server refuses STLS"), ..fault },
        _ => fault,
    })?;
    if line.wire.holds_more() {
        return Err(FaultKind::Downgrade("something was slipped in before encryption started").into());
    }
    Ok(line)
}

/// AUTH (RFC 5034 §4): the first message on the same line where that may be and fits, else when the server asks for it.
async fn authenticate(
    line: &mut Line,
    mechanism: &str,
    first_message: &Secret,
    one_line: bool,
) -> Result<(), MailboxFault> {
    let first_message = first_message.expose_secret();
    let whole = format!("AUTH {mechanism} {first_message}");
    let mut reply = if one_line && whole.len() + 2 <= LINE_BYTES {
        line.ask(&whole, Form::Line).await?
    } else {
        let asked = line.ask(&format!("AUTH {mechanism}"), Form::Line).await?;
        match asked.status {
            Status::Continue => line.ask(first_message, Form::Line).await?,
            Status::Ok => return Err(FaultKind::Protocol("it took a login that was not finished").into()),
            Status::Err => asked,
        }
    };
    let mut explained = None;
    if reply.status == Status::Continue {
        // A refused token is explained in base64 JSON, and the server waits for an empty line before it says -ERR.
        explained = sasl::refusal_status(&reply.text);
        reply = line.ask("", Form::Line).await?;
    }
    line.expect_ok(reply, Asked::Login).map(|_| ()).map_err(|fault| fault.with_status(explained.as_deref()))
}

/// USER and PASS (RFC 1939 §7): the rest of the line is the word, spaces and all.
async fn log_in_plainly(line: &mut Line, user: &str, password: &Secret) -> Result<(), MailboxFault> {
    let user = line.ask(&format!("USER {user}"), Form::Line).await?;
    line.expect_ok(user, Asked::Login)?;
    let password = line.ask(&format!("PASS {}", password.expose_secret()), Form::Line).await?;
    line.expect_ok(password, Asked::Login).map(|_| ())
}
