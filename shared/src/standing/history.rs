//! What is on record of an address: a bounded set that does not know in which order, or how often, it was told.

use super::Effect;
use crate::account::AccountId;
use crate::limits;
use crate::proof::{Doubt, Level};
use crate::report::Reason;
use serde::{Deserialize, Serialize};

/// An outcome, as far as the standing of its address goes; the report has the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// When: the arrival of the report, or for a signed address the time of the mail that it proves. Seconds since 1970.
    pub at: i64,
    /// The token of the signed address that proves it: what it is counted once by, in place of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What it does.
    pub effect: Effect,
    /// Whether it proved as much as its list asked for when it was recorded. What did not suppresses nobody.
    pub believed: bool,
    /// How much it proved.
    pub proof: Level,
    /// Why it proved no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Why the mail came back.
    pub reason: Reason,
    /// Enhanced status code (RFC 3463).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What the server said, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// What a hard refusal has in common with others of its kind: the id of its words' template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The operator's rule that gave it its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The mailbox that the report is in.
    pub account: AccountId,
    /// The report's key.
    pub report: String,
    /// Which of its outcomes, from 0.
    pub number: usize,
}

impl Cause {
    /// Its name within an address: enough of the report's key, and which of its outcomes.
    pub fn mark(&self) -> String {
        mark(&self.report, self.number)
    }
}

/// The name of an outcome within an address, by its report's key and its number in the report.
pub fn mark(report: &str, number: usize) -> String {
    format!("{}/{number}", report.get(report.len().saturating_sub(16)..).unwrap_or(report))
}

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Not to be written to, for the person asked so.
    Denied,
    /// Not to be written to, for it does not work.
    Quarantined,
    /// What is on record until now counts no longer.
    Released,
    /// Some refusals were the destination's mistake, and count no longer.
    Undone,
}

impl Deed {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Quarantined => "quarantined",
            Self::Released => "released",
            Self::Undone => "undone",
        }
    }
}

/// A decision of a person, or of an import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Act {
    /// When, in milliseconds since 1970: two decisions may well fall into one second.
    pub at: i64,
    /// What.
    pub deed: Deed,
    /// Who.
    pub who: String,
    /// Their reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// All that is on record of an address on a list.
///
/// Of each effect the newest days with one are kept (of soft errors the newest quarters of a day), and of each the first
/// and the last cause. Which they are does not depend on the order in which they were added, so this is a set: adding
/// commutes, and adding twice adds once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// What outcomes said, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// What persons decided, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Act>,
    /// Marks of refusals that were taken back, sorted. They stay when the refusal comes again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<String>,
}

impl History {
    /// Adds an outcome; `false` where nothing changed.
    pub fn add(&mut self, cause: Cause) -> bool {
        if self.causes.contains(&cause) {
            return false;
        }
        let mut causes = self.causes.clone();
        causes.push(cause);
        let kept = prune(causes);
        let changed = kept != self.causes;
        self.causes = kept;
        changed
    }

    /// Lets a report that was read again say what `causes` are, in place of all that it said before; `false` where nothing
    /// changed. Where a refusal of it was taken back, what it says now is, too.
    pub fn replace(&mut self, account: &AccountId, report: &str, causes: &[Cause]) -> bool {
        let before = self.clone();
        let (old, mut all): (Vec<Cause>, Vec<Cause>) =
            self.causes.drain(..).partition(|cause| cause.account == *account && cause.report == report);
        all.extend(causes.iter().cloned());
        self.causes = prune(all);
        if old.iter().any(|cause| self.undone.contains(&cause.mark())) {
            for cause in causes.iter().filter(|cause| matches!(cause.effect, Effect::Soft | Effect::Hard)) {
                self.take_back(cause);
            }
        }
        *self != before
    }

    /// Adds a decision; `false` where nothing changed.
    pub fn decide(&mut self, act: Act) -> bool {
        if self.acts.contains(&act) {
            return false;
        }
        self.acts.push(act.clone());
        self.acts.sort();
        let over = self.acts.len().saturating_sub(limits::ACTS);
        self.acts.drain(..over);
        self.acts.contains(&act)
    }

    /// Takes a refusal back; `false` where it was taken back already.
    pub fn take_back(&mut self, cause: &Cause) -> bool {
        let mark = cause.mark();
        match self.undone.binary_search(&mark) {
            Ok(_) => return false,
            Err(at) => self.undone.insert(at, mark.clone()),
        }
        let over = self.undone.len().saturating_sub(limits::UNDONE);
        self.undone.drain(..over);
        self.undone.contains(&mark)
    }

    /// Whether an outcome counts, as far as it goes by itself: believed, and not taken back.
    pub fn counts(&self, cause: &Cause) -> bool {
        cause.believed && (self.undone.is_empty() || !self.undone.contains(&cause.mark()))
    }

    /// Whether an outcome that is recorded with these says anything about its address now: it counts, and nobody has released
    /// the address since.
    pub fn stands(&self, cause: &Cause) -> bool {
        self.counts(cause) && self.released().is_none_or(|act| cause.at > act.at.div_euclid(1_000))
    }

    /// Whether something else has come back to the signed address of an outcome and said the same: it counts once.
    pub fn repeats(&self, cause: &Cause) -> bool {
        let same = self.causes.iter().find(|other| cause.token.is_some() && order(other) == order(cause));
        same.is_some_and(|same| same.account != cause.account || same.mark() != cause.mark())
    }

    /// Whether nothing but time will tell: neither dead, nor denied, nor decided upon. Then it may be cleaned up.
    pub fn ages(&self) -> bool {
        let lasts = |cause: &Cause| cause.believed && matches!(cause.effect, Effect::Hard | Effect::Complaint);
        self.acts.is_empty() && !self.causes.iter().any(lasts)
    }

    /// When the last thing on record happened, in seconds since 1970.
    pub fn newest(&self) -> Option<i64> {
        let acts = self.acts.iter().map(|act| act.at.div_euclid(1_000));
        self.causes.iter().map(|cause| cause.at).chain(acts).max()
    }

    /// When the last release was: what is not younger counts no longer.
    pub fn released(&self) -> Option<&Act> {
        self.acts.iter().rfind(|act| act.deed == Deed::Released)
    }
}

/// What sorts causes into groups that are bounded each by itself, and in a group by time.
fn order(cause: &Cause) -> (bool, Effect, i64, (&str, usize)) {
    let id = cause.token.as_deref().map_or((cause.report.as_str(), cause.number), |token| (token, 0));
    (!cause.believed, cause.effect, cause.at, id)
}

/// The span that a cause falls into: a day, or for soft errors, which are counted by how far they are apart, a quarter.
fn span(cause: &Cause) -> i64 {
    cause.at.div_euclid(if cause.effect == Effect::Soft { 86_400 / 4 } else { 86_400 })
}

/// The spans of a group that are kept.
fn spans_kept(cause: &Cause) -> usize {
    match cause.effect {
        _ if !cause.believed => limits::UNPROVEN_SPANS,
        Effect::Success => 1,
        Effect::Soft => limits::SOFT_QUARTERS,
        Effect::Hard => limits::HARD_DAYS,
        Effect::Complaint => limits::COMPLAINT_DAYS,
    }
}

fn prune(mut causes: Vec<Cause>) -> Vec<Cause> {
    causes.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
    // What came back to one signed address is one; which of several stays is the same in every order.
    causes.dedup_by(|b, a| order(a) == order(b));
    let mut kept = Vec::with_capacity(causes.len());
    for group in causes.chunk_by(|a, b| (a.believed, a.effect) == (b.believed, b.effect)) {
        let spans: Vec<&[Cause]> = group.chunk_by(|a, b| span(a) == span(b)).collect();
        let over = spans.len().saturating_sub(spans_kept(&group[0]));
        for of_span in &spans[over..] {
            let (first, last) = (&of_span[0], &of_span[of_span.len() - 1]);
            match first.effect {
                // The newest alone: what came before it is forgotten with it.
                Effect::Success => kept.push(last.clone()),
                // A release may lie between the two.
                _ if first.believed && of_span.len() > 1 => kept.extend([first.clone(), last.clone()]),
                _ => kept.push(first.clone()),
            }
        }
    }
    kept
}
