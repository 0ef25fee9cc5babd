//! Greeting, STARTTLS, capabilities, login (RFC 9051 §6.1, §6.2).

use super::super::fault::{Asked, clean};
use super::super::opening::Line;
use super::super::sasl::{self, Credential};
use super::super::wire::Wire;
use super::super::{FaultKind, Login, MailboxFault};
use super::answer::{self, Answer, Status, Text};
use super::stream::{LoginWatch, Stream};
use super::{Capabilities, Imap, SMALL_LITERAL, command, ends, refusal};
use crate::account::Encryption;
use crate::limits;
use crate::secret::{ExposeSecret, Secret};
use async_imap::{Authenticator, Client, Session};

/// A longer command line goes as an answer to a continuation: Dovecot closes the connection at 8 kB.
const INITIAL_RESPONSE_BYTES: usize = 7000;
const WANTS_MORE: &str = "it asks for more than the command had";

/// A connection on its way to a session. What is said on it, we read line by line ourselves.
pub struct Opening {
    wire: Wire,
    /// What the server can do; none when it has not said so since the start of TLS.
    capabilities: Option<Capabilities>,
    last_tag: u32,
    /// What must not be shown.
    secrets: Vec<Secret>,
    round_trips: u32,
}

impl Line for Opening {
    type Opened = Imap;
    const LITERAL_BYTES: usize = SMALL_LITERAL;

    fn over(wire: Wire, secrets: Vec<Secret>) -> Self {
        Self { wire, capabilities: None, last_tag: 0, secrets, round_trips: 0 }
    }

    async fn greet(&mut self, encryption: Encryption) -> Result<String, MailboxFault> {
        let line = self.wire.read().await?;
        let no_greeting =
            |kind| MailboxFault { said: Some(clean(line, &self.secrets)), ..FaultKind::Protocol(kind).into() };
        match answer::line(line).map_err(no_greeting)? {
            Answer::Said { status: Status::Ok, text } => {
                self.capabilities = text.argument("CAPABILITY").map(Capabilities::read);
                Ok(clean(&text.words, &self.secrets))
            }
            Answer::Said { status: Status::PreAuth, .. } if encryption == Encryption::Starttls => {
                // RFC 9051 §11.1: a PREAUTH in clear is how STARTTLS is taken away.
                Err(FaultKind::Downgrade("the server logged us in before encryption could start").into())
            }
            Answer::Said { status: Status::PreAuth, .. } => {
                Err(FaultKind::Protocol("it logged us in, as somebody, before we said who we are").into())
            }
            Answer::Said { text, .. } => Err(refusal(&self.secrets, Asked::Command("the connection"), true, &text)),
            _ => Err(no_greeting("what answered is no IMAP server")),
        }
    }

    async fn capable(&mut self) -> Result<String, MailboxFault> {
        Ok(clean(self.capabilities().await?.0.join(" ").as_bytes(), &self.secrets))
    }

    /// STARTTLS (RFC 9051 §6.2.1).
    async fn start_tls(&mut self) -> Result<(), MailboxFault> {
        if !self.capabilities().await?.has("STARTTLS") {
            return Err(FaultKind::Downgrade("the server does not offer STARTTLS").into());
        }
        self.run("STARTTLS").await.map_err(|fault| match fault.kind {
            FaultKind::Refused(_) => {
                MailboxFault { kind: FaultKind::Downgrade("the server refuses STARTTLS"), ..fault }
            }
            _ => fault,
        })
    }

    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn renew(&mut self, wire: Wire) {
        (self.wire, self.capabilities) = (wire, None);
    }

    async fn log_in(mut self, credential: &Credential<'_>) -> Result<Imap, MailboxFault> {
        self.secrets.clone_from(&credential.secrets);
        let (login, first_message) = (credential.login, &credential.first_message);
        let capabilities = self.capabilities().await?;
        // What a server can do changes with the login.
        self.capabilities = None;
        let mechanism = sasl::mechanism(login);
        if capabilities.has(&format!("AUTH={mechanism}")) {
            let fits = first_message.expose_secret().len() <= INITIAL_RESPONSE_BYTES;
            return self.authenticate(login, first_message, fits && capabilities.has("SASL-IR")).await;
        }
        match login {
            Login::XOAuth2 { .. } => Err(FaultKind::NoMechanism("AUTH=XOAUTH2, so no token can be used").into()),
            Login::Password { .. } if capabilities.has("LOGINDISABLED") => {
                Err(FaultKind::NoMechanism("any login by password").into())
            }
            Login::Password { user, password } => {
                let password = password.expose_secret();
                match command::is_quotable(user) && command::is_quotable(password) {
                    true => self.log_in_plainly(user, password).await,
                    false => self.log_in_by_literals(user, password).await,
                }
            }
        }
    }
}

impl Opening {
    /// What the server can do, asked when it has not said.
    async fn capabilities(&mut self) -> Result<Capabilities, MailboxFault> {
        if self.capabilities.is_none() {
            self.run("CAPABILITY").await?;
        }
        self.capabilities.clone().ok_or(FaultKind::Protocol("it does not say what it can do").into())
    }

    /// Runs a command that must end well.
    async fn run(&mut self, command: &'static str) -> Result<(), MailboxFault> {
        let tag = self.send(command).await?;
        match self.step(&tag, Asked::Command(command)).await? {
            true => Ok(()),
            false => Err(FaultKind::Protocol(WANTS_MORE).into()),
        }
    }

    /// Reads until the command `tag` ends well, or the server wants its next line: whether it ended.
    async fn step(&mut self, tag: &[u8], asked: Asked<'_>) -> Result<bool, MailboxFault> {
        for _ in 0..limits::SERVER_UNTAGGED {
            let answer = answer::line(self.wire.read().await?).map_err(FaultKind::Protocol)?;
            if let Answer::Continue(_) = answer {
                return Ok(false);
            }
            let ended = ends(&answer, tag, asked, &self.secrets)?;
            match &answer {
                Answer::Capability(words) => self.capabilities = Some(Capabilities::read(words)),
                Answer::Done { text, .. } => note_capabilities(&mut self.capabilities, text),
                _ => {}
            }
            if ended {
                return Ok(true);
            }
        }
        Err(FaultKind::Limit("more than we listen to").into())
    }

    /// Sends a command and returns its tag.
    async fn send(&mut self, text: &str) -> Result<Vec<u8>, MailboxFault> {
        self.last_tag += 1;
        let tag = format!("{}{}", answer::TAG, self.last_tag);
        self.send_line(&format!("{tag} {text}")).await?;
        Ok(tag.into_bytes())
    }

    async fn send_line(&mut self, line: &str) -> Result<(), MailboxFault> {
        self.round_trips += 1;
        self.wire.write(format!("{line}\r\n").as_bytes()).await
    }

    /// AUTHENTICATE (RFC 9051 §6.2.2), the first message at once where SASL-IR (RFC 4959) is offered.
    async fn authenticate(self, login: &Login, first: &Secret, at_once: bool) -> Result<Imap, MailboxFault> {
        let mechanism = sasl::mechanism(login);
        let (command, message) = match at_once {
            true => (format!("{mechanism} {}", first.expose_secret()), None),
            false => (mechanism.to_owned(), Some(sasl::message(login)?)),
        };
        let watch = LoginWatch::new(1 + usize::from(!at_once), "the login does not end");
        let client = Client::new(Stream::new(self.wire, watch));
        enter(client.authenticate(command, Says(message)).await, self.secrets, self.round_trips)
    }

    /// LOGIN, for servers without AUTH=PLAIN, where quotes carry both texts.
    async fn log_in_plainly(self, user: &str, password: &str) -> Result<Imap, MailboxFault> {
        let client = Client::new(Stream::new(self.wire, LoginWatch::new(0, WANTS_MORE)));
        enter(client.login(user, password).await, self.secrets, self.round_trips)
    }

    /// LOGIN with a text that must be a literal with servers that know only RFC 3501. async-imap's cannot send one,
    /// and nothing else of it leads to a session: so it is sent from here, and the session begins over it.
    async fn log_in_by_literals(mut self, user: &str, password: &str) -> Result<Imap, MailboxFault> {
        let mut line = String::from("LOGIN");
        let mut tag = None;
        for text in [user, password] {
            if command::is_quotable(text) {
                line.push_str(&format!(" {}", command::quoted(text)));
                continue;
            }
            line.push_str(&format!(" {{{}}}", text.len()));
            let tag = self.login_line(&mut tag, &line).await?;
            if self.step(&tag, Asked::Login).await? {
                return Err(FaultKind::Protocol("it took a login that was not finished").into());
            }
            line = text.to_owned();
        }
        let tag = self.login_line(&mut tag, &line).await?;
        if !self.step(&tag, Asked::Login).await? {
            return Err(FaultKind::Protocol(WANTS_MORE).into());
        }
        let mut stream = Stream::new(self.wire, LoginWatch::done_already());
        stream.capabilities = self.capabilities;
        enter(Client::new(stream).login("", "").await, self.secrets, self.round_trips)
    }

    /// Sends a command's first line, or the next line of the command `tag`, and returns the tag.
    async fn login_line(&mut self, tag: &mut Option<Vec<u8>>, line: &str) -> Result<Vec<u8>, MailboxFault> {
        match tag {
            Some(tag) => self.send_line(line).await.map(|()| tag.clone()),
            None => Ok(tag.insert(self.send(line).await?).clone()),
        }
    }
}

/// The message that is still to be sent, then empty lines: a server that refuses a token explains itself, and wants
/// one before the tagged NO. async-imap puts them into base64.
struct Says(Option<Secret>);

impl Authenticator for Says {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        self.0.take().map_or(String::new(), |message| message.expose_secret().to_owned())
    }
}

/// The session, or why there is none: in the server's words, which async-imap does not give.
fn enter(
    outcome: Result<Session<Stream>, (async_imap::error::Error, Client<Stream>)>,
    secrets: Vec<Secret>,
    mut round_trips: u32,
) -> Result<Imap, MailboxFault> {
    match outcome {
        Ok(mut session) => {
            let stream = session.get_mut();
            if let Some(login) = stream.login.take() {
                round_trips += 1 + login.challenges.len() as u32;
                login.ended.iter().for_each(|(_, text)| note_capabilities(&mut stream.capabilities, text));
            }
            Ok(Imap { session, secrets, round_trips, exists: 0, uid_next: None, reading: None })
        }
        Err((_, mut client)) => {
            let stream = client.get_mut();
            let login = stream.login.take();
            let explained = login.as_ref().and_then(LoginWatch::explanation).and_then(sasl::refusal_status);
            let fault = match login.and_then(|login| login.ended) {
                Some((status, text)) => refusal(&secrets, Asked::Login, status == Status::Bye, &text),
                None => stream.take_fault(),
            };
            Err(fault.with_status(explained.as_deref()))
        }
    }
}

fn note_capabilities(known: &mut Option<Capabilities>, text: &Text<'_>) {
    if let Some(words) = text.argument("CAPABILITY") {
        *known = Some(Capabilities::read(words));
    }
}
