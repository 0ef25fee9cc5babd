//! Commands of a mailbox: which folders there are, and choosing one.

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use super::command::Word;
use super::session::{Login, Selected, Session};

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Commands that need a mailbox.
    pub(super) fn with_mailbox(&mut self, name: &str, arguments: &[Word]) -> Result<String, String> {
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
}

pub(super) fn malformed() -> String {
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
