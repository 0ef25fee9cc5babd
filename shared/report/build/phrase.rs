//! From a phrase as written to the rows of items that it stands for.

use crate::tables::Tables;
use crate::token::{self, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// One step of a phrase: any of these words, at most `gap` words after the one before.
pub type Step = (u16, u8);
/// Words as a phrase of one alternative.
pub type Words = Vec<String>;

const DEFAULT_GAP: u8 = 3;
pub const START: &str = "^";
pub const END: &str = "$";
pub const ADDRESS: &str = "@";
pub const COLON: &str = ":";
const NEGATIONS: &[&str] =
    &["not", "no", "non", "ne", "nicht", "kein", "niet", "nie", "nao", "не", "inte", "ikke", "ei"];

/// The numbers of items, and the words behind them.
#[derive(Default)]
pub struct Items {
    pub numbers: BTreeMap<Vec<String>, u16>,
}

impl Items {
    /// The number of "one of these words"; a word may end in `*`.
    pub fn number(&mut self, mut words: Vec<String>) -> u16 {
        words.sort();
        words.dedup();
        let next = self.numbers.len() as u16;
        *self.numbers.entry(words).or_insert(next)
    }
}

/// Words of a text, folded as the reader folds them.
pub fn cut(text: &str) -> Words {
    let mut words = Vec::new();
    token::cut(text, |token| match token.kind {
        Kind::Stop => {}
        Kind::Colon => words.push(COLON.to_owned()),
        Kind::Not => words.push("not".to_owned()),
        Kind::Address => words.push(ADDRESS.to_owned()),
        _ => {
            let mut word = String::new();
            text[token.start..token.end]
                .chars()
                .for_each(|character| token::fold(character, |folded| word.push(folded)));
            words.push(word);
        }
    });
    words
}

pub struct Phrase<'a> {
    pub tables: &'a Tables,
    pub silent: &'a BTreeSet<String>,
    pub items: &'a mut Items,
    pub depth: usize,
}

impl Phrase<'_> {
    /// Every path that a pattern stands for.
    pub fn expand(&mut self, pattern: &str) -> Result<Vec<Vec<Step>>, String> {
        let mut paths: Vec<Vec<Step>> = vec![Vec::new()];
        let mut gap = 0;
        for piece in pieces(pattern)? {
            if let Some(number) = piece.strip_prefix("..") {
                gap = if number.is_empty() { DEFAULT_GAP } else { number.parse().map_err(|_| "bad gap")? };
                continue;
            }
            let (piece, optional) = match piece.strip_suffix('?') {
                Some(bare) if bare.len() > 1 => (bare, true),
                _ => (piece.as_str(), false),
            };
            let tails = self.alternatives(piece)?;
            if tails.is_empty() {
                continue;
            }
            let mut grown = if optional { paths.clone() } else { Vec::new() };
            for path in &paths {
                for tail in &tails {
                    let mut longer = path.clone();
                    for (index, &item) in tail.iter().enumerate() {
                        longer.push((item, if index == 0 && !path.is_empty() { gap } else { 0 }));
                    }
                    grown.push(longer);
                }
            }
            paths = grown;
            if paths.len() > 4_000 {
                return Err("too many alternatives".to_owned());
            }
            gap = 0;
        }
        Ok(paths)
    }

    /// Items of one piece: single words become one item, longer alternatives a path each.
    fn alternatives(&mut self, piece: &str) -> Result<Vec<Vec<u16>>, String> {
        if piece == START || piece == END {
            return Ok(vec![vec![self.items.number(vec![piece.to_owned()])]]);
        }
        let mut singles = Vec::new();
        let mut paths = Vec::new();
        for words in self.spell(piece)? {
            match words.len() {
                0 => {}
                1 => singles.extend(words),
                _ => paths.push(words.into_iter().map(|word| self.items.number(vec![word])).collect()),
            }
        }
        if !singles.is_empty() {
            paths.push(vec![self.items.number(singles)]);
        }
        Ok(paths)
    }

    /// The alternatives of a piece as words: `{set}`, `(a|b c)`, or plain words.
    fn spell(&mut self, piece: &str) -> Result<Vec<Words>, String> {
        if let Some(name) = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let alternatives = self.tables.sets.get(name).ok_or(format!("no set {name}"))?;
            self.depth += 1;
            if self.depth > 5 {
                return Err(format!("set {name} holds itself"));
            }
            let mut all = Vec::new();
            for alternative in alternatives {
                all.extend(self.spell(alternative)?);
            }
            self.depth -= 1;
            return Ok(all);
        }
        if let Some(inner) = piece.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            let mut all = Vec::new();
            for alternative in inner.split('|') {
                let spelt = self.spell(alternative.trim())?;
                // "not been" is nothing but "not", as "been" is silent: it would say far more than its writer meant.
                let shrunk = alternative.split_whitespace().count() > 1 && spelt.iter().any(|words| words.len() <= 1);
                if shrunk && spelt.iter().any(|words| words.iter().all(|word| NEGATIONS.contains(&word.as_str()))) {
                    return Err(format!("'{alternative}' shrinks to a negation"));
                }
                all.extend(spelt);
            }
            return Ok(all);
        }
        let mut all: Vec<Words> = vec![Vec::new()];
        for word in piece.split_whitespace() {
            let tails = if word.starts_with('{') { self.spell(word)? } else { vec![self.say(word)] };
            all = all.iter().flat_map(|head| tails.iter().map(move |tail| [&head[..], &tail[..]].concat())).collect();
        }
        Ok(all)
    }

    /// One written word as the reader cuts it, without what says nothing.
    fn say(&self, word: &str) -> Words {
        let mut words = match word.strip_suffix('*') {
            Some(stem) => {
                let mut words = cut(stem);
                if let Some(last) = words.last_mut() {
                    last.push('*');
                }
                words
            }
            None if word == ADDRESS => vec![ADDRESS.to_owned()],
            None => cut(word),
        };
        words.retain(|word| !self.silent.contains(word));
        words
    }
}

/// A pattern cut at its blanks, with `(…)` and `{…}` kept whole.
fn pieces(pattern: &str) -> Result<Vec<String>, String> {
    let mut pieces = vec![String::new()];
    let mut open = 0i32;
    for character in pattern.chars() {
        open += i32::from(matches!(character, '(' | '{')) - i32::from(matches!(character, ')' | '}'));
        match (character, pieces.last_mut()) {
            (' ', Some(last)) if open == 0 && last.is_empty() => {}
            (' ', Some(_)) if open == 0 => pieces.push(String::new()),
            (_, Some(last)) => last.push(character),
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    if open == 0 { Ok(pieces) } else { Err("unbalanced brackets".to_owned()) }
}
