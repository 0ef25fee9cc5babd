//! A person with a real browser: from the link to the page that says what happens next.

use fantoccini::{Client, Locator};
use rebond::advice;
use rebond_tests::chromium::Chromium;
use rebond_tests::gateway::Gateway;
use rebond_tests::stack::{MAILBOX, account_id};
use std::time::Duration;

/// What an advice says it means, in English.
fn said(advice: &str) -> &'static str {
    advice::by_id(advice).unwrap().means.en
}

struct Visit {
    gateway: Gateway,
    browser: Chromium,
}

impl Visit {
    /// Opens the invitation in a new browser.
    async fn start() -> Self {
        let gateway = Gateway::start().await.unwrap();
        let browser = Chromium::start().await.unwrap();
        browser.client.goto(&gateway.stack.invitation().await.unwrap()).await.unwrap();
        Self { gateway, browser }
    }

    fn client(&self) -> &Client {
        &self.browser.client
    }

    async fn sign_in(&self, upn: &str) {
        let login = self.find("input[name=login]").await;
        login.clear().await.unwrap();
        login.send_keys(upn).await.unwrap();
        self.find("input[name=passwd]").await.send_keys("correct horse").await.unwrap();
        self.press("button[type=submit], form button").await;
    }

    async fn press(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    async fn find(&self, css: &str) -> fantoccini::elements::Element {
        let found = self.client().wait().at_most(Duration::from_secs(20)).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}; the page is {}\n{}", self.text().await, self.gateway.logs()),
        }
    }

    async fn text(&self) -> String {
        let body = self.client().find(Locator::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }

    /// Waits for the page that the callback leads to, and reads it.
    async fn result(&self) -> String {
        for _ in 0..200 {
            if self.client().current_url().await.unwrap().path() == "/oauth/done" {
                return self.text().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no result; the page is {}\n{}", self.text().await, self.gateway.logs());
    }

    async fn is_connected(&self) -> bool {
        self.gateway.stack.table.account(&account_id().unwrap()).await.unwrap().unwrap().principal.is_some()
    }

    async fn end(self) {
        self.browser.client.clone().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_and_consents_sees_the_result_also_after_a_reload() {
    let visit = Visit::start().await;
    visit.sign_in(MAILBOX).await;
    visit.press("button[name=decision][value=accept]").await;
    let page = visit.result().await;
    assert!(page.contains(MAILBOX), "{page}");
    assert!(visit.is_connected().await, "{page}\n{}", visit.gateway.logs());
    visit.client().refresh().await.unwrap();
    assert_eq!(visit.result().await, page);
    let url = visit.client().current_url().await.unwrap();
    assert!(!url.as_str().contains("code="), "{url}");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_consent_is_told_so_and_nothing_is_connected() {
    let visit = Visit::start().await;
    visit.sign_in(MAILBOX).await;
    visit.press("button[name=decision][value=cancel]").await;
    let page = visit.result().await;
    assert!(!visit.is_connected().await, "{page}");
    assert!(page.contains(said("declined")), "{page}");
    assert!(!page.contains("error_description"), "{page}");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_open_the_mailbox_is_told_so_and_nothing_is_connected() {
    let visit = Visit::start().await;
    visit.sign_in("alex@example.org").await;
    visit.press("button[name=decision][value=accept]").await;
    let page = visit.result().await;
    assert!(!visit.is_connected().await, "{page}");
    assert!(page.contains(MAILBOX), "{page}");
    assert!(page.contains(said("not-connected-other-user")), "{page}");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_another_browser_is_refused() {
    let visit = Visit::start().await;
    visit.sign_in(MAILBOX).await;
    visit.find("button[name=decision][value=accept]").await;
    visit.client().goto(&visit.gateway.stack.invitation().await.unwrap()).await.unwrap();
    let url = visit.client().current_url().await.unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
    let stranger = Chromium::start().await.unwrap();
    let link = visit.gateway.stack.invitation().await.unwrap();
    let origin = link.split("/oauth/").next().unwrap();
    let callback = format!("{origin}/oauth/callback?code=stolen&state={}", state.unwrap_or_default());
    stranger.client.goto(&callback).await.unwrap();
    let page = stranger.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap();
    assert!(page.contains("another browser"), "{page}");
    assert!(!visit.is_connected().await);
    stranger.client.clone().close().await.unwrap();
    visit.end().await;
}
