//! `/oauth/done`: how it ended and what happens next, also after a reload.

use super::{OauthCallback, unknown};
use http::request::Parts;
use http::{Response, StatusCode};
use rebond::advice::{self, Language};
use rebond::page::{self, News, Page};
use rebond::table::{AccountItem, Authorization, AuthorizationOutcome, Sought, TableError};

impl OauthCallback {
    pub(super) async fn show_result(
        &self,
        request: &Parts,
        language: Language,
    ) -> Result<Response<String>, TableError> {
        let id = page::query(request, "id").filter(|id| id.len() == 64).unwrap_or_default();
        let Some((authorization, _)) = self.known(request, &id, "").await? else { return Ok(unknown(language)) };
        let table = &self.connector.table;
        let (item, app) = match &authorization.sought {
            Sought::Account { account, .. } => {
                let item = table.account(account).await?;
                let app = item.as_ref().and_then(|item| item.account.app()).cloned();
                (item, app)
            }
            Sought::Consent { app } => (None, Some(app.clone())),
        };
        let redirect_uri = match app {
            Some(app) => table.app(&app).await?.map(|app| app.redirect_uri).unwrap_or_default(),
            None => String::new(),
        };
        let broke_off = authorization.broke_off((self.connector.clock)());
        Ok(result_page(&authorization, broke_off, item.as_ref(), &redirect_uri, language))
    }
}

fn result_page(
    authorization: &Authorization,
    broke_off: bool,
    item: Option<&AccountItem>,
    redirect_uri: &str,
    language: Language,
) -> Response<String> {
    let words = Words::of(language, &authorization.sought);
    let (account, named) = match &authorization.sought {
        Sought::Account { account, .. } => (account.as_str(), account.to_string()),
        Sought::Consent { app } => ("", app.to_string()),
    };
    let Some(outcome) = &authorization.outcome else {
        let page = Page {
            language,
            news: if broke_off { News::Bad } else { News::NoneYet },
            title: if broke_off { words.broke_off } else { words.working },
            sentence: None,
            facts: vec![],
            advice: None,
            account,
            redirect_uri,
            said: None,
            closing: if broke_off { words.again } else { words.reload },
        };
        return page.answer(if broke_off { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK });
    };
    let page = Page {
        language,
        news: if outcome.connected { News::Good } else { News::Bad },
        title: if outcome.connected { words.connected } else { words.not_connected },
        sentence: None,
        facts: facts(outcome, named, item, &words),
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
    named: String,
    item: Option<&AccountItem>,
    words: &Words<'a>,
) -> Vec<(&'a str, String)> {
    let mut facts = vec![(words.account, named)];
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
    broke_off: &'a str,
    again: &'a str,
    next: &'a str,
    nothing_kept: &'a str,
    account: &'a str,
    mailbox: &'a str,
    signed_in: &'a str,
}

impl Words<'static> {
    fn of(language: Language, sought: &Sought) -> Self {
        let own = Self::of_account(language);
        match (sought, language) {
            (Sought::Account { .. }, _) => own,
            (Sought::Consent { .. }, Language::English) => Self {
                connected: "Consent is given for your organisation",
                not_connected: "Consent was not given",
                working: "Your consent is being noted",
                next: "Mailboxes that need nobody to sign in are read within a few minutes; the others can be connected \
                       now. You may close this page.",
                nothing_kept: "Nothing was changed here. The link can be used again.",
                account: "App",
                signed_in: "Directory",
                ..own
            },
            (Sought::Consent { .. }, Language::French) => Self {
                connected: "Le consentement est donné pour votre organisation",
                not_connected: "Le consentement n’a pas été donné",
                working: "Votre consentement est en cours d’enregistrement",
                next: "Les boîtes qui n’ont besoin de personne seront lues dans quelques minutes ; les autres peuvent \
                       être connectées dès maintenant. Vous pouvez fermer cette page.",
                nothing_kept: "Rien n’a changé ici. Le lien peut resservir.",
                account: "Application",
                signed_in: "Annuaire",
                ..own
            },
        }
    }

    fn of_account(language: Language) -> Self {
        match language {
            Language::English => Self {
                connected: "The mailbox is connected",
                not_connected: "The mailbox is not connected",
                working: "The mailbox is being connected",
                reload: "Load this page again in a moment.",
                broke_off: "It broke off in the middle",
                again: "Nothing is lost. Open the link that you were sent once more; if it is said to be used, all is done.",
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
                broke_off: "L’opération s’est interrompue",
                again: "Rien n’est perdu. Rouvrez le lien que vous avez reçu ; s’il est déjà utilisé, tout est fait.",
                next: "Elle sera lue une première fois dans quelques minutes, puis d’elle-même. Vous pouvez fermer cette page.",
                nothing_kept: "Rien de cette connexion n’a été conservé.",
                account: "Compte",
                mailbox: "Boîte",
                signed_in: "Connecté comme",
            },
        }
    }
}
