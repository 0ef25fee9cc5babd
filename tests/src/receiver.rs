//! A receiver of events on loopback, as good or bad as a test wants it.

use anyhow::Result;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a request is answered with.
#[derive(Debug, Clone, Default)]
pub enum Mood {
    /// 200.
    #[default]
    Good,
    /// A status, with a header where one is named.
    Bad(u16, Option<(&'static str, String)>),
    /// 500 where the body holds these words, 200 otherwise.
    Picky(String),
    /// 200, after so long.
    Slow(Duration),
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Got {
    /// Method and path.
    pub line: String,
    /// Header fields, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// What it was answered with.
    pub status: u16,
}

impl Got {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

#[derive(Default)]
struct Shared {
    mood: Mutex<Mood>,
    got: Mutex<Vec<Got>>,
    answer: Mutex<Value>,
}

/// A running receiver.
pub struct Receiver {
    shared: Arc<Shared>,
    url: String,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts one that takes everything.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://127.0.0.1:{}/hook", listener.local_addr()?.port());
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { shared, url, server })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it answers so.
    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// What it says where it takes something.
    pub fn answers(&self, answer: Value) {
        *self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// All that came.
    #[must_use]
    pub fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was taken: answered with 2xx.
    #[must_use]
    pub fn taken(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| (200..300).contains(&got.status)).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<String> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let mood = shared.mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, header) = match mood {
        Mood::Good => (200, None),
        Mood::Bad(status, header) => (status, header),
        Mood::Picky(words) => (if body.contains(&words) { 500 } else { 200 }, None),
        Mood::Slow(time) => {
            tokio::time::sleep(time).await;
            (200, None)
        }
    };
    let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, of)| (name.as_str().to_owned(), value(of))).collect();
    let line = format!("{} {}", head.method, head.uri);
    shared.got.lock().unwrap_or_else(PoisonError::into_inner).push(Got { line, headers, body, status });
    let said = shared.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    response.body(if said.is_null() { json!({}).to_string() } else { said.to_string() }).unwrap_or_default()
}
