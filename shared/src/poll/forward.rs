//! Forwarding: what nobody understood goes to a person, on request, and stays in the mailbox.
//!
//! A message is noted as waiting once its fact is durable and before the cursor moves over it; it is fetched again from the
//! mailbox and handed over at the end of its folder's reading, so that neither a server that takes no mail nor a crash holds
//! up or loses anything. Each attempt is written down before it begins. Killed between the server's answer and the mark, a
//! message goes out once more, with the same Message-ID, and never a third time: a person would rather have mail of a bounce
//! mailbox twice than not at all, and a robot must not have it without end.

use super::{Poller, Stop, Summary, advice_for_forwarding};
use crate::account::{AfterReading, Forwarding, RelayLogin};
use crate::cursor::{Position, Reference};
use crate::forward::{self, Cover};
use crate::limits;
use crate::mailbox::submission::{Sent, Submission};
use crate::mailbox::{Fetched, Listed, Login, Mailbox, MailboxFault, Rung, Trail};
use crate::report::Kind;
use crate::table::{AccountItem, Forwards, Lease, Recorded, Waiting};
use crate::vault::{Name, Version};
use std::collections::HashSet;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Seconds for which a message waits; what cannot be forwarded by then stays in the mailbox as it is.
const PATIENCE: i64 = 3 * 86_400;
/// Attempts whose end nobody knows.
const UNKNOWN: u8 = 2;

/// A message whose fact is durable.
pub(super) struct Noted {
    /// The fact's key.
    pub key: String,
    /// What it is.
    pub kind: Kind,
    /// Whether the fact was new.
    pub recorded: Recorded,
    /// Its size, as it was listed.
    pub size: u32,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
}

/// Why the server takes no mail now.
struct Hindrance {
    said: String,
    advice: &'static str,
}

/// The forwarding of one run.
pub(super) struct Forwarder<'a> {
    poller: &'a Poller,
    item: &'a AccountItem,
    settings: &'a Forwarding,
    list: Forwards,
    relay: Option<Submission>,
    /// The server takes no mail now: nothing more is tried in this run.
    stopped: bool,
    deadline: Instant,
}

impl<'a> Forwarder<'a> {
    /// What waits of an account that forwards; none for one that does not.
    pub async fn load(
        poller: &'a Poller,
        item: &'a AccountItem,
        lease: Lease,
        deadline: Instant,
    ) -> Result<Option<Self>, Stop> {
        let Some(settings) = &item.account.forwarding else { return Ok(None) };
        let list = Forwards { fence: lease.fence, ..poller.table.forwards(&item.account.id).await? };
        Ok(Some(Self { poller, item, settings, list, relay: None, stopped: false, deadline }))
    }

    /// Notes what of `done` is to be forwarded, and answers which of it waits: it is settled once it has gone.
    pub async fn note<'b>(
        &mut self,
        folder: &str,
        validity: u32,
        done: impl IntoIterator<Item = (&'b Reference, &'b Noted)>,
        summary: &mut Summary,
    ) -> Result<HashSet<Reference>, Stop> {
        let (mut waits, mut changed) = (HashSet::new(), false);
        let concerns = |noted: &Noted| self.settings.concerns(noted.kind, noted.arrived);
        let mut done: Vec<_> = done.into_iter().filter(|(_, noted)| concerns(noted)).collect();
        done.sort_unstable_by_key(|(reference, _)| *reference);
        for (reference, noted) in done {
            let place = self.list.waiting.iter().position(|waiting| waiting.key == noted.key);
            if let Some(waiting) = place.and_then(|at| self.list.waiting.get_mut(at)) {
                // Read again: under another UIDVALIDITY it has another name.
                let now = (folder.to_owned(), validity, reference.clone());
                let before = (waiting.folder.clone(), waiting.validity, waiting.reference.clone());
                changed |= now != before;
                (waiting.folder, waiting.validity, waiting.reference) = now;
                waits.insert(reference.clone());
                continue;
            }
            let id = &self.item.account.id;
            if noted.recorded == Recorded::Known && self.poller.table.forwarded(id, &noted.key).await?.is_some() {
                continue;
            }
            if self.list.waiting.len() >= limits::FORWARDS_WAITING {
                summary.not_forwarded += 1;
                let why = Some("too many were waiting".to_owned());
                self.poller.table.put_forwarded(id, &noted.key, self.now(), why).await?;
                summary.table_writes += 1;
                continue;
            }
            self.list.waiting.push(Waiting {
                key: noted.key.clone(),
                folder: folder.to_owned(),
                validity,
                reference: reference.clone(),
                size: noted.size,
                kind: noted.kind,
                arrived: noted.arrived,
                since: self.now(),
                unknown: 0,
                said: None,
                advice: None,
            });
            waits.insert(reference.clone());
            changed = true;
        }
        if changed {
            self.write(summary).await?;
        }
        Ok(waits)
    }

    /// Hands over what waits of the open folder, as far as time, the day's bound and the server go.
    pub async fn send_waiting(
        &mut self,
        mailbox: &mut dyn Mailbox,
        folder: &str,
        summary: &mut Summary,
    ) -> Result<(), Stop> {
        let validity = mailbox.position().as_ref().map_or(0, Position::validity);
        let keys: Vec<String> = self.list.waiting.iter().map(|waiting| waiting.key.clone()).collect();
        for key in keys {
            let Some(waiting) = self.list.waiting.iter().find(|waiting| waiting.key == key).cloned() else { continue };
            let here: Option<&mut dyn Mailbox> = match waiting.folder == folder && waiting.validity == validity {
                true => Some(&mut *mailbox),
                false => None,
            };
            if waiting.since < self.now() - PATIENCE {
                let why = waiting.said.clone().unwrap_or_else(|| "its folder was not read any more".to_owned());
                self.end(here, &waiting, Some(why), summary).await?;
                continue;
            }
            let Some(mailbox) = here else { continue };
            if Instant::now() >= self.deadline {
                break;
            }
            let known =
                waiting.unknown > 0 && self.poller.table.forwarded(&self.item.account.id, &key).await?.is_some();
            if known {
                self.settle_and_forget(Some(mailbox), &waiting, summary).await?;
                continue;
            }
            if waiting.unknown >= UNKNOWN {
                let why = "it was handed over twice, and no answer came to either".to_owned();
                self.end(Some(mailbox), &waiting, Some(why), summary).await?;
                continue;
            }
            if self.stopped || self.bound_is_reached() {
                continue;
            }
            match fetch(mailbox, &waiting).await? {
                None => self.end(Some(mailbox), &waiting, Some("it is not there any more".to_owned()), summary).await?,
                Some(message) => match forward::circle(&message.bytes, &self.settings.to) {
                    Some(why) => self.end(Some(mailbox), &waiting, Some(why.to_owned()), summary).await?,
                    None => self.send(mailbox, &waiting, &message, summary).await?,
                },
            }
        }
        Ok(())
    }

    /// Says goodbye to the server that takes mail.
    pub async fn close(self) {
        if let Some(relay) = self.relay {
            relay.close().await;
        }
    }

    /// Hands one message over: the attempt is written down first.
    async fn send(
        &mut self,
        mailbox: &mut dyn Mailbox,
        waiting: &Waiting,
        message: &Fetched,
        summary: &mut Summary,
    ) -> Result<(), Stop> {
        let mut relay = match self.relay.take() {
            Some(relay) => relay,
            None => match self.open().await? {
                Ok(relay) => relay,
                Err(why) => return self.put_off(&waiting.key, why, true, summary).await,
            },
        };
        let account = &self.item.account;
        let cover = Cover {
            mailbox: &account.mailbox,
            to: &self.settings.to,
            account: account.id.as_str(),
            folder: &waiting.folder,
            key: &waiting.key,
            arrived: waiting.arrived,
            cut: message.cut,
            now: (self.poller.clock)(),
        };
        let letter = forward::compose(&cover, &message.bytes, relay.takes_eight_bits());
        self.list.sent += 1;
        self.change(&waiting.key, |waiting| waiting.unknown += 1);
        self.write(summary).await?;
        match relay.send(&self.settings.to, &letter).await {
            Ok(sent) => {
                self.relay = Some(relay);
                let not = match sent {
                    Sent::Taken => None,
                    Sent::Refused(said) => Some(said),
                };
                self.end(Some(mailbox), waiting, not, summary).await
            }
            Err(unsent) => {
                let why = self.hindrance(Rung::Message, &unsent.fault);
                self.put_off(&waiting.key, why, !unsent.perhaps_taken, summary).await
            }
        }
    }

    /// Opens the server that takes mail; or why not.
    async fn open(&mut self) -> Result<Result<Submission, Hindrance>, Stop> {
        let poller = self.poller;
        let login = match poller.relay_login(self.item, self.settings).await {
            Err(Stop::NoPassword) => {
                let said = "its password is not in the vault".to_owned();
                return Ok(Err(Hindrance { said, advice: "forward-password-missing" }));
            }
            login => login?,
        };
        let (server, mut trail) = (&self.settings.server, Trail::default());
        let opened =
            Submission::open(server, login.as_ref(), &poller.reach, &poller.tls, self.deadline, &mut trail).await;
        let rung = trail.broken().map_or(Rung::Authentication, |(rung, _)| rung);
        Ok(opened.map_err(|fault| self.hindrance(rung, &fault)))
    }

    fn hindrance(&self, rung: Rung, fault: &MailboxFault) -> Hindrance {
        let advice = advice_for_forwarding(&self.item.account, self.settings, rung, &fault.kind);
        Hindrance { said: fault.to_string(), advice }
    }

    /// The server takes no mail now. `not_sent` takes the attempt back that was written down.
    async fn put_off(&mut self, key: &str, why: Hindrance, not_sent: bool, summary: &mut Summary) -> Result<(), Stop> {
        let Hindrance { said, advice } = why;
        tracing::warn!(account = %self.item.account.id, run = summary.run, error = said, advice, "not forwarded yet");
        (summary.forward_fault, summary.forward_advice) = (Some(said.clone()), Some(advice.to_owned()));
        self.stopped = true;
        self.change(key, |waiting| {
            (waiting.said, waiting.advice) = (Some(said), Some(advice.to_owned()));
            waiting.unknown = waiting.unknown.saturating_sub(u8::from(not_sent));
        });
        self.write(summary).await
    }

    /// Marks a message as forwarded, or as one that will not be, and lets go of it.
    async fn end(
        &mut self,
        mailbox: Option<&mut dyn Mailbox>,
        waiting: &Waiting,
        not: Option<String>,
        summary: &mut Summary,
    ) -> Result<(), Stop> {
        match &not {
            None => summary.forwarded += 1,
            Some(why) => {
                tracing::warn!(
                    account = %self.item.account.id, run = summary.run, report = waiting.key, error = why, "not forwarded"
                );
                summary.not_forwarded += 1;
            }
        }
        self.poller.table.put_forwarded(&self.item.account.id, &waiting.key, self.now(), not).await?;
        summary.table_writes += 1;
        self.settle_and_forget(mailbox, waiting, summary).await
    }

    async fn settle_and_forget(
        &mut self,
        mailbox: Option<&mut dyn Mailbox>,
        waiting: &Waiting,
        summary: &mut Summary,
    ) -> Result<(), Stop> {
        let account = &self.item.account;
        let after = if waiting.kind == Kind::Other { &account.others } else { &account.reports };
        // Settings that would delete it were refused; where they were changed behind our back, it stays.
        if let Some(mailbox) = mailbox.filter(|_| !matches!(after, AfterReading::Leave | AfterReading::Delete)) {
            let settled = mailbox.settle(std::slice::from_ref(&waiting.reference), after).await;
            summary.note_settled(settled.map_err(Stop::Mailbox)?, 1);
        }
        self.list.waiting.retain(|other| other.key != waiting.key);
        self.write(summary).await
    }

    fn change(&mut self, key: &str, change: impl FnOnce(&mut Waiting)) {
        if let Some(waiting) = self.list.waiting.iter_mut().find(|waiting| waiting.key == key) {
            change(waiting);
        }
    }

    fn bound_is_reached(&mut self) -> bool {
        let day = self.now().div_euclid(86_400);
        if self.list.day != day {
            (self.list.day, self.list.sent) = (day, 0);
        }
        self.list.sent >= limits::FORWARDS_A_DAY
    }

    async fn write(&mut self, summary: &mut Summary) -> Result<(), Stop> {
        summary.table_writes += 1;
        match self.poller.table.put_forwards(&self.item.account.id, &self.list).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }

    fn now(&self) -> i64 {
        (self.poller.clock)().as_second()
    }
}

impl Poller {
    /// What the server that takes mail is logged in to with, where it is.
    pub(crate) async fn relay_login(&self, item: &AccountItem, forwarding: &Forwarding) -> Result<Option<Login>, Stop> {
        Ok(match &forwarding.login {
            RelayLogin::None => None,
            RelayLogin::Mailbox => Some(self.login(item, false).await?),
            RelayLogin::Password { user } => {
                let password = self.vault.get(&Name::Relay(item.account.id.clone()), Version::Current).await?;
                Some(Login::Password { user: user.clone(), password: password.ok_or(Stop::NoPassword)? })
            }
        })
    }
}

/// The message itself, or none where it is gone or not given out.
async fn fetch(mailbox: &mut dyn Mailbox, waiting: &Waiting) -> Result<Option<Fetched>, Stop> {
    let listed = Listed { reference: waiting.reference.clone(), size: waiting.size, arrival: None };
    let (sender, mut receiver) = mpsc::channel(1);
    let wanted = [listed];
    let (fetched, message) = tokio::join!(mailbox.fetch(&wanted, sender), receiver.recv());
    fetched.map_err(Stop::Mailbox)?;
    Ok(message)
}
