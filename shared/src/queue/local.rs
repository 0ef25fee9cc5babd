//! A channel in one process.

use super::{PollRequest, Queue, QueueError};
use tokio::sync::mpsc::Sender;

/// The sending end of a bounded channel; a full one makes the dispatcher wait.
#[derive(Clone, Debug)]
pub struct Channel(pub Sender<PollRequest>);

#[async_trait::async_trait]
impl Queue for Channel {
    async fn send(&self, polls: Vec<PollRequest>) -> Result<(), QueueError> {
        let mut polls = polls.into_iter();
        while let Some(poll) = polls.next() {
            if let Err(error) = self.0.send(poll).await {
                let accounts = std::iter::once(error.0).chain(polls).map(|poll| poll.account).collect();
                return Err(QueueError { accounts, said: "nobody reads it any more".into() });
            }
        }
        Ok(())
    }
}
