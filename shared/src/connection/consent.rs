//! An administrator consents for a whole directory; what waited for that goes on by itself.

use super::{Answer, Connector, Failed};
use crate::account::{App, AppId, Health, HealthState};
use crate::oauth::{IdTokenError, entra};
use crate::table::{AccountItem, AuthorizationOutcome, By, TableError};

impl Connector {
    /// What an administrator's answer means. That consent was given is the provider's word in the administrator's own
    /// browser; the proof is the token that the next poll gets.
    pub async fn by_admin(&self, id: &AppId, answer: &Answer, by: By<'_>) -> AuthorizationOutcome {
        match self.consent(id, answer, by).await {
            Ok(directory) => AuthorizationOutcome { connected: true, who: Some(directory), advice: None, said: None },
            Err(failed) => failed.outcome(),
        }
    }

    async fn consent(&self, id: &AppId, answer: &Answer, by: By<'_>) -> Result<String, Failed> {
        let app = self.grants.app(id).await?;
        answer.check_issuer(&app)?;
        // A refusal has been seen to carry `admin_consent=True` all the same.
        if let Some(refusal) = &answer.error {
            return Err(Failed::Provider(Box::new(refusal.clone())));
        }
        let directory = answer.tenant.as_deref().filter(|_| answer.consented).ok_or(Failed::NoCode)?;
        let directory: uuid::Uuid = directory.parse().map_err(|_| Failed::NoCode)?;
        if !entra::admits(&app.tenant, directory) {
            return Err(Failed::WhoSignedIn(IdTokenError::OtherTenant(directory)));
        }
        self.wake(&app, by).await?;
        Ok(directory.to_string())
    }

    /// Whatever needs no person is tried at once; whatever does is ready to be connected.
    async fn wake(&self, app: &App, by: By<'_>) -> Result<(), TableError> {
        let now = (self.clock)();
        for item in self.accounts_of(app).await? {
            let waits_for_person = item.account.needs_person() && item.principal.is_none();
            let (health, due) = match waits_for_person {
                true => (Health::new(item.account.enabled, true, now), None),
                false => (item.health.clone(), Some(now.as_second())),
            };
            self.table.set_health(&item.account.id, &health, due).await?;
            self.table.audit_health(&item, &health, by, now).await;
            tracing::info!(account = %item.account.id, app = %app.id, "consent was given");
        }
        Ok(())
    }

    /// Says of every account of an app that does not work yet that it waits for an administrator.
    pub async fn await_consent(&self, app: &App, by: By<'_>) -> Result<Vec<AccountItem>, TableError> {
        let now = (self.clock)();
        let waiting = self.accounts_of(app).await?;
        for item in &waiting {
            let health = item.health.broken(HealthState::NeedsConsent, "admin-consent-required", None, now);
            // The consent may be given elsewhere, as in the admin centre: whatever needs no person finds out for itself.
            let due = (!item.account.needs_person() || item.principal.is_some())
                .then(|| health.pause_seconds(item.account.period_seconds).map(|pause| now.as_second() + pause))
                .flatten();
            self.table.set_health(&item.account.id, &health, due).await?;
            self.table.audit_health(item, &health, by, now).await;
        }
        Ok(waiting)
    }

    async fn accounts_of(&self, app: &App) -> Result<Vec<AccountItem>, TableError> {
        let works = |item: &AccountItem| {
            // An account that opens itself is called active from the start; it works once a poll has said so.
            let polled = item.account.needs_person() || item.last_poll.is_some();
            item.health.state == HealthState::Disabled || (item.health.state == HealthState::Active && polled)
        };
        let mut items = self.table.accounts().await?;
        items.retain(|item| item.account.app() == Some(&app.id) && !works(item));
        Ok(items)
    }
}
