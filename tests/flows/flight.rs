//! One flight across processes: many real `rebond` processes want a token of one grant at the same moment, at a provider
//! that rotates refresh tokens and revokes the family when an old one comes again. Exactly one asks it, nobody is refused.
//! 50 processes; 200 with `REBOND_LONG`. Once over one machine's files, once over the emulated Secrets Manager and DynamoDB.
#![allow(clippy::print_stdout, reason = "the figures are told")]

use rebond::account::HealthState;
use rebond::net::{Reach, Tls};
use rebond_cli::machine::Machine;
use rebond_cli::serve;
use rebond_standin::{Answer as Script, Entra, Refusal};
use rebond_tests::process::built;
use rebond_tests::stack::{Stack, account_id};
use rebond_tests::world::{MAILBOX, World};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many processes, and the milliseconds that the provider takes, so that all have started when it answers (it is given
/// ten seconds).
fn processes() -> (usize, u64) {
    if std::env::var_os("REBOND_LONG").is_some() { (200, 7_000) } else { (50, 4_000) }
}

/// `rebond token bounces`: needs a token, and has to renew for it when the one at hand is near its end.
fn refresher(environment: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(built("rebond").unwrap());
    command.args(["token", "bounces", "--json"]).env_remove("REBOND_KEY").env_remove("RUST_LOG");
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refreshes(entra: &Entra) -> usize {
    entra.log().iter().filter(|call| call.endpoint == "token" && call.grant_type == "refresh_token").count()
}

/// Starts them all, while the provider takes its time over the first who asks.
async fn fly(entra: &Entra, make: impl Fn() -> Command) {
    let (count, late) = processes();
    let before = refreshes(entra);
    entra.script(Refusal::token(Script::Late(late)));
    let started = Instant::now();
    let mut children: Vec<Child> = (0..count).map(|_| make().spawn().unwrap()).collect();
    let already_ended = children.iter_mut().filter_map(|child| child.try_wait().unwrap()).count();
    let at_once = count - already_ended;
    let ended = tokio::task::spawn_blocking(move || {
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect::<Vec<_>>()
    });
    let mut tokens = BTreeSet::new();
    for output in ended.await.unwrap() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}{}", output.status, String::from_utf8_lossy(&output.stdout));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let end = told["claims"].as_array().unwrap().iter().find(|claim| claim["name"] == "exp").unwrap();
        tokens.insert(end["found"].as_str().unwrap().to_owned());
    }
    let calls = refreshes(entra) - before;
    println!("{count} processes, {at_once} at once, {calls} refresh, {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!((calls, tokens.len()), (1, 1), "one call, and one token for all");
    assert!(at_once * 2 > count, "{at_once} of {count} ran at once");
    let refused = entra.log().into_iter().find(|call| call.endpoint == "token" && call.outcome != "ok");
    assert!(refused.is_none(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f42_many_processes_on_one_machine_are_one_flight() {
    let world = World::start().await.unwrap();
    world.entra.rotate_strictly(true);
    let id = world.add("bounces", |_| {}).await.unwrap();
    world.entra.script(Refusal::token(Script::expires_in(120)));
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    assert_eq!(world.deliver(&begun).await.unwrap().status, 200);
    let before = world.item(&id).await.unwrap().generation;
    let environment = [("REBOND_DIR", world.dir().display().to_string())];
    fly(&world.entra, || refresher(&environment)).await;
    assert_eq!(world.item(&id).await.unwrap().generation, before + 1);
    assert_eq!(world.poll(&id).await.unwrap().health.unwrap().state, HealthState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn f42_many_processes_on_one_stack_are_one_flight() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let stack = Stack::start(std::net::Ipv4Addr::LOCALHOST, "flight", &url).await.unwrap();
    stack.entra.rotate_strictly(true);
    let tls = Tls::new(Some(stack.imap.ca_pem().as_bytes())).unwrap();
    let vault = Arc::new(stack.vault.clone());
    let reach = Reach::public().with_loopback();
    let machine = Machine::over(stack.table.clone(), vault, reach, tls, Arc::new(jiff::Timestamp::now)).unwrap();
    let pages = serve::pages(&machine);
    tokio::spawn(async move { axum::serve(listener, pages).await });
    stack.entra.script(Refusal::token(Script::expires_in(120)));
    let walk = stack.person().walk(&stack.invitation().await.unwrap()).await.unwrap();
    assert_eq!(walk.status, 200, "{}", walk.text);
    let id = account_id().unwrap();
    let before = stack.table.account(&id).await.unwrap().unwrap().generation;
    let mut environment = stack.environment();
    for (name, value) in [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")]
    {
        environment.push((name, value.to_owned()));
    }
    let refresher = || {
        let mut command = refresher(&environment);
        command.args(["--stack", "flight"]);
        command
    };
    fly(&stack.entra, refresher).await;
    let item = stack.table.account(&id).await.unwrap().unwrap();
    assert_eq!(item.generation, before + 1);
    // What everybody was told is what the vault keeps: another process opens the mailbox with it, and renews it again.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let summary = machine.poller().poll(&id, "test", deadline, &()).await.unwrap();
    assert_eq!(summary.health.unwrap().state, HealthState::Active);
    machine.grants.renew(&item).await.unwrap();
    assert_eq!(refreshes(&stack.entra), 2);
}
