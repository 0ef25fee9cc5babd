//! Admin consent: an administrator consents for a whole directory by a link that anybody may forward to them
//! ("Admin consent on the Microsoft identity platform": `/adminconsent` for everything the app declares,
//! `/v2.0/adminconsent` for the scopes named).

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::Response;
use http::{HeaderMap, Uri};

use super::authorize::{answer_url, declined, error_pairs, outcome, redirect};
use super::fault::Fault;
use super::registration::{admit, find_app};
use super::scope::{self, Asked};
use super::session::{self, Arrival};
use super::settings::{App, User};
use super::state::State;
use super::{Call, Inner, field, pages};

/// An admin consent request whose client and redirect URI were found good.
struct Request {
    tenant: String,
    app: App,
    redirect_uri: String,
    /// Sent back as it came; the parameter is optional.
    state: Option<String>,
    /// `scope`, in version 2.
    scope: Option<String>,
    asked: Asked,
    /// Path and query: where the forms go.
    action: String,
}

/// GET and POST of both paths.
pub(super) async fn consent(
    Shared(inner): Shared<Arc<Inner>>,
    Path(tenant): Path<String>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let query = query.unwrap_or_default();
    let mut state = inner.state();
    let versioned = uri.path().ends_with("/v2.0/adminconsent");
    let action = uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let request = match read(&state, &tenant, &query, versioned, action) {
        Ok(request) => request,
        Err(fault) => {
            note(&mut state, &tenant, &query, outcome(&fault));
            return pages::trouble(&fault, state.now());
        }
    };
    let arrival = session::arrive(&mut state, &headers, &tenant, &body);
    let Arrival::Known(user, cookie) = arrival else {
        note(&mut state, &tenant, &query, "page".to_owned());
        return session::ask(&state, &request.app, &request.action, "", &arrival);
    };
    let (response, outcome) = decide(&mut state, &request, &user, field(&body, "decision").as_deref());
    note(&mut state, &tenant, &query, outcome);
    session::with_cookie(response, cookie.as_ref())
}

fn decide(state: &mut State, request: &Request, user: &User, decision: Option<&str>) -> (Response, String) {
    if let Err(fault) = admit(state, &request.tenant, &request.app, user) {
        return (pages::trouble(&fault, state.now()), outcome(&fault));
    }
    if !user.admin {
        let fault = Fault::new("access_denied", 90094, "The grant requires admin permission.");
        let url = refusal_url(state, request, &fault);
        return (pages::approval(&request.app, user, &fault, &url), outcome(&fault));
    }
    match decision {
        None => (pages::consent_whole(&request.app, user, &request.asked, &request.action), "page".to_owned()),
        Some("accept") => {
            state.consent_whole(&request.app.client_id, &user.tid);
            state.grant_roles(&request.app.client_id, &user.tid);
            let mut pairs = vec![("admin_consent", "True".to_owned()), ("tenant", user.tid.clone())];
            pairs.extend(request.scope.clone().map(|scope| ("scope", scope)));
            pairs.extend(request.state.clone().map(|state| ("state", state)));
            (redirect(&answer_url(&request.redirect_uri, &pairs)), "ok".to_owned())
        }
        Some(_) => {
            let fault = declined();
            (redirect(&refusal_url(state, request, &fault)), outcome(&fault))
        }
    }
}

/// The documents say `permission_denied`; what the endpoint has been seen to send is 65004 with `admin_consent=True`.
fn refusal_url(state: &State, request: &Request, fault: &Fault) -> String {
    let mut pairs = error_pairs(state, fault, request.state.as_deref().unwrap_or_default());
    pairs.retain(|(name, value)| *name != "error_subcode" && (*name != "state" || !value.is_empty()));
    pairs.push(("admin_consent", "True".to_owned()));
    answer_url(&request.redirect_uri, &pairs)
}

fn read(state: &State, tenant: &str, query: &str, versioned: bool, action: String) -> Result<Request, Fault> {
    let get = |name: &str| field(query, name).filter(|value| !value.is_empty());
    let required = |name: &str| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        get(name).ok_or_else(|| Fault::new("invalid_request", 900144, text))
    };
    let app = find_app(state, tenant, &required("client_id")?)?;
    let redirect_uri = required("redirect_uri")?;
    super::registration::check_redirect(&app, &redirect_uri)?;
    let scope = if versioned { Some(required("scope")?) } else { None };
    let asked = match &scope {
        Some(text) => scope::read(text, &app.name, tenant)?,
        None => Asked::default(),
    };
    Ok(Request { tenant: tenant.to_owned(), redirect_uri, state: get("state"), scope, asked, action, app })
}

fn note(state: &mut State, tenant: &str, query: &str, outcome: String) {
    let get = |name: &str| field(query, name).unwrap_or_default();
    state.log.push(Call {
        endpoint: "adminconsent",
        tenant: tenant.to_owned(),
        grant_type: String::new(),
        client_id: get("client_id"),
        scope: get("scope"),
        outcome,
    });
}
