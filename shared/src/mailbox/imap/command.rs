//! What goes into commands: folder names, strings, sets of UIDs.

use super::super::FaultKind;
use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

/// A command line may be 8192 bytes by RFC 7162 §4; Exchange takes 10,240; half of the first leaves room.
pub(super) const SET_BYTES: usize = 4000;

/// A folder's name as it stands in a command: modified UTF-7 (RFC 3501 §5.1.3), quoted.
pub(super) fn folder(name: &str) -> Result<String, FaultKind> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(FaultKind::Unsendable("the folder name"));
    }
    Ok(quoted(&utf7(name)))
}

/// A quoted string (RFC 9051 §4.3) of printable ASCII.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a text can be a quoted string with servers that know only RFC 3501.
pub(super) fn is_quotable(text: &str) -> bool {
    text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

fn utf7(name: &str) -> String {
    let mut encoded = String::new();
    let mut shifted: Vec<u8> = Vec::new();
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            unshift(&mut encoded, &mut shifted);
            encoded.push(c);
            if c == '&' {
                encoded.push('-');
            }
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shifted.extend(unit.to_be_bytes());
            }
        }
    }
    unshift(&mut encoded, &mut shifted);
    encoded
}

fn unshift(encoded: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        encoded.push('&');
        encoded.push_str(&GeneralPurpose::new(&IMAP_MUTF7, NO_PAD).encode(&shifted));
        encoded.push('-');
        shifted.clear();
    }
}

/// Ascending UIDs as sets like `1:3,7`, none longer than `bytes`, each with how many UIDs it holds.
pub(super) fn sets(uids: &[u32], bytes: usize) -> Vec<(usize, String)> {
    let mut sets: Vec<(usize, String)> = vec![];
    let mut at = 0;
    while at < uids.len() {
        let first = uids[at];
        let run = uids[at..]
            .iter()
            .zip(u64::from(first)..)
            .take_while(|(uid, next)| u64::from(**uid) == *next)
            .count()
            .max(1);
        let part = if run == 1 { first.to_string() } else { format!("{first}:{}", uids[at + run - 1]) };
        match sets.last_mut() {
            Some((count, set)) if set.len() + 1 + part.len() <= bytes => {
                *count += run;
                set.push(',');
                set.push_str(&part);
            }
            _ => sets.push((run, part)),
        }
        at += run;
    }
    sets
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn folder_names() {
        let check = |name: &str, sent: &str| assert_eq!(folder(name).unwrap(), sent);
        check("INBOX", "\"INBOX\"");
        check("Entwürfe", "\"Entw&APw-rfe\"");
        check("A & B", "\"A &- B\"");
        check("a\"b\\c", "\"a\\\"b\\\\c\"");
        check("~peter/mail/台北/日本語", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"");
        check("é&é", "\"&AOk-&-&AOk-\"");
        check("😀", "\"&2D3eAA-\"");
        check("a b%*{5}", "\"a b%*{5}\"");
    }

    #[test]
    fn f30_folder_names_that_could_inject_are_refused() {
        for name in ["", "a\r\nR9 LOGOUT", "a\nb", "a\0b", "a\u{85}b"] {
            assert_eq!(folder(name), Err(FaultKind::Unsendable("the folder name")), "{name:?}");
        }
    }

    #[test]
    fn sets_of_uids() {
        let check = |uids: &[u32], bytes: usize, expected: &[(usize, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(n, set)| (*n, (*set).to_owned())).collect();
            assert_eq!(sets(uids, bytes), expected);
        };
        check(&[], 99, &[]);
        check(&[7], 99, &[(1, "7")]);
        check(&[1, 2, 3, 7, 9, 10], 99, &[(6, "1:3,7,9:10")]);
        check(&[1, 3, 5, 7], 3, &[(2, "1,3"), (2, "5,7")]);
        check(&[1, 2, 3, 7], 5, &[(4, "1:3,7")]);
        check(&[1, 2, 3, 7], 4, &[(3, "1:3"), (1, "7")]);
        check(&[u32::MAX - 1, u32::MAX], 99, &[(2, "4294967294:4294967295")]);
        check(&[5, 5, 6], 99, &[(3, "5,5:6")]);
        let odd: Vec<u32> = (0..10_000).map(|n| n * 2 + 1_000_000_000).collect();
        assert!(sets(&odd, SET_BYTES).iter().all(|(_, set)| set.len() <= SET_BYTES));
        assert_eq!(sets(&odd, SET_BYTES).iter().map(|(n, _)| n).sum::<usize>(), 10_000);
    }
}
