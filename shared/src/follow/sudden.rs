//! Destinations that suddenly refuse many addresses that were fine.

use super::{AT_ONCE, FollowError, Follower, Settings};
use crate::account::ListId;
use crate::incident::{Incident, Template, template};
use crate::standing::{AddressKey, Cause, Effect};
use futures::{StreamExt, stream};
use std::collections::BTreeMap;

/// Incidents of one text of one destination on one day.
const OF_A_DAY: usize = 20;

/// A refusal that quarantined an address which was fine.
#[derive(Debug)]
pub(super) struct Refusal {
    list: ListId,
    domain: String,
    /// When its report arrived, in seconds since 1970.
    arrived: i64,
    /// The time of the cause: of a signed address that of the mail.
    at: i64,
    template: Template,
}

impl Refusal {
    /// The first to arrive of the causes that did it, each with the arrival of its report.
    pub fn of(address: &AddressKey, list: &ListId, causes: &[(Cause, i64)]) -> Option<Self> {
        let hard = causes.iter().filter(|(cause, _)| cause.effect == Effect::Hard && cause.believed);
        let (first, arrived) = hard.min_by_key(|(cause, arrived)| (*arrived, cause.at))?;
        let said = first.said.as_deref().unwrap_or_default();
        let mut template = template(said, address.as_str());
        // Of all the words; a standing keeps their beginning alone.
        template.id = first.template.clone().unwrap_or(template.id);
        let (list, domain) = (list.clone(), address.domain().to_owned());
        Some(Self { list, domain, arrived: *arrived, at: first.at, template })
    }
}

impl Follower {
    /// Counts refusals, and opens an incident where they are sudden.
    pub(super) async fn watch(
        &self,
        refused: Vec<Refusal>,
        settings: &Settings,
        now: i64,
    ) -> Result<Vec<Incident>, FollowError> {
        let mut by_destination: BTreeMap<(ListId, String), Vec<Refusal>> = BTreeMap::new();
        for refusal in refused {
            by_destination.entry((refusal.list.clone(), refusal.domain.clone())).or_default().push(refusal);
        }
        let watches = by_destination.into_iter().map(|(destination, refusals)| {
            // Each destination has an item of its own.
            self.watch_destination(destination, refusals, settings, now)
        });
        // All are tried: a standing moves once, so what is not counted now is not counted when the facts come again.
        let watched: Vec<_> = stream::iter(watches).buffer_unordered(AT_ONCE).collect().await;
        let opened: Vec<Vec<Incident>> = watched.into_iter().collect::<Result<_, _>>()?;
        Ok(opened.into_iter().flatten().collect())
    }

    async fn watch_destination(
        &self,
        (list, domain): (ListId, String),
        refusals: Vec<Refusal>,
        settings: &Settings,
        now: i64,
    ) -> Result<Vec<Incident>, FollowError> {
        let told = self.table.told(&list, &domain, now).await?;
        let count = |watch: &mut crate::incident::Watch| {
            for refusal in &refusals {
                watch.add(refusal.arrived, refusal.at, &refusal.template, &told);
            }
        };
        let watch = self.table.change_watch(&list, &domain, now, count).await?;
        let mut opened = Vec::new();
        for trigger in watch.judge(&told) {
            let known = |incident: &&Incident| incident.is_of(&list, &domain, &trigger);
            if !settings.incidents.iter().filter(known).any(|incident| incident.answers(now)) {
                opened.extend(self.open(&list, &domain, trigger, now).await?);
            }
        }
        Ok(opened)
    }

    async fn open(
        &self,
        list: &ListId,
        domain: &str,
        trigger: crate::incident::Trigger,
        now: i64,
    ) -> Result<Option<Incident>, FollowError> {
        for number in 1..=OF_A_DAY {
            let incident = Incident::new(list, domain, trigger.clone(), number, now);
            if self.table.open_incident(&incident).await? {
                let count = trigger.count;
                tracing::warn!(incident = incident.id, list = %list, count, "a destination refuses many addresses suddenly");
                return Ok(Some(incident));
            }
            // Somebody else opened it at the same time; or an earlier one of the day is over.
            if self.table.incident(&incident.id).await?.is_some_and(|other| other.answers(now)) {
                return Ok(None);
            }
        }
        Ok(None)
    }
}
