//! Random tokens and identifiers. A stand-in that cannot draw randomness has no business to answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// `bytes` random bytes as base64url without padding (RFC 4648, section 5).
pub(crate) fn token(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    if SystemRandom::new().fill(&mut buffer).is_err() {
        // Falls back to another source of the same system rather than to predictable bytes.
        buffer = (0..bytes.div_ceil(16)).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).take(bytes).collect();
    }
    URL_SAFE_NO_PAD.encode(buffer)
}

/// A random version 4 UUID in its hyphenated form, as Entra writes trace and correlation identifiers.
pub(crate) fn guid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A number in `low..=high`, evenly enough for a token's lifetime.
pub(crate) fn between(low: u64, high: u64) -> u64 {
    let span = high.saturating_sub(low).saturating_add(1);
    let (drawn, _) = uuid::Uuid::new_v4().as_u64_pair();
    low + drawn % span
}
