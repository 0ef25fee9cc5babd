//! A provider's mistake, re-enacted: it answers "user unknown" for everybody. Frozen, looked at, taken back, nobody lost.

use rebond::account::{Account, AccountId};
use rebond::follow::{Follower, undo};
use rebond::incident::{Decision, Stage, Told};
use rebond::proof::{Level, tag};
use rebond::standing::{AddressKey, List, Standing, State};
use rebond::table::{Fact, Table};
use rebond::vault::signing_key;
use rebond_tests::mail::bounce;
use rebond_tests::mortal::Life;
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use std::process::Command;

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

/// A fact as a poll records it, to be changed into many.
async fn pattern(world: &World, id: &AccountId) -> Fact {
    world.imap.deliver(BASIC, "INBOX", bounce(1), world.now());
    let mut poller = world.machine.poller();
    poller.follow = None;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    poller.poll(id, "test", deadline, &()).await.unwrap();
    world.facts(id).await.unwrap().remove(0)
}

/// The refusal of one address at a time.
fn refusal(pattern: &Fact, address: &str, at: i64) -> Fact {
    let mut fact = pattern.clone();
    fact.key = rebond::oauth::sha256_hex(format!("{address} {at}").as_bytes());
    fact.arrived = at;
    let outcome = &mut fact.report.recipients[0];
    let before = outcome.address.clone();
    outcome.diagnostic = outcome.diagnostic.take().map(|said| said.replace(&before, address));
    outcome.address = address.to_owned();
    fact
}

/// Records facts, and follows them as the stream would bring them.
async fn bring(world: &World, facts: &[Fact], now: i64) -> usize {
    let mut opened = 0;
    let now = jiff::Timestamp::from_second(now).unwrap();
    for batch in facts.chunks(100) {
        for fact in batch {
            world.machine.table.record(fact.clone()).await.unwrap();
        }
        opened += world.machine.follower().follow(batch, now).await.unwrap().incidents.len();
    }
    opened
}

async fn standings(table: &Table, addresses: &[String], now: i64) -> Vec<Standing> {
    let keys: Vec<AddressKey> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let list = List::new(List::DEFAULT.parse().unwrap());
    let holds = table.holds().await.unwrap();
    let items = table.standings(&keys, &list.id).await.unwrap();
    let by: std::collections::HashMap<_, _> = items.into_iter().map(|item| (item.address.clone(), item)).collect();
    keys.iter()
        .map(|key| by.get(key).map(|item| item.read(&list.thresholds, &holds, now)).unwrap_or_default())
        .collect()
}

fn rebond(world: &World, words: &[&str]) -> String {
    let mut command = Command::new(built("rebond").unwrap());
    let output = command.arg("--dir").arg(world.dir()).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_wrong_user_unknown_for_thousands_of_addresses_loses_nobody() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let id = world.add_basic("bounces", ours).await.unwrap();
    let pattern = pattern(&world, &id).await;
    let start = world.now().as_second() - 3_000;
    // Who is truly dead, who complained, and who is of another destination: before it began.
    let dead = refusal(&pattern, "dead@example.net", start - 86_400);
    let elsewhere = refusal(&pattern, "dead@example.com", start + 10);
    let mut other = refusal(&pattern, "moved@example.net", start + 20);
    other.report.recipients[0].diagnostic = Some("550 5.1.6 The mailbox has moved".into());
    bring(&world, &[dead, elsewhere, other], start).await;
    let denied = "rebond deny complained@example.net --why asked";
    rebond(&world, &denied.split(' ').skip(1).collect::<Vec<_>>());

    let count = if std::env::var("REBOND_LONG").is_ok() { 10_000 } else { 1_500 };
    let everybody: Vec<String> = (0..count).map(|n| format!("person{n}@example.net")).collect();
    let all = everybody.iter().enumerate();
    let mut facts: Vec<Fact> =
        all.map(|(n, address)| refusal(&pattern, address, start + i64::try_from(n * 2_000 / count).unwrap())).collect();
    facts.push(refusal(&pattern, "complained@example.net", start + 30));
    let now = start + 2_100;
    assert_eq!(bring(&world, &facts, now).await, 1, "one incident, whatever comes");
    let incident = table.incidents().await.unwrap().remove(0);
    assert_eq!(
        (incident.stage, incident.domain.as_str(), incident.trigger.median),
        (Stage::Open, "example.net", Some(0))
    );
    assert!(incident.trigger.count >= 50 && incident.trigger.count <= 150, "{incident:?}");
    // Frozen: also those that were quarantined before it was opened.
    for (address, standing) in everybody.iter().zip(standings(table, &everybody, now).await) {
        assert_eq!((standing.state, standing.held.as_ref()), (State::Valid, Some(&incident.id)), "{address}");
    }
    let others: Vec<String> = ["dead@example.net", "dead@example.com", "moved@example.net", "complained@example.net"]
        .map(String::from)
        .into();
    let states = |all: Vec<Standing>| all.into_iter().map(|standing| standing.state).collect::<Vec<_>>();
    let stays = [State::Quarantined, State::Quarantined, State::Quarantined, State::Denied];
    assert_eq!(states(standings(table, &others, now).await), stays);
    let told = rebond(&world, &["check", "person7@example.net"]);
    assert!(told.contains("yes") && told.contains(&incident.id), "{told}");
    // The same again, in another order: nothing moves.
    let again: Vec<Fact> = facts.iter().rev().take(300).cloned().collect();
    assert_eq!(bring(&world, &again, now).await, 0);

    let shown = rebond(&world, &["incident", "show", &incident.id]);
    assert!(
        shown.contains(format!("{} addresses were refused so; {count} would be written to again", count + 1).as_str()),
        "{shown}"
    );
    assert!(shown.contains("User unknown") && shown.contains("rebond incident release"), "{shown}");
    let released = rebond(&world, &["incident", "release", &incident.id, "--why", "they said so", "--who", "jo"]);
    assert!(released.contains(format!("{} addresses are taken back", count + 1).as_str()), "{released}");
    for (address, standing) in everybody.iter().zip(standings(table, &everybody, now).await) {
        assert_eq!((standing.state, standing.held), (State::Valid, None), "{address}");
    }
    assert_eq!(states(standings(table, &others, now).await), stays, "nobody else is touched");
    let item = table.standing(&"person1@example.net".parse().unwrap(), &List::DEFAULT.parse().unwrap()).await.unwrap();
    let act = &item.unwrap().history.acts[0];
    assert_eq!((act.who.as_str(), act.why.as_deref()), ("jo", Some(format!("incident {}", incident.id).as_str())));
    let audit = rebond(&world, &["audit", "--json"]);
    assert!(audit.contains("incident-released") && audit.contains("they said so"), "{audit}");

    // What comes again, or late, is taken back as it comes; what comes much later counts.
    assert_eq!(bring(&world, &facts[..200], now).await, 0);
    let decided = table.incidents().await.unwrap()[0].decided.clone().unwrap().at;
    let late: Vec<Fact> = (0..60).map(|n| refusal(&pattern, &format!("late{n}@example.net"), decided + 10)).collect();
    assert_eq!(bring(&world, &late, decided + 3_600).await, 0);
    let names: Vec<String> = (0..60).map(|n| format!("late{n}@example.net")).collect();
    assert!(standings(table, &names, decided + 3_600).await.iter().all(|s| s.state == State::Valid));
    bring(&world, &[refusal(&pattern, "person1@example.net", decided + 86_400)], decided + 86_400).await;
    let one = standings(table, &everybody[1..2], decided + 86_400).await;
    assert_eq!(one[0].state, State::Quarantined, "the next hard bounce counts as ever");
    let again = Command::new(built("rebond").unwrap())
        .arg("--dir")
        .arg(world.dir())
        .args(["incident", "release", &incident.id])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1), "it is released already");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_made_by_an_operators_rule_is_taken_back_whole() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let id = world.add_basic("bounces", ours).await.unwrap();
    let mut pattern = pattern(&world, &id).await;
    let outcome = &mut pattern.report.recipients[0];
    // What no rule of ours knows.
    (outcome.reason, outcome.hard) = (rebond::report::Reason::Undefined, false);
    outcome.diagnostic = Some(format!("550 <{}> zorbed the frobnicator 7 times", outcome.address));
    table.record(Fact { key: "f".repeat(64), ..pattern.clone() }).await.unwrap();
    for words in [
        &["rules", "add", "zorb", "--phrase", "zorbed the frobnicator", "--reason", "user-unknown"][..],
        &["rules", "test", "zorb"],
        &["rules", "on", "zorb"],
    ] {
        rebond(&world, words);
    }
    let start = world.now().as_second();
    pattern.recorded = start + 1;
    let people: Vec<String> = (0..60).map(|n| format!("p{n}@example.net")).collect();
    let facts: Vec<Fact> = people.iter().map(|name| refusal(&pattern, name, start)).collect();
    assert_eq!(bring(&world, &facts, start + 1).await, 1);
    let incident = table.incidents().await.unwrap().remove(0);
    assert!(standings(table, &people, start + 1).await.iter().all(|standing| standing.held.is_some()));
    let shown = rebond(&world, &["incident", "show", &incident.id]);
    assert!(shown.contains("60 addresses were refused so; 60 would be written to again"), "{shown}");
    assert!(shown.contains("zorbed the frobnicator"), "{shown}");
    let released = rebond(&world, &["incident", "release", &incident.id]);
    assert!(released.contains("60 addresses are taken back"), "{released}");
    for (address, standing) in people.iter().zip(standings(table, &people, start + 1).await) {
        assert_eq!((standing.state, standing.held), (State::Valid, None), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_signed_list_an_incident_is_of_refusals_that_arrive_together_whenever_their_mail_left() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let id = world.add_basic("bounces", ours).await.unwrap();
    let pattern = pattern(&world, &id).await;
    let mut list = List::new(List::DEFAULT.parse().unwrap());
    list.proof = Level::Signed;
    table.put_list(&list, false).await.unwrap();
    let key = signing_key(&*world.machine.vault).await.unwrap();
    let day = 86_400;
    let start = world.now().as_second() - 12 * day;
    let signed = |address: &str, arrived: i64, sent: i64| {
        let mut fact = refusal(&pattern, address, arrived);
        let holder = address.parse().unwrap();
        fact.report.returned_to = Some(tag::stamp("bounces@example.org", &holder, &list.id, &key, sent).unwrap());
        fact
    };
    // One mailing, stamped within a minute; refused one every two hours.
    let slow: Vec<String> = (0..60).map(|n| format!("slow{n}@example.net")).collect();
    let facts: Vec<Fact> =
        slow.iter().zip(0..).map(|(name, n)| signed(name, start + 60 + n * 7_200, start + n)).collect();
    let now = start + 5 * day + 60;
    assert_eq!(bring(&world, &facts, now).await, 0, "sixty within five days are none");
    assert!(standings(table, &slow, now).await.iter().all(|standing| standing.state == State::Quarantined));
    // Mail of the last ten days, all refused at once.
    let outage = start + 11 * day;
    let fine: Vec<String> = (0..60).map(|n| format!("fine{n}@example.net")).collect();
    let mut facts: Vec<Fact> =
        fine.iter().zip(0..).map(|(name, n)| signed(name, outage + n * 30, start + day + n * 14_400)).collect();
    // The reports of some name where their mail was forwarded to: whose they are the signed address says.
    for (n, fact) in facts.iter_mut().enumerate().filter(|(n, _)| n % 3 == 0) {
        fact.report.recipients[0].address = format!("target{n}@elsewhere.example");
    }
    let now = outage + 1_800;
    assert_eq!(bring(&world, &facts, now).await, 1, "sixty within half an hour are");
    let incident = table.incidents().await.unwrap().remove(0);
    assert!((50..=60).contains(&incident.trigger.count), "{incident:?}");
    assert!(incident.trigger.from > outage - 60 && incident.trigger.since == Some(start + day), "{incident:?}");
    for (address, standing) in fine.iter().zip(standings(table, &fine, now).await) {
        assert_eq!((standing.state, standing.held.as_ref()), (State::Valid, Some(&incident.id)), "{address}");
    }
    let released = rebond(&world, &["incident", "release", &incident.id]);
    assert!(released.contains("60 addresses are taken back"), "{released}");
    assert!(standings(table, &fine, now).await.iter().all(|standing| standing.state == State::Valid));
    assert!(standings(table, &slow, now).await.iter().all(|standing| standing.state == State::Quarantined));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_broken_off_is_said_again_and_takes_everybody_back() {
    let (mut steps, mut releasing) = (0, 0);
    loop {
        let world = World::start().await.unwrap();
        let table = &world.machine.table;
        let id = world.add_basic("bounces", ours).await.unwrap();
        let pattern = pattern(&world, &id).await;
        let start = world.now().as_second() - 600;
        let incident = super::tell::sudden(&world, "example.net");
        assert!(table.open_incident(&incident).await.unwrap());
        let people: Vec<String> = (0..3).map(|n| format!("p{n}@example.net")).collect();
        let facts: Vec<Fact> = people.iter().map(|name| refusal(&pattern, name, start)).collect();
        bring(&world, &facts, start).await;
        let life = Life::of(steps);
        let mortal = super::tell::mortal(&world, &life).await;
        let decision = Decision { at: world.now().as_second(), who: "jo".into(), why: None };
        let mut of_mortal = incident.clone();
        let follower = Follower::new(mortal.table.clone(), std::sync::Arc::clone(&world.machine.vault));
        let ended = tokio::select! {
            released = undo::release(&follower, &mut of_mortal, decision) => released.unwrap() == Some(3),
            () = life.over.notified() => false,
        };
        let stage = table.incident(&incident.id).await.unwrap().unwrap().stage;
        releasing += u32::from(stage == Stage::Releasing);
        if !ended && stage != Stage::Released {
            // Until it is said again nobody is quarantined.
            assert!(standings(table, &people, start).await.iter().all(|standing| standing.state == State::Valid));
            rebond(&world, &["incident", "release", &incident.id]);
        }
        for standing in standings(table, &people, start).await {
            assert_eq!((standing.state, standing.held), (State::Valid, None), "after {steps} steps");
        }
        assert_eq!(table.incident(&incident.id).await.unwrap().unwrap().stage, Stage::Released);
        if ended {
            break;
        }
        steps += 1;
    }
    assert!(steps > 8 && releasing > 5, "{steps} steps, {releasing} of them in the midst of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_is_confirmed_counts_at_once_and_is_not_opened_again() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    let pattern = pattern(&world, &id).await;
    let start = world.now().as_second() - 3_000;
    let people = |from: usize, to: usize| (from..to).map(|n| format!("p{n}@example.net")).collect::<Vec<_>>();
    let facts = |names: &[String], at: i64| names.iter().map(|name| refusal(&pattern, name, at)).collect::<Vec<_>>();
    let first = people(0, 120);
    assert_eq!(bring(&world, &facts(&first, start), start).await, 1);
    let incident = world.machine.table.incidents().await.unwrap().remove(0);
    assert!(standings(&world.machine.table, &first, start).await.iter().all(|standing| standing.state == State::Valid));
    rebond(&world, &["incident", "confirm", &incident.id, "--why", "the company is gone"]);
    let after = standings(&world.machine.table, &first, start).await;
    assert!(after.iter().all(|standing| standing.state == State::Quarantined), "{after:?}");
    let more = people(200, 400);
    assert_eq!(bring(&world, &facts(&more, start + 600), start + 600).await, 0);
    assert!(standings(&world.machine.table, &more, start + 600).await.iter().all(|s| s.state == State::Quarantined));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_decides_by_its_share() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let id = world.add_basic("bounces", ours).await.unwrap();
    let pattern = pattern(&world, &id).await;
    let start = world.now().as_second() - 3_000;
    let list = List::DEFAULT.parse().unwrap();
    let told = |sent| Told { id: "march".into(), opened: start, closes: start + 86_400, sent };
    table.tell(&list, "example.net", &told(300)).await.unwrap();
    let refusals: Vec<Fact> = (0..270).map(|n| refusal(&pattern, &format!("p{n}@example.net"), start + n)).collect();
    let now = start + 300;
    assert_eq!(bring(&world, &refusals[..269], now).await, 0, "269 of 300");
    assert_eq!(bring(&world, &refusals[..269], now).await, 0, "and the same again");
    assert_eq!(bring(&world, &refusals[269..], now).await, 1, "270 of 300");
    let incident = table.incidents().await.unwrap().remove(0);
    assert_eq!((incident.trigger.template, incident.trigger.count), (None, 270));
    let names: Vec<String> = (0..270).map(|n| format!("p{n}@example.net")).collect();
    assert!(standings(table, &names, now).await.iter().all(|standing| standing.held.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_undone_by_domain_text_and_time() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let id = world.add_basic("bounces", ours).await.unwrap();
    let pattern = pattern(&world, &id).await;
    let start = world.now().as_second() - 40_000;
    let mut facts: Vec<Fact> =
        (0..9).map(|n| refusal(&pattern, &format!("p{n}@example.net"), start + n * 100)).collect();
    facts[4].report.recipients[0].diagnostic = Some("550 5.1.1 no such person".into());
    facts.push(refusal(&pattern, "p0@example.com", start + 300));
    bring(&world, &facts, start + 900).await;
    let time = |at: i64| jiff::Timestamp::from_second(at).unwrap().to_string();
    let (since, until) = (time(start + 200), time(start + 600));
    let words = ["undo", "--domain", "Example.NET", "--since", &since, "--until", &until, "--text", "user UNKNOWN"];
    let counted = rebond(&world, &words);
    assert!(counted.contains("4 addresses were refused so; 4 would be written to again"), "{counted}");
    assert!(counted.contains("Nothing is changed") && counted.contains("p2@example.net"), "{counted}");
    let names: Vec<String> = (0..9).map(|n| format!("p{n}@example.net")).chain(["p0@example.com".into()]).collect();
    let dead = async || {
        let all = standings(table, &names, start + 900).await;
        (0..10).filter(|n| all[*n].state == State::Quarantined).collect::<Vec<_>>()
    };
    assert_eq!(dead().await.len(), 10);
    let done = rebond(&world, &[&words[..], &["--yes", "--who", "jo"]].concat());
    assert!(done.contains("4 addresses are taken back"), "{done}");
    assert_eq!(dead().await, [0, 1, 4, 7, 8, 9]);
    let again = rebond(&world, &[&words[..], &["--yes"]].concat());
    assert!(again.contains("0 addresses are taken back"), "{again}");
    let audit = rebond(&world, &["audit"]);
    assert!(audit.contains("undone") && audit.contains("4 addresses of example.net"), "{audit}");
}
