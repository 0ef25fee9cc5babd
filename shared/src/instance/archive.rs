//! What is on record, and mail as it came, copied to a place: of each account and day of arrival one object with its reports, one
//! JSON object a line, and beside it the kept mail of that day. It may be done any number of times: what is there already, the
//! same, is left alone; what changed since (a report that was read again, a person who was erased) is written over.

use crate::account::AccountId;
use crate::raw::{Key, RawError, Store};
use crate::table::{Fact, Table, TableError};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};

/// Facts read at once.
const FACTS: usize = 500;
/// Reports in one object.
const REPORTS: usize = 5_000;
/// Bytes of one line: a report with the most recipients there may be.
const LINE_BYTES: u64 = 64 << 20;

/// What was archived.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Archived {
    /// Reports that are there now.
    pub reports: u64,
    /// Objects with reports that were not there.
    pub added: u64,
    /// Objects that were there and were others.
    pub changed: u64,
    /// Objects that were there, the same.
    pub same: u64,
}

/// A fault of our own; what was archived stands.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The place, or kept mail.
    #[error(transparent)]
    Raw(#[from] RawError),
}

/// Archives the reports of an account that arrived since then (seconds since 1970, the beginning of a day).
pub async fn reports(
    table: &Table,
    account: &AccountId,
    since: i64,
    to: &Store,
    done: &mut Archived,
) -> Result<(), ArchiveError> {
    // The newest first, as they are listed: a day is whole when one of another day comes.
    let (mut day, mut of_day, mut from) = (None, Vec::new(), None);
    loop {
        let page = table.fact_page(account, since, FACTS, from.as_ref()).await?;
        for head in page.facts {
            let arrived = day_of(head.arrived);
            if day.as_ref() != Some(&arrived)
                && let Some(day) = day.replace(arrived)
            {
                write_day(account, &day, std::mem::take(&mut of_day), to, done).await?;
            }
            let whole = if head.parts == 0 { Some(head) } else { table.fact(account, &head.key).await? };
            of_day.extend(whole.map(|fact| Fact { parts: 0, ..fact }));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    match day {
        Some(day) => write_day(account, &day, of_day, to, done).await,
        None => Ok(()),
    }
}

fn day_of(arrived: i64) -> String {
    Timestamp::from_second(arrived).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

async fn write_day(
    account: &AccountId,
    day: &str,
    mut facts: Vec<Fact>,
    to: &Store,
    done: &mut Archived,
) -> Result<(), ArchiveError> {
    facts.sort_by(|a, b| (a.arrived, &a.key).cmp(&(b.arrived, &b.key)));
    for (number, some) in facts.chunks(REPORTS).enumerate() {
        let mut bytes = GzEncoder::new(Vec::new(), Compression::default());
        for fact in some {
            let line = serde_json::to_vec(fact).map_err(|error| TableError::Shape(error.to_string()))?;
            // A vector takes whatever is written to it.
            let _ = bytes.write_all(&line).and_then(|()| bytes.write_all(b"\n"));
        }
        copy(&Key::reports(account, day, number), bytes.finish().unwrap_or_default(), to, done).await?;
        done.reports += some.len() as u64;
    }
    Ok(())
}

/// Copies the kept mail of an account, or of all, since a day, from where it is kept.
pub async fn mail(
    from: &Store,
    account: Option<&AccountId>,
    since: &str,
    to: &Store,
    done: &mut Archived,
) -> Result<(), ArchiveError> {
    for key in from.list(account).await?.into_iter().filter(|key| !key.is_reports() && key.day() >= since) {
        if let Some(object) = from.get(&key).await? {
            copy(&key, object.bytes, to, done).await?;
        }
    }
    Ok(())
}

async fn copy(key: &Key, bytes: Vec<u8>, to: &Store, done: &mut Archived) -> Result<(), ArchiveError> {
    match to.get(key).await? {
        Some(there) if there.bytes == bytes => done.same += 1,
        there => {
            to.write(key, bytes).await?;
            match there {
                Some(_) => done.changed += 1,
                None => done.added += 1,
            }
        }
    }
    Ok(())
}

/// The reports in an object of an archive; what is no report is an error that names the line.
pub fn read(object: &[u8]) -> Result<Vec<Fact>, String> {
    let mut lines = BufReader::new(MultiGzDecoder::new(object));
    let (mut facts, mut number) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(facts);
        }
        number += 1;
        facts.push(serde_json::from_slice(&line).map_err(|error| format!("line {number}: {error}"))?);
        if facts.len() > REPORTS {
            return Err(format!("it has more than {REPORTS} lines"));
        }
    }
}

/// Objects with reports, by account of whoever archived them.
pub fn by_account(keys: impl IntoIterator<Item = Key>) -> BTreeMap<String, Vec<Key>> {
    let mut found: BTreeMap<String, Vec<Key>> = BTreeMap::new();
    for key in keys.into_iter().filter(Key::is_reports) {
        found.entry(key.account().to_owned()).or_default().push(key);
    }
    found
}
