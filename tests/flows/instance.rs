//! Two deployments on one machine, each a `rebond serve`: one is the source of the other, by its API and by what it archives.

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use rebond::account::AccountId;
use rebond::follow::Follower;
use rebond::instance::draw::{Drawer, Drawn};
use rebond::instance::{Instance, InstanceItem, Source};
use rebond::net::Http;
use rebond::report::Report;
use rebond::secret::Secret;
use rebond::table::Scope;
use rebond_cli::embedded;
use rebond_tests::mail::{bounce, bounce_of, letter};
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::process::{Process, built};
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// More than a page of the API.
const BOUNCES: usize = 105;

fn run(world: &World, words: &[&str]) -> Output {
    Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(words).output().unwrap()
}

fn said(world: &World, words: &[&str]) -> String {
    let output = run(world, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn told(world: &World, words: &[&str]) -> Value {
    serde_json::from_str(&said(world, words)).unwrap()
}

/// A deployment that listens by the binary.
async fn serving(keeps_mail: bool) -> (World, Process) {
    let mut world = World::start().await.unwrap();
    if keeps_mail {
        world.keep_raw().unwrap();
    }
    world.stop_pages().await;
    let server = serve(&world);
    (world, server)
}

fn serve(world: &World) -> Process {
    let mut command = Command::new(built("rebond").unwrap());
    command.arg("--dir").arg(world.dir()).arg("serve");
    let mut server = Process::start(&command, &world.dir().join("log")).unwrap();
    let port = url::Url::parse(world.origin()).unwrap().port().unwrap();
    server.wait_for_port((std::net::Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(60)).unwrap();
    server
}

async fn reports(world: &World, id: &AccountId) -> BTreeMap<String, Report> {
    world.facts(id).await.unwrap().into_iter().map(|fact| (fact.key, fact.report)).collect()
}

/// What an archive and the API both say of a report.
fn verdicts(report: &Report) -> Value {
    let of = |o: &rebond::report::Outcome| json!([o.address, o.reason, o.hard, o.status, o.diagnostic, o.action]);
    let original = report.original.as_ref().and_then(|original| original.message_id.clone());
    json!([report.kind, original, report.recipients.iter().map(of).collect::<Vec<_>>()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_deployment_is_drawn_from_by_its_api_and_by_its_archive_once() {
    let (there, server) = serving(true).await;
    let (here, hub) = serving(false).await;
    // All of one day, though it may end meanwhile.
    let arrived = there.now();
    let id = there.add_basic("bounces", |account| account.sends_as = vec!["example.org".into()]).await.unwrap();
    for number in 0..BOUNCES {
        there.imap.deliver(BASIC, "INBOX", bounce(number), arrived);
    }
    let many: Vec<String> = (0..120).map(|n| format!("many@d{n}.example.com")).collect();
    for message in [bounce_of(900, &many), letter(1)] {
        there.imap.deliver(BASIC, "INBOX", message, arrived);
    }
    // Whichever comes first: `serve` polls what is due.
    while there.facts(&id).await.unwrap().len() < BOUNCES + 2 {
        let _ = run(&there, &["poll", "bounces"]);
    }

    // By its API.
    let key = here.dir().join("key.txt");
    std::fs::write(&key, said(&there, &["key", "add", "hub", "--scope", "read", "--quiet"])).unwrap();
    let key = key.to_string_lossy().into_owned();
    let add = ["instance", "add", "emea", "--url", there.origin(), "--key-file", &key, "--sends-as", "example.org"];
    let added = said(&here, &add);
    assert!(added.contains("It answers.") && added.contains("rebond instance pull emea"), "{added}");
    let shown = told(&here, &["instance", "show", "emea", "--json"]);
    assert_eq!(shown["accounts"], json!([{ "id": "bounces", "health": "active" }]));
    let pulled = told(&here, &["instance", "pull", "emea", "--json"]);
    let drawn = json!({ "accounts": 1, "read": BOUNCES + 2, "recorded": BOUNCES + 2, "cut": 1, "refused": 0 });
    assert_eq!(pulled["drawn"], drawn, "{pulled}");
    let again = told(&here, &["instance", "pull", "--json"]);
    assert_eq!((&again["drawn"]["recorded"], &again["health"]["fault"]), (&json!(0), &Value::Null), "{again}");
    // What it draws has its effect, once.
    let emea: AccountId = "emea".parse().unwrap();
    let (ours, theirs) = (reports(&here, &emea).await, reports(&there, &id).await);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (key, report) in theirs.iter().filter(|(_, report)| report.recipients.len() < 100) {
        assert_eq!(verdicts(&ours[key]), verdicts(report));
    }
    let check = run(&here, &["check", "many@d3.example.com", "--json"]);
    assert_eq!(check.status.code(), Some(5), "{check:?}");
    // So many of one destination at once are an incident here as well.
    let check = run(&here, &["check", "user7@example.net", "--json"]);
    assert!(String::from_utf8(check.stdout).unwrap().contains("\"held\":\"example.net-"));
    let of = told(&here, &["address", "user7@example.net", "--json"]);
    let causes = of["lists"][0]["causes"].as_array().unwrap();
    assert_eq!((causes.len(), &causes[0]["account"], &causes[0]["proof"]), (1, &json!("emea"), &json!("ours")));
    // New ones alone are drawn the next time; and what is there, is known by `reports`.
    there.imap.deliver(BASIC, "INBOX", bounce(500), arrived);
    while there.facts(&id).await.unwrap().len() < BOUNCES + 3 {
        let _ = run(&there, &["poll", "bounces"]);
    }
    assert_eq!(told(&here, &["instance", "pull", "emea", "--json"])["drawn"]["recorded"], 1);
    assert_eq!(said(&here, &["reports", "emea", "--limit", "1000", "--json"]).lines().count(), BOUNCES + 2);
    let reader = crate::api::key(&here.machine.table, "reader", &[Scope::Read]).await;
    let page = crate::api::get(&here, "/reports?account=emea&limit=7", &reader).await.good();
    assert_eq!(page["reports"].as_array().unwrap().len(), 7, "and over the API as well");

    // `serve` draws by itself, at its start and every quarter of an hour.
    there.imap.deliver(BASIC, "INBOX", bounce(501), arrived);
    while there.facts(&id).await.unwrap().len() < BOUNCES + 4 {
        let _ = run(&there, &["poll", "bounces"]);
    }
    drop(hub);
    let _hub = serve(&here);
    let begin = std::time::Instant::now();
    while reports(&here, &emea).await.len() < BOUNCES + 4 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nobody draws");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // By what it archives: the same rows, and those whole that its API cuts.
    let archive = here.dir().join("archive").to_string_lossy().into_owned();
    let first = told(&there, &["instance", "archive", "--to", &archive, "--json"]);
    assert_eq!(first["reports"], json!({ "reports": BOUNCES + 4, "added": 1, "changed": 0, "same": 0 }));
    assert!(first["mail"]["added"].as_u64().unwrap() >= 2, "kept mail goes along: {first}");
    let second = told(&there, &["instance", "archive", "--to", &archive, "--json"]);
    assert_eq!((&second["reports"]["added"], &second["mail"]["added"]), (&json!(0), &json!(0)));
    assert_eq!(second["mail"]["same"], first["mail"]["added"], "a second run adds nothing");
    let add = ["instance", "add", "apac", "--method", "export", "--from", &archive, "--sends-as", "example.org"];
    said(&here, &add);
    let pulled = told(&here, &["instance", "pull", "apac", "--json"]);
    assert_eq!((&pulled["drawn"]["recorded"], &pulled["drawn"]["cut"]), (&json!(BOUNCES + 4), &json!(0)), "{pulled}");
    assert_eq!(told(&here, &["instance", "pull", "apac", "--json"])["drawn"]["recorded"], 0);
    let (apac, theirs) = (reports(&here, &"apac".parse().unwrap()).await, reports(&there, &id).await);
    assert_eq!(apac, theirs);
    // The archive is plain JSON Lines, and the job of the hub for each instance is the same.
    let mine = here.dir().join("mine").to_string_lossy().into_owned();
    for (name, mail) in [("emea", false), ("apac", true)] {
        let to = format!("{mine}/{name}");
        let first = told(&here, &["instance", "archive", name, "--to", &to, "--json"]);
        assert_eq!((&first["reports"]["reports"], &first["reports"]["added"]), (&json!(BOUNCES + 4), &json!(1)));
        assert_eq!(first["mail"]["added"].as_u64().unwrap() > 0, mail, "{first}");
        let second = told(&here, &["instance", "archive", name, "--to", &to, "--json"]);
        assert_eq!((&second["reports"]["same"], &second["reports"]["added"]), (&json!(1), &json!(0)));
    }
    let lines =
        Command::new("sh").arg("-c").arg(format!("zcat {mine}/emea/emea/*/reports-0.jsonl.gz")).output().unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert_eq!(lines.lines().count(), BOUNCES + 4);

    // Who is erased there goes from the archive with the next run; here it is erased by itself.
    said(&there, &["erase", "user7@example.net", "--yes"]);
    let erased = told(&there, &["instance", "archive", "--to", &archive, "--json"]);
    assert_eq!(erased["reports"]["changed"], 1);
    assert!(erased["mail"]["changed"].as_u64().unwrap() >= 1, "{erased}");
    said(&here, &["erase", "user7@example.net", "--yes"]);
    assert_eq!(told(&here, &["instance", "pull", "apac", "--json"])["drawn"]["recorded"], 0);
    assert_eq!(told(&here, &["address", "user7@example.net", "--json"])["lists"], json!([]));

    // What is in the way is told with who must act.
    said(&there, &["key", "revoke", "hub"]);
    let output = run(&here, &["instance", "pull", "emea"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("key-refused") && text.contains("rebond key add hub --scope read"), "{text}");
    assert!(said(&here, &["instance", "list"]).contains("key-refused"));
    let scoped = said(&there, &["key", "add", "other", "--scope", "check", "--quiet"]);
    std::fs::write(&key, scoped).unwrap();
    let output = run(&here, &["instance", "add", "emea", "--url", there.origin(), "--key-file", &key]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("not-permitted"));
    drop(server);
    let output = run(&here, &["instance", "show", "emea"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text.contains("unreached"), "{text}");
    said(&here, &["instance", "remove", "emea"]);
    assert!(!run(&here, &["instance", "show", "emea"]).status.success());
    let secret = std::fs::read_to_string(here.dir().join("vault.json")).unwrap();
    assert!(!secret.contains("instance/emea"), "its key went along");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_named_rightly_or_not_at_all() {
    let world = World::start().await.unwrap();
    world.add_basic("bounces", |_| {}).await.unwrap();
    let key = world.dir().join("key.txt");
    std::fs::write(&key, "rebond_x\n").unwrap();
    let key = key.to_string_lossy().into_owned();
    for (words, expected) in [
        (vec!["bounces", "--url", "https://emea.example.com"], "there is an account bounces already"),
        (vec!["emea", "--url", "http://emea.example.com"], "the URL must be https"),
        (vec!["emea", "--url", "https://a:b@emea.example.com"], "the URL holds a password"),
        (vec!["emea", "--url", "https://emea.example.com/?x=1"], "nothing stands behind its path"),
        (vec!["emea", "--url", "https://emea.example.com", "--sends-as", "x"], "is no domain"),
    ] {
        let output = run(&world, &[&["instance", "add", "--key-file", &key], &words[..]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{words:?}: {said}");
    }
    assert_eq!(run(&world, &["instance", "add", "emea"]).status.code(), Some(2));
    assert_eq!(run(&world, &["instance", "add", "emea", "--method", "export"]).status.code(), Some(2));
    // What answers and is no Rebond: the stand-in for Graph.
    let other = rebond_tests::receiver::Receiver::start().await.unwrap();
    let url = other.url().trim_end_matches("/hook").to_owned();
    let output = run(&world, &["instance", "add", "emea", "--url", &url, "--key-file", &key]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("not-rebond"));
    let got = other.got();
    assert_eq!(got[0].headers["authorization"], "Bearer rebond_x");
    // A link-local address is reached by nobody.
    let output = run(&world, &["instance", "add", "meta", "--url", "https://169.254.169.254", "--key-file", &key]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("unreached"));
    let output = run(
        &world,
        &[
            "account",
            "add",
            "emea",
            "--mailbox",
            "a@example.com",
            "--password",
            "--server",
            "localhost",
            "--secret-file",
            &key,
        ],
    );
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is an instance emea already"));
}

/// Killed before each call of the table, it goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_a_pull_loses_nothing_and_doubles_nothing() {
    let (there, here) = (World::start().await.unwrap(), World::start().await.unwrap());
    let id = there.add_basic("bounces", |account| account.sends_as = vec!["example.org".into()]).await.unwrap();
    for number in 0..12 {
        there.imap.deliver(BASIC, "INBOX", bounce(number), there.now());
    }
    there.poll(&id).await.unwrap();
    let key = Secret::from(said(&there, &["key", "add", "hub", "--scope", "read", "--quiet"]).trim().to_owned());
    let settings = Instance {
        id: "emea".parse().unwrap(),
        label: None,
        source: Source::Api { url: there.origin().parse().unwrap() },
        sends_as: vec!["example.org".into()],
    };
    let machine = &here.machine;
    machine.table.put_instance(&InstanceItem::new(settings, 0)).await.unwrap();
    let http = Http::new(&machine.reach, &machine.tls).unwrap();
    let (mut steps, mut kills) = (0, 0);
    loop {
        let life = Life::of(usize::MAX);
        let table = SharedHttpConnector::new(MortalTable(here.connector(), Arc::clone(&life)));
        let table = embedded::table(table).await.unwrap();
        life.left.store(steps, Ordering::SeqCst);
        let follower = Some(Follower::new(table.clone(), Arc::clone(&machine.vault)));
        let drawer = Drawer { table, follower, http: http.clone(), now: here.now(), full: false };
        // Another process knows what the table knows.
        let mut item = machine.table.instance(&"emea".parse().unwrap()).await.unwrap().unwrap();
        let mut done = Drawn::default();
        let ended = tokio::select! {
            ended = drawer.draw(&mut item, Some(&key), None, &(), &mut done) => Some(ended),
            () = life.over.notified() => None,
        };
        if let Some(ended) = ended {
            ended.unwrap();
            break;
        }
        (steps, kills) = (steps + 1, kills + 1);
        assert!(kills < 200, "a pull has no end");
    }
    assert!(kills >= 10, "{kills}");
    let facts = here.facts(&"emea".parse().unwrap()).await.unwrap();
    assert_eq!(facts.len(), 12);
    for number in 0..12 {
        let of = told(&here, &["address", &format!("user{number}@example.net"), "--json"]);
        assert_eq!(of["lists"][0]["causes"].as_array().unwrap().len(), 1, "{of}");
    }
}
