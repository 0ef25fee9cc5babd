//! What follows from facts: each outcome that says something about its address goes into the address's standing.
//!
//! On AWS the table's stream brings the facts, on one machine the poll that recorded them, before its cursor moves. Either
//! may bring a fact again, or late: a standing is a set of causes, so that changes nothing.

mod closing;
mod reread;
mod sudden;
pub mod undo;

pub use closing::{close_due, end_due};
pub use reread::{Ahead, Moves, Rereader};

use crate::account::{AccountId, ListId};
use crate::delivery::{Came, Class, Delivery, DeliveryId, mark};
use crate::events::Judged;
use crate::incident::{self, Incident};
use crate::limits;
use crate::oauth::SigningKey;
use crate::proof::{Judge, Known, Level, Proof};
use crate::qualify::{self, Rule, Verdict, rule_of, said};
use crate::report::{Kind, Outcome};
use crate::standing::{self, AddressKey, Cause, Effect, History, Hold, List, State};
use crate::table::{Fact, Sent, StandingItem, Table, TableError, UnknownText};
use crate::vault::{Vault, VaultError, signing_key};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses or destinations written at once.
const AT_ONCE: usize = 16;
/// Addresses that are told apart while they wait for each other.
const TURNS: usize = 64;
/// Seconds that the signing key is kept in memory.
const KEY_SECONDS: i64 = 300;

/// Keeps standings in step with facts.
#[derive(Clone)]
pub struct Follower {
    table: Table,
    vault: Arc<dyn Vault>,
    key: Arc<Mutex<Option<Kept>>>,
    /// By address: writers in one process wait for each other here and not at the table.
    turns: Arc<[tokio::sync::Mutex<()>; TURNS]>,
}

/// The signing key, and when it was read, in seconds since 1970.
type Kept = (i64, Arc<SigningKey>);

/// A standing that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub address: AddressKey,
    /// On which list.
    pub list: ListId,
    /// What it was.
    pub before: State,
    /// What it is.
    pub after: State,
}

/// What became of some facts.
#[derive(Debug, Default)]
pub struct Followed {
    /// Standings that moved.
    pub changes: Vec<Change>,
    /// Outcomes that said something about their address.
    pub causes: u64,
    /// Of these, those that proved less than their list asks for.
    pub unproven: u64,
    /// Incidents that they opened.
    pub incidents: Vec<Incident>,
}

/// A fault of our own; what it left undone is done when the facts come again.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Our vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What sees to facts, for whoever records them on one machine; by a pointer, so that what leaves it to a stream is built
/// without it.
pub type Follow = Arc<dyn Fn(Vec<Fact>, Timestamp) -> BoxFuture<'static, Result<(), FollowError>> + Send + Sync>;

/// The causes for one address on one list.
struct Group {
    written: String,
    /// With the arrival of their reports, in seconds since 1970.
    causes: Vec<(Cause, i64)>,
    /// Those of them whose words no rule knows, with the words.
    unknown: Vec<(Cause, String)>,
}

/// What became of them.
#[derive(Default)]
struct Written {
    change: Option<Change>,
    refusal: Option<sudden::Refusal>,
    unknown: Vec<UnknownText>,
}

/// What one outcome says of its address.
struct Said<'a> {
    list: &'a List,
    /// What it proves, and whose address it is.
    proof: Proof,
    /// The outcome, as an operator's rule has it.
    outcome: Cow<'a, Outcome>,
    /// The rule that decided.
    rule: Option<&'a Rule>,
    /// What it does to the standing of its address, where it does something.
    cause: Option<Cause>,
    /// What it is to its delivery, where it is of one.
    came: Option<Came>,
    /// Its words, where no rule knows them.
    unknown: Option<String>,
}

/// What the settings say, read once for some facts.
struct Settings {
    lists: Vec<List>,
    ids: Vec<ListId>,
    sends_as: HashMap<AccountId, Vec<String>>,
    key: Arc<SigningKey>,
    incidents: Vec<Incident>,
    /// Refusals that are held back.
    holds: Vec<Hold>,
    /// Refusals that are taken back as they come: late ones of an incident that a person has released.
    late: Vec<Hold>,
    /// Operators' rules.
    rules: Vec<Rule>,
}

/// What was told of the mail that a fact is of.
struct Mail {
    delivery: Delivery,
    known: Known,
}

impl Mail {
    /// What one outcome is to the delivery. A signed address that is not good proves that it is of none. A failure that a rule
    /// ignores says nothing about its address, and yet the mail did not arrive.
    fn came(&self, fact: &Fact, outcome: &Outcome, proof: &Proof, ignored: bool) -> Option<Came> {
        let class = Class::of(&fact.report, outcome).filter(|_| proof.satisfies(Level::None))?;
        let class = if ignored && class.is_failure() { Class::Refused } else { class };
        Some(Came::new(&self.delivery.id, &proof.address, class, outcome.reason))
    }
}

impl Follower {
    /// Over a table, with the vault that holds the deployment's key.
    pub fn new(table: Table, vault: Arc<dyn Vault>) -> Self {
        Self {
            table,
            vault,
            key: Arc::default(),
            turns: Arc::new([const { tokio::sync::Mutex::const_new(()) }; TURNS]),
        }
    }

    /// As a function.
    pub fn into_follow(self) -> Follow {
        Arc::new(move |facts, now| {
            let follower = self.clone();
            Box::pin(async move { follower.follow(&facts, now).await.map(|_| ()) })
        })
    }

    /// Whether anything can follow from reports of a kind.
    pub fn concerns(kind: Kind) -> bool {
        matches!(kind, Kind::Bounce | Kind::Feedback | Kind::Delivered | Kind::AutoReply)
    }

    /// Puts what facts say into the standings of their addresses, each address once.
    pub async fn follow(&self, facts: &[Fact], now: Timestamp) -> Result<Followed, FollowError> {
        let facts: Vec<&Fact> = facts.iter().filter(|fact| Self::concerns(fact.kind)).collect();
        let mut done = Followed::default();
        if facts.is_empty() {
            return Ok(done);
        }
        let settings = self.settings(&facts.iter().map(|fact| &fact.account).collect::<Vec<_>>(), now).await?;
        let mut groups: BTreeMap<(AddressKey, ListId), Group> = BTreeMap::new();
        let mails = self.mails(&facts, now.as_second()).await?;
        let mut came: BTreeMap<&DeliveryId, (&Delivery, BTreeSet<Came>)> = BTreeMap::new();
        for fact in facts {
            let whole;
            let fact = match fact.parts {
                0 => fact,
                // The rest of its outcomes is in items of their own.
                _ => {
                    whole = self.table.fact(&fact.account, &fact.key).await?;
                    whole.as_ref().unwrap_or(fact)
                }
            };
            let mail = mails.get(&fact.key);
            for said in settings.said(fact, mail).into_iter().flatten() {
                if let (Some(mail), Some(one)) = (mail, said.came) {
                    came.entry(&mail.delivery.id).or_insert_with(|| (&mail.delivery, BTreeSet::new())).1.insert(one);
                }
                let Some(cause) = said.cause else { continue };
                done.causes += 1;
                done.unproven += u64::from(!cause.believed);
                let group = groups.entry((said.proof.address, said.list.id.clone()));
                let empty = || Group { written: said.outcome.address.clone(), causes: vec![], unknown: vec![] };
                let group = group.or_insert_with(empty);
                if let Some(words) = said.unknown {
                    group.unknown.push((cause.clone(), words));
                }
                group.causes.push((cause, fact.arrived));
            }
        }
        let mut found = self.on_record(groups.keys()).await?;
        let writes = groups.into_iter().map(|(key, group)| {
            let found = found.remove(&key);
            self.write(key, found, group, &settings, now.as_second())
        });
        let mut written = stream::iter(writes).buffer_unordered(AT_ONCE);
        // All are tried, so that one address's trouble holds up no other.
        let (mut failed, mut refused, mut unknown) = (None, Vec::new(), Vec::new());
        while let Some(result) = written.next().await {
            match result {
                Ok(written) => {
                    refused.extend(written.refusal);
                    unknown.extend(written.unknown);
                    done.changes.extend(written.change);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        drop(written);
        for (delivery, came) in came.values() {
            if let Err(error) = self.table.add_came(delivery, came).await {
                failed = failed.or(Some(error.into()));
            }
        }
        self.count_texts(unknown, now.as_second()).await;
        // What was written counts, whatever became of the others: it moves its standing only once.
        match self.watch(refused, &settings, now.as_second()).await {
            Ok(incidents) => done.incidents = incidents,
            Err(error) => failed = failed.or(Some(error)),
        }
        failed.map_or(Ok(done), Err)
    }

    /// Of each fact, which must be whole, whose each outcome is: the address that was mailed, as far as that is known.
    async fn whose(&self, facts: &[Fact], now: i64) -> Result<Vec<Vec<Option<AddressKey>>>, FollowError> {
        if facts.is_empty() {
            return Ok(vec![]);
        }
        let accounts: Vec<&AccountId> = facts.iter().map(|fact| &fact.account).collect();
        let settings = self.settings(&accounts, Timestamp::from_second(now).unwrap_or_default()).await?;
        let mails = self.mails(&facts.iter().collect::<Vec<_>>(), now).await?;
        let of = |fact: &Fact| {
            let mail = mails.get(&fact.key);
            let outcomes = fact.report.recipients.iter();
            outcomes.map(|outcome| Some(settings.judged(fact, outcome, mail)?.0.address)).collect()
        };
        Ok(facts.iter().map(of).collect())
    }

    /// Of each fact, which must be whole, how far each outcome is believed and what it does; none where nobody could have its
    /// address. `lifted` is an incident that holds nothing back any longer, whatever the table may still say.
    pub async fn judge(
        &self,
        facts: &[&Fact],
        lifted: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Vec<Option<Judged>>>, FollowError> {
        if facts.is_empty() {
            return Ok(vec![]);
        }
        let settings = self.settings(&facts.iter().map(|fact| &fact.account).collect::<Vec<_>>(), now).await?;
        let mails = self.mails(facts, now.as_second()).await?;
        let said: Vec<Vec<Option<Said<'_>>>> =
            facts.iter().map(|fact| settings.said(fact, mails.get(&fact.key))).collect();
        // What is on record of them says what was taken back, and what is a repeat.
        let causes = said.iter().flatten().flatten().filter(|said| said.cause.is_some());
        let of_lists: BTreeSet<(AddressKey, ListId)> =
            causes.map(|said| (said.proof.address.clone(), said.list.id.clone())).collect();
        let records = self.on_record(of_lists.iter()).await?;
        let holds = settings.holds.iter().chain(&settings.late).filter(|hold| lifted != Some(hold.incident.as_str()));
        let holds: Vec<&Hold> = holds.collect();
        let judged = |fact: &Fact, said: Said<'_>| {
            let (address, list) = (said.proof.address.clone(), &said.list.id);
            let history = records.get(&(address.clone(), list.clone())).map(|item| &item.history);
            let cause = said.cause.as_ref().filter(|cause| history.is_none_or(|history| history.stands(cause)));
            let held = cause.and_then(|cause| {
                let held = holds.iter().find(|hold| hold.concerns(&address, list) && hold.holds(cause))?;
                Some(held.incident.clone())
            });
            let ignored = said.rule.is_some_and(|rule| rule.verdict == Verdict::Ignore);
            Judged {
                list: list.clone(),
                proof: said.proof.level,
                doubt: said.proof.doubt,
                believed: said.proof.satisfies(said.list.proof),
                delivery: mails.get(&fact.key).map(|mail| mail.delivery.id.clone()),
                effect: cause.map(|cause| cause.effect),
                repeated: cause.is_some_and(|cause| history.is_some_and(|history| history.repeats(cause))),
                held,
                confirmed: None,
                rule: said.rule.map(|rule| rule.id.clone()),
                reason: said.outcome.reason,
                hard: said.outcome.hard && !ignored,
                address,
            }
        };
        let of = |(fact, said): (&&Fact, Vec<Option<Said<'_>>>)| {
            said.into_iter().map(|said| said.map(|said| judged(fact, said))).collect()
        };
        Ok(facts.iter().zip(said).map(of).collect())
    }

    /// What is on record of addresses on lists, read at once; what nothing is on record of is left out.
    async fn on_record(
        &self,
        of: impl Iterator<Item = &(AddressKey, ListId)>,
    ) -> Result<HashMap<(AddressKey, ListId), StandingItem>, TableError> {
        let mut of_lists: BTreeMap<&ListId, Vec<AddressKey>> = BTreeMap::new();
        for (address, list) in of {
            of_lists.entry(list).or_default().push(address.clone());
        }
        let mut found = HashMap::new();
        for (list, addresses) in of_lists {
            let items = self.table.standings(&addresses, list).await?;
            found.extend(items.into_iter().map(|item| ((item.address.clone(), item.list.clone()), item)));
        }
        Ok(found)
    }

    async fn write(
        &self,
        (address, list): (AddressKey, ListId),
        found: Option<StandingItem>,
        group: Group,
        settings: &Settings,
        now: i64,
    ) -> Result<Written, FollowError> {
        let of = |holds: &'_ [Hold]| -> Vec<Hold> {
            holds.iter().filter(|hold| hold.concerns(&address, &list)).cloned().collect()
        };
        let (holds, late) = (of(&settings.holds), of(&settings.late));
        let add = |history: &mut History| {
            let mut changed = 0;
            for (cause, _) in &group.causes {
                // Each is added, also behind one that changed something.
                changed += usize::from(history.add(cause.clone()));
                if late.iter().any(|hold| hold.holds(cause)) && history.causes.contains(cause) {
                    changed += usize::from(history.take_back(cause));
                }
            }
            changed > 0
        };
        let sum = address.as_str().bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let _turn = self.turns[sum % TURNS].lock().await;
        // A report may name another address than the one that was mailed, or none.
        let same = |text: &&str| text.parse::<AddressKey>().is_ok_and(|key| key == address);
        let written = Some(group.written.as_str()).filter(same);
        let numbers = settings.list_or_default(&list);
        let (before, after) = self.table.change_found(found, &address, &numbers, written, now, add).await?;
        let thresholds = numbers.thresholds;
        let holds: Vec<&Hold> = holds.iter().collect();
        let state = |history| standing::read_held(history, &thresholds, &holds, now).state;
        // New ones alone: what comes again is not counted again.
        let new =
            group.unknown.iter().filter(|(cause, _)| !before.causes.contains(cause) && after.causes.contains(cause));
        let unknown = new.map(|(cause, said)| unknown_text(cause, said, &group.written, now)).collect();
        let (before, after) = (state(&before), state(&after));
        if before == after {
            return Ok(Written { unknown, ..Written::default() });
        }
        tracing::info!(list = %list, before = before.as_str(), after = after.as_str(), "a standing moved");
        let died = before.may_send() && after == State::Quarantined;
        let refusal = if died { sudden::Refusal::of(&address, &list, &group.causes) } else { None };
        Ok(Written { change: Some(Change { address, list, before, after }), refusal, unknown })
    }

    /// Counts texts that no rule knows; that one cannot be counted stops nothing.
    async fn count_texts(&self, unknown: Vec<UnknownText>, now: i64) {
        let mut by_template: BTreeMap<String, UnknownText> = BTreeMap::new();
        for text in unknown {
            let counted = by_template.entry(text.template.id.clone()).or_insert(UnknownText { seen: 0, ..text });
            (counted.seen, counted.last) = (counted.seen + 1, now);
        }
        for text in by_template.values() {
            if let Err(error) = self.table.count_text(text).await {
                tracing::warn!(error = %error, "a text that no rule knows was not counted");
            }
        }
    }

    async fn settings(&self, accounts: &[&AccountId], now: Timestamp) -> Result<Settings, FollowError> {
        let lists = self.table.lists().await?;
        let ids = lists.iter().map(|list| list.id.clone()).collect();
        let mut sends_as = HashMap::new();
        for id in accounts.iter().copied() {
            if !sends_as.contains_key(id) {
                let item = self.table.account(id).await?;
                let domains = match item {
                    Some(item) => item.account.sends_as,
                    None => self.table.instance(id).await?.map(|item| item.settings.sends_as).unwrap_or_default(),
                };
                sends_as.insert(id.clone(), domains);
            }
        }
        let incidents = self.table.incidents().await?;
        let holds = incidents.iter().filter_map(Incident::hold).collect();
        let late = incidents.iter().filter_map(|incident| incident.takes_back(now.as_second())).collect();
        Ok(Settings {
            lists,
            ids,
            sends_as,
            key: self.key(now.as_second()).await?,
            incidents,
            holds,
            late,
            rules: self.table.rules().await?,
        })
    }

    /// What was told of the mail that facts are of, by their keys. Where nobody tells anything that is one read.
    async fn mails(&self, facts: &[&Fact], now: i64) -> Result<HashMap<String, Mail>, TableError> {
        let mut mails = HashMap::new();
        if self.table.deliveries(None, 1).await?.is_empty() {
            return Ok(mails);
        }
        let mut sought = Vec::with_capacity(facts.len());
        for fact in facts {
            sought.push(self.sent(fact, now));
        }
        let found: Vec<(String, Option<Sent>)> = stream::iter(sought).buffer_unordered(AT_ONCE).try_collect().await?;
        let mut deliveries: HashMap<DeliveryId, Option<Delivery>> = HashMap::new();
        for (fact, sent) in found {
            let Some(sent) = sent else { continue };
            if !deliveries.contains_key(&sent.delivery) {
                let item = self.table.delivery(&sent.delivery).await?;
                deliveries.insert(sent.delivery.clone(), item.map(|item| item.delivery));
            }
            if let Some(Some(delivery)) = deliveries.get(&sent.delivery) {
                let known = Known { address: sent.address, list: delivery.list.clone() };
                mails.insert(fact, Mail { delivery: delivery.clone(), known });
            }
        }
        Ok(mails)
    }

    /// A fact's key, and what was told of its mail: by the first of the report's marks that somebody told of.
    async fn sent(&self, fact: &Fact, now: i64) -> Result<(String, Option<Sent>), TableError> {
        for digest in mark::of(&fact.report) {
            if let Some(sent) = self.table.sent(&digest, now).await? {
                return Ok((fact.key.clone(), Some(sent)));
            }
        }
        Ok((fact.key.clone(), None))
    }

    async fn key(&self, now: i64) -> Result<Arc<SigningKey>, FollowError> {
        let kept = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, key)) = kept.filter(|(read, _)| (0..KEY_SECONDS).contains(&(now - read))) {
            return Ok(key);
        }
        let key = Arc::new(signing_key(&*self.vault).await?);
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&key)));
        Ok(key)
    }
}

impl Settings {
    fn list(&self, id: &ListId) -> Option<&List> {
        self.lists.iter().find(|list| list.id == *id)
    }

    /// A list by its name; one that was removed with the numbers that a list has by default.
    fn list_or_default(&self, id: &ListId) -> List {
        self.list(id).cloned().unwrap_or_else(|| List::new(id.clone()))
    }

    /// What the outcomes of a fact, which must be whole, say of their addresses, each as operators' rules have it; none where
    /// nobody could have its address. `mail` is what was told of the mail that it is of.
    fn said<'a>(&'a self, fact: &'a Fact, mail: Option<&Mail>) -> Vec<Option<Said<'a>>> {
        let of = |(number, outcome): (usize, &'a Outcome)| {
            let rule = rule_of(&self.rules, outcome, fact.ruled.unwrap_or(fact.recorded));
            let ruled = rule.map(|rule| qualify::as_ruled(rule, outcome));
            let ignored = matches!(ruled, Some(None));
            let outcome = ruled.flatten().map_or(Cow::Borrowed(outcome), Cow::Owned);
            let (proof, list) = self.judged(fact, &outcome, mail)?;
            let came = mail.and_then(|mail| mail.came(fact, &outcome, &proof, ignored));
            let effect = standing::effect(&fact.report, &outcome).filter(|_| !ignored);
            let cause = effect.map(|effect| {
                let rule = rule.map(|rule| rule.id.to_string());
                Cause { rule, ..cause(fact, number, &outcome, effect, &proof, list) }
            });
            let unknown = (!ignored && qualify::is_unknown(&outcome)).then(|| said(&outcome).to_owned());
            Some(Said { list, proof, outcome, rule, cause, came, unknown })
        };
        fact.report.recipients.iter().enumerate().map(of).collect()
    }

    /// What one outcome proves, and the list that it belongs to: the one that a signed address or a delivery names, or that
    /// names the account, or the default.
    fn judged(&self, fact: &Fact, outcome: &Outcome, mail: Option<&Mail>) -> Option<(Proof, &List)> {
        let bound = self.lists.iter().find(|list| list.accounts.contains(&fact.account));
        let sends_as = self.sends_as.get(&fact.account).map(Vec::as_slice).unwrap_or_default();
        let judge = Judge { sends_as, lists: &self.ids, bound: bound.map(|list| &list.id), key: &self.key };
        let age = |id: &ListId| self.list(id).map_or(0, |list| list.thresholds.proof_age);
        let proof = judge.judge(&fact.report, outcome, fact.arrived, mail.map(|mail| &mail.known), age)?;
        let named = proof.list.as_ref().and_then(|id| self.list(id));
        let list = named.or(bound).or_else(|| self.lists.iter().find(|list| list.id.as_str() == List::DEFAULT))?;
        Some((proof, list))
    }
}

fn unknown_text(cause: &Cause, said: &str, address: &str, now: i64) -> UnknownText {
    UnknownText {
        template: incident::template(said, address),
        seen: 1,
        first: now,
        last: now,
        example: said.chars().take(limits::SAID_CHARS).collect(),
        mailbox: cause.account.clone(),
        report: cause.report.clone(),
    }
}

fn cause(fact: &Fact, number: usize, outcome: &Outcome, effect: Effect, proof: &Proof, list: &List) -> Cause {
    let believed = proof.satisfies(list.proof);
    let (token, at) = proof.signed.clone().map_or((None, fact.arrived), |(token, at)| (Some(token), at));
    let words = said(outcome);
    Cause {
        at,
        token,
        effect,
        believed,
        proof: proof.level,
        doubt: proof.doubt,
        reason: outcome.reason,
        status: outcome.status.clone(),
        said: (!words.is_empty()).then(|| words.chars().take(limits::SAID_CHARS).collect()),
        template: (effect == Effect::Hard).then(|| incident::template(words, &outcome.address).id),
        rule: None,
        account: fact.account.clone(),
        report: fact.key.clone(),
        number,
    }
}
