//! The IMAP client against a real Dovecot.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rebond::account::{AfterReading, Encryption, Server};
use rebond::mailbox::imap::{Fetched, Imap, Listed, Missed, Settled};
use rebond::mailbox::{FaultKind, Login, MailboxFault};
use rebond::net::{Reach, Tls};
use rebond::secret::Secret;
use rebond_tests::dovecot::{Dovecot, MAILBOX, PASSWORD, TOKEN, USER};
use std::time::Duration;
use tokio::time::Instant;

fn password() -> Login {
    Login::Password { user: USER.into(), password: Secret::from(PASSWORD.to_owned()) }
}

fn token(token: &str) -> Login {
    Login::XOAuth2 { mailbox: MAILBOX.into(), token: Secret::from(token.to_owned()) }
}

async fn open(dovecot: &Dovecot, encryption: Encryption, login: &Login) -> Result<Imap, MailboxFault> {
    let port = if encryption == Encryption::Tls { dovecot.imaps } else { dovecot.imap };
    let server = Server { host: "localhost".into(), port, encryption };
    let tls = Tls::new(Some(dovecot.ca_pem.as_bytes())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    Imap::open(&server, login, &Reach::public().with_loopback(), &tls, deadline).await
}

/// Everything that is fetched, by a receiver of its own.
async fn fetch(imap: &mut Imap, wanted: &[Listed], max: usize) -> (Vec<Fetched>, Vec<Missed>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let reading = async {
        let mut fetched = vec![];
        while let Some(message) = receiver.recv().await {
            fetched.push(message);
        }
        fetched
    };
    let (missed, fetched) = tokio::join!(imap.fetch(wanted, max, sender), reading);
    (fetched, missed.unwrap())
}

fn message(n: usize) -> String {
    format!(
        "From: a@example.com\r\nSubject: {n}\r\n\r\nBody {n} {{5}}\r\n)\r\nR3 OK done\r\n{}\r\n",
        "x".repeat(n % 97)
    )
}

#[tokio::test]
async fn every_way_in() {
    let dovecot = Dovecot::start().await.unwrap();
    for encryption in [Encryption::Tls, Encryption::Starttls, Encryption::None] {
        let mut imap = open(&dovecot, encryption, &password()).await.unwrap();
        let folder = imap.select("INBOX").await.unwrap();
        assert_eq!(folder.exists, 0);
        assert_eq!(folder.uid_next, Some(1));
        assert_eq!(imap.list_from(1).await.unwrap(), []);
        imap.close().await;
    }
    for encryption in [Encryption::Tls, Encryption::Starttls] {
        let mut imap = open(&dovecot, encryption, &token(TOKEN)).await.unwrap();
        imap.select("INBOX").await.unwrap();
        assert!(imap.round_trips() + 1 <= 5, "{} commands and LOGOUT", imap.round_trips());
        imap.close().await;
    }
    let fault = open(&dovecot, Encryption::None, &token(TOKEN)).await.err().unwrap();
    assert_eq!(fault.to_string(), "an access token never travels in clear");
}

#[tokio::test]
async fn refused_logins() {
    let dovecot = Dovecot::start().await.unwrap();
    for encryption in [Encryption::Tls, Encryption::Starttls] {
        let fault = open(&dovecot, encryption, &token("stale")).await.err().unwrap();
        assert_eq!(fault.kind, FaultKind::LoginRefused);
        assert_eq!(fault.said.as_deref(), Some("[AUTHENTICATIONFAILED] Authentication failed. (status 401)"));
        assert!(!fault.is_passing());
    }
    // The token of somebody else.
    dovecot.set_token("of-another", Some("another@example.com"));
    let fault = open(&dovecot, Encryption::Tls, &token("of-another")).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::LoginRefused);
    let wrong = Login::Password { user: USER.into(), password: Secret::from("wrong".to_owned()) };
    let fault = open(&dovecot, Encryption::Tls, &wrong).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::LoginRefused);
}

#[tokio::test]
async fn two_thousand_messages() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (1..=2000).map(message)).unwrap();
    let mut imap = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    let folder = imap.select("INBOX").await.unwrap();
    assert_eq!((folder.exists, folder.uid_next), (2000, Some(2001)));
    let listed = imap.list_from(1).await.unwrap();
    assert_eq!(listed.len(), 2000);
    let (mut fetched, missed) = fetch(&mut imap, &listed, 1 << 20).await;
    assert_eq!(missed, []);
    fetched.sort_by_key(|message| message.uid);
    assert_eq!(fetched.len(), 2000);
    for (n, got) in (1..).zip(&fetched) {
        assert_eq!(got.uid as usize, n);
        assert_eq!(String::from_utf8_lossy(&got.bytes), message(n));
        assert_eq!(got.size as usize, got.bytes.len());
        assert!(!got.cut && got.arrival.is_some());
    }
    assert_eq!(imap.list_from(1999).await.unwrap(), &listed[1998..]);
    assert_eq!(imap.list_from(2001).await.unwrap(), []);
    assert_eq!(imap.list_from(u32::MAX).await.unwrap(), []);
    imap.close().await;
}
