//! What is in an access token, beside what the mail server wants in it. Nobody decides by it: it explains refusals.

use super::entra;
use crate::account::{Account, App, OpenIdProvider, Protocol, RelayLogin, Tenant};
use crate::secret::{ExposeSecret, Secret};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// A claim beside what is wanted.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Its name.
    pub name: &'static str,
    /// What the token says.
    pub found: String,
    /// What the mail server wants.
    pub wanted: String,
    /// Whether both agree.
    pub good: bool,
}

/// The claims of a JWT (RFC 7519 §3); none for an opaque token. Nobody decides by them: they are for people to read.
pub fn claims(token: &Secret) -> Option<Map<String, Value>> {
    let payload = token.expose_secret().split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

/// Office 365 Exchange Online by its own name, as older tokens carry it in `aud`.
const EXCHANGE: &str = "00000002-0000-0ff1-ce00-000000000000";

/// Microsoft Graph, as the `aud` of older tokens.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// What is in the token beside what opens the mailbox.
pub fn compare(claims: &Map<String, Value>, account: &Account, app: &App, now: i64) -> Vec<Claim> {
    let mut rows = match &app.provider {
        Some(provider) => of_open_id(claims, app, provider),
        None => of_entra(claims, account, app),
    };
    let time = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    rows.push(claim("iat", shown_time(time("iat")), "before now".into(), time("iat") <= now + 300));
    rows.push(claim("exp", shown_time(time("exp")), "after now".into(), time("exp") > now));
    rows
}

/// The permission that lets the token send what is forwarded; none where it is not used for that, or where its provider
/// alone knows.
pub fn to_send(claims: &Map<String, Value>, account: &Account, app: &App) -> Option<Claim> {
    account.forwarding.as_ref().filter(|forwarding| forwarding.login == RelayLogin::Mailbox)?;
    if app.provider.is_some() || account.app().is_none() {
        return None;
    }
    let (of_person, of_app) = entra::SMTP_PERMISSIONS;
    let (name, permission) = if is_of_app(claims) { ("roles", of_app) } else { ("scp", of_person) };
    let found = text(claims, name);
    let good = has(&found, permission);
    Some(claim(name, found, permission.to_owned(), good))
}

/// Whether nobody signed in for it.
fn is_of_app(claims: &Map<String, Value>) -> bool {
    text(claims, "idtyp") == "app" || (claims.contains_key("roles") && !claims.contains_key("scp"))
}

/// Whether a permission is among these words, with or without the service that it is of.
fn has(words: &str, wanted: &str) -> bool {
    words.split(' ').any(|word| word == wanted || word.ends_with(&format!("/{wanted}")))
}

/// Seconds since 1970 for a person; nothing for never.
fn shown_time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) if seconds > 0 => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        _ => String::new(),
    }
}

fn claim(name: &'static str, found: String, wanted: String, good: bool) -> Claim {
    Claim { name, found, wanted, good }
}

fn text(claims: &Map<String, Value>, name: &str) -> String {
    match claims.get(name) {
        Some(Value::String(text)) => text.chars().filter(|c| !c.is_control()).take(300).collect(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).take(20).collect::<Vec<_>>().join(" "),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// RFC 9068 §2.2: who made it, for which client, and what it allows. `aud` is the mail server's own name at its
/// provider, which nobody told us; a claim that is not there is not held against a token that need not have it.
fn of_open_id(claims: &Map<String, Value>, app: &App, provider: &OpenIdProvider) -> Vec<Claim> {
    let iss = text(claims, "iss");
    let good = iss == provider.issuer;
    let mut rows = vec![claim("iss", iss, provider.issuer.clone(), good)];
    if claims.contains_key("aud") {
        rows.push(claim("aud", text(claims, "aud"), "what the mail server calls itself".into(), true));
    }
    for name in ["client_id", "azp"] {
        if claims.contains_key(name) {
            let found = text(claims, name);
            let good = found == app.client_id;
            rows.push(claim(name, found, app.client_id.clone(), good));
        }
    }
    if claims.contains_key("scope") {
        let found = text(claims, "scope");
        // What says who signs in, and keeps the grant alive, need not be in the token for the mailbox.
        let about_person = ["openid", "profile", "email", "offline_access"];
        let wanted: Vec<&str> =
            provider.scopes.iter().map(String::as_str).filter(|scope| !about_person.contains(scope)).collect();
        let good = wanted.iter().all(|scope| found.split(' ').any(|word| word == *scope));
        rows.push(claim("scope", found, wanted.join(" "), good));
    }
    if claims.contains_key("sub") {
        rows.push(claim("sub", text(claims, "sub"), "who signed in".into(), true));
    }
    rows
}

fn of_entra(claims: &Map<String, Value>, account: &Account, app: &App) -> Vec<Claim> {
    let text = |name: &str| text(claims, name);
    let by_app = is_of_app(claims);
    let hosts = entra::hosts(app.cloud);
    let (mail, graph) = (format!("https://{}", hosts.mail), format!("https://{}", hosts.graph));
    let aud = text("aud");
    let wanted = match account.protocol {
        Protocol::Imap | Protocol::Pop3 => vec![hosts.scope, &mail, EXCHANGE],
        Protocol::Graph => vec![graph.as_str(), GRAPH],
    };
    let good = wanted.contains(&aud.trim_end_matches('/'));
    let mut rows = vec![claim("aud", aud, wanted[0].to_owned(), good)];
    let (name, permission) = match by_app {
        true => ("roles", entra::app_role(account.protocol)),
        false => ("scp", entra::user_permission(account.protocol)),
    };
    let found = text(name);
    let good = has(&found, permission);
    rows.push(claim(name, found, permission.to_owned(), good));
    let tid = text("tid");
    let (wanted, good) = match &app.tenant {
        Tenant::Id(id) => (id.to_string(), tid.eq_ignore_ascii_case(&id.to_string())),
        other => (format!("a directory of {other}"), !tid.is_empty()),
    };
    rows.push(claim("tid", tid, wanted, good));
    let appid = if claims.contains_key("appid") { text("appid") } else { text("azp") };
    let good = appid.is_empty() || appid.eq_ignore_ascii_case(&app.client_id);
    rows.push(claim("appid", appid, app.client_id.clone(), good));
    if !by_app {
        let name = if claims.contains_key("upn") { "upn" } else { "preferred_username" };
        let found = text(name);
        let own = found.eq_ignore_ascii_case(&account.mailbox);
        let wanted =
            if own { account.mailbox.clone() } else { format!("{}, or who has full access to it", account.mailbox) };
        rows.push(claim(name, found.clone(), wanted, !found.is_empty()));
    }
    rows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const TENANT: &str = "11111111-1111-4111-8111-111111111111";
    const CLIENT: &str = "33333333-3333-4333-8333-333333333333";

    fn account() -> Account {
        serde_json::from_value(json!({
            "id": "bounces", "enabled": true, "protocol": "imap", "mailbox": "bounces@example.com",
            "server": { "host": "outlook.office365.com", "port": 993, "encryption": "tls" },
            "authentication": { "kind": "oauth-user", "app": "m365" }, "folders": ["INBOX"], "period_seconds": 300,
        }))
        .unwrap()
    }

    fn app() -> App {
        serde_json::from_value(json!({
            "id": "m365", "cloud": "global", "tenant": TENANT, "client_id": CLIENT,
            "redirect_uri": "https://example.com/oauth/callback", "credential": "client-secret",
        }))
        .unwrap()
    }

    /// The claims that differ, by name.
    fn differing(changes: Value) -> Vec<&'static str> {
        let mut claims = json!({
            "aud": "https://outlook.office.com", "scp": "IMAP.AccessAsUser.All SMTP.Send", "tid": TENANT,
            "appid": CLIENT, "upn": "bounces@example.com", "iat": 1_000, "exp": 5_000,
        });
        let object = claims.as_object_mut().unwrap();
        object.extend(changes.as_object().unwrap().clone());
        object.retain(|_, value| !value.is_null());
        compare(object, &account(), &app(), 2_000).into_iter().filter(|c| !c.good).map(|c| c.name).collect()
    }

    #[test]
    fn each_claim_is_shown_beside_what_is_wanted() {
        let none: [&str; 0] = [];
        assert_eq!(differing(json!({})), none);
        assert_eq!(differing(json!({ "aud": EXCHANGE })), none);
        // Bare scopes resolve to Graph, and give a token of the wrong audience.
        assert_eq!(differing(json!({ "aud": "https://graph.microsoft.com" })), ["aud"]);
        assert_eq!(differing(json!({ "scp": "Mail.Read" })), ["scp"]);
        assert_eq!(differing(json!({ "scp": null, "roles": ["IMAP.AccessAsApp"], "upn": null })), none);
        assert_eq!(differing(json!({ "scp": null, "roles": ["full_access_as_app"], "upn": null })), ["roles"]);
        assert_eq!(differing(json!({ "tid": CLIENT })), ["tid"]);
        assert_eq!(differing(json!({ "appid": TENANT })), ["appid"]);
        assert_eq!(differing(json!({ "upn": "alex@example.com" })), none);
        assert_eq!(differing(json!({ "upn": null })), ["preferred_username"]);
        assert_eq!(differing(json!({ "exp": 1_500 })), ["exp"]);
        assert!(claims(&Secret::from("opaque-token".to_owned())).is_none());
    }

    #[test]
    fn another_provider_is_held_to_its_own_words() {
        let mut app = app();
        app.provider = serde_json::from_value(json!({
            "issuer": "https://id.example.com", "authorization_endpoint": "https://id.example.com/a",
            "token_endpoint": "https://id.example.com/t", "scopes": ["openid", "offline_access", "mail"],
        }))
        .unwrap();
        let differing = |changes: Value| -> Vec<&'static str> {
            let mut claims = json!({
                "iss": "https://id.example.com", "aud": "mail", "client_id": CLIENT, "scope": "mail openid",
                "sub": "7", "iat": 1_000, "exp": 5_000,
            });
            let object = claims.as_object_mut().unwrap();
            object.extend(changes.as_object().unwrap().clone());
            object.retain(|_, value| !value.is_null());
            compare(object, &account(), &app, 2_000).into_iter().filter(|c| !c.good).map(|c| c.name).collect()
        };
        let none: [&str; 0] = [];
        assert_eq!(differing(json!({})), none);
        assert_eq!(differing(json!({ "scope": null, "aud": null, "client_id": null })), none);
        assert_eq!(differing(json!({ "iss": "https://id.example.com/" })), ["iss"]);
        assert_eq!(differing(json!({ "client_id": "other" })), ["client_id"]);
        assert_eq!(differing(json!({ "azp": "other" })), ["azp"]);
        assert_eq!(differing(json!({ "scope": "openid calendar" })), ["scope"]);
        assert_eq!(differing(json!({ "exp": 1_500 })), ["exp"]);
    }
}
