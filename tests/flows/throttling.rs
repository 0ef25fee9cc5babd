//! A server that asks to be left alone is: the account rests, no function sleeps. Quiet mailboxes rest longer.

use rebond::account::{Account, AfterReading, Authentication, HealthState, Protocol};
use rebond::vault::Name;
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{ExchangeFront, FrontSettings};
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::world::{BASIC, World};
use std::time::Instant;

/// An account whose mail is in a Dovecot behind the front.
async fn behind(world: &World, front: &ExchangeFront, protocol: Protocol) -> rebond::account::AccountId {
    let (id, port) = match protocol {
        Protocol::Imap => ("imap", front.imap_port()),
        Protocol::Pop3 => ("pop3", front.pop3_port()),
        Protocol::Graph => unreachable!("Graph speaks for itself: see graph.rs"),
    };
    let change = |account: &mut Account| {
        account.mailbox = USER.into();
        account.authentication = Authentication::Password { user: USER.into() };
        account.protocol = protocol;
        account.server.port = port;
    };
    let id = world.add(id, change).await.unwrap();
    let name = Name::Password(id.clone());
    world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exchange_says_when_it_is_busy_lets_the_account_rest() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (0..5).map(bounce)).unwrap();
    let front = ExchangeFront::start(FrontSettings::new(dovecot.imap, dovecot.pop3)).await.unwrap();
    let world = World::start_trusting(front.ca_pem()).await.unwrap();
    let imap = behind(&world, &front, Protocol::Imap).await;
    let pop3 = behind(&world, &front, Protocol::Pop3).await;
    let backoff =
        |seconds: u32| format!("Request is throttled. Suggested Backoff Time: {} milliseconds", seconds * 1_000);
    let (long, short) = (backoff(1_800), backoff(5));
    for (id, command, answer, advice, rest) in [
        (&imap, "SELECT", format!("BAD {long}"), "throttled", 1_800),
        (&imap, "AUTHENTICATE", format!("BAD {short}"), "throttled", 600),
        (&imap, "UID FETCH", "BYE Connection closed. 14".to_owned(), "throttled", 1_200),
        (&imap, "SELECT", "NO Server Unavailable. 15".to_owned(), "server-unreachable", 2_400),
        (&pop3, "UIDL", format!("-ERR {long}"), "throttled", 1_800),
        (&pop3, "AUTH", "-ERR [LOGIN-DELAY] too soon".to_owned(), "throttled", 600),
        (&pop3, "UIDL", "-ERR Server Unavailable. 15".to_owned(), "server-unreachable", 1_200),
        (&pop3, "RETR", "-ERR Connection closed. 14".to_owned(), "throttled", 2_400),
    ] {
        front.refuse(command, &answer);
        let (started, before) = (Instant::now(), world.now().as_second());
        let health = world.poll(id).await.unwrap().health.unwrap();
        assert!(started.elapsed().as_secs() < 5, "nobody sleeps: {:?}", started.elapsed());
        let said = (health.state, health.advice.as_deref());
        assert_eq!(said, (HealthState::Retrying, Some(advice)), "{command}: {health:?}");
        let rested = world.item(id).await.unwrap().next_due - before;
        assert!((rest..rest + 5).contains(&rested), "{id} {command} {answer}: {rested} seconds, not {rest}");
    }
    for id in [&imap, &pop3] {
        let summary = world.poll(id).await.unwrap();
        assert_eq!((summary.messages, summary.health.unwrap().state), (5, HealthState::Active), "nothing was lost");
        let rested = world.item(id).await.unwrap().next_due - world.now().as_second();
        assert!((295..=300).contains(&rested), "and the old pace again: {rested}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_mid_mailbox_is_no_reason_to_come_back_at_once() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.reports = AfterReading::Seen).await.unwrap();
    for number in 0..600 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    let answer = ImapAction::Tagged("BAD Request is throttled. Suggested Backoff Time: 900000 milliseconds".into());
    world.imap.script(ImapFault { command: "UID FETCH".into(), after: 2, times: 1, action: answer });
    let summary = world.poll(&id).await.unwrap();
    assert!(summary.left > 0, "{summary:?}");
    let rested = world.item(&id).await.unwrap().next_due - world.now().as_second();
    assert!((895..=900).contains(&rested), "{rested}");
    assert_eq!(world.poll(&id).await.unwrap().left, 0);
    assert_eq!(world.facts(&id).await.unwrap().len(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_mailboxes_are_asked_less_often_and_busy_ones_more() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |account| account.limits.idle_seconds = 1_000).await.unwrap();
    let pause = async || {
        world.poll(&id).await.unwrap();
        world.item(&id).await.unwrap().next_due - world.now().as_second()
    };
    let near =
        |pause: i64, expected: i64| assert!((expected - 2..=expected).contains(&pause), "{pause}, not {expected}");
    for _ in 0..11 {
        near(pause().await, 300);
    }
    near(pause().await, 600);
    for _ in 0..12 {
        pause().await;
    }
    near(pause().await, 1_000);
    world.imap.deliver(BASIC, "INBOX", bounce(1), world.now());
    near(pause().await, 300);
    for number in 2..200 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    near(pause().await, 75);
}
