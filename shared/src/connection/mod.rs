//! How an account becomes connected, whichever way the answer came: by the callback, pasted, or by a device code. Who
//! signed in is checked, the mailbox is opened with the token, and only then the grant is kept, vault first, then table.

mod consent;
mod failed;

pub use failed::Failed;

use crate::account::{AccountId, App, Health};
use crate::grant::{Clock, DeviceCode, Grants};
use crate::limits;
use crate::mailbox::{self, Login, MailboxFault};
use crate::net::{Reach, Tls};
use crate::oauth::{IdTokenError, Pending, Principal, Refusal, Tokens, provider, verify_id_token};
use crate::secret::Secret;
use crate::table::{AccountItem, AuditEntry, AuditEvent, AuthorizationOutcome, By, Table, log_health};
use crate::vault::{Vault, signing_key};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time for opening the mailbox while a person waits.
const OPENING: Duration = Duration::from_secs(15);

/// What connecting needs.
#[derive(Clone)]
pub struct Connector {
    /// State.
    pub table: Table,
    /// The signing key.
    pub vault: Arc<dyn Vault>,
    /// The token endpoint, and where grants are kept.
    pub grants: Grants,
    /// Which servers may be reached.
    pub reach: Reach,
    /// Whom TLS trusts.
    pub tls: Tls,
    /// The time.
    pub clock: Clock,
}

/// What the provider sent the browser back with (RFC 6749 §4.1.2).
#[derive(Debug, Default)]
pub struct Answer {
    code: Option<Secret>,
    error: Option<Refusal>,
    /// RFC 9207.
    iss: Option<String>,
    /// The directory, in an answer to admin consent.
    tenant: Option<String>,
    /// Whether the answer says that it is one to admin consent and all is well.
    consented: bool,
}

impl Answer {
    /// By the first value of each name in a query.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let (description, subcode) = (get("error_description"), get("error_subcode"));
        let error = get("error").map(|error| Refusal::of_words(&error, description.as_deref(), subcode.as_deref()));
        let code = get("code").filter(|code| !code.is_empty() && code.len() <= limits::QUERY_BYTES);
        Self {
            code: code.map(Secret::from),
            error,
            iss: get("iss"),
            tenant: get("tenant"),
            consented: get("admin_consent").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }
    }

    /// Mix-up (RFC 9207 §2.4): the answer of another provider is neither believed nor its code sent anywhere.
    fn check_issuer(&self, app: &App) -> Result<(), Failed> {
        match &self.iss {
            Some(iss) if !provider::is_issuer(app, iss) => Err(Failed::OtherProvider),
            _ => Ok(()),
        }
    }
}

impl Connector {
    /// Redeems the code of an answer, checks, opens, keeps. The caller has claimed the authorization.
    pub async fn by_code(
        &self,
        id: &AccountId,
        connection: u64,
        answer: &Answer,
        pending: &Pending,
        by: By<'_>,
    ) -> AuthorizationOutcome {
        let connected = self.redeem(id, connection, answer, pending, by).await;
        self.audited(id, connected, by).await
    }

    /// How it ended, written down for whoever asks later.
    async fn audited(&self, id: &AccountId, ended: Result<Principal, Failed>, by: By<'_>) -> AuthorizationOutcome {
        let outcome = ended.map_or_else(Failed::outcome, connected_as);
        let event = if outcome.connected { AuditEvent::Connected } else { AuditEvent::ConnectionRefused };
        let mut entry = AuditEntry::new(event, by, (self.clock)());
        entry.who.clone_from(&outcome.who);
        entry.advice.clone_from(&outcome.advice);
        entry.said.clone_from(&outcome.said);
        self.table.audit(id, &entry).await;
        outcome
    }

    async fn redeem(
        &self,
        id: &AccountId,
        connection: u64,
        answer: &Answer,
        pending: &Pending,
        by: By<'_>,
    ) -> Result<Principal, Failed> {
        let item = self.table.account(id).await?.ok_or_else(|| Failed::Gone(id.clone()))?;
        let app = self.grants.app(item.account.app().ok_or_else(|| Failed::Gone(id.clone()))?).await?;
        answer.check_issuer(&app)?;
        if let Some(refusal) = &answer.error {
            return Err(Failed::Provider(Box::new(refusal.clone())));
        }
        let code = answer.code.as_ref().ok_or(Failed::NoCode)?;
        if item.connection != connection {
            return Err(Failed::Superseded);
        }
        let key = signing_key(&*self.vault).await?;
        let tokens = self.grants.redeem(&app, code, &pending.verifier(&key)).await?;
        self.keep(&item, &app, &tokens, Some(&pending.nonce(&key)), by).await
    }

    /// Waits for the person who types a device code, then checks, opens, keeps.
    pub async fn by_device<S: Future<Output = ()>>(
        &self,
        item: &AccountItem,
        app: &App,
        code: &DeviceCode,
        sleep: impl Fn(Duration) -> S,
        by: By<'_>,
    ) -> AuthorizationOutcome {
        let connected = async {
            let tokens = self.grants.device_tokens(app, code, sleep).await?;
            self.keep(item, app, &tokens, None, by).await
        };
        self.audited(&item.account.id, connected.await, by).await
    }

    /// The later half of every way in.
    async fn keep(
        &self,
        item: &AccountItem,
        app: &App,
        tokens: &Tokens,
        nonce: Option<&str>,
        by: By<'_>,
    ) -> Result<Principal, Failed> {
        let id_token = tokens.id_token.as_ref().ok_or(Failed::WhoSignedIn(IdTokenError::Unreadable))?;
        let principal = verify_id_token(id_token, app, nonce, (self.clock)()).map_err(Failed::WhoSignedIn)?;
        // A reconnection keeps the account with the person who has it.
        if item.principal.as_ref().is_some_and(|before| !before.is_same(&principal)) {
            return Err(Failed::WrongPerson { signed_in: principal.name });
        }
        self.open_mailbox(item, tokens).await.map_err(|fault| Failed::unopened(fault, item, &principal))?;
        match self.grants.keep(item, &principal, tokens).await? {
            true => {
                let health = Health::connected((self.clock)());
                if health.differs(&item.health) {
                    log_health(item, &health, None, by);
                }
                Ok(principal)
            }
            false => Err(Failed::Superseded),
        }
    }

    /// An e-mail address proves nothing: that the token opens the mailbox does.
    async fn open_mailbox(&self, item: &AccountItem, tokens: &Tokens) -> Result<(), MailboxFault> {
        let login = Login::XOAuth2 { mailbox: item.account.mailbox.clone(), token: tokens.access_token.clone() };
        let deadline = Instant::now() + OPENING;
        let mut mailbox = mailbox::open(&item.account, &login, &self.reach, &self.tls, deadline).await?;
        let first = item.account.folders.first().map_or("INBOX", String::as_str);
        let selected = mailbox.select(first).await;
        // Nothing was changed that a farewell could fail to bring about.
        let _ = mailbox.close().await;
        selected
    }
}

fn connected_as(principal: Principal) -> AuthorizationOutcome {
    AuthorizationOutcome { connected: true, who: Some(principal.name), advice: None, said: None }
}
