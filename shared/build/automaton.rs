//! From rules to the static arrays that `src/report/words/scan.rs` walks.

use crate::tables::{Rule, Tables};
use crate::token::{self, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// One step of a phrase: any of these words, at most `gap` words after the one before.
type Step = (u16, u8);
/// Words as a phrase of one alternative.
type Words = Vec<String>;

const DEFAULT_GAP: u8 = 3;
const START: &str = "^";
const END: &str = "$";
const ADDRESS: &str = "@";
const NEGATIONS: &[&str] =
    &["not", "no", "non", "ne", "nicht", "kein", "niet", "nie", "nao", "не", "inte", "ikke", "ei"];

/// The numbers of items, and the words behind them.
#[derive(Default)]
struct Items {
    numbers: BTreeMap<Vec<String>, u16>,
}

impl Items {
    /// The number of "one of these words"; a word may end in `*`.
    fn number(&mut self, mut words: Vec<String>) -> u16 {
        words.sort();
        words.dedup();
        let next = self.numbers.len() as u16;
        *self.numbers.entry(words).or_insert(next)
    }
}

#[derive(Default)]
struct Tree {
    children: Vec<BTreeMap<Step, usize>>,
    accepts: Vec<BTreeSet<u16>>,
}

impl Tree {
    fn grow(&mut self) -> usize {
        self.children.push(BTreeMap::new());
        self.accepts.push(BTreeSet::new());
        self.children.len() - 1
    }

    fn insert(&mut self, steps: &[Step], rule: u16) {
        let mut node = 0;
        for &step in steps {
            node = match self.children[node].get(&step) {
                Some(&next) => next,
                None => {
                    let next = self.grow();
                    self.children[node].insert(step, next);
                    next
                }
            };
        }
        self.accepts[node].insert(rule);
    }
}

pub fn compile(tables: &Tables) -> Result<String, String> {
    let silent: BTreeSet<String> = tables.sets.get("silent").into_iter().flatten().flat_map(|word| cut(word)).collect();
    let mut items = Items::default();
    let specials = [START, END, ADDRESS].map(|name| items.number(vec![name.to_owned()]));
    let mut tree = Tree::default();
    tree.grow();
    for (index, rule) in tables.rules.iter().enumerate() {
        for pattern in &rule.patterns {
            let mut phrase = Phrase { tables, silent: &silent, items: &mut items, depth: 0 };
            let paths = phrase.expand(pattern).map_err(|error| format!("{}: {pattern}: {error}", rule.id))?;
            for steps in paths {
                if steps.is_empty() {
                    return Err(format!("{}: {pattern}: says nothing", rule.id));
                }
                tree.insert(&steps, index as u16);
            }
        }
    }
    emit(tables, &items, &silent, &tree, specials)
}

/// Words of a text, folded as the reader folds them.
fn cut(text: &str) -> Words {
    let mut words = Vec::new();
    token::cut(text, |token| match token.kind {
        Kind::Stop => {}
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

struct Phrase<'a> {
    tables: &'a Tables,
    silent: &'a BTreeSet<String>,
    items: &'a mut Items,
    depth: usize,
}

impl Phrase<'_> {
    /// Every path that a pattern stands for.
    fn expand(&mut self, pattern: &str) -> Result<Vec<Vec<Step>>, String> {
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

/// The words of all items as a trie, then as a double array.
#[derive(Default)]
struct Trie {
    children: Vec<BTreeMap<u8, usize>>,
    exact: Vec<BTreeSet<u16>>,
    stem: Vec<BTreeSet<u16>>,
}

impl Trie {
    fn new() -> Self {
        Trie { children: vec![BTreeMap::new()], exact: vec![BTreeSet::new()], stem: vec![BTreeSet::new()] }
    }

    fn place(&mut self, word: &str) -> usize {
        let mut node = 0;
        for byte in word.bytes() {
            node = match self.children[node].get(&byte) {
                Some(&next) => next,
                None => {
                    self.children.push(BTreeMap::new());
                    self.exact.push(BTreeSet::new());
                    self.stem.push(BTreeSet::new());
                    let next = self.children.len() - 1;
                    self.children[node].insert(byte, next);
                    next
                }
            };
        }
        node
    }

    /// Stems hold for all that is below them.
    fn inherit(&mut self) {
        let mut open = vec![0];
        while let Some(node) = open.pop() {
            let stem = self.stem[node].clone();
            self.exact[node].extend(stem.iter().copied());
            let below: Vec<usize> = self.children[node].values().copied().collect();
            for child in below {
                self.stem[child].extend(stem.iter().copied());
                open.push(child);
            }
        }
    }

    /// `(base, check)` for each slot, and the trie node that lives in it; `check` is the parent's slot plus one.
    fn lay_out(&self) -> (Vec<(u32, u32)>, Vec<Option<usize>>) {
        let mut slots = vec![(0u32, 0u32)];
        let mut owner = vec![Some(0)];
        let mut open = std::collections::VecDeque::from([(0usize, 0usize)]);
        let mut first_free = 1;
        while let Some((node, slot)) = open.pop_front() {
            let bytes: Vec<usize> = self.children[node].keys().map(|&byte| byte as usize).collect();
            let Some(&lowest) = bytes.first() else { continue };
            while owner.get(first_free).is_some_and(Option::is_some) {
                first_free += 1;
            }
            let free = |owner: &[Option<usize>], at: usize| owner.get(at).is_none_or(Option::is_none);
            let mut base = first_free.saturating_sub(lowest).max(1);
            while !bytes.iter().all(|byte| free(&owner, base + byte)) {
                base += 1;
            }
            slots[slot].0 = base as u32;
            for (&byte, &child) in &self.children[node] {
                let at = base + byte as usize;
                if owner.len() <= at {
                    owner.resize(at + 1, None);
                    slots.resize(at + 1, (0, 0));
                }
                owner[at] = Some(child);
                slots[at].1 = slot as u32 + 1;
                open.push_back((child, at));
            }
        }
        (slots, owner)
    }
}

/// Classes of words: those that satisfy the same items. The class of the unknown is 0, that of silent words 1.
struct Sets {
    numbers: BTreeMap<BTreeSet<u16>, u16>,
    list: Vec<BTreeSet<u16>>,
}

impl Sets {
    fn number(&mut self, set: &BTreeSet<u16>) -> u16 {
        if let Some(&number) = self.numbers.get(set) {
            return number;
        }
        self.list.push(set.clone());
        let number = (self.list.len() - 1) as u16;
        self.numbers.insert(set.clone(), number);
        number
    }
}

const SILENT: u16 = u16::MAX;

fn emit(
    tables: &Tables,
    items: &Items,
    silent: &BTreeSet<String>,
    tree: &Tree,
    specials: [u16; 3],
) -> Result<String, String> {
    let mut trie = Trie::new();
    for (words, &item) in &items.numbers {
        for word in words {
            match word.strip_suffix('*') {
                Some(stem) => {
                    let node = trie.place(stem);
                    trie.stem[node].insert(item);
                }
                None => {
                    let node = trie.place(word);
                    trie.exact[node].insert(item);
                }
            }
        }
    }
    for word in silent {
        let node = trie.place(word);
        trie.exact[node] = BTreeSet::from([SILENT]);
    }
    trie.inherit();
    let mut sets = Sets { numbers: BTreeMap::new(), list: Vec::new() };
    sets.number(&BTreeSet::new());
    sets.number(&BTreeSet::from([SILENT]));
    let (slots, owner) = trie.lay_out();
    let sets_at: Vec<(u16, u16)> = owner
        .iter()
        .map(|owner| owner.map_or((0, 0), |node| (sets.number(&trie.exact[node]), sets.number(&trie.stem[node]))))
        .collect();
    let (not, address) = (trie.place("not"), trie.place(ADDRESS));
    let (not, address) = (sets.number(&trie.exact[not]), sets.number(&trie.exact[address]));
    let edges_of_text = specials[..2].iter().map(|&item| sets.number(&BTreeSet::from([item]))).collect::<Vec<_>>();
    let groups = Groups::gather(tree, &sets);
    let mut text = String::new();
    if slots.len() > usize::from(u16::MAX) {
        return Err(format!("{} slots are too many", slots.len()));
    }
    let letters: Vec<_> = slots.iter().zip(&sets_at).collect();
    write_array(&mut text, "TRIE", "Letter", &letters, |((base, check), (ends, goes_on))| {
        format!("Letter {{ base: {base}, check: {check}, ends: {ends}, goes_on: {goes_on} }}")
    });
    write_groups(&mut text, tree, &groups, sets.list.len())?;
    write_rules(&mut text, tables);
    let (start, end) = (edges_of_text[0], edges_of_text[1]);
    let _ = writeln!(
        text,
        "pub(super) static TABLE: Automaton = Automaton {{ trie: &TRIE, roots: &ROOTS, \
         groups: &GROUPS, edges: &EDGES, accepts: &ACCEPTS, \
         special: Special {{ start: {start}, end: {end}, address: {address}, not: {not} }} }};"
    );
    Ok(text)
}

/// Sets of nodes of the tree that are reached together, so that the reader follows one place instead of many: "user"
/// begins a hundred phrases, and all of them wait in one group for the next word.
struct Groups {
    nodes: Vec<Vec<usize>>,
    /// For each group: class of the next word, words that may stand before it, group it leads to.
    edges: Vec<Vec<(u16, u8, usize)>>,
}

impl Groups {
    fn gather(tree: &Tree, sets: &Sets) -> Self {
        let mut classes: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for (class, set) in sets.list.iter().enumerate() {
            for &item in set {
                classes.entry(item).or_default().push(class as u16);
            }
        }
        let mut numbers = BTreeMap::from([(vec![0], 0)]);
        let mut groups = Groups { nodes: vec![vec![0]], edges: Vec::new() };
        while groups.edges.len() < groups.nodes.len() {
            let mut reached: BTreeMap<(u16, u8), BTreeSet<usize>> = BTreeMap::new();
            for &node in &groups.nodes[groups.edges.len()] {
                for (&(item, gap), &to) in &tree.children[node] {
                    for &class in classes.get(&item).into_iter().flatten() {
                        reached.entry((class, gap)).or_default().insert(to);
                    }
                }
            }
            let mut edges = Vec::new();
            for ((class, gap), nodes) in reached {
                let nodes: Vec<usize> = nodes.into_iter().collect();
                let next = groups.nodes.len();
                let to = *numbers.entry(nodes.clone()).or_insert(next);
                if to == next {
                    groups.nodes.push(nodes);
                }
                edges.push((class, gap, to));
            }
            groups.edges.push(edges);
        }
        groups
    }
}

fn write_array<T>(text: &mut String, name: &str, kind: &str, values: &[T], show: impl Fn(&T) -> String) {
    let _ = write!(text, "static {name}: [{kind}; {}] = [", values.len());
    for value in values {
        let _ = write!(text, "{},", show(value));
    }
    text.push_str("];\n");
}

fn write_groups(text: &mut String, tree: &Tree, groups: &Groups, classes: usize) -> Result<(), String> {
    if groups.nodes.len() > usize::from(u16::MAX) {
        return Err(format!("{} groups are too many", groups.nodes.len()));
    }
    let mut roots = vec![0usize; classes];
    for &(class, _, to) in &groups.edges[0] {
        roots[class as usize] = to;
    }
    let (mut list, mut edges, mut accepts) = (Vec::new(), Vec::new(), Vec::new());
    for (group, nodes) in groups.nodes.iter().enumerate() {
        let gap = groups.edges[group].iter().map(|&(_, gap, _)| gap).max().unwrap_or(0);
        list.push((edges.len(), accepts.len(), gap));
        if group > 0 {
            edges.extend_from_slice(&groups.edges[group]);
        }
        let rules: BTreeSet<u16> = nodes.iter().flat_map(|&node| tree.accepts[node].iter().copied()).collect();
        accepts.extend(rules);
    }
    list.push((edges.len(), accepts.len(), 0));
    write_array(text, "ROOTS", "u16", &roots, usize::to_string);
    write_array(text, "GROUPS", "Group", &list, |(edges, accepts, gap)| {
        format!("Group {{ edges: {edges}, accepts: {accepts}, gap: {gap} }}")
    });
    write_array(text, "EDGES", "Edge", &edges, |(class, gap, to)| {
        format!("Edge {{ class: {class}, gap: {gap}, to: {to} }}")
    });
    write_array(text, "ACCEPTS", "u16", &accepts, u16::to_string);
    Ok(())
}

fn write_rules(text: &mut String, tables: &Tables) {
    write_array(text, "NAMES", "&str", &tables.order, |name| format!("{name:?}"));
    let ranked = tables.rules.iter().any(|rule| rule.rank != 1);
    let place = |rule: &Rule| tables.order.iter().position(|name| *name == rule.table).unwrap_or(0);
    text.push_str("pub(super) ");
    write_array(text, "RULES", "Rule", &tables.rules, |rule| {
        let id = if rule.language == "en" { rule.id.clone() } else { format!("{}-{}", rule.id, rule.language) };
        let id = format!("{}/{id}", rule.table);
        let rank = if ranked { format!(", rank: {}", rule.rank) } else { String::new() };
        format!("Rule {{ id: {id:?}, table: {}{rank} }}", place(rule))
    });
    text.push_str("#[cfg(test)]\n");
    write_array(text, "SHOWN", "Shown", &tables.rules, |rule| {
        format!("Shown {{ language: {:?}, source: {:?}, examples: &{:?} }}", rule.language, rule.source, rule.examples)
    });
}
