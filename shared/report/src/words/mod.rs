//! Words: text cut, phrases found, and the notices that a message may be.
//!
//! The tables stand in `rules/`, one for each place (subject, body) and notice, written as [`crate::reason`]
//! explains. They name what a text *announces*; whether the message is that, its structure decides: a subject alone
//! proves nothing, and people write to each other about bounces.

pub mod scan;
mod tables;
pub mod token;

#[cfg(test)]
mod tests;

use tables::{RULES, TABLE, place_and_notice};

/// What a message announces itself to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A delivery failed.
    Failure,
    /// A delivery is late.
    Delay,
    /// A delivery, relay or expansion succeeded.
    Success,
    /// An automatic reply: an absence, a ticket opened.
    AutoReply,
    /// The sender is asked to prove that a person wrote.
    Challenge,
    /// A mailing-list manager speaks.
    ListNotice,
    /// Something became of the message after delivery: read, deleted (RFC 8098).
    Disposition,
}

/// A notice, the rule that read it, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What is announced.
    pub notice: Notice,
    /// Id of the rule, such as `subject-delay/delay-fr`.
    pub rule: &'static str,
    /// The words, in bytes of the text.
    pub span: std::ops::Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Subject,
    Body,
}

/// What a decoded subject announces. `None` for a reply or a forward ("Re: Undeliverable: …"): that is a person's, and
/// speaks of the notice at most.
pub fn in_subject(subject: &str) -> Option<Found> {
    if is_answer(subject) {
        return None;
    }
    let mut best: Option<(u8, usize, Found)> = None;
    TABLE.scan(subject, |hit| {
        let rule = &RULES[hit.rule as usize];
        let (place, notice) = place_and_notice(rule.table);
        let better = best.as_ref().is_none_or(|(table, start, _)| (rule.table, hit.start) < (*table, *start));
        if place == Place::Subject && better {
            let found = Found { notice, rule: rule.id, span: hit.start..hit.end };
            best = Some((rule.table, hit.start, found));
        }
    });
    best.map(|(_, _, found)| found)
}

/// Sentences that announce what a message is, each rule once, in the order in which they stand.
pub fn in_body(text: &str) -> Vec<Found> {
    let mut first: Vec<scan::Hit> = Vec::new();
    TABLE.scan(text, |hit| {
        if !first.iter().any(|held| held.rule == hit.rule) {
            first.push(hit);
        }
    });
    let named = first.into_iter().filter_map(|hit| {
        let rule = &RULES[hit.rule as usize];
        let (place, notice) = place_and_notice(rule.table);
        (place == Place::Body).then_some(Found { notice, rule: rule.id, span: hit.start..hit.end })
    });
    let mut all: Vec<Found> = named.collect();
    all.sort_by_key(|found| found.span.start);
    all
}

/// Prefixes that mail programs put before the subject of a reply or a forward.
const ANSWERS: &[&str] = &[
    "re",
    "aw",
    "sv",
    "vs",
    "rv",
    "odp",
    "ynt",
    "antw",
    "ref",
    "rif",
    "res",
    "tr",
    "wg",
    "fwd",
    "fw",
    "vb",
    "enc",
    "i",
    "r",
    "doorst",
    "pd",
    "ilt",
    "atb",
    "vl",
    "yml",
    "fs",
    "回复",
    "答复",
    "回覆",
    "转发",
    "轉寄",
    "轉發",
    "返信",
    "転送",
    "회신",
    "전달",
    "отв",
    "на",
    "пересл",
    "antwort",
    "reply",
    "forward",
];

/// Whether a subject begins as that of a reply or a forward does: `Re:`, `AW:`, `RE[2]:`, `回复：`.
pub fn is_answer(subject: &str) -> bool {
    let subject = subject.trim_start();
    let Some((head, _)) = subject.split_once([':', '：']) else { return false };
    if head.len() > 24 {
        return false;
    }
    let head = head.trim_end_matches(|character: char| {
        character.is_ascii_digit() || matches!(character, '[' | ']' | '(' | ')' | '^' | ' ')
    });
    let head = head.to_lowercase();
    ANSWERS.contains(&head.as_str())
}
