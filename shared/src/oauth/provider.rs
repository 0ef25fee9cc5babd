//! What an app's requests are made of, whoever the provider is: Entra by its rules, another one by what its discovery
//! document said.

use super::entra;
use crate::account::{Account, App, Invalid, Protocol, RelayLogin};

/// Where the browser is sent.
pub fn authorization_endpoint(app: &App) -> String {
    match &app.provider {
        Some(provider) => provider.authorization_endpoint.clone(),
        None => entra::url(app, "oauth2/v2.0/authorize"),
    }
}

/// Where tokens are had; also the audience of a client assertion.
pub fn token_endpoint(app: &App) -> String {
    match &app.provider {
        Some(provider) => provider.token_endpoint.clone(),
        None => entra::url(app, "oauth2/v2.0/token"),
    }
}

/// Where a device code is had (RFC 8628 §3.1); a provider may have none.
pub fn device_endpoint(app: &App) -> Result<String, Invalid> {
    match &app.provider {
        Some(provider) => provider.device_authorization_endpoint.clone().ok_or_else(|| {
            Invalid(format!("{} gives no device codes for a mailbox: connect it in a browser", provider.issuer))
        }),
        None => Ok(entra::url(app, "oauth2/v2.0/devicecode")),
    }
}

/// What a person is asked to consent to: what the mailbox is read with, and where the same token is to open the server
/// that takes what is forwarded, that. A renewal asks for the former alone, so that whoever consented before can still be read.
pub fn consent_scopes(app: &App, account: &Account) -> Vec<String> {
    let mut scopes = scopes(app, account.protocol);
    let forwards = account.forwarding.as_ref().is_some_and(|forwarding| forwarding.login == RelayLogin::Mailbox);
    if forwards && app.provider.is_none() {
        scopes.push(entra::smtp_scope(app.cloud));
    }
    scopes
}

/// What the token of a person is for.
pub fn scopes(app: &App, protocol: Protocol) -> Vec<String> {
    match &app.provider {
        Some(provider) => provider.scopes.clone(),
        None => entra::scopes(app.cloud, protocol),
    }
}

/// What the authorization request carries beside the standard. `select_account` lets a person who is signed in as
/// themselves choose the other.
pub(super) fn extra(app: &App) -> Vec<(String, String)> {
    match &app.provider {
        Some(provider) => provider.extra.clone(),
        None => [("response_mode", "query"), ("prompt", "select_account")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

/// Where mail of the app's accounts is, as far as the provider says.
pub fn mail_host(app: &App, protocol: Protocol) -> Option<&'static str> {
    match &app.provider {
        Some(provider) => super::open_id::quirks(&provider.issuer).and_then(|quirks| quirks.mail_host(protocol)),
        None if protocol == Protocol::Graph => Some(entra::hosts(app.cloud).graph),
        None => Some(entra::hosts(app.cloud).mail),
    }
}

/// Whether `iss` of an answer (RFC 9207 §2.4) is the provider we asked. Entra sends none, and then nothing is said.
pub fn is_issuer(app: &App, iss: &str) -> bool {
    match &app.provider {
        Some(provider) => iss == provider.issuer,
        None => iss.strip_prefix(entra::authority(app)).is_some_and(|path| path.starts_with('/')),
    }
}
