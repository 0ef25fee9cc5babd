//! `/oauth/done`: how it ended and what happens next, also after a reload.

use super::{OauthCallback, unknown};
use http::request::Parts;
use http::{Response, StatusCode};
use rebond::advice::{self, Language};
use rebond::page::{self, Page};
use rebond::table::{AccountItem, Authorization, AuthorizationOutcome, TableError};

impl OauthCallback {
    pub(super) async fn show_result(
        &self,
        request: &Parts,
        language: Language,
    ) -> Result<Response<String>, TableError> {
        let id = page::query(request, "id").filter(|id| id.len() == 64).unwrap_or_default();
        let Some((authorization, _)) = self.known(request, &id, "").await? else { return Ok(unknown(language)) };
        let item = self.table.account(&authorization.account).await?;
        let redirect_uri = match item.as_ref().and_then(|item| item.account.app()) {
            Some(app) => self.table.app(app).await?.map(|app| app.redirect_uri).unwrap_or_default(),
            None => String::new(),
        };
        Ok(result_page(&authorization, item.as_ref(), &redirect_uri, language))
    }
}

fn result_page(
    authorization: &Authorization,
    item: Option<&AccountItem>,
    redirect_uri: &str,
    language: Language,
) -> Response<String> {
    let account = authorization.account.as_str();
    let words = Words::of(language);
    let Some(outcome) = &authorization.outcome else {
        let page = Page {
            language,
            good: true,
            title: words.working,
            sentence: None,
            facts: vec![],
            advice: None,
            account,
            redirect_uri,
            said: None,
            closing: words.reload,
        };
        return page.answer(StatusCode::OK);
    };
    let page = Page {
        language,
        good: outcome.connected,
        title: if outcome.connected { words.connected } else { words.not_connected },
        sentence: None,
        facts: facts(outcome, account, item, &words),
        advice: outcome.advice.as_deref().and_then(advice::by_id),
        account,
        redirect_uri,
        said: outcome.said.as_deref(),
        closing: if outcome.connected { words.next } else { words.nothing_kept },
    };
    page.answer(if outcome.connected { StatusCode::OK } else { StatusCode::BAD_REQUEST })
}

fn facts<'a>(
    outcome: &AuthorizationOutcome,
    account: &str,
    item: Option<&AccountItem>,
    words: &Words<'a>,
) -> Vec<(&'a str, String)> {
    let mut facts = vec![(words.account, account.to_owned())];
    if let Some(item) = item {
        facts.push((words.mailbox, item.account.mailbox.clone()));
    }
    if let Some(who) = outcome.who.as_ref().filter(|who| !who.is_empty()) {
        facts.push((words.signed_in, who.clone()));
    }
    facts
}

struct Words<'a> {
    connected: &'a str,
    not_connected: &'a str,
    working: &'a str,
    reload: &'a str,
    next: &'a str,
    nothing_kept: &'a str,
    account: &'a str,
    mailbox: &'a str,
    signed_in: &'a str,
}

impl Words<'static> {
    fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                connected: "The mailbox is connected",
                not_connected: "The mailbox is not connected",
                working: "The mailbox is being connected",
                reload: "Load this page again in a moment.",
                next: "It is read for the first time within a few minutes, and from then on by itself. You may close this page.",
                nothing_kept: "Nothing of this sign-in was kept.",
                account: "Account",
                mailbox: "Mailbox",
                signed_in: "Signed in as",
            },
            Language::French => Self {
                connected: "La boîte est connectée",
                not_connected: "La boîte n’est pas connectée",
                working: "La boîte est en cours de connexion",
                reload: "Rechargez cette page dans un instant.",
                next: "Elle sera lue une première fois dans quelques minutes, puis d’elle-même. Vous pouvez fermer cette page.",
                nothing_kept: "Rien de cette connexion n’a été conservé.",
                account: "Compte",
                mailbox: "Boîte",
                signed_in: "Connecté comme",
            },
        }
    }
}
