//! What is listed page by page. A cursor says where the next page begins, and nothing that its holder could not ask for.

use crate::problem::Problem;
use crate::{Call, shape};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jiff::civil::Date;
use rebond::account::AccountId;
use rebond::limits;
use rebond::table::Spot;
use serde_json::{Value, json};

/// A page: what it holds, and the cursor of the next one.
pub fn page(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let cursor = next.map(|text| BASE64_URL_SAFE_NO_PAD.encode(text));
    let mut page = json!({ name: items });
    if let Some(cursor) = cursor {
        page["next"] = json!(cursor);
    }
    page
}

pub fn no_cursor() -> Problem {
    Problem::missing("no-such-page", "The cursor is none that an answer to this question gave: begin without one.")
}

/// The text within a cursor.
pub fn cursor(call: &Call<'_>) -> Result<Option<String>, Problem> {
    let Some(text) = call.query.get("cursor") else { return Ok(None) };
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| no_cursor())?;
    String::from_utf8(bytes).map(Some).map_err(|_| no_cursor())
}

/// Accounts, by name.
pub async fn accounts(call: &Call<'_>) -> Result<Value, Problem> {
    let limit = call.query.limit()?;
    let after: Option<AccountId> = match cursor(call)? {
        Some(text) => Some(text.parse().map_err(|_| no_cursor())?),
        None => None,
    };
    let mut all = call.table.readable_accounts().await?;
    all.sort_by(|a, b| a.account.id.cmp(&b.account.id));
    let mut rest = all.iter().filter(|item| after.as_ref().is_none_or(|after| item.account.id > *after));
    let items: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(items.last()).map(|last| last.account.id.to_string());
    Ok(page("accounts", items.into_iter().map(shape::account).collect(), next))
}

/// Incidents, the newest first.
pub async fn incidents(call: &Call<'_>) -> Result<Value, Problem> {
    let limit = call.query.limit()?;
    let all = call.table.incidents().await?;
    let from = match cursor(call)? {
        Some(id) => all.iter().position(|incident| incident.id == id).ok_or_else(no_cursor)? + 1,
        None => 0,
    };
    let items: Vec<_> = all.iter().skip(from).take(limit).collect();
    let next = (from + items.len() < all.len()).then(|| items.last().map(|last| last.id.clone())).flatten();
    Ok(page("incidents", items.into_iter().map(shape::incident).collect(), next))
}

/// Reports of one account, the newest first.
pub async fn reports(call: &Call<'_>) -> Result<Value, Problem> {
    let account = call.query.get("account").ok_or_else(|| Problem::bad("Say which account: account=…."))?;
    let no_account = || Problem::missing("no-such-account", format!("There is no account or instance {account:?}."));
    let since = call.query.get("since").map_or(Ok(0), since)?;
    let limit = call.query.limit()?;
    let from = cursor(call)?.map(|text| spot(&text, since)).transpose()?;
    let account: AccountId = account.parse().map_err(|_| no_account())?;
    // What was drawn from another deployment is recorded under its instance.
    if call.table.account(&account).await?.is_none() && call.table.instance(&account).await?.is_none() {
        return Err(no_account());
    }
    let found = call.table.fact_page(&account, since, limit, from.as_ref()).await?;
    let (mut items, mut bytes, mut next) = (Vec::new(), 0, found.next);
    for fact in &found.facts {
        let item = shape::report(fact);
        bytes += item.to_string().len();
        if bytes > limits::API_PAGE_BYTES && !items.is_empty() {
            break;
        }
        items.push(item);
    }
    if items.len() < found.facts.len() {
        let last = &found.facts[items.len() - 1];
        next = Some(Spot { arrived: last.arrived, key: last.key.clone() });
    }
    Ok(page("reports", items, next.map(|spot| format!("{} {}", spot.arrived, spot.key))))
}

/// Where a page begins: among the facts since then, or it is no cursor of this question.
fn spot(text: &str, since: i64) -> Result<Spot, Problem> {
    let (arrived, key) = text.split_once(' ').ok_or_else(no_cursor)?;
    let arrived: i64 = arrived.parse().map_err(|_| no_cursor())?;
    let hex = key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hex || arrived < since || Timestamp::from_second(arrived).is_err() {
        return Err(no_cursor());
    }
    Ok(Spot { arrived, key: key.to_owned() })
}

/// RFC 3339, or a date alone; seconds since 1970.
fn since(text: &str) -> Result<i64, Problem> {
    if text.len() != 10 {
        return time(text, "since");
    }
    let date: Date = text.parse().map_err(|_| no_time("since"))?;
    Ok(date.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX.as_second(), |time| time.timestamp().as_second()))
}

fn no_time(name: &str) -> Problem {
    Problem::bad(format!("{name} must be a time as 2026-01-31T12:00:00Z."))
}

/// RFC 3339; seconds since 1970.
pub fn time(text: &str, name: &str) -> Result<i64, Problem> {
    match text.parse::<Timestamp>() {
        Ok(time) => Ok(time.as_second()),
        // The last hours of the year 9999 have no timestamp.
        Err(_)
            if text.strip_prefix("9999-").is_some_and(|rest| format!("9998-{rest}").parse::<Timestamp>().is_ok()) =>
        {
            Ok(Timestamp::MAX.as_second())
        }
        Err(_) => Err(no_time(name)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", Some(1_769_860_800)),
            ("2026-01-31t12:00:00+01:00", Some(1_769_857_200)),
            ("2026-01-31", Some(1_769_817_600)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("9999-12-31T23:59:59Z", Some(Timestamp::MAX.as_second())),
            ("2026-01-31T12:00:00", None),
            ("yesterday", None),
            ("", None),
            ("1769860800", None),
        ] {
            assert_eq!(since(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_cursor_is_checked() {
        let key = "ab".repeat(32);
        assert!(spot(&format!("10 {key}"), 10).is_ok());
        for (text, since) in [
            (format!("9 {key}"), 10),
            (format!("x {key}"), 0),
            (format!("10 {}", "AB".repeat(32)), 0),
            ("10 ab#PART#1".to_owned(), 0),
            (format!("{} {key}", i64::MAX), 0),
            (String::new(), 0),
        ] {
            assert!(spot(&text, since).is_err(), "{text}");
        }
    }
}
