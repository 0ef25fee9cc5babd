//! `GET /oauth/start/{account}`: a signed invitation becomes a redirect to the provider.

use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use rebond::account::{AccountId, App};
use rebond::advice::Language;
use rebond::oauth::{Invitation, InvitationError, Pending, authorization_url};
use rebond::page;
use rebond::table::{Authorization, Table, TableError};
use rebond::vault::{Vault, VaultError, signing_key};
use std::sync::Arc;

/// What the function needs.
#[derive(Clone)]
pub struct OauthStart {
    /// State.
    pub table: Table,
    /// The signing key.
    pub vault: Arc<dyn Vault>,
}

enum Refused {
    /// Nothing is said about which accounts there are.
    Link(InvitationError),
    /// The operator's settings cannot work.
    Settings(String),
    Ours(String),
}

impl From<TableError> for Refused {
    fn from(error: TableError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<VaultError> for Refused {
    fn from(error: VaultError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl OauthStart {
    /// Answers a request; `random` is fresh for each.
    pub async fn handle(&self, request: &Parts, now: Timestamp, random: &[u8; 64]) -> Response<String> {
        let language = page::language(request);
        let account = request.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let invitation = page::query(request, "invitation").unwrap_or_default();
        match self.start(&account, &invitation, now, random).await {
            Ok(answer) => answer,
            Err(Refused::Link(error)) => {
                tracing::info!(account = account.chars().take(63).collect::<String>(), error = %error, "invitation refused");
                page::refusal(StatusCode::BAD_REQUEST, language, sentence(error, language))
            }
            Err(Refused::Settings(said)) => page::refusal(StatusCode::BAD_REQUEST, language, &said),
            Err(Refused::Ours(error)) => {
                tracing::error!(account, error, "a connection could not be started");
                page::our_fault(language, &account)
            }
        }
    }

    async fn start(
        &self,
        account: &str,
        invitation: &str,
        now: Timestamp,
        random: &[u8; 64],
    ) -> Result<Response<String>, Refused> {
        let forged = Refused::Link(InvitationError::Forged);
        let Ok(id) = account.parse::<AccountId>() else { return Err(forged) };
        let Some(item) = self.table.account(&id).await? else { return Err(forged) };
        let key = signing_key(&*self.vault).await?;
        Invitation::verify(invitation, &key, &id, item.connection, now).map_err(Refused::Link)?;
        let Some(app_id) = item.account.app() else {
            return Err(Refused::Settings(format!("{id} is opened with a password: there is nothing to connect")));
        };
        let app = self.table.app(app_id).await?;
        let app = app.ok_or_else(|| Refused::Settings(format!("there is no app {app_id}")))?;
        let pending = Pending::new(random);
        let to = authorization_url(&app, item.account.protocol, &item.account.mailbox, &pending, &key);
        let to = to.map_err(|error| Refused::Settings(error.to_string()))?;
        let authorization = Authorization {
            account: id.clone(),
            connection: item.connection,
            cookie_hash: pending.cookie_hash(),
            expires: now.as_second() + Authorization::LIFE_SECONDS,
            used: false,
            outcome: None,
        };
        self.table.start_authorization(&pending.id(), &authorization).await?;
        tracing::info!(account = %id, app = %app.id, "connection started");
        Ok(page::redirect(StatusCode::FOUND, to.as_str(), Some(&set_cookie(&pending, &app))))
    }
}

/// SameSite=Lax: the provider's redirect is a top-level GET from another site, which must carry it.
fn set_cookie(pending: &Pending, app: &App) -> String {
    let https = app.redirect_uri.starts_with("https:");
    let name = Pending::cookie_name(&pending.id(), https);
    let secure = if https { "; Secure" } else { "" };
    let life = 2 * Authorization::LIFE_SECONDS;
    format!("{name}={}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}", pending.cookie())
}

fn sentence(error: InvitationError, language: Language) -> &'static str {
    match (error, language) {
        (InvitationError::Expired, Language::English) => "It has expired. Ask whoever sent it for a new one.",
        (InvitationError::Expired, Language::French) => "Il a expiré. Demandez-en un nouveau à son expéditeur.",
        (InvitationError::Forged, Language::English) => {
            "It was changed on its way, or somebody has used it since to connect the mailbox. Ask whoever sent it for a new one."
        }
        (InvitationError::Forged, Language::French) => {
            "Il a été modifié en chemin, ou quelqu’un l’a déjà utilisé pour connecter la boîte. Demandez-en un nouveau à son expéditeur."
        }
    }
}
