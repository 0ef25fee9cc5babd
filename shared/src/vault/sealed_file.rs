//! Secrets on one machine: a file whose values are each sealed with AES-256-GCM under one key.
//!
//! Name and version are part of what is sealed (associated data), so values cannot be swapped between names or
//! rolled back to another version. A sealed check value tells a wrong key from a damaged file. Writers take a lock
//! beside the file; the file itself is replaced whole, so a reader sees the old one or the new one.

use super::{Name, Put, Vault, VaultError, Version};
use crate::secret::{ExposeSecret, Secret};
use base64::{Engine, prelude::BASE64_STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const CHECK: &str = "rebond vault";
/// Versions of one secret that are kept: the current one, the one before, and one of a writer that crashed.
const KEPT: usize = 3;

/// The key a vault is sealed with: 32 bytes, in base64 where it is written down.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// From base64, as in `REBOND_KEY`.
    pub fn from_base64(text: &Secret) -> Option<Self> {
        BASE64_STANDARD.decode(text.expose_secret().trim()).ok()?.try_into().ok().map(Self)
    }

    /// From a key file of mode 0600, which is made where there is none.
    pub fn from_file(path: &Path) -> Result<Self, VaultError> {
        let refused = |what: String| VaultError::File { file: path.display().to_string(), what };
        match fs::read_to_string(path) {
            Ok(text) => Self::from_base64(&text.into())
                .ok_or_else(|| refused("it holds no key (32 bytes in base64 are wanted)".into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = [0; 32];
                SystemRandom::new().fill(&mut key).map_err(|_| refused("no random bytes to be had".into()))?;
                let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                match made.and_then(|mut file| {
                    file.write_all(BASE64_STANDARD.encode(key).as_bytes())?;
                    file.sync_all()
                }) {
                    Ok(()) => Ok(Self(key)),
                    // Another process made it between the two calls.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::from_file(path),
                    Err(error) => Err(refused(error.to_string())),
                }
            }
            Err(error) => Err(refused(error.to_string())),
        }
    }
}

/// The vault's file.
pub struct SealedFile {
    path: PathBuf,
    key: LessSafeKey,
    random: SystemRandom,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    format: u32,
    check: String,
    secrets: BTreeMap<String, Vec<Sealed>>,
}

/// One value; the last of a list is the current one.
#[derive(Clone, Serialize, Deserialize)]
struct Sealed {
    version: Uuid,
    sealed: String,
}

impl SealedFile {
    /// Opens the vault at `path`; there need be no file yet. A wrong key or a damaged file is an error now.
    pub fn open(path: impl Into<PathBuf>, key: &MasterKey) -> Result<Self, VaultError> {
        let path = path.into();
        let unbound = UnboundKey::new(&AES_256_GCM, &key.0)
            .map_err(|_| VaultError::File { file: path.display().to_string(), what: "the key is unusable".into() })?;
        let vault = Self { path, key: LessSafeKey::new(unbound), random: SystemRandom::new() };
        vault.read().map(|_| vault)
    }

    fn file(&self) -> String {
        self.path.display().to_string()
    }

    fn damaged(&self, what: impl Into<String>) -> VaultError {
        VaultError::Damaged { file: self.file(), what: what.into() }
    }

    fn refused(&self, error: &std::io::Error) -> VaultError {
        VaultError::File { file: self.file(), what: error.to_string() }
    }

    fn seal(&self, aad: &str, plain: &str) -> Result<String, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        let unsealable = |_| VaultError::File { file: self.file(), what: "the value could not be sealed".into() };
        self.random.fill(&mut nonce).map_err(unsealable)?;
        let mut bytes = plain.as_bytes().to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, Aad::from(aad), &mut bytes).map_err(unsealable)?;
        Ok(BASE64_STANDARD.encode([nonce.as_slice(), &bytes].concat()))
    }

    fn unseal(&self, aad: &str, sealed: &str) -> Option<Secret> {
        let mut bytes = BASE64_STANDARD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::from(aad), rest).ok()?;
        Some(String::from_utf8(plain.to_vec()).ok()?.into())
    }

    fn read(&self) -> Result<Contents, VaultError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Contents { format: 1, check: self.seal(CHECK, CHECK)?, ..Contents::default() });
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(self.damaged("it is no text")),
            Err(error) => return Err(self.refused(&error)),
        };
        let contents: Contents = serde_json::from_str(&text).map_err(|error| {
            self.damaged(format!("line {} column {} is not what a vault has there", error.line(), error.column()))
        })?;
        if contents.format != 1 {
            return Err(self.damaged(format!("format {} is not known", contents.format)));
        }
        match self.unseal(CHECK, &contents.check) {
            Some(_) => Ok(contents),
            None => Err(VaultError::WrongKey { file: self.file() }),
        }
    }

    /// Writes the file anew under another name and renames it: never half a vault.
    fn write(&self, contents: &Contents) -> Result<(), VaultError> {
        let text = serde_json::to_vec_pretty(contents).map_err(|error| self.damaged(error.to_string()))?;
        let new = self.path.with_extension("new");
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&new, &self.path))
            .and_then(|()| match self.path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
                _ => Ok(()),
            });
        written.map_err(|error| self.refused(&error))
    }

    /// Changes the contents under the lock; nothing is written when `change` says that nothing changed.
    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<(T, bool), VaultError>) -> Result<T, VaultError> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.with_extension("lock"));
        let lock = lock.map_err(|error| self.refused(&error))?;
        lock.lock().map_err(|error| self.refused(&error))?;
        let mut contents = self.read()?;
        let (value, changed) = change(&mut contents)?;
        if changed {
            self.write(&contents)?;
        }
        Ok(value)
    }
}

fn aad(name: &Name, version: Uuid) -> String {
    format!("{name} {version}")
}

#[async_trait::async_trait]
impl Vault for SealedFile {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        let contents = self.read()?;
        let Some(values) = contents.secrets.get(&name.to_string()) else { return Ok(None) };
        let found = match version {
            Version::Current => values.last(),
            Version::Id(id) => values.iter().find(|value| value.version == id),
        };
        let Some(found) = found else { return Ok(None) };
        match self.unseal(&aad(name, found.version), &found.sealed) {
            Some(secret) => Ok(Some(secret)),
            None => Err(self.damaged(format!("{name} does not open under its own name and version"))),
        }
    }

    async fn put(&self, name: &Name, version: Uuid, value: &Secret) -> Result<Put, VaultError> {
        self.change(|contents| {
            let values = contents.secrets.entry(name.to_string()).or_default();
            if let Some(there) = values.iter().find(|there| there.version == version) {
                let same = self.unseal(&aad(name, version), &there.sealed);
                let same = same.is_some_and(|there| there.expose_secret() == value.expose_secret());
                return Ok((if same { Put::Stored } else { Put::Taken }, false));
            }
            values.push(Sealed { version, sealed: self.seal(&aad(name, version), value.expose_secret())? });
            let excess = values.len().saturating_sub(KEPT);
            values.drain(..excess);
            Ok((Put::Stored, true))
        })
    }

    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.change(|contents| Ok(((), contents.secrets.remove(&name.to_string()).is_some())))
    }
}
