//! Graph as a [`Mailbox`].

use super::super::{Fetched, Mailbox, Missed, Settled};
use super::client::Ask;
use super::delta::{self, Reading, first_position};
use super::{FaultKind, Graph, MailboxFault};
use crate::account::{AfterReading, Since};
use crate::cursor::{Position, Reference};
use crate::limits;
use crate::mailbox::Listed;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use http::Method;
use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};

/// Of the time that is left, this part may go into listing.
const LISTING: u32 = 3;

/// What came of asking for a message.
enum Came {
    Message(Fetched),
    Missed(Missed),
    /// The server failed at it; perhaps only now, perhaps always.
    Failed(MailboxFault),
}

impl Graph {
    fn selected(&self) -> Result<&Reading, MailboxFault> {
        self.reading.as_ref().ok_or_else(|| FaultKind::Protocol("no folder is open").into())
    }

    /// A message as MIME ("Get MIME content of a message"), within the folder: where somebody has moved it elsewhere, it
    /// is not ours any more.
    async fn message(&self, folder: &str, listed: &Listed) -> Result<Came, MailboxFault> {
        let reference = listed.reference.clone();
        let Reference::Name(id) = &reference else {
            return Ok(Came::Missed(Missed { reference, refused: None }));
        };
        let url = self.client.url(&["mailFolders", folder, "messages", id, "$value"]);
        let ask = Ask { most: limits::MESSAGE_BYTES, ..Ask::get(url) };
        let refusal = match self.client.send(ask).await? {
            Ok(answer) => {
                let size = if answer.cut { answer.length } else { u64::try_from(answer.body.len()).ok() };
                let size = size.and_then(|size| u32::try_from(size).ok()).unwrap_or(u32::MAX);
                let (arrival, bytes, cut) = (listed.arrival, answer.body, answer.cut);
                return Ok(Came::Message(Fetched { reference, size, arrival, bytes, cut }));
            }
            Err(refusal) => refusal,
        };
        Ok(match refusal.status {
            _ if refusal.is_gone() => Came::Missed(Missed { reference, refused: None }),
            403 => {
                return Err(MailboxFault { kind: FaultKind::NotPermitted, said: refusal.said, retry_after: None });
            }
            500 | 502 => Came::Failed(self.client.fault(refusal, "a message")),
            400 | 405..=428 | 430..=499 => {
                Came::Missed(Missed { reference, refused: Some(refusal.said.unwrap_or_default()) })
            }
            _ => return Err(self.client.fault(refusal, "a message")),
        })
    }

    /// Marks, moves (to the folder of this id) or deletes one message.
    async fn settle_one(&self, id: &str, what: &AfterReading, into: &str) -> Result<(), MailboxFault> {
        let folder = &self.selected()?.folder;
        let message = ["mailFolders", folder, "messages", id];
        let (method, url, body, said) = match what {
            AfterReading::Leave => return Ok(()),
            AfterReading::Seen => {
                (Method::PATCH, self.client.url(&message), r#"{"isRead":true}"#.to_owned(), "to mark a message")
            }
            AfterReading::Move(_) => {
                let url = self.client.url(&[&message[..], &["move"]].concat());
                let body = serde_json::json!({ "destinationId": into }).to_string();
                (Method::POST, url, body, "to move a message")
            }
            AfterReading::Delete => (Method::DELETE, self.client.url(&message), String::new(), "to delete a message"),
        };
        let ask = Ask { method, url, body: (!body.is_empty()).then_some(body), most: limits::GRAPH_PAGE_BYTES };
        match self.client.send(ask).await? {
            Ok(_) => Ok(()),
            // Somebody else was there before us.
            Err(refusal) if refusal.is_gone() => Ok(()),
            Err(refusal) => Err(self.client.fault(refusal, said)),
        }
    }
}

#[async_trait]
impl Mailbox for Graph {
    async fn select(&mut self, folder: &str) -> Result<(), MailboxFault> {
        self.reading = None;
        let id = self.folder(folder).await?;
        self.reading = Some(Reading::of(id));
        Ok(())
    }

    async fn list(
        &mut self,
        from: Option<&Position>,
        since: Since,
        now: Timestamp,
    ) -> Result<Vec<Listed>, MailboxFault> {
        let folder = self.selected()?.folder.clone();
        let before = from.and_then(|from| match from {
            Position::Graph(position) => Some(position),
            Position::Imap(_) | Position::Pop3(_) => None,
        });
        let good = before.filter(|at| at.folder_id == folder && self.client.follow(&at.link).is_ok());
        let first = || first_position(&self.client, &folder, before, since, now);
        let until = Instant::now() + self.client.deadline.saturating_duration_since(Instant::now()) / LISTING;
        let (mut position, fresh) = good.map_or_else(|| (first(), true), |good| (good.clone(), false));
        let mut round = delta::list(&self.client, &position, until).await?;
        if round.is_none() && !fresh {
            // What was read is known by its key; nothing is counted twice.
            position = first();
            round = delta::list(&self.client, &position, until).await?;
        }
        let round = round.ok_or(FaultKind::Protocol("a listing that cannot begin"))?;
        let reading = self.reading.as_mut().ok_or(FaultKind::Protocol("no folder is open"))?;
        Ok(reading.begin(position, round, now))
    }

    fn position(&self) -> Option<Position> {
        self.reading.as_ref()?.position().map(Position::Graph)
    }

    async fn fetch(&mut self, wanted: &[Listed], out: Sender<Fetched>) -> Result<Vec<Missed>, MailboxFault> {
        let (graph, folder) = (&*self, &self.selected()?.folder);
        let asked: Vec<_> = wanted.iter().map(|listed| graph.message(folder, listed)).collect();
        let mut coming = stream::iter(asked).buffered(limits::GRAPH_REQUESTS).zip(stream::iter(wanted));
        let (mut missed, mut failed, mut came) = (vec![], vec![], 0);
        while let Some((got, listed)) = coming.next().await {
            match got? {
                Came::Message(message) => {
                    came += 1;
                    if !hand_over(&out, message, graph.client.deadline).await? {
                        return Ok(missed);
                    }
                }
                Came::Missed(message) => missed.push(message),
                Came::Failed(fault) => failed.push((listed, fault)),
            }
        }
        for (listed, fault) in failed {
            // Where nothing else came either it is the server, and not the message.
            if came == 0 {
                return Err(fault);
            }
            match self.message(folder, listed).await? {
                Came::Message(message) => {
                    hand_over(&out, message, self.client.deadline).await?;
                }
                Came::Missed(message) => missed.push(message),
                Came::Failed(fault) => {
                    missed.push(Missed { reference: listed.reference.clone(), refused: Some(fault.to_string()) });
                }
            }
        }
        Ok(missed)
    }

    async fn settle(&mut self, done: &[Reference], what: &AfterReading) -> Result<Settled, MailboxFault> {
        let into = match what {
            AfterReading::Move(name) => self.folder(name).await?,
            _ => String::new(),
        };
        let ids = done.iter().filter_map(|message| match message {
            Reference::Name(id) => Some(id.as_str()),
            Reference::Uid(_) => None,
        });
        let (graph, into) = (&*self, into.as_str());
        let settling: Vec<_> = ids.map(|id| graph.settle_one(id, what, into)).collect();
        let mut settling = stream::iter(settling).buffer_unordered(limits::GRAPH_REQUESTS);
        while let Some(settled) = settling.next().await {
            settled?;
        }
        Ok(Settled::Done)
    }

    fn advance(&mut self, done: &[Reference]) {
        if let Some(reading) = &mut self.reading {
            reading.advance(done);
        }
    }

    fn round_trips(&self) -> u32 {
        self.client.round_trips()
    }

    async fn close(self: Box<Self>) -> Result<(), MailboxFault> {
        // Whatever was settled came about at once.
        Ok(())
    }
}

/// Hands a message over; `false` when the receiver left, whose own fault is told by it.
async fn hand_over(out: &Sender<Fetched>, message: Fetched, deadline: Instant) -> Result<bool, MailboxFault> {
    match timeout_at(deadline, out.send(message)).await {
        Ok(sent) => Ok(sent.is_ok()),
        Err(_) => Err(FaultKind::Deadline.into()),
    }
}
