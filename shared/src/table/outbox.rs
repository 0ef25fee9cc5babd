//! Events that an endpoint was not told yet, and those that it could not be told: the queue of each endpoint. What was
//! told at once never comes here.

use super::{Item, Table, TableError, failed, is_condition, keys, read_item, write_item};
use crate::account::EndpointId;
use crate::events::Event;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// Seconds that an event is kept for an endpoint that nobody mends.
const KEPT_SECONDS: i64 = 90 * 86_400;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// To be told.
    Pending,
    /// Not told in three days: told again only when somebody says so.
    Dead,
}

impl Kept {
    fn prefix(self) -> &'static str {
        match self {
            Self::Pending => keys::PENDING,
            Self::Dead => keys::DEAD,
        }
    }
}

/// An event that is kept for an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptEvent {
    /// Its name among them: events of one subject stand together, in their order.
    pub name: String,
    /// What keeps the events of one subject together.
    pub group: String,
    /// The event, as JSON.
    pub event: String,
    /// Since when it is kept, in seconds since 1970.
    pub since: i64,
    /// Tries that failed while the endpoint took others.
    #[serde(default)]
    pub attempts: u32,
    /// Not before that, in seconds since 1970.
    #[serde(default)]
    pub retry_at: i64,
    /// What was answered last, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Time to live, in seconds since 1970.
    pub expires: i64,
}

impl KeptEvent {
    /// An event that is to be kept from `now` on (seconds since 1970).
    pub fn new(event: &Event, now: i64) -> Result<Self, TableError> {
        let group = event.group();
        Ok(Self {
            // The id behind the sequence: two events of one moment are two.
            name: format!("{group}#{}#{}", event.sequence, event.id),
            group,
            event: serde_json::to_string(event).map_err(|error| TableError::Shape(error.to_string()))?,
            since: now,
            attempts: 0,
            retry_at: 0,
            said: None,
            expires: now + KEPT_SECONDS,
        })
    }

    /// The event; none when another version wrote it and it cannot be read.
    pub fn read(&self) -> Option<Event> {
        serde_json::from_str(&self.event).ok()
    }
}

impl Table {
    /// Keeps an event for an endpoint, once; `false` when it is kept already.
    pub async fn keep_event(&self, of: &EndpointId, event: &KeptEvent) -> Result<bool, TableError> {
        let put = self.client.put_item().table_name(&self.name);
        let put = put.set_item(Some(write_item(keys::kept_event(of, keys::PENDING, &event.name), event)?));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Some of what is kept, after the one of a name, in their order.
    pub async fn kept_events(
        &self,
        of: &EndpointId,
        kept: Kept,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KeptEvent>, TableError> {
        let after = after.map(|name| keys::kept_event(of, kept.prefix(), name).into_item());
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(keys::kept_event(of, "", "").pk))
            .expression_attribute_values(":prefix", AttributeValue::S(kept.prefix().into()))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(after)
            .send()
            .await
            .map_err(|error| failed("read", error))?;
        page.items.unwrap_or_default().into_iter().map(read_item).collect()
    }

    /// An event was told: it is kept no longer.
    pub async fn drop_event(&self, of: &EndpointId, kept: Kept, event: &KeptEvent) -> Result<(), TableError> {
        self.delete(keys::kept_event(of, kept.prefix(), &event.name)).await.map(|_| ())
    }

    /// An event was refused while others were taken: it is tried again later.
    pub async fn postpone_event(&self, of: &EndpointId, event: &KeptEvent) -> Result<(), TableError> {
        let values = Item::from([
            (":attempts".to_owned(), AttributeValue::N(event.attempts.to_string())),
            (":retry".to_owned(), AttributeValue::N(event.retry_at.to_string())),
            (":said".to_owned(), AttributeValue::S(event.said.clone().unwrap_or_default())),
        ]);
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::kept_event(of, keys::PENDING, &event.name).into_item()))
            .update_expression("SET attempts = :attempts, retry_at = :retry, said = :said")
            .condition_expression("attribute_exists(pk)")
            .set_expression_attribute_values(Some(values));
        super::accounts::applied(update).await.map(|_| ())
    }

    /// An event could not be told in three days: a dead letter. Put first and taken away after, so that it is one or both.
    pub async fn bury_event(&self, of: &EndpointId, event: &KeptEvent) -> Result<(), TableError> {
        let item = write_item(keys::kept_event(of, keys::DEAD, &event.name), event)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map_err(|error| failed("written", error))?;
        self.drop_event(of, Kept::Pending, event).await
    }

    /// A dead letter is to be told after all: the other way round.
    pub async fn revive_event(&self, of: &EndpointId, event: &KeptEvent, now: i64) -> Result<(), TableError> {
        let fresh = KeptEvent {
            since: now,
            attempts: 0,
            retry_at: 0,
            said: None,
            expires: now + KEPT_SECONDS,
            ..event.clone()
        };
        self.keep_event(of, &fresh).await?;
        self.drop_event(of, Kept::Dead, event).await
    }
}
