//! The doctor: every fault of `docs/doctor.md` is injected and gets its own diagnosis at its own rung, and a mailbox that
//! works gets none.

use crate::imap_tls::{Ca, acceptor, ca, ca_called, leaf};
use jiff::SignedDuration;
use rcgen::{CertificateParams, KeyPair};
use rebond::account::{Account, AccountId, AppId, Authentication, Encryption, Protocol};
use rebond::advice::{self, Language};
use rebond::doctor::{Examination, Verdict};
use rebond::oauth::entra;
use rebond::vault::Name;
use rebond_standin::entra::Answer;
use rebond_standin::graph::{GraphAction, GraphCall, GraphFault};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{ExchangeFront, FrontSettings, Refusal};
use rebond_tests::dovecot::{Dovecot, PASSWORD as DOVECOT_PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::world::{BASIC, MAILBOX, PASSWORD, World};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const DOCUMENT: &str = include_str!("../../docs/doctor.md");

/// Rung and diagnosis, as the document's table has them.
type Found = (&'static str, &'static str);

const SETTINGS: &[Found] = &[("settings", "settings-unusable"), ("settings", "app-missing")];
const REACHING: &[Found] = &[
    ("dns", "host-unknown"),
    ("dns", "reach-refused"),
    ("dns", "reach-port"),
    ("tcp", "connection-refused"),
    ("tcp", "connection-silent"),
];
const TLS: &[Found] = &[
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
const STARTTLS: &[Found] =
    &[("tls", "starttls-missing"), ("tls", "starttls-refused"), ("tls", "starttls-tampered"), ("greeting", "preauth")];
const GREETING: &[Found] = &[
    ("greeting", "greeting-silent"),
    ("greeting", "greeting-closed"),
    ("greeting", "wrong-protocol"),
    ("greeting", "smtp-answers"),
    ("greeting", "throttled"),
];
const MECHANISMS: &[Found] = &[
    ("authentication", "mechanism-missing"),
    ("authentication", "exchange-no-oauth"),
    ("authentication", "secure-logon"),
    ("authentication", "password-not-offered"),
];
const TOKEN: &[Found] = &[
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
const CLAIMS: &[Found] = &[
    ("authentication", "login-refused"),
    ("authentication", "token-audience"),
    ("authentication", "token-permission"),
    ("authentication", "token-tenant"),
    ("authentication", "token-other-app"),
    ("authentication", "admin-consent-required"),
    ("authentication", "service-principal-missing"),
];
const PASSWORDS: &[Found] = &[
    ("authentication", "password-refused"),
    ("authentication", "exchange-password-refused"),
    ("authentication", "basic-auth-disabled"),
    ("mailbox", "exchange-backend"),
    ("mailbox", "folder-missing"),
];
const CONNECTED: &[Found] =
    &[("mailbox", "not-connected"), ("mailbox", "not-connected-other-user"), ("mailbox", "not-connected-app")];
const READING: &[Found] = &[
    ("mailbox", "server-unavailable"),
    ("mailbox", "connection-lost"),
    ("mailbox", "server-slow"),
    ("mailbox", "folder-refused"),
    ("mailbox", "server-broken"),
    ("message", "message-refused"),
    ("count", "uidl-missing"),
];
const GRAPH: &[Found] = &[
    ("authentication", "graph-token-refused"),
    ("mailbox", "graph-not-permitted"),
    ("mailbox", "graph-no-mailbox"),
    ("mailbox", "no-licence"),
];

#[test]
fn the_table_in_the_document_is_what_is_tested() {
    let tested =
        [SETTINGS, REACHING, TLS, STARTTLS, GREETING, MECHANISMS, TOKEN, CLAIMS, PASSWORDS, CONNECTED, READING, GRAPH];
    let tested: Vec<Found> = tested.concat();
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

async fn examine_within(world: &World, id: &AccountId, time: Duration) -> Examination {
    let found = world.machine.poller().examine(id, Instant::now() + time).await.unwrap();
    // Whatever was found, no secret is in it.
    let text = serde_json::to_string(&found).unwrap();
    for secret in [PASSWORD, DOVECOT_PASSWORD, rebond_tests::world::CLIENT_SECRET, "eyJ"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    found
}

async fn check(world: &World, id: &AccountId, expected: Found) -> Examination {
    check_within(world, id, Duration::from_secs(20), expected).await
}

async fn check_within(world: &World, id: &AccountId, time: Duration, expected: Found) -> Examination {
    let found = examine_within(world, id, time).await;
    let diagnosis = found.diagnosis.clone().unwrap_or_else(|| panic!("{expected:?}: all is well: {found:?}"));
    let rung = serde_json::to_value(diagnosis.rung).unwrap();
    let last = found.rungs.last().unwrap();
    assert_eq!((rung.as_str().unwrap(), &diagnosis.advice[..]), expected, "{found:#?}");
    assert_eq!((last.rung, last.verdict), (diagnosis.rung, Verdict::Broken), "{found:#?}");
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
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
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
async fn converse<S: AsyncRead + AsyncWrite>(stream: S, greeting: &str, answers: &[(&str, &str)]) {
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
async fn speak_tls(ca: &Ca, greeting: &'static str, answers: &'static [(&'static str, &'static str)]) -> u16 {
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
    assert_eq!(world.machine.table.account(&"oauth".parse().unwrap()).await.unwrap().unwrap().last_poll, None);
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

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_the_way_to_the_server() {
    let world = World::start().await.unwrap();
    let id = world.add("clear", |account| account.server.encryption = Encryption::None).await.unwrap();
    check(&world, &id, SETTINGS[0]).await;
    let gone = |account: &mut Account| {
        account.authentication = Authentication::OauthUser { app: "gone".parse::<AppId>().unwrap() };
    };
    check(&world, &world.add("gone", gone).await.unwrap(), SETTINGS[1]).await;
    for (name, host, port, expected) in [
        ("unknown", "no-such-host.invalid", 993, REACHING[0]),
        ("metadata", "169.254.169.254", 993, REACHING[1]),
        ("smtp", "192.88.98.1", 25, REACHING[2]),
    ] {
        let there = |account: &mut Account| (account.server.host, account.server.port) = (host.to_owned(), port);
        check(&world, &world.add_basic(name, there).await.unwrap(), expected).await;
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let id = at(&world, "closed", closed, Encryption::Tls, Protocol::Imap).await;
    check(&world, &id, REACHING[3]).await;
    // A listener that takes no more: what comes then is dropped, as a firewall does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = vec![];
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 50, "the listener never fills up");
    }
    let id = at(&world, "full", address.port(), Encryption::Tls, Protocol::Imap).await;
    check_within(&world, &id, Duration::from_secs(2), REACHING[4]).await;
}

/// Whose handshakes end as these are given.
pub async fn shows(acceptor: TlsAcceptor) -> u16 {
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(stream).await) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_handshakes() {
    let (ca, other) = (ca(), ca_called("Another CA"));
    let world = World::start_trusting(&ca.pem).await.unwrap();
    let now = (2020, 2100);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let ports = [
        shows(acceptor(leaf(&ca, &["imap.example.com"], now))).await,
        shows(acceptor(leaf(&ca, &["localhost"], (2020, 2021)))).await,
        shows(acceptor(leaf(&ca, &["localhost"], (2090, 2100)))).await,
        shows(acceptor((own.der().clone(), key.serialize_der()))).await,
        shows(acceptor(leaf(&other, &["localhost"], now))).await,
        shows(acceptor((ca.der.clone(), ca.key.clone()))).await,
        // What a server answers that speaks TLS 1.1 at most: the fatal alert protocol_version.
        listen(|mut stream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46").await;
        })
        .await,
        speak("* OK IMAP4rev1 ready", &[]).await,
        listen(|mut stream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
        })
        .await,
        listen(|stream| async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(stream);
        })
        .await,
    ];
    for (port, expected) in ports.into_iter().zip(TLS) {
        let id = at(&world, expected.1, port, Encryption::Tls, Protocol::Imap).await;
        let found = check_within(&world, &id, Duration::from_secs(3), *expected).await;
        let said = &found.rungs.last().unwrap().said;
        match expected.1 {
            "tls-name" => assert!(said.contains("certificate for imap.example.com, signed by CN="), "{said}"),
            "tls-expired" => assert!(said.contains("ends 2021-01-01"), "{said}"),
            "tls-self-signed" => assert!(said.contains("signed by itself"), "{said}"),
            "tls-issuer" => assert!(said.contains("Another CA"), "{said}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_that_is_not_to_be_had_and_greetings() {
    let world = World::start().await.unwrap();
    const CAPABLE: (&str, &str) = ("CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS\r\n# OK x");
    const REFUSING: &[(&str, &str)] = &[CAPABLE, ("STARTTLS", "# NO no certificate")];
    const TAMPERED: &[(&str, &str)] = &[CAPABLE, ("STARTTLS", "# OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN")];
    for (greeting, answers, expected) in [
        ("* OK [CAPABILITY IMAP4rev1] x", &[][..], STARTTLS[0]),
        ("* OK x", REFUSING, STARTTLS[1]),
        ("* OK x", TAMPERED, STARTTLS[2]),
        ("* PREAUTH x", &[], STARTTLS[3]),
    ] {
        let id = at(&world, expected.1, speak(greeting, answers).await, Encryption::Starttls, Protocol::Imap).await;
        check(&world, &id, expected).await;
    }
    for (greeting, expected) in [
        ("+OK The Microsoft Exchange POP3 service is ready.", GREETING[2]),
        ("220 mail.example.com Microsoft ESMTP MAIL Service ready", GREETING[3]),
        ("* BYE Connection closed. 14", GREETING[4]),
    ] {
        let id = at(&world, expected.1, speak(greeting, &[]).await, Encryption::None, Protocol::Imap).await;
        check(&world, &id, expected).await;
    }
    // The same by POP3.
    for (greeting, expected) in [
        ("* OK IMAP4rev1 ready", GREETING[2]),
        ("220 mail.example.com ESMTP", GREETING[3]),
        ("-ERR Connection closed. 14", GREETING[4]),
    ] {
        let name = format!("pop3-{}", expected.1);
        let id = at(&world, &name, speak(greeting, &[]).await, Encryption::None, Protocol::Pop3).await;
        check(&world, &id, expected).await;
    }
    let silent = listen(|stream| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(stream);
    });
    let id = at(&world, "silent", silent.await, Encryption::None, Protocol::Imap).await;
    check_within(&world, &id, Duration::from_secs(2), GREETING[0]).await;
    let closing = listen(|mut stream| async move {
        let _ = stream.shutdown().await;
    });
    let id = at(&world, "closing", closing.await, Encryption::None, Protocol::Imap).await;
    check(&world, &id, GREETING[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ways_in_that_a_server_does_not_have() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    let plain: &[(&str, &str)] = &[("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n# OK x")];
    let none: &[(&str, &str)] = &[("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n# OK x")];
    let exchange = "* OK The Microsoft Exchange IMAP4 service is ready.";
    for (greeting, expected) in [("* OK ready", MECHANISMS[0]), (exchange, MECHANISMS[1])] {
        let port = speak_tls(&ca, greeting, plain).await;
        let app_only = |account: &mut Account| {
            account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
            account.server.port = port;
        };
        check(&world, &world.add(expected.1, app_only).await.unwrap(), expected).await;
    }
    let id = at(&world, "secure", speak(exchange, none).await, Encryption::None, Protocol::Imap).await;
    check(&world, &id, MECHANISMS[2]).await;
    let pop3 = speak(
        "+OK The Microsoft Exchange POP3 service is ready.",
        &[("CAPA", "+OK\r\nTOP\r\nUIDL\r\nUSER\r\n."), ("USER", "-ERR Command is not valid in this state.")],
    );
    let id = at(&world, "secure-pop3", pop3.await, Encryption::None, Protocol::Pop3).await;
    check(&world, &id, MECHANISMS[2]).await;
    let id = at(&world, "never", speak_tls(&ca, "* OK ready", none).await, Encryption::Tls, Protocol::Imap).await;
    check(&world, &id, MECHANISMS[3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_and_the_vault_refuse() {
    let world = World::start().await.unwrap();
    let basic = |account: &mut Account| account.authentication = Authentication::Password { user: BASIC.into() };
    check(&world, &world.add("nothing", basic).await.unwrap(), TOKEN[0]).await;
    check(&world, &world.add("new", |_| {}).await.unwrap(), TOKEN[1]).await;
    let id = world.add_connected("box", |_| {}).await.unwrap();
    world.advance(SignedDuration::from_hours(3));
    for (answer, expected) in [
        (Answer::error("invalid_client", 7_000_215, "Invalid client secret provided."), TOKEN[2]),
        (Answer::error("invalid_client", 7_000_222, "The provided client secret keys are expired."), TOKEN[3]),
        (Answer::error("invalid_grant", 700_082, "The refresh token has expired due to inactivity."), TOKEN[4]),
        (Answer::error("invalid_grant", 53_003, "Access has been blocked by Conditional Access."), TOKEN[5]),
        (Answer::error("invalid_grant", 530_035, "Access has been blocked by security defaults."), TOKEN[6]),
        (Answer::error("invalid_grant", 65_001, "The user or administrator has not consented."), TOKEN[7]),
        (Answer::throttled(30), TOKEN[8]),
    ] {
        world.entra.script(Refusal::token(answer));
        check(&world, &id, expected).await;
    }
    assert!(examine_within(&world, &id, Duration::from_secs(20)).await.diagnosis.is_none(), "and all is well again");
}

/// A token that the mail server does not take, with these claims in place of the right ones.
fn token(world: &World, changes: Value) -> Answer {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let now = world.now().as_second();
    let mut claims = json!({
        "aud": entra::hosts(world.app.cloud).scope, "scp": "IMAP.AccessAsUser.All", "tid": world.app.tenant.to_string(),
        "appid": world.app.client_id, "upn": MAILBOX, "iat": now, "exp": now + 3_600,
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(&claims));
    Answer::Altered(json!({ "access_token": token }).as_object().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_explained_by_what_is_in_it() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    let zero = "00000000-0000-4000-8000-000000000000";
    for (changes, expected) in [
        (json!({}), CLAIMS[0]),
        (json!({ "aud": "https://graph.microsoft.com" }), CLAIMS[1]),
        (json!({ "scp": "POP.AccessAsUser.All" }), CLAIMS[2]),
        (json!({ "tid": zero }), CLAIMS[3]),
        (json!({ "appid": zero }), CLAIMS[4]),
    ] {
        // The old one has ended; a token that was renewed just now is not renewed again.
        world.advance(SignedDuration::from_hours(3));
        world.entra.script(Refusal::token(token(&world, changes)));
        check(&world, &id, expected).await;
    }
    let app_only = |account: &mut Account| {
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let app = world.add("app", app_only).await.unwrap();
    let refused = ImapAction::Tagged("NO AUTHENTICATE failed.".to_owned());
    world.imap.script(ImapFault { command: "AUTHENTICATE".into(), after: 0, times: 2, action: refused });
    check(&world, &app, CLAIMS[6]).await;
    assert!(examine_within(&world, &app, Duration::from_secs(20)).await.diagnosis.is_none());
    world.entra.change(|settings| settings.tenants[0].roles_granted.clear());
    world.advance(SignedDuration::from_hours(3));
    check(&world, &app, CLAIMS[5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_at_dovecot_and_behind_the_exchange_front() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, [bounce(1)]).unwrap();
    let (imap, pop3) = (dovecot.imap, dovecot.pop3);
    let front = ExchangeFront::start(FrontSettings::new(imap, pop3)).await.unwrap();
    let online = FrontSettings { passwords: false, ..FrontSettings::new(imap, pop3) };
    let online = ExchangeFront::start(online).await.unwrap();
    let ca = format!("{}{}{}", dovecot.ca_pem, front.ca_pem(), online.ca_pem());
    let world = World::start_trusting(&ca).await.unwrap();
    for (name, port, protocol, password, expected) in [
        ("wrong", dovecot.imaps, Protocol::Imap, "wrong", PASSWORDS[0]),
        ("wrong-pop3", dovecot.pop3s, Protocol::Pop3, "wrong", PASSWORDS[0]),
        ("exchange", front.imap_port(), Protocol::Imap, "wrong", PASSWORDS[1]),
        ("exchange-pop3", front.pop3_port(), Protocol::Pop3, "wrong", PASSWORDS[1]),
        ("online", online.imap_port(), Protocol::Imap, DOVECOT_PASSWORD, PASSWORDS[2]),
        ("online-pop3", online.pop3_port(), Protocol::Pop3, DOVECOT_PASSWORD, PASSWORDS[2]),
    ] {
        let id = at(&world, name, port, Encryption::Tls, protocol).await;
        with_login(&world, &id, USER, password).await;
        check(&world, &id, expected).await;
    }
    let id = at(&world, "good", front.imap_port(), Encryption::Tls, Protocol::Imap).await;
    with_login(&world, &id, USER, DOVECOT_PASSWORD).await;
    assert!(examine_within(&world, &id, Duration::from_secs(20)).await.diagnosis.is_none());
    front.disconnect(USER);
    check(&world, &id, PASSWORDS[3]).await;
    let there = |account: &mut Account| {
        account.server.port = dovecot.imaps;
        account.folders = vec!["INBOX".into(), "Nowhere".into()];
    };
    let id = world.add_basic("nowhere", there).await.unwrap();
    with_login(&world, &id, USER, DOVECOT_PASSWORD).await;
    check(&world, &id, PASSWORDS[4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_that_exchange_does_not_open() {
    let world = World::start().await.unwrap();
    let shared = "shared@example.org";
    world.imap.renumber(shared, "INBOX");
    world.entra.change(|settings| settings.users[0].mailboxes.push(shared.into()));
    let own = world.add_connected("own", |_| {}).await.unwrap();
    let other = world.add_connected("other", |account| account.mailbox = shared.into()).await.unwrap();
    let app_only = |account: &mut Account| {
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let app = world.add("app", app_only).await.unwrap();
    for id in [&own, &other, &app] {
        assert!(examine_within(&world, id, Duration::from_secs(20)).await.diagnosis.is_none(), "{id}");
    }
    world.entra.change(|settings| {
        settings.users[0].licensed = false;
        settings.users[0].mailboxes.clear();
        settings.apps[0].mailboxes.clear();
    });
    for (id, expected) in [(&own, CONNECTED[0]), (&other, CONNECTED[1]), (&app, CONNECTED[2])] {
        check(&world, id, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_messages_that_are_not_given_out() {
    for (command, after, action, expected) in [
        ("SELECT", 0, ImapAction::Tagged("NO Server Unavailable. 15".into()), READING[0]),
        ("SELECT", 0, ImapAction::Drop, READING[1]),
        ("SELECT", 0, ImapAction::Late(8_000), READING[2]),
        ("SELECT", 0, ImapAction::Tagged("NO [NOPERM] no right".into()), READING[3]),
        ("UID FETCH", 1, ImapAction::Tagged("NO some messages cannot be given out".into()), READING[5]),
    ] {
        // A mailbox for each: what is left of a script would meet the next.
        let world = World::start().await.unwrap();
        world.imap.deliver(BASIC, "INBOX", bounce(1), world.now());
        let id = world.add_basic("box", |_| {}).await.unwrap();
        world.imap.script(ImapFault { command: command.into(), after, times: 9, action });
        check_within(&world, &id, Duration::from_secs(4), expected).await;
    }
    let world = World::start().await.unwrap();
    let imap = speak(
        "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] x",
        &[("AUTHENTICATE", "# OK [CAPABILITY IMAP4rev1] x"), ("SELECT", "* 1 EXISTS\r\n# OK [READ-WRITE] x")],
    );
    let id = at(&world, "broken", imap.await, Encryption::None, Protocol::Imap).await;
    check(&world, &id, READING[4]).await;
    let pop3 = speak(
        "+OK ready",
        &[
            ("CAPA", "+OK\r\nUSER\r\n."),
            ("USER", "+OK"),
            ("PASS", "+OK"),
            ("STAT", "+OK 1 100"),
            ("UIDL", "-ERR no such command"),
            ("QUIT", "+OK"),
        ],
    );
    let id = at(&world, "pop3", pop3.await, Encryption::None, Protocol::Pop3).await;
    check(&world, &id, READING[6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_refuses() {
    for (status, code, expected) in [
        (401, "InvalidAuthenticationToken", GRAPH[0]),
        (403, "ErrorAccessDenied", GRAPH[1]),
        (404, "ErrorInvalidUser", GRAPH[2]),
        (404, "MailboxNotEnabledForRESTAPI", GRAPH[3]),
    ] {
        let world = World::start().await.unwrap();
        let graph = |account: &mut Account| {
            (account.protocol, account.server.port) = (Protocol::Graph, world.graph.port());
        };
        let id = world.add_connected("box", graph).await.unwrap();
        let action = GraphAction::Refuse { status, code, retry_after: None };
        world.graph.mail().script(GraphFault { call: GraphCall::Any, after: 0, times: 9, action });
        check(&world, &id, expected).await;
    }
}
