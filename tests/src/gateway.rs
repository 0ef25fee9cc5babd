//! What API Gateway does for the two functions behind it: a request becomes an event (HTTP API, payload format 2.0),
//! and the answer a response.

use crate::recorder::Recorder;
use crate::rie::Emulated;
use crate::stack::{Stack, api_request};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A stack whose web functions answer under a URL. Ends with the value.
pub struct Gateway {
    /// What the functions talk to.
    pub stack: Stack,
    /// What oauth-start called.
    pub start_calls: Recorder,
    /// What oauth-callback called.
    pub callback_calls: Recorder,
    functions: Arc<Functions>,
    server: JoinHandle<()>,
}

struct Functions {
    url: String,
    start: Emulated,
    callback: Emulated,
}

impl Gateway {
    /// Starts a stack on loopback, its web functions under the emulator, and listens.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://localhost:{}", listener.local_addr()?.port());
        let stack = Stack::start(Ipv4Addr::LOCALHOST, "test", &url).await?;
        let (environment, start_calls) = stack.recorded().await?;
        let start = Emulated::start("oauth-start", &environment)?;
        let (environment, callback_calls) = stack.recorded().await?;
        let callback = Emulated::start("oauth-callback", &environment)?;
        let functions = Arc::new(Functions { url, start, callback });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&functions));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { stack, start_calls, callback_calls, functions, server })
    }

    /// What the two functions have logged.
    #[must_use]
    pub fn logs(&self) -> String {
        format!("{}\n{}", self.functions.start.output(), self.functions.callback.output())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    functions.answer(&request.into_parts().0).await.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("{error:#}")));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        response
    })
}

impl Functions {
    async fn answer(&self, request: &Parts) -> Result<Response> {
        let path = request.uri.path_and_query().context("a path")?.as_str();
        let cookies = request.headers.get_all(http::header::COOKIE);
        let cookies = cookies.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split("; "));
        let cookies: Vec<String> = cookies.map(str::to_owned).collect();
        let event = api_request(&format!("{}{path}", self.url), &cookies)?;
        let function = if path.starts_with("/oauth/start/") { &self.start } else { &self.callback };
        response(&function.invoke(&event).await?)
    }
}

fn response(answer: &Value) -> Result<Response> {
    let status = answer["statusCode"].as_u64().with_context(|| format!("no status: {answer}"))?;
    let mut builder = Response::builder().status(u16::try_from(status)?);
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        builder = builder.header(name, value.as_str().unwrap_or_default());
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        builder = builder.header(http::header::SET_COOKIE, cookie.as_str().unwrap_or_default());
    }
    Ok(builder.body(Body::from(answer["body"].as_str().unwrap_or_default().to_owned()))?)
}
