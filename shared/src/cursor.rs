//! How far a folder was read, and what its server calls a message: in the shape of the engine that reads it.

use serde::{Deserialize, Serialize};

/// A message, by what its server calls it within its folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    /// IMAP: its UID (RFC 9051 §2.3.1.1), never 0.
    Uid(u32),
    /// POP3: its unique-id (RFC 1939 §7). Graph: its immutable id.
    Name(String),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "{uid}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// How far a folder was read. In the table it is told by its fields, which each variant has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Position {
    /// By UIDs.
    Imap(ImapPosition),
}

impl Position {
    /// What references mean, they mean as long as this is the same.
    pub fn validity(&self) -> u32 {
        match self {
            Self::Imap(position) => position.uid_validity,
        }
    }
}

/// How far a folder was read by IMAP (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImapPosition {
    /// When it changes, every UID means something else, and the folder is read anew.
    pub uid_validity: u32,
    /// UIDNEXT when everything below had been read: nothing is new while the server still says so.
    pub uid_next: u32,
    /// The first UID that is ours to read.
    pub first: u32,
    /// UIDs below this one were there at the first poll: of these, what arrived before `since` stays left out.
    #[serde(default)]
    pub old_below: u32,
    /// Seconds since 1970; 0 for everything.
    #[serde(default)]
    pub since: i64,
    /// The highest UID read.
    pub highest: u32,
    /// UIDs read within the re-scan window below `highest`: what is missing there came late.
    pub recent: Vec<u32>,
}
