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
use url::form_urlencoded;

use super::fault::Fault;
use super::scope::{self, Asked};
use super::script::{Answer, Endpoint};
use super::settings::{App, Audience, CONSUMERS, Platform, User, UserConsent};
use super::state::{Code, Session, State};
use super::{Inner, pages};
use crate::random;

const COOKIE: &str = "standin-session";

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
    let session = session(&state, &headers).filter(|session| session.complete);
    let user = session.and_then(|session| state.user(&session.oid).cloned());
    let response = match (request.prompt.as_str(), user) {
        ("none", None) => {
            let text = "Session information is not sufficient for single-sign-on.";
            return back(&mut state, "authorize", &request, Fault::new("login_required", 50058, text));
        }
        ("login" | "select_account", known) => {
            let known = known.filter(|_| request.prompt == "select_account").map(|user| user.upn);
            sign_in(&request, &known.unwrap_or_default(), None)
        }
        (_, Some(user)) => return proceed(&mut state, "authorize", &request, &user),
        (_, None) => sign_in(&request, "", None),
    };
    note(&mut state, "authorize", &tenant, &query, "page");
    response
}

/// The sign-in form, and the second factor.
pub(super) async fn login(
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
        Err(refused) => return refuse(&mut state, "login", &tenant, &query, refused),
    };
    if field(&body, "factor").as_deref() == Some("approve") {
        let Some((cookie, half)) =
            cookie(&headers).and_then(|name| Some((name.clone(), state.sessions.get(&name)?.clone())))
        else {
            return sign_in(&request, "", None);
        };
        let Some(user) = state.user(&half.oid).cloned() else { return sign_in(&request, "", None) };
        state.sessions.insert(cookie, Session { complete: true, ..half });
        return proceed(&mut state, "login", &request, &user);
    }
    let login = field(&body, "login").unwrap_or_default();
    let user = match check_person(&state, &request, &login, &field(&body, "passwd").unwrap_or_default()) {
        Ok(user) => user,
        Err(fault) => {
            note(&mut state, "login", &tenant, &query, &outcome(&fault));
            return sign_in(&request, &login, Some(&fault));
        }
    };
    let cookie = random::token(32);
    state.sessions.insert(cookie.clone(), Session { oid: user.oid.clone(), complete: !user.mfa });
    let mut response = if user.mfa {
        note(&mut state, "login", &tenant, &query, "page");
        pages::second_factor(&user, &action(&request, "login"))
    } else {
        proceed(&mut state, "login", &request, &user)
    };
    if let Ok(value) = HeaderValue::from_str(&format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax")) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// The consent form.
pub(super) async fn consent(
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
        Err(refused) => return refuse(&mut state, "consent", &tenant, &query, refused),
    };
    let session = session(&state, &headers).filter(|session| session.complete);
    let Some(user) = session.and_then(|session| state.user(&session.oid).cloned()) else {
        return sign_in(&request, "", None);
    };
    if field(&body, "decision").as_deref() != Some("accept") {
        let fault =
            Fault::new("access_denied", 65004, "User declined to consent to access the app.").suberror("cancel");
        return back(&mut state, "consent", &request, fault);
    }
    if let Some(fault) = withheld(&state, &request, &user) {
        return back(&mut state, "consent", &request, fault);
    }
    let (client_id, tid) = (request.app.client_id.clone(), user.tid.clone());
    state.consent(&client_id, &user.oid, &request.asked);
    if user.admin && field(&body, "whole").is_some() {
        let tenants = state.settings.tenants.iter_mut().filter(|tenant| tenant.id == tid);
        tenants.for_each(|tenant| tenant.admin_consented.push(client_id.clone()));
    }
    grant(&mut state, "consent", &request, &user)
}

/// A person is known: consent if it is missing, else the code.
fn proceed(state: &mut State, endpoint: &'static str, request: &Request, user: &User) -> Response {
    if let Err(fault) = admit(state, request, user) {
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
    let response = match withheld(state, request, user) {
        Some(fault) => {
            let url = answer_url(&request.redirect_uri, &error_pairs(state, &fault, &request.state));
            pages::approval(&request.app, user, &fault, &url)
        }
        None => pages::consent(&request.app, user, &request.asked, &action(request, "consent")),
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
    let Some(registered) = app.redirect_uris.iter().find(|known| known.uri == redirect_uri) else {
        let text = format!(
            "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured for \
             the application '{}'. Make sure the redirect URI sent in the request matches one added to your application \
             in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to fix this.",
            app.client_id
        );
        return Err(Refused::page(Fault::new("invalid_request", 50011, text)));
    };
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
    let platform = registered.platform;
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

/// The app of a request, if its audience allows this tenant path.
pub(super) fn find_app(state: &State, tenant: &str, client_id: &str) -> Result<App, Fault> {
    let directory = match tenant {
        "common" | "organizations" | "consumers" | CONSUMERS => None,
        _ => Some(state.tenant(tenant).ok_or_else(|| unknown_tenant(tenant))?),
    };
    let elsewhere = || {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in the \
             tenant. You may have sent your authentication request to the wrong tenant."
        );
        Fault::new("unauthorized_client", 700016, text)
    };
    let app = state.app(client_id).ok_or_else(elsewhere)?;
    let named = format!("'{}'({})", app.client_id, app.name);
    let personal = matches!(tenant, "consumers" | CONSUMERS);
    match (app.audience, directory) {
        (Audience::Single, Some(directory)) if directory.id != app.home => Err(elsewhere()),
        (Audience::Single | Audience::Multi, None) if personal => {
            let text = format!(
                "Application {named} is configured for use by Azure Active Directory users only. Please do not use the \
                 /consumers endpoint to serve this request."
            );
            Err(Fault::new("invalid_request", 9002332, text))
        }
        (Audience::Single, None) => {
            let text = format!(
                "Application {named} is not configured as a multi-tenant application. Usage of the /common endpoint is not \
                 supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the \
                 application to be multi-tenant."
            );
            Err(Fault::new("invalid_request", 50194, text))
        }
        (Audience::Personal, _) if !personal => {
            let text = format!(
                "Application {named} is configured for use by Microsoft Account users only. Please use the /consumers \
                 endpoint to serve this request."
            );
            Err(Fault::new("invalid_request", 9002331, text))
        }
        _ => Ok(app.clone()),
    }
}

/// 90002.
pub(super) fn unknown_tenant(tenant: &str) -> Fault {
    let text = format!(
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
         cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the \
         tenant."
    );
    Fault::new("invalid_request", 90002, text)
}

/// 65001.
pub(super) fn unconsented(app: &App) -> Fault {
    let text = format!(
        "The user or administrator has not consented to use the application with ID '{}' named '{}'. Send an interactive \
         authorization request for this user and resource.",
        app.client_id, app.name
    );
    Fault::new("invalid_grant", 65001, text).suberror("consent_required")
}

fn check_person(state: &State, request: &Request, login: &str, password: &str) -> Result<User, Fault> {
    let Some(user) = state.user_named(login) else {
        let text = format!(
            "The user account {} does not exist in the {} directory. To sign into this application, the account must be \
             added to the directory.",
            login.trim(),
            request.tenant
        );
        return Err(Fault::new("invalid_grant", 50034, text));
    };
    if user.password != password {
        let text = "Error validating credentials due to invalid username or password.";
        return Err(Fault::new("invalid_grant", 50126, text));
    }
    if user.disabled {
        return Err(Fault::new("invalid_grant", 50057, "The user account is disabled."));
    }
    Ok(user.clone())
}

/// 50020: a person of another directory than the request's or the app's.
fn admit(state: &State, request: &Request, user: &User) -> Result<(), Fault> {
    let personal = user.tid == CONSUMERS;
    let right = match request.tenant.as_str() {
        "common" => true,
        "organizations" => !personal,
        "consumers" | CONSUMERS => personal,
        named => state.tenant(named).is_some_and(|tenant| tenant.id == user.tid),
    };
    let right = right && (!personal || matches!(request.app.audience, Audience::MultiAndPersonal | Audience::Personal));
    let provider = if personal { "live.com".to_owned() } else { format!("https://sts.windows.net/{}/", user.tid) };
    if right {
        return Ok(());
    }
    Err(Fault::new(
        "invalid_request",
        50020,
        format!(
            "User account '{}' from identity provider '{provider}' does not exist in tenant '{}' and cannot access the \
             application '{}'({}) in that tenant. The account needs to be added as an external user in the tenant first. \
             Sign out and sign in again with a different Azure Active Directory user account.",
            user.upn, request.tenant, request.app.client_id, request.app.name
        ),
    ))
}

/// What the directory's policy says when this person may not consent.
fn withheld(state: &State, request: &Request, user: &User) -> Option<Fault> {
    if user.admin || request.asked.permissions.iter().all(|(_, name)| name == "User.Read") {
        return None;
    }
    match state.tenant(&user.tid).map(|tenant| tenant.user_consent) {
        Some(UserConsent::AdminRequired) => Some(Fault::new(
            "access_denied",
            90094,
            "Admin consent is required for the permissions requested by this application.",
        )),
        Some(UserConsent::AdminRequiredOnRequest) => Some(Fault::new(
            "access_denied",
            90095,
            "Admin consent is required. The user can send an admin consent request.",
        )),
        _ => None,
    }
}

fn sign_in(request: &Request, login: &str, wrong: Option<&Fault>) -> Response {
    let login = if login.is_empty() { &request.login_hint } else { login };
    pages::sign_in(&request.app, &action(request, "login"), login, wrong)
}

fn action(request: &Request, form: &str) -> String {
    format!("/{}/{form}?{}", request.tenant, request.query)
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

fn error_pairs(state: &State, fault: &Fault, echo: &str) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("error", fault.error.clone()), ("error_description", fault.description(state.now()))];
    if let Some(suberror) = &fault.suberror {
        pairs.push(("error_subcode", suberror.clone()));
    }
    pairs.push(("error_uri", format!("{}/error?code={}", state.url, fault.code)));
    pairs.push(("state", echo.to_owned()));
    pairs
}

/// The redirect URI with the answer appended to its query (RFC 6749, section 3.1.2).
fn answer_url(uri: &str, pairs: &[(&'static str, String)]) -> String {
    match Url::parse(uri) {
        Ok(mut url) => {
            url.query_pairs_mut().extend_pairs(pairs);
            url.into()
        }
        Err(_) => uri.to_owned(),
    }
}

fn redirect(url: &str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    if let Ok(value) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn session(state: &State, headers: &HeaderMap) -> Option<Session> {
    state.sessions.get(&cookie(headers)?).cloned()
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// A field of a query or a form.
pub(super) fn field(text: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(text.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn outcome(fault: &Fault) -> String {
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
