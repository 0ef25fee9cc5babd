//! AWS STS: `GetWebIdentityToken` signs who the function's role is ("Outbound identity federation"). `sub` is the role's
//! ARN, `iss` the account's own issuer URL.

use super::{Identity, IdentityError};
use crate::deployment::signed::{Request, Signed, between};
use crate::secret::Secret;
use std::sync::Arc;

/// Seconds that a token lives: it is used at once.
const LIFE_SECONDS: &str = "300";

/// The role of this function, or of whoever runs the command.
#[derive(Clone)]
pub struct Sts(Arc<Signed>);

impl Sts {
    /// Asked in the region of this process: the global endpoint does not know the operation.
    pub fn new(signed: Arc<Signed>) -> Self {
        Self(signed)
    }
}

#[async_trait::async_trait]
impl Identity for Sts {
    async fn token(&self, audience: &str) -> Result<Secret, IdentityError> {
        let form = [
            ("Action", "GetWebIdentityToken"),
            ("Version", "2011-06-15"),
            ("Audience.member.1", audience),
            ("SigningAlgorithm", "RS256"),
            ("DurationSeconds", LIFE_SECONDS),
        ];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request {
            service: "sts",
            host: "sts",
            variable: "STS",
            region: None,
            method: "POST",
            path: "",
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())],
            body: form.into_bytes(),
        };
        let answer = self.0.call(request).await.map_err(|fault| IdentityError::Sts(fault.said))?;
        // A token has no character that XML would write in another way.
        match between(&answer, "WebIdentityToken").map(str::trim).filter(|token| !token.is_empty()) {
            Some(token) => Ok(Secret::from(token.to_owned())),
            None => Err(IdentityError::Sts("an answer without a token".to_owned())),
        }
    }
}
