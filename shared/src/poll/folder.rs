//! One folder: what is new, read in chunks, each recorded before anything on the server is touched.

use super::{PollError, Poller, Progress, Stop, Summary};
use crate::account::{AfterReading, Since};
use crate::limits;
use crate::mailbox::imap::{Fetched, Folder as Selected, Imap, Listed};
use crate::mailbox::{FaultKind, MailboxFault};
use crate::oauth::sha256_hex;
use crate::report::{self, Kind, Report};
use crate::table::{AccountItem, Cursor, Fact, Folder, Lease, Recorded, Table};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::Instant;

/// Messages and bytes that are recorded before the cursor moves.
const CHUNK: Chunk = Chunk { messages: 1_000, bytes: 64 << 20 };
/// The same where mail is changed afterwards: a chunk that is cut off by the deadline is read again whole, so that a
/// slow server must be able to give out one within a run.
const CHANGING_CHUNK: Chunk = Chunk { messages: 200, bytes: 8 << 20 };
/// Conditional puts under way at once.
const PUTS: usize = 32;
/// Messages fetched and not yet recorded.
const QUEUED: usize = 64;
/// The arrival of a fact is between so long ago and now, whatever the server says.
const OLDEST_ARRIVAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Seconds of a day, and how far a time zone may be ahead.
const DAY: i64 = 86_400;
const ZONES: i64 = 14 * 3_600;
/// How far back is read again where UIDs lost their meaning and the account wanted new mail only.
const REREAD_DAYS: u16 = 30;

/// What was recorded, by UID.
type Done = HashMap<u32, (Kind, Recorded)>;

pub(super) struct FolderRun<'a> {
    pub poller: &'a Poller,
    pub item: &'a AccountItem,
    pub lease: Lease,
    pub name: &'a str,
    pub deadline: Instant,
    pub progress: &'a dyn Progress,
}

impl FolderRun<'_> {
    pub async fn read(&self, imap: &mut Imap, summary: &mut Summary) -> Result<(), Stop> {
        let key = Folder(self.name.to_owned());
        let cursor = self.poller.table.cursor(&self.item.account.id, &key).await?;
        let selected = imap.select(self.name).await.map_err(Stop::Mailbox)?;
        let (mut cursor, fresh) = match cursor {
            Some(cursor) if cursor.uid_validity == selected.uid_validity => (cursor, false),
            // RFC 9051 §2.3.1.1: with another UIDVALIDITY no UID of the cursor means anything.
            before => (self.first_cursor(before.as_ref(), &selected), true),
        };
        // A folder that is empty at first gets its cursor all the same: whatever comes next is new.
        let nothing_new = selected.exists == 0 || selected.uid_next.is_some_and(|next| next == cursor.uid_next);
        if nothing_new && !fresh {
            return Ok(());
        }
        let (new, whole) = self.list(imap, &cursor).await.map_err(Stop::Mailbox)?;
        if cursor.first == 0 {
            cursor.first = new.first().map(|message| message.uid).or(selected.uid_next).unwrap_or(1);
        }
        self.progress.folder(self.name, new.len() as u64);
        let size = if self.changes_mail() { CHANGING_CHUNK } else { CHUNK };
        let mut rest = new.as_slice();
        while !rest.is_empty() {
            if Instant::now() >= self.deadline {
                summary.left += rest.len() as u64;
                return Ok(());
            }
            let (chunk, after) = rest.split_at(size.len_of(rest));
            let stopped = self.read_chunk(imap, chunk, &mut cursor, &key, summary).await?;
            if let Some(fault) = stopped {
                summary.left += after.len() as u64;
                // Our own time being over is no fault of the mailbox: the next run goes on from the cursor.
                return if fault.kind == FaultKind::Deadline { Ok(()) } else { Err(Stop::Mailbox(fault)) };
            }
            rest = after;
        }
        if let Some(uid_next) = read_up_to(&selected, &cursor, whole).filter(|uid_next| cursor.uid_next != *uid_next) {
            cursor.uid_next = uid_next;
            self.save(&key, &mut cursor, summary).await?;
        }
        Ok(())
    }

    /// Where the first poll of a folder starts, and the first after its UIDs lost their meaning. In the latter `new`
    /// cannot mean "from now on": what came since the last poll would be lost.
    fn first_cursor(&self, before: Option<&Cursor>, selected: &Selected) -> Cursor {
        let now = (self.poller.clock)().as_second();
        let days_ago = |days: u16| (now / DAY - i64::from(days)) * DAY;
        let (first, since) = match (self.item.account.since, before, selected.uid_next) {
            (Since::All, ..) => (1, 0),
            (Since::Days(days), ..) => (0, days_ago(days)),
            (Since::New, None, next) => (next.unwrap_or(0), now),
            (Since::New, Some(before), _) => (0, before.since.max(days_ago(REREAD_DAYS))),
        };
        Cursor {
            uid_validity: selected.uid_validity,
            uid_next: 0,
            first,
            old_below: selected.uid_next.unwrap_or(0),
            since,
            highest: 0,
            recent: vec![],
            fence: 0,
        }
    }

    /// What the cursor has not seen, in the order of the UIDs, and whether that is all there is.
    async fn list(&self, imap: &mut Imap, cursor: &Cursor) -> Result<(Vec<Listed>, bool), MailboxFault> {
        let mut listed = if cursor.first > 0 {
            imap.list_from(cursor.highest.saturating_sub(limits::RESCAN_UIDS).max(cursor.first)).await?
        } else {
            let since = Timestamp::from_second(cursor.since).unwrap_or(Timestamp::UNIX_EPOCH);
            imap.list_since(since.to_zoned(jiff::tz::TimeZone::UTC).date()).await?
        };
        // Mail that was old at the first poll may lie among new mail. SEARCH compares days in the server's own time
        // zone, so what it found may have arrived up to fourteen hours before the day began here.
        let ours = |message: &Listed| {
            let old = message.arrival.is_some_and(|arrival| arrival.as_second() < cursor.since - ZONES);
            message.uid >= cursor.old_below || !old
        };
        let whole = listed.len() < limits::LISTED_MESSAGES;
        let recent: HashSet<u32> = cursor.recent.iter().copied().collect();
        // Below the re-scan window of a cursor nothing is listed; within it, what was read is not read again.
        listed.retain(|message| !recent.contains(&message.uid) && ours(message));
        listed.sort_unstable_by_key(|message| message.uid);
        listed.dedup_by_key(|message| message.uid);
        Ok((listed, whole))
    }

    /// Fetches, reads and records a chunk, then settles on the server and moves the cursor over what is durable.
    /// The answer is the fault that stopped it, if one did; what was recorded before it counts.
    async fn read_chunk(
        &self,
        imap: &mut Imap,
        chunk: &[Listed],
        cursor: &mut Cursor,
        key: &Folder,
        summary: &mut Summary,
    ) -> Result<Option<MailboxFault>, Stop> {
        let (sender, receiver) = mpsc::channel(QUEUED);
        let fetch = imap.fetch(chunk, limits::MESSAGE_BYTES, sender);
        let (fetched, recorded) = tokio::join!(fetch, self.record_all(receiver, &summary.run));
        let recorded = recorded?;
        // What was expunged meanwhile is done with; after a fault nobody knows.
        let (missed, fault) = match fetched {
            Ok(missed) => (missed, None),
            Err(fault) => (vec![], Some(fault)),
        };
        let gone: HashSet<u32> = missed.iter().map(|missed| missed.uid).collect();
        for missed in missed {
            if let Some(said) = missed.refused {
                self.record_unreadable(cursor.uid_validity, missed.uid, said, summary).await?;
            }
        }
        let done: Vec<u32> = chunk
            .iter()
            .map(|message| message.uid)
            .take_while(|uid| recorded.contains_key(uid) || gone.contains(uid))
            .collect();
        summary.messages += recorded.len() as u64;
        summary.table_writes += recorded.len() as u64;
        summary.reports += recorded.values().filter(|(kind, _)| *kind != Kind::Other).count() as u64;
        summary.recorded += recorded.values().filter(|(_, recorded)| *recorded == Recorded::New).count() as u64;
        summary.left += (chunk.len() - done.len()) as u64;
        if done.is_empty() {
            return Ok(fault);
        }
        if !self.poller.table.holds_lease(&self.item.account.id, self.lease, (self.poller.clock)()).await? {
            return Err(Stop::LeaseLost);
        }
        if fault.is_none() {
            self.settle(imap, &done, &recorded).await.map_err(Stop::Mailbox)?;
        } else if self.changes_mail() {
            // The connection is gone: the cursor stays, so that the next run settles what this one recorded.
            return Ok(fault);
        }
        advance(cursor, &done);
        self.save(key, cursor, summary).await?;
        Ok(fault)
    }

    /// Records what the channel brings, a few puts at once, until it closes.
    async fn record_all(&self, mut queue: Receiver<Fetched>, run: &str) -> Result<Done, PollError> {
        let mut under_way = FuturesUnordered::new();
        let (mut done, mut open) = (Done::new(), true);
        while open || !under_way.is_empty() {
            tokio::select! {
                message = queue.recv(), if open && under_way.len() < PUTS => match message {
                    Some(message) => under_way.push(self.record(message, run)),
                    None => open = false,
                },
                Some(recorded) = under_way.next() => {
                    let (uid, kind, recorded) = recorded?;
                    done.insert(uid, (kind, recorded));
                    self.progress.recorded(1);
                }
            }
        }
        Ok(done)
    }

    async fn record(&self, message: Fetched, run: &str) -> Result<(u32, Kind, Recorded), PollError> {
        let now = (self.poller.clock)();
        let mut report = report::read(&message.bytes);
        if message.cut {
            report.diagnostics.push(report::Diagnostic {
                code: "cut".to_owned(),
                text: format!("only the first {} of {} bytes were read", message.bytes.len(), message.size),
            });
        }
        let kind = report.kind;
        let oldest = now.saturating_sub(OLDEST_ARRIVAL).unwrap_or(now);
        let arrived = message.arrival.unwrap_or(now).clamp(oldest, now).as_second();
        let fact = self.fact(report::key(&message.bytes), arrived, message.uid, run, report);
        drop(message.bytes);
        Ok((message.uid, kind, self.poller.record(fact).await?))
    }

    /// A message that the server lists and will not give out is a fact too, so that it is counted and can be seen.
    async fn record_unreadable(
        &self,
        uid_validity: u32,
        uid: u32,
        said: String,
        summary: &mut Summary,
    ) -> Result<(), PollError> {
        let now = (self.poller.clock)().as_second();
        let name = format!("unreadable/{}/{}/{uid_validity}/{uid}", self.item.account.id, self.name);
        let text = format!("the server lists it and does not give it out: {said}");
        let report = Report {
            diagnostics: vec![report::Diagnostic { code: "unreadable".to_owned(), text }],
            ..Report::default()
        };
        let fact = self.fact(sha256_hex(name.as_bytes()), now, uid, &summary.run, report);
        summary.unreadable += 1;
        summary.table_writes += 1;
        self.poller.table.record(fact).await?;
        Ok(())
    }

    fn fact(&self, key: String, arrived: i64, uid: u32, run: &str, report: Report) -> Fact {
        let now = (self.poller.clock)().as_second();
        Fact {
            account: self.item.account.id.clone(),
            key,
            arrived,
            recorded: now,
            run: run.to_owned(),
            folder: self.name.to_owned(),
            uid,
            kind: report.kind,
            report,
            parts: 0,
            expires: now + Table::FACT_SECONDS,
        }
    }

    fn changes_mail(&self) -> bool {
        let account = &self.item.account;
        account.reports != AfterReading::Leave || account.others != AfterReading::Leave
    }

    /// Marks, moves or deletes what is durable: reports by one setting, all other mail by the other.
    async fn settle(&self, imap: &mut Imap, done: &[u32], recorded: &Done) -> Result<(), MailboxFault> {
        let account = &self.item.account;
        let (mut reports, mut others) = (Vec::new(), Vec::new());
        for uid in done {
            match recorded.get(uid) {
                Some((Kind::Other, _)) => others.push(*uid),
                Some(_) => reports.push(*uid),
                None => {}
            }
        }
        for (uids, after) in [(reports, &account.reports), (others, &account.others)] {
            if !uids.is_empty() && *after != AfterReading::Leave {
                imap.settle(&uids, after).await?;
            }
        }
        Ok(())
    }

    async fn save(&self, key: &Folder, cursor: &mut Cursor, summary: &mut Summary) -> Result<(), Stop> {
        cursor.fence = self.lease.fence;
        summary.table_writes += 1;
        match self.poller.table.move_cursor(&self.item.account.id, key, cursor).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }
}

/// The UIDNEXT up to which the folder is read once its listing is done with; none where the listing was cut: an
/// unchanged UIDNEXT ends the next run before it lists, and the rest would never be read.
fn read_up_to(selected: &Selected, cursor: &Cursor, whole: bool) -> Option<u32> {
    whole.then(|| selected.uid_next.unwrap_or_else(|| cursor.highest.saturating_add(1)))
}

struct Chunk {
    messages: usize,
    bytes: u64,
}

impl Chunk {
    fn len_of(&self, rest: &[Listed]) -> usize {
        let mut bytes = 0;
        let fits = |message: &&Listed| {
            bytes += u64::from(message.size).min(limits::MESSAGE_BYTES as u64);
            bytes <= self.bytes
        };
        rest.iter().take(self.messages).take_while(fits).count().max(1)
    }
}

/// Moves the cursor over UIDs that are done. Between chunks the highest may stand below UIDs that are still to come,
/// so `uid_next` stays as it was until the folder is read whole.
fn advance(cursor: &mut Cursor, done: &[u32]) {
    cursor.highest = done.iter().copied().max().unwrap_or(0).max(cursor.highest);
    let lowest = cursor.highest.saturating_sub(limits::RESCAN_UIDS);
    cursor.recent.extend(done);
    cursor.recent.retain(|uid| *uid >= lowest);
    cursor.recent.sort_unstable();
    cursor.recent.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_remembers_the_window_below_the_highest() {
        let mut cursor = Cursor {
            uid_validity: 1,
            uid_next: 0,
            first: 1,
            old_below: 0,
            since: 0,
            highest: 0,
            recent: vec![],
            fence: 0,
        };
        advance(&mut cursor, &[5, 150, 200]);
        assert_eq!((cursor.highest, cursor.recent.as_slice()), (200, [150, 200].as_slice()));
        // One that came late, below the highest.
        advance(&mut cursor, &[180]);
        assert_eq!((cursor.highest, cursor.recent.as_slice()), (200, [150, 180, 200].as_slice()));
    }

    #[test]
    fn a_listing_that_was_cut_is_gone_on_with() {
        let cursor = Cursor {
            uid_validity: 1,
            uid_next: 3,
            first: 1,
            highest: 8,
            recent: vec![],
            fence: 0,
            old_below: 0,
            since: 0,
        };
        let selected = |uid_next| Selected { uid_validity: 1, uid_next, exists: 9 };
        assert_eq!(read_up_to(&selected(Some(12)), &cursor, true), Some(12));
        assert_eq!(read_up_to(&selected(None), &cursor, true), Some(9));
        assert_eq!(read_up_to(&selected(Some(12)), &cursor, false), None);
        assert_eq!(read_up_to(&selected(None), &cursor, false), None);
    }

    #[test]
    fn chunks_are_bounded_by_messages_and_bytes() {
        let listed = |size: u32, count: usize| vec![Listed { uid: 1, size, arrival: None }; count];
        assert_eq!(CHUNK.len_of(&listed(4_000, 5_000)), 1_000);
        assert_eq!(CHUNK.len_of(&listed(u32::MAX, 5_000)), 16);
        assert_eq!(CHUNK.len_of(&listed(1, 3)), 3);
    }
}
