//! Events told to endpoints: what changed in the table → events → each endpoint that wants them.
//!
//! What an endpoint takes at once costs no write: until then the table's stream keeps it. What it does not take is kept
//! for it in the table, and from then on all that is new is kept behind that, until nothing is left. So the events of one
//! subject are told in their order, and an endpoint that fails holds up no other.

mod drain;
mod replay;
mod send;

pub use drain::Drained;
pub use replay::Replayed;

use crate::account::{EndpointId, HealthState};
use crate::deployment::signed::Signed;
use crate::events::{self, Event, Judged, Moved, Received};
use crate::follow::{self, FollowError, Follower, undo};
use crate::grant::Clock;
use crate::incident::{Incident, Stage};
use crate::limits;
use crate::net::Http;
use crate::secret::Secret;
use crate::standing::{self, AddressKey, History, Hold, List};
use crate::table::{
    AuditEvent, Change, EndpointHealth, EndpointItem, EndpointState, Fact, KeptEvent, Table, TableError, Witness,
};
use crate::vault::{Name, Vault, VaultError, Version};
use futures::{StreamExt, future, stream};
use ring::rand::{SecureRandom, SystemRandom};
use send::Attempts;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Subjects that an endpoint is told of at once.
const AT_ONCE: usize = 8;
/// Time in which tries are begun at once, while other endpoints wait for the same batch.
const PATIENCE: Duration = Duration::from_secs(3);
/// Seconds that what was read is kept in memory: endpoints by whoever writes on one machine; secrets.
const ENDPOINTS_SECONDS: i64 = 1;
const SECRET_SECONDS: i64 = 300;

/// A fault of our own: what was not told comes again.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Our vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<FollowError> for TellError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Table(error) => Self::Table(error),
            FollowError::Vault(error) => Self::Vault(error),
        }
    }
}

/// What became of some events.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Events.
    pub events: u64,
    /// Taken by an endpoint, counted for each.
    pub told: u64,
    /// Kept for an endpoint, counted for each.
    pub kept: u64,
}

/// Tells endpoints.
#[derive(Clone)]
pub struct Teller {
    table: Table,
    vault: Arc<dyn Vault>,
    follower: Follower,
    http: Http,
    signed: Arc<Signed>,
    source: String,
    clock: Clock,
    endpoints: Arc<tokio::sync::Mutex<Option<Read<Endpoints>>>>,
    secrets: Arc<Mutex<HashMap<EndpointId, Read<Secret>>>>,
}

/// What was read, and when, in seconds since 1970.
type Read<T> = (i64, T);

type Endpoints = Arc<Vec<EndpointItem>>;

impl Teller {
    /// Over a table that tells nobody of its changes; `source` is what events name as theirs.
    pub fn new(
        table: Table,
        vault: Arc<dyn Vault>,
        follower: Follower,
        http: Http,
        signed: Arc<Signed>,
        source: String,
        clock: Clock,
    ) -> Self {
        Self { table, vault, follower, http, signed, source, clock, endpoints: Arc::default(), secrets: Arc::default() }
    }

    /// One endpoint.
    pub async fn endpoint(&self, id: &EndpointId) -> Result<Option<EndpointItem>, TellError> {
        Ok(self.table.endpoint(id).await?)
    }

    /// Closes the deliveries whose time has come, beginning none after `deadline`; how many. The table's stream tells of them.
    pub async fn close_due(&self, deadline: Instant) -> Result<u64, TellError> {
        Ok(follow::close_due(&self.table, (self.clock)(), deadline).await?)
    }

    /// Writes the quarantines that have ended by the clock as ended, beginning none after `deadline`; how many. The table's
    /// stream tells of them.
    pub async fn end_due(&self, deadline: Instant) -> Result<u64, TellError> {
        Ok(follow::end_due(&self.table, (self.clock)(), deadline).await?)
    }

    /// What changed, as events, in its order.
    pub async fn events_of(&self, changes: &[Change<'_>]) -> Result<Vec<Event>, TellError> {
        let mut found = Vec::new();
        let mut settings: Option<Settings> = None;
        let mut facts: Vec<Cow<'_, Fact>> = Vec::new();
        for change in changes {
            let Change::Fact(fact) = change else { continue };
            facts.push(match fact.parts {
                0 => Cow::Borrowed(*fact),
                _ => self.table.fact(&fact.account, &fact.key).await?.map_or(Cow::Borrowed(*fact), Cow::Owned),
            });
        }
        let facts: Vec<&Fact> = facts.iter().map(AsRef::as_ref).collect();
        let judged = self.follower.judge(&facts, None, (self.clock)()).await?;
        let mut of_facts = facts.into_iter().zip(judged);
        for change in changes {
            match change {
                Change::Fact(_) => {
                    let of = of_facts.next();
                    found.extend(of.into_iter().flat_map(|(fact, judged)| self.of_fact(fact, &judged)));
                }
                Change::Standing { before, after } => {
                    let Some(item) = after.or(*before) else { continue };
                    let settings = match &settings {
                        Some(settings) => settings,
                        None => settings.insert(self.settings().await?),
                    };
                    let none = History::default();
                    let moved = Moved {
                        source: &self.source,
                        address: &item.address,
                        written: item.written.as_deref(),
                        list: &item.list,
                        old: before.map_or(&none, |item| &item.history),
                        new: after.map_or(&none, |item| &item.history),
                        version: after.map_or(item.version + 1, |item| item.version),
                        ended: (before.and_then(|item| item.ended), item.ended),
                    };
                    found.extend(settings.event(moved, (self.clock)().as_second()));
                }
                Change::Incident(incident) => {
                    found.extend(events::of_incident(&self.source, incident));
                    if incident.stage == Stage::Confirmed {
                        found.extend(self.confirmed(incident).await?);
                    }
                }
                Change::Delivery(item) => {
                    let closed = item.closed.as_ref();
                    found.extend(closed.map(|closed| events::of_delivery(&self.source, &item.delivery, closed)));
                }
                Change::Audit(account, entry) => {
                    let to = match entry.event {
                        AuditEvent::HealthChanged => entry.health_to,
                        AuditEvent::Connected => Some(HealthState::Active),
                        AuditEvent::Disconnected => Some(HealthState::NotConnected),
                        AuditEvent::ConnectionRefused
                        | AuditEvent::Renewed
                        | AuditEvent::Erased
                        | AuditEvent::Undone
                        | AuditEvent::IncidentReleased
                        | AuditEvent::IncidentConfirmed
                        | AuditEvent::DeliveryClosed
                        | AuditEvent::Replayed => None,
                    };
                    let (advice, said) = (entry.advice.as_deref(), entry.said.as_deref());
                    let event =
                        |to| events::of_health(&self.source, account, (entry.health_from, to), advice, said, entry.at);
                    found.extend(to.map(event));
                }
            }
        }
        Ok(found)
    }

    fn of_fact(&self, fact: &Fact, judged: &[Option<Judged>]) -> Vec<Event> {
        let (source, account, key, arrived) = (&*self.source, &fact.account, &*fact.key, fact.arrived);
        events::of_report(Received { source, account, key, arrived, report: &fact.report }, judged)
    }

    async fn settings(&self) -> Result<Settings, TellError> {
        Ok(Settings { lists: self.table.lists().await?, holds: self.table.holds().await? })
    }

    /// What an incident held back counts now, and no standing is written for it: each is told as it is, and to those who act on
    /// them the bounces, too.
    async fn confirmed(&self, incident: &Incident) -> Result<Vec<Event>, TellError> {
        let now = (self.clock)().as_second();
        let mut settings = self.settings().await?;
        // The word of whoever tells of it goes before what the table may still say.
        settings.holds.retain(|hold| hold.incident != incident.id);
        let mut events = Vec::new();
        let refused = undo::find(&self.follower, &undo::Sought::of(incident, now), now).await?;
        let facts: Vec<&Fact> = refused.facts.iter().collect();
        let judged = self.follower.judge(&facts, Some(&incident.id), (self.clock)()).await?;
        for (fact, mut judged) in facts.into_iter().zip(judged) {
            for (number, judged) in judged.iter_mut().enumerate() {
                if let Some(judged) = judged
                    && refused.holds(&judged.address, &judged.list, fact, number)
                {
                    judged.confirmed = Some(incident.id.clone());
                }
            }
            events.extend(self.of_fact(fact, &judged).into_iter().filter(Event::is_for_actors));
        }
        let addresses: Vec<AddressKey> = refused.whose().map(|(address, _)| address.clone()).collect();
        for item in self.table.standings(&addresses, &incident.list).await? {
            let none = History::default();
            let moved = Moved {
                source: &self.source,
                address: &item.address,
                written: item.written.as_deref(),
                list: &item.list,
                old: &none,
                new: &item.history,
                version: item.version,
                ended: (None, item.ended),
            };
            events.extend(settings.event(moved, now));
        }
        Ok(events)
    }

    /// Tells each endpoint what it wants to know, and keeps for it what it does not take. Each is given a few seconds,
    /// and nothing is begun after `deadline`. An error says that something was neither told nor kept.
    pub async fn tell(&self, events: &[Event], deadline: Instant) -> Result<Told, TellError> {
        let endpoints = if events.is_empty() { vec![] } else { self.table.endpoints().await? };
        let until = deadline.min(Instant::now() + PATIENCE);
        let each = endpoints.iter().map(|item| self.tell_one(item, events, until));
        let mut all = Told { events: events.len() as u64, ..Told::default() };
        // Every endpoint comes to its turn, whatever became of another.
        let mut failed = None;
        for one in future::join_all(each).await {
            match one {
                Ok(one) => {
                    all.told += one.told;
                    all.kept += one.kept;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    async fn tell_one(&self, item: &EndpointItem, events: &[Event], until: Instant) -> Result<Told, TellError> {
        let endpoint = &item.settings;
        let mut wanted: Vec<&Event> = events.iter().filter(|event| endpoint.wants(event)).collect();
        let mut done = Told::default();
        if wanted.is_empty() {
            return Ok(done);
        }
        let now = (self.clock)();
        if item.held || item.health.state == EndpointState::Gone {
            done.kept = self.keep(&endpoint.id, &wanted, now.as_second()).await?;
            self.table.hold_endpoint(&endpoint.id, now.as_second(), None).await?;
            return Ok(done);
        }
        // As they came, but those of one subject together.
        wanted.sort_by_key(|event| event.group());
        let attempts = Attempts::new(self, item, until).await?;
        let mut groups = Vec::new();
        for group in wanted.chunk_by(|a, b| a.subject == b.subject) {
            groups.push(attempts.tell_in_order(group));
        }
        let left: Vec<&[&Event]> = stream::iter(groups).buffer_unordered(AT_ONCE).collect().await;
        let left: Vec<&Event> = left.into_iter().flatten().copied().collect();
        done.told = attempts.told();
        if left.is_empty() {
            return Ok(done);
        }
        done.kept = self.keep(&endpoint.id, &left, now.as_second()).await?;
        let (health, next_due) = attempts.ended(&item.health, (self.clock)(), chance());
        self.table.hold_endpoint(&endpoint.id, next_due.unwrap_or(now.as_second()), Some(&health)).await?;
        log(&endpoint.id, &item.health, &health);
        Ok(done)
    }

    async fn keep(&self, id: &EndpointId, events: &[&Event], now: i64) -> Result<u64, TableError> {
        let all = events.iter().map(|event| KeptEvent::new(event, now)).collect::<Result<Vec<_>, _>>()?;
        let mut puts = Vec::new();
        for event in &all {
            puts.push(self.table.keep_event(id, event));
        }
        let mut kept = 0;
        let mut puts = stream::iter(puts).buffer_unordered(16);
        while let Some(put) = puts.next().await {
            kept += u64::from(put?);
        }
        Ok(kept)
    }

    /// Who keeps for each endpoint what is about to be written, on one machine, where no stream tells of it. What is kept
    /// is told by [`Teller::drain_all`].
    pub fn witness(&self) -> Witness {
        let teller = self.clone();
        Witness::new(move |change| {
            let teller = teller.clone();
            Box::pin(async move {
                teller.foretell(change).await.map_err(|error| match error {
                    TellError::Table(error) => error,
                    TellError::Vault(error) => TableError::Service { doing: "written", said: error.to_string() },
                })
            })
        })
    }

    async fn foretell(&self, change: Change<'_>) -> Result<(), TellError> {
        let endpoints = self.known_endpoints().await?;
        if !endpoints.iter().any(|item| item.settings.enabled) {
            return Ok(());
        }
        if let Change::Fact(fact) = change
            && self.table.fact(&fact.account, &fact.key).await?.is_some()
        {
            return Ok(());
        }
        let events = self.events_of(&[change]).await?;
        let now = (self.clock)().as_second();
        for item in endpoints.iter() {
            let wanted: Vec<&Event> = events.iter().filter(|event| item.settings.wants(event)).collect();
            self.keep(&item.settings.id, &wanted, now).await?;
        }
        Ok(())
    }

    async fn known_endpoints(&self) -> Result<Endpoints, TableError> {
        let now = (self.clock)().as_second();
        // Held while they are read: of many writers at once one reads, and the others wait for it.
        let mut known = self.endpoints.lock().await;
        if let Some((_, endpoints)) = known.as_ref().filter(|(read, _)| (0..=ENDPOINTS_SECONDS).contains(&(now - read)))
        {
            return Ok(Arc::clone(endpoints));
        }
        let endpoints = Arc::new(self.table.endpoints().await?);
        *known = Some((now, Arc::clone(&endpoints)));
        Ok(endpoints)
    }

    async fn secret(&self, item: &EndpointItem) -> Result<Option<Secret>, VaultError> {
        if !item.settings.to.has_secret() {
            return Ok(None);
        }
        let (id, now) = (&item.settings.id, (self.clock)().as_second());
        let known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some((_, secret)) = known.filter(|(read, _)| (0..SECRET_SECONDS).contains(&(now - read))) {
            return Ok(Some(secret));
        }
        let secret = self.vault.get(&Name::Endpoint(id.clone()), Version::Current).await?;
        if let Some(secret) = &secret {
            let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(id.clone(), (now, secret.clone()));
        }
        Ok(secret)
    }
}

/// What standings are read with.
struct Settings {
    lists: Vec<List>,
    holds: Vec<Hold>,
}

impl Settings {
    fn event(&self, moved: Moved<'_>, now: i64) -> Option<Event> {
        let list = self.lists.iter().find(|list| list.id == *moved.list);
        let thresholds = list.map(|list| list.thresholds).unwrap_or_default();
        let holds: Vec<&Hold> = self.holds.iter().filter(|hold| hold.concerns(moved.address, moved.list)).collect();
        let before = |history: &History, at| standing::read(history, &thresholds, at);
        let after = |history: &History, at| standing::read_held(history, &thresholds, &holds, at);
        events::of_standing(moved, before, after, now)
    }
}

/// From 0 to 999: what keeps tries apart.
fn chance() -> u32 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes) % 1_000,
        Err(_) => 500,
    }
}

/// The log line of an endpoint whose state moved.
fn log(id: &EndpointId, before: &EndpointHealth, after: &EndpointHealth) {
    let (from, to, said) = (before.state.as_str(), after.state.as_str(), after.said.as_deref());
    match after.state {
        state if state == before.state => {}
        EndpointState::Active => tracing::info!(endpoint = %id, from, to, "endpoint changed"),
        _ => tracing::warn!(endpoint = %id, from, to, said, "endpoint changed"),
    }
}

/// Bounded, and without what ends a line.
fn bounded(said: &str) -> String {
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(limits::SAID_CHARS).collect()
}
