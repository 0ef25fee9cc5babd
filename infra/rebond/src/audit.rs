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
    /// Which account; none shows what was decided, undone and erased
    account: Option<AccountId>,
    /// At most so many entries, the newest first
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(at: &Where, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let limit = args.limit as usize;
    let entries = match &args.account {
        Some(account) => {
            account::find(&place, account).await?;
            place.table().audited(account, limit).await?
        }
        None => place.table().audited_whole(limit).await?,
    };
    if args.json {
        for entry in entries {
            println!("{}", serde_json::to_string(&entry)?);
        }
    } else if entries.is_empty() {
        let of = args.account.as_ref().map(|account| format!(" to {account}")).unwrap_or_default();
        println!("Nothing has happened{of} yet.");
    } else if args.account.is_none() {
        let mut table = terminal::table(&["when", "what", "who", "by", "of", "what was done"]);
        for entry in entries {
            let AuditEntry { at, event, who, function, run, said, .. } = entry;
            let (when, what) = (terminal::time(at / 1_000), event.as_str().to_owned());
            table.add_row([when, what, who.unwrap_or_default(), function, run, said.unwrap_or_default()]);
        }
        println!("{table}");
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
