//! `rebond token`: what is in the access token, beside what the mail server wants in it; never the token.

use crate::place::Where;
use crate::{account, terminal};
use anyhow::bail;
use clap::Args;
use rebond::account::AccountId;
use rebond::grant::GrantFault;
use rebond::oauth::claims;
use std::process::ExitCode;

/// Whose token.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Which account
    account: AccountId,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(at: &Where, args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let item = account::find(&place, &args.account).await?;
    let id = &item.account.id;
    let Some(app) = item.account.app() else { bail!("{id} is opened with a password: there is no token") };
    let app = crate::app::whole(&place, app).await?;
    let token = match place.connector()?.grants.acting_as("rebond token", "by-hand").access_token(&item).await {
        Ok(token) => token,
        Err(GrantFault::NotConnected) => bail!("{id} is not connected: rebond connect {id}"),
        Err(fault) => return Err(fault.into()),
    };
    let Some(read) = claims::claims(&token) else {
        println!("The token of {id} is opaque: only its provider and the mail server can read it.");
        return Ok(ExitCode::SUCCESS);
    };
    let mut rows = claims::compare(&read, &item.account, &app, jiff::Timestamp::now().as_second());
    rows.extend(claims::to_send(&read, &item.account, &app));
    let good = rows.iter().all(|row| row.good);
    if args.json {
        println!("{}", serde_json::json!({ "account": id, "good": good, "claims": rows }));
    } else {
        let mut table = terminal::table(&["claim", "in the token", "wanted", ""]);
        for row in rows {
            table.add_row([row.name, &row.found, &row.wanted, if row.good { "" } else { "← differs" }]);
        }
        println!("{table}");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
