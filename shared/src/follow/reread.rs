//! What follows from a report that was read again: in each standing what it says now stands in place of what it said before,
//! as if it had been read so at first. That it moves standings is told, as ever; that a destination refuses many, is not
//! watched for, and texts are not counted: both happened when it came.

use super::{Change, FollowError, Follower, Mail, Settings};
use crate::account::{AccountId, ListId};
use crate::standing::{self, AddressKey, Cause, History, Hold, State};
use crate::table::Fact;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What standings would be, where nothing is written: what some reports changed, the next ones find.
pub type Ahead = BTreeMap<(AddressKey, ListId), History>;

/// Standings that moved, or would: what they were at first, and are at last.
#[derive(Debug, Default)]
pub struct Moves(BTreeMap<(AddressKey, ListId), (State, State)>);

impl Moves {
    fn note(&mut self, address: &AddressKey, list: &ListId, before: State, after: State) {
        self.0.entry((address.clone(), list.clone())).or_insert((before, after)).1 = after;
    }

    /// Those that are not what they were.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.0.iter().filter(|(_, (before, after))| before != after).map(|((address, list), (before, after))| Change {
            address: address.clone(),
            list: list.clone(),
            before: *before,
            after: *after,
        })
    }
}

/// Reads reports again by the settings as they are when it is made.
pub struct Rereader<'a> {
    follower: &'a Follower,
    settings: Settings,
    now: Timestamp,
}

impl Follower {
    /// For some facts of one account.
    pub async fn rereader(&self, account: &AccountId, now: Timestamp) -> Result<Rereader<'_>, FollowError> {
        Ok(Rereader { follower: self, settings: self.settings(&[account], now).await?, now })
    }
}

impl Rereader<'_> {
    /// Whether two readings of a fact, both whole, say the same of addresses by the rules of today.
    pub async fn says_the_same(&self, old: &Fact, new: &Fact) -> Result<bool, FollowError> {
        let (of_old, of_new) = (self.mail(old).await?, self.mail(new).await?);
        let said = |fact, mail: &Option<Mail>| {
            let said = self.settings.said(fact, mail.as_ref()).into_iter().flatten();
            said.map(|said| (said.proof.address, &said.list.id, said.cause))
        };
        Ok(said(old, &of_old).eq(said(new, &of_new)))
    }

    /// What was told of the mail that a reading of a fact is of.
    async fn mail(&self, fact: &Fact) -> Result<Option<Mail>, FollowError> {
        Ok(self.follower.mails(&[fact], self.now.as_second()).await?.remove(&fact.key))
    }

    /// Puts what a fact says now (`new`) into standings in place of what it said before (`old`), both whole; only into `ahead`
    /// where there is one; whether anything changed. May be done again after it was broken off.
    pub async fn reread(
        &self,
        old: &Fact,
        new: &Fact,
        mut ahead: Option<&mut Ahead>,
        moves: &mut Moves,
    ) -> Result<bool, FollowError> {
        let table = &self.follower.table;
        let mut changed = false;
        let mut said: BTreeMap<AddressKey, BTreeMap<ListId, (String, Vec<Cause>)>> = BTreeMap::new();
        let (of_old, of_new) = (self.mail(old).await?, self.mail(new).await?);
        for one in self.settings.said(new, of_new.as_ref()).into_iter().flatten() {
            let Some(cause) = one.cause else { continue };
            let of_list = said.entry(one.proof.address).or_default().entry(one.list.id.clone());
            of_list.or_insert_with(|| (one.outcome.address.clone(), vec![])).1.push(cause);
        }
        let mut addresses: BTreeSet<AddressKey> = self.settings.addresses(old, of_old.as_ref()).collect();
        addresses.extend(self.settings.addresses(new, of_new.as_ref()));
        for address in addresses {
            let mut of_lists = said.remove(&address).unwrap_or_default();
            let items = table.standings_of(&address).await?;
            // On whichever lists it had its effect, though today it might have it on another.
            for item in &items {
                let known = ahead.as_ref().and_then(|ahead| ahead.get(&(address.clone(), item.list.clone())));
                let of_report = |cause: &Cause| cause.account == old.account && cause.report == old.key;
                if known.unwrap_or(&item.history).causes.iter().any(of_report) {
                    of_lists.entry(item.list.clone()).or_default();
                }
            }
            for (list, (written, causes)) in of_lists {
                let replace = |history: &mut History| history.replace(&old.account, &old.key, &causes);
                let (before, after) = match ahead.as_deref_mut() {
                    None => {
                        // A report may name another address than the one that was mailed, or none.
                        let same = |text: &&str| text.parse::<AddressKey>().is_ok_and(|key| key == address);
                        let written = Some(written.as_str()).filter(same);
                        let list = self.settings.list_or_default(&list);
                        table.change_standing(&address, &list, written, self.now.as_second(), replace).await?
                    }
                    Some(ahead) => {
                        let stored = || items.iter().find(|item| item.list == list).map(|item| item.history.clone());
                        let history = ahead
                            .entry((address.clone(), list.clone()))
                            .or_insert_with(|| stored().unwrap_or_default());
                        let before = history.clone();
                        replace(history);
                        (before, history.clone())
                    }
                };
                let state = |history: &History| self.settings.state(&address, &list, history, self.now);
                moves.note(&address, &list, state(&before), state(&after));
                changed |= before != after;
            }
        }
        Ok(changed)
    }

    /// What a fact said (`said`) of addresses that it names no longer (`left`): of a person who was erased while it was read
    /// again nothing is left.
    pub async fn forget(&self, said: &Fact, left: &Fact) -> Result<(), FollowError> {
        self.reread(said, left, None, &mut Moves::default()).await?;
        let table = &self.follower.table;
        let (of_said, of_left) = (self.mail(said).await?, self.mail(left).await?);
        let still: BTreeSet<AddressKey> = self.settings.addresses(left, of_left.as_ref()).collect();
        for address in self.settings.addresses(said, of_said.as_ref()).filter(|address| !still.contains(address)) {
            for item in table.standings_of(&address).await? {
                if item.history == History::default() {
                    table.remove_standing(&item).await?;
                }
            }
        }
        Ok(())
    }
}

impl Settings {
    /// Whose addresses a fact names, whatever it says of them.
    fn addresses<'a>(&'a self, fact: &'a Fact, mail: Option<&'a Mail>) -> impl Iterator<Item = AddressKey> + 'a {
        fact.report.recipients.iter().filter_map(move |outcome| Some(self.judged(fact, outcome, mail)?.0.address))
    }

    fn state(&self, address: &AddressKey, list: &ListId, history: &History, now: Timestamp) -> State {
        let thresholds = self.list(list).map(|list| list.thresholds).unwrap_or_default();
        let holds: Vec<&Hold> = self.holds.iter().filter(|hold| hold.concerns(address, list)).collect();
        standing::read_held(history, &thresholds, &holds, now.as_second()).state
    }
}
