//! `rebond endpoint` and `rebond events`, as an operator types them.

use rebond_tests::mail::bounce;
use rebond_tests::process::built;
use rebond_tests::receiver::{Mood, Receiver};
use rebond_tests::world::{BASIC, World};
use serde_json::Value;
use std::process::{Command, Output};

fn rebond(world: &World, arguments: &[&str]) -> Output {
    Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(arguments).output().unwrap()
}

fn good(world: &World, arguments: &[&str]) -> String {
    let output = rebond(world, arguments);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{said}");
    out.into_owned()
}

fn refused(world: &World, arguments: &[&str]) -> String {
    let output = rebond(world, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_added_tried_told_rotated_and_told_again() {
    let world = World::start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    world.add_basic("bounces", |account| account.sends_as = vec!["example.org".into()]).await.unwrap();
    let shown = good(&world, &["endpoint", "add", "crm", "--webhook", receiver.url(), "--label", "The CRM"]);
    let secret = shown.split_whitespace().find(|word| word.starts_with("whsec_")).unwrap().to_owned();
    assert!(good(&world, &["endpoint", "test", "crm"]).starts_with("crm took the event "));
    assert_eq!(receiver.taken().len(), 1);

    for number in 0..3 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    // A poll by hand tells what it found.
    good(&world, &["poll", "bounces"]);
    assert_eq!(receiver.taken().len(), 1 + 3 * 3);
    good(&world, &["release", "user1@example.net", "--why", "he called"]);
    // Nobody serves: it is kept.
    let kept = good(&world, &["events", "list", "--endpoint", "crm", "--json"]);
    let released: Value = serde_json::from_str(kept.trim()).unwrap();
    assert_eq!(released["type"], "rebond.address.released.v1");
    assert_eq!(released["data"]["by"]["why"], "he called");

    receiver.set(Mood::Bad(500, None));
    let replayed = good(&world, &["events", "replay", "crm", "--days", "2", "--dry-run"]);
    assert_eq!(replayed, "8 events would be told to crm again.\n", "3 reports, 3 bounces, 2 still quarantined");
    good(&world, &["events", "replay", "crm", "--days", "2", "--type", "address.quarantined"]);
    let table = good(&world, &["endpoint", "list"]);
    assert!(table.contains("retrying") && table.contains("HTTP 500"), "{table}");
    let one = good(&world, &["endpoint", "show", "crm"]);
    assert!(one.contains("kept to be told  3"), "{one}");
    assert!(refused(&world, &["endpoint", "test", "crm"]).contains("HTTP 500"));
    receiver.set(Mood::Good);
    good(&world, &["endpoint", "set", "crm", "--type", "address.quarantined"]);
    let before = receiver.taken().len();
    let again = good(&world, &["events", "replay", "crm", "--days", "2"]);
    assert!(again.contains("3 told, 0 left"), "{again}");
    let ids = |events: &[rebond_tests::receiver::Got]| -> std::collections::BTreeSet<String> {
        events.iter().map(|got| got.headers["webhook-id"].clone()).collect()
    };
    let taken = receiver.taken();
    assert_eq!(ids(&taken[before..]).len(), 3);
    let quarantined: Vec<_> =
        taken[before..].iter().filter(|got| got.body.contains("quarantined.v1")).cloned().collect();
    assert!(ids(&quarantined).is_subset(&ids(&taken[..before])), "told again under the same ids");

    let rotated = good(&world, &["endpoint", "rotate", "crm"]);
    let new = rotated.split_whitespace().find(|word| word.starts_with("whsec_")).unwrap();
    assert_ne!(new, secret);
    good(&world, &["endpoint", "test", "crm"]);
    let signatures = |got: &rebond_tests::receiver::Got| got.headers["webhook-signature"].split(' ').count();
    assert_eq!(signatures(receiver.taken().last().unwrap()), 2);
    good(&world, &["endpoint", "rotate", "crm", "--finish"]);
    good(&world, &["endpoint", "test", "crm"]);
    assert_eq!(signatures(receiver.taken().last().unwrap()), 1);
    for (name, bytes) in world.files().unwrap() {
        let bytes = String::from_utf8_lossy(&bytes);
        assert!(!bytes.contains(&secret[8..]) && !bytes.contains(&new[8..]), "{}", name.display());
    }
    good(&world, &["endpoint", "remove", "crm"]);
    assert!(good(&world, &["endpoint", "list"]).starts_with("Nobody is told anything yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_cannot_work_are_refused_with_a_sentence() {
    let world = World::start().await.unwrap();
    for (arguments, sentence) in [
        (vec!["--webhook", "http://crm.example.com/"], "must be https"),
        (vec!["--webhook", "https://a:b@crm.example.com/"], "holds a password"),
        (vec!["--sqs", "arn:aws:sns:eu-west-1:111122223333:told"], "is of another service"),
        (vec!["--ses-suppression-list", "the moon"], "no region of AWS"),
        (vec![], "say where to"),
        (vec!["--webhook", "https://crm.example.com/", "--account", "nobody"], "nobody"),
        (vec!["--ses-suppression-list", "eu-west-1", "--shape", "ses"], "a shape of its own"),
    ] {
        let all: Vec<&str> = ["endpoint", "add", "x"].into_iter().chain(arguments).collect();
        let said = refused(&world, &all);
        assert!(said.contains(sentence), "{all:?}: {said}");
    }
    assert!(refused(&world, &["endpoint", "show", "x"]).contains("no endpoint x"));
    assert!(refused(&world, &["events", "replay", "x", "--dead"]).contains("no endpoint x"));
}
