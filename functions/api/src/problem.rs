//! What went wrong, as RFC 9457 says it.

use crate::json;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use rebond::limits;
use rebond::table::{Scope, TableError};
use serde_json::json;

/// A request that was not answered, and why.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// A word for programs.
    code: &'static str,
    /// A sentence for a person.
    detail: String,
    header: Option<(HeaderName, String)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        // It may quote what was sent.
        Self { status, code, detail: detail.into().chars().take(300).collect(), header: None }
    }

    fn with(mut self, name: HeaderName, value: String) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(crate) fn no_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "There is nothing at this path.")
    }

    pub(crate) fn method(allowed: &[Method]) -> Self {
        let mut names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        if allowed.contains(&Method::GET) {
            names.push("HEAD");
        }
        let names = names.join(", ");
        let detail = format!("This path takes {names}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).with(header::ALLOW, names)
    }

    /// RFC 6750 §3: what was sent is told apart from nothing sent, and nothing else is.
    pub(crate) fn key(sent: bool) -> Self {
        let challenge =
            if sent { "Bearer realm=\"rebond\", error=\"invalid_token\"" } else { "Bearer realm=\"rebond\"" };
        let detail = match sent {
            true => "The key is not one of ours, or was revoked.",
            false => "Send a key: `Authorization: Bearer …`. `rebond key add` makes one.",
        };
        Self::new(StatusCode::UNAUTHORIZED, "no-valid-key", detail).with(header::WWW_AUTHENTICATE, challenge.to_owned())
    }

    pub(crate) fn scope(wanted: Scope) -> Self {
        let wanted = wanted.as_str();
        let challenge = format!("Bearer realm=\"rebond\", error=\"insufficient_scope\", scope=\"{wanted}\"");
        let detail = format!("This needs a key of the scope `{wanted}`.");
        Self::new(StatusCode::FORBIDDEN, "insufficient-scope", detail).with(header::WWW_AUTHENTICATE, challenge)
    }

    pub(crate) fn too_many(seconds: u32) -> Self {
        let detail = format!("This key asks too often: wait {seconds} s.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail)
            .with(header::RETRY_AFTER, seconds.to_string())
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// Understood, and naming something that is not there.
    pub(crate) fn missing(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Understood, and not possible.
    pub(crate) fn cannot(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub(crate) fn ours(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "our-fault", format!("Something of ours is out of order: {what}."))
            .with(header::RETRY_AFTER, "5".to_owned())
    }

    /// The problem as an answer.
    pub fn answer(self) -> Response<String> {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({ "type": "about:blank", "title": title, "status": self.status.as_u16(), "code": self.code,
            "detail": self.detail });
        let mut answer = json(self.status, "application/problem+json", body);
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// A body of more than [`limits::API_BODY_BYTES`].
pub fn too_long() -> Problem {
    let detail = format!("A request has {} bytes at most.", limits::API_BODY_BYTES);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", detail)
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        tracing::error!(error = %error, "a request could not be answered");
        Self::ours("the table does not answer")
    }
}
