//! How far a folder was read.

use super::{Folder, Table, TableError, failed, is_condition, keys, write_item};
use crate::account::AccountId;
use crate::cursor::Position;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// How far a folder was read, and under which lease that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How far.
    #[serde(flatten)]
    pub position: Position,
    /// Number of the lease.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cursor::ImapPosition;

    #[test]
    fn cursors_of_every_engine_and_of_the_first_version_are_read() {
        let imap = ImapPosition {
            uid_validity: 7,
            uid_next: 12,
            first: 1,
            old_below: 3,
            since: 1_700_000_000,
            highest: 11,
            recent: vec![10, 11],
        };
        let cursor = Cursor { position: Position::Imap(imap), fence: 4 };
        let item: super::super::Item = serde_dynamo::to_item(&cursor).unwrap();
        // The form of the first version: all in one, and without what was added since.
        let number = |number: &str| AttributeValue::N(number.to_owned());
        let mut first = super::super::Item::from([
            ("uid_validity".to_owned(), number("7")),
            ("uid_next".to_owned(), number("12")),
            ("first".to_owned(), number("1")),
            ("old_below".to_owned(), number("3")),
            ("since".to_owned(), number("1700000000")),
            ("highest".to_owned(), number("11")),
            ("recent".to_owned(), AttributeValue::L(vec![number("10"), number("11")])),
            ("fence".to_owned(), number("4")),
        ]);
        assert_eq!(item, first);
        first.extend([("pk".to_owned(), AttributeValue::S("ACCOUNT#a".into()))]);
        assert_eq!(super::super::read_item::<Cursor>(first).unwrap(), cursor);
        assert!(super::super::read_item::<Cursor>([("fence".to_owned(), number("4"))].into()).is_err());
    }
}
