//! On a schedule: grants are renewed before they lapse, so that a poll seldom waits for the provider, and a mailbox
//! that nobody mails to does not lose its grant.

use jiff::{SignedDuration, Timestamp};
use rebond::account::{AccountId, App, Authentication, Ending, Forecast, HealthState};
use rebond::grant::{GrantFault, Grants};
use rebond::table::{AccountItem, By, Table, TableError, Warned};
use serde::{Deserialize, Serialize};

/// The function's name in log and audit.
const FUNCTION: &str = "token-refresh";
/// Access tokens that end within this time are renewed: twice the pause of the schedule …
pub const HORIZON: SignedDuration = SignedDuration::from_mins(30);
/// … and up to one pause more, each account by its own name, so that those connected together are not renewed together.
pub const JITTER: SignedDuration = SignedDuration::from_mins(15);
/// An account that is not polled is renewed this often; Entra forgets a grant after 90 idle days.
const KEEP_ALIVE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the function needs.
#[derive(Clone)]
pub struct TokenRefresh {
    /// State.
    pub table: Table,
    /// The token endpoint.
    pub grants: Grants,
}

/// What one run did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Correlation id of the run.
    pub run: String,
    /// Accounts with a grant.
    pub accounts: u64,
    /// Grants that were renewed.
    pub renewed: u64,
    /// Grants that could not be.
    pub failed: u64,
}

impl TokenRefresh {
    /// Renews what ends within the horizon, or one account whatever its end.
    pub async fn run(&self, only: Option<&AccountId>, run: &str, now: Timestamp) -> Result<Summary, GrantFault> {
        let mut summary = Summary { run: run.to_owned(), ..Summary::default() };
        if only.is_none() {
            self.forecast_credentials(run, now).await?;
        }
        let grants = self.grants.acting_as(FUNCTION, run);
        for item in self.candidates(only).await? {
            let account = &item.account.id;
            summary.accounts += 1;
            self.forecast(&item, run, now).await?;
            if only.is_none() && !is_due(&item, now) {
                continue;
            }
            match grants.renew(&item).await {
                Ok(_) => {
                    tracing::info!(account = %account, run, "grant renewed");
                    summary.renewed += 1;
                    self.mend(&item, run, now).await?;
                }
                Err(fault) if fault.is_ours() => return Err(fault),
                Err(fault) => {
                    summary.failed += 1;
                    self.note(&item, &fault, run, now).await?;
                }
            }
        }
        Ok(summary)
    }

    async fn candidates(&self, only: Option<&AccountId>) -> Result<Vec<AccountItem>, GrantFault> {
        let mut items = match only {
            Some(id) => vec![self.table.account(id).await?.ok_or(GrantFault::NotConnected)?],
            None => self.table.readable_accounts().await?,
        };
        items.retain(|item| {
            matches!(item.account.authentication, Authentication::OauthUser { .. }) && item.principal.is_some()
        });
        match items.is_empty() && only.is_some() {
            true => Err(GrantFault::NotConnected),
            false => Ok(items),
        }
    }

    /// Warns 30, 7 and 1 days before a grant ends by itself, each once.
    async fn forecast(&self, item: &AccountItem, run: &str, now: Timestamp) -> Result<(), TableError> {
        let Some(forecast) = item.forecast() else { return Ok(()) };
        let Some(warned) = warning(forecast, now) else { return Ok(()) };
        let told = |before: Warned| before.ends == warned.ends && before.days <= warned.days;
        if item.warned.is_some_and(told) || !self.table.warn_of_grant(&item.account.id, warned).await? {
            return Ok(());
        }
        let (account, ends) = (&item.account.id, forecast.ends);
        let days_left = forecast.days_left(now);
        let advice = match forecast.ending {
            Ending::SignIn => Some("sign-in-frequency"),
            _ => item.health.advice.as_deref(),
        };
        let health = item.health.state.as_str();
        tracing::warn!(account = %account, run, ending = forecast.ending.as_str(), %ends, days_left, health, advice,
            "a grant ends soon");
        Ok(())
    }

    /// The same of the client secrets and certificates whose end was said when they were stored.
    async fn forecast_credentials(&self, run: &str, now: Timestamp) -> Result<(), TableError> {
        for app in self.table.readable_apps().await? {
            // Boxed for what the compiler can measure.
            Box::pin(self.learn(&app, run)).await;
            let Some(forecast) = app.credential_ends.map(Forecast::of_credential) else { continue };
            let Some(warned) = warning(forecast, now) else { continue };
            if self.table.warn_of_credential(&app.id, warned).await? {
                let (ends, days_left) = (forecast.ends, forecast.days_left(now));
                tracing::warn!(app = %app.id, run, ending = forecast.ending.as_str(), %ends, days_left,
                    advice = "credential-ends-soon", "an app's credential ends soon");
            }
        }
        Ok(())
    }

    /// A client id that is given out beside a secret, before the first person needs it: `oauth-start` reads no secrets.
    async fn learn(&self, app: &App, run: &str) {
        if app.client_id_given
            && app.client_id.is_empty()
            && let Err(fault) = self.grants.app(&app.id).await
        {
            let advice = fault.health().1;
            tracing::warn!(app = %app.id, run, advice, error = %fault, "a client id was not given out");
        }
    }

    /// A grant that works again ends a state that only a grant could cause.
    async fn mend(&self, item: &AccountItem, run: &str, now: Timestamp) -> Result<(), TableError> {
        let of_grant = matches!(item.health.state, HealthState::NeedsReconnect | HealthState::NeedsConsent);
        let off = item.health.state == HealthState::Disabled && item.health.advice.is_some();
        if !of_grant && !off {
            return Ok(());
        }
        let health = item.health.active(now);
        let next = health.state.is_polled().then_some(now.as_second());
        self.table.set_health(&item.account.id, &health, next).await?;
        self.table.audit_health(item, &health, By { function: FUNCTION, run }, self.grants.now()).await;
        Ok(())
    }

    async fn note(&self, item: &AccountItem, fault: &GrantFault, run: &str, now: Timestamp) -> Result<(), TableError> {
        let (state, advice) = fault.health();
        tracing::warn!(account = %item.account.id, run, health = state.as_str(), advice, error = %fault, "grant not renewed");
        // A passing fault is no news while the access token still lives: the poll finds out for itself.
        if state == HealthState::Retrying {
            return Ok(());
        }
        let health = item.health.broken(state, advice, Some(fault.to_string()), now);
        let next = health.pause_seconds(item.account.period_seconds).map(|pause| now.as_second() + pause);
        self.table.set_health(&item.account.id, &health, next).await?;
        self.table.audit_health(item, &health, By { function: FUNCTION, run }, self.grants.now()).await;
        Ok(())
    }
}

/// The warning that is due now, as the table keeps it.
fn warning(forecast: Forecast, now: Timestamp) -> Option<Warned> {
    forecast.warning(now).map(|days| Warned { ends: forecast.ends.as_second(), days })
}

/// Polled accounts by the end of their access token; all others often enough to stay alive.
fn is_due(item: &AccountItem, now: Timestamp) -> bool {
    let broken = matches!(
        item.health.state,
        HealthState::NeedsReconnect | HealthState::NeedsConsent | HealthState::Misconfigured
    );
    let after = |seconds: Option<i64>, pause: SignedDuration| {
        seconds.is_none_or(|seconds| now.as_second() >= seconds + pause.as_secs())
    };
    if broken || !item.account.enabled {
        return after(item.refreshed, if broken { SignedDuration::from_hours(6) } else { KEEP_ALIVE });
    }
    let horizon = HORIZON.as_secs() + item.account.id.spread(JITTER.as_secs());
    item.token_expires.is_none_or(|end| end - now.as_second() < horizon)
}
