//! What waits to be forwarded, in one item of its account; and for each message that was forwarded, that it was.

use super::{Table, TableError, failed, is_condition, keys, write_item};
use crate::account::AccountId;
use crate::cursor::Reference;
use crate::report::Kind;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// What waits to be forwarded of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwards {
    /// The day that `sent` is about, in days since 1970.
    pub day: i64,
    /// Messages handed to the server on that day.
    pub sent: u32,
    /// The messages, those that came first in front.
    pub waiting: Vec<Waiting>,
    /// Number of the lease under which it was written.
    pub fence: u64,
}

/// A message that waits. It is still in the mailbox, where it can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its fact's key.
    pub key: String,
    /// Its folder.
    pub folder: String,
    /// The UIDVALIDITY that the reference belongs to; 0 where there is none.
    pub validity: u32,
    /// What the server calls it there.
    pub reference: Reference,
    /// Its size, as it was listed.
    pub size: u32,
    /// What it is.
    pub kind: Kind,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
    /// Since when it waits, in seconds since 1970.
    pub since: i64,
    /// How often it was handed to the server without our knowing how that ended.
    pub unknown: u8,
    /// What was in the way last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// What that means and who must act: an advice by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// That a message was forwarded, or will not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Why it was not; none where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<String>,
    /// Time to live, in seconds since 1970.
    pub expires: i64,
}

impl Table {
    /// What waits to be forwarded of an account.
    pub async fn forwards(&self, id: &AccountId) -> Result<Forwards, TableError> {
        Ok(self.get(keys::forwards(id)).await?.unwrap_or_default())
    }

    /// Writes down what waits; `false` when it was written under a later lease.
    pub async fn put_forwards(&self, id: &AccountId, forwards: &Forwards) -> Result<bool, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(keys::forwards(id), forwards)?))
            .condition_expression("attribute_not_exists(pk) OR fence <= :fence")
            .expression_attribute_values(":fence", AttributeValue::N(forwards.fence.to_string()));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Whether a message was forwarded, or will not be.
    pub async fn forwarded(&self, id: &AccountId, key: &str) -> Result<Option<Forwarded>, TableError> {
        self.get(keys::forwarded(id, key)).await
    }

    /// Writes down that a message was forwarded, or will not be, for as long as facts are kept.
    pub async fn put_forwarded(
        &self,
        id: &AccountId,
        key: &str,
        at: i64,
        not: Option<String>,
    ) -> Result<(), TableError> {
        let item = write_item(keys::forwarded(id, key), &Forwarded { at, not, expires: at + Self::FACT_SECONDS })?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(|error| failed("written", error))
    }
}
