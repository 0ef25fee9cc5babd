//! `rebond reports`: the facts of one account.

use crate::place::Where;
use crate::{account, terminal};
use clap::Args;
use jiff::SignedDuration;
use rebond::account::AccountId;
use rebond::report::Kind;
use std::process::ExitCode;

/// Which facts.
#[derive(Debug, Args)]
pub struct ReportsArgs {
    /// Which account
    account: AccountId,
    /// At most so many reports, the newest first
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only what arrived in so many last days
    #[arg(long, value_name = "DAYS", default_value_t = 400)]
    days: u16,
    /// Other mail, too: what is no report
    #[arg(long)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(at: &Where, args: &ReportsArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    account::must_be_a_source(&place, &args.account).await?;
    let back = SignedDuration::from_hours(24 * i64::from(args.days));
    let since = jiff::Timestamp::now().saturating_sub(back)?;
    let mut facts = place.table().facts(&args.account, since, args.limit as usize).await?;
    if !args.all {
        facts.retain(|fact| fact.kind != Kind::Other);
    }
    if args.json {
        for fact in facts {
            println!("{}", serde_json::to_string(&fact)?);
        }
    } else if facts.is_empty() {
        println!("There are no reports of {} yet.", args.account);
    } else {
        println!("{}", terminal::outcomes(&facts));
    }
    Ok(ExitCode::SUCCESS)
}
