//! A Dovecot with as many messages of 4.4 KB as the first argument says, as many milliseconds of round trip away as the
//! second says, and one message of as many MB as the third says among them, until standard input ends. With `bounces` as the
//! fourth these are genuine-looking bounces of 2 KB, each of an address of its own. Prints where it is.
#![allow(clippy::print_stdout)]

use anyhow::Result;
use rebond_standin::demo_mail;
use rebond_tests::delay::relay;
use rebond_tests::dovecot::{Dovecot, USER};
use std::io::Write as _;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    let number = |at: usize, otherwise: u64| std::env::args().nth(at).map_or(Ok(otherwise), |text| text.parse());
    let (count, round_trip, large) = (number(1, 10_000)?, number(2, 0)?, number(3, 0)?);
    let message = match std::env::args().nth(4).as_deref() {
        Some("bounces") => bounce,
        _ => message,
    };
    let dovecot = Dovecot::start().await?;
    let half = count / 2;
    dovecot.deliver(USER, (0..half).map(message))?;
    dovecot.deliver(
        USER,
        (0..u64::from(large > 0)).map(|n| message(count + n) + &line(n).repeat((large << 20) as usize / 74)),
    )?;
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

/// A bounce as Postfix, Exim, sendmail or qmail writes it: the stand-in's own mail, with an address and an id of its own, of a
/// thousand domains.
fn bounce(n: u64) -> String {
    const RECIPIENTS: [(usize, &str); 6] = [
        (0, "kim@example.com"),
        (1, "robin@example.net"),
        (2, "sam@example.com"),
        (4, "jo@nowhere.example.net"),
        (6, "chris@example.net"),
        (12, "casey@example.com"),
    ];
    let (at, recipient) = RECIPIENTS[(n % 6) as usize];
    let text =
        String::from_utf8_lossy(demo_mail()[at]).replace(recipient, &format!("user{n}@d{}.example.com", n % 1_000));
    text.replace("Message-ID: <", &format!("Message-ID: <{n}.")).replace("Message-Id: <", &format!("Message-Id: <{n}."))
}
