//! Amazon SQS, ten messages a call.

use super::{PollRequest, Queue, QueueError};
use crate::deployment::signed::Signed;
use serde_json::{Value, json};
use std::sync::Arc;

/// The poll queue of a deployment.
#[derive(Clone)]
pub struct Sqs {
    signed: Arc<Signed>,
    url: String,
}

impl Sqs {
    /// A queue of this process's region, by its URL.
    pub fn new(signed: Arc<Signed>, url: impl Into<String>) -> Self {
        Self { signed, url: url.into() }
    }

    async fn send_ten(&self, polls: &[PollRequest]) -> Result<(), QueueError> {
        let lost = |polls: Vec<&PollRequest>, said: String| QueueError {
            accounts: polls.into_iter().map(|poll| poll.account.clone()).collect(),
            said,
        };
        let entry = |(number, poll): (usize, &PollRequest)| {
            let body = serde_json::to_string(poll)?;
            Ok(json!({ "Id": number.to_string(), "MessageBody": body }))
        };
        let entries: Result<Vec<Value>, serde_json::Error> = polls.iter().enumerate().map(entry).collect();
        let entries = entries.map_err(|error| lost(polls.iter().collect(), error.to_string()))?;
        let asked = json!({ "QueueUrl": self.url, "Entries": entries });
        let sent = self.signed.call_json("sqs", None, "AmazonSQS.SendMessageBatch", "1.0", &asked).await;
        let sent = sent.map_err(|fault| lost(polls.iter().collect(), fault.said))?;
        // A 200 may still carry entries that failed.
        let Some(failed) = sent["Failed"].as_array().filter(|failed| !failed.is_empty()) else { return Ok(()) };
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let said = format!("{}: {}", text(&failed[0], "Code"), text(&failed[0], "Message"));
        let failed = failed.iter().filter_map(|entry| polls.get(entry["Id"].as_str()?.parse::<usize>().ok()?));
        Err(lost(failed.collect(), said))
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
