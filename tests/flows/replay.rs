//! Kept mail read again: standings end up as if it had been read so at first, whoever dies, however often it is said, and
//! whoever is erased meanwhile. What other rules would have said is made here by hand, and put where they would have put it.

use jiff::SignedDuration;
use rebond::account::{Account, AccountId};
use rebond::erase::Person;
use rebond::follow::Moves;
use rebond::poll::Progress;
use rebond::raw::{Folder, Store};
use rebond::replay::{Difference, Done, Replayer, Wanted};
use rebond::report::{Kind, Outcome, Reason};
use rebond::table::{Fact, Pointer, Recorded, Table};
use rebond_cli::embedded;
use rebond_tests::mail::{bounce, bounce_of};
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const BOUNCES: usize = 20;

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

fn run(world: &World, words: &[&str]) -> Output {
    Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(words).output().unwrap()
}

fn said(world: &World, words: &[&str]) -> String {
    let output = run(world, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a replay by the binary did: its last line.
fn replay(world: &World, more: &[&str]) -> Value {
    let words = [&["replay", "bounces", "--since", "2026-01-01", "--json"], more].concat();
    let lines = said(world, &words);
    let summary: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(summary["summary"]["changed"], lines.lines().count() - 1, "{lines}");
    summary["summary"].clone()
}

/// Every item of the table whose sort key begins so, by its keys.
async fn items(world: &World, sk: &str) -> BTreeMap<String, Value> {
    let (mut found, mut from) = (BTreeMap::new(), Value::Null);
    loop {
        let mut body = json!({ "TableName": "rebond" });
        if !from.is_null() {
            body["ExclusiveStartKey"] = from;
        }
        let page = world.raw("Scan", body).await.unwrap();
        for item in page["Items"].as_array().unwrap() {
            let key = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
            if key("sk").starts_with(sk) {
                found.insert(format!("{} {}", key("pk"), key("sk")), item.clone());
            }
        }
        from = page["LastEvaluatedKey"].clone();
        if from.is_null() {
            return found;
        }
    }
}

/// What is on record of addresses: those of which nothing is left out, and how often each was written.
async fn standings(world: &World) -> BTreeMap<String, Value> {
    let mut all = items(world, "STANDING#").await;
    for item in all.values_mut() {
        let fields = item.as_object_mut().unwrap();
        fields.retain(|name, _| matches!(name.as_str(), "causes" | "acts" | "undone"));
    }
    all.retain(|_, item| *item != json!({}));
    all
}

/// What reports say: not when they were read, nor where their message is.
async fn reports(world: &World, id: &AccountId) -> Vec<(String, i64, rebond::report::Report)> {
    let facts = world.facts(id).await.unwrap().into_iter();
    facts.map(|fact| (fact.key, fact.arrived, fact.report)).collect()
}

/// A world in which all was read an hour ago; one report has `many` recipients, each of another destination.
async fn read(many: usize) -> (World, AccountId) {
    let mut world = World::start().await.unwrap();
    world.keep_raw().unwrap();
    world.advance(-SignedDuration::from_hours(1));
    let id = world.add_basic("bounces", ours).await.unwrap();
    for number in 0..BOUNCES {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    let two = ["user1@example.net", "also@example.net"].map(str::to_owned);
    world.imap.deliver(BASIC, "INBOX", bounce_of(100, &two), world.now());
    let many: Vec<String> = (0..many).map(|n| format!("many@d{n}.example.net")).collect();
    world.imap.deliver(BASIC, "INBOX", bounce_of(101, &many), world.now());
    let polled = world.poll(&id).await.unwrap();
    assert_eq!(polled.kept as usize, BOUNCES + 2);
    (world, id)
}

/// What older rules might have made of a report.
fn as_older_rules_have_it(number: usize, fact: &Fact) -> Fact {
    let mut old = fact.clone();
    let outcomes = &mut old.report.recipients;
    let other = |outcome: &Outcome, address: &str| Outcome { address: address.to_owned(), ..outcome.clone() };
    match number % 5 {
        // Not understood at all.
        0 => {
            outcomes.clear();
            old.report.kind = Kind::Other;
        }
        // Not known why.
        1 => outcomes.iter_mut().for_each(|outcome| {
            (outcome.reason, outcome.hard) = (Reason::OnHold, false);
        }),
        // Somebody else's.
        2 => outcomes[0] = other(&outcomes[0], &format!("wrong{number}@example.net")),
        // One too many, in front.
        3 => outcomes.insert(0, other(&outcomes[0], &format!("extra{number}@example.net"))),
        _ => {}
    }
    old.kind = old.report.kind;
    old
}

/// What standings and reports are where all was read by the rules of today at first.
struct AtFirst {
    standings: BTreeMap<String, Value>,
    reports: Vec<(String, i64, rebond::report::Report)>,
}

/// The same world, in which the same mail was read by older rules, and what it was by the rules of today.
async fn read_by_older_rules() -> (World, AccountId, AtFirst) {
    let (world, id) = read(3).await;
    let at_first = AtFirst { standings: standings(&world).await, reports: reports(&world, &id).await };
    let facts = world.facts(&id).await.unwrap();
    for key in items(&world, "REPORT#").await.into_keys().chain(items(&world, "STANDING#").await.into_keys()) {
        let (pk, sk) = key.split_once(' ').unwrap();
        let key = json!({ "TableName": "rebond", "Key": { "pk": { "S": pk }, "sk": { "S": sk } } });
        world.raw("DeleteItem", key).await.unwrap();
    }
    for (number, fact) in facts.iter().enumerate() {
        let old = as_older_rules_have_it(number, fact);
        assert_eq!(world.machine.table.record(old.clone()).await.unwrap(), Recorded::New);
        world.machine.follower().follow(&[old], world.now()).await.unwrap();
    }
    (world, id, at_first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_makes_all_as_if_it_had_been_read_so_at_first_and_twice_is_once() {
    let (world, id, at_first) = read_by_older_rules().await;
    let expected = at_first.standings;
    let before = standings(&world).await;
    assert_ne!(before.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());

    // Only shown.
    let (all, dry) = (items(&world, "").await, replay(&world, &["--dry-run"]));
    assert_eq!(items(&world, "").await, all, "nothing is changed");
    let changed = (0..BOUNCES + 2).filter(|number| number % 5 != 4).count();
    assert_eq!((&dry["read"], &dry["changed"]), (&json!(BOUNCES + 2), &json!(changed)), "{dry}");
    let moved = |summary: &Value, address: &str| {
        let all = summary["standings"].as_array().unwrap().iter();
        let of: Vec<String> = all
            .filter(|one| one["address"] == address)
            .map(|one| format!("{} {}", one["before"].as_str().unwrap(), one["after"].as_str().unwrap()))
            .collect();
        of.join(", ")
    };
    for (address, expected) in [
        ("user0@example.net", "valid quarantined"),
        ("user1@example.net", "with-errors quarantined"),
        ("wrong2@example.net", "quarantined valid"),
        ("user2@example.net", "valid quarantined"),
        ("extra3@example.net", "quarantined valid"),
        ("user3@example.net", ""),
        ("user4@example.net", ""),
    ] {
        assert_eq!(moved(&dry, address), expected, "{address}: {dry}");
    }
    let shown = said(&world, &["replay", "--since", "2026-01-01", "--dry-run"]);
    for words in ["on-hold 5.1.1 → user-unknown (hard) 5.1.1", "would move", "Nothing is changed"] {
        assert!(shown.contains(words), "{shown}");
    }

    // Done.
    let done = replay(&world, &["--who", "jo"]);
    assert_eq!((&done["changed"], &done["standings"]), (&dry["changed"], &dry["standings"]));
    assert_eq!(standings(&world).await, expected);
    assert_eq!(reports(&world, &id).await, at_first.reports);
    let audit: Value = serde_json::from_str(said(&world, &["audit", "--json"]).lines().next().unwrap()).unwrap();
    assert_eq!((&audit["event"], &audit["who"]), (&json!("replayed"), &json!("jo")));

    // Twice is once.
    let (items_then, again) = (items(&world, "").await, replay(&world, &[]));
    assert_eq!((&again["read"], &again["changed"], &again["standings"]), (&json!(BOUNCES + 2), &json!(0), &json!([])));
    assert_eq!(items(&world, "").await, items_then, "nothing was written");

    // The rules change back: all is as it was; and once more forward.
    for (number, fact) in world.facts(&id).await.unwrap().iter().enumerate() {
        let old = as_older_rules_have_it(number, fact);
        let follower = world.machine.follower();
        let rereader = follower.rereader(&id, world.now()).await.unwrap();
        rereader.reread(fact, &old, None, &mut Moves::default()).await.unwrap();
        assert!(world.machine.table.rewrite(fact, &old).await.unwrap());
    }
    assert_eq!(standings(&world).await, before);
    replay(&world, &[]);
    assert_eq!(standings(&world).await, expected);
    // What the poll reads once more is what was read again.
    let cursor = json!({ "TableName": "rebond", "Key": {
        "pk": { "S": "ACCOUNT#bounces" }, "sk": { "S": "CURSOR#INBOX#0" } } });
    world.raw("DeleteItem", cursor).await.unwrap();
    assert_eq!(world.poll(&id).await.unwrap().recorded, 0);
    assert_eq!(standings(&world).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_its_time_or_too_new_or_not_kept_is_left_and_counted() {
    let (world, id, _) = read_by_older_rules().await;
    let before = standings(&world).await;
    let summary = replay(&world, &["--until", "2026-01-02"]);
    assert_eq!((&summary["read"], &summary["too_new"]), (&json!(0), &json!(0)));
    for entry in std::fs::read_dir(world.dir().join("raw")).unwrap().flatten() {
        if entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let summary = replay(&world, &[]);
    assert_eq!((&summary["read"], &summary["kept_no_longer"]), (&json!(0), &json!(BOUNCES + 2)));
    assert_eq!(standings(&world).await, before);
    world.advance(SignedDuration::from_hours(1));
    world.imap.deliver(BASIC, "INBOX", bounce(500), world.now());
    world.poll(&id).await.unwrap();
    assert_eq!(replay(&world, &[])["too_new"], 1);
    let output = run(&world, &["replay", "nobody", "--since", "2026-01-01"]);
    assert!(!output.status.success());
    let output = run(&world, &["replay", "--since", "last week"]);
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_stays_so_and_what_was_released_stays_released() {
    let (world, ..) = read_by_older_rules().await;
    let since = (world.now() - SignedDuration::from_hours(2)).to_string();
    // user4's refusal is taken back; then a wrong one, whose report says something else afterwards.
    let undone = said(&world, &["undo", "--domain", "example.net", "--since", &since, "--yes"]);
    assert!(undone.contains("wrong") || !undone.is_empty());
    said(&world, &["release", "user1@example.net", "--why", "outage"]);
    replay(&world, &[]);
    let check = run(&world, &["check", "user1@example.net", "user4@example.net", "user3@example.net", "--json"]);
    let lines = String::from_utf8(check.stdout).unwrap();
    assert_eq!(lines.lines().filter(|line| line.contains("\"may_send\":true")).count(), 3, "{lines}");
}

/// The operator's rules are today's for older reports where they are asked for, and stay so.
#[tokio::test(flavor = "multi_thread")]
async fn rules_of_today_decide_about_older_reports_where_that_is_asked_for() {
    let (world, _) = read(3).await;
    said(&world, &["rules", "add", "known", "--phrase", "recipient address rejected", "--reason", "mailbox-full"]);
    said(&world, &["rules", "test", "known"]);
    said(&world, &["rules", "on", "known"]);
    let plain = replay(&world, &[]);
    assert_eq!(
        (&plain["changed"], &plain["standings"]),
        (&json!(0), &json!([])),
        "rules are for what is recorded since"
    );
    let ruled = replay(&world, &["--with-rules"]);
    assert_eq!((&ruled["changed"], &ruled["by_rules_alone"]), (&json!(0), &json!(BOUNCES + 2)), "{ruled}");
    let reason = |address: &str| {
        let shown: Value = serde_json::from_str(&said(&world, &["address", address, "--json"])).unwrap();
        let cause = &shown["lists"][0]["causes"][0];
        format!("{} {}", cause["reason"].as_str().unwrap(), cause["rule"].as_str().unwrap_or("-"))
    };
    assert_eq!(reason("user7@example.net"), "mailbox-full known");
    assert_eq!(replay(&world, &[])["changed"], 0);
    assert_eq!(reason("user7@example.net"), "mailbox-full known");
    said(&world, &["rules", "off", "known"]);
    assert_eq!(replay(&world, &["--with-rules"])["by_rules_alone"], BOUNCES + 2);
    assert_eq!(reason("user7@example.net"), "user-unknown -");
}

fn replayer(world: &World, table: Table) -> Replayer {
    let store = Store::Folder(Folder::new(world.dir().join("raw")));
    let follower = rebond::follow::Follower::new(table.clone(), Arc::clone(&world.machine.vault));
    Replayer { table, store, follower }
}

fn wanted() -> Wanted {
    Wanted { since: 0, until: i64::MAX, settled: i64::MAX, with_rules: false, dry_run: false }
}

/// Killed before each call of the table, it is said again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_it_is_said_again_and_all_is_as_it_should_be() {
    let (world, id, at_first) = read_by_older_rules().await;
    let (mut steps, mut kills) = (0, 0);
    loop {
        let life = Life::of(usize::MAX);
        let table = MortalTable(world.connector(), Arc::clone(&life));
        let table =
            embedded::table(aws_smithy_runtime_api::client::http::SharedHttpConnector::new(table)).await.unwrap();
        life.left.store(steps, Ordering::SeqCst);
        let (replayer, mut done, mut told) = (replayer(&world, table), Done::default(), |_: &Difference| {});
        let all = wanted();
        let ended = tokio::select! {
            ended = replayer.replay(&id, &all, world.now(), &(), &mut told, &mut done) => Some(ended),
            () = life.over.notified() => None,
        };
        if let Some(ended) = ended {
            ended.unwrap();
            break;
        }
        kills += 1;
        // Each begins at the first report that is not done with, and is killed at another of its steps.
        steps += 1;
        assert!(kills < 200, "a replay has no end");
    }
    assert!(kills >= 15, "{kills}");
    assert_eq!(standings(&world).await, at_first.standings);
    assert_eq!(replay(&world, &[])["changed"], 0);
}

/// Erases a person while a replay is at it: when the first report is done with, the objects are read already.
struct Eraser<'a> {
    world: &'a World,
    person: Person,
    done: std::sync::atomic::AtomicBool,
}

impl Progress for Eraser<'_> {
    fn folder(&self, _: &str, _: u64) {}
    fn recorded(&self, _: u64) {
        if self.done.swap(true, Ordering::SeqCst) {
            return;
        }
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let store = Store::Folder(Folder::new(self.world.dir().join("raw")));
                let kept = store.erase(&self.person, false).await.unwrap();
                assert!(kept.messages > 0);
                self.world.machine.table.erase(&self.person, &kept.places, false).await.unwrap();
            });
        });
    }
}

/// `person` is erased when the first report is done with.
async fn erased_meanwhile(person: &str) {
    let (world, id, _) = read_by_older_rules().await;
    let eraser = Eraser { world: &world, person: Person::new(person.parse().unwrap()), done: Default::default() };
    let (replayer, mut done) = (replayer(&world, world.machine.table.clone()), Done::default());
    replayer.replay(&id, &wanted(), world.now(), &eraser, &mut |_| {}, &mut done).await.unwrap();
    assert!(eraser.done.load(Ordering::SeqCst));
    let all = items(&world, "").await.into_iter();
    let left: Vec<String> = all.filter(|(_, item)| item.to_string().contains(person)).map(|(key, _)| key).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(replay(&world, &[])["changed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_while_it_is_at_it_stays_erased_where_only_the_message_named_the_person() {
    erased_meanwhile("user0@example.net").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_while_it_is_at_it_stays_erased_where_the_report_named_another() {
    erased_meanwhile("user2@example.net").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_while_it_is_at_it_stays_erased_where_the_report_names_others_too() {
    erased_meanwhile("also@example.net").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_written_over_what_was_read_and_nothing_else() {
    let (world, id) = read(300).await;
    let table = &world.machine.table;
    let facts = world.facts(&id).await.unwrap();
    let many = facts.iter().find(|fact| fact.report.recipients.len() == 300).unwrap();
    assert!(many.parts > 0, "in parts");
    let mut new = many.clone();
    new.report.recipients.reverse();
    // Two at once: one wins, and what it wrote is whole.
    let (one, two) = tokio::join!(table.rewrite(many, &new), table.rewrite(many, &new));
    assert_eq!([one.unwrap(), two.unwrap()].iter().filter(|done| **done).count(), 1);
    assert_eq!(table.fact(&id, &many.key).await.unwrap().unwrap().report, new.report);
    assert!(!table.rewrite(many, &new).await.unwrap(), "it is another reading now");
    // Read again, all of them are in their places.
    assert_eq!(replay(&world, &[])["changed"], 1);
    assert_eq!(table.fact(&id, &many.key).await.unwrap().unwrap().report, many.report);
    let elsewhere = Fact {
        raw: Some(Pointer { object: "bounces/2026-01-01/1-1-0.mbox.gz".into(), offset: 0, length: 1 }),
        ..facts[0].clone()
    };
    assert!(!table.rewrite(&elsewhere, &elsewhere).await.unwrap(), "it points elsewhere");
    let nobody = Fact { key: "0".repeat(64), ..facts[0].clone() };
    assert!(!table.rewrite(&nobody, &nobody).await.unwrap(), "it is not there");
    let parts: BTreeSet<String> =
        items(&world, "REPORT#").await.into_keys().filter(|key| key.contains("#PART#")).collect();
    assert!(parts.iter().all(|part| part.contains(&many.key)));
}
