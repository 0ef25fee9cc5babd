//! A person's address wherever it stands in a text. Pure.

use crate::report;
use crate::standing::AddressKey;

/// What stands in its place.
pub const ERASED: &str = "(erased)";

/// Whose address.
#[derive(Debug, Clone)]
pub struct Person {
    key: AddressKey,
    /// As VERP and our own return addresses write it: `jane=example.org`.
    verp: String,
}

impl Person {
    /// By the address.
    pub fn new(key: AddressKey) -> Self {
        let verp = format!("{}={}", key.local(), key.domain());
        Self { key, verp }
    }

    /// The address.
    pub fn key(&self) -> &AddressKey {
        &self.key
    }

    /// Whether a text is this address and nothing more.
    pub fn is(&self, text: &str) -> bool {
        text.parse::<AddressKey>().is_ok_and(|key| key == self.key)
    }

    /// The text without the address, where it held it; an address that only contains it (`mjane@example.org`) is another's.
    pub fn out_of(&self, text: &str) -> Option<String> {
        let ends = |c: char| c.is_whitespace() || c.is_control() || "<>()[]{},;:\"`|\\".contains(c);
        let (mut left, mut found) = (String::with_capacity(text.len()), false);
        let mut rest = text;
        while !rest.is_empty() {
            let token = rest.find(ends).unwrap_or(rest.len());
            let (word, after) = rest.split_at(token);
            if self.stands_in(word) {
                left.push_str(ERASED);
                found = true;
            } else {
                left.push_str(word);
            }
            let mark = after.chars().next().map_or(0, char::len_utf8);
            left.push_str(&after[..mark]);
            rest = &after[mark..];
        }
        found.then_some(left)
    }

    /// Whether a message names the address, as it came or decoded.
    pub fn is_named_in(&self, message: &[u8]) -> bool {
        let names = |text: &str| self.out_of(text).is_some();
        names(&String::from_utf8_lossy(message)) || report::readable(message).iter().any(|text| names(text))
    }

    fn stands_in(&self, word: &str) -> bool {
        if !word.contains(['@', '=']) {
            return false;
        }
        let bare = word.trim_matches(|c: char| "'.!?*_".contains(c));
        // `to=jane@example.org`
        let assigned = bare.rsplit_once('=').map_or("", |(_, value)| value);
        if [word, bare, assigned].iter().any(|text| text.contains('@') && self.is(text)) {
            return true;
        }
        let lower = word.to_lowercase();
        let part = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
        lower.match_indices(&self.verp).any(|(at, _)| {
            let before = lower[..at].chars().next_back();
            let after = lower[at + self.verp.len()..].chars().next();
            !before.is_some_and(part) && !after.is_some_and(|c| part(c) || c == '-')
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_found_however_it_is_written_and_no_other() {
        let jane = Person::new("jane@b\u{fc}cher.example".parse().unwrap());
        for (text, expected) in [
            ("jane@b\u{fc}cher.example", "(erased)"),
            ("550 <JANE@xn--bcher-kva.example>: unknown", "550 <(erased)>: unknown"),
            ("to=<jane@b\u{fc}cher.example>, jane@b\u{fc}cher.example.", "to=<(erased)>, (erased)"),
            ("rfc822;jane@xn--bcher-kva.example", "rfc822;(erased)"),
            ("orig_to=jane@xn--bcher-kva.example", "(erased)"),
            ("'jane@b\u{fc}cher.example' is away", "(erased) is away"),
            ("bounces+abc=jane=xn--bcher-kva.example@example.org", "(erased)"),
            ("prvs=0123abcdef=jane@xn--bcher-kva.example", "(erased)"),
        ] {
            assert_eq!(jane.out_of(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "mjane@b\u{fc}cher.example",
            "jane@b\u{fc}cher.example.org",
            "jane+news@b\u{fc}cher.example",
            "jane",
            "",
            "bounces+mjane=xn--bcher-kva.example@example.org",
            "jane=xn--bcher-kva.example.org",
            "\u{fc}@\u{fc} = jane",
        ] {
            assert_eq!(jane.out_of(text), None, "{text}");
        }
    }
}
