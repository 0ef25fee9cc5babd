//! Providers other than Entra: what their discovery document says, and the quirks of those we know, a row each.

use crate::account::{Invalid, OpenIdProvider, Protocol};
use serde::Deserialize;
use url::Url;

/// What differs from the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// What the operator calls it.
    pub name: &'static str,
    /// Its issuer.
    pub issuer: &'static str,
    /// POP3, where it is always the same host.
    pop3: Option<&'static str>,
    /// IMAP, where it is always the same host.
    pub mail: Option<&'static str>,
    /// What is asked of a person.
    scopes: &'static [&'static str],
    /// What the authorization request carries beside the standard.
    extra: &'static [(&'static str, &'static str)],
    /// Whether device codes are given for a mailbox.
    device: bool,
}

/// The providers we know.
pub const KNOWN: &[Quirks] = &[Quirks {
    name: "google",
    issuer: "https://accounts.google.com",
    mail: Some("imap.gmail.com"),
    pop3: Some("pop.gmail.com"),
    // "Choose Gmail API scopes": IMAP wants the whole of it. There is no offline_access; a refresh token comes with
    // access_type=offline, and again only with prompt=consent ("Using OAuth 2.0 for Web Server Applications").
    scopes: &["openid", "email", "https://mail.google.com/"],
    extra: &[("access_type", "offline"), ("prompt", "consent")],
    // "OAuth 2.0 for TV and Limited-Input Device Applications", allowed scopes: none of mail.
    device: false,
}];

impl Quirks {
    /// Where mail is, by protocol.
    pub(super) fn mail_host(&self, protocol: Protocol) -> Option<&'static str> {
        match protocol {
            Protocol::Imap => self.mail,
            Protocol::Pop3 => self.pop3,
            Protocol::Graph => None,
        }
    }
}

/// The row of an issuer.
pub fn quirks(issuer: &str) -> Option<&'static Quirks> {
    KNOWN.iter().find(|row| row.issuer == issuer)
}

/// The issuer that a word or URL on the command line means.
pub fn issuer(word: &str) -> Result<String, Invalid> {
    if let Some(row) = KNOWN.iter().find(|row| row.name == word) {
        return Ok(row.issuer.to_owned());
    }
    let issuer = word.trim_end_matches("/.well-known/openid-configuration");
    match Url::parse(issuer) {
        Ok(url) if is_safe(&url) && url.query().is_none() && url.fragment().is_none() => Ok(issuer.to_owned()),
        _ => Err(Invalid(format!("{word:?} is no provider: say entra, google, or an issuer's https URL"))),
    }
}

/// Where an issuer's discovery document is (OpenID Connect Discovery 1.0 §4).
pub fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
}

/// Reads a discovery document of `issuer`; `mail_scopes` are what the mailbox needs where we do not know it.
pub fn read_discovery(issuer: &str, document: &[u8], mail_scopes: &[String]) -> Result<OpenIdProvider, Invalid> {
    let wrong = |what: String| Err(Invalid(format!("the discovery document of {issuer} {what}")));
    let Ok(document) = serde_json::from_slice::<Document>(document) else {
        return wrong("names no issuer, authorization_endpoint and token_endpoint".to_owned());
    };
    // §4.3: it must be the very one asked for, or somebody else's tokens would be taken for its own.
    if document.issuer != issuer {
        return wrong(format!("is of another issuer, {:?}", document.issuer.chars().take(200).collect::<String>()));
    }
    let endpoints = [&document.authorization_endpoint, &document.token_endpoint];
    for endpoint in endpoints.into_iter().chain(&document.device_authorization_endpoint) {
        if !Url::parse(endpoint).is_ok_and(|url| is_safe(&url)) {
            return wrong(format!("names {:?}, which is not https", endpoint.chars().take(200).collect::<String>()));
        }
    }
    if document.code_challenge_methods_supported.is_some_and(|methods| !methods.iter().any(|m| m == "S256")) {
        return wrong("knows no PKCE with S256 (RFC 7636)".to_owned());
    }
    let quirks = quirks(issuer);
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut scopes = words(quirks.map_or(&["openid", "email", "profile", "offline_access"], |row| row.scopes));
    scopes.extend(mail_scopes.iter().filter(|scope| !scopes.contains(scope)).cloned().collect::<Vec<_>>());
    // OpenID Connect Core §11: offline access is asked for together with prompt=consent.
    let extra = quirks.map_or(&[("prompt", "consent")][..], |row| row.extra);
    let methods = &document.token_endpoint_auth_methods_supported;
    Ok(OpenIdProvider {
        // Discovery §3: where it names none, client_secret_basic is what it means.
        basic: !methods.iter().any(|method| method == "client_secret_post"),
        issuer: document.issuer,
        authorization_endpoint: document.authorization_endpoint,
        token_endpoint: document.token_endpoint,
        device_authorization_endpoint: document
            .device_authorization_endpoint
            .filter(|_| quirks.is_none_or(|row| row.device)),
        scopes,
        extra: extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    })
}

/// https, or http on this machine.
fn is_safe(url: &Url) -> bool {
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn document(issuer: &str) -> serde_json::Value {
        json!({
            "issuer": issuer, "authorization_endpoint": "https://id.example.com/auth",
            "token_endpoint": "https://id.example.com/token",
            "device_authorization_endpoint": "https://id.example.com/device",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        })
    }

    #[test]
    fn a_document_is_believed_for_its_own_issuer_alone() {
        let own = "https://id.example.com";
        let check = |changes: &[(&str, serde_json::Value)]| {
            let mut document = document(own);
            for (name, value) in changes {
                document[*name] = value.clone();
            }
            read_discovery(own, document.to_string().as_bytes(), &["mail".to_owned()])
        };
        let provider = check(&[]).unwrap();
        assert_eq!(provider.scopes, ["openid", "email", "profile", "offline_access", "mail"]);
        assert_eq!(provider.extra, [("prompt".to_owned(), "consent".to_owned())]);
        assert!(!provider.basic && provider.device_authorization_endpoint.is_some());
        assert!(check(&[("token_endpoint_auth_methods_supported", json!(null))]).is_err());
        assert!(check(&[("token_endpoint_auth_methods_supported", json!([]))]).unwrap().basic);
        for (name, value) in [
            ("issuer", json!("https://id.example.com/")),
            ("issuer", json!("https://evil.example")),
            ("token_endpoint", json!("http://id.example.com/token")),
            ("token_endpoint", json!("javascript:alert(1)")),
            ("authorization_endpoint", json!(7)),
            ("code_challenge_methods_supported", json!(["plain"])),
        ] {
            assert!(check(&[(name, value.clone())]).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn google_is_a_row() {
        let google = issuer("google").unwrap();
        let provider = read_discovery(&google, document(&google).to_string().as_bytes(), &[]).unwrap();
        assert_eq!(provider.scopes, ["openid", "email", "https://mail.google.com/"]);
        assert!(provider.extra.contains(&("access_type".to_owned(), "offline".to_owned())));
        assert_eq!(provider.device_authorization_endpoint, None);
        assert_eq!(quirks(&google).unwrap().mail, Some("imap.gmail.com"));
        assert_eq!(discovery_url(&google), "https://accounts.google.com/.well-known/openid-configuration");
    }

    #[test]
    fn words_and_urls_name_an_issuer() {
        let url = "https://id.example.com/realms/mail";
        assert_eq!(issuer(url).unwrap(), url);
        assert_eq!(issuer(&discovery_url(url)).unwrap(), url);
        for word in ["gogle", "http://id.example.com", "ftp://id.example.com", "https://id.example.com/?a=b", ""] {
            assert!(issuer(word).is_err(), "{word}");
        }
    }
}
