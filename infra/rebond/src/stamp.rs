//! `rebond stamp`: a return address that proves its own bounce.

use crate::place::Where;
use crate::{address, list};
use anyhow::Context;
use clap::Args;
use rebond::account::ListId;
use rebond::proof::{Level, tag};
use rebond::standing::{AddressKey, List};
use rebond::vault::signing_key;
use std::io::Write;
use std::process::ExitCode;

/// For which mail.
#[derive(Debug, Args)]
pub struct StampArgs {
    /// The recipient of each mail; - reads a line for each from standard input
    #[arg(required = true)]
    recipients: Vec<String>,
    /// The address that bounces come back to; mail to NAME+…@DOMAIN must reach its mailbox
    #[arg(long, value_name = "NAME@DOMAIN")]
    from: String,
    /// The list that the mail belongs to
    #[arg(long, default_value = List::DEFAULT)]
    list: ListId,
}

pub async fn run(at: &Where, args: &StampArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let mut list = list::find(&place, &args.list).await?;
    let key = signing_key(&*place.vault()).await?;
    let now = jiff::Timestamp::now().as_second();
    // All are understood before the first is printed: line by line they belong together.
    let recipients: Vec<AddressKey> = address::read(&args.recipients)?
        .iter()
        .map(|text| text.parse().with_context(|| format!("{text} is no address")))
        .collect::<anyhow::Result<_>>()?;
    let mut out = std::io::stdout().lock();
    for recipient in &recipients {
        writeln!(out, "{}", tag::stamp(&args.from, recipient, &list.id, &key, now)?)?;
    }
    if list.proof == Level::Ours {
        list.proof = Level::Signed;
        place.table().put_list(&list, false).await?;
        eprintln!(
            "From this first stamp on the list {} asks for signed addresses: other bounces are recorded and suppress nobody. \
             To take it back: rebond list set {} --proof ours",
            list.id, list.id
        );
    }
    Ok(ExitCode::SUCCESS)
}
