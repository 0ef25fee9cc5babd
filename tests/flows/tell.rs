//! Events told: all of them, in the order of each subject, to receivers good and bad, whoever dies on the way.
#![allow(clippy::print_stdout, reason = "the figures are told")]

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use jiff::SignedDuration;
use rebond::account::{Account, AccountId, EndpointId, HealthState};
use rebond::delivery::Delivery;
use rebond::events::{Destination, Endpoint, Event, EventType, Moved, Shape, WebhookKey, of_health, of_standing};
use rebond::follow::{close_due, end_due};
use rebond::incident::{self, Decision, Incident, Stage, Trigger};
use rebond::proof::{Level, tag};
use rebond::report::Reason;
use rebond::secret::ExposeSecret;
use rebond::standing::{self, Act, AddressKey, Cause, Deed, Effect, History, List, Thresholds};
use rebond::table::{Change, EndpointItem, EndpointState, Fact, Kept};
use rebond::tell::Drained;
use rebond::vault::{Name, Version, signing_key};
use rebond_cli::embedded;
use rebond_cli::machine::Machine;
use rebond_tests::mail::{bounce, letter};
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::process::workspace;
use rebond_tests::receiver::{Got, Mood, Receiver};
use rebond_tests::world::{BASIC, PASSWORD, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

pub fn in_seconds(seconds: u64) -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(seconds)
}

/// Adds a webhook, as `rebond endpoint add` does.
pub async fn webhook(world: &World, id: &str, url: &str, change: impl FnOnce(&mut Endpoint)) -> EndpointId {
    let to = Destination::Webhook { url: url.parse().unwrap() };
    let id: EndpointId = id.parse().unwrap();
    let mut endpoint = Endpoint {
        id: id.clone(),
        label: None,
        to,
        shape: Shape::Cloudevents,
        types: vec![],
        accounts: vec![],
        lists: vec![],
        enabled: true,
    };
    change(&mut endpoint);
    endpoint.check().unwrap();
    let secret = WebhookKey::generate(&[7; 32]);
    world.machine.vault.put(&Name::Endpoint(id.clone()), uuid::Uuid::nil(), &secret).await.unwrap();
    assert!(world.machine.table.add_endpoint(&EndpointItem::new(endpoint, world.now())).await.unwrap());
    // What writers know of endpoints is a second old.
    world.advance(SignedDuration::from_secs(3));
    id
}

async fn item(world: &World, id: &EndpointId) -> EndpointItem {
    world.machine.table.endpoint(id).await.unwrap().unwrap()
}

async fn kept(world: &World, id: &EndpointId, kept: Kept) -> usize {
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let page = world.machine.table.kept_events(id, kept, after.as_deref(), 500).await.unwrap();
        let Some(last) = page.last() else { return count };
        count += page.len();
        after = Some(last.name.clone());
    }
}

pub async fn drain(world: &World) -> Drained {
    world.machine.teller.drain_all(in_seconds(60)).await.unwrap()
}

pub fn types(got: &[Got]) -> Vec<String> {
    let short = |got: &Got| {
        let kind = got.json()["type"].as_str().unwrap_or("?").to_owned();
        kind.trim_start_matches("rebond.").trim_end_matches(".v1").to_owned()
    };
    got.iter().map(short).collect()
}

/// Some events of one subject each: what happened to an account, in its order.
fn healths(subjects: usize, each: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..each {
        for subject in 0..subjects {
            let account: AccountId = format!("account-{subject}").parse().unwrap();
            let at = 1_700_000_000_000 + i64::try_from(number).unwrap() * 1_500;
            events.push(of_health("/rebond", &account, (None, HealthState::Active), None, None, at));
        }
    }
    events
}

/// Some events of one address each, which died and was released again and again.
fn standings(subjects: usize, each: usize) -> Vec<Event> {
    let list = "default".parse().unwrap();
    let mut histories = vec![History::default(); subjects];
    let mut events = Vec::new();
    for number in 0..each {
        for (subject, history) in histories.iter_mut().enumerate() {
            let address: AddressKey = format!("person-{subject}@example.net").parse().unwrap();
            let (old, at) = (history.clone(), 1_700_000_000 + i64::try_from(number).unwrap() * 100);
            let act = || Act { at: at * 1_000, deed: Deed::Released, who: "ann".into(), why: None };
            assert!(if number % 2 == 0 { history.add(hard(at)) } else { history.decide(act()) });
            let version = u64::try_from(number).unwrap() + 1;
            let (source, ended) = ("/rebond", (None, None));
            let (old, new) = (&old, &*history);
            let moved = Moved { source, address: &address, written: None, list: &list, old, new, version, ended };
            let read = |history: &History, at| standing::read(history, &Thresholds::default(), at);
            events.extend(of_standing(moved, read, read, at));
        }
    }
    assert_eq!(events.len(), subjects * each);
    events
}

/// An outcome that says that its address is dead.
fn hard(at: i64) -> Cause {
    cause(at, Effect::Hard, Reason::UserUnknown)
}

/// An outcome that was believed.
pub fn cause(at: i64, effect: Effect, reason: Reason) -> Cause {
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
        template: None,
        rule: None,
        account: "bounces".parse().unwrap(),
        report: format!("{at:064}"),
        number: 0,
    }
}

/// Adds to what is on record of an address on a list.
async fn on_record(world: &World, address: &str, list: &List, change: impl Fn(&mut History) -> bool) {
    let (address, now) = (address.parse().unwrap(), world.now().as_second());
    world.machine.table.change_standing(&address, list, None, now, change).await.unwrap();
}

/// An incident of the refusals of [`bounce`].
pub fn sudden(world: &World, domain: &str) -> Incident {
    let said = "550 5.1.1 <user1@example.net>: Recipient address rejected: User unknown";
    let template = Some(incident::template(said, "user1@example.net"));
    let from = world.now().as_second() - 3_600;
    let trigger = Trigger { count: 60, from, since: None, template, median: Some(0), told: None };
    Incident::new(&"default".parse().unwrap(), domain, trigger, 1, world.now().as_second())
}

/// Each event once, and those of one subject in their order.
fn all_in_order(got: &[Got], events: &[Event]) {
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for got in got {
        let event = got.json();
        let id = event["id"].as_str().unwrap().to_owned();
        assert_eq!(Some(&id), got.headers.get("webhook-id"));
        assert!(ids.insert(id), "told twice: {event}");
        of.entry(event["subject"].as_str().unwrap().to_owned())
            .or_default()
            .push(event["sequence"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids, events.iter().map(|event| event.id.clone()).collect());
    for (subject, sequences) in of {
        assert!(sequences.is_sorted(), "{subject}: {sequences:?}");
    }
}

/// The library of Standard Webhooks and a validator of JSON Schema, which nobody here wrote.
fn check_by_others(got: &[Got], secret: &str) -> Value {
    let requests: Vec<Value> = got.iter().map(|got| json!({ "headers": got.headers, "body": got.body })).collect();
    let python = workspace().join("target/tools/python/bin/python");
    let mut check = Command::new(python)
        .arg(workspace().join("tests/check_events.py"))
        .arg(secret)
        .arg(workspace().join("docs/events.schema.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(json!(requests).to_string().as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "see above");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_poll_finds_is_told_signed_and_as_its_schema_says() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
    let account = world.add_basic("bounces", ours).await.unwrap();
    let complaint = include_bytes!("../fixtures/report/arf-abuse.eml").to_vec();
    for message in [bounce(1), letter(1), complaint] {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
    world.poll(&account).await.unwrap();
    assert!(receiver.got().is_empty(), "a poll waits for no receiver");
    drain(&world).await;
    let taken = receiver.taken();
    let mut told = types(&taken);
    told.sort();
    assert!(told.contains(&"address.complained".to_owned()), "{told:?}");
    let of_bounce: Vec<&Got> = taken.iter().filter(|got| got.json()["subject"] == "user1@example.net").collect();
    let words: Vec<String> = of_bounce.iter().flat_map(|got| types(std::slice::from_ref(got))).collect();
    assert_eq!(words, ["address.bounced", "address.quarantined"], "the cause, then what followed");
    assert_eq!(of_bounce[0].json()["data"]["believed"], true);
    // Released by hand, and a health that moved.
    let address = "user1@example.net".parse().unwrap();
    let act = rebond::standing::Act {
        at: world.now().as_millisecond(),
        deed: rebond::standing::Deed::Released,
        who: "ann".into(),
        why: None,
    };
    let default = List::new("default".parse().unwrap());
    let now = world.now().as_second();
    world.machine.table.change_standing(&address, &default, None, now, |h| h.decide(act.clone())).await.unwrap();
    let deny = rebond::standing::Act { deed: rebond::standing::Deed::Denied, at: act.at + 1_000, ..act.clone() };
    world.machine.table.change_standing(&address, &default, None, now, |h| h.decide(deny.clone())).await.unwrap();
    let password = |text: &str, version| {
        let (vault, name) = (world.machine.vault.clone(), Name::Password(account.clone()));
        let text = text.to_owned();
        async move { vault.put(&name, uuid::Uuid::from_u128(version), &text.into()).await.unwrap() }
    };
    password("another", 7).await;
    world.end_leases(&account).await.unwrap();
    world.poll(&account).await.unwrap();
    drain(&world).await;
    // A destination that suddenly refuses many.
    let table = &world.machine.table;
    let incident = sudden(&world, "example.com");
    assert!(table.open_incident(&incident).await.unwrap());
    let decided = Decision { at: world.now().as_second(), who: "ann".into(), why: None };
    let released = Incident { stage: Stage::Released, decided: Some(decided), ..incident };
    assert!(table.move_incident(Stage::Open, &released).await.unwrap());
    drain(&world).await;
    // A delivery that is over.
    let delivery = Delivery {
        id: "march".parse().unwrap(),
        list: "default".parse().unwrap(),
        route: None,
        opened: world.now().as_second() - 60,
        closes: world.now().as_second(),
        sent: 3,
    };
    let sent = [("example.net".to_owned(), 3)].into();
    assert!(table.put_delivery(&delivery, &sent).await.unwrap());
    assert_eq!(close_due(table, world.now(), in_seconds(30)).await.unwrap(), 1);
    drain(&world).await;
    let item = item(&world, &id).await;
    let test = world.machine.teller.test(&item).await.unwrap().unwrap();
    assert_eq!(test.kind.short(), "endpoint.tested");
    let secret = world.machine.vault.get(&Name::Endpoint(id.clone()), Version::Current).await.unwrap().unwrap();
    let seen = check_by_others(&receiver.taken(), secret.expose_secret());
    for kind in rebond::events::EventType::ALL {
        let one = receiver.taken().into_iter().map(|got| got.json()).find(|event| event["type"] == kind.as_str());
        println!("{}", serde_json::to_string_pretty(&one).unwrap());
        assert!(seen[kind.short()].as_u64().is_some_and(|count| count > 0), "{} was never told: {seen}", kind.short());
    }
    assert_eq!(kept(&world, &id, Kept::Pending).await, 0);
    // Read again, it is no news.
    let before = receiver.got().len();
    let cursor = json!({ "TableName": "rebond", "Key": {
        "pk": { "S": format!("ACCOUNT#{account}") }, "sk": { "S": "CURSOR#INBOX#0" } } });
    world.raw("DeleteItem", cursor).await.unwrap();
    password(PASSWORD, 8).await;
    world.end_leases(&account).await.unwrap();
    assert_eq!(world.poll(&account).await.unwrap().recorded, 0);
    drain(&world).await;
    let news: Vec<String> = types(&receiver.got()[before..]);
    assert_eq!(news, ["account.health_changed"], "the mailbox works again, and nothing else is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_for_an_hour_is_told_everything_once_and_in_order() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
    receiver.set(Mood::Bad(500, None));
    // All ten thousand take a minute or more of a quiet machine.
    let events = standings(if std::env::var_os("REBOND_LONG").is_some() { 2_500 } else { 500 }, 4);
    let begin = Instant::now();
    let mut drains = 0;
    // An hour, a batch every 36 seconds.
    for batch in events.chunks(events.len() / 100) {
        world.machine.teller.tell(batch, in_seconds(30)).await.unwrap();
        world.advance(SignedDuration::from_secs(36));
        let drained = world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
        drains += drained.endpoints;
        assert_eq!(drained.told, 0);
    }
    assert_eq!(item(&world, &id).await.health.state, EndpointState::Retrying);
    let refused = receiver.got().len();
    assert!(refused < 200, "{refused} tries at a receiver that was down");
    assert_eq!(kept(&world, &id, Kept::Pending).await, events.len());
    receiver.set(Mood::Good);
    for _ in 0..70 {
        world.advance(SignedDuration::from_mins(1));
        world.machine.teller.drain_due(in_seconds(120)).await.unwrap();
        if !item(&world, &id).await.held {
            break;
        }
    }
    all_in_order(&receiver.taken(), &events);
    println!(
        "{} events, an hour down: {refused} tries in {drains} runs while down, then all told; {:?} in all",
        events.len(),
        begin.elapsed()
    );
    let after = item(&world, &id).await;
    assert_eq!((after.health.state, after.held), (EndpointState::Active, false));
    assert_eq!(kept(&world, &id, Kept::Pending).await, 0);
    // Whoever comes now is told at once again.
    let more = standings(1, 5).split_off(4);
    let told = world.machine.teller.tell(&more, in_seconds(30)).await.unwrap();
    assert_eq!((told.told, told.kept), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_refuse_redirect_or_are_gone_lose_nothing() {
    let world = World::start().await.unwrap();
    let elsewhere = Receiver::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
    let events = healths(3, 2);
    let location = Some(("location", elsewhere.url().to_owned()));
    receiver.set(Mood::Bad(307, location));
    let told = world.machine.teller.tell(&events, in_seconds(30)).await.unwrap();
    assert_eq!((told.told, told.kept), (0, 6));
    assert!(elsewhere.got().is_empty(), "a redirect is not followed");
    assert!(item(&world, &id).await.health.said.unwrap().contains("307"));
    // Nor is what the reach policy does not name.
    let inner = webhook(&world, "inner", "https://10.1.2.3/hook", |_| {}).await;
    world.machine.teller.tell(&events[..1], in_seconds(30)).await.unwrap();
    let refused = item(&world, &inner).await;
    assert_eq!((refused.health.state, kept(&world, &inner, Kept::Pending).await), (EndpointState::Retrying, 1));
    assert!(refused.health.said.as_ref().unwrap().contains("10.1.2.3"), "{refused:?}");
    assert!(world.machine.table.remove_endpoint(&inner).await.unwrap());
    // It asks to be left alone: at most a try more in that time, however many ticks.
    receiver.set(Mood::Bad(503, Some(("retry-after", "1200".to_owned()))));
    world.advance(SignedDuration::from_mins(2));
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    let tries = receiver.got().len();
    for _ in 0..19 {
        world.advance(SignedDuration::from_mins(1));
        world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    }
    assert_eq!(receiver.got().len(), tries, "Retry-After is honoured");
    // Gone: nobody is asked again, and what is new is kept, too.
    receiver.set(Mood::Bad(410, None));
    world.advance(SignedDuration::from_mins(2));
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    assert_eq!(item(&world, &id).await.health.state, EndpointState::Gone);
    let tries = receiver.got().len();
    let more = healths(3, 3).split_off(6);
    world.machine.teller.tell(&more, in_seconds(30)).await.unwrap();
    world.advance(SignedDuration::from_hours(5));
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    drain(&world).await;
    assert_eq!(receiver.got().len(), tries);
    assert_eq!(kept(&world, &id, Kept::Pending).await, 9);
    // The operator mends it.
    receiver.set(Mood::Good);
    let settings = item(&world, &id).await.settings;
    assert!(world.machine.table.set_endpoint(&settings, world.now()).await.unwrap());
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    all_in_order(&receiver.taken(), &healths(3, 3));
    assert!(!item(&world, &id).await.held);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_is_refused_holds_up_its_subject_alone_and_ends_as_a_dead_letter() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
    let events = healths(20, 3);
    // The second of three.
    let refused = events.iter().filter(|event| event.subject == "account-7").nth(1).unwrap();
    receiver.set(Mood::Picky(refused.id.clone()));
    world.machine.teller.tell(&events, in_seconds(30)).await.unwrap();
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    assert_eq!((receiver.taken().len(), kept(&world, &id, Kept::Pending).await), (58, 2));
    let mut tries = BTreeSet::new();
    for _ in 0..(3 * 24 * 12 + 20) {
        world.advance(SignedDuration::from_mins(5));
        world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
        tries.insert(receiver.got().len());
    }
    let tried = receiver.got().iter().filter(|got| got.body.contains(&refused.id)).count();
    assert!((40..200).contains(&tried), "{tried} tries in three days");
    assert_eq!((kept(&world, &id, Kept::Pending).await, kept(&world, &id, Kept::Dead).await), (0, 2));
    // Told after all, when somebody says so.
    receiver.set(Mood::Good);
    let revived = world.machine.teller.revive(&id).await.unwrap();
    assert_eq!(revived.kept, 2);
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    all_in_order(&receiver.taken(), &events);
    assert_eq!(kept(&world, &id, Kept::Dead).await, 0);
    println!("{tried} tries in three days, then a dead letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_days_after_it_was_kept_an_event_is_a_dead_letter_and_not_a_second_before() {
    for (after, dead) in [(-1, 0), (0, 1), (1, 1)] {
        let world = World::start().await.unwrap();
        let receiver = Receiver::start().await.unwrap();
        let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
        receiver.set(Mood::Bad(500, None));
        world.machine.teller.tell(&healths(1, 1), in_seconds(30)).await.unwrap();
        let since = world.machine.table.kept_events(&id, Kept::Pending, None, 1).await.unwrap()[0].since;
        let now = jiff::Timestamp::from_second(since + 3 * 86_400 + after).unwrap();
        let m = &world.machine;
        let (table, vault, clock) = (m.table.clone(), m.vault.clone(), std::sync::Arc::new(move || now));
        let then = Machine::over(table, vault, m.reach.clone(), m.tls.clone(), clock).unwrap();
        let tries = receiver.got().len();
        let drained = then.teller.drain(&id, in_seconds(30)).await.unwrap();
        assert_eq!(drained.dead, dead, "{after}");
        assert_eq!(receiver.got().len() - tries, usize::from(dead == 0), "tried as long as it is none");
        let left = (kept(&world, &id, Kept::Pending).await as u64, kept(&world, &id, Kept::Dead).await as u64);
        assert_eq!(left, (1 - dead, dead), "{after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_that_ends_by_the_clock_is_told_once_and_what_comes_after_it_too() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    webhook(&world, "crm", receiver.url(), |_| {}).await;
    let (table, day, list) = (&world.machine.table, 86_400, List::new("default".parse().unwrap()));
    let last = world.now().as_second();
    for n in 0..6 {
        let full = cause(last - (5 - n) * day, Effect::Soft, Reason::MailboxFull);
        on_record(&world, "jane@example.net", &list, |history| history.add(full.clone())).await;
        let passing = cause(last - (5 - n) * day, Effect::Soft, Reason::NetworkError);
        on_record(&world, "joe@example.net", &list, |history| history.add(passing.clone())).await;
    }
    drain(&world).await;
    assert_eq!(types(&receiver.taken()), ["address.quarantined"; 2]);
    let end = last + 30 * day;
    world.advance(SignedDuration::from_secs(30 * day));
    let ended = async |at| end_due(table, jiff::Timestamp::from_second(at).unwrap(), in_seconds(30)).await.unwrap();
    assert_eq!((ended(end - 1).await, ended(end).await, ended(end + 1).await), (0, 1, 0));
    drain(&world).await;
    let told = receiver.taken().pop().unwrap().json();
    assert_eq!((types(&receiver.taken()).len(), &told["type"]), (3, &json!("rebond.address.released.v1")));
    assert_eq!(told["subject"], "jane@example.net");
    // What comes late, what counts anew, and what quarantines again.
    for (cause, all) in [
        (cause(last - 6 * day, Effect::Soft, Reason::MailboxFull), 3),
        (cause(end + 2, Effect::Soft, Reason::MailboxFull), 3),
        (hard(end + 3), 4),
    ] {
        on_record(&world, "jane@example.net", &list, |history| history.add(cause.clone())).await;
        drain(&world).await;
        assert_eq!(types(&receiver.taken()).len(), all, "{cause:?}");
    }
    assert_eq!(types(&receiver.taken())[3], "address.quarantined");
    assert_eq!(ended(end + 400 * day).await, 0, "a dead address has no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_released_on_one_list_stays_where_all_lists_are_one_while_another_denies() {
    let world = World::start().await.unwrap();
    let [all, one] = [(); 2].map(|()| Receiver::start());
    let (all, one) = (all.await.unwrap(), one.await.unwrap());
    let email = json!({ "fields": { "all": { "email": "jane@example.net" } }, "id": 42 });
    let found = json!({ "total": "1", "contacts": { "42": email } });
    let (default, news) = (List::new("default".parse().unwrap()), List::new("news".parse().unwrap()));
    assert!(world.machine.table.put_list(&news, true).await.unwrap());
    for (name, receiver, lists) in [("all", &all, vec![]), ("one", &one, vec![default.id.clone()])] {
        receiver.answers(found.clone());
        let url: url::Url = receiver.url().parse().unwrap();
        let mautic = |endpoint: &mut Endpoint| {
            (endpoint.to, endpoint.lists) = (Destination::Mautic { url, user: "rebond".into() }, lists);
        };
        webhook(&world, name, receiver.url(), mautic).await;
    }
    let marks = |receiver: &Receiver| -> Vec<String> {
        let posts = receiver.taken().into_iter().filter(|got| got.line.starts_with("POST"));
        posts.map(|got| got.line.rsplit('/').next().unwrap().to_owned()).collect()
    };
    let now = world.now().as_second();
    let act = |deed, at: i64| Act { at: at * 1_000, deed, who: "ann".into(), why: None };
    let decide = async |list: &List, deed, at| {
        on_record(&world, "jane@example.net", list, |history| history.decide(act(deed, at))).await;
        drain(&world).await;
    };
    decide(&news, Deed::Denied, now).await;
    decide(&default, Deed::Quarantined, now).await;
    assert_eq!((marks(&all), marks(&one)), (vec!["add".into(), "add".into()], vec!["add".to_owned()]));
    decide(&default, Deed::Released, now + 1).await;
    assert_eq!(marks(&all), ["add", "add"], "denied on another list that it is told of");
    assert_eq!(marks(&one), ["add", "remove"], "that list is none of its");
    decide(&news, Deed::Released, now + 2).await;
    assert_eq!(marks(&all), ["add", "add", "remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_act_are_told_once_of_what_comes_back_to_one_signed_address_and_nothing_that_was_taken_back() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let account = world.add_basic("bounces", ours).await.unwrap();
    let list = List { proof: Level::Signed, ..List::new("default".parse().unwrap()) };
    table.put_list(&list, false).await.unwrap();
    world.imap.deliver(BASIC, "INBOX", bounce(1), world.now());
    let mut poller = world.machine.poller();
    poller.follow = None;
    poller.poll(&account, "test", in_seconds(60), &()).await.unwrap();
    let mut first = world.facts(&account).await.unwrap().remove(0);
    let key = signing_key(&*world.machine.vault).await.unwrap();
    let (holder, sent) = ("user1@example.net".parse().unwrap(), first.arrived - 60);
    first.report.returned_to = Some(tag::stamp("bounces@example.org", &holder, &list.id, &key, sent).unwrap());
    let second = Fact { key: "e".repeat(64), arrived: first.arrived + 5, ..first.clone() };
    let told = async |fact: &Fact| {
        let events = world.machine.teller.events_of(&[Change::Fact(fact)]).await.unwrap();
        events.into_iter().find(|event| event.kind == EventType::AddressBounced).unwrap().data
    };
    let said = |data: &Value| (data["effect"].clone(), data["repeated"].clone(), data["believed"].clone());
    let new = (json!("hard"), Value::Null, json!(true));
    assert_eq!(said(&told(&first).await), new, "before its standing is written");
    world.machine.follower().follow(&[first.clone()], world.now()).await.unwrap();
    assert_eq!(said(&told(&first).await), new, "and after it");
    assert_eq!(said(&told(&second).await), (json!("hard"), json!(true), json!(true)));
    // Taken back, it says nothing about the address, also when it is told again.
    let item = table.standing(&holder, &list.id).await.unwrap().unwrap();
    let cause = item.history.causes[0].clone();
    on_record(&world, "user1@example.net", &list, |history| history.take_back(&cause)).await;
    assert_eq!(told(&first).await["effect"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_holds_up_no_other() {
    let world = World::start().await.unwrap();
    let (good, slow) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    webhook(&world, "good", good.url(), |_| {}).await;
    let bad = webhook(&world, "bad", slow.url(), |_| {}).await;
    slow.set(Mood::Slow(Duration::from_secs(600)));
    let events = healths(50, 2);
    let begin = Instant::now();
    let teller = world.machine.teller.clone();
    let (of, deadline) = (events.clone(), in_seconds(45));
    let telling = tokio::spawn(async move { teller.tell(&of, deadline).await.unwrap() });
    while good.taken().len() < 100 {
        assert!(begin.elapsed() < Duration::from_secs(8), "only {} were told", good.taken().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let good_after = begin.elapsed();
    telling.await.unwrap();
    let first = begin.elapsed();
    assert!(first < Duration::from_secs(20), "the batch waited {first:?}");
    // From now on the bad one costs nobody any time.
    let begin = Instant::now();
    let more = healths(50, 3).split_off(100);
    world.machine.teller.tell(&more, in_seconds(45)).await.unwrap();
    let second = begin.elapsed();
    assert!(second < Duration::from_secs(8), "the next batch waited {second:?}");
    assert_eq!(good.taken().len(), 150);
    assert_eq!(kept(&world, &bad, Kept::Pending).await, 150);
    println!("beside one that never answers: told after {good_after:?}; its batch {first:?}, the next {second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_every_event_is_told_in_order() {
    let events = healths(4, 3);
    let mut steps = 0;
    loop {
        let world = World::start().await.unwrap();
        let receiver = Receiver::start().await.unwrap();
        let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
        // The first batch is refused and kept, then the receiver is well: both ways are gone.
        let mut ended = 0;
        for (mood, batch) in [(Mood::Bad(500, None), &events[..4]), (Mood::Good, &events[4..])] {
            receiver.set(mood);
            let life = Life::of(steps);
            let mortal = self::mortal(&world, &life).await;
            tokio::select! {
                told = mortal.teller.tell(batch, in_seconds(30)) => {
                    told.unwrap();
                    ended += 1;
                }
                () = life.over.notified() => {
                    // The stream brings the batch again, to another process.
                    world.advance(SignedDuration::from_mins(3));
                    world.machine.teller.tell(batch, in_seconds(30)).await.unwrap();
                }
            }
            world.advance(SignedDuration::from_mins(3));
            let life = Life::of(steps);
            let mortal = self::mortal(&world, &life).await;
            tokio::select! {
                drained = mortal.teller.drain_due(in_seconds(30)) => {
                    drained.unwrap();
                    ended += 1;
                }
                () = life.over.notified() => {}
            }
        }
        for _ in 0..70 {
            world.advance(SignedDuration::from_mins(3));
            world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
            if !item(&world, &id).await.held {
                break;
            }
        }
        // Told twice only where a process died between telling and writing so; never out of order for who knows ids.
        let mut seen = BTreeSet::new();
        let fresh: Vec<Got> =
            receiver.taken().into_iter().filter(|got| seen.insert(got.headers["webhook-id"].clone())).collect();
        all_in_order(&fresh, &events);
        assert_eq!(kept(&world, &id, Kept::Pending).await, 0, "after {steps} steps");
        if ended == 4 {
            break;
        }
        steps += 1;
    }
    println!("killed at each of {steps} steps");
    assert!(steps > 10, "{steps}");
}

/// Another process over the same files, that lives for some calls of the table.
pub async fn mortal(world: &World, life: &std::sync::Arc<Life>) -> Machine {
    life.left.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    let steps = life.steps;
    let table = embedded::table(SharedHttpConnector::new(MortalTable(world.connector(), life.clone()))).await.unwrap();
    life.left.store(steps, std::sync::atomic::Ordering::SeqCst);
    let machine = &world.machine;
    let (vault, reach, tls) = (machine.vault.clone(), machine.reach.clone(), machine.tls.clone());
    Machine::over(table, vault, reach, tls, machine.clock.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_at_once_costs_no_write_and_what_is_kept_a_put_and_a_removal() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
    let account = world.add_basic("bounces", ours).await.unwrap();
    for number in 0..20 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    // As on AWS: nobody is told by whoever writes.
    let mut poller = world.machine.poller();
    poller.follow = None;
    poller.table = embedded::table(world.connector()).await.unwrap();
    poller.poll(&account, "test", in_seconds(60), &()).await.unwrap();
    let facts = world.facts(&account).await.unwrap();
    let changes: Vec<Change<'_>> = facts.iter().map(Change::Fact).collect();
    let events = world.machine.teller.events_of(&changes).await.unwrap();
    assert_eq!(events.len(), 40);
    world.faults.count_units();
    let told = world.machine.teller.tell(&events, in_seconds(30)).await.unwrap();
    assert_eq!((told.told, told.kept), (40, 0));
    assert!(world.faults.units().values().all(|units| *units == 0.0), "{:?}", world.faults.units());
    // Down: each is put, and taken away when it is told.
    receiver.set(Mood::Bad(500, None));
    world.faults.count_units();
    world.machine.teller.tell(&events, in_seconds(30)).await.unwrap();
    receiver.set(Mood::Good);
    world.advance(SignedDuration::from_mins(2));
    world.machine.teller.drain_due(in_seconds(30)).await.unwrap();
    let units = world.faults.units();
    let (kept_units, own) = (units["PENDING"], units["ENDPOINT"] + units.get("ENDPOINT index").unwrap_or(&0.0));
    println!(
        "told at once: 0 write units; 20 reports and 20 bounces kept for a receiver that is down: {:.2} an event, and {own} \
         for the endpoint",
        kept_units / 40.0
    );
    assert_eq!(kept(&world, &id, Kept::Pending).await, 0);
    assert!(kept_units / 40.0 <= 4.0, "{units:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_incident_holds_back_is_told_when_a_person_confirms_it() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let only = |endpoint: &mut Endpoint| {
        endpoint.types = vec![EventType::AddressQuarantined, EventType::AddressReleased, EventType::IncidentClosed];
    };
    webhook(&world, "crm", receiver.url(), only).await;
    let [acting, plain] = [(); 2].map(|()| Receiver::start());
    let (acting, plain) = (acting.await.unwrap(), plain.await.unwrap());
    webhook(&world, "ses", acting.url(), |endpoint| endpoint.shape = Shape::Ses).await;
    webhook(&world, "plain", plain.url(), |endpoint| endpoint.types = vec![EventType::AddressBounced]).await;
    let account = world.add_basic("bounces", ours).await.unwrap();
    let incident = sudden(&world, "example.net");
    assert!(world.machine.table.open_incident(&incident).await.unwrap());
    for number in 0..5 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    world.poll(&account).await.unwrap();
    drain(&world).await;
    assert_eq!(types(&receiver.got()), [""; 0], "held back");
    assert_eq!(acting.got().len(), 0, "nobody acts on what is held back");
    let bounces = plain.taken();
    assert_eq!(bounces.len(), 5);
    assert!(bounces.iter().all(|got| got.json()["data"]["held"] == incident.id.as_str()), "{bounces:?}");
    let decided = Decision { at: world.now().as_second(), who: "ann".into(), why: None };
    let confirmed = Incident { stage: Stage::Confirmed, decided: Some(decided), ..incident };
    // In batches, however many there are.
    let calls = || world.faults.calls().get("GetItem").copied().unwrap_or_default();
    let before = calls();
    world.machine.teller.events_of(&[Change::Incident(&confirmed)]).await.unwrap();
    assert!(calls() - before <= 2, "{} reads of single items", calls() - before);
    assert!(world.machine.table.move_incident(Stage::Open, &confirmed).await.unwrap());
    drain(&world).await;
    let acted: Vec<Value> = acting.taken().iter().map(Got::json).collect();
    assert_eq!(acted.len(), 5);
    assert!(acted.iter().all(|told| told["bounce"]["bounceType"] == "Permanent"), "{acted:?}");
    assert_eq!(plain.taken().len(), 5, "who was told when it came is not told again");
    let mut told = types(&receiver.taken());
    told.sort();
    assert_eq!(told, [["address.quarantined"; 5].as_slice(), &["incident.closed"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_killed_between_any_two_steps_tells_every_event_in_order() {
    let mut steps = 0;
    loop {
        let world = World::start().await.unwrap();
        let receiver = Receiver::start().await.unwrap();
        let id = webhook(&world, "crm", receiver.url(), |_| {}).await;
        let account = world.add_basic("bounces", ours).await.unwrap();
        for number in 0..2 {
            world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
        }
        let life = Life::of(steps);
        let mortal = mortal(&world, &life).await;
        let poller = mortal.poller();
        let ended = tokio::select! {
            polled = poller.poll(&account, "test", in_seconds(60), &()) => polled.is_ok(),
            () = life.over.notified() => false,
        };
        // The killed one's leases end; another process comes.
        world.end_leases(&account).await.unwrap();
        for _ in 0..2 {
            world.poll(&account).await.unwrap();
            world.end_leases(&account).await.unwrap();
        }
        drain(&world).await;
        let mut seen = BTreeSet::new();
        let fresh: Vec<Got> =
            receiver.taken().into_iter().filter(|got| seen.insert(got.headers["webhook-id"].clone())).collect();
        let mut all = types(&fresh);
        all.sort();
        let expected =
            ["address.bounced", "address.bounced", "address.quarantined", "address.quarantined"].map(str::to_owned);
        assert_eq!(all[..4], expected, "after {steps} steps");
        assert_eq!(all[4..], ["report.received", "report.received"], "after {steps} steps");
        for number in 0..2 {
            let subject = format!("user{number}@example.net");
            let of: Vec<Got> = fresh.iter().filter(|got| got.json()["subject"] == subject.as_str()).cloned().collect();
            assert_eq!(types(&of), ["address.bounced", "address.quarantined"], "after {steps} steps");
        }
        assert_eq!(kept(&world, &id, Kept::Pending).await, 0);
        if ended {
            break;
        }
        steps += 1;
    }
    println!("a poll killed at each of {steps} steps");
    assert!(steps > 15, "{steps}");
}
