//! The real Postfix bounces what its peer refuses, into a Maildir, and from a Dovecot's into our table.

use rebond::report::Kind;
use rebond_tests::mail::letter;
use rebond_tests::postfix::{LOCAL_DOMAIN, PEER_DOMAIN, Postfix};
use rebond_tests::world::MAILBOX;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const SENDER: &str = "bounce@sender.example.com";

fn mail(to: &str) -> String {
    format!(
        "From: <{SENDER}>\r\nTo: <{to}>\r\nSubject: News\r\nMessage-ID: <1@sender.example.com>\r\n\r\n.A line that begins with a dot.\r\n"
    )
}

fn wait_for_mail(maildir: &Path, postfix: &Postfix) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(entry) = maildir.join("new").read_dir().into_iter().flatten().flatten().next() {
            return std::fs::read_to_string(entry.path()).unwrap();
        }
        assert!(Instant::now() < end, "no bounce; Postfix says:\n{}", postfix.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn check(recipient: &str, expected: &[&str]) {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let maildir = dir.path().join("Maildir");
    let postfix = Postfix::start(&[(SENDER, &maildir)]).unwrap();
    postfix.submit(SENDER, &[recipient], &mail(recipient)).unwrap();
    let bounce = wait_for_mail(&maildir, &postfix);
    for words in expected.iter().chain(&["message/delivery-status", recipient, "Message-ID: <1@sender.example.com>"]) {
        assert!(bounce.contains(words), "no {words:?} in:\n{bounce}");
    }
}

#[test]
fn a_recipient_whom_the_peer_does_not_know() {
    check(
        &format!("unknown@{PEER_DOMAIN}"),
        &["Action: failed", "Status: 5.1.1", "550 5.1.1 Recipient address rejected"],
    );
}

#[test]
fn a_mailbox_that_is_full() {
    check(&format!("full@{PEER_DOMAIN}"), &["Action: failed", "Status: 5.2.2", "552 5.2.2 Mailbox is full"]);
}

#[test]
fn a_message_refused_by_policy() {
    check(&format!("blocked@{PEER_DOMAIN}"), &["Action: failed", "Status: 5.7.1", "550 5.7.1 Message refused"]);
}

#[test]
fn a_recipient_who_stays_busy_until_the_queue_gives_up() {
    check(&format!("later@{PEER_DOMAIN}"), &["Action: failed", "Status: 4.2.1", "450 4.2.1 Mailbox is busy"]);
}

#[test]
fn an_unknown_user_of_its_own() {
    check(&format!("nobody.here@{LOCAL_DOMAIN}"), &["Action: failed", "Status: 5.1.1", "unknown user"]);
}

/// From a refusal on the wire to a fact: Postfix's own bounces, in a Dovecot that asks the identity provider about the token.
#[tokio::test(flavor = "multi_thread")]
async fn what_postfix_returns_is_polled_from_dovecot_as_facts() {
    let dir = tempfile::tempdir().unwrap();
    let (dovecot, world) = crate::dovecot::trusting(dir.path()).await;
    let maildir = dovecot.maildir(MAILBOX).unwrap();
    let postfix = Postfix::start(&[(MAILBOX, &maildir)]).unwrap();
    let expected: BTreeMap<String, (&str, bool, &str)> = [
        (format!("unknown@{PEER_DOMAIN}"), ("user-unknown", true, "5.1.1")),
        (format!("full@{PEER_DOMAIN}"), ("mailbox-full", false, "5.2.2")),
        (format!("blocked@{PEER_DOMAIN}"), ("rejected", false, "5.7.1")),
        (format!("nobody.here@{LOCAL_DOMAIN}"), ("user-unknown", true, "5.1.1")),
    ]
    .into();
    for address in expected.keys() {
        postfix.submit(MAILBOX, &[address], &mail(address)).unwrap();
    }
    let end = Instant::now() + Duration::from_secs(60);
    while maildir.join("new").read_dir().unwrap().count() < expected.len() {
        assert!(Instant::now() < end, "bounces are missing; Postfix says:\n{}", postfix.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    dovecot.deliver(MAILBOX, [letter(1)]).unwrap();

    let id = world.add_connected("returns", |account| account.server.port = dovecot.imaps).await.unwrap();
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.reports, summary.recorded), (5, 4, 5), "{summary:?}\n{}", dovecot.log());
    let facts = world.facts(&id).await.unwrap();
    let mut read = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.kind == Kind::Bounce) {
        assert_eq!(
            fact.report.original.as_ref().and_then(|original| original.message_id.as_deref()),
            Some("1@sender.example.com")
        );
        for outcome in &fact.report.recipients {
            let reason = outcome.reason.as_str();
            let status = outcome.status.as_ref().map(ToString::to_string).unwrap_or_default();
            read.insert(outcome.address.to_string(), (reason.to_owned(), outcome.hard, status));
        }
    }
    let expected = expected
        .into_iter()
        .map(|(address, (reason, hard, status))| (address, (reason.to_owned(), hard, status.to_owned())));
    assert_eq!(read, expected.collect());
}
