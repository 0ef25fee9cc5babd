//! What a destination has refused lately: counts, which do not know in which order they were made.

use super::Template;
use crate::limits;
use serde::{Deserialize, Serialize};

/// Addresses refused within an hour, with one text, that are sudden.
const SUDDEN: u32 = 50;
/// How many times its own hourly median they must be.
const TIMES: u32 = 10;
/// Hours that the median is of: 14 days.
const MEDIAN_HOURS: i64 = 14 * 24;
/// Mails to a destination that make a share of them worth looking at.
pub const TOLD: u32 = 300;
/// The share of them that is refused, in tenths.
const TENTHS: u32 = 9;

/// Minutes that are kept one by one: an hour, and an hour for what comes late.
const MINUTES: i64 = 120;
/// Hours that are kept beyond those that the newest median needs, for what comes late.
const LATE_HOURS: i64 = 24;
/// Deliveries that are kept.
const DELIVERIES: usize = 8;

/// Addresses refused within one minute, with one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Minute {
    /// Minutes since 1970.
    at: i64,
    /// The template's id.
    text: String,
    count: u32,
    /// The earliest time that a standing knows one of them by, in seconds since 1970.
    #[serde(default)]
    since: Option<i64>,
}

/// Addresses refused within one hour, whatever was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Hour {
    /// Hours since 1970.
    at: i64,
    count: u32,
}

/// Addresses refused while a delivery was open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct OfDelivery {
    opened: i64,
    id: String,
    count: u32,
    /// As of a minute.
    #[serde(default)]
    since: Option<i64>,
}

/// What a sender told that it sent to a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The delivery.
    pub id: String,
    /// When it began, in seconds since 1970.
    pub opened: i64,
    /// When it ends, in seconds since 1970.
    pub closes: i64,
    /// Mails to this destination.
    pub sent: u32,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Addresses that were refused.
    pub count: u32,
    /// The first second of the time they were refused in.
    pub from: i64,
    /// The earliest time that a standing knows one of them by, where that is before it: what a signed address proves is of the time
    /// of its mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// What they were refused with; none where all that was sent counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// How many a usual hour has, where nobody told what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<u32>,
    /// What was sent, where somebody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// The refusals of one destination of one list: of each address the one that would quarantine it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    minutes: Vec<Minute>,
    /// The templates that the minutes name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    texts: Vec<Template>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hours: Vec<Hour>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deliveries: Vec<OfDelivery>,
}

impl Watch {
    /// Counts an address whose refusal arrived at a time (seconds since 1970), in answer to any of the deliveries that were open.
    /// `known` is the time that its standing knows the refusal by.
    pub fn add(&mut self, at: i64, known: i64, template: &Template, told: &[Told]) {
        let earliest = |since: Option<i64>| Some(since.map_or(known, |since| since.min(known)));
        let (minute, hour) = (at.div_euclid(60), at.div_euclid(3_600));
        match self.minutes.iter_mut().find(|kept| kept.at == minute && kept.text == template.id) {
            Some(kept) => (kept.count, kept.since) = (kept.count.saturating_add(1), earliest(kept.since)),
            None => {
                self.minutes.push(Minute { at: minute, text: template.id.clone(), count: 1, since: Some(known) });
            }
        }
        if !self.texts.contains(template) {
            self.texts.push(template.clone());
        }
        match self.hours.iter_mut().find(|kept| kept.at == hour) {
            Some(kept) => kept.count = kept.count.saturating_add(1),
            None => self.hours.push(Hour { at: hour, count: 1 }),
        }
        for told in told.iter().filter(|told| (told.opened..told.closes).contains(&at)) {
            match self.deliveries.iter_mut().find(|kept| kept.id == told.id) {
                Some(kept) => (kept.count, kept.since) = (kept.count.saturating_add(1), earliest(kept.since)),
                None => {
                    let (opened, id) = (told.opened, told.id.clone());
                    self.deliveries.push(OfDelivery { opened, id, count: 1, since: Some(known) });
                }
            }
        }
        self.prune();
    }

    /// What is kept depends on the newest alone, so that the order of what came before it does not matter.
    fn prune(&mut self) {
        let newest = self.minutes.iter().map(|minute| minute.at).max().unwrap_or(i64::MIN / 2);
        self.minutes.retain(|minute| minute.at > newest - MINUTES);
        self.minutes.sort();
        let over = self.minutes.len().saturating_sub(limits::WATCHED);
        self.minutes.drain(..over);
        self.texts.retain(|text| self.minutes.iter().any(|minute| minute.text == text.id));
        self.texts.sort();
        let newest = self.hours.iter().map(|hour| hour.at).max().unwrap_or(i64::MIN / 2);
        self.hours.retain(|hour| hour.at > newest - MEDIAN_HOURS - LATE_HOURS);
        self.hours.sort();
        self.deliveries.sort();
        let over = self.deliveries.len().saturating_sub(DELIVERIES);
        self.deliveries.drain(..over);
    }

    /// What is sudden about it. Where a sender told of enough mail to this destination, the share that came back decides;
    /// else, for each text, the count within an hour beside what the destination's hours usually have.
    pub fn judge(&self, told: &[Told]) -> Vec<Trigger> {
        let mut large = told.iter().filter(|told| told.sent >= TOLD).peekable();
        if large.peek().is_none() {
            return self.sudden();
        }
        let most = large.filter_map(|told| {
            let of = self.deliveries.iter().find(|kept| kept.id == told.id)?;
            let count = of.count;
            let most = u64::from(count) * 10 >= u64::from(told.sent) * u64::from(TENTHS);
            let trigger = || {
                let (from, since) = (told.opened, of.since.filter(|since| *since < told.opened));
                Trigger { count, from, since, template: None, median: None, told: Some(told.clone()) }
            };
            most.then(trigger)
        });
        most.take(1).collect()
    }

    /// Of each text the hour with the most refusals, where that is sudden.
    fn sudden(&self) -> Vec<Trigger> {
        let mut best: Vec<Trigger> = Vec::new();
        for first in &self.minutes {
            let hour = first.at..first.at + 60;
            let of_hour = self.minutes.iter().filter(|m| m.text == first.text && hour.contains(&m.at));
            let count = of_hour.clone().map(|minute| minute.count).fold(0, u32::saturating_add);
            let median = self.median(first.at.div_euclid(60));
            if count < SUDDEN || count < median.saturating_mul(TIMES) {
                continue;
            }
            let template = self.texts.iter().find(|text| text.id == first.text).cloned();
            let from = first.at * 60;
            let since = of_hour.filter_map(|minute| minute.since).min().filter(|since| *since < from);
            let trigger = Trigger { count, from, since, template, median: Some(median), told: None };
            match best.iter_mut().find(|other| other.template == trigger.template) {
                Some(other) if other.count < count => *other = trigger,
                Some(_) => {}
                None => best.push(trigger),
            }
        }
        best
    }

    /// The median of the hours of 14 days before one; an hour that nothing is known of had none.
    fn median(&self, hour: i64) -> u32 {
        let mut counts: Vec<u32> = self
            .hours
            .iter()
            .filter(|kept| (hour - MEDIAN_HOURS..hour).contains(&kept.at))
            .map(|kept| kept.count)
            .collect();
        counts.sort_unstable();
        // Of an even number the lower of the two in the middle; the hours without any stand before all others.
        let middle = (MEDIAN_HOURS as usize - 1) / 2;
        let zeros = (MEDIAN_HOURS as usize).saturating_sub(counts.len());
        middle.checked_sub(zeros).and_then(|at| counts.get(at)).copied().unwrap_or(0)
    }
}
