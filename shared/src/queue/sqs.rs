//! Amazon SQS, ten messages a call.

use super::{PollRequest, Queue, QueueError};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

/// The poll queue of a deployment.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    /// A queue by its URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    async fn send_ten(&self, polls: &[PollRequest]) -> Result<(), QueueError> {
        let lost = |polls: Vec<&PollRequest>, said: String| QueueError {
            accounts: polls.into_iter().map(|poll| poll.account.clone()).collect(),
            said,
        };
        let mut entries = Vec::new();
        for (number, poll) in polls.iter().enumerate() {
            let body = serde_json::to_string(poll).map_err(|error| lost(polls.iter().collect(), error.to_string()))?;
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body).build();
            entries.push(entry.map_err(|error| lost(polls.iter().collect(), error.to_string()))?);
        }
        let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let sent = sent.map_err(|error| {
            let said = error.as_service_error().map_or("it was not reached".to_owned(), |e| {
                format!("{}: {}", e.code().unwrap_or("?"), e.message().unwrap_or("no message"))
            });
            lost(polls.iter().collect(), said)
        })?;
        // A 200 may still carry entries that failed.
        if sent.failed.is_empty() {
            return Ok(());
        }
        let said = sent.failed[0].message.clone().unwrap_or_else(|| sent.failed[0].code.clone());
        let failed = sent.failed.iter().filter_map(|entry| polls.get(entry.id.parse::<usize>().ok()?)).collect();
        Err(lost(failed, said))
    }
}

#[async_trait::async_trait]
impl Queue for Sqs {
    async fn send(&self, polls: Vec<PollRequest>) -> Result<(), QueueError> {
        let mut failed: Option<QueueError> = None;
        for ten in polls.chunks(10) {
            if let Err(error) = self.send_ten(ten).await {
                match &mut failed {
                    Some(failed) => failed.accounts.extend(error.accounts),
                    None => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
