//! Reports: the facts. Each is written once.

use super::{Change, Item, Table, TableError, failed, is_condition, keys, read_item, unique, write_item};
use crate::account::AccountId;
use crate::cursor::Reference;
use crate::report::{Kind, Outcome, Report};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Where the message of a report is kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The name of the object.
    pub object: String,
    /// Its first byte in it.
    pub offset: u64,
    /// How many bytes there are of it.
    pub length: u64,
}

/// A report as it was recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fact {
    /// The mailbox it arrived in.
    pub account: AccountId,
    /// The report's key: the same however and whenever the message is read.
    pub key: String,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
    /// When it was recorded, in seconds since 1970.
    pub recorded: i64,
    /// Correlation id of the run that recorded it.
    pub run: String,
    /// The folder it was in.
    pub folder: String,
    /// What the server called it there.
    #[serde(alias = "uid")]
    pub reference: Reference,
    /// What it is; a copy of the report's, so that a stream's filter can see it.
    pub kind: Kind,
    /// What it says.
    pub report: Report,
    /// Further items that hold the rest of its outcomes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: usize,
    /// Where the message is kept as it came, as long as its time is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Pointer>,
    /// The name of its last reading, where it was read again and written anew: no other has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<String>,
    /// When operators' rules were last applied to it after it was recorded, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruled: Option<i64>,
    /// Time to live, in seconds since 1970.
    pub expires: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Whether a fact was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable now.
    New,
    /// It was durable already.
    Known,
}

#[derive(Serialize, Deserialize)]
struct Part {
    recipients: Vec<Outcome>,
    expires: i64,
}

#[derive(Deserialize)]
struct Found {
    pk: String,
    sk: String,
}

/// Where a fact stands among those of its account: its arrival, in seconds since 1970, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// When it arrived.
    pub arrived: i64,
    /// Its key.
    pub key: String,
}

/// Some facts of an account, the newest first, and the last of them, where more may follow.
#[derive(Debug, Clone, Default)]
pub struct FactPage {
    /// As many of its outcomes as its head holds: `parts` says whether there are more.
    pub facts: Vec<Fact>,
    /// Where the next page begins.
    pub next: Option<Spot>,
}

/// A put under a condition, and that the item is still of the reading as which it was read.
pub(super) fn same_reading(put: PutItemFluentBuilder, and: &str, reading: Option<&str>) -> PutItemFluentBuilder {
    let put = put.expression_attribute_names("#reading", "reading");
    match reading {
        None => put.condition_expression(format!("{and} AND attribute_not_exists(#reading)")),
        Some(reading) => put
            .condition_expression(format!("{and} AND #reading = :reading"))
            .expression_attribute_values(":reading", AttributeValue::S(reading.to_owned())),
    }
}

/// Bytes of outcomes in one item: DynamoDB refuses items over 400 KB, and large ones are dear to update.
const PART_BYTES: usize = 100_000;

impl Table {
    /// Seconds a fact is kept: longer than the widest re-scan, so that nothing is recorded twice.
    pub const FACT_SECONDS: i64 = 400 * 86_400;

    /// Writes a fact once. What does not fit into one item goes first, the head last: a head is a whole fact.
    pub async fn record(&self, mut fact: Fact) -> Result<Recorded, TableError> {
        self.will(Change::Fact(&fact)).await?;
        self.put_parts(&mut fact).await?;
        let item = write_item(keys::report(&fact.account, &fact.key), &fact)?;
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(Recorded::New),
            Err(error) if is_condition(&error) => Ok(Recorded::Known),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Writes what does not fit into a fact's own item, which is left with the rest.
    async fn put_parts(&self, fact: &mut Fact) -> Result<(), TableError> {
        let mut chunks = split(std::mem::take(&mut fact.report.recipients)).into_iter();
        fact.report.recipients = chunks.next().unwrap_or_default();
        fact.parts = chunks.len();
        for (number, recipients) in chunks.enumerate() {
            let part = Part { recipients, expires: fact.expires };
            let item =
                write_item(keys::report_part(&fact.account, &fact.key, fact.reading.as_deref(), number + 1), &part)?;
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
            put.send().await.map_err(|error| failed("written", error))?;
        }
        Ok(())
    }

    /// Writes a fact whose message was read again over `old`, as which it was read from here, both whole; `false` where it is
    /// another now: read again by somebody else, erased from, removed. Nobody is told: what happened, happened once.
    pub async fn rewrite(&self, old: &Fact, new: &Fact) -> Result<bool, TableError> {
        let Some(raw) = &old.raw else { return Ok(false) };
        let mut head = Fact { reading: Some(unique()?), ..new.clone() };
        // Parts have names of their own in each reading, so that nobody reads one of each. Those of the old one are left to
        // whoever is reading them, and to time.
        self.put_parts(&mut head).await?;
        let item = write_item(keys::report(&head.account, &head.key), &head)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = same_reading(put, "#raw.#object = :object AND #raw.#offset = :offset", old.reading.as_deref())
            .expression_attribute_names("#raw", "raw")
            .expression_attribute_names("#object", "object")
            .expression_attribute_names("#offset", "offset")
            .expression_attribute_values(":object", AttributeValue::S(raw.object.clone()))
            .expression_attribute_values(":offset", AttributeValue::N(raw.offset.to_string()));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => {
                // It may be that somebody was erased, whom they name.
                for number in 1..=head.parts {
                    let part = keys::report_part(&head.account, &head.key, head.reading.as_deref(), number);
                    self.delete(part).await?;
                }
                Ok(false)
            }
            Err(error) => Err(failed("written", error)),
        }
    }

    /// One fact, whole.
    pub async fn fact(&self, account: &AccountId, key: &str) -> Result<Option<Fact>, TableError> {
        let Some(fact) = self.get::<Fact>(keys::report(account, key)).await? else { return Ok(None) };
        self.with_parts(fact).await.map(Some)
    }

    /// The newest facts of an account, whole, newest first.
    pub async fn facts(&self, account: &AccountId, since: Timestamp, limit: usize) -> Result<Vec<Fact>, TableError> {
        let values = Item::from([
            (":account".into(), AttributeValue::S(account.to_string())),
            (":since".into(), AttributeValue::N(since.as_second().to_string())),
        ]);
        let condition = "account = :account AND arrived >= :since";
        let found: Vec<Found> = self.query_index(keys::ARRIVALS_INDEX, condition, values, Some(limit), true).await?;
        let keys: Vec<Item> = found.into_iter().map(|Found { pk, sk }| keys::Key { pk, sk }.into_item()).collect();
        let pages: Vec<Vec<Fact>> = futures::stream::iter(keys.chunks(100).map(<[Item]>::to_vec))
            .then(|page| self.batch_get(page))
            .try_collect()
            .await?;
        let mut facts = Vec::new();
        for fact in pages.into_iter().flatten() {
            facts.push(self.with_parts(fact).await?);
        }
        facts.sort_by(|a, b| (b.arrived, &b.reference).cmp(&(a.arrived, &a.reference)));
        Ok(facts)
    }

    /// A page of an account's facts since a time, the newest first, behind `from`.
    pub async fn fact_page(
        &self,
        account: &AccountId,
        since: i64,
        limit: usize,
        from: Option<&Spot>,
    ) -> Result<FactPage, TableError> {
        let start = from.map(|spot| {
            let mut item = keys::report(account, &spot.key).into_item();
            item.insert(keys::ACCOUNT.into(), AttributeValue::S(account.to_string()));
            item.insert(keys::ARRIVED.into(), AttributeValue::N(spot.arrived.to_string()));
            item
        });
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(keys::ARRIVALS_INDEX)
            .key_condition_expression("account = :account AND arrived >= :since")
            .expression_attribute_values(":account", AttributeValue::S(account.to_string()))
            .expression_attribute_values(":since", AttributeValue::N(since.to_string()))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| failed("read", error))?;
        let found: Vec<Found> = page.items.unwrap_or_default().into_iter().map(read_item).collect::<Result<_, _>>()?;
        let place: HashMap<String, usize> = found.iter().enumerate().map(|(at, one)| (one.sk.clone(), at)).collect();
        let wanted: Vec<Item> = found.into_iter().map(|Found { pk, sk }| keys::Key { pk, sk }.into_item()).collect();
        let mut facts = Vec::new();
        for some in wanted.chunks(100) {
            facts.extend(self.batch_get(some.to_vec()).await?);
        }
        // In the order of the index.
        facts.sort_by_key(|fact| place.get(&keys::report(account, &fact.key).sk).copied());
        let next = page.last_evaluated_key.and_then(|last| {
            let arrived = last.get(keys::ARRIVED)?.as_n().ok()?.parse().ok()?;
            let key = last.get(keys::SK)?.as_s().ok()?.strip_prefix("REPORT#")?.to_owned();
            Some(Spot { arrived, key })
        });
        Ok(FactPage { facts, next })
    }

    pub(super) async fn batch_get(&self, mut keys: Vec<Item>) -> Result<Vec<Fact>, TableError> {
        let mut facts = Vec::new();
        // What the service leaves unprocessed is asked for again; a whole page left is its way to say "slower".
        for attempt in 0..8u32 {
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).build();
            let wanted = wanted.map_err(|error| TableError::Shape(error.to_string()))?;
            let answer = self.client.batch_get_item().request_items(&self.name, wanted).send();
            let answer = answer.await.map_err(|error| failed("read", error))?;
            for item in answer.responses.and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default() {
                facts.push(read_item(item)?);
            }
            keys = answer
                .unprocessed_keys
                .and_then(|mut left| left.remove(&self.name))
                .map(|k| k.keys)
                .unwrap_or_default();
            if keys.is_empty() {
                return Ok(facts);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50 << attempt)).await;
        }
        Err(TableError::Service { doing: "read", said: "items were left unprocessed eight times".into() })
    }

    async fn with_parts(&self, mut fact: Fact) -> Result<Fact, TableError> {
        for number in 1..=fact.parts {
            let part: Option<Part> =
                self.get(keys::report_part(&fact.account, &fact.key, fact.reading.as_deref(), number)).await?;
            let part =
                part.ok_or_else(|| TableError::Shape(format!("part {number} of report {} is gone", fact.key)))?;
            fact.report.recipients.extend(part.recipients);
        }
        Ok(fact)
    }

    /// Removes an account with its cursors and, if asked, its facts and its audit; answers how many items went.
    pub async fn remove_mailbox(&self, id: &AccountId, facts: bool) -> Result<usize, TableError> {
        let prefixes: &[&str] = match facts {
            true => &["CURSOR#", "FORWARD", "REPORT#", keys::AUDIT],
            // That a message was forwarded stays with its fact.
            false => &["CURSOR#", "FORWARDS"],
        };
        let mut removed = 0;
        for prefix in prefixes {
            let mut from = None;
            loop {
                let page = self
                    .client
                    .query()
                    .table_name(&self.name)
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .projection_expression("pk, sk")
                    .expression_attribute_values(":pk", AttributeValue::S(keys::account(id).pk))
                    .expression_attribute_values(":prefix", AttributeValue::S((*prefix).into()))
                    .set_exclusive_start_key(from)
                    .send()
                    .await
                    .map_err(|error| failed("read", error))?;
                for item in page.items.unwrap_or_default() {
                    let Found { pk, sk } = read_item(item)?;
                    removed += usize::from(self.delete(keys::Key { pk, sk }).await?);
                }
                from = page.last_evaluated_key;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(removed + usize::from(self.remove_account(id).await?))
    }
}

/// Splits outcomes into chunks that each fit an item.
fn split(recipients: Vec<Outcome>) -> Vec<Vec<Outcome>> {
    let mut chunks = vec![Vec::new()];
    let mut bytes = 0;
    for outcome in recipients {
        // JSON is somewhat longer than what DynamoDB counts: names and values, no quotes.
        let size = serde_json::to_string(&outcome).map_or(PART_BYTES, |text| text.len());
        if bytes > 0 && bytes + size > PART_BYTES {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(last) = chunks.last_mut() {
            last.push(outcome);
        }
    }
    chunks
}
