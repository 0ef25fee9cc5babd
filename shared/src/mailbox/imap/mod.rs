//! IMAP4 (RFC 9051, RFC 3501).
//!
//! Up to the login the lines are our own, because that is where believing matters; the login and the session are
//! async-imap's, over a [`stream::Stream`] that lets through what is within bounds and what its parser can take.
//!
//! Every tagged status is checked, every untagged response counted, and what came is held against what was asked: a
//! server that stops half way never looks like a server that had no more.

mod answer;
mod command;
mod engine;
mod fetch;
mod list;
mod login;
mod settle;
mod sieve;
mod stream;
#[cfg(test)]
mod tests;

pub use self::list::Listed;
pub(super) use self::login::Opening;

use self::answer::{Answer, Status};
use self::stream::Stream;
use super::fault::{Asked, classify, clean};
use super::{FaultKind, Login, MailboxFault, opening};
use crate::account::Server;
use crate::limits;
use crate::net::{Reach, Tls};
use crate::secret::Secret;
use async_imap::Session;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a literal where no message was asked for.
const SMALL_LITERAL: usize = 64 << 10;
/// Time for LOGOUT.
const FAREWELL: Duration = Duration::from_secs(2);

/// An open mailbox.
pub struct Imap {
    session: Session<Stream>,
    /// What must not be shown.
    secrets: Vec<Secret>,
    round_trips: u32,
    /// Messages of the selected folder, as far as its opening and what was removed since tell.
    exists: u32,
    /// The UID that the selected folder gave next, where the server said so.
    uid_next: Option<u32>,
    /// What the engine reads; none before a folder was selected for it.
    reading: Option<engine::Reading>,
}

/// A selected folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folder {
    /// UIDs mean what they meant as long as this is the same.
    pub uid_validity: u32,
    /// The UID that the next message will have at least, where the server says.
    pub uid_next: Option<u32>,
    /// Messages in it.
    pub exists: u32,
}

/// What a server says it can do, in capitals.
#[derive(Debug, Clone, Default)]
struct Capabilities(Vec<String>);

impl Capabilities {
    fn read(words: &[u8]) -> Self {
        let words = String::from_utf8_lossy(words).to_ascii_uppercase();
        Self(words.split_ascii_whitespace().map(str::to_owned).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|capability| capability == name)
    }
}

impl Imap {
    /// Connects, encrypts as `server` says, and logs in, all before `deadline`, which then holds for whatever follows.
    pub async fn open(
        server: &Server,
        login: &Login,
        reach: &Reach,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Self, MailboxFault> {
        opening::open::<Opening>(server, login, reach, tls, deadline).await
    }

    /// Opens a folder (SELECT, RFC 9051 §6.3.2) by its name as people write it.
    pub async fn select(&mut self, folder: &str) -> Result<Folder, MailboxFault> {
        let name = command::folder(folder)?;
        let (mut exists, mut uid_validity, mut uid_next) = (0, None, None);
        let tag = self.send(&format!("SELECT {name}")).await?;
        self.finish(&tag, Asked::Folder(folder), |answer| {
            match answer {
                Answer::Exists(count) => exists = *count,
                Answer::Said { status: Status::Ok, text } => {
                    uid_validity = text.number("UIDVALIDITY").or(uid_validity);
                    uid_next = text.number("UIDNEXT").or(uid_next);
                }
                _ => {}
            }
            Ok(false)
        })
        .await?;
        (self.exists, self.uid_next) = (exists, uid_next);
        match uid_validity {
            Some(uid_validity) if uid_validity > 0 => Ok(Folder { uid_validity, uid_next, exists }),
            _ => Err(FaultKind::Protocol("a folder was opened without its UIDVALIDITY").into()),
        }
    }

    /// Says goodbye, shortly, and hangs up whatever comes.
    pub async fn close(mut self) {
        let wire = &mut self.session.get_mut().wire;
        wire.deadline = wire.deadline.min(Instant::now() + FAREWELL);
        let farewell = async {
            let tag = self.send("LOGOUT").await?;
            self.finish(&tag, Asked::Command("LOGOUT"), |_| Ok(false)).await
        };
        // The BYE that comes first ends it as a fault, as a silent server does: nothing is to be done about either.
        let _ = farewell.await;
    }

    /// Commands sent so far whose answer was waited for.
    pub fn round_trips(&self) -> u32 {
        self.round_trips
    }

    /// What the server can do, asked when it has not said since the login.
    async fn capabilities(&mut self) -> Result<Capabilities, MailboxFault> {
        if self.session.get_ref().capabilities.is_none() {
            let tag = self.send("CAPABILITY").await?;
            self.finish(&tag, Asked::Command("CAPABILITY"), |_| Ok(false)).await?;
        }
        let heard = self.session.get_ref().capabilities.clone();
        heard.ok_or(FaultKind::Protocol("it does not say what it can do").into())
    }

    /// Sends a command and returns its tag.
    async fn send(&mut self, text: &str) -> Result<Vec<u8>, MailboxFault> {
        self.round_trips += 1;
        match self.session.run_command(text).await {
            Ok(tag) => Ok(tag.0.into_bytes()),
            Err(_) => Err(self.session.get_mut().take_fault()),
        }
    }

    /// Reads until the command `tag` ends; NO, BAD and BYE become faults. `each` sees every untagged response and says
    /// whether it is one that was asked for; the others are counted.
    async fn finish(
        &mut self,
        tag: &[u8],
        asked: Asked<'_>,
        mut each: impl FnMut(&Answer<'_>) -> Result<bool, FaultKind>,
    ) -> Result<(), MailboxFault> {
        let mut unasked = 0;
        let secrets = &self.secrets;
        let mut look = |answer: Answer<'_>| -> Result<bool, MailboxFault> {
            if ends(&answer, tag, asked, secrets)? {
                return Ok(true);
            }
            unasked += usize::from(!each(&answer)?);
            if unasked > limits::SERVER_UNTAGGED {
                return Err(FaultKind::Limit("more than we listen to").into());
            }
            Ok(false)
        };
        while !read(&mut self.session, &mut look).await? {}
        Ok(())
    }
}

/// Reads the next response and gives what `look` makes of it.
async fn read<T>(
    session: &mut Session<Stream>,
    look: impl FnOnce(Answer<'_>) -> Result<T, MailboxFault>,
) -> Result<T, MailboxFault> {
    session.get_mut().expect_response();
    match session.read_response().await {
        Ok(Some(response)) => look(answer::of(response.parsed())),
        Ok(None) | Err(_) => Err(session.get_mut().take_fault()),
    }
}

/// Whether the command `tag` ended well; NO, BAD and BYE are faults, as is what no command of ours asked for.
fn ends(answer: &Answer<'_>, tag: &[u8], asked: Asked<'_>, secrets: &[Secret]) -> Result<bool, MailboxFault> {
    match answer {
        Answer::Done { tag: ended, status: Status::Ok, .. } if *ended == tag => Ok(true),
        Answer::Done { tag: ended, text, .. } if *ended == tag => Err(refusal(secrets, asked, false, text)),
        Answer::Done { .. } => Err(FaultKind::Protocol("an answer to a command that was not sent").into()),
        Answer::Said { status: Status::Bye, text } => Err(refusal(secrets, asked, true, text)),
        Answer::Continue(_) => Err(FaultKind::Protocol("it asks for more than the command had").into()),
        _ => Ok(false),
    }
}

/// The fault behind a NO, BAD or BYE.
fn refusal(secrets: &[Secret], asked: Asked<'_>, bye: bool, text: &answer::Text<'_>) -> MailboxFault {
    let code = clean(&text.code, secrets);
    let words = clean(&text.words, secrets);
    // The code belongs to what was said: Dovecot's says more than its words.
    let said = if code.is_empty() { words } else { format!("[{code}] {words}") };
    classify(asked, bye, &text.code, &text.words, said)
}
