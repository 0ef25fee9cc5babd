//! `rebond audit`: who connected an account, when its grant was renewed, what failed, who disconnected it.

use crate::place::Where;
use crate::{account, terminal};
use clap::Args;
use rebond::account::{AccountId, HealthState};
use rebond::table::AuditEntry;
use std::process::ExitCode;

/// Which entries.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Which account
    account: AccountId,
    /// At most so many entries, the newest first
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(at: &Where, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    account::find(&place, &args.account).await?;
    let entries = place.table().audited(&args.account, args.limit as usize).await?;
    if args.json {
        for entry in entries {
            println!("{}", serde_json::to_string(&entry)?);
        }
    } else if entries.is_empty() {
        println!("Nothing has happened to {} yet.", args.account);
    } else {
        let mut table = terminal::table(&["when", "what", "who", "by", "run", "health", "advice"]);
        for entry in entries {
            table.add_row(row(entry));
        }
        println!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(entry: AuditEntry) -> [String; 7] {
    let word = |state: Option<HealthState>| state.map_or("", HealthState::as_str);
    let health = match (entry.health_from, entry.health_to) {
        (None, None) => String::new(),
        (from, to) => format!("{} → {}", word(from), word(to)),
    };
    [
        terminal::time(entry.at / 1_000),
        entry.event.as_str().to_owned(),
        entry.who.unwrap_or_default(),
        entry.function,
        entry.run,
        health,
        entry.advice.unwrap_or_default(),
    ]
}
