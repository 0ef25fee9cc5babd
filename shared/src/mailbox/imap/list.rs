//! What is in the folder: UIDs, sizes, arrivals.

use super::super::fault::Asked;
use super::super::{FaultKind, MailboxFault};
use super::Imap;
use super::answer::{Answer, Fetch, arrival};
use super::command::{SET_BYTES, sets};
use crate::limits;

/// UIDs of the first piece of a long listing.
const PIECE: u32 = 20_000;

/// A message that is in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its UID, never 0.
    pub uid: u32,
    /// Its place in the folder (RFC 9051 §2.3.1.2), from 1, when it was listed.
    pub sequence: u32,
    /// Its size in bytes, as the server says: Exchange's is an estimate.
    pub size: u32,
    /// When it arrived (INTERNALDATE), where the server says so rightly.
    pub arrival: Option<jiff::Timestamp>,
}

impl Imap {
    /// The messages from `first_uid` on, ascending; at most [`limits::LISTED_MESSAGES`], the lowest ones.
    pub async fn list_from(&mut self, first_uid: u32) -> Result<Vec<Listed>, MailboxFault> {
        let first = first_uid.max(1);
        let mut listed = Vec::new();
        if self.exists > 0 {
            // A folder that holds more is asked piece by piece, further each time where UIDs are few: of all of it at once a
            // server may have the sizes to find, and no run would come to its first message.
            let many = usize::try_from(self.exists).is_ok_and(|exists| exists > limits::LISTED_MESSAGES);
            let end = self.uid_next.filter(|_| many).unwrap_or(0);
            let (mut from, mut width) = (first, PIECE);
            while listed.len() < limits::LISTED_MESSAGES
                && let Some(next) = from.checked_add(width).filter(|next| *next < end)
            {
                self.list(&format!("{from}:{}", next - 1), &mut listed).await?;
                (from, width) = (next, width.saturating_mul(2));
            }
            if listed.len() < limits::LISTED_MESSAGES {
                self.list(&format!("{from}:*"), &mut listed).await?;
            }
        }
        // `n:*` always names the last message, also where it is below n (RFC 9051 §9, seq-range).
        listed.retain(|message| message.uid >= first);
        Ok(lowest(listed))
    }

    /// The messages that arrived on `day`, in the server's time zone, or later; ascending, bounded as above.
    pub async fn list_since(&mut self, day: jiff::civil::Date) -> Result<Vec<Listed>, MailboxFault> {
        if self.exists == 0 {
            return Ok(vec![]);
        }
        let mut uids = Vec::new();
        let tag = self.send(&format!("UID SEARCH SINCE {}", day.strftime("%-d-%b-%Y"))).await?;
        self.finish(&tag, Asked::Command("UID SEARCH"), |answer| match answer {
            Answer::Search(found) => {
                uids.extend_from_slice(found);
                if uids.len() > limits::FOUND_MESSAGES {
                    return Err(FaultKind::Limit("more search results than we take"));
                }
                Ok(false)
            }
            _ => Ok(false),
        })
        .await?;
        uids.sort_unstable();
        uids.dedup();
        uids.truncate(limits::LISTED_MESSAGES);
        let mut listed = Vec::new();
        for (_, set) in sets(&uids, SET_BYTES) {
            self.list(&set, &mut listed).await?;
        }
        listed.retain(|message| uids.binary_search(&message.uid).is_ok());
        Ok(lowest(listed))
    }

    async fn list(&mut self, set: &str, listed: &mut Vec<Listed>) -> Result<(), MailboxFault> {
        let tag = self.send(&format!("UID FETCH {set} (UID RFC822.SIZE INTERNALDATE)")).await?;
        self.finish(&tag, Asked::Command("UID FETCH"), |answer| {
            let Answer::Fetch(Fetch { sequence, uid: Some(uid @ 1..), size, arrival: date, .. }) = answer else {
                return Ok(false);
            };
            if size.is_none() && date.is_none() {
                // Somebody changed a flag.
                return Ok(false);
            }
            // A size that the server does not know must not hide the message.
            let size = size.unwrap_or(u32::MAX);
            listed.push(Listed { uid: *uid, sequence: *sequence, size, arrival: date.and_then(arrival) });
            if listed.len() >= 2 * limits::LISTED_MESSAGES {
                *listed = lowest(std::mem::take(listed));
            }
            Ok(true)
        })
        .await?;
        Ok(())
    }
}

fn lowest(mut listed: Vec<Listed>) -> Vec<Listed> {
    listed.sort_unstable_by_key(|message| message.uid);
    listed.dedup_by_key(|message| message.uid);
    listed.truncate(limits::LISTED_MESSAGES);
    listed
}
