//! How far a folder was read.

use super::{Folder, Table, TableError, failed, is_condition, keys, write_item};
use crate::account::AccountId;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// How far a folder was read (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// When it changes, every UID means something else, and the folder is read anew.
    pub uid_validity: u32,
    /// UIDNEXT when everything below had been read: nothing is new while the server still says so.
    pub uid_next: u32,
    /// The first UID that is ours to read.
    pub first: u32,
    /// UIDs below this one were there at the first poll: of these, what arrived before `since` stays left out.
    #[serde(default)]
    pub old_below: u32,
    /// Seconds since 1970; 0 for everything.
    #[serde(default)]
    pub since: i64,
    /// The highest UID read.
    pub highest: u32,
    /// UIDs read within the re-scan window below `highest`: what is missing there came late.
    pub recent: Vec<u32>,
    /// Number of the lease it was written under.
    pub fence: u64,
}

impl Table {
    /// The cursor of a folder.
    pub async fn cursor(&self, id: &AccountId, folder: &Folder) -> Result<Option<Cursor>, TableError> {
        self.get(keys::cursor(id, folder)).await
    }

    /// Moves a cursor; `false` when it was written under a later lease.
    pub async fn move_cursor(&self, id: &AccountId, folder: &Folder, cursor: &Cursor) -> Result<bool, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(keys::cursor(id, folder), cursor)?))
            .condition_expression("attribute_not_exists(pk) OR fence <= :fence")
            .expression_attribute_values(":fence", AttributeValue::N(cursor.fence.to_string()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }
}
