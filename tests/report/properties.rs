//! What changes nothing about a message changes nothing about its report.

use proptest::prelude::*;
use rebond_report::{Kind, Report, key, read};

/// How a part is encoded.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Plain,
    Base64,
    QuotedPrintable,
}

impl Encoding {
    fn part(self, content_type: &str, body: &str) -> String {
        let (name, body) = match self {
            Encoding::Plain => ("8bit", body.to_owned()),
            Encoding::Base64 => ("base64", base64(body.as_bytes())),
            Encoding::QuotedPrintable => ("quoted-printable", quoted(body.as_bytes())),
        };
        format!("Content-Type: {content_type}\nContent-Transfer-Encoding: {name}\n\n{body}\n")
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (i, chunk) in bytes.chunks(3).enumerate() {
        if i > 0 && i % 19 == 0 {
            out.push('\n');
        }
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |w, b| w << 8 | u32::from(*b));
        for digit in 0..4 {
            let six = (word >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() { DIGITS[six] as char } else { '=' });
        }
    }
    out
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut column = 0;
    for &byte in bytes {
        let word = match byte {
            b'\n' => "\n".to_owned(),
            b' '..=b'~' if byte != b'=' && byte != b' ' => (byte as char).to_string(),
            other => format!("={other:02X}"),
        };
        column = if byte == b'\n' { 0 } else { column + word.len() };
        if column > 72 {
            out.push_str("=\n");
            column = word.len();
        }
        out.push_str(&word);
    }
    out
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Plain), Just(Encoding::Base64), Just(Encoding::QuotedPrintable)]
}

/// What servers say, with what it means left to the rules.
fn answer() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table"),
        Just("552 5.2.2 The mailbox ann@example.com is over its quota and cannot take more mail for now"),
        Just("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using dnsbl.example.net"),
        Just("550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"),
        Just("450 4.7.1 Recipient address rejected: Greylisted, see http://postgrey.example.org/help"),
        Just("550 5.1.1 Utilisateur inconnu : la boîte n'existe pas ou n'existe plus"),
    ]
}

/// Spaces of a field's value turned into folds (RFC 5322 §2.2.3), one for each `true`.
fn folded(value: &str, folds: &[bool]) -> String {
    let mut next = folds.iter().cycle();
    value.split(' ').enumerate().fold(String::new(), |line, (i, word)| {
        let gap = match (i, next.next()) {
            (0, _) => "",
            (_, Some(true)) => "\n\t",
            _ => " ",
        };
        line + gap + word
    })
}

fn report(answer: &str, folds: &[bool], status: Encoding, text: Encoding) -> String {
    let words = format!(
        "Your message could not be delivered to one or more recipients.\n\n<ann@example.com>: host mx said: {answer}\n"
    );
    let fields = format!(
        "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.0.0\n\
         Remote-MTA: dns; mail.example.com\nDiagnostic-Code: smtp; {}\n",
        folded(answer, folds)
    );
    format!(
        "From: MAILER-DAEMON@mx.example.net\nTo: news@example.org\nSubject: {}\nMessage-ID: <1@mx.example.net>\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n{}--b\n{}--b--\n",
        folded("Undelivered Mail Returned to Sender", folds),
        text.part("text/plain; charset=utf-8", &words),
        status.part("message/delivery-status", &fields),
    )
}

/// The report without what may differ: where the words stand.
fn verdicts(report: &Report) -> impl PartialEq + std::fmt::Debug {
    let outcomes: Vec<_> = report
        .recipients
        .iter()
        .map(|o| {
            let text = o.evidence.text.clone();
            (
                o.address.clone(),
                o.reason,
                o.hard,
                o.status.clone(),
                o.reply_code,
                o.diagnostic.clone(),
                o.evidence.rule.clone(),
                text,
            )
        })
        .collect();
    (report.kind, report.message_id.clone(), report.reporting_mta.clone(), outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        crate::check::check(&bytes);
    }

    #[test]
    fn any_text_after_a_report_s_header_is_read(text in "[ -~\n\r\t<>@:;=?é]{0,800}") {
        for head in [
            "From: MAILER-DAEMON\nSubject: failure notice\n\n",
            "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n",
            "Content-Type: text/html\nFrom: postmaster@example.com\n\n<html>",
            "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n",
        ] {
            crate::check::check(format!("{head}{text}").as_bytes());
        }
    }

    #[test]
    fn folds_encodings_and_line_ends_change_no_verdict(
        answer in answer(),
        folds in proptest::collection::vec(any::<bool>(), 1..12),
        status in encoding(),
        text in encoding(),
        crlf in any::<bool>(),
    ) {
        let plain = report(answer, &[false], Encoding::Plain, Encoding::Plain);
        let mut twin = report(answer, &folds, status, text);
        if crlf {
            twin = twin.replace('\n', "\r\n");
        }
        let said = read(plain.as_bytes());
        prop_assert_eq!(said.kind, Kind::Bounce);
        prop_assert_eq!(format!("{:?}", verdicts(&said)), format!("{:?}", verdicts(&read(twin.as_bytes()))));
        prop_assert_eq!(key(plain.as_bytes()), key(twin.as_bytes()));
    }

    #[test]
    fn two_bounces_with_one_message_id_have_two_keys(a in "[a-z]{1,12}", b in "[a-z]{1,12}") {
        prop_assume!(a != b);
        let bounce = |name: &str| report("550 5.1.1 no", &[false], Encoding::Plain, Encoding::Plain).replace("ann@", &format!("{name}@"));
        prop_assert_ne!(key(bounce(&a).as_bytes()), key(bounce(&b).as_bytes()));
    }
}
