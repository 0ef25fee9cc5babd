//! How fast mail is read, side by side with a bare MIME parse and with a walk over the bytes.
//!
//! `REBOND_CORPUS=… cargo bench -p rebond-report --bench report` reads a corpus of real messages; without
//! it, the fixtures of the tests. One core: divan runs one thread. Before that: the first message of a cold process, and
//! messages of 10 MB, each in a process of its own, so that its memory is its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--once") {
        once(&arguments.next().unwrap_or_default());
        return;
    }
    println!("once, in a process of its own        time       memory taken");
    for name in SHAPES {
        let run = |_| {
            let out = Command::new(std::env::current_exe().unwrap()).args(["--once", name]).output().unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            let mut numbers = text.split_whitespace().map(|n| n.parse::<f64>().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        };
        let runs: Vec<(f64, f64)> = (0..9).map(run).collect();
        let least = |of: fn(&(f64, f64)) -> f64| runs.iter().map(of).fold(f64::MAX, f64::min);
        println!("{name:<28} {:>9.2} ms  {:>9.2} MB", least(|r| r.0), least(|r| r.1));
    }
    println!();
    divan::main();
}

/// What is read once in a process of its own; all but the first are 10 MB.
const SHAPES: [&str; 10] = [
    "first message",
    "attachment returned",
    "text of one line",
    "words of many phrases",
    "html",
    "addresses",
    "recipients",
    "empty parts",
    "fields",
    "base64 text",
];

/// Prints milliseconds, and megabytes taken beyond the message itself.
fn once(name: &str) {
    let message = shape(name);
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line =
            status.lines().find(|l| l.starts_with("VmHWM:")).and_then(|l| l.split_whitespace().nth(1)?.parse().ok());
        line.unwrap_or(0.0) * 1024.0
    };
    // The peak so far was the making of the message (proc(5): 5 resets it).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = peak();
    let start = Instant::now();
    black_box(rebond_report::read(black_box(&message)));
    let took = start.elapsed();
    println!("{} {}", took.as_secs_f64() * 1000.0, (peak() - before) / 1e6);
}

fn shape(name: &str) -> Vec<u8> {
    let daemon = "From: MAILER-DAEMON@example.net\nSubject: Undelivered Mail Returned to Sender\n";
    let status = "Content-Type: multipart/report; boundary=b\n\n--b\n\nwords\n--b\nContent-Type: message/delivery-status\n\n\
                  Reporting-MTA: dns; example.net\n\n";
    let one = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 no such user\n\n";
    let filled = |head: String, piece: &str| {
        let times = ((10 << 20) - head.len()) / piece.len();
        (head + &piece.repeat(times)).into_bytes()
    };
    match name {
        "first message" => {
            format!("{daemon}{status}{one}--b\nContent-Type: message/rfc822\n\nSubject: x\n\n--b--\n").into_bytes()
        }
        "attachment returned" => {
            let head = format!("{daemon}{status}{one}--b\nContent-Type: message/rfc822\n\nSubject: x\n\n");
            filled(head, &format!("{}\n", "QUJD".repeat(19)))
        }
        "text of one line" => filled(format!("{daemon}\n"), "a"),
        "words of many phrases" => filled(format!("{daemon}\n"), "mailbox user message not recipient could delivery "),
        "html" => filled(
            format!("{daemon}Content-Type: text/html\n\n"),
            "<p>user <b>a@example.com</b> &eacute; unknown</p>\n",
        ),
        "addresses" => filled(format!("{daemon}\n"), "<a@example.com>: no\n"),
        "recipients" => filled(format!("{daemon}{status}"), one),
        "empty parts" => filled(format!("{daemon}Content-Type: multipart/mixed; boundary=b\n\n"), "--b\n\nx\n"),
        "fields" => filled(daemon.to_owned(), "X-Field: value\n"),
        _ => filled(format!("{daemon}Content-Transfer-Encoding: base64\n\n"), &format!("{}\n", "dXNlciB1".repeat(9))),
    }
}

/// Every message, whole files in memory; those over 1 MB are a case of their own.
static MAIL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/report");
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
        black_box(rebond_report::read(m));
    });
}

#[divan::bench]
fn d_report_key(bencher: Bencher) {
    over_all(bencher, |m| {
        black_box(rebond_report::key(m));
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
    bencher.bench_local(|| rebond_report::read(black_box(message.as_bytes())));
}
