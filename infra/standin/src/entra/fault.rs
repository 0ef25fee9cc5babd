//! What the provider refuses, in Entra's own form: an `error` of OAuth (RFC 6749, sections 4.1.2.1 and 5.2) and a
//! description that begins with a code of "Microsoft Entra authentication and authorization error codes".

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::random;

/// One refusal. `code` is the AADSTS number; 0 stands for a rule that only the stand-in has.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub status: StatusCode,
    pub error: String,
    pub suberror: Option<String>,
    pub code: u32,
    pub text: String,
}

impl Fault {
    pub(crate) fn new(error: &str, code: u32, text: impl Into<String>) -> Fault {
        // RFC 6749, section 5.2: 401 where the client could not be authenticated, 400 otherwise.
        let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Fault { status, error: error.to_owned(), suberror: None, code, text: text.into() }
    }

    pub(crate) fn suberror(mut self, suberror: &str) -> Fault {
        self.suberror = Some(suberror.to_owned());
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Fault {
        self.status = status;
        self
    }

    /// What a person reads: the code and the sentence.
    pub(crate) fn sentence(&self) -> String {
        if self.code == 0 { format!("Stand-in: {}", self.text) } else { format!("AADSTS{}: {}", self.code, self.text) }
    }

    /// `error_description` of a redirect, where Entra separates the identifiers by CRLF.
    pub(crate) fn description(&self, now: Timestamp) -> String {
        let (trace, correlation, time) = (random::guid(), random::guid(), stamp(now));
        format!("{}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}", self.sentence())
    }

    /// The JSON of the token endpoint.
    pub(crate) fn json(&self, now: Timestamp, url: &str) -> Value {
        let (trace, correlation, time) = (random::guid(), random::guid(), stamp(now));
        let mut answer = json!({
            "error": self.error,
            "error_description": format!(
                "{} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}", self.sentence()),
            "error_codes": [self.code],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{url}/error?code={}", self.code),
        });
        if let Some(suberror) = &self.suberror {
            answer["suberror"] = json!(suberror);
        }
        answer
    }
}

/// The form of Entra's timestamps: `2026-01-09 02:02:12Z`.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The form of times inside descriptions: `2026-01-09T02:02:12.0000000Z`.
pub(crate) fn fine(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z").to_string()
}
