//! Kept mail on one machine: a folder for each account and day, a file for each object.

use super::{Key, Object, RawError};
use crate::account::AccountId;
use crate::limits;
use jiff::civil::Date;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of kept mail.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// In this folder, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn refused(path: &Path, error: &io::Error) -> RawError {
        RawError(format!("{}: {error}", path.display()))
    }

    pub(super) fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), RawError> {
        let path = self.path(key);
        write(&path, bytes).map_err(|error| Self::refused(&path, &error))
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Object>, RawError> {
        let path = self.path(key);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| {
            let most = limits::RAW_OBJECT_BYTES as u64;
            file.take(most).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => Ok(Some(Object { bytes, tag: None })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Self::refused(&path, &error)),
        }
    }

    /// Writes an object over what it was read as; `false` when it is another now. Two processes at once take turns.
    pub(super) fn replace(&self, key: &Key, read: &Object, bytes: &[u8]) -> Result<bool, RawError> {
        let lock = self.root.join("lock");
        let locked = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let locked = locked.and_then(|file| file.lock().map(|()| file));
        let _turn = locked.map_err(|error| Self::refused(&lock, &error))?;
        if self.get(key)?.is_none_or(|now| now.bytes != read.bytes) {
            return Ok(false);
        }
        self.put(key, bytes).map(|()| true)
    }

    pub(super) fn list(&self, account: Option<&AccountId>) -> Result<Vec<Key>, RawError> {
        let mut found = Vec::new();
        for of_account in entries(&self.root)? {
            if !of_account.is_dir() || account.is_some_and(|only| name(&of_account) != only.as_str()) {
                continue;
            }
            for day in entries(&of_account)? {
                for file in if day.is_dir() { entries(&day)? } else { vec![] } {
                    let parts = [name(&of_account), name(&day), name(&file)];
                    found.extend(parts.join("/").parse::<Key>());
                }
            }
        }
        Ok(found)
    }

    pub(super) fn remove(&self, key: &Key) -> Result<(), RawError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Self::refused(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Removes what was kept before a day; how many days of accounts that were.
    pub fn sweep(&self, before: Date) -> Result<u64, RawError> {
        let mut removed = 0;
        for of_account in entries(&self.root)? {
            for day in if of_account.is_dir() { entries(&of_account)? } else { vec![] } {
                if name(&day).parse::<Date>().is_ok_and(|date| date < before) {
                    fs::remove_dir_all(&day).map_err(|error| Self::refused(&day, &error))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What is in a folder, by name; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, RawError> {
    let found = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(error),
    };
    let mut found = found.map_err(|error| Folder::refused(folder, &error))?;
    found.sort();
    Ok(found)
}

/// Durable when it is done: under another name first, then renamed.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let is_new = !folder.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()?;
    // The first of a day: its folder, and the account's, may be new, too.
    for parent in folder.ancestors().skip(1).take(if is_new { 2 } else { 0 }) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn objects_are_kept_found_and_swept_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("raw"));
        let key = |text: &str| text.parse::<Key>().unwrap();
        assert_eq!(folder.list(None).unwrap(), []);
        assert!(folder.get(&key("a/2026-03-01/1-2-0.mbox.gz")).unwrap().is_none());
        for name in ["a/2026-03-01/1-2-0.mbox.gz", "a/2026-03-02/3-2-0.mbox.gz", "b/2026-03-01/1-2-0.mbox.gz"] {
            folder.put(&key(name), name.as_bytes()).unwrap();
        }
        fs::write(dir.path().join("raw/a/2026-03-01/half.new"), "torn").unwrap();
        fs::create_dir(dir.path().join("raw/a/notes")).unwrap();
        let names = |account: Option<&str>| {
            let account = account.map(|id| id.parse().unwrap());
            folder.list(account.as_ref()).unwrap().iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(Some("b")), ["b/2026-03-01/1-2-0.mbox.gz"]);
        assert_eq!(names(None).len(), 3);
        let first = key("a/2026-03-01/1-2-0.mbox.gz");
        let read = folder.get(&first).unwrap().unwrap();
        assert!(folder.replace(&first, &read, b"new").unwrap());
        assert!(!folder.replace(&first, &read, b"newer").unwrap(), "it is another now");
        assert_eq!(folder.get(&first).unwrap().unwrap().bytes, b"new");
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("raw/a"), mode("raw/a/2026-03-01/1-2-0.mbox.gz")), (0o700, 0o600));
        assert_eq!(folder.sweep("2026-03-02".parse().unwrap()).unwrap(), 2);
        assert_eq!(names(None), ["a/2026-03-02/3-2-0.mbox.gz"]);
        assert!(dir.path().join("raw/a/notes").exists());
        folder.remove(&key("a/2026-03-02/3-2-0.mbox.gz")).unwrap();
        folder.remove(&key("a/2026-03-02/3-2-0.mbox.gz")).unwrap();
        assert_eq!(names(None), [""; 0]);
    }
}
