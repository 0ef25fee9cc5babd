//! A person who is erased is nowhere any longer, and everybody else is where they were.

use rebond::account::Account;
use rebond_tests::mail::{bounce, bounce_of};
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::process::Command;

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

fn rebond(world: &World, words: &str) -> String {
    let mut command = Command::new(built("rebond").unwrap());
    let output = command.arg("--dir").arg(world.dir()).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every item of the table that holds some words.
async fn items_with(world: &World, words: &str) -> Vec<Value> {
    let (mut found, mut from) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({ "TableName": "rebond" });
        if !from.is_null() {
            body["ExclusiveStartKey"] = from;
        }
        let page = world.raw("Scan", body).await.unwrap();
        let items = page["Items"].as_array().unwrap().iter();
        found.extend(items.filter(|item| item.to_string().to_lowercase().contains(words)).cloned());
        from = page["LastEvaluatedKey"].clone();
        if from.is_null() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_counted_then_erased_and_nobody_else_is() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    let many: Vec<String> = (0..400).map(|n| format!("User{n}@example.net")).collect();
    for message in [bounce(7), bounce(8), bounce_of(900, &many), bounce_of(901, &["USER7@Example.NET".into()])] {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
    world.poll(&id).await.unwrap();
    rebond(&world, "deny user7@example.net --why asked");
    rebond(&world, "deny user77@example.net --why user7@example.net");
    let facts = world.facts(&id).await.unwrap();
    assert!(facts.iter().any(|fact| fact.parts > 0), "one report is in parts");
    let (before, others) = (items_with(&world, "user7@").await, items_with(&world, "user77@").await.len());
    assert!(before.len() >= 4, "{}", before.len());

    let counted = rebond(&world, "erase User7@example.net --dry-run");
    assert!(
        counted.contains("Found: 1 standings, 3 reports that name the person, 1 other items")
            && counted.contains("Nothing is changed"),
        "{counted}"
    );
    assert_eq!(items_with(&world, "user7@").await, before);
    let erased = rebond(&world, "erase User7@example.net --yes --who jo");
    assert!(erased.contains("Erased: 1 standings, 3 reports") && erased.contains("bounces: INBOX"), "{erased}");
    assert_eq!(items_with(&world, "user7@").await, Vec::<Value>::new());
    assert_eq!(items_with(&world, "user77@").await.len(), others, "another person");
    let after = world.facts(&id).await.unwrap();
    assert_eq!(after.len(), facts.len(), "the facts stay, so that nothing is recorded anew");
    let of_many = |facts: &[rebond::table::Fact]| facts.iter().map(|f| f.report.recipients.len()).max().unwrap();
    assert_eq!((of_many(&facts), of_many(&after)), (400, 399));
    let emptied = after.iter().filter(|fact| fact.report.recipients.is_empty());
    assert!(emptied.clone().all(|fact| fact.report.diagnostics[0].code == "erased" && fact.report.original.is_none()));
    assert_eq!(emptied.count(), 2);

    // The message is read once more, and says nothing new.
    let cursor = json!({ "TableName": "rebond", "Key": {
        "pk": { "S": "ACCOUNT#bounces" }, "sk": { "S": "CURSOR#INBOX#0" } } });
    world.raw("DeleteItem", cursor).await.unwrap();
    let polled = world.poll(&id).await.unwrap();
    assert_eq!((polled.messages, polled.recorded), (4, 0));
    assert_eq!(items_with(&world, "user7@").await, Vec::<Value>::new());

    let audit: Value = serde_json::from_str(rebond(&world, "audit --json").trim()).unwrap();
    let said = audit["said"].as_str().unwrap();
    assert!(said.starts_with("person ") && !said.contains('@'), "{said}");
    assert_eq!((&audit["event"], &audit["who"]), (&json!("erased"), &json!("jo")));
    let again = rebond(&world, "erase user7@example.net");
    assert!(again.contains("Found: 0 standings, 0 reports"), "{again}");
}
