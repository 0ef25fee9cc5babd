//! What nobody understood goes to a person: read from a real Dovecot, taken by a real Postfix, and still in the mailbox.

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use jiff::{SignedDuration, Timestamp};
use rebond::account::{Account, AfterReading, Authentication, Encryption, Forwarding, Protocol, RelayLogin, Server};
use rebond::table::{Forwards, Waiting};
use rebond::vault::Name;
use rebond_cli::embedded;
use rebond_cli::machine::Machine;
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::{bounce, letter};
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::postfix::{PEER_DOMAIN, Postfix};
use rebond_tests::world::{MAILBOX, World};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Whom mail is forwarded to.
const PEOPLE: &str = "people@example.org";

/// A Postfix that delivers to people's Maildir.
pub struct Relay {
    pub postfix: Postfix,
    maildir: PathBuf,
    _dir: tempfile::TempDir,
}

impl Relay {
    fn start(settings: &str) -> Self {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let maildir = dir.path().join("Maildir");
        let postfix = Postfix::start_with(&[(PEOPLE, &maildir)], settings).unwrap();
        Self { postfix, maildir, _dir: dir }
    }

    /// One that lets in whom Dovecot lets in, over TLS alone.
    pub fn behind(dovecot: &Dovecot, wrapped: bool) -> Self {
        let at = dovecot.dir().display();
        Self::start(&format!(
            "smtpd_tls_cert_file = {at}/cert.pem\nsmtpd_tls_key_file = {at}/key.pem\nsmtpd_tls_security_level = encrypt\n\
             smtpd_tls_wrappermode = {}\nsmtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\n\
             smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {at}/run/postfix\nmynetworks = 192.0.2.1\n\
             smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
            if wrapped { "yes" } else { "no" }
        ))
    }

    pub fn server(&self, encryption: Encryption) -> Server {
        Server { host: "localhost".into(), port: self.postfix.port(), encryption }
    }

    /// What was delivered, once it is so much.
    pub fn mail(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let new = self.maildir.join("new").read_dir().into_iter().flatten().flatten();
            let mail: Vec<String> =
                new.map(|entry| String::from_utf8(std::fs::read(entry.path()).unwrap()).unwrap()).collect();
            if mail.len() >= count {
                return mail;
            }
            assert!(Instant::now() < end, "{} of {count} came; Postfix says:\n{}", mail.len(), self.postfix.log());
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

/// Where Postfix asks whom to let in.
pub const SASL: &str = "service auth {\n  unix_listener postfix {\n    mode = 0666\n  }\n}\n";

pub fn forwarding(server: Server, login: RelayLogin) -> Forwarding {
    Forwarding { to: PEOPLE.into(), since: 0, all: false, server, login }
}

/// An account of Dovecot's user with a password, which forwards.
pub async fn add(
    world: &World,
    dovecot: &Dovecot,
    id: &str,
    forwarding: Forwarding,
    change: impl FnOnce(&mut Account),
) -> rebond::account::AccountId {
    let id = world
        .add(id, |account| {
            account.server.port = dovecot.imaps;
            account.mailbox = USER.into();
            account.authentication = Authentication::Password { user: USER.into() };
            account.forwarding = Some(forwarding);
            change(account);
            account.check().unwrap();
        })
        .await
        .unwrap();
    for name in [Name::Password(id.clone()), Name::Relay(id.clone())] {
        world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
    }
    id
}

fn count(dovecot: &Dovecot, folder: &str) -> usize {
    dovecot.doveadm(&["search", "-u", USER, "mailbox", folder, "ALL"]).unwrap().lines().count()
}

/// A message that is no report as it is attached: lines that begin with a dot and all.
fn original(number: usize) -> String {
    String::from_utf8(letter(number)).unwrap() + ".\r\n..two\r\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_understood_is_forwarded_once_by_every_login_and_stays() {
    let dovecot = Dovecot::start_with(SASL).await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    dovecot.deliver(USER, [bounce(1), original(1).into_bytes(), bounce(2)]).unwrap();
    let own = RelayLogin::Password { user: USER.into() };
    for (id, wrapped, encryption, login) in
        [("starttls", false, Encryption::Starttls, RelayLogin::Mailbox), ("tls", true, Encryption::Tls, own)]
    {
        let relay = Relay::behind(&dovecot, wrapped);
        let id = add(&world, &dovecot, id, forwarding(relay.server(encryption), login), |_| {}).await;
        let summary = world.poll(&id).await.unwrap();
        assert_eq!(
            (summary.messages, summary.forwarded, summary.not_forwarded),
            (3, 1, 0),
            "{summary:?}\n{}",
            relay.postfix.log()
        );
        let mail = relay.mail(1);
        let [letter] = &mail[..] else { panic!("{mail:?}") };
        // Postfix writes the envelope's sender as Return-Path, and Maildirs have bare line feeds.
        assert!(letter.starts_with("Return-Path: <>\n"), "{letter}");
        assert!(letter.contains(&original(1).replace("\r\n", "\n")), "{letter}");
        for field in
            ["Auto-Submitted: auto-generated\n", "X-Auto-Response-Suppress: All\n", "Content-Type: message/rfc822\n"]
        {
            assert!(letter.contains(field), "{field}");
        }
        // Neither the next poll nor a mailbox that is read again sends it again.
        assert_eq!(world.poll(&id).await.unwrap().forwarded, 0);
        let key = serde_json::json!({
            "TableName": "rebond",
            "Key": { "pk": { "S": format!("ACCOUNT#{id}") }, "sk": { "S": "CURSOR#INBOX#0" } },
        });
        world.raw("DeleteItem", key).await.unwrap();
        let again = world.poll(&id).await.unwrap();
        assert_eq!((again.messages, again.recorded, again.forwarded), (3, 0, 0));
        assert_eq!(relay.mail(1).len(), 1);
        assert_eq!(count(&dovecot, "INBOX"), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_mailbox_opens_the_server_that_takes_mail() {
    let dir = tempfile::tempdir().unwrap();
    let (dovecot, world) = crate::dovecot::trusting_with(dir.path(), SASL).await;
    let relay = Relay::behind(&dovecot, false);
    dovecot.deliver(MAILBOX, [original(1)]).unwrap();
    let server = relay.server(Encryption::Starttls);
    let id = world
        .add_connected("person", |account| {
            account.server.port = dovecot.imaps;
            account.forwarding = Some(forwarding(server, RelayLogin::Mailbox));
        })
        .await
        .unwrap();
    // The person was asked for what reading and sending need, in one consent.
    let asked = world.entra.log().into_iter().filter(|call| call.endpoint == "authorize").map(|call| call.scope);
    let asked: Vec<String> = asked.collect();
    assert!(
        asked.iter().any(|scope| scope.contains("/SMTP.Send") && scope.contains("/IMAP.AccessAsUser.All")),
        "{asked:?}"
    );
    let summary = world.poll(&id).await.unwrap();
    assert_eq!(summary.forwarded, 1, "{summary:?}\n{}\n{}", relay.postfix.log(), dovecot.log());
    assert!(relay.mail(1)[0].contains("Shall we meet on day 1?"));
}

/// While the server takes nothing, the mailbox is read all the same; what waits is fetched again in a later session, and
/// moved no sooner than it has gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_waits_in_the_mailbox() {
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let name = if protocol == Protocol::Imap { "imap" } else { "pop" };
        dovecot.doveadm(&["expunge", "-u", USER, "mailbox", "*", "all"]).unwrap();
        dovecot.deliver(USER, [original(1).into_bytes(), bounce(1)]).unwrap();
        let nowhere = Server {
            host: "localhost".into(),
            port: rebond_tests::process::free_port().unwrap(),
            encryption: Encryption::None,
        };
        let imap = protocol == Protocol::Imap;
        let id = add(&world, &dovecot, name, forwarding(nowhere, RelayLogin::None), |account| {
            account.protocol = protocol;
            account.server.port = if imap { dovecot.imaps } else { dovecot.pop3s };
            account.others = if imap { AfterReading::Move("Later".into()) } else { AfterReading::Leave };
        })
        .await;
        if imap {
            dovecot.doveadm(&["mailbox", "create", "-u", USER, "Later"]).unwrap();
        }
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.recorded, summary.forwarded), (2, 2, 0), "{summary:?}");
        let fault = summary.forward_fault.as_deref().unwrap_or_default();
        assert!(fault.contains("refused"), "{fault}");
        assert_eq!(summary.health.unwrap().state, rebond::account::HealthState::Active, "the mailbox is read");
        assert_eq!(count(&dovecot, "INBOX"), 2);
        // Other mail comes, and goes by.
        dovecot.deliver(USER, [bounce(2)]).unwrap();
        assert_eq!(world.poll(&id).await.unwrap().recorded, 1);

        let relay = Relay::start("");
        let now = forwarding(relay.server(Encryption::None), RelayLogin::None);
        assert!(world.machine.table.set_forwarding(&id, Some(&now)).await.unwrap());
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.forwarded), (0, 1), "{summary:?}");
        assert!(relay.mail(1)[0].contains("Shall we meet on day 1?"));
        if imap {
            assert_eq!((count(&dovecot, "INBOX"), count(&dovecot, "Later")), (2, 1));
        } else {
            assert_eq!(count(&dovecot, "INBOX"), 3);
        }
        assert_eq!(world.machine.table.forwards(&id).await.unwrap().waiting, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_of_graph_is_forwarded_too() {
    let world = World::start().await.unwrap();
    let relay = Relay::start("");
    let server = relay.server(Encryption::None);
    let id = world
        .add_connected("graph", |account| {
            account.protocol = Protocol::Graph;
            account.server.port = world.graph.port();
            account.others = AfterReading::Move("Later".into());
            account.forwarding = Some(forwarding(server, RelayLogin::None));
        })
        .await
        .unwrap();
    let mail = world.graph.mail();
    mail.make_folder(MAILBOX, "Later");
    mail.deliver(MAILBOX, "Inbox", original(1).into_bytes(), Timestamp::now());
    mail.deliver(MAILBOX, "Inbox", bounce(1), Timestamp::now());
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.forwarded), (2, 1), "{summary:?}");
    assert!(relay.mail(1)[0].contains("Shall we meet on day 1?"));
    assert_eq!((mail.messages(MAILBOX, "Inbox").len(), mail.messages(MAILBOX, "Later").len()), (1, 1));
}

/// "A bounce account never answers mail", invariant 4, as far as it can be tried: nothing goes in circles, nothing to the
/// mailbox itself, nothing more than a day's bound, and nothing that came before somebody asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_what_could_go_in_circles_or_without_end_is_not_forwarded() {
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let relay = Relay::start("");
    let id =
        add(&world, &dovecot, "bounces", forwarding(relay.server(Encryption::None), RelayLogin::None), |_| {}).await;
    let from = |header: &str, number: usize| format!("{header}\r\n{}", original(number)).into_bytes();
    dovecot
        .deliver(
            USER,
            [
                from("Rebond-Forwarded: bounces", 1),
                from(&format!("Sender: {PEOPLE}"), 2),
                from("In-Reply-To: <0.forwarded@rebond.example.com>", 3),
                from("Received: by a\r\n".repeat(60).trim_end(), 4),
            ],
        )
        .unwrap();
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.recorded, summary.forwarded, summary.not_forwarded), (4, 0, 4), "{summary:?}");

    // What was forwarded, and comes back by whatever way, stays.
    dovecot.deliver(USER, [original(5)]).unwrap();
    assert_eq!(world.poll(&id).await.unwrap().forwarded, 1);
    let back = relay.mail(1).remove(0).replace('\n', "\r\n");
    dovecot.deliver(USER, [back]).unwrap();
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.forwarded), (1, 0), "{summary:?}");

    // A day's bound; the rest goes on the next day.
    let mut list = world.machine.table.forwards(&id).await.unwrap();
    list.sent = rebond::limits::FORWARDS_A_DAY;
    assert!(world.machine.table.put_forwards(&id, &list).await.unwrap());
    dovecot.deliver(USER, [original(6)]).unwrap();
    assert_eq!(world.poll(&id).await.unwrap().forwarded, 0);
    world.advance(SignedDuration::from_hours(24));
    assert_eq!(world.poll(&id).await.unwrap().forwarded, 1);
    relay.mail(2);

    // Nobody asked for it when it came.
    let mut now = forwarding(relay.server(Encryption::None), RelayLogin::None);
    now.since = (world.now() + SignedDuration::from_hours(1)).as_second();
    assert!(world.machine.table.set_forwarding(&id, Some(&now)).await.unwrap());
    dovecot.deliver(USER, [original(7)]).unwrap();
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.forwarded, summary.not_forwarded), (1, 0, 0), "{summary:?}");
    assert_eq!(relay.mail(2).len(), 2);
    assert_eq!(count(&dovecot, "INBOX"), 8, "and nothing was deleted");
}

/// An address that the server refuses is not tried for ever; the mail stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_in_three_days_is_given_up() {
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let relay =
        Relay::start(&format!("smtpd_recipient_restrictions = reject\nsmtpd_relay_restrictions =\n# {PEER_DOMAIN}\n"));
    let id =
        add(&world, &dovecot, "bounces", forwarding(relay.server(Encryption::None), RelayLogin::None), |_| {}).await;
    dovecot.deliver(USER, [original(1)]).unwrap();
    let summary = world.poll(&id).await.unwrap();
    let fault = summary.forward_fault.unwrap_or_default();
    assert!(fault.contains("the server refused the address") && fault.contains("554 5.7.1"), "{fault}");
    assert_eq!(summary.forward_advice.as_deref(), Some("forward-refused"));
    world.advance(SignedDuration::from_hours(73));
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.forwarded, summary.not_forwarded, summary.forward_fault), (0, 1, None));
    let key = &world.facts(&id).await.unwrap()[0].key;
    let not = world.machine.table.forwarded(&id, key).await.unwrap().unwrap().not.unwrap();
    assert!(not.contains("554 5.7.1"), "{not}");
    assert_eq!(count(&dovecot, "INBOX"), 1);
}

/// A process that dies at any step of a poll that forwards: the message goes out once, or, where the mark behind the
/// server's answer was lost, twice; and never not at all.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_it_is_forwarded_once_or_twice() {
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let relay = Relay::start("");
    let (mut sent, mut twice, mut steps) = (0, 0, 0);
    loop {
        dovecot.doveadm(&["expunge", "-u", USER, "mailbox", "INBOX", "all"]).unwrap();
        dovecot.deliver(USER, [original(steps).into_bytes(), bounce(steps)]).unwrap();
        let id = format!("killed-{steps}");
        let id = add(&world, &dovecot, &id, forwarding(relay.server(Encryption::None), RelayLogin::None), |_| {}).await;
        let life = Life::of(usize::MAX);
        let table =
            embedded::table(SharedHttpConnector::new(MortalTable(world.connector(), Arc::clone(&life)))).await.unwrap();
        life.left.store(steps, Ordering::SeqCst);
        let m = &world.machine;
        let mortal =
            Machine::over(table, Arc::clone(&m.vault), m.reach.clone(), m.tls.clone(), Arc::clone(&m.clock)).unwrap();
        let account = id.clone();
        let mut poll = tokio::spawn(async move {
            mortal.poller().poll(&account, "mortal", tokio::time::Instant::now() + Duration::from_secs(60), &()).await
        });
        let whole = tokio::select! {
            ended = &mut poll => { ended.unwrap().unwrap(); true }
            () = life.over.notified() => { poll.abort(); let _ = poll.await; false }
        };
        world.end_leases(&id).await.unwrap();
        let summary = world.poll(&id).await.unwrap();
        assert_eq!(summary.not_forwarded, 0, "killed before step {steps}: {summary:?}");
        assert_eq!(world.facts(&id).await.unwrap().len(), 2, "killed before step {steps}");
        let came = relay.mail(sent + 1).len() - sent;
        // What is still on its way would be taken for the next one's.
        std::thread::sleep(Duration::from_millis(200));
        let came = came.max(relay.mail(sent + 1).len() - sent);
        assert!((1..=2).contains(&came), "killed before step {steps} it came {came} times");
        twice += usize::from(came == 2);
        sent += came;
        if whole {
            break;
        }
        steps += 1;
    }
    assert!(steps > 8, "only {steps} steps");
    assert_eq!(twice, 1, "the mark behind the answer is one step");
}

/// What is handed over twice without an answer is not handed over a third time.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_end_nobody_knows_is_repeated_once() {
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let relay = Relay::start("");
    let id =
        add(&world, &dovecot, "bounces", forwarding(relay.server(Encryption::None), RelayLogin::None), |_| {}).await;
    dovecot.deliver(USER, [original(1)]).unwrap();
    let list =
        Forwards { day: world.now().as_second() / 86_400, sent: rebond::limits::FORWARDS_A_DAY, ..Forwards::default() };
    assert!(world.machine.table.put_forwards(&id, &list).await.unwrap());
    assert_eq!(world.poll(&id).await.unwrap().forwarded, 0);
    let mut list = world.machine.table.forwards(&id).await.unwrap();
    let Waiting { unknown, .. } = &mut list.waiting[0];
    (*unknown, list.sent) = (2, 0);
    assert!(world.machine.table.put_forwards(&id, &list).await.unwrap());
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.forwarded, summary.not_forwarded), (0, 1), "{summary:?}");
    assert_eq!(relay.mail(0).len(), 0);
}
