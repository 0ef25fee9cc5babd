//! A server's words without what differs from one recipient to the next.

use crate::limits;
use crate::oauth::sha256_hex;
use serde::{Deserialize, Serialize};

/// Words that a template keeps.
const WORDS: usize = 24;

/// What many texts have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Template {
    /// The beginning of its SHA-256, in hexadecimal.
    pub id: String,
    /// Its words: `@` for an address, `#` for what holds a digit, `host` for a host name.
    pub text: String,
}

/// The template of what was said about an address: in lower case, without addresses, numbers, hosts and marks.
pub fn template(said: &str, address: &str) -> Template {
    let text: String = folded(said, address, WORDS).join(" ").chars().take(limits::SAID_CHARS).collect();
    let id = sha256_hex(text.as_bytes())[..16].to_owned();
    Template { id, text }
}

/// The words of a template, so many at most.
pub fn folded(said: &str, address: &str, most: usize) -> Vec<String> {
    let local = address.rsplit_once('@').map_or("", |(local, _)| local).to_lowercase();
    let mut words: Vec<String> = Vec::new();
    let mark = |c: char| !c.is_alphanumeric() && !matches!(c, '@');
    for piece in said.split(char::is_whitespace).take(limits::DIAGNOSTIC_CHARS) {
        let piece = piece.trim_matches(mark).to_lowercase();
        if piece.is_empty() {
            continue;
        }
        let is_local = local.chars().count() > 2 && piece == local;
        let word = match piece {
            _ if is_local || piece.contains('@') => "@".to_owned(),
            _ if piece.contains(|c: char| c.is_numeric()) => "#".to_owned(),
            _ if is_host(&piece) => "host".to_owned(),
            _ => piece,
        };
        // `550 5.1.1` and `550-5.1.1` are one.
        if words.last() != Some(&word) || !matches!(word.as_str(), "#" | "@" | "host") {
            words.push(word);
        }
        if words.len() == most {
            break;
        }
    }
    words
}

fn is_host(piece: &str) -> bool {
    let labels: Vec<&str> = piece.split('.').collect();
    let label = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    labels.len() > 1 && labels.iter().all(label) && labels.last().is_some_and(|last| last.chars().count() > 1)
}
