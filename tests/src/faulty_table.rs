//! A table that throttles, and one whose answers are lost after the write: put before the embedded one.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What goes wrong, and what was asked. Shares are of a thousand calls; both are 0 at first.
#[derive(Debug, Default)]
pub struct Faults {
    /// Calls that are answered with `ProvisionedThroughputExceededException` and change nothing.
    pub throttled: AtomicU32,
    /// Calls that are carried out, and whose answer never comes.
    pub lost: AtomicU32,
    /// Calls of BatchGetItem and BatchWriteItem of which half is done, and which are told the rest is unprocessed.
    pub unprocessed: AtomicU32,
    lost_once: Mutex<Option<String>>,
    seed: AtomicU64,
    calls: Mutex<BTreeMap<String, u64>>,
    units: Mutex<Option<BTreeMap<String, f64>>>,
}

impl Faults {
    /// How often each operation reached the table so far.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes that reached the table so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        let calls = self.calls();
        ["PutItem", "UpdateItem", "DeleteItem"].iter().filter_map(|name| calls.get(*name)).sum()
    }

    /// From now on each write is asked what it consumes.
    pub fn count_units(&self) {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner) = Some(BTreeMap::new());
    }

    /// Write units since [`Faults::count_units`], as the table itself said, by the kind of item (`REPORT`, `STANDING`,
    /// …), and beside each what its indexes took (`REPORT index`).
    #[must_use]
    pub fn units(&self) -> BTreeMap<String, f64> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    fn counts(&self) -> bool {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn add_units(&self, kind: String, units: f64) {
        if let Some(all) = self.units.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *all.entry(kind).or_default() += units;
        }
    }

    /// Sets both shares.
    pub fn set(&self, throttled: u32, lost: u32) {
        self.throttled.store(throttled, Ordering::Relaxed);
        self.lost.store(lost, Ordering::Relaxed);
    }

    /// Loses the answer to the next call whose text holds `words`; the call is carried out.
    pub fn lose_once(&self, words: &str) {
        *self.lost_once.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.to_owned());
    }

    /// Whether an answer was lost since [`Faults::lose_once`].
    #[must_use]
    pub fn was_lost(&self) -> bool {
        self.lost_once.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn is_lost(&self, body: &[u8]) -> bool {
        let mut once = self.lost_once.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(body);
        let named = once.as_ref().is_some_and(|words| text.contains(words.as_str()));
        if named {
            *once = None;
        }
        named || self.draw() < self.lost.load(Ordering::Relaxed)
    }

    /// A number from 0 to 999: the same sequence in each run (splitmix64).
    fn draw(&self) -> u32 {
        let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % 1_000) as u32
    }
}

/// `inner` with `faults` before it.
#[must_use]
pub fn wrap(inner: SharedHttpConnector, faults: Arc<Faults>) -> SharedHttpConnector {
    SharedHttpConnector::new(Faulty { inner, faults })
}

#[derive(Debug)]
struct Faulty {
    inner: SharedHttpConnector,
    faults: Arc<Faults>,
}

impl HttpConnector for Faulty {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").and_then(|target| target.split_once('.'));
        let operation = target.map_or("", |(_, operation)| operation).to_owned();
        let faults = &self.faults;
        if faults.draw() < faults.throttled.load(Ordering::Relaxed) {
            return HttpConnectorFuture::ready(Ok(throttled()));
        }
        *faults.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(operation.clone()).or_default() += 1;
        let lost = faults.is_lost(request.body().bytes().unwrap_or_default());
        let took = |left: u32| left.checked_sub(1);
        if ["BatchGetItem", "BatchWriteItem"].contains(&&*operation)
            && faults.unprocessed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, took).is_ok()
        {
            return self.half(request, operation == "BatchWriteItem");
        }
        let asked = self.faults.counts().then(|| ask_for_units(&request)).flatten();
        let (kind, request) = match asked {
            Some((kind, request)) => (Some(kind), request),
            None => (None, request),
        };
        let answer = self.inner.call(request);
        let faults = Arc::clone(&self.faults);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            if let (Some(kind), Ok(answer)) = (kind, &answer) {
                let said: Value = serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
                // Of a batch for each table.
                let said = said["ConsumedCapacity"].get(0).unwrap_or(&said["ConsumedCapacity"]);
                for index in said["GlobalSecondaryIndexes"].as_object().into_iter().flat_map(|indexes| indexes.values())
                {
                    faults.add_units(format!("{kind} index"), index["CapacityUnits"].as_f64().unwrap_or_default());
                }
                faults.add_units(kind, said["Table"]["CapacityUnits"].as_f64().unwrap_or_default());
            }
            if lost { Err(ConnectorError::timeout("the answer was lost".into())) } else { answer }
        })
    }
}

impl Faulty {
    /// Has the first half of a batch done, and hands the rest back as unprocessed: `UnprocessedKeys` of BatchGetItem,
    /// `UnprocessedItems` of BatchWriteItem.
    fn half(&self, mut request: HttpRequest, writes: bool) -> HttpConnectorFuture {
        let mut asked: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let mut rest = asked["RequestItems"].clone();
        let part = |of: &mut Value, half: &[Value]| match writes {
            true => *of = half.into(),
            false => of["Keys"] = half.into(),
        };
        let mut none = true;
        for (table, wanted) in rest.as_object_mut().into_iter().flatten() {
            let all = if writes { &*wanted } else { &wanted["Keys"] }.as_array().cloned().unwrap_or_default();
            let (first, last) = all.split_at(all.len() / 2);
            none &= first.is_empty();
            part(wanted, last);
            part(&mut asked["RequestItems"][table], first);
        }
        let body = asked.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let mut said = serde_json::json!({ "Responses": {} });
            if !none {
                let answer = answer.await?;
                said = serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
            }
            said[if writes { "UnprocessedItems" } else { "UnprocessedKeys" }] = rest;
            Ok(HttpResponse::new(http::StatusCode::OK.into(), SdkBody::from(said.to_string())))
        })
    }
}

/// A write that also asks what it consumes, and the kind of its item.
fn ask_for_units(request: &HttpRequest) -> Option<(String, HttpRequest)> {
    let mut body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
    let target = request.headers().get("x-amz-target")?.to_owned();
    if !["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"].iter().any(|write| target.ends_with(write)) {
        return None;
    }
    let batch = body["RequestItems"].as_object().and_then(|tables| tables.values().next());
    let sk = body["Item"]["sk"]["S"].as_str().or(body["Key"]["sk"]["S"].as_str());
    let sk = sk.or(batch.and_then(|batch| batch[0]["PutRequest"]["Item"]["sk"]["S"].as_str()))?;
    let kind = sk.split('#').next()?.to_owned();
    body["ReturnConsumedCapacity"] = "INDEXES".into();
    let mut asking = HttpRequest::new(SdkBody::from(body.to_string()));
    asking.headers_mut().insert("x-amz-target", target);
    Some((kind, asking))
}

fn throttled() -> HttpResponse {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message":"The level of configured provisioned throughput for the table was exceeded."}"#;
    HttpResponse::new(http::StatusCode::BAD_REQUEST.into(), SdkBody::from(body))
}
