//! The key of a report: the same for one message however it was fetched.

use super::field::{self, Fields};
use super::mime::{Media, Parts};
use super::text;
use crate::limits;
use ring::digest::{Context, SHA256};

/// SHA-256, in lower-case hexadecimal, of the Message-ID, the Date and what the message says:
/// its machine-readable part with fields unfolded, or else its first text with white space squeezed.
///
/// The same under LF and CRLF, and under any version of the rules. Messages that share a Message-ID
/// differ by what they say; one without a Message-ID is known by that and its Date alone.
pub fn key(message: &[u8]) -> String {
    let bounded = &message[..message.len().min(limits::MESSAGE_BYTES)];
    let lines = super::with_line_feeds(bounded);
    let parts = Parts::of(&lines);
    let mut hash = Context::new(&SHA256);
    let Some(top) = parts.list.first() else { return String::new() };
    for name in ["message-id", "date"] {
        add(&mut hash, top.fields.text(name).unwrap_or_default().as_bytes());
    }
    if top.fields.get("message-id").is_none() {
        for name in ["received", "from", "to", "subject"] {
            add(&mut hash, top.fields.text(name).unwrap_or_default().as_bytes());
        }
    }
    let machine = [Media::DeliveryStatus, Media::Feedback, Media::Disposition].iter().find_map(|m| parts.find(*m));
    match machine {
        Some(at) => add_fields(&mut hash, &parts.list[at].decoded(limits::MESSAGE_BYTES)),
        None => {
            if let Some(at) = parts.texts().next() {
                let bytes = parts.list[at].decoded(limits::NOTICE_BYTES);
                for word in bytes.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()) {
                    add(&mut hash, word);
                }
            }
        }
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add_fields(hash: &mut Context, body: &[u8]) {
    let mut rest = body;
    while !rest.is_empty() {
        let (fields, after): (Fields<'_>, _) = field::split(rest);
        for found in fields.iter() {
            add(hash, &found.name.to_ascii_lowercase());
            add(hash, found.unfolded().as_bytes());
        }
        rest = if after.len() < rest.len() { after } else { text::take_line(rest).1 };
    }
}

/// Adds a value with its length, so that no two lists of values run together.
fn add(hash: &mut Context, value: &[u8]) {
    hash.update(&(value.len() as u64).to_be_bytes());
    hash.update(value);
}
