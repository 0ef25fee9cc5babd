//! Other deployments as sources: what they recorded is drawn in, and has its effect here; what is on record of each, here and
//! there, is archived.

mod answer;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod archive;
#[cfg(all(feature = "aws", feature = "mailbox"))]
pub mod draw;

pub use answer::{AccountShape, ReportShape};

use crate::account::{AccountId, Invalid, check_sends_as};
use crate::events;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;

/// Another deployment, as the operator named it. Its name is that of the account that its reports are recorded under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub id: AccountId,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How its reports come here.
    #[serde(flatten)]
    pub source: Source,
    /// The domains that it sends as: what its bounces must prove here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends_as: Vec<String>,
}

/// How reports come here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Source {
    /// It is asked over HTTP, by a key that is in the vault.
    Api {
        /// Its address: where `/api/v1` begins.
        url: Url,
    },
    /// It archives them in a place that is read here: a folder, or `s3://bucket/prefix`.
    Export {
        /// Which.
        from: String,
    },
}

impl Source {
    /// The word in JSON and on the command line.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Export { .. } => "export",
        }
    }

    /// Where it is.
    pub fn place(&self) -> &str {
        match self {
            Self::Api { url } => url.as_str(),
            Self::Export { from } => from,
        }
    }
}

impl Instance {
    /// Checks what was typed.
    pub fn check(&self) -> Result<(), Invalid> {
        if let Source::Api { url } = &self.source {
            events::check_url(url)?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(Invalid("the URL is where /api/v1 begins: nothing stands behind its path".into()));
            }
        }
        if self.label.as_ref().is_some_and(|label| label.chars().count() > 200 || label.contains(char::is_control)) {
            return Err(Invalid("the label must have 200 characters at most, and no control characters".into()));
        }
        check_sends_as(&self.sends_as)
    }
}

/// How it goes with an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceHealth {
    /// What is in the way; none where it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// In its words, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// When it was last asked, in seconds since 1970.
    pub at: i64,
}

/// What is in the way of drawing from an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is not reached, or not with a trusted certificate.
    Unreached,
    /// It does not know the key.
    KeyRefused,
    /// The key may not read.
    NotPermitted,
    /// What answers is no Rebond, or another version of it.
    NotRebond,
    /// It asks for a rest, or has a fault of its own.
    Busy,
    /// There is no key in our vault.
    NoKey,
    /// The place that it exports to cannot be read.
    Unreadable,
}

impl Fault {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreached => "unreached",
            Self::KeyRefused => "key-refused",
            Self::NotPermitted => "not-permitted",
            Self::NotRebond => "not-rebond",
            Self::Busy => "busy",
            Self::NoKey => "no-key",
            Self::Unreadable => "unreadable",
        }
    }

    /// Who must act, and the exact step.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreached => {
                "Its operator sees to it that it runs (`rebond serve`, or the stack); you, that its address may be reached \
                 from here: a private one only where `reach` in rebond.toml (REBOND_REACH for --stack) names its range."
            }
            Self::KeyRefused => {
                "Its operator makes a key there: `rebond key add hub --scope read`. You put it in here: \
                 `rebond instance add NAME --url URL --key-file FILE`, which takes the place of the old one."
            }
            Self::NotPermitted => {
                "The key may do other things, but not read. Its operator makes one there with `--scope read`; you put it in \
                 here with `rebond instance add`."
            }
            Self::NotRebond => {
                "Give the address under which the other deployment answers /api/v1: what `rebond serve` prints there, or \
                 ApiUrl of its stack's outputs. If it is that, upgrade the older of the two."
            }
            Self::Busy => "Nobody: it passes by itself. Pull again in a minute.",
            Self::NoKey => "You give the key: `rebond instance add NAME --url URL --key-file FILE`.",
            Self::Unreadable => {
                "Its operator archives there: `rebond instance archive --to PLACE`. You see to it that the place can be \
                 read from here, in S3 with your own credentials."
            }
        }
    }
}

/// How far the reports of one account of an instance are drawn in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The newest arrival that is here, in seconds since 1970, with all before it.
    #[serde(default)]
    pub through: i64,
    /// The newest arrival that the pull under way has seen: it holds once that has come to its end.
    #[serde(default)]
    pub top: i64,
    /// Where the pull under way goes on, as the other's API says it; none where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Since when that one looks, in seconds since 1970.
    #[serde(default)]
    pub since: i64,
}

/// An instance as the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceItem {
    /// The operator's settings.
    pub settings: Instance,
    /// When it was added, in seconds since 1970.
    pub made: i64,
    /// How it goes; none where nobody has asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<InstanceHealth>,
    /// By account of the other: how far it is drawn in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reached: BTreeMap<String, Reached>,
    /// Reports that were drawn in so far.
    #[serde(default)]
    pub drawn: u64,
}

impl InstanceItem {
    /// A new one.
    pub fn new(settings: Instance, now: i64) -> Self {
        Self { settings, made: now, health: None, reached: BTreeMap::new(), drawn: 0 }
    }
}
