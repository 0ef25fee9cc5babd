//! Texts that no rule knows: counted, shown, given a meaning by an operator, tried before it holds.

use rebond::account::Account;
use rebond::events::EventType;
use rebond::standing::List;
use rebond::table::Change;
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::process::Command;

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

fn run(world: &World, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(built("rebond").unwrap());
    let output = command.arg("--dir").arg(world.dir()).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

/// A bounce with words of its own.
fn odd(number: usize, said: &str) -> Vec<u8> {
    let text = String::from_utf8(rebond_tests::mail::bounce(number)).unwrap();
    let known = "550 5.1.1 <USER>: Recipient address rejected: User unknown"
        .replace("USER", &format!("user{number}@example.net"));
    assert!(text.contains(&known));
    text.replace(&known, said).replace("Status: 5.1.1", "Status: 5.0.0").into_bytes()
}

fn zorb(number: usize) -> Vec<u8> {
    odd(number, &format!("550 <user{number}@example.net> zorbed the frobnicator {number}7 times"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_text_is_counted_once_given_a_meaning_tried_and_then_decides() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    let deliver = |message: Vec<u8>| world.imap.deliver(BASIC, "INBOX", message, world.now());
    for number in 1..=5 {
        deliver(zorb(number));
    }
    deliver(odd(6, "550 the quux is not gleeped"));
    deliver(rebond_tests::mail::bounce(7));
    world.poll(&id).await.unwrap();
    let texts = |world: &World| -> Vec<Value> {
        run(world, &["rules", "texts", "--json"]).1.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let seen = texts(&world);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((&seen[0]["seen"], &seen[1]["seen"]), (&5.into(), &1.into()), "{seen:?}");
    assert_eq!(seen[0]["template"]["text"], "# @ zorbed the frobnicator # times", "{seen:?}");
    assert!(seen[0]["example"].as_str().unwrap().contains("zorbed"));
    let status = |world: &World| texts(world)[0]["status"].as_str().unwrap().to_owned();
    assert_eq!(status(&world), "to qualify");
    // The same facts again: not counted again.
    let facts = world.facts(&id).await.unwrap();
    world.machine.follower().follow(&facts, world.now()).await.unwrap();
    assert_eq!(texts(&world), seen);

    assert_eq!(
        run(&world, &["rules", "add", "z", "--phrase", "frobnicator", "--ignore"]).0,
        1,
        "one word fits too much"
    );
    assert_eq!(
        run(&world, &["rules", "add", "zorb", "--phrase", "Zorbed the FROBNICATOR", "--reason", "user-unknown"]).0,
        0
    );
    assert_eq!(run(&world, &["rules", "add", "zorb", "--phrase", "another one", "--ignore"]).0, 1, "the name is taken");
    let (code, said) = run(&world, &["rules", "on", "zorb"]);
    assert!(code == 1 && said.contains("try it first"), "{said}");
    assert_eq!(status(&world), "rule zorb, off");
    let (_, tried) = run(&world, &["rules", "test", "zorb"]);
    assert!(tried.contains("5 of 7 outcomes") && tried.contains("would mean: user-unknown"), "{tried}");
    let state = async |number: usize| {
        let key = format!("user{number}@example.net").parse().unwrap();
        let item = world.machine.table.standing(&key, &List::DEFAULT.parse().unwrap()).await.unwrap();
        item.map(|item| {
            (item.read(&Default::default(), &[], world.now().as_second()).state.as_str(), item.history.causes)
        })
    };
    // Off, it decides nothing.
    deliver(zorb(11));
    world.poll(&id).await.unwrap();
    assert_eq!(state(11).await.unwrap().0, "with-errors");
    // What was recorded within the second in which a rule is switched on is decided by it.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(run(&world, &["rules", "on", "zorb"]).0, 0);
    deliver(zorb(12));
    world.poll(&id).await.unwrap();
    let (standing, causes) = state(12).await.unwrap();
    assert_eq!((standing, causes[0].rule.as_deref()), ("quarantined", Some("zorb")));
    let told = async |number: usize| {
        let address = format!("user{number}@example.net");
        let facts = world.facts(&id).await.unwrap();
        let fact = facts.iter().find(|fact| fact.report.recipients[0].address == address).unwrap();
        let events = world.machine.teller.events_of(&[Change::Fact(fact)]).await.unwrap();
        let data = &events.iter().find(|event| event.kind == EventType::AddressBounced).unwrap().data;
        assert!(number == 14 || data["reason"] == "user-unknown", "{data}");
        ["rule", "hard", "effect"].map(|field| data[field].clone())
    };
    assert_eq!(told(12).await, [json!("zorb"), json!(true), json!("hard")]);
    // What was recorded before it was on stays as it was, also when it comes again.
    let before = facts.iter().filter(|fact| fact.recorded < world.now().as_second()).cloned().collect::<Vec<_>>();
    world.machine.follower().follow(&before, world.now()).await.unwrap();
    assert_eq!(state(1).await.unwrap().0, "with-errors");
    let (_, shown) = run(&world, &["address", "user12@example.net"]);
    assert!(shown.contains("(rule zorb)"), "{shown}");

    assert_eq!(run(&world, &["rules", "remove", "zorb"]).0, 1, "it is on");
    assert_eq!(run(&world, &["rules", "off", "zorb"]).0, 0);
    deliver(zorb(13));
    world.poll(&id).await.unwrap();
    assert_eq!(state(13).await.unwrap().0, "with-errors");
    for words in [
        &["rules", "add", "quux", "--phrase", "quux is not gleeped", "--ignore"][..],
        &["rules", "test", "quux"],
        &["rules", "on", "quux"],
    ] {
        assert_eq!(run(&world, words).0, 0, "{words:?}");
    }
    deliver(odd(14, "550 The quux is NOT gleeped."));
    world.poll(&id).await.unwrap();
    assert!(state(14).await.is_none(), "it says nothing about the address");
    // So it is told, and nobody who acts on bounces hears of it.
    assert_eq!(told(14).await, [json!("quux"), json!(false), Value::Null]);
    let (_, listed) = run(&world, &["rules", "list"]);
    assert!(
        listed.contains("Zorbed the FROBNICATOR") && listed.contains("off") && listed.contains("nothing (ignored)"),
        "{listed}"
    );
}
