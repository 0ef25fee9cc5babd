//! Standard Webhooks 1.0: what a request is signed with, so that a receiver can tell that it is ours, whole and fresh.

use crate::account::Invalid;
use crate::secret::{ExposeSecret, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a signing secret begins with.
const PREFIX: &str = "whsec_";

/// One signing secret: `whsec_` and 24 to 64 bytes in base64.
pub struct WebhookKey(hmac::Key);

/// The secrets of an endpoint, the current one first: while one is replaced by another, both sign.
pub struct WebhookKeys(Vec<WebhookKey>);

impl WebhookKey {
    /// A new secret of 32 random bytes, as text.
    pub fn generate(random: &[u8; 32]) -> Secret {
        Secret::from(format!("{PREFIX}{}", STANDARD.encode(random)))
    }

    fn parse(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid("a signing secret is whsec_ and 24 to 64 bytes in base64".to_owned());
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).ok_or_else(refused)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(refused());
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl WebhookKeys {
    /// Reads one secret, or several with a space between them.
    pub fn parse(secret: &Secret) -> Result<Self, Invalid> {
        let keys: Vec<WebhookKey> =
            secret.expose_secret().split_whitespace().map(WebhookKey::parse).collect::<Result<_, _>>()?;
        match keys.len() {
            1..=2 => Ok(Self(keys)),
            _ => Err(Invalid("an endpoint has one signing secret, or two while one is replaced".to_owned())),
        }
    }

    /// `webhook-signature` for a body told under an id at a time (seconds since 1970).
    pub fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let signed = format!("{id}.{at}.{body}");
        let each = self.0.iter().map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(&key.0, signed.as_bytes()))));
        each.collect::<Vec<_>>().join(" ")
    }
}
