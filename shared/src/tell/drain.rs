//! What is kept for an endpoint, told at last: in the order of each subject, by one at a time.

use super::send::Attempts;
use super::{AT_ONCE, TellError, Teller, chance, log};
use crate::account::EndpointId;
use crate::events;
use crate::table::{EndpointItem, EndpointState, Kept, KeptEvent, TableError};
use futures::{StreamExt, future, stream};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Kept events read at once.
const PAGE: usize = 500;
/// Seconds beyond its deadline that a run holds an endpoint at most: the last try and what is written after it.
const MARGIN: i64 = 30;

/// Time beyond its deadline in which it looks for what is too old.
const LOOKING: Duration = Duration::from_secs(5);

/// What one run did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Endpoints that were tried.
    pub endpoints: u64,
    /// Events that were told.
    pub told: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Events that are still kept, where that is known: at least one for each endpoint.
    pub left: u64,
}

impl Drained {
    fn add(&mut self, other: Self) {
        self.endpoints += other.endpoints;
        self.told += other.told;
        self.dead += other.dead;
        self.left += other.left;
    }
}

/// What a run has found so far.
#[derive(Default)]
struct Found {
    /// Subjects that an earlier event of theirs keeps waiting.
    waiting: HashSet<String>,
    /// Events that were refused.
    refused: Vec<KeptEvent>,
    /// The earliest time that something waits for.
    next: Option<i64>,
    dead: u64,
    left: u64,
    failed: Option<TableError>,
}

impl Teller {
    /// Tells the endpoints whose time has come what is kept for them, each by itself, until `deadline`.
    pub async fn drain_due(&self, deadline: Instant) -> Result<Drained, TellError> {
        let due = self.table.endpoints_due((self.clock)()).await?;
        self.drain_each(due, deadline).await
    }

    /// The same with all endpoints that something is kept for, for one machine, where whoever keeps does not say so.
    pub async fn drain_all(&self, deadline: Instant) -> Result<Drained, TellError> {
        let now = (self.clock)().as_second();
        let mut some = Vec::new();
        for item in self.table.endpoints().await? {
            let waits = item.retry_at > now || item.health.state == EndpointState::Gone;
            if !waits && !self.table.kept_events(&item.settings.id, Kept::Pending, None, 1).await?.is_empty() {
                some.push(item);
            }
        }
        self.drain_each(some, deadline).await
    }

    async fn drain_each(&self, items: Vec<EndpointItem>, deadline: Instant) -> Result<Drained, TellError> {
        let mut runs = Vec::new();
        for item in &items {
            runs.push(self.drain(&item.settings.id, deadline));
        }
        let mut all = Drained::default();
        let mut failed = None;
        for one in future::join_all(runs).await {
            match one {
                Ok(one) => all.add(one),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// Tells one endpoint what is kept for it, unless somebody else is at it.
    pub async fn drain(&self, id: &EndpointId, deadline: Instant) -> Result<Drained, TellError> {
        let now = (self.clock)();
        let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
        let seconds = i64::try_from(seconds).unwrap_or(0) + MARGIN;
        let Some((item, name)) = self.table.take_endpoint(id, now, seconds).await? else {
            return Ok(Drained::default());
        };
        if item.health.state == EndpointState::Gone || !item.settings.enabled {
            // It is found again when the operator has acted.
            self.table.give_endpoint(&item, &name, Some(EndpointItem::NEVER), &item.health, now).await?;
            return Ok(Drained::default());
        }
        let attempts = match Attempts::new(self, &item, deadline).await {
            Ok(attempts) => attempts,
            Err(error) => {
                self.table.give_endpoint(&item, &name, Some(now.as_second() + 60), &item.health, now).await?;
                return Err(error.into());
            }
        };
        // Only of an endpoint that has failed for days can anything be too old behind what it refuses now.
        let old =
            item.health.state == EndpointState::Retrying && item.health.since + events::LIFE_SECONDS <= now.as_second();
        let found = Mutex::new(Found::default());
        let mut after: Option<String> = None;
        loop {
            let page = self.table.kept_events(id, Kept::Pending, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let mut groups = Vec::new();
            for group in page.chunk_by(|a, b| a.group == b.group) {
                groups.push(self.tell_group(id, group, &attempts, &found));
            }
            stream::iter(groups).buffer_unordered(AT_ONCE).collect::<()>().await;
            // Then nothing is told; and no more is looked at than the margin allows.
            if attempts.stopped() && (!old || Instant::now() >= deadline + LOOKING) {
                found.lock().unwrap_or_else(PoisonError::into_inner).left += 1;
                break;
            }
        }
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.end(&item, &name, &attempts, found).await
    }

    /// The kept events of one subject, in their order, until one is not taken.
    async fn tell_group(&self, id: &EndpointId, group: &[KeptEvent], attempts: &Attempts<'_>, found: &Mutex<Found>) {
        let found = || found.lock().unwrap_or_else(PoisonError::into_inner);
        for kept in group {
            let now = (self.clock)().as_second();
            let done = if kept.since + events::LIFE_SECONDS <= now {
                found().dead += 1;
                self.table.bury_event(id, kept).await
            } else if found().waiting.contains(&kept.group) {
                found().left += 1;
                continue;
            } else if kept.retry_at > now {
                let mut found = found();
                found.waiting.insert(kept.group.clone());
                found.next = Some(found.next.map_or(kept.retry_at, |next| next.min(kept.retry_at)));
                found.left += 1;
                continue;
            } else {
                let said = match kept.read() {
                    Some(event) => attempts.attempt(&event).await,
                    // Another version's: nobody can tell it.
                    None => {
                        found().dead += 1;
                        let unreadable = KeptEvent { said: Some("it cannot be read".to_owned()), ..kept.clone() };
                        if let Err(error) = self.table.bury_event(id, &unreadable).await {
                            found().failed = Some(error);
                            return;
                        }
                        continue;
                    }
                };
                match said {
                    Some(Ok(())) => self.table.drop_event(id, Kept::Pending, kept).await,
                    not_taken => {
                        let mut found = found();
                        found.waiting.insert(kept.group.clone());
                        found.left += 1;
                        if let Some(Err(refused)) = not_taken {
                            found.refused.push(KeptEvent { said: Some(super::bounded(&refused.said)), ..kept.clone() });
                        }
                        continue;
                    }
                }
            };
            if let Err(error) = done {
                let mut found = found();
                found.failed = Some(error);
                found.left += 1;
                return;
            }
        }
    }

    /// Writes down how it went, and when the next try is.
    async fn end(
        &self,
        item: &EndpointItem,
        name: &str,
        attempts: &Attempts<'_>,
        mut found: Found,
    ) -> Result<Drained, TellError> {
        let (id, now) = (&item.settings.id, (self.clock)());
        let (health, mut next) = attempts.ended(&item.health, now, chance());
        let gone = health.state == EndpointState::Gone;
        if !attempts.is_down() {
            // It takes others: these wait by themselves.
            for kept in &mut found.refused {
                kept.attempts = kept.attempts.saturating_add(1);
                kept.retry_at = now.as_second() + events::pause(kept.attempts, chance(), None);
                self.table.postpone_event(id, kept).await?;
                found.next = Some(found.next.map_or(kept.retry_at, |next| next.min(kept.retry_at)));
            }
            // What is left and waits for nothing was cut off by the deadline.
            let cut = found.left > 0 && (attempts.stopped() || found.next.is_none());
            next = if cut { Some(now.as_second()) } else { found.next };
        }
        let next = match (gone, next) {
            (true, _) => Some(EndpointItem::NEVER),
            (false, None) if found.left > 0 => Some(now.as_second()),
            (false, next) => next,
        };
        self.table.give_endpoint(item, name, next, &health, now).await?;
        log(id, &item.health, &health);
        let told = attempts.told();
        if told + found.dead > 0 {
            tracing::info!(endpoint = %id, told, dead = found.dead, left = found.left, "kept events told");
        }
        match found.failed {
            Some(error) => Err(error.into()),
            None => Ok(Drained { endpoints: 1, told, dead: found.dead, left: found.left }),
        }
    }
}
