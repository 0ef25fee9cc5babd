//! The fan-out: each due account once a tick, and a batch of the queue whose members fail each on their own.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use jiff::SignedDuration;
use rebond::account::{AccountId, HealthState};
use rebond::queue::{PollRequest, Queue, QueueError};
use rebond_bounce_poll::{Answer, Event};
use rebond_poll_dispatch::PollDispatch;
use rebond_tests::mail::bounce;
use rebond_tests::world::{BASIC, World};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A queue that takes everything but the accounts named.
#[derive(Default)]
struct Picky {
    refuses: BTreeSet<&'static str>,
    taken: Mutex<Vec<PollRequest>>,
}

#[async_trait::async_trait]
impl Queue for Picky {
    async fn send(&self, polls: Vec<PollRequest>) -> Result<(), QueueError> {
        let (refused, taken): (Vec<_>, Vec<_>) =
            polls.into_iter().partition(|poll| self.refuses.contains(poll.account.as_str()));
        self.taken.lock().unwrap().extend(taken);
        let accounts: Vec<AccountId> = refused.into_iter().map(|poll| poll.account).collect();
        match accounts.is_empty() {
            true => Ok(()),
            false => Err(QueueError { accounts, said: "InternalError: try again".into() }),
        }
    }
}

impl Picky {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.taken.lock().unwrap().iter().map(|poll| poll.account.to_string()).collect();
        names.sort();
        names
    }
}

fn dispatch(world: &World, queue: &Arc<Picky>) -> PollDispatch {
    PollDispatch { table: world.machine.table.clone(), queue: Arc::clone(queue) as Arc<dyn Queue> }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f16_dispatchers_of_one_tick_queue_each_due_account_once() {
    let world = World::start().await.unwrap();
    for number in 0..50 {
        world.add_basic(&format!("a{number:02}"), |_| {}).await.unwrap();
    }
    world.add_basic("off", |account| account.enabled = false).await.unwrap();
    world.add("nobody-yet", |_| {}).await.unwrap();
    let queue = Arc::new(Picky::default());
    let now = world.now();
    let runs: Vec<_> = (0..4).map(|_| dispatch(&world, &queue)).collect();
    let summaries = futures::future::join_all(runs.iter().map(|run| run.run("tick", now))).await;
    let queued: u64 = summaries.into_iter().map(|summary| summary.unwrap().queued).sum();
    let expected: Vec<String> = (0..50).map(|number| format!("a{number:02}")).collect();
    assert_eq!((queued, queue.names()), (50, expected));
    assert!(queue.taken.lock().unwrap().iter().all(|poll| poll.run.as_deref() == Some("tick")));
    // The same tick once more finds nothing; one period later all are due again.
    assert_eq!(dispatch(&world, &queue).run("tick", now).await.unwrap().queued, 0);
    world.advance(SignedDuration::from_secs(301));
    assert_eq!(dispatch(&world, &queue).run("next", world.now()).await.unwrap().queued, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_refuses_stays_due() {
    let world = World::start().await.unwrap();
    for id in ["a", "b", "c"] {
        world.add_basic(id, |_| {}).await.unwrap();
    }
    let queue = Arc::new(Picky { refuses: ["b"].into(), ..Picky::default() });
    let error = dispatch(&world, &queue).run("tick", world.now()).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of the polls could not be queued: InternalError: try again");
    assert_eq!(queue.names(), ["a", "c"]);
    let queue = Arc::new(Picky::default());
    dispatch(&world, &queue).run("tick", world.now()).await.unwrap();
    assert_eq!(queue.names(), ["b"], "no bounce waits a whole period for a queue's hiccup");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nobody_can_read_does_not_stop_the_others() {
    let world = World::start().await.unwrap();
    world.add_basic("good", |_| {}).await.unwrap();
    foreign_item(&world, "broken").await;
    let queue = Arc::new(Picky::default());
    let summary = dispatch(&world, &queue).run("tick", world.now()).await.unwrap();
    assert_eq!((summary.queued, queue.names()), (1, vec!["good".to_owned()]));
}

/// An account's item as some other version, or somebody by hand, may have written it: due now.
async fn foreign_item(world: &World, id: &str) {
    let shard = (0..4).map(|shard| format!("DUE#{shard}")).next().unwrap();
    let item = json!({
        "pk": {"S": format!("ACCOUNT#{id}")}, "sk": {"S": "ACCOUNT"}, "due_shard": {"S": shard}, "next_due": {"N": "1"},
        "settings": {"S": "of another age"}, "generation": {"N": "7"},
    });
    world.raw("PutItem", json!({"TableName": "rebond", "Item": item})).await.unwrap();
}

fn message(id: &str, body: impl Into<String>) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some(id.to_owned());
    message.body = Some(body.into());
    message
}

fn batch(messages: Vec<SqsMessage>) -> Event {
    let mut event = SqsEvent::default();
    event.records = messages;
    Event::Batch(event)
}

async fn handle(world: &World, event: Event) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let answer = rebond_bounce_poll::handle(&world.machine.poller(), event, "run", deadline, |_| {}).await.unwrap();
    let Answer::Batch(answer) = answer else { panic!("a batch is answered with a batch") };
    // What Lambda reads: the list is there even when it is empty.
    let shown = serde_json::to_value(&answer).unwrap();
    assert!(shown["batchItemFailures"].is_array(), "{shown}");
    answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_f06_of_a_batch_only_what_is_ours_to_repeat_fails() {
    let world = World::start().await.unwrap();
    let dead = rebond_tests::process::free_port().unwrap();
    for number in [0, 1, 2, 5, 6] {
        world.add_basic(&format!("a{number}"), |account| account.folders = vec![format!("F{number}")]).await.unwrap();
        world.imap.deliver(BASIC, &format!("F{number}"), bounce(number), world.now());
    }
    world.add_basic("dead", |account| account.server.port = dead).await.unwrap();
    world.add_basic("off", |account| account.enabled = false).await.unwrap();
    foreign_item(&world, "a3").await;
    let body = |id: &str| json!({"account": id, "run": "tick"}).to_string();
    let event = batch(vec![
        message("m0", body("a0")),
        message("m1", body("a1")),
        message("m2", body("a2")),
        message("m3", body("a3")),
        message("m4", "{\"account\": "),
        message("m5", body("a5")),
        message("m6", body("a6")),
        message("m7", body("dead")),
        message("m8", body("off")),
        message("m9", body("removed-since")),
    ]);
    assert_eq!(handle(&world, event).await, ["m3", "m4"]);
    for number in [0, 1, 2, 5, 6] {
        let id: AccountId = format!("a{number}").parse().unwrap();
        let facts = world.facts(&id).await.unwrap();
        assert_eq!(facts.len(), 1, "{id}");
        assert_eq!(facts[0].run, "tick", "the correlation id goes from the schedule to the fact");
    }
    // A mailbox's fault is its health, not the queue's.
    let dead = world.item(&"dead".parse().unwrap()).await.unwrap();
    assert_eq!(dead.health.state, HealthState::Retrying);
    assert_eq!(world.item(&"off".parse().unwrap()).await.unwrap().health.state, HealthState::Disabled);
    assert!(handle(&world, batch(vec![message("m0", body("a0"))])).await.is_empty());
    assert!(handle(&world, batch(vec![])).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_a_message_delivered_twice_at_once_has_one_effect() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    for number in 0..20 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    let body = json!({"account": "bounces", "run": "tick"}).to_string();
    let event = batch(vec![message("m0", body.clone()), message("m1", body.clone()), message("m2", body)]);
    assert!(handle(&world, event).await.is_empty(), "who came second ends well");
    assert_eq!(world.facts(&id).await.unwrap().len(), 20);
    assert_eq!(world.imap.log().iter().filter(|command| *command == "SELECT").count(), 1);
}

#[test]
fn an_event_is_a_batch_or_one_account_and_nothing_else() {
    let batch = json!({"Records": [{"messageId": "1", "body": "{}", "attributes": {}, "messageAttributes": {}}]});
    assert!(matches!(serde_json::from_value::<Event>(batch).unwrap(), Event::Batch(_)));
    assert!(matches!(serde_json::from_value::<Event>(json!({"account": "a"})).unwrap(), Event::One(_)));
    for wrong in [json!({}), json!({"account": "NOT AN ID"}), json!("a"), json!({"acount": "a"})] {
        assert!(serde_json::from_value::<Event>(wrong.clone()).is_err(), "{wrong}");
    }
}
