//! The life of a grant: renewed before it ends, by one flight at a time, through crashes, refusals and outages.

use futures::future::join_all;
use jiff::SignedDuration;
use rebond::account::{AccountId, Authentication, HealthState, SecretSource};
use rebond::advice::{self, Language};
use rebond::secret::{ExposeSecret, Secret};
use rebond::vault::{Name, Put, Vault, VaultError, Version};
use rebond_cli::machine::Machine;
use rebond_standin::{Answer as Script, Refusal};
use rebond_tests::process::built;
use rebond_tests::world::{MAILBOX, World};
use rebond_tests::{mail, world};
use rebond_token_refresh::{HORIZON, JITTER};
use serde_json::json;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const TWO_HOURS: SignedDuration = SignedDuration::from_hours(2);

/// The sentence that a person reads for the account's health.
async fn sentence(world: &World, id: &AccountId) -> String {
    let item = world.item(id).await.unwrap();
    let advice = advice::by_id(item.health.advice.as_deref().unwrap_or_default()).unwrap();
    format!("{} {}", advice.sentence(Language::English, id.as_str(), ""), advice.who.words(Language::English))
}

async fn assert_polls(world: &World, id: &AccountId) {
    let health = world.poll(id).await.unwrap().health.unwrap();
    assert_eq!(health.state, HealthState::Active, "{health:?}");
}

/// The grant as the vault keeps it for the account's generation.
async fn has_grant(world: &World, id: &AccountId) -> bool {
    world.machine.vault.get(&Name::Grant(id.clone()), Version::Current).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_renews_a_token_near_its_end_and_no_other() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let first = world.item(&id).await.unwrap();
    assert_polls(&world, &id).await;
    assert_eq!(world.token_calls("refresh_token"), 0, "a fresh token is not renewed");
    let left = first.token_expires.unwrap() - world.now().as_second();
    world.advance(SignedDuration::from_secs(left - 240));
    assert_polls(&world, &id).await;
    assert_polls(&world, &id).await;
    assert_eq!(world.token_calls("refresh_token"), 1);
    let second = world.item(&id).await.unwrap();
    assert_eq!(second.generation, first.generation + 1);
    assert!(second.token_expires.unwrap() > world.now().as_second() + 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_server_refuses_is_renewed_once_and_tried_again() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    // The provider's clock is ahead of ours: we take the token for good.
    world.entra.advance_clock(TWO_HOURS);
    assert_polls(&world, &id).await;
    assert_eq!(world.token_calls("refresh_token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_renews_within_its_horizon() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let idle = world.add_connected("idle", |account| account.enabled = false).await.unwrap();
    let waiting = world.add("waiting", |_| {}).await.unwrap();
    let refresh = world.machine.token_refresh();
    let summary = refresh.run(None, "test", world.now()).await.unwrap();
    assert_eq!((summary.accounts, summary.renewed, summary.failed), (2, 0, 0));
    // To the second, and by each account at a time of its own.
    let end = world.item(&id).await.unwrap().token_expires.unwrap();
    let horizon = HORIZON.as_secs() + id.spread(JITTER.as_secs());
    assert!((30 * 60..45 * 60).contains(&horizon));
    for (left, renewed) in [(horizon, 0), (horizon - 1, 1)] {
        let now = jiff::Timestamp::from_second(end - left).unwrap();
        let summary = refresh.run(None, "test", now).await.unwrap();
        assert_eq!((summary.accounts, summary.renewed, summary.failed), (2, renewed, 0), "{left}");
    }
    // What is not polled is kept alive all the same, a week apart.
    world.advance(SignedDuration::from_hours(7 * 24));
    let before = world.item(&idle).await.unwrap().generation;
    refresh.run(None, "test", world.now()).await.unwrap();
    assert_eq!(world.item(&idle).await.unwrap().generation, before + 1);
    assert_eq!(world.item(&waiting).await.unwrap().health.state, HealthState::NotConnected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f42_fifty_renewals_at_once_are_one_flight() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    world.entra.rotate_strictly(true);
    for round in 1..=3 {
        let item = world.item(&id).await.unwrap();
        world.entra.script(Refusal::token(Script::Late(200)));
        let tokens = join_all((0..50).map(|_| world.machine.grants.renew(&item))).await;
        let tokens: Vec<Secret> = tokens.into_iter().map(|token| token.unwrap()).collect();
        assert!(tokens.iter().all(|token| token.expose_secret() == tokens[0].expose_secret()));
        assert_eq!(world.token_calls("refresh_token"), round);
        assert_eq!(world.item(&id).await.unwrap().generation, item.generation + 1);
    }
    assert!(world.entra.log().iter().all(|call| call.endpoint != "token" || call.outcome == "ok"));
    assert_polls(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f42_eight_processes_share_one_flight() {
    let world = World::start().await.unwrap();
    world.entra.rotate_strictly(true);
    let id = world.add("bounces", |_| {}).await.unwrap();
    // A token that ends within the margin: the polls must renew it, too.
    world.entra.script(Refusal::token(Script::expires_in(120)));
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    assert_eq!(world.deliver(&begun).await.unwrap().status, 200);
    let before = world.item(&id).await.unwrap().generation;
    world.entra.script(Refusal::token(Script::Late(1_500)));
    let binary = built("rebond").unwrap();
    let children: Vec<_> = (0..8)
        .map(|number| {
            let command = if number % 2 == 0 { "refresh" } else { "poll" };
            let mut child = tokio::process::Command::new(&binary);
            child.args([command, "bounces", "--dir"]).arg(world.dir()).stdin(Stdio::null()).kill_on_drop(true);
            (command, child.output())
        })
        .collect();
    let (commands, outputs): (Vec<_>, Vec<_>) = children.into_iter().unzip();
    for (command, output) in commands.into_iter().zip(join_all(outputs).await) {
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // Of the polls one proceeds and the others find it busy; of the renewals none fails.
        let allowed: &[i32] = if command == "poll" { &[0, 4] } else { &[0] };
        assert!(allowed.contains(&output.status.code().unwrap()), "{command}: {said}");
    }
    let item = world.item(&id).await.unwrap();
    let calls = world.token_calls("refresh_token");
    assert!((1..=4).contains(&calls), "{calls}");
    assert_eq!(item.generation, before + calls as u64, "one call for each generation");
    let refused = world.entra.log().into_iter().filter(|call| call.endpoint == "token" && call.outcome != "ok").count();
    assert_eq!(refused, 0);
    assert_eq!(item.health.state, HealthState::Active);
    assert_polls(&world, &id).await;
}

/// A vault after whose put the process is gone.
struct Deadly(Arc<dyn Vault>);

#[async_trait::async_trait]
impl Vault for Deadly {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        self.0.get(name, version).await
    }
    async fn put(&self, name: &Name, version: uuid::Uuid, value: &Secret) -> Result<Put, VaultError> {
        self.0.put(name, version, value).await?;
        std::future::pending().await
    }
    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.0.remove(name).await
    }
}

/// The world's machine over another vault.
fn over(world: &World, vault: Arc<dyn Vault>) -> Machine {
    let m = &world.machine;
    Machine::over(m.table.clone(), vault, m.reach.clone(), m.tls.clone(), Arc::clone(&m.clock)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_what_a_crash_left_in_the_vault_is_adopted_without_a_call() {
    let world = World::start().await.unwrap();
    world.entra.rotate_strictly(true);
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let item = world.item(&id).await.unwrap();
    let dying = over(&world, Arc::new(Deadly(Arc::clone(&world.machine.vault))));
    let killed = tokio::time::timeout(Duration::from_secs(2), dying.grants.renew(&item)).await;
    assert!(killed.is_err(), "it died between vault and table");
    assert_eq!(world.item(&id).await.unwrap().generation, item.generation);
    assert_eq!(world.token_calls("refresh_token"), 1);
    // Its flight is over; whoever comes next adopts what it left.
    world.advance(SignedDuration::from_secs(31));
    world.machine.grants.renew(&world.item(&id).await.unwrap()).await.unwrap();
    assert_eq!(world.token_calls("refresh_token"), 1);
    assert_eq!(world.item(&id).await.unwrap().generation, item.generation + 1);
    assert_polls(&world, &id).await;
    world.machine.grants.renew(&world.item(&id).await.unwrap()).await.unwrap();
    assert_polls(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_a_lost_answer_costs_nothing_at_entra_and_a_sign_in_where_rotation_is_strict() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    world.advance(TWO_HOURS);
    world.entra.script(Refusal::token(Script::Lost));
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!(health.state, HealthState::Retrying, "{health:?}");
    assert_polls(&world, &id).await;

    world.entra.rotate_strictly(true);
    world.advance(TWO_HOURS);
    world.entra.script(Refusal::token(Script::Lost));
    assert_eq!(world.poll(&id).await.unwrap().health.unwrap().state, HealthState::Retrying);
    let before = world.token_calls("refresh_token");
    for _ in 0..3 {
        world.poll(&id).await.unwrap();
    }
    assert_eq!(world.item(&id).await.unwrap().health.state, HealthState::NeedsReconnect);
    assert!(world.token_calls("refresh_token") <= before + 3, "it never loops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_grant_asks_for_a_sign_in_which_keeps_everything() {
    let world = World::start().await.unwrap();
    world.imap.deliver(MAILBOX, "INBOX", mail::bounce(1), world.now());
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    assert_eq!(world.poll(&id).await.unwrap().recorded, 1);
    let folder = rebond::table::Folder("INBOX".into());
    let cursor = world.machine.table.cursor(&id, &folder).await.unwrap().unwrap();
    world.entra.revoke_all();
    world.advance(TWO_HOURS);
    let begun = world.now().as_second();
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!(health.state, HealthState::NeedsReconnect);
    let sentence = sentence(&world, &id).await;
    assert!(sentence.contains("Run `rebond connect bounces` and sign in once more."), "{sentence}");
    assert!(sentence.contains("the person who signs in"), "{sentence}");
    assert!(health.said.unwrap().contains("AADSTS50173"));
    assert_eq!(world.machine.table.cursor(&id, &folder).await.unwrap().unwrap(), cursor);
    // Tried again a few times a day, no more.
    assert!(world.item(&id).await.unwrap().next_due >= begun + 6 * 3_600);
    let walk = world.person(MAILBOX).walk(&world.link(&id).await.unwrap()).await.unwrap();
    assert_eq!(walk.status, 200, "{}", walk.text);
    world.imap.deliver(MAILBOX, "INBOX", mail::bounce(2), world.now());
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.recorded), (1, 1), "the cursor was kept");
    assert_eq!(world.facts(&id).await.unwrap().len(), 2);
    assert_eq!(world.item(&id).await.unwrap().account.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_finds_a_dead_grant_before_the_poll_does() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    world.entra.revoke_all();
    world.advance(TWO_HOURS);
    let refresh = world.machine.token_refresh();
    let summary = refresh.run(None, "test", world.now()).await.unwrap();
    assert_eq!((summary.renewed, summary.failed), (0, 1));
    assert_eq!(world.item(&id).await.unwrap().health.state, HealthState::NeedsReconnect);
    // Until somebody signs in it is not asked every quarter of an hour.
    refresh.run(None, "test", world.now()).await.unwrap();
    let walk = world.person(MAILBOX).walk(&world.link(&id).await.unwrap()).await.unwrap();
    assert_eq!(walk.status, 200, "{}", walk.text);
    assert_eq!(world.item(&id).await.unwrap().health.state, HealthState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_provider_passes_and_the_grant_is_kept() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let generation = world.item(&id).await.unwrap().generation;
    let altered = |members: serde_json::Value| Script::Altered(members.as_object().unwrap().clone());
    for (script, state, words) in [
        (Script::html(503), HealthState::Retrying, "busy (HTTP 503)"),
        (Script::throttled(5), HealthState::Retrying, "busy (HTTP 429)"),
        (Script::html(200), HealthState::Retrying, "no token answer (HTTP 200)"),
        (Script::huge(10_000_000), HealthState::Retrying, "more than 65536 bytes"),
        (altered(json!({"access_token": null})), HealthState::Retrying, "no token answer"),
        (Script::error("temporarily_unavailable", 90055, "busy"), HealthState::Retrying, "AADSTS90055"),
        (Script::error("invalid_client", 7000222, "expired"), HealthState::Misconfigured, "AADSTS7000222"),
        (Script::error_in_200("invalid_grant"), HealthState::NeedsReconnect, "invalid_grant"),
    ] {
        world.advance(TWO_HOURS);
        world.entra.script(Refusal::token(script.clone()));
        let health = world.poll(&id).await.unwrap().health.unwrap();
        assert_eq!(health.state, state, "{script:?}: {health:?}");
        assert!(health.said.as_ref().unwrap().contains(words), "{health:?}");
        assert!(!sentence(&world, &id).await.is_empty());
        assert!(has_grant(&world, &id).await);
        // Nobody acted; the next poll goes on with the very same grant.
        assert_polls(&world, &id).await;
    }
    assert_eq!(world.item(&id).await.unwrap().generation, generation + 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_retried() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let port = rebond_tests::process::free_port().unwrap();
    let nowhere = rebond::account::App { authority: Some(format!("http://localhost:{port}")), ..world.app.clone() };
    world.machine.table.remove_app(&world.app.id).await.unwrap();
    world.machine.table.add_app(&nowhere).await.unwrap();
    world.advance(TWO_HOURS);
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::Retrying, Some("provider-unreachable")));
    assert!(has_grant(&world, &id).await);
    world.machine.table.remove_app(&world.app.id).await.unwrap();
    world.machine.table.add_app(&world.app).await.unwrap();
    assert_polls(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f44_a_renewal_without_a_refresh_token_keeps_the_old_one() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    for _ in 0..2 {
        world.entra.script(Refusal::token(Script::no_refresh_token()));
        world.machine.grants.renew(&world.item(&id).await.unwrap()).await.unwrap();
    }
    world.machine.grants.renew(&world.item(&id).await.unwrap()).await.unwrap();
    assert_polls(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_removed_is_said_by_name() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    world.machine.vault.remove(&Name::App(world.app.id.clone())).await.unwrap();
    world.advance(TWO_HOURS);
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!(health.state, HealthState::Misconfigured);
    assert!(health.said.unwrap().contains("store it with `rebond app secret stand-in`"));
    let secret = world::CLIENT_SECRET.to_owned().into();
    world.machine.vault.put(&Name::App(world.app.id.clone()), uuid::Uuid::from_u128(7), &secret).await.unwrap();
    assert_polls(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_answers_are_lost_ends_no_grant() {
    let world = World::start().await.unwrap();
    world.entra.rotate_strictly(true);
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    for _ in 0..5 {
        let item = world.item(&id).await.unwrap();
        world.faults.set(0, 250);
        let _ = tokio::time::timeout(Duration::from_secs(20), world.machine.grants.renew(&item)).await;
        world.faults.set(0, 0);
        world.advance(SignedDuration::from_secs(31));
    }
    world.machine.grants.renew(&world.item(&id).await.unwrap()).await.unwrap();
    assert!(world.entra.log().iter().all(|call| call.endpoint != "token" || call.outcome == "ok"));
    assert_polls(&world, &id).await;
}

/// A vault that somebody else writes into: what is asked for first is replaced just after it was read.
struct Rotated {
    vault: Arc<dyn Vault>,
    name: Name,
    /// What it holds: the last is current from the second question on.
    values: [&'static str; 2],
    asked: AtomicUsize,
}

#[async_trait::async_trait]
impl Vault for Rotated {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        if *name != self.name {
            return self.vault.get(name, version).await;
        }
        let at = self.asked.fetch_add(1, Ordering::Relaxed).min(1);
        Ok(Some(self.values[at].to_owned().into()))
    }
    async fn put(&self, name: &Name, version: uuid::Uuid, value: &Secret) -> Result<Put, VaultError> {
        self.vault.put(name, version, value).await
    }
    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.vault.remove(name).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f45_a_secret_that_is_replaced_during_a_run_costs_one_more_try() {
    let world = World::start().await.unwrap();
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:client";
    let app = rebond::account::App { secret_from: Some(SecretSource::Arn(arn.into())), ..world.app.clone() };
    let person = world.add_connected("person", |_| {}).await.unwrap();
    let app_only = |account: &mut rebond::account::Account| {
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let robot = world.add("robot", app_only).await.unwrap();
    assert!(world.machine.table.replace_app(&app).await.unwrap());
    let rotated = |values: [&'static str; 2]| {
        let vault = Arc::clone(&world.machine.vault);
        Arc::new(Rotated { vault, name: Name::Foreign(arn.into()), values, asked: AtomicUsize::new(0) })
    };
    let outcomes = |from: usize| -> Vec<String> {
        let calls = world.entra.log().into_iter().filter(|call| call.endpoint == "token").skip(from);
        calls.map(|call| call.outcome).collect()
    };
    for id in [&person, &robot] {
        world.advance(TWO_HOURS);
        let before = outcomes(0).len();
        let vault = rotated(["the-value-of-yesterday", world::CLIENT_SECRET]);
        let machine = over(&world, Arc::clone(&vault) as Arc<dyn Vault>);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let summary = machine.poller().poll(id, "test", deadline, &()).await.unwrap();
        assert_eq!(summary.health.unwrap().state, HealthState::Active, "{id}");
        assert_eq!(outcomes(before), ["invalid_client 7000215", "ok"], "{id}: one refusal, one more try");
        // The next run reads it anew: nothing of it is kept, so nothing of it is stale.
        world.advance(TWO_HOURS);
        machine.poller().poll(id, "test", deadline, &()).await.unwrap();
        assert_eq!(outcomes(before + 2), ["ok"], "{id}");
    }
    // One that is wrong and stays so is tried once.
    for values in [["wrong", "wrong"], ["wrong", "wrong as well"]] {
        world.advance(TWO_HOURS);
        let before = outcomes(0).len();
        let machine = over(&world, rotated(values));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let summary = machine.poller().poll(&person, "test", deadline, &()).await.unwrap();
        assert_eq!(summary.health.unwrap().state, HealthState::Misconfigured);
        assert_eq!(outcomes(before).len(), if values[0] == values[1] { 1 } else { 2 }, "it never loops");
    }
}

/// A vault that may be down, and says how often it was asked.
struct Down {
    vault: Arc<dyn Vault>,
    down: AtomicBool,
    asked: AtomicUsize,
}

impl Down {
    fn check(&self) -> Result<(), VaultError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.down.load(Ordering::Relaxed) {
            true => Err(VaultError::Service { name: "grant".into(), said: "InternalServiceError".into() }),
            false => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Vault for Down {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        self.check()?;
        self.vault.get(name, version).await
    }
    async fn put(&self, name: &Name, version: uuid::Uuid, value: &Secret) -> Result<Put, VaultError> {
        self.check()?;
        self.vault.put(name, version, value).await
    }
    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.check()?;
        self.vault.remove(name).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f46_a_vault_that_is_down_costs_a_warm_process_nothing_and_a_cold_one_its_run() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let vault = Arc::clone(&world.machine.vault);
    let vault = Arc::new(Down { vault, down: AtomicBool::new(false), asked: AtomicUsize::new(0) });
    let process = || over(&world, Arc::clone(&vault) as Arc<dyn Vault>);
    let poll = async |machine: &Machine| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        machine.poller().poll(&id, "test", deadline, &()).await
    };
    let (warm, cold) = (process(), process());
    assert_eq!(poll(&warm).await.unwrap().health.unwrap().state, HealthState::Active);
    vault.down.store(true, Ordering::Relaxed);
    let asked = vault.asked.load(Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(poll(&warm).await.unwrap().health.unwrap().state, HealthState::Active);
    }
    assert_eq!(vault.asked.load(Ordering::Relaxed), asked, "what is at hand needs no vault");
    // Whoever has nothing at hand fails at once, says so once, and is asked again later and later.
    let mut pauses = vec![];
    for _ in 0..3 {
        let (started, asked) = (std::time::Instant::now(), vault.asked.load(Ordering::Relaxed));
        let fault = poll(&cold).await.unwrap_err().to_string();
        assert!(fault.contains("the vault could not be asked"), "{fault}");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(vault.asked.load(Ordering::Relaxed), asked + 1, "asked once a run");
        let item = world.item(&id).await.unwrap();
        assert_eq!((item.health.state, item.health.advice.as_deref()), (HealthState::OurFault, Some("our-store")));
        pauses.push(item.next_due - world.now().as_second());
    }
    assert!(pauses.windows(2).all(|two| two[1] > two[0] + 200), "{pauses:?}");
    let news = world.machine.table.audited(&id, 10).await.unwrap();
    let news = news.iter().filter(|entry| entry.health_to == Some(HealthState::OurFault)).count();
    assert_eq!(news, 1, "it is news once");
    // What is at hand is not used past its end.
    world.advance(TWO_HOURS);
    assert!(poll(&warm).await.is_err());
    vault.down.store(false, Ordering::Relaxed);
    for machine in [&cold, &warm] {
        assert_eq!(poll(machine).await.unwrap().health.unwrap().state, HealthState::Active);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_place_may_hold_the_client_id_too() {
    let world = World::start().await.unwrap();
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:client";
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let app = rebond::account::App {
        secret_from: Some(SecretSource::Arn(arn.into())),
        client_id: String::new(),
        client_id_given: true,
        ..world.app.clone()
    };
    app.check().unwrap();
    assert!(world.machine.table.replace_app(&app).await.unwrap());
    let both = json!({ "client_id": world.app.client_id, "client_secret": world::CLIENT_SECRET }).to_string();
    for (value, state) in [(world::CLIENT_SECRET, HealthState::Misconfigured), (both.leak(), HealthState::Active)] {
        world.advance(TWO_HOURS);
        let (vault, name) = (Arc::clone(&world.machine.vault), Name::Foreign(arn.into()));
        let vault = Rotated { vault, name, values: [value, value], asked: AtomicUsize::new(0) };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let summary = over(&world, Arc::new(vault)).poller().poll(&id, "test", deadline, &()).await.unwrap();
        let health = summary.health.unwrap();
        assert_eq!(health.state, state, "{health:?}");
        assert!(!health.said.unwrap_or_default().contains(world::CLIENT_SECRET));
    }
    let found = world.machine.table.app(&app.id).await.unwrap().unwrap();
    assert_eq!(found.client_id, world.app.client_id);
}
