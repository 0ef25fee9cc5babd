//! Client authentication at the token endpoint: a secret, an assertion, or nothing for a public client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use jiff::Timestamp;

use super::fault::Fault;
use super::settings::{App, Platform};
use super::state::State;
use super::{assertion, field};

/// How the caller proves to be the app.
pub(super) enum Proof {
    None,
    Secret(String),
    Assertion(String),
}

/// A token request.
pub(super) struct Asks<'a> {
    /// The tenant of the path.
    pub tenant: &'a str,
    pub proof: Proof,
    /// The form.
    pub body: &'a str,
}

/// Client authentication. `platform` is the one the grant came through; without one the client must be confidential.
pub(super) fn authenticate(
    state: &mut State,
    app: &App,
    platform: Option<Platform>,
    asks: &Asks<'_>,
) -> Result<(), Fault> {
    let public = matches!(platform, Some(Platform::Native | Platform::Spa));
    match &asks.proof {
        Proof::None if public => Ok(()),
        _ if public => {
            let text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
            Err(Fault::new("invalid_client", 700025, text))
        }
        Proof::None => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            Err(Fault::new("invalid_client", 7000218, text))
        }
        Proof::Secret(secret) => check_secret(app, secret, state.now()),
        Proof::Assertion(text) => assertion::check(state, asks.tenant, app, text),
    }
}

fn check_secret(app: &App, given: &str, now: Timestamp) -> Result<(), Fault> {
    let Some(known) = app.secrets.iter().find(|secret| secret.value == given) else {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
             the client secret ID, for a secret added to app '{}'.",
            app.client_id
        );
        return Err(Fault::new("invalid_client", 7000215, text));
    };
    if known.expires.is_some_and(|end| end <= now) {
        let text = format!(
            "The provided client secret keys for app '{}' are expired. Visit the Azure portal to create new keys for your \
             app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: \
             https://aka.ms/certCreds.",
            app.client_id
        );
        return Err(Fault::new("invalid_client", 7000222, text));
    }
    Ok(())
}

/// Client id and proof: of the body, or of HTTP Basic, where both are form-encoded first (RFC 6749, section 2.3.1).
pub(super) fn credentials(headers: &HeaderMap, body: &str) -> Result<(String, Proof), Fault> {
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let decoded = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
        let (id, secret) = decoded.split_once(':')?;
        let plain = |text: &str| field(&format!("x={text}"), "x").unwrap_or_default();
        Some((plain(id), plain(secret)))
    });
    if let Some((id, secret)) = basic {
        return Ok((id, Proof::Secret(secret)));
    }
    let client_id = required(body, "client_id")?;
    if let Some(assertion) = field(body, "client_assertion") {
        let kind = required(body, "client_assertion_type")?;
        if kind != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            let text = format!("The value '{kind}' of 'client_assertion_type' is not supported.");
            return Err(Fault::new("invalid_request", 0, text));
        }
        return Ok((client_id, Proof::Assertion(assertion)));
    }
    Ok((client_id, field(body, "client_secret").map_or(Proof::None, Proof::Secret)))
}

pub(super) fn required(body: &str, name: &str) -> Result<String, Fault> {
    field(body, name).filter(|value| !value.is_empty()).ok_or_else(|| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        Fault::new("invalid_request", 900144, text)
    })
}
