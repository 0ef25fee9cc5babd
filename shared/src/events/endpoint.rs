//! Where events are told: what the operator named, checked at the edge.

use super::{Event, EventType};
use crate::account::{AccountId, EndpointId, Invalid, ListId};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::fmt;
use url::Url;

/// Where to, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Destination {
    /// A POST to a URL, signed by Standard Webhooks.
    Webhook {
        /// The URL.
        url: Url,
    },
    /// A queue of Amazon SQS; one whose name ends in `.fifo` keeps the order of each subject.
    Sqs {
        /// Which.
        arn: Arn,
    },
    /// A topic of Amazon SNS, plain or FIFO.
    Sns {
        /// Which.
        arn: Arn,
    },
    /// A bus of Amazon EventBridge.
    Eventbridge {
        /// Which.
        arn: Arn,
    },
    /// A state machine of AWS Step Functions: each event starts an execution.
    StepFunctions {
        /// Which.
        arn: Arn,
    },
    /// The suppression list of an account of Amazon SES.
    SesSuppressionList {
        /// The region that it belongs to.
        region: String,
    },
    /// listmonk's call for bounces.
    Listmonk {
        /// Where listmonk is.
        url: Url,
        /// An API user that may post bounces.
        user: String,
    },
    /// Mautic's Do Not Contact.
    Mautic {
        /// Where Mautic is.
        url: Url,
        /// A user of its API.
        user: String,
    },
}

/// How an event is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// CloudEvents 1.0, structured JSON.
    #[default]
    Cloudevents,
    /// The notifications that Amazon SES publishes of bounces and complaints; nothing else is told.
    Ses,
}

/// The name of something on AWS: `arn:partition:service:region:account:resource`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arn(String);

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where to.
    pub to: Destination,
    /// How written.
    #[serde(default)]
    pub shape: Shape,
    /// What is told; where none is named all, or what is usual for its kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<EventType>,
    /// Accounts whose events are told; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountId>,
    /// Lists whose events are told; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListId>,
    /// Whether anything is told. What happens while it is off is not kept for it.
    pub enabled: bool,
}

impl Destination {
    /// The word in the table, in JSON and on the command line.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Sqs { .. } => "sqs",
            Self::Sns { .. } => "sns",
            Self::Eventbridge { .. } => "eventbridge",
            Self::StepFunctions { .. } => "step-functions",
            Self::SesSuppressionList { .. } => "ses-suppression-list",
            Self::Listmonk { .. } => "listmonk",
            Self::Mautic { .. } => "mautic",
        }
    }

    /// Where, for people.
    pub fn place(&self) -> String {
        match self {
            // What stands in a query may be a secret.
            Self::Webhook { url } | Self::Listmonk { url, .. } | Self::Mautic { url, .. } => {
                let mut shown = url.clone();
                shown.set_query(url.query().map(|_| "…"));
                shown.to_string()
            }
            Self::Sqs { arn } | Self::Sns { arn } | Self::Eventbridge { arn } | Self::StepFunctions { arn } => {
                arn.to_string()
            }
            Self::SesSuppressionList { region } => region.clone(),
        }
    }

    /// Whether it is spoken to with a secret from the vault.
    pub fn has_secret(&self) -> bool {
        matches!(self, Self::Webhook { .. } | Self::Listmonk { .. } | Self::Mautic { .. })
    }

    /// Whether it takes no events as such, but calls of its own.
    pub fn has_own_way(&self) -> bool {
        self.kinds().is_some()
    }

    /// The kinds that are told where the operator names none. A state machine is work that goes on when a delivery is over:
    /// one that is started for each bounce is asked for by name.
    fn usual_kinds(&self) -> &'static [EventType] {
        match self {
            Self::StepFunctions { .. } => &[EventType::DeliveryClosed],
            _ => EventType::ALL,
        }
    }

    /// The kinds that can be told of by their nature; none where all can.
    fn kinds(&self) -> Option<&'static [EventType]> {
        use EventType::{AddressBounced, AddressComplained, AddressDenied, AddressQuarantined, AddressReleased};
        match self {
            Self::Listmonk { .. } => Some(&[AddressBounced, AddressComplained]),
            Self::SesSuppressionList { .. } | Self::Mautic { .. } => {
                Some(&[AddressQuarantined, AddressDenied, AddressReleased])
            }
            _ => None,
        }
    }
}

impl Endpoint {
    /// Whether an event is told here.
    pub fn wants(&self, event: &Event) -> bool {
        let named = |wanted: Vec<&str>, field| match event.text(field) {
            // What is of no account or list is of all.
            None => true,
            Some(of) => wanted.is_empty() || wanted.contains(&of),
        };
        let shaped: &[EventType] = match self.shape {
            Shape::Ses => &[EventType::AddressBounced, EventType::AddressComplained],
            Shape::Cloudevents => EventType::ALL,
        };
        // Whoever takes these for the truth suppresses by them.
        let acts = self.shape == Shape::Ses || self.to.kinds().is_some();
        self.enabled
            && if self.types.is_empty() { self.to.usual_kinds() } else { &self.types }.contains(&event.kind)
            && self.to.kinds().is_none_or(|kinds| kinds.contains(&event.kind))
            && shaped.contains(&event.kind)
            && named(self.accounts.iter().map(AccountId::as_str).collect(), "account")
            && named(self.lists.iter().map(ListId::as_str).collect(), "list")
            && if acts { event.is_acted_on() } else { !event.is_for_actors() }
    }

    /// Checks the settings.
    pub fn check(&self) -> Result<(), Invalid> {
        let invalid = |sentence: &str| Err(Invalid(sentence.to_owned()));
        match &self.to {
            Destination::Webhook { url } | Destination::Listmonk { url, .. } | Destination::Mautic { url, .. } => {
                check_url(url)?;
            }
            Destination::Sqs { arn } => arn.must_be("sqs")?,
            Destination::Sns { arn } => arn.must_be("sns")?,
            Destination::Eventbridge { arn } => arn.must_be("events")?,
            Destination::StepFunctions { arn } => {
                arn.must_be("states")?;
                if !arn.resource().starts_with("stateMachine:") {
                    return invalid("the ARN must be of a state machine: arn:aws:states:…:stateMachine:NAME");
                }
            }
            Destination::SesSuppressionList { region } => check_region(region)?,
        }
        if let Destination::Listmonk { user, .. } | Destination::Mautic { user, .. } = &self.to
            && (user.is_empty() || user.contains(':') || user.contains(char::is_control) || user.len() > 200)
        {
            return invalid("the user must have 1 to 200 characters, and no colon");
        }
        if self.shape == Shape::Ses && self.to.kinds().is_some() {
            return invalid("this kind of endpoint has a shape of its own");
        }
        if self.accounts.len() + self.lists.len() > limits::ENDPOINT_NAMES {
            return Err(Invalid(format!("an endpoint names {} accounts and lists at most", limits::ENDPOINT_NAMES)));
        }
        if self.label.as_ref().is_some_and(|label| label.chars().count() > 200 || label.contains(char::is_control)) {
            return invalid("the label must have 200 characters at most, and no control characters");
        }
        Ok(())
    }
}

/// https; plain http only to what the reach policy names as a whole, which is seen when it is connected to.
pub(crate) fn check_url(url: &Url) -> Result<(), Invalid> {
    let invalid = |sentence: &str| Err(Invalid(sentence.to_owned()));
    if url.as_str().len() > limits::ENDPOINT_URL_BYTES {
        return Err(Invalid(format!("the URL must have {} bytes at most", limits::ENDPOINT_URL_BYTES)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("the URL holds a password: it would be kept where everybody reads it");
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(host)) if is_loopback(&host) => Ok(()),
        ("http", Some(_)) => invalid("the URL must be https: what is told holds addresses of people"),
        _ => invalid("the URL must begin with https:// and name a host"),
    }
}

fn is_loopback(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => *name == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    }
}

fn check_region(region: &str) -> Result<(), Invalid> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (5..=30).contains(&region.len()) && region.bytes().all(word) {
        true => Ok(()),
        false => Err(Invalid(format!("{region:?} is no region of AWS, such as eu-west-1"))),
    }
}

impl Arn {
    fn part(&self, number: usize) -> &str {
        self.0.splitn(6, ':').nth(number).unwrap_or_default()
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// What stands behind the account.
    pub fn resource(&self) -> &str {
        self.part(5)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it keeps an order.
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(".fifo")
    }

    fn must_be(&self, service: &str) -> Result<(), Invalid> {
        check_region(self.region())?;
        match self.part(2) == service {
            true => Ok(()),
            false => Err(Invalid(format!("{self} is of another service: arn:aws:{service}:… is wanted"))),
        }
    }
}

impl TryFrom<String> for Arn {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let plain = text.len() <= 400 && text.bytes().all(|b| b.is_ascii_graphic());
        match parts[..] {
            ["arn", partition, _, _, account, resource]
                if plain
                    && partition.starts_with("aws")
                    && !resource.is_empty()
                    && account.bytes().all(|b| b.is_ascii_digit()) =>
            {
                Ok(Self(text))
            }
            _ => Err(Invalid(format!("{:?} is no ARN", text.chars().take(80).collect::<String>()))),
        }
    }
}

impl std::str::FromStr for Arn {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.to_owned())
    }
}

impl From<Arn> for String {
    fn from(arn: Arn) -> Self {
        arn.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
