//! What the token endpoint answers: tokens, or a refusal in its words (RFC 6749 §5.1, §5.2, and Entra's additions).

use crate::secret::{ExposeSecret, Secret};
use jiff::{SignedDuration, Timestamp};
use oauth2::basic::BasicTokenType;
use oauth2::{ErrorResponse, ExtraTokenFields, StandardTokenResponse, TokenResponse as _};
use serde::{Deserialize, Serialize};

/// A refusal. `error` and `suberror` decide what follows; the numbers only pick the advice, because
/// "applications that depend on text or error code numbers" break when Microsoft changes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// RFC 6749 §5.2, §4.1.2.1.
    pub error: String,
    /// `AADSTSnnnnn: … Trace ID: … Correlation ID: … Timestamp: …`.
    #[serde(default)]
    pub error_description: String,
    /// Entra's numbers.
    #[serde(default)]
    pub error_codes: Vec<u32>,
    /// Entra's finer word: `consent_required`, `bad_token`, `token_expired`, …
    #[serde(default)]
    pub suberror: Option<String>,
    /// For Microsoft's support.
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// Not the provider's: what our assertion said, where the refusal may be of it ([`super::assertion::shown`]).
    #[serde(skip)]
    pub presented: Option<String>,
}

impl ErrorResponse for Refusal {}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error, self.first_sentence())?;
        match &self.presented {
            Some(presented) => write!(f, " (we presented {presented})"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// A refusal of which the error, its description and Entra's finer word are all that was said, as in the query of a
    /// redirect (there the word is called `error_subcode`: Microsoft, "OAuth 2.0 authorization code flow").
    pub fn of_words(error: &str, description: Option<&str>, suberror: Option<&str>) -> Self {
        let owned = |text: &str| text.to_owned();
        let error_description = description.map(owned).unwrap_or_default();
        let suberror = suberror.filter(|word| !word.is_empty()).map(owned);
        Self { error: owned(error), error_description, suberror, ..Self::default() }.bounded()
    }

    /// Whether it may be a refusal of how the app proved itself (RFC 7521 §4.2.1; Entra has been seen to call an assertion
    /// that it does not know an `invalid_request`).
    pub fn is_of_client(&self) -> bool {
        matches!(self.error.as_str(), "invalid_client" | "unauthorized_client" | "invalid_request")
    }

    /// Bounds every field; what a provider sends may be anything.
    pub fn bounded(mut self) -> Self {
        self.error = bounded(&self.error, 100);
        self.error_description = bounded(&self.error_description, 1_000);
        self.error_codes.truncate(10);
        self.suberror = self.suberror.map(|text| bounded(&text, 100));
        self.correlation_id = self.correlation_id.map(|text| bounded(&text, 100));
        self
    }

    /// Without the secrets that were sent, which a provider may repeat in its words.
    pub fn without(mut self, secrets: &[Secret]) -> Self {
        let texts = [Some(&mut self.error), Some(&mut self.error_description), self.suberror.as_mut()];
        for text in texts.into_iter().chain([self.correlation_id.as_mut()]).flatten() {
            for secret in secrets.iter().map(Secret::expose_secret).filter(|secret| !secret.is_empty()) {
                if text.contains(secret) {
                    *text = text.replace(secret, "[redacted]");
                }
            }
        }
        self
    }

    /// The number that picks the advice: of `error_codes`, or else of the description.
    pub fn aadsts(&self) -> Option<u32> {
        self.error_codes.first().copied().or_else(|| {
            let digits = self.error_description.split("AADSTS").nth(1)?;
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        })
    }

    /// The description without trace and correlation ids.
    pub fn first_sentence(&self) -> &str {
        self.error_description.split(" Trace ID:").next().unwrap_or_default().lines().next().unwrap_or_default().trim()
    }
}

pub(super) fn bounded(text: &str, chars: usize) -> String {
    text.chars().take(chars).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What Entra adds to RFC 6749 §5.1.
#[derive(Clone, Deserialize, Serialize)]
pub struct Extra {
    #[serde(default)]
    id_token: Option<String>,
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra")
    }
}

impl ExtraTokenFields for Extra {}

/// The answer as `oauth2` reads it.
pub type TokenResponse = StandardTokenResponse<Extra, BasicTokenType>;

/// Tokens, checked and with an absolute end.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For the mailbox.
    pub access_token: Secret,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// The next refresh token; none when the provider did not rotate it (RFC 6749 §6 allows that).
    pub refresh_token: Option<Secret>,
    /// Scopes granted, where stated.
    pub scope: Option<String>,
    /// Who signed in (OpenID Connect).
    pub id_token: Option<Secret>,
}

/// Takes an answer over. `expires_in` is bounded to a minute and a day; without one, an hour is assumed.
pub fn accept(answer: &TokenResponse, now: Timestamp) -> Tokens {
    let seconds = answer.expires_in().map_or(3_600, |life| life.as_secs().clamp(60, 86_400));
    Tokens {
        access_token: answer.access_token().secret().clone().into(),
        expires_at: now
            .saturating_add(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(3_600)))
            .unwrap_or(now),
        refresh_token: answer.refresh_token().map(|token| token.secret().clone().into()),
        scope: answer.scopes().map(|scopes| scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" ")),
        id_token: answer.extra_fields().id_token.clone().map(Secret::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_comes_from_the_list_or_the_description() {
        let said = |codes: &[u32], text: &str| {
            Refusal { error_codes: codes.to_vec(), error_description: text.into(), ..Refusal::default() }.aadsts()
        };
        assert_eq!(said(&[700082], "AADSTS1: x"), Some(700082));
        assert_eq!(said(&[], "AADSTS65004: User declined to consent. Trace ID: 1"), Some(65004));
        assert_eq!(said(&[], "something else"), None);
        assert_eq!(said(&[], "AADSTS: none"), None);
    }
}
