//! What a sentence means that no phrase reads: the concepts in it, in whatever order they stand (`rules/concepts`), and
//! the reason that they give together (`rules/meanings`).

use super::tables::{MEANINGS, Sense, concept_bit};
use crate::words::scan::Hit;
use std::cell::Cell;
use std::ops::Range;

/// Concepts on the way through a text, sentence by sentence.
#[derive(Debug, Default)]
pub(super) struct Concepts {
    held: Cell<u64>,
    from: Cell<usize>,
    to: Cell<usize>,
    /// The best meaning of any sentence so far, by its place in the table, and its words.
    best: Cell<Option<(usize, usize, usize)>>,
}

impl Concepts {
    /// A concept was read.
    pub fn add(&self, hit: Hit) {
        if self.held.get() == 0 {
            self.from.set(hit.start);
        }
        self.from.set(self.from.get().min(hit.start));
        self.to.set(hit.end);
        self.held.set(self.held.get() | concept_bit(hit.rule));
    }

    /// What was read up to here is no part of the answer.
    pub fn forget(&self) {
        self.held.set(0);
        self.best.set(None);
    }

    /// The sentence is over.
    pub fn end_sentence(&self) {
        let held = self.held.replace(0);
        if held == 0 {
            return;
        }
        let fits = |meaning: &Sense| held & meaning.all == meaning.all && held & meaning.none == 0;
        if let Some(place) = MEANINGS.iter().position(fits)
            && self.best.get().is_none_or(|(best, _, _)| place < best)
        {
            self.best.set(Some((place, self.from.get(), self.to.get())));
        }
    }

    /// What the text means.
    pub fn meaning(&self) -> Option<(&'static Sense, Range<usize>)> {
        self.end_sentence();
        self.best.get().map(|(place, from, to)| (&MEANINGS[place], from..to))
    }
}
