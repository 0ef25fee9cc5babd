//! kill -9 of the real binary at random moments, against a real Dovecot (and the stand-in for Graph) whose mail it moves,
//! marks or deletes: afterwards every message is recorded exactly once and settled. `REBOND_KILLS` says how often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use jiff::Timestamp;
use rebond::account::{AccountId, AfterReading, Authentication, HealthState, Protocol};
use rebond::standing::{self, AddressKey, State, Thresholds};
use rebond::vault::Name;
use rebond_cli::embedded;
use rebond_standin::GraphMail;
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::process::built;
use rebond_tests::world::{MAILBOX, World};
use std::collections::BTreeSet;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const AT_ONCE: usize = 2_000;

/// What holds the mail.
enum Server {
    Dovecot(Dovecot),
    Graph(GraphMail),
}

impl Server {
    fn deliver(&self, bounces: Range<usize>) {
        match self {
            Self::Dovecot(dovecot) => drop(dovecot.deliver(USER, bounces.map(bounce)).unwrap()),
            Self::Graph(graph) => {
                bounces.for_each(|n| drop(graph.deliver(MAILBOX, "Inbox", bounce(n), Timestamp::now())))
            }
        }
    }

    fn make_folder(&self, name: &str) {
        match self {
            Self::Dovecot(dovecot) => drop(dovecot.doveadm(&["mailbox", "create", "-u", USER, name]).unwrap()),
            Self::Graph(graph) => graph.make_folder(MAILBOX, name),
        }
    }

    fn count(&self, folder: &str) -> usize {
        match self {
            Self::Dovecot(_) => self.search(folder, "ALL"),
            Self::Graph(graph) => graph.messages(MAILBOX, if folder == "INBOX" { "Inbox" } else { folder }).len(),
        }
    }

    fn count_seen(&self) -> usize {
        match self {
            Self::Dovecot(_) => self.search("INBOX", "SEEN"),
            Self::Graph(graph) => graph.messages(MAILBOX, "Inbox").iter().filter(|(_, seen)| *seen).count(),
        }
    }

    fn search(&self, folder: &str, what: &str) -> usize {
        let Self::Dovecot(dovecot) = self else { return 0 };
        dovecot.doveadm(&["search", "-u", USER, "mailbox", folder, what]).unwrap().lines().count()
    }
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
    let scaled = if std::env::var_os("REBOND_LONG").is_some() { 250 } else { 15 };
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

#[tokio::test(flavor = "multi_thread")]
async fn f01_f02_killed_at_any_moment_a_poll_by_graph_loses_nothing_and_doubles_nothing() {
    kill_polls(Protocol::Graph, AfterReading::Move("Done".into())).await;
}

async fn kill_polls(protocol: Protocol, after: AfterReading) {
    let kills = kills();
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let change = |account: &mut rebond::account::Account| {
        account.protocol = protocol;
        account.server.port = match protocol {
            Protocol::Imap => dovecot.imaps,
            Protocol::Pop3 => dovecot.pop3s,
            Protocol::Graph => world.graph.port(),
        };
        if protocol != Protocol::Graph {
            account.mailbox = USER.into();
            account.authentication = Authentication::Password { user: USER.into() };
        }
        account.reports = after.clone();
        // POP3 deletes when a session ends: sessions end often, so that some are killed just there.
        account.limits.session_messages = (protocol == Protocol::Pop3).then_some(100);
        account.sends_as = vec!["example.org".into()];
    };
    let (id, server) = match protocol {
        Protocol::Graph => {
            (world.add_connected("bounces", change).await.unwrap(), Server::Graph(world.graph.mail().clone()))
        }
        _ => (world.add("bounces", change).await.unwrap(), Server::Dovecot(dovecot)),
    };
    let name = Name::Password(id.clone());
    world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
    server.deliver(0..AT_ONCE);
    server.make_folder("Done");
    // What was settled: not there any more, or flagged.
    let settled = |delivered: usize| match &after {
        AfterReading::Seen => server.count_seen(),
        _ => delivered - server.count("INBOX"),
    };

    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let (mut state, mut delivered, mut while_at_work) = (seed, AT_ONCE, 0);
    // On a busy machine a poll gets nowhere within such times: they grow where a few in a row got nowhere.
    let (mut longest, mut by_then, mut idle) = (750, 0, 0);
    for number in 1..=kills {
        if delivered - settled(delivered) < AT_ONCE / 4 {
            server.deliver(delivered..delivered + AT_ONCE / 2);
            delivered += AT_ONCE / 2;
        }
        let mut child = poll(&world).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + draw(&mut state, longest)));
        while_at_work += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        world.end_leases(&id).await.unwrap();
        let settled = settled(delivered);
        idle = if settled == by_then { idle + 1 } else { 0 };
        if idle == 4 {
            (longest, idle) = ((longest + 250).min(6_000), 0);
        }
        by_then = settled;
        // Nothing was settled that is not durable; counting takes longer than a kill, and what is settled stays so.
        if number.is_multiple_of(10) || number == kills {
            let durable = count_facts(&world, &id).await;
            assert!(settled <= durable, "{settled} settled, {durable} durable (seed {seed})");
        }
    }
    assert!(by_then > 0, "no poll got anywhere before it was killed (seed {seed})");
    assert!(while_at_work * 2 > kills, "{while_at_work} of {kills} polls were killed at work");
    finish(&world, &id).await;
    assert_eq!(settled(delivered), delivered, "seed {seed}");
    if let AfterReading::Move(_) = after {
        assert_eq!(server.count("Done"), delivered, "seed {seed}");
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
        "{protocol:?}: {kills} kills, {while_at_work} at work, {by_then} settled by then; {delivered} messages, \
         each recorded once, {after:?} (seed {seed})"
    );
}

/// How many facts an account has: reading thousands at each kill would take longer than the kills.
async fn count_facts(world: &World, id: &AccountId) -> usize {
    let text = |text: String| AttributeValue::S(text);
    let query = embedded::client(world.connector())
        .query()
        .table_name(embedded::TABLE)
        .select(Select::Count)
        .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
        .expression_attribute_values(":pk", text(format!("ACCOUNT#{id}")))
        .expression_attribute_values(":prefix", text("REPORT#".into()));
    let (mut count, mut from) = (0, None);
    loop {
        let page = query.clone().set_exclusive_start_key(from).send().await.unwrap();
        count += usize::try_from(page.count).unwrap();
        from = page.last_evaluated_key;
        if from.is_none() {
            return count;
        }
    }
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
