//! `/api/v1/…`: what other systems ask and decide, by a key. `openapi.json` describes it.
//!
//! Which path and method → whose key → may it → what was sent, strictly read → one answer of JSON. Whatever goes wrong is
//! a problem (RFC 9457) with a `code` for programs. No path is logged: addresses stand in them.

mod address;
mod deliveries;
mod input;
mod pages;
mod problem;
mod rate;
mod route;
mod shape;

pub use problem::{Problem, too_long};

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use input::{Input, Query};
use jiff::Timestamp;
use rate::Rate;
use rebond::table::{ApiKey, Table};
use route::Route;
use serde_json::Value;
use std::sync::Arc;

/// The description of the API, as OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What the function needs.
#[derive(Clone)]
pub struct Api {
    table: Table,
    rate: Arc<Rate>,
}

/// One request whose key was checked.
struct Call<'a> {
    table: &'a Table,
    key: ApiKey,
    query: Query,
    body: Input<'a>,
    now: Timestamp,
}

impl Api {
    /// Over a table.
    pub fn new(table: Table) -> Self {
        Self { table, rate: Arc::default() }
    }

    /// Answers a request.
    pub async fn handle(&self, request: &Parts, body: &[u8], now: Timestamp) -> Response<String> {
        let answer = match self.answer(request, body, now).await {
            Ok(value) => json(StatusCode::OK, "application/json", value),
            Err(problem) => problem.answer(),
        };
        match request.method {
            // As GET, without what it would have said (RFC 9110 §9.3.2).
            Method::HEAD => answer.map(|_| String::new()),
            _ => answer,
        }
    }

    async fn answer(&self, request: &Parts, body: &[u8], now: Timestamp) -> Result<Value, Problem> {
        let (route, methods) = route::find(request.uri.path()).ok_or_else(Problem::no_path)?;
        let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
        if !methods.contains(method) {
            return Err(Problem::method(methods));
        }
        let route = route.by(method);
        if matches!(route, Route::Description) {
            return serde_json::from_str(OPENAPI).map_err(|_| Problem::ours("the description"));
        }
        let key = self.key(request).await?;
        if !key.scopes.contains(&route.scope()) {
            return Err(Problem::scope(route.scope()));
        }
        if let Some(seconds) = self.rate.refuses(&key.hash, now) {
            return Err(Problem::too_many(seconds));
        }
        let query = Query::read(request, route.parameters())?;
        let body = Input::read(request, body)?;
        let call = Call { table: &self.table, key, query, body, now };
        match &route {
            Route::Check => address::check(&call).await,
            Route::Address(address) => address::show(&call, address).await,
            Route::Decide(address, deed) => address::decide(&call, address, *deed).await,
            Route::Accounts => pages::accounts(&call).await,
            Route::Reports => pages::reports(&call).await,
            Route::Incidents => pages::incidents(&call).await,
            Route::Deliveries => deliveries::list(&call).await,
            Route::Delivery(id) => deliveries::show(&call, id).await,
            Route::Tell => deliveries::tell(&call).await,
            Route::Sent(id) => deliveries::sent(&call, id).await,
            Route::Description => Err(Problem::no_path()),
        }
    }

    /// Whose request it is (RFC 6750 §2.1).
    async fn key(&self, request: &Parts) -> Result<ApiKey, Problem> {
        let sent = request.headers.get(header::AUTHORIZATION).ok_or_else(|| Problem::key(false))?;
        let sent = sent.to_str().ok().and_then(|text| text.split_once(' '));
        let token = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let token = token.filter(|token| token.len() <= 200).ok_or_else(|| Problem::key(true))?;
        self.table.api_key(token).await?.ok_or_else(|| Problem::key(true))
    }
}

/// An answer of JSON that nobody keeps.
fn json(status: StatusCode, kind: &'static str, value: Value) -> Response<String> {
    let mut answer = Response::new(value.to_string());
    *answer.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
