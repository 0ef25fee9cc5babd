//! Endpoints: who is told, how that goes, and when the next try is.

use super::accounts::{NEVER, applied};
use super::{Item, Table, TableError, attribute, failed, is_condition, keys, read_item, unique, write_item};
use crate::account::EndpointId;
use crate::events::Endpoint;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How it goes with an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// It takes what it is told.
    #[default]
    Active,
    /// It failed, and is tried again.
    Retrying,
    /// It said that it is gone (410): what it would be told is kept until the operator acts.
    Gone,
}

impl EndpointState {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retrying => "retrying",
            Self::Gone => "gone",
        }
    }
}

/// The same with since when and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointHealth {
    /// How it goes.
    pub state: EndpointState,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// What it answered last, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Tries in a row that failed.
    #[serde(default)]
    pub failures: u32,
}

/// An endpoint as the table keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointItem {
    /// The operator's settings.
    pub settings: Endpoint,
    /// How it goes.
    pub health: EndpointHealth,
    /// Whether anything is kept for it: then what is new is kept behind that.
    #[serde(default)]
    pub held: bool,
    /// How often something was put with what is kept.
    #[serde(default)]
    pub parked: u64,
    /// Not before that, in seconds since 1970.
    #[serde(default)]
    pub retry_at: i64,
    /// The shard of the index of what is due.
    pub due_shard: String,
    /// When it is tried next; never, where nothing is kept.
    pub next_due: i64,
}

impl EndpointItem {
    /// When an endpoint is due that waits for the operator.
    pub const NEVER: i64 = NEVER;

    /// A new endpoint.
    pub fn new(settings: Endpoint, now: Timestamp) -> Self {
        Self {
            settings,
            health: EndpointHealth { since: now.as_second(), ..EndpointHealth::default() },
            held: false,
            parked: 0,
            retry_at: 0,
            due_shard: keys::ENDPOINTS_SHARD.into(),
            next_due: NEVER,
        }
    }
}

impl Table {
    /// Adds an endpoint; `false` when the name is taken.
    pub async fn add_endpoint(&self, item: &EndpointItem) -> Result<bool, TableError> {
        let put = self.client.put_item().table_name(&self.name);
        let put = put.set_item(Some(write_item(keys::endpoint(&item.settings.id), item)?));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// All endpoints, by name.
    pub async fn endpoints(&self) -> Result<Vec<EndpointItem>, TableError> {
        self.query_partition(keys::ENDPOINTS.into(), "ENDPOINT#").await
    }

    /// One endpoint.
    pub async fn endpoint(&self, id: &EndpointId) -> Result<Option<EndpointItem>, TableError> {
        self.get(keys::endpoint(id)).await
    }

    /// Removes an endpoint; `false` when there is none. What is kept for it goes by its time to live.
    pub async fn remove_endpoint(&self, id: &EndpointId) -> Result<bool, TableError> {
        self.delete(keys::endpoint(id)).await
    }

    /// Endpoints that something is kept for and whose time has come.
    pub async fn endpoints_due(&self, now: Timestamp) -> Result<Vec<EndpointItem>, TableError> {
        let values = Item::from([
            (":shard".into(), AttributeValue::S(keys::ENDPOINTS_SHARD.into())),
            (":end".into(), AttributeValue::N((now.as_second() + 1).to_string())),
        ]);
        self.query_index(keys::DUE_INDEX, "due_shard = :shard AND next_due < :end", values, None, false).await
    }

    /// Writes an endpoint's settings, and begins anew with it: it is tried at once. `false` when there is none.
    pub async fn set_endpoint(&self, settings: &Endpoint, now: Timestamp) -> Result<bool, TableError> {
        let health = EndpointHealth { since: now.as_second(), ..EndpointHealth::default() };
        let update = self
            .update_endpoint(&settings.id)
            .update_expression("SET settings = :settings, health = :health, retry_at = :zero, next_due = :now, held = :held ADD parked :one")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":settings", attribute(settings)?)
            .expression_attribute_values(":health", attribute(&health)?)
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":held", AttributeValue::Bool(true))
            .expression_attribute_values(":now", number(now.as_second()));
        applied(update).await
    }

    /// Says that something is kept for an endpoint, after it was put there: it is tried at `next_due`, or when it was to
    /// be tried already.
    pub async fn hold_endpoint(
        &self,
        id: &EndpointId,
        next_due: i64,
        health: Option<&EndpointHealth>,
    ) -> Result<(), TableError> {
        let more = self
            .update_endpoint(id)
            .update_expression("ADD parked :one")
            .condition_expression("held = :held")
            .expression_attribute_values(":held", AttributeValue::Bool(true))
            .expression_attribute_values(":one", number(1));
        if applied(more).await? {
            return Ok(());
        }
        let mut set = "SET held = :held, next_due = :due, retry_at = :due".to_owned();
        let mut first = self
            .update_endpoint(id)
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":held", AttributeValue::Bool(true))
            .expression_attribute_values(":due", number(next_due))
            .expression_attribute_values(":one", number(1));
        if let Some(health) = health {
            set += ", health = :health";
            first = first.expression_attribute_values(":health", attribute(health)?);
        }
        applied(first.update_expression(set + " ADD parked :one")).await.map(|_| ())
    }

    /// Takes the right to tell an endpoint what is kept for it, for `seconds` at most, so that no two do and mix what
    /// they tell; none when somebody else has it, or there is no such endpoint.
    pub async fn take_endpoint(
        &self,
        id: &EndpointId,
        now: Timestamp,
        seconds: i64,
    ) -> Result<Option<(EndpointItem, String)>, TableError> {
        let name = unique()?;
        let update = self
            .update_endpoint(id)
            .update_expression("SET drain_until = :until, drain_name = :name")
            .condition_expression(
                "attribute_exists(pk) AND \
                 (attribute_not_exists(drain_until) OR drain_until <= :now OR drain_name = :name)",
            )
            .expression_attribute_values(":name", AttributeValue::S(name.clone()))
            .expression_attribute_values(":until", number(now.as_second() + seconds))
            .expression_attribute_values(":now", number(now.as_second()))
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(answer) => Ok(Some((read_item(answer.attributes.unwrap_or_default())?, name))),
            Err(error) if is_condition(&error) => Ok(None),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Gives the right back. `next_due` is none where nothing was left; if more was put meanwhile (`parked` is not what
    /// it was), it is due at `now`.
    pub async fn give_endpoint(
        &self,
        item: &EndpointItem,
        name: &str,
        next_due: Option<i64>,
        health: &EndpointHealth,
        now: Timestamp,
    ) -> Result<(), TableError> {
        let give = |held: bool, due: i64, retry_at: i64| {
            Ok::<_, TableError>(
                self.update_endpoint(&item.settings.id)
                    .update_expression(
                        "SET held = :held, next_due = :due, retry_at = :retry, health = :health \
                         REMOVE drain_until, drain_name",
                    )
                    .expression_attribute_values(":held", AttributeValue::Bool(held))
                    .expression_attribute_values(":due", number(due))
                    .expression_attribute_values(":retry", number(retry_at))
                    .expression_attribute_values(":health", attribute(health)?)
                    .expression_attribute_values(":name", AttributeValue::S(name.to_owned())),
            )
        };
        if next_due.is_none() {
            let emptied = give(false, NEVER, 0)?
                .condition_expression("drain_name = :name AND parked = :parked")
                .expression_attribute_values(":parked", AttributeValue::N(item.parked.to_string()));
            if applied(emptied).await? {
                return Ok(());
            }
        }
        let due = next_due.unwrap_or(now.as_second());
        applied(give(true, due, due)?.condition_expression("drain_name = :name")).await.map(|_| ())
    }

    fn update_endpoint(&self, id: &EndpointId) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).set_key(Some(keys::endpoint(id).into_item()))
    }
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
