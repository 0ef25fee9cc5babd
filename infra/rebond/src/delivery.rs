//! `rebond delivery`: what senders told of their mail, and what came back of it.

use crate::place::{Place, Where};
use crate::terminal;
use anyhow::Context;
use clap::Subcommand;
use rebond::delivery::{Counts, DeliveryId};
use rebond::table::DeliveryItem;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Deliveries read at once.
const PAGE: usize = 100;
/// Destinations shown; `--json` has them all.
const DESTINATIONS: usize = 20;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum DeliveryCommand {
    /// Show all deliveries that senders told of (POST /api/v1/deliveries), the newest first
    #[command(after_help = "Examples:
  rebond delivery list
  rebond delivery list --json")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what came back of one delivery: rates, by destination and by reason
    #[command(after_help = "Examples:
  rebond delivery list
  rebond delivery show march-news

Each address counts once, by the gravest that is known of it. `refused` is for the sender or the content, and says nothing
about the address. `delivered` is what did not come back.")]
    Show {
        /// Which delivery
        id: DeliveryId,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(at: &Where, command: DeliveryCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        DeliveryCommand::List { json } => list(&place, json).await?,
        DeliveryCommand::Show { id, json } => show(&place, &id, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(place: &Place) -> anyhow::Result<Vec<DeliveryItem>> {
    let mut all: Vec<DeliveryItem> = Vec::new();
    loop {
        let after = all.last().map(|item| item.delivery.id.clone());
        let page = place.table().deliveries(after.as_ref(), PAGE).await?;
        let last = page.is_empty();
        all.extend(page);
        if last {
            all.sort_by(|a, b| (b.delivery.opened, &a.delivery.id).cmp(&(a.delivery.opened, &b.delivery.id)));
            return Ok(all);
        }
    }
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let all = all(place).await?;
    if json {
        for item in all {
            println!("{}", as_json(&item));
        }
        return Ok(());
    }
    if all.is_empty() {
        println!("Nobody told of a delivery: POST /api/v1/deliveries, see docs/api.md.");
        return Ok(());
    }
    let mut table = terminal::table(&["delivery", "list", "opened", "closes", "sent", "route"]);
    for DeliveryItem { delivery, closed, .. } in all {
        let closes = terminal::time(delivery.closes);
        table.add_row([
            delivery.id.to_string(),
            delivery.list.to_string(),
            terminal::time(delivery.opened),
            if closed.is_some() { format!("{closes} (closed)") } else { closes },
            number(delivery.sent),
            delivery.route.map(|route| route.to_string()).unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// 0 says that the sender did not.
fn number(sent: u64) -> String {
    if sent > 0 { sent.to_string() } else { String::new() }
}

async fn show(place: &Place, id: &DeliveryId, json: bool) -> anyhow::Result<()> {
    let item = place.table().delivery(id).await?;
    let item = item.with_context(|| format!("there is no delivery {id}: see `rebond delivery list`"))?;
    let (delivery, tally) = (&item.delivery, place.table().tally(&item.delivery).await?);
    if json {
        let mut json = as_json(&item);
        json["total"] = json!(tally.total);
        json["delivered"] = json!(tally.total.delivered());
        json["reasons"] = json!(tally.reasons);
        json["domains"] = json!(tally.domains);
        println!("{json}");
        return Ok(());
    }
    println!("{id} on the list {}", delivery.list);
    println!("  {:12}  {} to {}", "time", terminal::time(delivery.opened), terminal::time(delivery.closes));
    if let Some(closed) = &item.closed {
        let failed = closed.total.failed();
        let activity = closed.activity.as_ref().map(|activity| format!(", {activity:?} was told")).unwrap_or_default();
        println!("  {:12}  {}: {failed} had failed{activity}", "closed", terminal::time(closed.at));
    }
    let total = &tally.total;
    for (name, count) in [
        ("sent", Some(total.sent).filter(|sent| *sent > 0)),
        ("delivered", total.delivered()),
        ("hard", Some(total.hard)),
        ("soft", Some(total.soft)),
        ("refused", Some(total.refused)),
        ("complaints", Some(total.complaints)),
        ("auto-replies", Some(total.auto_replies)),
        ("confirmed", Some(total.confirmed)),
    ] {
        let Some(count) = count else { continue };
        let rate = total.rate(count).filter(|_| name != "sent");
        let rate = rate.map(|rate| format!("  {:.2} %", rate * 100.0)).unwrap_or_default();
        println!("  {name:12}  {count}{rate}");
    }
    if !tally.reasons.is_empty() {
        let mut reasons: Vec<_> = tally.reasons.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), **reason));
        let reasons: Vec<String> =
            reasons.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        println!("  {:12}  {}", "reasons", reasons.join(", "));
    }
    let mut domains: Vec<(&String, &Counts)> = tally.domains.iter().collect();
    domains.sort_by_key(|(domain, counts)| (std::cmp::Reverse((counts.failed(), counts.sent)), *domain));
    if domains.is_empty() {
        return Ok(());
    }
    let mut table = terminal::table(&["destination", "sent", "hard", "soft", "refused", "complaints"]);
    for (domain, counts) in domains.iter().take(DESTINATIONS) {
        let cells = [counts.hard, counts.soft, counts.refused, counts.complaints].map(|count| count.to_string());
        table.add_row([vec![(*domain).clone(), number(counts.sent)], cells.to_vec()].concat());
    }
    println!("{table}");
    let more = domains.len().saturating_sub(DESTINATIONS);
    if more > 0 {
        println!("{more} more destinations: --json shows them.");
    }
    Ok(())
}

/// What was told, and what was told of its end.
fn as_json(item: &DeliveryItem) -> Value {
    let mut json = json!(item.delivery);
    if let Some(closed) = &item.closed {
        json["closed"] = json!(closed);
    }
    json
}
