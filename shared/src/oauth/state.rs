//! What ties the answer of the provider to the browser that asked.
//!
//! `state` and the cookie are random. The PKCE verifier (RFC 7636 §4.1) and the nonce (OpenID Connect Core
//! §3.1.2.1) are HMACs of both under the signing key, each with a label of its own: nothing secret is stored.

use crate::secret::{ExposeSecret, Secret};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{digest, hmac};

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The deployment's signing key, made from `key/signing` of the vault.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// A key of any length over 32 characters; shorter ones are refused.
    pub fn new(secret: &Secret) -> Option<Self> {
        let bytes = secret.expose_secret().as_bytes();
        (bytes.len() >= 32).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// HMAC over a label and fields; lengths are part of it, so that no two lists of fields collide.
    pub(crate) fn sign(&self, label: &str, fields: &[&str]) -> hmac::Tag {
        hmac::sign(&self.0, &Self::message(label, fields))
    }

    /// A name for something that must not be told, which nobody without the key can guess from it.
    pub fn pseudonym(&self, label: &str, of: &str) -> String {
        self.sign(label, &[of]).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares in constant time.
    pub(super) fn verify(&self, label: &str, fields: &[&str], tag: &[u8]) -> bool {
        hmac::verify(&self.0, &Self::message(label, fields), tag).is_ok()
    }

    fn message(label: &str, fields: &[&str]) -> Vec<u8> {
        let mut message = Vec::new();
        for field in std::iter::once(&label).chain(fields) {
            message.extend((field.len() as u64).to_be_bytes());
            message.extend(field.as_bytes());
        }
        message
    }
}

/// One authorization under way, as the browser and the provider hold it between them.
#[derive(Clone)]
pub struct Pending {
    state: String,
    cookie: String,
}

impl Pending {
    /// Random bytes of the one who calls: the first half becomes `state`, the second the cookie.
    pub fn new(random: &[u8; 64]) -> Self {
        let (state, cookie) = random.split_at(32);
        Self { state: BASE64_URL_SAFE_NO_PAD.encode(state), cookie: BASE64_URL_SAFE_NO_PAD.encode(cookie) }
    }

    /// From what came back: `state` of the query, and the value of the cookie named by [`Pending::cookie_name`].
    pub fn from_browser(state: &str, cookie: &str) -> Self {
        Self { state: state.to_owned(), cookie: cookie.to_owned() }
    }

    /// Sent to the provider, comes back from it.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The cookie's value.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// What the table knows this authorization by.
    pub fn id(&self) -> String {
        sha256_hex(self.state.as_bytes())
    }

    /// What the table keeps of the cookie, so that a foreign browser is refused before any token call.
    pub fn cookie_hash(&self) -> String {
        sha256_hex(self.cookie.as_bytes())
    }

    /// Two tabs work: each authorization has a cookie of its own. `__Host-` wants https (RFC 6265bis §4.1.3.2).
    pub fn cookie_name(id: &str, https: bool) -> String {
        let short = id.get(..8).unwrap_or(id);
        if https { format!("__Host-rebond-{short}") } else { format!("rebond-{short}") }
    }

    /// RFC 7636 §4.1: 43 characters.
    pub fn verifier(&self, key: &SigningKey) -> Secret {
        BASE64_URL_SAFE_NO_PAD.encode(key.sign("pkce", &[&self.state, &self.cookie])).into()
    }

    /// OpenID Connect Core §3.1.2.1.
    pub fn nonce(&self, key: &SigningKey) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(key.sign("nonce", &[&self.state, &self.cookie]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key() -> SigningKey {
        SigningKey::new(&"k".repeat(40).into()).unwrap()
    }

    #[test]
    fn verifier_and_nonce_hang_on_state_cookie_and_key() {
        let pending = Pending::new(&[7; 64]);
        let verifier = |p: &Pending, k: &SigningKey| p.verifier(k).expose_secret().to_owned();
        assert_eq!(verifier(&pending, &key()).len(), 43);
        assert_ne!(verifier(&pending, &key()), pending.nonce(&key()));
        let other_cookie = Pending::from_browser(pending.state(), "x");
        assert_ne!(verifier(&pending, &key()), verifier(&other_cookie, &key()));
        let other_key = SigningKey::new(&"j".repeat(40).into()).unwrap();
        assert_ne!(verifier(&pending, &key()), verifier(&pending, &other_key));
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(key().sign("a", &["bc", "d"]).as_ref(), key().sign("a", &["b", "cd"]).as_ref());
        assert_ne!(key().sign("ab", &["c"]).as_ref(), key().sign("a", &["bc"]).as_ref());
    }

    #[test]
    fn short_keys_are_refused() {
        assert!(SigningKey::new(&"short".into()).is_none());
    }
}
