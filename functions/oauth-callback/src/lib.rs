//! `GET /oauth/callback` (and its alias `/nl/jsp/oauth.jsp`): code → grant; then `/oauth/done` says what happens next.
//!
//! The state is marked used, once, with its result; the code is redeemed; who signed in is checked; the mailbox is
//! opened with the token; only then the grant is kept, vault first, then table. A repeated answer finds the result.

mod done;

use http::request::Parts;
use http::{Response, StatusCode};
use rebond::account::AppId;
use rebond::advice::Language;
use rebond::connection::{Answer, Connector};
use rebond::oauth::Pending;
use rebond::page;
use rebond::table::{Authorization, AuthorizationOutcome, By, Claim, Sought, TableError};

/// What the function needs.
#[derive(Clone)]
pub struct OauthCallback {
    /// What makes a connection of an answer.
    pub connector: Connector,
}

impl OauthCallback {
    /// Answers a request to any of the function's paths.
    pub async fn handle(&self, request: &Parts) -> Response<String> {
        let language = page::language(request);
        let answered = match request.uri.path().ends_with("/oauth/done") {
            true => self.show_result(request, language).await,
            false => self.take_answer(request, language).await,
        };
        answered.unwrap_or_else(|error| {
            tracing::error!(error = %error, "an answer of the provider could not be handled");
            page::our_fault(language, "")
        })
    }

    async fn take_answer(&self, request: &Parts, language: Language) -> Result<Response<String>, TableError> {
        let state = page::query(request, "state").unwrap_or_default();
        let id = Pending::from_browser(&state, "").id();
        let Some((authorization, pending)) = self.known(request, &id, &state).await? else {
            return Ok(unknown(language));
        };
        let Connector { table, clock, .. } = &self.connector;
        if table.claim_authorization(&id, clock()).await? == Claim::Yours {
            let answer = Answer::read(|name| page::query(request, name));
            let outcome = match &authorization.sought {
                Sought::Account { account, connection } => {
                    self.connector.by_code(account, *connection, &answer, &pending, by(&id)).await
                }
                Sought::Consent { app } => self.connector.by_admin(app, &answer, by(&id)).await,
            };
            self.log(&authorization.sought, &outcome).await;
            table.end_authorization(&id, &outcome).await?;
        }
        // 303: a reload asks for the result, not for the code again.
        Ok(page::redirect(StatusCode::SEE_OTHER, &format!("/oauth/done?id={id}"), None))
    }

    /// The authorization under way, if it was started by this very browser. Whoever else asks learns nothing.
    async fn known(
        &self,
        request: &Parts,
        id: &str,
        state: &str,
    ) -> Result<Option<(Authorization, Pending)>, TableError> {
        // On https a cookie without the `__Host-` prefix could have been set by another host of the same site.
        let cookie = [true, false].iter().find_map(|https| page::cookie(request, &Pending::cookie_name(id, *https)));
        let Some(cookie) = cookie else { return Ok(None) };
        let pending = Pending::from_browser(state, &cookie);
        let found = self.connector.table.authorization(id, (self.connector.clock)()).await?;
        Ok(found.filter(|found| found.cookie_hash == pending.cookie_hash()).map(|found| (found, pending)))
    }

    async fn log(&self, sought: &Sought, outcome: &AuthorizationOutcome) {
        match (sought, outcome.connected) {
            (Sought::Account { account, .. }, true) => tracing::info!(account = %account, "mailbox connected"),
            (Sought::Account { account, .. }, false) => {
                let (advice, said) = (outcome.advice.as_deref(), outcome.said.as_deref());
                // Removed meanwhile, or not to be read now: then the sentence lacks the redirect URI alone.
                let item = self.connector.table.account(account).await.ok().flatten();
                let app = item.as_ref().and_then(|item| item.account.app());
                let sentence = self.sentence(advice, account.as_str(), app).await;
                tracing::warn!(account = %account, advice, sentence, said, "mailbox not connected");
            }
            (Sought::Consent { app }, true) => {
                tracing::info!(app = %app, directory = outcome.who.as_deref(), "an administrator has consented");
            }
            (Sought::Consent { app }, false) => {
                let (advice, said) = (outcome.advice.as_deref(), outcome.said.as_deref());
                let sentence = self.sentence(advice, "", Some(app)).await;
                tracing::warn!(app = %app, advice, sentence, said, "no administrator's consent");
            }
        }
    }

    async fn sentence(&self, advice: Option<&str>, account: &str, app: Option<&AppId>) -> Option<String> {
        self.connector.table.sentence_of(advice?, account, app).await
    }
}

/// Who acts, for log and audit: the run is the beginning of the authorization's id, which is no secret.
fn by(id: &str) -> By<'_> {
    By { function: "oauth-callback", run: id.get(..16).unwrap_or(id) }
}

fn unknown(language: Language) -> Response<String> {
    let sentence = match language {
        Language::English => {
            "The sign-in took too long, or it was started in another browser. Open the invitation once more."
        }
        Language::French => {
            "La connexion a pris trop de temps, ou a été commencée dans un autre navigateur. Rouvrez l’invitation."
        }
    };
    page::refusal(StatusCode::BAD_REQUEST, language, sentence)
}
