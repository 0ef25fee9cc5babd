//! The parts of a message (RFC 2046), found in one walk and decoded only where someone reads them.
//!
//! Damaged structure still yields its parts: a boundary that is not declared, or declared and not
//! used, is taken from the body; a missing end is the end of the message.

use super::field::{self, Fields};
use super::parameter::parameter;
use super::{html, text};
use crate::limits;
use memchr::memmem;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What a part is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// `text/plain`, and text of a type that nobody knows.
    Text,
    /// `text/html`.
    Html,
    /// A multipart whose children follow.
    Multipart,
    /// `message/rfc822` or `message/global`.
    Message,
    /// `text/rfc822-headers` or `message/global-headers`.
    Headers,
    /// `message/delivery-status` or `message/global-delivery-status` (RFC 3464, RFC 6533).
    DeliveryStatus,
    /// `message/feedback-report` (RFC 5965).
    Feedback,
    /// `message/disposition-notification` or `message/global-disposition-notification` (RFC 8098).
    Disposition,
    /// Anything else: its bytes are stepped over.
    Other,
}

/// Bytes that may stand before the first part of a multipart that nobody declared.
const PREAMBLE: usize = 200;

/// One part.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub fields: Fields<'a>,
    pub body: &'a [u8],
    pub media: Media,
    /// The multipart it stands in.
    pub parent: Option<usize>,
    number: usize,
}

/// A message taken apart. The first part is the message itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts<'a> {
    pub list: Vec<Part<'a>>,
    /// Codes of what was damaged or bounded.
    pub faults: Vec<&'static str>,
}

impl<'a> Parts<'a> {
    /// Takes a message apart. Attached messages are leaves.
    pub fn of(message: &'a [u8]) -> Self {
        let (fields, body) = field::split(message);
        let mut parts = Parts::default();
        if fields.cut {
            parts.fault("headers-cut");
        }
        parts.add(fields, body, None, 1, 0);
        parts
    }

    /// The first part of that kind.
    pub fn find(&self, media: Media) -> Option<usize> {
        self.list.iter().position(|p| p.media == media)
    }

    /// Leaves that hold text for people, in order.
    pub fn texts(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.list.len()).filter(|&i| matches!(self.list[i].media, Media::Text | Media::Html))
    }

    /// The part's number as IMAP counts (RFC 9051 §6.4.5.1).
    pub fn path(&self, index: usize) -> String {
        let mut numbers = Vec::new();
        let mut at = Some(index);
        while let Some(i) = at {
            let part = &self.list[i];
            // The outermost multipart has no number of its own.
            if part.parent.is_some() || part.media != Media::Multipart {
                numbers.push(part.number.to_string());
            }
            at = part.parent;
        }
        numbers.reverse();
        if numbers.is_empty() { "1".to_owned() } else { numbers.join(".") }
    }

    fn fault(&mut self, code: &'static str) {
        if !self.faults.contains(&code) {
            self.faults.push(code);
        }
    }

    fn add(&mut self, fields: Fields<'a>, body: &'a [u8], parent: Option<usize>, number: usize, depth: usize) {
        let content_type = fields.text("content-type").unwrap_or_default();
        let mut media = media_of(&content_type, &fields);
        let mut boundary = None;
        if media == Media::Multipart || (parent.is_none() && content_type.is_empty()) {
            boundary = self.boundary(&content_type, body, media == Media::Multipart);
            media = if boundary.is_some() { Media::Multipart } else { leaf(media, body) };
        } else if matches!(media, Media::Text | Media::Other) && parent.is_some() {
            media = sniffed(media, &fields, body);
        }
        let index = self.list.len();
        self.list.push(Part { fields, body, media, parent, number });
        if let Some(boundary) = boundary {
            if depth >= limits::DEPTH {
                self.fault("nesting-cut");
            } else {
                self.add_children(body, &boundary, index, depth);
            }
        }
    }

    /// The boundary to divide by: the declared one where it is used, else one that the body shows.
    fn boundary(&mut self, content_type: &str, body: &[u8], declared_multipart: bool) -> Option<Vec<u8>> {
        if let Some(named) = parameter(content_type, "boundary")
            && delimiter(body, named.as_bytes()).is_some()
        {
            return Some(named.into_owned().into_bytes());
        }
        let shown = shown_boundary(body)?;
        // Parts of a returned message are not those of a plain notice that comes before it.
        let front = body.len().min(PREAMBLE);
        if !declared_multipart && memmem::find(&body[..front], shown).is_none() {
            return None;
        }
        self.fault(if declared_multipart { "boundary-damaged" } else { "content-type-missing" });
        Some(shown.to_vec())
    }

    fn add_children(&mut self, body: &'a [u8], boundary: &[u8], parent: usize, depth: usize) {
        let Some((_, mut from, mut last)) = delimiter(body, boundary) else { return };
        let mut number = 0;
        while !last {
            if self.list.len() >= limits::PARTS {
                self.fault("parts-cut");
                return;
            }
            let rest = &body[from..];
            let (end, next, closing) = delimiter(rest, boundary).unwrap_or_else(|| {
                self.fault("boundary-unclosed");
                (rest.len(), rest.len(), true)
            });
            let entity = &rest[..end];
            number += 1;
            // A part that begins with an empty line has no fields (RFC 2046 §5.1).
            let (fields, content) = match text::take_line(entity) {
                (b"", after) if !entity.is_empty() => (Fields::default(), after),
                _ => field::split(entity),
            };
            if !entity.trim_ascii().is_empty() {
                self.add(fields, content, Some(parent), number, depth + 1);
            }
            from += next;
            last = closing;
        }
    }
}

impl<'a> Part<'a> {
    /// The part's bytes with the transfer encoding undone, at most `limit` of them.
    pub fn decoded(&self, limit: usize) -> Cow<'a, [u8]> {
        let encoding = self.fields.text("content-transfer-encoding").unwrap_or_default();
        let is = |name: &str| encoding.trim().eq_ignore_ascii_case(name);
        if is("base64") && !refutes_base64(self.body) {
            return Cow::Owned(text::from_base64(self.body, limit));
        }
        if is("quoted-printable") {
            // Three bytes make one at the most.
            let take = self.body.len().min(limit.saturating_mul(3));
            let mut bytes = text::from_quoted_printable(&self.body[..take]);
            bytes.truncate(limit);
            return Cow::Owned(bytes);
        }
        Cow::Borrowed(&self.body[..self.body.len().min(limit)])
    }

    /// The part as text for a reader: decoded, its charset applied, its markup taken away.
    pub fn text(&self) -> Cow<'a, str> {
        let content_type = self.fields.text("content-type").unwrap_or_default();
        let charset = parameter(&content_type, "charset");
        let charset = charset.as_deref();
        let plain = match self.decoded(limits::NOTICE_BYTES) {
            Cow::Borrowed(bytes) => text::from_charset(bytes, charset),
            Cow::Owned(bytes) => Cow::Owned(text::from_charset(&bytes, charset).into_owned()),
        };
        if self.media == Media::Html || html::looks_like(&plain) { Cow::Owned(html::to_text(&plain)) } else { plain }
    }
}

/// Text that is called base64 and is not: some gateways keep the old field over new words.
fn refutes_base64(body: &[u8]) -> bool {
    let (line, _) = text::take_line(body.trim_ascii_start());
    line.iter().take(80).filter(|c| c.is_ascii_whitespace()).count() > 2
}

/// The kind that a `Content-Type` names (RFC 2045 §5.1); an absent one is text (§5.2).
fn media_of(content_type: &str, fields: &Fields<'_>) -> Media {
    let name = content_type.split(';').next().unwrap_or_default().trim();
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let starts = |known: &str| name.get(..known.len()).is_some_and(|n| n.eq_ignore_ascii_case(known));
    if name.is_empty() || is("text") {
        Media::Text
    } else if starts("multipart") {
        Media::Multipart
    } else if is("message/delivery-status") || is("message/global-delivery-status") {
        Media::DeliveryStatus
    } else if is("message/feedback-report") {
        Media::Feedback
    } else if is("message/disposition-notification") || is("message/global-disposition-notification") {
        Media::Disposition
    } else if is("text/rfc822-headers")
        || is("message/global-headers")
        || is("message/rfc822-headers")
        || is("text/rfc822-header")
    {
        Media::Headers
    } else if is("message/rfc822") || is("message/global") || is("text/rfc822") || is("message/partial") {
        Media::Message
    } else if is("text/html") || is("application/xhtml+xml") {
        Media::Html
    } else if starts("text/") && !attached(fields) || !name.contains('/') {
        Media::Text
    } else {
        Media::Other
    }
}

fn attached(fields: &Fields<'_>) -> bool {
    fields
        .text("content-disposition")
        .is_some_and(|d| d.get(..10).is_some_and(|d| d.eq_ignore_ascii_case("attachment")))
}

/// A multipart that cannot be divided is read as what it holds.
fn leaf(media: Media, body: &[u8]) -> Media {
    let (line, _) = text::take_line(body.trim_ascii_start());
    match media {
        Media::Multipart if line.starts_with(b"<") => Media::Html,
        Media::Multipart => Media::Text,
        other => other,
    }
}

/// A part whose type says nothing or something wrong, known by the fields that it begins with.
fn sniffed(media: Media, fields: &Fields<'_>, body: &[u8]) -> Media {
    // A boundary without its empty line: the machine-readable fields were read as the part's own.
    let own = |name: &str| fields.get(name).is_some();
    let front = &body[..body.len().min(400)];
    let (line, _) = text::take_line(front.trim_ascii_start());
    let name = field::colon(line).map(|at| &line[..at]).unwrap_or_default();
    let begins = |known: &[&str]| known.iter().any(|k| name.eq_ignore_ascii_case(k.as_bytes()));
    if begins(&[
        "reporting-mta",
        "original-envelope-id",
        "dsn-gateway",
        "received-from-mta",
        "final-recipient",
        "original-recipient",
    ]) || (begins(&["arrival-date"]) && memmem::find(front, b"ecipient").is_some())
    {
        Media::DeliveryStatus
    } else if begins(&["feedback-type"]) {
        Media::Feedback
    } else if begins(&["reporting-ua", "disposition"]) {
        Media::Disposition
    } else if begins(&["received", "return-path", "delivered-to", "dkim-signature", "message-id", "x-received"]) {
        Media::Headers
    } else if own("received") || own("message-id") && own("from") {
        Media::Message
    } else {
        media
    }
}

/// The next line that is `--boundary`: where the text before it ends, where the text after it
/// begins, and whether it is the closing one (RFC 2046 §5.1.1).
fn delimiter(bytes: &[u8], boundary: &[u8]) -> Option<(usize, usize, bool)> {
    let at_line = |at: usize| -> Option<(usize, bool)> {
        let line = bytes[at..].strip_prefix(b"--")?.strip_prefix(boundary)?;
        let (rest, after) = text::take_line(line);
        let rest = rest.trim_ascii_end();
        (rest.is_empty() || rest == b"--").then(|| (bytes.len() - after.len(), rest == b"--"))
    };
    if let Some((next, closing)) = at_line(0) {
        return Some((0, next, closing));
    }
    LINES.find_iter(bytes).find_map(|at| {
        let (next, closing) = at_line(at + 1)?;
        // The line end before the delimiter belongs to it.
        let end = if at > 0 && bytes[at - 1] == b'\r' { at - 1 } else { at };
        Some((end, next, closing))
    })
}

/// The beginning of a line that may be a delimiter.
static LINES: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\n--"));

/// A boundary that the body itself shows: a line `--x` that fields of a part follow.
fn shown_boundary(body: &[u8]) -> Option<&[u8]> {
    let starts = body.starts_with(b"--").then_some(0).into_iter().chain(LINES.find_iter(body).map(|at| at + 1));
    starts.take(64).find_map(|at| {
        let (line, after) = text::take_line(&body[at..]);
        let boundary = line[2..].trim_ascii_end();
        let next = text::take_line(after).0;
        let fits = (4..=200).contains(&boundary.len()) && !boundary.contains(&b' ');
        let field = next.get(..8).is_some_and(|n| n.eq_ignore_ascii_case(b"content-"));
        (fits && field).then_some(boundary)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn check(message: &str, expected: &[(&str, Media)]) {
        let parts = Parts::of(message.as_bytes());
        let found: Vec<_> = (0..parts.list.len()).map(|i| (parts.path(i), parts.list[i].media)).collect();
        let found: Vec<_> =
            found.iter().filter(|(_, m)| *m != Media::Multipart).map(|(p, m)| (p.as_str(), *m)).collect();
        assert_eq!(found, expected, "{:?}", parts.faults);
    }

    #[test]
    fn numbering() {
        check("A: b\n\nx", &[("1", Media::Text)]);
        check(
            "Content-Type: multipart/mixed; boundary=\"a\"\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n\
             --b\n\nx\n--b\nContent-Type: text/html\n\ny\n--b--\n--a\nContent-Type: message/delivery-status\n\nz\n--a--\n",
            &[("1.1", Media::Text), ("1.2", Media::Html), ("2", Media::DeliveryStatus)],
        );
    }

    #[test]
    fn damaged_boundaries() {
        let rest =
            "\n\n--xxxx\nContent-Type: text/plain\n\nhello\n--xxxx\nContent-Type: message/delivery-status\n\nA: b\n";
        let expected = &[("1", Media::Text), ("2", Media::DeliveryStatus)];
        check(&format!("Content-Type: multipart/report; boundary=other{rest}"), expected);
        check(&format!("Content-Type: multipart/report{rest}"), expected);
        check(&format!("Subject: no type at all{rest}"), expected);
    }
}
