//! IMAP as a [`Mailbox`]: the position in a folder by UIDVALIDITY, the highest UID read, and a window below it that is
//! looked at again.

use super::super::{FaultKind, Fetched, Mailbox, MailboxFault, Missed, Settled};
use super::{Folder, Imap, Listed};
use crate::account::{AfterReading, Since};
use crate::cursor::{ImapPosition, Position, Reference};
use crate::{limits, mailbox};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::HashSet;
use tokio::sync::mpsc::Sender;

/// Seconds of a day, and how far a time zone may be ahead.
const DAY: i64 = 86_400;
const ZONES: i64 = 14 * 3_600;
/// How far back is read again where UIDs lost their meaning and the account wanted new mail only.
const REREAD_DAYS: u16 = 30;

/// The reading of one folder.
pub(super) struct Reading {
    folder: Folder,
    /// None until the folder is listed.
    position: Option<ImapPosition>,
    /// Messages of the listing that are not behind yet.
    ahead: usize,
    /// Whether the listing holds all there is.
    whole: bool,
    /// Messages that come after the listing, as far as the folder's count tells.
    beyond: u32,
}

/// What was listed: of the position's own, in the order of the UIDs.
struct Listing {
    messages: Vec<Listed>,
    /// Where it ended, if it was cut.
    cut_after: Option<Listed>,
}

impl Reading {
    pub fn of(folder: Folder) -> Self {
        Self { folder, position: None, ahead: 0, whole: true, beyond: 0 }
    }

    /// Moves over UIDs that are done. While messages are ahead the highest may stand below UIDs that are still to come, so
    /// `uid_next` stays as it was until the listing is read whole; and where that was cut it stays, because an unchanged
    /// UIDNEXT ends the next run before it lists.
    fn advance(&mut self, done: &[u32]) {
        let Some(position) = &mut self.position else { return };
        self.ahead = self.ahead.saturating_sub(done.len());
        position.highest = done.iter().copied().max().unwrap_or(0).max(position.highest);
        let lowest = position.highest.saturating_sub(limits::RESCAN_UIDS);
        position.recent.extend(done);
        position.recent.retain(|uid| *uid >= lowest);
        position.recent.sort_unstable();
        position.recent.dedup();
        if self.ahead == 0 && self.whole {
            position.uid_next = self.folder.uid_next.unwrap_or_else(|| position.highest.saturating_add(1));
        }
    }
}

/// Where the first poll of a folder starts, and the first after its UIDs lost their meaning. In the latter `new` cannot
/// mean "from now on": what came since the last poll would be lost.
fn first_position(before: Option<&ImapPosition>, selected: &Folder, since: Since, now: Timestamp) -> ImapPosition {
    let now = now.as_second();
    let days_ago = |days: u16| (now / DAY - i64::from(days)) * DAY;
    let (first, since) = match (since, before, selected.uid_next) {
        (Since::All, ..) => (1, 0),
        (Since::Days(days), ..) => (0, days_ago(days)),
        (Since::New, None, next) => (next.unwrap_or(0), now),
        (Since::New, Some(before), _) => (0, before.since.max(days_ago(REREAD_DAYS))),
    };
    ImapPosition {
        uid_validity: selected.uid_validity,
        uid_next: 0,
        first,
        old_below: selected.uid_next.unwrap_or(0),
        since,
        highest: 0,
        recent: vec![],
    }
}

impl Imap {
    /// What the position has not seen.
    async fn list_after(&mut self, position: &ImapPosition) -> Result<Listing, MailboxFault> {
        let mut listed = if position.first > 0 {
            self.list_from(position.highest.saturating_sub(limits::RESCAN_UIDS).max(position.first)).await?
        } else {
            let since = Timestamp::from_second(position.since).unwrap_or(Timestamp::UNIX_EPOCH);
            self.list_since(since.to_zoned(jiff::tz::TimeZone::UTC).date()).await?
        };
        // Mail that was old at the first poll may lie among new mail. SEARCH compares days in the server's own time
        // zone, so what it found may have arrived up to fourteen hours before the day began here.
        let ours = |message: &Listed| {
            let old = message.arrival.is_some_and(|arrival| arrival.as_second() < position.since - ZONES);
            message.uid >= position.old_below || !old
        };
        let cut_after = listed.last().copied().filter(|_| listed.len() >= limits::LISTED_MESSAGES);
        let recent: HashSet<u32> = position.recent.iter().copied().collect();
        // Below the re-scan window nothing is listed; within it, what was read is not read again.
        listed.retain(|message| !recent.contains(&message.uid) && ours(message));
        Ok(Listing { messages: listed, cut_after })
    }
}

#[async_trait]
impl Mailbox for Imap {
    async fn select(&mut self, folder: &str) -> Result<(), MailboxFault> {
        let selected = Self::select(self, folder).await?;
        self.reading = Some(Reading::of(selected));
        Ok(())
    }

    async fn list(
        &mut self,
        from: Option<&Position>,
        since: Since,
        now: Timestamp,
    ) -> Result<Vec<mailbox::Listed>, MailboxFault> {
        let Some(Reading { folder, .. }) = self.reading else {
            return Err(FaultKind::Protocol("no folder is open").into());
        };
        // Of another engine's position, as of one of other UIDs, no more is good than since when it reads.
        let before = from.and_then(|from| match from {
            Position::Imap(position) => Some(position),
            Position::Pop3(_) | Position::Graph(_) => None,
        });
        let (mut position, fresh) = match before {
            Some(position) if position.uid_validity == folder.uid_validity => (position.clone(), false),
            // RFC 9051 §2.3.1.1: with another UIDVALIDITY no UID of the position means anything.
            before => (first_position(before, &folder, since, now), true),
        };
        // A folder that is empty at first gets its position all the same: whatever comes next is new.
        let nothing_new = folder.exists == 0 || folder.uid_next.is_some_and(|next| next == position.uid_next);
        if nothing_new && !fresh {
            self.reading = Some(Reading { folder, position: Some(position), ahead: 0, whole: false, beyond: 0 });
            return Ok(vec![]);
        }
        let listing = loop {
            let listing = self.list_after(&position).await?;
            let Some(last) = listing.cut_after.filter(|_| listing.messages.is_empty()) else { break listing };
            // As much as is listed at once, and nothing of it ours: behind it there may be.
            position.highest = last.uid;
            position.first = position.first.max(1);
        };
        let (listed, cut_after) = (listing.messages, listing.cut_after);
        if position.first == 0 {
            position.first = listed.first().map(|message| message.uid).or(folder.uid_next).unwrap_or(1);
        }
        let whole = cut_after.is_none();
        let beyond = cut_after.map_or(0, |last| self.exists.saturating_sub(last.sequence).max(1));
        let mut reading = Reading { folder, position: Some(position), ahead: listed.len(), whole, beyond };
        reading.advance(&[]);
        self.reading = Some(reading);
        let listed = listed.into_iter().map(|message| mailbox::Listed {
            reference: Reference::Uid(message.uid),
            size: message.size,
            arrival: message.arrival,
        });
        Ok(listed.collect())
    }

    fn beyond(&self) -> u64 {
        self.reading.as_ref().map_or(0, |reading| reading.beyond.into())
    }

    fn position(&self) -> Option<Position> {
        self.reading.as_ref()?.position.clone().map(Position::Imap)
    }

    async fn fetch(&mut self, wanted: &[mailbox::Listed], out: Sender<Fetched>) -> Result<Vec<Missed>, MailboxFault> {
        let listed = wanted.iter().filter_map(|message| {
            let uid = uid(&message.reference)?;
            Some(Listed { uid, sequence: 0, size: message.size, arrival: message.arrival })
        });
        let listed: Vec<Listed> = listed.collect();
        Self::fetch(self, &listed, limits::MESSAGE_BYTES, out).await
    }

    async fn settle(&mut self, done: &[Reference], what: &AfterReading) -> Result<Settled, MailboxFault> {
        let uids: Vec<u32> = done.iter().filter_map(uid).collect();
        let settled = Self::settle(self, &uids, what).await?;
        if settled == Settled::Done && matches!(what, AfterReading::Move(_) | AfterReading::Delete) {
            self.exists = self.exists.saturating_sub(u32::try_from(uids.len()).unwrap_or(u32::MAX));
        }
        Ok(settled)
    }

    fn advance(&mut self, done: &[Reference]) {
        let uids: Vec<u32> = done.iter().filter_map(uid).collect();
        if let Some(reading) = &mut self.reading {
            reading.advance(&uids);
        }
    }

    fn round_trips(&self) -> u32 {
        self.round_trips + 1
    }

    async fn close(self: Box<Self>) -> Result<(), MailboxFault> {
        Self::close(*self).await;
        // Whatever was settled came about at once.
        Ok(())
    }
}

fn uid(reference: &Reference) -> Option<u32> {
    match reference {
        Reference::Uid(uid) => Some(*uid),
        Reference::Name(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reading(uid_next: Option<u32>, ahead: usize, whole: bool) -> Reading {
        let folder = Folder { uid_validity: 1, uid_next, exists: 9 };
        let position = first_position(None, &folder, Since::All, Timestamp::UNIX_EPOCH);
        Reading { folder, position: Some(position), ahead, whole, beyond: 0 }
    }

    #[test]
    fn the_position_remembers_the_window_below_the_highest() {
        let mut reading = reading(None, 9, true);
        reading.advance(&[5, 150, 200]);
        let position = reading.position.clone().unwrap();
        assert_eq!((position.highest, position.recent), (200, vec![150, 200]));
        // One that came late, below the highest.
        reading.advance(&[180]);
        let position = reading.position.unwrap();
        assert_eq!((position.highest, position.recent), (200, vec![150, 180, 200]));
    }

    #[test]
    fn a_listing_that_was_cut_is_gone_on_with() {
        let uid_next = |mut reading: Reading| {
            reading.advance(&[8]);
            reading.position.unwrap().uid_next
        };
        assert_eq!(uid_next(reading(Some(12), 1, true)), 12);
        assert_eq!(uid_next(reading(None, 1, true)), 9);
        assert_eq!(uid_next(reading(Some(12), 2, true)), 0, "one is still ahead");
        assert_eq!(uid_next(reading(Some(12), 1, false)), 0);
        assert_eq!(uid_next(reading(None, 1, false)), 0);
    }
}
