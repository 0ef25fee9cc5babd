//! What was told, told again, and dead letters told after all. What an event says follows from facts and standings, which
//! are kept longer than any event would be; so nothing else is kept of events that were told.

use super::{TellError, Teller};
use crate::account::{AccountId, EndpointId};
use crate::delivery::DeliveryId;
use crate::events::Event;
use crate::standing::History;
use crate::table::{Change, Kept, StandingItem};
use jiff::Timestamp;

/// Facts of one account that are told again at once.
const FACTS: usize = 100_000;
/// Of these so many are judged together, as the stream brings them.
const BATCH: usize = 100;
/// Deliveries read at once.
const DELIVERIES: usize = 100;
/// Dead letters read at once.
const PAGE: usize = 500;

/// What a replay did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Events found.
    pub found: u64,
    /// Of these, those that the endpoint wants and that were not kept for it already.
    pub kept: u64,
}

impl Teller {
    /// All that happened since a time, as far as it is on record: of facts what they tell, of deliveries that they are over, and of
    /// addresses that may not be written to now that it is so. Their ids are those that they were told under.
    pub async fn past(&self, accounts: &[AccountId], since: Timestamp) -> Result<Vec<Event>, TellError> {
        let mut found = Vec::new();
        for account in accounts {
            let mut facts = self.table.facts(account, since, FACTS).await?;
            facts.reverse();
            for some in facts.chunks(BATCH) {
                let changes: Vec<Change<'_>> = some.iter().map(Change::Fact).collect();
                found.extend(self.events_of(&changes).await?);
            }
        }
        let mut after: Option<DeliveryId> = None;
        loop {
            let page = self.table.deliveries(after.as_ref(), DELIVERIES).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.delivery.id.clone());
            for item in page.iter().filter(|item| item.delivery.closes >= since.as_second()) {
                found.extend(self.events_of(&[Change::Delivery(item)]).await?);
            }
        }
        let mut from = None;
        loop {
            let page = self.table.scan_standings(from).await?;
            for item in &page.items {
                // As if nothing had been before: whether it may be written to now.
                let before = StandingItem { history: History::default(), ..item.clone() };
                let change = Change::Standing { before: Some(&before), after: Some(item) };
                let events = self.events_of(&[change]).await?;
                found.extend(events.into_iter().filter(|event| event.time >= since));
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Keeps events for an endpoint, as if they had just happened; they are told at once.
    pub async fn replay(&self, to: &EndpointId, events: &[Event]) -> Result<Replayed, TellError> {
        let now = (self.clock)().as_second();
        let item = self.table.endpoint(to).await?;
        let wants = |event: &&Event| item.as_ref().is_some_and(|item| item.settings.wants(event));
        let wanted: Vec<&Event> = events.iter().filter(wants).collect();
        let kept = self.keep(to, &wanted, now).await?;
        self.table.hold_endpoint(to, now, None).await?;
        Ok(Replayed { found: events.len() as u64, kept })
    }

    /// Dead letters of an endpoint are to be told after all.
    pub async fn revive(&self, to: &EndpointId) -> Result<Replayed, TellError> {
        let now = (self.clock)().as_second();
        let mut done = Replayed::default();
        loop {
            let page = self.table.kept_events(to, Kept::Dead, None, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for kept in &page {
                self.table.revive_event(to, kept, now).await?;
                done.found += 1;
                done.kept += 1;
            }
        }
        self.table.hold_endpoint(to, now, None).await?;
        Ok(done)
    }
}
