//! Words: text cut, phrases found, and the notices that a message may be.

pub mod scan;
pub mod token;

use std::ops::Range;

/// What a sentence announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A delivery failed.
    Failure,
    /// A delivery is late.
    Delay,
    /// A delivery succeeded.
    Success,
    /// An automatic reply.
    AutoReply,
    /// A challenge to prove that the sender is human.
    Challenge,
    /// A mailing list speaks.
    ListNotice,
    /// A disposition notification.
    Disposition,
}

/// An announcement that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it announces.
    pub notice: Notice,
    /// Id of the rule.
    pub rule: &'static str,
    /// The words.
    pub span: Range<usize>,
}

const WORDS: &[(&str, Notice)] = &[
    ("undeliver", Notice::Failure),
    ("failure notice", Notice::Failure),
    ("delivery status notification (failure)", Notice::Failure),
    ("delivery fail", Notice::Failure),
    ("returned mail", Notice::Failure),
    ("could not be delivered", Notice::Failure),
    ("wasn't able to deliver", Notice::Failure),
    ("unable to deliver", Notice::Failure),
    ("has been delayed", Notice::Delay),
    ("delayed", Notice::Delay),
    ("automatic reply", Notice::AutoReply),
    ("out of office", Notice::AutoReply),
    ("out of the office", Notice::AutoReply),
];

fn all(text: &str) -> Vec<Found> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<_> = WORDS
        .iter()
        .filter_map(|(w, notice)| {
            lower.find(w).map(|at| Found { notice: *notice, rule: "stand-in", span: at..at + w.len() })
        })
        .collect();
    found.sort_by_key(|f| f.span.start);
    found
}

/// What a subject announces.
pub fn in_subject(subject: &str) -> Option<Found> {
    all(subject).into_iter().next()
}

/// What the sentences of a text announce, in order.
pub fn in_body(text: &str) -> Vec<Found> {
    all(text)
}
