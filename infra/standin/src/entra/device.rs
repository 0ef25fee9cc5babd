//! The device authorization grant (RFC 8628, with Entra's own error names: "OAuth 2.0 device authorization grant flow").

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, http::StatusCode};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::authorize::outcome;
use super::fault::Fault;
use super::registration::{admit, find_app, withheld};
use super::scope::{self, Asked};
use super::session::{self, Arrival};
use super::settings::{App, User};
use super::state::State;
use super::{Call, Inner, field, pages};
use crate::random;

/// Seconds a device code lives, and between two questions.
const LIFETIME: i64 = 900;
const INTERVAL: i64 = 5;

/// A device code in the making.
#[derive(Clone)]
pub(crate) struct Device {
    pub client_id: String,
    pub tenant: String,
    pub user_code: String,
    pub asked: Asked,
    pub issued: Timestamp,
    pub decision: Decision,
}

/// What the person did so far.
#[derive(Clone)]
pub(crate) enum Decision {
    Pending,
    Declined,
    /// The object id of the person who accepted.
    Accepted(String),
}

/// `/oauth2/v2.0/devicecode`.
pub(super) async fn start(Shared(inner): Shared<Arc<Inner>>, Path(tenant): Path<String>, body: String) -> Response {
    let mut state = inner.state();
    let result = begin(&mut state, &tenant, &body);
    let get = |name: &str| field(&body, name).unwrap_or_default();
    let outcome = result.as_ref().err().map_or_else(|| "ok".to_owned(), outcome);
    state.log.push(Call {
        endpoint: "devicecode",
        grant_type: String::new(),
        client_id: get("client_id"),
        scope: get("scope"),
        tenant,
        outcome,
    });
    match result {
        Ok(value) => Json(value).into_response(),
        Err(fault) => (fault.status, Json(fault.json(state.now(), &state.url))).into_response(),
    }
}

fn begin(state: &mut State, tenant: &str, body: &str) -> Result<Value, Fault> {
    let required = |name: &str| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        field(body, name).filter(|value| !value.is_empty()).ok_or_else(|| Fault::new("invalid_request", 900144, text))
    };
    let app = find_app(state, tenant, &required("client_id")?)?;
    let asked = scope::read(&required("scope")?, &app.name, tenant)?;
    // Nine characters without vowels, so that they spell nothing.
    let letters = b"BCDFGHJKLMNPQRSTVWXZ23456789";
    let user_code: String = (0..9).map(|_| char::from(letters[random::between(0, 27) as usize])).collect();
    let device_code = random::token(160);
    let page = format!("{}/devicelogin", state.url);
    let device = Device {
        client_id: app.client_id.clone(),
        tenant: tenant.to_owned(),
        user_code: user_code.clone(),
        asked,
        issued: state.now(),
        decision: Decision::Pending,
    };
    state.devices.insert(device_code.clone(), device);
    Ok(json!({
        "user_code": user_code, "device_code": device_code, "verification_uri": page, "expires_in": LIFETIME,
        "interval": INTERVAL,
        "message": format!("To sign in, use a web browser to open the page {page} and enter the code {user_code} to \
                            authenticate."),
    }))
}

/// The person's page: the code, sign-in, consent. The code may stand in the query as `otc`.
pub(super) async fn page(
    Shared(inner): Shared<Arc<Inner>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut state = inner.state();
    let typed = field(&body, "otc").or_else(|| field(&query.unwrap_or_default(), "otc")).unwrap_or_default();
    let typed = typed.trim().to_ascii_uppercase();
    if typed.is_empty() {
        return pages::device_code(None);
    }
    let now = state.now();
    let open = |device: &Device| {
        let pending = matches!(device.decision, Decision::Pending);
        device.user_code == typed && pending && !ended(device, now)
    };
    let found =
        state.devices.iter().find(|(_, device)| open(device)).map(|(key, device)| (key.clone(), device.clone()));
    let Some((key, device)) = found else { return pages::device_code(Some("That code didn't work. Check the code.")) };
    let Some(app) = state.app(&device.client_id).cloned() else { return pages::device_code(Some("No such app.")) };
    let action = format!("/devicelogin?otc={typed}");
    let arrival = session::arrive(&mut state, &headers, &device.tenant, &body);
    let Arrival::Known(user, cookie) = arrival else { return session::ask(&state, &app, &action, "", &arrival) };
    let decision = field(&body, "decision");
    let response = decide(&mut state, &key, &device, &app, &user, decision.as_deref(), &action);
    session::with_cookie(response, cookie.as_ref())
}

fn decide(
    state: &mut State,
    key: &str,
    device: &Device,
    app: &App,
    user: &User,
    decision: Option<&str>,
    action: &str,
) -> Response {
    let consented = state.has_consent(app, user, &device.asked);
    // Who has consented already, or whose administrator has, is not asked what the policy says.
    let policy = || (!consented).then(|| withheld(state, &device.asked, user)).flatten();
    if let Some(fault) = admit(state, &device.tenant, app, user).err().or_else(policy) {
        return pages::trouble(&fault, state.now());
    }
    let (decided, title, text) = match decision {
        None if !consented => return pages::consent(app, user, &device.asked, action),
        None | Some("accept") => {
            state.consent(&app.client_id, &user.oid, &device.asked);
            let text = "You have signed in on your device. You may now close this window.";
            (Decision::Accepted(user.oid.clone()), "You are signed in", text)
        }
        Some(_) => (Decision::Declined, "Sign-in cancelled", "You declined. You may now close this window."),
    };
    if let Some(device) = state.devices.get_mut(key) {
        device.decision = decided;
    }
    pages::done(title, text)
}

/// A device code at the token endpoint: the person who accepted, or what to do next.
pub(super) fn redeem(state: &mut State, app: &App, device_code: &str) -> Result<(User, Asked), Fault> {
    let fault = |error: &str, code: u32, text: &str| Fault::new(error, code, text).status(StatusCode::BAD_REQUEST);
    let wrong = || {
        fault(
            "bad_verification_code",
            70018,
            "Invalid verification code due to User typing in wrong user code for device code flow. Authorization is not approved.",
        )
    };
    let device = state.devices.get(device_code).filter(|device| device.client_id == app.client_id).ok_or_else(wrong)?;
    if ended(device, state.now()) {
        return Err(fault(
            "expired_token",
            70020,
            "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
        ));
    }
    let (oid, asked) = match &device.decision {
        Decision::Pending => {
            let text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
            return Err(fault("authorization_pending", 70016, text));
        }
        Decision::Declined => {
            let text = "The end user denied the authorization request.";
            return Err(fault("authorization_declined", 0, text));
        }
        Decision::Accepted(oid) => (oid.clone(), device.asked.clone()),
    };
    let user = state.user(&oid).cloned().ok_or_else(wrong)?;
    state.devices.remove(device_code);
    Ok((user, asked))
}

fn ended(device: &Device, now: Timestamp) -> bool {
    now.as_second() - device.issued.as_second() > LIFETIME
}
