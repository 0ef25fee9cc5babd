//! What becomes of messages once their facts are durable.

use super::super::fault::Asked;
use super::super::{MailboxFault, Settled};
use super::Imap;
use super::command::{self, SET_BYTES, sets};
use crate::account::AfterReading;

impl Imap {
    /// Marks, moves or deletes messages of the selected folder. UIDs that are gone already are no fault.
    pub async fn settle(&mut self, uids: &[u32], what: &AfterReading) -> Result<Settled, MailboxFault> {
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        let mut settled = Settled::Done;
        for (_, set) in sets(&uids, SET_BYTES) {
            let now = match what {
                AfterReading::Leave => Settled::Done,
                AfterReading::Seen => self.mark(&set, "\\Seen").await?,
                AfterReading::Move(folder) => self.move_to(&set, folder).await?,
                AfterReading::Delete => self.delete(&set).await?,
            };
            if now != Settled::Done {
                settled = now;
            }
        }
        Ok(settled)
    }

    async fn mark(&mut self, set: &str, flag: &str) -> Result<Settled, MailboxFault> {
        self.run(&format!("UID STORE {set} +FLAGS.SILENT ({flag})"), Asked::Command("UID STORE")).await?;
        Ok(Settled::Done)
    }

    /// UID MOVE (RFC 6851) where offered, else what it stands for.
    async fn move_to(&mut self, set: &str, folder: &str) -> Result<Settled, MailboxFault> {
        let name = command::folder(folder)?;
        if self.capabilities().await?.has("MOVE") {
            self.run(&format!("UID MOVE {set} {name}"), Asked::Into(folder, "UID MOVE")).await?;
            return Ok(Settled::Done);
        }
        self.run(&format!("UID COPY {set} {name}"), Asked::Into(folder, "UID COPY")).await?;
        self.delete(set).await
    }

    async fn delete(&mut self, set: &str) -> Result<Settled, MailboxFault> {
        let can_expunge = self.capabilities().await?.has("UIDPLUS");
        self.mark(set, "\\Deleted").await?;
        if !can_expunge {
            return Ok(Settled::MarkedDeleted);
        }
        self.run(&format!("UID EXPUNGE {set}"), Asked::Command("UID EXPUNGE")).await?;
        Ok(Settled::Done)
    }

    async fn run(&mut self, text: &str, asked: Asked<'_>) -> Result<(), MailboxFault> {
        let tag = self.send(text).await?;
        self.finish(&tag, asked, |_| Ok(false)).await
    }
}
