//! `rebond export` and `rebond import`: standings as CSV (RFC 4180) or JSON Lines.

use crate::address::{act, decide_one};
use crate::place::{Place, Where};
use crate::terminal::Bar;
use crate::{csv, list};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rebond::account::ListId;
use rebond::poll::Progress;
use rebond::standing::{self, AddressKey, Deed, List, State};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated values with a heading
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// Where standings go.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file; an export that was broken off goes on where it stopped when it is given again
    file: PathBuf,
    /// Its form [default: by its name, .csv or .jsonl]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only this list
    #[arg(long)]
    list: Option<ListId>,
    /// What may be written to, too
    #[arg(long)]
    all: bool,
}

/// Where decisions come from.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file: CSV with a column `address` and, if need be, `list`, `state` (quarantined, denied) and `why`; or JSON Lines with
    /// these fields
    file: PathBuf,
    /// Its form [default: by its name, .csv or .jsonl]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Onto which list, whatever a row says [default: the one in the row's column `list`, or else `default`]
    #[arg(long)]
    list: Option<ListId>,
    /// What rows without a state become: quarantined or denied
    #[arg(long, default_value = "quarantined", value_parser = ["quarantined", "denied"])]
    state: String,
    /// Rows to leave out at the beginning: those that an import before this one has done
    #[arg(long, default_value_t = 0, value_name = "ROWS")]
    skip: u64,
    /// Who decides
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
}

/// One row of an export; an import reads the first four.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    /// Our reason; empty where a person decided.
    #[serde(default)]
    reason: String,
    /// The number that Adobe Campaign has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adobe_reason_code: Option<u8>,
}

const COLUMNS: [&str; 8] = ["address", "list", "state", "why", "since", "until", "reason", "adobe_reason_code"];

/// How far an export came: beside the unfinished file.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    bytes: u64,
    rows: u64,
    next: (String, String),
}

fn format(path: &Path, said: Option<Format>) -> anyhow::Result<Format> {
    match (said, path.extension().and_then(|end| end.to_str())) {
        (Some(format), _) => Ok(format),
        (None, Some("csv")) => Ok(Format::Csv),
        (None, Some("jsonl" | "ndjson")) => Ok(Format::Jsonl),
        _ => bail!("{}: say its form by --format csv or --format jsonl", path.display()),
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

pub async fn export(at: &Where, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let format = format(&args.file, args.format)?;
    let place = at.open().await?;
    let lists: HashMap<ListId, List> = place.table().lists().await?.into_iter().map(|l| (l.id.clone(), l)).collect();
    let holds = place.table().holds().await?;
    let (part, marked) = (beside(&args.file, ".part"), beside(&args.file, ".part.mark"));
    let mark: Option<Mark> = match std::fs::read(&marked) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).with_context(|| format!("{}", marked.display()))?),
        Err(_) => None,
    };
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&part);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", part.display()))?;
    let (mut bytes, mut rows, mut next) = mark.map_or((0, 0, None), |mark| (mark.bytes, mark.rows, Some(mark.next)));
    if next.is_some() {
        eprintln!("Going on behind {rows} rows.");
    }
    // What was written behind the mark is written again.
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes))?;
    let bar = Bar::new();
    bar.folder("exporting", 0);
    if bytes == 0 && format == Format::Csv {
        let heading = csv::line(COLUMNS);
        file.write_all(heading.as_bytes())?;
        bytes += heading.len() as u64;
    }
    loop {
        let page = place.table().scan_standings(next).await?;
        let now = jiff::Timestamp::now().as_second();
        let mut text = String::new();
        for item in page.items.iter().filter(|item| args.list.as_ref().is_none_or(|only| *only == item.list)) {
            let Some(list) = lists.get(&item.list) else { continue };
            let standing = item.read(&list.thresholds, &holds, now);
            if !args.all && standing.state.may_send() {
                continue;
            }
            let row = Row {
                address: item.address.to_string(),
                list: Some(item.list.to_string()),
                state: standing.state.as_str().to_owned(),
                why: crate::address::why(&standing),
                since: standing.since.map(stamp).unwrap_or_default(),
                until: standing.ends.map(stamp).unwrap_or_default(),
                reason: standing.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
                adobe_reason_code: Some(standing::adobe_reason_code(&standing)),
            };
            match format {
                Format::Jsonl => text += &format!("{}\n", serde_json::to_string(&row)?),
                Format::Csv => {
                    let list = row.list.as_deref().unwrap_or_default();
                    let code = row.adobe_reason_code.map(|code| code.to_string()).unwrap_or_default();
                    let known = [&row.state, &row.why, &row.since, &row.until, &row.reason, &code];
                    text += &csv::line([row.address.as_str(), list].into_iter().chain(known.map(String::as_str)));
                }
            }
            rows += 1;
            bar.recorded(1);
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        bytes += text.len() as u64;
        next = page.next;
        let Some(next) = &next else { break };
        std::fs::write(&marked, serde_json::to_vec(&Mark { bytes, rows, next: next.clone() })?)?;
    }
    bar.finish();
    std::fs::rename(&part, &args.file)?;
    let _ = std::fs::remove_file(&marked);
    println!("{rows} standings are in {}.", args.file.display());
    Ok(ExitCode::SUCCESS)
}

/// RFC 3339.
fn stamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

pub async fn import(at: &Where, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let format = format(&args.file, args.format)?;
    let place = at.open().await?;
    if let Some(list) = &args.list {
        list::find(&place, list).await?;
    }
    let lists = place.table().lists().await?;
    let file = File::open(&args.file).with_context(|| format!("{}", args.file.display()))?;
    let bytes = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let heading = match format {
        Format::Csv => csv::record(&mut reader)?.context("the file is empty")?,
        Format::Jsonl => vec![],
    };
    if format == Format::Csv && !heading.iter().any(|name| name.trim_start_matches('\u{feff}') == "address") {
        bail!("{}: its first line names no column `address`", args.file.display());
    }
    let bar = Bar::new();
    bar.folder("importing", bytes);
    let (mut rows, mut changed, mut refused, mut told) = (0u64, 0u64, 0u64, 0u64);
    while let Some(row) = next_row(&mut reader, format, &heading)? {
        rows += 1;
        if rows <= args.skip {
            continue;
        }
        let done = match row {
            Ok(row) => one(&place, &lists, args, &row).await,
            Err(error) => Err(Refused::Row(error)),
        };
        match done {
            Ok(true) => changed += 1,
            Ok(false) => {}
            Err(Refused::Row(error)) => {
                refused += 1;
                eprintln!("row {rows} is left out: {error:#}");
            }
            Err(Refused::Ours(error)) => {
                bar.finish();
                let done = rows - 1;
                return Err(error.context(format!("{done} rows are done; go on with: --skip {done}")));
            }
        }
        let position = reader.stream_position()?;
        bar.recorded(position - told);
        told = position;
    }
    bar.finish();
    println!("{rows} rows read: {changed} standings changed, {refused} rows left out, the others stood so already.");
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why a row was not done.
enum Refused {
    Row(anyhow::Error),
    Ours(anyhow::Error),
}

/// Writes one row's decision; `false` where the standing is that already, so that an import may be given again.
async fn one(place: &Place, lists: &[List], args: &ImportArgs, row: &Row) -> Result<bool, Refused> {
    let of_row = |error: anyhow::Error| Refused::Row(error);
    let of_the_row = row.list.as_deref().filter(|list| !list.is_empty());
    let name = args.list.as_ref().map_or(of_the_row.unwrap_or(List::DEFAULT), ListId::as_str);
    let list = lists.iter().find(|list| list.id.as_str() == name);
    let list = list.ok_or_else(|| of_row(anyhow::anyhow!("there is no list {name:?}: add it, or say --list")))?;
    let key: AddressKey = row.address.parse().map_err(|error: standing::NoAddress| of_row(error.into()))?;
    let state = if row.state.is_empty() { &args.state } else { &row.state };
    let (deed, wanted) = match state.as_str() {
        "quarantined" => (Deed::Quarantined, State::Quarantined),
        "denied" => (Deed::Denied, State::Denied),
        // An export with --all may hold them.
        "valid" | "with-errors" => return Ok(false),
        other => return Err(of_row(anyhow::anyhow!("{other:?} is no state: say quarantined or denied"))),
    };
    let why = (!row.why.is_empty()).then_some(row.why.as_str());
    let act = act(deed, &format!("{} (import)", args.who), why, jiff::Timestamp::now()).map_err(of_row)?;
    let found = place.table().standing(&key, &list.id).await.map_err(|error| Refused::Ours(error.into()))?;
    let stands = found.map(|item| standing::read(&item.history, &list.thresholds, act.at / 1_000).state);
    if stands.unwrap_or_default() >= wanted {
        return Ok(false);
    }
    decide_one(place, &key, list, &act).await.map_err(Refused::Ours)?;
    Ok(true)
}

fn next_row(
    reader: &mut BufReader<File>,
    format: Format,
    heading: &[String],
) -> anyhow::Result<Option<anyhow::Result<Row>>> {
    match format {
        Format::Csv => {
            let Some(values) = csv::record(reader)? else { return Ok(None) };
            let value = |name: &str| {
                let at = heading.iter().position(|column| column.trim_start_matches('\u{feff}') == name);
                at.and_then(|at| values.get(at)).cloned().unwrap_or_default()
            };
            let (address, list, state, why) = (value("address"), value("list"), value("state"), value("why"));
            let none = String::new;
            let row = Row {
                address,
                list: Some(list),
                state,
                why,
                since: none(),
                until: none(),
                reason: none(),
                adobe_reason_code: None,
            };
            Ok(Some(Ok(row)))
        }
        Format::Jsonl => loop {
            let mut line = String::new();
            if reader.by_ref().take(csv::RECORD_BYTES).read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if !line.trim().is_empty() {
                return Ok(Some(serde_json::from_str(&line).map_err(Into::into)));
            }
        },
    }
}
