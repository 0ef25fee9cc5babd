//! Where secrets are kept: AWS Secrets Manager, or a sealed file on one machine; and AWS KMS, which signs with a key that
//! nobody can read.

mod kms;
mod sealed_file;
mod secrets_manager;

pub use kms::{Kms, KmsError};
pub use sealed_file::{MasterKey, SealedFile};
pub use secrets_manager::SecretsManager;

use crate::account::{AccountId, AppId, EndpointId};
use crate::oauth::SigningKey;
use crate::secret::Secret;
use std::fmt;
use uuid::Uuid;

/// The name of a secret below the deployment's own prefix, so that a policy can name a kind by `{stack}/grant/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// What an app proves itself with.
    App(AppId),
    /// The grant of an `oauth-user` account.
    Grant(AccountId),
    /// The password of a `password` account.
    Password(AccountId),
    /// The password of the server that takes what an account forwards.
    Relay(AccountId),
    /// What an endpoint is spoken to with: signing secrets, or a password.
    Endpoint(EndpointId),
    /// The key of the API of another deployment.
    Instance(AccountId),
    /// The deployment's own signing key.
    SigningKey,
    /// A secret of AWS Secrets Manager that somebody else keeps, by its ARN: it can be read, and nothing else.
    Foreign(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(id) => write!(f, "app/{id}"),
            Self::Grant(id) => write!(f, "grant/{id}"),
            Self::Password(id) => write!(f, "password/{id}"),
            // Below the passwords, where whoever polls may read; no account's name has a dot.
            Self::Relay(id) => write!(f, "password/{id}.relay"),
            Self::Endpoint(id) => write!(f, "endpoint/{id}"),
            Self::Instance(id) => write!(f, "instance/{id}"),
            Self::SigningKey => f.write_str("key/signing"),
            Self::Foreign(arn) => f.write_str(arn),
        }
    }
}

/// Which value of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The last one put (`AWSCURRENT`).
    Current,
    /// The one put under this id.
    Id(Uuid),
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The value is durable now, under the id given.
    Stored,
    /// Another value stands under that id already: somebody else won.
    Taken,
}

/// The vault could not do its job.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Not reached, throttled, refused.
    #[error("the vault could not be asked for {name}: {said}")]
    Service {
        /// Which secret, without the deployment's prefix.
        name: String,
        /// The service's words; values are never part of them.
        said: String,
    },
    /// The key that the file was sealed with is another one.
    #[error("the vault {file} was sealed with another key: set REBOND_KEY, or put the right key file beside it")]
    WrongKey {
        /// The vault's file.
        file: String,
    },
    /// The file is truncated or was changed by somebody else.
    #[error("the vault {file} is damaged ({what}): restore it from a backup; nothing was overwritten")]
    Damaged {
        /// The vault's file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// There is no usable signing key.
    #[error("there is no signing key in the vault, or it has fewer than 32 characters")]
    NoSigningKey,
    /// The file system refused.
    #[error("the vault {file}: {what}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        what: String,
    },
}

/// Secrets by name and version.
#[async_trait::async_trait]
pub trait Vault: Send + Sync {
    /// One value; none when there is no such secret or version.
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError>;

    /// Stores a value under a version id and makes it the current one. The same value under the same id again is
    /// a success; another value under the same id is refused, and the first stands.
    async fn put(&self, name: &Name, version: Uuid, value: &Secret) -> Result<Put, VaultError>;

    /// Removes a secret with all its versions, at once.
    async fn remove(&self, name: &Name) -> Result<(), VaultError>;
}

/// What is asked of a secret that is not ours, or not here.
fn not_ours(name: &Name, said: &str) -> VaultError {
    VaultError::Service { name: name.to_string(), said: said.to_owned() }
}

/// The deployment's signing key; the template generates it on AWS, the first start on one machine.
pub async fn signing_key(vault: &dyn Vault) -> Result<SigningKey, VaultError> {
    let secret = vault.get(&Name::SigningKey, Version::Current).await?;
    secret.as_ref().and_then(SigningKey::new).ok_or(VaultError::NoSigningKey)
}
