//! From facts to standings: each effect once, whoever dies, whatever comes twice or late; and what it costs.
#![allow(clippy::print_stdout)]

use rebond::account::{Account, AccountId, ListId};
use rebond::follow::Follower;
use rebond::proof::{Doubt, Level, tag};
use rebond::report::{Kind, Reason};
use rebond::standing::{self, AddressKey, Effect, History, List, Standing, State, Thresholds};
use rebond::table::{Fact, StandingItem, Table};
use rebond::vault::signing_key;
use rebond_standing_update::handle;
use rebond_tests::mail::{bounce, letter};
use rebond_tests::process::{Process, built, workspace};
use rebond_tests::rie::Emulated;
use rebond_tests::rights;
use rebond_tests::stack::Stack;
use rebond_tests::stream;
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

fn default_list() -> ListId {
    List::DEFAULT.parse().unwrap()
}

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

async fn record(table: &Table, address: &str) -> Option<StandingItem> {
    table.standing(&address.parse().unwrap(), &default_list()).await.unwrap()
}

async fn standing(world: &World, address: &str) -> Standing {
    let item = record(&world.machine.table, address).await;
    let now = world.now().as_second();
    item.map(|item| standing::read(&item.history, &Thresholds::default(), now)).unwrap_or_default()
}

fn deliver(world: &World, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
}

/// Records of the table's stream, as the event source hands them over.
async fn stream_records(world: &World, id: &AccountId) -> Vec<Value> {
    stream::records(&world.raw("Query", stream::partition("rebond", id.as_str())).await.unwrap())
}

async fn follow(follower: &Follower, world: &World, records: &[Value]) -> Vec<String> {
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    let (answer, _) = handle(follower, event, "test", world.now()).await;
    answer.batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier).collect()
}

/// A world whose polls record and follow nothing, as on AWS.
async fn recorded(messages: impl IntoIterator<Item = Vec<u8>>) -> (World, AccountId) {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    deliver(&world, messages);
    let mut poller = world.machine.poller();
    poller.follow = None;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    poller.poll(&id, "test", deadline, &()).await.unwrap();
    (world, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_bounce_of_our_mail_quarantines_and_one_of_nobodys_mail_does_not() {
    let world = World::start().await.unwrap();
    let ours = world.add_basic("ours", ours).await.unwrap();
    deliver(&world, [bounce(1), letter(1)]);
    world.poll(&ours).await.unwrap();
    let of = standing(&world, "User1@EXAMPLE.net").await;
    assert_eq!((of.state, of.causes.len()), (State::Quarantined, 1), "{of:?}");
    assert_eq!(of.causes[0].proof, Level::Ours);
    assert_eq!(of.causes[0].account, ours);
    assert!(of.causes[0].said.as_ref().unwrap().contains("User unknown"), "{of:?}");
    let fact = world.machine.table.fact(&ours, &of.causes[0].report).await.unwrap().unwrap();
    assert_eq!(fact.report.recipients[of.causes[0].number].address, "user1@example.net");

    for (name, domains, doubt) in
        [("nothing", vec![], Doubt::NoDomains), ("others", vec!["example.com".to_owned()], Doubt::NotOurs)]
    {
        let world = World::start().await.unwrap();
        let id = world.add_basic(name, |account| account.sends_as = domains).await.unwrap();
        deliver(&world, [bounce(1)]);
        world.poll(&id).await.unwrap();
        assert_eq!(standing(&world, "user1@example.net").await, Standing::default(), "{name}");
        let cause = &record(&world.machine.table, "user1@example.net").await.unwrap().history.causes[0];
        assert_eq!((cause.believed, cause.doubt), (false, Some(doubt)), "recorded, and shown as unproven");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_whose_poll_died_before_its_effect_has_it_after_the_next() {
    let (world, id) = recorded((0..20).map(bounce)).await;
    assert!(record(&world.machine.table, "user7@example.net").await.is_none());
    // The poll died between the facts and the cursor, which therefore stands where it stood.
    let cursor = json!({ "TableName": "rebond", "Key": {
        "pk": { "S": format!("ACCOUNT#{id}") }, "sk": { "S": "CURSOR#INBOX#0" } } });
    world.raw("DeleteItem", cursor).await.unwrap();
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.recorded), (20, 0));
    for number in 0..20 {
        let of = standing(&world, &format!("user{number}@example.net")).await;
        assert_eq!((of.state, of.causes.len()), (State::Quarantined, 1), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_that_cannot_be_written_holds_the_cursor_back() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    deliver(&world, (0..30).map(bounce));
    // 5 answers in 100 never come, 20 calls in 100 are throttled: what fails is read again.
    world.machine.table.account(&id).await.unwrap();
    world.faults.set(200, 50);
    for _ in 0..40 {
        let polled = world.poll(&id).await;
        world.end_leases(&id).await.unwrap();
        if polled.is_ok_and(|summary| !summary.busy && summary.left == 0 && summary.messages == 0) {
            break;
        }
    }
    world.faults.set(0, 0);
    world.poll(&id).await.unwrap();
    for number in 0..30 {
        let item = record(&world.machine.table, &format!("user{number}@example.net")).await.unwrap();
        assert_eq!(item.history.causes.len(), 1, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_and_reordered_stream_records_have_one_effect() {
    let (world, id) = recorded((0..60).map(|n| bounce(n % 40)).chain((0..5).map(letter))).await;
    let records = stream_records(&world, &id).await;
    let follower = world.machine.follower();
    let facts: Vec<&Value> =
        records.iter().filter(|r| r["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap().starts_with("REPORT#")).collect();
    assert_eq!(facts.len(), 45, "40 bounces, each recorded once, and 5 letters");
    // All in the order of the stream, then backwards one by one, then shuffled with doubles within the batches, by two
    // at once: what the stream's promise allows and more.
    assert_eq!(follow(&follower, &world, &records).await, [""; 0]);
    let mut before = Vec::new();
    for number in 0..40 {
        before.push(record(&world.machine.table, &format!("user{number}@example.net")).await.unwrap());
    }
    for one in records.iter().rev() {
        assert_eq!(follow(&follower, &world, std::slice::from_ref(one)).await, [""; 0]);
    }
    let doubled: Vec<Value> = records.iter().chain(records.iter().rev()).cloned().collect();
    let other = Follower::new(world.machine.table.clone(), world.machine.vault.clone());
    let (one, two) = tokio::join!(follow(&follower, &world, &doubled), follow(&other, &world, &doubled));
    assert_eq!((one, two), (vec![], vec![]));
    for item in before {
        let after = record(&world.machine.table, item.address.as_str()).await.unwrap();
        assert_eq!(after, item, "nothing moved, and nothing was written");
        assert_eq!((item.version, item.history.causes.len()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_stops_at_the_record_that_is_none_of_ours() {
    let (world, id) = recorded((0..4).map(bounce)).await;
    let mut records = stream_records(&world, &id).await;
    records.retain(|r| r["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap().starts_with("REPORT#"));
    records[2]["dynamodb"]["NewImage"]["report"] = json!({ "S": "another version's" });
    let third = records[2]["dynamodb"]["SequenceNumber"].as_str().unwrap();
    assert_eq!(follow(&world.machine.follower(), &world, &records).await, [third]);
    let mut found = 0;
    for number in 0..4 {
        found += usize::from(record(&world.machine.table, &format!("user{number}@example.net")).await.is_some());
    }
    assert_eq!(found, 2, "what came before it is done");
    // What is not new has no effect: a fact that expires, a part, a cursor.
    for (name, value) in [("REMOVE", None), ("INSERT", Some("REPORT#x#PART#1")), ("INSERT", Some("CURSOR#INBOX#0"))] {
        let mut record = records[2].clone();
        record["eventName"] = name.into();
        if let Some(sk) = value {
            record["dynamodb"]["Keys"]["sk"]["S"] = sk.into();
        }
        assert_eq!(follow(&world.machine.follower(), &world, &[record]).await, [""; 0], "{name} {value:?}");
    }
    // Our own fault: the batch is brought again from its first record.
    world.faults.set(1_000, 0);
    let first = records[0]["dynamodb"]["SequenceNumber"].as_str().unwrap();
    assert_eq!(follow(&world.machine.follower(), &world, &records[..2]).await, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f33_f35_ten_thousand_bounces_by_one_signed_address_count_once_and_forged_ones_never() {
    let (world, id) = recorded([bounce(1)]).await;
    let table = &world.machine.table;
    let mut list = List::new("news".parse().unwrap());
    list.proof = Level::Signed;
    list.accounts = vec![id.clone()];
    assert!(table.put_list(&list, true).await.unwrap());
    let key = signing_key(&*world.machine.vault).await.unwrap();
    let fact = world.facts(&id).await.unwrap().remove(0);
    let holder: AddressKey = "user1@example.net".parse().unwrap();
    let sent = fact.arrived - 3_600;
    let returned_to = tag::stamp("bounces@example.org", &holder, &list.id, &key, sent).unwrap();
    let facts: Vec<Fact> = (0..10_000usize)
        .map(|n| {
            let mut fact = fact.clone();
            fact.key = format!("{:064x}", (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            fact.arrived += n as i64 * 60;
            fact.report.returned_to = Some(returned_to.clone());
            fact
        })
        .collect();
    let before = world.faults.writes();
    for batch in facts.chunks(100) {
        world.machine.follower().follow(batch, world.now()).await.unwrap();
    }
    let item = table.standing(&holder, &list.id).await.unwrap().unwrap();
    assert_eq!(item.history.causes.iter().filter(|c| c.believed).count(), 1, "{:?}", item.history);
    let read = standing::read(&item.history, &list.thresholds, world.now().as_second());
    assert_eq!((read.state, read.since), (State::Quarantined, Some(sent)));
    let writes = world.faults.writes() - before;
    assert!(writes <= 20, "{writes} writes for 10,000 bounces");

    // Anybody else's address by the same mark, and by none: recorded, and without effect.
    for (victim, returned_to, doubt) in [
        ("victim@example.net", returned_to.replace("=user1=", "=victim="), Some(Doubt::Forged)),
        ("other@example.net", String::new(), None),
    ] {
        let mut forged = fact.clone();
        forged.report.returned_to = Some(returned_to).filter(|text| !text.is_empty());
        forged.report.recipients[0].address = victim.into();
        let followed = world.machine.follower().follow(&[forged], world.now()).await.unwrap();
        assert_eq!((followed.causes, followed.unproven, followed.changes.len()), (1, 1, 0), "{victim}");
        let item = table.standing(&victim.parse().unwrap(), &list.id).await.unwrap().unwrap();
        assert_eq!(standing::read(&item.history, &list.thresholds, 0).state, State::Valid);
        assert_eq!(item.history.causes[0].doubt, doubt);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f34_a_thousand_flipped_marks_suppress_nobody() {
    let (world, id) = recorded([bounce(1)]).await;
    let table = &world.machine.table;
    let mut list = List::new("news".parse().unwrap());
    list.proof = Level::Signed;
    list.accounts = vec![id.clone()];
    assert!(table.put_list(&list, true).await.unwrap());
    let key = signing_key(&*world.machine.vault).await.unwrap();
    let fact = world.facts(&id).await.unwrap().remove(0);
    let holder: AddressKey = "user1@example.net".parse().unwrap();
    let mark = tag::stamp("bounces@example.org", &holder, &list.id, &key, fact.arrived - 60).unwrap();
    let inside = mark.find('+').unwrap() + 1..mark.find('@').unwrap();
    let mut flipped = std::collections::BTreeSet::new();
    for round in 0.. {
        let mut bytes = mark.clone().into_bytes();
        // One bit, or two: there are fewer than a thousand ways to flip one.
        for part in [round, round / (inside.len() * 7)] {
            bytes[inside.start + part / 7 % inside.len()] ^= 1 << (part % 7);
        }
        let text = String::from_utf8(bytes).unwrap();
        // Capitals mean the same: mail systems change them.
        if !text.eq_ignore_ascii_case(&mark) {
            flipped.insert(text);
        }
        if flipped.len() == 1_000 {
            break;
        }
    }
    let facts: Vec<Fact> = flipped
        .into_iter()
        .enumerate()
        .map(|(number, returned_to)| {
            let mut fact = fact.clone();
            fact.key = format!("{number:064x}");
            fact.report.returned_to = Some(returned_to);
            fact
        })
        .collect();
    let mut unproven = 0;
    for batch in facts.chunks(100) {
        let followed = world.machine.follower().follow(batch, world.now()).await.unwrap();
        assert_eq!(followed.changes, []);
        unproven += followed.unproven;
    }
    assert_eq!(unproven, 1_000);
    let item = table.standing(&holder, &list.id).await.unwrap().unwrap();
    let read = standing::read(&item.history, &list.thresholds, world.now().as_second());
    assert_eq!(read.state, State::Valid, "{read:?}");
    // The mark as it was made does.
    let mut good = fact;
    good.report.returned_to = Some(mark);
    assert_eq!(world.machine.follower().follow(&[good], world.now()).await.unwrap().changes.len(), 1);
}

/// Real messages of one recipient whose address is dead.
fn single_hard_bounces() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in workspace().join("tests/fixtures/report").read_dir().unwrap().flatten() {
        if entry.path().extension().is_some_and(|end| end == "eml") {
            let message = std::fs::read(entry.path()).unwrap();
            let report = rebond::report::read(&message);
            if report.kind != Kind::Bounce || report.recipients.len() != 1 || !report.recipients[0].hard {
                continue;
            }
            // Each of an address of its own, so that each moves a standing.
            let address = &report.recipients[0].address;
            let own = format!("r{}.{address}", found.len());
            let message = String::from_utf8_lossy(&message).replace(address, &own).into_bytes();
            let report = rebond::report::read(&message);
            if report.recipients.len() == 1 && report.recipients[0].hard && report.recipients[0].address == own {
                found.push(message);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn write_units_from_poll_to_standing_are_counted_by_the_table() {
    let world = World::start().await.unwrap();
    let id = world
        .add_basic("bounces", |account| account.sends_as = vec!["example.org".into(), "example.com".into()])
        .await
        .unwrap();
    world.poll(&id).await.unwrap();
    world.faults.count_units();
    world.poll(&id).await.unwrap();
    let idle = world.faults.units();
    let messages = single_hard_bounces();
    let count = messages.len() as f64;
    assert!(count >= 3.0, "{count} messages");
    deliver(&world, messages);
    world.faults.count_units();
    let summary = world.poll(&id).await.unwrap();
    assert_eq!(summary.recorded as f64, count);
    let units = world.faults.units();
    let of = |kind: &str| units.get(kind).copied().unwrap_or_default();
    let each = (of("REPORT") + of("REPORT index") + of("STANDING") + of("STANDING index") + of("WATCH")) / count;
    println!(
        "{count} single-recipient hard bounces: {each:.2} write units each ({:.2} the fact, {:.2} its index, {:.2} the \
         standing, {:.2} the watch over its destination), ${:.2} per million; the poll around them {:.1}, an idle poll {:.1}",
        of("REPORT") / count,
        of("REPORT index") / count,
        of("STANDING") / count,
        of("WATCH") / count,
        each * 0.625,
        of("ACCOUNT") + of("ACCOUNT index") + of("CURSOR"),
        idle.values().sum::<f64>(),
    );
    assert_eq!((of("STANDING"), of("STANDING index")), (count, 0.0), "one write of under 1 KB: {units:?}");
    assert!(of("REPORT index") >= count, "{units:?}");
    assert!(each <= 4.0, "{units:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_cleans_up_nothing_that_keeps_an_address_from_being_written_to_for_good() {
    let world = World::start().await.unwrap();
    let list = List::new(default_list());
    let (day, start) = (86_400, world.now().as_second() - 30 * 86_400);
    let keep = async |address: &str, count: i64, reason: Reason, list: &List| {
        for n in 0..count {
            let cause = super::tell::cause(start + n * day, Effect::Soft, reason);
            let (key, now) = (address.parse().unwrap(), cause.at);
            let add = |history: &mut History| history.add(cause.clone());
            world.machine.table.change_standing(&key, list, None, now, add).await.unwrap();
        }
        record(&world.machine.table, address).await.unwrap()
    };
    let kept = |last: i64| Some(start + last * day + 400 * day);
    let item = keep("five@example.net", 5, Reason::NetworkError, &list).await;
    assert_eq!((item.expires, item.next_due), (kept(4), None), "it may be written to");
    let item = keep("six@example.net", 6, Reason::NetworkError, &list).await;
    assert_eq!((item.expires, item.next_due), (None, None), "quarantined for good");
    let item = keep("full@example.net", 6, Reason::MailboxFull, &list).await;
    assert_eq!((item.expires, item.next_due), (kept(5), Some(start + 35 * day)), "quarantined, until it ends");
    // By the numbers of its own list.
    let mut strict = list.clone();
    strict.thresholds.soft_errors = 3;
    let item = keep("four@example.net", 4, Reason::NetworkError, &strict).await;
    assert_eq!(item.expires, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_removed_on_one_machine() {
    let mut world = World::start().await.unwrap();
    let now = jiff::Timestamp::now().as_second();
    let key = |name: &str| json!({ "pk": { "S": format!("SENT#{name}") }, "sk": { "S": "TO#jane@example.net" } });
    for (name, expires) in [("over", now - 60), ("not-yet", now + 3_600)] {
        let mut item = key(name);
        item["expires"] = json!({ "N": expires.to_string() });
        world.raw("PutItem", json!({ "TableName": "rebond", "Item": item })).await.unwrap();
    }
    world.stop_pages().await;
    let mut command = std::process::Command::new(built("rebond").unwrap());
    command.arg("--dir").arg(world.dir()).arg("serve");
    let _serve = Process::start(&command, &world.dir().join("log")).unwrap();
    let there = async |name: &str| {
        let asked = json!({ "TableName": "rebond", "Key": key(name) });
        world.raw("GetItem", asked).await.unwrap()["Item"].is_object()
    };
    let begin = std::time::Instant::now();
    while there("over").await {
        assert!(begin.elapsed().as_secs() < 60, "nobody removed it");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(there("not-yet").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_units_of_a_quarantine_that_ends_are_counted_by_the_table() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    let full = |number: usize| {
        let text = String::from_utf8(bounce(number)).unwrap().replace("5.1.1", "4.2.2");
        text.replace("Recipient address rejected: User unknown", "mailbox full").replace("550 4", "452 4").into_bytes()
    };
    let facts: Vec<Fact> = {
        deliver(&world, [full(1)]);
        let mut poller = world.machine.poller();
        poller.follow = None;
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        poller.poll(&id, "test", deadline, &()).await.unwrap();
        let fact = world.facts(&id).await.unwrap().remove(0);
        let of = |n: i64| Fact { key: format!("{n:064}"), arrived: fact.arrived - (6 - n) * 86_400, ..fact.clone() };
        (0..7).map(of).collect()
    };
    let mut each = Vec::new();
    for fact in &facts {
        world.faults.count_units();
        let now = jiff::Timestamp::from_second(fact.arrived).unwrap();
        world.machine.follower().follow(std::slice::from_ref(fact), now).await.unwrap();
        let units = world.faults.units();
        let of = |kind: &str| units.get(kind).copied().unwrap_or_default();
        each.push((of("STANDING"), of("STANDING index")));
    }
    println!("the standing of a mailbox that stays full, write units of the item and of the index: {each:?}");
    assert!(each[..5].iter().all(|(_, index)| *index == 0.0), "{each:?}");
    let quarantined = each[5..].iter().map(|(item, index)| item + index).collect::<Vec<_>>();
    assert!(quarantined[0] <= 4.0 && quarantined[1] <= 6.0, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_follows_what_the_stream_brings() {
    let (world, id) = recorded((0..3).map(bounce)).await;
    let stack = Stack::start(Ipv4Addr::LOCALHOST, "test", "http://localhost:3000").await.unwrap();
    let (environment, calls) = stack.recorded().await.unwrap();
    let function = Emulated::start("standing-update", &environment).unwrap();
    let mut records = stream_records(&world, &id).await;
    let answer = function.invoke(&json!({ "Records": records })).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }), "{}", function.output());
    // The stack knows no account of that name, so nothing is proved there, and all is recorded.
    let item = record(&stack.table, "user1@example.net").await.unwrap();
    assert_eq!((item.history.causes.len(), item.history.causes[0].doubt), (1, Some(Doubt::NoDomains)));
    let (made, allowed) = (calls.actions(), rights::actions("StandingUpdate"));
    assert!(made.len() > 1 && made.is_subset(&allowed), "called {made:?}, may {allowed:?}");
    let at = records.iter().position(|r| r["dynamodb"]["NewImage"]["kind"]["S"] == "bounce").unwrap();
    records[at]["dynamodb"]["NewImage"]["arrived"] = json!({ "S": "never" });
    let number = records[at]["dynamodb"]["SequenceNumber"].clone();
    let answer = function.invoke(&json!({ "Records": records })).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": number }] }));
    assert!(!function.output().contains("User unknown"), "no mail in the log");
}
