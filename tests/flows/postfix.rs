//! The real Postfix bounces what its peer refuses, into a Maildir.

use rebond_tests::postfix::{LOCAL_DOMAIN, PEER_DOMAIN, Postfix};
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
