//! Messages a second from a mail server that is already there:
//!
//! ```text
//! cargo run -p rebond-tests --example dovecot -- 10000 20   # 20 ms away, or 0; prints the two variables
//! REBOND_BENCH_PORT=… REBOND_BENCH_CA=… cargo bench -p rebond --features mailbox --bench imap_fetch
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use rebond::account::{Encryption, Server};
use rebond::limits;
use rebond::mailbox::Login;
use rebond::mailbox::imap::Imap;
use rebond::net::{Reach, Tls};
use rebond::secret::Secret;
use std::time::{Duration, Instant};

/// User and password of the tests' Dovecot.
const LOGIN: (&str, &str) = ("basic@example.com", "p\u{e4}ss \"w\\rd&{5}");

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Ok(port) = std::env::var("REBOND_BENCH_PORT") else {
        println!("REBOND_BENCH_PORT and REBOND_BENCH_CA say which server to read: see the head of this file");
        return;
    };
    let ca = std::fs::read(std::env::var("REBOND_BENCH_CA").expect("REBOND_BENCH_CA")).unwrap();
    let server = Server { host: "localhost".into(), port: port.parse().unwrap(), encryption: Encryption::Tls };
    let tls = Tls::new(Some(&ca)).unwrap();
    for _ in 0..5 {
        run(&server, &tls).await;
    }
}

async fn run(server: &Server, tls: &Tls) {
    let login = Login::Password { user: LOGIN.0.into(), password: Secret::from(LOGIN.1.to_owned()) };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    let reach = Reach::public().with_loopback();
    let mut imap = Imap::open(server, &login, &reach, tls, deadline).await.unwrap();
    imap.select("INBOX").await.unwrap();
    let start = Instant::now();
    let listed = imap.list_from(1).await.unwrap();
    let listing = start.elapsed();
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<rebond::mailbox::Fetched>(64);
    let start = Instant::now();
    let reading = async {
        let (mut count, mut bytes) = (0, 0);
        while let Some(message) = receiver.recv().await {
            count += 1;
            bytes += message.bytes.len();
        }
        (count, bytes)
    };
    let (missed, (count, bytes)) = tokio::join!(imap.fetch(&listed, limits::MESSAGE_BYTES, sender), reading);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!((missed.unwrap().len(), count), (0, listed.len()));
    let (rate, mb) = (count as f64 / seconds, bytes as f64 / seconds / 1e6);
    println!(
        "listed {count} in {listing:.0?}; fetched in {seconds:.3} s: {rate:.0} messages/s, {mb:.1} MB/s; {}",
        cpu()
    );
    imap.close().await;
}

/// What this process has used so far: CPU time (user and system, in ticks of 10 ms) and peak memory.
fn cpu() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().trim();
    format!("CPU so far {} ms, {peak}", (ticks(11) + ticks(12)) * 10)
}
