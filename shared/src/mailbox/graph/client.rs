//! Requests to Graph, and what its refusals mean.

use super::super::fault::clean;
use super::{FaultKind, MailboxFault};
use crate::account::{Encryption, Server};
use crate::limits;
use crate::net::{Http, NetError, retry_after};
use crate::secret::{ExposeSecret, Secret};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde::Deserialize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Time for one exchange.
const EXCHANGE: Duration = Duration::from_secs(30);

/// Who asks, and where.
pub(super) struct Client {
    http: Http,
    /// `https://HOST/v1.0`.
    base: Url,
    mailbox: String,
    authorization: HeaderValue,
    token: Secret,
    pub deadline: Instant,
    /// Whether the token was taken once: what is refused afterwards has ended.
    pub opened: bool,
    round_trips: AtomicU32,
}

/// A request.
pub(super) struct Ask {
    pub method: Method,
    pub url: Url,
    /// A JSON body.
    pub body: Option<String>,
    /// Bytes of the answer that are read.
    pub most: usize,
}

impl Ask {
    /// A GET of JSON.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None, most: limits::GRAPH_PAGE_BYTES }
    }
}

/// An answer of 200 to 299.
pub(super) struct Answer {
    pub body: Vec<u8>,
    /// Whether the body is longer than what was read.
    pub cut: bool,
    /// What the server says of its length.
    pub length: Option<u64>,
}

/// Any other answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    /// Graph's word for it, such as `ErrorItemNotFound`.
    pub code: String,
    /// Code and message, fit to show.
    pub said: Option<String>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether what was asked for is not there, or not any more.
    pub fn is_gone(&self) -> bool {
        matches!(self.status, 404 | 410)
    }
}

/// Graph's error body ("Microsoft Graph error responses and resource types").
#[derive(Deserialize)]
struct Error {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Client {
    pub fn new(
        http: Http,
        server: &Server,
        mailbox: &str,
        token: &Secret,
        deadline: Instant,
    ) -> Result<Self, MailboxFault> {
        debug_assert!(server.encryption == Encryption::Tls);
        let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
        let base = Url::parse(&format!("https://{host}:{}/v1.0", server.port))
            .map_err(|_| FaultKind::Unsendable("the server's name"))?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| FaultKind::Unsendable("the access token"))?;
        authorization.set_sensitive(true);
        let (mailbox, token, round_trips) = (mailbox.to_owned(), token.clone(), AtomicU32::new(0));
        Ok(Self { http, base, mailbox, authorization, token, deadline, opened: false, round_trips })
    }

    /// `/v1.0/users/{mailbox}/…`, each segment encoded.
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["users", &self.mailbox]).extend(segments);
        }
        url
    }

    /// A link of Graph's own that may be followed: bounded, and of the host that the token is for.
    pub fn follow(&self, link: &str) -> Result<Url, MailboxFault> {
        if link.len() > limits::GRAPH_LINK_BYTES {
            return Err(FaultKind::Limit("a link that is too long").into());
        }
        let url = Url::parse(link).map_err(|_| FaultKind::Protocol("a link that is no URL"))?;
        let ours = url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none();
        if !ours || !url.path().starts_with("/v1.0/") {
            return Err(FaultKind::Protocol("a link that leads elsewhere").into());
        }
        Ok(url)
    }

    pub fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Asks, and reads the answer so far.
    pub async fn send(&self, ask: Ask) -> Result<Result<Answer, Refusal>, MailboxFault> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(FaultKind::Deadline.into());
        }
        let prefer = format!("IdType=\"ImmutableId\", odata.maxpagesize={}", limits::GRAPH_PAGE_MESSAGES);
        let mut request = Request::builder().method(ask.method).uri(ask.url.as_str()).header("prefer", prefer);
        if ask.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .header(AUTHORIZATION, self.authorization.clone())
            .body(ask.body.unwrap_or_default().into_bytes())
            .map_err(|_| FaultKind::Unsendable("an id or a name"))?;
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let sent = self.http.send_within(request, ask.most, EXCHANGE.min(left)).await;
        let (response, cut) = sent.map_err(|error| match error {
            NetError::Timeout(_) if Instant::now() >= self.deadline => FaultKind::Deadline.into(),
            error => MailboxFault::from(error),
        })?;
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if response.status().is_success() {
            let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
            return Ok(Ok(Answer { length, cut, body: response.into_body() }));
        }
        let retry_after = retry_after(response.headers());
        let status = response.status().as_u16();
        let error = serde_json::from_slice::<Error>(response.body()).ok();
        let (code, message) = error.map_or_else(Default::default, |it| (it.error.code, it.error.message));
        let said = match code.is_empty() {
            true => format!("HTTP {status}"),
            false => format!("HTTP {status}, {code}: {message}"),
        };
        let said = Some(clean(said.as_bytes(), std::slice::from_ref(&self.token)));
        Ok(Err(Refusal { status, code, said, retry_after }))
    }

    /// Asks for JSON.
    pub async fn json<T: for<'de> Deserialize<'de>>(&self, ask: Ask) -> Result<Result<T, Refusal>, MailboxFault> {
        match self.send(ask).await? {
            Ok(Answer { cut: true, .. }) => Err(FaultKind::Limit("a page that is too long").into()),
            Ok(answer) => match serde_json::from_slice(&answer.body) {
                Ok(value) => Ok(Ok(value)),
                Err(_) => Err(FaultKind::Protocol("an answer that is not the JSON asked for").into()),
            },
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What a refusal means, where the caller knows nothing better. `what` was asked for.
    pub fn fault(&self, refusal: Refusal, what: &'static str) -> MailboxFault {
        let kind = match refusal.status {
            // The token's life is over, or was ended: the next run has another one.
            401 if self.opened => FaultKind::Closed,
            401 => FaultKind::LoginRefused,
            429 => FaultKind::Throttled,
            503 | 504 if refusal.retry_after.is_some() => FaultKind::Throttled,
            500..=599 => FaultKind::Unavailable,
            300..=399 => FaultKind::Protocol("a redirect"),
            _ => FaultKind::Refused(what),
        };
        MailboxFault { kind, said: refusal.said, retry_after: refusal.retry_after }
    }
}
