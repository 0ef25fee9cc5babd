//! May an address be written to, why not, and what a person decided about it.

use crate::problem::Problem;
use crate::{Call, shape};
use rebond::account::ListId;
use rebond::limits;
use rebond::standing::{self, Act, AddressKey, Deed, History, List, Standing};
use rebond::table::StandingItem;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The body of a check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    addresses: Vec<String>,
    #[serde(default)]
    list: Option<String>,
}

/// The body of a decision.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    #[serde(default)]
    list: Option<String>,
    #[serde(default)]
    why: Option<String>,
}

/// The list that was named, or `default`.
pub async fn list(call: &Call<'_>, named: Option<&str>) -> Result<List, Problem> {
    let name = named.unwrap_or(List::DEFAULT);
    let none = || Problem::missing("no-such-list", format!("There is no list {name:?}."));
    let id: ListId = name.parse().map_err(|_| none())?;
    call.table.list(&id).await?.ok_or_else(none)
}

fn key(address: &str) -> Result<AddressKey, Problem> {
    address.parse().map_err(|error: standing::NoAddress| Problem::missing("no-address", error.to_string()))
}

/// Whether each of some addresses may be written to, in the order in which they were asked.
pub async fn check(call: &Call<'_>) -> Result<Value, Problem> {
    let asked: Asked = call.body.json()?;
    if asked.addresses.is_empty() || asked.addresses.len() > limits::API_ADDRESSES {
        return Err(Problem::bad(format!("Ask about 1 to {} addresses at once.", limits::API_ADDRESSES)));
    }
    let list = list(call, asked.list.as_deref()).await?;
    let parsed: Vec<Result<AddressKey, String>> = asked
        .addresses
        .iter()
        .map(|text| text.parse().map_err(|error: standing::NoAddress| error.to_string()))
        .collect();
    let mut wanted: Vec<AddressKey> = parsed.iter().flatten().cloned().collect();
    wanted.sort();
    wanted.dedup();
    let items = call.table.standings(&wanted, &list.id).await?;
    let items: HashMap<&AddressKey, &StandingItem> = items.iter().map(|item| (&item.address, item)).collect();
    let (holds, now) = (call.table.holds().await?, call.now.as_second());
    let results: Vec<Value> = (asked.addresses.iter().zip(&parsed))
        .map(|(written, parsed)| match parsed {
            Ok(key) => {
                let read = items.get(key).map(|item| item.read(&list.thresholds, &holds, now));
                let mut result = shape::standing(&read.unwrap_or_default());
                result["address"] = json!(written);
                result
            }
            // One that cannot be read must not keep the answers about the others back.
            Err(error) => json!({ "address": written, "may_send": false, "error": error }),
        })
        .collect();
    Ok(json!({ "list": list.id, "results": results }))
}

/// All that is on record of one address.
pub async fn show(call: &Call<'_>, address: &str) -> Result<Value, Problem> {
    let key = key(address)?;
    let lists: HashMap<ListId, List> = call.table.lists().await?.into_iter().map(|l| (l.id.clone(), l)).collect();
    let (holds, now) = (call.table.holds().await?, call.now.as_second());
    let items = call.table.standings_of(&key).await?;
    // A list that was removed decides nothing any longer.
    let lists = items.iter().filter_map(|item| {
        let list = lists.get(&item.list)?;
        Some(shape::record(item, &item.read(&list.thresholds, &holds, now)))
    });
    Ok(json!({ "address": key, "lists": lists.collect::<Vec<_>>() }))
}

/// Writes down a decision about an address.
pub async fn decide(call: &Call<'_>, address: &str, deed: Deed) -> Result<Value, Problem> {
    let decision: Decision = call.body.json_or_nothing()?;
    let key = key(address)?;
    let fits = |text: &String| text.chars().count() <= limits::WHY_CHARS && !text.contains(char::is_control);
    if !decision.why.as_ref().is_none_or(fits) {
        return Err(Problem::bad(format!("why must be one line of {} characters at most.", limits::WHY_CHARS)));
    }
    let list = list(call, decision.list.as_deref()).await?;
    let who = format!("{} (key)", call.key.id);
    let act = Act { at: call.now.as_millisecond(), deed, who, why: decision.why };
    let (before, after) = {
        let decide = |all: &mut History| all.decide(act.clone());
        call.table.change_standing(&key, &list, None, call.now.as_second(), decide).await?
    };
    let read = |history| -> Standing { standing::read(history, &list.thresholds, call.now.as_second()) };
    let (before, after) = (read(&before), read(&after));
    tracing::info!(key = %call.key.id, list = %list.id, deed = deed.as_str(), "decided by a key");
    Ok(json!({ "address": key, "list": list.id, "before": before.state, "after": shape::standing(&after) }))
}
