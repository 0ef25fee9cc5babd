//! How far a folder was read, and what its server calls a message: in the shape of the engine that reads it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    /// By unique-ids.
    Pop3(Pop3Position),
    /// By a link to what changed since.
    Graph(GraphPosition),
}

impl Position {
    /// What references mean, they mean as long as this is the same.
    pub fn validity(&self) -> u32 {
        match self {
            Self::Imap(position) => position.uid_validity,
            Self::Pop3(_) | Self::Graph(_) => 0,
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

/// How far a mailbox was read by POP3, which has no order to go by (RFC 1939 §7): what of it is read already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pop3Position {
    /// Seconds since 1970, until the mailbox is read whole for the first time: what arrived before stays left out.
    /// Afterwards 0.
    pub since: i64,
    /// Hashes of the unique-ids read, in the order of reading: what is new stands at the end, and the rest unchanged.
    #[serde(serialize_with = "write_hashes", deserialize_with = "read_hashes")]
    pub uidls: Vec<u64>,
}

impl Pop3Position {
    /// What is kept of a unique-id: 64 bits of its SHA-256. Of 500,000 messages two are taken for one in one mailbox of a
    /// hundred million.
    pub fn hash(uidl: &str) -> u64 {
        let digest = digest(&SHA256, uidl.as_bytes());
        digest.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }

    /// Forgets what is not there any more, once that is more than half: each time would move all the rest.
    ///
    /// `there` holds the hashes of what is there, ascending.
    pub fn forget_all_but(&mut self, there: &[u64]) {
        let is_there = |uidl: &u64| there.binary_search(uidl).is_ok();
        let gone = self.uidls.iter().filter(|uidl| !is_there(uidl)).count();
        if gone > 100 && gone > self.uidls.len() / 2 {
            self.uidls.retain(is_there);
        }
    }
}

/// How far a folder was read by Graph (Microsoft, "Get incremental changes to messages in a folder").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphPosition {
    /// The folder's id: when another folder has its name, the link means nothing.
    pub folder_id: String,
    /// Where the next listing begins: the first request, a `nextLink` or a `deltaLink`. No secret: without a token of the
    /// mailbox it opens nothing.
    pub link: String,
    /// When the link was had, in seconds since 1970.
    pub linked: i64,
    /// Whether the round that lists what was there at first is not over: of that, what arrived before `since` stays left out.
    pub first_round: bool,
    /// Seconds since 1970; 0 for everything.
    pub since: i64,
    /// Ids of messages behind the link that are done with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

/// Base64 of eight bytes each.
pub(crate) fn write_hashes<S: Serializer>(hashes: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// The same read.
pub(crate) fn read_hashes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    let hash = |bytes: &[u8]| bytes.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    Ok(bytes.chunks_exact(8).map(hash).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_forgotten_at_last() {
        let position = |count: u64| Pop3Position { since: 0, uidls: (0..count).collect() };
        let check = |count: u64, there: std::ops::Range<u64>, left: usize| {
            let mut position = position(count);
            position.forget_all_but(&there.collect::<Vec<_>>());
            assert_eq!(position.uidls.len(), left);
        };
        check(300, 0..300, 300);
        check(300, 100..300, 300);
        check(300, 200..300, 100);
        check(50, 0..0, 50);
        check(101, 0..0, 0);
        assert_ne!(Pop3Position::hash("a"), Pop3Position::hash("b"));
    }
}
