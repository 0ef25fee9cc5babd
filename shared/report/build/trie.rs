//! The words of all phrases as a trie, laid out as a double array.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A trie over the bytes of folded words.
#[derive(Default)]
pub struct Trie {
    children: Vec<BTreeMap<u8, usize>>,
    /// Items that a word which ends at a node satisfies.
    pub exact: Vec<BTreeSet<u16>>,
    /// Items that a word which only begins so satisfies.
    pub stem: Vec<BTreeSet<u16>>,
}

impl Trie {
    pub fn new() -> Self {
        Trie { children: vec![BTreeMap::new()], exact: vec![BTreeSet::new()], stem: vec![BTreeSet::new()] }
    }

    pub fn place(&mut self, word: &str) -> usize {
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
    pub fn inherit(&mut self) {
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
    pub fn lay_out(&self) -> (Vec<(u32, u32)>, Vec<Option<usize>>) {
        let mut slots = vec![(0u32, 0u32)];
        let mut owner = vec![Some(0)];
        let mut open = VecDeque::from([(0usize, 0usize)]);
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
