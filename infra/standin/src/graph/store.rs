//! Mailboxes in memory, with the log of changes that delta queries are answered from.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::delta::Token;
use crate::random;

/// The folders that every mailbox has: display name, and the name that Graph knows it by.
const KNOWN: [(&str, &str); 6] = [
    ("Inbox", "inbox"),
    ("Junk Email", "junkemail"),
    ("Deleted Items", "deleteditems"),
    ("Archive", "archive"),
    ("Sent Items", "sentitems"),
    ("Drafts", "drafts"),
];
/// Where deleted messages go; no client sees it by its name.
const RECOVERABLE: &str = "Recoverable Items";

#[derive(Default)]
pub(crate) struct Store {
    mailboxes: BTreeMap<String, Mailbox>,
    pub tokens: HashMap<String, Token>,
}

#[derive(Default)]
pub(super) struct Mailbox {
    pub folders: Vec<Folder>,
    pub messages: Vec<Message>,
    pub changes: Vec<Change>,
}

pub(super) struct Folder {
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub known: Option<&'static str>,
}

pub(super) struct Message {
    /// Stays the same within the mailbox.
    pub immutable: String,
    /// Another one after each move.
    pub mutable: String,
    pub folder: String,
    pub bytes: Vec<u8>,
    pub received: Timestamp,
    pub read: bool,
}

/// Something that happened in a folder.
pub(super) struct Change {
    pub folder: String,
    pub immutable: String,
    pub mutable: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Updated,
    Removed,
}

impl Store {
    pub(super) fn mailbox(&mut self, name: &str) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(&name.to_ascii_lowercase())
    }

    pub(super) fn mailbox_made(&mut self, name: &str) -> &mut Mailbox {
        self.mailboxes.entry(name.to_ascii_lowercase()).or_insert_with(|| {
            let folder = |(name, known): (&str, &'static str)| Folder {
                id: id("AAMkF"),
                parent: None,
                name: name.to_owned(),
                known: Some(known),
            };
            Mailbox { folders: KNOWN.into_iter().map(folder).collect(), ..Mailbox::default() }
        })
    }
}

impl Mailbox {
    /// A folder by its id, or by the name that Graph knows.
    pub fn folder(&self, id: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.id == id || folder.known.is_some_and(|known| known == id))
    }

    /// The folder at a path of display names (`INBOX` as clients write it, too).
    pub fn folder_made(&mut self, path: &str) -> String {
        let mut parent: Option<String> = None;
        for name in path.split('/') {
            let there = self.folders.iter().find(|folder| folder.parent == parent && is_named(folder, name));
            let id = match there {
                Some(folder) => folder.id.clone(),
                None => self.push_folder(parent.take(), name, None),
            };
            parent = Some(id);
        }
        parent.unwrap_or_default()
    }

    fn push_folder(&mut self, parent: Option<String>, name: &str, known: Option<&'static str>) -> String {
        let id = id("AAMkF");
        self.folders.push(Folder { id: id.clone(), parent, name: name.to_owned(), known });
        id
    }

    pub fn replace_folder(&mut self, path: &str) {
        let old = self.folder_made(path);
        self.messages.retain(|message| message.folder != old);
        if let Some(at) = self.folders.iter().position(|folder| folder.id == old) {
            let folder = self.folders.remove(at);
            self.push_folder(folder.parent, &folder.name, folder.known);
        }
    }

    pub fn add(&mut self, folder: String, bytes: Vec<u8>, received: Timestamp) -> String {
        let (immutable, mutable) = (id("AAkALg"), id("AAMkM"));
        let message =
            Message { immutable: immutable.clone(), mutable, folder: folder.clone(), bytes, received, read: false };
        self.messages.push(message);
        self.note(&immutable, &folder, Kind::Created);
        immutable
    }

    /// Where a message is in the list, by either id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.messages.iter().position(|message| message.immutable == id || message.mutable == id)
    }

    /// Moves a message and tells where it is in the list.
    pub fn move_message(&mut self, id: &str, folder: &str) -> Option<usize> {
        let at = self.find(id)?;
        let (immutable, from) = (self.messages[at].immutable.clone(), self.messages[at].folder.clone());
        self.note(&immutable, &from, Kind::Removed);
        self.messages[at].mutable = self::id("AAMkM");
        self.messages[at].folder = folder.to_owned();
        self.note(&immutable, folder, Kind::Created);
        Some(at)
    }

    pub fn mark(&mut self, id: &str, read: bool) -> Option<usize> {
        let at = self.find(id)?;
        self.messages[at].read = read;
        let (immutable, folder) = (self.messages[at].immutable.clone(), self.messages[at].folder.clone());
        self.note(&immutable, &folder, Kind::Updated);
        Some(at)
    }

    /// Deletes a message: it can be recovered for some days, and is in no folder that people see.
    pub fn delete(&mut self, id: &str) -> bool {
        let folder = self.folder_made(RECOVERABLE);
        self.move_message(id, &folder).is_some()
    }

    pub fn remove(&mut self, id: &str) -> bool {
        let Some(at) = self.find(id) else { return false };
        let (immutable, folder) = (self.messages[at].immutable.clone(), self.messages[at].folder.clone());
        self.note(&immutable, &folder, Kind::Removed);
        self.messages.remove(at);
        true
    }

    fn note(&mut self, immutable: &str, folder: &str, kind: Kind) {
        let mutable = self.find(immutable).map(|at| self.messages[at].mutable.clone()).unwrap_or_default();
        let change = Change { folder: folder.to_owned(), immutable: immutable.to_owned(), mutable, kind };
        self.changes.push(change);
    }
}

/// Whether a folder is visible and has this name, without regard to case.
pub(super) fn is_named(folder: &Folder, name: &str) -> bool {
    folder.name.to_lowercase() == name.to_lowercase()
}

/// An id as Graph writes them: long, and told apart by case.
fn id(prefix: &str) -> String {
    format!("{prefix}{}=", random::token(100))
}
