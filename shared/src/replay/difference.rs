//! What two readings of one message have different.

use crate::account::AccountId;
use crate::report::{Kind, Outcome, Reason, Report};
use crate::table::Fact;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a report says of one recipient, as far as anything follows from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Verdict {
    /// Why the mail came back.
    pub reason: Reason,
    /// Whether the address is dead.
    pub hard: bool,
    /// Enhanced status code (RFC 3463).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// One recipient of whom the readings say something else; none where one of them does not name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipient {
    /// The address, as the reports have it.
    pub address: String,
    /// What was said of it.
    pub old: Option<Verdict>,
    /// What is said now.
    pub new: Option<Verdict>,
}

/// A report that says something else now.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The mailbox it arrived in.
    pub account: AccountId,
    /// Its key.
    pub report: String,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
    /// What it was.
    pub was: Kind,
    /// What it is now.
    pub is: Kind,
    /// Recipients with another verdict; none where only details are others: words that prove it, diagnostics.
    pub recipients: Vec<Recipient>,
}

impl Difference {
    /// Between two readings of a fact, both whole.
    pub fn of(old: &Fact, new: &Report) -> Self {
        let (mut said, mut says) = (verdicts(&old.report), verdicts(new));
        let mut recipients = Vec::new();
        for address in said.keys().chain(says.keys()).cloned().collect::<std::collections::BTreeSet<_>>() {
            let (mut old, mut new) =
                (said.remove(&address).unwrap_or_default(), says.remove(&address).unwrap_or_default());
            // One report may name an address twice.
            old.sort();
            new.sort();
            for number in 0..old.len().max(new.len()) {
                let (old, new) = (old.get(number).cloned(), new.get(number).cloned());
                if old != new {
                    recipients.push(Recipient { address: address.clone(), old, new });
                }
            }
        }
        Self {
            account: old.account.clone(),
            report: old.key.clone(),
            arrived: old.arrived,
            was: old.report.kind,
            is: new.kind,
            recipients,
        }
    }

    /// Whether only details are others.
    pub fn is_detail(&self) -> bool {
        self.was == self.is && self.recipients.is_empty()
    }
}

fn verdicts(report: &Report) -> BTreeMap<String, Vec<Verdict>> {
    let mut of: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
    for Outcome { address, reason, hard, status, .. } in &report.recipients {
        let verdict = Verdict { reason: *reason, hard: *hard, status: status.clone() };
        of.entry(address.clone()).or_default().push(verdict);
    }
    of
}
