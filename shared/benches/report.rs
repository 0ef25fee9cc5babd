//! How fast mail is read, side by side with a bare MIME parse and with a walk over the bytes.
//!
//! `REBOND_CORPUS=… cargo bench -p rebond --bench report` reads a corpus of real messages; without
//! it, the fixtures of the tests. One core: divan runs one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn main() {
    divan::main();
}

/// Every message, whole files in memory; those over 1 MB are a case of their own.
static MAIL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/report");
    let root = std::env::var_os("REBOND_CORPUS").map_or(fixtures, PathBuf::from);
    let mut found = Vec::new();
    collect(&root, &mut found);
    assert!(!found.is_empty(), "no messages under {}", root.display());
    found
});

fn collect(folder: &Path, found: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("a folder of messages").map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "eml") {
            let message = std::fs::read(&path).unwrap();
            if message.len() < 1 << 20 {
                found.push(message);
            }
        }
    }
}

fn over_all(bencher: Bencher, mut step: impl FnMut(&[u8]) + Sync + Send) {
    let bytes: usize = MAIL.iter().map(Vec::len).sum();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(MAIL.len())).bench_local(|| {
        for message in MAIL.iter() {
            step(black_box(message));
        }
    });
}

#[divan::bench]
fn a_walk_with_memchr(bencher: Bencher) {
    over_all(bencher, |m| {
        black_box(memchr::memchr_iter(b'\n', m).count());
    });
}

#[divan::bench]
fn b_mail_parser(bencher: Bencher) {
    over_all(bencher, |m| {
        black_box(mail_parser::MessageParser::default().parse(m));
    });
}

#[divan::bench]
fn c_report_read(bencher: Bencher) {
    over_all(bencher, |m| {
        black_box(rebond::report::read(m));
    });
}

#[divan::bench]
fn d_report_key(bencher: Bencher) {
    over_all(bencher, |m| {
        black_box(rebond::report::key(m));
    });
}

/// A bounce that returns a 10 MB attachment.
#[divan::bench]
fn e_attachment_of_10_mb(bencher: Bencher) {
    let line = format!("{}\r\n", "QUJD".repeat(19));
    let message = format!(
        "From: MAILER-DAEMON@example.net\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.net\r\n\r\nFinal-Recipient: rfc822; a@example.com\r\n\
         Action: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n{}\r\n--b--\r\n",
        line.repeat((10 << 20) / line.len())
    );
    bencher.bench_local(|| rebond::report::read(black_box(message.as_bytes())));
}
