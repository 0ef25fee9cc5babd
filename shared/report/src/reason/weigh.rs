//! The order of evidence, carried out.

use super::code::{self, House, Meaning, Weight};
use super::meaning::Concepts;
use super::numbers::{Codes, exit_status, first_code};
use super::stage::{self, names_a_host_address};
use super::tables::{RULES, Sense, TABLE, reason_of};
use super::{Clue, Reason, Source, Verdict};
use crate::Action;
use crate::words::token;
use memchr::memmem::Finder;
use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::sync::LazyLock;

/// Ranks of rules: one telling word where no phrase was read, and a concept.
const HINT: u8 = 3;
const CONCEPT: u8 = 5;

/// What one text holds.
#[derive(Debug, Default)]
struct Reading {
    /// The best rule that is not weak.
    strong: Option<Match>,
    /// The best weak rule.
    weak: Option<Match>,
    /// What the sentences mean, by the concepts in them.
    meaning: Option<(&'static Sense, Range<usize>)>,
    codes: Codes,
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
    /// The reporting server's words; to unfold them costs something.
    words: &'a dyn Fn() -> &'a str,
    remote: Reading,
    local: OnceCell<Reading>,
    local_codes: OnceCell<Codes>,
    /// The code of the Status field, or nothing.
    field: &'a str,
}

/// Reads what is said about one recipient, in the order of evidence that the module states.
pub fn weigh(clue: &Clue<'_>) -> Verdict {
    weigh_lazily(clue, &|| clue.local)
}

/// The same, with `words` in place of [`Clue::local`].
pub(crate) fn weigh_lazily<'a>(clue: &'a Clue<'a>, words: &'a dyn Fn() -> &'a str) -> Verdict {
    let evidence = Evidence::new(clue, words, Reading::of(clue.remote, true));
    let read = evidence.find();
    let sure = read.is_some();
    let found = read.or_else(|| evidence.find_vague()).unwrap_or_else(|| evidence.left_over());
    let (reason, rule, source, span) = found;
    let Numbers { status, reply_code, permanent } = evidence.numbers();
    Verdict {
        reason,
        hard: reason.is_hard() && (reason != Reason::NotAccept || permanent || evidence.is_for_good()),
        permanent,
        status,
        reply_code,
        rule,
        source,
        sure,
        span,
    }
}

/// What a clue says in codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// As in [`Verdict::status`].
    pub status: Option<String>,
    /// As in [`Verdict::reply_code`].
    pub reply_code: Option<u16>,
    /// As in [`Verdict::permanent`].
    pub permanent: bool,
}

/// The codes of a clue alone: no words are read. `words` stand for [`Clue::local`].
pub(crate) fn numbers<'a>(clue: &'a Clue<'a>, words: &'a dyn Fn() -> &'a str) -> Numbers {
    let remote = Reading { codes: Codes::of(clue.remote), ..Reading::default() };
    Evidence::new(clue, words, remote).numbers()
}

impl<'a> Evidence<'a> {
    fn new(clue: &'a Clue<'a>, words: &'a dyn Fn() -> &'a str, remote: Reading) -> Self {
        let field = clue.status.and_then(first_code).unwrap_or_default();
        Evidence { clue, words, remote, local: OnceCell::new(), local_codes: OnceCell::new(), field }
    }

    fn local(&self) -> &Reading {
        self.local.get_or_init(|| Reading::of((self.words)(), false))
    }

    /// The codes of the reporting server's words, which are asked for far more often than the words.
    fn local_codes(&self) -> &Codes {
        match self.local.get() {
            Some(local) => &local.codes,
            None => self.local_codes.get_or_init(|| Codes::of((self.words)())),
        }
    }

    fn numbers(&self) -> Numbers {
        let reply = self.remote.codes.reply.as_ref().or_else(|| self.local_codes().reply.as_ref());
        let reply_code = reply.map(|(code, _)| *code);
        let status = self.best_status();
        let permanent = is_permanent(self.clue, status, reply_code);
        Numbers { status: status.map(str::to_owned), reply_code, permanent }
    }

    fn find(&self) -> Option<Finding> {
        let strong_remote = || finding(self.remote.strong.as_ref(), Source::Remote);
        let strong_local = || finding(self.local().strong.as_ref(), Source::Local).map(|found| self.no_route(found));
        if code::speaks_in_its_own_sentence(self.clue.address)
            && let Some(found) = self.own_sentence()
        {
            return Some(found);
        }
        if let Some(found) = strong_remote() {
            return Some(self.no_route(self.told_apart(found)));
        }
        let house = self.house();
        self.codes(Weight::Telling, house)
            .or_else(strong_local)
            .or_else(|| self.exit_status())
            .or_else(|| self.local_code(Weight::Telling, house))
            .or_else(|| weak(&self.remote, self.clue.remote, Source::Remote).map(|found| self.at_its_step(found)))
            .or_else(|| weak(self.local(), (self.words)(), Source::Local))
    }

    /// What codes say that say little, and what sentences mean that no phrase reads.
    fn find_vague(&self) -> Option<Finding> {
        let house = self.house();
        self.codes(Weight::Vague, house)
            .map(|found| self.at_its_step(found))
            .or_else(|| self.local_code(Weight::Vague, house))
            .or_else(|| meant(&self.remote, self.clue.remote))
    }

    /// Exim says "Unrouteable address" of its own where no router takes an address: of a domain that is not its own, the
    /// domain is unknown (routers/dnslookup.c).
    fn no_route(&self, found: Finding) -> Finding {
        let own = |host: &str| {
            let host = host.to_ascii_lowercase();
            let above = host.split_once('.').map_or(host.as_str(), |(_, above)| above);
            let domain = self.clue.address.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
            domain == host || domain == above || domain.ends_with(&format!(".{above}"))
        };
        let told_by_itself =
            self.clue.remote_mta.is_none() && self.remote.codes.reply.is_none() && self.local_codes().reply.is_none();
        match self.clue.reporting_mta {
            Some(host) if found.1 == "user-unknown/unrouteable" && told_by_itself && !own(host) => {
                (Reason::HostUnknown, "words/no-route-to-domain", found.2, found.3)
            }
            _ => found,
        }
    }

    /// The refusing server's own code is for good, whatever the queue made of it.
    fn is_for_good(&self) -> bool {
        self.remote.codes.reply.as_ref().is_some_and(|(reply, _)| *reply >= 500)
    }

    /// How a delivery program ended.
    fn exit_status(&self) -> Option<Finding> {
        let (meaning, span) = exit_status(self.clue.remote)?;
        Some((meaning.reason, meaning.rule, Source::Remote, span))
    }

    /// Whose limit or which part it was, where the words are of two that a code tells apart (RFC 3463 §3.3, §3.4, §3.7):
    /// the recipient's size limit (X.2.3) or the system's (X.3.4); the content itself (X.6.X) or what it was taken for.
    fn told_apart(&self, found: Finding) -> Finding {
        let code = self.remote.codes.status.clone().map_or(self.field, |span| &self.clue.remote[span]);
        let (reason, rule) = match (found.0, code.get(1..)) {
            (Reason::MessageTooBig, Some(".2.3")) => (Reason::ExceedLimit, "code/x.2.3"),
            (Reason::ExceedLimit, Some(".3.4")) => (Reason::MessageTooBig, "code/x.3.4"),
            (Reason::Rejected, _) if stage::is_from_host(self.clue.remote) => {
                (Reason::Blocked, "words/from-host-address")
            }
            _ => return found,
        };
        if self.remote.strong.as_ref().is_some_and(|hit| RULES[hit.rule as usize].rank == 0) {
            return found;
        }
        (reason, rule, found.2, found.3)
    }

    /// A refusal that says no more than "policy" is of the host at the greeting, and of the sender after MAIL.
    fn at_its_step(&self, found: Finding) -> Finding {
        let refused = || stage::refused_at(self.clue.remote).or_else(|| stage::refused_at((self.words)()));
        match (found.0 == Reason::PolicyViolation).then(refused).flatten() {
            Some(Reason::Blocked) => (Reason::Blocked, "stage/greeting", found.2, found.3),
            Some(reason) => (reason, "stage/mail-from", found.2, found.3),
            None => found,
        }
    }

    /// What the reporting server says of its own, before the answer that it quotes.
    fn own_sentence(&self) -> Option<Finding> {
        let quoted = self.local_codes().reply.as_ref().map_or((self.words)().len(), |(_, span)| span.start);
        finding(Reading::of(&(self.words)()[..quoted], false).strong.as_ref(), Source::Local)
    }

    /// Who wrote the codes: the refusing host, or Exchange Online, which quotes its own refusals wordless.
    fn house(&self) -> House {
        let refusing = House::of(self.clue.remote_mta.unwrap_or_default(), self.clue.remote);
        let reporting = || House::of(self.clue.reporting_mta.unwrap_or_default(), (self.words)());
        if refusing == House::Other && self.clue.remote_mta.is_none() && reporting() == House::Microsoft {
            return House::Microsoft;
        }
        refusing
    }

    /// The code in the refusing server's words, its reply code, PowerMTA's category of both, the Status field: the first
    /// that says so much.
    fn codes(&self, weight: Weight, house: House) -> Option<Finding> {
        let enough = |meaning: &Meaning| meaning.weight == weight;
        let in_words = self.remote.codes.status.clone().and_then(|span| {
            let meaning = code::read_status(&self.clue.remote[span.clone()], house).filter(enough)?;
            Some((meaning.reason, meaning.rule, Source::Remote, span))
        });
        let reply = || {
            let (reply, span) = self.remote.codes.reply.clone()?;
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
        let category = || {
            let meaning = code::read_category(self.clue.category).filter(enough)?;
            Some((meaning.reason, meaning.rule, Source::Category, 0..self.clue.category.len()))
        };
        in_words.or_else(reply).or_else(category).or_else(in_field)
    }

    /// The refusing server said no more than "denied", and no code, or another code: sendmail and its kin make 5.1.1 of any
    /// 550, and that summary kills no address.
    fn is_merely_refused(&self) -> bool {
        let own = self.remote.codes.status.clone().map(|span| &self.clue.remote[span]);
        if own.is_some_and(|own| !own.ends_with(".0.0") && own.get(1..) != self.field.get(1..)) {
            return true;
        }
        let weak = self.remote.weak.as_ref().map(|hit| &RULES[hit.rule as usize]).filter(|rule| rule.rank != HINT);
        self.remote.codes.status.is_none() && weak.is_some_and(|rule| !reason_of(rule.table).is_hard())
    }

    fn local_code(&self, weight: Weight, house: House) -> Option<Finding> {
        let span = self.local_codes().status.clone()?;
        let meaning = code::read_status(&(self.words)()[span.clone()], house)?;
        (meaning.weight == weight).then_some((meaning.reason, meaning.rule, Source::Local, span))
    }

    /// No word and no code says why.
    fn left_over(&self) -> Finding {
        let clue = self.clue;
        if clue.delayed || clue.action == Some(Action::Delayed) {
            (Reason::Expired, "action/delayed", Source::Action, 0..0)
        } else if !clue.remote.trim().is_empty() {
            let span = self.remote.codes.reply.as_ref().map_or(0..clue.remote.len(), |(_, span)| span.clone());
            (Reason::OnHold, "words/unread", Source::Remote, span)
        } else if !(self.words)().trim().is_empty() {
            (Reason::OnHold, "words/unread", Source::Local, 0..(self.words)().len())
        } else if !self.field.is_empty() && !self.field.ends_with(".0.0") {
            (Reason::OnHold, "code/says-little", Source::Status, 0..self.field.len())
        } else if clue.action == Some(Action::Failed) || clue.status.is_some() {
            (Reason::Undefined, "action/failed", Source::Action, 0..0)
        } else {
            (Reason::Undefined, "nothing", Source::Nothing, 0..0)
        }
    }

    /// The words' code before the field's where they differ in detail, unless it is bare (`5.0.0`) and the field is not.
    /// Where they differ in their class alone, the field is what became of it: an answer for now, given up in the end.
    fn best_status(&self) -> Option<&str> {
        let detailed = |code: &&str| !code.ends_with(".0.0");
        let remote = self.remote.codes.status.clone().map(|span| &self.clue.remote[span]);
        let field = Some(self.field).filter(|field| !field.is_empty());
        if let (Some(remote), Some(field)) = (remote, field)
            && remote.get(1..) == field.get(1..)
        {
            return Some(field);
        }
        let local = || self.local_codes().status.clone().map(|span| &(self.words)()[span]);
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

fn meant(reading: &Reading, text: &str) -> Option<Finding> {
    let (meaning, span) = reading.meaning.clone()?;
    let reason = reason_of(meaning.table);
    (!contradicts(reading, text, reason)).then_some((reason, meaning.id, Source::Remote, span))
}

fn weak(reading: &Reading, text: &str, source: Source) -> Option<Finding> {
    let found = finding(reading.weak.as_ref(), source).filter(|found| !contradicts(reading, text, found.0))?;
    let answer = reading.codes.reply.as_ref().map_or(text.len(), |(_, span)| span.end);
    if found.0 == Reason::PolicyViolation && names_a_host_address(&text[answer..]) {
        return Some((Reason::Blocked, "words/denied-host-address", source, found.3));
    }
    Some(found)
}

/// "Recipient address rejected" is a dead address, unless a code beside it says "for now", or speaks of something else
/// than an address: system, network, protocol, content, policy (X.3.X to X.7.X).
fn contradicts(reading: &Reading, text: &str, reason: Reason) -> bool {
    let code = reading.codes.status.clone().map(|span| &text[span]);
    let for_now = code.is_some_and(|code| code.starts_with('4'))
        || code.is_none() && reading.codes.reply.as_ref().is_some_and(|(reply, _)| *reply < 500);
    let of_else = code.is_some_and(|code| match code.as_bytes()[2] {
        b'6' | b'7' => true,
        b'3'..=b'5' => &code[3..] != ".0",
        _ => false,
    });
    reason.is_hard() && (for_now || of_else)
}

/// The class of the best status, or of the reply code, or what the action says.
fn is_permanent(clue: &Clue<'_>, status: Option<&str>, reply: Option<u16>) -> bool {
    match (status.and_then(|status| status.bytes().next()), reply) {
        (Some(class), _) => class == b'5',
        (None, Some(reply)) => reply >= 500,
        (None, None) => !clue.delayed && clue.action != Some(Action::Delayed),
    }
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
        // "(in reply to MAIL FROM command)": what the reporting server added.
        static TRAILER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("(in reply to "));
        let trailer = if hints { TRAILER.find(text.as_bytes()).unwrap_or(text.len()) } else { 0 };
        let mut codes = Codes::default();
        let concepts = Concepts::default();
        // Where the answer begins, once its reply code was passed: what stands before it leads up to it.
        let answer = Cell::new(None);
        TABLE.scan_beside(
            text,
            |hit| {
                let rule = &RULES[hit.rule as usize];
                #[cfg(test)]
                if super::held_out::is_off(rule.id) {
                    return;
                }
                if rule.rank == CONCEPT {
                    if hints && (frame..trailer).contains(&hit.start) {
                        concepts.add(hit);
                    }
                    return;
                }
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
                if token.kind == token::Kind::Stop {
                    concepts.end_sentence();
                }
                codes.read(text, token);
                if answer.get().is_none()
                    && let Some((_, span)) = &codes.reply
                {
                    answer.set(Some(span.start));
                    concepts.forget();
                }
            },
        );
        reading.strong = strong.map(|(_, hit)| hit);
        reading.weak = weak.map(|(_, hit)| hit);
        reading.meaning = concepts.meaning();
        reading.codes = codes;
        reading
    }
}

/// Where the reason begins in `<a@example.com>: Recipient address rejected: REASON`: before it stands what was refused,
/// which is no part of the reason (Postfix smtpd and those who learnt from it); likewise after `Reason: `. 0 where there
/// is no such frame.
fn frame(text: &str) -> usize {
    static FRAMES: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| ["eason: ", "rejected: "].map(Finder::new));
    let ends = FRAMES.iter().filter_map(|frame| Some(frame.find(text.as_bytes())? + frame.needle().len()));
    ends.max().unwrap_or(0)
}

/// What the concepts of a text mean.
#[cfg(test)]
pub(super) fn meaning_of(text: &str) -> Option<&'static Sense> {
    Some(Reading::of(text, true).meaning?.0)
}
