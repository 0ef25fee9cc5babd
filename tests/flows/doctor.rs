//! The doctor: every fault of `docs/doctor.md` is injected and gets its own diagnosis at its own rung, and a mailbox that
//! works gets none.

use crate::imap_tls::{Ca, acceptor, leaf};
use rebond::account::{Account, AccountId, Authentication, Encryption, Protocol};
use rebond::advice::{self, Language};
use rebond::doctor::{Examination, Verdict};
use rebond::vault::Name;
use rebond_tests::dovecot::{Dovecot, PASSWORD as DOVECOT_PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::world::{MAILBOX, PASSWORD, World};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const DOCUMENT: &str = include_str!("../../docs/doctor.md");

/// Rung and diagnosis, as the document's table has them.
pub type Found = (&'static str, &'static str);

pub const SETTINGS: &[Found] = &[("settings", "settings-unusable"), ("settings", "app-missing")];
pub const REACHING: &[Found] = &[
    ("dns", "host-unknown"),
    ("dns", "reach-refused"),
    ("dns", "reach-port"),
    ("tcp", "connection-refused"),
    ("tcp", "port-wrong"),
    ("tcp", "connection-silent"),
];
pub const TLS: &[Found] = &[
    ("tls", "tls-name"),
    ("tls", "tls-expired"),
    ("tls", "tls-not-yet-valid"),
    ("tls", "tls-self-signed"),
    ("tls", "tls-issuer"),
    ("tls", "tls-ca-as-server"),
    ("tls", "tls-too-old"),
    ("tls", "tls-not-spoken"),
    ("tls", "tls-broken"),
    ("tls", "tls-silent"),
];
pub const STARTTLS: &[Found] =
    &[("tls", "starttls-missing"), ("tls", "starttls-refused"), ("tls", "starttls-tampered"), ("greeting", "preauth")];
pub const GREETING: &[Found] = &[
    ("greeting", "greeting-silent"),
    ("greeting", "greeting-closed"),
    ("greeting", "wrong-protocol"),
    ("greeting", "smtp-answers"),
    ("greeting", "throttled"),
];
pub const MECHANISMS: &[Found] = &[
    ("authentication", "mechanism-missing"),
    ("authentication", "exchange-no-oauth"),
    ("authentication", "secure-logon"),
    ("authentication", "password-not-offered"),
];
pub const TOKEN: &[Found] = &[
    ("token", "password-missing"),
    ("token", "never-connected"),
    ("token", "client-secret-wrong"),
    ("token", "client-secret-expired"),
    ("token", "grant-expired"),
    ("token", "conditional-access"),
    ("token", "security-defaults"),
    ("token", "consent-missing"),
    ("token", "provider-busy"),
];
pub const CLAIMS: &[Found] = &[
    ("authentication", "login-refused"),
    ("authentication", "token-audience"),
    ("authentication", "token-permission"),
    ("authentication", "token-tenant"),
    ("authentication", "token-other-app"),
    ("authentication", "admin-consent-required"),
    ("authentication", "service-principal-missing"),
    ("authentication", "token-ended"),
];
pub const PASSWORDS: &[Found] = &[
    ("authentication", "password-refused"),
    ("authentication", "exchange-password-refused"),
    ("authentication", "basic-auth-disabled"),
    ("authentication", "protocol-disabled"),
    ("mailbox", "exchange-backend"),
    ("mailbox", "folder-missing"),
];
pub const CONNECTED: &[Found] =
    &[("mailbox", "not-connected"), ("mailbox", "not-connected-other-user"), ("mailbox", "not-connected-app")];
pub const READING: &[Found] = &[
    ("mailbox", "server-unavailable"),
    ("mailbox", "connection-lost"),
    ("mailbox", "server-slow"),
    ("mailbox", "folder-refused"),
    ("mailbox", "server-broken"),
    ("message", "message-refused"),
    ("mailbox", "uidl-missing"),
];
pub const FORWARDING: &[Found] = &[
    ("forwarding: tcp", "forward-not-reached"),
    ("forwarding: greeting", "forward-no-smtp"),
    ("forwarding: tls", "forward-starttls-missing"),
    ("forwarding: greeting", "forward-turned-away"),
    ("forwarding: greeting", "forward-later"),
    ("forwarding: token", "forward-password-missing"),
    ("forwarding: authentication", "forward-mechanism-missing"),
    ("forwarding: authentication", "smtp-auth-disabled"),
    ("forwarding: authentication", "forward-basic-auth"),
    ("forwarding: authentication", "forward-login-refused"),
    ("forwarding: authentication", "forward-token-refused"),
];
pub const GRAPH: &[Found] = &[
    ("authentication", "graph-token-refused"),
    ("mailbox", "graph-not-permitted"),
    ("mailbox", "graph-no-mailbox"),
    ("mailbox", "no-licence"),
];

#[test]
fn the_table_in_the_document_is_what_is_tested() {
    let tested: Vec<Found> = [
        SETTINGS, REACHING, TLS, STARTTLS, GREETING, MECHANISMS, TOKEN, CLAIMS, PASSWORDS, CONNECTED, READING, GRAPH,
        FORWARDING,
    ]
    .concat();
    let mut ids: Vec<&str> = tested.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() == tested.len() && ids.len() >= 40, "forty faults have forty diagnoses: {}", ids.len());
    let mut documented = vec![];
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [rung, _, _, id, who] = cells[..] else { panic!("five cells: {line}") };
        let id = id.trim_matches('`');
        let row = advice::by_id(id).unwrap_or_else(|| panic!("{id} is no advice"));
        assert_eq!(row.who.words(Language::English), who, "{id}");
        documented.push((rung, id));
    }
    assert_eq!(documented, tested);
}

pub async fn examine_within(world: &World, id: &AccountId, time: Duration) -> Examination {
    let found = world.machine.poller().examine(id, Instant::now() + time).await.unwrap();
    // Whatever was found, no secret is in it.
    let text = serde_json::to_string(&found).unwrap();
    for secret in [PASSWORD, DOVECOT_PASSWORD, rebond_tests::world::CLIENT_SECRET, "eyJ"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    found
}

pub async fn check(world: &World, id: &AccountId, expected: Found) -> Examination {
    check_within(world, id, Duration::from_secs(20), expected).await
}

pub async fn check_within(world: &World, id: &AccountId, time: Duration, expected: Found) -> Examination {
    let found = examine_within(world, id, time).await;
    let diagnosis = found.diagnosis.clone().unwrap_or_else(|| panic!("{expected:?}: all is well: {found:?}"));
    let rung = serde_json::to_value(diagnosis.rung).unwrap();
    let rung = format!("{}{}", if diagnosis.forwarding { "forwarding: " } else { "" }, rung.as_str().unwrap());
    let last = found.rungs.last().unwrap();
    assert_eq!((&rung[..], &diagnosis.advice[..]), expected, "{found:#?}");
    assert_eq!(
        (last.rung, last.forwarding, last.verdict),
        (diagnosis.rung, diagnosis.forwarding, Verdict::Broken),
        "{found:#?}"
    );
    assert!(found.rungs.iter().rev().skip(1).all(|rung| rung.verdict != Verdict::Broken), "{found:#?}");
    found
}

/// Adds a password account at a port of localhost.
pub async fn at(world: &World, name: &str, port: u16, encryption: Encryption, protocol: Protocol) -> AccountId {
    let change = |account: &mut Account| {
        (account.server.port, account.server.encryption, account.protocol) = (port, encryption, protocol);
    };
    world.add_basic(name, change).await.unwrap()
}

/// A server that does `serve` with each connection.
pub async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// Greets, and answers each line by its beginning: over IMAP `#` stands for the tag. What has no answer gets silence.
pub async fn converse<S: AsyncRead + AsyncWrite>(stream: S, greeting: &str, answers: &[(&str, &str)]) {
    let (read, mut write) = tokio::io::split(stream);
    if write.write_all(format!("{greeting}\r\n").as_bytes()).await.is_err() {
        return;
    }
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, command) = match greeting.starts_with('*') {
            true => line.split_once(' ').unwrap_or((&line, "")),
            false => ("", &line[..]),
        };
        let Some((_, answer)) = answers.iter().find(|(command_of, _)| command.starts_with(command_of)) else {
            continue;
        };
        if write.write_all(format!("{}\r\n", answer.replace('#', tag)).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A conversation in clear.
pub async fn speak(greeting: &'static str, answers: &'static [(&'static str, &'static str)]) -> u16 {
    listen(move |stream| converse(stream, greeting, answers)).await
}

/// A conversation over TLS.
pub async fn speak_tls(ca: &Ca, greeting: &'static str, answers: &'static [(&'static str, &'static str)]) -> u16 {
    let acceptor = acceptor(leaf(ca, &["localhost"], (2020, 2100)));
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, greeting, answers).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_works_has_no_diagnosis_by_any_protocol() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (0..3).map(bounce)).unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    world.imap.deliver(MAILBOX, "INBOX", bounce(1), world.now());
    world.graph.mail().deliver(MAILBOX, "Inbox", bounce(1), world.now());
    let mut ids = vec![world.add_connected("oauth", |_| {}).await.unwrap()];
    let graph = |account: &mut Account| {
        (account.protocol, account.server.port) = (Protocol::Graph, world.graph.port());
    };
    ids.push(world.add_connected("graph", graph).await.unwrap());
    for (name, port, encryption, protocol) in [
        ("imaps", dovecot.imaps, Encryption::Tls, Protocol::Imap),
        ("imap", dovecot.imap, Encryption::Starttls, Protocol::Imap),
        ("pop3s", dovecot.pop3s, Encryption::Tls, Protocol::Pop3),
        ("pop3", dovecot.pop3, Encryption::Starttls, Protocol::Pop3),
    ] {
        let id = at(&world, name, port, encryption, protocol).await;
        ids.push(with_login(&world, &id, USER, DOVECOT_PASSWORD).await);
    }
    for id in ids {
        let found = examine_within(&world, &id, Duration::from_secs(20)).await;
        assert!(found.diagnosis.is_none(), "{found:#?}");
        let rungs: Vec<String> =
            found.rungs.iter().map(|it| serde_json::to_value(it.rung).unwrap().as_str().unwrap().to_owned()).collect();
        let mut expected = vec!["settings", "dns", "tcp"];
        match id.as_str() {
            "graph" => expected.push("tls"),
            "imap" | "pop3" => expected.extend(["greeting", "capabilities-before", "tls", "capabilities"]),
            _ => expected.extend(["tls", "greeting", "capabilities"]),
        }
        expected.extend(["token", "authentication", "mailbox", "count", "message"]);
        assert_eq!(rungs, expected, "{found:#?}");
        let said = |rung: &str| &found.rungs[expected.iter().position(|name| *name == rung).unwrap()].said;
        assert!(said("tls").contains("TLS 1.3; certificate for localhost"), "{found:#?}");
        assert!(said("message").ends_with(": bounce"), "{found:#?}");
        let facts = world.facts(&id).await.unwrap();
        assert!(facts.is_empty(), "nothing was recorded");
    }
    let id: AccountId = "oauth".parse().unwrap();
    assert_eq!(world.item(&id).await.unwrap().last_poll, None);
    // What was read already, or not to be read at all, is good enough to be read once more.
    world.poll(&id).await.unwrap();
    let new = world.add_connected("new", |account| account.since = rebond::account::Since::New).await.unwrap();
    for id in [&id, &new] {
        let found = examine_within(&world, id, Duration::from_secs(20)).await;
        let said: Vec<&str> = found.rungs.iter().rev().take(2).map(|rung| &rung.said[..]).collect();
        assert!(
            found.diagnosis.is_none() && said[0].ends_with(": bounce") && said[1] == "INBOX: 0 to read",
            "{found:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_function_examines_what_it_can_reach() {
    let world = World::start().await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let id = at(&world, "closed", closed, Encryption::Tls, Protocol::Imap).await;
    let event = serde_json::from_value(json!({ "doctor": id, "seconds": 20 })).unwrap();
    let (poller, deadline) = (world.machine.poller(), Instant::now() + Duration::from_secs(60));
    let answer = rebond_bounce_poll::handle(&poller, event, "run", deadline, |_| {}).await.unwrap();
    let found: Examination = serde_json::from_value(serde_json::to_value(answer).unwrap()).unwrap();
    assert_eq!(found.diagnosis.unwrap().advice, "connection-refused");
}

/// The same account under another name and password.
pub async fn with_login(world: &World, id: &AccountId, user: &str, password: &str) -> AccountId {
    let item = world.item(id).await.unwrap();
    let mut account = item.account.clone();
    account.mailbox = user.to_owned();
    account.authentication = Authentication::Password { user: user.to_owned() };
    let moved = world.machine.table.replace_way_in(&account, item.generation, world.now()).await.unwrap();
    assert!(moved, "{id}");
    let (name, version) = (Name::Password(id.clone()), uuid::Uuid::from_u128(7));
    world.machine.vault.put(&name, version, &password.to_owned().into()).await.unwrap();
    id.clone()
}
