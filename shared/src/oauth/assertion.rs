//! A client assertion signed with a certificate's key (RFC 7523 §2.2 and §3; Microsoft, "Certificate credentials").

use super::provider;
use crate::account::App;
use crate::secret::Secret;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use uuid::Uuid;

/// `client_assertion_type` of every assertion (RFC 7523 §2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds that an assertion lives; Microsoft wants five to ten minutes.
const LIFE_SECONDS: i64 = 300;

/// An assertion that proves the app at its own token endpoint, as far as it is signed; `jti` is new for each.
pub fn unsigned(app: &App, thumbprint: &str, jti: Uuid, now: Timestamp) -> String {
    let now = now.as_second();
    let header = serde_json::json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint });
    let claims = serde_json::json!({
        "aud": provider::token_endpoint(app), "iss": app.client_id, "sub": app.client_id, "jti": jti.to_string(),
        "nbf": now, "iat": now, "exp": now + LIFE_SECONDS,
    });
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The whole of it with its RSASSA-PSS signature with SHA-256 (PS256, RFC 7518 §3.5).
pub fn signed(unsigned: &str, signature: &[u8]) -> Secret {
    format!("{unsigned}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)).into()
}

/// `x5t#S256` of a certificate in DER (RFC 7515 §4.1.8).
pub fn thumbprint(der: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, der))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret::ExposeSecret;

    #[test]
    fn it_says_who_for_whom_and_how_long() {
        let id = "33333333-3333-4333-8333-333333333333";
        let app =
            App::entra("a".parse().unwrap(), "example.com".parse().unwrap(), id, "https://example.com/oauth/callback");
        let now = Timestamp::from_second(1_000).unwrap();
        let assertion = signed(&unsigned(&app, "dGh1bWI", Uuid::from_u128(7), now), b"eyJ");
        let assertion = assertion.expose_secret().to_owned();
        let parts: Vec<Vec<u8>> =
            assertion.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let json = |part: usize| serde_json::from_slice::<serde_json::Value>(&parts[part]).unwrap();
        assert_eq!(json(0), serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": "dGh1bWI"}));
        let claims = json(1);
        assert_eq!(claims["aud"], "https://login.microsoftonline.com/example.com/oauth2/v2.0/token");
        assert_eq!((&claims["iss"], &claims["sub"]), (&id.into(), &id.into()));
        assert_eq!((&claims["nbf"], &claims["exp"]), (&1_000.into(), &1_300.into()));
        assert_eq!(claims["jti"], Uuid::from_u128(7).to_string());
        assert_eq!(parts[2], b"eyJ");
    }
}
