//! Codes where they stand in a text: reply codes (RFC 5321 §4.2) and enhanced status codes (RFC 3463).

use super::code::{self, Meaning};
use crate::words::token::{self, Kind, Token};
use std::ops::Range;

/// Codes on the way through a text.
#[derive(Debug, Default)]
pub(super) struct Codes {
    /// The enhanced code that counts.
    pub status: Option<Range<usize>>,
    /// The reply code that counts.
    pub reply: Option<(u16, Range<usize>)>,
    /// End of the last reply code.
    beside: Option<usize>,
    /// How good `status` is.
    worth: u8,
}

impl Codes {
    /// The codes of a text of which nothing else is read.
    pub fn of(text: &str) -> Self {
        let mut codes = Codes::default();
        token::cut(text, |token| codes.read(text, token));
        codes
    }

    /// The first reply code; the enhanced code beside a reply before others, a detailed one before a bare one.
    pub fn read(&mut self, text: &str, token: Token) {
        let span = token.start..token.end;
        match token.kind {
            Kind::Number => {
                if let Some(reply) = reply_code(text.as_bytes(), token.start, token.end) {
                    self.beside = Some(token.end);
                    if self.reply.is_none() {
                        self.reply = Some((reply, span));
                    }
                }
            }
            Kind::Code if !text[span.clone()].starts_with('2') => {
                // Folding may stand between the two (RFC 5322 §2.2.3): only what is written counts.
                let between = self.beside.take().map(|end| &text.as_bytes()[end..token.start]);
                let near =
                    between.is_some_and(|gap| gap.iter().filter(|b| !b.is_ascii_whitespace()).take(3).count() < 3);
                let worth = if text[span.clone()].ends_with(".0.0") { 1 } else { 2 + u8::from(near) };
                if worth > self.worth {
                    self.worth = worth;
                    self.status = Some(span);
                }
            }
            _ => {}
        }
    }
}

/// Three digits that stand as a reply code stands: at the front, after white space or a mark, and before a text.
fn reply_code(bytes: &[u8], start: usize, end: usize) -> Option<u16> {
    let digits = bytes.get(start..end).filter(|digits| digits.len() == 3)?;
    // 571 is Exchange's and its gateways' "delivery not authorised", from before RFC 3463.
    if digits != b"571" && (!matches!(digits[0], b'4' | b'5') || digits[1] > b'5') {
        return None;
    }
    let before = start == 0
        || matches!(
            bytes[start - 1],
            b' ' | b'\t' | b'\n' | b'\r' | b';' | b':' | b'\'' | b'"' | b'(' | b'[' | b'#' | b'<' | b'>' | b'-'
        );
    let after = bytes.get(end).is_none_or(|byte| {
        matches!(byte, b' ' | b'-' | b':' | b'#' | b'\t' | b'\n' | b'\r' | b'\'' | b',' | b';' | b')')
    });
    if !before || !after || start > 0 && is_counted(&bytes[end..]) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a number counts something by what follows it: "limit of 500 messages".
fn is_counted(rest: &[u8]) -> bool {
    const UNITS: &[&str] =
        &["bytes", "kb", "mb", "sec", "secs", "seconds", "min", "mins", "minutes", "hours", "messages", "days"];
    let Some((b' ', rest)) = rest.split_first() else { return false };
    let word = &rest[..rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()];
    UNITS.iter().any(|unit| word.eq_ignore_ascii_case(unit.as_bytes()))
}

/// The first enhanced code in a Status field, which may have a comment beside it.
pub(super) fn first_code(field: &str) -> Option<&str> {
    let start = field.find(|character: char| character.is_ascii_digit())?;
    token::code(field.as_bytes(), start).map(|end| &field[start..end])
}

/// `X-Unix; 67`, or the bare number: sendmail's note of how a delivery program ended.
pub(super) fn exit_status(remote: &str) -> Option<(Meaning, Range<usize>)> {
    let text = remote.trim();
    let marked = text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("x-unix"));
    // The field may be folded before its number.
    let number = text.rsplit(|c: char| c == ';' || c.is_whitespace()).next()?;
    let status: u16 = number.parse().ok().filter(|status| *status < 256)?;
    if !marked && number.len() != text.len() {
        return None;
    }
    let meaning = code::read_exit(status);
    let start = remote.rfind(number)?;
    Some((meaning, start..start + number.len()))
}
