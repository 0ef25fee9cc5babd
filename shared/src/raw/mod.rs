//! Mail as it came, kept for a time: to be read again under other rules. Kept is what became a report, and what a mail system
//! or an automaton wrote and no rule understood: that is what other rules are for. What people write is not kept.
//!
//! A poll writes an object, durable, before the facts that point into it: who dies between the two leaves an object that
//! nobody points to, and time removes it. An object is never changed but to erase a person from it.

mod bucket;
pub mod bundle;
mod folder;

pub use bucket::Bucket;
pub use folder::Folder;

use crate::account::AccountId;
use crate::erase::Person;
use crate::table::Pointer;
use bundle::Bundle;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Where mail is kept.
#[derive(Clone)]
pub enum Store {
    /// On one machine.
    Folder(Folder),
    /// On AWS.
    Bucket(Bucket),
}

/// The store could not do its job: our own fault, worth another try later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kept mail: {0}")]
pub struct RawError(String);

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it holds: a [`bundle`].
    pub bytes: Vec<u8>,
    /// S3's name for just that.
    tag: Option<String>,
}

/// The name of an object: `{account}/{day}/{milliseconds}-{fence}-{number}.mbox.gz`. No poll has the time and the fence of
/// another, not even where an account was removed and added again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// The name of the `number`th object of a run.
    pub fn new(account: &AccountId, now: Timestamp, fence: u64, number: usize) -> Self {
        let (day, at) = (now.strftime("%Y-%m-%d"), now.as_millisecond());
        Self(format!("{account}/{day}/{at}-{fence}-{number}.mbox.gz"))
    }

    /// The name of the `number`th object with the reports of a day (`2026-03-01`), in an archive.
    pub fn reports(account: &AccountId, day: &str, number: usize) -> Self {
        Self(format!("{account}/{day}/reports-{number}.jsonl.gz"))
    }

    /// Whether it holds reports, and not mail.
    pub fn is_reports(&self) -> bool {
        self.0.ends_with(".jsonl.gz")
    }

    /// Whose.
    pub fn account(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Of which day.
    pub fn day(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = RawError;

    /// A name that leads out of its place is none.
    fn from_str(text: &str) -> Result<Self, RawError> {
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.starts_with('.')
                && !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        };
        let ends = text.ends_with(".mbox.gz") || text.ends_with(".jsonl.gz");
        match parts.len() == 3 && parts.iter().all(plain) && ends && text.len() < 200 {
            true => Ok(Self(text.to_owned())),
            false => Err(RawError(format!("{:?} is no name of an object", text.chars().take(80).collect::<String>()))),
        }
    }
}

/// What of a person was in kept mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Messages that named the person: erased whole, since nothing of them would be worth reading again.
    pub messages: u64,
    /// Where they lay: the object's name and the first byte.
    pub places: BTreeSet<(String, u64)>,
}

impl Store {
    /// Writes down an object that is new.
    pub async fn put(&self, key: &Key, bundle: Bundle) -> Result<(), RawError> {
        self.write(key, bundle.into_bytes()).await
    }

    /// Writes down an object, whatever was there.
    pub async fn write(&self, key: &Key, bytes: Vec<u8>) -> Result<(), RawError> {
        match self {
            Self::Folder(folder) => folder.put(key, &bytes),
            Self::Bucket(bucket) => bucket.put(key, bytes).await,
        }
    }

    /// An object; none where its time is over.
    pub async fn get(&self, key: &Key) -> Result<Option<Object>, RawError> {
        match self {
            Self::Folder(folder) => folder.get(key),
            Self::Bucket(bucket) => bucket.get(key).await,
        }
    }

    /// All objects of an account, or of all.
    pub async fn list(&self, account: Option<&AccountId>) -> Result<Vec<Key>, RawError> {
        match self {
            Self::Folder(folder) => folder.list(account),
            Self::Bucket(bucket) => bucket.list(account).await,
        }
    }

    async fn replace(&self, key: &Key, read: &Object, bytes: Vec<u8>) -> Result<bool, RawError> {
        match self {
            Self::Folder(folder) => folder.replace(key, read, &bytes),
            Self::Bucket(bucket) => bucket.replace(key, read, bytes).await,
        }
    }

    /// Removes all that is kept of an account; how many objects.
    pub async fn remove(&self, account: &AccountId) -> Result<usize, RawError> {
        let keys = self.list(Some(account)).await?;
        for key in &keys {
            match self {
                Self::Folder(folder) => folder.remove(key)?,
                Self::Bucket(bucket) => bucket.remove(key).await?,
            }
        }
        Ok(keys.len())
    }

    /// Erases every message that names a person; `count` only says how many. What cannot be read cannot be searched, and stops
    /// it, so that nobody takes for erased what may still be there.
    pub async fn erase(&self, person: &Person, count: bool) -> Result<Erased, RawError> {
        let mut done = Erased::default();
        for key in self.list(None).await? {
            // Another who erases from the same object comes first: then it is read again.
            while let Some(read) = self.get(&key).await? {
                let mut found = Vec::new();
                for message in bundle::messages(&read.bytes) {
                    let (range, message) = message.map_err(|damaged| RawError(format!("{key}: {damaged}")))?;
                    if person.is_named_in(&message) {
                        found.push(range);
                    }
                }
                let mut bytes = read.bytes.clone();
                found.iter().for_each(|range| bundle::blank(&mut bytes, range.clone()));
                if found.is_empty() || count || self.replace(&key, &read, bytes).await? {
                    done.messages += found.len() as u64;
                    done.places.extend(found.into_iter().map(|range| (key.to_string(), range.start as u64)));
                    break;
                }
            }
        }
        Ok(done)
    }
}

impl Object {
    /// The message that a fact points to; none where it was erased.
    pub fn message(&self, pointer: &Pointer) -> Option<Vec<u8>> {
        let start = usize::try_from(pointer.offset).ok()?;
        bundle::message(&self.bytes, start..start.checked_add(usize::try_from(pointer.length).ok()?)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_objects_stay_in_their_place() {
        let key = Key::new(&"bounces".parse().unwrap(), Timestamp::from_millisecond(1_772_366_400_123).unwrap(), 7, 0);
        assert_eq!(key.as_str(), "bounces/2026-03-01/1772366400123-7-0.mbox.gz");
        assert_eq!(key.as_str().parse::<Key>(), Ok(key));
        for text in [
            "",
            "a/b.mbox.gz",
            "a/../x.mbox.gz",
            "../2026-03-01/x.mbox.gz",
            "/2026-03-01/x.mbox.gz",
            "a/b/c/x.mbox.gz",
            "a/2026-03-01/.mbox.gz",
            "a/2026-03-01/x.gz",
            "a/2026-03-01/x y.mbox.gz",
            "a/2026-03-01/x&amp;.mbox.gz",
        ] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn whoever_is_erased_is_in_no_message_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::Folder(Folder::new(dir.path()));
        let account: AccountId = "bounces".parse().unwrap();
        let mut bundle = Bundle::default();
        let mut encoded = b"Content-Transfer-Encoding: base64\r\n\r\n".to_vec();
        // "jane@example.net is away"
        encoded.extend_from_slice(b"amFuZUBleGFt\r\ncGxlLm5ldCBp\r\ncyBhd2F5\r\n");
        for message in [
            &b"Subject: x\r\n\r\nto <jane@example.net>: no\r\n"[..],
            b"Subject: x\r\n\r\nto <joe@example.net>: no\r\n",
            &encoded,
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\njane=40exam=\r\nple.net\r\n",
            b"Subject: =?utf-8?B?amFuZUBleGFtcGxlLm5ldA==?=\r\n\r\nx\r\n",
        ] {
            bundle.add(message, 0);
        }
        let key = Key::new(&account, Timestamp::UNIX_EPOCH, 1, 0);
        store.put(&key, bundle).await.unwrap();
        let jane = Person::new("Jane@example.net".parse().unwrap());
        let counted = store.erase(&jane, true).await.unwrap();
        assert_eq!((counted.messages, store.erase(&jane, false).await.unwrap()), (4, counted));
        assert_eq!(store.erase(&jane, false).await.unwrap(), Erased::default());
        let object = store.get(&key).await.unwrap().unwrap();
        let left: Vec<_> = bundle::messages(&object.bytes).map(|found| found.unwrap().1).collect();
        assert_eq!(left, [b"Subject: x\r\n\r\nto <joe@example.net>: no\r\n".to_vec()]);
        assert_eq!(store.remove(&account).await.unwrap(), 1);
        assert_eq!(store.list(None).await.unwrap(), []);
    }
}
