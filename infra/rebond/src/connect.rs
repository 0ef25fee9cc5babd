//! `rebond connect`: the invitation for whoever can sign in to the mailbox.

use crate::account;
use crate::place::{Place, Where};
use anyhow::{Context, bail};
use rebond::account::{AccountId, App};
use rebond::oauth::Invitation;
use rebond::table::AccountItem;
use rebond::vault::signing_key;
use std::process::ExitCode;

pub(crate) async fn run(at: &Where, id: &AccountId) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let item = account::find(&place, id).await?;
    let Some(app_id) = item.account.app() else {
        bail!("{id} is opened with a password: there is nothing to connect. Next: rebond poll {id}");
    };
    let app = place.table().app(app_id).await?.with_context(|| format!("there is no app {app_id}"))?;
    let link = invitation(&place, &item, &app).await?;
    println!("{link}");
    eprintln!("\nOpen this link in a browser, or send it to whoever can sign in to {}.", item.account.mailbox);
    eprintln!("It is valid for 7 days, or until the account is connected.");
    if at.stack.is_none() && !is_served(&app).await {
        eprintln!("Nothing answers there yet: run `rebond serve` first.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The link: the redirect URI's own origin serves the start, too.
pub async fn invitation(place: &Place, item: &AccountItem, app: &App) -> anyhow::Result<String> {
    let key = signing_key(&*place.vault()).await?;
    let id = &item.account.id;
    let text = Invitation::new(jiff::Timestamp::now()).sign(&key, id, item.connection);
    let mut link = url::Url::parse(&app.redirect_uri).context("the app's redirect URI")?;
    link.set_path(&format!("/oauth/start/{id}"));
    link.query_pairs_mut().append_pair("invitation", &text);
    Ok(link.into())
}

async fn is_served(app: &App) -> bool {
    let Some((host, port)) = url::Url::parse(&app.redirect_uri)
        .ok()
        .and_then(|uri| Some((uri.host_str()?.to_owned(), uri.port_or_known_default()?)))
    else {
        return false;
    };
    tokio::net::TcpStream::connect((host.as_str(), port)).await.is_ok()
}
