//! On a schedule: accounts that are due go to the poll queue, each once a tick.

use futures::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;
use rebond::queue::{PollRequest, Queue, QueueError};
use rebond::table::{AccountItem, Table, TableError};
use serde::Serialize;
use std::sync::Arc;

/// Claims under way at once: of ten thousand accounts one after the other none would be queued within the function's time.
const AT_ONCE: usize = 32;
/// Accounts that are claimed and then queued; a run that is cut off leaves no more than so many for their next period.
const TOGETHER: usize = 500;

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
        let mut summary = Summary { run: run.to_owned(), due: due.len() as u64, queued: 0 };
        for some in due.chunks(TOGETHER) {
            summary.queued += self.queue_some(some, run, now).await?;
        }
        tracing::info!(run, due = summary.due, queued = summary.queued, "polls dispatched");
        Ok(summary)
    }

    /// Claims some accounts and queues those that nobody else claimed; answers how many.
    async fn queue_some(&self, due: &[AccountItem], run: &str, now: Timestamp) -> Result<u64, DispatchError> {
        let claims: Vec<_> = due.iter().map(|item| self.claim(item.clone(), now)).collect();
        let claims = stream::iter(claims).buffered(AT_ONCE);
        let claimed: Vec<AccountItem> = claims.try_filter_map(future::ok).try_collect().await?;
        let mut polls = Vec::new();
        for item in &claimed {
            polls.push(PollRequest { account: item.account.id.clone(), run: Some(run.to_owned()) });
        }
        if let Err(error) = self.queue.send(polls).await {
            for item in claimed.iter().filter(|item| error.accounts.contains(&item.account.id)) {
                self.table.claim_due(item, now.as_second()).await?;
            }
            return Err(error.into());
        }
        Ok(claimed.len() as u64)
    }

    /// The account as it stands once it is claimed; none when somebody else claimed it.
    async fn claim(&self, item: AccountItem, now: Timestamp) -> Result<Option<AccountItem>, TableError> {
        let next_due = now.as_second() + i64::from(item.account.period_seconds);
        let ours = self.table.claim_due(&item, next_due).await?;
        Ok(ours.then_some(AccountItem { next_due, ..item }))
    }
}
