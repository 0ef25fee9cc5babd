//! Token introspection (RFC 7662), which Entra does not have: it lets a mail server that is not Exchange ask about tokens.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Shared};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::script::{Answer, Endpoint};
use super::state::State;
use super::token::json_answer;
use super::{Call, Inner, field, scope};

/// RFC 7662: what a mail server asks about a token, in a form, a query or as a bearer header (Dovecot does all three).
pub(super) async fn introspect(
    Shared(inner): Shared<Arc<Inner>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut state = inner.state();
    if let Some(response) = state.scripted(Endpoint::Introspect).as_ref().and_then(Answer::raw) {
        return response;
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let token = field(&body, "token").or_else(|| field(&query.unwrap_or_default(), "token")).or(bearer);
    let answer = describe(&state, &token.unwrap_or_default());
    let active = answer.get("active").and_then(Value::as_bool).unwrap_or_default();
    state.log.push(Call {
        endpoint: "introspect",
        tenant: String::new(),
        grant_type: String::new(),
        client_id: String::new(),
        scope: String::new(),
        outcome: if active { "active".to_owned() } else { "inactive".to_owned() },
    });
    json_answer(StatusCode::OK, &answer)
}

/// The introspection answer for a token. The question is a mail server's: a token for another resource is not active
/// there (RFC 7662, section 2.2, leaves that to the authorization server).
pub(super) fn describe(state: &State, token: &str) -> Value {
    let Some(claims) = state.valid(token) else { return json!({"active": false}) };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if !scope::is_exchange(text("aud")) {
        return json!({"active": false});
    }
    let app = state.app(text("appid"));
    let own = match text("upn") {
        "" => app.and_then(|app| app.mailboxes.first()).map_or("", String::as_str),
        upn => upn,
    };
    let subject = if text("upn").is_empty() { text("appid") } else { text("upn") };
    let mailbox = state.settings.introspect_as.get(subject).map_or(own, String::as_str);
    json!({
        "active": true, "token_type": "Bearer", "client_id": text("appid"), "scope": text("scp"),
        "roles": claims.get("roles"), "username": subject, "email": mailbox, "sub": text("sub"), "aud": text("aud"),
        "iss": text("iss"), "tid": text("tid"), "exp": claims.get("exp"), "iat": claims.get("iat"),
        "nbf": claims.get("nbf"),
    })
}
