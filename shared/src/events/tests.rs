#![allow(clippy::unwrap_used)]

use super::*;
use crate::account::HealthState;
use crate::delivery::{Closed, Counts, Delivery};
use crate::proof::Level;
use crate::report;
use crate::secret::Secret;
use crate::standing::{self, Act, Cause, Deed, Effect, History, Thresholds};

const BOUNCE: &[u8] = include_bytes!("../../../tests/fixtures/report/postfix-unknown-user.eml");
const COMPLAINT: &[u8] = include_bytes!("../../../tests/fixtures/report/arf-abuse.eml");

fn of(message: &[u8], believed: bool) -> Vec<Event> {
    of_changed(message, believed, |_| {})
}

/// The same, of what was judged otherwise.
fn of_changed(message: &[u8], believed: bool, change: impl Fn(&mut Judged)) -> Vec<Event> {
    let report = report::read(message);
    let judged = report.recipients.iter().map(|outcome| {
        let address = outcome.address.parse().ok()?;
        let list = "news".parse().unwrap();
        Some(Judged {
            address,
            list,
            proof: Level::Ours,
            doubt: None,
            believed,
            delivery: None,
            effect: standing::effect(&report, outcome),
            repeated: false,
            held: None,
            confirmed: None,
            rule: None,
            reason: outcome.reason,
            hard: outcome.hard,
        })
    });
    let mut judged: Vec<_> = judged.collect();
    judged.iter_mut().flatten().for_each(change);
    let account = "bounces".parse().unwrap();
    let received = Received { source: "/test", account: &account, key: "k1", arrived: 1_700_000_000, report: &report };
    of_report(received, &judged)
}

fn endpoint(to: Destination) -> Endpoint {
    let id = "crm".parse().unwrap();
    Endpoint {
        id,
        label: None,
        to,
        shape: Shape::Cloudevents,
        types: vec![],
        accounts: vec![],
        lists: vec![],
        enabled: true,
    }
}

fn webhook() -> Destination {
    Destination::Webhook { url: "https://hooks.example.com/x".parse().unwrap() }
}

fn cause(at: i64, effect: Effect, reason: report::Reason) -> Cause {
    Cause {
        at,
        token: None,
        effect,
        believed: true,
        proof: Level::Ours,
        doubt: None,
        reason,
        status: None,
        said: None,
        account: "bounces".parse().unwrap(),
        template: None,
        rule: None,
        report: format!("r{at}"),
        number: 0,
    }
}

fn moved(old: &History, new: &History, version: u64, now: i64) -> Option<Event> {
    let (address, list) = ("jane@example.net".parse().unwrap(), "default".parse().unwrap());
    let ended = (None, None);
    let moved = Moved { source: "/test", address: &address, written: None, list: &list, old, new, version, ended };
    let read = |history: &History, at| standing::read(history, &Thresholds::default(), at);
    of_standing(moved, read, read, now)
}

#[test]
fn a_bounce_is_told_with_what_proves_it_and_the_same_again() {
    let events = of(BOUNCE, true);
    assert_eq!(
        events.iter().map(|event| event.kind.short()).collect::<Vec<_>>(),
        ["report.received", "address.bounced"]
    );
    assert_eq!(events, of(BOUNCE, true), "an event follows from its cause alone");
    let bounced = &events[1];
    assert_eq!(bounced.subject, bounced.data["address"].as_str().unwrap());
    assert_eq!((&bounced.data["believed"], &bounced.data["reason"]), (&true.into(), &"user-unknown".into()));
    assert_eq!(bounced.time.as_second(), 1_700_000_000);
    assert_eq!(bounced.id.len(), 32);
    assert_ne!(bounced.id, events[0].id);
    let json = serde_json::to_value(bounced).unwrap();
    assert_eq!((&json["specversion"], &json["type"]), (&"1.0".into(), &"rebond.address.bounced.v1".into()));
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), *bounced);
}

#[test]
fn only_what_was_believed_reaches_those_who_act_on_it() {
    let (believed, unproven) = (of(BOUNCE, true).remove(1), of(BOUNCE, false).remove(1));
    let plain = endpoint(webhook());
    assert!(plain.wants(&believed) && plain.wants(&unproven), "who is told everything can tell them apart");
    let ses = Endpoint { shape: Shape::Ses, ..plain.clone() };
    let url: url::Url = "https://lists.example.com/".parse().unwrap();
    let listmonk = endpoint(Destination::Listmonk { url, user: "rebond".into() });
    let one = |change: &dyn Fn(&mut Judged)| of_changed(BOUNCE, true, change).remove(1);
    let soft = one(&|judged| (judged.effect, judged.hard) = (Some(Effect::Soft), false));
    // Of a refusal for its sender or its content, or one that a rule ignores or a person took back.
    let says_nothing = one(&|judged| judged.effect = None);
    let held = one(&|judged| judged.held = Some("example.net-1".into()));
    let repeated = one(&|judged| judged.repeated = true);
    let confirmed = one(&|judged| judged.confirmed = Some("example.net-1".into()));
    let complaint = |change: &dyn Fn(&mut Judged)| {
        let events = of_changed(COMPLAINT, true, change);
        events.into_iter().find(|event| event.kind == EventType::AddressComplained).unwrap()
    };
    for acting in [ses, listmonk] {
        for (wanted, event) in [
            (true, &believed),
            (true, &soft),
            (true, &confirmed),
            (true, &complaint(&|_| {})),
            (false, &unproven),
            (false, &says_nothing),
            (false, &held),
            (false, &repeated),
            // `not-spam` and the like are no word of a person who wants no more mail.
            (false, &complaint(&|judged| judged.effect = None)),
        ] {
            assert_eq!(acting.wants(event), wanted, "{:?}: {}", acting.to, event.data);
        }
    }
    for event in [&soft, &says_nothing, &held, &repeated] {
        assert!(plain.wants(event), "{}", event.data);
    }
    assert!(!plain.wants(&confirmed), "who is told everything heard of it when it came");
    assert_eq!(confirmed.id, believed.id);
}

#[test]
fn a_bounce_is_told_with_what_a_rule_says_of_it() {
    let ruled = |judged: &mut Judged| {
        (judged.reason, judged.hard, judged.effect) = (report::Reason::MailboxFull, false, Some(Effect::Soft));
        judged.rule = Some("full".parse().unwrap());
    };
    let event = of_changed(BOUNCE, true, ruled).remove(1);
    let said = |name: &str| event.data[name].clone();
    assert_eq!((said("reason"), said("hard"), said("rule")), ("mailbox-full".into(), false.into(), "full".into()));
    assert_eq!(notification(&event).unwrap()["bounce"]["bounceSubType"], "MailboxFull");
    assert_eq!(listmonk(&event).unwrap().body.unwrap()["type"], "soft");
}

#[test]
fn endpoints_are_told_what_they_named() {
    let bounced = of(BOUNCE, true).remove(1);
    let all = endpoint(webhook());
    for (wanted, endpoint) in [
        (true, all.clone()),
        (false, Endpoint { enabled: false, ..all.clone() }),
        (true, Endpoint { types: vec![EventType::AddressBounced], ..all.clone() }),
        (false, Endpoint { types: vec![EventType::AddressDenied], ..all.clone() }),
        (true, Endpoint { accounts: vec!["bounces".parse().unwrap()], ..all.clone() }),
        (false, Endpoint { accounts: vec!["other".parse().unwrap()], ..all.clone() }),
        (true, Endpoint { lists: vec!["news".parse().unwrap()], ..all.clone() }),
        (false, Endpoint { lists: vec!["other".parse().unwrap()], ..all.clone() }),
        (false, Endpoint { to: Destination::SesSuppressionList { region: "eu-west-1".into() }, ..all.clone() }),
    ] {
        assert_eq!(endpoint.wants(&bounced), wanted, "{endpoint:?}");
    }
}

#[test]
fn a_state_machine_is_started_when_a_delivery_is_over_and_for_what_else_is_named() {
    let arn = |text: &str| text.parse::<Arn>().unwrap();
    let machine = "arn:aws:states:eu-west-1:111122223333:stateMachine:after-news";
    let to = |text: &str| Destination::StepFunctions { arn: arn(text) };
    let mut of = endpoint(to(machine));
    assert_eq!(of.check(), Ok(()));
    let delivery = Delivery {
        id: "march".parse().unwrap(),
        list: "news".parse().unwrap(),
        route: Some("newsletter".parse().unwrap()),
        opened: 1_700_000_000,
        closes: 1_700_003_600,
        sent: 10,
    };
    let total = Counts { sent: 10, hard: 2, ..Counts::default() };
    let closed =
        |at| Closed { at, activity: Some("Over".into()), total, reasons: [(report::Reason::UserUnknown, 2)].into() };
    let event = of_delivery("/rebond", &delivery, &closed(1_700_003_601));
    assert_eq!(event.id, of_delivery("/rebond", &delivery, &closed(1_700_003_700)).id, "whenever it is closed");
    let later = Delivery { closes: delivery.closes + 1, ..delivery.clone() };
    assert_ne!(event.id, of_delivery("/rebond", &later, &closed(1_700_003_601)).id);
    assert_eq!((event.data["delivered"].as_u64(), event.data["activity"].as_str()), (Some(8), Some("Over")));
    let health = of_health("/rebond", &"bounces".parse().unwrap(), (None, HealthState::Active), None, None, 1);
    assert!(of.wants(&event) && !of.wants(&health));
    of.types = vec![EventType::HealthChanged];
    assert!(!of.wants(&event) && of.wants(&health));
    of.types.clear();
    of.lists = vec!["other".parse().unwrap()];
    assert!(!of.wants(&event), "another list's");
    for other in
        ["arn:aws:states:eu-west-1:111122223333:activity:x", "arn:aws:sqs:eu-west-1:111122223333:stateMachine:x"]
    {
        assert!(endpoint(to(other)).check().is_err(), "{other}");
    }
}

#[test]
fn endpoints_that_cannot_work_are_refused() {
    let url = |text: &str| endpoint(Destination::Webhook { url: text.parse().unwrap() });
    for (good, endpoint) in [
        (true, url("https://hooks.example.com/x?token=y")),
        (true, url("http://localhost:8080/")),
        (true, url("http://127.0.0.1:8080/")),
        (false, url("http://hooks.example.com/")),
        (false, url("https://user:secret@hooks.example.com/")),
        (false, url("ftp://hooks.example.com/")),
        (true, endpoint(Destination::Sqs { arn: "arn:aws:sqs:eu-west-1:111122223333:told.fifo".parse().unwrap() })),
        (false, endpoint(Destination::Sqs { arn: "arn:aws:sns:eu-west-1:111122223333:told".parse().unwrap() })),
        (false, endpoint(Destination::SesSuppressionList { region: "the moon".into() })),
    ] {
        assert_eq!(endpoint.check().is_ok(), good, "{:?}: {:?}", endpoint.to, endpoint.check());
    }
    assert!("arn:aws:sqs:eu-west-1:111122223333".parse::<Arn>().is_err());
    assert!(!url("https://hooks.example.com/x?token=s3cret").to.place().contains("s3cret"));
}

#[test]
fn a_standing_is_told_when_it_moves_between_may_and_may_not() {
    let mut history = History::default();
    let mut told = Vec::new();
    let mut version = 0;
    let mut write = |history: &mut History, change: &dyn Fn(&mut History) -> bool, now: i64| {
        let old = history.clone();
        assert!(change(history));
        version += 1;
        told.extend(moved(&old, history, version, now));
    };
    let day = 86_400;
    write(&mut history, &|h| h.add(cause(day, Effect::Soft, report::Reason::MailboxFull)), day);
    write(&mut history, &|h| h.add(cause(2 * day, Effect::Hard, report::Reason::UserUnknown)), 2 * day);
    write(&mut history, &|h| h.add(cause(3 * day, Effect::Hard, report::Reason::UserUnknown)), 3 * day);
    let act = |deed, at: i64| Act { at: at * 1_000, deed, who: "ann".into(), why: None };
    write(&mut history, &|h| h.decide(act(Deed::Released, 4 * day)), 4 * day);
    write(&mut history, &|h| h.add(cause(5 * day, Effect::Complaint, report::Reason::Feedback)), 5 * day);
    let words: Vec<_> = told.iter().map(|event| event.kind.short()).collect();
    assert_eq!(words, ["address.quarantined", "address.released", "address.denied"]);
    assert!(told.is_sorted_by_key(|event| event.sequence.clone()), "their sequence is their order");
    assert_eq!((&told[0].data["before"], &told[0].data["state"]), (&"with-errors".into(), &"quarantined".into()));
    assert_eq!(told[1].data["by"]["who"], "ann");
    assert_eq!(told[0].data["account"], "bounces");
}

#[test]
fn a_quarantine_that_ended_by_the_clock_is_told_as_released_when_next_written() {
    let day = 86_400;
    let mut old = History::default();
    for n in 0..6 {
        old.add(cause(n * day, Effect::Soft, report::Reason::MailboxFull));
    }
    let quarantined = moved(&History::default(), &old, 6, 5 * day).unwrap();
    assert_eq!(quarantined.kind, EventType::AddressQuarantined);
    assert_eq!(quarantined.data["ends"], 35 * day, "the receiver is told when it ends");
    // When that is written down, and never again.
    let (address, list) = ("jane@example.net".parse().unwrap(), "default".parse().unwrap());
    let ended = |old: &History, new: &History, ended, now| {
        let moved =
            Moved { source: "/test", address: &address, written: None, list: &list, old, new, version: 7, ended };
        let read = |history: &History, at| standing::read(history, &Thresholds::default(), at);
        of_standing(moved, read, read, now)
    };
    let told = ended(&old, &old, (None, Some(35 * day)), 35 * day).unwrap();
    assert_eq!((told.kind, told.time.as_second()), (EventType::AddressReleased, 35 * day));
    assert!(told.sequence > quarantined.sequence);
    let was_told = (Some(35 * day), Some(35 * day));
    assert_eq!(ended(&old, &History::default(), was_told, 500 * day), None, "cleaned up");
    let mut soft = old.clone();
    soft.add(cause(36 * day, Effect::Soft, report::Reason::MailboxFull));
    assert_eq!(ended(&old, &soft, was_told, 36 * day), None);
    let mut dead = old.clone();
    dead.add(cause(36 * day, Effect::Hard, report::Reason::UserUnknown));
    let told = ended(&old, &dead, was_told, 36 * day).unwrap();
    assert_eq!((told.kind, &told.data["before"]), (EventType::AddressQuarantined, &"valid".into()));
    // Where nobody wrote it down.
    let mut new = old.clone();
    new.add(cause(60 * day, Effect::Soft, report::Reason::MailboxFull));
    assert_eq!(moved(&old, &new, 7, 60 * day).unwrap().kind, EventType::AddressReleased);
    // The item is cleaned up.
    assert_eq!(moved(&old, &History::default(), 7, 500 * day).unwrap().kind, EventType::AddressReleased);
}

#[test]
fn pauses_double_from_half_a_minute_to_an_hour_and_are_what_was_asked_for_at_the_least() {
    assert_eq!((pause(1, 0, None), pause(1, 999, None)), (30, 60));
    assert_eq!((pause(2, 0, None), pause(2, 999, None)), (60, 120));
    assert_eq!((pause(7, 999, None), pause(40, 999, None)), (3_600, 3_600));
    assert_eq!(pause(40, 0, None), 1_800);
    assert_eq!((pause(1, 0, Some(300)), pause(1, 0, Some(i64::MAX)), pause(1, 0, Some(-5))), (300, 86_400, 30));
    let now = "1994-11-06T08:49:00Z".parse().unwrap();
    assert_eq!(retry_after(" 120 ", now), Some(120));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(37));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:40:37 GMT", now), Some(0));
    assert_eq!(retry_after("soon", now), None);
}

#[test]
fn webhooks_are_signed_as_standard_webhooks_has_it() {
    // The vector of the specification's own libraries.
    let first = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let sign = |secret: &str| {
        let keys = WebhookKeys::parse(&Secret::from(secret.to_owned())).unwrap();
        keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#)
    };
    assert_eq!(sign(first), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let second = WebhookKey::generate(&[7; 32]);
    let both = sign(&format!("{} {first}", crate::secret::ExposeSecret::expose_secret(&second)));
    assert_eq!(both.split(' ').count(), 2);
    assert!(both.ends_with("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[first; 3].join(" ")] {
        assert!(WebhookKeys::parse(&Secret::from(bad.to_owned())).is_err(), "{bad}");
    }
}

#[test]
fn bounces_and_complaints_in_the_shape_of_ses() {
    let bounce = notification(&of(BOUNCE, true)[1]).unwrap();
    assert_eq!(
        (&bounce["bounce"]["bounceType"], &bounce["bounce"]["bounceSubType"]),
        (&"Permanent".into(), &"NoEmail".into())
    );
    assert_eq!(bounce["bounce"]["timestamp"], "2023-11-14T22:13:20.000Z");
    assert!(bounce["bounce"]["bouncedRecipients"][0]["diagnosticCode"].as_str().unwrap().starts_with("smtp; "));
    let complaint = of(COMPLAINT, true);
    let complaint = complaint.iter().find_map(notification).unwrap();
    assert_eq!(complaint["complaint"]["complaintFeedbackType"], "abuse");
    assert!(of(BOUNCE, true).first().is_some_and(|event| notification(event).is_none()), "SES tells no such thing");
}

#[test]
fn the_calls_of_systems_with_a_way_of_their_own() {
    let bounced = of(BOUNCE, true).remove(1);
    let call = listmonk(&bounced).unwrap();
    assert_eq!((call.method, call.path.as_str()), ("POST", "webhooks/bounce"));
    let body = call.body.unwrap();
    assert_eq!((&body["type"], &body["email"]), (&"hard".into(), &bounced.data["address"]));
    let mut history = History::default();
    history.add(cause(9, Effect::Hard, report::Reason::UserUnknown));
    let quarantined = moved(&History::default(), &history, 1, 10).unwrap();
    assert!(listmonk(&quarantined).is_none());
    assert_eq!(
        mautic_find(&quarantined).unwrap().path,
        "api/contacts?search=email%3Ajane%40example.net&limit=30&minimal=true"
    );
    let found = serde_json::json!({ "total": "2", "contacts": {
        "7": { "id": 7, "fields": { "all": { "email": "Jane@example.net" } } },
        "8": { "id": 8, "fields": { "all": { "email": "mary-jane@example.net" } } },
    } });
    let calls = mautic_mark(&quarantined, &found);
    assert_eq!(calls.iter().map(|call| call.path.as_str()).collect::<Vec<_>>(), ["api/contacts/7/dnc/email/add"]);
    assert_eq!(calls[0].body.as_ref().unwrap()["reason"], 2);
    assert_eq!(suppression(&quarantined).unwrap().body.unwrap()["Reason"], "BOUNCE");
    let released = moved(&history, &History::default(), 2, 20).unwrap();
    let call = suppression(&released).unwrap();
    assert_eq!((call.method, call.path.as_str()), ("DELETE", "v2/email/suppression/addresses/jane%40example.net"));
}

#[test]
fn health_is_told_with_its_advice() {
    let account = "bounces".parse().unwrap();
    let moved = (Some(HealthState::Active), HealthState::NeedsReconnect);
    let event = of_health("/test", &account, moved, Some("consent-again"), None, 1_700_000_000_123);
    assert_eq!((&event.data["from"], &event.data["to"]), (&"active".into(), &"needs-reconnect".into()));
    assert_eq!((event.subject.as_str(), event.time.as_second()), ("bounces", 1_700_000_000));
}
