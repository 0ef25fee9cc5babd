//! The doctor on its way to the server that takes what is forwarded, and a poll that meets the same: a real Postfix, and
//! servers that refuse as Exchange does.

use crate::doctor::{FORWARDING, Found, at, check, examine_within, speak, speak_tls, with_login};
use crate::doctor_reaching::shows;
use crate::forward::{Relay, SASL, add, forwarding};
use crate::imap_tls::{Ca, acceptor, ca};
use rcgen::{CertificateParams, KeyPair};
use rebond::account::{Account, AccountId, Authentication, Encryption, Protocol, RelayLogin, Server};
use rebond::vault::Name;
use rebond_tests::dovecot::{Dovecot, PASSWORD as DOVECOT_PASSWORD, USER};
use rebond_tests::mail::{bounce, letter};
use rebond_tests::process::free_port;
use rebond_tests::world::{BASIC, MAILBOX, PASSWORD, World};
use std::time::Duration;
use tokio::net::TcpListener;

const EXCHANGE: &str = "220 mail.example.com Microsoft ESMTP MAIL Service ready at Mon, 30 Nov 2026 08:00:00 +0000";
/// What Exchange says to EHLO under TLS, and at a connector without AuthMechanism Tls or BasicAuth.
const WITH_AUTH: (&str, &str) =
    ("EHLO", "250-mail.example.com Hello\r\n250-SIZE 37748736\r\n250-8BITMIME\r\n250 AUTH LOGIN PLAIN XOAUTH2");
const WITHOUT: (&str, &str) = ("EHLO", "250-mail.example.com Hello\r\n250-SIZE 37748736\r\n250 8BITMIME");
pub const TENANT: &[(&str, &str)] = &[
    WITH_AUTH,
    (
        "AUTH",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
         https://aka.ms/smtp_auth_disabled for more information. [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]",
    ),
];
const MAILBOX_OFF: &[(&str, &str)] = &[
    WITH_AUTH,
    (
        "AUTH",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit \
         https://aka.ms/smtp_auth_disabled for more information. [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]",
    ),
];
const BASIC_OFF: &[(&str, &str)] = &[
    WITH_AUTH,
    ("AUTH", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM0PR01CA0001]"),
];
/// A server that lets in.
pub const GOOD: &[(&str, &str)] =
    &[WITH_AUTH, ("AUTH", "235 2.7.0 Authentication successful"), ("QUIT", "221 2.0.0 bye")];
const REFUSED: &[(&str, &str)] = &[WITH_AUTH, ("AUTH", "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001]")];

fn server(port: u16, encryption: Encryption) -> Server {
    Server { host: "localhost".into(), port, encryption }
}

fn own() -> RelayLogin {
    RelayLogin::Password { user: "robot".into() }
}

/// An account that is read at the stand-in, and forwards by a server with a password of its own.
async fn forwards(world: &World, id: &str, server: Server, login: RelayLogin) -> AccountId {
    let id = world.add_basic(id, |account| account.forwarding = Some(forwarding(server, login))).await.unwrap();
    let name = Name::Relay(id.clone());
    world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
    id
}

/// The doctor's diagnosis at its rung; and a poll says the same advice, to whoever asks for what waits, too.
async fn check_both(world: &World, id: &AccountId, expected: Found) {
    let found = check(world, id, expected).await;
    assert!(found.rungs.iter().any(|rung| !rung.forwarding && rung.said.ends_with(": other")), "{found:#?}");
    let summary = world.poll(id).await.unwrap();
    assert_eq!(summary.forward_advice.as_deref(), Some(expected.1), "{summary:?}");
    assert_eq!((summary.forwarded, summary.not_forwarded), (0, 0), "{summary:?}");
    let waiting = world.machine.table.forwards(id).await.unwrap().waiting;
    assert_eq!(waiting[0].advice.as_deref(), Some(expected.1), "{waiting:?}");
}

pub async fn over_tls(world: &World, ca: &Ca, id: &str, answers: &'static [(&'static str, &'static str)]) -> AccountId {
    let port = speak_tls(ca, EXCHANGE, answers).await;
    forwards(world, id, server(port, Encryption::Tls), own()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_take_no_mail_as_exchange_refuses() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    world.imap.deliver(BASIC, "INBOX", letter(1), world.now());
    let closed = free_port().unwrap();
    for (port, encryption, expected) in [
        (closed, Encryption::Tls, FORWARDING[0]),
        (speak("* OK IMAP4rev1 ready", &[]).await, Encryption::None, FORWARDING[1]),
        (speak(EXCHANGE, &[WITHOUT]).await, Encryption::Starttls, FORWARDING[2]),
        (speak("554 5.7.1 not from there", &[]).await, Encryption::None, FORWARDING[3]),
        (speak("421 4.3.2 Service not available", &[]).await, Encryption::None, FORWARDING[4]),
    ] {
        let id = forwards(&world, expected.1, server(port, encryption), own()).await;
        check_both(&world, &id, expected).await;
    }
    // Its own word for a certificate that the service lacks.
    let refusing: &[(&str, &str)] = &[
        ("EHLO", "250-mail.example.com\r\n250 STARTTLS"),
        ("STARTTLS", "454 4.7.0 TLS not available due to local problem"),
    ];
    let port = speak(EXCHANGE, refusing).await;
    let id = forwards(&world, "no-certificate", server(port, Encryption::Starttls), own()).await;
    check_both(&world, &id, FORWARDING[2]).await;
    // The same STARTTLS port named as TLS from the first byte.
    let port = speak(EXCHANGE, refusing).await;
    let id = forwards(&world, "in-clear-at-first", server(port, Encryption::Tls), own()).await;
    check_both(&world, &id, ("forwarding: tls", FORWARDING[1].1)).await;
    for (name, answers, expected) in [
        ("mechanism", &[WITHOUT][..], FORWARDING[6]),
        ("tenant", TENANT, FORWARDING[7]),
        ("mailbox", MAILBOX_OFF, FORWARDING[7]),
        ("basic", BASIC_OFF, FORWARDING[8]),
        ("refused", REFUSED, FORWARDING[9]),
    ] {
        let id = over_tls(&world, &ca, name, answers).await;
        check_both(&world, &id, expected).await;
    }
    let id = over_tls(&world, &ca, "no-password", REFUSED).await;
    world.machine.vault.remove(&Name::Relay(id.clone())).await.unwrap();
    check_both(&world, &id, FORWARDING[5]).await;
    // What the mailbox's own way up knows of certificates holds here, too.
    let key = KeyPair::generate().unwrap();
    let itself = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let port = shows(acceptor((itself.der().clone(), key.serialize_der()))).await;
    let id = forwards(&world, "itself", server(port, Encryption::Tls), own()).await;
    check_both(&world, &id, ("forwarding: tls", "tls-self-signed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_send() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    world.imap.deliver(MAILBOX, "INBOX", letter(1), world.now());
    let port = speak_tls(&ca, EXCHANGE, REFUSED).await;
    // Connected for reading alone; forwarding was switched on later.
    let id = world.add_connected("person", |_| {}).await.unwrap();
    let now = forwarding(server(port, Encryption::Tls), RelayLogin::Mailbox);
    assert!(world.machine.table.set_forwarding(&id, Some(&now)).await.unwrap());
    check_both(&world, &id, FORWARDING[10]).await;
    let found = examine_within(&world, &id, Duration::from_secs(20)).await;
    let token = found.rungs.iter().find(|rung| rung.forwarding && rung.warning.is_some()).unwrap();
    assert!(token.said.contains("where SMTP.Send is wanted"), "{token:?}");
    let read = found.rungs.iter().find(|rung| !rung.forwarding && rung.warning.is_some());
    assert!(read.is_none(), "for reading it is as it should be: {read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postfix_that_lets_us_in_is_sent_nothing() {
    let dovecot = Dovecot::start_with(SASL).await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    dovecot.deliver(USER, [bounce(1), letter(1)]).unwrap();
    let relay = Relay::behind(&dovecot, false);
    let there = || relay.server(Encryption::Starttls);
    let id = add(&world, &dovecot, "good", forwarding(there(), RelayLogin::Mailbox), |_| {}).await;
    let found = examine_within(&world, &id, Duration::from_secs(20)).await;
    assert!(found.diagnosis.is_none(), "{found:#?}\n{}", relay.postfix.log());
    let way: Vec<String> = found.rungs.iter().filter(|rung| rung.forwarding).map(|rung| name(rung.rung)).collect();
    let expected =
        ["settings", "dns", "tcp", "greeting", "capabilities-before", "tls", "capabilities", "token", "authentication"];
    assert_eq!(way, expected, "{found:#?}");
    let said = |rung: &str| &found.rungs.iter().find(|it| it.forwarding && name(it.rung) == rung).unwrap().said;
    assert!(said("settings").contains("to people@example.org by SMTP at localhost port"), "{found:#?}");
    assert!(said("tls").contains("certificate for localhost") && said("capabilities").contains("AUTH"), "{found:#?}");
    assert!(relay.postfix.log().contains("disconnect from") || relay.mail(0).is_empty());
    assert_eq!(relay.mail(0).len(), 0, "no mail was sent");
    // The same server, and a password that it does not know.
    let id =
        add(&world, &dovecot, "wrong", forwarding(there(), RelayLogin::Password { user: USER.into() }), |_| {}).await;
    let wrong = "no-such-password".to_owned();
    world.machine.vault.put(&Name::Relay(id.clone()), uuid::Uuid::from_u128(7), &wrong.into()).await.unwrap();
    check(&world, &id, FORWARDING[9]).await;
    // Without a login it is reached and heard, and nobody logs in.
    let id = add(&world, &dovecot, "nobody", forwarding(there(), RelayLogin::None), |_| {}).await;
    let found = examine_within(&world, &id, Duration::from_secs(20)).await;
    let last = found.rungs.last().unwrap();
    assert!(found.diagnosis.is_none() && last.said == "nobody logs in, as the settings say", "{found:#?}");
    assert!(found.rungs.iter().all(|rung| !(rung.forwarding && name(rung.rung) == "token")), "{found:#?}");
    // Where the mailbox cannot be read, the way does not go on.
    let id = at(&world, "broken", free_port().unwrap(), Encryption::Tls, Protocol::Imap).await;
    let now = forwarding(there(), RelayLogin::None);
    assert!(world.machine.table.set_forwarding(&id, Some(&now)).await.unwrap());
    let found = examine_within(&world, &id, Duration::from_secs(20)).await;
    assert!(found.rungs.iter().all(|rung| !rung.forwarding), "{found:#?}");
}

fn name(rung: rebond::mailbox::Rung) -> String {
    serde_json::to_value(rung).unwrap().as_str().unwrap().to_owned()
}

/// A port that only this process listens at, although its number is everybody's: each process has an address of its own.
async fn usual_port(port: u16) -> (String, Option<TcpListener>) {
    let pid = std::process::id().to_be_bytes();
    let host = format!("127.{}.{}.{}", 64 + pid[1], pid[2], pid[3]);
    let listener = if port == 0 { None } else { Some(TcpListener::bind((host.as_str(), port)).await.unwrap()) };
    (host, listener)
}

/// Ports below 1024 are the superuser's, as Postfix is.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_listens_the_other_port_of_the_protocol_is_tried() {
    let world = World::start().await.unwrap();
    for (id, protocol, port, listens, expected, said) in [
        ("imap", Protocol::Imap, 993, 143, "port-wrong", "; port 143 (starttls) takes connections"),
        ("imap-none", Protocol::Imap, 143, 0, "connection-refused", "; port 993 (tls) takes none either"),
        ("pop3", Protocol::Pop3, 110, 995, "port-wrong", "; port 995 (tls) takes connections"),
        (
            "pop3-odd",
            Protocol::Pop3,
            2110,
            110,
            "port-wrong",
            "; port 995 (tls) takes none either, port 110 (starttls) takes connections",
        ),
        // Another protocol's port is none of its own.
        ("imap-by-pop3", Protocol::Imap, 993, 995, "connection-refused", "; port 143 (starttls) takes none either"),
    ] {
        let (host, listener) = usual_port(listens).await;
        let change = |account: &mut Account| {
            (account.server.host, account.server.port, account.protocol) = (host, port, protocol);
        };
        let id = world.add_basic(id, change).await.unwrap();
        let found = check(&world, &id, ("tcp", expected)).await;
        let last = found.rungs.last().unwrap();
        assert!(last.said.ends_with(said), "{last:?}");
        assert!(last.milliseconds < 5_000, "{last:?}");
        drop(listener);
    }
}

/// Servers that do say it, unlike Exchange.
#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_switched_off_where_the_server_says_so() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    let imap: &[(&str, &str)] = &[
        ("CAPABILITY", "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2\r\n# OK x"),
        (
            "AUTHENTICATE",
            "# NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page",
        ),
    ];
    // Gmail lets in and says so at the first command.
    let pop3: &[(&str, &str)] = &[
        ("CAPA", "+OK\r\nUSER\r\nUIDL\r\n."),
        ("USER", "+OK"),
        ("PASS", "+OK"),
        ("UIDL", "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page"),
        ("QUIT", "+OK"),
    ];
    for (id, greeting, answers, protocol, rung) in [
        ("gmail-imap", "* OK Gimap ready", imap, Protocol::Imap, "authentication"),
        ("gmail-pop3", "+OK Gpop ready", pop3, Protocol::Pop3, "mailbox"),
    ] {
        let port = speak_tls(&ca, greeting, answers).await;
        let id = at(&world, id, port, Encryption::Tls, protocol).await;
        check(&world, &id, (rung, "protocol-disabled")).await;
        let health = world.poll(&id).await.unwrap().health.unwrap();
        assert_eq!(health.advice.as_deref(), Some("protocol-disabled"), "{health:?}");
    }
}

/// By POP3 the one message that is read counts as read at Dovecot; by IMAP it does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_doctor_marks() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (0..3).map(bounce)).unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    for (name, port, protocol, unseen) in
        [("imap", dovecot.imaps, Protocol::Imap, 3), ("pop3", dovecot.pop3s, Protocol::Pop3, 2)]
    {
        let id = at(&world, name, port, Encryption::Tls, protocol).await;
        with_login(&world, &id, USER, DOVECOT_PASSWORD).await;
        let item = world.item(&id).await.unwrap();
        assert!(matches!(item.account.authentication, Authentication::Password { .. }));
        assert!(examine_within(&world, &id, Duration::from_secs(20)).await.diagnosis.is_none(), "{name}");
        let left = dovecot.doveadm(&["search", "-u", USER, "mailbox", "INBOX", "UNSEEN"]).unwrap().lines().count();
        assert_eq!(left, unseen, "{name}");
    }
}
