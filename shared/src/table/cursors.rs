//! How far a folder was read.

use super::{Folder, Table, TableError, failed, is_condition, keys, write_item};
use crate::account::AccountId;
use crate::cursor::{self, Position};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// How far a folder was read, and under which lease that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How far.
    #[serde(flatten)]
    pub position: Position,
    /// Further items that hold the older part of a POP3 position.
    #[serde(default, skip_serializing_if = "is_zero")]
    pieces: usize,
    /// Number of the lease.
    pub fence: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Hashes that were read before those in the cursor's own item.
#[derive(Serialize, Deserialize)]
struct Piece {
    #[serde(serialize_with = "cursor::write_hashes", deserialize_with = "cursor::read_hashes")]
    uidls: Vec<u64>,
    fence: u64,
}

/// Hashes in one item: 21 KB, which a poll with news pays for at most.
const PIECE: usize = 2_000;

impl Cursor {
    /// A position reached under the lease of this number.
    pub fn new(position: Position, fence: u64) -> Self {
        Self { position, pieces: 0, fence }
    }
}

impl Table {
    /// The cursor of a folder.
    pub async fn cursor(&self, id: &AccountId, folder: &Folder) -> Result<Option<Cursor>, TableError> {
        let Some(mut cursor) = self.get::<Cursor>(keys::cursor(id, folder, 0)).await? else { return Ok(None) };
        if let Position::Pop3(position) = &mut cursor.position {
            let pieces = (1..=cursor.pieces).map(|number| self.get::<Piece>(keys::cursor(id, folder, number)));
            let mut older: Vec<u64> = Vec::new();
            for piece in futures::future::try_join_all(pieces).await? {
                // Without a piece its messages are read again, and known.
                older.extend(piece.map(|piece| piece.uidls).unwrap_or_default());
            }
            position.uidls.splice(0..0, older);
        }
        cursor.pieces = 0;
        Ok(Some(cursor))
    }

    /// Moves a cursor from where it stood `before`; `false` when it was written under a later lease. Of a POP3 position
    /// only what is new goes over the wire: full pieces are written once, before the item that names them.
    pub async fn move_cursor(
        &self,
        id: &AccountId,
        folder: &Folder,
        before: Option<&Position>,
        cursor: &Cursor,
    ) -> Result<bool, TableError> {
        let mut head = cursor.clone();
        if let Position::Pop3(position) = &mut head.position {
            let before = match before {
                Some(Position::Pop3(before)) => before.uidls.chunks_exact(PIECE).collect(),
                _ => vec![],
            };
            let last = position.uidls.len() / PIECE * PIECE;
            let tail = position.uidls.split_off(last);
            for (number, uidls) in position.uidls.chunks_exact(PIECE).enumerate() {
                if before.get(number) == Some(&uidls) {
                    continue;
                }
                let piece = Piece { uidls: uidls.to_vec(), fence: cursor.fence };
                if !self.put_cursor(keys::cursor(id, folder, number + 1), &piece, cursor.fence).await? {
                    return Ok(false);
                }
            }
            head.pieces = last / PIECE;
            position.uidls = tail;
        }
        self.put_cursor(keys::cursor(id, folder, 0), &head, cursor.fence).await
    }

    async fn put_cursor<T: Serialize>(&self, key: keys::Key, value: &T, fence: u64) -> Result<bool, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(key, value)?))
            .condition_expression("attribute_not_exists(pk) OR fence <= :fence")
            .expression_attribute_values(":fence", AttributeValue::N(fence.to_string()))
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
        let cursor = Cursor::new(Position::Imap(imap), 4);
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
        let pop3 = cursor::Pop3Position { since: 5, uidls: vec![1, u64::MAX] };
        let cursor = Cursor::new(Position::Pop3(pop3), 4);
        let item: super::super::Item = serde_dynamo::to_item(&cursor).unwrap();
        assert_eq!(item["uidls"], AttributeValue::S("AAAAAAAAAAH//////////w==".into()));
        assert_eq!(super::super::read_item::<Cursor>(item).unwrap(), cursor);
        assert!(super::super::read_item::<Cursor>([("fence".to_owned(), number("4"))].into()).is_err());
    }
}
