//! What is told to other systems. Pure: what happened → CloudEvents 1.0, and how an event is said to each kind of receiver.
//!
//! An event's id follows from what caused it and from nothing else, so that the same cause told twice is one event to
//! whoever remembers ids; `sequence` orders the events of one subject.

mod adapter;
mod endpoint;
mod retry;
mod ses;
mod translate;
mod webhook;

pub use adapter::{Call, listmonk, mautic_find, mautic_mark, suppression};
pub(crate) use endpoint::check_url;
pub use endpoint::{Arn, Destination, Endpoint, Shape};
pub use retry::{LIFE_SECONDS, pause, retry_after};
pub use ses::notification;
pub use translate::{Judged, Moved, Received, of_delivery, of_health, of_incident, of_report, of_standing, of_test};
pub use webhook::{WebhookKey, WebhookKeys};

use crate::oauth::sha256_hex;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can happen. The word ends in the version of what `data` holds; a field may be added without another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// A report was recorded.
    #[serde(rename = "rebond.report.received.v1")]
    ReportReceived,
    /// A report says that mail to an address was not delivered.
    #[serde(rename = "rebond.address.bounced.v1")]
    AddressBounced,
    /// A report says that a person complained.
    #[serde(rename = "rebond.address.complained.v1")]
    AddressComplained,
    /// An address does not work: it may not be written to.
    #[serde(rename = "rebond.address.quarantined.v1")]
    AddressQuarantined,
    /// A person wants no mail: the address may not be written to.
    #[serde(rename = "rebond.address.denied.v1")]
    AddressDenied,
    /// An address may be written to again.
    #[serde(rename = "rebond.address.released.v1")]
    AddressReleased,
    /// What an account can do moved.
    #[serde(rename = "rebond.account.health_changed.v1")]
    HealthChanged,
    /// A destination suddenly refuses many addresses: its refusals are held back until a person decides.
    #[serde(rename = "rebond.incident.opened.v1")]
    IncidentOpened,
    /// A person has decided.
    #[serde(rename = "rebond.incident.closed.v1")]
    IncidentClosed,
    /// A delivery is over: what had come back of it.
    #[serde(rename = "rebond.delivery.closed.v1")]
    DeliveryClosed,
    /// Nothing: an operator tries an endpoint.
    #[serde(rename = "rebond.endpoint.tested.v1")]
    EndpointTested,
}

impl EventType {
    /// All of them, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::ReportReceived,
        Self::AddressBounced,
        Self::AddressComplained,
        Self::AddressQuarantined,
        Self::AddressDenied,
        Self::AddressReleased,
        Self::HealthChanged,
        Self::IncidentOpened,
        Self::IncidentClosed,
        Self::DeliveryClosed,
        Self::EndpointTested,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReportReceived => "rebond.report.received.v1",
            Self::AddressBounced => "rebond.address.bounced.v1",
            Self::AddressComplained => "rebond.address.complained.v1",
            Self::AddressQuarantined => "rebond.address.quarantined.v1",
            Self::AddressDenied => "rebond.address.denied.v1",
            Self::AddressReleased => "rebond.address.released.v1",
            Self::HealthChanged => "rebond.account.health_changed.v1",
            Self::IncidentOpened => "rebond.incident.opened.v1",
            Self::IncidentClosed => "rebond.incident.closed.v1",
            Self::DeliveryClosed => "rebond.delivery.closed.v1",
            Self::EndpointTested => "rebond.endpoint.tested.v1",
        }
    }

    /// The word on the command line: without what all of them share.
    pub fn short(self) -> &'static str {
        self.as_str().trim_start_matches("rebond.").trim_end_matches(".v1")
    }

    /// By either word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text || kind.short() == text)
    }
}

/// CloudEvents 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    /// The only one.
    #[serde(rename = "1.0")]
    V1,
}

/// One event: its JSON is a CloudEvent in structured mode (CloudEvents 1.0.2, JSON format §3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `1.0`.
    pub specversion: SpecVersion,
    /// Follows from the cause: the same however often it is told.
    pub id: String,
    /// The deployment.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// To what: an address, a report's key, an account, an incident, a delivery. Events of one subject are told in their order.
    pub subject: String,
    /// When what it tells of happened.
    pub time: Timestamp,
    /// Orders the events of one subject by their bytes (CloudEvents, extension `sequence`).
    pub sequence: String,
    /// `application/json`.
    pub datacontenttype: String,
    /// What there is to know; its shape stands in `docs/events`.
    pub data: Value,
}

/// What an event is made of.
struct Made<'a> {
    kind: EventType,
    source: &'a str,
    subject: String,
    /// Seconds since 1970.
    time: i64,
    /// Orders what happened to one subject in one second.
    order: (u64, usize),
    /// What the id follows from, beside the type.
    cause: &'a str,
    data: Value,
}

impl Made<'_> {
    fn event(self) -> Event {
        let mut id = sha256_hex(format!("{}\n{}", self.kind.as_str(), self.cause).as_bytes());
        id.truncate(32);
        Event {
            specversion: SpecVersion::V1,
            id,
            source: self.source.to_owned(),
            kind: self.kind,
            subject: self.subject,
            time: Timestamp::from_second(self.time).unwrap_or_default(),
            sequence: format!("{:011}-{:08}-{:05}", self.time.max(0), self.order.0, self.order.1),
            datacontenttype: "application/json".to_owned(),
            data: self.data,
        }
    }
}

impl Event {
    /// What keeps the events of one subject together, short enough for a key.
    pub fn group(&self) -> String {
        let mut hash = sha256_hex(self.subject.as_bytes());
        hash.truncate(24);
        hash
    }

    /// A field of `data` that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Value::as_str)
    }

    /// Whether it is told to those who act on a bounce or complaint by themselves. What proved less than its list asks for, says
    /// nothing about its address, is held back by an incident or came to the same signed address before would make them
    /// suppress somebody whom we do not, or count twice.
    fn is_acted_on(&self) -> bool {
        let is = |name| self.data.get(name).and_then(Value::as_bool) == Some(true);
        match self.kind {
            EventType::AddressBounced | EventType::AddressComplained => {
                is("believed") && self.text("effect").is_some() && self.text("held").is_none() && !is("repeated")
            }
            _ => true,
        }
    }

    /// Whether it is told to those alone who act on it: everybody else heard of it when it came.
    pub fn is_for_actors(&self) -> bool {
        self.text("confirmed").is_some()
    }
}

#[cfg(test)]
mod tests;
