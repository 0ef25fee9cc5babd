//! What a sender tells of the mail that it sends, and what came back of it. Pure.
//!
//! A delivery is one sending to many people. Of each mail a [`mark`] may be told, by which a report is known to be of it;
//! what comes back is a set of [`Came`], and [`tally`] folds it. So facts may come again and in any order.

mod came;
pub mod mark;
mod route;
mod tally;

pub use came::{Came, Class};
pub use route::{Channel, Mode, Route};
pub use tally::{Counts, Tally, tally};

use crate::account::{Invalid, ListId, RouteId};
use crate::limits;
use crate::report::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The name that a sender gives a delivery: 1 to 100 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(String);

impl DeliveryId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for DeliveryId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match (1..=limits::DELIVERY_ID_CHARS).contains(&text.len()) && text.chars().all(name) {
            true => Ok(Self(text.to_owned())),
            false => Err(Invalid("id must be 1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-'".to_owned())),
        }
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A delivery as its sender told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// The list that its mail belongs to.
    pub list: ListId,
    /// How its mail goes out, where its sender said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// When it began, in seconds since 1970.
    pub opened: i64,
    /// When it ends, in seconds since 1970.
    pub closes: i64,
    /// Mails in all; 0 where the sender did not say.
    pub sent: u64,
}

/// The end of a delivery: what had come back of it then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When it was closed, in seconds since 1970: a moment after its time had come.
    pub at: i64,
    /// What goes on now: the activity of its route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// All that had come back.
    pub total: Counts,
    /// Failures by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<Reason, u64>,
}

impl Delivery {
    /// Seconds after its end in which a report is still known to be of it: servers try for five days, and some take a week
    /// longer to say that they gave up.
    pub const CORRELATED: i64 = 14 * 86_400;
    /// Seconds after its end that it is kept.
    pub const KEPT: i64 = 400 * 86_400;
}
