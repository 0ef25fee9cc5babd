//! A Dovecot with as many messages of 4.4 KB as the first argument says, as many milliseconds of round trip away as the
//! second says, and one message of as many MB as the third says among them, until standard input ends. Prints where it is.
#![allow(clippy::print_stdout)]

use anyhow::Result;
use rebond_tests::delay::relay;
use rebond_tests::dovecot::{Dovecot, USER};
use std::io::Write as _;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    let number = |at: usize, otherwise: u64| std::env::args().nth(at).map_or(Ok(otherwise), |text| text.parse());
    let (count, round_trip, large) = (number(1, 10_000)?, number(2, 0)?, number(3, 0)?);
    let dovecot = Dovecot::start().await?;
    let half = count / 2;
    dovecot.deliver(USER, (0..half).map(message))?;
    dovecot
        .deliver(USER, (0..u64::from(large > 0)).map(|n| message(n) + &line(n).repeat((large << 20) as usize / 74)))?;
    dovecot.deliver(USER, (half..count).map(message))?;
    dovecot.doveadm(&["index", "-u", USER, "INBOX"])?;
    let mut ca = tempfile::NamedTempFile::new()?;
    ca.write_all(dovecot.ca_pem.as_bytes())?;
    let mut ports = [dovecot.imaps, dovecot.imap, dovecot.pop3s, dovecot.pop3];
    for port in ports.iter_mut().filter(|_| round_trip > 0) {
        *port = relay(*port, Duration::from_millis(round_trip)).await?;
    }
    let [imaps, imap, pop3s, pop3] = ports;
    println!("REBOND_BENCH_PORT={imaps} REBOND_BENCH_CA={} IMAP={imap} POP3S={pop3s} POP3={pop3}", ca.path().display());
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(())
}

fn line(n: u64) -> String {
    format!("{n:010} {}\r\n", "x".repeat(61))
}

fn message(n: u64) -> String {
    format!("From: <>\r\nTo: bounce@example.com\r\nSubject: Returned mail {n}\r\n\r\n{}", line(n).repeat(59))
}
