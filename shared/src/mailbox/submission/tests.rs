//! Sessions with a scripted server in memory: what Postfix would never do.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::opening::{Line as _, open_over};
use super::super::script::Script;
use super::*;

const GREETING: &str = "220 mail.example.com ESMTP\r\n";
const HELLO_STEP: (&str, &str) = (
    "EHLO [127.0.0.1]\r\n",
    "250-mail.example.com\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN XOAUTH2\r\n",
);
const LOGIN: (&str, &str) = ("AUTH PLAIN AGEAYg==\r\n", "235 2.7.0 yes\r\n");
const MINUTE: Duration = Duration::from_secs(60);

fn password() -> Login {
    Login::Password { user: "a".into(), password: Secret::from("b".to_owned()) }
}

fn token(length: usize) -> Login {
    Login::XOAuth2 { mailbox: "a@example.com".into(), token: Secret::from("t".repeat(length)) }
}

/// Logs in over the script as if TLS stood beneath it.
async fn open_as(script: Script, login: &Login) -> Result<Submission, MailboxFault> {
    let wire = Wire::new(Box::new(script), "mail.example.com", 0, Instant::now() + MINUTE);
    let credential = Credential::of(login).unwrap();
    let mut line = Line::over(wire, credential.secrets.clone());
    line.greet(Encryption::Tls).await?;
    line.log_in(&credential).await
}

/// What was said of a message, and how that ended.
async fn send(steps: &[(&str, &str)], message: &[u8]) -> (Result<Sent, Unsent>, String) {
    let mut script = Script::new(GREETING, &[&[HELLO_STEP, LOGIN, HELLO_STEP], steps].concat());
    script.hangs_up = true;
    let heard = script.heard.clone();
    let mut relay = open_as(script, &password()).await.unwrap();
    let sent = relay.send("b@example.com", message).await;
    let heard = heard.lock().unwrap().clone();
    (sent, heard)
}

const FROM: (&str, &str) = ("MAIL FROM:<>", "250 ok\r\n");
const TO: (&str, &str) = ("RCPT TO:<b@example.com>\r\n", "250 ok\r\n");
const DATA: (&str, &str) = ("DATA\r\n", "354 go on\r\n");

#[tokio::test]
async fn a_message_goes_from_nobody_to_one_address() {
    let steps = [
        FROM,
        TO,
        DATA,
        ("Subject: a\r\n", ""),
        ("\r\n", ""),
        ("..\r\n", ""),
        ("...b\r\n", ""),
        (".\r\n", "250 ok\r\n"),
    ];
    let (sent, heard) = send(&steps, b"Subject: a\r\n\r\n.\r\n..b\r\n").await;
    assert_eq!(sent, Ok(Sent::Taken));
    assert!(heard.contains("MAIL FROM:<> SIZE=22\r\n"), "{heard}");
    let (sent, heard) = send(&[FROM, TO, DATA, ("é\r\n", ""), (".\r\n", "250 ok\r\n")], "é".as_bytes()).await;
    assert_eq!(sent, Ok(Sent::Taken));
    assert!(heard.contains("MAIL FROM:<> SIZE=2 BODY=8BITMIME\r\n"), "{heard}");
}

#[tokio::test]
async fn what_becomes_of_a_message_is_told_apart() {
    let check = async |steps: &[(&str, &str)], expected: Result<&str, (FaultKind, bool)>| {
        let (sent, _) = send(steps, b"a\r\n").await;
        match (sent, expected) {
            (Ok(Sent::Refused(said)), Ok(words)) => assert!(said.contains(words), "{said}"),
            (Err(unsent), Err(expected)) => assert_eq!((unsent.fault.kind, unsent.perhaps_taken), expected),
            (sent, expected) => panic!("{sent:?} where {expected:?} was due"),
        }
    };
    let late = |reply: &'static str| [FROM, TO, DATA, ("a\r\n", ""), (".\r\n", reply)];
    check(&late("552 5.3.4 too large\r\n"), Ok("552 5.3.4 too large")).await;
    check(&late("451 4.3.0 later\r\n"), Err((FaultKind::Unavailable, false))).await;
    // The server hangs up after the last dot: it may have it, or not.
    check(&[FROM, TO, DATA, ("a\r\n", "")], Err((FaultKind::Closed, true))).await;
    check(&[("MAIL", "550 5.7.60 not as this sender\r\n")], Err((FaultKind::Refused("MAIL FROM:<>"), false))).await;
    check(&[FROM, ("RCPT", "550 5.1.1 nobody\r\n")], Err((FaultKind::Refused("the address"), false))).await;
    check(&[FROM, ("RCPT", "450 4.2.0 later\r\n")], Err((FaultKind::Unavailable, false))).await;
    check(&[FROM, TO, ("DATA", "554 no\r\n")], Err((FaultKind::Refused("DATA"), false))).await;
    let (sent, heard) = send(&[], &[b'a'; 1001]).await;
    assert!(matches!(sent, Ok(Sent::Refused(said)) if said.contains("1001 bytes are more than the 1000")));
    assert!(!heard.contains("MAIL"), "{heard}");
}

#[tokio::test]
async fn every_login_in_the_form_that_the_server_takes() {
    let check = async |login: &Login, offers: &str, steps: &[(&str, &str)]| {
        let hello = format!("250-mail.example.com\r\n250 {offers}\r\n");
        let steps = [&[("EHLO", hello.as_str())], steps, &[HELLO_STEP]].concat();
        open_as(Script::new(GREETING, &steps), login).await.unwrap();
    };
    let yes = "235 yes\r\n";
    check(&password(), "AUTH PLAIN LOGIN", &[LOGIN]).await;
    // All that Exchange has.
    let asked = [("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"), ("YQ==\r\n", "334 UGFzc3dvcmQ6\r\n"), ("Yg==\r\n", yes)];
    check(&password(), "AUTH LOGIN XOAUTH2", &asked).await;
    check(&token(20), "AUTH LOGIN XOAUTH2", &[("AUTH XOAUTH2 dXNl", yes)]).await;
    check(&token(12_000), "AUTH XOAUTH2", &[("AUTH XOAUTH2\r\n", "334 \r\n"), ("dXNl", yes)]).await;
}

#[tokio::test]
async fn refusals_and_no_way_in() {
    let refused = async |login: &Login, hello: &str, steps: &[(&str, &str)]| {
        let steps = [&[("EHLO", hello)], steps].concat();
        open_as(Script::new(GREETING, &steps), login).await.map(|_| ()).unwrap_err()
    };
    let challenge = "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=\r\n";
    let fault = refused(&token(20), "250 AUTH XOAUTH2\r\n", &[]).await;
    assert_eq!(fault.kind, FaultKind::NoMechanism("AUTH XOAUTH2, so no token can be used"), "the first line is a name");
    let hello = "250-x\r\n250 AUTH PLAIN XOAUTH2\r\n";
    let fault =
        refused(&token(20), hello, &[("AUTH XOAUTH2 ", challenge), ("\r\n", "535 5.7.3 unsuccessful\r\n")]).await;
    assert_eq!(fault.kind, FaultKind::LoginRefused);
    assert_eq!(fault.said.as_deref(), Some("535 5.7.3 unsuccessful (status 401)"));
    let fault = refused(&password(), hello, &[(LOGIN.0, "454 4.7.0 later: AGEAYg==\r\n")]).await;
    assert_eq!((fault.kind.clone(), fault.is_passing()), (FaultKind::Unavailable, true));
    assert!(fault.said.unwrap().contains("[secret]"));
    let fault = refused(&password(), "250-x\r\n250 SIZE\r\n", &[]).await;
    assert_eq!(fault.kind, FaultKind::NoMechanism("any login by password"));
}

#[tokio::test]
async fn f26_an_answer_split_at_every_byte() {
    let all = GREETING.len() + 2 * HELLO_STEP.1.len() + LOGIN.1.len();
    for split_at in 1..all {
        let mut script = Script::new(GREETING, &[HELLO_STEP, LOGIN, HELLO_STEP]);
        script.split_at = split_at;
        let relay = open_as(script, &password()).await.unwrap();
        assert!(relay.takes_eight_bits(), "split at {split_at}");
    }
}

#[tokio::test]
async fn what_answers_is_bounded() {
    let end = async |greeting: &str, forever: &'static [u8]| {
        let mut script = Script::new(greeting, &[HELLO_STEP]);
        script.forever = forever;
        open_as(script, &password()).await.map(|_| ()).unwrap_err().kind
    };
    assert_eq!(end("220x\r\n", b"").await, FaultKind::Protocol("what answered takes no mail by SMTP"));
    assert_eq!(end("220 ", b"x").await, FaultKind::Limit("a line longer than we read"));
    assert_eq!(end("", b"220-x\r\n").await, FaultKind::Limit("an answer of more lines than we read"));
    assert_eq!(end("* OK IMAP4 ready\r\n", b"").await, FaultKind::Protocol("what answered takes no mail by SMTP"));
}

/// The same ways in which encryption is taken away as with IMAP and POP3.
#[tokio::test]
async fn f19_f20_encryption_is_not_taken_away() {
    let tls = Tls::new(None).unwrap();
    let end = async |offers: &str, answer: &str| {
        let hello = format!("250-x\r\n250 {offers}\r\n");
        let script = Script::new(GREETING, &[("EHLO", &hello), ("STARTTLS\r\n", answer)]);
        let heard = script.heard.clone();
        let server = Server { host: "mail.example.com".into(), port: 587, encryption: Encryption::Starttls };
        let login = password();
        let opened = open_over::<Line>(Box::new(script), false, &server, &login, &tls, Instant::now() + MINUTE);
        let fault = opened.await.map(|_| ()).unwrap_err();
        assert!(!heard.lock().unwrap().contains("AUTH"), "no credential was sent");
        fault.kind
    };
    assert_eq!(end("SIZE", "").await, FaultKind::Downgrade("the server does not offer STARTTLS"));
    assert_eq!(end("STARTTLS", "502 no\r\n").await, FaultKind::Downgrade("the server refuses STARTTLS"));
    assert_eq!(
        end("STARTTLS", "220 go on\r\n250 AUTH PLAIN\r\n").await,
        FaultKind::Downgrade("something was slipped in before encryption started")
    );
}
