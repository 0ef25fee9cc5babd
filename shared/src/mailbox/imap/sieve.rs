//! What of a server's responses goes on to async-imap. Its parser fails the whole connection over a response that it
//! does not know, panics at some (`INTERNALDATE NIL`, `[ALERT]é`), and reads a long line in quadratic time: it gets
//! what we asked for, in plain forms, and nothing else. Bodies are stepped over by their size, never looked into.

use super::answer::{self, Answer, number, split_word};

/// What becomes of one whole response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sieved<'a> {
    /// It goes on as it came.
    Whole,
    /// In its place go these, each a whole response.
    Plainly(Vec<Vec<u8>>),
    /// `* CAPABILITY …`, which `imap_proto` takes from servers of RFC 3501 alone: heard here, it goes no further.
    Capability(&'a [u8]),
    /// Nobody asked for it: it goes no further.
    Unasked,
}

/// Search results that go on in one response.
const SEARCH_BYTES: usize = 3_000;

/// Sieves a whole response with its last CR LF. The error says what is wrong with it.
pub(super) fn sieve(response: &[u8]) -> Result<Sieved<'_>, &'static str> {
    match answer::line(response)? {
        // Words behind a `+` are for nobody within a session, and in a login they need not be base64.
        Answer::Continue(_) => Ok(one(b"+ \r\n".to_vec())),
        Answer::Done { text, .. } | Answer::Said { text, .. } => Ok(plain_words(response, !text.code.is_empty())),
        Answer::Capability(words) => Ok(Sieved::Capability(words)),
        _ => data(response),
    }
}

fn one(response: Vec<u8>) -> Sieved<'static> {
    Sieved::Plainly(vec![response])
}

/// `imap_proto` takes no NUL and no bare CR, and drops what follows a code at once for a space, or panics where that is no ASCII.
fn plain_words(response: &[u8], has_code: bool) -> Sieved<'_> {
    let close = if has_code { memchr::memchr(b']', response) } else { None };
    let needs_space = |at: usize| match response.get(at + 1) {
        Some(b' ' | b'\r') | None => false,
        Some(next) => response[at] == b']' && (close == Some(at) || *next >= 0x80),
    };
    let words = response.strip_suffix(b"\r\n").unwrap_or(response);
    if memchr::memchr2(0, b'\r', words).is_none() && !memchr::memchr_iter(b']', response).any(needs_space) {
        return Sieved::Whole;
    }
    let mut plain = Vec::with_capacity(response.len() + 16);
    for (at, &byte) in words.iter().enumerate() {
        // SUBSTITUTE: what ASCII has for a character that cannot be shown.
        plain.push(if matches!(byte, 0 | b'\r') { 0x1a } else { byte });
        if needs_space(at) {
            plain.push(b' ');
        }
    }
    plain.extend_from_slice(b"\r\n");
    one(plain)
}

fn data(response: &[u8]) -> Result<Sieved<'_>, &'static str> {
    let line = response.strip_suffix(b"\r\n").unwrap_or(response);
    let (word, tail) = split_word(line.strip_prefix(b"* ").unwrap_or_default());
    if word.eq_ignore_ascii_case(b"SEARCH") {
        return search(tail);
    }
    let Some(count) = number(word) else { return Ok(Sieved::Unasked) };
    let (word, tail) = split_word(tail);
    if word.eq_ignore_ascii_case(b"EXISTS") {
        return Ok(one(format!("* {count} EXISTS\r\n").into_bytes()));
    }
    if word.eq_ignore_ascii_case(b"FETCH") { fetch(count, tail) } else { Ok(Sieved::Unasked) }
}

/// One line for a whole folder becomes many short ones.
fn search(tail: &[u8]) -> Result<Sieved<'_>, &'static str> {
    let start = b"* SEARCH";
    let mut lines = vec![start.to_vec()];
    // RFC 7162 §3.1.5: `(MODSEQ n)` may follow.
    let words = tail.split(|&b| b == b' ').filter(|word| !word.is_empty()).take_while(|word| !word.starts_with(b"("));
    for word in words {
        number(word).ok_or("a search result that is no number")?;
        if lines.last().is_some_and(|line| line.len() >= SEARCH_BYTES) {
            lines.push(start.to_vec());
        }
        if let Some(line) = lines.last_mut() {
            line.push(b' ');
            line.extend_from_slice(word);
        }
    }
    lines.iter_mut().for_each(|line| line.extend_from_slice(b"\r\n"));
    Ok(Sieved::Plainly(lines))
}

/// An attribute that we ask for.
enum Asked<'a> {
    Uid(u32),
    Size(&'a [u8]),
    Date(&'a [u8]),
    Body(Option<&'a [u8]>),
}

/// Of a FETCH response the attributes that we ask for; what a server adds is stepped over.
fn fetch(message: u32, tail: &[u8]) -> Result<Sieved<'_>, &'static str> {
    const BROKEN: &str = "a FETCH response that cannot be read";
    let mut rest = tail.strip_prefix(b"(").ok_or(BROKEN)?;
    let mut asked = vec![];
    let mut whole = true;
    loop {
        // Zoho and others put spaces where none belong.
        let trimmed = rest.trim_ascii_start();
        if let Some(after) = trimmed.strip_prefix(b")") {
            whole &= trimmed.len() == rest.len() && after.is_empty();
            if !after.trim_ascii().is_empty() {
                return Err(BROKEN);
            }
            break;
        }
        // One space between attributes, none before the first.
        whole &= rest.len() - trimmed.len() == usize::from(rest.len() < tail.len() - 1);
        let (name, after) = attribute_name(trimmed).ok_or(BROKEN)?;
        whole &= !after.starts_with(b"~") && !after.starts_with(b" ");
        let (value, after) = value(after).ok_or(BROKEN)?;
        if after.len() >= rest.len() {
            return Err(BROKEN);
        }
        rest = after;
        match attribute(name, &value) {
            Some((attribute, plain)) => {
                asked.push(attribute);
                whole &= plain;
            }
            None => whole = false,
        }
    }
    Ok(match asked.is_empty() {
        true => Sieved::Unasked,
        false if whole => Sieved::Whole,
        false => one(written(message, &asked)),
    })
}

/// The attribute, when it is one that we ask for, and whether `imap_proto` reads it as it stands.
fn attribute<'a>(name: &[u8], value: &Value<'a>) -> Option<(Asked<'a>, bool)> {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    match value {
        Value::Atom(atom) if is("UID") => number(atom).map(|uid| (Asked::Uid(uid), true)),
        Value::Atom(atom) if is("RFC822.SIZE") && !atom.is_empty() && atom.iter().all(u8::is_ascii_digit) => {
            Some((Asked::Size(atom), number(atom).is_some()))
        }
        Value::Quoted(date) | Value::Literal(date) if is("INTERNALDATE") => {
            let plain = date.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'));
            plain.then_some((Asked::Date(date), matches!(value, Value::Quoted(_))))
        }
        Value::Literal(bytes) if is("BODY[]") || is("BODY[]<0>") => Some((Asked::Body(Some(bytes)), true)),
        // As a literal: what is within the quotes is taken as it stands, and a long line is read at once.
        Value::Quoted(bytes) if is("BODY[]") || is("BODY[]<0>") => Some((Asked::Body(Some(bytes)), false)),
        Value::Atom(atom) if is("BODY[]") || is("BODY[]<0>") => {
            Some((Asked::Body(None), atom.eq_ignore_ascii_case(b"NIL")))
        }
        _ => None,
    }
}

fn written(message: u32, asked: &[Asked<'_>]) -> Vec<u8> {
    let mut response = format!("* {message} FETCH").into_bytes();
    for (n, attribute) in asked.iter().enumerate() {
        response.extend_from_slice(if n == 0 { b" (" } else { b" " });
        match attribute {
            Asked::Uid(uid) => response.extend(format!("UID {uid}").bytes()),
            // RFC 9051 has sizes of 63 bits.
            Asked::Size(digits) => {
                response.extend(format!("RFC822.SIZE {}", number(digits).unwrap_or(u32::MAX)).bytes())
            }
            Asked::Date(date) => response.extend([b"INTERNALDATE \"", *date, b"\""].concat()),
            Asked::Body(None) => response.extend(b"BODY[] NIL"),
            Asked::Body(Some(bytes)) => {
                response.extend(format!("BODY[] {{{}}}\r\n", bytes.len()).bytes());
                response.extend_from_slice(bytes);
            }
        }
    }
    response.extend(b")\r\n");
    response
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
    Quoted(&'a [u8]),
    Literal(&'a [u8]),
    List,
}

fn value(rest: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let rest = rest.trim_ascii_start();
    match rest.first()? {
        b'"' | b'{' | b'~' => string(rest),
        b'(' => list(rest).map(|after| (Value::List, after)),
        _ => {
            let end = rest.iter().position(|b| matches!(b, b' ' | b')' | b'(')).unwrap_or(rest.len());
            Some((Value::Atom(&rest[..end]), &rest[end..]))
        }
    }
}

/// A quoted string (its escapes left as they are) or a literal.
fn string(rest: &[u8]) -> Option<(Value<'_>, &[u8])> {
    if let Some(inner) = rest.strip_prefix(b"\"") {
        let mut escaped = false;
        let end = inner.iter().position(|&b| {
            let end = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            end
        })?;
        return Some((Value::Quoted(&inner[..end]), &inner[end + 1..]));
    }
    let inner = rest.strip_prefix(b"~").unwrap_or(rest).strip_prefix(b"{")?;
    let close = memchr::memchr(b'}', &inner[..inner.len().min(20)])?;
    let size = number(&inner[..close])? as usize;
    let bytes = inner[close + 1..].strip_prefix(b"\r\n")?;
    (size <= bytes.len()).then(|| (Value::Literal(&bytes[..size]), &bytes[size..]))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::answer::{Body, Fetch, Status};
    use super::*;
    use async_imap::imap_proto::Response;

    /// Hands what goes on to `imap_proto` and each answer to `look`; false where nothing goes on. What goes on is read
    /// to its end, whatever it is.
    fn pass(response: &[u8], mut look: impl FnMut(Answer<'_>)) -> Result<bool, &'static str> {
        let responses = match sieve(response)? {
            Sieved::Whole => vec![response.to_vec()],
            Sieved::Plainly(responses) => responses,
            Sieved::Capability(_) | Sieved::Unasked => return Ok(false),
        };
        for response in responses {
            let shown = || String::from_utf8_lossy(&response).into_owned();
            match Response::parse(&response) {
                Ok((b"", parsed)) => look(answer::of(&parsed)),
                Ok((rest, _)) => panic!("{:?}: {rest:?} is left", shown()),
                Err(error) => panic!("{:?}: {error:?}", shown()),
            }
        }
        Ok(true)
    }

    fn check(response: &[u8], expected: Result<Answer<'_>, &'static str>) {
        let mut answers = 0;
        let passed = pass(response, |answer| {
            answers += 1;
            assert_eq!(Ok(answer), expected, "{}", String::from_utf8_lossy(response));
        });
        match passed {
            Ok(true) => assert_eq!(answers, 1),
            Ok(false) => assert_eq!(expected, Ok(Answer::Other)),
            Err(error) => assert_eq!(expected, Err(error)),
        }
    }

    #[test]
    fn data() {
        check(b"* 17 EXISTS\r\n", Ok(Answer::Exists(17)));
        check(b"* 17 exists now\r\n", Ok(Answer::Exists(17)));
        check(b"* 17 EXPUNGE\r\n", Ok(Answer::Other));
        check(b"* FLAGS (\\Seen)\r\n", Ok(Answer::Other));
        check(b"* SEARCH\r\n", Ok(Answer::Search(&[])));
        check(b"* SEARCH 2  84 882 \r\n", Ok(Answer::Search(&[2, 84, 882])));
        check(b"* SEARCH 2 (MODSEQ 917162500)\r\n", Ok(Answer::Search(&[2])));
        check(b"* SEARCH 4294967296\r\n", Err("a search result that is no number"));
        assert_eq!(sieve(b"* CAPABILITY IMAP4rev2 MOVE\r\n"), Ok(Sieved::Capability(b"IMAP4rev2 MOVE")));
    }

    #[test]
    fn long_search_results_go_on_in_short_lines() {
        let numbers: Vec<u32> = (1..100_000).collect();
        let line: String = numbers.iter().map(|number| format!(" {number}")).collect();
        let mut found = vec![];
        let response = format!("* SEARCH{line}\r\n").into_bytes();
        let Ok(Sieved::Plainly(lines)) = sieve(&response) else { panic!() };
        assert!(lines.iter().all(|line| line.len() < 4_096));
        pass(&response, |answer| {
            if let Answer::Search(numbers) = answer {
                found.extend_from_slice(numbers)
            }
        })
        .unwrap();
        assert_eq!(found, numbers);
    }

    #[test]
    fn fetches() {
        let bare = || Fetch { sequence: 3, ..Fetch::default() };
        let check = |inner: &[u8], expected: Fetch<'_>| {
            let response = [b"* 3 FETCH (", inner, b")\r\n"].concat();
            let nothing = expected == bare();
            check(&response, Ok(if nothing { Answer::Other } else { Answer::Fetch(expected) }));
        };
        check(b"UID 9", Fetch { uid: Some(9), ..bare() });
        check(b"uid 9 rfc822.size 44", Fetch { uid: Some(9), size: Some(44), ..bare() });
        check(b"  UID  9  RFC822.SIZE 44  ", Fetch { uid: Some(9), size: Some(44), ..bare() });
        check(b"RFC822.SIZE 5000000000", Fetch { size: Some(u32::MAX), ..bare() });
        check(b"FLAGS (\\Seen (a \"b)\" {2}\r\n)))) UID 1 ", Fetch { uid: Some(1), ..bare() });
        check(b"MODSEQ (1) X-NEW \"a\\\")\" UID 1", Fetch { uid: Some(1), ..bare() });
        check(b"BODY[] {4}\r\n)\r\n( UID 1", Fetch { uid: Some(1), body: Body::Bytes(b")\r\n("), ..bare() });
        check(b"BODY[] ~{4}\r\n\0\r\n( UID 1", Fetch { uid: Some(1), body: Body::Bytes(b"\0\r\n("), ..bare() });
        check(b"BODY[]<0> \"abc\"", Fetch { body: Body::Bytes(b"abc"), ..bare() });
        check(b"BODY[] \"a\\bc\\\"\"", Fetch { body: Body::Bytes(b"a\\bc\\\""), ..bare() });
        check(b"BODY[] NIL UID 3", Fetch { uid: Some(3), body: Body::Nil, ..bare() });
        check(b"BODY[] \"\"", Fetch { body: Body::Bytes(b""), ..bare() });
        check(b"BODY[HEADER.FIELDS (A B)] \"x\" UID 2", Fetch { uid: Some(2), ..bare() });
        check(b"BODY[]<5> \"abc\"", bare());
        check(b"FLAGS (\\Seen)", bare());
        // Both make imap_proto panic, or fail.
        check(b"INTERNALDATE NIL UID 2", Fetch { uid: Some(2), ..bare() });
        check(b"UID 99999999999 RFC822.SIZE 1", Fetch { size: Some(1), ..bare() });
        let date = b"INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"";
        check(date, Fetch { arrival: Some(b"17-Jul-1996 02:44:25 -0700"), ..bare() });
        for broken in ["UID", "UID 1", "(UID", "(UID 1", "(\"a\" 1)", "(UID 1) x", "(X {9}\r\nab)", "(X (a)", "( )x"] {
            let response = format!("* 3 FETCH {broken}\r\n");
            assert!(sieve(response.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_asked_for_in_plain_form_goes_on_without_a_copy() {
        let whole = b"* 3 FETCH (UID 9 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[]<0> {4}\r\n)\r\n()\r\n";
        assert_eq!(sieve(whole), Ok(Sieved::Whole));
        assert_eq!(sieve(b"* 3 FETCH (UID 9 RFC822.SIZE 44)\r\n"), Ok(Sieved::Whole));
        assert_eq!(sieve(b"A0001 OK [READ-WRITE] done\r\n"), Ok(Sieved::Whole));
    }

    #[test]
    fn words_that_would_panic_the_parser_are_parted() {
        let check = |response: &str, code: &str, words: &str| {
            let passed = pass(response.as_bytes(), |answer| {
                let (Answer::Said { status: Status::Ok, text } | Answer::Done { text, .. }) = answer else { panic!() };
                assert_eq!((&text.code[..], &text.words[..]), (code.as_bytes(), words.as_bytes()), "{response}");
            });
            assert_eq!(passed, Ok(true));
        };
        check("* OK [ALERT]é\r\n", "ALERT", "é");
        check("* OK [ALERT]word\r\n", "ALERT", "word");
        check("A0001 NO [PERMANENTFLAGS (a]b)]é x\r\n", "PERMANENTFLAGS", "é x");
        check("* OK [ALERT]\r\n", "ALERT", "");
        check("* OK a\0b\rc é [1]é\r\n", "", "a\u{1a}b\u{1a}c é [1] é");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, start in 0..4_usize) {
            let starts: [&[u8]; 4] = [b"", b"* 1 FETCH (", b"* SEARCH ", b"A0001 OK ["];
            let _ = sieve(&[starts[start], &bytes, b"\r\n"].concat());
        }

        #[test]
        fn no_brackets_make_it_panic(text in "[()\"{}\\[\\] a0-9~\\\\\r\n]{0,60}") {
            let _ = sieve(format!("* 1 FETCH ({text})\r\n").as_bytes());
        }

        /// `imap_proto` neither panics at, nor fails over, nor wants more than what goes on to it.
        #[test]
        fn what_goes_on_is_read_whole(
            start in "(\\* [1-9] FETCH \\(|\\* SEARCH|\\* OK|A0001 NO|\\* BYE|\\* 7 EXISTS|\\+|\\* LIST|\\* VANISHED)",
            items in "( ?(UID 5|RFC822.SIZE [0-9]{1,12}|INTERNALDATE (NIL|\"[^\r\n]{0,20}\")|BODY\\[\\](<0>)? (NIL|\"[^\r\n]{0,9}\"|\\{3\\}\r\nab\\))|FLAGS \\([^\r\n]{0,9}\\)|\\[[A-Z]{1,9} ?[0-9é\\]]{0,3}\\]|\\[(ALERT|UIDNEXT|CAPABILITY|PERMANENTFLAGS|COPYUID)[^\r\n]{0,9}|[^\r\n]{0,5})){0,5}",
            end in "\\)?",
        ) {
            let response = format!("{start}{items}{end}\r\n").into_bytes();
            let framed = super::super::super::guard::Guard::new(1000).end_of(&response);
            if framed == Ok(Some(response.len())) {
                let _ = pass(&response, |_| ());
            }
        }
    }
}
