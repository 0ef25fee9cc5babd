//! Parameters of a `Content-Type` (RFC 2045 §5.1), continued and encoded ones included (RFC 2231 §3, §4).

use super::text;
use std::borrow::Cow;

/// Pieces of one parameter that are joined.
const PIECES: usize = 100;

/// The parameter of that name; `None` where it is absent or empty.
pub(crate) fn parameter<'v>(value: &'v str, name: &str) -> Option<Cow<'v, str>> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find(';') {
        rest = rest[at + 1..].trim_start();
        let Some((key, after)) = rest.split_once('=') else { break };
        let key = key.trim();
        if key.contains(';') {
            continue;
        }
        let (found, after) = plain_value(after.trim_start());
        rest = after;
        let (bare, piece, encoded) = named(key);
        if !bare.eq_ignore_ascii_case(name) || found.is_empty() {
            continue;
        }
        let found = if encoded { Cow::Owned(decoded(&found, piece.unwrap_or(0) == 0)) } else { found };
        match piece {
            None => return Some(found),
            Some(number) if joined.len() < PIECES => joined.push((number, found.into_owned())),
            Some(_) => {}
        }
    }
    joined.sort_by_key(|(number, _)| *number);
    (!joined.is_empty()).then(|| Cow::Owned(joined.into_iter().map(|(_, piece)| piece).collect()))
}

/// `name`, `name*`, `name*2`, `name*2*`: the name, the number of the piece, and whether it is encoded.
fn named(key: &str) -> (&str, Option<usize>, bool) {
    let (key, encoded) = key.strip_suffix('*').map_or((key, false), |key| (key, true));
    match key.split_once('*').map(|(name, number)| (name, number.parse())) {
        Some((name, Ok(number))) => (name, Some(number), encoded),
        _ => (key, None, encoded),
    }
}

/// `charset'language'text` with `%HH` (RFC 2231 §4); the charset stands before the first piece alone.
fn decoded(value: &str, first: bool) -> String {
    let mut parts = value.splitn(3, '\'');
    let (charset, words) = match (first, parts.next(), parts.next(), parts.next()) {
        (true, Some(charset), Some(_), Some(words)) => (Some(charset), words),
        _ => (None, value),
    };
    let bytes = text::from_quoted_printable(words.replace('=', "=3D").replace('%', "=").as_bytes());
    text::from_charset(&bytes, charset).into_owned()
}

fn plain_value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let value = text[..end].trim();
        return (Cow::Borrowed(value), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (Cow::Owned(value), &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (Cow::Owned(value.trim_end().to_owned()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let check = |value: &str, name: &str, expected: Option<&str>| {
            assert_eq!(parameter(value, name).as_deref(), expected, "{value}");
        };
        check("a/b; x=1; Boundary=\"q;r\"; c=d", "boundary", Some("q;r"));
        check("a/b; boundary=abc ;x", "boundary", Some("abc"));
        check("a/b", "boundary", None);
        check("a/b; boundary*0=\"a=\"; boundary*1=b", "boundary", Some("a=b"));
        check("a/b; boundary*1=b; x=y; boundary*0=a", "boundary", Some("ab"));
        check("a/b; name*=utf-8''caf%C3%A9=x", "name", Some("café=x"));
        check("a/b; name*0*=iso-8859-1'fr'caf%E9; name*1=\" noir\"", "name", Some("café noir"));
        check("a/b; boundary*x=a; boundary=b", "boundary", Some("b"));
    }
}
