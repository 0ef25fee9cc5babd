//! A stand-in for the Microsoft Entra ID v2.0 endpoints, on a port of this machine. Written from Microsoft's documents and the
//! RFCs; it has met no code of Rebond.

mod admin;
mod assertion;
mod authorize;
mod client;
mod device;
mod fault;
mod introspect;
mod jwt;
mod pages;
mod registration;
mod scope;
mod script;
mod session;
mod settings;
mod state;
mod token;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use script::{Answer, Call, Endpoint, Refusal};
pub use settings::{
    App, AppSecret, Audience, CONSUMERS, Certificate, Federated, Platform, RedirectUri, Settings, Tenant, User,
    UserConsent,
};

use crate::graph::{GraphAdmission, GraphGate, GraphRight};
use crate::imap::{Admission, Gate};
use state::State;

/// A running stand-in. It stops when the last handle is dropped.
pub struct Entra {
    inner: Arc<Inner>,
    url: String,
    servers: Vec<JoinHandle<()>>,
}

pub(crate) struct Inner {
    state: Mutex<State>,
}

impl Inner {
    /// The state; a panic elsewhere does not make it unreadable.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entra {
    /// Listens and answers until dropped. Errors: the port is taken.
    pub async fn start(settings: Settings) -> anyhow::Result<Entra> {
        let listener =
            TcpListener::bind((settings.address, settings.port)).await.context("stand-in identity provider")?;
        let port = listener.local_addr()?.port();
        let host = if settings.address.is_loopback() { "localhost".to_owned() } else { settings.address.to_string() };
        let mut listeners = vec![listener];
        if settings.address.is_loopback() {
            // `localhost` can mean either family; where there is no IPv6 the first is enough.
            listeners.extend(TcpListener::bind(("::1", port)).await.ok());
        }
        let url = format!("http://{host}:{port}");
        let state = State {
            settings,
            url: url.clone(),
            signer: jwt::Signer::new()?,
            ahead: SignedDuration::ZERO,
            codes: Default::default(),
            devices: Default::default(),
            assertions: Default::default(),
            refresh: Default::default(),
            access: Default::default(),
            sessions: Default::default(),
            consents: Default::default(),
            revoked_families: Default::default(),
            valid_from: Default::default(),
            script: Default::default(),
            log: Vec::new(),
        };
        let inner = Arc::new(Inner { state: Mutex::new(state) });
        let routes = routes().with_state(Arc::clone(&inner));
        let servers = listeners.into_iter().map(|listener| tokio::spawn(serve(listener, routes.clone()))).collect();
        Ok(Entra { inner, url, servers })
    }

    /// `http://localhost:PORT` (the address elsewhere than on loopback): what stands in place of `https://login.microsoftonline.com`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next calls of an endpoint are answered so. Scripts of one endpoint run in the order they were given.
    pub fn script(&self, refusal: Refusal) {
        self.inner.state().script.push_back(refusal);
    }

    /// What was called so far, without secrets.
    pub fn log(&self) -> Vec<Call> {
        self.inner.state().log.clone()
    }

    /// Revokes every session and grant of every person, as "revoke sessions" does: refresh tokens die with AADSTS50173,
    /// access tokens live on until their end.
    pub fn revoke_all(&self) {
        let mut state = self.inner.state();
        let now = state.now().checked_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
        let people: Vec<String> = state.settings.users.iter().map(|user| user.oid.clone()).collect();
        state.valid_from.extend(people.into_iter().map(|oid| (oid, now)));
        state.sessions.clear();
    }

    /// Moves the stand-in's clock forward.
    pub fn advance_clock(&self, by: SignedDuration) {
        let mut state = self.inner.state();
        state.ahead = state.ahead.checked_add(by).unwrap_or(SignedDuration::MAX);
    }

    /// Each refresh token works once from now on, and a second use revokes its family; or Entra's own way again.
    pub fn rotate_strictly(&self, strict: bool) {
        self.inner.state().settings.strict_rotation = strict;
    }

    /// Changes what the stand-in knows: a secret expires, a person is disabled, a policy moves.
    pub fn change(&self, how: impl FnOnce(&mut Settings)) {
        how(&mut self.inner.state().settings);
    }

    /// Forgets who consented to what.
    pub fn forget_consents(&self) {
        self.inner.state().consents.clear();
    }

    /// The introspection answer for a token (RFC 7662); `{"active": false}` for one that is unknown, ended,
    /// revoked, or for another resource than Exchange.
    pub fn introspect(&self, token: &str) -> Value {
        introspect::describe(&self.inner.state(), token)
    }

    /// Whether a token opens a mailbox over IMAP, as Exchange decides it.
    pub fn admission(&self, token: &str, mailbox: &str) -> Admission {
        admission(&self.inner.state(), token, mailbox)
    }

    /// [`Entra::admission`] as the question that the stand-in IMAP server asks.
    pub fn gate(&self) -> Gate {
        let inner = Arc::clone(&self.inner);
        Arc::new(move |mailbox, token| admission(&inner.state(), token, mailbox))
    }

    /// Whether a token has a right to a mailbox over Graph, as the question that the stand-in Graph asks.
    pub fn graph_gate(&self) -> GraphGate {
        let inner = Arc::clone(&self.inner);
        Arc::new(move |token, mailbox, right| graph_admission(&inner.state(), token, mailbox, right))
    }
}

impl Drop for Entra {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

async fn serve(listener: TcpListener, routes: Router) {
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "stand-in identity provider stopped");
    }
}

fn routes() -> Router<Arc<Inner>> {
    Router::new()
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery))
        .route("/{tenant}/discovery/v2.0/keys", get(keys))
        .route("/{tenant}/oauth2/v2.0/authorize", get(authorize::authorize))
        .route("/{tenant}/sign-in", post(authorize::answer))
        .route("/{tenant}/oauth2/v2.0/token", post(token::token))
        .route("/{tenant}/adminconsent", get(admin::consent).post(admin::consent))
        .route("/{tenant}/v2.0/adminconsent", get(admin::consent).post(admin::consent))
        .route("/{tenant}/oauth2/v2.0/devicecode", post(device::start))
        .route("/devicelogin", get(device::page).post(device::page))
        .route("/introspect", get(introspect::introspect).post(introspect::introspect))
}

/// The wrong audience or permission is refused at the door; the right token for a mailbox that is not this person's
/// (or service principal's) is let in and then not connected.
fn admission(state: &State, token: &str, mailbox: &str) -> Admission {
    let Some(claims) = state.valid(token) else { return Admission::Refused };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let same = |one: &String| one.eq_ignore_ascii_case(mailbox);
    if !scope::is_exchange(text("aud")) {
        return Admission::Refused;
    }
    let role = |name: &str| {
        let roles = claims.get("roles").and_then(Value::as_array);
        roles.is_some_and(|roles| roles.iter().any(|role| role.as_str() == Some(name)))
    };
    let open = if text("idtyp") == "app" {
        if !role("IMAP.AccessAsApp") {
            return Admission::Refused;
        }
        state.app(text("appid")).is_some_and(|app| app.mailboxes.iter().any(same))
    } else {
        if !text("scp").split(' ').any(|name| name == "IMAP.AccessAsUser.All") {
            return Admission::Refused;
        }
        let user = state.user(text("oid")).filter(|user| !user.disabled);
        user.is_some_and(|user| (user.licensed && same(&user.upn)) || user.mailboxes.iter().any(same))
    };
    if open { Admission::Connected } else { Admission::NotConnected }
}

/// A person's token opens their own mailbox with `Mail.*`, and with `Mail.*.Shared` those that were opened to them; an
/// app's own token those that its role is scoped to (RBAC for Applications).
fn graph_admission(state: &State, token: &str, mailbox: &str, right: GraphRight) -> GraphAdmission {
    let Some(claims) = state.valid(token) else { return GraphAdmission::Refused("Lifetime validation failed.") };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if !scope::is_graph(text("aud")) {
        return GraphAdmission::Refused("Access token validation failure. Invalid audience.");
    }
    let same = |one: &String| one.eq_ignore_ascii_case(mailbox);
    let allows = |name: &str, suffix: &str| right.permissions().iter().any(|one| name == format!("{one}{suffix}"));
    if text("idtyp") == "app" {
        let roles = claims.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let granted = roles.into_iter().any(|role| allows(role, "") || allows(role, ".All"));
        let scoped = state.app(text("appid")).is_some_and(|app| app.mailboxes.iter().any(same));
        return if granted && scoped { GraphAdmission::Open } else { GraphAdmission::Denied };
    }
    let Some(user) = state.user(text("oid")).filter(|user| !user.disabled) else { return GraphAdmission::Denied };
    let own = mailbox.is_empty() || same(&user.upn);
    let scopes: Vec<&str> = text("scp").split(' ').collect();
    let shared = scopes.iter().any(|scope| allows(scope, ".Shared"));
    match own {
        true if !shared && !scopes.iter().any(|scope| allows(scope, "")) => GraphAdmission::Denied,
        true if user.licensed => GraphAdmission::OpenOf(user.upn.clone()),
        true => GraphAdmission::NotFound,
        false if !shared => GraphAdmission::Denied,
        false if user.mailboxes.iter().any(same) => GraphAdmission::Open,
        false => GraphAdmission::NotFound,
    }
}

async fn discovery(Shared(inner): Shared<Arc<Inner>>, Path(tenant): Path<String>) -> Response {
    let mut state = inner.state();
    note(&mut state, "discovery", &tenant);
    if let Some(response) = state.scripted(Endpoint::Discovery).as_ref().and_then(Answer::raw) {
        return response;
    }
    let issuer = match tenant.as_str() {
        "common" | "organizations" => "{tenantid}".to_owned(),
        "consumers" | CONSUMERS => CONSUMERS.to_owned(),
        named => match state.tenant(named) {
            Some(tenant) => tenant.id.clone(),
            None => {
                let fault = registration::unknown_tenant(named);
                return (StatusCode::BAD_REQUEST, Json(fault.json(state.now(), &state.url))).into_response();
            }
        },
    };
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let url = &state.url;
    Json(json!({
        "issuer": format!("{url}/{issuer}/v2.0"),
        "authorization_endpoint": format!("{url}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{url}/{tenant}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{url}/{tenant}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{url}/{tenant}/discovery/v2.0/keys"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", device],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    }))
    .into_response()
}

async fn keys(Shared(inner): Shared<Arc<Inner>>, Path(tenant): Path<String>) -> Response {
    let mut state = inner.state();
    note(&mut state, "keys", &tenant);
    match state.scripted(Endpoint::Discovery).as_ref().and_then(Answer::raw) {
        Some(response) => response,
        None => Json(state.signer.key_set()).into_response(),
    }
}

fn note(state: &mut State, endpoint: &'static str, tenant: &str) {
    state.log.push(Call {
        endpoint,
        tenant: tenant.to_owned(),
        grant_type: String::new(),
        client_id: String::new(),
        scope: String::new(),
        outcome: "ok".to_owned(),
    });
}

/// A field of a query or a form.
fn field(text: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(text.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
