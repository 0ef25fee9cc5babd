//! Mail kept as it came: durable before the facts that point to it, readable by anybody's `zcat`, gone when its time is over, or
//! when a person is erased; on one machine and in a bucket.

use rebond::account::{Account, AccountId};
use rebond::erase::Person;
use rebond::raw::bundle::{self, Bundle};
use rebond::raw::{Bucket, Folder, Key, Store};
use rebond::report::{self, Kind};
use rebond::table::Fact;
use rebond_cli::embedded;
use rebond_cli::machine::Machine;
use rebond_tests::mail::{bounce, bounce_of, letter};
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::moto::{Moto, make_bucket};
use rebond_tests::process::{built, workspace};
use rebond_tests::receiver::{Mood, Receiver};
use rebond_tests::stack::signed;
use rebond_tests::world::{BASIC, World};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

async fn keeping() -> (World, AccountId) {
    let mut world = World::start().await.unwrap();
    world.keep_raw().unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    (world, id)
}

fn deliver(world: &World, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
}

fn run(world: &World, words: &[&str]) -> Output {
    Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(words).output().unwrap()
}

fn said(world: &World, words: &[&str]) -> String {
    let output = run(world, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn store(world: &World) -> Store {
    Store::Folder(Folder::new(world.dir().join("raw")))
}

/// The message that a fact points to.
async fn kept(store: &Store, fact: &Fact) -> Option<Vec<u8>> {
    let pointer = fact.raw.as_ref()?;
    store.get(&pointer.object.parse().unwrap()).await.unwrap()?.message(pointer)
}

/// What a mail system writes and no rule understands.
fn riddle(number: usize) -> Vec<u8> {
    format!(
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\nTo: bounces@example.org\r\nSubject: Notice {number}\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <riddle-{number}@mx.example.org>\r\n\r\n\
         From now on the moon is full. It was user{number}@example.net who saw it.\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_and_riddles_of_mail_systems_are_kept_and_letters_are_not() {
    let (world, id) = keeping().await;
    let messages = [bounce(1), letter(1), riddle(1), bounce(2)];
    deliver(&world, messages.clone());
    let polled = world.poll(&id).await.unwrap();
    assert_eq!((polled.messages, polled.recorded, polled.kept, polled.objects), (4, 4, 3, 1));
    let (facts, store) = (world.facts(&id).await.unwrap(), store(&world));
    for (fact, message) in facts.iter().zip(&messages) {
        let is_letter = *message == letter(1);
        assert_eq!(fact.raw.is_none(), is_letter);
        if !is_letter {
            assert_eq!(kept(&store, fact).await.as_ref(), Some(message));
        }
    }
    assert_eq!(facts[2].kind, Kind::Other, "what is not understood is kept");
    // One object, which is an mbox for everybody.
    let [key] = &store.list(None).await.unwrap()[..] else { panic!("one object") };
    let file = world.dir().join("raw").join(key.as_str());
    let output = Command::new("zcat").arg(&file).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("From ")).count(), 3);
    assert!(text.contains("\r\n>From now on the moon is full."), "{text}");
    let mbox = world.dir().join("kept.mbox");
    std::fs::write(&mbox, text).unwrap();
    let read = said(&world, &["read", "--json", &mbox.to_string_lossy()]);
    assert_eq!(read.lines().count(), 3);
    // An empty poll keeps nothing; without the setting nobody does.
    assert_eq!(world.poll(&id).await.unwrap().objects, 0);
    let plain = World::start().await.unwrap();
    let id = plain.add_basic("bounces", ours).await.unwrap();
    deliver(&plain, [bounce(1)]);
    assert_eq!(plain.poll(&id).await.unwrap().kept, 0);
    assert!(!plain.dir().join("raw").exists() && plain.facts(&id).await.unwrap()[0].raw.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_recorded_and_stays_in_the_mailbox() {
    let (world, id) = keeping().await;
    deliver(&world, (0..3).map(bounce));
    std::fs::write(world.dir().join("raw"), "in the way").unwrap();
    let error = world.poll(&id).await.unwrap_err().to_string();
    assert!(error.starts_with("kept mail: "), "{error}");
    assert_eq!(world.facts(&id).await.unwrap().len(), 0);
    std::fs::remove_file(world.dir().join("raw")).unwrap();
    assert_eq!(world.poll(&id).await.unwrap().kept, 3);
    assert_eq!(world.facts(&id).await.unwrap().len(), 3);
}

/// Killed before each call of the table, a poll leaves an object that nobody points to at most; the next one records all, and
/// each fact points to its own message.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_every_fact_has_its_message() {
    let (mut orphans, (world, _)) = (0, keeping().await);
    deliver(&world, (0..3).map(bounce));
    for steps in 0..60 {
        let id = world.add_basic(&format!("bounces-{steps}"), ours).await.unwrap();
        let life = Life::of(usize::MAX);
        let table = MortalTable(world.connector(), Arc::clone(&life));
        let table =
            embedded::table(aws_smithy_runtime_api::client::http::SharedHttpConnector::new(table)).await.unwrap();
        life.left.store(steps, Ordering::SeqCst);
        let machine = &world.machine;
        let (vault, tls, clock) = (Arc::clone(&machine.vault), machine.tls.clone(), Arc::clone(&machine.clock));
        let mut mortal = Machine::over(table, vault, machine.reach.clone(), tls, clock).unwrap();
        mortal.raw = machine.raw.clone();
        let of = id.clone();
        let mut task = tokio::spawn(async move {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            mortal.poller().poll(&of, "mortal", deadline, &()).await.map(|_| ())
        });
        let ended = tokio::select! {
            ended = &mut task => Some(ended.unwrap()),
            () = life.over.notified() => {
                task.abort();
                let _ = task.await;
                None
            }
        };
        world.end_leases(&id).await.unwrap();
        let before = world.facts(&id).await.unwrap().len();
        world.poll(&id).await.unwrap();
        let (facts, store) = (world.facts(&id).await.unwrap(), store(&world));
        assert_eq!(facts.len(), 3, "killed before step {steps}");
        for fact in &facts {
            let message = kept(&store, fact).await.expect("durable before the fact");
            assert_eq!(report::key(&message), fact.key, "killed before step {steps}");
        }
        let objects = store.list(Some(&id)).await.unwrap().len();
        assert!(objects <= 2);
        orphans += usize::from(objects == 2 && before == 0);
        match ended {
            None => {}
            Some(ended) => {
                ended.unwrap();
                assert!(steps > 10, "{steps} steps");
                assert!(orphans > 0, "no poll was killed between the object and its facts");
                return;
            }
        }
    }
    panic!("a poll has no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_removes_what_is_kept_and_an_account_takes_its_own_along() {
    let (world, id) = keeping().await;
    let store = store(&world);
    let old = Key::new(&id, world.now() - jiff::SignedDuration::from_hours(32 * 24), 1, 0);
    let new = Key::new(&id, world.now() - jiff::SignedDuration::from_hours(28 * 24), 1, 0);
    for key in [&old, &new] {
        let mut bundle = Bundle::default();
        bundle.add(&bounce(1), 0);
        store.put(key, bundle).await.unwrap();
    }
    said(&world, &["poll", "bounces"]);
    assert_eq!(store.list(None).await.unwrap(), [new], "30 days");
    let removed = said(&world, &["account", "remove", "bounces", "--facts"]);
    assert!(removed.contains("Its kept mail is removed, too (1 objects)"), "{removed}");
    assert_eq!(store.list(None).await.unwrap(), []);
    std::fs::write(world.dir().join("rebond.toml"), "keep-raw = 500\n").unwrap();
    let output = run(&world, &["account", "list"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("keep-raw: 400 days at most"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_in_no_kept_message_and_in_no_event_that_waits() {
    let (world, id) = keeping().await;
    let receiver = Receiver::start().await.unwrap();
    receiver.set(Mood::Bad(500, None));
    said(&world, &["endpoint", "add", "crm", "--webhook", receiver.url()]);
    let both = bounce_of(9, &["user7@example.net".into(), "user8@example.net".into()]);
    deliver(&world, [bounce(7), both, riddle(7), riddle(8), bounce(8)]);
    said(&world, &["poll", "bounces"]);
    let files = |words: &str| {
        let mut found = 0;
        for entry in walk(&world.dir().join("raw")) {
            let bytes = std::fs::read(entry).unwrap();
            found += bundle::messages(&bytes)
                .filter(|one| String::from_utf8_lossy(&one.as_ref().unwrap().1).contains(words))
                .count();
        }
        found
    };
    let waiting = said(&world, &["events", "list", "--endpoint", "crm"]);
    assert!(waiting.contains("user7@example.net"), "{waiting}");
    assert_eq!((files("user7@"), files("user8@")), (3, 3));
    let counted = said(&world, &["erase", "user7@example.net"]);
    assert!(counted.contains("3 messages kept as they came"), "{counted}");
    assert_eq!(files("user7@"), 3, "only counted");
    let erased = said(&world, &["erase", "User7@example.net", "--yes"]);
    assert!(erased.contains("Erased: 1 standings, 2 reports") && erased.contains("3 messages kept"), "{erased}");
    assert_eq!((files("user7@"), files("user8@")), (0, 2), "the message that named both went whole");
    let waiting = said(&world, &["events", "list", "--endpoint", "crm"]);
    assert!(!waiting.contains("user7@example.net") && waiting.contains("user8@example.net"), "{waiting}");
    let facts = world.facts(&id).await.unwrap();
    let pointing: Vec<bool> = facts.iter().map(|fact| fact.raw.is_some()).collect();
    assert_eq!(pointing, [false, false, false, true, true]);
    let audit = said(&world, &["audit", "--json"]);
    assert!(audit.contains("3 kept messages") && !audit.contains("user7"), "{audit}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path if path.extension().is_some_and(|end| end == "gz") => found.push(path),
            _ => {}
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_finds_and_erases_as_a_folder_does() {
    let moto = Moto::start().unwrap();
    let signer = signed(moto.endpoint()).await;
    make_bucket(moto.endpoint(), "raw-mail").await.unwrap();
    let store = Store::Bucket(Bucket::new(Arc::clone(&signer), "raw-mail"));
    let now = jiff::Timestamp::now();
    let (one, two): (AccountId, AccountId) = ("one".parse().unwrap(), "two".parse().unwrap());
    // More than one page of a listing.
    let keys: Vec<Key> = (0..23).map(|number| Key::new(&one, now, 7, number)).collect();
    let other = Key::new(&two, now, 7, 0);
    assert!(store.get(&other).await.unwrap().is_none());
    for key in keys.iter().chain([&other]) {
        let mut bundle = Bundle::default();
        bundle.add(&bounce(if *key == keys[5] { 77 } else { 1 }), 0);
        bundle.add(&bounce(2), 0);
        store.put(key, bundle).await.unwrap();
    }
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(store.list(Some(&one)).await.unwrap(), expected);
    assert_eq!(store.list(None).await.unwrap().len(), 24);
    let person = Person::new("user77@example.net".parse().unwrap());
    assert_eq!(store.erase(&person, true).await.unwrap().messages, 1);
    let erased = store.erase(&person, false).await.unwrap();
    assert_eq!(erased.places.into_iter().collect::<Vec<_>>(), [(keys[5].to_string(), 0)]);
    let object = store.get(&keys[5]).await.unwrap().unwrap();
    assert_eq!(bundle::messages(&object.bytes).map(|one| one.unwrap().1).collect::<Vec<_>>(), [bounce(2)]);
    assert_eq!(store.erase(&person, false).await.unwrap().messages, 0);
    assert_eq!(store.remove(&two).await.unwrap(), 1);
    assert_eq!(store.list(Some(&two)).await.unwrap(), []);
    // Below a prefix, as an archive is.
    let below = Bucket::new(Arc::clone(&signer), "raw-mail").below("/hub/emea/").unwrap();
    let (below, days) = (Store::Bucket(below), ["2026-03-01", "2026-03-02"]);
    let reports = days.map(|day| Key::reports(&one, day, 0));
    for key in &reports {
        below.write(key, b"x".to_vec()).await.unwrap();
    }
    assert_eq!(below.list(None).await.unwrap(), reports);
    assert_eq!(below.list(Some(&two)).await.unwrap(), []);
    assert_eq!(below.get(&reports[0]).await.unwrap().unwrap().bytes, b"x");
    assert!(Bucket::new(Arc::clone(&signer), "raw-mail").below("a?b").is_err());
    // A bucket that is not there is told by its name and the code.
    let nowhere = Store::Bucket(Bucket::new(signer, "no-such-mail"));
    let error = nowhere.list(None).await.unwrap_err().to_string();
    assert_eq!(error, "kept mail: s3://no-such-mail could not be listed: HTTP 404 NoSuchBucket");
}

/// What S3 is sent, is what its own SDK would send and sign: botocore works it out anew.
#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_bucket_are_signed_as_s3_wants_them() {
    let receiver = Receiver::start().await.unwrap();
    let base = receiver.url().trim_end_matches("/hook").to_owned();
    let signer = signed(&base).await;
    let store = Store::Bucket(Bucket::new(signer, "raw-mail"));
    let key = Key::new(&"bounces".parse().unwrap(), jiff::Timestamp::now(), 1, 0);
    let _ = store.get(&key).await;
    let _ = store.list(Some(&"bounces".parse().unwrap())).await;
    let (got, listed) = (receiver.got().remove(0), receiver.got().remove(1));
    for (got, operation, parameters) in [
        (got, "get_object", serde_json::json!({ "Bucket": "raw-mail", "Key": key.as_str() })),
        (
            listed,
            "list_objects_v2",
            serde_json::json!({ "Bucket": "raw-mail", "Prefix": "bounces/", "StartAfter": "" }),
        ),
    ] {
        let mut check = Command::new(workspace().join("target/tools/python/bin/python"))
            .arg(workspace().join("tests/check_s3_call.py"))
            .args(["us-east-1", "test", "test", operation, &parameters.to_string()])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let call = serde_json::json!({ "line": got.line, "headers": got.headers, "body": got.body });
        use std::io::Write;
        check.stdin.take().unwrap().write_all(call.to_string().as_bytes()).unwrap();
        assert!(check.wait().unwrap().success(), "{got:?}");
    }
}
