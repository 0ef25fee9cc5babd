//! The commands over standings, as an operator types them.

use rebond_tests::mail::bounce;
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn rebond(world: &World, arguments: &str) -> Output {
    with_input(world, arguments, "")
}

fn with_input(world: &World, arguments: &str, input: &str) -> Output {
    let mut child = Command::new(built("rebond").unwrap())
        .arg("--dir")
        .arg(world.dir())
        .args(arguments.split_whitespace())
        .env("USER", "operator")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json_lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn good(world: &World, arguments: &str) -> String {
    let output = rebond(world, arguments);
    assert!(output.status.success(), "{arguments}: {}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_asked_for_explained_released_and_denied() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    world.imap.deliver(BASIC, "INBOX", bounce(0), world.now());
    let polled = good(&world, "poll bounces");
    assert!(polled.contains("ATTENTION") && polled.contains("rebond account sends-as bounces"), "{polled}");
    assert!(good(&world, "check user0@example.net").contains("valid"));
    let shown = good(&world, "address user0@example.net");
    assert!(shown.contains("no, unproven: the account names no domain"), "{shown}");

    good(&world, "account sends-as bounces example.org");
    assert_eq!(world.item(&id).await.unwrap().account.sends_as, ["example.org"]);
    for number in 1..=2 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    let polled = good(&world, "poll bounces");
    assert!(!polled.contains("ATTENTION"), "{polled}");
    let output = with_input(&world, "check - --json", "User1@Example.NET\nother@example.net\n\n");
    assert_eq!(output.status.code(), Some(5), "one may not be written to");
    let answers = json_lines(&output);
    let told =
        |n: usize| (answers[n]["address"].as_str(), answers[n]["may_send"].as_bool(), answers[n]["state"].as_str());
    assert_eq!(told(0), (Some("User1@Example.NET"), Some(false), Some("quarantined")));
    assert_eq!(told(1), (Some("other@example.net"), Some(true), Some("valid")));
    let shown = good(&world, "address user1@example.net");
    for word in ["quarantined", "user-unknown", "5.1.1", "User unknown", "rebond release user1@example.net"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }

    let released = good(&world, "release user1@example.net --why provider-had-an-outage");
    assert!(released.contains("was quarantined on the list default, and is valid now"), "{released}");
    assert!(good(&world, "check user1@example.net").contains("provider-had-an-outage"));
    let shown = good(&world, "address user1@example.net");
    assert!(shown.contains("no: released") && shown.contains("operator"), "what led there is kept: {shown}");
    assert!(good(&world, "deny user1@example.net").contains("denied"));
    assert_eq!(rebond(&world, "check user1@example.net").status.code(), Some(5));
    let json = json_lines(&rebond(&world, "address user1@example.net --json")).remove(0);
    assert_eq!(json["lists"][0]["acts"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!(json["lists"][0]["standing"]["by"]["who"], "operator");
    assert!(!rebond(&world, "check nonsense").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_added_changed_shown_and_removed() {
    let world = World::start().await.unwrap();
    world.add_basic("bounces", |_| {}).await.unwrap();
    assert!(good(&world, "list list").contains("default"));
    good(&world, "list add news --account bounces --soft-errors 3 --mailbox-full 14d");
    let shown = json_lines(&rebond(&world, "list show news --json")).remove(0);
    assert_eq!(shown["thresholds"]["soft_errors"], 3);
    assert_eq!(shown["thresholds"]["mailbox_full"], 14 * 86_400);
    assert_eq!(shown["accounts"], serde_json::json!(["bounces"]));
    assert_eq!(shown["proof"], "ours");
    for wrong in [
        "list add news",
        "list add default",
        "list set nobody",
        "list add x --account nobody",
        "list add y --account bounces",
        "list set news --soft-errors 30",
        "list remove default",
        "list show nobody",
        "check a@example.com --list nobody",
    ] {
        assert!(!rebond(&world, wrong).status.success(), "{wrong}");
    }
    assert!(good(&world, "list set default --proof none").contains("Careful"));
    let first = good(&world, "stamp jane@example.org --from bounces@example.org --list news");
    assert!(first.starts_with("bounces+") && first.contains("=jane=example.org@example.org"), "{first}");
    assert!(first.contains("asks for signed addresses"), "{first}");
    assert_eq!(json_lines(&rebond(&world, "list show news --json"))[0]["proof"], "signed");
    let second = good(&world, "stamp jane@example.org --from bounces@example.org --list news");
    assert!(!second.contains("asks for signed"), "{second}");
    let many = "stamp - --from bounces@example.org --list news";
    let stamped = with_input(&world, many, "jane@example.org\n\n joe@example.org\n");
    let lines: Vec<String> = String::from_utf8(stamped.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(lines.len() == 2 && lines[0].contains("=jane=") && lines[1].contains("=joe="), "{lines:?}");
    let none = with_input(&world, many, "jane@example.org\nnobody\n");
    assert!(!none.status.success() && none.stdout.is_empty(), "one is no address, and nothing is printed");
    good(&world, "list remove news");
    assert_eq!(json_lines(&rebond(&world, "list list --json")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn standings_are_exported_and_imported_and_an_import_may_be_given_again() {
    let world = World::start().await.unwrap();
    let file = world.dir().join("in.csv");
    let rows: String =
        (0..300).map(|n| format!("user{n}@example.net,{},\"left, says \"\"x\"\"\"\n", ["", "denied"][n % 2])).collect();
    std::fs::write(&file, format!("\u{feff}address,state,why\n{rows}no address,denied,\n")).unwrap();
    let import = format!("import {}", file.display());
    let output = rebond(&world, &import);
    assert!(!output.status.success() && said(&output).contains("row 301 is left out"), "{}", said(&output));
    assert!(said(&output).contains("301 rows read: 300 standings changed, 1 rows left out"), "{}", said(&output));
    assert!(said(&rebond(&world, &import)).contains("301 rows read: 0 standings changed"));
    let skipped = good(&world, &format!("{import} --skip 301"));
    assert!(skipped.contains("0 standings changed, 0 rows left out"), "{skipped}");
    let answers = json_lines(&rebond(&world, "check user1@example.net user2@example.net --json"));
    assert_eq!((answers[0]["state"].as_str(), answers[1]["state"].as_str()), (Some("denied"), Some("quarantined")));
    assert_eq!(answers[0]["by"]["who"], "operator (import)");

    for (name, format) in [("out.csv", "csv"), ("out.jsonl", "jsonl")] {
        let out = world.dir().join(name);
        let exported = good(&world, &format!("export {}", out.display()));
        assert!(exported.contains("300 standings"), "{exported}");
        let text = std::fs::read_to_string(&out).unwrap();
        assert_eq!(text.lines().count(), if format == "csv" { 301 } else { 300 }, "{name}");
        // Into another place: the same answers.
        let other = World::start().await.unwrap();
        assert!(good(&other, &format!("import {}", out.display())).contains("300 standings changed"));
        let answers = json_lines(&rebond(&other, "check user1@example.net user2@example.net --json"));
        assert_eq!((answers[0]["state"].as_str(), answers[1]["state"].as_str()), (Some("denied"), Some("quarantined")));
    }

    // What led there, in our word and in Campaign's number.
    let whole = std::fs::read_to_string(world.dir().join("out.jsonl")).unwrap();
    let rows = whole.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    for row in rows {
        let code = if row["state"] == "denied" { 8 } else { 9 };
        assert_eq!((&row["reason"], &row["adobe_reason_code"]), (&"".into(), &code.into()), "{row}");
    }

    // A row says its list, which must be there; --list has the last word.
    let lists = world.dir().join("lists.csv");
    std::fs::write(&lists, "address,list\na@example.net,news\nb@example.net,\n").unwrap();
    let import = format!("import {}", lists.display());
    let without = rebond(&world, &import);
    assert!(said(&without).contains("row 1 is left out: there is no list \"news\""), "{}", said(&without));
    good(&world, "list add news");
    good(&world, &import);
    let on = |address: &str, list: &str| {
        let answers = json_lines(&rebond(&world, &format!("check {address} --list {list} --json")));
        answers[0]["state"].as_str().unwrap().to_owned()
    };
    let found = [on("a@example.net", "news"), on("a@example.net", "default"), on("b@example.net", "default")];
    assert_eq!(found, ["quarantined", "valid", "quarantined"]);
    good(&world, &format!("{import} --list default"));
    assert_eq!(on("a@example.net", "default"), "quarantined");

    // Broken off behind the heading: what stands behind the mark is written anew.
    let out = world.dir().join("again.csv");
    let whole = std::fs::read_to_string(world.dir().join("out.csv")).unwrap();
    let first = whole.lines().next().unwrap().len() + 2;
    std::fs::write(world.dir().join("again.csv.part"), &whole[..whole.len() / 2]).unwrap();
    let mark = serde_json::json!({ "bytes": first, "rows": 0, "next": ["ADDRESS#", "STANDING#"] });
    std::fs::write(world.dir().join("again.csv.part.mark"), mark.to_string()).unwrap();
    let resumed = rebond(&world, &format!("export {}", out.display()));
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert!(said(&resumed).contains("Going on behind 0 rows"), "{}", said(&resumed));
    assert!(!world.dir().join("again.csv.part").exists() && !world.dir().join("again.csv.part.mark").exists());
    let again = std::fs::read_to_string(&out).unwrap();
    assert_eq!(again.lines().next(), whole.lines().next(), "one heading");
}
