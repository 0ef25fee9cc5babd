//! Mailboxes, folders and messages in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

#[derive(Default)]
pub(crate) struct Store {
    mailboxes: BTreeMap<String, BTreeMap<String, Folder>>,
    validities: u32,
}

pub(crate) struct Folder {
    pub validity: u32,
    pub next: u32,
    pub messages: Vec<Message>,
}

#[derive(Clone)]
pub(crate) struct Message {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    pub bytes: Arc<[u8]>,
    pub arrival: Timestamp,
}

impl Store {
    /// INBOX in any case (RFC 3501, section 5.1); mailbox names in lower case.
    pub(crate) fn folder(&self, mailbox: &str, folder: &str) -> Option<&Folder> {
        self.mailboxes.get(&mailbox.to_lowercase())?.get(&canonical(folder))
    }

    pub(crate) fn folder_mut(&mut self, mailbox: &str, folder: &str) -> Option<&mut Folder> {
        self.mailboxes.get_mut(&mailbox.to_lowercase())?.get_mut(&canonical(folder))
    }

    pub(crate) fn folder_made(&mut self, mailbox: &str, folder: &str) -> &mut Folder {
        let folders = self.mailboxes.entry(mailbox.to_lowercase()).or_default();
        folders.entry(canonical(folder)).or_insert_with(|| {
            self.validities += 1;
            Folder { validity: 1000 + self.validities, next: 1, messages: Vec::new() }
        })
    }

    pub(crate) fn remove_folder(&mut self, mailbox: &str, folder: &str) -> bool {
        let folders = self.mailboxes.get_mut(&mailbox.to_lowercase());
        folders.is_some_and(|folders| folders.remove(&canonical(folder)).is_some())
    }

    pub(crate) fn names(&self, mailbox: &str) -> Vec<String> {
        self.mailboxes.get(&mailbox.to_lowercase()).map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Folder {
    pub(crate) fn add(&mut self, bytes: Vec<u8>, arrival: Timestamp, flags: BTreeSet<String>) -> u32 {
        let uid = self.next;
        self.next += 1;
        self.messages.push(Message { uid, flags, bytes: bytes.into(), arrival });
        uid
    }

    pub(crate) fn renumber(&mut self) {
        self.validity += 100_000;
        self.next = 1;
        for message in &mut self.messages {
            message.uid = self.next;
            self.next += 1;
        }
    }

    pub(crate) fn message(&self, uid: u32) -> Option<&Message> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok().and_then(|at| self.messages.get(at))
    }

    pub(crate) fn message_mut(&mut self, uid: u32) -> Option<&mut Message> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok().and_then(|at| self.messages.get_mut(at))
    }
}

fn canonical(folder: &str) -> String {
    if folder.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { folder.to_owned() }
}
