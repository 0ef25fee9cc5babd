//! A connection to a mail server: bytes in, whole responses out, by a deadline.

use super::guard::{Broken, Guard};
use super::{FaultKind, MailboxFault};
use crate::net::NetError;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Time in which a server must say something.
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
}

impl Wire {
    /// A connection to `server` (its name is for messages) that must be done by `deadline`.
    pub fn new(io: Box<dyn Io>, server: &str, literal_bytes: usize, deadline: Instant) -> Self {
        Self { io, guard: Guard::new(literal_bytes), deadline, server: server.to_owned(), buffer: vec![], taken: 0 }
    }

    /// The next whole response, with its last CR LF.
    pub async fn read(&mut self) -> Result<&[u8], MailboxFault> {
        loop {
            let end = self.guard.end_of(&self.buffer[self.taken..]).map_err(|broken| match broken {
                Broken::Limit(what) => FaultKind::Limit(what),
                Broken::Form(what) => FaultKind::Protocol(what),
            })?;
            if let Some(length) = end {
                let start = self.taken;
                self.taken += length;
                return Ok(&self.buffer[start..self.taken]);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), MailboxFault> {
        // A server that always has more to say never lets the timer below be asked.
        if Instant::now() >= self.deadline {
            return Err(FaultKind::Deadline.into());
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        // A literal's size was checked before, so the room it needs may be taken at once.
        self.buffer.reserve(READ_BYTES.max(self.guard.missing(self.buffer.len())));
        let read = timeout_at(self.limit(), self.io.read_buf(&mut self.buffer)).await;
        match self.in_time(read)? {
            0 if self.buffer.is_empty() => Err(FaultKind::Closed.into()),
            0 => Err(MailboxFault {
                said: Some("[nothing: it stopped within a response]".into()),
                ..FaultKind::Closed.into()
            }),
            _ => Ok(()),
        }
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailboxFault> {
        let sent = timeout_at(self.limit(), async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        })
        .await;
        self.in_time(sent)
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

    /// The naked connection, for a TLS handshake on it.
    pub fn into_io(self) -> Box<dyn Io> {
        self.io
    }

    fn limit(&self) -> Instant {
        self.deadline.min(Instant::now() + IDLE)
    }

    fn in_time<T>(&self, outcome: Result<std::io::Result<T>, tokio::time::error::Elapsed>) -> Result<T, MailboxFault> {
        use std::io::ErrorKind as E;
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => match error.kind() {
                E::UnexpectedEof | E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => {
                    Err(FaultKind::Closed.into())
                }
                kind => Err(NetError::Http { host: self.server.clone(), why: kind.to_string() }.into()),
            },
            Err(_) if Instant::now() >= self.deadline => Err(FaultKind::Deadline.into()),
            Err(_) => Err(NetError::Timeout(self.server.clone()).into()),
        }
    }
}
