//! Bytes to text: lines, white space, transfer encodings, charsets, encoded words.

use super::utf7;
use memchr::memchr;
use std::borrow::Cow;
use std::ops::Range;

/// The first line without its end, and what follows. Lines end in LF or CRLF.
pub(crate) fn take_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', bytes) {
        Some(at) => {
            let line = &bytes[..at];
            (line.strip_suffix(b"\r").unwrap_or(line), &bytes[at + 1..])
        }
        None => (bytes.strip_suffix(b"\r").unwrap_or(bytes), &[]),
    }
}

/// White space that a reader may take for one space.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\0'
}

/// Runs of white space made one space, the ends trimmed. Borrowed where nothing changes.
pub(crate) fn squeeze(raw: Cow<'_, str>) -> Cow<'_, str> {
    let trimmed = raw.trim_matches(is_blank);
    if memchr(b'\n', trimmed.as_bytes()).is_none() && (is_plain(trimmed.as_bytes()) || is_squeezed(trimmed)) {
        return match raw {
            Cow::Borrowed(s) => Cow::Borrowed(s.trim_matches(is_blank)),
            Cow::Owned(s) => Cow::Owned(s.trim_matches(is_blank).to_owned()),
        };
    }
    let mut out = String::with_capacity(raw.len());
    let mut at = 0;
    while let Some(run) = next_run(&raw, at) {
        if !out.is_empty() {
            out.push(' ');
        }
        at = run.end;
        out.push_str(&raw[run]);
    }
    Cow::Owned(out)
}

/// Printable ASCII without two spaces in a row: what most fields are, told without a branch for each byte.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let odd = bytes.iter().fold(false, |odd, c| odd | (c.wrapping_sub(b' ') > b'~' - b' '));
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    !odd && !pairs.fold(false, |doubled, (a, b)| doubled | ((*a == b' ') & (*b == b' ')))
}

/// The next run of words parted by single spaces, from byte `at` on.
fn next_run(raw: &str, at: usize) -> Option<Range<usize>> {
    let bytes = raw.as_bytes();
    let mut start = at;
    while start < bytes.len() {
        match blank_length(raw, start) {
            0 => break,
            length => start += length,
        }
    }
    let mut end = start;
    let word_at = |at: usize| bytes.get(at).is_some_and(|byte| !MAY_BE_BLANK[*byte as usize]);
    while end < bytes.len() {
        let goes_on = word_at(end) || bytes[end] == b' ' && word_at(end + 1) || blank_length(raw, end) == 0;
        if !goes_on {
            break;
        }
        end += 1;
    }
    (end > start).then_some(start..end)
}

/// Bytes that a blank character may begin with.
static MAY_BE_BLANK: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'\0' | b'\t'..=b'\r' | b' ' | 0xC2 | 0xE1..=0xE3);
        byte += 1;
    }
    table
};

/// Bytes of the blank character that begins at byte `at`; 0 where none does.
fn blank_length(raw: &str, at: usize) -> usize {
    match raw.as_bytes()[at] {
        b'\0' | b'\t'..=b'\r' | b' ' => 1,
        // Lead bytes of all white space beyond ASCII.
        0xC2 | 0xE1..=0xE3 => raw[at..].chars().next().filter(|c| is_blank(*c)).map_or(0, char::len_utf8),
        _ => 0,
    }
}

/// Whether trimmed text needs no more.
fn is_squeezed(raw: &str) -> bool {
    let mut space = false;
    raw.bytes().all(|c| {
        let plain = c > b' ' && c < 0xC2 || c > 0xC2 && c != 0xE2 && c != 0xE3;
        let ok = plain || c == b' ' && !space || (0xE2..=0xE3).contains(&c);
        space = c == b' ';
        ok
    })
}

/// Where byte `at` of `squeeze(raw)` stands in `raw`.
pub(crate) fn unsqueezed(raw: &str, at: usize) -> usize {
    let mut length = 0;
    let mut last = 0;
    while let Some(Range { start, end }) = next_run(raw, last) {
        if length > 0 {
            length += 1;
        }
        if at < length {
            return last;
        }
        if at <= length + (end - start) {
            return start + (at - length);
        }
        length += end - start;
        last = end;
    }
    last
}

/// Bytes beyond ASCII that a queue escaped (Exim: `Empf\303\244nger`), decoded; `None` where there are none.
pub(crate) fn unescaped(text: &str) -> Option<String> {
    if !has_escapes(text) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = escape(rest);
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &rest[ESCAPE..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// Whether `unescaped` may find something: every character beyond ASCII has a byte of the last quarter.
pub(crate) fn has_escapes(text: &str) -> bool {
    memchr::memchr_iter(b'\\', text.as_bytes()).any(|at| escape(&text.as_bytes()[at..]).is_some())
}

/// Where byte `at` of `unescaped(text)` stands in `text`.
pub(crate) fn escaped_at(text: &str, at: usize) -> usize {
    let mut place = 0;
    for _ in 0..at {
        let rest = &text.as_bytes()[place.min(text.len())..];
        place += if escape(rest).is_some() { ESCAPE } else { 1 };
    }
    place
}

/// Bytes of an escape.
const ESCAPE: usize = 4;

/// `\303`: a backslash and three octal digits of a byte beyond ASCII.
fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'\\', high @ b'2'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', ..] = bytes else { return None };
    Some((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'))
}

/// `text` cut to at most `chars` characters.
pub(crate) fn bounded(text: &str, chars: usize) -> String {
    if text.len() <= chars {
        return text.to_owned();
    }
    match text.char_indices().nth(chars) {
        Some((at, _)) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// The longest prefix of at most `end` bytes that ends between characters.
pub(crate) fn prefix(text: &str, end: usize) -> &str {
    let mut end = end.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Quoted-printable (RFC 2045 §6.7); what is no escape stays as it is.
pub(crate) fn from_quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let [a, b, ..] = *rest
            && let (Some(a), Some(b)) = (hex(a), hex(b))
        {
            out.push(a << 4 | b);
            rest = &rest[2..];
        } else {
            let (line, after) = take_line(rest);
            if line.trim_ascii().is_empty() {
                rest = after; // a soft line break, with white space that a relay added
            } else {
                out.push(b'=');
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

pub(crate) fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|v| v as u8)
}

/// Base64 (RFC 2045 §6.8); whatever is not of the alphabet is stepped over, as §6.8 says.
pub(crate) fn from_base64(bytes: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity((bytes.len() / 4 * 3).min(limit) + 3);
    let (mut bits, mut held) = (0u32, 0);
    for &c in bytes {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            if out.len() >= limit {
                break;
            }
        }
    }
    out
}

/// Bytes whose charset nobody named: UTF-8, or ISO-2022-JP by its escapes, or else Windows-1252.
pub(crate) fn from_unlabelled(bytes: &[u8]) -> Cow<'_, str> {
    if has_jis_escape(bytes) {
        return encoding_rs::ISO_2022_JP.decode_without_bom_handling(bytes).0;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // Cut in the middle of a character: that one is lost, the rest is UTF-8.
        Err(e) if e.error_len().is_none() => {
            Cow::Borrowed(std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or(""))
        }
        Err(_) if looks_like_utf8(bytes) => String::from_utf8_lossy(bytes),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Mostly UTF-8 with damage here and there, rather than an eight-bit charset.
fn looks_like_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > bad * 2
}

fn has_jis_escape(bytes: &[u8]) -> bool {
    memchr(0x1B, bytes).is_some_and(|at| {
        bytes[at..].starts_with(b"\x1B$B") || bytes[at..].starts_with(b"\x1B$@") || bytes[at..].starts_with(b"\x1B(J")
    })
}

/// Bytes of a named charset. A name that is unknown or that the bytes disprove is not believed.
pub(crate) fn from_charset<'a>(bytes: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    if charset.is_some_and(utf7::is_label) {
        return utf7::decode(bytes);
    }
    let Some(encoding) = charset.and_then(|label| encoding_rs::Encoding::for_label(label.trim().as_bytes())) else {
        return from_unlabelled(bytes);
    };
    if encoding == encoding_rs::UTF_8 || encoding == encoding_rs::REPLACEMENT {
        return from_unlabelled(bytes);
    }
    // Single-byte charsets accept anything: where the bytes are UTF-8 with letters in it, they are UTF-8.
    let multibyte_utf8 = encoding.is_single_byte() && std::str::from_utf8(bytes).is_ok();
    if multibyte_utf8 || has_jis_escape(bytes) {
        return from_unlabelled(bytes);
    }
    encoding.decode_without_bom_handling(bytes).0
}

/// Encoded words (RFC 2047) decoded, wherever they stand; white space between two of them dropped (§6.2).
pub(crate) fn decode_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut pending: Option<(String, Vec<u8>)> = None; // words split within a character are joined first
    while let Some(at) = rest.find("=?") {
        let Some((charset, bytes, length)) = encoded_word(&rest[at..]) else {
            flush(&mut out, &mut pending);
            out.push_str(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        if !rest[..at].trim().is_empty() || pending.is_none() {
            flush(&mut out, &mut pending);
            out.push_str(&rest[..at]);
        }
        match &mut pending {
            Some((held, all)) if held.eq_ignore_ascii_case(charset) && !has_jis_escape(&bytes) => {
                all.extend_from_slice(&bytes)
            }
            _ => {
                flush(&mut out, &mut pending);
                pending = Some((charset.to_owned(), bytes));
            }
        }
        rest = &rest[at + length..];
    }
    flush(&mut out, &mut pending);
    out.push_str(rest);
    out
}

fn flush(out: &mut String, pending: &mut Option<(String, Vec<u8>)>) {
    if let Some((charset, bytes)) = pending.take() {
        out.push_str(&from_charset(&bytes, Some(&charset)));
    }
}

/// `=?charset?B|Q?text?=` at the start of `text`: charset, bytes, length.
fn encoded_word(text: &str) -> Option<(&str, Vec<u8>, usize)> {
    let body = prefix(text, 5000).strip_prefix("=?")?;
    // A charset's name is short: nothing is sought far for one that never ends.
    let at = prefix(body, 64).find('?')?;
    let (charset, body) = (&body[..at], &body[at + 1..]);
    let (encoding, body) = prefix(body, 2).contains('?').then(|| body.split_once('?'))??;
    let (words, _) = body.split_once("?=")?;
    if charset.len() > 60 || words.len() > 4096 {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => from_base64(words.as_bytes(), 4096),
        "Q" | "q" => from_quoted_printable(words.replace('_', " ").as_bytes()),
        _ => return None,
    };
    let charset = charset.split('*').next().unwrap_or(charset); // RFC 2231 §5: a language after an asterisk
    Some((charset, bytes, 2 + charset_length(text) + encoding.len() + 1 + words.len() + 2))
}

fn charset_length(text: &str) -> usize {
    text[2..].find('?').map_or(0, |n| n + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn squeezing_and_back() {
        let raw = " a  b\r\n\tccc ";
        assert_eq!(squeeze(raw.into()), "a b ccc");
        assert_eq!(unsqueezed(raw, 0), 1);
        assert_eq!(unsqueezed(raw, 2), 4);
        assert_eq!(unsqueezed(raw, 5), 9);
        assert_eq!(unsqueezed(raw, 7), 11);
        assert!(matches!(squeeze("plain words".into()), Cow::Borrowed(_)));
    }

    #[test]
    fn encoded_words() {
        let check = |from: &str, to: &str| assert_eq!(decode_words(from), to);
        check("=?UTF-8?B?0JLQsNGI0LU=?= =?utf-8?q?_x?= y", "Ваше x y");
        check("=?iso-8859-1?Q?caf=E9?=", "café");
        check("no =? word", "no =? word");
        check("=?x?B?", "=?x?B?");
    }

    #[test]
    fn transfer_encodings() {
        assert_eq!(from_quoted_printable(b"a=3Db=\r\nc=zz"), b"a=bc=zz");
        assert_eq!(from_base64(b"aGVs\r\nbG8=", 100), b"hello");
    }
}
