//! Commands of the selected folder: search, fetch, flags, copies, and what others changed meanwhile.

use tokio::io::{AsyncRead, AsyncWrite};

use super::command::{self, Word};
use super::fetch::{self, Item};
use super::mailbox::malformed;
use super::search::{self, Candidate};
use super::session::{Login, Session};

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Commands that need a selected folder.
    pub(super) fn with_folder(&mut self, mailbox: &str, name: &str, arguments: &[Word]) -> Result<String, String> {
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
    pub(super) fn uids(&self, word: Option<&Word>, by_uid: bool) -> Result<Vec<u32>, String> {
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

    pub(super) fn number(&self, uid: u32) -> Option<u32> {
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
                // Both sides are in the order of UIDs.
                source.messages.retain(|message| copied.binary_search_by_key(&message.uid, |(from, _)| *from).is_err());
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
                    let chosen = only.as_ref().is_none_or(|only| only.binary_search(&message.uid).is_ok());
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
    pub(super) fn announce(&mut self) {
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
}
