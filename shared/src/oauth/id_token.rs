//! Who signed in: `tid` and `oid` of the ID token. An e-mail address proves nothing.
//!
//! The token comes from the token endpoint itself over TLS, so its signature need not be checked
//! (OpenID Connect Core §3.1.3.7, item 6); issuer, audience, end and nonce are.

use super::entra;
use crate::account::{App, Tenant};
use crate::secret::{ExposeSecret, Secret};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A person (or robot) in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The directory.
    pub tid: Uuid,
    /// The object in it.
    pub oid: Uuid,
    /// How they call themselves; for people to read, never to decide by.
    pub name: String,
}

/// An ID token that does not prove who signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is no JWT with the claims we need.
    #[error("the provider's answer does not say who signed in")]
    Unreadable,
    /// Another issuer, audience or nonce, or past its end.
    #[error("the provider's answer was not made for this sign-in ({0})")]
    NotOurs(&'static str),
    /// Somebody of another directory.
    #[error("the person who signed in belongs to another directory ({0}) than the app was registered for")]
    OtherTenant(Uuid),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    nonce: Option<String>,
    tid: Uuid,
    oid: Uuid,
    preferred_username: Option<String>,
    email: Option<String>,
}

/// Reads and checks an ID token.
pub fn verify_id_token(token: &Secret, app: &App, nonce: &str, now: Timestamp) -> Result<Principal, IdTokenError> {
    let claims = claims(token.expose_secret()).ok_or(IdTokenError::Unreadable)?;
    if claims.aud != app.client_id {
        return Err(IdTokenError::NotOurs("aud"));
    }
    if claims.nonce.as_deref() != Some(nonce) {
        return Err(IdTokenError::NotOurs("nonce"));
    }
    // Five minutes for clocks that differ.
    if claims.exp + 300 < now.as_second() {
        return Err(IdTokenError::NotOurs("exp"));
    }
    // The issuer names the directory of the person, whatever word stood in the endpoint's URL.
    let own = App { tenant: Tenant::Id(claims.tid), ..app.clone() };
    if claims.iss != entra::url(&own, "v2.0") {
        return Err(IdTokenError::NotOurs("iss"));
    }
    if !entra::admits(&app.tenant, claims.tid) {
        return Err(IdTokenError::OtherTenant(claims.tid));
    }
    let name = claims.preferred_username.or(claims.email).unwrap_or_default();
    Ok(Principal {
        tid: claims.tid,
        oid: claims.oid,
        name: name.chars().filter(|c| !c.is_control()).take(320).collect(),
    })
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::account::{Cloud, Credential};

    const TID: &str = "11111111-1111-4111-8111-111111111111";
    const OID: &str = "22222222-2222-4222-8222-222222222222";

    fn app(tenant: &str) -> App {
        App {
            id: "m365".parse().unwrap(),
            cloud: Cloud::Global,
            tenant: tenant.parse().unwrap(),
            client_id: "33333333-3333-4333-8333-333333333333".into(),
            redirect_uri: "https://example.com/oauth/callback".into(),
            credential: Credential::ClientSecret,
            authority: None,
        }
    }

    fn token(changes: &[(&str, serde_json::Value)]) -> Secret {
        let mut claims = serde_json::json!({
            "iss": format!("https://login.microsoftonline.com/{TID}/v2.0"), "aud": app("common").client_id,
            "exp": 2_000, "nonce": "n", "tid": TID, "oid": OID, "preferred_username": "bounce@example.com",
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("e30.{payload}.sig").into()
    }

    #[test]
    fn each_claim_is_checked() {
        let now = Timestamp::from_second(1_000).unwrap();
        let check = |tenant: &str, changes: &[(&str, serde_json::Value)]| {
            verify_id_token(&token(changes), &app(tenant), "n", now)
        };
        for tenant in ["common", "organizations", TID, "example.com"] {
            assert_eq!(check(tenant, &[]).unwrap().oid.to_string(), OID, "{tenant}");
        }
        assert_eq!(check("common", &[("aud", "x".into())]), Err(IdTokenError::NotOurs("aud")));
        assert_eq!(check("common", &[("nonce", "m".into())]), Err(IdTokenError::NotOurs("nonce")));
        assert_eq!(check("common", &[("nonce", serde_json::Value::Null)]), Err(IdTokenError::NotOurs("nonce")));
        assert_eq!(check("common", &[("exp", 699.into())]), Err(IdTokenError::NotOurs("exp")));
        assert_eq!(check("common", &[("iss", "https://evil.example/v2.0".into())]), Err(IdTokenError::NotOurs("iss")));
        assert!(matches!(check("consumers", &[]), Err(IdTokenError::OtherTenant(_))));
        assert!(matches!(check(OID, &[]), Err(IdTokenError::OtherTenant(_))));
        assert_eq!(check("common", &[("tid", "x".into())]), Err(IdTokenError::Unreadable));
        assert_eq!(verify_id_token(&"nonsense".into(), &app("common"), "n", now), Err(IdTokenError::Unreadable));
    }
}
