//! One event said to one endpoint, and what its answers say about the endpoint.

use super::{Teller, bounded};
use crate::deployment::signed::{Request, Signed};
use crate::events::{self, Arn, Call, Destination, Endpoint, Event, EventType, Shape, WebhookKeys};
use crate::limits;
use crate::secret::{ExposeSecret, Secret};
use crate::standing::AddressKey;
use crate::table::{EndpointHealth, EndpointItem, EndpointState, StandingItem, TableError};
use crate::vault::VaultError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Time for a receiver to answer.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Refusals in a row after which no other try is begun: the endpoint is down.
const IN_A_ROW: u32 = 5;

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// What was answered.
    pub said: String,
    /// Seconds that the receiver wants to be left alone.
    pub asked: Option<i64>,
    /// It is gone for good (410).
    pub gone: bool,
}

impl Refused {
    fn plain(said: impl Into<String>) -> Self {
        Self { said: said.into(), asked: None, gone: false }
    }
}

/// The tries of one run at one endpoint, several at a time.
pub(super) struct Attempts<'a> {
    teller: &'a Teller,
    item: &'a EndpointItem,
    secret: Option<Secret>,
    until: Instant,
    told: AtomicU64,
    refused: AtomicU32,
    in_a_row: AtomicU32,
    last: Mutex<Option<Refused>>,
}

impl<'a> Attempts<'a> {
    pub async fn new(teller: &'a Teller, item: &'a EndpointItem, until: Instant) -> Result<Self, VaultError> {
        let secret = teller.secret(item).await?;
        Ok(Self {
            teller,
            item,
            secret,
            until,
            told: AtomicU64::new(0),
            refused: AtomicU32::new(0),
            in_a_row: AtomicU32::new(0),
            last: Mutex::new(None),
        })
    }

    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Whether no other try is begun.
    pub fn stopped(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = last.as_ref().is_some_and(|refused| refused.gone || refused.asked.is_some());
        asked || self.in_a_row.load(Ordering::Relaxed) >= IN_A_ROW || Instant::now() >= self.until
    }

    /// Whether an event was taken; none where no other try is begun.
    pub async fn attempt(&self, event: &Event) -> Option<Result<(), Refused>> {
        if self.stopped() {
            return None;
        }
        let now = (self.teller.clock)();
        let said = self.teller.say(&self.item.settings, self.secret.as_ref(), event, now).await;
        match &said {
            Ok(()) => {
                self.told.fetch_add(1, Ordering::Relaxed);
                self.in_a_row.store(0, Ordering::Relaxed);
            }
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused.clone());
            }
        }
        Some(said)
    }

    /// Tells the events of one subject until one is not taken; what is left of them.
    pub async fn tell_in_order<'e>(&self, events: &'e [&'e Event]) -> &'e [&'e Event] {
        for (number, event) in events.iter().enumerate() {
            if self.attempt(event).await.is_none_or(|said| said.is_err()) {
                return &events[number..];
            }
        }
        &[]
    }

    /// Whether the endpoint as a whole is in trouble, and not one event of many.
    pub fn is_down(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = last.as_ref().is_some_and(|refused| refused.gone || refused.asked.is_some());
        let refused = self.refused.load(Ordering::Relaxed);
        asked || self.in_a_row.load(Ordering::Relaxed) >= IN_A_ROW || (refused > 0 && self.told() == 0)
    }

    /// How it goes with the endpoint after these tries, and when the next may be, in seconds since 1970; none where that
    /// is never, or for what is left to say.
    pub fn ended(&self, before: &EndpointHealth, now: Timestamp, chance: u32) -> (EndpointHealth, Option<i64>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at = now.as_second();
        let moved = |state, failures, said| EndpointHealth {
            state,
            since: if state == before.state { before.since } else { at },
            said,
            failures,
        };
        match last.filter(|_| self.is_down()) {
            Some(refused) if refused.gone => {
                (moved(EndpointState::Gone, before.failures.saturating_add(1), Some(bounded(&refused.said))), None)
            }
            Some(refused) => {
                let failures = before.failures.saturating_add(1);
                let pause = events::pause(failures, chance, refused.asked);
                (moved(EndpointState::Retrying, failures, Some(bounded(&refused.said))), Some(at + pause))
            }
            // Nothing was tried: nothing is known.
            None if self.told() == 0 => (before.clone(), None),
            None => (moved(EndpointState::Active, 0, None), None),
        }
    }
}

impl Teller {
    /// Says one event to one endpoint, now.
    pub(super) async fn say(
        &self,
        endpoint: &Endpoint,
        secret: Option<&Secret>,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let body = match endpoint.shape {
            Shape::Cloudevents => serde_json::to_string(event),
            Shape::Ses => serde_json::to_string(&events::notification(event)),
        };
        let body = body.map_err(|error| Refused::plain(error.to_string()))?;
        match &endpoint.to {
            Destination::Webhook { url } => self.post(url, endpoint.shape, secret, event, body, now).await,
            Destination::Sqs { arn } => self.to_sqs(arn, event, body).await,
            Destination::Sns { arn } => self.to_sns(arn, event, body).await,
            Destination::Eventbridge { arn } => self.to_eventbridge(arn, event, body).await,
            Destination::StepFunctions { arn } => self.to_step_functions(arn, event, body).await,
            // Theirs is one word for all lists.
            Destination::SesSuppressionList { .. } | Destination::Mautic { .. }
                if self.is_kept_elsewhere(endpoint, event, now).await? =>
            {
                Ok(())
            }
            Destination::SesSuppressionList { region } => self.to_suppression_list(region, event).await,
            Destination::Listmonk { url, user } => match events::listmonk(event) {
                Some(call) => self.call(url, user, secret, call, now).await.map(|_| ()),
                None => Ok(()),
            },
            Destination::Mautic { url, user } => {
                let Some(find) = events::mautic_find(event) else { return Ok(()) };
                let found = self.call(url, user, secret, find, now).await?;
                for call in events::mautic_mark(event, &found) {
                    self.call(url, user, secret, call, now).await?;
                }
                Ok(())
            }
        }
    }

    /// Whether an address that is released on one list may not be written to on another one that the endpoint is told of.
    async fn is_kept_elsewhere(&self, endpoint: &Endpoint, event: &Event, now: Timestamp) -> Result<bool, Refused> {
        let subject = event.subject.parse::<AddressKey>();
        let (EventType::AddressReleased, Ok(address)) = (event.kind, subject) else { return Ok(false) };
        let unread = |error: TableError| Refused::plain(format!("our own fault: {error}"));
        let items = self.table.standings_of(&address).await.map_err(unread)?;
        let of = event.text("list");
        let others = |item: &&StandingItem| {
            Some(item.list.as_str()) != of && (endpoint.lists.is_empty() || endpoint.lists.contains(&item.list))
        };
        let others: Vec<&StandingItem> = items.iter().filter(others).collect();
        if others.is_empty() {
            return Ok(false);
        }
        let lists = self.table.lists().await.map_err(unread)?;
        let holds = self.table.holds().await.map_err(unread)?;
        // A list that was removed decides nothing any longer.
        let kept = |item: &StandingItem| {
            let list = lists.iter().find(|list| list.id == item.list);
            list.is_some_and(|list| !item.read(&list.thresholds, &holds, now.as_second()).state.may_send())
        };
        Ok(others.into_iter().any(kept))
    }

    async fn post(
        &self,
        url: &Url,
        shape: Shape,
        secret: Option<&Secret>,
        event: &Event,
        body: String,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let keys = secret.map(WebhookKeys::parse);
        let Some(Ok(keys)) = keys else { return Err(Refused::plain("there is no signing secret in the vault")) };
        let at = now.as_second();
        let kind = match shape {
            Shape::Cloudevents => "application/cloudevents+json; charset=utf-8",
            Shape::Ses => "application/json",
        };
        let request = http::Request::post(url.as_str())
            .header("content-type", kind)
            .header("user-agent", "rebond")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", keys.sign(&event.id, at, &body))
            .body(body.into_bytes())
            .map_err(|error| Refused::plain(error.to_string()))?;
        self.exchange(request, limits::RECEIVER_ANSWER_BYTES, now).await.map(|_| ())
    }

    /// The body of an answer that is a success.
    async fn exchange(&self, request: http::Request<Vec<u8>>, most: usize, now: Timestamp) -> Result<Vec<u8>, Refused> {
        let answer = self.http.send_within(request, most, EXCHANGE).await;
        let (answer, _) = answer.map_err(|error| Refused::plain(error.to_string()))?;
        let status = answer.status();
        let asked = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| events::retry_after(text, now));
        match status.as_u16() {
            200..=299 => Ok(answer.into_body()),
            300..=399 => Err(Refused::plain(format!("HTTP {status}: it redirects, which is not followed"))),
            410 => Err(Refused { gone: true, ..Refused::plain(format!("HTTP {status}")) }),
            429 | 503 => Err(Refused { asked, ..Refused::plain(format!("HTTP {status}")) }),
            _ => Err(Refused::plain(format!("HTTP {status}"))),
        }
    }

    /// One call of a system with a way of its own.
    async fn call(
        &self,
        base: &Url,
        user: &str,
        secret: Option<&Secret>,
        call: Call,
        now: Timestamp,
    ) -> Result<Value, Refused> {
        let Some(secret) = secret else { return Err(Refused::plain("there is no password in the vault")) };
        let url = format!("{}/{}", base.as_str().trim_end_matches('/'), call.path);
        let credentials = Secret::from(STANDARD.encode(format!("{user}:{}", secret.expose_secret())));
        let body = call.body.map(|body| body.to_string()).unwrap_or_default();
        let request = http::Request::builder()
            .method(call.method)
            .uri(url)
            .header("content-type", "application/json")
            .header("user-agent", "rebond")
            .header("authorization", format!("Basic {}", credentials.expose_secret()))
            .body(body.into_bytes())
            .map_err(|error| Refused::plain(error.to_string()))?;
        let answer = self.exchange(request, limits::HTTP_ANSWER_BYTES, now).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    async fn to_sqs(&self, arn: &Arn, event: &Event, body: String) -> Result<(), Refused> {
        let base = Signed::base("sqs", "SQS", arn.region());
        let mut message = json!({
            "QueueUrl": format!("{base}/{}/{}", arn.account(), arn.resource()),
            "MessageBody": body,
            "MessageAttributes": { "type": { "DataType": "String", "StringValue": event.kind.as_str() } },
        });
        if arn.is_fifo() {
            message["MessageGroupId"] = event.group().into();
            message["MessageDeduplicationId"] = event.id.clone().into();
        }
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", "AmazonSQS.SendMessage".to_owned()),
        ];
        let request = Request {
            service: "sqs",
            host: "sqs",
            variable: "SQS",
            region: Some(arn.region()),
            method: "POST",
            path: "",
            headers: &headers,
            body: message.to_string().into_bytes(),
        };
        self.signed(request, &[]).await.map(|_| ())
    }

    async fn to_sns(&self, arn: &Arn, event: &Event, body: String) -> Result<(), Refused> {
        let group = event.group();
        let mut form = vec![
            ("Action", "Publish"),
            ("Version", "2010-03-31"),
            ("TopicArn", arn.as_str()),
            ("Message", body.as_str()),
            ("MessageAttributes.entry.1.Name", "type"),
            ("MessageAttributes.entry.1.Value.DataType", "String"),
            ("MessageAttributes.entry.1.Value.StringValue", event.kind.as_str()),
        ];
        if arn.is_fifo() {
            form.extend([("MessageGroupId", group.as_str()), ("MessageDeduplicationId", event.id.as_str())]);
        }
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let request = Request {
            service: "sns",
            host: "sns",
            variable: "SNS",
            region: Some(arn.region()),
            method: "POST",
            path: "",
            headers: &headers,
            body: form.into_bytes(),
        };
        self.signed(request, &[]).await.map(|_| ())
    }

    async fn to_eventbridge(&self, arn: &Arn, event: &Event, body: String) -> Result<(), Refused> {
        let entry = json!({
            "EventBusName": arn.as_str(),
            "Source": "rebond",
            "DetailType": event.kind.as_str(),
            "Detail": body,
            "Resources": [],
            "Time": event.time.as_second(),
        });
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", "AWSEvents.PutEvents".to_owned()),
        ];
        let request = Request {
            service: "events",
            host: "events",
            variable: "EVENTBRIDGE",
            region: Some(arn.region()),
            method: "POST",
            path: "",
            headers: &headers,
            body: json!({ "Entries": [entry] }).to_string().into_bytes(),
        };
        let answer = self.signed(request, &[]).await?;
        // What was not taken is said in an answer that is a success.
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        match answer["FailedEntryCount"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(Refused::plain(answer["Entries"][0]["ErrorCode"].as_str().unwrap_or("not taken"))),
        }
    }

    /// The execution is named after the event, so that a repeat is refused by the service: it was told before.
    async fn to_step_functions(&self, arn: &Arn, event: &Event, body: String) -> Result<(), Refused> {
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", "AWSStepFunctions.StartExecution".to_owned()),
        ];
        let start = json!({ "stateMachineArn": arn.as_str(), "name": event.id, "input": body });
        let request = Request {
            service: "states",
            host: "states",
            variable: "SFN",
            region: Some(arn.region()),
            method: "POST",
            path: "",
            headers: &headers,
            body: start.to_string().into_bytes(),
        };
        let (status, answer) = self.signed.send(request).await.map_err(Refused::plain)?;
        let known = || {
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            answer["__type"].as_str().is_some_and(|kind| kind.ends_with("ExecutionAlreadyExists"))
        };
        match status {
            200..=299 => Ok(()),
            400 if known() => Ok(()),
            _ => Err(Refused::plain(bounded(&format!("HTTP {status}: {answer}")))),
        }
    }

    async fn to_suppression_list(&self, region: &str, event: &Event) -> Result<(), Refused> {
        let Some(call) = events::suppression(event) else { return Ok(()) };
        let headers = [("content-type", "application/json".to_owned())];
        let request = Request {
            service: "ses",
            host: "email",
            variable: "SESV2",
            region: Some(region),
            method: call.method,
            path: &call.path,
            headers: &headers,
            body: call.body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        // Who is taken off the list may not be on it.
        let fine: &[u16] = if call.method == "DELETE" { &[404] } else { &[] };
        self.signed(request, fine).await.map(|_| ())
    }

    async fn signed(&self, request: Request<'_>, fine: &[u16]) -> Result<String, Refused> {
        let (status, body) = self.signed.send(request).await.map_err(Refused::plain)?;
        match status {
            200..=299 => Ok(body),
            _ if fine.contains(&status) => Ok(body),
            _ => Err(Refused::plain(bounded(&format!("HTTP {status}: {body}")))),
        }
    }

    /// Tries an endpoint with an event of its own; a sentence where it does not take it.
    pub async fn test(&self, item: &EndpointItem) -> Result<Result<Event, String>, super::TellError> {
        let now = (self.clock)();
        let event = events::of_test(&self.source, &item.settings.id, now.as_millisecond());
        let secret = self.secret(item).await?;
        // In the shape of CloudEvents, for no other has a word for it.
        let endpoint = Endpoint { shape: Shape::Cloudevents, ..item.settings.clone() };
        let said = self.say(&endpoint, secret.as_ref(), &event, now).await;
        Ok(said.map(|()| event).map_err(|refused| refused.said))
    }
}
