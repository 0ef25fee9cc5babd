//! Stands between a function and the emulators of AWS, and remembers what the function called.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One endpoint for all services. It ends with the value.
pub struct Recorder {
    url: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

struct Inner {
    table_url: String,
    other_url: String,
    http: reqwest::Client,
    calls: Mutex<BTreeSet<String>>,
}

impl Recorder {
    /// Passes DynamoDB's calls on to `table_url` and all others to `other_url`.
    pub async fn start(table_url: &str, other_url: &str) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let inner = Arc::new(Inner {
            table_url: table_url.to_owned(),
            other_url: other_url.to_owned(),
            http: reqwest::Client::builder().build()?,
            calls: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, inner, server })
    }

    /// What `AWS_ENDPOINT_URL` must say.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The IAM actions that the calls so far need, such as `dynamodb:GetItem`.
    #[must_use]
    pub fn actions(&self) -> BTreeSet<String> {
        self.inner.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// `DynamoDB_20120810.GetItem` → `dynamodb:GetItem`. Batches of messages need the right of one.
fn action(target: &str) -> String {
    match target.split_once('.') {
        Some((service, operation)) if service.starts_with("DynamoDB_") => format!("dynamodb:{operation}"),
        Some(("AmazonSQS", operation)) => format!("sqs:{}", operation.trim_end_matches("Batch")),
        Some(("AWSStepFunctions", operation)) => format!("states:{operation}"),
        Some(("AWSEvents", operation)) => format!("events:{operation}"),
        Some((service, operation)) => format!("{service}:{operation}"),
        None => target.to_owned(),
    }
}

/// What SNS is asked, which has no target in its headers, but a form.
fn of_form(body: &[u8]) -> String {
    let form = String::from_utf8_lossy(body);
    let operation = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
    operation.map_or_else(|| "no target".to_owned(), |operation| format!("sns:{operation}"))
}

/// What S3 is asked: by method and path, and by nothing else.
fn of_s3(method: &Method) -> String {
    match *method {
        Method::PUT => "s3:PutObject".to_owned(),
        _ => format!("s3:{method}"),
    }
}

async fn pass(State(inner): State<Arc<Inner>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_s3 = signed.contains("/s3/aws4_request");
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let called = match () {
        () if is_s3 => of_s3(&method),
        () if target.is_empty() => of_form(&body),
        () => action(&target),
    };
    inner.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(called);
    let to = if target.starts_with("DynamoDB_") { &inner.table_url } else { &inner.other_url };
    let path = uri.path_and_query().filter(|_| is_s3).map_or("", |path| path.as_str());
    let mut request = inner.http.request(method, format!("{to}{path}")).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length")) {
        request = request.header(name, value);
    }
    match answer(request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Response> {
    let answer = request.send().await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if !matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection") {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from(answer.bytes().await?))?)
}
