//! `GET /oauth/start/{account}`: a signed invitation becomes a redirect to the provider. With `consent` in place of
//! `invitation` the path names an app, and an administrator is asked to consent for a whole directory.

use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use rebond::account::{AccountId, App, AppId};
use rebond::advice::Language;
use rebond::oauth::{Invitation, InvitationError, Pending, admin_consent_url, authorization_url};
use rebond::page;
use rebond::table::{Authorization, Sought, Table, TableError};
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
        let pending = Pending::new(random);
        let started = match page::query(request, "consent") {
            Some(consent) => self.ask_for_consent(&account, &consent, now, &pending).await,
            None => {
                let invitation = page::query(request, "invitation").unwrap_or_default();
                self.start(&account, &invitation, now, &pending).await
            }
        };
        match started {
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
        pending: &Pending,
    ) -> Result<Response<String>, Refused> {
        let forged = Refused::Link(InvitationError::Forged);
        let Ok(id) = account.parse::<AccountId>() else { return Err(forged) };
        let Some(item) = self.table.account(&id).await? else { return Err(forged) };
        let key = signing_key(&*self.vault).await?;
        Invitation::verify(invitation, &key, &id, item.connection, now).map_err(Refused::Link)?;
        let Some(app_id) = item.account.app() else {
            return Err(Refused::Settings(format!("{id} is opened with a password: there is nothing to connect")));
        };
        if !item.account.needs_person() {
            return Err(Refused::Settings(format!("{id} is opened by its app itself: there is nobody to connect")));
        }
        let app = self.app(app_id).await?;
        let to = authorization_url(&app, &item.account, pending, &key);
        let to = to.map_err(|error| Refused::Settings(error.to_string()))?;
        let sought = Sought::Account { account: id.clone(), connection: item.connection };
        self.table.start_authorization(&pending.id(), &Authorization::new(sought, pending, now)).await?;
        tracing::info!(account = %id, app = %app.id, "connection started");
        Ok(page::redirect(StatusCode::FOUND, to.as_str(), Some(&set_cookie(pending, &app))))
    }

    /// The app. A client id that is given out beside a secret is what was written down of it: this function reads no secrets.
    async fn app(&self, id: &AppId) -> Result<App, Refused> {
        let app = self.table.app(id).await?;
        let app = app.ok_or_else(|| Refused::Settings(format!("there is no app {id}")))?;
        match app.client_id.is_empty() {
            true => Err(Refused::Settings(format!(
                "the client id of app {id} was not given out yet; `rebond app list` shows it once it was"
            ))),
            false => Ok(app),
        }
    }

    async fn ask_for_consent(
        &self,
        app: &str,
        consent: &str,
        now: Timestamp,
        pending: &Pending,
    ) -> Result<Response<String>, Refused> {
        let forged = Refused::Link(InvitationError::Forged);
        let Ok(id) = app.parse::<AppId>() else { return Err(forged) };
        let key = signing_key(&*self.vault).await?;
        Invitation::verify_consent(consent, &key, &id, now).map_err(Refused::Link)?;
        let app = self.app(&id).await?;
        let to = admin_consent_url(&app, pending.state()).map_err(|error| Refused::Settings(error.to_string()))?;
        let sought = Sought::Consent { app: id };
        self.table.start_authorization(&pending.id(), &Authorization::new(sought, pending, now)).await?;
        tracing::info!(app = %app.id, "consent asked for");
        Ok(page::redirect(StatusCode::FOUND, to.as_str(), Some(&set_cookie(pending, &app))))
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
