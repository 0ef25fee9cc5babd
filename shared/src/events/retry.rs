//! When what could not be told is tried again.

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// Seconds that an event is tried for: three days. Then it is a dead letter.
pub const LIFE_SECONDS: i64 = 3 * 86_400;
/// The first pause.
const FIRST: i64 = 60;
/// The longest, but for what a receiver asks for itself.
const LONGEST: i64 = 3_600;
/// The longest that a receiver is given.
const LONGEST_ASKED: i64 = 86_400;

/// Seconds to wait after so many failures in a row: a minute, doubled to an hour, of which half is chance (`chance` from
/// 0 to 999), so that what failed together does not come back together. What the receiver asked for is waited at the least.
pub fn pause(failures: u32, chance: u32, asked: Option<i64>) -> i64 {
    let whole = (FIRST << failures.saturating_sub(1).min(10)).min(LONGEST);
    let drawn = whole / 2 + whole / 2 * i64::from(chance.min(999)) / 999;
    drawn.max(asked.unwrap_or(0).clamp(0, LONGEST_ASKED))
}

/// `Retry-After` (RFC 9110 §10.2.3), in seconds from `now`.
pub fn retry_after(text: &str, now: Timestamp) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some((at.as_second() - now.as_second()).max(0))
}
