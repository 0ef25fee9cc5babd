//! `rebond forget`: deletes our copy of a grant, and says what only an administrator can do.

use crate::account;
use crate::place::{Place, Where};
use crate::quote::powershell;
use anyhow::bail;
use rebond::account::{AccountId, Health};
use rebond::table::{AccountItem, AuditEntry, AuditEvent, By, log_health};
use rebond::vault::Name;
use std::process::ExitCode;

/// Renewals that may come in between before we give up.
const TRIES: usize = 3;

pub async fn run(at: &Where, id: &AccountId) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    forget(&place, id).await?;
    Ok(ExitCode::SUCCESS)
}

/// Forgets who connected an account and deletes the grant; settings, cursors and facts stay.
pub async fn forget(place: &Place, id: &AccountId) -> anyhow::Result<()> {
    let item = disconnect(place, id).await?;
    place.vault().remove(&Name::Grant(id.clone())).await?;
    println!("{id} is disconnected and our copy of the grant is deleted; settings, cursors and facts stay.");
    let Some(who) = item.principal else { return Ok(()) };
    let app = match item.account.app() {
        Some(app) => place.table().app(app).await?,
        None => None,
    };
    if let Some(provider) = app.as_ref().and_then(|app| app.provider.as_ref()) {
        println!("\n{} still knows the grant: {} ends it in their account there.", provider.issuer, who.name);
        return Ok(());
    }
    println!("\nThe identity provider still knows the grant: Entra has no way for an app to revoke one.");
    println!("An administrator ends it with all other sessions of {} (Entra admin centre, Users,", who.name);
    println!("Revoke sessions), or in Microsoft Graph PowerShell:\n");
    println!("    Revoke-MgUserSignInSession -UserId {}", powershell(&who.subject));
    if let Some(app) = app {
        println!(
            "\nWho wants the consent gone, too, removes it under Enterprise applications, {}, Permissions.",
            app.client_id
        );
    }
    Ok(())
}

/// The table first: from then on nobody uses the grant. A renewal in between moves the generation: then once more.
async fn disconnect(place: &Place, id: &AccountId) -> anyhow::Result<AccountItem> {
    for _ in 0..TRIES {
        let item = account::find(place, id).await?;
        if item.account.app().is_none() {
            bail!("{id} is opened with a password: `rebond account password {id}` replaces it");
        }
        if !item.account.needs_person() {
            bail!("{id} is opened by its app itself: nobody is connected to it, and no grant is kept");
        }
        let now = jiff::Timestamp::now();
        if !place.table().disconnect_account(id, item.generation, now).await? {
            continue;
        }
        let by = By { function: "rebond forget", run: "by-hand" };
        let health = Health::disconnected(now);
        if health.differs(&item.health) {
            log_health(&item, &health, None, by);
        }
        let mut entry = AuditEntry::new(AuditEvent::Disconnected, by, now);
        entry.who = item.principal.as_ref().map(|who| who.name.clone());
        entry.health_from = Some(item.health.state);
        entry.health_to = Some(health.state);
        place.table().audit(id, &entry).await;
        return Ok(item);
    }
    bail!("the grant of {id} is being renewed over and over at this moment: try again")
}
