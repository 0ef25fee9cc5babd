//! Return addresses with a mark: our own, signed (VERP with an HMAC and a time); BATV and plain VERP, as others make
//! them, which say whom or for whom a message was, and prove nothing to us.
//!
//! Ours is `BASE+TOKEN=user=example.org@domain`, or `BASE+TOKEN@domain` where the recipient does not fit or cannot stand
//! there. TOKEN is 24 characters of base32 (RFC 4648 §6, in lower case, for mail systems may change the case): four bytes
//! of seconds since 1970, one that hints at the list, ten of HMAC-SHA256 over time, list and recipient.

use crate::account::ListId;
use crate::oauth::SigningKey;
use crate::standing::AddressKey;

/// What the HMAC is for: no other signature of the same key is one.
const LABEL: &str = "return-address";
const TOKEN_CHARS: usize = 24;
const TIME: usize = 4;
const MAC: usize = 10;
/// RFC 5321 §4.5.3.1.1.
const LOCAL_CHARS: usize = 64;
/// How far the clock of whoever stamped may be ahead.
const AHEAD: i64 = 86_400;

/// What stands in a return address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The form of ours; whether it is ours, [`Stamp::check`] says.
    Signed(Stamp),
    /// Bounce Address Tag Validation (`prvs=KDDDSSSSSS=local@domain`): the sender's own business.
    Batv {
        /// The address without the tag.
        address: String,
    },
    /// A variable envelope return path without a signature (`base+user=example.org@domain`).
    Verp {
        /// The recipient that it names.
        recipient: AddressKey,
    },
}

/// A signed return address, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    token: String,
    bytes: [u8; TIME + 1 + MAC],
    /// The recipient, where it stands in the address.
    pub recipient: Option<AddressKey>,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Made here, for this recipient of this list, not too long ago.
    Good(ListId),
    /// Made here, and too old (or from the future).
    Expired,
    /// Not made here for this recipient.
    Forged,
}

/// A base address that nothing can be stamped on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot carry a mark: it takes the form name@example.com, its name in ASCII with 39 characters at most")]
pub struct Unfit(String);

/// The return address for one mail to `recipient` of `list`, sent at `now` (seconds since 1970): envelope sender
/// (`MAIL FROM`) of that mail. Mail to `BASE+…@domain` must reach the mailbox of `base`.
pub fn stamp(base: &str, recipient: &AddressKey, list: &ListId, key: &SigningKey, now: i64) -> Result<String, Unfit> {
    let unfit = || Unfit(base.chars().take(80).collect());
    let (local, domain) = base.rsplit_once('@').ok_or_else(unfit)?;
    let room = LOCAL_CHARS.checked_sub(TOKEN_CHARS + 1 + local.len()).ok_or_else(unfit)?;
    if local.is_empty() || domain.is_empty() || !local.bytes().all(is_atom) {
        return Err(unfit());
    }
    let seconds = u32::try_from(now).map_err(|_| unfit())?;
    let mut bytes = [0; TIME + 1 + MAC];
    bytes[..TIME].copy_from_slice(&seconds.to_be_bytes());
    bytes[TIME] = hint(list);
    bytes[TIME + 1..].copy_from_slice(&mac(key, seconds, list, recipient));
    let token = base32(&bytes);
    let named = format!("={}={}", recipient.local(), recipient.domain());
    let fits = named.len() <= room && named.bytes().all(is_atom);
    Ok(format!("{local}+{token}{}@{domain}", if fits { named.as_str() } else { "" }))
}

/// The mark of a return address, if it has one.
pub fn read(address: &str) -> Option<Mark> {
    let (local, domain) = address.trim().trim_matches(['<', '>']).rsplit_once('@')?;
    if local.len() > 4 * LOCAL_CHARS {
        return None;
    }
    if let Some(rest) = strip_prefix_ignoring_case(local, "prvs=") {
        let (tag, inner) = rest.split_once('=')?;
        let is_tag = tag.len() == 10 && tag.is_ascii() && tag.as_bytes()[..4].iter().all(u8::is_ascii_digit);
        let is_tag = is_tag && tag.bytes().all(|b| b.is_ascii_hexdigit());
        return is_tag.then(|| Mark::Batv { address: format!("{inner}@{domain}") });
    }
    // The base may hold a plus itself: the mark comes behind the last plus that one follows.
    for (at, _) in local.match_indices('+') {
        let rest = &local[at + 1..];
        let (token, named) = match rest.split_at_checked(TOKEN_CHARS) {
            Some((token, "")) => (token, None),
            Some((token, named)) if named.starts_with('=') => (token, Some(&named[1..])),
            _ => continue,
        };
        let Some(bytes) = from_base32(token) else { continue };
        let recipient = named.and_then(recipient);
        if named.is_some() && recipient.is_none() {
            continue;
        }
        return Some(Mark::Signed(Stamp { token: token.to_ascii_lowercase(), bytes, recipient }));
    }
    let (_, named) = local.split_once('+').or_else(|| local.split_once('-'))?;
    recipient(named).map(|recipient| Mark::Verp { recipient })
}

impl Stamp {
    /// The token as it is counted once by.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// When it was made, in seconds since 1970, as it says itself.
    pub fn at(&self) -> i64 {
        let [a, b, c, d, ..] = self.bytes;
        i64::from(u32::from_be_bytes([a, b, c, d]))
    }

    /// Whether it was made here for `recipient`, and of which of `lists`; `now` is when the report arrived.
    /// Each list that it hints at is tried, in constant time.
    pub fn check(
        &self,
        key: &SigningKey,
        recipient: &AddressKey,
        lists: &[ListId],
        now: i64,
        age: impl Fn(&ListId) -> i64,
    ) -> Checked {
        let seconds = u32::try_from(self.at()).unwrap_or(0);
        for list in lists.iter().filter(|list| hint(list) == self.bytes[TIME]) {
            if is_equal(&mac(key, seconds, list, recipient), &self.bytes[TIME + 1..]) {
                let good = self.at() - now <= AHEAD && now - self.at() <= age(list);
                return if good { Checked::Good(list.clone()) } else { Checked::Expired };
            }
        }
        Checked::Forged
    }
}

fn mac(key: &SigningKey, seconds: u32, list: &ListId, recipient: &AddressKey) -> [u8; MAC] {
    let whole = key.sign(LABEL, &[&seconds.to_string(), list.as_str(), recipient.as_str()]);
    let mut short = [0; MAC];
    short.copy_from_slice(&whole.as_ref()[..MAC]);
    short
}

/// In a time that depends on the length alone.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b))) == 0
}

/// One byte of the list's name, so that not every list need be tried.
fn hint(list: &ListId) -> u8 {
    list.as_str().bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
}

/// `user=example.org`, its last equals sign in place of the `@`.
fn recipient(named: &str) -> Option<AddressKey> {
    let (local, domain) = named.rsplit_once('=')?;
    let is_name = domain.contains('.') && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !is_name { None } else { format!("{local}@{domain}").parse().ok() }
}

/// RFC 5322 §3.2.3, and the dot.
fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
    }
    text
}

fn from_base32(text: &str) -> Option<[u8; TIME + 1 + MAC]> {
    let mut bytes = [0; TIME + 1 + MAC];
    let (mut held, mut bits, mut at) = (0u32, 0, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter.to_ascii_lowercase())?;
        held = held << 5 | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = (held >> bits & 255) as u8;
            at += 1;
        }
    }
    (at == bytes.len() && bits == 0).then_some(bytes)
}
