//! The fuzz target on a stable compiler: fixtures mutated from a seed, a bounded number of times.
//!
//! `REBOND_FUZZ=1000000 REBOND_FUZZ_SEED=7 cargo test --release -p rebond-report --test report fuzz`
//! runs longer; a failure names the seed and the round, which make it happen again.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// xorshift64*: enough to choose mutations, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }
}

/// Fragments that reports are made of, and some that they should not be.
const FRAGMENTS: &[&str] = &[
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\n--",
    "--",
    "\n ",
    "\n\t",
    ":",
    ";",
    "=",
    "=?utf-8?B?",
    "=?x?Q?=",
    "?=",
    "<",
    ">",
    "<>",
    "@",
    "a@b.c",
    "<a@example.com>",
    "rfc822;",
    "utf-8;",
    "\\x{",
    "}",
    "+40",
    "550 ",
    "550 5.1.1 ",
    "452-4.2.2",
    "5.0.0",
    "Final-Recipient: ",
    "\nFinal-Recipient: rfc822;",
    "\nAction: failed\n",
    "\nAction: delayed\n",
    "\nStatus: ",
    "\nDiagnostic-Code: smtp;",
    "Content-Type: multipart/report; boundary=",
    "Content-Type: message/rfc822\n\n",
    "Content-Type: message/delivery-status\n\n",
    "Content-Transfer-Encoding: base64\n",
    "Content-Transfer-Encoding: quoted-printable\n",
    "boundary=\"\"",
    "\0",
    "\u{202E}",
    "é",
    "\u{1b}$B",
    "&#",
    "&#x110000;",
    "<!--",
    "<script",
    "</",
    "From ",
    ">From ",
    "Subject:",
    "Received:",
    "(expanded from ",
    "[",
    "]",
    "\"",
    "\\",
];

fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut message = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..1 + dice.roll(8) {
        let at = dice.roll(message.len() + 1);
        match dice.roll(7) {
            0 => {
                let fragment = FRAGMENTS[dice.roll(FRAGMENTS.len())].as_bytes();
                message.splice(at..at, fragment.iter().copied());
            }
            1 => message.truncate(at),
            2 => {
                let end = (at + dice.roll(200)).min(message.len());
                message.drain(at..end);
            }
            3 => {
                let end = (at + dice.roll(400)).min(message.len());
                let copy = message[at..end].to_vec();
                let to = dice.roll(message.len() + 1);
                message.splice(to..to, copy);
            }
            4 if at < message.len() => message[at] = dice.roll(256) as u8,
            5 => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len());
                let tail = other[from..].to_vec();
                message.truncate(at);
                message.extend(tail);
            }
            _ => message.iter_mut().skip(at).take(60).for_each(|c| c.make_ascii_uppercase()),
        }
        message.truncate(64 << 10);
    }
    message
}

#[test]
fn mutated_reports_break_nothing() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (rounds, seed) = (number("REBOND_FUZZ", 4_000), number("REBOND_FUZZ_SEED", 1));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/report");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "eml"));
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|p| std::fs::read(p).unwrap()).collect();
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for round in 0..rounds {
        let message = mutated(&mut dice, &seeds);
        let done = catch_unwind(AssertUnwindSafe(|| crate::check::check(&message)));
        assert!(done.is_ok(), "seed {seed}, round {round}:\n{}", String::from_utf8_lossy(&message));
    }
}
