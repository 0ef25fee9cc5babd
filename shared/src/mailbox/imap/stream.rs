//! The connection as async-imap sees it: what the guard has framed and bounded and the sieve has let through, one whole
//! response at a time.
//!
//! async-imap tells its caller nothing but OK of a login, and of an error beneath it only words. What the guard found,
//! and how a login ended, is therefore kept here and taken out when async-imap has given up.

use super::super::wire::Wire;
use super::super::{FaultKind, MailboxFault};
use super::Capabilities;
use super::answer::{self, Answer, Status, Text};
use super::sieve::{Sieved, sieve};
use crate::limits;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection beneath an [`async_imap::Session`].
pub(super) struct Stream {
    pub wire: Wire,
    /// What the server can do, where it said so on this stream.
    pub capabilities: Option<Capabilities>,
    /// How the login goes, while there is one.
    pub login: Option<LoginWatch>,
    fault: Option<MailboxFault>,
    handed: Handed,
    next: VecDeque<Vec<u8>>,
    /// Whether a response is waited for. async-imap's parser may want more than a whole response: it would then take
    /// the start of the next one for its end, and must not get it.
    due: bool,
    /// Responses since the last command that nobody asked for.
    unasked: usize,
    sending: Vec<u8>,
    sent: usize,
}

/// The response that is handed over, and up to where.
enum Handed {
    Whole(std::ops::Range<usize>),
    Plain(Vec<u8>, usize),
}

/// What a login's answers say, which its caller is not told by async-imap.
pub(super) struct LoginWatch {
    tag: Vec<u8>,
    most: usize,
    too_many: &'static str,
    /// The server's challenges, as they came.
    pub challenges: Vec<Vec<u8>>,
    /// How it ended: the tagged answer, or a BYE.
    pub ended: Option<(Status, Text<'static>)>,
    stands: bool,
}

impl LoginWatch {
    /// A login in which the server may want an answer so many times; `too_many` is the fault when it wants more.
    pub fn new(most: usize, too_many: &'static str) -> Self {
        Self { tag: vec![], most, too_many, challenges: vec![], ended: None, stands: false }
    }

    /// A login that stands: async-imap's own is answered here, and not sent.
    pub fn done_already() -> Self {
        Self { stands: true, ..Self::new(0, "") }
    }

    /// The challenge that came when all was said: why a token is refused.
    pub fn explanation(&self) -> Option<&[u8]> {
        self.challenges.last().filter(|_| self.most > 0 && self.challenges.len() == self.most).map(Vec::as_slice)
    }

    /// Takes note of a response, and says whether it goes on.
    fn hear(&mut self, response: &[u8]) -> Result<bool, FaultKind> {
        match answer::line(response).map_err(FaultKind::Protocol)? {
            Answer::Continue(_) if self.challenges.len() == self.most => Err(FaultKind::Protocol(self.too_many)),
            Answer::Continue(challenge) => {
                self.challenges.push(challenge.to_vec());
                Ok(true)
            }
            Answer::Done { tag, status, text } if tag == self.tag => {
                self.ended = Some((status, text.into_owned()));
                Ok(true)
            }
            Answer::Done { .. } => Err(FaultKind::Protocol("an answer to a command that was not sent")),
            Answer::Said { status: Status::Bye, text } => {
                self.ended = Some((Status::Bye, text.into_owned()));
                Err(FaultKind::Closed)
            }
            _ => Ok(false),
        }
    }
}

impl Stream {
    pub fn new(wire: Wire, login: LoginWatch) -> Self {
        Self {
            wire,
            capabilities: None,
            login: Some(login),
            fault: None,
            handed: Handed::Whole(0..0),
            next: VecDeque::new(),
            due: false,
            unasked: 0,
            sending: vec![],
            sent: 0,
        }
    }

    /// Says that one more response is waited for.
    pub fn expect_response(&mut self) {
        self.due = true;
    }

    /// Why async-imap gave up.
    pub fn take_fault(&mut self) -> MailboxFault {
        self.fault.take().unwrap_or_else(|| FaultKind::Protocol("a response that cannot be read").into())
    }

    fn rest(&self) -> &[u8] {
        match &self.handed {
            Handed::Whole(place) => self.wire.bytes(place.clone()),
            Handed::Plain(response, at) => &response[*at..],
        }
    }

    fn fail<T>(&mut self, fault: impl Into<MailboxFault>) -> Poll<io::Result<T>> {
        self.fault = Some(fault.into());
        Poll::Ready(Err(io::Error::other("the guard ended it")))
    }

    /// Finds the next response that goes on.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MailboxFault>> {
        while self.next.is_empty() {
            let place = ready!(self.wire.poll_response(cx))?;
            let response = self.wire.bytes(place.clone());
            let heard = self.login.as_mut().map_or(Ok(true), |login| login.hear(response))?;
            match sieve(response).map_err(FaultKind::Protocol)? {
                Sieved::Capability(words) => self.capabilities = Some(Capabilities::read(words)),
                Sieved::Whole if heard => {
                    self.handed = Handed::Whole(place);
                    return Poll::Ready(Ok(()));
                }
                Sieved::Plainly(responses) if heard => {
                    self.next = responses.into();
                    continue;
                }
                _ => {}
            }
            self.unasked += 1;
            if self.unasked > limits::SERVER_UNTAGGED {
                return Poll::Ready(Err(FaultKind::Limit("more than we listen to").into()));
            }
        }
        if let Some(response) = self.next.pop_front() {
            self.handed = Handed::Plain(response, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the command that was written, or answers it where the login stands already.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MailboxFault>> {
        if let Some(login) = self.login.as_mut().filter(|login| login.tag.is_empty()) {
            login.tag = answer::split_word(&self.sending).0.to_vec();
            if login.stands {
                self.next.push_back([&login.tag[..], b" OK\r\n"].concat());
                self.login = None;
                return Poll::Ready(Ok(()));
            }
        }
        let mut rest = &self.sending[self.sent..];
        let sent = self.wire.poll_send(cx, &mut rest);
        self.sent = self.sending.len() - rest.len();
        sent
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.rest().is_empty() {
            if !this.due {
                return this.fail(FaultKind::Protocol("a response that cannot be read"));
            }
            // Its place in the buffer means nothing once more is read.
            this.handed = Handed::Whole(0..0);
            if let Err(fault) = ready!(this.poll_next(cx)) {
                return this.fail(fault);
            }
            this.due = false;
        }
        let count = this.rest().len().min(buf.remaining());
        buf.put_slice(&this.rest()[..count]);
        match &mut this.handed {
            Handed::Whole(place) => place.start += count,
            Handed::Plain(_, at) => *at += count,
        }
        Poll::Ready(Ok(()))
    }
}

/// A command is written in pieces, and sent as one when it is flushed.
impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sending.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let sent = ready!(this.poll_sent(cx));
        this.sending.clear();
        (this.sent, this.unasked, this.due) = (0, 0, true);
        match sent {
            Ok(()) => Poll::Ready(Ok(())),
            Err(fault) => this.fail(fault),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// async-imap wants one; there is nothing in it that may be shown.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}
