//! One mailbox → facts: from the queue, up to ten accounts at once, or invoked with `{"account": "…"}`. Invoked with
//! `{"doctor": "…"}` it says why a mailbox does not answer: what is shown is what *it* can reach.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use rebond::account::AccountId;
use rebond::doctor::Examination;
use rebond::poll::{PollError, Poller, Summary};
use rebond::queue::PollRequest;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// What the function is invoked with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// A batch of the poll queue.
    Batch(SqsEvent),
    /// One account, by hand.
    One(PollRequest),
    /// Why one account does not answer.
    Examine {
        /// Which.
        doctor: AccountId,
        /// The longest time for it.
        seconds: u16,
    },
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// For a batch: which messages were not handled.
    Batch(SqsBatchResponse),
    /// For one account: what was done.
    One(Box<Summary>),
    /// What was found.
    Examined(Box<Examination>),
}

/// Who hears what each poll did.
pub type Told = fn(&Summary);

/// Polls what the event names until `deadline`; `told` hears what each poll did. A batch never fails as a whole: one
/// account's trouble is its own.
pub async fn handle(
    poller: &Poller,
    event: Event,
    run: &str,
    deadline: Instant,
    told: Told,
) -> Result<Answer, PollError> {
    match event {
        Event::One(request) => {
            let summary = poll(poller, &request, run, deadline).await?;
            told(&summary);
            Ok(Answer::One(Box::new(summary)))
        }
        Event::Examine { doctor, seconds } => {
            let deadline = deadline.min(Instant::now() + Duration::from_secs(seconds.into()));
            let found = poller.examine(&doctor, deadline).await?;
            let advice = found.diagnosis.as_ref().map(|diagnosis| diagnosis.advice.as_str());
            tracing::info!(account = %doctor, run, advice, "mailbox examined");
            Ok(Answer::Examined(Box::new(found)))
        }
        Event::Batch(batch) => {
            let polls = batch.records.into_iter().map(|message| poll_message(poller, message, run, deadline, told));
            let failed = futures::future::join_all(polls).await.into_iter().flatten().collect();
            let mut answer = SqsBatchResponse::default();
            answer.batch_item_failures = failed;
            Ok(Answer::Batch(answer))
        }
    }
}

/// The failure to report for a message; none when it is done with.
async fn poll_message(
    poller: &Poller,
    message: SqsMessage,
    run: &str,
    deadline: Instant,
    told: Told,
) -> Option<BatchItemFailure> {
    let id = message.message_id.unwrap_or_default();
    let failed = match serde_json::from_str::<PollRequest>(message.body.as_deref().unwrap_or_default()) {
        Ok(request) => match poll(poller, &request, run, deadline).await {
            Ok(summary) => {
                told(&summary);
                false
            }
            // Removed since it was queued: nothing to try again.
            Err(PollError::NoAccount(_)) => false,
            Err(_) => true,
        },
        Err(error) => {
            tracing::error!(message = id, run, error = %error, "a message of the poll queue is none of ours");
            true
        }
    };
    failed.then(|| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failure
    })
}

async fn poll(poller: &Poller, request: &PollRequest, run: &str, deadline: Instant) -> Result<Summary, PollError> {
    let run = request.run.as_deref().unwrap_or(run);
    let polled = poller.poll(&request.account, run, deadline, &()).await;
    match &polled {
        Ok(summary) => tracing::info!(
            account = %request.account,
            run,
            busy = summary.busy,
            messages = summary.messages,
            reports = summary.reports,
            recorded = summary.recorded,
            left = summary.left,
            health = summary.health.as_ref().map(|health| health.state.as_str()),
            advice = summary.health.as_ref().and_then(|health| health.advice.as_deref()),
            error = summary.health.as_ref().and_then(|health| health.said.as_deref()),
            "mailbox polled"
        ),
        Err(error) => tracing::error!(account = %request.account, run, error = %error, "poll failed"),
    }
    polled
}
