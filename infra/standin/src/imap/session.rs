//! One connection: reads commands, answers them, tells what changed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream};

use super::command::{self, Word};
use super::{Admission, ImapAction, Shared};

/// A line of a client; Exchange's own bound is 10,240 bytes.
const LINE: u64 = 65_536;
/// A literal of a client (APPEND).
const LITERAL: usize = 60_000_000;

const CAPABILITY: &str = "CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
const CAPABILITY_PLAIN: &str = "CAPABILITY IMAP4 IMAP4rev1 STARTTLS LOGINDISABLED ID LITERAL+";

/// Who the connection belongs to.
pub(super) enum Login {
    No,
    Yes { mailbox: String, connected: bool },
}

/// The selected folder, as this client knows it: UIDs by sequence number.
pub(super) struct Selected {
    pub folder: String,
    pub read_only: bool,
    pub uids: Vec<u32>,
}

pub(super) struct Session<S> {
    pub(super) stream: BufStream<S>,
    pub(super) shared: Arc<Shared>,
    pub(super) encrypted: bool,
    pub(super) login: Login,
    pub(super) selected: Option<Selected>,
    /// The answer in the making.
    pub(super) out: Vec<u8>,
}

/// What follows a command.
enum Next {
    Go,
    Close,
    StartTls,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(stream: S, shared: Arc<Shared>, encrypted: bool) -> Session<S> {
        Session { stream: BufStream::new(stream), shared, encrypted, login: Login::No, selected: None, out: Vec::new() }
    }

    /// Serves until the end; gives the stream back when TLS is to start on it.
    pub(super) async fn serve(mut self, greet: bool) -> std::io::Result<Option<S>> {
        if greet {
            self.line("* OK Stand-in IMAP4 service is ready.");
            self.flush(None).await?;
        }
        while let Some(bytes) = self.command().await? {
            match self.obey(&bytes).await? {
                Next::Go => {}
                Next::Close => break,
                Next::StartTls => return Ok(Some(self.stream.into_inner())),
            }
        }
        self.stream.shutdown().await?;
        Ok(None)
    }

    /// A whole command with its literals, without the closing line end. `None` at the end of the stream.
    async fn command(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        loop {
            let start = whole.len();
            (&mut self.stream).take(LINE).read_until(b'\n', &mut whole).await?;
            let Some(line) = whole.get(start..).and_then(|line| line.strip_suffix(b"\n")) else { return Ok(None) };
            let Some((size, eager)) = command::literal_size(line) else {
                let end = whole.len() - if line.ends_with(b"\r") { 2 } else { 1 };
                whole.truncate(end);
                return Ok(Some(whole));
            };
            if size > LITERAL {
                self.line("* BYE literal too long");
                self.flush(None).await?;
                return Ok(None);
            }
            if !eager {
                self.line("+ Ready for additional command text.");
                self.flush(None).await?;
            }
            let from = whole.len();
            whole.resize(from + size, 0);
            self.stream.read_exact(&mut whole[from..]).await?;
        }
    }

    async fn obey(&mut self, bytes: &[u8]) -> std::io::Result<Next> {
        let words = command::read(bytes).unwrap_or_default();
        let (Some(tag), Some(name)) = (words.first().and_then(Word::text), words.get(1).and_then(Word::text)) else {
            self.line("* BAD Command Error. 10");
            self.flush(None).await?;
            return Ok(Next::Go);
        };
        let mut name = name.to_ascii_uppercase();
        let mut arguments = words.get(2..).unwrap_or_default();
        if name == "UID" {
            name = format!("UID {}", arguments.first().and_then(Word::text).unwrap_or_default().to_ascii_uppercase());
            arguments = arguments.get(1..).unwrap_or_default();
        }
        self.shared.note(&name);
        let mut cut = None;
        match self.shared.fault(&name) {
            Some(ImapAction::Tagged(text)) => {
                self.line(&format!("{tag} {text}"));
                self.flush(None).await?;
                return Ok(Next::Go);
            }
            Some(ImapAction::Bye(text)) => {
                self.line(&format!("* BYE {text}"));
                self.flush(None).await?;
                return Ok(Next::Close);
            }
            Some(ImapAction::Drop) => return Ok(Next::Close),
            Some(ImapAction::Untagged(text)) => self.line(&format!("* {text}")),
            Some(ImapAction::Late(milliseconds)) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            Some(ImapAction::CutAfter(bytes)) => cut = Some(bytes),
            None => {}
        }
        let next = self.carry_out(&tag, &name, arguments).await?;
        self.flush(cut).await?;
        Ok(if cut.is_some() { Next::Close } else { next })
    }

    async fn carry_out(&mut self, tag: &str, name: &str, arguments: &[Word]) -> std::io::Result<Next> {
        let result = match name {
            "CAPABILITY" => {
                self.capability();
                Ok("CAPABILITY completed.".to_owned())
            }
            "NOOP" => {
                self.announce();
                Ok("NOOP completed.".to_owned())
            }
            "ID" => {
                self.line("* ID (\"name\" \"Stand-in\")");
                Ok("ID completed".to_owned())
            }
            "LOGOUT" => {
                self.line("* BYE Stand-in IMAP4 server signing off.");
                self.line(&format!("{tag} OK LOGOUT completed."));
                return Ok(Next::Close);
            }
            "STARTTLS" if !self.encrypted => {
                self.line(&format!("{tag} OK Begin TLS negotiation now."));
                return Ok(Next::StartTls);
            }
            "AUTHENTICATE" => self.authenticate(arguments).await?,
            "LOGIN" => self.login(arguments),
            "IDLE" => self.idle().await?,
            _ => self.with_mailbox(name, arguments),
        };
        let line = match result {
            Ok(text) if text.starts_with('[') || !text.is_empty() => format!("{tag} OK {text}"),
            Ok(_) => format!("{tag} OK {name} completed."),
            Err(text) => format!("{tag} {text}"),
        };
        self.line(&line);
        Ok(Next::Go)
    }

    fn capability(&mut self) {
        let text = if self.encrypted { CAPABILITY } else { CAPABILITY_PLAIN };
        self.line(&format!("* {text}"));
    }

    /// SASL with an initial response (RFC 4959) or after an empty continuation.
    async fn authenticate(&mut self, arguments: &[Word]) -> std::io::Result<Result<String, String>> {
        let failed = || Err("NO AUTHENTICATE failed.".to_owned());
        if !self.encrypted {
            return Ok(Err("NO [PRIVACYREQUIRED] Encryption is required.".to_owned()));
        }
        let mechanism = arguments.first().and_then(Word::text).unwrap_or_default().to_ascii_uppercase();
        if !matches!(mechanism.as_str(), "XOAUTH2" | "PLAIN") {
            return Ok(Err("NO Unsupported authentication mechanism.".to_owned()));
        }
        let response = match arguments.get(1).and_then(Word::text) {
            Some(initial) => initial,
            None => {
                self.line("+ ");
                self.flush(None).await?;
                match self.command().await? {
                    Some(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
                    None => return Ok(failed()),
                }
            }
        };
        let Some(decoded) = STANDARD.decode(response).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Ok(Err("BAD Command Argument Error. 12".to_owned()));
        };
        if mechanism == "PLAIN" {
            let mut parts = decoded.split('\0').skip(1);
            let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            return Ok(self.password(user, password, "AUTHENTICATE completed."));
        }
        // `user=` mailbox ^A `auth=Bearer ` token ^A ^A
        let mut fields = decoded.split('\u{1}');
        let user = fields.next().and_then(|field| field.strip_prefix("user="));
        let token = fields.next().and_then(|field| field.strip_prefix("auth=Bearer "));
        let closed = decoded.ends_with("\u{1}\u{1}");
        let (Some(user), Some(token), true) = (user, token, closed) else { return Ok(failed()) };
        Ok(match (self.shared.settings.gate)(user, token) {
            Admission::Refused => failed(),
            admission => {
                self.login = Login::Yes { mailbox: user.to_owned(), connected: admission == Admission::Connected };
                Ok("AUTHENTICATE completed.".to_owned())
            }
        })
    }

    fn login(&mut self, arguments: &[Word]) -> Result<String, String> {
        let text = |at: usize| arguments.get(at).and_then(Word::text).unwrap_or_default();
        if !self.encrypted {
            return Err("NO LOGIN is disabled without encryption.".to_owned());
        }
        self.password(&text(0), &text(1), "LOGIN completed.")
    }

    fn password(&mut self, user: &str, password: &str, done: &str) -> Result<String, String> {
        let known = self.shared.settings.passwords.iter().find(|(name, _)| name.eq_ignore_ascii_case(user));
        match known {
            None => Err("NO Basic authentication is disabled.".to_owned()),
            Some((_, wanted)) if wanted != password => Err("NO LOGIN failed.".to_owned()),
            Some(_) => {
                self.shared.store().folder_made(user, "INBOX");
                self.login = Login::Yes { mailbox: user.to_owned(), connected: true };
                Ok(done.to_owned())
            }
        }
    }

    /// IDLE (RFC 2177): tells what changes until the client says DONE.
    async fn idle(&mut self) -> std::io::Result<Result<String, String>> {
        if self.selected.is_none() {
            return Ok(Err("BAD Command received in Invalid state.".to_owned()));
        }
        let mut changed = self.shared.changed.subscribe();
        self.line("+ IDLE accepted, awaiting DONE command.");
        self.announce();
        self.flush(None).await?;
        let mut line = Vec::new();
        loop {
            tokio::select! {
                // What was read so far stays in `line` when the other branch wins.
                read = self.stream.read_until(b'\n', &mut line) => {
                    let done = read? == 0 || line.trim_ascii().eq_ignore_ascii_case(b"DONE");
                    return Ok(if done { Ok(String::new()) } else { Err("BAD Expected DONE.".to_owned()) });
                }
                _ = changed.changed() => {
                    self.announce();
                    self.flush(None).await?;
                }
            }
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.out.extend(text.bytes());
        self.out.extend(b"\r\n");
    }

    /// Sends the answer, or its first bytes.
    async fn flush(&mut self, cut: Option<usize>) -> std::io::Result<()> {
        let out = std::mem::take(&mut self.out);
        let sent = cut.map_or(out.len(), |cut| cut.min(out.len()));
        self.stream.write_all(out.get(..sent).unwrap_or_default()).await?;
        self.stream.flush().await
    }
}
