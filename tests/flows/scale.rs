//! Many mailboxes, and many messages in one: scaled down, or at their full counts with `REBOND_LONG`.
#![allow(clippy::print_stdout, reason = "the figures are told")]

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use futures::StreamExt;
use jiff::SignedDuration;
use rebond::account::{Account, AccountId, Authentication, HealthState, Protocol};
use rebond::cursor::Position;
use rebond::queue::{PollRequest, Queue, QueueError};
use rebond::secret::Secret;
use rebond::table::Folder;
use rebond::vault::{Name, Put, Vault, VaultError, Version};
use rebond_bounce_poll::Event;
use rebond_poll_dispatch::PollDispatch;
use rebond_tests::dovecot::{Dovecot, USER, USERS};
use rebond_tests::mail::letter;
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, PASSWORD, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A vault that knows one password, for as many accounts as there are.
struct OnePassword(Arc<dyn Vault>);

#[async_trait::async_trait]
impl Vault for OnePassword {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        match name {
            Name::Password(_) => Ok(Some(PASSWORD.to_owned().into())),
            _ => self.0.get(name, version).await,
        }
    }
    async fn put(&self, name: &Name, version: uuid::Uuid, value: &Secret) -> Result<Put, VaultError> {
        self.0.put(name, version, value).await
    }
    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.0.remove(name).await
    }
}

/// What the dispatcher queues.
#[derive(Default)]
struct Queued(Mutex<Vec<PollRequest>>);

#[async_trait::async_trait]
impl Queue for Queued {
    async fn send(&self, polls: Vec<PollRequest>) -> Result<(), QueueError> {
        self.0.lock().unwrap().extend(polls);
        Ok(())
    }
}

/// 200 mailboxes, or 10,000 with `REBOND_LONG`, of which one in a hundred is on a host that drops every packet: batches of
/// ten from the queue, ten batches at once, as the template has it.
#[tokio::test(flavor = "multi_thread")]
async fn f17_of_many_mailboxes_those_on_dead_hosts_hold_up_no_other() {
    const BATCHES: usize = 10;
    let count: usize = if std::env::var_os("REBOND_LONG").is_some() { 10_000 } else { 200 };
    let world = World::start().await.unwrap();
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let hole = full.local_addr().unwrap().port();
    let mut held = vec![];
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(("127.0.0.1", hole))).await
    {
        held.push(stream);
    }
    world.imap.deliver(BASIC, "INBOX", letter(1), world.now());
    let m = &world.machine;
    let vault: Arc<dyn Vault> = Arc::new(OnePassword(Arc::clone(&m.vault)));
    let machine = rebond_cli::machine::Machine::over(
        m.table.clone(),
        vault,
        m.reach.clone(),
        m.tls.clone(),
        Arc::clone(&m.clock),
    )
    .unwrap();
    let dead = |number: usize| number % 100 == 50;
    let ids: Vec<AccountId> = (0..count).map(|number| format!("a{number}").parse().unwrap()).collect();
    for (number, id) in ids.iter().enumerate() {
        let change = |account: &mut Account| {
            account.mailbox = BASIC.into();
            account.authentication = Authentication::Password { user: BASIC.into() };
            if dead(number) {
                account.server.port = hole;
            }
        };
        world.add(id.as_str(), change).await.unwrap();
    }
    let queue = Arc::new(Queued::default());
    let dispatch = PollDispatch { table: machine.table.clone(), queue: Arc::clone(&queue) as Arc<dyn Queue> };
    let (mut lags, mut took) = (vec![], Duration::ZERO);
    for round in 0..3 {
        let due = dispatch.run("tick", world.now()).await.unwrap();
        let dead_ones = count / 100;
        // After two failures the dead ones are asked half as often.
        let expected = if round == 2 { count - dead_ones } else { count };
        assert_eq!((due.due, due.queued), (expected as u64, expected as u64), "round {round}");
        let polls = std::mem::take(&mut *queue.0.lock().unwrap());
        if round == 2 {
            break;
        }
        let (started, begun) = (Instant::now(), world.now().as_second());
        let batches: Vec<Vec<PollRequest>> = polls.chunks(10).map(<[PollRequest]>::to_vec).collect();
        let running = batches.into_iter().map(|batch| {
            let poller = machine.poller();
            tokio::spawn(async move {
                let mut event = SqsEvent::default();
                event.records = batch
                    .iter()
                    .map(|poll| {
                        let mut message = SqsMessage::default();
                        message.message_id = Some(poll.account.to_string());
                        message.body = Some(serde_json::to_string(poll).unwrap());
                        message
                    })
                    .collect();
                let deadline = Instant::now() + Duration::from_secs(110);
                rebond_bounce_poll::handle(&poller, Event::Batch(event), "run", deadline, |_| {}).await.unwrap();
            })
        });
        futures::stream::iter(running).buffer_unordered(BATCHES).for_each(|ended| async { ended.unwrap() }).await;
        took = took.max(started.elapsed());
        for (number, id) in ids.iter().enumerate() {
            let item = world.item(id).await.unwrap();
            let state = if dead(number) { HealthState::Retrying } else { HealthState::Active };
            assert_eq!(item.health.state, state, "{id}: {:?}", item.health);
            if !dead(number) {
                lags.push(item.last_poll.unwrap().at - begun);
            }
        }
        world.advance(SignedDuration::from_secs(301));
    }
    lags.sort_unstable();
    let (p50, p99) = (lags[lags.len() / 2], lags[lags.len() * 99 / 100]);
    println!("{count} mailboxes, {} dead: lag p50 {p50} s, p99 {p99} s; a round took {took:?}", count / 100);
    assert!(p99 < i64::from(Account::PERIOD_SECONDS), "p99 {p99} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_a_backlog_of_a_million_is_read_in_bounded_runs_and_memory() {
    work_off_a_backlog(Protocol::Imap, 1_000_000, 64).await;
}

/// Over POP3 the whole mailbox is named by each listing, and what was read is remembered message by message. Of a million
/// Dovecot does not say in time how large they are.
#[tokio::test(flavor = "multi_thread")]
async fn f18_a_backlog_is_read_over_pop3_too() {
    work_off_a_backlog(Protocol::Pop3, 300_000, 64).await;
}

/// 1,500 messages in a real Dovecot, or `many` with `REBOND_LONG`, read by the real program (`REBOND_BINARY`, or the debug
/// build) in bounded runs and megabytes.
async fn work_off_a_backlog(protocol: Protocol, many: usize, megabytes: usize) {
    let long = std::env::var_os("REBOND_LONG").is_some();
    let (count, session, step) = if long { (many, 60, 20_000) } else { (1_500, 60, 500) };
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let from_dovecot = |account: &mut Account, user: &str| {
        account.protocol = protocol;
        account.server.port = if protocol == Protocol::Pop3 { dovecot.pop3s } else { dovecot.imaps };
        account.mailbox = user.into();
        account.authentication = Authentication::Password { user: user.into() };
    };
    let other = USERS[1];
    let full = world
        .add("full", |account| {
            from_dovecot(account, USER);
            account.limits.session_seconds = Some(session);
            account.limits.session_messages = (!long).then_some(step);
        })
        .await
        .unwrap();
    let small = world.add("small", |account| from_dovecot(account, other)).await.unwrap();
    for id in [&full, &small] {
        let name = Name::Password(id.clone());
        let password = rebond_tests::dovecot::PASSWORD.to_owned().into();
        world.machine.vault.put(&name, uuid::Uuid::nil(), &password).await.unwrap();
    }
    dovecot.deliver(USER, (0..count).map(letter)).unwrap();
    dovecot.doveadm(&["index", "-u", USER, "INBOX"]).unwrap();
    let binary = std::env::var_os("REBOND_BINARY").map_or_else(|| built("rebond").unwrap(), Into::into);
    // By hand it goes on in runs of that length until nothing is left; meanwhile others have their turn.
    let mut child = std::process::Command::new(&binary)
        .args(["poll", "full", "--json", "--dir"])
        .arg(world.dir())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (started, mut turns, mut peak, mut highest) = (Instant::now(), 0, 0_usize, 0);
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        peak = peak.max(high.unwrap_or(0));
        dovecot.deliver(other, [letter(turns)]).unwrap();
        assert_eq!(world.poll(&small).await.unwrap().recorded, 1, "others have their turn");
        turns += 1;
        if let Some(cursor) = world.machine.table.cursor(&full, &Folder("INBOX".into())).await.unwrap() {
            let reached = match cursor.position {
                Position::Imap(position) => position.highest as usize,
                Position::Pop3(position) => position.uidls.len(),
                other => panic!("{other:?}"),
            };
            assert!(reached >= highest, "it only gets further");
            highest = reached;
        }
        tokio::time::sleep(Duration::from_millis(if long { 1_000 } else { 100 })).await;
    }
    let output = child.wait_with_output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (read, took) = (summary["messages"].as_u64().unwrap(), started.elapsed().as_secs_f64());
    println!(
        "{read} messages in {took:.0} s beside {turns} other polls, {:.0} a second; peak {} MB",
        read as f64 / took,
        peak >> 10
    );
    assert_eq!(
        (read, summary["recorded"].as_u64(), summary["left"].as_u64()),
        (count as u64, Some(read), Some(0)),
        "{summary}"
    );
    assert!(turns > 1, "nobody had a turn");
    assert_eq!(world.poll(&full).await.unwrap().messages, 0);
    assert!(peak < megabytes << 10, "{peak} KB");
}
