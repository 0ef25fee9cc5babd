//! POP3 replies (RFC 1939 §3) out of bytes, however they are cut: a machine without a socket. It knows which forms are
//! awaited, takes bytes, and hands over one reply after the other with its dots unstuffed.

use crate::limits;
use memchr::memchr;
use std::collections::VecDeque;

/// The form of a reply that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One line.
    Line,
    /// One line, and behind +OK the lines of a body up to a dot alone. Of it so many bytes are kept; the rest is counted.
    Body {
        /// Bytes kept.
        keep: usize,
    },
}

/// How a reply begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// `+OK`.
    Ok,
    /// `-ERR`.
    Err,
    /// `+ `: the server wants the next line of a login (RFC 5034 §4).
    Continue,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: Status,
    /// What stands behind the status, without the line end.
    pub text: Vec<u8>,
    /// The body as far as it was kept, with CR LF as it came, without stuffing and without its end.
    pub body: Vec<u8>,
    /// Bytes of the whole body.
    pub size: u64,
}

/// What a server may not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// More than we take: what.
    Limit(&'static str),
    /// Not the protocol: what.
    Form(&'static str),
}

/// Where in a reply the machine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the first line.
    First,
    /// Before the first byte of a line of the body.
    Start,
    /// Behind a dot at the start of a line.
    Dot,
    /// Behind a dot and a CR at the start of a line.
    DotCr,
    /// Within a line; whether its last byte so far is a CR.
    Within { cr: bool },
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Machine {
    awaited: VecDeque<Form>,
    place: Place,
    line: Vec<u8>,
    reply: Option<Reply>,
}

impl Machine {
    pub fn new() -> Self {
        Self { awaited: VecDeque::new(), place: Place::First, line: vec![], reply: None }
    }

    /// A reply of this form comes behind those that are awaited already.
    pub fn expect(&mut self, form: Form) {
        self.awaited.push_back(form);
    }

    /// Takes from `bytes` what belongs to the reply that is awaited: how many bytes those were, and the reply if they end
    /// it. What is behind belongs to the next.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Reply>), Broken> {
        let Some(form) = self.awaited.front().copied() else {
            return Err(Broken::Form("an answer to a command that was not sent"));
        };
        let mut at = 0;
        while at < bytes.len() {
            let (used, ended) = match self.place {
                Place::First => self.first_line(&bytes[at..], form)?,
                _ => self.body(&bytes[at..], form)?,
            };
            at += used;
            if ended {
                self.awaited.pop_front();
                self.place = Place::First;
                return Ok((at, self.reply.take()));
            }
        }
        Ok((at, None))
    }

    /// The status line: bytes used, and whether the reply ends with it.
    fn first_line(&mut self, bytes: &[u8], form: Form) -> Result<(usize, bool), Broken> {
        let end = memchr(b'\n', bytes);
        let used = end.map_or(bytes.len(), |end| end + 1);
        self.line.extend_from_slice(&bytes[..used]);
        if self.line.len() > limits::SERVER_LINE_BYTES {
            return Err(Broken::Limit("a line longer than we read"));
        }
        if end.is_none() {
            return Ok((used, false));
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or(Broken::Form("a line that does not end in CR LF"))?;
        let (status, text) = status(line).ok_or(Broken::Form("an answer that is neither +OK nor -ERR"))?;
        self.reply = Some(Reply { status, text: text.to_vec(), body: vec![], size: 0 });
        let goes_on = status == Status::Ok && form != Form::Line;
        self.place = Place::Start;
        Ok((used, !goes_on))
    }

    /// The body: bytes used, and whether its end was among them.
    fn body(&mut self, bytes: &[u8], form: Form) -> Result<(usize, bool), Broken> {
        let first = bytes[0];
        match self.place {
            Place::Start if first == b'.' => {
                self.place = Place::Dot;
                Ok((1, false))
            }
            Place::Dot if first == b'\r' => {
                self.place = Place::DotCr;
                Ok((1, false))
            }
            Place::DotCr if first == b'\n' => Ok((1, true)),
            Place::DotCr => {
                // No end after all: the CR belongs to the line whose dot was taken.
                self.keep(b"\r", form)?;
                self.place = Place::Within { cr: true };
                Ok((0, false))
            }
            _ => {
                let was_cr = self.place == Place::Within { cr: true };
                let end = memchr(b'\n', bytes);
                let used = end.map_or(bytes.len(), |end| end + 1);
                let cr = match end {
                    Some(0) => was_cr,
                    Some(end) => bytes[end - 1] == b'\r',
                    None => bytes[used - 1] == b'\r',
                };
                self.keep(&bytes[..used], form)?;
                // A line ends in CR LF and in nothing else: behind a bare LF a dot is text, and ends no body.
                self.place = if end.is_some() && cr { Place::Start } else { Place::Within { cr: end.is_none() && cr } };
                Ok((used, false))
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], form: Form) -> Result<(), Broken> {
        let keep = if let Form::Body { keep } = form { keep } else { 0 };
        let Some(reply) = &mut self.reply else { return Ok(()) };
        reply.size += bytes.len() as u64;
        if reply.size > limits::POP3_BODY_BYTES {
            return Err(Broken::Limit("a message that does not end"));
        }
        let room = keep.saturating_sub(reply.body.len()).min(bytes.len());
        reply.body.extend_from_slice(&bytes[..room]);
        Ok(())
    }
}

fn status(line: &[u8]) -> Option<(Status, &[u8])> {
    let rest = |status: &[u8]| {
        let (word, rest) = line.split_at_checked(status.len())?;
        let ends = rest.first().is_none_or(|byte| *byte == b' ');
        (word.eq_ignore_ascii_case(status) && ends).then(|| rest.trim_ascii())
    };
    if let Some(text) = rest(b"+OK") {
        return Some((Status::Ok, text));
    }
    if let Some(text) = rest(b"-ERR") {
        return Some((Status::Err, text));
    }
    rest(b"+").map(|text| (Status::Continue, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BODY: Form = Form::Body { keep: 1000 };

    /// The replies to `forms` when `input` comes in the given pieces.
    fn run(forms: &[Form], pieces: &[&[u8]]) -> Result<Vec<Reply>, Broken> {
        let mut machine = Machine::new();
        forms.iter().for_each(|form| machine.expect(*form));
        let mut replies = vec![];
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (used, reply) = machine.take(rest)?;
                rest = &rest[used..];
                replies.extend(reply);
            }
        }
        Ok(replies)
    }

    fn said(replies: &[Reply]) -> Vec<(Status, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        replies.iter().map(|reply| (reply.status, text(&reply.text), text(&reply.body))).collect()
    }

    #[test]
    fn replies_and_their_bodies() {
        let check = |form: Form, input: &str, status: Status, text: &str, body: &str| {
            let replies = run(&[form], &[input.as_bytes()]).unwrap();
            assert_eq!(said(&replies), [(status, text.to_owned(), body.to_owned())], "{input:?}");
        };
        check(Form::Line, "+OK\r\n", Status::Ok, "", "");
        check(Form::Line, "+ok hello  \r\n", Status::Ok, "hello", "");
        check(Form::Line, "-ERR [AUTH] no\r\n", Status::Err, "[AUTH] no", "");
        check(Form::Line, "+ eyJ9\r\n", Status::Continue, "eyJ9", "");
        check(Form::Line, "+\r\n", Status::Continue, "", "");
        check(BODY, "-ERR no such message\r\n", Status::Err, "no such message", "");
        check(BODY, "+OK\r\n.\r\n", Status::Ok, "", "");
        check(BODY, "+OK x\r\na\r\nb\r\n.\r\n", Status::Ok, "x", "a\r\nb\r\n");
        check(BODY, "+OK\r\n..\r\n...a\r\n.b\r\n.\r\n", Status::Ok, "", ".\r\n..a\r\nb\r\n");
        // Only CR LF ends a line: none of these ends the body.
        check(BODY, "+OK\r\na\n.\n.\r\nb\r\n.\r\n", Status::Ok, "", "a\n.\n.\r\nb\r\n");
        check(BODY, "+OK\r\na\r.\r\n.\rb\r\n.\r\n", Status::Ok, "", "a\r.\r\n\rb\r\n");
        check(BODY, "+OK\r\n.\r\r\n.\r\n", Status::Ok, "", "\r\r\n");
    }

    #[test]
    fn f26_pieces_make_no_difference() {
        let input = b"+OK hello\r\n+OK\r\n..a\r\n.\rb\r\n\r\n.c\nd\r\n.\r\n-ERR x\r\n+OK\r\n.\r\n+ go\r\n";
        let forms = [Form::Line, BODY, BODY, BODY, Form::Line];
        let whole = run(&forms, &[input]).unwrap();
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[1].body, b".a\r\n\rb\r\n\r\nc\nd\r\n");
        for at in 0..input.len() {
            let (a, b) = input.split_at(at);
            assert_eq!(run(&forms, &[a, b]).unwrap(), whole, "split at {at}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(run(&forms, &bytes).unwrap(), whole);
    }

    #[test]
    fn f25_what_does_not_end_is_bounded() {
        let line = vec![b'x'; limits::SERVER_LINE_BYTES + 1];
        assert_eq!(run(&[Form::Line], &[b"+OK ", &line]), Err(Broken::Limit("a line longer than we read")));
        let mut machine = Machine::new();
        machine.expect(Form::Body { keep: 100 });
        machine.take(b"+OK\r\n").unwrap();
        let megabyte = vec![b'x'; 1 << 20];
        let mut megabytes = 0;
        let broken = loop {
            match machine.take(&megabyte) {
                Ok(_) => megabytes += 1,
                Err(broken) => break broken,
            }
        };
        assert_eq!((broken, megabytes), (Broken::Limit("a message that does not end"), limits::POP3_BODY_BYTES >> 20));
        assert_eq!(machine.reply.unwrap().body.len(), 100, "no more is kept than was asked for");
    }

    #[test]
    fn what_is_no_reply() {
        let form = |input: &[u8]| run(&[Form::Line], &[input]).unwrap_err();
        assert_eq!(form(b"* OK IMAP\r\n"), Broken::Form("an answer that is neither +OK nor -ERR"));
        assert_eq!(form(b"+OKAY\r\n"), Broken::Form("an answer that is neither +OK nor -ERR"));
        assert_eq!(form(b"+OK\n"), Broken::Form("a line that does not end in CR LF"));
        assert_eq!(form(b"\r\n"), Broken::Form("an answer that is neither +OK nor -ERR"));
        let unasked = run(&[Form::Line], &[b"+OK\r\n+OK\r\n"]).unwrap_err();
        assert_eq!(unasked, Broken::Form("an answer to a command that was not sent"));
    }
}
