//! A connection to a mail server: bytes in, whole responses out, by a deadline.

use super::guard::{Broken, Guard};
use super::{FaultKind, MailboxFault};
use crate::net::NetError;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

/// Time in which a server must say something, or take what we say.
const IDLE: Duration = Duration::from_secs(30);
/// Room for one read.
const READ_BYTES: usize = 64 << 10;
/// An empty buffer that is larger than this is given back.
const KEPT_BYTES: usize = 1 << 20;

/// What bytes travel on.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection, the guard over what comes in, and the time it may take.
pub(super) struct Wire {
    io: Box<dyn Io>,
    pub guard: Guard,
    pub deadline: Instant,
    server: String,
    buffer: Vec<u8>,
    /// Up to here the buffer was handed out.
    taken: usize,
    /// Ends the wait under way.
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Wire {
    /// A connection to `server` (its name is for messages) that must be done by `deadline`.
    pub fn new(io: Box<dyn Io>, server: &str, literal_bytes: usize, deadline: Instant) -> Self {
        Self {
            io,
            guard: Guard::new(literal_bytes),
            deadline,
            server: server.to_owned(),
            buffer: vec![],
            taken: 0,
            timer: Box::pin(sleep_until(deadline)),
            waiting: false,
        }
    }

    /// The next whole response, with its last CR LF.
    pub async fn read(&mut self) -> Result<&[u8], MailboxFault> {
        let response = poll_fn(|cx| self.poll_response(cx)).await?;
        Ok(self.bytes(response))
    }

    /// The next whole response, as a place in what [`Wire::bytes`] shows until the next call.
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Range<usize>, MailboxFault>> {
        loop {
            let end = self.guard.end_of(&self.buffer[self.taken..]).map_err(|broken| match broken {
                Broken::Limit(what) => FaultKind::Limit(what),
                Broken::Form(what) => FaultKind::Protocol(what),
            })?;
            if let Some(length) = end {
                let start = self.taken;
                self.taken += length;
                return Poll::Ready(Ok(start..self.taken));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Bytes that were not handed out yet, at least one: for a protocol that frames them itself.
    pub async fn peek(&mut self) -> Result<&[u8], MailboxFault> {
        if !self.holds_more() {
            poll_fn(|cx| self.poll_fill(cx)).await?;
        }
        Ok(&self.buffer[self.taken..])
    }

    /// Hands out so many of the bytes that [`Wire::peek`] showed.
    pub fn take(&mut self, count: usize) {
        self.taken += count;
    }

    /// The bytes of a response.
    pub fn bytes(&self, response: Range<usize>) -> &[u8] {
        &self.buffer[response]
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MailboxFault>> {
        // A server that always has more to say never lets the timer below be asked.
        if !self.waiting && Instant::now() >= self.deadline {
            return Poll::Ready(Err(FaultKind::Deadline.into()));
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        // A literal's size was checked before, so the room it needs may be taken at once.
        self.buffer.reserve(READ_BYTES.max(self.guard.missing(self.buffer.len())));
        let read = pin!(self.io.read_buf(&mut self.buffer)).poll(cx);
        Poll::Ready(match ready!(self.in_time(cx, read))? {
            0 if self.buffer.is_empty() => Err(FaultKind::Closed.into()),
            0 => Err(MailboxFault {
                said: Some("[nothing: it stopped within a response]".into()),
                ..FaultKind::Closed.into()
            }),
            _ => Ok(()),
        })
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailboxFault> {
        let mut rest = bytes;
        poll_fn(|cx| self.poll_send(cx, &mut rest)).await
    }

    /// Sends what is left of `rest`, and flushes.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, rest: &mut &[u8]) -> Poll<Result<(), MailboxFault>> {
        while !rest.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, rest);
            match ready!(self.in_time(cx, written))? {
                0 => return Poll::Ready(Err(FaultKind::Closed.into())),
                count => *rest = &rest[count..],
            }
        }
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    /// Whether bytes wait that were not handed out yet.
    pub fn holds_more(&self) -> bool {
        self.taken < self.buffer.len()
    }

    /// Bytes that are set aside for what comes in.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.buffer.capacity()
    }

    /// The naked connection, for a TLS handshake on it. Nothing can be said or heard here any more.
    pub fn take_io(&mut self) -> Box<dyn Io> {
        std::mem::replace(&mut self.io, Box::new(tokio::io::empty()))
    }

    /// What an attempt came to: while it is pending the timer runs, from the start of the wait.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<std::io::Result<T>>) -> Poll<Result<T, MailboxFault>> {
        let Poll::Ready(outcome) = outcome else {
            if !self.waiting {
                self.waiting = true;
                self.timer.as_mut().reset(self.deadline.min(Instant::now() + IDLE));
            }
            ready!(self.timer.as_mut().poll(cx));
            self.waiting = false;
            return Poll::Ready(Err(self.late()));
        };
        self.waiting = false;
        Poll::Ready(outcome.map_err(|error| self.broken(&error)))
    }

    fn late(&self) -> MailboxFault {
        if Instant::now() >= self.deadline {
            return FaultKind::Deadline.into();
        }
        NetError::Timeout(self.server.clone()).into()
    }

    fn broken(&self, error: &std::io::Error) -> MailboxFault {
        use std::io::ErrorKind as E;
        match error.kind() {
            E::UnexpectedEof | E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => FaultKind::Closed.into(),
            kind => NetError::Http { host: self.server.clone(), why: kind.to_string() }.into(),
        }
    }
}
