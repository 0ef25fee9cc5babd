//! How fast the engines read a mail server that is already there, and what that costs: one line of JSON. `infra/speed` runs it
//! beside other clients.
//!
//! ```text
//! REBOND_BENCH_PROTOCOL=imap|pop3 REBOND_BENCH_PORT=… REBOND_BENCH_CA=FILE (none: in clear) fetch
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use rebond::account::{Encryption, Protocol, Server, Since};
use rebond::mailbox::imap::Imap;
use rebond::mailbox::pop3::Pop3;
use rebond::mailbox::{Fetched, Login, Mailbox};
use rebond::net::{Reach, Tls};
use rebond::secret::Secret;
use std::time::{Duration, Instant};

/// User and password of the tests' Dovecot.
const LOGIN: (&str, &str) = ("basic@example.com", "p\u{e4}ss \"w\\rd&{5}");
/// Messages asked for at once, as a poll does.
const CHUNK: usize = 1_000;
/// Messages fetched and not yet taken, as in a poll.
const QUEUED: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let said = |name: &str| std::env::var(format!("REBOND_BENCH_{name}")).ok();
    let Some(port) = said("PORT") else {
        println!("REBOND_BENCH_PORT says which server to read: see the head of this file, or run infra/speed");
        return;
    };
    let ca = said("CA").map(|path| std::fs::read(path).unwrap());
    let encryption = if ca.is_some() { Encryption::Tls } else { Encryption::None };
    let protocol = if said("PROTOCOL").as_deref() == Some("pop3") { Protocol::Pop3 } else { Protocol::Imap };
    let server = Server { host: "localhost".into(), port: port.parse().unwrap(), encryption };
    run(protocol, &server, &Tls::new(ca.as_deref()).unwrap()).await;
}

async fn run(protocol: Protocol, server: &Server, tls: &Tls) {
    let login = Login::Password { user: LOGIN.0.into(), password: Secret::from(LOGIN.1.to_owned()) };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let reach = Reach::public().with_loopback();
    let start = Instant::now();
    let mut mailbox: Box<dyn Mailbox> = match protocol {
        Protocol::Pop3 => Box::new(Pop3::open(server, &login, &reach, tls, deadline).await.unwrap()),
        _ => Box::new(Imap::open(server, &login, &reach, tls, deadline).await.unwrap()),
    };
    mailbox.select("INBOX").await.unwrap();
    let listed = mailbox.list(None, Since::All, jiff::Timestamp::now()).await.unwrap();
    let opened = start.elapsed().as_secs_f64();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let (mut count, mut bytes) = (0, 0);
    for wanted in listed.chunks(CHUNK) {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<Fetched>(QUEUED);
        let taking = async {
            while let Some(message) = receiver.recv().await {
                count += 1;
                bytes += message.bytes.len();
            }
        };
        let (missed, ()) = tokio::join!(mailbox.fetch(wanted, sender), taking);
        assert!(missed.unwrap().is_empty());
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    assert_eq!(count, listed.len());
    let _ = mailbox.close().await;
    println!(
        "{}",
        serde_json::json!({ "messages": count, "bytes": bytes, "opened": opened, "seconds": seconds, "cpu": cpu,
            "peak_kb": peak_kb() })
    );
}

/// CPU time of this process so far, user and system: `/proc` counts it in nanoseconds.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// The most memory that was resident.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
