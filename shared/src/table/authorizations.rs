//! Authorizations under way: used once, with their result.

use super::{Item, Table, TableError, attribute, failed, is_condition, keys, read_item, unique, write_item};
use crate::account::{AccountId, AppId};
use crate::oauth::Pending;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How an authorization ended, as the result page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the mailbox is connected, or consent given.
    pub connected: bool,
    /// Who signed in, or the directory that consented, as far as it came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The advice, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What the other side said, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What an authorization is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sought {
    /// A person connects an account.
    Account {
        /// Which.
        account: AccountId,
        /// The number of its connection when it was started.
        connection: u64,
    },
    /// An administrator consents to an app for a whole directory.
    Consent {
        /// Which.
        app: AppId,
    },
}

/// An authorization that somebody started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// What it is for.
    pub sought: Sought,
    /// SHA-256 of the cookie of the browser that started it.
    pub cookie_hash: String,
    /// Seconds since 1970.
    pub expires: i64,
    /// Whether its answer came.
    pub used: bool,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Who may act on an authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The caller, and nobody else ever.
    Yours,
    /// Somebody came first.
    Used,
}

impl Authorization {
    /// Seconds that a person has to sign in.
    pub const LIFE_SECONDS: i64 = 3_600;
    /// Seconds that the result page still answers a reload.
    const RESULT_SECONDS: i64 = 3_600;

    /// Seconds after which an answer that was taken and came to no end never will: whoever took it is gone.
    const HANDLING_SECONDS: i64 = 120;

    /// Whether its answer was taken by a process that ended in the middle.
    pub fn broke_off(&self, now: Timestamp) -> bool {
        // The claim moved the end to where the result is forgotten.
        let claimed = self.expires - Self::RESULT_SECONDS;
        self.used && self.outcome.is_none() && now.as_second() >= claimed + Self::HANDLING_SECONDS
    }

    /// One that begins now, in the browser that holds the cookie of `pending`.
    pub fn new(sought: Sought, pending: &Pending, now: Timestamp) -> Self {
        let expires = now.as_second() + Self::LIFE_SECONDS;
        Self { sought, cookie_hash: pending.cookie_hash(), expires, used: false, outcome: None }
    }
}

impl Table {
    /// Writes down that somebody started to connect an account.
    pub async fn start_authorization(&self, id: &str, authorization: &Authorization) -> Result<(), TableError> {
        let item = write_item(keys::authorization(id), authorization)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)").send();
        put.await.map(|_| ()).map_err(|error| failed("written", error))
    }

    /// An authorization by the hash of its state, unless its time has passed: TTL only cleans up, late.
    pub async fn authorization(&self, id: &str, now: Timestamp) -> Result<Option<Authorization>, TableError> {
        let found: Option<Authorization> = self.get(keys::authorization(id)).await?;
        Ok(found.filter(|found| now.as_second() < found.expires))
    }

    /// Marks an authorization used: of any number of callers exactly one is told that it is theirs, also when the answer
    /// was lost and the client asks again.
    pub async fn claim_authorization(&self, id: &str, now: Timestamp) -> Result<Claim, TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::authorization(id).into_item()))
            .update_expression("SET used = :yes, expires = :end, used_by = :name")
            .condition_expression("(used = :no OR used_by = :name) AND expires > :now")
            .set_expression_attribute_values(Some(Item::from([
                (":name".into(), AttributeValue::S(unique()?)),
                (":yes".into(), AttributeValue::Bool(true)),
                (":no".into(), AttributeValue::Bool(false)),
                (":now".into(), AttributeValue::N(now.as_second().to_string())),
                (":end".into(), AttributeValue::N((now.as_second() + Authorization::RESULT_SECONDS).to_string())),
            ])))
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(answer) => read_item::<Authorization>(answer.attributes.unwrap_or_default()).map(|_| Claim::Yours),
            Err(error) if is_condition(&error) => Ok(Claim::Used),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Writes down how an authorization ended.
    pub async fn end_authorization(&self, id: &str, outcome: &Outcome) -> Result<(), TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::authorization(id).into_item()))
            .update_expression("SET outcome = :outcome")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":outcome", attribute(outcome)?);
        update.send().await.map(|_| ()).map_err(|error| failed("written", error))
    }
}
