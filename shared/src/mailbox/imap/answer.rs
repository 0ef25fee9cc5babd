//! What an IMAP server says (RFC 9051 §7), as far as Rebond asks for it: out of `imap_proto`'s types within a session,
//! and line by line before it, where what a server says is least believed.

use async_imap::imap_proto::{self, AttributeValue, MailboxDatum, Outcome, Response, ResponseCode};
use std::borrow::Cow;

/// A whole response. Texts are the server's bytes: clean them before anybody sees them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// `+ text`
    Continue(&'a [u8]),
    /// `A0001 OK …`: the end of a command of ours.
    Done { tag: &'a [u8], status: Status, text: Text<'a> },
    /// `* OK …`
    Said { status: Status, text: Text<'a> },
    /// `* CAPABILITY …`
    Capability(&'a [u8]),
    /// `* 17 EXISTS`
    Exists(u32),
    /// `* SEARCH 2 3 5`
    Search(&'a [u32]),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub code: Cow<'a, [u8]>,
    pub words: Cow<'a, [u8]>,
}

impl Text<'_> {
    /// The number behind a code, as in `[UIDNEXT 4392]`.
    pub fn number(&self, name: &str) -> Option<u32> {
        number(self.argument(name)?)
    }

    /// What stands behind a code's name.
    pub fn argument(&self, name: &str) -> Option<&[u8]> {
        let start = self.code.get(..name.len())?;
        let rest = &self.code[name.len()..];
        start.eq_ignore_ascii_case(name.as_bytes()).then(|| rest.strip_prefix(b" ")).flatten()
    }

    /// The same, on its own.
    pub fn into_owned(self) -> Text<'static> {
        Text { code: Cow::Owned(self.code.into_owned()), words: Cow::Owned(self.words.into_owned()) }
    }
}

/// The attributes of a message that we ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fetch<'a> {
    /// Its place in the folder (RFC 9051 §2.3.1.2).
    pub sequence: u32,
    pub uid: Option<u32>,
    /// A size that has no room here is the largest that has.
    pub size: Option<u32>,
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

/// The letter before the number in the tags of our commands before a session; within it, it is async-imap's `A`.
pub(super) const TAG: char = 'R';

/// What a response of a session says. The sieve let none through that is not one of these.
pub(super) fn of<'a>(response: &'a Response<'_>) -> Answer<'a> {
    match response {
        Response::Continue(_) => Answer::Continue(b""),
        Response::Done { tag, status, outcome } => {
            Answer::Done { tag: tag.as_bytes(), status: status.into(), text: outcome_text(outcome) }
        }
        Response::Data { status, outcome } => Answer::Said { status: status.into(), text: outcome_text(outcome) },
        Response::MailboxData(MailboxDatum::Exists(count)) => Answer::Exists(*count),
        Response::MailboxData(MailboxDatum::Search(found)) => Answer::Search(found),
        Response::Fetch(sequence, attributes) => Answer::Fetch(fetch(*sequence, attributes)),
        _ => Answer::Other,
    }
}

impl From<&imap_proto::Status> for Status {
    fn from(status: &imap_proto::Status) -> Self {
        match status {
            imap_proto::Status::Ok => Self::Ok,
            imap_proto::Status::No => Self::No,
            imap_proto::Status::Bad => Self::Bad,
            imap_proto::Status::Bye => Self::Bye,
            imap_proto::Status::PreAuth => Self::PreAuth,
        }
    }
}

/// A code that `imap_proto` does not know, as all of RFC 5530, it leaves standing before the words.
fn outcome_text<'a>(outcome: &'a Outcome<'_>) -> Text<'a> {
    let words = outcome.information.as_deref().unwrap_or_default().as_bytes();
    match &outcome.code {
        Some(code) => Text { code: code_text(code), words: Cow::Borrowed(words.trim_ascii_start()) },
        None => text(words),
    }
}

/// A code that it knows, as the server wrote it, but for arguments that nobody looks at.
fn code_text(code: &ResponseCode<'_>) -> Cow<'static, [u8]> {
    let name: &str = match code {
        ResponseCode::UidValidity(number) => return format!("UIDVALIDITY {number}").into_bytes().into(),
        ResponseCode::UidNext(number) => return format!("UIDNEXT {number}").into_bytes().into(),
        ResponseCode::Alert => "ALERT",
        ResponseCode::BadCharset(_) => "BADCHARSET",
        ResponseCode::Parse => "PARSE",
        ResponseCode::ReadOnly => "READ-ONLY",
        ResponseCode::ReadWrite => "READ-WRITE",
        ResponseCode::TryCreate => "TRYCREATE",
        ResponseCode::Capabilities(_) => "CAPABILITY",
        ResponseCode::PermanentFlags(_) => "PERMANENTFLAGS",
        ResponseCode::Unseen(_) => "UNSEEN",
        ResponseCode::HighestModSeq(_) => "HIGHESTMODSEQ",
        ResponseCode::AppendUid(..) => "APPENDUID",
        ResponseCode::CopyUid(..) => "COPYUID",
        ResponseCode::UidNotSticky => "UIDNOTSTICKY",
        _ => "METADATA",
    };
    Cow::Borrowed(name.as_bytes())
}

fn fetch<'a>(sequence: u32, attributes: &'a [AttributeValue<'_>]) -> Fetch<'a> {
    let mut fetch = Fetch { sequence, ..Fetch::default() };
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(uid) => fetch.uid = Some(*uid),
            AttributeValue::Rfc822Size(size) => fetch.size = Some(*size),
            AttributeValue::InternalDate(date) => fetch.arrival = Some(date.as_bytes()),
            AttributeValue::BodySection { section: None, index: None | Some(0), data } => {
                fetch.body = data.as_deref().map_or(Body::Nil, Body::Bytes);
            }
            _ => {}
        }
    }
    fetch
}

/// Reads a response that is one line, with its last CR LF: statuses, continuations, capabilities; data of a folder is
/// [`Answer::Other`]. The error says what is wrong with it.
pub(super) fn line(response: &[u8]) -> Result<Answer<'_>, &'static str> {
    let line = response.strip_suffix(b"\r\n").unwrap_or(response);
    if let Some(rest) = line.strip_prefix(b"+") {
        return Ok(Answer::Continue(rest.trim_ascii()));
    }
    let Some(rest) = line.strip_prefix(b"* ") else { return tagged(line) };
    let (word, tail) = split_word(rest);
    if let Some(status) = status(word) {
        return Ok(Answer::Said { status, text: text(tail) });
    }
    if word.eq_ignore_ascii_case(b"CAPABILITY") { Ok(Answer::Capability(tail)) } else { Ok(Answer::Other) }
}

fn tagged(line: &[u8]) -> Result<Answer<'_>, &'static str> {
    let (tag, rest) = split_word(line);
    let digits = tag.strip_prefix(&[TAG as u8]).or(tag.strip_prefix(b"A"));
    digits.and_then(number).ok_or("a response that no command of ours asked for")?;
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
    let bare = Text { code: Cow::Borrowed(b""), words: Cow::Borrowed(tail) };
    let Some(rest) = tail.strip_prefix(b"[") else { return bare };
    // A `]` can stand inside a quoted argument of codes that we do not read; the words then start early, which is all.
    match memchr::memchr(b']', rest) {
        Some(end) => {
            Text { code: Cow::Borrowed(&rest[..end]), words: Cow::Borrowed(rest[end + 1..].trim_ascii_start()) }
        }
        None => bare,
    }
}

pub(super) fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(end) => (&line[..end], &line[end + 1..]),
        None => (line, b""),
    }
}

/// RFC 9051 §9 `number`: digits, unsigned, 32 bits.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, digit| value.checked_mul(10)?.checked_add(u32::from(digit - b'0')))
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
        assert_eq!(line(response), expected, "{}", String::from_utf8_lossy(response));
        // A session's answers mean the same, where the sieve lets them through as they are.
        let Ok(Answer::Done { .. } | Answer::Said { .. }) = expected else { return };
        let (_, parsed) = Response::parse(response).unwrap();
        assert_eq!(of(&parsed), expected.unwrap(), "{}", String::from_utf8_lossy(response));
    }

    fn said<'a>(code: &'a str, words: &'a str) -> Text<'a> {
        Text { code: Cow::Borrowed(code.as_bytes()), words: Cow::Borrowed(words.as_bytes()) }
    }

    #[test]
    fn statuses() {
        use Status::{Bad, Bye, No, PreAuth};
        check(b"* OK ready\r\n", Ok(Answer::Said { status: Status::Ok, text: said("", "ready") }));
        check(b"* ok [UIDNEXT 9] x\r\n", Ok(Answer::Said { status: Status::Ok, text: said("UIDNEXT 9", "x") }));
        check(b"* BYE\r\n", Ok(Answer::Said { status: Bye, text: said("", "") }));
        check(b"* PREAUTH hi\r\n", Ok(Answer::Said { status: PreAuth, text: said("", "hi") }));
        check(b"R7 NO [X y] no\r\n", Ok(Answer::Done { tag: b"R7", status: No, text: said("X y", "no") }));
        check(b"A0007 BAD\r\n", Ok(Answer::Done { tag: b"A0007", status: Bad, text: said("", "") }));
        check(b"* NO [open\r\n", Ok(Answer::Said { status: No, text: said("", "[open") }));
        for code in ["UIDVALIDITY 7", "ALERT", "PARSE", "READ-ONLY", "READ-WRITE", "TRYCREATE", "LIMIT", "X [y"] {
            let response = format!("R7 NO [{code}] a b\r\n");
            check(response.as_bytes(), Ok(Answer::Done { tag: b"R7", status: No, text: said(code, "a b") }));
        }
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
}
