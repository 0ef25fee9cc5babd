//! What is on record of an address on a list, each in one item: a fact of one recipient costs one write more.

use super::{Change, Item, Table, TableError, failed, is_condition, keys, read_item, unique, write_item};
use crate::account::ListId;
use crate::standing::{self, AddressKey, History, Hold, List, Standing, State, Thresholds};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Seconds that an item is kept beyond its last cause where time alone ends what it holds.
const KEPT_SECONDS: i64 = 400 * 86_400;
/// Writers of one address at once that each come to their turn.
const TRIES: u32 = 12;

/// An address on a list, as the table keeps it. What its standing is follows from it, the list and the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingItem {
    /// The address.
    pub address: AddressKey,
    /// As it was written, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// The list.
    pub list: ListId,
    /// All that is on record.
    #[serde(flatten)]
    pub history: History,
    /// Rises with each write.
    pub version: u64,
    /// The shard of the index of what is due, where a quarantine ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_shard: Option<String>,
    /// When it ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<i64>,
    /// When it was written that the last quarantine had ended by the clock, in seconds since 1970: from then on that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// Time to live, in seconds since 1970: cleaning up, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

/// A part of all standings, and where the next begins.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What it holds, in no order.
    pub items: Vec<StandingItem>,
    /// Where the next part begins: partition and sort key; none at the end.
    pub next: Option<(String, String)>,
}

impl StandingItem {
    fn new(address: &AddressKey, list: &ListId) -> Self {
        Self {
            address: address.clone(),
            written: None,
            list: list.clone(),
            history: History::default(),
            version: 0,
            due_shard: None,
            next_due: None,
            ended: None,
            expires: None,
        }
    }

    /// What follows from what is on record, for whoever finds the item by its time: when its quarantine ends, and when it may
    /// be cleaned up. `before` is what was on record, and `now` the time of the writing.
    fn set_times(&mut self, before: Option<&History>, thresholds: &Thresholds, now: i64) {
        let causes = self.history.causes.iter().chain(before.into_iter().flat_map(|before| &before.causes));
        // Of what a report took back when it was read again, nothing may be left but when it was.
        let newest = causes.map(|cause| cause.at).max().or(self.expires.map(|expires| expires - KEPT_SECONDS));
        let last = self.history.newest().max(self.ended);
        let standing = standing::read(&self.history, thresholds, last.unwrap_or(now));
        // What neither ends nor lets anybody write to the address would end with the item.
        let passes = self.history.ages() && (standing.state.may_send() || standing.ends.is_some());
        self.expires = newest.filter(|_| passes).map(|at| at + KEPT_SECONDS);
        let end = standing.ends.filter(|_| standing.state == State::Quarantined);
        if end.is_some_and(|end| end <= now) {
            self.ended = Some(now);
        }
        self.next_due = end.filter(|end| *end > now);
        self.due_shard = self.next_due.map(|_| keys::STANDINGS_SHARD.to_owned());
    }
}

impl StandingItem {
    /// The standing at `now` (seconds since 1970), with what is held back.
    pub fn read(&self, thresholds: &Thresholds, holds: &[Hold], now: i64) -> Standing {
        let holds: Vec<&Hold> = holds.iter().filter(|hold| hold.concerns(&self.address, &self.list)).collect();
        standing::read_held(&self.history, thresholds, &holds, now)
    }
}

impl Table {
    /// What is on record of an address on one list.
    pub async fn standing(&self, address: &AddressKey, list: &ListId) -> Result<Option<StandingItem>, TableError> {
        self.get(keys::standing(address, list)).await
    }

    /// What is on record of an address, on every list.
    pub async fn standings_of(&self, address: &AddressKey) -> Result<Vec<StandingItem>, TableError> {
        self.query_partition(keys::address(address), keys::STANDING).await
    }

    /// What is on record of many addresses on one list; those of which nothing is are left out.
    pub async fn standings(&self, of: &[AddressKey], list: &ListId) -> Result<Vec<StandingItem>, TableError> {
        let mut found = Vec::new();
        for page in of.chunks(100) {
            let mut wanted: Vec<Item> = page.iter().map(|a| keys::standing(a, list).into_item()).collect();
            for attempt in 0.. {
                let asked = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
                let asked = asked.map_err(|error| TableError::Shape(error.to_string()))?;
                let answer = self.client.batch_get_item().request_items(&self.name, asked).send().await;
                let answer = answer.map_err(|error| failed("read", error))?;
                for item in answer.responses.and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default() {
                    found.push(read_item(item)?);
                }
                let left = answer.unprocessed_keys.and_then(|mut left| left.remove(&self.name));
                wanted = left.map(|left| left.keys).unwrap_or_default();
                if wanted.is_empty() {
                    break;
                }
                if attempt == 8 {
                    return Err(TableError::Service { doing: "read", said: "items were left unprocessed".into() });
                }
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            }
        }
        Ok(found)
    }

    /// Changes what is on record of an address on a list, as `change` says of it as it stands, which answers whether it
    /// changed anything; what changed nothing is not written. `change` runs anew when another writer came between.
    /// Gives back what was on record before, and what is now. `now` is in seconds since 1970.
    pub async fn change_standing(
        &self,
        address: &AddressKey,
        list: &List,
        written: Option<&str>,
        now: i64,
        change: impl Fn(&mut History) -> bool,
    ) -> Result<(History, History), TableError> {
        let found = self.standing(address, &list.id).await?;
        self.change_found(found, address, list, written, now, change).await
    }

    /// The same of an item that was read already, or that was not there.
    pub async fn change_found(
        &self,
        mut found: Option<StandingItem>,
        address: &AddressKey,
        list: &List,
        written: Option<&str>,
        now: i64,
        change: impl Fn(&mut History) -> bool,
    ) -> Result<(History, History), TableError> {
        for attempt in 0..TRIES {
            let mut item = found.clone().unwrap_or_else(|| StandingItem::new(address, &list.id));
            let before = item.history.clone();
            if !change(&mut item.history) {
                return Ok((before.clone(), before));
            }
            item.written =
                item.written.take().or_else(|| written.map(str::to_owned)).filter(|w| *w != item.address.as_str());
            item.set_times(Some(&before), &list.thresholds, now);
            if self.put_standing(found.as_ref(), &mut item).await? {
                return Ok((before, item.history));
            }
            // Who lost waits, each for another time, or the same would meet again.
            let chance = u64::from_str_radix(&unique()?[..4], 16).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(chance % (10 << attempt.min(6)))).await;
            found = self.standing(address, &list.id).await?;
        }
        Err(TableError::Service { doing: "written", said: "others wrote the same address over and over".into() })
    }

    /// Quarantines whose end has come by the clock, and that nobody has written since: so many at most.
    pub async fn standings_due(&self, now: Timestamp, limit: usize) -> Result<Vec<StandingItem>, TableError> {
        let values = Item::from([
            (":shard".into(), AttributeValue::S(keys::STANDINGS_SHARD.into())),
            (":end".into(), AttributeValue::N((now.as_second() + 1).to_string())),
        ]);
        let condition = "due_shard = :shard AND next_due < :end";
        let items = self.query_items(keys::DUE_INDEX, condition, values, Some(limit), false).await?;
        // One that cannot be understood must not keep all others quarantined.
        let read =
            |item| read_item(item).inspect_err(|error| tracing::error!(error = %error, "a standing is left out"));
        Ok(items.into_iter().filter_map(|item| read(item).ok()).collect())
    }

    /// Writes that the quarantine of an item has ended, if by the numbers of its list it has; else when it will. `false` when
    /// another writer came between, who has written so too. `now` is in seconds since 1970.
    pub async fn end_standing(
        &self,
        found: &StandingItem,
        thresholds: &Thresholds,
        now: i64,
    ) -> Result<bool, TableError> {
        let mut item = found.clone();
        item.set_times(None, thresholds, now);
        self.put_standing(Some(found), &mut item).await
    }

    /// Writes an item over the version that it was read as; `false` when another writer came between.
    async fn put_standing(&self, found: Option<&StandingItem>, item: &mut StandingItem) -> Result<bool, TableError> {
        let read = item.version;
        item.version += 1;
        self.will(Change::Standing { before: found, after: Some(item) }).await?;
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(keys::standing(&item.address, &item.list), item)?));
        let put = match read {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            _ => put
                .condition_expression("version = :read")
                .expression_attribute_values(":read", AttributeValue::N(read.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Removes an item of which nothing is left, unless another writer came between.
    pub async fn remove_standing(&self, item: &StandingItem) -> Result<(), TableError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(keys::standing(&item.address, &item.list).into_item()))
            .condition_expression("version = :read")
            .expression_attribute_values(":read", AttributeValue::N(item.version.to_string()));
        match delete.send().await {
            Err(error) if !is_condition(&error) => Err(failed("written", error)),
            _ => Ok(()),
        }
    }

    /// A part of all standings, from where the last part ended: reads the whole table, so it is for exports alone.
    pub async fn scan_standings(&self, from: Option<(String, String)>) -> Result<Page, TableError> {
        let from = from.map(|(pk, sk)| keys::Key { pk, sk }.into_item());
        let page = self
            .client
            .scan()
            .table_name(&self.name)
            .filter_expression("begins_with(sk, :prefix) AND begins_with(pk, :address)")
            .expression_attribute_values(":prefix", AttributeValue::S(keys::STANDING.into()))
            .expression_attribute_values(":address", AttributeValue::S("ADDRESS#".into()))
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| failed("read", error))?;
        let text = |item: &Item, name| item.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).cloned();
        let next = page.last_evaluated_key.as_ref().and_then(|key| Some((text(key, keys::PK)?, text(key, keys::SK)?)));
        let items = page.items.unwrap_or_default().into_iter().map(read_item).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }
}
