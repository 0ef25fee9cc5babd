//! UTF-7 (RFC 2152), which Exchange 2003 writes its notices in and no library of charsets reads.

use super::text;
use std::borrow::Cow;

/// Whether a charset's label means UTF-7.
pub(crate) fn is_label(label: &str) -> bool {
    let label = label.trim();
    ["utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7"].iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// The text. What is no UTF-7 stays as it is; linear.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let plain = text::from_unlabelled(bytes);
    if !plain.contains('+') {
        return plain;
    }
    let mut out = String::with_capacity(plain.len());
    let mut rest = &*plain;
    while let Some(at) = rest.find('+') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().position(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/')));
        let (shifted, after) = rest.split_at(end.unwrap_or(rest.len()));
        let words = shift(shifted);
        out.push_str(words.as_deref().unwrap_or("+"));
        if words.is_none() {
            out.push_str(shifted);
        }
        // A hyphen after the shift only ends it; `+-` is a plus.
        let shifts = words.is_some() || shifted.is_empty();
        rest = after.strip_prefix('-').filter(|_| shifts).unwrap_or(after);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Base64 of UTF-16, big end first.
fn shift(shifted: &str) -> Option<String> {
    let bytes = text::from_base64(shifted.as_bytes(), shifted.len());
    let (pairs, _) = bytes.as_chunks::<2>();
    let words = String::from_utf16(&pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>()).ok()?;
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts() {
        let check = |from: &str, to: &str| assert_eq!(decode(from.as_bytes()), to, "{from}");
        check("Hi Mom +Jjo-!", "Hi Mom \u{263A}!");
        check("A+ImIDkQ.", "A\u{2262}\u{0391}.");
        check("1 +- 1", "1 + 1");
        check("+ZeVnLIqe-", "日本語");
        check("bo+AO4-te pleine", "boîte pleine");
        check("a+b-c", "a+b-c");
        check("none", "none");
    }
}
