//! What an operator is told of accounts, and in which language.

use crate::cli::{assert_fails, run, run_well, run_with};
use crate::doctor::with_login;
use crate::kit_cli::logging;
use rebond::account::{AccountId, AfterReading, HealthState};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{Answer, Refusal};
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::world::{MAILBOX, World};
use serde_json::Value;

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
