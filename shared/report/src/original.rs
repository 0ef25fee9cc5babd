//! The message that was returned, as far as it came back.

use super::address;
use super::field::{self, Fields};
use super::text;
use super::types::Original;
use crate::limits;

/// Fields that senders stamp on their own mail, kept beside the known ones; bounded.
const STAMPS: usize = 20;

/// What the returned message's fields say.
pub(crate) fn read(fields: &Fields<'_>) -> Original {
    let decoded = |name: &str| fields.decoded(name).map(|v| text::bounded(&v, limits::DIAGNOSTIC_CHARS));
    let plain = |name: &str| fields.text(name).map(|v| text::bounded(&v, limits::DIAGNOSTIC_CHARS));
    let mut original = Original {
        message_id: message_id(fields),
        from: decoded("from"),
        to: decoded("to"),
        subject: decoded("subject"),
        return_path: plain("return-path").map(|p| p.trim_matches(['<', '>', ' ']).to_owned()).filter(|p| !p.is_empty()),
        feedback_id: plain("feedback-id"),
        list_id: decoded("list-id"),
        ..Original::default()
    };
    for stamp in fields.iter().filter(|f| is_stamp(f.name)).take(STAMPS) {
        let name = String::from_utf8_lossy(stamp.name).to_ascii_lowercase();
        original.headers.entry(name).or_insert_with(|| text::bounded(&stamp.unfolded(), limits::EVIDENCE_CHARS));
    }
    original
}

/// `X-…` of the sender's own making: not those that receivers, filters and clients add.
fn is_stamp(name: &[u8]) -> bool {
    let starts = |known: &str| name.get(..known.len()).is_some_and(|n| n.eq_ignore_ascii_case(known.as_bytes()));
    const OTHERS: &[&str] = &[
        "x-ms-",
        "x-microsoft-",
        "x-google-",
        "x-gm-",
        "x-received",
        "x-spam",
        "x-virus",
        "x-forefront-",
        "x-exchange-",
        "x-originalarrivaltime",
        "x-yahoo",
        "x-ymail",
        "x-sid-",
        "x-hm",
        "x-priority",
        "x-msmail",
        "x-mimeole",
        "x-barracuda",
        "x-amavis",
        "x-mailer",
    ];
    starts("x-") && !OTHERS.iter().any(|o| starts(o))
}

/// `Message-ID` without its brackets.
pub(crate) fn message_id(fields: &Fields<'_>) -> Option<String> {
    id_in(fields, "message-id")
}

/// What a reply answers: the first of `In-Reply-To` (RFC 5322 §3.6.4).
pub(crate) fn answered(fields: &Fields<'_>) -> Option<String> {
    id_in(fields, "in-reply-to")
}

fn id_in(fields: &Fields<'_>, name: &str) -> Option<String> {
    let value = fields.text(name)?;
    let id = value.trim().trim_start_matches('<').split('>').next().unwrap_or_default().trim();
    (!id.is_empty()).then(|| text::bounded(id, limits::HEADER_BYTES))
}

/// Everyone the returned message was sent to, in lower case; what `Received … for` and `Delivered-To`
/// say comes last.
pub(crate) fn mailed(fields: &Fields<'_>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut add = |value: &str| {
        for span in address::find(value) {
            let address = value[span].to_lowercase();
            if all.len() < 100 && !all.contains(&address) {
                all.push(address);
            }
        }
    };
    for name in ["to", "cc", "bcc", "x-original-to", "x-hmxmroriginalrecipient", "x-rcpt-to", "envelope-to"] {
        for value in fields.all(name) {
            add(&value.decoded());
        }
    }
    for value in fields.all("received") {
        let value = value.unfolded();
        if let Some(at) = value.find(" for <") {
            add(value[at..].split('>').next().unwrap_or_default());
        }
    }
    all
}

/// The fields of the returned message that stands as text at the start of `bytes`.
pub(crate) fn fields_in(bytes: &[u8]) -> Fields<'_> {
    // The line that announces it, and empty lines, come first.
    let mut rest = bytes;
    for _ in 0..12 {
        let (line, after) = text::take_line(rest);
        if field::colon(line).is_some() && !line.trim_ascii_end().ends_with(b":") {
            return field::split(rest).0;
        }
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    Fields::default()
}
