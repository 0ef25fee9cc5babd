//! From the provider's answer to a kept grant.

use super::{OauthCallback, by};
use http::request::Parts;
use rebond::account::{AccountId, App, Health};
use rebond::advice;
use rebond::grant::GrantFault;
use rebond::limits;
use rebond::mailbox::imap::Imap;
use rebond::mailbox::{FaultKind, Login, MailboxFault};
use rebond::oauth::{IdTokenError, Pending, Principal, Refusal, Tokens, verify_id_token};
use rebond::page;
use rebond::poll::state_and_advice;
use rebond::secret::Secret;
use rebond::table::{AccountItem, Authorization, AuthorizationOutcome, TableError, log_health};
use rebond::vault::{VaultError, signing_key};
use std::time::Duration;
use tokio::time::Instant;

/// Time for opening the mailbox while a person waits.
const OPENING: Duration = Duration::from_secs(15);

/// Why a mailbox was not connected.
enum Failed {
    Provider(Refusal),
    Grant(GrantFault),
    /// The answer carries neither a code nor an error.
    NoCode,
    WhoSignedIn(IdTokenError),
    WrongPerson {
        signed_in: String,
    },
    Mailbox {
        fault: Box<MailboxFault>,
        advice: &'static str,
        signed_in: String,
    },
    /// Somebody else connected the account while this person signed in.
    Superseded,
    Gone(AccountId),
    Ours(String),
}

impl From<GrantFault> for Failed {
    fn from(fault: GrantFault) -> Self {
        Self::Grant(fault)
    }
}

impl From<TableError> for Failed {
    fn from(error: TableError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<VaultError> for Failed {
    fn from(error: VaultError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl OauthCallback {
    /// Redeems, checks, opens, keeps; the outcome is what the result page will say.
    pub(super) async fn connect(
        &self,
        request: &Parts,
        authorization: &Authorization,
        pending: &Pending,
    ) -> AuthorizationOutcome {
        match self.try_connect(request, authorization, pending).await {
            Ok(principal) => {
                AuthorizationOutcome { connected: true, who: Some(principal.name), advice: None, said: None }
            }
            Err(failed) => failed.outcome(),
        }
    }

    async fn try_connect(
        &self,
        request: &Parts,
        authorization: &Authorization,
        pending: &Pending,
    ) -> Result<Principal, Failed> {
        if let Some(error) = page::query(request, "error") {
            let description = page::query(request, "error_description");
            return Err(Failed::Provider(Refusal::from_redirect(&error, description.as_deref())));
        }
        let code = page::query(request, "code").filter(|code| !code.is_empty() && code.len() <= limits::QUERY_BYTES);
        let code = Secret::from(code.ok_or(Failed::NoCode)?);
        let id = &authorization.account;
        let item = self.table.account(id).await?.ok_or_else(|| Failed::Gone(id.clone()))?;
        if item.connection != authorization.connection {
            return Err(Failed::Superseded);
        }
        let app = self.grants.app(item.account.app().ok_or_else(|| Failed::Gone(id.clone()))?).await?;
        let key = signing_key(&*self.vault).await?;
        let tokens = self.grants.redeem(&app, &code, &pending.verifier(&key)).await?;
        let principal = self.who(&tokens, &app, &pending.nonce(&key))?;
        check_same_person(&item, &principal)?;
        self.open_mailbox(&item, &tokens).await.map_err(|fault| unopened(fault, &item, &principal))?;
        match self.grants.keep(&item, &principal, &tokens).await? {
            true => {
                let health = Health::connected((self.clock)());
                if health.differs(&item.health) {
                    log_health(id, &item.health, &health, by(&pending.id()));
                }
                Ok(principal)
            }
            false => Err(Failed::Superseded),
        }
    }

    fn who(&self, tokens: &Tokens, app: &App, nonce: &str) -> Result<Principal, Failed> {
        let id_token = tokens.id_token.as_ref().ok_or(Failed::WhoSignedIn(IdTokenError::Unreadable))?;
        verify_id_token(id_token, app, nonce, (self.clock)()).map_err(Failed::WhoSignedIn)
    }

    /// An e-mail address proves nothing: that the token opens the mailbox does.
    async fn open_mailbox(&self, item: &AccountItem, tokens: &Tokens) -> Result<(), MailboxFault> {
        let login = Login::XOAuth2 { mailbox: item.account.mailbox.clone(), token: tokens.access_token.clone() };
        let deadline = Instant::now() + OPENING;
        let mut imap = Imap::open(&item.account.server, &login, &self.reach, &self.tls, deadline).await?;
        let first = item.account.folders.first().map_or("INBOX", String::as_str);
        let selected = imap.select(first).await;
        imap.close().await;
        selected.map(|_| ())
    }
}

/// Exchange does not say why it opens no mailbox; who signed in narrows it down.
fn unopened(fault: MailboxFault, item: &AccountItem, principal: &Principal) -> Failed {
    let advice = match fault.kind {
        FaultKind::NotConnected => advice::of_unopened_mailbox(Some(&principal.name), &item.account.mailbox),
        _ => state_and_advice(&fault.kind, false).1,
    };
    Failed::Mailbox { fault: Box::new(fault), advice, signed_in: principal.name.clone() }
}

/// A reconnection keeps the account with the person who has it.
fn check_same_person(item: &AccountItem, principal: &Principal) -> Result<(), Failed> {
    match &item.principal {
        Some(before) if (before.tid, before.oid) != (principal.tid, principal.oid) => {
            Err(Failed::WrongPerson { signed_in: principal.name.clone() })
        }
        _ => Ok(()),
    }
}

impl Failed {
    fn outcome(self) -> AuthorizationOutcome {
        let (advice, said, who) = match self {
            Self::Provider(refusal) => (advice::for_refusal(&refusal).id, Some(refusal.to_string()), None),
            Self::Grant(fault) => (fault.health().1, Some(fault.to_string()), None),
            Self::NoCode => ("request-refused", None, None),
            Self::WhoSignedIn(error) => ("not-who-signed-in", Some(error.to_string()), None),
            Self::WrongPerson { signed_in } => ("wrong-person", None, Some(signed_in)),
            Self::Mailbox { fault, advice, signed_in } => (advice, Some(fault.to_string()), Some(signed_in)),
            Self::Superseded => ("superseded", None, None),
            Self::Gone(id) => ("request-refused", Some(format!("there is no account {id} any more")), None),
            Self::Ours(error) => {
                tracing::error!(error, "our own store failed while a mailbox was being connected");
                ("our-store", None, None)
            }
        };
        AuthorizationOutcome { connected: false, who, advice: Some(advice.to_owned()), said }
    }
}
