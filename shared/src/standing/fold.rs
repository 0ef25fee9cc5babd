//! History and clock → standing.

use super::{Act, Cause, Deed, Effect, History, Hold, Thresholds};
use crate::report::Reason;
use serde::{Deserialize, Serialize};

/// Whether an address may be written to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing is held against it.
    #[default]
    Valid,
    /// Soft errors are counted; it may be written to.
    WithErrors,
    /// It does not work.
    Quarantined,
    /// The person wants no mail.
    Denied,
}

impl State {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::WithErrors => "with-errors",
            Self::Quarantined => "quarantined",
            Self::Denied => "denied",
        }
    }

    /// Whether it may be written to.
    pub fn may_send(self) -> bool {
        matches!(self, Self::Valid | Self::WithErrors)
    }
}

/// The standing of an address on a list, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is.
    pub state: State,
    /// The reason of the last outcome that led there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Soft errors counted.
    #[serde(default)]
    pub errors: u32,
    /// Since when, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The first second at which it is no longer so, if nothing happens; none where it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<i64>,
    /// The person who decided it; none where outcomes did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Act>,
    /// The incident that holds refusals of it back: were it not for that, it might not be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The outcomes that led there, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// The standing that follows from what is on record, at `now` (seconds since 1970), where nothing is held back.
pub fn read(history: &History, thresholds: &Thresholds, now: i64) -> Standing {
    read_held(history, thresholds, &[], now)
}

/// The same, where some refusals are held back: `holds` are those that concern this address on this list.
pub fn read_held(history: &History, thresholds: &Thresholds, holds: &[&Hold], now: i64) -> Standing {
    let released = history.released();
    let after = released.map_or(i64::MIN, |act| act.at.div_euclid(1_000));
    let hold = |cause: &Cause| holds.iter().find(|hold| hold.holds(cause));
    let held = history.causes.iter().filter(|cause| history.counts(cause) && cause.at > after).find_map(hold);
    let held = held.map(|hold| hold.incident.clone());
    let standing = fold(history, thresholds, now, |cause| cause.at > after && hold(cause).is_none());
    Standing { held, ..standing }
}

fn fold(history: &History, thresholds: &Thresholds, now: i64, fresh: impl Fn(&Cause) -> bool) -> Standing {
    let released = history.released();
    let counts = |cause: &&Cause| history.counts(cause) && fresh(cause);
    let of = |effect: Effect| -> Vec<Cause> {
        let mut all: Vec<Cause> =
            history.causes.iter().filter(counts).filter(|c| c.effect == effect).cloned().collect();
        all.sort_by(|a, b| (a.at, &a.token, &a.report, a.number).cmp(&(b.at, &b.token, &b.report, b.number)));
        all
    };
    let decided = |deed: Deed| {
        let position = history.acts.iter().rposition(|act| act.deed == Deed::Released).map_or(0, |at| at + 1);
        history.acts[position..].iter().rfind(|act| act.deed == deed).cloned()
    };
    let by_person = |state, act: Act| Standing {
        state,
        since: Some(act.at.div_euclid(1_000)),
        by: Some(act),
        ..Standing::default()
    };
    if let Some(act) = decided(Deed::Denied) {
        return by_person(State::Denied, act);
    }
    let complaints = of(Effect::Complaint);
    if !complaints.is_empty() {
        return lasting(State::Denied, complaints);
    }
    let hard = of(Effect::Hard);
    if !hard.is_empty() {
        return lasting(State::Quarantined, hard);
    }
    if let Some(act) = decided(Deed::Quarantined) {
        return by_person(State::Quarantined, act);
    }
    let success = of(Effect::Success).last().map_or(i64::MIN, |cause| cause.at);
    let mut soft = of(Effect::Soft);
    // A success and an error in one second: the error stands.
    soft.retain(|cause| cause.at >= success);
    let standing = count(soft, thresholds);
    match standing.ends {
        Some(end) if now >= end => valid(released),
        _ if standing.state == State::Valid => valid(released),
        _ => standing,
    }
}

/// Valid, and by whose decision, if somebody decided so.
fn valid(released: Option<&Act>) -> Standing {
    Standing { since: released.map(|act| act.at.div_euclid(1_000)), by: released.cloned(), ..Standing::default() }
}

/// What does not end by itself.
fn lasting(state: State, causes: Vec<Cause>) -> Standing {
    Standing {
        state,
        reason: causes.last().map(|cause| cause.reason),
        since: causes.first().map(|cause| cause.at),
        causes,
        ..Standing::default()
    }
}

/// Counts soft errors in the order of their time; the standing as it is after the last one.
fn count(soft: Vec<Cause>, thresholds: &Thresholds) -> Standing {
    let mut standing = Standing::default();
    let mut last_counted = i64::MIN;
    for cause in soft {
        if standing.ends.is_some_and(|end| cause.at >= end) {
            standing = Standing::default();
            last_counted = i64::MIN;
        }
        let quarantined = standing.state == State::Quarantined;
        if !quarantined {
            if standing.errors > 0 && cause.at - last_counted < thresholds.apart {
                continue;
            }
            standing.errors += 1;
            last_counted = cause.at;
            standing.state = State::WithErrors;
            standing.since = standing.since.or(Some(cause.at));
            // More than so old: the second after it.
            standing.ends = Some(cause.at + thresholds.forgotten + 1);
            if standing.errors > thresholds.soft_errors {
                standing.state = State::Quarantined;
                standing.since = Some(cause.at);
            }
        }
        standing.reason = Some(cause.reason);
        if standing.state == State::Quarantined {
            let full = cause.reason == Reason::MailboxFull;
            standing.ends = full.then(|| cause.at + thresholds.mailbox_full);
        }
        standing.causes.push(cause);
    }
    standing
}
