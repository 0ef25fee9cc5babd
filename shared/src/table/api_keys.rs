//! Keys of the API: of each its hash alone, with what it may be used for.

use super::accounts::applied;
use super::{Table, TableError, failed, is_condition, keys, write_item};
use crate::account::KeyId;
use crate::oauth::sha256_hex;
use crate::secret::Secret;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What keys begin with, so that whoever finds one knows what it opens.
const PREFIX: &str = "rebond_";
/// Seconds that a key which was revoked is still listed.
const KEPT_SECONDS: i64 = 400 * 86_400;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Ask whether addresses may be written to.
    Check,
    /// Read what is on record: addresses, reports, accounts, incidents.
    Read,
    /// Decide: release, deny, quarantine.
    Write,
    /// Tell what was sent.
    Deliveries,
}

impl Scope {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Read => "read",
            Self::Write => "write",
            Self::Deliveries => "deliveries",
        }
    }
}

/// A key, as the table knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its name.
    pub id: KeyId,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Who made it.
    pub by: String,
    /// When, in seconds since 1970.
    pub made: i64,
    /// When it was revoked, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<i64>,
    /// SHA-256 of the key, in hexadecimal.
    pub hash: String,
}

/// A key that was just made: the only time that it is seen.
#[derive(Debug)]
pub struct NewKey {
    /// What the caller sends as `Authorization: Bearer`.
    pub secret: Secret,
    /// What the table keeps.
    pub key: ApiKey,
}

impl NewKey {
    /// A key of 256 random bits.
    pub fn new(id: KeyId, scopes: Vec<Scope>, by: &str, random: &[u8; 32], now: Timestamp) -> Self {
        let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        let hash = sha256_hex(text.as_bytes());
        let key = ApiKey { id, scopes, by: by.to_owned(), made: now.as_second(), revoked: None, hash };
        Self { secret: Secret::from(text), key }
    }
}

impl Table {
    /// Keeps a key that was just made.
    pub async fn add_api_key(&self, key: &ApiKey) -> Result<bool, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(keys::api_key(&key.hash), key)?))
            .condition_expression("attribute_not_exists(pk)");
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// The key that somebody sent, unless it was revoked. It is found by its hash, so that no time tells how much of a
    /// guess was right.
    pub async fn api_key(&self, sent: &str) -> Result<Option<ApiKey>, TableError> {
        if !sent.starts_with(PREFIX) {
            return Ok(None);
        }
        let found: Option<ApiKey> = self.get(keys::api_key(&sha256_hex(sent.as_bytes()))).await?;
        Ok(found.filter(|key| key.revoked.is_none()))
    }

    /// All keys, by name, with those that were revoked.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, TableError> {
        let mut all: Vec<ApiKey> = self.query_partition(keys::API_KEYS.into(), "KEY#").await?;
        all.sort_by(|a, b| (&a.id, a.made).cmp(&(&b.id, b.made)));
        Ok(all)
    }

    /// Revokes a key: from now on it opens nothing; it stays on the list for a time.
    pub async fn revoke_api_key(&self, key: &ApiKey, now: Timestamp) -> Result<bool, TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::api_key(&key.hash).into_item()))
            .update_expression("SET revoked = :now, expires = :expires")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(revoked)")
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()))
            .expression_attribute_values(":expires", AttributeValue::N((now.as_second() + KEPT_SECONDS).to_string()));
        applied(update).await
    }
}
