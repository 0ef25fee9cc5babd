//! May an address be written to, why not, and the decisions of persons: `rebond check`, `address`, `release`, `deny`,
//! `quarantine`.

use crate::place::{Place, Where};
use crate::{list, terminal};
use anyhow::bail;
use clap::Args;
use comfy_table::{Cell, Color};
use rebond::account::ListId;
use rebond::limits;
use rebond::standing::{self, Act, AddressKey, Cause, Deed, List, Standing, State};
use rebond::table::StandingItem;
use serde::Serialize;
use std::collections::HashMap;
use std::io::BufRead;
use std::process::ExitCode;

/// Addresses asked for at once.
const AT_ONCE: usize = 1_000;

/// Whether addresses may be written to.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Addresses; - reads them from standard input, one a line
    #[arg(required = true)]
    addresses: Vec<String>,
    /// On which list
    #[arg(long, default_value = List::DEFAULT)]
    list: ListId,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is known of an address.
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// Which address
    address: String,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// A decision about addresses.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// Addresses; - reads them from standard input, one a line
    #[arg(required = true)]
    addresses: Vec<String>,
    /// On which list
    #[arg(long, default_value = List::DEFAULT)]
    list: ListId,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Who decides
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// One answer.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    address: &'a str,
    list: &'a ListId,
    may_send: bool,
    #[serde(flatten)]
    standing: Standing,
}

/// Answers whether each address may be written to; exit code 5 where one may not.
pub async fn check(at: &Where, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let list = list::find(&place, &args.list).await?;
    let written = read(&args.addresses)?;
    let mut table = terminal::table(&["address", "may be written to", "standing", "reason", "since", "until"]);
    let mut all = true;
    for some in written.chunks(AT_ONCE) {
        let keys: Vec<AddressKey> = some.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let mut asked = keys.clone();
        asked.sort();
        asked.dedup();
        let items = place.table().standings(&asked, &list.id).await?;
        let items: HashMap<AddressKey, StandingItem> = items.into_iter().map(|i| (i.address.clone(), i)).collect();
        let holds = place.table().holds().await?;
        let now = jiff::Timestamp::now().as_second();
        for (text, key) in some.iter().zip(&keys) {
            let standing = items.get(key).map(|item| item.read(&list.thresholds, &holds, now));
            let standing = standing.unwrap_or_default();
            let may_send = standing.state.may_send();
            all &= may_send;
            if args.json {
                println!("{}", serde_json::to_string(&Answer { address: text, list: &list.id, may_send, standing })?);
            } else {
                table.add_row([
                    Cell::new(text),
                    if may_send { Cell::new("yes") } else { Cell::new("no").fg(Color::Red) },
                    Cell::new(standing.state.as_str()),
                    Cell::new(why(&standing)),
                    Cell::new(standing.since.map(terminal::time).unwrap_or_default()),
                    Cell::new(standing.ends.map(terminal::time).unwrap_or_default()),
                ]);
            }
        }
    }
    if !args.json {
        println!("{table}");
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(5) })
}

/// Arguments, or the lines of standard input.
pub fn read(addresses: &[String]) -> anyhow::Result<Vec<String>> {
    if addresses != ["-"] {
        return Ok(addresses.to_vec());
    }
    let mut all = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            all.push(line.trim().to_owned());
        }
    }
    Ok(all)
}

/// The reason of a standing in few words.
pub fn why(standing: &Standing) -> String {
    if let Some(incident) = &standing.held {
        return format!("held back: incident {incident}");
    }
    match (&standing.by, standing.reason) {
        (Some(act), _) => {
            let because = act.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("{} by {}{because}", act.deed.as_str(), act.who)
        }
        (None, Some(reason)) if standing.state == State::WithErrors => {
            format!("{} ({} counted)", reason.as_str(), standing.errors)
        }
        (None, Some(reason)) => reason.as_str().to_owned(),
        (None, None) => String::new(),
    }
}

/// Shows all that is on record of an address.
pub async fn show(at: &Where, args: &AddressArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let key: AddressKey = args.address.parse()?;
    let items = place.table().standings_of(&key).await?;
    let now = jiff::Timestamp::now().as_second();
    let lists: HashMap<ListId, List> = place.table().lists().await?.into_iter().map(|l| (l.id.clone(), l)).collect();
    let holds = place.table().holds().await?;
    // A list that was removed decides nothing any longer.
    let read = items.iter().filter_map(|item| {
        let list = lists.get(&item.list)?;
        Some((item, item.read(&list.thresholds, &holds, now)))
    });
    let read: Vec<(&StandingItem, Standing)> = read.collect();
    if args.json {
        let lists: Vec<serde_json::Value> = read
            .iter()
            .map(|(item, standing)| {
                serde_json::json!({ "list": item.list, "may_send": standing.state.may_send(), "standing": standing,
                    "causes": item.history.causes, "acts": item.history.acts })
            })
            .collect();
        println!("{}", serde_json::json!({ "address": key, "lists": lists }));
        return Ok(ExitCode::SUCCESS);
    }
    if read.is_empty() {
        println!("Nothing is on record of {key}: it may be written to.");
    }
    for (item, standing) in &read {
        tell(item, standing);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(item: &StandingItem, standing: &Standing) {
    println!("{} on the list {}: {}", item.address, item.list, standing.state.as_str());
    if let Some(written) = &item.written {
        println!("  written as    {written}");
    }
    let rows = [
        ("why", why(standing)),
        ("since", standing.since.map(terminal::time).unwrap_or_default()),
        ("until", standing.ends.map(terminal::time).unwrap_or_default()),
        ("held back by", standing.held.as_ref().map(|id| format!("incident {id}")).unwrap_or_default()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        println!("  {name:12}  {value}");
    }
    let mut table = terminal::table(&["when", "what", "reason", "status", "counts", "what was said", "report"]);
    let released = item.history.released().map_or(i64::MIN, |act| act.at / 1_000);
    let mut causes: Vec<&Cause> = item.history.causes.iter().collect();
    causes.sort_by_key(|cause| cause.at);
    for cause in causes {
        let counts = match cause.doubt {
            _ if cause.believed && !item.history.counts(cause) => "no: taken back".to_owned(),
            _ if cause.believed && cause.at <= released => "no: released".to_owned(),
            _ if cause.believed => "yes".to_owned(),
            Some(doubt) => format!("no, unproven: {}", doubt.sentence()),
            None => format!("no, unproven: {} is less than the list asks for", cause.proof.as_str()),
        };
        table.add_row([
            terminal::time(cause.at),
            cause.effect.as_str().to_owned(),
            match &cause.rule {
                Some(rule) => format!("{} (rule {rule})", cause.reason.as_str()),
                None => cause.reason.as_str().to_owned(),
            },
            cause.status.clone().unwrap_or_default(),
            counts,
            cause.said.clone().unwrap_or_default(),
            format!("{}/{:.12}", cause.account, cause.report),
        ]);
    }
    for act in &item.history.acts {
        let deed = act.deed.as_str().to_owned();
        let said = act.why.clone().unwrap_or_default();
        table.add_row([
            terminal::time(act.at / 1_000),
            deed,
            String::new(),
            String::new(),
            act.who.clone(),
            said,
            String::new(),
        ]);
    }
    println!("{table}");
    if !standing.state.may_send() {
        println!("\nTo take it back: rebond release {} --list {} --why \"…\"", item.address, item.list);
    }
}

/// Writes down a decision about each address.
pub async fn decide(at: &Where, deed: Deed, args: &DecideArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let list = list::find(&place, &args.list).await?;
    for text in read(&args.addresses)? {
        let key: AddressKey = text.parse()?;
        let now = jiff::Timestamp::now();
        let act = act(deed, &args.who, args.why.as_deref(), now)?;
        let (before, after) = decide_one(&place, &key, &list, &act).await?;
        if args.json {
            println!(
                "{}",
                serde_json::json!({ "address": key, "list": list.id, "before": before.state, "after": after.state })
            );
            continue;
        }
        let was = before.state.as_str();
        match after.state == before.state {
            true => println!("{key} stays {was} on the list {}.", list.id),
            false => println!("{key} was {was} on the list {}, and is {} now.", list.id, after.state.as_str()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A decision, checked.
pub fn act(deed: Deed, who: &str, why: Option<&str>, now: jiff::Timestamp) -> anyhow::Result<Act> {
    let fits = |text: &str| text.chars().count() <= limits::WHY_CHARS && !text.contains(char::is_control);
    if who.is_empty() || !fits(who) || !why.is_none_or(fits) {
        bail!("who decides, and why, must be one line of {} characters at most", limits::WHY_CHARS);
    }
    Ok(Act { at: now.as_millisecond(), deed, who: who.to_owned(), why: why.map(str::to_owned) })
}

/// Writes one decision; the standing before and after it.
pub async fn decide_one(
    place: &Place,
    key: &AddressKey,
    list: &List,
    act: &Act,
) -> anyhow::Result<(Standing, Standing)> {
    let now = act.at / 1_000;
    let changed = place.table().change_standing(key, list, None, now, |history| history.decide(act.clone())).await?;
    let read = |history| standing::read(history, &list.thresholds, now);
    Ok((read(&changed.0), read(&changed.1)))
}
