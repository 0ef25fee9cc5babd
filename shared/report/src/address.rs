//! Addresses: in fields, in typed fields (`rfc822; …`), and wherever they stand in a sentence.

use super::text;
use crate::limits;
use std::ops::Range;

/// Whether this is `local@domain` as mail systems use it: bounded, one `@` that counts, a domain of
/// letters, digits, dots and hyphens, or an address literal (RFC 5321 §4.1.2; UTF-8 by RFC 6531 §3.3).
pub(crate) fn is_address(text: &str) -> bool {
    let Some(at) = text.rfind('@') else { return false };
    let (local, domain) = (&text[..at], &text[at + 1..]);
    let literal = domain.starts_with('[') && domain.ends_with(']') && domain.len() > 3;
    let host = !domain.is_empty()
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-'])
        && domain
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii() && c.is_alphanumeric());
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let plain = || !local.is_empty() && local.chars().all(is_local);
    text.len() <= limits::ADDRESS_CHARS && (host || literal) && (quoted || plain())
}

/// Characters of an unquoted local part: atext and the dot (RFC 5322 §3.2.3), and letters beyond ASCII.
fn is_local(c: char) -> bool {
    match c {
        '!' | '#'..='\'' | '*' | '+' | '-'..='9' | '=' | '?' | 'A'..='Z' | '^'..='~' => true,
        _ => !c.is_ascii() && c.is_alphanumeric(),
    }
}

fn is_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii() && c.is_alphanumeric()
}

/// The one address of a typed field (`rfc822; user@example.com`, RFC 3464 §2.3.1; RFC 6533 §3),
/// or of a field without its type; with comments and brackets taken off.
pub(crate) fn typed(value: &str) -> Option<String> {
    let (kind, address) = match value.split_once(';') {
        Some((kind, address)) if kind.len() < 20 && !kind.contains('@') => (kind.trim(), address.trim()),
        _ => ("", value.trim()),
    };
    let address = if kind.eq_ignore_ascii_case("utf-8") { from_utf8_xtext(address) } else { address.to_owned() };
    let bare = address.trim_matches(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '\''));
    if bare.is_empty() {
        return None;
    }
    if is_address(bare) {
        return Some(bare.to_owned());
    }
    // `"<user@example.com>" (expanded from: <alias@example.com>)`: the first one is meant.
    match find(&address).next() {
        Some(span) => Some(address[span].to_owned()),
        None => Some(text::bounded(bare, limits::ADDRESS_CHARS)),
    }
}

/// The addresses of a field that lists several, after the first: nothing but brackets and commas stands between them.
pub(crate) fn listed_after_first(value: &str) -> Vec<String> {
    if memchr::memchr_iter(b'@', value.as_bytes()).nth(1).is_none() {
        return Vec::new();
    }
    let mut all = find(value);
    let Some(mut before) = all.next() else { return Vec::new() };
    let mut listed = Vec::new();
    for span in all.take(limits::RECIPIENTS) {
        let between = &value[before.end..span.start];
        if !between.chars().all(|c| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';')) {
            break;
        }
        listed.push(value[span.clone()].to_owned());
        before = span;
    }
    listed
}

/// `\x{HEX}` of utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3) made characters.
fn from_utf8_xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x{") {
        out.push_str(&rest[..at]);
        let digits = text::prefix(&rest[at + 3..], 7);
        let found = digits.find('}').and_then(|end| {
            let c = char::from_u32(u32::from_str_radix(&digits[..end], 16).ok()?)?;
            Some((c, at + 3 + end + 1))
        });
        match found {
            Some((c, next)) => {
                out.push(c);
                rest = &rest[next..];
            }
            None => {
                out.push_str("\\x{");
                rest = &rest[at + 3..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// `+HH` of xtext (RFC 3461 §4) made characters; `None` where there is none.
pub(crate) fn from_xtext(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let raw = text.as_bytes();
    let (mut i, mut changed) = (0, false);
    while i < raw.len() {
        let upper = |c: u8| c.is_ascii_digit() || (b'A'..=b'F').contains(&c);
        if raw[i] == b'+' && i + 2 < raw.len() && upper(raw[i + 1]) && upper(raw[i + 2]) {
            bytes.push(text::hex(raw[i + 1])? << 4 | text::hex(raw[i + 2])?);
            changed = true;
            i += 3;
        } else {
            bytes.push(raw[i]);
            i += 1;
        }
    }
    changed.then(|| String::from_utf8(bytes).ok()).flatten()
}

/// Every address in a text, by its span, in order. One pass outward from each `@`.
pub(crate) fn find(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut done = 0;
    memchr::memchr_iter(b'@', text.as_bytes()).filter_map(move |at| {
        if at < done {
            return None;
        }
        let span = around(text, at, done)?;
        done = span.end;
        Some(span)
    })
}

/// Where a script without spaces runs into an ASCII address: `a@example.com您好`.
fn is_seam(held: char, next: char) -> bool {
    held.is_ascii_alphanumeric() && ('\u{2E80}'..='\u{FFDC}').contains(&next)
}

/// The address around the `@` at `at`, not reaching back over `floor`.
fn around(text: &str, at: usize, floor: usize) -> Option<Range<usize>> {
    let start = local_start(text, at, floor);
    let mut end = at + 1;
    if text[end..].starts_with('[') {
        end += text::prefix(&text[end..], 64).find(']')? + 1;
    } else {
        let mut held = '.';
        for c in text[end..].chars().take(255) {
            if !is_domain(c) || is_seam(held, c) {
                break;
            }
            held = c;
            end += c.len_utf8();
        }
        while end > at + 1 && text[..end].ends_with(['.', '-', '_']) {
            end -= 1;
        }
    }
    let span = start..end;
    is_address(&text[span.clone()]).then_some(span)
}

fn local_start(text: &str, at: usize, floor: usize) -> usize {
    let front = &text[floor..at];
    if let Some(inner) = front.strip_suffix('"') {
        // A quoted local part (RFC 5321 §4.1.2): back to its opening quote.
        if let Some(open) = inner.char_indices().rev().take(80).find(|(_, c)| *c == '"') {
            return floor + open.0;
        }
    }
    let mut start = at;
    let mut held = '.';
    for c in front.chars().rev().take(limits::ADDRESS_CHARS) {
        if !is_local(c) || is_seam(held, c) {
            break;
        }
        held = c;
        start -= c.len_utf8();
    }
    // Words of the sentence around it are not the address: `mailto=x@…`, `'x@…`, `=x@…`, `to:x@…`.
    let local = &text[start..at];
    let trimmed = local.trim_start_matches(['\'', '`', '=', '*', '.', '|', '/']);
    // SRS and VERP hold `=`: an `=` in the middle stays.
    at - trimmed.len()
}

/// The first address of an address field (`From`, `To`), without its display name.
pub(crate) fn first(value: &str) -> Option<String> {
    // A display name may itself be an address: the one in brackets counts.
    if let Some(open) = value.rfind('<')
        && let Some(close) = value[open..].find('>')
    {
        let inner = value[open + 1..open + close].trim();
        if is_address(inner) {
            return Some(inner.to_owned());
        }
    }
    find(value).next().map(|span| value[span].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_text() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = find(text).map(|s| &text[s]).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("to <a.b@example.com>: no", &["a.b@example.com"]);
        check("a@example.com.", &["a@example.com"]);
        check("mailto:'x@example.org', \"a b\"@example.net;", &["x@example.org", "\"a b\"@example.net"]);
        check("bounce+a=example.com@example.org", &["bounce+a=example.com@example.org"]);
        check("@ @x x@ x@y", &["x@y"]);
        check("a@b@example.com", &["a@b"]);
        check("您好a@example.com您好", &["a@example.com"]);
        check("用户@例え.jp です", &["用户@例え.jp"]);
    }

    #[test]
    fn typed_addresses() {
        let check =
            |value: &str, expected: &str| assert_eq!(typed(value).as_deref().unwrap_or(""), expected, "{value}");
        check("rfc822; a@example.com", "a@example.com");
        check("RFC822;<a@example.com>", "a@example.com");
        check("a@example.com", "a@example.com");
        check("rfc822; a@example.com (was b@example.com)", "a@example.com");
        check("utf-8; \\x{7528}@example.com", "用@example.com");
        check("rfc822; |/bin/false", "|/bin/false");
        check("rfc822;", "");
    }

    #[test]
    fn xtext() {
        assert_eq!(from_xtext("a+2Bb@example.com").as_deref(), Some("a+b@example.com"));
        assert_eq!(from_xtext("a+b@example.com"), None);
    }
}
