//! What reading words costs: `cargo bench -p rebond-report --bench rules`.

#![allow(missing_docs, clippy::unwrap_used)]

use divan::Bencher;
use rebond_report::reason::{Clue, weigh};
use rebond_report::words::{in_body, in_subject};

fn main() {
    divan::main();
}

const POSTFIX: &str =
    "550 5.1.1 <someone@example.com>: Recipient address rejected: User unknown in virtual mailbox table";
const GOOGLE: &str = "552-5.2.2 The recipient's inbox is out of storage space and inactive. Please 552-5.2.2 direct \
    the recipient to 552 5.2.2 https://support.google.com/mail/?p=OverQuotaPerm c2-202229zmZBNM3agi23.222 - gsmtp";
const SUBJECT: &str = "Undelivered Mail Returned to Sender";

/// A Postfix notice, repeated to 2 KB.
fn notice() -> String {
    let text = "This is the mail system at host mx.example.com.\n\nI'm sorry to have to inform you that your message \
        could not be delivered to one or more recipients. It's attached below.\n\nFor further assistance, please send \
        mail to postmaster.\n\n<someone@example.com>: host mx.example.net[192.0.2.1] said: 550 5.7.1 blocked\n\n";
    text.repeat(8)[..2048].to_owned()
}

#[divan::bench(args = [POSTFIX, GOOGLE])]
fn diagnostic(bencher: Bencher, remote: &str) {
    bencher.bench(|| weigh(&Clue { remote: divan::black_box(remote), ..Clue::default() }));
}

#[divan::bench]
fn subject(bencher: Bencher) {
    bencher.bench(|| in_subject(divan::black_box(SUBJECT)));
}

#[divan::bench]
fn body_of_2_kb(bencher: Bencher) {
    let text = notice();
    bencher.bench(|| in_body(divan::black_box(&text)));
}

#[divan::bench]
fn reason_of_2_kb(bencher: Bencher) {
    let text = notice();
    bencher.bench(|| weigh(&Clue { local: divan::black_box(&text), ..Clue::default() }));
}

/// Everything that keeps the matcher busy: words that begin many phrases and end none.
#[divan::bench(args = [1 << 19, 1 << 20])]
fn hostile(bencher: Bencher, bytes: usize) {
    let text = "mailbox user message not recipient could delivery ".repeat(bytes / 50 + 1);
    bencher.bench(|| weigh(&Clue { remote: divan::black_box(&text), ..Clue::default() }));
}
