//! The grammar of commands (RFC 3501, section 9): atoms, strings, literals, lists, and sets of numbers.

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// An atom; what stands in brackets belongs to it.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Word>),
}

impl Word {
    /// The argument as text: atoms and strings.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Word::Atom(atom) => Some(atom.clone()),
            Word::Text(bytes) => String::from_utf8(bytes.clone()).ok(),
            Word::List(_) => None,
        }
    }
}

/// Reads a whole command, its literals in place. `None` for what breaks the grammar.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<Word>> {
    let mut rest = bytes;
    let words = list(&mut rest, 0)?;
    rest.is_empty().then_some(words)
}

fn list(rest: &mut &[u8], depth: usize) -> Option<Vec<Word>> {
    if depth > 8 {
        return None;
    }
    let mut words = Vec::new();
    while let Some(first) = rest.first() {
        match first {
            b' ' => *rest = &rest[1..],
            b')' if depth > 0 => break,
            b'(' => {
                *rest = &rest[1..];
                words.push(Word::List(list(rest, depth + 1)?));
                *rest = rest.strip_prefix(b")")?;
            }
            b'"' => words.push(Word::Text(quoted(rest)?)),
            b'{' => words.push(Word::Text(literal(rest)?)),
            _ => words.push(Word::Atom(atom(rest)?)),
        }
    }
    Some(words)
}

fn quoted(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut bytes = rest.iter().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                *rest = rest.get(at + 1..)?;
                return Some(text);
            }
            b'\\' => text.push(*bytes.next()?.1),
            _ => text.push(*byte),
        }
    }
    None
}

fn literal(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let size = literal_size(&rest[..end])?.0;
    let text = rest.get(end + 1..end + 1 + size)?.to_vec();
    *rest = rest.get(end + 1 + size..)?;
    Some(text)
}

fn atom(rest: &mut &[u8]) -> Option<String> {
    let mut bracket = false;
    let end = rest.iter().position(|byte| {
        bracket = (bracket || *byte == b'[') && *byte != b']';
        !bracket && matches!(byte, b' ' | b'(' | b')' | b'"' | b'{')
    });
    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    (!word.is_empty()).then(|| String::from_utf8(word.to_vec()).ok())?
}

/// The size that a line's closing `{n}` or `{n+}` announces, and whether the client does not wait (RFC 7888).
pub(crate) fn literal_size(line: &[u8]) -> Option<(usize, bool)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|byte| *byte == b'{')?;
    let text = std::str::from_utf8(inner.get(start + 1..)?).ok()?;
    let (digits, eager) = text.strip_suffix('+').map_or((text, false), |digits| (digits, true));
    Some((digits.parse().ok()?, eager))
}

/// A set such as `1:3,7,9:*`, as ranges; `*` is `top`.
pub(crate) fn set(text: &str, top: u32) -> Option<Vec<(u32, u32)>> {
    let number = |text: &str| if text == "*" { Some(top) } else { text.parse().ok().filter(|number| *number > 0) };
    text.split(',')
        .map(|part| {
            let (low, high) = part.split_once(':').unwrap_or((part, part));
            let (low, high) = (number(low)?, number(high)?);
            Some((low.min(high), low.max(high)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn commands_are_read_as_the_grammar_says() {
        let atom = |text: &str| Word::Atom(text.to_owned());
        let text = |text: &str| Word::Text(text.as_bytes().to_vec());
        let check = |input: &str, expected: Option<Vec<Word>>| assert_eq!(read(input.as_bytes()), expected, "{input}");
        check("a NOOP", Some(vec![atom("a"), atom("NOOP")]));
        check("a LOGIN \"x y\" {3}\r\nabc", Some(vec![atom("a"), atom("LOGIN"), text("x y"), text("abc")]));
        check(
            "a FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (FROM)]<0.9>)",
            Some(vec![
                atom("a"),
                atom("FETCH"),
                atom("1:*"),
                Word::List(vec![atom("UID"), atom("BODY.PEEK[HEADER.FIELDS (FROM)]<0.9>")]),
            ]),
        );
        check("a \"open", None);
        check("a (open", None);
        check("a {9}\r\nabc", None);
    }

    #[test]
    fn sets_are_ranges_in_order() {
        let check = |input: &str, expected: Option<Vec<(u32, u32)>>| assert_eq!(set(input, 9), expected, "{input}");
        check("1:3,7,*", Some(vec![(1, 3), (7, 7), (9, 9)]));
        check("*:4", Some(vec![(4, 9)]));
        check("12:*", Some(vec![(9, 12)]));
        check("0", None);
        check("a", None);
    }
}
