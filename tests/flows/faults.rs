//! Faults of the list that are nobody's alone (docs/faults.md), and that the list and the tests agree.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use jiff::SignedDuration;
use rebond::account::{AccountId, AfterReading, HealthState};
use rebond::table::{Cursor, Folder};
use rebond_bounce_poll::Event;
use rebond_tests::mail::{bounce, bounce_of, letter};
use rebond_tests::process::workspace;
use rebond_tests::world::{BASIC, World};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

fn deliver(world: &World, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_what_shares_a_message_id_or_has_none_is_told_apart_by_what_it_says() {
    let world = World::start().await.unwrap();
    let text = |number: usize| String::from_utf8(bounce(number)).unwrap();
    let without_id = |number: usize| {
        let text = text(number);
        text.lines().filter(|line| !line.starts_with("Message-ID: <bounce")).map(|line| format!("{line}\r\n")).collect()
    };
    let anonymous: Vec<String> = [1, 2].map(without_id).to_vec();
    let same_id = text(4).replace("<bounce-4@", "<bounce-3@");
    let mail = [text(3), same_id, anonymous[0].clone(), anonymous[1].clone()];
    // Each comes twice: what is the same in everything is one.
    let twice: Vec<Vec<u8>> = mail.iter().chain(&mail).map(|text| text.clone().into_bytes()).collect();
    let (one, other) = ("tenant-a", "tenant-b");
    for name in [one, other] {
        world.add_basic(name, |_| {}).await.unwrap();
    }
    deliver(&world, twice);
    for name in [one, other] {
        let id: AccountId = name.parse().unwrap();
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.recorded), (8, 4), "{name}: {summary:?}");
        let facts = world.facts(&id).await.unwrap();
        let addresses: BTreeSet<&str> = facts.iter().map(|f| f.report.recipients[0].address.as_str()).collect();
        assert_eq!(addresses.len(), 4, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_clock_ten_minutes_off_gives_no_second_holder_that_can_do_harm() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    deliver(&world, [bounce(1)]);
    world.poll(&id).await.unwrap();
    let (table, inbox, now) = (&world.machine.table, Folder("INBOX".into()), world.now());
    let skewed = |minutes: i64| now.checked_add(SignedDuration::from_mins(minutes)).unwrap();
    let position = table.cursor(&id, &inbox).await.unwrap().unwrap().position;
    let take = async |at, seconds| table.take_lease(&id, at, seconds).await.unwrap();
    // A worker that is behind waits: it holds the lease for longer than it is.
    let (_, right) = take(now, 120).await.unwrap();
    assert!(take(skewed(-10), 120).await.is_err());
    // One that is ahead by more than the lease lasts takes it. From then on the first can neither settle nor move.
    let (_, ahead) = take(skewed(10), 120).await.unwrap();
    assert!(ahead.fence > right.fence);
    assert!(!table.holds_lease(&id, right, now).await.unwrap());
    let moved = async |lease: rebond::table::Lease| {
        table.move_cursor(&id, &inbox, None, &Cursor::new(position.clone(), lease.fence)).await.unwrap()
    };
    assert!(moved(ahead).await && !moved(right).await);
    // Whoever is ahead by less than the lease lasts finds it taken: the bound is the lease's own length.
    let late = skewed(20);
    let (_, holder) = take(late, 1_200).await.unwrap();
    assert!(take(late.checked_add(SignedDuration::from_mins(10)).unwrap(), 120).await.is_err());
    assert!(table.holds_lease(&id, holder, late).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_what_a_batch_leaves_unprocessed_is_asked_for_again() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    deliver(&world, (0..150).map(bounce));
    world.poll(&id).await.unwrap();
    let unprocessed = &world.faults.unprocessed;
    unprocessed.store(5, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(world.facts(&id).await.unwrap().len(), 150, "none is missing");
    assert_eq!(unprocessed.load(std::sync::atomic::Ordering::Relaxed), 0, "there were batches in halves");
    // One that never ends is said, not shortened.
    unprocessed.store(1_000, std::sync::atomic::Ordering::Relaxed);
    let facts = world.facts(&id).await;
    assert!(facts.is_err(), "{} of 150 facts, and no word", facts.map_or(0, |facts| facts.len()));
    // Batches of writes have one place, and `f15_what_a_batch_of_writes_…` is its test; transactions have none.
    for file in rust_files(&workspace().join("shared")) {
        let code = std::fs::read_to_string(&file).unwrap();
        let allowed = usize::from(file.ends_with("table/deliveries.rs"));
        assert_eq!(code.matches("batch_write_item").count(), allowed, "{} writes in batches", file.display());
        assert!(!code.contains("transact_write_items"), "{} writes by transactions", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_dead_hosts_hold_up_nobody_and_are_asked_less_and_less() {
    let world = World::start().await.unwrap();
    // It takes connections and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = vec![];
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let names: Vec<String> = (0..10).map(|number| format!("a{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let dead = number % 5 == 0;
        let change = |account: &mut rebond::account::Account| {
            account.folders = vec![format!("F{number}")];
            if dead {
                account.server.port = port;
            }
        };
        world.add_basic(name, change).await.unwrap();
        world.imap.deliver(BASIC, &format!("F{number}"), bounce(number), world.now());
    }
    let mut pauses = vec![];
    for _ in 0..2 {
        let mut event = SqsEvent::default();
        event.records = names
            .iter()
            .map(|name| {
                let mut message = SqsMessage::default();
                (message.message_id, message.body) = (Some(name.clone()), Some(format!("{{\"account\":\"{name}\"}}")));
                message
            })
            .collect();
        let (started, begun) = (Instant::now(), world.now().as_second());
        let deadline = started + Duration::from_secs(8);
        let poller = world.machine.poller();
        rebond_bounce_poll::handle(&poller, Event::Batch(event), "run", deadline, |_| {}).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(8), "given up before the function's own end");
        for (number, name) in names.iter().enumerate() {
            let item = world.item(&name.parse().unwrap()).await.unwrap();
            let pause = item.next_due - world.now().as_second();
            if number % 5 == 0 {
                assert_eq!(item.health.state, HealthState::Retrying, "{name}: {:?}", item.health);
                pauses.push(pause);
            } else {
                assert_eq!(item.health.state, HealthState::Active, "{name}: {:?}", item.health);
                // Those that answer are done long before the dead ones are given up.
                let waited = item.last_poll.unwrap().at - begun;
                assert!(waited <= 3, "{name} waited {waited} seconds");
            }
        }
    }
    assert!(pauses[..2].iter().all(|pause| (290..=300).contains(pause)), "{pauses:?}");
    assert!(pauses[2..].iter().all(|pause| (590..=600).contains(pause)), "{pauses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_a_backlog_is_worked_off_in_bounded_runs_beside_which_others_have_their_turn() {
    let world = World::start().await.unwrap();
    let limited = |account: &mut rebond::account::Account| {
        account.limits.session_messages = Some(250);
        account.others = AfterReading::Delete;
    };
    let full = world.add_basic("full", limited).await.unwrap();
    let small = world.add_basic("small", |account| account.folders = vec!["Small".into()]).await.unwrap();
    deliver(&world, (0..1_000).map(bounce).chain((0..50).map(letter)));
    world.imap.deliver(BASIC, "Small", bounce_of(7, &["x@example.net".into()]), world.now());
    let mut left = 1_050;
    for turn in 0..5 {
        let summary = world.poll(&full).await.unwrap();
        assert!(summary.messages <= 250, "{summary:?}");
        assert_eq!(summary.left, left - summary.messages, "it only gets less");
        left = summary.left;
        let due = world.item(&full).await.unwrap().next_due;
        assert_eq!(due <= world.now().as_second(), left > 0, "due at once as long as there is more");
        assert_eq!(world.poll(&small).await.unwrap().recorded, u64::from(turn == 0));
    }
    assert_eq!((left, world.facts(&full).await.unwrap().len()), (0, 1_050));
    assert_eq!(world.imap.messages(BASIC, "INBOX").len(), 1_000);
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![];
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// The faults that a test is named after, with the test.
fn tests_by_fault() -> BTreeMap<String, BTreeSet<String>> {
    let mut tests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in ["shared", "infra", "functions", "tests"] {
        for file in rust_files(&workspace().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let line = line.trim_start();
                let name = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
                let Some(name) = name.and_then(|rest| rest.split(['(', '<']).next()) else { continue };
                let is_test = lines[..at].iter().rev().take(3).any(|above| {
                    let above = above.trim();
                    above.starts_with("#[test]") || above.starts_with("#[tokio::test")
                });
                let faults = name.split('_').take_while(|part| is_fault(part));
                for fault in faults.filter(|_| is_test) {
                    tests.entry(fault.to_uppercase()).or_default().insert(name.to_owned());
                }
            }
        }
    }
    tests
}

/// `f` or `F` and two digits.
fn is_fault(word: &str) -> bool {
    word.len() == 3 && word.starts_with(['f', 'F']) && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn the_list_of_faults_and_the_tests_agree() {
    let page = std::fs::read_to_string(workspace().join("docs/faults.md")).unwrap();
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let row = |line: &&str| line.strip_prefix("| ").and_then(|rest| rest.get(..3)).is_some_and(is_fault);
    for line in page.lines().filter(row) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [fault, what, must, tests] = cells[..] else { panic!("four cells: {line}") };
        assert!(is_fault(fault) && !what.is_empty() && !must.is_empty(), "{line}");
        let tests = tests.split('`').filter(|word| word.starts_with('f')).map(str::to_owned).collect();
        assert!(listed.insert(fault.to_owned(), tests).is_none(), "{fault} stands there twice");
    }
    let tests = tests_by_fault();
    for number in 1..=49 {
        let fault = format!("F{number:02}");
        assert!(tests.get(&fault).is_some_and(|tests| !tests.is_empty()), "no test is named after {fault}");
    }
    for (fault, found) in &tests {
        assert_eq!(listed.get(fault), Some(found), "docs/faults.md and the tests differ about {fault}");
    }
    for (fault, names) in &listed {
        assert!(!names.is_empty() && tests.contains_key(fault), "{fault} has no test");
    }
}
