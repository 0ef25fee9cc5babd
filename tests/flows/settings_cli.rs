//! What an operator is told of accounts and apps, in which language, and from where a command takes what it needs.

use crate::cli::{CLIENT_ID, assert_fails, run, run_well, run_with};
use crate::doctor::with_login;
use crate::kit_cli::logging;
use rebond::account::{AccountId, AfterReading, HealthState};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{Answer, Refusal};
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::process::built;
use rebond_tests::stack::Stack;
use rebond_tests::world::{MAILBOX, World};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn what_a_server_only_marks_as_deleted_is_said_by_every_poll_that_does_so() {
    let (log, _guard) = logging();
    // No MOVE and no UIDPLUS.
    let dovecot = Dovecot::start_with("imap_capability = IMAP4rev1\n").await.unwrap();
    dovecot.deliver(USER, [bounce(1), bounce(2)]).unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let deleting = |account: &mut rebond::account::Account| {
        (account.server.port, account.reports) = (dovecot.imaps, AfterReading::Delete);
    };
    let id = world.add_basic("box", deleting).await.unwrap();
    with_login(&world, &id, USER, PASSWORD).await;

    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.marked_deleted, summary.advice()), (2, 2, Some("expunge-missing")));
    assert_eq!(summary.health.unwrap().state, HealthState::Active, "the mailbox was read");
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.marked_deleted, summary.advice()), (0, 0, None));
    let lines = log.lines("mail stays in its folder");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((lines[0]["marked_deleted"].as_u64(), &lines[0]["account"]), (Some(2), &"box".into()));
    let sentence = lines[0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("`rebond account set box --reports leave --others leave`"), "{sentence}");

    dovecot.deliver(USER, [bounce(3)]).unwrap();
    let said = json(&run_well(world.dir(), &["poll", "box", "--json"], "").await);
    assert_eq!((&said["marked_deleted"], &said["advice"]), (&1.into(), &"expunge-missing".into()));
    dovecot.deliver(USER, [bounce(4)]).unwrap();
    let said = run_well(world.dir(), &["poll", "box", "--language", "fr"], "").await;
    assert!(said.contains("1 messages are marked as deleted and still lie in the mailbox."), "{said}");
    assert!(said.contains("Qui doit agir : un administrateur") && said.contains("UIDPLUS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_success_outlives_a_poll_that_fails() {
    let world = World::start().await.unwrap();
    let id: AccountId = world.add_basic("box", |_| {}).await.unwrap();
    assert_eq!(world.item(&id).await.unwrap().last_success, None);
    world.poll(&id).await.unwrap();
    let first = world.item(&id).await.unwrap();
    let success = first.last_success.unwrap();
    assert_eq!(first.last_poll.unwrap().at, success);

    world.advance(jiff::SignedDuration::from_hours(1));
    let action = ImapAction::Tagged("NO Server Unavailable. 15".into());
    world.imap.script(ImapFault { command: "SELECT".into(), after: 0, times: 1, action });
    let failed = world.poll(&id).await.unwrap();
    assert_ne!(failed.health.unwrap().state, HealthState::Active);
    let item = world.item(&id).await.unwrap();
    assert!(item.last_poll.unwrap().at >= success + 3_600);
    assert_eq!(item.last_success, Some(success));
    let time = |at: i64| jiff::Timestamp::from_second(at).unwrap().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let shown = run_well(world.dir(), &["account", "show", "box"], "").await;
    assert!(shown.contains(&format!("last success  {}\n", time(success))), "{shown}");
    assert!(shown.contains("   last poll  "), "{shown}");
    let listed = json(&run_well(world.dir(), &["account", "list", "--json"], "").await);
    assert_eq!(listed["last_success"], success);
    assert!(run_well(world.dir(), &["account", "list"], "").await.contains("last success"));

    world.advance(jiff::SignedDuration::from_hours(1));
    world.poll(&id).await.unwrap();
    assert!(world.item(&id).await.unwrap().last_success.unwrap() >= success + 7_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_is_printed_in_the_language_asked_for() {
    let world = World::start().await.unwrap();
    let missing = |account: &mut rebond::account::Account| account.folders.push("Nowhere".into());
    world.add_basic("box", missing).await.unwrap();
    world.add("waits", |_| {}).await.unwrap();
    for (args, code, words) in [
        (&["poll", "box"][..], 3, ["Who must act: the operator", "`rebond account set box --folder NAME`"]),
        (&["poll", "box", "--language", "fr"], 3, ["Qui doit agir : l’exploitant", "Créez-le, ou nommez"]),
        (&["--language", "fr", "account", "show", "box"], 0, ["Qui doit agir : ", "Ce qui a été répondu : "]),
        (&["account", "show", "box"], 0, ["Who must act: ", "What was said: "]),
        (&["account", "show", "waits", "--language", "fr"], 0, ["Personne ne l’a encore", "rebond connect waits"]),
    ] {
        let ran = run(world.dir(), args).await;
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        assert!(words.iter().all(|words| ran.out.contains(words)), "{args:?}: {}", ran.out);
    }
    assert_fails(world.dir(), &["account", "list", "--language", "de"], "", 2, "[possible values: en, fr]").await;
}

#[tokio::test]
async fn the_log_says_the_sentence_with_the_redirect_uri_itself() {
    let (log, _guard) = logging();
    let world = World::start().await.unwrap();
    let refused = || Refusal::token(Answer::error("invalid_client", 700025, "Client is public."));
    let step = format!("Register {} under the platform Web.", world.app.redirect_uri);
    let id = world.add("new", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    world.entra.script(refused());
    world.deliver(&begun).await.unwrap();
    let lines = log.lines("mailbox not connected");
    assert_eq!((lines.len(), &lines[0]["advice"]), (1, &"public-client".into()), "{lines:?}");
    assert!(lines[0]["sentence"].as_str().unwrap().ends_with(&step), "{lines:?}");

    let id = world.add_connected("box", |_| {}).await.unwrap();
    world.entra.script(refused());
    world.machine.token_refresh().run(Some(&id), "run", world.now()).await.unwrap();
    let lines = log.lines("health changed");
    let last = lines.last().unwrap();
    assert_eq!((&last["advice"], &last["account"]), (&"public-client".into(), &"box".into()));
    assert!(last["sentence"].as_str().unwrap().ends_with(&step), "{last}");
}

#[tokio::test]
async fn an_unencrypted_server_is_warned_of_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let add = ["account", "add", "lab", "--mailbox", "a", "--password", "--encryption", "none", "--server"];
    for (host, id) in [("localhost", "here"), ("127.0.0.1:1143", "there"), ("10.1.2.3", "near")] {
        let mut args = [&add[..], &[host]].concat();
        args[2] = id;
        let ran = run_with(dir.path(), &args, "pass-word").await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains("Warning: The password and all mail of") && ran.err.contains("in clear"),
            "{}",
            ran.err
        );
    }
    let ran = run(dir.path(), &["account", "set", "here", "--period", "600"]).await;
    assert!(ran.code == 0 && ran.err.contains("Warning: "), "{}", ran.err);
    let ran = run(dir.path(), &["account", "set", "here", "--encryption", "tls"]).await;
    assert!(ran.code == 0 && !ran.err.contains("Warning: "), "{}", ran.err);
}

#[tokio::test]
async fn apps_and_accounts_are_added_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let file = |name: &str, text: &str| {
        std::fs::write(at.join(name), text).unwrap();
        at.join(name).display().to_string()
    };
    let secret = file("secret.txt", "S3cret~value\n");
    let app = format!(
        "id = \"m365\"\ntenant = \"example.org\"\nclient-id = {CLIENT_ID:?}\nsecret-ends = 2099-01-31\nsecret-file = {secret:?}\n"
    );
    let out = run_well(at, &["app", "add", "--from", &file("app.toml", &app)], "").await;
    assert!(out.starts_with("App m365 is stored.") && !out.contains("S3cret"), "{out}");
    let listed = json(&run_well(at, &["app", "list", "--json"], "").await);
    assert_eq!((&listed["client_id"], &listed["tenant"]), (&CLIENT_ID.into(), &"example.org".into()));
    let account = r#"{ "id": "box", "mailbox": "bounces@example.org", "app": "m365", "app-only": true,
        "folder": ["INBOX", "Junk Email"], "reports": "move=Processed", "period": 600, "sends-as": ["example.org"] }"#;
    let account = file("box.json", account);
    run_well(at, &["account", "add", "--from", &account, "--period", "900"], "").await;
    let shown = json(&run_well(at, &["account", "show", "box", "--json"], "").await);
    let settings = &shown["settings"];
    assert_eq!(settings["authentication"], serde_json::json!({ "kind": "oauth-app", "app": "m365" }));
    assert_eq!(settings["folders"], serde_json::json!(["INBOX", "Junk Email"]));
    assert_eq!(settings["period_seconds"], 900, "the line goes before the file");

    for (text, words) in [
        ("client-secret = \"hunter2\"", "rebond account add has no argument client-secret"),
        ("password = \"hunter2\"", "password is true or false (a secret never stands in this file"),
        ("id = \"new\"\nmailbox = \"a\"\napp = \"m365\"\nperiod = \"soon\"", "invalid value 'soon' for '--period"),
        ("mailbox = \"a\"\napp = \"m365\"", "required arguments were not provided: <ID>"),
    ] {
        let ran = run(at, &["account", "add", "--from", &file("wrong.toml", text)]).await;
        assert!(ran.code == 2 && ran.err.contains(words) && !ran.err.contains("hunter2"), "{text}: {}", ran.err);
    }
    assert_eq!(run_well(at, &["account", "list", "--json"], "").await.lines().count(), 1, "nothing else was added");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_for_a_stack_takes_the_redirect_uri_that_the_stack_says() {
    let stack = Stack::start(Ipv4Addr::LOCALHOST, "prod", "https://mail.example.com").await.unwrap();
    let uri = "https://abc.execute-api.us-east-1.amazonaws.com/oauth/callback";
    let template = serde_json::json!({
        "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } },
        "Outputs": { "Api": { "Value": "a&b" }, "RedirectUri": { "Description": "To register.", "Value": uri } },
    });
    make_stack(stack.services(), "prod", &template).await;
    make_stack(stack.services(), "other", &serde_json::json!({ "Resources": template["Resources"] })).await;
    let add =
        ["app", "add", "m365", "--tenant", "example.org", "--client-id", CLIENT_ID, "--secret-file", "-", "--stack"];
    let (code, out, err) = on_stack(&stack, &[&add[..], &["prod"]].concat()).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("\n    {uri}\n")), "{out}");
    let app = stack.table.app(&"m365".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(app.redirect_uri, uri);
    // What is said goes before.
    let said = "https://mail.example.com/oauth/callback";
    let mut other = [&add[..], &["prod", "--redirect-uri", said]].concat();
    other[2] = "second";
    assert_eq!(on_stack(&stack, &other).await.0, 0);
    let app = stack.table.app(&"second".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(app.redirect_uri, said);
    for (name, words) in [
        ("other", "the stack has no output RedirectUri: say it with --redirect-uri"),
        ("nobody", "(ValidationError: Stack with id nobody does not exist): say it with --redirect-uri"),
    ] {
        let (code, _, err) = on_stack(&stack, &[&add[..], &[name]].concat()).await;
        assert!(code == 1 && err.contains(words), "{err}");
    }
}

async fn make_stack(services: &str, name: &str, template: &Value) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("Action", "CreateStack"), ("Version", "2010-05-15"), ("StackName", name)])
        .append_pair("TemplateBody", &template.to_string())
        .finish();
    let signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/cloudformation/aws4_request, SignedHeaders=host, \
        Signature=x";
    let request = reqwest::Client::new().post(services).header("authorization", signed);
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// The binary with the credentials of an operator of a stack.
async fn on_stack(stack: &Stack, args: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(built("rebond").unwrap());
    command.args(args).envs(stack.environment()).env_remove("RUST_LOG").kill_on_drop(true);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"S3cret~value").await;
    let ran = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.code().unwrap_or(-1), text(ran.stdout), text(ran.stderr))
}
