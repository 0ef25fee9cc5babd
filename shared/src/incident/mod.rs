//! A destination that suddenly refuses many addresses that were fine: more likely its own mistake than so many dead people.
//! Pure: the clock is an argument.
//!
//! A [`Watch`] counts, for one destination of one list, the addresses that a hard refusal would quarantine; it is the same
//! in whatever order they come. When it says so, an [`Incident`] is opened: its refusals are held back from every standing
//! until a person has decided.

mod template;
mod watch;

pub use template::{Template, folded, template};
pub use watch::{TOLD, Told, Trigger, Watch};

#[cfg(test)]
mod tests;

use crate::account::ListId;
use crate::oauth::sha256_hex;
use crate::standing::Hold;
use serde::{Deserialize, Serialize};

/// Seconds after a release in which late refusals of the same kind are taken back as they come.
const GRACE: i64 = 3_600;
/// Seconds after a confirmation in which the same text of the same destination opens no incident again.
const CONFIRMED: i64 = 14 * 86_400;

/// How far an incident has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its refusals are held back, and a person must decide.
    Open,
    /// It was the destination's mistake: its refusals are being taken back, and held until that is done.
    Releasing,
    /// They are taken back.
    Released,
    /// The addresses are dead: the refusals count.
    Confirmed,
}

impl Stage {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Releasing => "releasing",
            Self::Released => "released",
            Self::Confirmed => "confirmed",
        }
    }
}

/// A person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Who.
    pub who: String,
    /// Their reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a destination suddenly refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name: the destination, its text in short, the day, and a number where that day has more.
    pub id: String,
    /// The list.
    pub list: ListId,
    /// The destination: what stands behind the `@`.
    pub domain: String,
    /// What was seen.
    pub trigger: Trigger,
    /// When it was opened, in seconds since 1970.
    pub opened: i64,
    /// How far it has come.
    pub stage: Stage,
    /// What a person decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decision>,
}

impl Incident {
    /// A new one; `number` is 1 but where the day has others of the same text.
    pub fn new(list: &ListId, domain: &str, trigger: Trigger, number: usize, now: i64) -> Self {
        let text = trigger.template.as_ref().map_or("", |template| template.id.as_str());
        let short = &sha256_hex(format!("{list} {domain} {text}").as_bytes())[..6];
        let day = jiff::Timestamp::from_second(now).map(|time| time.strftime("%Y%m%d").to_string());
        let day = day.unwrap_or_default();
        let id = match number {
            1 => format!("{domain}-{short}-{day}"),
            _ => format!("{domain}-{short}-{day}-{number}"),
        };
        let (list, domain) = (list.clone(), domain.to_owned());
        Self { id, list, domain, trigger, opened: now, stage: Stage::Open, decided: None }
    }

    /// Whether refusals of this kind are held back.
    pub fn holds(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Releasing)
    }

    /// What it holds back, where it does.
    pub fn hold(&self) -> Option<Hold> {
        self.holds().then(|| self.kind())
    }

    /// What it takes back of what comes late, where a person has released it a moment ago.
    pub fn takes_back(&self, now: i64) -> Option<Hold> {
        let decided = self.decided.as_ref().map_or(i64::MIN, |decision| decision.at);
        (self.stage == Stage::Released && now - decided <= GRACE).then(|| self.kind())
    }

    fn kind(&self) -> Hold {
        Hold {
            incident: self.id.clone(),
            list: self.list.clone(),
            domain: self.domain.clone(),
            template: self.trigger.template.as_ref().map(|template| template.id.clone()),
            from: self.trigger.since.unwrap_or(self.trigger.from),
        }
    }

    /// Whether it is about the same text of the same destination.
    pub fn is_of(&self, list: &ListId, domain: &str, trigger: &Trigger) -> bool {
        let id = |trigger: &Trigger| trigger.template.as_ref().map(|template| template.id.clone());
        self.list == *list && self.domain == domain && id(&self.trigger) == id(trigger)
    }

    /// Whether it says all that is to be said of one that would be opened now.
    pub fn answers(&self, now: i64) -> bool {
        let decided = self.decided.as_ref().map_or(i64::MIN, |decision| decision.at);
        self.holds() || (self.stage == Stage::Confirmed && now - decided <= CONFIRMED)
    }
}
