//! On a schedule: accounts that are due go to the poll queue, each once a tick.

use jiff::Timestamp;
use rebond::queue::{PollRequest, Queue, QueueError};
use rebond::table::{AccountItem, Table, TableError};
use serde::Serialize;
use std::sync::Arc;

/// What the function needs.
#[derive(Clone)]
pub struct PollDispatch {
    /// State.
    pub table: Table,
    /// Where polls are sent.
    pub queue: Arc<dyn Queue>,
}

/// What one run did.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Correlation id of the run; every poll carries it.
    pub run: String,
    /// Accounts that were due.
    pub due: u64,
    /// Polls that were queued.
    pub queued: u64,
}

/// A fault of our own; the schedule tries again.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Our queue; the accounts it names stay due.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl PollDispatch {
    /// Claims what is due, then queues it. The claim moves `next_due` on by one period, so that a second dispatcher of
    /// the same tick finds nothing, and an account whose message is lost is due again after its period. What the queue
    /// refuses is given back.
    pub async fn run(&self, run: &str, now: Timestamp) -> Result<Summary, DispatchError> {
        let due = self.table.accounts_due(now).await?;
        let mut claimed = Vec::new();
        let mut polls = Vec::new();
        for item in &due {
            let next_due = now.as_second() + i64::from(item.account.period_seconds);
            if self.table.claim_due(item, next_due).await? {
                polls.push(PollRequest { account: item.account.id.clone(), run: Some(run.to_owned()) });
                claimed.push(AccountItem { next_due, ..item.clone() });
            }
        }
        let summary = Summary { run: run.to_owned(), due: due.len() as u64, queued: polls.len() as u64 };
        if let Err(error) = self.queue.send(polls).await {
            for item in claimed.iter().filter(|item| error.accounts.contains(&item.account.id)) {
                self.table.claim_due(item, now.as_second()).await?;
            }
            return Err(error.into());
        }
        tracing::info!(run, due = summary.due, queued = summary.queued, "polls dispatched");
        Ok(summary)
    }
}
