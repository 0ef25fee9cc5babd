//! The matcher: one pass over a text finds every phrase of a table.
//!
//! Two layers, both laid out at build time as static arrays (see `build.rs`): a double-array trie turns a word into the
//! set of *items* it satisfies (itself, a stem such as `unbekannt*`, a named set such as `{box}`), and a tree of items
//! with gaps turns a run of words into rules. The places in the tree that are alive after a word are a short list
//! (never more than [`ALIVE`]), so the cost is linear in the text whatever it holds.

use super::token::{self, Kind, Token};

/// Places in the tree that are followed at once. A genuine text keeps about ten; a hostile one loses the oldest.
const ALIVE: usize = 64;

/// A compiled table of rules.
#[derive(Debug)]
pub struct Automaton {
    /// Double-array trie over the bytes of folded words: `(base, check)`.
    pub trie: &'static [(u32, u32)],
    /// For each trie node: set of items if the word ends here, set of items if it goes on.
    pub sets_at: &'static [(u16, u16)],
    /// Where each set begins in `items`; set 0 is empty, set 1 are the words that say nothing.
    pub sets: &'static [u32],
    /// Items, set after set.
    pub items: &'static [u16],
    /// Node that an item leads to from the root, or 0.
    pub roots: &'static [u16],
    /// Nodes of the tree of phrases.
    pub nodes: &'static [Node],
    /// Edges, node after node, sorted by item.
    pub edges: &'static [Edge],
    /// Rules that end at a node, node after node.
    pub accepts: &'static [u16],
    /// Item of the start of the text, of its end, of an address, and of "not".
    pub special: Special,
}

/// Items that are no words.
#[derive(Debug)]
pub struct Special {
    /// `^`: before the first word.
    pub start: u16,
    /// `$`: after the last word.
    pub end: u16,
    /// Set of `@`.
    pub address: u16,
    /// Set of "not".
    pub not: u16,
}

/// A place in the tree of phrases.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// First edge.
    pub edges: u32,
    /// First rule that ends here.
    pub accepts: u32,
    /// Words that may stand between this and the next item of any edge.
    pub gap: u8,
}

/// The next item of a phrase.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// What the next word must be.
    pub item: u16,
    /// Words that may stand before it.
    pub gap: u8,
    /// Where it leads.
    pub to: u16,
}

/// A rule that matched, and its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Index into the table's rules.
    pub rule: u16,
    /// First byte of the words.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
}

#[derive(Clone, Copy)]
struct Place {
    node: u16,
    age: u8,
    start: usize,
}

impl Automaton {
    /// Hands every match in `text` to `take`, in the order in which they end.
    pub fn scan(&self, text: &str, take: impl FnMut(Hit)) {
        let mut run = Run { table: self, places: Vec::with_capacity(ALIVE), fresh: Vec::with_capacity(ALIVE), take };
        run.step(self.special.start, 0, 0);
        run.settle(true);
        let mut last = 0;
        token::cut(text, |token| {
            last = token.end;
            run.read(text, token);
        });
        run.end(last);
    }

    /// The set of items that a word satisfies.
    fn look_up(&self, word: &str) -> u16 {
        let mut node = 0usize;
        for &byte in word.as_bytes() {
            if byte < 0x80 {
                match self.next(node, byte.to_ascii_lowercase()) {
                    Some(next) => node = next,
                    None => return self.sets_at[node].1,
                }
            } else {
                return self.look_up_wide(word, node);
            }
        }
        self.sets_at[node].0
    }

    /// The rest of a word that has letters beyond ASCII; walks it again from its first such letter.
    fn look_up_wide(&self, word: &str, from: usize) -> u16 {
        let ascii = word.bytes().take_while(u8::is_ascii).count();
        let mut node = Some(from);
        let mut last = from;
        for character in word[ascii..].chars() {
            token::fold(character, |folded| {
                let mut buffer = [0; 4];
                for &byte in folded.encode_utf8(&mut buffer).as_bytes() {
                    node = node.and_then(|node| self.next(node, byte));
                    if let Some(node) = node {
                        last = node;
                    }
                }
            });
            if node.is_none() {
                return self.sets_at[last].1;
            }
        }
        self.sets_at[last].0
    }

    fn next(&self, node: usize, byte: u8) -> Option<usize> {
        let to = self.trie[node].0 as usize + byte as usize;
        match self.trie.get(to) {
            Some(&(_, check)) if check as usize == node + 1 => Some(to),
            _ => None,
        }
    }

    fn set(&self, set: u16) -> &'static [u16] {
        let set = set as usize;
        &self.items[self.sets[set] as usize..self.sets[set + 1] as usize]
    }

    fn edges_of(&self, node: u16) -> &'static [Edge] {
        let node = node as usize;
        &self.edges[self.nodes[node].edges as usize..self.nodes[node + 1].edges as usize]
    }

    fn accepts_of(&self, node: u16) -> &'static [u16] {
        let node = node as usize;
        &self.accepts[self.nodes[node].accepts as usize..self.nodes[node + 1].accepts as usize]
    }
}

/// Words that say nothing ("the", "is"): they part no phrase.
const SILENT: u16 = 1;

struct Run<'t, F: FnMut(Hit)> {
    table: &'t Automaton,
    places: Vec<Place>,
    fresh: Vec<Place>,
    take: F,
}

impl<F: FnMut(Hit)> Run<'_, F> {
    fn read(&mut self, text: &str, token: Token) {
        let set = match token.kind {
            Kind::Stop => {
                self.places.clear();
                return;
            }
            Kind::Address => self.table.special.address,
            Kind::Not => self.table.special.not,
            _ => self.table.look_up(&text[token.start..token.end]),
        };
        if set == SILENT {
            return;
        }
        for &item in self.table.set(set) {
            self.step(item, token.start, token.end);
        }
        // Addresses, numbers and codes part no phrase, but may be a part of one.
        self.settle(matches!(token.kind, Kind::Address | Kind::Number | Kind::Code));
    }

    /// Every place goes on by this item, and a phrase may begin with it.
    fn step(&mut self, item: u16, start: usize, end: usize) {
        let root = self.table.roots[item as usize];
        if root != 0 {
            self.arrive(root, start, end);
        }
        for index in 0..self.places.len() {
            let place = self.places[index];
            let edges = self.table.edges_of(place.node);
            let from = edges.partition_point(|edge| edge.item < item);
            for edge in edges[from..].iter().take_while(|edge| edge.item == item) {
                if place.age <= edge.gap {
                    self.arrive(edge.to, place.start.min(start), end);
                }
            }
        }
    }

    fn arrive(&mut self, node: u16, start: usize, end: usize) {
        for &rule in self.table.accepts_of(node) {
            (self.take)(Hit { rule, start, end });
        }
        if !self.table.edges_of(node).is_empty() {
            self.fresh.push(Place { node, age: 0, start });
        }
    }

    /// The end of a word: places grow older, those too old die, new ones join.
    fn settle(&mut self, transparent: bool) {
        let nodes = self.table.nodes;
        if !transparent {
            for place in &mut self.places {
                place.age = place.age.saturating_add(1);
            }
            self.places.retain(|place| place.age <= nodes[place.node as usize].gap);
        }
        for index in 0..self.fresh.len() {
            let place = self.fresh[index];
            // The younger of two at one node can do all that the older can.
            self.places.retain(|other| other.node != place.node);
            if self.places.len() == ALIVE {
                self.places.remove(0);
            }
            self.places.push(place);
        }
        self.fresh.clear();
    }

    fn end(&mut self, at: usize) {
        let item = self.table.special.end;
        for index in 0..self.places.len() {
            let place = self.places[index];
            for edge in self.table.edges_of(place.node).iter().filter(|edge| edge.item == item && place.age <= edge.gap)
            {
                for &rule in self.table.accepts_of(edge.to) {
                    (self.take)(Hit { rule, start: place.start, end: at });
                }
            }
        }
    }
}
