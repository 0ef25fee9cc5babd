//! SEARCH keys (RFC 3501, section 6.4.4), as many as mailbox readers use.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::command::{Word, set};
use super::store::Message;

/// A message as SEARCH sees it: its sequence number beside it.
pub(super) struct Candidate<'a> {
    pub number: u32,
    pub message: &'a Message,
    /// The highest sequence number and UID of the folder: what `*` means.
    pub top: (u32, u32),
}

/// Whether all keys match; `None` for a key that is not known or malformed.
pub(super) fn matches(candidate: &Candidate<'_>, keys: &[Word]) -> Option<bool> {
    let mut rest = keys;
    let mut all = true;
    while !rest.is_empty() {
        all &= key(candidate, &mut rest)?;
    }
    Some(all)
}

fn key(candidate: &Candidate<'_>, rest: &mut &[Word]) -> Option<bool> {
    let first = next(rest)?;
    if let Word::List(keys) = first {
        return matches(candidate, keys);
    }
    let message = candidate.message;
    let flag = |flag: &str| message.flags.iter().any(|one| one.eq_ignore_ascii_case(flag));
    let name = first.text()?.to_ascii_uppercase();
    Some(match name.as_str() {
        "ALL" => true,
        "SEEN" => flag("\\Seen"),
        "UNSEEN" => !flag("\\Seen"),
        "DELETED" => flag("\\Deleted"),
        "UNDELETED" => !flag("\\Deleted"),
        "FLAGGED" => flag("\\Flagged"),
        "ANSWERED" => flag("\\Answered"),
        "NOT" => !key(candidate, rest)?,
        "OR" => {
            let (one, other) = (key(candidate, rest)?, key(candidate, rest)?);
            one || other
        }
        "SINCE" => day(message) >= date(next(rest)?)?,
        "BEFORE" => day(message) < date(next(rest)?)?,
        "ON" => day(message) == date(next(rest)?)?,
        "LARGER" => message.bytes.len() > next(rest)?.text()?.parse().ok()?,
        "SMALLER" => message.bytes.len() < next(rest)?.text()?.parse().ok()?,
        "UID" => within(&next(rest)?.text()?, message.uid, candidate.top.1)?,
        "HEADER" => {
            let (name, value) = (next(rest)?.text()?, next(rest)?.text()?);
            super::fetch::fields(&message.bytes, &[name], true)
                .to_ascii_lowercase()
                .contains(&value.to_ascii_lowercase())
        }
        _ => within(&name, candidate.number, candidate.top.0)?,
    })
}

fn next<'a>(rest: &mut &'a [Word]) -> Option<&'a Word> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(first)
}

fn within(text: &str, number: u32, top: u32) -> Option<bool> {
    Some(set(text, top)?.iter().any(|(low, high)| (*low..=*high).contains(&number)))
}

fn day(message: &Message) -> Date {
    message.arrival.to_zoned(TimeZone::UTC).date()
}

fn date(word: &Word) -> Option<Date> {
    Date::strptime("%d-%b-%Y", word.text()?).ok()
}
