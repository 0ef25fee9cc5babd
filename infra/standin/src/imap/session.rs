//! One connection: reads commands, answers them, tells what changed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream};

use super::command::{self, Word};
use super::fetch::{self, Item};
use super::search::{self, Candidate};
use super::{Admission, ImapAction, Shared};

/// A line of a client; Exchange's own bound is 10,240 bytes.
const LINE: u64 = 65_536;
/// A literal of a client (APPEND).
const LITERAL: usize = 60_000_000;

const CAPABILITY: &str = "CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
const CAPABILITY_PLAIN: &str = "CAPABILITY IMAP4 IMAP4rev1 STARTTLS LOGINDISABLED ID LITERAL+";

/// Who the connection belongs to.
enum Login {
    No,
    Yes { mailbox: String, connected: bool },
}

/// The selected folder, as this client knows it: UIDs by sequence number.
struct Selected {
    folder: String,
    read_only: bool,
    uids: Vec<u32>,
}

pub(super) struct Session<S> {
    stream: BufStream<S>,
    shared: Arc<Shared>,
    encrypted: bool,
    login: Login,
    selected: Option<Selected>,
    /// The answer in the making.
    out: Vec<u8>,
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

    /// Commands that need a mailbox.
    fn with_mailbox(&mut self, name: &str, arguments: &[Word]) -> Result<String, String> {
        let mailbox = match &self.login {
            Login::Yes { connected: false, .. } => {
                return Err("BAD User is authenticated but not connected.".to_owned());
            }
            Login::Yes { mailbox, .. } => mailbox.clone(),
            Login::No => return Err("BAD Command received in Invalid state.".to_owned()),
        };
        let text = |at: usize| arguments.get(at).and_then(Word::text);
        match name {
            "SELECT" | "EXAMINE" => self.select(&mailbox, &text(0).ok_or_else(malformed)?, name == "EXAMINE"),
            "LIST" | "LSUB" => self.list(&mailbox, name, &text(1).ok_or_else(malformed)?),
            "STATUS" => self.status(&mailbox, &text(0).ok_or_else(malformed)?, arguments.get(1)),
            "CREATE" => {
                let folder = text(0).ok_or_else(malformed)?;
                if self.shared.store().folder(&mailbox, &folder).is_some() {
                    return Err(format!("NO Mailbox {folder} already exists."));
                }
                self.shared.store().folder_made(&mailbox, &folder);
                Ok(String::new())
            }
            "DELETE" => match self.shared.store().remove_folder(&mailbox, &text(0).ok_or_else(malformed)?) {
                true => Ok(String::new()),
                false => Err("NO The requested item could not be found.".to_owned()),
            },
            "SUBSCRIBE" | "UNSUBSCRIBE" | "CHECK" => Ok(String::new()),
            "NAMESPACE" => {
                self.line("* NAMESPACE ((\"\" \"/\")) NIL NIL");
                Ok(String::new())
            }
            "APPEND" => self.append(&mailbox, arguments),
            _ => self.with_folder(&mailbox, name, arguments),
        }
    }

    fn select(&mut self, mailbox: &str, folder: &str, read_only: bool) -> Result<String, String> {
        self.selected = None;
        let (uids, validity, next, unseen) = {
            let mut store = self.shared.store();
            if folder.eq_ignore_ascii_case("INBOX") {
                store.folder_made(mailbox, folder);
            }
            let Some(found) = store.folder(mailbox, folder) else { return Err(format!("NO {folder} doesn't exist.")) };
            let unseen = found.messages.iter().position(|message| !message.flags.contains("\\Seen"));
            let uids: Vec<u32> = found.messages.iter().map(|message| message.uid).collect();
            (uids, found.validity, found.next, unseen)
        };
        self.line(&format!("* {} EXISTS", uids.len()));
        self.line("* 0 RECENT");
        self.line("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)");
        self.line("* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)] Permanent flags");
        if let Some(first) = unseen {
            self.line(&format!("* OK [UNSEEN {}] Is the first unseen message", first + 1));
        }
        self.line(&format!("* OK [UIDVALIDITY {validity}] UIDVALIDITY value"));
        self.line(&format!("* OK [UIDNEXT {next}] The next unique identifier value"));
        self.selected = Some(Selected { folder: folder.to_owned(), read_only, uids });
        Ok(if read_only { "[READ-ONLY] EXAMINE completed." } else { "[READ-WRITE] SELECT completed." }.to_owned())
    }

    fn list(&mut self, mailbox: &str, name: &str, pattern: &str) -> Result<String, String> {
        if pattern.is_empty() {
            self.line(&format!("* {name} (\\Noselect) \"/\" \"\""));
            return Ok(String::new());
        }
        let mut names = self.shared.store().names(mailbox);
        if !names.iter().any(|name| name == "INBOX") {
            names.insert(0, "INBOX".to_owned());
        }
        for folder in names.iter().filter(|folder| wildcard(pattern, folder)) {
            let inner = names.iter().any(|other| other.starts_with(&format!("{folder}/")));
            let attribute = if inner { "\\HasChildren" } else { "\\HasNoChildren" };
            let quoted = folder.replace('\\', "\\\\").replace('"', "\\\"");
            self.line(&format!("* {name} ({attribute}) \"/\" \"{quoted}\""));
        }
        Ok(String::new())
    }

    fn status(&mut self, mailbox: &str, folder: &str, items: Option<&Word>) -> Result<String, String> {
        let Some(Word::List(items)) = items else { return Err(malformed()) };
        let mut values = Vec::new();
        {
            let store = self.shared.store();
            let Some(found) = store.folder(mailbox, folder) else { return Err(format!("NO {folder} doesn't exist.")) };
            for item in items.iter().filter_map(Word::text) {
                let item = item.to_ascii_uppercase();
                let value = match item.as_str() {
                    "MESSAGES" => found.messages.len(),
                    "UIDNEXT" => found.next as usize,
                    "UIDVALIDITY" => found.validity as usize,
                    "UNSEEN" => found.messages.iter().filter(|message| !message.flags.contains("\\Seen")).count(),
                    "RECENT" => 0,
                    _ => return Err(malformed()),
                };
                values.push(format!("{item} {value}"));
            }
        }
        self.line(&format!("* STATUS \"{folder}\" ({})", values.join(" ")));
        Ok(String::new())
    }

    fn append(&mut self, mailbox: &str, arguments: &[Word]) -> Result<String, String> {
        let folder = arguments.first().and_then(Word::text).ok_or_else(malformed)?;
        let Some(Word::Text(bytes)) = arguments.last() else { return Err(malformed()) };
        let flags = match arguments.get(1) {
            Some(Word::List(flags)) => flags.iter().filter_map(Word::text).collect(),
            _ => Default::default(),
        };
        let (validity, uid) = {
            let mut store = self.shared.store();
            let Some(found) = store.folder_mut(mailbox, &folder) else {
                return Err("NO [TRYCREATE] The requested folder could not be found.".to_owned());
            };
            (found.validity, found.add(bytes.clone(), Timestamp::now(), flags))
        };
        self.shared.touch();
        self.announce();
        Ok(format!("[APPENDUID {validity} {uid}] APPEND completed."))
    }

    /// Commands that need a selected folder.
    fn with_folder(&mut self, mailbox: &str, name: &str, arguments: &[Word]) -> Result<String, String> {
        let Some(selected) = &self.selected else { return Err("BAD Command received in Invalid state.".to_owned()) };
        let (folder, read_only) = (selected.folder.clone(), selected.read_only);
        let (by_uid, verb) = name.strip_prefix("UID ").map_or((false, name), |verb| (true, verb));
        if read_only && matches!(verb, "STORE" | "EXPUNGE" | "MOVE") {
            return Err("NO The folder is selected read-only.".to_owned());
        }
        match verb {
            "SEARCH" => self.search(mailbox, &folder, by_uid, arguments),
            "CLOSE" | "UNSELECT" => {
                if verb == "CLOSE" && !read_only {
                    self.expunge(mailbox, &folder, None, false)?;
                }
                self.selected = None;
                Ok(String::new())
            }
            "EXPUNGE" => {
                let set = if by_uid { Some(self.uids(arguments.first(), true)?) } else { None };
                self.expunge(mailbox, &folder, set, true)
            }
            "FETCH" | "STORE" | "COPY" | "MOVE" => {
                let uids = self.uids(arguments.first(), by_uid)?;
                let rest = arguments.get(1..).unwrap_or_default();
                match verb {
                    "FETCH" => self.fetch(mailbox, &folder, &uids, by_uid, rest),
                    "STORE" => self.store_flags(mailbox, &folder, &uids, by_uid, rest),
                    _ => self.transfer(mailbox, &folder, &uids, verb == "MOVE", rest),
                }
            }
            _ => Err("BAD Command Error. 10".to_owned()),
        }
    }

    /// The UIDs of a set: of UIDs, or of sequence numbers.
    fn uids(&self, word: Option<&Word>, by_uid: bool) -> Result<Vec<u32>, String> {
        let known: &[u32] = self.selected.as_ref().map_or(&[], |selected| &selected.uids);
        let top = if by_uid { known.last().copied().unwrap_or_default() } else { known.len() as u32 };
        let text = word.and_then(Word::text).ok_or_else(malformed)?;
        let ranges = command::set(&text, top).ok_or_else(malformed)?;
        let chosen = known.iter().enumerate().filter(|(at, uid)| {
            let number = if by_uid { **uid } else { *at as u32 + 1 };
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&number))
        });
        Ok(chosen.map(|(_, uid)| *uid).collect())
    }

    fn number(&self, uid: u32) -> Option<u32> {
        let known = &self.selected.as_ref()?.uids;
        known.binary_search(&uid).ok().map(|at| at as u32 + 1)
    }

    fn search(&mut self, mailbox: &str, folder: &str, by_uid: bool, keys: &[Word]) -> Result<String, String> {
        let keys = match keys.first().and_then(Word::text) {
            Some(word) if word.eq_ignore_ascii_case("CHARSET") => keys.get(2..).unwrap_or_default(),
            _ => keys,
        };
        let mut found = Vec::new();
        {
            let known: &[u32] = self.selected.as_ref().map_or(&[], |selected| &selected.uids);
            let top = (known.len() as u32, known.last().copied().unwrap_or_default());
            let store = self.shared.store();
            let Some(folder) = store.folder(mailbox, folder) else { return Ok(String::new()) };
            for (at, uid) in known.iter().enumerate() {
                let Some(message) = folder.message(*uid) else { continue };
                let candidate = Candidate { number: at as u32 + 1, message, top };
                if search::matches(&candidate, keys).filter(|_| !keys.is_empty()).ok_or_else(malformed)? {
                    found.push(if by_uid { *uid } else { candidate.number }.to_string());
                }
            }
        }
        let gap = if found.is_empty() { "" } else { " " };
        self.line(&format!("* SEARCH{gap}{}", found.join(" ")));
        Ok("SEARCH completed.".to_owned())
    }

    fn fetch(
        &mut self,
        mailbox: &str,
        folder: &str,
        uids: &[u32],
        by_uid: bool,
        rest: &[Word],
    ) -> Result<String, String> {
        let mut items = rest.first().and_then(fetch::items).ok_or_else(malformed)?;
        // RFC 3501, section 6.4.8: a UID FETCH always tells the UID.
        if by_uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let writable = self.selected.as_ref().is_some_and(|selected| !selected.read_only);
        let marks = fetch::marks_seen(&items) && writable;
        for uid in uids {
            let Some(number) = self.number(*uid) else { continue };
            let mut store = self.shared.store();
            let Some(message) = store.folder_mut(mailbox, folder).and_then(|folder| folder.message_mut(*uid)) else {
                continue;
            };
            let newly = marks && message.flags.insert("\\Seen".to_owned());
            let mut answer = fetch::answer(number, message, &items);
            if newly && !items.contains(&Item::Flags) {
                answer.extend(fetch::answer(number, message, &[Item::Uid, Item::Flags]));
            }
            drop(store);
            self.out.extend(answer);
        }
        Ok("FETCH completed.".to_owned())
    }

    fn store_flags(
        &mut self,
        mailbox: &str,
        folder: &str,
        uids: &[u32],
        by_uid: bool,
        rest: &[Word],
    ) -> Result<String, String> {
        let how = rest.first().and_then(Word::text).ok_or_else(malformed)?.to_ascii_uppercase();
        let given: Vec<String> = match rest.get(1) {
            Some(Word::List(flags)) => flags.iter().filter_map(Word::text).collect(),
            Some(_) => rest.iter().skip(1).filter_map(Word::text).collect(),
            None => return Err(malformed()),
        };
        let (how, silent) = how.strip_suffix(".SILENT").map_or((how.as_str(), false), |how| (how, true));
        for uid in uids {
            let Some(number) = self.number(*uid) else { continue };
            let mut store = self.shared.store();
            let Some(message) = store.folder_mut(mailbox, folder).and_then(|folder| folder.message_mut(*uid)) else {
                continue;
            };
            match how {
                "+FLAGS" => message.flags.extend(given.iter().cloned()),
                "-FLAGS" => message.flags.retain(|flag| !given.iter().any(|one| one.eq_ignore_ascii_case(flag))),
                "FLAGS" => message.flags = given.iter().cloned().collect(),
                _ => return Err(malformed()),
            }
            let items: &[Item] = if by_uid { &[Item::Uid, Item::Flags] } else { &[Item::Flags] };
            let answer = if silent { Vec::new() } else { fetch::answer(number, message, items) };
            drop(store);
            self.out.extend(answer);
        }
        self.shared.touch();
        Ok("STORE completed.".to_owned())
    }

    /// COPY, and MOVE (RFC 6851), with COPYUID (RFC 4315).
    fn transfer(
        &mut self,
        mailbox: &str,
        folder: &str,
        uids: &[u32],
        moves: bool,
        rest: &[Word],
    ) -> Result<String, String> {
        let target = rest.first().and_then(Word::text).ok_or_else(malformed)?;
        let mut copied = Vec::new();
        let validity = {
            let mut store = self.shared.store();
            let source = store.folder(mailbox, folder);
            let messages: Vec<_> =
                uids.iter().filter_map(|uid| source.and_then(|source| source.message(*uid)).cloned()).collect();
            let Some(into) = store.folder_mut(mailbox, &target) else {
                return Err("NO [TRYCREATE] The requested folder could not be found.".to_owned());
            };
            for message in messages {
                let uid = into.add(message.bytes.to_vec(), message.arrival, message.flags);
                copied.push((message.uid, uid));
            }
            let validity = into.validity;
            if moves && let Some(source) = store.folder_mut(mailbox, folder) {
                source.messages.retain(|message| !copied.iter().any(|(from, _)| *from == message.uid));
            }
            validity
        };
        self.shared.touch();
        let verb = if moves { "MOVE" } else { "COPY" };
        if copied.is_empty() {
            return Ok(format!("{verb} completed."));
        }
        let join = |part: fn(&(u32, u32)) -> u32| {
            copied.iter().map(|pair| part(pair).to_string()).collect::<Vec<_>>().join(",")
        };
        let code = format!("[COPYUID {validity} {} {}]", join(|pair| pair.0), join(|pair| pair.1));
        if moves {
            self.line(&format!("* OK {code}"));
            self.announce();
            return Ok("MOVE completed.".to_owned());
        }
        self.announce();
        Ok(format!("{code} COPY completed."))
    }

    fn expunge(&mut self, mailbox: &str, folder: &str, only: Option<Vec<u32>>, tell: bool) -> Result<String, String> {
        {
            let mut store = self.shared.store();
            if let Some(folder) = store.folder_mut(mailbox, folder) {
                folder.messages.retain(|message| {
                    let chosen = only.as_ref().is_none_or(|only| only.contains(&message.uid));
                    !(chosen && message.flags.contains("\\Deleted"))
                });
            }
        }
        self.shared.touch();
        if tell {
            self.announce();
        }
        Ok("EXPUNGE completed.".to_owned())
    }

    /// Tells what others changed in the selected folder (RFC 3501, section 5.2): EXPUNGE from the top down, then EXISTS.
    fn announce(&mut self) {
        let Login::Yes { mailbox, .. } = &self.login else { return };
        let Some(selected) = &mut self.selected else { return };
        let current: Vec<u32> = {
            let store = self.shared.store();
            let folder = store.folder(mailbox, &selected.folder);
            folder.map(|folder| folder.messages.iter().map(|message| message.uid).collect()).unwrap_or_default()
        };
        let mut lines = String::new();
        for (at, uid) in selected.uids.iter().enumerate().rev() {
            if current.binary_search(uid).is_err() {
                lines.push_str(&format!("* {} EXPUNGE\r\n", at + 1));
            }
        }
        let kept = selected.uids.iter().filter(|uid| current.binary_search(uid).is_ok()).count();
        if current.len() > kept {
            lines.push_str(&format!("* {} EXISTS\r\n", current.len()));
        }
        selected.uids = current;
        self.out.extend(lines.into_bytes());
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

    fn line(&mut self, text: &str) {
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

fn malformed() -> String {
    "BAD Command Argument Error. 12".to_owned()
}

/// `*` and `%` of LIST; `%` stops at the hierarchy's `/`.
fn wildcard(pattern: &str, name: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => name.is_empty(),
        Some(mark @ ('*' | '%')) => {
            let rest = characters.as_str();
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            let mut ends = ends.take_while(|at| mark == '*' || !name[..*at].contains('/'));
            ends.any(|at| wildcard(rest, &name[at..]))
        }
        Some(letter) => name.strip_prefix(letter).is_some_and(|name| wildcard(characters.as_str(), name)),
    }
}
