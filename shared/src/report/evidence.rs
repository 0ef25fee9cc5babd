//! Words, and where they stand in the message.

use super::reason::{self, Clue, Source, Verdict};
use super::text;
use super::types::Evidence;
use crate::limits;
use std::borrow::Cow;

/// A stretch of the message that was read: as it stands there, and unfolded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passage<'t> {
    /// IMAP part number, or `header`.
    pub part: String,
    /// Where `raw` begins in the message, or in its decoded part.
    pub base: usize,
    pub raw: Cow<'t, str>,
    pub text: Cow<'t, str>,
}

impl<'t> Passage<'t> {
    /// A passage of `raw`, which begins at `base`.
    pub fn new(part: String, base: usize, raw: Cow<'t, str>) -> Self {
        let text = match &raw {
            Cow::Borrowed(raw) => text::squeeze(Cow::Borrowed(raw)),
            Cow::Owned(raw) => Cow::Owned(text::squeeze(Cow::Borrowed(raw)).into_owned()),
        };
        Passage { part, base, raw, text }
    }

    /// The words at `span` of the unfolded text.
    pub fn evidence(&self, rule: &str, span: std::ops::Range<usize>) -> Evidence {
        let words = self.text.get(span.clone()).unwrap_or_default();
        let start = text::unsqueezed(&self.raw, span.start);
        let end = text::unsqueezed(&self.raw, span.end).max(start);
        Evidence {
            rule: rule.to_owned(),
            part: self.part.clone(),
            start: self.base + start,
            end: self.base + end,
            text: text::bounded(words, limits::EVIDENCE_CHARS),
        }
    }
}

/// Where a verdict's words may stand: one passage for each text of a clue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness<'t> {
    pub remote: Option<Passage<'t>>,
    pub local: Option<Passage<'t>>,
    pub status: Option<Passage<'t>>,
    pub category: Option<Passage<'t>>,
    /// What names the recipient: evidence where nothing says why.
    pub named: Option<Passage<'t>>,
}

impl<'t> Witness<'t> {
    /// Weighs what the witness says, with the other circumstances of `clue`.
    pub fn weigh<'w>(&'w self, clue: &Clue<'w>) -> (Verdict, Evidence) {
        let text = |p: &'w Option<Passage<'t>>| p.as_ref().map_or("", |p| &*p.text);
        let verdict = reason::weigh(&Clue {
            remote: text(&self.remote),
            local: text(&self.local),
            category: text(&self.category),
            ..*clue
        });
        let passage = match verdict.source {
            Source::Remote => &self.remote,
            Source::Local => &self.local,
            Source::Status => &self.status,
            Source::Category => &self.category,
            Source::Action | Source::Nothing => &self.named,
        };
        let whole = matches!(verdict.source, Source::Action | Source::Nothing);
        let evidence = match passage {
            Some(p) => p.evidence(verdict.rule, if whole { 0..p.text.len() } else { verdict.span.clone() }),
            None => Evidence { rule: verdict.rule.to_owned(), ..Evidence::default() },
        };
        (verdict, evidence)
    }
}
