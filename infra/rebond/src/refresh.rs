//! `rebond refresh`: renew one grant now.

use crate::account;
use crate::place::{Place, Where, invoke};
use rebond::account::AccountId;
use rebond::grant::GrantFault;
use rebond_token_refresh::Summary;
use std::process::ExitCode;

pub async fn run(at: &Where, id: &AccountId) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    account::find(&place, id).await?;
    let summary: Result<Summary, anyhow::Error> = match &place {
        Place::Machine(machine) => {
            let renewed = machine.token_refresh().run(Some(id), "by-hand", jiff::Timestamp::now()).await;
            renewed.map_err(|fault| match fault {
                GrantFault::NotConnected => anyhow::anyhow!("{id} is not connected: rebond connect {id}"),
                fault => fault.into(),
            })
        }
        Place::Stack(stack) => invoke(stack, "token-refresh", &serde_json::json!({ "account": id })).await,
    };
    if summary?.renewed == 1 {
        println!("The grant of {id} is renewed.");
        return Ok(ExitCode::SUCCESS);
    }
    let item = account::find(&place, id).await?;
    println!("The grant of {id} could not be renewed. Health: {}", item.health.state.as_str());
    account::tell_advice(&place, &item, &item.health, at.language()).await?;
    Ok(ExitCode::from(3))
}
