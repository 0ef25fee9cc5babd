//! AWS STS: `GetWebIdentityToken` signs who the function's role is ("Outbound identity federation"). `sub` is the role's
//! ARN, `iss` the account's own issuer URL.

use super::{Identity, IdentityError};
use crate::secret::Secret;
use aws_sdk_sts::Client;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

/// Seconds that a token lives: it is used at once.
const LIFE_SECONDS: i32 = 300;

/// The role of this function, or of whoever runs the command.
#[derive(Clone, Debug)]
pub struct Sts(Client);

impl Sts {
    /// By a client of a region: the global endpoint does not know the operation.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait::async_trait]
impl Identity for Sts {
    async fn token(&self, audience: &str) -> Result<Secret, IdentityError> {
        let ask = self.0.get_web_identity_token().audience(audience).signing_algorithm("RS256");
        let answer = ask.duration_seconds(LIFE_SECONDS).send().await.map_err(|error| {
            let said = match (error.as_service_error(), &error) {
                (Some(said), _) => {
                    format!("{}: {}", said.code().unwrap_or("?"), said.message().unwrap_or("no message"))
                }
                (None, SdkError::TimeoutError(_)) => "no answer in time".to_owned(),
                (None, SdkError::DispatchFailure(_)) => "it was not reached".to_owned(),
                (None, _) => "its answer was not understood".to_owned(),
            };
            IdentityError::Sts(said.chars().take(500).collect())
        })?;
        let token = answer.web_identity_token.filter(|token| !token.is_empty());
        token.map(Secret::from).ok_or_else(|| IdentityError::Sts("an answer without a token".to_owned()))
    }
}
