//! Reading a mailbox: once and only once, whatever the server, the mail and the clock do.

use jiff::SignedDuration;
use rebond::account::{AccountId, AfterReading, HealthState, Since};
use rebond::poll::{Progress, Summary};
use rebond::report::Kind;
use rebond::table::Folder;
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_tests::mail::{bounce, bounce_of, letter};
use rebond_tests::world::{BASIC, POLL, World};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

fn inbox() -> Folder {
    Folder("INBOX".into())
}

fn deliver(world: &World, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
}

async fn poll_well(world: &World, id: &AccountId) -> Summary {
    let summary = world.poll(id).await.unwrap();
    assert_eq!(summary.health.as_ref().unwrap().state, HealthState::Active, "{summary:?}");
    summary
}

/// The addresses of all facts, each fact once.
async fn addresses(world: &World, id: &AccountId) -> Vec<String> {
    let facts = world.facts(id).await.unwrap();
    let mut all: Vec<String> = facts.into_iter().flat_map(|f| f.report.recipients).map(|o| o.address).collect();
    all.sort();
    all
}

fn late(command: &str, after: usize, milliseconds: u64) -> ImapFault {
    ImapFault { command: command.into(), after, times: 1, action: ImapAction::Late(milliseconds) }
}

/// Mail that carries this flag.
fn flagged(world: &World, folder: &str, flag: &str) -> Vec<u32> {
    let messages = world.imap.messages(BASIC, folder);
    messages.into_iter().filter(|(_, flags)| flags.iter().any(|one| one == flag)).map(|(uid, _)| uid).collect()
}

/// Whether the full counts are run.
fn long() -> bool {
    std::env::var_os("REBOND_LONG").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_of_two_polls_at_once_one_proceeds() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    for trial in 1..=if long() { 1_000 } else { 100 } {
        world.imap.script(late("SELECT", 0, 20));
        let (one, two) = tokio::join!(world.poll(&id), world.poll(&id));
        let busy = [one.unwrap(), two.unwrap()].iter().filter(|summary| summary.busy).count();
        assert_eq!(busy, 1, "trial {trial}");
        let selects = world.imap.log().iter().filter(|command| *command == "SELECT").count();
        assert_eq!(selects, trial, "who finds it busy does not connect");
    }
}

/// Time passes while a message is being recorded.
struct Pause<'a>(&'a World, SignedDuration);

impl Progress for Pause<'_> {
    fn recorded(&self, _: u64) {
        self.0.advance(self.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_who_is_paused_beyond_the_lease_touches_nothing_more() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.reports = AfterReading::Seen).await.unwrap();
    deliver(&world, (0..3).map(bounce));
    let deadline = Instant::now() + Duration::from_secs(60);
    let pause = Pause(&world, SignedDuration::from_mins(10));
    let summary = world.machine.poller().poll(&id, "paused", deadline, &pause).await.unwrap();
    assert!(summary.busy, "{summary:?}");
    assert!(flagged(&world, "INBOX", "\\Seen").is_empty());
    assert!(world.machine.table.cursor(&id, &inbox()).await.unwrap().is_none());
    assert_eq!(addresses(&world, &id).await.len(), 3, "what was durable stays durable");
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.recorded), (3, 0));
    assert_eq!(flagged(&world, "INBOX", "\\Seen").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_cursor_refuses_who_had_the_lease_before() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    deliver(&world, [bounce(1)]);
    poll_well(&world, &id).await;
    deliver(&world, [bounce(2)]);
    poll_well(&world, &id).await;
    let table = &world.machine.table;
    let now = table.cursor(&id, &inbox()).await.unwrap().unwrap();
    let stale = rebond::table::Cursor::new(now.position.clone(), now.fence - 1);
    assert!(!table.move_cursor(&id, &inbox(), None, &stale).await.unwrap());
    assert_eq!(table.cursor(&id, &inbox()).await.unwrap().unwrap(), now);
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_new_uidvalidity_reads_again_and_doubles_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    deliver(&world, (0..5).map(bounce));
    assert_eq!(poll_well(&world, &id).await.recorded, 5);
    world.imap.renumber(BASIC, "INBOX");
    deliver(&world, [bounce(5)]);
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.recorded), (6, 1));
    assert_eq!(addresses(&world, &id).await.len(), 6);
    assert_eq!(poll_well(&world, &id).await.messages, 0);
}

/// Another client removes mail after it was listed and before it is fetched.
struct Expunge<'a>(&'a World, Vec<u32>);

impl Progress for Expunge<'_> {
    fn folder(&self, _: &str, _: u64) {
        for uid in &self.1 {
            assert!(self.0.imap.expunge(BASIC, "INBOX", *uid));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_mail_that_goes_between_listing_and_fetching_is_no_fault() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.reports = AfterReading::Seen).await.unwrap();
    deliver(&world, (1..=10).map(bounce));
    let deadline = Instant::now() + Duration::from_secs(60);
    let expunge = Expunge(&world, vec![1, 4, 5, 10]);
    let summary = world.machine.poller().poll(&id, "test", deadline, &expunge).await.unwrap();
    assert_eq!((summary.messages, summary.recorded, summary.left), (6, 6, 0), "{summary:?}");
    let expected: Vec<String> = [2, 3, 6, 7, 8, 9].iter().map(|n| format!("user{n}@example.net")).collect();
    assert_eq!(addresses(&world, &id).await, expected, "each to its own message");
    assert_eq!(flagged(&world, "INBOX", "\\Seen"), [2, 3, 6, 7, 8, 9]);
    assert_eq!(poll_well(&world, &id).await.messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn since_days_leaves_old_mail_out_for_ever_wherever_it_lies() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.since = Since::Days(30)).await.unwrap();
    let old = world.now().checked_sub(SignedDuration::from_hours(100 * 24)).unwrap();
    // Old mail below, between and above the new: somebody moved it into the folder.
    for (number, arrival) in [(1, old), (2, world.now()), (3, old), (4, world.now()), (5, old)] {
        world.imap.deliver(BASIC, "INBOX", bounce(number), arrival);
    }
    assert_eq!(poll_well(&world, &id).await.messages, 2);
    deliver(&world, [bounce(6)]);
    assert_eq!(poll_well(&world, &id).await.messages, 1, "the re-scan leaves out what the first poll left out");
    let expected: Vec<String> = [2, 4, 6].iter().map(|n| format!("user{n}@example.net")).collect();
    assert_eq!(addresses(&world, &id).await, expected);
    // What is moved in later is new to us, however old it is.
    world.imap.deliver(BASIC, "INBOX", bounce(7), old);
    assert_eq!(poll_well(&world, &id).await.messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn since_new_reads_what_comes_after_the_first_poll() {
    let world = World::start().await.unwrap();
    let full = world.add_basic("full", |account| account.since = Since::New).await.unwrap();
    deliver(&world, (0..3).map(bounce));
    assert_eq!(poll_well(&world, &full).await.messages, 0);
    assert_eq!(poll_well(&world, &full).await.messages, 0);
    deliver(&world, (3..5).map(bounce));
    assert_eq!(poll_well(&world, &full).await.messages, 2);
    assert_eq!(addresses(&world, &full).await, ["user3@example.net", "user4@example.net"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn since_new_of_an_empty_mailbox_misses_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("empty", |account| account.since = Since::New).await.unwrap();
    assert_eq!(poll_well(&world, &id).await.messages, 0);
    deliver(&world, (0..2).map(bounce));
    assert_eq!(poll_well(&world, &id).await.messages, 2, "it came after the first poll");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_and_other_mail_are_settled_each_by_its_own_setting() {
    use AfterReading::{Delete, Leave, Move, Seen};
    let done = || Move("Done".to_owned());
    for (reports, others) in
        [(Leave, Leave), (Seen, Leave), (Leave, Seen), (done(), Leave), (Delete, done()), (done(), Delete)]
    {
        let world = World::start().await.unwrap();
        world.imap.renumber(BASIC, "Done");
        let change = |account: &mut rebond::account::Account| {
            (account.reports, account.others) = (reports.clone(), others.clone());
        };
        let id = world.add_basic("bounces", change).await.unwrap();
        deliver(&world, [bounce(1), letter(2), bounce(3), letter(4)]);
        let summary = poll_well(&world, &id).await;
        assert_eq!((summary.messages, summary.reports, summary.recorded), (4, 2, 4));
        let there = |uid: u32| world.imap.messages(BASIC, "INBOX").iter().any(|(found, _)| *found == uid);
        let seen = flagged(&world, "INBOX", "\\Seen");
        for (uids, after) in [([1, 3], &reports), ([2, 4], &others)] {
            for uid in uids {
                assert_eq!(there(uid), matches!(after, Leave | Seen), "{uid} after {after:?}");
                assert_eq!(seen.contains(&uid), *after == Seen, "{uid} after {after:?}");
            }
        }
        let moved = [&reports, &others].iter().filter(|after| ***after == done()).count() * 2;
        assert_eq!(world.imap.messages(BASIC, "Done").len(), moved);
        assert_eq!(poll_well(&world, &id).await.messages, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_said_and_nothing_is_lost() {
    let world = World::start().await.unwrap();
    let id =
        world.add_basic("reads", |account| account.folders = vec!["INBOX".into(), "Nowhere".into()]).await.unwrap();
    deliver(&world, [bounce(1)]);
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::Misconfigured, Some("folder-missing")));
    assert!(health.said.unwrap().contains("the folder \"Nowhere\" does not exist"));
    assert_eq!(addresses(&world, &id).await.len(), 1, "the folder before it was read");
    world.imap.renumber(BASIC, "Nowhere");
    poll_well(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_to_move_to_that_is_missing_keeps_mail_until_it_is_there() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("moves", |account| account.reports = AfterReading::Move("Done".into())).await.unwrap();
    deliver(&world, [bounce(1), letter(2)]);
    let summary = world.poll(&id).await.unwrap();
    let health = summary.health.unwrap();
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::Misconfigured, Some("folder-missing")));
    assert_eq!(summary.recorded, 2, "the facts are durable all the same");
    assert_eq!(world.imap.messages(BASIC, "INBOX").len(), 2);
    world.imap.renumber(BASIC, "Done");
    assert_eq!(poll_well(&world, &id).await.recorded, 0);
    assert_eq!(world.imap.messages(BASIC, "Done").len(), 1);
    assert_eq!(world.facts(&id).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_retried_with_growing_pauses() {
    let world = World::start().await.unwrap();
    let port = rebond_tests::process::free_port().unwrap();
    let id = world.add_basic("down", |account| account.server.port = port).await.unwrap();
    for (failures, pause) in [(1, 300), (2, 600), (3, 1_200)] {
        let health = world.poll(&id).await.unwrap().health.unwrap();
        assert_eq!((health.state, health.advice.as_deref()), (HealthState::Retrying, Some("server-unreachable")));
        assert_eq!(health.failures, failures);
        let said = health.said.unwrap();
        assert!(said.contains(&format!("no connection to localhost port {port}: connection refused")), "{said}");
        let due = world.item(&id).await.unwrap().next_due - world.now().as_second();
        assert!((pause - 5..=pause).contains(&due), "{due}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_a_certificate_of_another_host_or_of_nobody_is_refused_before_the_password() {
    let (port, ca) = foreign_server().await;
    for (trusted, advice, words) in [
        (ca.as_str(), "tls-name", "the certificate is not for localhost, it is for mail.example.com"),
        ("", "tls-issuer", "signed by a CA that we do not know"),
    ] {
        let world = World::start_trusting(trusted).await.unwrap();
        let id = world.add_basic("foreign", |account| account.server.port = port).await.unwrap();
        let health = world.poll(&id).await.unwrap().health.unwrap();
        assert_eq!(health.advice.as_deref(), Some(advice), "{health:?}");
        let said = health.said.unwrap();
        assert!(said.contains(words), "{said}");
        assert!(world.facts(&id).await.unwrap().is_empty());
    }
}

/// A TLS server whose certificate is for mail.example.com, and the authority that signed it.
async fn foreign_server() -> (u16, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Another test CA");
    let pem = ca.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    (port, pem)
}

#[tokio::test(flavor = "multi_thread")]
async fn f31_a_message_of_fifty_megabytes_is_read_from_its_front() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    let mut large = bounce(1);
    large.truncate(large.len() - "--=-b--\r\n".len());
    large.extend("The returned message went on and on, and so does this one.\r\n".repeat(54 << 14).bytes());
    assert!(large.len() > 50_000_000);
    deliver(&world, [large, bounce(2)]);
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.recorded), (2, 2));
    let facts = world.facts(&id).await.unwrap();
    let diagnostics = &facts[0].report.diagnostics;
    assert!(
        diagnostics.iter().any(|d| d.code == "cut" && d.text.contains("only the first 4194304 of")),
        "{diagnostics:?}"
    );
    assert_eq!(addresses(&world, &id).await, ["user1@example.net", "user2@example.net"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_mail_at_all_is_kept_as_other() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    let noise = |seed: u32| {
        let mut x = seed;
        (0..20_000)
            .map(move |_| {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                x as u8
            })
            .collect::<Vec<u8>>()
    };
    deliver(&world, [noise(7), vec![], noise(11), b"\r\n".to_vec(), vec![0; 3_000], b"-".repeat(9_000), bounce(1)]);
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.reports, summary.left, summary.unreadable), (7, 1, 0, 0), "{summary:?}");
    let facts = world.facts(&id).await.unwrap();
    // What holds nothing at all is one thing, however often it comes.
    assert!(facts.len() >= 5, "{}", facts.len());
    assert_eq!(facts.iter().filter(|fact| fact.kind == Kind::Other).count(), facts.len() - 1);
    assert_eq!(addresses(&world, &id).await, ["user1@example.net"]);
    assert_eq!(poll_well(&world, &id).await.messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_three_thousand_recipients_is_read_back_whole() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    let all: Vec<String> = (0..3_000).map(|n| format!("recipient{n:04}@subdomain.example.net")).collect();
    deliver(&world, [bounce_of(1, &all)]);
    assert_eq!(poll_well(&world, &id).await.recorded, 1);
    let facts = world.facts(&id).await.unwrap();
    assert_eq!(facts.len(), 1);
    assert!(facts[0].parts > 0, "more than one item");
    assert_eq!(addresses(&world, &id).await, all);
    let outcomes = &facts[0].report.recipients;
    assert!(outcomes.iter().all(|outcome| outcome.hard && outcome.status.as_deref() == Some("5.1.1")));
    let one = world.machine.table.fact(&id, &facts[0].key).await.unwrap().unwrap();
    assert_eq!(one.report, facts[0].report);
    // Removing the account removes the parts, too.
    world.machine.table.remove_mailbox(&id, true).await.unwrap();
    assert!(world.machine.table.fact(&id, &facts[0].key).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_poll_costs_five_round_trips_and_two_writes_at_most() {
    let world = World::start().await.unwrap();
    for since in [Since::All, Since::Days(30), Since::New] {
        let id = world.add_basic(&format!("s-{}", String::from(since)), |account| account.since = since).await.unwrap();
        deliver(&world, [bounce(1)]);
        poll_well(&world, &id).await;
        let before = world.faults.writes();
        let summary = poll_well(&world, &id).await;
        assert_eq!(summary.messages, 0);
        assert!(summary.round_trips <= 5, "{} round trips", summary.round_trips);
        assert!(summary.table_writes <= 2, "{} writes", summary.table_writes);
        assert_eq!(world.faults.writes() - before, summary.table_writes, "what is said is what was done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_deadline_in_mid_mailbox_leaves_the_rest_to_the_next_run() {
    let runs = if long() { 100 } else { 2 };
    for after in [AfterReading::Leave, AfterReading::Seen].into_iter().cycle().take(runs) {
        let world = World::start().await.unwrap();
        let id = world.add_basic("bounces", |account| account.reports = after.clone()).await.unwrap();
        // More than one chunk.
        deliver(&world, (0..1_050).map(bounce));
        // The listing, then one range, then silence beyond the deadline.
        world.imap.script(late("UID FETCH", 2, 60_000));
        let started = std::time::Instant::now();
        let deadline = Instant::now() + Duration::from_secs(8);
        let first = world.machine.poller().poll(&id, "test", deadline, &()).await.unwrap();
        // It plans to end two seconds before; a machine at many other things is a little late.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!(first.health.as_ref().unwrap().state, HealthState::Active, "{first:?}");
        assert!(first.messages > 0 && first.left > 0, "{first:?}");
        let item = world.item(&id).await.unwrap();
        assert!(item.next_due <= world.now().as_second(), "due at once for the rest");
        let second = poll_well(&world, &id).await;
        assert_eq!(second.left, 0);
        assert_eq!(first.recorded + second.recorded, 1_050);
        let addresses = addresses(&world, &id).await;
        assert_eq!((addresses.len(), addresses.iter().collect::<BTreeSet<_>>().len()), (1_050, 1_050));
        let seen = flagged(&world, "INBOX", "\\Seen").len();
        assert_eq!(seen, if after == AfterReading::Seen { 1_050 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_a_server_that_lets_a_whole_run_come_no_further_is_left_alone_for_longer_each_time() {
    for after in [AfterReading::Leave, AfterReading::Seen] {
        let world = World::start().await.unwrap();
        let id = world.add_basic("bounces", |account| account.reports = after.clone()).await.unwrap();
        deliver(&world, (0..100).map(bounce));
        let mut rests = Vec::new();
        for _ in 0..2 {
            // The listing, and then nothing beyond the deadline.
            world.imap.script(late("UID FETCH", 1, 60_000));
            let deadline = Instant::now() + Duration::from_secs(3);
            let summary = world.machine.poller().poll(&id, "test", deadline, &()).await.unwrap();
            let health = summary.health.unwrap();
            assert_eq!((health.state, health.advice.as_deref()), (HealthState::Retrying, Some("server-slow")));
            assert_eq!((summary.messages, summary.left), (0, 100), "{after:?}");
            rests.push(world.item(&id).await.unwrap().next_due - world.now().as_second());
        }
        assert!(rests[0] >= 290 && rests[1] >= 2 * rests[0] - 20, "{rests:?}");
        let summary = poll_well(&world, &id).await;
        assert_eq!((summary.messages, summary.left), (100, 0));
        assert_eq!(addresses(&world, &id).await.len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_whose_mail_is_changed_is_read_on_in_every_run() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.reports = AfterReading::Seen).await.unwrap();
    deliver(&world, (0..200).map(bounce));
    let mut left = 200;
    for _ in 0..2 {
        // The listing, one range in time, and then a range that does not come: what is cut off is read again.
        world.imap.script(late("UID FETCH", 2, 60_000));
        let deadline = Instant::now() + Duration::from_secs(10);
        let summary = world.machine.poller().poll(&id, "test", deadline, &()).await.unwrap();
        assert_eq!(summary.health.unwrap().state, HealthState::Active);
        assert!(summary.left < left, "{} of {left} are left", summary.left);
        left = summary.left;
        assert_eq!(flagged(&world, "INBOX", "\\Seen").len() as u64, 200 - left);
    }
    poll_well(&world, &id).await;
    assert_eq!(addresses(&world, &id).await.len(), 200);
    assert_eq!(flagged(&world, "INBOX", "\\Seen").len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_a_message_loses_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.reports = AfterReading::Delete).await.unwrap();
    deliver(&world, (0..50).map(bounce));
    for (command, action) in [
        ("UID FETCH", ImapAction::CutAfter(700)),
        ("UID FETCH", ImapAction::Drop),
        ("UID FETCH", ImapAction::Bye("Server is going down".into())),
        ("UID STORE", ImapAction::Drop),
        ("UID EXPUNGE", ImapAction::Tagged("NO [SERVERBUG] Internal error".into())),
        ("SELECT", ImapAction::Tagged("BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds".into())),
    ] {
        world.imap.script(ImapFault { command: command.into(), after: 0, times: 1, action: action.clone() });
        let summary = world.poll(&id).await.unwrap();
        assert_ne!(summary.health.unwrap().state, HealthState::Active, "{command} {action:?}");
    }
    poll_well(&world, &id).await;
    assert_eq!(addresses(&world, &id).await.len(), 50);
    assert!(world.imap.messages(BASIC, "INBOX").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f14_a_table_that_throttles_or_loses_answers_loses_and_doubles_nothing() {
    // As long as the poll may take, and a little.
    let lease = SignedDuration::try_from(POLL).unwrap() + SignedDuration::from_secs(10);
    for (throttled, lost) in [(500, 0), (0, 300)] {
        let world = World::start().await.unwrap();
        let id = world.add_basic("bounces", |account| account.reports = AfterReading::Seen).await.unwrap();
        deliver(&world, (0..60).map(bounce));
        let mut failed = 0;
        for _ in 0..3 {
            world.faults.set(throttled, lost);
            let started = world.now().as_second();
            let polled = world.poll(&id).await;
            world.faults.set(0, 0);
            if let Err(error) = polled {
                failed += 1;
                assert!(error.to_string().starts_with("the table could not be "), "{error}");
            }
            // Whatever happened, nothing is flagged that is not durable, and the lease has an end.
            let durable = addresses(&world, &id).await.len();
            assert!(flagged(&world, "INBOX", "\\Seen").len() <= durable);
            let key = serde_json::json!({"pk": {"S": "ACCOUNT#bounces"}, "sk": {"S": "ACCOUNT"}});
            let item = world.raw("GetItem", serde_json::json!({"TableName": "rebond", "Key": key})).await.unwrap();
            if let Some(until) = item["Item"]["lease_until"]["N"].as_str() {
                let seconds = until.parse::<i64>().unwrap() - started;
                assert!(seconds <= lease.as_secs(), "held for {seconds} s");
            }
            world.advance(lease + SignedDuration::from_secs(1));
        }
        assert!(throttled == 0 || failed > 0, "it did not throttle enough to be felt");
        poll_well(&world, &id).await;
        let all = addresses(&world, &id).await;
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (60, 60));
        assert_eq!(flagged(&world, "INBOX", "\\Seen").len(), 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_whichever_write_loses_its_answer_the_poll_goes_on() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    for (number, words) in ["ADD fence", "REPORT#", "CURSOR#", "REMOVE lease_until"].into_iter().enumerate() {
        deliver(&world, [bounce(number)]);
        world.faults.lose_once(words);
        let summary = poll_well(&world, &id).await;
        assert!(world.faults.was_lost(), "{words}");
        assert_eq!((summary.busy, summary.messages), (false, 1), "{words}: {summary:?}");
        assert_eq!(addresses(&world, &id).await.len(), number + 1);
        let again = poll_well(&world, &id).await;
        assert_eq!((again.busy, again.messages), (false, 0), "{words}: the lease was given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_new_misses_nothing_when_uids_lose_their_meaning() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.since = Since::New).await.unwrap();
    let old = world.now().checked_sub(SignedDuration::from_hours(100 * 24)).unwrap();
    world.imap.deliver(BASIC, "INBOX", bounce(0), old);
    assert_eq!(poll_well(&world, &id).await.messages, 0);
    world.advance(SignedDuration::from_hours(24));
    deliver(&world, [bounce(1)]);
    assert_eq!(poll_well(&world, &id).await.messages, 1);
    deliver(&world, [bounce(2)]);
    world.imap.renumber(BASIC, "INBOX");
    assert_eq!(poll_well(&world, &id).await.recorded, 1, "what came between two polls");
    assert_eq!(addresses(&world, &id).await, ["user1@example.net", "user2@example.net"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_missing_one_are_said() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    let name = rebond::vault::Name::Password(id.clone());
    world.machine.vault.put(&name, uuid::Uuid::from_u128(5), &"not-the-password".to_owned().into()).await.unwrap();
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::NeedsReconnect, Some("password-refused")));
    assert!(!format!("{health:?}").contains("not-the-password"));
    world.machine.vault.remove(&name).await.unwrap();
    let health = world.poll(&id).await.unwrap().health.unwrap();
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::Misconfigured, Some("password-missing")));
}
