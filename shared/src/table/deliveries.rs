//! What senders told of their mail, and what came back of it.
//!
//! Of each mail that was told one item says whom it was sent to, under a hash of what it is known by: a write unit each
//! ($0.63 a million at $0.625 a million units), because any grouping of them costs more in reads than it saves: nothing in
//! a Message-ID says which group it is in. What came back is put in sets, one item for all that a batch of facts brings.
//! A set's name follows from what it holds, so that it may be put again; who reads folds them all.

use super::accounts::{NEVER, applied};
use super::{Change, Item, Table, TableError, attribute, failed, is_condition, keys, read_item, write_item};
use crate::delivery::{Came, Closed, Delivery, DeliveryId, Tally, tally};
use crate::limits;
use crate::oauth::sha256_hex;
use crate::standing::AddressKey;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Items of one BatchWriteItem: the service takes no more.
const BATCH: usize = 25;
/// Batches at once.
const AT_ONCE: usize = 16;
/// Items of one mark that are looked at: two say that there are several, and some may be over.
const SENT: i32 = 25;

/// A delivery as the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryItem {
    /// What its sender told.
    pub delivery: Delivery,
    /// The shard of the index of what is due.
    pub due_shard: String,
    /// When it closes; never, once it is closed.
    pub next_due: i64,
    /// How it ended, once it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    /// Time to live, in seconds since 1970.
    pub expires: i64,
}

/// Whom mail was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The delivery that it is of.
    pub delivery: DeliveryId,
    /// The address, where there is one alone.
    pub address: Option<AddressKey>,
}

#[derive(Serialize, Deserialize)]
struct SentItem {
    delivery: DeliveryId,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
struct Domains {
    sent: BTreeMap<String, u32>,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
struct CameItem {
    came: Vec<String>,
    expires: i64,
}

impl Table {
    /// Writes a delivery with what its sender told, over what was told before; `false` when it is closed.
    pub async fn put_delivery(&self, of: &Delivery, sent: &BTreeMap<String, u32>) -> Result<bool, TableError> {
        let expires = of.closes + Delivery::KEPT;
        let item = DeliveryItem {
            delivery: of.clone(),
            due_shard: keys::DELIVERIES_SHARD.into(),
            next_due: of.closes,
            closed: None,
            expires,
        };
        let put =
            self.client.put_item().table_name(&self.name).set_item(Some(write_item(keys::delivery(&of.id), &item)?));
        let put = put.condition_expression("attribute_not_exists(pk) OR next_due < :never");
        match put.expression_attribute_values(":never", AttributeValue::N(NEVER.to_string())).send().await {
            Ok(_) => {}
            Err(error) if is_condition(&error) => return Ok(false),
            Err(error) => return Err(failed("written", error)),
        }
        let mut largest: Vec<(&String, &u32)> = sent.iter().collect();
        largest.sort_by_key(|(domain, sent)| (std::cmp::Reverse(**sent), *domain));
        largest.truncate(limits::DELIVERY_KEPT_DOMAINS);
        let sent = largest.into_iter().map(|(domain, sent)| (domain.clone(), *sent)).collect();
        let item = write_item(keys::sent_per_domain(&of.id), &Domains { sent, expires })?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(|_| true).map_err(|error| failed("written", error))
    }

    /// One delivery.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryItem>, TableError> {
        self.get(keys::delivery(id)).await
    }

    /// Deliveries whose time has come and that are not closed yet.
    pub async fn deliveries_due(&self, now: Timestamp) -> Result<Vec<DeliveryItem>, TableError> {
        let values = Item::from([
            (":shard".into(), AttributeValue::S(keys::DELIVERIES_SHARD.into())),
            (":end".into(), AttributeValue::N((now.as_second() + 1).to_string())),
        ]);
        self.query_index(keys::DUE_INDEX, "due_shard = :shard AND next_due < :end", values, None, false).await
    }

    /// Closes a delivery as it was read, once; `false` where it is closed, or was told otherwise meanwhile.
    pub async fn close_delivery(&self, item: &DeliveryItem) -> Result<bool, TableError> {
        self.will(Change::Delivery(item)).await?;
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::delivery(&item.delivery.id).into_item()))
            .update_expression("SET closed = :closed, next_due = :never")
            .condition_expression("delivery = :read AND next_due = :due")
            .expression_attribute_values(":closed", attribute(&item.closed)?)
            .expression_attribute_values(":read", attribute(&item.delivery)?)
            .expression_attribute_values(":due", AttributeValue::N(item.next_due.to_string()))
            .expression_attribute_values(":never", AttributeValue::N(NEVER.to_string()));
        applied(update).await
    }

    /// Some deliveries by name, behind the one of a name.
    pub async fn deliveries(&self, after: Option<&DeliveryId>, limit: usize) -> Result<Vec<DeliveryItem>, TableError> {
        let query = self
            .client
            .query()
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(keys::DELIVERIES.into()))
            .set_exclusive_start_key(after.map(|id| keys::delivery(id).into_item()));
        self.pages(query, Some(limit)).await?.into_iter().map(read_item).collect()
    }

    /// Remembers whom mail was sent to, by the hash of what it is known by. Told again it changes nothing.
    pub async fn put_sent(
        &self,
        of: &DeliveryId,
        mail: BTreeSet<(String, AddressKey)>,
        expires: i64,
    ) -> Result<(), TableError> {
        let item = SentItem { delivery: of.clone(), expires };
        let puts: Vec<WriteRequest> = mail
            .into_iter()
            .map(|(mark, to)| {
                let put = PutRequest::builder().set_item(Some(write_item(keys::sent(&mark, &to), &item)?)).build();
                let put = put.map_err(|error| TableError::Shape(error.to_string()))?;
                Ok(WriteRequest::builder().put_request(put).build())
            })
            .collect::<Result<_, TableError>>()?;
        let mut batches = Vec::new();
        for batch in puts.chunks(BATCH) {
            batches.push(self.write_batch(batch.to_vec()));
        }
        stream::iter(batches).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn write_batch(&self, mut batch: Vec<WriteRequest>) -> Result<(), TableError> {
        // What the service leaves unprocessed is written again; a whole batch left is its way to say "slower".
        for attempt in 0..8u32 {
            let write = self.client.batch_write_item().request_items(&self.name, batch).send();
            let answer = Box::pin(write).await.map_err(|error| failed("written", error))?;
            batch = answer.unprocessed_items.and_then(|mut left| left.remove(&self.name)).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        Err(TableError::Service { doing: "written", said: "items were left unprocessed eight times".into() })
    }

    /// Whom mail was sent to that is known by a hash at a time, in seconds since 1970: what time cleans up may be there a while
    /// longer, and is not believed then.
    pub async fn sent(&self, mark: &str, now: i64) -> Result<Option<Sent>, TableError> {
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :to)")
            .expression_attribute_values(":pk", AttributeValue::S(keys::marked(mark)))
            .expression_attribute_values(":to", AttributeValue::S(keys::TO.into()))
            .limit(SENT)
            .send()
            .await
            .map_err(|error| failed("read", error))?;
        let expires = |item: &Item| item.get(keys::EXPIRES)?.as_n().ok()?.parse::<i64>().ok();
        let mut items = page.items.unwrap_or_default();
        items.retain(|item| expires(item).is_some_and(|expires| expires > now));
        let only = items.len() == 1 && page.last_evaluated_key.is_none();
        let Some(first) = items.into_iter().next() else { return Ok(None) };
        let to = first.get(keys::SK).and_then(|sk| sk.as_s().ok()).and_then(|sk| sk.strip_prefix(keys::TO));
        let address = to.filter(|_| only).and_then(|to| to.parse().ok());
        Ok(Some(Sent { delivery: read_item::<SentItem>(first)?.delivery, address }))
    }

    /// Adds to what came back of a delivery. The same set again changes nothing.
    pub async fn add_came(&self, of: &Delivery, came: &BTreeSet<Came>) -> Result<(), TableError> {
        let all: Vec<String> = came.iter().map(Came::to_string).collect();
        for some in all.chunks(limits::CAME_IN_ITEM) {
            let mut name = sha256_hex(some.join("\n").as_bytes());
            name.truncate(24);
            let item = CameItem { came: some.to_vec(), expires: of.closes + Delivery::KEPT };
            let item = write_item(keys::came(&of.id, &name), &item)?;
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
            put.send().await.map_err(|error| failed("written", error))?;
        }
        Ok(())
    }

    /// What came back of a delivery until now.
    pub async fn tally(&self, of: &Delivery) -> Result<Tally, TableError> {
        let domains: Option<Domains> = self.get(keys::sent_per_domain(&of.id)).await?;
        let sets: Vec<CameItem> = self.query_partition(keys::of_delivery(&of.id), keys::CAME).await?;
        let came = sets.iter().flat_map(|set| &set.came).filter_map(|text| Came::read(text));
        Ok(tally(of.sent, &domains.map(|domains| domains.sent).unwrap_or_default(), came))
    }
}

/// What came back of a person, taken out of a set; whether anything did.
pub(super) fn erase(item: &mut Item, pk: &str, person: &AddressKey) -> bool {
    let Some(Ok(id)) = pk.strip_prefix(keys::OF_DELIVERY).map(str::parse) else { return false };
    let who = Came::who(&id, person);
    let Some(AttributeValue::L(came)) = item.get_mut("came") else { return false };
    let before = came.len();
    came.retain(|one| !one.as_s().is_ok_and(|text| Came::read(text).is_some_and(|came| came.who == who)));
    came.len() < before
}
