//! Reports of another deployment drawn in: asked page by page, or read from where it archives them. Each is recorded once, by
//! its key, under the instance's name, and has its effect on standings here as one that a poll records.

use super::{AccountShape, Fault, Instance, InstanceHealth, InstanceItem, Reached, ReportShape, Source, archive};
use crate::cursor::Reference;
use crate::follow::{FollowError, Follower};
use crate::limits;
use crate::net::{Http, NetError};
use crate::poll::Progress;
use crate::raw::{Key, Store};
use crate::report::Report;
use crate::secret::{ExposeSecret, Secret};
use crate::table::{Fact, Recorded, Table, TableError};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use url::Url;

/// Time for a page.
const EXCHANGE: Duration = Duration::from_secs(30);
/// Reports on a page, as it is asked for.
const PAGE: usize = 100;
/// Reports may arrive out of their order by so much, in seconds: so much is looked at again each time.
const OVERLAP: i64 = 2 * 86_400;
/// A poll may record what arrived so long ago: `--full` looks at all that again, and an archive is read so far.
pub const WHOLE: i64 = 35 * 86_400;

/// What drawing needs.
pub struct Drawer {
    /// State.
    pub table: Table,
    /// What puts facts into standings once they are durable; none where the table's stream brings them to it.
    pub follower: Option<Follower>,
    /// The one HTTP client.
    pub http: Http,
    /// Now.
    pub now: Timestamp,
    /// Whether all of the last weeks is looked at again, and not only what is new.
    pub full: bool,
}

/// Why nothing more was drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The instance's fault, or that of the way to it, in its words.
    #[error("{1}")]
    Instance(Fault, String),
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Standings.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

/// What was drawn.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Drawn {
    /// Accounts of the instance.
    pub accounts: u64,
    /// Reports that were looked at.
    pub read: u64,
    /// Of these, those that were new here.
    pub recorded: u64,
    /// Of the new ones, those that the instance tells not all recipients of.
    pub cut: u64,
    /// What was no report, and was left out.
    pub refused: u64,
}

#[derive(Deserialize)]
struct Accounts {
    accounts: Vec<AccountShape>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Reports {
    reports: Vec<serde_json::Value>,
    next: Option<String>,
}

fn fault<T>(fault: Fault, said: impl Into<String>) -> Result<T, DrawError> {
    Err(DrawError::Instance(fault, said.into().chars().take(limits::SAID_CHARS).collect()))
}

/// How it went, for the instance's item; none where the fault is our own.
pub fn health<T>(went: &Result<T, DrawError>, now: i64) -> Option<InstanceHealth> {
    match went {
        Ok(_) => Some(InstanceHealth { fault: None, said: None, at: now }),
        Err(DrawError::Instance(fault, said)) => {
            Some(InstanceHealth { fault: Some(*fault), said: Some(said.clone()), at: now })
        }
        Err(_) => None,
    }
}

impl Drawer {
    /// Asks how its accounts are: what shows that it answers, and that the key may read.
    pub async fn probe(&self, url: &Url, key: &Secret) -> Result<Vec<AccountShape>, DrawError> {
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let mut query = vec![("limit", PAGE.to_string())];
            query.extend(next.map(|next| ("cursor", next)));
            let page: Accounts = self.ask(url, key, "accounts", &query).await?;
            found.extend(page.accounts);
            next = page.next;
            if next.is_none() || found.len() > limits::INSTANCE_ACCOUNTS {
                return Ok(found);
            }
        }
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        url: &Url,
        key: &Secret,
        what: &str,
        query: &[(&str, String)],
    ) -> Result<T, DrawError> {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let asked = format!("{}/api/v1/{what}?{query}", url.as_str().trim_end_matches('/'));
        let request = http::Request::get(asked)
            .header("authorization", format!("Bearer {}", key.expose_secret()))
            .header("user-agent", "rebond")
            .body(vec![]);
        let Ok(request) = request else { return fault(Fault::NoKey, "the key is none: it holds what no header may") };
        let (answer, cut) = match self.http.send_within(request, limits::INSTANCE_ANSWER_BYTES, EXCHANGE).await {
            Ok(answer) => answer,
            Err(error @ NetError::Http { .. }) => return fault(Fault::NotRebond, error.to_string()),
            Err(error) => return fault(Fault::Unreached, error.to_string()),
        };
        match answer.status().as_u16() {
            200 if cut => fault(Fault::NotRebond, "it answers more than a page may hold"),
            200 => match serde_json::from_slice(answer.body()) {
                Ok(answer) => Ok(answer),
                Err(error) => fault(Fault::NotRebond, format!("what it answers is none of ours: {error}")),
            },
            401 => fault(Fault::KeyRefused, "HTTP 401"),
            403 => fault(Fault::NotPermitted, "HTTP 403"),
            429 | 500..=599 => fault(Fault::Busy, format!("HTTP {}", answer.status())),
            status => fault(Fault::NotRebond, format!("HTTP {status}")),
        }
    }

    /// Draws in what is new, and writes down how far it came, page by page: who is broken off goes on from there.
    pub async fn draw(
        &self,
        item: &mut InstanceItem,
        key: Option<&Secret>,
        place: Option<&Store>,
        progress: &dyn Progress,
        done: &mut Drawn,
    ) -> Result<(), DrawError> {
        match (&item.settings.source.clone(), key, place) {
            (Source::Api { url }, Some(key), _) => {
                for account in self.probe(url, key).await? {
                    done.accounts += 1;
                    self.draw_account(item, (url, key), &account.id, progress, done).await?;
                }
                Ok(())
            }
            (Source::Export { .. }, _, Some(place)) => self.draw_archive(item, place, progress, done).await,
            (Source::Api { .. }, None, _) => fault(Fault::NoKey, "there is no key for it in the vault"),
            (Source::Export { .. }, _, None) => fault(Fault::Unreadable, "the place is none that is understood"),
        }
    }

    async fn draw_account(
        &self,
        item: &mut InstanceItem,
        (url, key): (&Url, &Secret),
        account: &str,
        progress: &dyn Progress,
        done: &mut Drawn,
    ) -> Result<(), DrawError> {
        let mut reached: Reached = item.reached.get(account).cloned().unwrap_or_default();
        if reached.next.is_none() {
            let back = if self.full { WHOLE } else { OVERLAP };
            reached.since = (reached.through - back).max(0);
        }
        let since = Timestamp::from_second(reached.since).unwrap_or_default();
        loop {
            let mut query = vec![("account", account.to_owned()), ("limit", PAGE.to_string())];
            query.push(("since", since.to_string()));
            query.extend(reached.next.clone().map(|next| ("cursor", next)));
            let page: Reports = self.ask(url, key, "reports", &query).await?;
            progress.folder(account, page.reports.len() as u64);
            let mut facts = Vec::new();
            for value in page.reports {
                done.read += 1;
                match serde_json::from_value::<ReportShape>(value) {
                    Ok(shape) if shape.has_key() => {
                        reached.top = reached.top.max(shape.arrived.as_second());
                        let (key, arrived, cut) = (shape.id.clone(), shape.arrived.as_second(), shape.is_cut());
                        facts.push((self.fact(&item.settings, account, (key, arrived), shape.report()), cut));
                    }
                    _ => done.refused += 1,
                }
            }
            item.drawn += self.record(facts, progress, done).await?;
            reached.next = page.next;
            if reached.next.is_none() {
                reached.through = reached.through.max(reached.top);
            }
            item.reached.insert(account.to_owned(), reached.clone());
            self.table.set_instance(item).await?;
            if reached.next.is_none() {
                return Ok(());
            }
        }
    }

    async fn draw_archive(
        &self,
        item: &mut InstanceItem,
        place: &Store,
        progress: &dyn Progress,
        done: &mut Drawn,
    ) -> Result<(), DrawError> {
        let unreadable = |error: String| DrawError::Instance(Fault::Unreadable, error);
        let first = Timestamp::from_second(self.now.as_second() - WHOLE).unwrap_or_default();
        let first = first.strftime("%Y-%m-%d").to_string();
        let keys = place.list(None).await.map_err(|error| unreadable(error.to_string()))?;
        for (account, keys) in archive::by_account(keys) {
            done.accounts += 1;
            let known = item.reached.contains_key(&account);
            // At first everything; then what a poll there may still add to.
            for key in keys.into_iter().filter(|key: &Key| !known || key.day() >= first.as_str()) {
                let object = place.get(&key).await.map_err(|error| unreadable(error.to_string()))?;
                let Some(object) = object else { continue };
                let facts = archive::read(&object.bytes).map_err(|error| unreadable(format!("{key}: {error}")))?;
                progress.folder(&account, facts.len() as u64);
                done.read += facts.len() as u64;
                let of = |of: Fact| (self.fact(&item.settings, &account, (of.key, of.arrived), of.report), false);
                let facts = facts.into_iter().map(of).collect();
                item.drawn += self.record(facts, progress, done).await?;
            }
            item.reached.entry(account).or_default();
            self.table.set_instance(item).await?;
        }
        Ok(())
    }

    /// Records those that are not here yet, and sees to what follows from all of them that may not have been followed.
    async fn record(
        &self,
        facts: Vec<(Fact, bool)>,
        progress: &dyn Progress,
        done: &mut Drawn,
    ) -> Result<u64, DrawError> {
        let keys: Vec<String> = facts.iter().map(|(fact, _)| fact.key.clone()).collect();
        let Some(account) = facts.first().map(|(fact, _)| fact.account.clone()) else { return Ok(0) };
        let known: BTreeSet<String> = self.table.known_facts(&account, &keys).await?;
        let mut new = 0;
        for (fact, cut) in facts {
            progress.recorded(1);
            if known.contains(&fact.key) {
                continue;
            }
            // Standings first: a fact that is here has had its effect.
            if let Some(follower) = &self.follower {
                follower.follow(std::slice::from_ref(&fact), self.now).await?;
            }
            if self.table.record(fact).await? == Recorded::New {
                new += 1;
                done.recorded += 1;
                done.cut += u64::from(cut);
            }
        }
        Ok(new)
    }

    /// A report of an account of an instance, by its key and arrival, as it is recorded here.
    fn fact(&self, of: &Instance, account: &str, (key, arrived): (String, i64), report: Report) -> Fact {
        let recorded = self.now.as_second();
        Fact {
            account: of.id.clone(),
            reference: Reference::Name(key.clone()),
            key,
            arrived: arrived.clamp(recorded - Table::FACT_SECONDS, recorded),
            recorded,
            run: "instance-pull".to_owned(),
            folder: account.chars().take(limits::SAID_CHARS).collect(),
            kind: report.kind,
            report,
            parts: 0,
            raw: None,
            reading: None,
            ruled: None,
            expires: recorded + Table::FACT_SECONDS,
        }
    }
}
