//! Who this process is, in a signed token that an identity provider believes ("Workload identity federation"): what an
//! app with a federated credential proves itself with, so that no secret is kept anywhere.

mod sts;
mod token_file;

pub use sts::Sts;
pub use token_file::TokenFile;

use crate::secret::Secret;

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nothing was set up.
    #[error(
        "this process has no identity of its own: deploy it on AWS, or name a token file as federated-token-file in rebond.toml"
    )]
    None,
    /// AWS STS refused or was not reached.
    #[error("AWS STS gave no token: {0}")]
    Sts(String),
    /// The file is not there, or holds no token.
    #[error("the token file {file}: {what}")]
    File {
        /// Its path.
        file: String,
        /// What is wrong.
        what: String,
    },
}

/// Says who this process is.
#[async_trait::async_trait]
pub trait Identity: Send + Sync {
    /// A token (JWT, RS256: Entra reads no other) for `audience`, good for some minutes.
    async fn token(&self, audience: &str) -> Result<Secret, IdentityError>;
}
