//! The table's stream → events → endpoints; on a schedule deliveries that are over are closed, quarantines that have ended are
//! written so, and endpoints whose time has come are told what is kept for them.

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use rebond::account::{AccountId, EndpointId};
use rebond::incident::Incident;
use rebond::table::{AuditEntry, Change, DeliveryItem, Fact, StandingItem};
use rebond::tell::{Drained, TellError, Teller, Told};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What the function is invoked with.
pub enum Task {
    /// Records of the table's stream.
    Stream(Event),
    /// An endpoint to try: `{"test": "…"}`.
    Test(EndpointId),
    /// Nothing: the schedule.
    Tick,
}

impl TryFrom<Value> for Task {
    type Error = serde_json::Error;

    fn try_from(event: Value) -> Result<Self, serde_json::Error> {
        match (event.get("Records"), event.get("test")) {
            (Some(_), _) => serde_json::from_value(event).map(Self::Stream),
            (None, Some(test)) => serde_json::from_value(test.clone()).map(Self::Test),
            (None, None) => Ok(Self::Tick),
        }
    }
}

/// What was done, for the metrics.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// What was told as it happened.
    pub told: Told,
    /// What was told of what was kept.
    pub drained: Drained,
}

/// A record of the stream that tells something.
enum Record {
    Fact(Box<Fact>),
    Standing(Option<Box<StandingItem>>, Option<Box<StandingItem>>),
    Incident(Box<Incident>),
    Delivery(Box<DeliveryItem>),
    Audit(AccountId, Box<AuditEntry>),
}

/// The item of an incident.
#[derive(Deserialize)]
struct IncidentItem {
    incident: Incident,
}

/// The item of an entry of the audit.
#[derive(Deserialize)]
struct AuditItem {
    entry: AuditEntry,
}

/// Does a task, beginning nothing after `deadline`. An error is a fault of our own on the schedule; on the stream it is
/// in the answer, so that the records come again.
pub async fn handle(teller: &Teller, task: Task, run: &str, deadline: Instant) -> Result<(Value, Counts), TellError> {
    let mut counts = Counts::default();
    match task {
        Task::Stream(event) => {
            let (answer, told) = stream(teller, event.records, run, deadline).await;
            counts.told = told;
            Ok((serde_json::to_value(answer).unwrap_or_default(), counts))
        }
        Task::Test(test) => {
            let said = match teller.endpoint(&test).await? {
                Some(item) => teller.test(&item).await?.map(|event| event.id),
                None => Err(format!("there is no endpoint {test}")),
            };
            Ok((json!({ "id": said.as_ref().ok(), "refused": said.as_ref().err() }), counts))
        }
        Task::Tick => {
            let closed = teller.close_due(deadline).await;
            let ended = teller.end_due(deadline).await;
            // What cannot be closed or ended keeps nobody from being told.
            let drained = teller.drain_due(deadline).await?;
            let (closed, ended) = (closed?, ended?);
            counts.drained = drained;
            tracing::info!(
                run,
                closed,
                ended,
                endpoints = drained.endpoints,
                told = drained.told,
                dead = drained.dead,
                "endpoints told"
            );
            let answer = json!({
                "run": run, "endpoints": drained.endpoints, "told": drained.told, "dead": drained.dead, "closed": closed,
                "ended": ended,
            });
            Ok((answer, counts))
        }
    }
}

/// Tells a batch. The answer names the first record that is neither told nor kept, from which the stream goes on.
async fn stream(
    teller: &Teller,
    records: Vec<EventRecord>,
    run: &str,
    deadline: Instant,
) -> (DynamoDbEventResponse, Told) {
    let first = records.first().and_then(|record| record.change.sequence_number.clone());
    let (records, unreadable) = read(records, run);
    let changes: Vec<Change<'_>> = records.iter().map(Record::change).collect();
    let told = match teller.events_of(&changes).await {
        Ok(events) => teller.tell(&events, deadline).await,
        Err(error) => Err(error),
    };
    let mut answer = DynamoDbEventResponse::default();
    let (failed, told) = match told {
        // One that cannot be read comes behind all those that can be: only then is it the first.
        Ok(told) => (unreadable, told),
        Err(error) => {
            tracing::error!(run, error = %error, "a batch could not be told");
            (first, Told::default())
        }
    };
    if let Some(number) = failed {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(number);
        answer.batch_item_failures.push(failure);
    }
    tracing::info!(run, events = told.events, told = told.told, kept = told.kept, "events told");
    (answer, told)
}

impl Record {
    fn change(&self) -> Change<'_> {
        match self {
            Self::Fact(fact) => Change::Fact(fact),
            Self::Standing(before, after) => Change::Standing { before: before.as_deref(), after: after.as_deref() },
            Self::Incident(incident) => Change::Incident(incident),
            Self::Delivery(item) => Change::Delivery(item),
            Self::Audit(account, entry) => Change::Audit(account, entry),
        }
    }
}

/// What can be told before the first record that is none of ours, and that one's sequence number.
fn read(records: Vec<EventRecord>, run: &str) -> (Vec<Record>, Option<String>) {
    let mut found = Vec::new();
    for record in records {
        let number = record.change.sequence_number.clone().unwrap_or_default();
        match read_one(record) {
            Ok(record) => found.extend(record),
            Err(error) => {
                tracing::error!(run, record = number, error = %error, "a record of the stream is none of ours");
                return (found, Some(number));
            }
        }
    }
    (found, None)
}

/// The event source's filter lets through what tells something and nothing else; one whose filter is gone may bring more.
fn read_one(record: EventRecord) -> Result<Option<Record>, serde_dynamo::Error> {
    let text = |name: &str| match record.change.keys.get(name) {
        Some(serde_dynamo::AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    };
    let (pk, sk, event) = (text("pk"), text("sk"), record.event_name.as_str());
    let (old, new) = (record.change.old_image, record.change.new_image);
    if sk.starts_with("REPORT#") && !sk.contains("#PART#") && event == "INSERT" {
        return Ok(Some(Record::Fact(serde_dynamo::from_item(new)?)));
    }
    if sk.starts_with("STANDING#") {
        // Whoever removes a person tells nobody that it may be written to; what time cleans up, does.
        let by_time = record.user_identity.is_some_and(|who| who.principal_id == "dynamodb.amazonaws.com");
        let before = match event {
            "INSERT" => None,
            _ => Some(serde_dynamo::from_item(old)?),
        };
        let after = match event {
            "REMOVE" if by_time => None,
            "REMOVE" => return Ok(None),
            _ => Some(serde_dynamo::from_item(new)?),
        };
        return Ok(Some(Record::Standing(before, after)));
    }
    if sk.starts_with("INCIDENT#") && event != "REMOVE" {
        let item: IncidentItem = serde_dynamo::from_item(new)?;
        return Ok(Some(Record::Incident(Box::new(item.incident))));
    }
    if pk == "DELIVERIES" && event != "REMOVE" {
        let item: DeliveryItem = serde_dynamo::from_item(new)?;
        return Ok(item.closed.is_some().then(|| Record::Delivery(Box::new(item))));
    }
    if sk.starts_with("AUDIT#") && event == "INSERT" {
        let Some(Ok(account)) = pk.strip_prefix("ACCOUNT#").map(str::parse) else { return Ok(None) };
        let item: AuditItem = serde_dynamo::from_item(new)?;
        return Ok(Some(Record::Audit(account, Box::new(item.entry))));
    }
    Ok(None)
}
