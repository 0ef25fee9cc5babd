//! Deliveries that are over: closed at their time, told once under the name of their activity, whoever dies on the way.
#![allow(clippy::print_stdout, reason = "the figures are told")]

use crate::api::{get, key, post};
use crate::tell::{drain, in_seconds, mortal, types, webhook};
use jiff::SignedDuration;
use rebond::events::{Endpoint, EventType};
use rebond::follow::close_due;
use rebond::table::{AuditEvent, Scope};
use rebond_tests::mail::bounce;
use rebond_tests::mortal::Life;
use rebond_tests::process::built;
use rebond_tests::receiver::{Mood, Receiver};
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

fn rebond(world: &World, words: &[&str]) -> (bool, String) {
    let output = Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// A route, an endpoint that wants to hear of its deliveries, and a key.
async fn stage(receiver: &Receiver) -> (World, String) {
    let world = World::start().await.unwrap();
    let (added, said) = rebond(&world, &["route", "add", "newsletter", "--activity", "Newsletter is over"]);
    assert!(added, "{said}");
    let only = |endpoint: &mut Endpoint| endpoint.types = vec![EventType::DeliveryClosed];
    webhook(&world, "crm", receiver.url(), only).await;
    let secret = key(&world.machine.table, "sender", &[Scope::Deliveries, Scope::Read]).await;
    (world, secret)
}

/// Tells of a delivery that closes in an hour; when, in seconds since 1970.
async fn told(world: &World, secret: &str, id: &str) -> i64 {
    let closes = world.now() + SignedDuration::from_hours(1);
    let word = json!({ "id": id, "route": "newsletter", "sent_per_domain": { "example.net": 10 },
        "closes_at": closes.to_string() });
    post(world, "/deliveries", secret, &word).await.good();
    closes.as_second()
}

async fn close(world: &World, at: i64) -> u64 {
    let now = jiff::Timestamp::from_second(at).unwrap();
    close_due(&world.machine.table, now, in_seconds(30)).await.unwrap()
}

fn events(receiver: &Receiver) -> Vec<Value> {
    receiver.taken().iter().map(|got| got.json()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_closed_at_its_time_and_told_once_under_its_activity() {
    let receiver = Receiver::start().await.unwrap();
    let (world, secret) = stage(&receiver).await;
    let id = world.add_basic("bounces", |account| account.sends_as = vec!["example.org".into()]).await.unwrap();
    let closes = told(&world, &secret, "march").await;
    let mail: String = (0..3)
        .map(|n| format!("{{\"message_id\":\"news-{n}@example.org\",\"address\":\"user{n}@example.net\"}}\n"))
        .collect();
    let path = "/deliveries/march/sent";
    crate::api::ask(&world, "POST", path, &secret, Some(&mail), "application/jsonl").await.good();
    for number in 0..2 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    world.poll(&id).await.unwrap();

    assert_eq!(close(&world, closes - 1).await, 0, "the second before");
    drain(&world).await;
    assert!(events(&receiver).is_empty());
    assert_eq!(close(&world, closes).await, 1, "the second at which it is over");
    assert_eq!(close(&world, closes).await, 0, "once");
    assert_eq!(close(&world, closes + 86_400).await, 0, "and never again");
    drain(&world).await;
    drain(&world).await;
    let told = events(&receiver);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["type"], &told[0]["subject"]), (&json!("rebond.delivery.closed.v1"), &json!("march")));
    let expected = json!({ "delivery": "march", "list": "default", "route": "newsletter", "activity": "Newsletter is over",
        "opened": told[0]["data"]["opened"], "closes": closes, "closed": closes, "sent": 10, "hard": 2, "soft": 0,
        "refused": 0, "complaints": 0, "auto_replies": 0, "confirmed": 0, "delivered": 8,
        "reasons": { "user-unknown": 2 } });
    assert_eq!(told[0]["data"], expected);
    let audit = world.machine.table.audited_whole(10).await.unwrap();
    let closed: Vec<_> = audit.iter().filter(|entry| entry.event == AuditEvent::DeliveryClosed).collect();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].said.as_deref(), Some("Newsletter is over: 10 sent, 2 failed"));

    // What comes later is counted, and told to nobody; what it said stays.
    world.imap.deliver(BASIC, "INBOX", bounce(2), world.now());
    world.poll(&id).await.unwrap();
    assert_eq!(close(&world, closes + 7_200).await, 0);
    drain(&world).await;
    assert_eq!(events(&receiver).len(), 1);
    let shown = get(&world, "/deliveries/march", &secret).await.good();
    assert_eq!((&shown["total"]["hard"], &shown["route"]), (&json!(3), &json!("newsletter")));
    assert_eq!(shown["closed_at"], jiff::Timestamp::from_second(closes).unwrap().to_string());
    let again = json!({ "id": "march", "sent_per_domain": {}, "closes_at": (world.now() + SignedDuration::from_hours(9)).to_string() });
    post(&world, "/deliveries", &secret, &again).await.refused(422, "delivery-closed");
    let (_, said) = rebond(&world, &["delivery", "show", "march"]);
    assert!(said.contains("closed") && said.contains("\"Newsletter is over\" was told"), "{said}");
    // Replayed, it is the same event.
    let (_, listed) = rebond(&world, &["events", "list", "--type", "delivery.closed", "--json"]);
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&listed["id"], &listed["data"]), (&told[0]["id"], &told[0]["data"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_told_to_end_later_ends_later() {
    let receiver = Receiver::start().await.unwrap();
    let (world, secret) = stage(&receiver).await;
    let first = told(&world, &secret, "march").await;
    world.advance(SignedDuration::from_mins(30));
    let second = told(&world, &secret, "march").await;
    assert!(second > first);
    assert_eq!(close(&world, second - 1).await, 0);
    assert_eq!(close(&world, second).await, 1);
    drain(&world).await;
    assert_eq!(events(&receiver)[0]["data"]["closes"], second);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_the_end_is_told_once() {
    let receiver = Receiver::start().await.unwrap();
    let (world, secret) = stage(&receiver).await;
    let mut steps = 0;
    loop {
        let delivery = format!("d{steps}");
        let closes = told(&world, &secret, &delivery).await;
        let life = Life::of(steps);
        let mortal = mortal(&world, &life).await;
        let now = jiff::Timestamp::from_second(closes).unwrap();
        let ended = tokio::select! {
            closed = close_due(&mortal.table, now, in_seconds(30)) => { assert_eq!(closed.unwrap(), 1); true }
            () = life.over.notified() => false,
        };
        // The next tick, by another process; and one more.
        let later = close(&world, closes + 60).await;
        assert_eq!(close(&world, closes + 120).await, 0, "killed at step {steps}");
        drain(&world).await;
        let told: Vec<Value> =
            events(&receiver).into_iter().filter(|event| event["subject"] == delivery.as_str()).collect();
        let ids: BTreeSet<&str> = told.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!((told.len(), ids.len()), (1, 1), "killed at step {steps}, closed {later} later");
        if ended {
            break;
        }
        steps += 1;
    }
    println!("killed at each of {steps} steps");
    assert!(steps >= 5, "{steps}");
    assert_eq!(types(&receiver.taken()).len(), steps + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_close_it_once_and_a_receiver_that_is_down_hears_of_it_later() {
    let receiver = Receiver::start().await.unwrap();
    let (world, secret) = stage(&receiver).await;
    let closes = told(&world, &secret, "march").await;
    receiver.set(Mood::Bad(500, None));
    let (one, two) = tokio::join!(close(&world, closes), close(&world, closes));
    assert_eq!(one + two, 1);
    drain(&world).await;
    assert!(events(&receiver).is_empty());
    receiver.set(Mood::Good);
    world.advance(SignedDuration::from_mins(5));
    drain(&world).await;
    drain(&world).await;
    assert_eq!(events(&receiver).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_for_mail_that_another_system_sends() {
    let receiver = Receiver::start().await.unwrap();
    let (world, secret) = stage(&receiver).await;
    for (words, says) in [
        (vec!["route", "add", "sms", "--activity", "x", "--channel", "sms"], "the channel is email"),
        (vec!["route", "add", "mid", "--activity", "x", "--mode", "mid-sourcing"], "it is external"),
        (vec!["route", "add", "none", "--activity", " "], "the activity must have"),
        (vec!["route", "add", "newsletter", "--activity", "x"], "there is a route newsletter already"),
        (vec!["route", "set", "nothing", "--activity", "x"], "there is no route nothing"),
        (vec!["route", "remove", "nothing"], "there is no route nothing"),
    ] {
        let (done, said) = rebond(&world, &words);
        assert!(!done && said.contains(says), "{words:?}: {said}");
    }
    let (_, listed) = rebond(&world, &["route", "list", "--json"]);
    let route: Value = serde_json::from_str(&listed).unwrap();
    let expected =
        json!({ "id": "newsletter", "channel": "email", "mode": "external", "activity": "Newsletter is over" });
    assert_eq!(route, expected);
    let closes = (world.now() + SignedDuration::from_hours(1)).to_string();
    let word = json!({ "id": "april", "route": "nothing", "sent_per_domain": {}, "closes_at": closes });
    post(&world, "/deliveries", &secret, &word).await.refused(404, "no-such-route");
    // Changed before the end, the new name is told; removed, none is.
    assert!(rebond(&world, &["route", "set", "newsletter", "--activity", "Another"]).0);
    let at = told(&world, &secret, "march").await;
    close(&world, at).await;
    let at = told(&world, &secret, "may").await;
    assert!(rebond(&world, &["route", "remove", "newsletter"]).0);
    close(&world, at).await;
    drain(&world).await;
    let mut told: Vec<(Value, Value)> =
        events(&receiver).iter().map(|e| (e["subject"].clone(), e["data"]["activity"].clone())).collect();
    told.sort_by_key(|(subject, _)| subject.to_string());
    assert_eq!(told, [(json!("march"), json!("Another")), (json!("may"), Value::Null)]);
}
