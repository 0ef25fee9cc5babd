//! The fan-out of polls: one message for each account that is due. SQS on AWS, a channel on one machine.

mod local;
mod sqs;

pub use local::Channel;
pub use sqs::Sqs;

use crate::account::AccountId;
use serde::{Deserialize, Serialize};

/// "Poll this account", as `bounce-poll` gets it: from the queue, or by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    /// Which account.
    pub account: AccountId,
    /// Correlation id, from the schedule to the fact; none when somebody asks by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// A queue did not take everything.
#[derive(Debug, thiserror::Error)]
#[error("{} of the polls could not be queued: {said}", .accounts.len())]
pub struct QueueError {
    /// Accounts that were not queued.
    pub accounts: Vec<AccountId>,
    /// What the queue said.
    pub said: String,
}

/// Where polls are sent.
#[async_trait::async_trait]
pub trait Queue: Send + Sync {
    /// Sends polls, in batches of what the queue takes; the error names what was not sent.
    async fn send(&self, polls: Vec<PollRequest>) -> Result<(), QueueError>;
}
