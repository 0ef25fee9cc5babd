//! Greeting, CAPA, STLS, login.

use super::super::opening;
use super::super::sasl::{self, Credential};
use super::super::wire::Wire;
use super::*;
use crate::account::Encryption;
use crate::secret::ExposeSecret;

/// A command line with its CR LF (RFC 5034 §4): a longer first message goes as a line of its own.
const LINE_BYTES: usize = 255;
/// How Exchange greets, Online and on premises.
const EXCHANGE: &[u8] = b"Microsoft Exchange";
const CAPA: Form = Form::Body { keep: limits::SERVER_LINE_BYTES };

impl opening::Line for Line {
    type Opened = Pop3;
    const LITERAL_BYTES: usize = 0;

    fn over(wire: Wire, secrets: Vec<Secret>) -> Self {
        Self { wire, machine: Machine::new(), capabilities: None, exchange: false, secrets, round_trips: 0 }
    }

    async fn greet(&mut self, _: Encryption) -> Result<String, MailboxFault> {
        self.machine.expect(Form::Line);
        let greeting = match self.next().await {
            Err(MailboxFault { kind: FaultKind::Protocol(_), .. }) => {
                let said = clean(self.wire.peek().await?, &self.secrets);
                let kind = FaultKind::Protocol("what answered is no POP3 server");
                return Err(MailboxFault { said: Some(said), ..kind.into() });
            }
            greeting => greeting?,
        };
        let greeting = self.expect_ok(greeting, Asked::Command("the connection"))?.text;
        self.exchange = memchr::memmem::find(&greeting, EXCHANGE).is_some();
        Ok(clean(&greeting, &self.secrets))
    }

    async fn capable(&mut self) -> Result<String, MailboxFault> {
        Ok(clean(self.capabilities().await?.0.join(", ").as_bytes(), &self.secrets))
    }

    /// STLS (RFC 2595 §4).
    async fn start_tls(&mut self) -> Result<(), MailboxFault> {
        if !self.capabilities().await?.has("STLS") {
            return Err(FaultKind::Downgrade("the server does not offer STLS").into());
        }
        self.run("STLS", Form::Line).await.map(|_| ()).map_err(|fault| match fault.kind {
            FaultKind::Refused(_) => MailboxFault { kind: FaultKind::Downgrade("the server refuses STLS"), ..fault },
            _ => fault,
        })
    }

    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn renew(&mut self, wire: Wire) {
        (self.wire, self.machine, self.capabilities) = (wire, Machine::new(), None);
    }

    async fn log_in(mut self, credential: &Credential<'_>) -> Result<Pop3, MailboxFault> {
        self.secrets.clone_from(&credential.secrets);
        let login = credential.login;
        let capabilities = self.capabilities().await?;
        let mechanism = sasl::mechanism(login);
        if capabilities.has_mechanism(mechanism) {
            // Exchange refuses the first message on the command's own line, and offers no pipelining.
            let one_line = !self.exchange && capabilities.has("PIPELINING");
            authenticate(&mut self, mechanism, &credential.first_message, one_line).await?;
        } else {
            match login {
                Login::XOAuth2 { .. } => {
                    return Err(FaultKind::NoMechanism("SASL XOAUTH2, so no token can be used").into());
                }
                // RFC 2449 §6.3: without USER among them it does not take the command; without CAPA nobody knows.
                Login::Password { .. } if !capabilities.0.is_empty() && !capabilities.has("USER") => {
                    return Err(FaultKind::NoMechanism("any login by password").into());
                }
                Login::Password { user, password } => log_in_plainly(&mut self, user, password).await?,
            }
        }
        Ok(Pop3 { line: self, capabilities, messages: None, reading: engine::Reading::default() })
    }
}

impl Line {
    /// What the server can do (RFC 2449 §5), asked when it has not said; nothing is known of one that has no CAPA.
    async fn capabilities(&mut self) -> Result<Capabilities, MailboxFault> {
        if let Some(known) = &self.capabilities {
            return Ok(known.clone());
        }
        let reply = self.ask("CAPA", CAPA).await?;
        let capabilities = match reply.status {
            Status::Err => match self.refusal(Asked::Command("CAPA"), &reply) {
                fault if fault.is_passing() => return Err(fault),
                _ => Capabilities::default(),
            },
            _ => Capabilities::read(&self.expect_ok(reply, Asked::Command("CAPA"))?.body),
        };
        Ok(self.capabilities.insert(capabilities).clone())
    }
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
