//! POP3 as a [`Mailbox`]: what was read is known by its UIDL, and deleted is what QUIT deletes.

use super::super::{Fetched, Listed, Missed, Settled};
use super::*;
use crate::account::{AfterReading, Since};
use crate::cursor::{Pop3Position, Position, Reference};
use crate::report;
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet, VecDeque};
use tokio::sync::mpsc::Sender;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Bytes of a header that is looked at for the day of arrival.
const HEADER: usize = 64 << 10;
/// Bytes of a line of text that is mostly Base64: how many lines of a large message are asked for.
const LINE_OF_MESSAGE: usize = 60;
const LISTING: Form = Form::Body { keep: limits::POP3_LISTING_BYTES };

/// The reading of the mailbox.
#[derive(Default)]
pub(super) struct Reading {
    /// What the folder held when it was opened, until it is listed.
    there: Option<There>,
    /// None until the mailbox is listed.
    position: Option<Pop3Position>,
    /// Numbers of the listed messages in this session.
    numbers: HashMap<String, u32>,
    /// Messages of the listing that are not behind yet.
    ahead: usize,
    /// New messages that are not in the listing.
    beyond: usize,
    /// Hashes of the messages that QUIT will delete: what is not there any more need not be remembered.
    deleted: HashSet<u64>,
}

/// What a mailbox holds, as UIDL tells it: of a million messages no more is kept than must be.
struct There {
    uidl: Vec<u8>,
    /// In the order of their numbers.
    messages: Vec<Entry>,
}

struct Entry {
    number: u32,
    /// Where its unique-id stands in the listing, which has at most [`limits::POP3_LISTING_BYTES`].
    start: u32,
    length: u16,
    /// How many of one unique-id came before it.
    before: u32,
    /// [`Pop3Position::hash`] of its name.
    hash: u64,
}

impl There {
    fn read(mut uidl: Vec<u8>) -> Result<Self, FaultKind> {
        uidl.shrink_to_fit();
        let entry = |(number, text): (u32, &str)| {
            let start = u32::try_from(text.as_ptr() as usize - uidl.as_ptr() as usize).ok()?;
            let length = u16::try_from(text.len()).ok()?;
            Some(Entry { number, start, length, before: 0, hash: Pop3Position::hash(text) })
        };
        let mut messages = Vec::with_capacity(memchr::memchr_iter(b'\n', &uidl).count());
        messages.extend(lines(&uidl).filter_map(entry));
        // RFC 1939 §7 forbids two messages of one unique-id; where a server has them, each is read.
        messages.sort_unstable_by_key(|entry| (entry.hash, entry.start));
        let mut there = Self { uidl, messages };
        let mut before = 0;
        for at in 1..there.messages.len() {
            before = if there.messages[at].hash == there.messages[at - 1].hash { before + 1 } else { 0 };
            there.messages[at].before = before;
        }
        for at in 0..there.messages.len() {
            if there.messages[at].before > 0 {
                there.messages[at].hash = Pop3Position::hash(&there.name(&there.messages[at]));
            }
        }
        there.messages.sort_unstable_by_key(|entry| entry.number);
        if there.messages.windows(2).any(|two| two[0].number == two[1].number) {
            return Err(FaultKind::Protocol("it gives one number to two messages"));
        }
        Ok(there)
    }

    /// What a message is called: its unique-id, and which of that unique-id it is.
    fn name(&self, entry: &Entry) -> String {
        let start = entry.start as usize;
        let uidl = String::from_utf8_lossy(&self.uidl[start..start + usize::from(entry.length)]);
        if entry.before == 0 { uidl.into_owned() } else { format!("{uidl} {}", entry.before + 1) }
    }

    /// The hashes of all, ascending.
    fn hashes(&self) -> Vec<u64> {
        let mut hashes: Vec<u64> = self.messages.iter().map(|entry| entry.hash).collect();
        hashes.sort_unstable();
        hashes
    }
}

/// A command, and what it will bring.
struct Command {
    text: String,
    form: Form,
    bytes: u64,
}

/// Commands that are sent as far ahead as the server takes them.
struct Pipeline {
    ahead: VecDeque<Command>,
    /// What each command under way will bring.
    under_way: VecDeque<u64>,
    /// How many may be under way.
    most: usize,
    /// Replies so far.
    count: usize,
}

impl Pipeline {
    fn new(commands: impl IntoIterator<Item = Command>, capabilities: &Capabilities) -> Self {
        let most = if capabilities.has("PIPELINING") { PIPELINE } else { 1 };
        Self { ahead: commands.into_iter().collect(), under_way: VecDeque::new(), most, count: 0 }
    }

    /// The next reply with the number of its command, in their order.
    async fn next(&mut self, line: &mut Line) -> Result<Option<(usize, Reply)>, MailboxFault> {
        // Asked for again when half has come, so that many commands go in one segment.
        if self.under_way.len() <= self.most / 2 {
            let (mut text, mut forms) = (String::new(), vec![]);
            while self.under_way.len() < self.most {
                let bytes: u64 = self.under_way.iter().sum();
                let none = self.under_way.is_empty();
                let fits = |next: &mut Command| none || bytes + next.bytes <= limits::FETCH_RANGE_BYTES;
                let Some(command) = self.ahead.pop_front_if(fits) else { break };
                text.push_str(&command.text);
                text.push_str("\r\n");
                forms.push(command.form);
                self.under_way.push_back(command.bytes);
            }
            if !forms.is_empty() {
                line.send(&text, forms).await?;
            }
        }
        if self.under_way.pop_front().is_none() {
            return Ok(None);
        }
        let reply = line.next().await?;
        self.count += 1;
        Ok(Some((self.count - 1, reply)))
    }

    /// Asks for no more; what is under way still comes.
    fn stop(&mut self) {
        self.ahead.clear();
    }
}

impl Pop3 {
    fn pipeline(&self, commands: impl IntoIterator<Item = Command>) -> Pipeline {
        Pipeline::new(commands, &self.capabilities)
    }

    /// UIDL: number and unique-id of every message.
    async fn uidls(&mut self) -> Result<There, MailboxFault> {
        let reply = self.line.ask("UIDL", LISTING).await?;
        if reply.status == Status::Err {
            let fault = self.line.refusal(Asked::Command("UIDL"), &reply);
            let unknown = fault.kind == FaultKind::Refused("UIDL");
            return Err(if unknown { MailboxFault { kind: FaultKind::NoUidl, ..fault } } else { fault });
        }
        Ok(There::read(self.listing(reply, "UIDL")?)?)
    }

    /// LIST: the sizes of the messages of these numbers, ascending.
    async fn sizes(&mut self, wanted: &[u32]) -> Result<HashMap<u32, u32>, MailboxFault> {
        let reply = self.line.ask("LIST", LISTING).await?;
        let body = self.listing(reply, "LIST")?;
        let size =
            |(number, size): (u32, &str)| Some((number, u32::try_from(size.parse::<u64>().ok()?).unwrap_or(u32::MAX)));
        Ok(lines(&body).filter(|(number, _)| wanted.binary_search(number).is_ok()).filter_map(size).collect())
    }

    /// The body of a listing, which must have come whole.
    fn listing(&self, reply: Reply, command: &'static str) -> Result<Vec<u8>, MailboxFault> {
        let reply = self.line.expect_ok(reply, Asked::Command(command))?;
        match reply.size > reply.body.len() as u64 {
            true => Err(FaultKind::Limit("more messages than we take").into()),
            false => Ok(reply.body),
        }
    }

    /// Of `wanted`, what arrived before the first poll's time: known by the headers alone where the server gives them.
    async fn old(&mut self, wanted: &[Listed], since: i64) -> Result<HashSet<Reference>, MailboxFault> {
        let mut old = HashSet::new();
        if since == 0 || !self.capabilities.has("TOP") {
            return Ok(old);
        }
        let asked: Vec<&Listed> = wanted.iter().filter(|message| self.number(&message.reference).is_some()).collect();
        let commands: Vec<Command> = asked
            .iter()
            .filter_map(|message| self.number(&message.reference))
            .map(|number| Command { text: format!("TOP {number} 0"), form: Form::Body { keep: HEADER }, bytes: 4096 })
            .collect();
        let mut pipeline = self.pipeline(commands);
        while let Some((at, reply)) = pipeline.next(&mut self.line).await? {
            let before = report::arrival(&reply.body).is_some_and(|arrival| arrival.as_second() < since);
            if before && reply.status == Status::Ok {
                old.insert(asked[at].reference.clone());
            }
        }
        Ok(old)
    }

    fn number(&self, reference: &Reference) -> Option<u32> {
        match reference {
            Reference::Name(uidl) => self.reading.numbers.get(uidl).copied(),
            Reference::Uid(_) => None,
        }
    }

    /// RETR, or for a message beyond our bound TOP with as many lines as are likely to reach it.
    fn retrieval(&self, number: u32, size: u32) -> Command {
        let form = Form::Body { keep: limits::MESSAGE_BYTES };
        let large = size as usize > limits::MESSAGE_BYTES && size != u32::MAX;
        let text = match large && self.capabilities.has("TOP") {
            true => format!("TOP {number} {}", limits::MESSAGE_BYTES / LINE_OF_MESSAGE),
            false => format!("RETR {number}"),
        };
        Command { text, form, bytes: u64::from(size).min(limits::MESSAGE_BYTES as u64) }
    }
}

/// Number and the rest of each line of a listing.
fn lines(body: &[u8]) -> impl Iterator<Item = (u32, &str)> {
    body.split(|&byte| byte == b'\n').filter_map(|line| {
        let (number, rest) = std::str::from_utf8(line).ok()?.trim().split_once(' ')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let rest = rest.trim();
        (!rest.is_empty() && rest.len() <= limits::POP3_UIDL_BYTES).then_some((number, rest))
    })
}

/// Whether a refused message is gone: another session may have deleted it where the server does not lock the mailbox.
fn is_gone(reply: &Reply) -> bool {
    let text = String::from_utf8_lossy(&reply.text).to_ascii_lowercase();
    ["no such message", "expunged", "been deleted", "is deleted"].iter().any(|words| text.contains(words))
}

#[async_trait]
impl Mailbox for Pop3 {
    async fn select(&mut self, folder: &str) -> Result<(), MailboxFault> {
        if !folder.eq_ignore_ascii_case(INBOX) {
            return Err(FaultKind::FolderMissing(folder.to_owned()).into());
        }
        // Exchange lets in whom it will not show the mailbox, and says so here.
        let there = self.uidls().await?;
        self.messages = Some(u32::try_from(there.messages.len()).unwrap_or(u32::MAX));
        self.reading.there = Some(there);
        Ok(())
    }

    async fn list(
        &mut self,
        from: Option<&Position>,
        since: Since,
        now: Timestamp,
    ) -> Result<Vec<Listed>, MailboxFault> {
        let there = match self.reading.there.take() {
            Some(there) => there,
            None if self.messages.is_none() => return Err(FaultKind::Protocol("no folder is open").into()),
            None => self.uidls().await?,
        };
        let before = from.and_then(|from| match from {
            Position::Pop3(position) => Some(position.clone()),
            Position::Imap(_) | Position::Graph(_) => None,
        });
        let now = now.as_second();
        let mut position = match (before, since) {
            (Some(before), _) => before,
            (None, Since::Days(days)) => Pop3Position { since: (now / DAY - i64::from(days)) * DAY, uidls: vec![] },
            (None, Since::All) => Pop3Position::default(),
            (None, Since::New) => {
                let uidls = there.messages.iter().map(|entry| entry.hash).collect();
                Pop3Position { since: 0, uidls }
            }
        };
        position.forget_all_but(&there.hashes());
        let mut known = position.uidls.clone();
        known.sort_unstable();
        // A server may still name what it will delete.
        let done = |hash: &u64| known.binary_search(hash).is_ok() || self.reading.deleted.contains(hash);
        let mut new: Vec<&Entry> = there.messages.iter().filter(|entry| !done(&entry.hash)).collect();
        // What does not fit is still ahead.
        let ahead = new.len();
        new.truncate(limits::POP3_LISTED_MESSAGES);
        let beyond = ahead - new.len();
        let new: Vec<(u32, String)> = new.into_iter().map(|entry| (entry.number, there.name(entry))).collect();
        drop((there, known));
        // Exchange takes one command at a time: what nobody needs is not asked for.
        let wanted: Vec<u32> = new.iter().map(|(number, _)| *number).collect();
        let sizes = if new.is_empty() { HashMap::new() } else { self.sizes(&wanted).await? };
        let numbers = new.iter().map(|(number, uidl)| (uidl.clone(), *number)).collect();
        let deleted = std::mem::take(&mut self.reading.deleted);
        self.reading = Reading { there: None, position: Some(position), numbers, ahead, beyond, deleted };
        self.advance(&[]);
        let listed = |(number, uidl)| {
            let size = sizes.get(&number).copied().unwrap_or(u32::MAX);
            Listed { reference: Reference::Name(uidl), size, arrival: None }
        };
        Ok(new.into_iter().map(listed).collect())
    }

    fn beyond(&self) -> u64 {
        self.reading.beyond as u64
    }

    fn position(&self) -> Option<Position> {
        self.reading.position.clone().map(Position::Pop3)
    }

    async fn fetch(&mut self, wanted: &[Listed], out: Sender<Fetched>) -> Result<Vec<Missed>, MailboxFault> {
        if wanted.iter().any(|message| self.number(&message.reference).is_none()) {
            // Of an earlier session: its number in this one is not known yet.
            let names: HashSet<&Reference> = wanted.iter().map(|message| &message.reference).collect();
            let there = self.uidls().await?;
            let named = there.messages.iter().map(|entry| (there.name(entry), entry.number));
            let asked = named.filter(|(name, _)| names.contains(&Reference::Name(name.clone())));
            self.reading.numbers.extend(asked);
        }
        let since = self.reading.position.as_ref().map_or(0, |position| position.since);
        let old = self.old(wanted, since).await?;
        let (asked, left): (Vec<&Listed>, Vec<&Listed>) = wanted
            .iter()
            .partition(|message| !old.contains(&message.reference) && self.number(&message.reference).is_some());
        let missing = |message: &Listed| Missed { reference: message.reference.clone(), refused: None };
        let mut missed: Vec<Missed> = left.into_iter().map(missing).collect();
        let commands: Vec<Command> = asked
            .iter()
            .filter_map(|message| Some(self.retrieval(self.number(&message.reference)?, message.size)))
            .collect();
        let deadline = self.line.wire.deadline;
        let mut pipeline = self.pipeline(commands);
        while let Some((at, reply)) = pipeline.next(&mut self.line).await? {
            let message = asked[at];
            if reply.status != Status::Ok {
                let fault = self.line.refusal(Asked::Command("RETR"), &reply);
                if fault.kind != FaultKind::Refused("RETR") {
                    return Err(fault);
                }
                let refused = (!is_gone(&reply)).then(|| fault.said.unwrap_or_else(|| "-ERR".to_owned()));
                missed.push(Missed { reference: message.reference.clone(), refused });
                continue;
            }
            let arrival = report::arrival(&reply.body);
            if arrival.is_some_and(|arrival| arrival.as_second() < since) {
                missed.push(missing(message));
                continue;
            }
            let cut = reply.size > reply.body.len() as u64
                || message.size as usize > limits::MESSAGE_BYTES && reply.size < u64::from(message.size);
            let reference = message.reference.clone();
            let fetched = Fetched { reference, size: message.size, arrival, bytes: reply.body, cut };
            match tokio::time::timeout_at(deadline, out.send(fetched)).await {
                Ok(Ok(())) => {}
                // The receiver left: its own fault is told by it.
                Ok(Err(_)) => pipeline.stop(),
                Err(_) => return Err(FaultKind::Deadline.into()),
            }
        }
        Ok(missed)
    }

    async fn settle(&mut self, done: &[Reference], what: &AfterReading) -> Result<Settled, MailboxFault> {
        match what {
            AfterReading::Leave => return Ok(Settled::Done),
            AfterReading::Delete => {}
            AfterReading::Seen | AfterReading::Move(_) => {
                return Err(FaultKind::NoMechanism("marks or folders: over POP3 mail is left or deleted").into());
            }
        }
        let numbers = done.iter().filter_map(|message| self.number(message));
        let commands = numbers.map(|number| Command { text: format!("DELE {number}"), form: Form::Line, bytes: 0 });
        let mut pipeline = self.pipeline(commands);
        while let Some((_, reply)) = pipeline.next(&mut self.line).await? {
            if !is_gone(&reply) {
                self.line.expect_ok(reply, Asked::Command("DELE"))?;
            }
        }
        let uidls = done.iter().filter_map(|message| match message {
            Reference::Name(uidl) => Some(Pop3Position::hash(uidl)),
            Reference::Uid(_) => None,
        });
        self.reading.deleted.extend(uidls);
        Ok(Settled::Done)
    }

    fn advance(&mut self, done: &[Reference]) {
        let reading = &mut self.reading;
        let Some(position) = &mut reading.position else { return };
        reading.ahead = reading.ahead.saturating_sub(done.len());
        for message in done {
            match message {
                // Until QUIT came about it must be found again: it is then read again, and deleted.
                Reference::Name(uidl) => {
                    let hash = Pop3Position::hash(uidl);
                    if !reading.deleted.contains(&hash) {
                        position.uidls.push(hash);
                    }
                }
                Reference::Uid(_) => {}
            }
        }
        if reading.ahead == 0 {
            // What comes from now on is new, whatever its header says.
            position.since = 0;
        }
    }

    fn round_trips(&self) -> u32 {
        self.line.round_trips + 1
    }

    /// QUIT: only now the server deletes (RFC 1939 §6). Where our time ended in the middle of a message, what is under way
    /// is heard first, so that its answer is not taken for QUIT's.
    async fn close(mut self: Box<Self>) -> Result<(), MailboxFault> {
        let deletes = !self.reading.deleted.is_empty();
        self.line.wire.deadline = Instant::now() + if deletes { COMMIT } else { FAREWELL };
        let quit = async {
            while deletes && self.line.machine.awaits() {
                self.line.next().await?;
            }
            self.line.run("QUIT", Form::Line).await
        };
        let quit = quit.await;
        if deletes { quit.map(|_| ()) } else { Ok(()) }
    }
}
