//! kill -9 of the real binary at random moments, against a real Dovecot whose mail it moves, marks or deletes: afterwards
//! every message is recorded exactly once and settled. `REBOND_KILLS` says how often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use rebond::account::{AccountId, AfterReading, Authentication, HealthState, Protocol};
use rebond::standing::{self, AddressKey, State, Thresholds};
use rebond::vault::Name;
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::process::built;
use rebond_tests::world::World;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const AT_ONCE: usize = 2_000;

fn count(dovecot: &Dovecot, folder: &str) -> usize {
    count_with(dovecot, folder, "ALL")
}

fn count_with(dovecot: &Dovecot, folder: &str, what: &str) -> usize {
    dovecot.doveadm(&["search", "-u", USER, "mailbox", folder, what]).unwrap().lines().count()
}

fn poll(world: &World) -> Command {
    let mut command = Command::new(built("rebond").unwrap());
    command.args(["poll", "bounces", "--json", "--dir"]).arg(world.dir());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A number below `end`: another one in each run, told when the test fails.
fn draw(seed: &mut u64, end: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % end
}

/// Kills in CI; `REBOND_LONG` makes it a thousand over the engines, `REBOND_KILLS` what it says.
fn kills() -> usize {
    let scaled = if std::env::var_os("REBOND_LONG").is_some() { 334 } else { 20 };
    std::env::var("REBOND_KILLS").ok().map_or(scaled, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_f02_killed_at_any_moment_a_poll_over_imap_loses_nothing_and_doubles_nothing() {
    kill_polls(Protocol::Imap, AfterReading::Move("Done".into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_f02_killed_at_any_moment_a_poll_over_imap_marks_what_it_read() {
    kill_polls(Protocol::Imap, AfterReading::Seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_f02_f03_killed_at_any_moment_a_poll_over_pop3_loses_nothing_and_doubles_nothing() {
    kill_polls(Protocol::Pop3, AfterReading::Delete).await;
}

async fn kill_polls(protocol: Protocol, after: AfterReading) {
    let kills = kills();
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let change = |account: &mut rebond::account::Account| {
        account.mailbox = USER.into();
        account.authentication = Authentication::Password { user: USER.into() };
        account.protocol = protocol;
        account.server.port = if protocol == Protocol::Imap { dovecot.imaps } else { dovecot.pop3s };
        account.reports = after.clone();
        // POP3 deletes when a session ends: sessions end often, so that some are killed just there.
        account.limits.session_messages = (protocol == Protocol::Pop3).then_some(100);
        account.sends_as = vec!["example.org".into()];
    };
    let id = world.add("bounces", change).await.unwrap();
    let name = Name::Password(id.clone());
    world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
    dovecot.deliver(USER, (0..AT_ONCE).map(bounce)).unwrap();
    dovecot.doveadm(&["mailbox", "create", "-u", USER, "Done"]).unwrap();
    // What was settled: not there any more, or flagged.
    let settled = |delivered: usize| match &after {
        AfterReading::Seen => count_with(&dovecot, "INBOX", "SEEN"),
        _ => delivered - count(&dovecot, "INBOX"),
    };

    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let (mut state, mut delivered, mut while_at_work) = (seed, AT_ONCE, 0);
    for _ in 0..kills {
        if delivered - settled(delivered) < AT_ONCE / 4 {
            dovecot.deliver(USER, (delivered..delivered + AT_ONCE / 2).map(bounce)).unwrap();
            delivered += AT_ONCE / 2;
        }
        let mut child = poll(&world).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + draw(&mut state, 1_500)));
        while_at_work += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        world.end_leases(&id).await.unwrap();
        // Nothing was settled that is not durable.
        let (settled, facts) = (settled(delivered), world.facts(&id).await.unwrap().len());
        assert!(settled <= facts, "{settled} settled, {facts} durable (seed {seed})");
    }
    assert!(while_at_work * 2 > kills, "{while_at_work} of {kills} polls were killed at work");
    finish(&world, &id).await;
    assert_eq!(settled(delivered), delivered, "seed {seed}");
    if let AfterReading::Move(_) = after {
        assert_eq!(count(&dovecot, "Done"), delivered, "seed {seed}");
    }
    let facts = world.facts(&id).await.unwrap();
    let addresses: BTreeSet<&str> = facts.iter().map(|fact| fact.report.recipients[0].address.as_str()).collect();
    assert_eq!((facts.len(), addresses.len()), (delivered, delivered), "seed {seed}");
    // Each fact has had its effect, and once.
    let keys: Vec<AddressKey> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let standings = world.machine.table.standings(&keys, &"default".parse().unwrap()).await.unwrap();
    assert_eq!(standings.len(), delivered, "seed {seed}");
    for item in standings {
        let standing = standing::read(&item.history, &Thresholds::default(), world.now().as_second());
        let told = (standing.state, item.history.causes.len(), item.version);
        assert_eq!(told, (State::Quarantined, 1, 1), "{} (seed {seed})", item.address);
    }
    println!(
        "{protocol:?}: {kills} kills, {while_at_work} at work, {delivered} messages, each recorded once, {after:?} (seed {seed})"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_killed_at_any_moment_a_renewal_costs_no_sign_in() {
    let kills: usize = std::env::var("REBOND_KILLS").ok().map_or(12, |text| text.parse().unwrap());
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut state = seed;
    let refresh = || {
        let mut command = Command::new(built("rebond").unwrap());
        command.args(["refresh", "bounces", "--dir"]).arg(world.dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let started = Instant::now();
    assert!(refresh().status().unwrap().success());
    let whole = started.elapsed().as_millis() as u64;
    for _ in 0..kills {
        let mut child = refresh().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(draw(&mut state, whole + 20)));
        child.kill().unwrap();
        child.wait().unwrap();
        world.end_leases(&id).await.unwrap();
        assert_eq!(world.item(&id).await.unwrap().health.state, HealthState::Active, "seed {seed}");
    }
    assert!(refresh().status().unwrap().success(), "seed {seed}");
    let summary = world.poll(&id).await.unwrap();
    assert_eq!(summary.health.unwrap().state, HealthState::Active, "seed {seed}");
    let refused = world.entra.log().into_iter().find(|call| call.endpoint == "token" && call.outcome != "ok");
    assert!(refused.is_none(), "{refused:?} (seed {seed})");
}

/// A last poll, undisturbed.
async fn finish(world: &World, id: &AccountId) {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let output = poll(world).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if summary["left"] == 0 {
            break;
        }
        assert!(Instant::now() < end, "{id} does not come to an end: {summary}");
    }
}
