//! The table's stream → standings: each fact that is new goes into the standings of the addresses it names.

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use jiff::Timestamp;
use rebond::follow::{Followed, Follower};
use rebond::table::Fact;

/// What one invocation did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Facts that it was brought.
    pub facts: u64,
    /// Outcomes that said something about their address.
    pub causes: u64,
    /// Of these, those that proved less than their list asks for.
    pub unproven: u64,
    /// Standings that moved.
    pub changed: u64,
}

/// Follows a batch of the stream. The answer names the first record that is not done with, from which the stream goes
/// on: what came before it is not brought again.
pub async fn handle(follower: &Follower, event: Event, run: &str, now: Timestamp) -> (DynamoDbEventResponse, Summary) {
    let mut summary = Summary::default();
    let (facts, unreadable) = facts(event.records, run);
    summary.facts = facts.len() as u64;
    let of = |(_, fact): &(String, Fact)| fact.clone();
    let first_failed = match follower.follow(&facts.iter().map(of).collect::<Vec<_>>(), now).await {
        Ok(followed) => {
            add(&mut summary, &followed);
            None
        }
        Err(error) => {
            tracing::error!(run, error = %error, "a batch could not be followed whole");
            one_by_one(follower, &facts, now, &mut summary).await
        }
    };
    let mut answer = DynamoDbEventResponse::default();
    // One that cannot be read comes behind all those that can be: only then is it the first.
    if let Some(number) = first_failed.or(unreadable) {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(number);
        answer.batch_item_failures.push(failure);
    }
    tracing::info!(run, facts = summary.facts, causes = summary.causes, changed = summary.changed, "facts followed");
    (answer, summary)
}

/// The facts before the first record that is no fact of ours, and that one's sequence number.
fn facts(records: Vec<EventRecord>, run: &str) -> (Vec<(String, Fact)>, Option<String>) {
    let mut facts = Vec::new();
    for record in records {
        // The event source's filter lets new facts through and nothing else; one whose filter is gone may bring more.
        let sk = record.change.keys.get("sk");
        let is_new = record.event_name == "INSERT";
        let is_head = matches!(sk, Some(serde_dynamo::AttributeValue::S(sk)) if sk.starts_with("REPORT#") && !sk.contains("#PART#"));
        if !is_new || !is_head {
            continue;
        }
        let number = record.change.sequence_number.unwrap_or_default();
        match serde_dynamo::from_item(record.change.new_image) {
            Ok(fact) => facts.push((number, fact)),
            Err(error) => {
                tracing::error!(run, record = number, error = %error, "a record of the stream is no fact of ours");
                return (facts, Some(number));
            }
        }
    }
    (facts, None)
}

/// The first record that fails by itself.
async fn one_by_one(
    follower: &Follower,
    facts: &[(String, Fact)],
    now: Timestamp,
    summary: &mut Summary,
) -> Option<String> {
    for (number, fact) in facts {
        match follower.follow(std::slice::from_ref(fact), now).await {
            Ok(followed) => add(summary, &followed),
            Err(_) => return Some(number.clone()),
        }
    }
    None
}

fn add(summary: &mut Summary, followed: &Followed) {
    summary.causes += followed.causes;
    summary.unproven += followed.unproven;
    summary.changed += followed.changes.len() as u64;
}
