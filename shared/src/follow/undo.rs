//! Refusals taken back: those of one destination, one time and, if need be, one text. Counted first, with samples.

use super::{FollowError, Follower};
use crate::account::ListId;
use crate::incident::{Decision, Incident, Stage, template};
use crate::qualify;
use crate::report::Outcome;
use crate::standing::{self, Act, AddressKey, Cause, Deed, Effect, History, List, State, Thresholds};
use crate::table::{Fact, Table, TableError};
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Facts read at once.
const FACTS: usize = 500;
/// Samples shown.
const SAMPLES: usize = 10;
/// Addresses written at once.
const AT_ONCE: usize = 16;

/// Which refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// The destination: what stands behind the `@`.
    pub domain: String,
    /// On which list; none for all.
    pub list: Option<ListId>,
    /// That arrived since then, in seconds since 1970.
    pub since: i64,
    /// And no later than then.
    pub until: i64,
    /// Whose words hold this, in lower case.
    pub text: Option<String>,
    /// Whose words have this template.
    pub template: Option<String>,
}

impl Sought {
    /// Those that an incident holds back, by the arrival of their reports.
    pub fn of(incident: &Incident, now: i64) -> Self {
        Self {
            domain: incident.domain.clone(),
            list: Some(incident.list.clone()),
            since: incident.trigger.from,
            until: now,
            text: None,
            template: incident.trigger.template.as_ref().map(|template| template.id.clone()),
        }
    }

    /// Whether an outcome says it, whoever it is about.
    fn is_said_by(&self, outcome: &Outcome) -> bool {
        let said = qualify::said(outcome);
        let fits = |text: &String| said.to_lowercase().contains(text.as_str());
        let of_kind = |wanted: &String| template(said, &outcome.address).id == *wanted;
        self.text.as_ref().is_none_or(fits) && self.template.as_ref().is_none_or(of_kind)
    }
}

/// What there is to be taken back.
#[derive(Debug, Default)]
pub struct Found {
    /// Refusals that count or are held back, by address and list.
    refusals: BTreeMap<(AddressKey, ListId), Vec<Cause>>,
    /// Those lists.
    lists: Vec<List>,
    /// The reports that say so, whole.
    pub facts: Vec<Fact>,
    /// Some of them: address and words.
    pub samples: Vec<(AddressKey, String)>,
    /// Addresses that would be written to again.
    pub restored: u64,
}

impl Found {
    /// Whose, and on which lists.
    pub fn whose(&self) -> impl Iterator<Item = (&AddressKey, &ListId)> {
        self.refusals.keys().map(|(address, list)| (address, list))
    }

    /// Whether an outcome of a report is one of them.
    pub fn holds(&self, address: &AddressKey, list: &ListId, fact: &Fact, number: usize) -> bool {
        let of = |cause: &Cause| cause.account == fact.account && cause.report == fact.key && cause.number == number;
        self.refusals.get(&(address.clone(), list.clone())).is_some_and(|causes| causes.iter().any(of))
    }

    /// How many addresses.
    pub fn addresses(&self) -> usize {
        self.refusals.keys().map(|(address, _)| address).collect::<BTreeSet<_>>().len()
    }
}

/// Finds refusals, and what would become of their addresses.
pub async fn find(follower: &Follower, sought: &Sought, now: i64) -> Result<Found, FollowError> {
    let table = &follower.table;
    let mut marks: BTreeMap<AddressKey, BTreeSet<String>> = BTreeMap::new();
    let mut found = Found { lists: table.lists().await?, ..Found::default() };
    for account in table.sources().await? {
        let mut from = None;
        loop {
            let page = table.fact_page(&account, sought.since, FACTS, from.as_ref()).await?;
            let mut facts = Vec::with_capacity(page.facts.len());
            for head in page.facts.into_iter().filter(|fact| fact.arrived <= sought.until) {
                let whole = if head.parts == 0 { None } else { table.fact(&head.account, &head.key).await? };
                let fact = whole.unwrap_or(head);
                // Whose it is costs reads: those alone that say what is sought.
                if fact.report.recipients.iter().any(|outcome| sought.is_said_by(outcome)) {
                    facts.push(fact);
                }
            }
            let whose = follower.whose(&facts, now).await?;
            for (fact, whose) in facts.into_iter().zip(whose) {
                if note(&fact, &whose, sought, &mut marks) {
                    found.facts.push(fact);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let addresses: Vec<AddressKey> = marks.keys().cloned().collect();
    for list in found.lists.iter().filter(|list| sought.list.as_ref().is_none_or(|only| *only == list.id)) {
        for item in table.standings(&addresses, &list.id).await? {
            let Some(marks) = marks.get(&item.address) else { continue };
            let causes = item.history.causes.iter();
            let theirs: Vec<Cause> =
                causes.filter(|cause| cause.effect == Effect::Hard && item.history.counts(cause)).cloned().collect();
            let theirs: Vec<Cause> = theirs.into_iter().filter(|cause| marks.contains(&cause.mark())).collect();
            if theirs.is_empty() {
                continue;
            }
            let (before, after) = (state(&item.history, &list.thresholds, now), {
                let mut after = item.history.clone();
                take(&mut after, &theirs);
                state(&after, &list.thresholds, now)
            });
            found.restored += u64::from(!before.may_send() && after.may_send());
            let said = theirs[0].said.clone().unwrap_or_default();
            if found.samples.len() < SAMPLES {
                found.samples.push((item.address.clone(), said));
            }
            found.refusals.insert((item.address, list.id.clone()), theirs);
        }
    }
    Ok(found)
}

fn state(history: &History, thresholds: &Thresholds, now: i64) -> State {
    standing::read(history, thresholds, now).state
}

fn take(history: &mut History, causes: &[Cause]) -> bool {
    causes.iter().filter(|cause| history.take_back(cause)).count() > 0
}

/// Notes the outcomes of one report that may be what is sought; whether there are any. `whose` is the address of each that was
/// mailed. Whether they are refusals is what an operator's rule may have said, so that is asked of the standings that they went
/// into.
fn note(
    fact: &Fact,
    whose: &[Option<AddressKey>],
    sought: &Sought,
    marks: &mut BTreeMap<AddressKey, BTreeSet<String>>,
) -> bool {
    let mut any = false;
    for (number, (outcome, whose)) in fact.report.recipients.iter().zip(whose).enumerate() {
        let Some(address) = whose.as_ref().filter(|address| address.domain() == sought.domain) else { continue };
        if !sought.is_said_by(outcome) {
            continue;
        }
        let mark = standing::mark(&fact.key, number);
        marks.entry(address.clone()).or_default().insert(mark);
        any = true;
    }
    any
}

/// Takes back what an incident holds, for it was the destination's mistake; may be done again after it was broken off. Answers
/// how many addresses changed; none where somebody else has decided meanwhile.
pub async fn release(
    follower: &Follower,
    incident: &mut Incident,
    decision: Decision,
) -> Result<Option<u64>, FollowError> {
    if !incident.holds() {
        return Ok(None);
    }
    let table = &follower.table;
    let now = decision.at;
    incident.decided = Some(decision.clone());
    if incident.stage == Stage::Open {
        incident.stage = Stage::Releasing;
        if !table.move_incident(Stage::Open, incident).await? {
            return Ok(None);
        }
    }
    let found = find(follower, &Sought::of(incident, now), now).await?;
    let why = format!("incident {}", incident.id);
    let changed = take_back(table, &found, &decision.who, Some(&why), now).await?;
    incident.stage = Stage::Released;
    let moved = table.move_incident(Stage::Releasing, incident).await?;
    Ok(moved.then_some(changed))
}

/// Takes back what was found, each address once; may be done again after it was broken off. Answers how many addresses
/// changed.
pub async fn take_back(
    table: &Table,
    found: &Found,
    who: &str,
    why: Option<&str>,
    now: i64,
) -> Result<u64, TableError> {
    let act = Act { at: now * 1_000, deed: Deed::Undone, who: who.to_owned(), why: why.map(str::to_owned) };
    let act = &act;
    let writes = found.refusals.iter().map(|((address, list), causes)| async move {
        let list = found.lists.iter().find(|one| one.id == *list).cloned().unwrap_or_else(|| List::new(list.clone()));
        let change = |history: &mut History| take(history, causes) && history.decide(act.clone());
        table.change_standing(address, &list, None, now, change).await.map(|(before, after)| before != after)
    });
    let mut written = stream::iter(writes).buffer_unordered(AT_ONCE);
    let (mut changed, mut failed) = (0, None);
    while let Some(result) = written.next().await {
        match result {
            Ok(moved) => changed += u64::from(moved),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(changed), Err)
}
