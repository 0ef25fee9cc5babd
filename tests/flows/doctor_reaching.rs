//! The doctor from the settings to the ways in that a server has.

use crate::doctor::{
    GREETING, MECHANISMS, REACHING, SETTINGS, STARTTLS, TLS, at, check, check_within, examine_within, listen, speak,
    speak_tls,
};
use crate::imap_tls::{acceptor, ca, ca_called, leaf};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rebond::account::{Account, AccountId, AppId, Authentication, Encryption, HealthState, Protocol};
use rebond_tests::world::World;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

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
    check_within(&world, &id, Duration::from_secs(2), REACHING[5]).await;
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
async fn f23_what_is_signed_by_itself_is_told_from_an_unknown_authority_by_polls_too() {
    let world = World::start().await.unwrap();
    let key = KeyPair::generate().unwrap();
    let itself = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let unknown = leaf(&ca(), &["localhost"], (2020, 2100));
    for (certificate, advice, sentence) in [
        ((itself.der().clone(), key.serialize_der()), "tls-self-signed", "is signed by itself"),
        (unknown, "tls-issuer", "is signed by a CA that we do not know"),
    ] {
        let port = shows(acceptor(certificate)).await;
        let id = at(&world, advice, port, Encryption::Tls, Protocol::Imap).await;
        let health = world.poll(&id).await.unwrap().health.unwrap();
        assert_eq!(health.advice.as_deref(), Some(advice), "{health:?}");
        assert!(health.said.as_deref().unwrap_or_default().contains(sentence), "{health:?}");
        let found = check(&world, &id, ("tls", advice)).await;
        assert!(found.rungs.last().unwrap().said.contains(sentence), "{found:#?}");
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
async fn what_works_all_the_same_is_warned_of() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    let warned = async |id: &AccountId, rung: &str, expected: Option<&str>| {
        let found = examine_within(&world, id, Duration::from_secs(3)).await;
        let of = |climbed: &&rebond::doctor::Climbed| serde_json::to_value(climbed.rung).unwrap() == rung;
        let climbed = found.rungs.iter().find(of).unwrap_or_else(|| panic!("no {rung}: {found:#?}"));
        assert_eq!(climbed.warning.as_deref(), expected, "{found:#?}");
    };
    let off = world.add_basic("off", |account| account.enabled = false).await.unwrap();
    warned(&off, "settings", Some("account-off")).await;
    let on = world.add_basic("on", |_| {}).await.unwrap();
    warned(&on, "settings", None).await;
    let clear = at(&world, "clear", speak("* OK IMAP4rev1 ready", &[]).await, Encryption::None, Protocol::Imap).await;
    warned(&clear, "settings", Some("in-clear")).await;
    // A certificate long before its end, and five days before.
    let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year() + 2;
    let port = shows(acceptor(leaf(&ca, &["localhost"], (2020, year.into())))).await;
    let soon = at(&world, "soon", port, Encryption::Tls, Protocol::Imap).await;
    warned(&soon, "tls", None).await;
    let ends = jiff::civil::date(year, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    world.advance(ends.duration_since(world.now()) - jiff::SignedDuration::from_hours(5 * 24));
    warned(&soon, "tls", Some("tls-ends-soon")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_for_no_server_is_said_so_by_a_poll() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = ca.sign(params, &key);
    let id = at(&world, "client", shows(acceptor(certificate)).await, Encryption::Tls, Protocol::Imap).await;
    world.poll(&id).await.unwrap();
    let health = world.item(&id).await.unwrap().health;
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::NeedsAdmin, Some("tls-failed")), "{health:?}");
}
