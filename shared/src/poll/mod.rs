//! One mailbox run: read → record → settle.
//!
//! Take the lease, get the way in, open the mailbox, list what is after the cursor, fetch, read, record each report
//! once; is the lease still ours? then flag, move or delete on the server, move the cursor, and say what was done.
//! A mailbox's fault goes to the account's health; only our own faults are errors.

mod folder;
mod forward;
mod health;
mod progress;

pub(crate) use health::advice_for_forwarding;
pub use health::{state_and_advice, state_and_advice_for};
pub use progress::Progress;

use self::forward::Forwarder;
use crate::account::{AccountId, Authentication, Health, HealthState};
use crate::follow::{Follow, FollowError, Follower};
use crate::grant::{Clock, GrantFault, Grants};
use crate::mailbox::{self, FaultKind, Login, Mailbox, MailboxFault, Settled};
use crate::net::{Reach, Tls};
use crate::oauth::entra;
use crate::raw::{RawError, Store};
use crate::table::{AccountItem, Busy, By, Fact, LastPoll, Lease, Recorded, Table, TableError};
use crate::vault::{Name, Vault, VaultError, Version};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time kept back at the end of a run for saying what was done.
const MARGIN: Duration = Duration::from_secs(10);

/// The function's name in log and audit.
const FUNCTION: &str = "bounce-poll";

/// The advice for mail that a server marks as deleted and cannot remove alone.
const EXPUNGE_MISSING: &str = "expunge-missing";

/// What a poll needs.
#[derive(Clone)]
pub struct Poller {
    /// State.
    pub table: Table,
    /// Passwords.
    pub vault: Arc<dyn Vault>,
    /// Access tokens.
    pub grants: Grants,
    /// Which servers may be reached.
    pub reach: Reach,
    /// Whom TLS trusts.
    pub tls: Tls,
    /// The time.
    pub clock: Clock,
    /// What puts facts into standings once they are durable; none where the table's stream brings them to it.
    pub follow: Option<Follow>,
    /// Where mail is kept as it came; none where that is not wanted.
    pub raw: Option<Store>,
}

/// What a poll did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// The account.
    pub account: AccountId,
    /// Correlation id of the run.
    pub run: String,
    /// Somebody else was polling it: nothing was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub busy: bool,
    /// Messages read.
    pub messages: u64,
    /// Of these, reports of any kind.
    pub reports: u64,
    /// Facts that were new.
    pub recorded: u64,
    /// Messages that the server lists and does not give out.
    pub unreadable: u64,
    /// Messages that were kept as they came.
    #[serde(default)]
    pub kept: u64,
    /// Objects that they were kept in.
    #[serde(default)]
    pub objects: usize,
    /// Messages that a folder still holds for the next run.
    pub left: u64,
    /// Messages that were to be deleted or moved away and still lie in the folder, marked as deleted: the server
    /// cannot remove them alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub marked_deleted: u64,
    /// Messages that were forwarded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forwarded: u64,
    /// Messages that were to be forwarded, and will not be: they stay in the mailbox.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_forwarded: u64,
    /// Why the server that takes what is forwarded takes nothing now; what waits is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_fault: Option<String>,
    /// What that means and who must act: an advice by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_advice: Option<String>,
    /// Whether a cursor moved over messages.
    #[serde(skip)]
    pub advanced: bool,
    /// Exchanges with the mail server.
    pub round_trips: u32,
    /// Writes to the table that were asked for.
    pub table_writes: u64,
    /// The account's health after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Summary {
    /// The advice of a poll that went well and still has something to say, by its id.
    pub fn advice(&self) -> Option<&'static str> {
        (self.marked_deleted > 0).then_some(EXPUNGE_MISSING)
    }

    fn note_settled(&mut self, settled: Settled, messages: usize) {
        if settled == Settled::MarkedDeleted {
            self.marked_deleted += messages as u64;
        }
    }

    /// Adds the run that went on where this one stopped.
    pub fn add(&mut self, next: Self) {
        self.messages += next.messages;
        self.reports += next.reports;
        self.recorded += next.recorded;
        self.unreadable += next.unreadable;
        self.kept += next.kept;
        self.objects += next.objects;
        self.left = next.left;
        self.marked_deleted += next.marked_deleted;
        self.forwarded += next.forwarded;
        self.not_forwarded += next.not_forwarded;
        if next.forward_fault.is_some() {
            (self.forward_fault, self.forward_advice) = (next.forward_fault, next.forward_advice);
        }
        self.round_trips += next.round_trips;
        self.table_writes += next.table_writes;
        self.busy = next.busy;
        self.health = next.health;
    }
}

/// A fault of our own: the run is tried again by the queue.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// No such account.
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Our vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Where mail is kept: what was to be kept and cannot be, is not recorded either, and stays in the mailbox.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// The grant's store.
    #[error(transparent)]
    Grant(GrantFault),
}

impl From<FollowError> for PollError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Table(error) => Self::Table(error),
            FollowError::Vault(error) => Self::Vault(error),
        }
    }
}

/// Why a run ended early.
pub(crate) enum Stop {
    Mailbox(MailboxFault),
    Grant(GrantFault),
    NoPassword,
    Ours(PollError),
    /// The lease passed to another run.
    LeaseLost,
}

impl Stop {
    /// How long the other side asks to be left alone.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Mailbox(fault) => fault.retry_after,
            Self::Grant(GrantFault::Busy { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

/// Whole seconds that are no less; a day at most, whatever a server says.
fn rest_seconds(rest: Duration) -> i64 {
    i64::try_from(rest.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX).min(86_400)
}

impl<E: Into<PollError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

impl Poller {
    /// Polls one account until `deadline` at the latest. Boxed here, so that each crate that polls is not built with a copy of
    /// all that a poll is.
    pub fn poll<'a>(
        &'a self,
        id: &'a AccountId,
        run: &'a str,
        deadline: Instant,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Result<Summary, PollError>> {
        Box::pin(self.poll_account(id, run, deadline, progress))
    }

    async fn poll_account(
        &self,
        id: &AccountId,
        run: &str,
        deadline: Instant,
        progress: &dyn Progress,
    ) -> Result<Summary, PollError> {
        let mut summary = Summary {
            account: id.clone(),
            run: run.to_owned(),
            busy: false,
            messages: 0,
            reports: 0,
            recorded: 0,
            unreadable: 0,
            kept: 0,
            objects: 0,
            left: 0,
            marked_deleted: 0,
            forwarded: 0,
            not_forwarded: 0,
            forward_fault: None,
            forward_advice: None,
            advanced: false,
            round_trips: 0,
            table_writes: 1,
            health: None,
        };
        let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
        let lease = self.table.take_lease(id, (self.clock)(), i64::try_from(seconds).unwrap_or(0) + 5).await?;
        let (item, lease) = match lease {
            Ok(taken) => taken,
            Err(Busy) if self.table.account(id).await?.is_some() => {
                summary.busy = true;
                return Ok(summary);
            }
            Err(Busy) => return Err(PollError::NoAccount(id.clone())),
        };
        let limit = item.account.limits.session_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let deadline = limit.map_or(deadline, |limit| deadline.min(Instant::now() + limit));
        let margin = MARGIN.min(deadline.saturating_duration_since(Instant::now()) / 4);
        let ended = if item.account.enabled {
            // A renewal on the way is this run's.
            let acting = Self { grants: self.grants.acting_as(FUNCTION, run), ..self.clone() };
            acting.read_mailbox(&item, lease, deadline - margin, &mut summary, progress).await
        } else {
            Ok(())
        };
        self.end(&item, lease, ended, summary).await
    }

    /// Gives the lease back and writes down what was done: the second and last write of an empty poll.
    async fn end(
        &self,
        item: &AccountItem,
        lease: Lease,
        ended: Result<(), Stop>,
        mut summary: Summary,
    ) -> Result<Summary, PollError> {
        let now = (self.clock)();
        let rest = ended.as_ref().err().and_then(Stop::retry_after).map_or(0, rest_seconds);
        let (health, ours) = match ended {
            Ok(()) => (health::after_success(item, now), None),
            Err(Stop::LeaseLost) => {
                summary.busy = true;
                return Ok(summary);
            }
            Err(Stop::Ours(error)) => (health::after_our_fault(item, &error, now), Some(error)),
            Err(Stop::Mailbox(fault)) => (health::after_mailbox_fault(item, &fault, now), None),
            Err(Stop::Grant(fault)) => (health::after_grant_fault(item, &fault, now), None),
            Err(Stop::NoPassword) => (health::after_missing_password(item, now), None),
        };
        let before = item.last_poll.as_ref().map_or(0, |last| last.idle);
        let idle = if summary.messages == 0 { before.saturating_add(1) } else { 0 };
        let last = LastPoll { at: now.as_second(), messages: summary.messages, recorded: summary.recorded, idle };
        let pause = match health.state {
            HealthState::Active if summary.left > 0 => Some(0),
            HealthState::Active => Some(item.account.pause_seconds(summary.messages, idle)),
            // A server that says how long it wants to be left alone is left alone so long: the account rests, no function.
            _ => health.pause_seconds(item.account.period_seconds).map(|pause| pause.max(rest)),
        };
        let next_due = pause.map(|pause| now.as_second() + pause);
        summary.table_writes += 1;
        let written = self.table.end_poll(&item.account.id, lease, &health, next_due, Some(&last)).await;
        if matches!(written, Ok(true)) {
            let by = By { function: FUNCTION, run: &summary.run };
            let audited = self.table.audit_health(item, &health, by, now).await;
            summary.table_writes += u64::from(audited);
        }
        if let Some(advice) = summary.advice() {
            let (account, run) = (&item.account.id, &summary.run);
            let sentence = self.table.sentence_of(advice, account.as_str(), None).await;
            tracing::warn!(account = %account, run, marked_deleted = summary.marked_deleted, advice, sentence,
                "mail stays in its folder");
        }
        summary.health = Some(health);
        match (ours, written) {
            (Some(error), _) => Err(error),
            (None, written) => {
                summary.busy = !written?;
                Ok(summary)
            }
        }
    }

    /// Records a fact, and gives back what is to be followed. A fact that is durable already is followed as it was recorded:
    /// who recorded it may have died before it got there.
    async fn record(&self, fact: Fact) -> Result<(Recorded, Option<Fact>), PollError> {
        if self.follow.is_none() || !Follower::concerns(fact.kind) {
            return Ok((self.table.record(fact).await?, None));
        }
        let recorded = self.table.record(fact.clone()).await?;
        let known = match recorded {
            Recorded::New => None,
            Recorded::Known => self.table.fact(&fact.account, &fact.key).await?,
        };
        Ok((recorded, Some(known.unwrap_or(fact))))
    }

    /// Sees to what follows from facts that are durable.
    async fn follow(&self, facts: Vec<Fact>) -> Result<(), PollError> {
        if let Some(follow) = &self.follow {
            follow(facts, (self.clock)()).await?;
        }
        Ok(())
    }

    async fn read_mailbox(
        &self,
        item: &AccountItem,
        lease: Lease,
        deadline: Instant,
        summary: &mut Summary,
        progress: &dyn Progress,
    ) -> Result<(), Stop> {
        let mut mailbox = self.open(item, deadline).await?;
        let read = self.read_folders(&mut *mailbox, item, lease, deadline, summary, progress).await;
        summary.round_trips = mailbox.round_trips();
        if matches!(read, Err(Stop::LeaseLost)) {
            // Another has the mailbox now: over POP3 a farewell deletes.
            return read;
        }
        let closed = mailbox.close().await;
        read.and(closed.map_err(Stop::Mailbox))
    }

    async fn read_folders(
        &self,
        mailbox: &mut dyn Mailbox,
        item: &AccountItem,
        lease: Lease,
        deadline: Instant,
        summary: &mut Summary,
        progress: &dyn Progress,
    ) -> Result<(), Stop> {
        let mut forwarder = Forwarder::load(self, item, lease, deadline).await?;
        let mut read = Ok(());
        for name in &item.account.folders {
            let run = folder::FolderRun { poller: self, item, lease, name, deadline, progress };
            read = run.run(mailbox, &mut forwarder, summary).await;
            if let (Ok(()), Some(forwarder)) = (&read, &mut forwarder) {
                read = forwarder.send_waiting(mailbox, name, summary).await;
            }
            if read.is_err() {
                break;
            }
        }
        if let Some(forwarder) = forwarder {
            forwarder.close().await;
        }
        read
    }

    /// Opens the mailbox. A token that is refused is renewed once and tried again: the server may have been told of
    /// a change before us, and POP and IMAP servers hide an expired token behind "bad password".
    async fn open(&self, item: &AccountItem, deadline: Instant) -> Result<Box<dyn Mailbox>, Stop> {
        let account = &item.account;
        let oauth = account.app().is_some();
        let app_only = oauth && !account.needs_person();
        let login = self.login(item, false).await?;
        match mailbox::open(account, &login, &self.reach, &self.tls, deadline).await {
            Err(fault) if oauth && matches!(fault.kind, FaultKind::LoginRefused | FaultKind::NotPermitted) => {
                let login = self.login(item, true).await?;
                let opened = mailbox::open(account, &login, &self.reach, &self.tls, deadline).await;
                opened.map_err(|fault| match &login {
                    Login::XOAuth2 { token, .. } if app_only && entra::lacks_role(token, account.protocol) => {
                        Stop::Grant(GrantFault::NoPermission(entra::app_role(account.protocol)))
                    }
                    _ => Stop::Mailbox(fault),
                })
            }
            opened => opened.map_err(Stop::Mailbox),
        }
    }

    /// What the mailbox is opened with; a token may be asked for anew.
    pub(crate) async fn login(&self, item: &AccountItem, renewed: bool) -> Result<Login, Stop> {
        let account = &item.account;
        match &account.authentication {
            Authentication::Password { user } => {
                let password = self.vault.get(&Name::Password(account.id.clone()), Version::Current).await?;
                let password = password.ok_or(Stop::NoPassword)?;
                Ok(Login::Password { user: user.clone(), password })
            }
            Authentication::OauthUser { .. } | Authentication::OauthApp { .. } => {
                let token = if renewed { self.grants.renew(item).await } else { self.grants.access_token(item).await };
                let token = token.map_err(|fault| match fault.is_ours() {
                    true => Stop::Ours(PollError::Grant(fault)),
                    false => Stop::Grant(fault),
                })?;
                Ok(Login::XOAuth2 { mailbox: account.mailbox.clone(), token })
            }
        }
    }
}
