//! The tables of `rules/` as laid out by the build script.

use super::Reason;
use crate::words::scan::{Automaton, Edge, Group, Letter, Special};

/// A rule, as far as the reader needs it.
#[derive(Debug)]
pub(super) struct Rule {
    /// `TABLE/ID`.
    pub id: &'static str,
    /// Place of its table in `rules/order`.
    pub table: u8,
    /// 0 decisive, 1 plain, 2 weak, 3 a hint, 4 a bare refusal, 5 a concept.
    pub rank: u8,
}

/// Concepts that together give a reason.
#[derive(Debug)]
pub(super) struct Sense {
    /// `meaning/ID`.
    pub id: &'static str,
    /// Place of its reason in `rules/order`.
    pub table: u8,
    /// Bits of the concepts that must be there.
    pub all: u64,
    /// Bits of those that must not.
    pub none: u64,
}

/// The bit of a concept, by its number among the rules.
pub(super) fn concept_bit(rule: u16) -> u64 {
    1 << rule.saturating_sub(CONCEPTS_FROM)
}

/// The rest of a rule, for the tests.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Shown {
    pub language: &'static str,
    pub source: &'static str,
    pub examples: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));

/// The reason that a table is about.
pub(super) fn reason_of(table: u8) -> Reason {
    let name = NAMES[table as usize];
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == name).unwrap_or(Reason::OnHold)
}

#[cfg(test)]
pub(super) fn shown(rule: usize) -> &'static Shown {
    &SHOWN[rule]
}
