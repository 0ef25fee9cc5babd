//! The token endpoint: authorization code, refresh token, client credentials (RFC 6749 sections 4.1.3, 6 and 4.4;
//! "OAuth 2.0 authorization code flow", "Refresh tokens in the Microsoft identity platform", "OAuth 2.0 client credentials
//! flow").

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Asks, authenticate, credentials, required};
use super::fault::{Fault, fine};
use super::registration::{find_app, not_installed, unconsented};
use super::scope::{self, Asked};
use super::script::{Answer, Endpoint, broken_off};
use super::settings::{App, Platform};
use super::state::{Code, Refresh, State};
use super::{Call, Inner, device, field};
use crate::random;

/// Fixed lifetime of the refresh tokens of a single-page app, in seconds.
const SPA_SECONDS: u64 = 86_400;

pub(super) async fn token(
    Shared(inner): Shared<Arc<Inner>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let scripted = inner.state().scripted(Endpoint::Token);
    if let Some(Answer::Late(milliseconds)) = &scripted {
        tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
    }
    let mut state = inner.state();
    if let Some(response) = scripted.as_ref().and_then(Answer::raw) {
        note(&mut state, &tenant, &body, "scripted".to_owned());
        return response;
    }
    let result = match scripted.as_ref().and_then(Answer::fault) {
        Some(fault) => Err(fault),
        None => answer(&mut state, &tenant, &headers, &body),
    };
    let outcome = match &result {
        Ok(_) => "ok".to_owned(),
        Err(fault) => format!("{} {}", fault.error, fault.code),
    };
    note(&mut state, &tenant, &body, outcome);
    match (result, scripted) {
        (Ok(_), Some(Answer::Lost)) => broken_off(),
        (Ok(mut value), Some(Answer::Altered(members))) => {
            if let Some(object) = value.as_object_mut() {
                object.extend(members);
                object.retain(|_, member| !member.is_null());
            }
            json_answer(StatusCode::OK, &value)
        }
        (Ok(value), _) => json_answer(StatusCode::OK, &value),
        (Err(fault), _) => json_answer(fault.status, &fault.json(state.now(), &state.url)),
    }
}

fn answer(state: &mut State, tenant: &str, headers: &HeaderMap, body: &str) -> Result<Value, Fault> {
    let form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !form.starts_with("application/x-www-form-urlencoded") {
        let text = "The request body must contain the following parameter: 'grant_type'.";
        return Err(Fault::new("invalid_request", 900144, text));
    }
    let grant_type = required(body, "grant_type")?;
    let (client_id, proof) = credentials(headers, body)?;
    let asks = Asks { tenant, proof, body };
    match grant_type.as_str() {
        "authorization_code" => {
            let app = find_app(state, tenant, &client_id)?;
            redeem(state, &app, &asks)
        }
        "refresh_token" => {
            let app = find_app(state, tenant, &client_id)?;
            refresh(state, &app, &asks)
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            let app = find_app(state, tenant, &client_id)?;
            redeem_device(state, &app, &asks)
        }
        "client_credentials" => app_only(state, &client_id, &asks),
        _ => {
            let text = format!("The app requested an unsupported grant type '{grant_type}'.");
            Err(Fault::new("unsupported_grant_type", 70003, text))
        }
    }
}

/// A code for tokens, once.
fn redeem(state: &mut State, app: &App, asks: &Asks<'_>) -> Result<Value, Fault> {
    let given = required(asks.body, "code")?;
    let redirect_uri = required(asks.body, "redirect_uri")?;
    let malformed = || Fault::new("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.");
    let code = state.codes.get(&given).cloned().ok_or_else(malformed)?;
    if code.client_id != app.client_id {
        return Err(Fault::new("invalid_grant", 70000, "The provided value for the 'code' parameter is not valid."));
    }
    authenticate(state, app, Some(code.platform), asks)?;
    if code.redeemed {
        // RFC 6749, section 4.1.2: what the code gave should be revoked when it is used twice.
        state.revoked_families.insert(code.family.clone());
        let text = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing \
                    refresh token.";
        return Err(Fault::new("invalid_grant", 54005, text));
    }
    if elapsed(code.issued, state.now()) > state.settings.code_seconds {
        let text = "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive \
                    authorization request for this user and resource.";
        return Err(Fault::new("invalid_grant", 70008, text));
    }
    if code.redirect_uri != redirect_uri {
        let text = format!(
            "The reply address '{redirect_uri}' does not match the reply address '{}' provided when requesting \
             Authorization code.",
            code.redirect_uri
        );
        return Err(Fault::new("invalid_client", 500112, text).status(StatusCode::BAD_REQUEST));
    }
    check_verifier(&code, asks.body)?;
    let asked = match field(asks.body, "scope").filter(|text| !text.trim().is_empty()) {
        Some(text) => scope::read(&text, &app.name, "")?,
        None => code.asked.clone(),
    };
    if let Some(code) = state.codes.get_mut(&given) {
        code.redeemed = true;
    }
    let now = state.now();
    let first = Refresh {
        client_id: app.client_id.clone(),
        oid: code.oid.clone(),
        family: code.family.clone(),
        platform: code.platform,
        asked: code.asked.clone(),
        granted: now,
        used: now,
        rotated: false,
    };
    // `offline_access`, `openid` and the like were decided when the person consented.
    let asked = Asked {
        offline: code.asked.offline,
        openid: code.asked.openid,
        profile: code.asked.profile,
        email: code.asked.email,
        ..asked
    };
    give(state, app, &first, &asked, code.nonce.as_deref())
}

/// A device code for tokens, once a person accepted (RFC 8628, section 3.4).
fn redeem_device(state: &mut State, app: &App, asks: &Asks<'_>) -> Result<Value, Fault> {
    let device_code = required(asks.body, "device_code")?;
    // "Allow public client flows" is told here by a redirect URI of a native client.
    let public = app.redirect_uris.iter().any(|uri| uri.platform == Platform::Native);
    authenticate(state, app, public.then_some(Platform::Native), asks)?;
    let (user, asked) = device::redeem(state, app, &device_code)?;
    let now = state.now();
    let first = Refresh {
        client_id: app.client_id.clone(),
        oid: user.oid,
        family: random::guid(),
        platform: if public { Platform::Native } else { Platform::Web },
        asked: asked.clone(),
        granted: now,
        used: now,
        rotated: false,
    };
    give(state, app, &first, &asked, None)
}

/// RFC 7636, section 4.6.
fn check_verifier(code: &Code, body: &str) -> Result<(), Fault> {
    let wrong = |code: u32, text: &str| Err(Fault::new("invalid_grant", code, text));
    let Some(verifier) = field(body, "code_verifier").filter(|verifier| !verifier.is_empty()) else {
        let text =
            "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE.";
        return wrong(50148, text);
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    if URL_SAFE_NO_PAD.encode(digest) != code.challenge {
        let text = "The Code_Verifier does not match the code_challenge supplied in the authorization request.";
        return wrong(501481, text);
    }
    Ok(())
}

/// A refresh token for new tokens. The old one stays good, as Entra does it, unless rotation is strict.
fn refresh(state: &mut State, app: &App, asks: &Asks<'_>) -> Result<Value, Fault> {
    let given = required(asks.body, "refresh_token")?;
    let malformed = || Fault::new("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.");
    let known = state.refresh.get(&given).cloned().ok_or_else(malformed)?;
    authenticate(state, app, Some(known.platform), asks)?;
    if known.client_id != app.client_id {
        let text = "The provided refresh token was issued to another client.";
        return Err(Fault::new("invalid_grant", 70000, text));
    }
    check_grant(state, &known)?;
    if known.rotated && state.settings.strict_rotation {
        state.revoked_families.insert(known.family.clone());
        let text = "a rotated refresh token was used again: its whole family is revoked (strict rotation).";
        return Err(Fault::new("invalid_grant", 0, text).suberror("bad_token"));
    }
    let asked = match field(asks.body, "scope").filter(|text| !text.trim().is_empty()) {
        Some(text) => scope::read(&text, &app.name, "")?,
        None => known.asked.clone(),
    };
    let asked = Asked {
        offline: true,
        openid: known.asked.openid,
        profile: known.asked.profile,
        email: known.asked.email,
        ..asked
    };
    let user = state.user(&known.oid).cloned().ok_or_else(malformed)?;
    if !state.has_consent(app, &user, &asked) {
        return Err(unconsented(app));
    }
    let now = state.now();
    let answer = give(state, app, &Refresh { used: now, rotated: false, ..known }, &asked, None)?;
    if let Some(old) = state.refresh.get_mut(&given) {
        old.rotated = true;
        old.used = now;
    }
    Ok(answer)
}

/// Whether a grant still lives: the person, revocation, inactivity.
fn check_grant(state: &State, known: &Refresh) -> Result<(), Fault> {
    let Some(user) = state.user(&known.oid) else {
        let text = "The user account does not exist in the directory.";
        return Err(Fault::new("invalid_grant", 50034, text));
    };
    if user.disabled {
        return Err(Fault::new("invalid_grant", 50057, "The user account is disabled."));
    }
    if let Some(from) = state.revoked(&known.family, &known.oid, known.granted) {
        let text = format!(
            "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have \
             changed or reset their password. The grant was issued on '{}' and the TokensValidFrom date (before which \
             tokens are not valid) for this user is '{}'.",
            fine(known.granted),
            fine(from)
        );
        return Err(Fault::new("invalid_grant", 50173, text));
    }
    let now = state.now();
    if known.platform == Platform::Spa && elapsed(known.granted, now) > SPA_SECONDS {
        let text = format!(
            "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of \
             1.00:00:00, which cannot be extended. It is now expired and a new sign in request must be sent by the SPA to \
             the sign in page. The token was issued on {}.",
            fine(known.granted)
        );
        return Err(Fault::new("invalid_grant", 700084, text));
    }
    let limit = state.settings.refresh_idle_seconds;
    if elapsed(known.used, now) > limit {
        let text = format!(
            "The refresh token has expired due to inactivity. The token was issued on {} and was inactive for {}.00:00:00.",
            fine(known.granted),
            limit / 86_400
        );
        return Err(Fault::new("invalid_grant", 700082, text));
    }
    Ok(())
}

/// The token endpoint's answer to a person's grant.
fn give(state: &mut State, app: &App, next: &Refresh, asked: &Asked, nonce: Option<&str>) -> Result<Value, Fault> {
    if asked.audiences().len() > 1 {
        return Err(scope::several(&asked.text));
    }
    let user = state.user(&next.oid).cloned().ok_or_else(|| Fault::new("invalid_grant", 50034, "The user is gone."))?;
    let (access, seconds) = state.user_access(app, &user, asked, &next.family)?;
    let audience = asked.audiences().first().map(|audience| (*audience).to_owned()).unwrap_or_default();
    let granted = state.granted_names(app, &user, asked, &audience);
    let mut scopes: Vec<String> = granted.iter().map(|name| format!("{audience}/{name}")).collect();
    let words = [(asked.openid, "openid"), (asked.profile, "profile"), (asked.email, "email")];
    scopes.extend(
        words.iter().filter(|(asked, _)| *asked && audience.contains("graph")).map(|(_, word)| (*word).to_owned()),
    );
    let mut answer = json!({
        "token_type": "Bearer", "scope": scopes.join(" "), "expires_in": seconds, "ext_expires_in": seconds,
        "access_token": access,
    });
    if asked.offline {
        let refresh = format!("1.{}", random::token(640));
        answer["refresh_token"] = json!(refresh);
        state.refresh.insert(refresh, next.clone());
    }
    if asked.openid {
        answer["id_token"] = json!(state.id_token(app, &user, asked, nonce)?);
    }
    Ok(answer)
}

/// The app's own token: a concrete tenant, `/.default`, roles instead of scopes, no refresh token.
fn app_only(state: &mut State, client_id: &str, asks: &Asks<'_>) -> Result<Value, Fault> {
    let tenant = asks.tenant;
    match tenant {
        "common" | "consumers" => {
            let text = "The grant type is not supported over the /common or /consumers endpoints. Please use the \
                        /organizations or tenant-specific endpoint.";
            return Err(Fault::new("invalid_request", 9001023, text));
        }
        "organizations" => {
            let text = "No tenant-identifying information found in either the request or implied by any provided \
                        credentials.";
            return Err(Fault::new("invalid_request", 50059, text));
        }
        _ => {}
    }
    let app = find_app(state, tenant, client_id)?;
    let directory = state.tenant(tenant);
    let installed = directory.is_some_and(|tenant| {
        let consented = [&tenant.roles_granted, &tenant.admin_consented];
        tenant.id == app.home || consented.iter().any(|apps| apps.contains(&app.client_id))
    });
    if !installed {
        return Err(not_installed(client_id, tenant));
    }
    authenticate(state, &app, None, asks)?;
    let text = required(asks.body, "scope")?;
    let asked = scope::read(&text, &app.name, tenant)?;
    let [(audience, name)] = asked.permissions.as_slice() else { return Err(scope::invalid(&text)) };
    if name != ".default" {
        let text = format!(
            "The provided value for scope {text} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(Fault::new("invalid_scope", 1002012, text));
    }
    let tid = state.tenant(tenant).map(|tenant| tenant.id.clone()).unwrap_or_default();
    let (access, seconds) = state.app_access(&app, &tid, audience)?;
    Ok(json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": access}))
}

/// `{url}/{tenant}/oauth2/v2.0/token` and introspection never let their answers be stored (RFC 6749, section 5.1).
pub(super) fn json_answer(status: StatusCode, value: &Value) -> Response {
    let mut response = (status, value.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn elapsed(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second() - from.as_second()).unwrap_or_default()
}

fn note(state: &mut State, tenant: &str, body: &str, outcome: String) {
    let get = |name: &str| field(body, name).unwrap_or_default();
    state.log.push(Call {
        endpoint: "token",
        tenant: tenant.to_owned(),
        grant_type: get("grant_type"),
        client_id: get("client_id"),
        scope: get("scope"),
        outcome,
    });
}
