//! Words, and where they stand in the message.

use super::reason::{self, Clue, Numbers, Source, Verdict};
use super::text;
use super::types::Evidence;
use crate::limits;
use std::borrow::Cow;
use std::cell::OnceCell;

/// A stretch of the message that was read: as it stands there, and unfolded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passage<'t> {
    /// IMAP part number, or `header`.
    pub part: String,
    /// Where `raw` begins in the message, or in its decoded part.
    pub base: usize,
    pub raw: Cow<'t, str>,
    unfolded: OnceCell<Cow<'t, str>>,
}

impl<'t> Passage<'t> {
    /// A passage of `raw`, which begins at `base`.
    pub fn new(part: String, base: usize, raw: Cow<'t, str>) -> Self {
        Passage { part, base, raw, unfolded: OnceCell::new() }
    }

    /// The words unfolded, and freed of a queue's escapes.
    pub fn text(&self) -> &str {
        self.unfolded.get_or_init(|| {
            let squeezed = match &self.raw {
                Cow::Borrowed(raw) => text::squeeze(Cow::Borrowed(raw)),
                Cow::Owned(raw) => Cow::Owned(text::squeeze(Cow::Borrowed(raw)).into_owned()),
            };
            text::unescaped(&squeezed).map_or(squeezed, Cow::Owned)
        })
    }

    /// All words as evidence.
    pub fn whole(&self, rule: &str) -> Evidence {
        self.evidence(rule, 0..self.text().len())
    }

    /// The words at `span` of the unfolded text.
    pub fn evidence(&self, rule: &str, span: std::ops::Range<usize>) -> Evidence {
        if text::has_escapes(&self.raw) {
            let squeezed = text::squeeze(Cow::Borrowed(&self.raw));
            let span = text::escaped_at(&squeezed, span.start)..text::escaped_at(&squeezed, span.end);
            return self.cut(rule, squeezed.get(span.clone()).unwrap_or_default(), span);
        }
        self.cut(rule, self.text().get(span.clone()).unwrap_or_default(), span)
    }

    fn cut(&self, rule: &str, words: &str, span: std::ops::Range<usize>) -> Evidence {
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
    /// What the witness says, with the other circumstances of `clue`; but for the local words.
    fn clue<'w>(&'w self, clue: &Clue<'w>) -> Clue<'w> {
        let text = |p: &'w Option<Passage<'t>>| p.as_ref().map_or("", Passage::text);
        Clue { remote: text(&self.remote), category: text(&self.category), ..*clue }
    }

    fn local_words(&self) -> &str {
        self.local.as_ref().map_or("", Passage::text)
    }

    /// The codes that the witness tells.
    pub fn numbers<'w>(&'w self, clue: &Clue<'w>) -> Numbers {
        reason::numbers(&self.clue(clue), &|| self.local_words())
    }

    /// Weighs what the witness says, with the other circumstances of `clue`.
    pub fn weigh<'w>(&'w self, clue: &Clue<'w>) -> (Verdict, Evidence) {
        let verdict = reason::weigh_lazily(&self.clue(clue), &|| self.local_words());
        let passage = match verdict.source {
            Source::Remote => &self.remote,
            Source::Local => &self.local,
            Source::Status => &self.status,
            Source::Category => &self.category,
            Source::Action | Source::Nothing => &self.named,
        };
        let whole = matches!(verdict.source, Source::Action | Source::Nothing);
        let evidence = match passage {
            Some(p) if whole => p.whole(verdict.rule),
            Some(p) => p.evidence(verdict.rule, verdict.span.clone()),
            None => Evidence { rule: verdict.rule.to_owned(), ..Evidence::default() },
        };
        (verdict, evidence)
    }
}
