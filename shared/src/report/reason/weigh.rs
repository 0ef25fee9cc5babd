//! The order of evidence, carried out.

use super::code::{self, House, Meaning, Weight};
use super::tables::{RULES, TABLE, reason_of};
use super::{Clue, Reason, Source, Verdict};
use crate::report::Action;
use crate::report::words::token::{self, Kind, Token};
use std::cell::{Cell, OnceCell};
use std::ops::Range;

/// The rank of a rule that reads one telling word where no phrase was read.
const HINT: u8 = 3;

/// What one text holds.
#[derive(Debug, Default)]
struct Reading {
    /// The best rule that is not weak.
    strong: Option<Match>,
    /// The best weak rule.
    weak: Option<Match>,
    /// The enhanced code that counts.
    status: Option<Range<usize>>,
    /// The reply code that counts.
    reply: Option<(u16, Range<usize>)>,
}

#[derive(Debug, Clone)]
struct Match {
    rule: u16,
    span: Range<usize>,
}

/// A verdict in the making: reason, rule, source, words.
type Finding = (Reason, &'static str, Source, Range<usize>);

/// The evidence about one recipient. The reporting server's words are often long and seldom needed: read when asked.
struct Evidence<'a> {
    clue: &'a Clue<'a>,
    remote: Reading,
    local: OnceCell<Reading>,
    /// The code of the Status field, or nothing.
    field: &'a str,
}

/// Reads what is said about one recipient, in the order of evidence that the module states.
pub fn weigh(clue: &Clue<'_>) -> Verdict {
    let evidence = Evidence {
        clue,
        remote: Reading::of(clue.remote, true),
        local: OnceCell::new(),
        field: clue.status.and_then(first_code).unwrap_or_default(),
    };
    let (reason, rule, source, span) = evidence.find().unwrap_or_else(|| evidence.left_over());
    let reply_code = evidence.remote.reply.as_ref().or_else(|| evidence.local().reply.as_ref()).map(|(code, _)| *code);
    let status = evidence.best_status();
    let permanent = is_permanent(clue, status, reply_code);
    Verdict {
        reason,
        hard: reason.is_hard() && (reason != Reason::NotAccept || permanent),
        permanent,
        status: status.map(str::to_owned),
        reply_code,
        rule,
        source,
        span,
    }
}

impl Evidence<'_> {
    fn local(&self) -> &Reading {
        self.local.get_or_init(|| Reading::of(self.clue.local, false))
    }

    fn find(&self) -> Option<Finding> {
        let strong_remote = || finding(self.remote.strong.as_ref(), Source::Remote);
        let strong_local = || finding(self.local().strong.as_ref(), Source::Local);
        if code::speaks_in_its_own_sentence(self.clue.address)
            && let Some(found) = self.own_sentence()
        {
            return Some(found);
        }
        if let Some(found) = strong_remote() {
            return Some(found);
        }
        if let Some(meaning) = code::read_category(self.clue.category) {
            return Some((meaning.reason, meaning.rule, Source::Category, 0..self.clue.category.len()));
        }
        let house = self.house();
        self.codes(Weight::Telling, house)
            .or_else(strong_local)
            .or_else(|| exit_status(self.clue.remote))
            .or_else(|| self.local_code(Weight::Telling, house))
            .or_else(|| weak(&self.remote, self.clue.remote, Source::Remote))
            .or_else(|| weak(self.local(), self.clue.local, Source::Local))
            .or_else(|| self.codes(Weight::Vague, house))
            .or_else(|| self.local_code(Weight::Vague, house))
    }

    /// What the reporting server says of its own, before the answer that it quotes.
    fn own_sentence(&self) -> Option<Finding> {
        let quoted = self.local().reply.as_ref().map_or(self.clue.local.len(), |(_, span)| span.start);
        finding(Reading::of(&self.clue.local[..quoted], false).strong.as_ref(), Source::Local)
    }

    /// Who wrote the codes: the refusing host, or Exchange Online, which quotes its own refusals wordless.
    fn house(&self) -> House {
        let refusing = House::of(self.clue.remote_mta.unwrap_or_default(), self.clue.remote);
        let reporting = || House::of(self.clue.reporting_mta.unwrap_or_default(), self.clue.local);
        if refusing == House::Other && self.clue.remote_mta.is_none() && reporting() == House::Microsoft {
            return House::Microsoft;
        }
        refusing
    }

    /// The code in the refusing server's words, its reply code, the Status field: the first that says so much.
    fn codes(&self, weight: Weight, house: House) -> Option<Finding> {
        let enough = |meaning: &Meaning| meaning.weight == weight;
        let in_words = self.remote.status.clone().and_then(|span| {
            let meaning = code::read_status(&self.clue.remote[span.clone()], house).filter(enough)?;
            Some((meaning.reason, meaning.rule, Source::Remote, span))
        });
        let reply = || {
            let (reply, span) = self.remote.reply.clone()?;
            let meaning = code::read_reply(reply).filter(enough)?;
            Some((meaning.reason, meaning.rule, Source::Remote, span))
        };
        let in_field = || {
            let meaning = code::read_status(self.field, house).filter(enough)?;
            if meaning.reason.is_hard() && self.is_merely_refused() {
                return None;
            }
            Some((meaning.reason, meaning.rule, Source::Status, 0..self.field.len()))
        };
        in_words.or_else(reply).or_else(in_field)
    }

    /// The refusing server said no more than "denied", and no code: sendmail and its kin make 5.1.1 of any 550, and that
    /// summary kills no address.
    fn is_merely_refused(&self) -> bool {
        let weak = self.remote.weak.as_ref().map(|hit| &RULES[hit.rule as usize]).filter(|rule| rule.rank != HINT);
        self.remote.status.is_none() && weak.is_some_and(|rule| !reason_of(rule.table).is_hard())
    }

    fn local_code(&self, weight: Weight, house: House) -> Option<Finding> {
        let span = self.local().status.clone()?;
        let meaning = code::read_status(&self.clue.local[span.clone()], house)?;
        (meaning.weight == weight).then_some((meaning.reason, meaning.rule, Source::Local, span))
    }

    /// No word and no code says why.
    fn left_over(&self) -> Finding {
        let clue = self.clue;
        if clue.delayed || clue.action == Some(Action::Delayed) {
            (Reason::Expired, "action/delayed", Source::Action, 0..0)
        } else if !clue.remote.trim().is_empty() {
            let span = self.remote.reply.as_ref().map_or(0..clue.remote.len(), |(_, span)| span.clone());
            (Reason::OnHold, "words/unread", Source::Remote, span)
        } else if !clue.local.trim().is_empty() {
            (Reason::OnHold, "words/unread", Source::Local, 0..clue.local.len())
        } else if clue.action == Some(Action::Failed) || clue.status.is_some() {
            (Reason::OnHold, "action/failed", Source::Action, 0..0)
        } else {
            (Reason::Undefined, "nothing", Source::Nothing, 0..0)
        }
    }

    /// The words' code before the field's, unless it is bare (`5.0.0`) and the field is not.
    fn best_status(&self) -> Option<&str> {
        let detailed = |code: &&str| !code.ends_with(".0.0");
        let remote = self.remote.status.clone().map(|span| &self.clue.remote[span]);
        let field = Some(self.field).filter(|field| !field.is_empty());
        let local = || self.local().status.clone().map(|span| &self.clue.local[span]);
        remote
            .filter(detailed)
            .or(field.filter(detailed))
            .or_else(|| local().filter(detailed))
            .or(remote)
            .or(field)
            .or_else(local)
    }
}

fn finding(hit: Option<&Match>, source: Source) -> Option<Finding> {
    let hit = hit?;
    let rule = &RULES[hit.rule as usize];
    Some((reason_of(rule.table), rule.id, source, hit.span.clone()))
}

fn weak(reading: &Reading, text: &str, source: Source) -> Option<Finding> {
    let found = finding(reading.weak.as_ref(), source).filter(|found| !contradicts(reading, text, found.0))?;
    let answer = reading.reply.as_ref().map_or(text.len(), |(_, span)| span.end);
    if found.0 == Reason::PolicyViolation && names_a_host_address(&text[answer..]) {
        return Some((Reason::Blocked, "words/denied-host-address", source, found.3));
    }
    Some(found)
}

/// An IPv4 address within an answer that says no more than "denied" is what was denied.
fn names_a_host_address(answer: &str) -> bool {
    let parts = answer.split(|character: char| !character.is_ascii_digit() && character != '.');
    parts.map(|part| part.trim_end_matches('.')).any(|part| part.parse::<std::net::Ipv4Addr>().is_ok())
}

/// "Recipient address rejected" is a dead address, unless a code beside it says "for now", or speaks of something else
/// than an address: system, network, protocol, content, policy (X.3.X to X.7.X).
fn contradicts(reading: &Reading, text: &str, reason: Reason) -> bool {
    let code = reading.status.clone().map(|span| &text[span]);
    let for_now = code.is_some_and(|code| code.starts_with('4'))
        || code.is_none() && reading.reply.as_ref().is_some_and(|(reply, _)| *reply < 500);
    let of_else = code.is_some_and(|code| match code.as_bytes()[2] {
        b'7' => true,
        b'3'..=b'6' => &code[3..] != ".0",
        _ => false,
    });
    reason.is_hard() && (for_now || of_else)
}

/// `X-Unix; 67`, or the bare number: sendmail's note of how a delivery program ended.
fn exit_status(remote: &str) -> Option<Finding> {
    let text = remote.trim();
    let marked = text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("x-unix"));
    // The field may be folded before its number.
    let number = text.rsplit(|c: char| c == ';' || c.is_whitespace()).next()?;
    let status: u16 = number.parse().ok().filter(|status| *status < 256)?;
    if !marked && number.len() != text.len() {
        return None;
    }
    let meaning = code::read_exit(status);
    let start = remote.rfind(number)?;
    Some((meaning.reason, meaning.rule, Source::Remote, start..start + number.len()))
}

/// The class of the best status, or of the reply code, or what the action says.
fn is_permanent(clue: &Clue<'_>, status: Option<&str>, reply: Option<u16>) -> bool {
    match (status.and_then(|status| status.bytes().next()), reply) {
        (Some(class), _) => class == b'5',
        (None, Some(reply)) => reply >= 500,
        (None, None) => !clue.delayed && clue.action != Some(Action::Delayed),
    }
}

/// The first enhanced code in a Status field, which may have a comment beside it.
fn first_code(field: &str) -> Option<&str> {
    let start = field.find(|character: char| character.is_ascii_digit())?;
    token::code(field.as_bytes(), start).map(|end| &field[start..end])
}

impl Reading {
    /// Without hints where a notice speaks: its words around the answer are full of them.
    fn of(text: &str, hints: bool) -> Self {
        let mut reading = Reading::default();
        if text.is_empty() {
            return reading;
        }
        let (mut strong, mut weak) = (None, None);
        let frame = frame(text);
        let mut codes = Codes::default();
        // Where the answer begins, once its reply code was passed: what stands before it leads up to it.
        let answer = Cell::new(None);
        TABLE.scan_beside(
            text,
            |hit| {
                let rule = &RULES[hit.rule as usize];
                if rule.rank == HINT && !hints {
                    return;
                }
                // Words of the frame and of the reason, taken for one phrase, are weak.
                let crosses = |from: usize| hit.start < from && from < hit.end;
                let across = rule.rank == 1 && (crosses(frame) || answer.get().is_some_and(crosses));
                let rank = if across { 2 } else { rule.rank };
                let best = if rank >= 2 { &mut weak } else { &mut strong };
                // Rules are numbered in the order of their tables, and of their lines.
                let key = (answer.get().is_none(), rank, hit.rule);
                if best.as_ref().is_none_or(|(held, _)| key < *held) {
                    *best = Some((key, Match { rule: hit.rule, span: hit.start..hit.end }));
                }
            },
            |token| {
                codes.read(text, token);
                answer.set(codes.reply.as_ref().map(|(_, span)| span.start));
            },
        );
        reading.strong = strong.map(|(_, hit)| hit);
        reading.weak = weak.map(|(_, hit)| hit);
        reading.status = codes.status;
        reading.reply = codes.reply;
        reading
    }
}

/// Where the reason begins in `<a@example.com>: Recipient address rejected: REASON`: before it stands what was refused,
/// which is no part of the reason (Postfix smtpd and those who learnt from it); likewise after `Reason: `. 0 where there
/// is no such frame.
fn frame(text: &str) -> usize {
    let said = |words: &str| memchr::memmem::find(text.as_bytes(), words.as_bytes()).map(|at| at + words.len());
    said("eason: ").max(said("rejected: ")).unwrap_or(0)
}

/// Codes on the way through a text.
#[derive(Default)]
struct Codes {
    status: Option<Range<usize>>,
    reply: Option<(u16, Range<usize>)>,
    /// End of the last reply code.
    beside: Option<usize>,
    /// How good `status` is.
    worth: u8,
}

impl Codes {
    /// The first reply code; the enhanced code beside a reply before others, a detailed one before a bare one.
    fn read(&mut self, text: &str, token: Token) {
        let span = token.start..token.end;
        match token.kind {
            Kind::Number => {
                if let Some(reply) = reply_code(text.as_bytes(), token.start, token.end) {
                    self.beside = Some(token.end);
                    if self.reply.is_none() {
                        self.reply = Some((reply, span));
                    }
                }
            }
            Kind::Code if !text[span.clone()].starts_with('2') => {
                // Folding may stand between the two (RFC 5322 §2.2.3): only what is written counts.
                let between = self.beside.take().map(|end| &text.as_bytes()[end..token.start]);
                let near =
                    between.is_some_and(|gap| gap.iter().filter(|b| !b.is_ascii_whitespace()).take(3).count() < 3);
                let worth = if text[span.clone()].ends_with(".0.0") { 1 } else { 2 + u8::from(near) };
                if worth > self.worth {
                    self.worth = worth;
                    self.status = Some(span);
                }
            }
            _ => {}
        }
    }
}

/// Three digits that stand as a reply code stands: at the front, after white space or a mark, and before a text.
fn reply_code(bytes: &[u8], start: usize, end: usize) -> Option<u16> {
    let digits = bytes.get(start..end).filter(|digits| digits.len() == 3)?;
    // 571 is Exchange's and its gateways' "delivery not authorised", from before RFC 3463.
    if digits != b"571" && (!matches!(digits[0], b'4' | b'5') || digits[1] > b'5') {
        return None;
    }
    let before = start == 0
        || matches!(
            bytes[start - 1],
            b' ' | b'\t' | b'\n' | b'\r' | b';' | b':' | b'\'' | b'"' | b'(' | b'[' | b'#' | b'<' | b'>' | b'-'
        );
    let after = bytes.get(end).is_none_or(|byte| {
        matches!(byte, b' ' | b'-' | b':' | b'#' | b'\t' | b'\n' | b'\r' | b'\'' | b',' | b';' | b')')
    });
    let measured = [" bytes", " kb", " mb", " sec", " min", " hour", " mes", " day", " Bytes", " KB", " MB"];
    let counted = measured.iter().any(|unit| bytes[end..].starts_with(unit.as_bytes()));
    if !before || !after || counted {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
