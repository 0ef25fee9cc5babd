//! The guard beneath the clients: finds where a server's response ends, and refuses what is out of bounds before
//! anything else looks at it. It reads no socket and parses nothing.

use crate::limits;

/// A bound that a server broke, or a form that no response has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// More than we take: what.
    Limit(&'static str),
    /// Not the protocol: what.
    Form(&'static str),
}

/// Watches one IMAP response after the other (RFC 9051 §2.2.2): lines, and the literals that end them.
#[derive(Debug)]
pub(super) struct Guard {
    /// Bytes that the literals of one response may have together.
    pub literal_bytes: usize,
    at: Place,
}

#[derive(Debug, Default, Clone, Copy)]
struct Place {
    /// Up to here the response was looked at.
    scanned: usize,
    /// Where its current line starts.
    line: usize,
    /// Brackets open.
    depth: usize,
    /// Bytes of literals so far.
    literals: usize,
}

/// A `SEARCH` answer is one line for the whole folder; it is read once, in linear time.
const SEARCH_LINE_BYTES: usize = 8 << 20;

impl Guard {
    /// A guard that lets through literals of `literal_bytes` a response.
    pub fn new(literal_bytes: usize) -> Self {
        Self { literal_bytes, at: Place::default() }
    }

    /// Looks at `response`, all that has come since the last response ended, and says where it ends, when it does.
    /// Bytes seen by an earlier call are not looked at again.
    pub fn end_of(&mut self, response: &[u8]) -> Result<Option<usize>, Broken> {
        while self.at.scanned < response.len() {
            let Some(found) = memchr::memchr(b'\n', &response[self.at.scanned..]) else {
                // Not behind the last byte: in the next call it may be what stands before the line's end.
                self.at.scanned = response.len();
                break;
            };
            let end = self.at.scanned + found + 1;
            self.check_length(response, end)?;
            let line = &response[self.at.line..end];
            let Some(text) = line.strip_suffix(b"\r\n") else {
                return Err(Broken::Form("a line that does not end in CR LF"));
            };
            let literal = if is_text(response) { None } else { self.check_line(text)? };
            match literal {
                None => {
                    self.at = Place::default();
                    return Ok(Some(end));
                }
                Some(size) => {
                    self.at.literals += size;
                    self.at.line = end + size;
                    self.at.scanned = end + size;
                }
            }
        }
        self.check_length(response, response.len())?;
        Ok(None)
    }

    /// Bytes that are surely still missing: what is left of a literal.
    pub fn missing(&self, have: usize) -> usize {
        self.at.scanned.saturating_sub(have)
    }

    fn check_length(&self, response: &[u8], end: usize) -> Result<(), Broken> {
        let length = end.saturating_sub(self.at.line);
        let bound = match response.get(..8) {
            Some(start) if start.eq_ignore_ascii_case(b"* SEARCH") => SEARCH_LINE_BYTES,
            _ => limits::SERVER_LINE_BYTES,
        };
        // Many short lines, each ending in an empty literal, are one long line.
        if length > bound || self.at.line - self.at.literals.min(self.at.line) > SEARCH_LINE_BYTES {
            return Err(Broken::Limit("a line longer than we read"));
        }
        Ok(())
    }

    /// Counts brackets outside quoted strings, and reads the size of the literal that ends the line.
    fn check_line(&mut self, line: &[u8]) -> Result<Option<usize>, Broken> {
        let (mut quoted, mut escaped) = (false, false);
        for &byte in line {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'(' | b'[' if !quoted => self.at.depth += 1,
                b')' | b']' if !quoted => self.at.depth = self.at.depth.saturating_sub(1),
                _ => {}
            }
            if self.at.depth > limits::SERVER_NESTING {
                return Err(Broken::Limit("brackets nested deeper than we follow"));
            }
        }
        if quoted {
            return Err(Broken::Form("a quoted string that does not end"));
        }
        self.literal_size(line)
    }

    fn literal_size(&self, line: &[u8]) -> Result<Option<usize>, Broken> {
        let Some(open) = line.strip_suffix(b"}").and_then(|line| memchr::memrchr(b'{', line)) else {
            return Ok(None);
        };
        let digits = &line[open + 1..line.len() - 1];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Broken::Form("a literal whose size is no number"));
        }
        // More digits than any size has cannot fit, whatever they say.
        let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        match size {
            Some(size) if size <= self.literal_bytes.saturating_sub(self.at.literals) => Ok(Some(size)),
            _ => Err(Broken::Limit("a literal longer than we asked for")),
        }
    }
}

/// Whether a response is words for people behind a status: tagged, continuation, or untagged OK, NO, BAD, BYE,
/// PREAUTH. Brackets and braces mean nothing there.
fn is_text(response: &[u8]) -> bool {
    let Some(rest) = response.strip_prefix(b"* ") else { return true };
    let word = rest.split(|b| matches!(b, b' ' | b'\r' | b'\n')).next().unwrap_or_default();
    [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].iter().any(|status| word.eq_ignore_ascii_case(status))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The ends found, and how it broke, when `input` comes in pieces of `piece` bytes.
    fn run(input: &[u8], piece: usize, literal_bytes: usize) -> (Vec<usize>, Option<Broken>) {
        let mut guard = Guard::new(literal_bytes);
        let (mut start, mut ends) = (0, vec![]);
        let mut have = 0;
        while have < input.len() {
            have = (have + piece).min(input.len());
            loop {
                match guard.end_of(&input[start..have]) {
                    Ok(Some(end)) => {
                        start += end;
                        ends.push(start);
                    }
                    Ok(None) => break,
                    Err(broken) => return (ends, Some(broken)),
                }
            }
        }
        (ends, None)
    }

    fn check(input: &[u8], ends: &[usize], broken: Option<Broken>) {
        for piece in [1, 2, 3, 7, input.len().max(1)] {
            assert_eq!(run(input, piece, 1000), (ends.to_vec(), broken), "pieces of {piece}");
        }
    }

    #[test]
    fn responses_end_where_they_end() {
        let check = |responses: &[&[u8]], rest: &[u8]| {
            let mut end = 0;
            let ends: Vec<_> = responses.iter().map(|response| (end += response.len(), end).1).collect();
            check(&[&responses.concat(), rest].concat(), &ends, None);
        };
        check(&[b"* OK hello\r\n"], b"");
        check(&[b"* 1 EXISTS\r\n", b"R1 OK done\r\n"], b"* half");
        check(&[b"* 1 FETCH (BODY[] {3}\r\na\nb)\r\n", b"+ \r\n"], b"");
        check(&[b"* 1 FETCH (BODY[] {0}\r\n UID 1)\r\n"], b"");
        check(&[b"* LIST () \"/\" {5}\r\nfo\r\no\r\n"], b"\r");
        check(&[b"* OK not a literal {9}\r\n", b"* BYE (((\r\n"], b"");
        check(&[b"R2 NO [X] not a literal {9}\r\n"], b"");
        check(&[b"* LIST () \"\\\"\" \"a{3}\"\r\n"], b"");
        check(&[], b"* 1 FETCH (BODY[] {30}\r\nhalf");
    }

    #[test]
    fn f24_literals_out_of_bounds_break_before_they_come() {
        let limit = Some(Broken::Limit("a literal longer than we asked for"));
        let form = Some(Broken::Form("a literal whose size is no number"));
        check(b"* 1 FETCH (BODY[] {1001}\r\n", &[], limit);
        check(b"* 1 FETCH (BODY[] {4294967295}\r\n", &[], limit);
        check(b"* 1 FETCH (BODY[] {99999999999999999999}\r\n", &[], limit);
        check(b"* 1 FETCH (A {600}\r\n", &[], None);
        let two = [&b"* 1 FETCH (A {600}\r\n"[..], &[b'x'; 600], b" B {600}\r\n"].concat();
        check(&two, &[], limit);
        check(b"* 1 FETCH (BODY[] {-1}\r\n", &[], form);
        check(b"* 1 FETCH (BODY[] {}\r\n", &[], form);
        check(b"* 1 FETCH (BODY[] {{5}}\r\n", &[], form);
        check(b"* 1 FETCH (BODY[] {5+}\r\n", &[], form);
    }

    #[test]
    fn f25_lines_and_nesting_are_bounded() {
        let line = Some(Broken::Limit("a line longer than we read"));
        let long = [b"* X ".to_vec(), vec![b'x'; limits::SERVER_LINE_BYTES]].concat();
        assert_eq!(run(&long, 4096, 0), (vec![], line));
        let search = [b"* SEARCH".to_vec(), b" 123456".repeat(20_000), b"\r\n".to_vec()].concat();
        assert_eq!(run(&search, 4096, 0), (vec![search.len()], None));
        let empty_literals = [b"* X ".to_vec(), b"{0}\r\n".repeat(4_000_000)].concat();
        assert_eq!(run(&empty_literals, 65_536, 0).1, line);
        let deep = [b"* 1 FETCH ".to_vec(), b"(".repeat(33)].concat();
        assert_eq!(
            run(&[&deep[..], b"\r\n"].concat(), 9, 0).1,
            Some(Broken::Limit("brackets nested deeper than we follow"))
        );
        let quoted = b"* 1 FETCH (X \"((((((((((((((((((((((((((((((((((((((((\")\r\n";
        assert_eq!(run(quoted, 9, 0), (vec![quoted.len()], None));
    }

    #[test]
    fn forms_that_no_response_has() {
        check(b"* OK bare\n", &[], Some(Broken::Form("a line that does not end in CR LF")));
        check(b"* LIST () \"/\r\n", &[], Some(Broken::Form("a quoted string that does not end")));
    }

    proptest::proptest! {
        #[test]
        fn pieces_make_no_difference(text in "(\\* 1 FETCH |R1 OK |[(){}\"\\[\\]a1\\\\]|\\{[0-9]\\}\r\n|\r\n|\n){0,40}", piece in 1..50_usize) {
            proptest::prop_assert_eq!(run(text.as_bytes(), piece, 20), run(text.as_bytes(), usize::MAX / 2, 20));
        }
    }
}
