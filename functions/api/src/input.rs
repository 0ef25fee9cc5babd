//! What a request holds, read strictly: what is not understood is refused, never passed over.

use crate::problem::{Problem, too_long};
use http::request::Parts;
use http::{StatusCode, header};
use rebond::limits;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The names and values of a query.
#[derive(Debug)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads it; only these names may stand in it, each once.
    pub fn read(request: &Parts, names: &[&str]) -> Result<Self, Problem> {
        let query = request.uri.query().unwrap_or_default();
        if query.len() > limits::QUERY_BYTES {
            return Err(Problem::bad("The query is too long."));
        }
        let mut values = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !names.contains(&name.as_ref()) {
                return Err(Problem::bad(format!("There is no parameter {name:?} here.")));
            }
            if values.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Problem::bad(format!("The parameter {name:?} stands there twice.")));
            }
        }
        Ok(Self(values))
    }

    /// One value as text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// How much a page shall hold.
    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else { return Ok(50) };
        let number = text.parse().ok().filter(|n| (1..=limits::API_PAGE).contains(n) && !text.starts_with('+'));
        number.ok_or_else(|| Problem::bad(format!("limit must be a number from 1 to {}.", limits::API_PAGE)))
    }
}

/// A body.
#[derive(Debug)]
pub struct Input<'a> {
    body: &'a [u8],
    kind: String,
}

impl<'a> Input<'a> {
    /// Bounds it.
    pub fn read(request: &Parts, body: &'a [u8]) -> Result<Self, Problem> {
        if body.len() > limits::API_BODY_BYTES {
            return Err(too_long());
        }
        let kind = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(Self { body, kind })
    }

    /// The body as one JSON object.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.is("application/json")?;
        // A list would be read as the fields of an object in their order.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::bad("The body must be a JSON object."));
        }
        serde_json::from_slice(self.body).map_err(|error| Problem::bad(format!("The body cannot be read: {error}.")))
    }

    /// The same; nothing is as good as an empty object.
    pub fn json_or_nothing<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// The body as lines of JSON.
    pub fn jsonl(&self) -> Result<&'a [u8], Problem> {
        self.is("application/jsonl")?;
        Ok(self.body)
    }

    fn is(&self, wanted: &'static str) -> Result<(), Problem> {
        if self.kind == wanted {
            return Ok(());
        }
        let detail = format!("The body must be {wanted}, and say so by Content-Type.");
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail))
    }
}
