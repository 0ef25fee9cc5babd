//! POP3 against a real Dovecot, directly and behind a front that speaks as Exchange does: every way in, refusals, limits.

use rebond::account::{AfterReading, Encryption, HealthState, Protocol, Server, Since};
use rebond::cursor::Reference;
use rebond::mailbox::imap::Imap;
use rebond::mailbox::pop3::Pop3;
use rebond::mailbox::{FaultKind, Login, Mailbox, MailboxFault};
use rebond::net::{Reach, Tls};
use rebond::secret::Secret;
use rebond_standin::{ExchangeFront, FrontSettings};
use rebond_tests::dovecot::{Dovecot, MAILBOX, PASSWORD, TOKEN, USER};
use rebond_tests::mail::bounce;
use rebond_tests::world::World;
use std::time::Duration;
use tokio::time::Instant;

fn password() -> Login {
    Login::Password { user: USER.into(), password: Secret::from(PASSWORD.to_owned()) }
}

fn token(token: &str) -> Login {
    Login::XOAuth2 { mailbox: MAILBOX.into(), token: Secret::from(token.to_owned()) }
}

async fn open_at(port: u16, ca: &str, encryption: Encryption, login: &Login) -> Result<Pop3, MailboxFault> {
    let tls = Tls::new(Some(ca.as_bytes())).unwrap();
    let server = Server { host: "localhost".into(), port, encryption };
    let deadline = Instant::now() + Duration::from_secs(60);
    Pop3::open(&server, login, &Reach::public().with_loopback(), &tls, deadline).await
}

async fn open(dovecot: &Dovecot, encryption: Encryption, login: &Login) -> Result<Pop3, MailboxFault> {
    let port = if encryption == Encryption::Tls { dovecot.pop3s } else { dovecot.pop3 };
    open_at(port, &dovecot.ca_pem, encryption, login).await
}

async fn count(mut pop3: Pop3) -> usize {
    pop3.select("INBOX").await.unwrap();
    let listed = pop3.list(None, Since::All, jiff::Timestamp::now()).await.unwrap();
    Box::new(pop3).close().await.unwrap();
    listed.len()
}

/// A token that makes the first message longer than one line of POP3.
fn long_token(dovecot: &Dovecot) -> String {
    let token = format!("{TOKEN}{}", "x".repeat(2_000));
    dovecot.set_token(&token, Some(MAILBOX));
    token
}

#[tokio::test]
async fn every_way_in() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (0..3).map(bounce)).unwrap();
    dovecot.deliver(MAILBOX, (0..2).map(bounce)).unwrap();
    let long = long_token(&dovecot);
    for encryption in [Encryption::Tls, Encryption::Starttls, Encryption::None] {
        assert_eq!(count(open(&dovecot, encryption, &password()).await.unwrap()).await, 3, "{encryption:?}");
        if encryption == Encryption::None {
            let fault = open(&dovecot, encryption, &token(TOKEN)).await.err().unwrap();
            assert_eq!(fault.to_string(), "an access token never travels in clear");
            continue;
        }
        // On the command's own line, and on a line of its own.
        for good in [TOKEN, long.as_str()] {
            assert_eq!(count(open(&dovecot, encryption, &token(good)).await.unwrap()).await, 2, "{encryption:?}");
        }
    }
}

#[tokio::test]
async fn refused_logins() {
    let dovecot = Dovecot::start().await.unwrap();
    for bad in ["stale".to_owned(), "s".repeat(2_000)] {
        let fault = open(&dovecot, Encryption::Tls, &token(&bad)).await.err().unwrap();
        assert_eq!(fault.kind, FaultKind::LoginRefused);
        assert_eq!(fault.said.as_deref(), Some("[AUTH] Authentication failed. (status 401)"));
    }
    let wrong = Login::Password { user: USER.into(), password: Secret::from("wrong".to_owned()) };
    let fault = open(&dovecot, Encryption::Tls, &wrong).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::LoginRefused);
    // The identity provider is down: that is no refusal of the token.
    dovecot.stop_introspection();
    let fault = open(&dovecot, Encryption::Tls, &token(TOKEN)).await.err().unwrap();
    assert_eq!((fault.kind.clone(), fault.is_passing()), (FaultKind::Unavailable, true), "{fault}");
}

#[tokio::test]
async fn what_dovecot_says_of_its_own_troubles() {
    let dovecot = Dovecot::start_with("mail_max_userip_connections = 1\npop3_lock_session = yes\n").await.unwrap();
    let first = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    let fault = open(&dovecot, Encryption::Tls, &password()).await.err().unwrap();
    assert_eq!((fault.kind.clone(), fault.is_passing()), (FaultKind::Throttled, true), "{fault}");
    Box::new(first).close().await.unwrap();
}

#[tokio::test]
async fn f03_without_quit_nothing_is_deleted() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (0..5).map(bounce)).unwrap();
    let delete = async |close: bool| {
        let mut pop3 = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
        pop3.select("INBOX").await.unwrap();
        let listed = pop3.list(None, Since::All, jiff::Timestamp::now()).await.unwrap();
        let two: Vec<Reference> = listed.iter().take(2).map(|message| message.reference.clone()).collect();
        pop3.settle(&two, &AfterReading::Delete).await.unwrap();
        if close {
            Box::new(pop3).close().await.unwrap();
        }
    };
    delete(false).await;
    assert_eq!(count(open(&dovecot, Encryption::Tls, &password()).await.unwrap()).await, 5);
    delete(true).await;
    assert_eq!(count(open(&dovecot, Encryption::Tls, &password()).await.unwrap()).await, 3);
}

#[tokio::test]
async fn the_front_speaks_as_exchange_does() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(MAILBOX, (0..2).map(bounce)).unwrap();
    let settings = FrontSettings { passwords: false, connections: 2, ..FrontSettings::new(dovecot.imap, dovecot.pop3) };
    let front = ExchangeFront::start(settings).await.unwrap();
    let open = async |login: &Login| open_at(front.pop3_port(), front.ca_pem(), Encryption::Tls, login).await;
    let long = long_token(&dovecot);
    // A token that would fit on the command's line goes on a line of its own, too: Exchange would hang up.
    for good in [TOKEN, long.as_str()] {
        assert_eq!(count(open(&token(good)).await.unwrap()).await, 2);
    }
    // One command at a time and a token on a line of its own: CAPA, AUTH, the token, UIDL, QUIT.
    let mut idle = open(&token(TOKEN)).await.unwrap();
    idle.select("INBOX").await.unwrap();
    idle.list(None, Since::New, jiff::Timestamp::now()).await.unwrap();
    assert_eq!(idle.round_trips(), 5);
    Box::new(idle).close().await.unwrap();
    let fault = open(&token("stale")).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::LoginRefused);
    assert_eq!(fault.said.as_deref(), Some("Authentication failure: unknown user name or bad password."));
    assert_eq!(open(&password()).await.err().unwrap().kind, FaultKind::BasicAuthDisabled);
    front.disconnect(MAILBOX);
    let mut closed = open(&token(TOKEN)).await.unwrap();
    assert_eq!(closed.select("INBOX").await.unwrap_err().kind, FaultKind::NotConnected);
    let second = open(&token(TOKEN)).await.unwrap();
    let fault = open(&token(TOKEN)).await.err().unwrap();
    assert_eq!((fault.kind, fault.said.as_deref()), (FaultKind::Throttled, Some("Connection closed. 14")));
    drop((closed, second));
}

#[tokio::test]
async fn the_front_speaks_imap_as_exchange_does() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(MAILBOX, (0..2).map(bounce)).unwrap();
    let settings = FrontSettings { passwords: false, connections: 2, ..FrontSettings::new(dovecot.imap, dovecot.pop3) };
    let front = ExchangeFront::start(settings).await.unwrap();
    let tls = Tls::new(Some(front.ca_pem().as_bytes())).unwrap();
    let open = async |login: &Login| {
        let server = Server { host: "localhost".into(), port: front.imap_port(), encryption: Encryption::Tls };
        let deadline = Instant::now() + Duration::from_secs(60);
        Imap::open(&server, login, &Reach::public().with_loopback(), &tls, deadline).await
    };
    let mut imap = open(&token(TOKEN)).await.unwrap();
    assert_eq!(imap.select("INBOX").await.unwrap().exists, 2);
    imap.close().await;
    let long = long_token(&dovecot);
    open(&token(&long)).await.unwrap().close().await;
    let fault = open(&token("stale")).await.err().unwrap();
    assert_eq!((fault.kind, fault.said.as_deref()), (FaultKind::LoginRefused, Some("AUTHENTICATE failed.")));
    assert_eq!(open(&password()).await.err().unwrap().kind, FaultKind::BasicAuthDisabled);
    front.disconnect(MAILBOX);
    let mut closed = open(&token(TOKEN)).await.unwrap();
    assert_eq!(closed.select("INBOX").await.unwrap_err().kind, FaultKind::NotConnected);
    let second = open(&token(TOKEN)).await.unwrap();
    let fault = open(&token(TOKEN)).await.err().unwrap();
    assert_eq!((fault.kind, fault.said.as_deref()), (FaultKind::Throttled, Some("Connection closed. 14")));
    drop((closed, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_consents_and_the_mailbox_is_read_over_pop3() {
    let dir = tempfile::tempdir().unwrap();
    let entra_port = rebond_tests::process::free_port().unwrap();
    let settings = crate::dovecot::introspection(dir.path(), &format!("http://127.0.0.1:{entra_port}"), "email");
    let dovecot = Dovecot::start_with(&settings).await.unwrap();
    let front = ExchangeFront::start(FrontSettings::new(dovecot.imap, dovecot.pop3)).await.unwrap();
    let world = World::start_at(entra_port, &format!("{}{}", dovecot.ca_pem, front.ca_pem())).await.unwrap();
    let mailbox = rebond_tests::world::MAILBOX;
    dovecot.deliver(mailbox, (0..20).map(bounce)).unwrap();
    for (id, port) in [("direct", dovecot.pop3s), ("exchange", front.pop3_port())] {
        let change = |account: &mut rebond::account::Account| {
            account.protocol = Protocol::Pop3;
            account.server.port = port;
        };
        let id = world.add_connected(id, change).await.unwrap();
        let asked = world.entra.log().into_iter().rev().find(|call| call.endpoint == "token").unwrap().scope;
        assert!(asked.is_empty() || asked.contains("POP.AccessAsUser.All"), "{asked}");
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.reports, summary.recorded), (20, 20, 20));
        // Past the token's end a renewal asks for POP3's permission again.
        world.advance(jiff::SignedDuration::from_hours(2));
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.health.unwrap().state), (0, HealthState::Active));
        let renewed = world.entra.log().into_iter().rev().find(|call| call.grant_type == "refresh_token").unwrap();
        assert!(renewed.scope.contains("POP.AccessAsUser.All"), "{}", renewed.scope);
        // The token ends before we think so: the server says no more than that, or that name or password are wrong, as to
        // whoever mistypes one. It is renewed once and tried again.
        let before = world.token_calls("refresh_token");
        world.entra.advance_clock(jiff::SignedDuration::from_hours(2));
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.health.unwrap().state), (0, HealthState::Active), "{id}");
        assert_eq!(world.token_calls("refresh_token"), before + 1, "{id}");
        world.entra.advance_clock(jiff::SignedDuration::from_hours(-2));
    }
}

/// The front as a person starts it, before any mail server.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_starts_the_front_and_rebond_reads_through_it() {
    use rebond_tests::process::{Process, built};
    let (dovecot, dir) = (Dovecot::start().await.unwrap(), tempfile::tempdir().unwrap());
    dovecot.deliver(USER, (0..4).map(bounce)).unwrap();
    let standin = built("standin").unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(&standin).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (ended, help) = run(&["--help"]);
    assert!(ended && help.contains("standin front IMAP-HOST:PORT POP3-HOST:PORT"), "{help}");
    let nowhere = format!("127.0.0.1:{}", rebond_tests::process::free_port().unwrap());
    for (arguments, said) in [
        (&["front"][..], "which server is behind it?"),
        (&["front", &nowhere, &nowhere], "no connection to 127.0.0.1:"),
        (&["front", &nowhere, &nowhere, "--tokens"], "--tokens is nothing that the front knows"),
    ] {
        let (ended, output) = run(arguments);
        assert!(!ended && output.contains(said), "{arguments:?}: {output}");
    }
    let mut command = std::process::Command::new(&standin);
    let behind = [dovecot.imap, dovecot.pop3].map(|port| format!("127.0.0.1:{port}"));
    command.arg("front").args(&behind);
    let mut front = Process::start(&command, &dir.path().join("log")).unwrap();
    front.wait_for_output("-----END CERTIFICATE-----", std::time::Duration::from_secs(20)).unwrap();
    let said = front.output();
    let port = |name: &str| {
        let (_, rest) = said.split_once(&format!("{name}  localhost:")).unwrap();
        rest.split(' ').next().unwrap().parse::<u16>().unwrap()
    };
    let (_, pem) = said.split_once("-----BEGIN").unwrap();
    let world = World::start_trusting(&format!("-----BEGIN{pem}")).await.unwrap();
    for (name, protocol) in [("IMAP", Protocol::Imap), ("POP3", Protocol::Pop3)] {
        let id = crate::doctor::at(&world, &name.to_lowercase(), port(name), Encryption::Tls, protocol).await;
        crate::doctor::with_login(&world, &id, USER, PASSWORD).await;
        let summary = world.poll(&id).await.unwrap();
        assert_eq!((summary.messages, summary.reports), (4, 4), "{summary:?}");
        let found = crate::doctor::examine_within(&world, &id, std::time::Duration::from_secs(20)).await;
        assert!(found.diagnosis.is_none(), "{found:#?}");
        let greeting = format!("The Microsoft Exchange {name}");
        assert!(found.rungs.iter().any(|rung| rung.said.contains(&greeting)), "{found:#?}");
    }
}
