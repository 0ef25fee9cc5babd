//! A client assertion signed with a certificate's key (RFC 7523 §2.2 and §3; Microsoft, "Certificate credentials").

use super::answer::bounded;
use super::provider;
use crate::account::App;
use crate::secret::{ExposeSecret, Secret};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// `client_assertion_type` of every assertion (RFC 7523 §2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds that an assertion lives; Microsoft wants five to ten minutes.
const LIFE_SECONDS: i64 = 300;
/// What is shown of one claim; somebody else writes those of a federated token.
const CLAIM_CHARS: usize = 200;

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

/// What an assertion says for the app, beside the audience that is wanted, in words that may be shown: no part of it could be
/// used as it. `None` for what is no JWT.
pub fn shown(assertion: &Secret, wanted: &str) -> Option<String> {
    let mut parts = assertion.expose_secret().split('.');
    let mut part = || serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    let (header, claims) = (part()?, part()?);
    let text = |value: &Value| value.as_str().map(|text| bounded(text, CLAIM_CHARS)).unwrap_or_default();
    // `aud` is one text or several (RFC 7519 §4.1.3).
    let audience = match &claims["aud"] {
        Value::Array(several) => several.iter().take(5).map(text).collect::<Vec<_>>().join(" "),
        one => text(one),
    };
    let (issuer, subject) = (text(&claims["iss"]), text(&claims["sub"]));
    let mut shown = format!("issuer {issuer}, subject {subject}, audience {audience} (wanted: {wanted})");
    if let Ok(thumbprint) = BASE64_URL_SAFE_NO_PAD.decode(text(&header["x5t#S256"]))
        && !thumbprint.is_empty()
    {
        let hex: String = thumbprint.iter().map(|byte| format!("{byte:02X}")).collect();
        shown += &format!(", SHA-256 thumbprint {hex}");
    }
    for (claim, words) in [("nbf", "valid from"), ("exp", "valid until")] {
        if let Some(time) = claims[claim].as_i64().and_then(|second| Timestamp::from_second(second).ok()) {
            shown += &format!(", {words} {time}");
        }
    }
    if !text(&claims["jti"]).is_empty() {
        shown += &format!(", jti {}", text(&claims["jti"]));
    }
    Some(shown)
}

/// `x5t#S256` of a certificate in DER (RFC 7515 §4.1.8).
pub fn thumbprint(der: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, der))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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

    #[test]
    fn what_is_shown_of_it_is_every_claim_and_no_part_of_it() {
        let jwt = |header: Value, claims: Value| -> Secret {
            let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims)).into()
        };
        let own = jwt(
            serde_json::json!({ "x5t#S256": "AQL_" }),
            serde_json::json!({ "iss": "i", "sub": "i", "aud": "a", "nbf": 1_000, "exp": 1_300, "jti": "7" }),
        );
        assert_eq!(
            shown(&own, "w").unwrap(),
            "issuer i, subject i, audience a (wanted: w), SHA-256 thumbprint 0102FF, valid from 1970-01-01T00:16:40Z, \
             valid until 1970-01-01T00:21:40Z, jti 7"
        );
        let several =
            jwt(serde_json::json!({}), serde_json::json!({ "sub": "x\ny", "aud": ["a", "b"], "exp": "soon" }));
        assert_eq!(shown(&several, "w").unwrap(), "issuer , subject x y, audience a b (wanted: w)");
        let long = jwt(serde_json::json!({}), serde_json::json!({ "sub": "s".repeat(10_000) }));
        assert!(shown(&long, "w").unwrap().len() < 300);
        for nonsense in ["", "a.b.c", "no token at all"] {
            assert_eq!(shown(&nonsense.to_owned().into(), "w"), None);
        }
    }
}
