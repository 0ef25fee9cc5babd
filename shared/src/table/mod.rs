//! The one table: DynamoDB, on AWS or embedded on one machine. All keys in [`keys`], one file for each kind of item.

mod accounts;
mod api_keys;
mod apps;
mod audit;
mod authorizations;
mod cursors;
mod deliveries;
mod endpoints;
mod erase;
mod forwards;
mod incidents;
mod instances;
mod keys;
mod lists;
mod outbox;
mod reports;
mod routes;
mod rules;
mod schema;
mod standings;
mod witness;

pub use accounts::{AccountItem, Busy, LastPoll, Lease, Warned};
pub use api_keys::{ApiKey, NewKey, Scope};
pub use audit::{AuditEntry, AuditEvent, By, log_health};
pub use authorizations::{Authorization, Claim, Outcome as AuthorizationOutcome, Sought};
pub use cursors::Cursor;
pub use deliveries::{DeliveryItem, Sent};
pub use endpoints::{EndpointHealth, EndpointItem, EndpointState};
pub use erase::Erased;
pub use forwards::{Forwarded, Forwards, Waiting};
pub use keys::Folder;
pub use outbox::{Kept, KeptEvent};
pub use reports::{Fact, FactPage, Pointer, Recorded, Spot};
pub use rules::UnknownText;
pub use standings::{Page, StandingItem};
pub use witness::{Change, Witness};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;

/// An item as the SDK knows it.
type Item = HashMap<String, AttributeValue>;

/// The table could not do its job: our own fault, worth another try later.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not reached, throttled, refused.
    #[error("the table could not be {doing}: {said}")]
    Service {
        /// What was being done: `read`, `written`, …
        doing: &'static str,
        /// The SDK's words; items are never part of them.
        said: String,
    },
    /// An item that is not what this version writes.
    #[error("an item of the table cannot be understood ({0}): it was written by another version, or by hand")]
    Shape(String),
}

/// The table.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
    witness: Option<Witness>,
}

impl Table {
    /// A table by its client and name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into(), witness: None }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, key: keys::Key) -> Result<Option<T>, TableError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.into_item()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("read", error))?;
        answer.item.map(read_item).transpose()
    }

    /// Every item of a partition whose sort key begins so, understood.
    async fn query_partition<T: serde::de::DeserializeOwned>(
        &self,
        pk: String,
        prefix: &'static str,
    ) -> Result<Vec<T>, TableError> {
        let query = self
            .client
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.into()))
            .consistent_read(true);
        self.pages(query, None).await?.into_iter().map(read_item).collect()
    }

    async fn delete(&self, key: keys::Key) -> Result<bool, TableError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key.into_item()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| failed("written", error))?;
        Ok(answer.attributes.is_some_and(|item| !item.is_empty()))
    }

    /// Every item of a partition of an index, understood.
    async fn query_index<T: serde::de::DeserializeOwned>(
        &self,
        index: &'static str,
        condition: &'static str,
        values: Item,
        limit: Option<usize>,
        newest_first: bool,
    ) -> Result<Vec<T>, TableError> {
        let items = self.query_items(index, condition, values, limit, newest_first).await?;
        items.into_iter().map(read_item).collect()
    }

    /// Every item of a partition of an index, page by page.
    async fn query_items(
        &self,
        index: &'static str,
        condition: &'static str,
        values: Item,
        limit: Option<usize>,
        newest_first: bool,
    ) -> Result<Vec<Item>, TableError> {
        let query = self
            .client
            .query()
            .index_name(index)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(!newest_first);
        self.pages(query, limit).await
    }

    /// All that a query finds from where it starts, or `limit` of it, page by page.
    async fn pages(&self, query: QueryFluentBuilder, limit: Option<usize>) -> Result<Vec<Item>, TableError> {
        let query = query.table_name(&self.name);
        let mut found = Vec::new();
        let mut from = query.get_exclusive_start_key().clone();
        loop {
            let left = limit.map(|limit| i32::try_from(limit - found.len()).unwrap_or(i32::MAX));
            // Boxed: the SDK's future is deep enough for the compiler to give up on what is built around it.
            let page = Box::pin(query.clone().set_limit(left).set_exclusive_start_key(from).send()).await;
            let page = page.map_err(|error| failed("read", error))?;
            found.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() || limit.is_some_and(|limit| found.len() >= limit) {
                return Ok(found);
            }
        }
    }
}

/// A name that no other call has.
fn unique() -> Result<String, TableError> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| TableError::Service { doing: "written", said: "no random bytes to be had".to_owned() })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read_item<T: serde::de::DeserializeOwned>(item: Item) -> Result<T, TableError> {
    serde_dynamo::from_item(item).map_err(|error| TableError::Shape(error.to_string()))
}

fn write_item<T: serde::Serialize>(key: keys::Key, value: &T) -> Result<Item, TableError> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(|error| TableError::Shape(error.to_string()))?;
    item.extend(key.into_item());
    Ok(item)
}

fn attribute<T: serde::Serialize>(value: &T) -> Result<AttributeValue, TableError> {
    serde_dynamo::to_attribute_value(value).map_err(|error| TableError::Shape(error.to_string()))
}

fn failed<E, R>(doing: &'static str, error: SdkError<E, R>) -> TableError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    // DisplayErrorContext would print the raw response, and with it items; the code and the message are enough.
    let said = match error.as_service_error() {
        Some(service) => format!("{}: {}", service.code().unwrap_or("?"), service.message().unwrap_or("no message")),
        None => without_response(&error),
    };
    TableError::Service { doing, said: said.chars().take(500).collect() }
}

fn without_response<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error {
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().map_or("not sent".to_owned(), |e| DisplayErrorContext(e).to_string())
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::ResponseError(_) => "an answer that is no answer".to_owned(),
        SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
        _ => "an unknown failure".to_owned(),
    }
}

/// Whether a conditional write was refused by its condition.
fn is_condition<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ConditionalCheckFailedException")
}
