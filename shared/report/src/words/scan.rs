//! The matcher: one pass over a text finds every phrase of a table.
//!
//! Two layers, both laid out at build time as static arrays (see `build/automaton.rs`): a double-array trie gives a
//! word its *class* (the words that stand at the same places in the same phrases), and a graph of groups of places,
//! with gaps, turns a run of classes into rules. What is alive after a word is a short list (never more than
//! [`ALIVE`]), so the cost is linear in the text whatever it holds.

use super::token::{self, Kind, Token};

/// Groups that are followed at once. A genuine text keeps about ten; a hostile one loses the oldest.
const ALIVE: usize = 32;

/// A compiled table of rules.
#[derive(Debug)]
pub struct Automaton {
    /// Double-array trie over the bytes of folded words. Class 0 stands in no phrase, class 1 says nothing and parts
    /// none.
    pub trie: &'static [Letter],
    /// Group that a class leads to from the start of any phrase, or 0.
    pub roots: &'static [u16],
    /// Groups of places in phrases.
    pub groups: &'static [Group],
    /// Edges, group after group, sorted by class.
    pub edges: &'static [Edge],
    /// Rules that end at a group, group after group.
    pub accepts: &'static [u16],
    /// Classes of what is no word.
    pub special: Special,
}

/// A place in the trie of words.
#[derive(Debug, Clone, Copy)]
pub struct Letter {
    /// The next letter's place is this plus its byte,
    pub base: u16,
    /// if `check` there is this place plus one.
    pub check: u16,
    /// Class of a word that ends here.
    pub ends: u16,
    /// Class of a word that goes on where the trie does not: that of a stem.
    pub goes_on: u16,
}

/// Classes of what is no word.
#[derive(Debug)]
pub struct Special {
    /// `^`: before the first word.
    pub start: u16,
    /// `$`: after the last word.
    pub end: u16,
    /// `@`.
    pub address: u16,
    /// "not".
    pub not: u16,
    /// `:`.
    pub colon: u16,
}

/// Places in phrases that are reached together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// First edge.
    pub edges: u16,
    /// First rule that ends here.
    pub accepts: u16,
    /// Words that may stand between this and the next word of any phrase.
    pub gap: u8,
}

/// The next word of a phrase, in 32 bits: there are tens of thousands.
#[derive(Debug, Clone, Copy)]
pub struct Edge(u32);

impl Edge {
    const CLASS: u32 = 13;
    const GAP: u32 = 4;

    /// The word's class (below 8,192), words that may stand before it (below 16), and the group it leads to (below 32,768).
    pub const fn new(class: u16, gap: u8, to: u16) -> Self {
        assert!((class as u32) < 1 << Self::CLASS && (gap as u32) < 1 << Self::GAP && to < 1 << 15);
        Self((to as u32) << (Self::CLASS + Self::GAP) | (gap as u32) << Self::CLASS | class as u32)
    }

    fn class(self) -> u16 {
        (self.0 & ((1 << Self::CLASS) - 1)) as u16
    }

    fn gap(self) -> u8 {
        (self.0 >> Self::CLASS & ((1 << Self::GAP) - 1)) as u8
    }

    fn to(self) -> u16 {
        (self.0 >> (Self::CLASS + Self::GAP)) as u16
    }
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

#[derive(Clone, Copy, Default)]
struct Place {
    group: u16,
    age: u8,
    /// Words that may stand before the next one: the group's.
    gap: u8,
    /// Texts are far below 4 GB.
    start: u32,
}

/// A short list that needs no allocation.
#[derive(Default)]
struct Places {
    list: [Place; ALIVE],
    count: usize,
}

impl Places {
    fn push(&mut self, place: Place) {
        if self.count == ALIVE {
            self.list.copy_within(1.., 0);
            self.count -= 1;
        }
        self.list[self.count] = place;
        self.count += 1;
    }

    fn alive_mut(&mut self) -> &mut [Place] {
        &mut self.list[..self.count]
    }
}

impl Automaton {
    /// Hands every match in `text` to `take`, in the order in which they end.
    pub fn scan(&self, text: &str, take: impl FnMut(Hit)) {
        self.scan_beside(text, take, |_| {});
    }

    /// The same, and every token to `beside`, for who reads codes in the same pass.
    pub fn scan_beside(&self, text: &str, take: impl FnMut(Hit), mut beside: impl FnMut(Token)) {
        let mut run = Run { table: self, places: Places::default(), fresh: Places::default(), take };
        run.step(self.special.start, 0, 0);
        run.settle(true);
        let mut last = 0;
        token::cut(text, |token| {
            last = token.end;
            beside(token);
            run.read(text, token);
        });
        run.end(last);
    }

    /// Steps taken for a text: edges looked at and places kept, for the proof that cost grows as the text does.
    #[cfg(test)]
    pub fn scan_counting(&self, text: &str) -> u64 {
        let mut run = Run { table: self, places: Places::default(), fresh: Places::default(), take: |_| {} };
        let mut steps = 0;
        token::cut(text, |token| {
            steps += 1 + run.places.count as u64;
            run.read(text, token);
        });
        steps
    }

    /// The class of a word.
    fn look_up(&self, word: &str) -> u16 {
        let mut node = 0usize;
        for &byte in word.as_bytes() {
            if byte < 0x80 {
                match self.next(node, byte.to_ascii_lowercase()) {
                    Some(next) => node = next,
                    None => return self.trie[node].goes_on,
                }
            } else {
                return self.look_up_wide(word, node);
            }
        }
        self.trie[node].ends
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
                return self.trie[last].goes_on;
            }
        }
        self.trie[last].ends
    }

    fn next(&self, node: usize, byte: u8) -> Option<usize> {
        let to = self.trie[node].base as usize + byte as usize;
        self.trie.get(to).is_some_and(|letter| letter.check as usize == node + 1).then_some(to)
    }

    fn edges_of(&self, group: u16) -> &'static [Edge] {
        let group = group as usize;
        &self.edges[self.groups[group].edges as usize..self.groups[group + 1].edges as usize]
    }

    fn accepts_of(&self, group: u16) -> &'static [u16] {
        let group = group as usize;
        &self.accepts[self.groups[group].accepts as usize..self.groups[group + 1].accepts as usize]
    }
}

/// Words that say nothing ("the", "is"): they part no phrase.
const SILENT: u16 = 1;

struct Run<'t, F: FnMut(Hit)> {
    table: &'t Automaton,
    places: Places,
    fresh: Places,
    take: F,
}

impl<F: FnMut(Hit)> Run<'_, F> {
    fn read(&mut self, text: &str, token: Token) {
        let class = match token.kind {
            Kind::Stop => {
                self.places.count = 0;
                return;
            }
            Kind::Address => self.table.special.address,
            Kind::Colon => self.table.special.colon,
            Kind::Not => self.table.special.not,
            _ => self.table.look_up(&text[token.start..token.end]),
        };
        if class == SILENT {
            return;
        }
        if class != 0 {
            self.step(class, token.start, token.end);
        }
        // Addresses, numbers, codes and colons part no phrase, but may be a part of one; `mx.example.com` is one word.
        let joined = token.start > 0 && text.as_bytes()[token.start - 1] == b'.';
        self.settle(joined || matches!(token.kind, Kind::Address | Kind::Number | Kind::Code | Kind::Colon));
    }

    /// Every place goes on by this class, and a phrase may begin with it.
    fn step(&mut self, class: u16, start: usize, end: usize) {
        let root = self.table.roots[class as usize];
        if root != 0 {
            self.arrive(root, start, end);
        }
        for index in 0..self.places.count {
            let place = self.places.list[index];
            let edges = self.table.edges_of(place.group);
            // Most groups have a few edges, where a search costs more than it spares.
            let from = match edges.len() {
                0..8 => edges.iter().position(|edge| edge.class() >= class).unwrap_or(edges.len()),
                _ => edges.partition_point(|edge| edge.class() < class),
            };
            for edge in edges[from..].iter().take_while(|edge| edge.class() == class) {
                if place.age <= edge.gap() {
                    self.arrive(edge.to(), place.start as usize, end);
                }
            }
        }
    }

    fn arrive(&mut self, group: u16, start: usize, end: usize) {
        for &rule in self.table.accepts_of(group) {
            (self.take)(Hit { rule, start, end });
        }
        if !self.table.edges_of(group).is_empty() {
            let gap = self.table.groups[group as usize].gap;
            self.fresh.push(Place { group, age: 0, gap, start: start as u32 });
        }
    }

    /// The end of a word: places grow older, those too old die, new ones join.
    fn settle(&mut self, transparent: bool) {
        if self.places.count + self.fresh.count == 0 {
            return;
        }
        if !transparent && self.places.count > 0 {
            self.grow_older();
        }
        for index in 0..self.fresh.count {
            let place = self.fresh.list[index];
            // The younger of two in one group can do all that the older can.
            match self.places.alive_mut().iter_mut().find(|other| other.group == place.group) {
                Some(older) => *older = place,
                None => self.places.push(place),
            }
        }
        self.fresh.count = 0;
    }

    fn grow_older(&mut self) {
        let mut kept = 0;
        for index in 0..self.places.count {
            let mut place = self.places.list[index];
            place.age = place.age.saturating_add(1);
            if place.age <= place.gap {
                self.places.list[kept] = place;
                kept += 1;
            }
        }
        self.places.count = kept;
    }

    fn end(&mut self, at: usize) {
        self.step(self.table.special.end, at, at);
    }
}
