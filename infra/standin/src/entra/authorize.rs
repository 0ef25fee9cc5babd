//! The authorize endpoint and the forms behind it ("OAuth 2.0 authorization code flow", RFC 6749 section 4.1, RFC 7636).
//!
//! What is wrong with the client or the redirect URI is shown on the provider's own page and never redirected (RFC 6749,
//! section 4.1.2.1); everything else goes back to the app. Stricter than Entra on purpose: `state` and an S256 challenge
//! are required.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use super::fault::Fault;
use super::registration::{admit, check_redirect, find_app, unconsented, withheld};
use super::scope::{self, Asked};
use super::script::{Answer, Endpoint};
use super::session::{self, Arrival};
use super::settings::{App, Platform, User};
use super::state::{Code, State};
use super::{Inner, field, pages};
use crate::random;

/// An authorize request whose client and redirect URI were found good.
struct Request {
    tenant: String,
    app: App,
    redirect_uri: String,
    platform: Platform,
    state: String,
    challenge: String,
    nonce: Option<String>,
    prompt: String,
    login_hint: String,
    asked: Asked,
    query: String,
}

/// A refusal, and where it goes: back to the app (redirect URI, state), or on the provider's own page.
struct Refused {
    fault: Box<Fault>,
    back: Option<(String, String)>,
}

impl Refused {
    fn page(fault: Fault) -> Refused {
        Refused { fault: Box::new(fault), back: None }
    }
}

pub(super) async fn authorize(
    Shared(inner): Shared<Arc<Inner>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let mut state = inner.state();
    let scripted = state.scripted(Endpoint::Authorize);
    if let Some(response) = scripted.as_ref().and_then(Answer::raw) {
        note(&mut state, "authorize", &tenant, &query, "scripted");
        return response;
    }
    let request = match read(&state, &tenant, &query) {
        Ok(request) => request,
        Err(refused) => return refuse(&mut state, "authorize", &tenant, &query, refused),
    };
    if let Some(fault) = scripted.as_ref().and_then(Answer::fault) {
        return back(&mut state, "authorize", &request, fault);
    }
    let arrival = session::arrive(&mut state, &headers, &tenant, "");
    let response = match (request.prompt.as_str(), arrival) {
        ("none", Arrival::Unknown) => {
            let text = "Session information is not sufficient for single-sign-on.";
            return back(&mut state, "authorize", &request, Fault::new("login_required", 50058, text));
        }
        ("select_account", Arrival::Known(user, _)) => {
            session::ask(&state, &request.app, &action(&request), &user.upn, &Arrival::Unknown)
        }
        (prompt, Arrival::Known(user, _)) if prompt != "login" => {
            return proceed(&mut state, "authorize", &request, &user);
        }
        (_, arrival) => session::ask(&state, &request.app, &action(&request), &request.login_hint, &arrival),
    };
    note(&mut state, "authorize", &tenant, &query, "page");
    response
}

/// The sign-in form, the second factor and the consent form.
pub(super) async fn answer(
    Shared(inner): Shared<Arc<Inner>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let query = query.unwrap_or_default();
    let mut state = inner.state();
    let request = match read(&state, &tenant, &query) {
        Ok(request) => request,
        Err(refused) => return refuse(&mut state, "sign-in", &tenant, &query, refused),
    };
    let arrival = session::arrive(&mut state, &headers, &tenant, &body);
    let Arrival::Known(user, cookie) = arrival else {
        let outcome = if let Arrival::Refused(_, fault) = &arrival { outcome(fault) } else { "page".to_owned() };
        note(&mut state, "sign-in", &tenant, &query, &outcome);
        return session::ask(&state, &request.app, &action(&request), &request.login_hint, &arrival);
    };
    let response = match field(&body, "decision").as_deref() {
        None => proceed(&mut state, "sign-in", &request, &user),
        Some("accept") => accept(&mut state, &request, &user, field(&body, "whole").is_some()),
        Some(_) => back(&mut state, "consent", &request, declined()),
    };
    session::with_cookie(response, cookie.as_ref())
}

/// The person accepts: for themselves, or as an administrator for everybody.
fn accept(state: &mut State, request: &Request, user: &User, whole: bool) -> Response {
    let refused = admit(state, &request.tenant, &request.app, user).err();
    if let Some(fault) = refused.or_else(|| withheld(state, &request.asked, user)) {
        return back(state, "consent", request, fault);
    }
    state.consent(&request.app.client_id, &user.oid, &request.asked);
    if user.admin && whole {
        state.consent_whole(&request.app.client_id, &user.tid);
    }
    grant(state, "consent", request, user)
}

/// 65004.
pub(super) fn declined() -> Fault {
    Fault::new("access_denied", 65004, "User declined to consent to access the app.").suberror("cancel")
}

/// A person is known: consent if it is missing, else the code.
fn proceed(state: &mut State, endpoint: &'static str, request: &Request, user: &User) -> Response {
    if let Err(fault) = admit(state, &request.tenant, &request.app, user) {
        note(state, endpoint, &request.tenant, &request.query, &outcome(&fault));
        return pages::trouble(&fault, state.now());
    }
    let consented = state.has_consent(&request.app, user, &request.asked);
    if consented && request.prompt != "consent" {
        return grant(state, endpoint, request, user);
    }
    if request.prompt == "none" {
        let fault = Fault { error: "interaction_required".to_owned(), ..unconsented(&request.app) };
        return back(state, endpoint, request, fault);
    }
    let response = match withheld(state, &request.asked, user) {
        Some(fault) => {
            let url = answer_url(&request.redirect_uri, &error_pairs(state, &fault, &request.state));
            pages::approval(&request.app, user, &fault, &url)
        }
        None => pages::consent(&request.app, user, &request.asked, &action(request)),
    };
    note(state, endpoint, &request.tenant, &request.query, "page");
    response
}

/// The code, back to the app.
fn grant(state: &mut State, endpoint: &'static str, request: &Request, user: &User) -> Response {
    let code = format!("1.{}", random::token(420));
    let issued = Code {
        client_id: request.app.client_id.clone(),
        oid: user.oid.clone(),
        redirect_uri: request.redirect_uri.clone(),
        platform: request.platform,
        challenge: request.challenge.clone(),
        nonce: request.nonce.clone(),
        asked: request.asked.clone(),
        issued: state.now(),
        family: random::guid(),
        redeemed: false,
    };
    let pairs = [("code", code.clone()), ("state", request.state.clone()), ("session_state", issued.family.clone())];
    state.codes.insert(code, issued);
    note(state, endpoint, &request.tenant, &request.query, "ok");
    redirect(&answer_url(&request.redirect_uri, &pairs))
}

/// Reads and checks an authorize request, in the order that decides where a refusal may be shown.
fn read(state: &State, tenant: &str, query: &str) -> Result<Request, Refused> {
    let get = |name: &str| field(query, name).filter(|value| !value.is_empty());
    let missing = |name: &str| {
        Fault::new(
            "invalid_request",
            900144,
            format!("The request body must contain the following parameter: '{name}'."),
        )
    };
    let client_id = get("client_id").ok_or_else(|| Refused::page(missing("client_id")))?;
    let app = find_app(state, tenant, &client_id).map_err(Refused::page)?;
    let redirect_uri = get("redirect_uri").ok_or_else(|| Refused::page(missing("redirect_uri")))?;
    let platform = check_redirect(&app, &redirect_uri).map_err(Refused::page)?.platform;
    let Some(echo) = get("state") else {
        return Err(Refused::page(Fault::new(
            "invalid_request",
            0,
            "state is required here; Entra would let it pass.",
        )));
    };
    let refuse = |fault: Fault| Refused { fault: Box::new(fault), back: Some((redirect_uri.clone(), echo.clone())) };
    let kind = get("response_type").ok_or_else(|| refuse(missing("response_type")))?;
    if kind != "code" {
        let text = format!("The response_type '{kind}' is not enabled for the application.");
        return Err(refuse(Fault::new("unsupported_response_type", 700051, text)));
    }
    if get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(refuse(Fault::new("invalid_request", 0, "only response_mode=query is known here.")));
    }
    let challenge = get("code_challenge").filter(|_| get("code_challenge_method").as_deref() == Some("S256"));
    // RFC 7636, section 4.2: base64url of a SHA-256 is 43 characters.
    let Some(challenge) = challenge.filter(|challenge| challenge.len() == 43) else {
        let text = "code_challenge with code_challenge_method=S256 is required here; Entra would let it pass.";
        return Err(refuse(Fault::new("invalid_request", 0, text)));
    };
    let scopes = get("scope").ok_or_else(|| refuse(missing("scope")))?;
    let asked = scope::read(&scopes, &app.name, tenant).map_err(&refuse)?;
    Ok(Request {
        tenant: tenant.to_owned(),
        platform,
        nonce: get("nonce"),
        prompt: get("prompt").unwrap_or_default(),
        login_hint: get("login_hint").unwrap_or_default(),
        query: query.to_owned(),
        state: echo,
        app,
        redirect_uri,
        challenge,
        asked,
    })
}

/// Where the forms of a request go: its own query travels with them.
fn action(request: &Request) -> String {
    format!("/{}/sign-in?{}", request.tenant, request.query)
}

fn refuse(state: &mut State, endpoint: &'static str, tenant: &str, query: &str, refused: Refused) -> Response {
    note(state, endpoint, tenant, query, &outcome(&refused.fault));
    match refused.back {
        None => pages::trouble(&refused.fault, state.now()),
        Some((uri, echo)) => redirect(&answer_url(&uri, &error_pairs(state, &refused.fault, &echo))),
    }
}

fn back(state: &mut State, endpoint: &'static str, request: &Request, fault: Fault) -> Response {
    let back = Some((request.redirect_uri.clone(), request.state.clone()));
    let refused = Refused { fault: Box::new(fault), back };
    refuse(state, endpoint, &request.tenant, &request.query, refused)
}

pub(super) fn error_pairs(state: &State, fault: &Fault, echo: &str) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("error", fault.error.clone()), ("error_description", fault.description(state.now()))];
    if let Some(suberror) = &fault.suberror {
        pairs.push(("error_subcode", suberror.clone()));
    }
    pairs.push(("error_uri", format!("{}/error?code={}", state.url, fault.code)));
    pairs.push(("state", echo.to_owned()));
    pairs
}

/// The redirect URI with the answer appended to its query (RFC 6749, section 3.1.2).
pub(super) fn answer_url(uri: &str, pairs: &[(&'static str, String)]) -> String {
    match Url::parse(uri) {
        Ok(mut url) => {
            url.query_pairs_mut().extend_pairs(pairs);
            url.into()
        }
        Err(_) => uri.to_owned(),
    }
}

pub(super) fn redirect(url: &str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    if let Ok(value) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub(super) fn outcome(fault: &Fault) -> String {
    format!("{} {}", fault.error, fault.code)
}

fn note(state: &mut State, endpoint: &'static str, tenant: &str, query: &str, outcome: &str) {
    let get = |name: &str| field(query, name).unwrap_or_default();
    state.log.push(super::Call {
        endpoint,
        tenant: tenant.to_owned(),
        grant_type: String::new(),
        client_id: get("client_id"),
        scope: get("scope"),
        outcome: outcome.to_owned(),
    });
}
