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

/// A person (or robot) in a directory. The two ids together are who it is; the name is for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The directory: `tid` at Entra, the issuer elsewhere.
    pub directory: String,
    /// Who it is in the directory: `oid` at Entra, `sub` elsewhere.
    pub subject: String,
    /// How they call themselves; never to decide by.
    pub name: String,
}

impl Principal {
    /// Whether it is the same person, whatever they call themselves now.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.directory, &self.subject) == (&other.directory, &other.subject)
    }
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
    sub: Option<String>,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    nonce: Option<String>,
    tid: Option<Uuid>,
    oid: Option<Uuid>,
    preferred_username: Option<String>,
    email: Option<String>,
}

/// One or several (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// OpenID Connect Core §3.1.3.7, items 3 to 5.
    fn is_for(&self, client_id: &str) -> bool {
        let among = match &self.aud {
            Audience::One(aud) => aud == client_id,
            Audience::Several(several) => several.iter().any(|aud| aud == client_id),
        };
        among && self.azp.as_deref().is_none_or(|azp| azp == client_id)
    }
}

/// Reads and checks an ID token. A flow without a browser of its own has no nonce (RFC 8628): there the device code,
/// which never left this process, ties the answer to the question.
pub fn verify_id_token(
    token: &Secret,
    app: &App,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Principal, IdTokenError> {
    let claims = claims(token.expose_secret()).ok_or(IdTokenError::Unreadable)?;
    if !claims.is_for(&app.client_id) {
        return Err(IdTokenError::NotOurs("aud"));
    }
    if nonce.is_some() && claims.nonce.as_deref() != nonce {
        return Err(IdTokenError::NotOurs("nonce"));
    }
    // Five minutes for clocks that differ.
    if claims.exp.saturating_add(300) < now.as_second() {
        return Err(IdTokenError::NotOurs("exp"));
    }
    let (directory, subject) = match &app.provider {
        Some(provider) => open_id_person(&claims, &provider.issuer)?,
        None => entra_person(&claims, app)?,
    };
    let name = claims.preferred_username.or(claims.email).unwrap_or_default();
    let name = name.chars().filter(|c| !c.is_control()).take(320).collect();
    Ok(Principal { directory, subject, name })
}

/// The issuer names the directory of the person, whatever word stood in the endpoint's URL.
fn entra_person(claims: &Claims, app: &App) -> Result<(String, String), IdTokenError> {
    let (tid, oid) = claims.tid.zip(claims.oid).ok_or(IdTokenError::Unreadable)?;
    let own = App { tenant: Tenant::Id(tid), ..app.clone() };
    if claims.iss != entra::url(&own, "v2.0") {
        return Err(IdTokenError::NotOurs("iss"));
    }
    match entra::admits(&app.tenant, tid) {
        true => Ok((tid.to_string(), oid.to_string())),
        false => Err(IdTokenError::OtherTenant(tid)),
    }
}

/// Google has two names for itself ("OpenID Connect", Validating an ID token).
fn open_id_person(claims: &Claims, issuer: &str) -> Result<(String, String), IdTokenError> {
    let google = issuer == "https://accounts.google.com" && claims.iss == "accounts.google.com";
    if claims.iss != issuer && !google {
        return Err(IdTokenError::NotOurs("iss"));
    }
    // OpenID Connect Core §2: at most 255 ASCII characters.
    let subject = claims.sub.clone().filter(|sub| !sub.is_empty() && sub.len() <= 255);
    Ok((issuer.to_owned(), subject.ok_or(IdTokenError::Unreadable)?))
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::account::OpenIdProvider;

    const TID: &str = "11111111-1111-4111-8111-111111111111";
    const OID: &str = "22222222-2222-4222-8222-222222222222";

    fn app(tenant: &str) -> App {
        let client_id = "33333333-3333-4333-8333-333333333333";
        let redirect_uri = "https://example.com/oauth/callback";
        App::entra("m365".parse().unwrap(), tenant.parse().unwrap(), client_id, redirect_uri)
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
            verify_id_token(&token(changes), &app(tenant), Some("n"), now)
        };
        for tenant in ["common", "organizations", TID, "example.com"] {
            assert_eq!(check(tenant, &[]).unwrap().subject, OID, "{tenant}");
        }
        assert_eq!(check("common", &[("aud", "x".into())]), Err(IdTokenError::NotOurs("aud")));
        assert_eq!(check("common", &[("nonce", "m".into())]), Err(IdTokenError::NotOurs("nonce")));
        assert_eq!(check("common", &[("nonce", serde_json::Value::Null)]), Err(IdTokenError::NotOurs("nonce")));
        assert_eq!(check("common", &[("exp", 699.into())]), Err(IdTokenError::NotOurs("exp")));
        assert_eq!(check("common", &[("iss", "https://evil.example/v2.0".into())]), Err(IdTokenError::NotOurs("iss")));
        assert!(matches!(check("consumers", &[]), Err(IdTokenError::OtherTenant(_))));
        assert!(matches!(check(OID, &[]), Err(IdTokenError::OtherTenant(_))));
        assert_eq!(check("common", &[("tid", "x".into())]), Err(IdTokenError::Unreadable));
        assert_eq!(verify_id_token(&"nonsense".into(), &app("common"), Some("n"), now), Err(IdTokenError::Unreadable));
        assert!(verify_id_token(&token(&[("nonce", serde_json::Value::Null)]), &app("common"), None, now).is_ok());
    }

    #[test]
    fn another_provider_names_people_by_issuer_and_sub() {
        let now = Timestamp::from_second(1_000).unwrap();
        let check = |issuer: &str, changes: &[(&str, serde_json::Value)]| {
            let provider = OpenIdProvider {
                issuer: issuer.into(),
                authorization_endpoint: String::new(),
                token_endpoint: String::new(),
                device_authorization_endpoint: None,
                basic: false,
                scopes: vec![],
                extra: vec![],
            };
            let app = App { provider: Some(provider), ..app("common") };
            let mut all = vec![("iss", issuer.into()), ("sub", "7".into()), ("tid", serde_json::Value::Null)];
            all.extend_from_slice(changes);
            verify_id_token(&token(&all), &app, Some("n"), now)
        };
        let own = "https://id.example.com";
        let who = check(own, &[]).unwrap();
        assert_eq!((who.directory.as_str(), who.subject.as_str()), (own, "7"));
        let ours = app("common").client_id;
        assert!(check(own, &[("aud", serde_json::json!([ours, "other"])), ("azp", ours.clone().into())]).is_ok());
        assert_eq!(
            check(own, &[("aud", serde_json::json!([ours, "other"])), ("azp", "other".into())]),
            Err(IdTokenError::NotOurs("aud"))
        );
        assert_eq!(check(own, &[("iss", "https://evil.example".into())]), Err(IdTokenError::NotOurs("iss")));
        assert_eq!(check(own, &[("iss", "id.example.com".into())]), Err(IdTokenError::NotOurs("iss")));
        assert_eq!(check(own, &[("sub", "".into())]), Err(IdTokenError::Unreadable));
        assert!(check("https://accounts.google.com", &[("iss", "accounts.google.com".into())]).is_ok());
    }
}
