//! From rules to the static arrays that `src/words/scan.rs` walks.

use crate::phrase::{ADDRESS, COLON, END, Items, Phrase, START, Step, cut};
use crate::tables::{Rule, Tables};
use crate::trie::Trie;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

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
    let (not, address, colon) = (trie.place("not"), trie.place(ADDRESS), trie.place(COLON));
    let number = |sets: &mut Sets, node: usize| sets.number(&trie.exact[node]);
    let (not, address, colon) = (number(&mut sets, not), number(&mut sets, address), number(&mut sets, colon));
    let edges_of_text = specials[..2].iter().map(|&item| sets.number(&BTreeSet::from([item]))).collect::<Vec<_>>();
    let mut groups = Groups::gather(tree, &sets);
    groups.merge_ends(tree);
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
         special: Special {{ start: {start}, end: {end}, address: {address}, not: {not}, colon: {colon} }} }};"
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

    /// Makes one of all groups that end the same rules and lead nowhere: half of them, which nothing ever waits in.
    fn merge_ends(&mut self, tree: &Tree) {
        let mut kept: BTreeMap<BTreeSet<u16>, usize> = BTreeMap::new();
        let mut place = Vec::with_capacity(self.nodes.len());
        let (mut nodes, mut edges) = (Vec::new(), Vec::new());
        for (group, (of, out)) in self.nodes.drain(..).zip(self.edges.drain(..)).enumerate() {
            let next = nodes.len();
            let at = match group > 0 && out.is_empty() {
                true => *kept.entry(rules_at(tree, &of)).or_insert(next),
                false => next,
            };
            if at == next {
                nodes.push(of);
                edges.push(out);
            }
            place.push(at);
        }
        edges.iter_mut().flatten().for_each(|(_, _, to): &mut (u16, u8, usize)| *to = place[*to]);
        (self.nodes, self.edges) = (nodes, edges);
    }
}

/// Rules that end at any of these nodes.
fn rules_at(tree: &Tree, nodes: &[usize]) -> BTreeSet<u16> {
    nodes.iter().flat_map(|&node| tree.accepts[node].iter().copied()).collect()
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
        accepts.extend(rules_at(tree, nodes));
    }
    list.push((edges.len(), accepts.len(), 0));
    if edges.len().max(accepts.len()) > usize::from(u16::MAX) {
        return Err(format!("{} edges, {} rules at groups: too many", edges.len(), accepts.len()));
    }
    write_array(text, "ROOTS", "u16", &roots, usize::to_string);
    write_array(text, "GROUPS", "Group", &list, |(edges, accepts, gap)| {
        format!("Group {{ edges: {edges}, accepts: {accepts}, gap: {gap} }}")
    });
    write_array(text, "EDGES", "Edge", &edges, |(class, gap, to)| format!("Edge::new({class}, {gap}, {to})"));
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
    if !tables.meanings.is_empty() {
        write_meanings(text, tables);
    }
}

fn write_meanings(text: &mut String, tables: &Tables) {
    let place = |name: &str| tables.order.iter().position(|table| table == name).unwrap_or(0);
    let _ = writeln!(text, "pub(super) static CONCEPTS_FROM: u16 = {};", tables.concepts_from);
    text.push_str("pub(super) ");
    write_array(text, "MEANINGS", "Sense", &tables.meanings, |meaning| {
        let id = format!("meaning/{}", meaning.id);
        format!(
            "Sense {{ id: {id:?}, table: {}, all: {:#x}, none: {:#x} }}",
            place(&meaning.table),
            meaning.all,
            meaning.none
        )
    });
    text.push_str("#[cfg(test)]\n");
    text.push_str("pub(super) ");
    write_array(text, "MEANT", "&[&str]", &tables.meanings, |meaning| format!("&{:?}", meaning.examples));
}
