//! Refusals that are held back until a person has decided what they are.

use super::{AddressKey, Cause, Effect};
use crate::account::ListId;
use serde::{Deserialize, Serialize};

/// Refusals of one destination that count for nothing as long as this stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The incident that holds them.
    pub incident: String,
    /// On which list.
    pub list: ListId,
    /// Of which destination.
    pub domain: String,
    /// With which text, by its template's id; none for any.
    pub template: Option<String>,
    /// Since when, in seconds since 1970.
    pub from: i64,
}

impl Hold {
    /// Whether it is about an address on a list.
    pub fn concerns(&self, address: &AddressKey, list: &ListId) -> bool {
        self.list == *list && self.domain == address.domain()
    }

    /// Whether it holds a cause of such an address back: a hard refusal alone.
    pub fn holds(&self, cause: &Cause) -> bool {
        let text = self.template.is_none() || self.template == cause.template;
        cause.effect == Effect::Hard && cause.at >= self.from && text
    }
}
