//! `rebond account set`: settings of an account that stays, with its grant, its cursors and its facts.

use crate::cli::{assert_fails, run, run_well};
use rebond::account::{Account, AccountId, AfterReading, Authentication, Encryption, HealthState, Since};
use rebond::table::{Cursor, Folder};
use rebond_tests::mail::bounce;
use rebond_tests::world::{MAILBOX, World};
use serde_json::Value;

async fn set(world: &World, more: &[&str]) -> String {
    run_well(world.dir(), &[&["account", "set", "box"][..], more].concat(), "").await
}

async fn cursor(world: &World, id: &AccountId) -> Cursor {
    world.machine.table.cursor(id, &Folder("INBOX".into())).await.unwrap().unwrap()
}

/// What a poll by the command did.
async fn polled(world: &World) -> Value {
    let ran = run(world.dir(), &["poll", "box", "--json"]).await;
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

fn deliver(world: &World, number: u32) -> u32 {
    world.imap.deliver(MAILBOX, "INBOX", bounce(number as usize), world.now())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_while_grant_cursor_and_facts_stay() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    deliver(&world, 1);
    assert_eq!(polled(&world).await["recorded"], 1);
    let (before, read) = (world.item(&id).await.unwrap(), cursor(&world, &id).await);
    let keys = async || -> Vec<String> { world.facts(&id).await.unwrap().into_iter().map(|fact| fact.key).collect() };
    let facts = keys().await;
    assert_eq!(facts.len(), 1);

    let out = set(
        &world,
        &[
            "--reports",
            "seen",
            "--others",
            "move=Aside",
            "--period",
            "600",
            "--session-messages",
            "7",
            "--session-timeout",
            "60",
            "--idle-pause",
            "1200",
            "--sends-as",
            "example.org",
            "--label",
            "Returned mail",
            "--since",
            "new",
        ],
    )
    .await;
    assert!(out.starts_with("The settings of box are changed; its grant, cursors and facts stay."), "{out}");
    let item = world.item(&id).await.unwrap();
    let expected = Account {
        reports: AfterReading::Seen,
        others: AfterReading::Move("Aside".into()),
        period_seconds: 600,
        limits: rebond::account::Limits { session_messages: Some(7), session_seconds: Some(60), idle_seconds: 1_200 },
        sends_as: vec!["example.org".into()],
        label: Some("Returned mail".into()),
        since: Since::New,
        ..before.account.clone()
    };
    assert_eq!(item.account, expected);
    assert_eq!((item.generation, item.connection), (before.generation, before.connection));
    assert_eq!((&item.principal, item.token_expires), (&before.principal, before.token_expires));
    assert_eq!((&item.health, &item.last_poll), (&before.health, &before.last_poll));
    assert!(item.next_due <= jiff::Timestamp::now().as_second(), "due at once");
    assert_eq!(cursor(&world, &id).await, read);
    assert_eq!(keys().await, facts);

    // A poll reads on: the second message alone, by the new settings, with no new grant.
    let uid = deliver(&world, 2);
    let summary = polled(&world).await;
    assert_eq!((&summary["messages"], &summary["recorded"]), (&1.into(), &1.into()), "{summary}");
    let seen: Vec<u32> = world
        .imap
        .messages(MAILBOX, "INBOX")
        .into_iter()
        .filter(|(_, flags)| flags.iter().any(|flag| flag == "\\Seen"))
        .map(|(uid, _)| uid)
        .collect();
    assert_eq!(seen, [uid], "the first was read before");
    assert_eq!(world.token_calls("authorization_code"), 1);

    // What is not named stays; what is named `none`, or as nothing, is taken away.
    set(&world, &["--session-messages", "none", "--label", "", "--folder", "INBOX", "--folder", "Second"]).await;
    let account = world.item(&id).await.unwrap().account;
    assert_eq!((account.limits.session_messages, account.limits.session_seconds), (None, Some(60)));
    assert_eq!((account.label, account.folders), (None, vec!["INBOX".to_owned(), "Second".to_owned()]));
    assert_eq!((account.reports, account.period_seconds), (AfterReading::Seen, 600));
    // Naming what is so already is a setting, too.
    set(&world, &["--period", "600"]).await;
    assert_eq!(cursor(&world, &id).await.position.validity(), read.position.validity());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_switched_off_and_on_again_with_all_that_it_has() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    deliver(&world, 1);
    polled(&world).await;
    let before = world.item(&id).await.unwrap();

    let out = set(&world, &["--off"]).await;
    assert!(out.contains("rebond account set box --on"), "{out}");
    let off = world.item(&id).await.unwrap();
    assert_eq!((off.health.state, off.account.enabled), (HealthState::Disabled, false));
    world.advance(jiff::SignedDuration::from_hours(24));
    let due = world.machine.table.accounts_due(world.now()).await.unwrap();
    assert!(due.iter().all(|item| item.account.id != id));
    deliver(&world, 2);
    let ran = run(world.dir(), &["poll", "box"]).await;
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("0 messages read") && ran.out.contains("`rebond account set box --on`"), "{}", ran.out);
    let shown = run_well(world.dir(), &["account", "show", "box"], "").await;
    assert!(shown.contains("`rebond account set box --on`"), "{shown}");
    // A renewal that began before says what it found of an account that was off: that is nothing to one that is on.
    let found_off = off.health.clone();

    set(&world, &["--on"]).await;
    world.machine.table.set_health(&id, &found_off, None).await.unwrap();
    let on = world.item(&id).await.unwrap();
    assert_eq!((on.health.state, on.account.enabled), (HealthState::Active, true));
    assert!(on.next_due <= jiff::Timestamp::now().as_second(), "due at once");
    assert_eq!((on.generation, &on.principal), (before.generation, &before.principal));
    let summary = polled(&world).await;
    assert_eq!((&summary["messages"], &summary["recorded"]), (&1.into(), &1.into()), "{summary}");
    let audited = world.machine.table.audited(&id, 100).await.unwrap();
    let moved: Vec<_> = audited.iter().filter(|entry| entry.function == "rebond account set").collect();
    assert_eq!(moved.len(), 2);
    assert_eq!((moved[0].health_to, moved[1].health_to), (Some(HealthState::Active), Some(HealthState::Disabled)));

    // One that nobody has connected waits for somebody, as after a start.
    let id = world.add("waits", |account| account.enabled = false).await.unwrap();
    let out = run_well(world.dir(), &["account", "set", "waits", "--on"], "").await;
    assert!(out.contains("Next: rebond connect waits"), "{out}");
    let health = world.item(&id).await.unwrap().health;
    assert_eq!((health.state, health.advice), (HealthState::NotConnected, None));
    assert!(world.item(&id).await.unwrap().next_due > world.now().as_second());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_under_way_does_not_go_on_by_the_old_settings() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    let table = &world.machine.table;
    let (before, lease) = table.take_lease(&id, world.now(), 300).await.unwrap().unwrap();
    set(&world, &["--reports", "leave", "--period", "900"]).await;
    assert!(!table.holds_lease(&id, lease, world.now()).await.unwrap());
    assert!(!table.end_poll(&id, lease, &before.health, None, None).await.unwrap());
    assert_eq!(polled(&world).await["health"]["state"], "active", "nobody holds it");
    // Whoever changes what he read before that changes nothing.
    let old = table.replace_settings(&before, &before.account, &before.health, world.now()).await.unwrap();
    assert!(!old);
    assert_eq!(world.item(&id).await.unwrap().account.period_seconds, 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_moves_while_the_way_in_stays_and_both_may_change_at_once() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    let before = world.item(&id).await.unwrap();
    let out = set(&world, &["--server", "127.0.0.1:993"]).await;
    assert!(out.contains("It is read at 127.0.0.1:993 (tls)."), "{out}");
    set(&world, &["--encryption", "starttls"]).await;
    let item = world.item(&id).await.unwrap();
    let server = &item.account.server;
    assert_eq!((server.host.as_str(), server.port, server.encryption), ("127.0.0.1", 143, Encryption::Starttls));
    assert_eq!((item.generation, item.principal), (before.generation, before.principal));
    let app = world.app.id.as_str();
    set(&world, &["--app", app, "--app-only", "--period", "1200", "--server", "localhost"]).await;
    let item = world.item(&id).await.unwrap();
    assert!(matches!(item.account.authentication, Authentication::OauthApp { .. }));
    assert_eq!((item.account.period_seconds, item.account.server.port), (1_200, 993));
    assert_eq!((item.generation, item.principal), (before.generation + 1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_refused_and_change_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    let before = serde_json::to_value(world.item(&id).await.unwrap()).unwrap();
    for (more, code, words) in [
        (&["--on", "--off"][..], 2, "cannot be used with"),
        (&["--reports", "move=INBOX"], 1, "which is itself read, would never end"),
        (&["--folder", ""], 1, "is no folder name"),
        (&["--period", "5"], 1, "the period must be 60 to 86400 seconds"),
        (&["--session-messages", "0"], 1, "at least one message"),
        (&["--session-messages", "few"], 2, "say a number, or none"),
        (&["--sends-as", "nodot"], 1, "is no domain"),
        (&["--encryption", "none"], 1, "an access token never travels in clear"),
        (&["--period", "600", "--user", "x"], 2, "required arguments were not provided"),
        (&[], 2, "required arguments were not provided: --app <APP>, --password, or a setting"),
    ] {
        let args = [&["account", "set", "box"][..], more].concat();
        assert_fails(world.dir(), &args, "", code, words).await;
    }
    assert_eq!(serde_json::to_value(world.item(&id).await.unwrap()).unwrap(), before);
}
