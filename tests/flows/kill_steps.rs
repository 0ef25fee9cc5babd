//! The process killed between every two steps of a renewal and of a callback. A step is a call of the table or of the vault;
//! what the provider was asked lies between two of them. At the chosen step nothing comes back any more and the flow is
//! dropped with all that it held in memory; then another process comes. Over the sealed file, and over Secrets Manager (moto).
#![allow(clippy::print_stdout, reason = "the figures are told")]

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use http::request::Parts;
use jiff::SignedDuration;
use rebond::account::{AccountId, HealthState};
use rebond::secret::Secret;
use rebond::vault::{Name, Put, SecretsManager, Vault, VaultError, Version};
use rebond_cli::embedded;
use rebond_cli::machine::Machine;
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::moto::Moto;
use rebond_tests::stack::config;
use rebond_tests::world::{Begun, MAILBOX, World};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

struct MortalVault(Arc<dyn Vault>, Arc<Life>);

impl MortalVault {
    async fn step(&self) {
        if !self.1.step() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Vault for MortalVault {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        self.step().await;
        self.0.get(name, version).await
    }
    async fn put(&self, name: &Name, version: uuid::Uuid, value: &Secret) -> Result<Put, VaultError> {
        self.step().await;
        self.0.put(name, version, value).await
    }
    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.step().await;
        self.0.remove(name).await
    }
}

/// A world, and the vault that its processes use.
struct Stage {
    world: World,
    vault: Arc<dyn Vault>,
    _moto: Option<Moto>,
}

impl Stage {
    async fn sealed_file() -> Self {
        let world = World::start().await.unwrap();
        let vault = Arc::clone(&world.machine.vault);
        Self { world, vault, _moto: None }
    }

    async fn secrets_manager() -> Self {
        let world = World::start().await.unwrap();
        let moto = Moto::start().unwrap();
        let client = aws_sdk_secretsmanager::Client::new(&config(moto.endpoint()).await);
        let vault: Arc<dyn Vault> = Arc::new(SecretsManager::new(client, "stack"));
        // The pages of the world read the same key and secret.
        for name in [Name::SigningKey, Name::App(world.app.id.clone())] {
            let value = world.machine.vault.get(&name, Version::Current).await.unwrap().unwrap();
            vault.put(&name, uuid::Uuid::from_u128(1), &value).await.unwrap();
        }
        Self { world, vault, _moto: Some(moto) }
    }

    /// Another process, with nothing in memory.
    async fn process(&self) -> Machine {
        self.process_over(self.world.machine.table.clone(), Arc::clone(&self.vault))
    }

    fn process_over(&self, table: rebond::table::Table, vault: Arc<dyn Vault>) -> Machine {
        let m = &self.world.machine;
        Machine::over(table, vault, m.reach.clone(), m.tls.clone(), Arc::clone(&m.clock)).unwrap()
    }

    /// One that is killed before the step after `steps`; whether it came to its end before that.
    async fn run<T: Send + 'static, F>(&self, steps: usize, flow: impl FnOnce(Machine) -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        // Opening looks whether there is a table, which is no step of the flow.
        let life = Life::of(usize::MAX);
        let table = embedded::table(SharedHttpConnector::new(MortalTable(self.world.connector(), Arc::clone(&life))));
        let table = table.await.unwrap();
        life.left.store(steps, Ordering::SeqCst);
        let vault = Arc::new(MortalVault(Arc::clone(&self.vault), Arc::clone(&life)));
        let mut task = tokio::spawn(flow(self.process_over(table, vault)));
        tokio::select! {
            ended = &mut task => Some(ended.unwrap()),
            () = life.over.notified() => {
                task.abort();
                let _ = task.await;
                None
            }
        }
    }

    /// What the browser sends back to us.
    fn request(begun: &Begun) -> Parts {
        let request = http::Request::get(&begun.callback).header("cookie", &begun.cookie).body(()).unwrap();
        request.into_parts().0
    }

    /// Signs in to the end.
    async fn connect(&self, id: &AccountId) {
        let begun = self.world.begin(id, &self.world.person(MAILBOX)).await.unwrap();
        let answer = self.process().await.oauth_callback().handle(&Self::request(&begun)).await;
        assert_eq!(answer.status(), 303);
        assert!(self.world.item(id).await.unwrap().principal.is_some());
    }

    /// The page that a reload shows.
    async fn result(&self, begun: &Begun) -> (u16, String) {
        let callback = self.process().await.oauth_callback();
        let answer = callback.handle(&Self::request(begun)).await;
        assert_eq!(answer.status(), 303, "{}", answer.body());
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let url = format!("{}{location}", self.world.origin());
        let page = callback.handle(&Self::request(&Begun { callback: url, cookie: begun.cookie.clone() })).await;
        (page.status().as_u16(), page.into_body())
    }

    async fn poll(&self, id: &AccountId) -> HealthState {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        self.process().await.poller().poll(id, "test", deadline, &()).await.unwrap().health.unwrap().state
    }

    fn refused(&self) -> usize {
        self.world.entra.log().iter().filter(|call| call.endpoint == "token" && call.outcome != "ok").count()
    }

    fn calls(&self) -> usize {
        self.world.entra.log().iter().filter(|call| call.endpoint == "token").count()
    }
}

/// Steps that no flow takes: past them it would be a loop.
const ENDLESS: usize = 60;

async fn renewal(stage: Stage, where_: &str) {
    let id = stage.world.add("bounces", |_| {}).await.unwrap();
    stage.connect(&id).await;
    let mut kills = 0;
    for steps in 0..=ENDLESS {
        assert!(steps < ENDLESS, "a renewal has no end");
        let item = stage.world.item(&id).await.unwrap();
        let before = stage.calls();
        let ended = stage.run(steps, |machine| async move { machine.grants.renew(&item).await.map(|_| ()) }).await;
        let asked = stage.calls() - before;
        assert!(asked <= 1, "{asked} calls before step {steps}");
        // The flight of who died is over; the next process goes on with what is there, and asks once at most.
        stage.world.advance(SignedDuration::from_secs(31));
        let (item, before) = (stage.world.item(&id).await.unwrap(), stage.calls());
        let token = stage.process().await.grants.renew(&item).await;
        assert!(token.is_ok(), "killed before step {steps}: {token:?}");
        assert!(stage.calls() - before <= 1);
        assert_eq!(stage.poll(&id).await, HealthState::Active, "killed before step {steps}");
        match ended {
            None => kills += 1,
            Some(ended) => {
                ended.unwrap();
                break;
            }
        }
    }
    assert!(kills >= 7, "{kills} steps");
    assert_eq!(stage.refused(), 0, "no token that was spent was ever shown again");
    println!("{where_}: a renewal killed before each of its {kills} steps, every time renewed by the next process");
}

/// A provider that rotates strictly takes the grant of who dies between its answer and the vault, and at no other step:
/// nobody can know what was never written. It ends in one sign-in, not in a loop.
async fn renewal_where_rotation_is_strict(stage: Stage, where_: &str) {
    stage.world.entra.rotate_strictly(true);
    let id = stage.world.add("bounces", |_| {}).await.unwrap();
    stage.connect(&id).await;
    let mut lost = Vec::new();
    for steps in 0..=ENDLESS {
        let item = stage.world.item(&id).await.unwrap();
        let ended = stage.run(steps, |machine| async move { machine.grants.renew(&item).await.map(|_| ()) }).await;
        stage.world.advance(SignedDuration::from_secs(31));
        let (item, before) = (stage.world.item(&id).await.unwrap(), stage.calls());
        if stage.process().await.grants.renew(&item).await.is_err() {
            lost.push(steps);
            stage.world.advance(SignedDuration::from_hours(2));
            assert_eq!(stage.poll(&id).await, HealthState::NeedsReconnect);
            assert!(stage.calls() - before <= 3, "it does not loop");
            stage.connect(&id).await;
        }
        assert_eq!(stage.poll(&id).await, HealthState::Active, "killed before step {steps}");
        if ended.is_some() {
            break;
        }
    }
    println!("{where_}, strict rotation: lost when killed before step {lost:?}, and at no other");
    assert_eq!(lost.len(), 1, "{lost:?}");
}

async fn callback(stage: Stage, where_: &str, reconnects: bool) {
    let (mut kills, mut connected, mut again) = (0, 0, 0);
    for steps in 0..=ENDLESS {
        assert!(steps < ENDLESS, "a callback has no end");
        let id = stage.world.add(&format!("box{steps}"), |_| {}).await.unwrap();
        if reconnects {
            stage.connect(&id).await;
        }
        let link = stage.world.link(&id).await.unwrap();
        let begun = stage.world.begin_at(&link, &stage.world.person(MAILBOX)).await.unwrap();
        let (parts, before) = (Stage::request(&begun), stage.calls());
        let ended =
            stage.run(steps, |machine| async move { machine.oauth_callback().handle(&parts).await.status() }).await;
        assert!(stage.calls() - before <= 1, "the code is redeemed once");
        // Whoever waits at the page is not left waiting for ever.
        stage.world.advance(SignedDuration::from_mins(3));
        let (status, page) = stage.result(&begun).await;
        assert!(stage.calls() - before <= 1, "a reload redeems nothing that was taken before");
        let (now, page_says) = (stage.world.item(&id).await.unwrap(), page.contains("The mailbox is connected"));
        if reconnects {
            assert_eq!(
                stage.poll(&id).await,
                HealthState::Active,
                "killed before step {steps}: what worked still works"
            );
        }
        match (page_says, now.principal.is_some() && !reconnects) {
            (true, _) => connected += 1,
            (false, true) => assert_eq!(status, 503, "{page}"),
            (false, false) => {
                assert!(status == 503 && page.contains("It broke off in the middle"), "{status} {page}");
                if now.connection == begun_connection(&stage, &link, &id).await {
                    // The same link works once more.
                    let walked = stage.world.begin_at(&link, &stage.world.person(MAILBOX)).await.unwrap();
                    let answer = stage.process().await.oauth_callback().handle(&Stage::request(&walked)).await;
                    assert_eq!(answer.status(), 303);
                    again += 1;
                }
            }
        }
        assert!(stage.world.item(&id).await.unwrap().principal.is_some(), "killed before step {steps}");
        assert_eq!(stage.poll(&id).await, HealthState::Active, "killed before step {steps}");
        match ended {
            None => kills += 1,
            Some(status) => {
                assert_eq!(status, 303);
                break;
            }
        }
    }
    assert!(kills >= 9 && connected >= 1 && again >= 1, "{kills} {connected} {again}");
    assert_eq!(stage.refused(), 0);
    let what = if reconnects { "a reconnection" } else { "a first connection" };
    println!(
        "{where_}: {what} killed before each of its {kills} steps; {again} times the same link was opened once more"
    );
}

/// The number of connections that an invitation still opens: what it was made for.
async fn begun_connection(stage: &Stage, link: &str, id: &AccountId) -> u64 {
    let opens = stage.world.get(link, "").await.unwrap().status == 302;
    let now = stage.world.item(id).await.unwrap().connection;
    if opens { now } else { u64::MAX }
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_a_renewal_killed_between_any_two_steps_costs_no_sign_in() {
    renewal(Stage::sealed_file().await, "sealed file").await;
    renewal(Stage::secrets_manager().await, "Secrets Manager").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_where_rotation_is_strict_one_step_costs_one_sign_in() {
    renewal_where_rotation_is_strict(Stage::sealed_file().await, "sealed file").await;
    renewal_where_rotation_is_strict(Stage::secrets_manager().await, "Secrets Manager").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_a_callback_killed_between_any_two_steps_ends_well() {
    callback(Stage::sealed_file().await, "sealed file", false).await;
    callback(Stage::secrets_manager().await, "Secrets Manager", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_a_reconnection_killed_between_any_two_steps_loses_nothing() {
    callback(Stage::sealed_file().await, "sealed file", true).await;
    callback(Stage::secrets_manager().await, "Secrets Manager", true).await;
}
