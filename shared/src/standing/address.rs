//! The key of an address: one for all the ways to write it.

use crate::limits;
use icu_normalizer::ComposingNormalizer;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What cannot be the key of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: it takes the form name@example.com")]
pub struct NoAddress(String);

/// An address as standings know it: NFC, in lower case, its domain as A-labels (RFC 5890). A plus-address is an address
/// of its own: what stands behind the plus may be what tells two people apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressKey(String);

impl AddressKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// What stands behind it.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl std::str::FromStr for AddressKey {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let no = || NoAddress(text.chars().take(80).collect());
        let trimmed = text.trim().trim_matches(['<', '>']);
        let unfit = |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
        if trimmed.chars().count() > limits::ADDRESS_CHARS || trimmed.contains(unfit) {
            return Err(no());
        }
        let (local, domain) = trimmed.rsplit_once('@').ok_or_else(no)?;
        let local = lower(unquoted(local));
        let domain = domain.trim_end_matches('.');
        // An address literal, or a name that IDNA refuses (an underscore): as it is, in lower case.
        let domain = match idna::domain_to_ascii(domain) {
            Ok(name) if !name.is_empty() => name,
            _ => lower(domain),
        };
        let blank = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
        if local.is_empty() || blank(&domain) || (blank(&local) && !local.starts_with('"')) {
            return Err(no());
        }
        Ok(Self(format!("{local}@{domain}")))
    }
}

/// A quoted local part that need not be quoted means the same without (RFC 5321 §4.1.2).
fn unquoted(local: &str) -> &str {
    let inner = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    match inner {
        Some(inner) if !inner.is_empty() && inner.chars().all(atom) && !inner.split('.').any(str::is_empty) => inner,
        _ => local,
    }
}

/// Composed, in lower case, and composed again: lowering may take a letter apart.
fn lower(text: &str) -> String {
    let nfc = ComposingNormalizer::new_nfc();
    nfc.normalize(&nfc.normalize(text).to_lowercase()).into_owned()
}

impl TryFrom<String> for AddressKey {
    type Error = NoAddress;
    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

impl From<AddressKey> for String {
    fn from(key: AddressKey) -> Self {
        key.0
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(text: &str) -> String {
        text.parse::<AddressKey>().unwrap().0
    }

    #[test]
    fn one_key_for_all_the_ways_to_write_an_address() {
        for (written, expected) in [
            ("Jane.Doe@Example.COM", "jane.doe@example.com"),
            (" <jane@example.com.> ", "jane@example.com"),
            ("jane+News@example.com", "jane+news@example.com"),
            ("\"jane\"@example.com", "jane@example.com"),
            ("\"jane doe\"@example.com", "\"jane doe\"@example.com"),
            ("\"a@b\"@example.com", "\"a@b\"@example.com"),
            ("jane@Bücher.example", "jane@xn--bcher-kva.example"),
            ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
            // Composed and decomposed.
            ("JOSE\u{301}@example.com", "jos\u{e9}@example.com"),
            ("jos\u{e9}@example.com", "jos\u{e9}@example.com"),
            ("用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah"),
            ("jane@[192.0.2.1]", "jane@[192.0.2.1]"),
            ("jane@under_score.example", "jane@under_score.example"),
        ] {
            assert_eq!(key(written), expected, "{written}");
            assert_eq!(key(expected), expected, "a key is its own key");
        }
        assert_ne!(key("jane+a@example.com"), key("jane@example.com"), "a plus-address is an address of its own");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "@", "a@", "@b", "jane", "a b@example.com", "a@b c", "a\r\n@b.example", "a\u{202e}@b.example"]
        {
            assert!(text.parse::<AddressKey>().is_err(), "{text:?}");
        }
        assert!(format!("{}@example.com", "x".repeat(limits::ADDRESS_CHARS)).parse::<AddressKey>().is_err());
    }
}
