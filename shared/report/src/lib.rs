//! What a message says: bytes in, [`Report`] out. Pure and total. A crate of its own, so that it is compiled for speed where
//! all else is compiled for size, and can be had alone.
//!
//! The order of evidence: the machine-readable parts (RFC 3464, RFC 5965, RFC 8098) wherever they
//! stand; then, where the header shows that a mail system wrote it, the notice in plain words; then
//! the signs of an automatic reply. Whatever is none of these is other mail.

mod address;
mod arrival;
mod delivery;
mod disposition;
mod evidence;
mod feedback;
pub mod field;
mod html;
mod key;
pub mod limits;
mod mime;
mod notice;
mod original;
mod parameter;
mod prose;
mod reading;
pub mod reason;
mod signs;
mod status;
mod text;
mod texts;
mod types;
mod utf7;
pub mod words;

pub use arrival::arrival;
pub use key::key;
pub use types::{Action, Diagnostic, Evidence, Feedback, Kind, Original, Outcome, Reason, Report};

use std::borrow::Cow;

/// Reads one message, as fetched: its header and body with LF, CRLF or lone CR line ends.
///
/// Total: damage, bounds and guesses are told in [`Report::diagnostics`]. Linear in the message, of
/// which at most [`limits::MESSAGE_BYTES`] are looked at.
pub fn read(message: &[u8]) -> Report {
    let bounded = &message[..message.len().min(limits::MESSAGE_BYTES)];
    let lines = with_line_feeds(bounded);
    let mut report = reading::read(&lines, 0);
    if bounded.len() < message.len() {
        report.diagnostics.push(diagnostic("message-cut"));
    }
    report
}

/// Whether a mail system or an automaton wrote a message, as far as its header and its parts tell: other rules may make a
/// report of it. What people write is none of that.
pub fn is_by_machine(message: &[u8]) -> bool {
    let bounded = &message[..message.len().min(limits::MESSAGE_BYTES)];
    let lines = with_line_feeds(bounded);
    let parts = mime::Parts::of(&lines);
    let Some(top) = parts.list.first() else { return false };
    let signs = signs::Signs::of(&top.fields, &top.fields.decoded("subject").unwrap_or_default());
    let machine = |part: &mime::Part<'_>| {
        matches!(part.media, mime::Media::DeliveryStatus | mime::Media::Feedback | mime::Media::Disposition)
    };
    signs.is_system() || signs.automatic || parts.list.iter().any(machine)
}

/// All that can be read in a message, decoded: its fields, its texts, and those of messages within it.
pub fn readable(message: &[u8]) -> Vec<String> {
    fn add(message: &[u8], depth: usize, found: &mut Vec<String>) {
        for part in mime::Parts::of(message).list {
            found.extend(part.fields.iter().map(|field| field.decoded()));
            match part.media {
                mime::Media::Multipart => continue,
                mime::Media::Text | mime::Media::Html => found.push(part.text().into_owned()),
                mime::Media::Message if depth < limits::DEPTH => {
                    add(&part.decoded(limits::MESSAGE_BYTES), depth + 1, found);
                    continue;
                }
                _ => {}
            }
            found.push(String::from_utf8_lossy(&part.decoded(limits::MESSAGE_BYTES)).into_owned());
        }
    }
    let bounded = &message[..message.len().min(limits::MESSAGE_BYTES)];
    let mut found = Vec::new();
    add(&with_line_feeds(bounded), 0, &mut found);
    found
}

/// Lone carriage returns made line feeds, where the message ends its lines so. Offsets stay.
fn with_line_feeds(message: &[u8]) -> Cow<'_, [u8]> {
    let lone = match memchr::memchr2(b'\r', b'\n', message) {
        Some(at) if message[at] == b'\r' => message.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    if !lone {
        return Cow::Borrowed(message);
    }
    let mut lines = message.to_vec();
    for at in 0..lines.len() {
        if lines[at] == b'\r' && lines.get(at + 1) != Some(&b'\n') {
            lines[at] = b'\n';
        }
    }
    Cow::Owned(lines)
}

/// A diagnostic by its code.
fn diagnostic(code: &str) -> Diagnostic {
    let text = match code {
        "message-cut" => "The message is longer than is read; the rest was not looked at.",
        "headers-cut" => "There are more header fields than are read.",
        "parts-cut" => "There are more parts than are read.",
        "nesting-cut" => "Parts are nested deeper than is followed.",
        "recipients-cut" => "There are more recipients than are kept.",
        "boundary-damaged" => "The declared boundary is not the one that divides the parts.",
        "boundary-unclosed" => "The last part is not closed.",
        "content-type-missing" => "The message has parts and does not declare them.",
        "status-unreadable" => "A delivery status part names no recipient.",
        "forwarded-report" => "A person forwarded somebody's report: it is not acted upon.",
        "recipient-unnamed" => "A notice of failure that names no recipient.",
        "complainer-unnamed" => "A complaint that does not say whose it is.",
        "recipient-guessed" => "The recipient is taken from the returned message.",
        _ => "",
    };
    Diagnostic { code: code.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, kind: Kind, addresses: &[&str]) {
        for text in [message.to_owned(), message.replace('\n', "\r\n"), message.replace('\n', "\r")] {
            let report = read(text.as_bytes());
            let found: Vec<_> = report.recipients.iter().map(|o| o.address.as_str()).collect();
            assert_eq!((report.kind, found.as_slice()), (kind, addresses), "{text:?}");
        }
    }

    const STATUS: &str = "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; a@example.com\n\
                          Action: ACTION\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n";

    #[test]
    fn kinds() {
        let report = |action: &str| {
            let status = STATUS.replace("ACTION", action);
            format!(
                "From: MAILER-DAEMON\nContent-Type: multipart/report; boundary=b\n\n--b\n\nwords\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
            )
        };
        check(&report("failed"), Kind::Bounce, &["a@example.com"]);
        check(&report("delayed"), Kind::Delayed, &["a@example.com"]);
        check(&report("relayed"), Kind::Delivered, &["a@example.com"]);
        check(
            "From: b@example.com\nAuto-Submitted: auto-replied\nSubject: x\n\nI am away.\n",
            Kind::AutoReply,
            &["b@example.com"],
        );
        check("From: b@example.com\nSubject: lunch\n\nAt noon?\n", Kind::Other, &[]);
        check(
            "Content-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n\
             Original-Rcpt-To: <a@example.com>\n\n--b--\n",
            Kind::Feedback,
            &["a@example.com"],
        );
        check("", Kind::Other, &[]);
    }

    /// RFC 3464 §2.3.2 wants a recipient in each group; whoever passes reports on may have taken them out.
    #[test]
    fn each_group_has_an_outcome_though_it_names_nobody() {
        let groups = |groups: &str| {
            format!(
                "From: MAILER-DAEMON\nContent-Type: multipart/report; boundary=b\n\n--b\n\nwords\n--b\nContent-Type: \
                 message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n{groups}\n--b\nContent-Type: \
                 text/rfc822-headers\n\nTo: list@example.com\nMessage-ID: <1@example.org>\n\n--b--\n"
            )
        };
        let failed = "Action: failed\nStatus: 5.1.1\n";
        let named = format!("Final-Recipient: rfc822; a@example.com\n{failed}");
        check(&groups(&format!("{named}\n{failed}")), Kind::Bounce, &["a@example.com", ""]);
        // What is blacked out is no address, and not the same person each time.
        let black = format!("Final-Recipient: rfc822; xxx\n{failed}");
        check(&groups(&format!("{black}\n{black}")), Kind::Bounce, &["xxx", "xxx"]);
        // Alone it is whoever was mailed; a group that goes on behind an empty line is one.
        check(&groups(&black), Kind::Bounce, &["list@example.com"]);
        check(&groups(&format!("{named}\nDiagnostic-Code: smtp; 550 no\n")), Kind::Bounce, &["a@example.com"]);
    }

    /// RFC 3464 §2 has one part for all recipients; some write one for each, and some pass all on as one text.
    #[test]
    fn every_part_and_a_text_of_fields_is_read() {
        let fields = |address: &str| {
            format!(
                "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; {address}\nAction: failed\nStatus: 5.1.1\n"
            )
        };
        let (a, b) = (fields("a@example.com"), fields("b@example.com"));
        let part = "--b\nContent-Type: message/delivery-status\n\n";
        let parts = format!(
            "From: MAILER-DAEMON\nContent-Type: multipart/report; boundary=b\n\n--b\n\nwords\n{part}{a}\n{part}{b}\n--b--\n"
        );
        check(&parts, Kind::Bounce, &["a@example.com", "b@example.com"]);
        let text = format!("From: MAILER-DAEMON@example.net\nSubject: Returned mail\n\nIt failed.\n\n{a}\n{b}");
        check(&text, Kind::Bounce, &["a@example.com", "b@example.com"]);
        let (nobody, delayed) = (fields(""), b.replace("failed", "delayed").replace('5', "4"));
        check(&text.replace(&a, &nobody).replace(&b, &nobody), Kind::Bounce, &["", ""]);
        check(&text.replace(&a, "").replace(&b, &delayed), Kind::Delayed, &["b@example.com"]);
        let attached = |fields: &str| {
            format!(
                "--c\nContent-Type: message/rfc822\n\nFrom: MAILER-DAEMON\nContent-Type: multipart/report; boundary=b\n\n\
                 --b\n\nwords\n{part}{fields}\n--b--\n"
            )
        };
        let head = "From: ann@example.org\nSubject: Fwd: two\nContent-Type: multipart/mixed; boundary=c\n\n";
        let forward = format!("{head}{}{}--c--\n", attached(&delayed), attached(&a));
        check(&forward, Kind::Bounce, &["b@example.com", "a@example.com"]);
    }

    #[test]
    fn a_forward_by_a_person_is_other_mail() {
        let status = STATUS.replace("ACTION", "failed");
        let forward = format!(
            "From: b@example.com\nSubject: Fwd: Undeliverable\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nWhat is this?\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
        );
        check(&forward, Kind::Other, &[]);
    }

    #[test]
    fn the_key_does_not_depend_on_line_ends() {
        let message = "Message-ID: <1@x>\nDate: d\n\nhello  you\n";
        assert_eq!(key(message.as_bytes()), key(message.replace('\n', "\r\n").as_bytes()));
        assert_ne!(key(message.as_bytes()), key(message.replace("you", "me").as_bytes()));
    }
}
