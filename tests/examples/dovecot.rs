//! A Dovecot with as many messages of 4.4 KB as the first argument says, as many milliseconds of round trip away as the
//! second says, until standard input ends.
#![allow(clippy::print_stdout)]

use anyhow::Result;
use rebond_tests::delay::relay;
use rebond_tests::dovecot::{Dovecot, USER};
use std::io::Write as _;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    let count: usize = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse())?;
    let dovecot = Dovecot::start().await?;
    dovecot.deliver(USER, (0..count).map(message))?;
    dovecot.doveadm(&["index", "-u", USER, "INBOX"])?;
    let mut ca = tempfile::NamedTempFile::new()?;
    ca.write_all(dovecot.ca_pem.as_bytes())?;
    let round_trip = std::env::args().nth(2).map_or(Ok(0), |milliseconds| milliseconds.parse())?;
    let port = match round_trip {
        0 => dovecot.imaps,
        milliseconds => relay(dovecot.imaps, Duration::from_millis(milliseconds)).await?,
    };
    println!("REBOND_BENCH_PORT={port} REBOND_BENCH_CA={}", ca.path().display());
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(())
}

fn message(n: usize) -> String {
    let line = format!("{n:010} {}\r\n", "x".repeat(61));
    format!("From: <>\r\nTo: bounce@example.com\r\nSubject: Returned mail {n}\r\n\r\n{}", line.repeat(59))
}
