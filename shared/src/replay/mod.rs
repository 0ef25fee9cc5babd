//! Kept mail read again under the rules of today: reports that say something else are written anew, and standings follow, as
//! if they had been read so at first.
//!
//! Of each report the standings come first and the fact last: until then the old fact says what to do, so that who dies is
//! followed by who says it again. Doing it twice changes nothing. A fact is written over what was read and nothing else: where
//! somebody is erased meanwhile, the erasing wins, and what was put into standings is taken out again.

mod difference;

pub use difference::{Difference, Recipient, Verdict};

use crate::account::AccountId;
use crate::follow::{Ahead, FollowError, Follower, Moves, Rereader};
use crate::poll::Progress;
use crate::raw::{Key, RawError, Store};
use crate::report::{self, Report};
use crate::table::{Fact, Table, TableError};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Facts read at once.
const FACTS: usize = 200;

/// What is needed to read again.
pub struct Replayer {
    /// State.
    pub table: Table,
    /// Where mail is kept.
    pub store: Store,
    /// What puts reports into standings.
    pub follower: Follower,
}

/// Which reports are read again, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// That arrived since then, in seconds since 1970.
    pub since: i64,
    /// And no later than then.
    pub until: i64,
    /// That were recorded no later than then: the effect of others may still be on its way.
    pub settled: i64,
    /// Whether operators' rules of today decide about them, and not only those that were on when they were recorded.
    pub with_rules: bool,
    /// Whether anything is written.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Default)]
pub struct Done {
    /// Reports whose message was read again.
    pub read: u64,
    /// Of these, those that say something else.
    pub changed: u64,
    /// Of these, those that have only details different.
    pub details: u64,
    /// Of those that changed nothing, those that operators' rules decide differently about.
    pub ruled: u64,
    /// Reports whose message was never kept.
    pub unkept: u64,
    /// Reports whose message is kept no longer.
    pub gone: u64,
    /// Reports that are too new.
    pub fresh: u64,
    /// Reports that somebody else changed meanwhile: they were left.
    pub overtaken: u64,
    /// All that arrived later is done with, in seconds since 1970; none where nothing is.
    pub reached: Option<i64>,
    /// Standings that moved.
    pub moves: Moves,
    /// What standings would be, where nothing is written.
    ahead: Ahead,
}

/// A fault of our own; what was done stands, and the rest is done when it is said again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Kept mail.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// Standings.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

impl Replayer {
    /// Reads the reports of an account again, the newest first; `told` hears of each that says something else, once it is
    /// done with.
    pub async fn replay(
        &self,
        account: &AccountId,
        wanted: &Wanted,
        now: Timestamp,
        progress: &dyn Progress,
        told: &mut dyn FnMut(&Difference),
        done: &mut Done,
    ) -> Result<(), ReplayError> {
        let mut from = None;
        loop {
            let page = self.table.fact_page(account, wanted.since, FACTS, from.as_ref()).await?;
            progress.folder(account.as_str(), page.facts.len() as u64);
            let last = page.facts.last().map(|fact| fact.arrived);
            let rereader = self.follower.rereader(account, now).await?;
            let mut objects: BTreeMap<Key, Vec<Fact>> = BTreeMap::new();
            for fact in page.facts.into_iter().filter(|fact| fact.arrived <= wanted.until) {
                match fact.raw.as_ref().map(|raw| raw.object.parse::<Key>()) {
                    _ if fact.recorded > wanted.settled => done.fresh += 1,
                    None => done.unkept += 1,
                    Some(key) => objects.entry(key?).or_default().push(fact),
                }
            }
            for (key, facts) in objects {
                let object = self.store.get(&key).await?;
                for fact in facts {
                    let message = object.as_ref().zip(fact.raw.as_ref()).and_then(|(object, raw)| object.message(raw));
                    match message {
                        Some(message) => self.one(&rereader, fact, &message, wanted, now, told, done).await?,
                        None => done.gone += 1,
                    }
                    progress.recorded(1);
                }
            }
            done.reached = last.or(done.reached);
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one step of the loop above")]
    async fn one(
        &self,
        rereader: &Rereader<'_>,
        head: Fact,
        message: &[u8],
        wanted: &Wanted,
        now: Timestamp,
        told: &mut dyn FnMut(&Difference),
        done: &mut Done,
    ) -> Result<(), ReplayError> {
        let old = match head.parts {
            0 => head,
            _ => match self.table.fact(&head.account, &head.key).await? {
                Some(whole) => whole,
                None => return Ok(()),
            },
        };
        done.read += 1;
        let report = read_again(&old.report, message);
        let ruled = if wanted.with_rules { Some(now.as_second()) } else { old.ruled };
        let new = Fact { kind: report.kind, report, ruled, ..old.clone() };
        let same = new.report == old.report;
        if same && !wanted.with_rules {
            return Ok(());
        }
        let ahead = wanted.dry_run.then_some(&mut done.ahead);
        let changed = rereader.reread(&old, &new, ahead, &mut done.moves).await?;
        // Standings may have been done with by a replay that died before it wrote down which rules decided.
        if same && !changed && rereader.says_the_same(&old, &new).await? {
            return Ok(());
        }
        if !wanted.dry_run && !self.table.rewrite(&old, &new).await? {
            // Whatever is there now, is right: what was said of it just now goes again.
            if let Some(left) = self.table.fact(&old.account, &old.key).await? {
                rereader.forget(&new, &left).await?;
            } else {
                let nothing = Fact { report: Report::default(), ..new.clone() };
                rereader.forget(&new, &nothing).await?;
            }
            done.overtaken += 1;
            return Ok(());
        }
        if same {
            done.ruled += 1;
            return Ok(());
        }
        let difference = Difference::of(&old, &new.report);
        done.changed += 1;
        done.details += u64::from(difference.is_detail());
        told(&difference);
        Ok(())
    }
}

/// A message read under the rules of today. How much of it was fetched, the poll knew and no reader can.
fn read_again(old: &Report, message: &[u8]) -> Report {
    let mut report = report::read(message);
    report.diagnostics.extend(old.diagnostics.iter().filter(|told| told.code == "cut").cloned());
    report
}
