//! A list: the stream of mail that standings belong to, with every number that decides them.

use crate::account::{AccountId, Invalid, ListId};
use crate::limits;
use crate::proof::Level;
use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400;

/// The numbers of a list. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Soft errors that an address may have: one more, and it is quarantined.
    pub soft_errors: u32,
    /// Errors nearer than this to the last counted one are not counted.
    pub apart: i64,
    /// When the last counted error is older than this, the count starts anew.
    pub forgotten: i64,
    /// An address that was quarantined for a full mailbox leaves so long after its last error.
    pub mailbox_full: i64,
    /// How old the mail may be that a signed address proves a bounce of.
    pub proof_age: i64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { soft_errors: 5, apart: DAY, forgotten: 10 * DAY, mailbox_full: 30 * DAY, proof_age: 30 * DAY }
    }
}

/// A stream of mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Its name.
    pub id: ListId,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What a bounce must prove to count.
    pub proof: Level,
    /// Accounts whose bounces belong to it. What no list names belongs to `default`; a signed address names its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountId>,
    /// The numbers.
    pub thresholds: Thresholds,
}

impl List {
    /// The list of what belongs to no other.
    pub const DEFAULT: &str = "default";

    /// A list with all defaults.
    pub fn new(id: ListId) -> Self {
        Self { id, label: None, proof: Level::default(), accounts: vec![], thresholds: Thresholds::default() }
    }

    /// Checks the settings.
    pub fn check(&self) -> Result<(), Invalid> {
        const YEAR: i64 = 366 * DAY;
        let t = &self.thresholds;
        for (name, seconds) in [
            ("apart", t.apart),
            ("forgotten", t.forgotten),
            ("mailbox-full", t.mailbox_full),
            ("proof-age", t.proof_age),
        ] {
            if !(0..=YEAR).contains(&seconds) {
                return Err(Invalid(format!("{name} must be from no time to a year")));
            }
        }
        // A standing keeps twelve days of errors that come all the time, two of each quarter of a day.
        if t.apart < DAY / 4 {
            return Err(Invalid("apart must be 6 hours at least".to_owned()));
        }
        if i64::from(t.soft_errors).saturating_mul(t.apart) > 11 * DAY {
            return Err(Invalid(
                "soft-errors times apart must be 11 days at most: errors of a longer time are not kept whole"
                    .to_owned(),
            ));
        }
        if t.forgotten < t.apart {
            return Err(Invalid(
                "forgotten must not be shorter than apart: each count would start anew before the next error counts"
                    .to_owned(),
            ));
        }
        if self.accounts.len() > limits::LIST_ACCOUNTS {
            return Err(Invalid(format!("a list names {} accounts at most", limits::LIST_ACCOUNTS)));
        }
        if self.label.as_ref().is_some_and(|label| label.chars().count() > 200 || label.contains(char::is_control)) {
            return Err(Invalid("the label must have 200 characters at most, and no control characters".to_owned()));
        }
        Ok(())
    }
}
