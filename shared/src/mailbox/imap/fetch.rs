//! Messages, in ranges bounded by bytes, the next range asked for before the last one has come.

use super::super::fault::Asked;
use super::super::{FaultKind, Fetched, MailboxFault, Missed};
use super::answer::{Answer, Body, Fetch, Status, arrival};
use super::command::{SET_BYTES, sets};
use super::{Imap, Listed, SMALL_LITERAL, read, refusal};
use crate::cursor::Reference;
use crate::limits;
use crate::secret::Secret;
use std::collections::VecDeque;
use tokio::sync::mpsc::Sender;

/// Messages to ask for with one command.
struct Ask {
    wanted: Vec<Listed>,
    set: String,
    turn: Turn,
}

/// The how-manieth time these messages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    /// What did not come, together, after the server took note of what is gone.
    Again,
    /// Each on its own, after their range was refused.
    Alone,
}

/// A `UID FETCH` under way.
struct Range {
    tag: Vec<u8>,
    wanted: Vec<Listed>,
    came: Vec<Came>,
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    NotYet,
    /// NIL in its place: it is gone (RFC 2180 §4.1.3; Dovecot), or cannot be read.
    Nil,
    Whole,
}

/// Ranges under way at once: one that comes and one that the server may prepare.
const PIPELINE: usize = 2;
/// What is asked, for messages.
const COMMAND: &str = "UID FETCH";

struct Fetching {
    /// What is not asked for yet.
    ahead: VecDeque<Ask>,
    open: VecDeque<Range>,
    missed: Vec<Missed>,
    max_bytes_each: usize,
    unasked: usize,
    /// The receiver has gone: what is under way is read and dropped.
    stopped: bool,
}

impl Imap {
    /// Fetches `wanted` without marking anything as read, the first `max_bytes_each` bytes of each, and sends every
    /// message to `out` as it comes; the order is the server's. Returns what did not come.
    ///
    /// Where the receiver is dropped, no more is asked for, what is under way is drained, and the session stays usable.
    /// After a fault it is not: the answers still under way would be taken for those of the next command.
    pub async fn fetch(
        &mut self,
        wanted: &[Listed],
        max_bytes_each: usize,
        out: Sender<Fetched>,
    ) -> Result<Vec<Missed>, MailboxFault> {
        let ahead = ranges(wanted, max_bytes_each);
        let mut fetching =
            Fetching { ahead, open: VecDeque::new(), missed: vec![], max_bytes_each, unasked: 0, stopped: false };
        self.session.get_mut().wire.guard.literal_bytes = max_bytes_each.max(SMALL_LITERAL);
        loop {
            self.ask_ahead(&mut fetching).await?;
            if fetching.open.is_empty() {
                break;
            }
            if let Some(message) = self.next_message(&mut fetching).await? {
                self.deliver(message, &out, &mut fetching).await?;
            }
        }
        self.session.get_mut().wire.guard.literal_bytes = SMALL_LITERAL;
        fetching.missed.sort_unstable_by(|a, b| a.reference.cmp(&b.reference));
        Ok(fetching.missed)
    }

    async fn ask_ahead(&mut self, fetching: &mut Fetching) -> Result<(), MailboxFault> {
        while fetching.open.len() < PIPELINE && !fetching.stopped {
            let Some(Ask { wanted, set, turn }) = fetching.ahead.pop_front() else { break };
            // By parts for every message: a size that the server estimated cannot then break our bound.
            let max = fetching.max_bytes_each;
            let tag = self.send(&format!("UID FETCH {set} (UID INTERNALDATE BODY.PEEK[]<0.{max}>)")).await?;
            fetching.open.push_back(Range { tag, came: vec![Came::NotYet; wanted.len()], wanted, turn });
        }
        Ok(())
    }

    async fn deliver(
        &mut self,
        message: Fetched,
        out: &Sender<Fetched>,
        fetching: &mut Fetching,
    ) -> Result<(), MailboxFault> {
        if fetching.stopped {
            return Ok(());
        }
        match tokio::time::timeout_at(self.session.get_ref().wire.deadline, out.send(message)).await {
            Ok(sent) => fetching.stopped = sent.is_err(),
            Err(_) => return Err(FaultKind::Deadline.into()),
        }
        Ok(())
    }

    /// Reads one response; the message in it, when it is one that was asked for.
    async fn next_message(&mut self, fetching: &mut Fetching) -> Result<Option<Fetched>, MailboxFault> {
        let secrets = &self.secrets;
        read(&mut self.session, |answer| fetching.hear(&answer, secrets)).await
    }
}

impl Fetching {
    fn hear(&mut self, answer: &Answer<'_>, secrets: &[Secret]) -> Result<Option<Fetched>, MailboxFault> {
        match answer {
            Answer::Fetch(Fetch { body: Body::Absent, .. }) => self.count_unasked()?,
            Answer::Fetch(fetch) => return self.take(fetch),
            Answer::Done { tag, status, text } => {
                let range = self.close(tag)?;
                if *status == Status::Ok {
                    self.settle_ended(range);
                } else {
                    let expunged = text.code.eq_ignore_ascii_case(b"EXPUNGEISSUED");
                    let fault = refusal(secrets, Asked::Command(COMMAND), false, text);
                    self.settle_refused(range, expunged, *status, fault)?;
                }
            }
            Answer::Said { status: Status::Bye, text } => {
                return Err(refusal(secrets, Asked::Command(COMMAND), true, text));
            }
            Answer::Continue(_) => return Err(FaultKind::Protocol("it asks for more than the command had").into()),
            _ => self.count_unasked()?,
        }
        Ok(None)
    }

    fn count_unasked(&mut self) -> Result<(), FaultKind> {
        self.unasked += 1;
        if self.unasked > limits::SERVER_UNTAGGED { Err(FaultKind::Limit("more than we listen to")) } else { Ok(()) }
    }

    fn take(&mut self, fetch: &Fetch<'_>) -> Result<Option<Fetched>, MailboxFault> {
        let uid = fetch.uid.ok_or(FaultKind::Protocol("a message came without its UID"))?;
        // RFC 9051 §5.5 lets a server answer both commands at once, so any range under way may hold it.
        let found = self.open.iter_mut().find_map(|range| {
            let at = range.wanted.binary_search_by_key(&uid, |message| message.uid).ok()?;
            Some((range.wanted[at], &mut range.came[at]))
        });
        let Some((listed, came)) = found else {
            return Err(FaultKind::Protocol("a message came that was not asked for").into());
        };
        let Body::Bytes(bytes) = fetch.body else {
            if *came == Came::NotYet {
                *came = Came::Nil;
            }
            self.count_unasked()?;
            return Ok(None);
        };
        if std::mem::replace(came, Came::Whole) == Came::Whole {
            self.count_unasked()?;
            return Ok(None);
        }
        let cut = bytes.len() >= self.max_bytes_each && listed.size as usize != bytes.len();
        let arrival = fetch.arrival.and_then(arrival).or(listed.arrival);
        let reference = Reference::Uid(uid);
        Ok(Some(Fetched { reference, size: listed.size, arrival, bytes: bytes.to_vec(), cut }))
    }

    fn close(&mut self, tag: &[u8]) -> Result<Range, FaultKind> {
        let at = self.open.iter().position(|range| range.tag == tag);
        at.and_then(|at| self.open.remove(at)).ok_or(FaultKind::Protocol("an answer to a command that was not sent"))
    }

    /// A range that ended well. What did not come, or came as NIL, is asked for once more: gone, it will not be named
    /// then (RFC 9051 §6.4.9: UIDs that do not exist are ignored); unreadable, it will be NIL again.
    fn settle_ended(&mut self, range: Range) {
        if range.turn == Turn::First {
            self.ahead.extend(asks(&range.left(), Turn::Again));
            return;
        }
        for (message, came) in range.wanted.iter().zip(&range.came).filter(|(_, came)| **came != Came::Whole) {
            let refused = (*came == Came::Nil).then(|| "NIL in place of the message".to_owned());
            self.missed.push(Missed { reference: Reference::Uid(message.uid), refused });
        }
    }

    /// A range that was refused. One unreadable message must not stand before all others for ever: what has not come
    /// is asked for again, each on its own, and only then given up, with the server's words.
    fn settle_refused(
        &mut self,
        range: Range,
        expunged: bool,
        status: Status,
        fault: MailboxFault,
    ) -> Result<(), MailboxFault> {
        if !expunged && (status == Status::Bad || fault.kind != FaultKind::Refused(COMMAND)) {
            return Err(fault);
        }
        let left = range.left();
        match range.turn {
            // RFC 5530: somebody else removed messages; the next answer knows which.
            Turn::First if expunged => self.ahead.extend(asks(&left, Turn::Again)),
            Turn::First | Turn::Again => self.ahead.extend(left.iter().flat_map(|one| asks(&[*one], Turn::Alone))),
            Turn::Alone => {
                let said = (!expunged).then(|| fault.said.unwrap_or_else(|| "NO".to_owned()));
                let missed = |one: &Listed| Missed { reference: Reference::Uid(one.uid), refused: said.clone() };
                self.missed.extend(left.iter().map(missed));
            }
        }
        Ok(())
    }
}

impl Range {
    /// What has not come whole, ascending.
    fn left(&self) -> Vec<Listed> {
        self.wanted.iter().zip(&self.came).filter(|(_, came)| **came != Came::Whole).map(|(one, _)| *one).collect()
    }
}

/// Ranges of at most [`limits::FETCH_RANGE_BYTES`] and [`limits::FETCH_RANGE_MESSAGES`], with the sets that name them.
fn ranges(wanted: &[Listed], max_bytes_each: usize) -> VecDeque<Ask> {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable_by_key(|message| message.uid);
    wanted.dedup_by_key(|message| message.uid);
    let mut ranges = VecDeque::new();
    let mut rest = &wanted[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(limits::FETCH_RANGE_MESSAGES).take_while(|message| {
            bytes += u64::from(message.size).min(max_bytes_each as u64);
            bytes <= limits::FETCH_RANGE_BYTES
        });
        // A message on its own goes, whatever its size.
        let (range, after) = rest.split_at(fits.count().max(1));
        rest = after;
        ranges.extend(asks(range, Turn::First));
    }
    ranges
}

/// One range, ascending, as commands of which none is too long a line.
fn asks(mut range: &[Listed], turn: Turn) -> Vec<Ask> {
    let uids: Vec<u32> = range.iter().map(|message| message.uid).collect();
    let mut asks = vec![];
    for (count, set) in sets(&uids, SET_BYTES) {
        let (part, after) = range.split_at(count);
        range = after;
        asks.push(Ask { wanted: part.to_vec(), set, turn });
    }
    asks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[u32], max: usize, expected: &[&str]) {
        let wanted: Vec<_> =
            (1..).zip(sizes).map(|(uid, &size)| Listed { uid, sequence: uid, size, arrival: None }).collect();
        let sets: Vec<_> = ranges(&wanted, max).into_iter().map(|ask| ask.set).collect();
        assert_eq!(sets, expected);
    }

    #[test]
    fn ranges_are_bounded() {
        const MB: u32 = 1 << 20;
        check(&[], 4 << 20, &[]);
        check(&[1, 2, 3], 4 << 20, &["1:3"]);
        check(&[4 * MB, 4 * MB, 1], 4 << 20, &["1:2", "3"]);
        check(&[100 * MB, u32::MAX, 1], 4 << 20, &["1:2", "3"]);
        check(&[100 * MB, 1], 100 << 20, &["1", "2"]);
        check(&[10; 501], 4 << 20, &["1:500", "501"]);
    }
}
