//! The IMAP client against a real Dovecot.

use rebond::account::{AfterReading, Encryption, Protocol, Server};
use rebond::cursor::Reference;
use rebond::mailbox::imap::{Imap, Listed};
use rebond::mailbox::pop3::Pop3;
use rebond::mailbox::{FaultKind, Fetched, Login, MailboxFault, Missed, Settled};
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

#[tokio::test]
async fn a_server_is_reached_by_name_and_by_its_ipv6_address() {
    let dovecot = Dovecot::start_with("listen = 127.0.0.1, ::1\n").await.unwrap();
    let tls = Tls::new(Some(dovecot.ca_pem.as_bytes())).unwrap();
    for (protocol, port) in [(Protocol::Imap, dovecot.imaps), (Protocol::Pop3, dovecot.pop3s)] {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let server = Server::parse(&format!("{host}:{port}"), protocol, Some(Encryption::Tls)).unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            let reach = Reach::public().with_loopback();
            match protocol {
                Protocol::Imap => drop(Imap::open(&server, &password(), &reach, &tls, deadline).await.unwrap()),
                _ => drop(Pop3::open(&server, &password(), &reach, &tls, deadline).await.unwrap()),
            }
        }
    }
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

fn uid(reference: &Reference) -> u32 {
    let Reference::Uid(uid) = reference else { panic!("{reference:?}") };
    *uid
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
        assert!(imap.round_trips() < 5, "{} commands and LOGOUT", imap.round_trips());
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
    fetched.sort_by_key(|message| message.reference.clone());
    assert_eq!(fetched.len(), 2000);
    for (n, got) in (1..).zip(&fetched) {
        assert_eq!(got.reference, Reference::Uid(n as u32));
        assert_eq!(String::from_utf8_lossy(&got.bytes), message(n));
        assert_eq!(got.size as usize, got.bytes.len());
        assert!(!got.cut && got.arrival.is_some());
    }
    assert_eq!(imap.list_from(1999).await.unwrap(), &listed[1998..]);
    assert_eq!(imap.list_from(2001).await.unwrap(), []);
    assert_eq!(imap.list_from(u32::MAX).await.unwrap(), []);
    imap.close().await;
}

#[tokio::test]
async fn f09_expunged_while_fetching() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (1..=1500).map(message)).unwrap();
    let mut imap = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    imap.select("INBOX").await.unwrap();
    let listed = imap.list_from(1).await.unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let reading = async {
        let mut came = vec![];
        while let Some(Fetched { reference, bytes, .. }) = receiver.recv().await {
            let uid = uid(&reference);
            if came.is_empty() {
                // Another client removes what is not read yet; the full channel holds the fetch meanwhile.
                dovecot.doveadm(&["expunge", "-u", USER, "mailbox", "INBOX", "uid", "1400:1450"]).unwrap();
            }
            assert_eq!(String::from_utf8_lossy(&bytes), message(uid as usize));
            came.push(uid);
        }
        came
    };
    let (missed, mut came) = tokio::join!(imap.fetch(&listed, 1 << 20, sender), reading);
    let missed = missed.unwrap();
    let expunged = |missed: &Missed| missed.refused.is_none() && (1400..=1450).contains(&uid(&missed.reference));
    assert!(missed.iter().all(expunged), "{missed:?}");
    came.extend(missed.iter().map(|missed| uid(&missed.reference)));
    came.sort_unstable();
    assert_eq!(came, (1..=1500).collect::<Vec<u32>>(), "each came or was said to be gone");
    // Surely gone by now, as another session sees it.
    let mut later = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    later.select("INBOX").await.unwrap();
    let (came, missed) = fetch(&mut later, &listed[1398..1452], 1 << 20).await;
    assert_eq!((came.len(), missed.len()), (3, 51));
    assert!(missed.iter().all(|missed| missed.refused.is_none()));
    later.close().await;
    imap.close().await;
}

#[tokio::test]
async fn seen_moved_deleted() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (1..=9).map(message)).unwrap();
    let mut imap = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    imap.select("INBOX").await.unwrap();
    fetch(&mut imap, &imap_list(&mut open_inbox(&dovecot).await).await, 1 << 20).await;
    let flagged =
        |flag: &str| dovecot.doveadm(&["search", "-u", USER, "mailbox", "INBOX", flag]).unwrap().lines().count();
    assert_eq!(flagged("SEEN"), 0, "fetching marks nothing as read");
    assert_eq!(imap.settle(&[1, 2, 3], &AfterReading::Leave).await.unwrap(), Settled::Done);
    assert_eq!(imap.settle(&[3, 1, 2, 99], &AfterReading::Seen).await.unwrap(), Settled::Done);
    assert_eq!(flagged("SEEN"), 3);
    let missing = imap.settle(&[4], &AfterReading::Move("Not there".into())).await.unwrap_err();
    assert_eq!(missing.kind, FaultKind::FolderMissing("Not there".into()));
    dovecot.doveadm(&["mailbox", "create", "-u", USER, "Erledigt/B\u{fc}ro & \"Ost\""]).unwrap();
    let folder = AfterReading::Move("Erledigt/B\u{fc}ro & \"Ost\"".into());
    assert_eq!(imap.settle(&[4, 5, 99], &folder).await.unwrap(), Settled::Done);
    // Somebody else's mark must survive our expunge.
    dovecot.doveadm(&["flags", "add", "-u", USER, "\\Deleted", "mailbox", "INBOX", "uid", "9"]).unwrap();
    assert_eq!(imap.settle(&[6, 7], &AfterReading::Delete).await.unwrap(), Settled::Done);
    let left: Vec<u32> = imap_list(&mut imap).await.iter().map(|message| message.uid).collect();
    assert_eq!(left, [1, 2, 3, 8, 9]);
    assert_eq!(imap.select("Erledigt/B\u{fc}ro & \"Ost\"").await.unwrap().exists, 2);
    imap.close().await;
}

async fn open_inbox(dovecot: &Dovecot) -> Imap {
    let mut imap = open(dovecot, Encryption::Tls, &password()).await.unwrap();
    imap.select("INBOX").await.unwrap();
    imap
}

async fn imap_list(imap: &mut Imap) -> Vec<Listed> {
    imap.list_from(1).await.unwrap()
}

#[tokio::test]
async fn folder_names_with_anything_in_them() {
    let dovecot = Dovecot::start().await.unwrap();
    let names = [
        "Entw\u{fc}rfe",
        "A & B",
        "a\"b",
        "back\\slash",
        "\u{53f0}\u{5317}",
        "\u{1f600} &-",
        "  two  spaces",
        "{5}",
        "(x) [y] %",
    ];
    let mut imap = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    for name in names {
        let fault = imap.select(name).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::FolderMissing(name.into()));
        dovecot.doveadm(&["mailbox", "create", "-u", USER, name]).unwrap();
        assert_eq!(imap.select(name).await.unwrap().exists, 0, "{name}");
    }
    imap.close().await;
}

#[tokio::test]
async fn a_large_message_is_cut() {
    let dovecot = Dovecot::start().await.unwrap();
    let line = format!("{}\r\n", "y".repeat(98));
    let large = format!("Subject: large\r\n\r\n{}", line.repeat(200_000));
    dovecot.deliver(USER, [message(1), large.clone(), message(3)]).unwrap();
    let mut imap = open_inbox(&dovecot).await;
    let listed = imap_list(&mut imap).await;
    assert_eq!(listed[1].size as usize, large.len());
    let (mut fetched, missed) = fetch(&mut imap, &listed, 4 << 20).await;
    fetched.sort_by_key(|message| message.reference.clone());
    assert_eq!(missed, []);
    assert_eq!(fetched.iter().map(|message| message.cut).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(fetched[1].bytes, &large.as_bytes()[..4 << 20]);
    assert_eq!(fetched[2].bytes, message(3).as_bytes());
    // One that is as long as the bound is whole.
    let whole = message(3).len();
    let (fetched, _) = fetch(&mut imap, &listed[2..], whole).await;
    assert!(!fetched[0].cut);
    let (fetched, _) = fetch(&mut imap, &listed[2..], whole - 1).await;
    assert!(fetched[0].cut);
    imap.close().await;
}

#[tokio::test]
async fn since_a_day() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (1..=5).map(message)).unwrap();
    let mut imap = open_inbox(&dovecot).await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let listed = imap_list(&mut imap).await;
    assert_eq!(imap.list_since(today.yesterday().unwrap()).await.unwrap(), listed);
    assert_eq!(imap.list_since(today.saturating_add(jiff::Span::new().days(3))).await.unwrap(), []);
    imap.close().await;
}

#[tokio::test]
async fn a_server_that_can_little() {
    // No MOVE, UIDPLUS, SASL-IR.
    let little = "imap_capability = IMAP4rev1\n";
    let dovecot = Dovecot::start_with(little).await.unwrap();
    dovecot.deliver(USER, (1..=3).map(message)).unwrap();
    open(&dovecot, Encryption::Tls, &token(TOKEN)).await.unwrap().close().await;
    let mut imap = open_inbox(&dovecot).await;
    dovecot.doveadm(&["mailbox", "create", "-u", USER, "Done"]).unwrap();
    let moved = imap.settle(&[1, 2], &AfterReading::Move("Done".into())).await.unwrap();
    assert_eq!(moved, Settled::MarkedDeleted);
    assert_eq!(imap_list(&mut imap).await.len(), 3, "nothing is removed that others could have marked");
    assert_eq!(imap.select("Done").await.unwrap().exists, 2);
    imap.close().await;
}

#[tokio::test]
async fn what_dovecot_says_of_its_own_troubles() {
    let dovecot = Dovecot::start_with("mail_max_userip_connections = 1\n").await.unwrap();
    let first = open(&dovecot, Encryption::Tls, &password()).await.unwrap();
    let fault = open(&dovecot, Encryption::Tls, &password()).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::Throttled, "{fault}");
    first.close().await;
    // The identity provider is down: that is no refusal of the token.
    dovecot.stop_introspection();
    let fault = open(&dovecot, Encryption::Tls, &token(TOKEN)).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::Unavailable, "{fault}");
    assert!(fault.is_passing());
}

#[tokio::test]
async fn a_server_that_dies_while_fetching() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, (1..=1500).map(message)).unwrap();
    let mut imap = open_inbox(&dovecot).await;
    let listed = imap_list(&mut imap).await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let mut dovecot = Some(dovecot);
    let reading = async {
        let mut came = 0;
        while receiver.recv().await.is_some() {
            came += 1;
            drop(dovecot.take());
        }
        came
    };
    let (missed, came) = tokio::join!(imap.fetch(&listed, 1 << 20, sender), reading);
    assert_eq!(missed.unwrap_err().kind, FaultKind::Closed);
    assert!(came < 1500, "{came}");
}
