//! The tables of `rules/` as laid out by the build script.

use super::scan::{Automaton, Edge, Group, Letter, Special};
use super::{Notice, Place};

/// A rule, as far as the reader needs it.
#[derive(Debug)]
pub(super) struct Rule {
    /// `TABLE/ID-LANGUAGE`.
    pub id: &'static str,
    /// Place of its table in `rules/order`.
    pub table: u8,
}

/// The rest of a rule, for the tests.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Shown {
    pub language: &'static str,
    pub source: &'static str,
    pub examples: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/notices.rs"));

/// What a table is about, by its name.
pub(super) fn place_and_notice(table: u8) -> (Place, Notice) {
    let name = NAMES[table as usize];
    let (place, notice) = match name.strip_prefix("subject-") {
        Some(notice) => (Place::Subject, notice),
        None => (Place::Body, name.strip_prefix("body-").unwrap_or(name)),
    };
    let notice = match notice {
        "delay" => Notice::Delay,
        "success" => Notice::Success,
        "auto-reply" => Notice::AutoReply,
        "challenge" => Notice::Challenge,
        "list-notice" => Notice::ListNotice,
        "disposition" => Notice::Disposition,
        _ => Notice::Failure,
    };
    (place, notice)
}

#[cfg(test)]
pub(super) fn shown(rule: usize) -> &'static Shown {
    &SHOWN[rule]
}
