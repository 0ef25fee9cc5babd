//! Scripted answers: what a test or a person wants the provider to do wrong next, and the record of what was called.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::fault::Fault;

/// An endpoint that can be scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/oauth2/v2.0/authorize`, and the forms behind it.
    Authorize,
    /// `/oauth2/v2.0/token`.
    Token,
    /// `/discovery/v2.0/keys` and the discovery document.
    Discovery,
    /// `/introspect`.
    Introspect,
}

/// The next `times` calls of an endpoint get this answer.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which endpoint.
    pub at: Endpoint,
    /// How many calls.
    pub times: usize,
    /// What they get.
    pub answer: Answer,
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An error in Entra's form: JSON at the token endpoint, a redirect from the authorize endpoint.
    Error {
        /// HTTP status, at the token endpoint.
        status: u16,
        /// `error`.
        error: String,
        /// `suberror`.
        suberror: Option<String>,
        /// AADSTS number.
        code: u32,
        /// The sentence after the number.
        text: String,
    },
    /// Any status, headers and body.
    Raw {
        /// HTTP status.
        status: u16,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// The genuine answer to a genuine call (token endpoint), with members of its JSON replaced; `null` removes one.
    Altered(Map<String, Value>),
    /// The call is carried out (a refresh token rotates, a code is spent) and the answer is lost: the connection
    /// breaks in the middle of the body.
    Lost,
    /// The genuine answer, this many milliseconds late.
    Late(u64),
}

impl Refusal {
    /// The next call of the token endpoint is answered so.
    pub fn token(answer: Answer) -> Refusal {
        Refusal { at: Endpoint::Token, times: 1, answer }
    }

    /// The next call of the authorize endpoint is answered so.
    pub fn authorize(answer: Answer) -> Refusal {
        Refusal { at: Endpoint::Authorize, times: 1, answer }
    }

    /// The same for `times` calls.
    pub fn times(mut self, times: usize) -> Refusal {
        self.times = times;
        self
    }
}

impl Answer {
    /// An error with status 400.
    pub fn error(error: &str, code: u32, text: &str) -> Answer {
        Answer::Error { status: 400, error: error.into(), suberror: None, code, text: text.into() }
    }

    /// 429 with `Retry-After` in seconds.
    pub fn throttled(seconds: u64) -> Answer {
        let body = json!({"error": "temporarily_unavailable",
            "error_description": "AADSTS90055: The server is too busy to process the request. Please try again later.",
            "error_codes": [90055]});
        let headers =
            vec![("retry-after".into(), seconds.to_string()), ("content-type".into(), "application/json".into())];
        Answer::Raw { status: 429, headers, body: body.to_string() }
    }

    /// A status with a page in HTML, as a proxy or a front door gives.
    pub fn html(status: u16) -> Answer {
        let body = "<!doctype html><title>Service unavailable</title><h1>Our services aren't available right now</h1>";
        Answer::Raw { status, headers: vec![("content-type".into(), "text/html".into())], body: body.into() }
    }

    /// 200 with a body of this many bytes, valid JSON that never ends its first string in time.
    pub fn huge(bytes: usize) -> Answer {
        let body = format!("{{\"access_token\":\"{}\"}}", "A".repeat(bytes.saturating_sub(19)));
        Answer::Raw { status: 200, headers: vec![("content-type".into(), "application/json".into())], body }
    }

    /// 200 with an error in it.
    pub fn error_in_200(error: &str) -> Answer {
        Answer::Error { status: 200, error: error.into(), suberror: None, code: 70000, text: "Invalid grant.".into() }
    }

    /// The genuine answer with another `expires_in`.
    pub fn expires_in(value: impl Into<Value>) -> Answer {
        Answer::Altered(Map::from_iter([("expires_in".to_owned(), value.into())]))
    }

    /// The genuine answer without a refresh token.
    pub fn no_refresh_token() -> Answer {
        Answer::Altered(Map::from_iter([("refresh_token".to_owned(), Value::Null)]))
    }

    /// The fault that an [`Answer::Error`] is.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let Answer::Error { status, error, suberror, code, text } = self else { return None };
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
        Some(Fault { status, error: error.clone(), suberror: suberror.clone(), code: *code, text: text.clone() })
    }

    /// The response that an [`Answer::Raw`] is.
    pub(crate) fn raw(&self) -> Option<Response> {
        let Answer::Raw { status, headers, body } = self else { return None };
        let mut response = body.clone().into_response();
        *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), HeaderValue::from_str(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        Some(response)
    }
}

/// A response that promises more bytes than it sends: the client sees a connection broken off.
pub(crate) fn broken_off() -> Response {
    let frames = futures::stream::iter([
        Ok::<_, std::io::Error>("{\"token_type\":\"Bearer\","),
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "scripted")),
    ]);
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// One call, as it can be shown: nothing secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `authorize`, `sign-in`, `consent`, `token`, `keys`, `discovery` or `introspect`.
    pub endpoint: &'static str,
    /// The tenant of the path.
    pub tenant: String,
    /// `grant_type` at the token endpoint, else empty.
    pub grant_type: String,
    /// `client_id`, as sent.
    pub client_id: String,
    /// `scope`, as sent.
    pub scope: String,
    /// `ok`, `page`, `scripted`, or the refusal: `invalid_grant 54005`.
    pub outcome: String,
}
