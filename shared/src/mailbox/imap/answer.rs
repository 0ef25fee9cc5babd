//! One response of an IMAP server, read (RFC 9051 §7). Only what Rebond asks for is looked at; what a server adds to it
//! is stepped over, so that no extension of a server stops us.

/// A whole response. Texts are the server's bytes: clean them before anybody sees them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// `+ text`
    Continue(&'a [u8]),
    /// `R1 OK …`: the end of a command of ours.
    Done { tag: u32, status: Status, text: Text<'a> },
    /// `* OK …`
    Said { status: Status, text: Text<'a> },
    /// `* CAPABILITY …`
    Capability(&'a [u8]),
    /// `* 17 EXISTS`
    Exists(u32),
    /// `* SEARCH 2 3 5`
    Search(Vec<u32>),
    /// `* 3 FETCH (…)`
    Fetch(Fetch<'a>),
    /// Anything else that has the form of a response.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

/// What stands behind a status: `[CODE arguments] words`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub code: &'a [u8],
    pub words: &'a [u8],
}

impl<'a> Text<'a> {
    /// The number behind a code, as in `[UIDNEXT 4392]`.
    pub fn number(&self, name: &str) -> Option<u32> {
        number(self.argument(name)?)
    }

    /// What stands behind a code's name.
    pub fn argument(&self, name: &str) -> Option<&'a [u8]> {
        let start = self.code.get(..name.len())?;
        let rest = &self.code[name.len()..];
        start.eq_ignore_ascii_case(name.as_bytes()).then(|| rest.strip_prefix(b" ")).flatten()
    }
}

/// The attributes of a message that we ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fetch<'a> {
    pub uid: Option<u32>,
    pub size: Option<u64>,
    /// INTERNALDATE as it stands.
    pub arrival: Option<&'a [u8]>,
    pub body: Body<'a>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// The response holds none.
    #[default]
    Absent,
    /// The server says NIL: it cannot give the message out.
    Nil,
    Bytes(&'a [u8]),
}

/// The letter before the number in our tags.
pub(super) const TAG: char = 'R';

/// Reads a whole response, with its last CR LF. The error says what is wrong with it.
pub(super) fn parse(response: &[u8]) -> Result<Answer<'_>, &'static str> {
    let line = response.strip_suffix(b"\r\n").unwrap_or(response);
    if let Some(rest) = line.strip_prefix(b"+") {
        return Ok(Answer::Continue(rest.trim_ascii()));
    }
    let Some(rest) = line.strip_prefix(b"* ") else { return tagged(line) };
    let (word, tail) = split_word(rest);
    if let Some(status) = status(word) {
        return Ok(Answer::Said { status, text: text(tail) });
    }
    if word.eq_ignore_ascii_case(b"CAPABILITY") {
        return Ok(Answer::Capability(tail));
    }
    if word.eq_ignore_ascii_case(b"SEARCH") {
        return search(tail);
    }
    let Some(count) = number(word) else { return Ok(Answer::Other) };
    let (word, tail) = split_word(tail);
    if word.eq_ignore_ascii_case(b"EXISTS") {
        return Ok(Answer::Exists(count));
    }
    if word.eq_ignore_ascii_case(b"FETCH") { fetch(tail).map(Answer::Fetch) } else { Ok(Answer::Other) }
}

fn tagged(line: &[u8]) -> Result<Answer<'_>, &'static str> {
    let (tag, rest) = split_word(line);
    let tag = tag.strip_prefix(&[TAG as u8]).and_then(number).ok_or("a response that no command of ours asked for")?;
    let (word, tail) = split_word(rest);
    match status(word) {
        Some(status @ (Status::Ok | Status::No | Status::Bad)) => Ok(Answer::Done { tag, status, text: text(tail) }),
        _ => Err("a command ended without OK, NO or BAD"),
    }
}

fn status(word: &[u8]) -> Option<Status> {
    let named = [("OK", Status::Ok), ("NO", Status::No), ("BAD", Status::Bad), ("BYE", Status::Bye)];
    let found = named.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, status)| status).or_else(|| word.eq_ignore_ascii_case(b"PREAUTH").then_some(Status::PreAuth))
}

fn text(tail: &[u8]) -> Text<'_> {
    let bare = Text { code: b"", words: tail };
    let Some(rest) = tail.strip_prefix(b"[") else { return bare };
    // A `]` can stand inside a quoted argument of codes that we do not read; the words then start early, which is all.
    match memchr::memchr(b']', rest) {
        Some(end) => Text { code: &rest[..end], words: rest[end + 1..].trim_ascii_start() },
        None => bare,
    }
}

fn search(tail: &[u8]) -> Result<Answer<'_>, &'static str> {
    let mut found = Vec::new();
    for word in tail.split(|&b| b == b' ').filter(|word| !word.is_empty()) {
        // RFC 7162 §3.1.5: `(MODSEQ n)` may follow.
        if word.starts_with(b"(") {
            break;
        }
        found.push(number(word).ok_or("a search result that is no number")?);
    }
    Ok(Answer::Search(found))
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(end) => (&line[..end], &line[end + 1..]),
        None => (line, b""),
    }
}

/// RFC 9051 §9 `number`: digits, unsigned, 32 bits.
fn number(digits: &[u8]) -> Option<u32> {
    number_64(digits)?.try_into().ok()
}

fn number_64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

fn fetch(tail: &[u8]) -> Result<Fetch<'_>, &'static str> {
    const BROKEN: &str = "a FETCH response that cannot be read";
    let mut rest = tail.strip_prefix(b"(").ok_or(BROKEN)?;
    let mut fetch = Fetch::default();
    loop {
        // Zoho and others put spaces where none belong.
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b")") {
            return if after.trim_ascii().is_empty() { Ok(fetch) } else { Err(BROKEN) };
        }
        let (name, after) = attribute_name(rest).ok_or(BROKEN)?;
        let (value, after) = value(after).ok_or(BROKEN)?;
        if after.len() >= rest.len() {
            return Err(BROKEN);
        }
        rest = after;
        match (name, value) {
            (name, Value::Atom(atom)) if name.eq_ignore_ascii_case(b"UID") => fetch.uid = number(atom),
            (name, Value::Atom(atom)) if name.eq_ignore_ascii_case(b"RFC822.SIZE") => fetch.size = number_64(atom),
            (name, Value::String(date)) if name.eq_ignore_ascii_case(b"INTERNALDATE") => fetch.arrival = Some(date),
            (name, Value::String(bytes)) if is_whole_body(name) => fetch.body = Body::Bytes(bytes),
            (name, Value::Atom(_)) if is_whole_body(name) => fetch.body = Body::Nil,
            _ => {}
        }
    }
}

/// `BODY[]`, with the origin `<0>` where part of it was asked for.
fn is_whole_body(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"BODY[]") || name.eq_ignore_ascii_case(b"BODY[]<0>")
}

/// An attribute's name with its section, as `BODY[HEADER.FIELDS (A B)]<0>`, and what follows the space behind it.
fn attribute_name(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut inside = false;
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            b'[' => inside = true,
            b']' => inside = false,
            b' ' if !inside => return (at > 0).then(|| (&rest[..at], &rest[at + 1..])),
            b'(' | b')' | b'"' if !inside => return None,
            _ => {}
        }
    }
    None
}

enum Value<'a> {
    Atom(&'a [u8]),
    String(&'a [u8]),
    List,
}

fn value(rest: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let rest = rest.trim_ascii_start();
    match rest.first()? {
        b'"' | b'{' | b'~' => string(rest).map(|(bytes, after)| (Value::String(bytes), after)),
        b'(' => list(rest).map(|after| (Value::List, after)),
        _ => {
            let end = rest.iter().position(|b| matches!(b, b' ' | b')' | b'(')).unwrap_or(rest.len());
            Some((Value::Atom(&rest[..end]), &rest[end..]))
        }
    }
}

/// A quoted string (its escapes left as they are) or a literal.
fn string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(inner) = rest.strip_prefix(b"\"") {
        let mut escaped = false;
        let end = inner.iter().position(|&b| {
            let end = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            end
        })?;
        return Some((&inner[..end], &inner[end + 1..]));
    }
    let inner = rest.strip_prefix(b"~").unwrap_or(rest).strip_prefix(b"{")?;
    let close = memchr::memchr(b'}', &inner[..inner.len().min(20)])?;
    let size = number(&inner[..close])? as usize;
    let bytes = inner[close + 1..].strip_prefix(b"\r\n")?;
    (size <= bytes.len()).then(|| bytes.split_at(size))
}

/// Steps over a list; the guard bounds how deep it is nested.
fn list(rest: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' | b'{' | b'~' => {
                if let Some((_, after)) = string(&rest[at..]) {
                    at = rest.len() - after.len();
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(&rest[at..]);
        }
    }
    None
}

/// INTERNALDATE, `17-Jul-1996 02:44:25 -0700` with the day padded by a space (RFC 9051 §9 `date-time`).
pub(super) fn arrival(date: &[u8]) -> Option<jiff::Timestamp> {
    let date = std::str::from_utf8(date.get(..date.len().min(40))?).ok()?;
    jiff::Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", date.trim()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(response: &[u8], expected: Result<Answer<'_>, &'static str>) {
        assert_eq!(parse(response), expected, "{}", String::from_utf8_lossy(response));
    }

    fn said<'a>(code: &'a str, words: &'a str) -> Text<'a> {
        Text { code: code.as_bytes(), words: words.as_bytes() }
    }

    #[test]
    fn statuses() {
        use Status::{Bad, Bye, No, PreAuth};
        check(b"* OK ready\r\n", Ok(Answer::Said { status: Status::Ok, text: said("", "ready") }));
        check(b"* ok [UIDNEXT 9] x\r\n", Ok(Answer::Said { status: Status::Ok, text: said("UIDNEXT 9", "x") }));
        check(b"* BYE\r\n", Ok(Answer::Said { status: Bye, text: said("", "") }));
        check(b"* PREAUTH hi\r\n", Ok(Answer::Said { status: PreAuth, text: said("", "hi") }));
        check(b"R7 NO [X y] no\r\n", Ok(Answer::Done { tag: 7, status: No, text: said("X y", "no") }));
        check(b"R7 BAD\r\n", Ok(Answer::Done { tag: 7, status: Bad, text: said("", "") }));
        check(b"* NO [open\r\n", Ok(Answer::Said { status: No, text: said("", "[open") }));
        check(b"+ abc=\r\n", Ok(Answer::Continue(b"abc=")));
        check(b"+\r\n", Ok(Answer::Continue(b"")));
        check(b"R7 BYE x\r\n", Err("a command ended without OK, NO or BAD"));
        check(b"X7 OK x\r\n", Err("a response that no command of ours asked for"));
        check(b"\r\n", Err("a response that no command of ours asked for"));
        assert_eq!(said("UIDNEXT 9", "").number("uidnext"), Some(9));
        assert_eq!(said("UIDNEXT 4294967296", "").number("UIDNEXT"), None);
        assert_eq!(said("UIDNEXTS 9", "").number("UIDNEXT"), None);
        assert_eq!(said("", "").number("UIDNEXT"), None);
    }

    #[test]
    fn data() {
        check(b"* 17 EXISTS\r\n", Ok(Answer::Exists(17)));
        check(b"* 17 EXPUNGE\r\n", Ok(Answer::Other));
        check(b"* FLAGS (\\Seen)\r\n", Ok(Answer::Other));
        check(b"* SEARCH\r\n", Ok(Answer::Search(vec![])));
        check(b"* SEARCH 2  84 882 \r\n", Ok(Answer::Search(vec![2, 84, 882])));
        check(b"* SEARCH 2 (MODSEQ 917162500)\r\n", Ok(Answer::Search(vec![2])));
        check(b"* SEARCH 4294967296\r\n", Err("a search result that is no number"));
        check(b"* CAPABILITY IMAP4rev1 MOVE\r\n", Ok(Answer::Capability(b"IMAP4rev1 MOVE")));
    }

    #[test]
    fn fetches() {
        let check = |inner: &[u8], expected: Fetch<'_>| {
            let response = [b"* 3 FETCH (", inner, b")\r\n"].concat();
            assert_eq!(parse(&response), Ok(Answer::Fetch(expected)), "{}", String::from_utf8_lossy(inner));
        };
        let bare = Fetch::default;
        check(b"UID 9", Fetch { uid: Some(9), ..bare() });
        check(b"uid 9 rfc822.size 44", Fetch { uid: Some(9), size: Some(44), ..bare() });
        check(b"RFC822.SIZE 5000000000", Fetch { size: Some(5_000_000_000), ..bare() });
        check(b"FLAGS (\\Seen (a \"b)\" {2}\r\n)))) UID 1 ", Fetch { uid: Some(1), ..bare() });
        check(b"MODSEQ (1) X-NEW \"a\\\")\" UID 1", Fetch { uid: Some(1), ..bare() });
        check(b"BODY[] {4}\r\n)\r\n( UID 1", Fetch { uid: Some(1), body: Body::Bytes(b")\r\n("), ..bare() });
        check(b"BODY[]<0> \"abc\"", Fetch { body: Body::Bytes(b"abc"), ..bare() });
        check(b"BODY[] NIL", Fetch { body: Body::Nil, ..bare() });
        check(b"BODY[] \"\"", Fetch { body: Body::Bytes(b""), ..bare() });
        check(b"BODY[HEADER.FIELDS (A B)] \"x\" UID 2", Fetch { uid: Some(2), ..bare() });
        check(b"BODY[]<5> \"abc\"", bare());
        check(b"INTERNALDATE NIL UID 2", Fetch { uid: Some(2), ..bare() });
        let date = b"INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"";
        check(date, Fetch { arrival: Some(b"17-Jul-1996 02:44:25 -0700"), ..bare() });
        for broken in ["UID", "UID 1", "(UID", "(UID 1", "(\"a\" 1)", "(UID 1) x", "(X {9}\r\nab)", "(X (a)", "( )x"] {
            let response = format!("* 3 FETCH {broken}\r\n");
            assert!(parse(response.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn arrivals() {
        let check = |date: &str, expected: Option<&str>| {
            assert_eq!(arrival(date.as_bytes()).map(|t| t.to_string()).as_deref(), expected, "{date}");
        };
        check("17-Jul-1996 02:44:25 -0700", Some("1996-07-17T09:44:25Z"));
        check(" 1-Nov-2026 23:59:59 +0100", Some("2026-11-01T22:59:59Z"));
        check("1-nov-2026 00:00:00 +0000", Some("2026-11-01T00:00:00Z"));
        check("31-Feb-2026 00:00:00 +0000", None);
        check("", None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, start in 0..4_usize) {
            let starts: [&[u8]; 4] = [b"", b"* 1 FETCH (", b"* SEARCH ", b"R1 OK ["];
            let _ = parse(&[starts[start], &bytes, b"\r\n"].concat());
        }

        #[test]
        fn no_brackets_make_it_panic(text in "[()\"{}\\[\\] a0-9~\\\\\r\n]{0,60}") {
            let _ = parse(format!("* 1 FETCH ({text})\r\n").as_bytes());
        }
    }
}
