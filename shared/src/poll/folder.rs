//! One folder: what is new, read in chunks, each recorded before anything on the server is touched.

use super::forward::{Forwarder, Noted};
use super::{PollError, Poller, Progress, Stop, Summary};
use crate::account::AfterReading;
use crate::cursor::{Position, Reference};
use crate::limits;
use crate::mailbox::{FaultKind, Fetched, Listed, Mailbox, MailboxFault};
use crate::oauth::sha256_hex;
use crate::raw::Key;
use crate::raw::bundle::Bundle;
use crate::report::{self, Kind, Report};
use crate::table::{AccountItem, Cursor, Fact, Folder, Lease, Pointer, Recorded, Table};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use std::collections::{HashMap, HashSet, VecDeque};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::Instant;

/// Messages and bytes that are recorded before the cursor moves.
const CHUNK: Chunk = Chunk { messages: 1_000, bytes: 64 << 20 };
/// The same where mail is changed afterwards. A chunk that is cut off by the deadline is read again whole, so a run begins
/// with the small one, and each that comes in time lets the next be twice as large.
const CHANGING_CHUNKS: (Chunk, Chunk) =
    (Chunk { messages: 25, bytes: 1 << 20 }, Chunk { messages: 200, bytes: 8 << 20 });
/// What a message weighs in a chunk whose size nobody told: Graph lists none, and bounces are small.
const UNTOLD: u64 = 64 << 10;
/// Conditional puts under way at once.
const PUTS: usize = 32;
/// Facts whose consequences are seen to together: what it takes to know them is read once for all.
const FOLLOWED: usize = 100;
/// Messages fetched and not yet read: with a bound on each ([`limits::MESSAGE_BYTES`]) 32 MB, whatever the table is at.
const QUEUED: usize = 8;
/// Facts that wait for the object with their messages, and the bytes of these.
const WAITING: Chunk = Chunk { messages: 500, bytes: 8 << 20 };
/// The arrival of a fact is between so long ago and now, whatever the server says.
const OLDEST_ARRIVAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What was recorded, by what the server calls it.
type Done = HashMap<Reference, Noted>;

pub(super) struct FolderRun<'a> {
    pub poller: &'a Poller,
    pub item: &'a AccountItem,
    pub lease: Lease,
    pub name: &'a str,
    pub deadline: Instant,
    pub progress: &'a dyn Progress,
}

impl FolderRun<'_> {
    pub async fn run(
        &self,
        mailbox: &mut dyn Mailbox,
        forwarder: &mut Option<Forwarder<'_>>,
        summary: &mut Summary,
    ) -> Result<(), Stop> {
        let key = Folder(self.name.to_owned());
        let before = self.poller.table.cursor(&self.item.account.id, &key).await?.map(|cursor| cursor.position);
        mailbox.select(self.name).await.map_err(Stop::Mailbox)?;
        let (mut size, most) = if self.changes_mail() { CHANGING_CHUNKS } else { (CHUNK, CHUNK) };
        let (mut from, mut beyond) = (before.clone(), 0);
        loop {
            let listing = mailbox.list(from.as_ref(), self.item.account.since, (self.poller.clock)());
            let new = match listing.await {
                Ok(new) => new,
                // A further piece is the next run's.
                Err(fault) if beyond > 0 => {
                    summary.left += beyond;
                    return time_is_over(fault, summary);
                }
                Err(fault) => return Err(Stop::Mailbox(fault)),
            };
            if new.is_empty() {
                return self.save(&key, before.as_ref(), mailbox.position(), summary).await;
            }
            beyond = mailbox.beyond();
            self.progress.folder(self.name, new.len() as u64 + beyond);
            let left = summary.left;
            let mut rest = new.as_slice();
            while !rest.is_empty() {
                if Instant::now() >= self.deadline {
                    summary.left += rest.len() as u64 + beyond;
                    return time_is_over(FaultKind::Deadline.into(), summary);
                }
                let allowed = self.item.account.limits.session_messages.map_or(u64::MAX, u64::from);
                let allowed = usize::try_from(allowed.saturating_sub(summary.messages)).unwrap_or(usize::MAX);
                if allowed == 0 {
                    summary.left += rest.len() as u64 + beyond;
                    return Ok(());
                }
                let (chunk, after) = rest.split_at(size.len_of(rest).min(allowed));
                let stopped = self.read_chunk(mailbox, chunk, &key, forwarder, summary).await?;
                if let Some(fault) = stopped {
                    summary.left += after.len() as u64 + beyond;
                    return time_is_over(fault, summary);
                }
                rest = after;
                size = size.doubled(most);
            }
            // What did not come and is not gone is tried again by the next poll, not by this one for ever.
            if beyond == 0 || summary.left > left {
                summary.left += beyond;
                return Ok(());
            }
            from = mailbox.position();
        }
    }

    /// Fetches, reads and records a chunk, then settles on the server and moves the cursor over what is durable.
    /// The answer is the fault that stopped it, if one did; what was recorded before it counts.
    async fn read_chunk(
        &self,
        mailbox: &mut dyn Mailbox,
        chunk: &[Listed],
        key: &Folder,
        forwarder: &mut Option<Forwarder<'_>>,
        summary: &mut Summary,
    ) -> Result<Option<MailboxFault>, Stop> {
        let before = mailbox.position();
        let (sender, receiver) = mpsc::channel(QUEUED);
        let fetch = mailbox.fetch(chunk, sender);
        let (fetched, recorded) = tokio::join!(fetch, self.record_all(receiver, summary));
        let recorded = recorded?;
        // What was expunged meanwhile is done with; after a fault nobody knows.
        let (missed, fault) = match fetched {
            Ok(missed) => (missed, None),
            Err(fault) => (vec![], Some(fault)),
        };
        let validity = before.as_ref().map_or(0, Position::validity);
        let mut gone = HashSet::new();
        for missed in missed {
            if let Some(said) = missed.refused {
                self.record_unreadable(validity, missed.reference.clone(), said, summary).await?;
            }
            gone.insert(missed.reference);
        }
        let done: Vec<Reference> = chunk
            .iter()
            .map(|message| message.reference.clone())
            .take_while(|message| recorded.contains_key(message) || gone.contains(message))
            .collect();
        summary.messages += recorded.len() as u64;
        summary.table_writes += recorded.len() as u64;
        summary.reports += recorded.values().filter(|noted| noted.kind != Kind::Other).count() as u64;
        summary.recorded += recorded.values().filter(|noted| noted.recorded == Recorded::New).count() as u64;
        summary.left += (chunk.len() - done.len()) as u64;
        if done.is_empty() {
            return Ok(fault);
        }
        if !self.poller.table.holds_lease(&self.item.account.id, self.lease, (self.poller.clock)()).await? {
            return Err(Stop::LeaseLost);
        }
        let waits = match forwarder {
            Some(forwarder) => forwarder.note(self.name, validity, &recorded, summary).await?,
            None => HashSet::new(),
        };
        if fault.is_none() {
            let settled: Vec<Reference> = done.iter().filter(|message| !waits.contains(*message)).cloned().collect();
            self.settle(mailbox, &settled, &recorded, summary).await.map_err(Stop::Mailbox)?;
        } else if self.changes_mail() {
            // The connection is gone: the cursor stays, so that the next run settles what this one recorded.
            return Ok(fault);
        }
        mailbox.advance(&done);
        self.save(key, before.as_ref(), mailbox.position(), summary).await?;
        summary.advanced = true;
        Ok(fault)
    }

    /// Records what the channel brings, a few puts at once, until it closes, and sees to what follows from it.
    async fn record_all(&self, mut queue: Receiver<Fetched>, summary: &mut Summary) -> Result<Done, PollError> {
        let (mut waiting, mut ready) = (Waiting::default(), VecDeque::new());
        let (mut under_way, mut following) = (FuturesUnordered::new(), FuturesUnordered::new());
        let (mut done, mut open, mut facts) = (Done::new(), true, Vec::new());
        loop {
            while under_way.len() < PUTS
                && let Some(fact) = ready.pop_front()
            {
                under_way.push(self.record(fact));
            }
            if !open && under_way.is_empty() {
                break;
            }
            tokio::select! {
                message = queue.recv(), if open && ready.is_empty() && following.len() < 2 => {
                    match message {
                        Some(message) => self.read_message(&message, &summary.run, &mut waiting),
                        None => open = false,
                    }
                    if !open || waiting.is_full() || self.poller.raw.is_none() {
                        ready.extend(self.keep(std::mem::take(&mut waiting), summary).await?);
                    }
                }
                Some(recorded) = under_way.next() => {
                    let (message, noted, fact) = recorded?;
                    done.insert(message, noted);
                    self.progress.recorded(1);
                    facts.extend(fact);
                    if facts.len() >= FOLLOWED {
                        following.push(self.poller.follow(std::mem::take(&mut facts)));
                    }
                }
                Some(followed) = following.next() => followed?,
            }
        }
        following.push(self.poller.follow(facts));
        while let Some(followed) = following.next().await {
            followed?;
        }
        Ok(done)
    }

    /// Reads a message, which then waits for the object that it is kept in.
    fn read_message(&self, message: &Fetched, run: &str, waiting: &mut Waiting) {
        let mut fact = self.read(message, run);
        if self.poller.raw.is_some() && (fact.kind != Kind::Other || report::is_by_machine(&message.bytes)) {
            let range = waiting.bundle.add(&message.bytes, fact.arrived);
            let (offset, length) = (range.start as u64, range.len() as u64);
            fact.raw = Some(Pointer { object: String::new(), offset, length });
        }
        waiting.bytes += message.bytes.len() as u64;
        waiting.facts.push((fact, message.size));
    }

    /// Keeps what waits for that: from then on its facts may be recorded.
    async fn keep(&self, waiting: Waiting, summary: &mut Summary) -> Result<Vec<(Fact, u32)>, PollError> {
        let Waiting { mut facts, bundle, .. } = waiting;
        let Some(store) = self.poller.raw.as_ref().filter(|_| !bundle.is_empty()) else { return Ok(facts) };
        let key = Key::new(&self.item.account.id, (self.poller.clock)(), self.lease.fence, summary.objects);
        for raw in facts.iter_mut().filter_map(|(fact, _)| fact.raw.as_mut()) {
            raw.object = key.to_string();
            summary.kept += 1;
        }
        summary.objects += 1;
        // Boxed, or the futures around it grow past what the compiler measures.
        Box::pin(store.put(&key, bundle)).await?;
        Ok(facts)
    }

    fn read(&self, message: &Fetched, run: &str) -> Fact {
        let now = (self.poller.clock)();
        let mut report = report::read(&message.bytes);
        if message.cut {
            report.diagnostics.push(report::Diagnostic {
                code: "cut".to_owned(),
                text: match message.size {
                    u32::MAX => format!("only the first {} bytes were read", message.bytes.len()),
                    size => format!("only the first {} of {size} bytes were read", message.bytes.len()),
                },
            });
        }
        let oldest = now.saturating_sub(OLDEST_ARRIVAL).unwrap_or(now);
        let arrived = message.arrival.unwrap_or(now).clamp(oldest, now).as_second();
        self.fact(report::key(&message.bytes), arrived, message.reference.clone(), run, report)
    }

    /// Records one, and says what to note of the message of that size, and what is on record.
    async fn record(&self, (fact, size): (Fact, u32)) -> Result<(Reference, Noted, Option<Fact>), PollError> {
        let (reference, key, kind, arrived) = (fact.reference.clone(), fact.key.clone(), fact.kind, fact.arrived);
        let (recorded, fact) = self.poller.record(fact).await?;
        Ok((reference, Noted { key, kind, recorded, size, arrived }, fact))
    }

    /// A message that the server lists and will not give out is a fact too, so that it is counted and can be seen.
    async fn record_unreadable(
        &self,
        validity: u32,
        message: Reference,
        said: String,
        summary: &mut Summary,
    ) -> Result<(), PollError> {
        let now = (self.poller.clock)().as_second();
        let name = format!("unreadable/{}/{}/{validity}/{message}", self.item.account.id, self.name);
        let text = format!("the server lists it and does not give it out: {said}");
        let report = Report {
            diagnostics: vec![report::Diagnostic { code: "unreadable".to_owned(), text }],
            ..Report::default()
        };
        let fact = self.fact(sha256_hex(name.as_bytes()), now, message, &summary.run, report);
        summary.unreadable += 1;
        summary.table_writes += 1;
        self.poller.table.record(fact).await?;
        Ok(())
    }

    fn fact(&self, key: String, arrived: i64, reference: Reference, run: &str, report: Report) -> Fact {
        let now = (self.poller.clock)().as_second();
        Fact {
            account: self.item.account.id.clone(),
            key,
            arrived,
            recorded: now,
            run: run.to_owned(),
            folder: self.name.to_owned(),
            reference,
            kind: report.kind,
            report,
            parts: 0,
            raw: None,
            reading: None,
            ruled: None,
            expires: now + Table::FACT_SECONDS,
        }
    }

    fn changes_mail(&self) -> bool {
        let account = &self.item.account;
        account.reports != AfterReading::Leave || account.others != AfterReading::Leave
    }

    /// Marks, moves or deletes what is durable: reports by one setting, all other mail by the other.
    async fn settle(
        &self,
        mailbox: &mut dyn Mailbox,
        done: &[Reference],
        recorded: &Done,
        summary: &mut Summary,
    ) -> Result<(), MailboxFault> {
        let account = &self.item.account;
        let (mut reports, mut others) = (Vec::new(), Vec::new());
        for message in done {
            match recorded.get(message) {
                Some(noted) if noted.kind == Kind::Other => others.push(message.clone()),
                Some(_) => reports.push(message.clone()),
                None => {}
            }
        }
        for (messages, after) in [(reports, &account.reports), (others, &account.others)] {
            if !messages.is_empty() && *after != AfterReading::Leave {
                summary.note_settled(mailbox.settle(&messages, after).await?, messages.len());
            }
        }
        Ok(())
    }

    /// Writes down how far the folder is read, where that is news.
    async fn save(
        &self,
        key: &Folder,
        before: Option<&Position>,
        now: Option<Position>,
        summary: &mut Summary,
    ) -> Result<(), Stop> {
        let Some(position) = now.filter(|now| before != Some(now)) else { return Ok(()) };
        let cursor = Cursor::new(position, self.lease.fence);
        summary.table_writes += 1;
        match self.poller.table.move_cursor(&self.item.account.id, key, before, &cursor).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }
}

/// Our own time being over is no fault of a mailbox that was read on: the next run goes on from the cursor. A server that
/// let a whole run come no further is too slow, and is left alone for longer each time.
fn time_is_over(fault: MailboxFault, summary: &Summary) -> Result<(), Stop> {
    match fault.kind {
        FaultKind::Deadline if summary.advanced => Ok(()),
        _ => Err(Stop::Mailbox(fault)),
    }
}

/// Facts whose messages are not kept yet.
#[derive(Default)]
struct Waiting {
    /// Each with the size of its message, as it was listed.
    facts: Vec<(Fact, u32)>,
    bundle: Bundle,
    bytes: u64,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.bundle.is_full() || self.facts.len() >= WAITING.messages || self.bytes >= WAITING.bytes
    }
}

#[derive(Clone, Copy)]
struct Chunk {
    messages: usize,
    bytes: u64,
}

impl Chunk {
    fn doubled(self, most: Self) -> Self {
        Self { messages: most.messages.min(self.messages * 2), bytes: most.bytes.min(self.bytes * 2) }
    }

    fn len_of(&self, rest: &[Listed]) -> usize {
        let mut bytes = 0;
        let fits = |message: &&Listed| {
            bytes += match message.size {
                u32::MAX => UNTOLD,
                size => u64::from(size).min(limits::MESSAGE_BYTES as u64),
            };
            bytes <= self.bytes
        };
        rest.iter().take(self.messages).take_while(fits).count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_bounded_by_messages_and_bytes() {
        let listed =
            |size: u32, count: usize| vec![Listed { reference: Reference::Uid(1), size, arrival: None }; count];
        assert_eq!(CHUNK.len_of(&listed(4_000, 5_000)), 1_000);
        assert_eq!(CHUNK.len_of(&listed(u32::MAX - 1, 5_000)), 16);
        let (small, large) = CHANGING_CHUNKS;
        assert_eq!(small.len_of(&listed(u32::MAX, 5_000)), 16);
        assert_eq!(large.len_of(&listed(u32::MAX, 5_000)), 128);
        let sizes = std::iter::successors(Some(small), |size| Some(size.doubled(large)));
        let sizes: Vec<_> = sizes.take(5).map(|size| (size.messages, size.bytes >> 20)).collect();
        assert_eq!(sizes, [(25, 1), (50, 2), (100, 4), (200, 8), (200, 8)]);
        let sizes = CHUNK.doubled(CHUNK);
        assert_eq!((sizes.messages, sizes.bytes), (CHUNK.messages, CHUNK.bytes));
        assert_eq!(CHUNK.len_of(&listed(1, 3)), 3);
    }
}
