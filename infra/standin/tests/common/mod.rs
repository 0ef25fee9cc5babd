//! A world for the tests: the identity provider, an app whose callback only answers, and the app's calls.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rebond_standin::person::{Browser, Walk};
use rebond_standin::{Entra, Person, Settings};
use serde_json::Value;
use url::{Url, form_urlencoded};

pub const SCOPE: &str = "openid profile email offline_access https://outlook.office.com/IMAP.AccessAsUser.All";
pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-000";

pub struct World {
    pub entra: Entra,
    pub redirect_uri: String,
    pub client_id: String,
    pub secret: String,
    pub tenant: String,
}

impl World {
    /// The demo's settings, changed.
    pub async fn start(change: impl FnOnce(&mut Settings)) -> World {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let redirect_uri = format!("http://localhost:{}/oauth/callback", listener.local_addr().unwrap().port());
        let callback = axum::Router::new().route("/oauth/callback", axum::routing::get(|| async { "back at the app" }));
        tokio::spawn(async move { axum::serve(listener, callback).await });
        let mut settings = Settings::demo(&redirect_uri);
        change(&mut settings);
        let client_id = settings.apps[0].client_id.clone();
        let secret = settings.apps[0].secrets[0].value.clone();
        let tenant = settings.tenants[0].id.clone();
        World { entra: Entra::start(settings).await.unwrap(), redirect_uri, client_id, secret, tenant }
    }

    pub fn authorize(&self, tenant: &str, changes: &[(&str, &str)]) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(digest);
        let base = [
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", &self.redirect_uri),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("state", "state-1"),
            ("nonce", "nonce-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        format!("{}/{tenant}/oauth2/v2.0/authorize?{}", self.entra.url(), changed(&base, changes))
    }

    /// The token endpoint's status and JSON.
    pub async fn token(&self, tenant: &str, base: &[(&str, &str)], changes: &[(&str, &str)]) -> (u16, Value) {
        let own = [("client_id", self.client_id.as_str()), ("client_secret", &self.secret)];
        let whole: Vec<_> = own.into_iter().chain(base.iter().copied()).collect();
        let body = changed(&whole, changes);
        let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.entra.url());
        let (status, body) = Browser::new().unwrap().post(&url, &form).await.unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    pub async fn code(&self) -> String {
        let walk = person(true).walk(&self.authorize("common", &[])).await.unwrap();
        query(&walk, "code").expect("a code")
    }

    pub async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", VERIFIER),
        ];
        self.token("common", &form, changes).await
    }

    pub async fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        self.token("common", &[("grant_type", "refresh_token"), ("refresh_token", token)], changes).await
    }

    /// A whole connection; the token answer.
    pub async fn connect(&self) -> Value {
        let (status, answer) = self.redeem(&self.code().await, &[]).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

/// Replaces the value of a name; an empty value removes it.
fn changed(base: &[(&str, &str)], changes: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in base {
        if !changes.iter().any(|(other, _)| other == name) {
            form.append_pair(name, value);
        }
    }
    form.extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty())).finish()
}

pub fn person(consents: bool) -> Person {
    Person { upn: "bounces@example.org".into(), password: "correct horse".into(), consents }
}

pub fn query(walk: &Walk, name: &str) -> Option<String> {
    Url::parse(&walk.url).unwrap().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The claims of a JWT, unverified.
pub fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
