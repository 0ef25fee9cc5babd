//! Our requests, and the one flight of a refresh, against an authorization server that nobody here wrote. It rotates
//! refresh tokens, and a second use of one revokes the whole family.

use axum::Router;
use axum::routing::get;
use http::Uri;
use jiff::Timestamp;
use rebond::account::{AccountId, App, Authentication, Tenant};
use rebond::grant::Grants;
use rebond::net::{Http, Reach, Tls};
use rebond::oauth::{IdTokenError, Pending, Principal, SigningKey, authorization_url, verify_id_token};
use rebond::secret::{ExposeSecret, Secret};
use rebond::table::AccountItem;
use rebond::vault::{Name, Vault, signing_key};
use rebond_standin::person::Browser;
use rebond_tests::oidc_provider::{CLIENT_ID, CLIENT_SECRET, OidcProvider};
use rebond_tests::stack::{MAILBOX, Stack};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;
use uuid::Uuid;

struct Certified {
    provider: OidcProvider,
    stack: Stack,
    app: App,
    key: SigningKey,
    id: AccountId,
}

impl Certified {
    /// The provider, an app registered there, and an account that waits for a person.
    async fn start() -> Self {
        let landing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let redirect_uri = format!("http://localhost:{}/oauth/callback", landing.local_addr().unwrap().port());
        // The browser lands on a page that repeats the answer's query.
        let repeat = |uri: Uri| async move { uri.query().unwrap_or_default().to_owned() };
        let router = Router::new().route("/oauth/callback", get(repeat));
        tokio::spawn(async move { axum::serve(landing, router).await });
        let provider = OidcProvider::start(&redirect_uri).unwrap();
        let stack = Stack::start(Ipv4Addr::LOCALHOST, "test", "http://localhost:3000").await.unwrap();
        let app = App {
            authority: Some(provider.issuer().to_owned()),
            ..App::entra("certified".parse().unwrap(), Tenant::Common, CLIENT_ID, redirect_uri)
        };
        app.check().unwrap();
        let id: AccountId = "certified".parse().unwrap();
        let secret = Secret::from(CLIENT_SECRET.to_owned());
        stack.vault.put(&Name::App(app.id.clone()), Uuid::from_u128(7), &secret).await.unwrap();
        stack.table.add_app(&app).await.unwrap();
        let account = stack.account(id.clone(), MAILBOX, Authentication::OauthUser { app: app.id.clone() });
        stack.table.add_account(&AccountItem::new(account, Timestamp::now())).await.unwrap();
        let key = signing_key(&stack.vault).await.unwrap();
        Self { provider, stack, app, key, id }
    }

    fn grants(&self) -> Grants {
        let http = Http::new(&Reach::parse("loopback").unwrap(), &Tls::new(None).unwrap()).unwrap();
        let vault: Arc<dyn Vault> = Arc::new(self.stack.vault.clone());
        Grants::new(self.stack.table.clone(), vault, http, Arc::new(Timestamp::now))
    }

    async fn item(&self) -> AccountItem {
        self.stack.table.account(&self.id).await.unwrap().unwrap()
    }

    /// A person signs in and consents; the answer's code.
    async fn code(&self, pending: &Pending) -> Secret {
        let url = authorization_url(&self.app, &self.item().await.account, pending, &self.key).unwrap();
        // Entra gives offline_access without prompt=consent; OpenID Connect Core, section 11, forbids that, and this
        // provider obeys.
        let url = url.as_str().replace("prompt=select_account", "prompt=consent");
        let mut browser = Browser::new().unwrap();
        let (_, login) = browser.get(&url).await.unwrap();
        let form = [("prompt", "login"), ("login", MAILBOX), ("password", "any")];
        let (_, consent) = browser.post(&action(&login), &form).await.unwrap();
        let (status, query) = browser.post(&action(&consent), &[("prompt", "consent")]).await.unwrap();
        assert_eq!(status, 200, "{query}\n{}", self.provider.output());
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}")).unwrap();
        let value = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
        assert_eq!(value("state").as_deref(), Some(pending.state()), "{query}");
        Secret::from(value("code").unwrap_or_else(|| panic!("no code: {query}")))
    }
}

/// Where the first form of a page is sent.
fn action(page: &str) -> String {
    let at = page.find("action=\"").unwrap_or_else(|| panic!("no form: {page}")) + 8;
    page[at..].split('"').next().unwrap().replace("&amp;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_redeemed_once_with_our_verifier_and_the_grant_is_renewed_in_one_flight() {
    let certified = Certified::start().await;
    let grants = certified.grants();
    let pending = Pending::new(&[7; 64]);
    let code = certified.code(&pending).await;
    let tokens = grants.redeem(&certified.app, &code, &pending.verifier(&certified.key)).await.unwrap();
    assert!(tokens.refresh_token.is_some(), "a grant that lasts");

    // Its ID token is genuine, but no directory of Entra issued it.
    let nonce = pending.nonce(&certified.key);
    let who = verify_id_token(tokens.id_token.as_ref().unwrap(), &certified.app, Some(&nonce), Timestamp::now());
    assert_eq!(who, Err(IdTokenError::NotOurs("iss")));

    let principal = Principal { directory: "1".to_owned(), subject: "2".to_owned(), name: MAILBOX.to_owned() };
    assert!(grants.keep(&certified.item().await, &principal, &tokens).await.unwrap());
    let mut seen = BTreeSet::from([tokens.access_token.expose_secret().to_owned()]);
    for round in 0..3 {
        let item = certified.item().await;
        // As many machines as callers: none shares memory with another.
        let callers = (0..8).map(|_| {
            let (grants, item) = (certified.grants(), item.clone());
            tokio::spawn(async move { grants.renew(&item).await.unwrap().expose_secret().to_owned() })
        });
        let mut renewed = BTreeSet::new();
        for caller in callers.collect::<Vec<_>>() {
            renewed.insert(caller.await.unwrap());
        }
        assert_eq!(renewed.len(), 1, "round {round}: a second flight would have used the old token again");
        seen.extend(renewed);
    }
    assert_eq!(seen.len(), 4, "each round brought a new token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_worth_nothing_with_another_verifier_or_a_second_time() {
    let certified = Certified::start().await;
    let grants = certified.grants();
    let pending = Pending::new(&[8; 64]);
    let verifier = pending.verifier(&certified.key);
    let stranger = Pending::new(&[9; 64]).verifier(&certified.key);
    let code = certified.code(&pending).await;
    let refused = grants.redeem(&certified.app, &code, &stranger).await.err().unwrap();
    assert!(refused.to_string().contains("invalid_grant"), "{refused}");
    let code = certified.code(&pending).await;
    grants.redeem(&certified.app, &code, &verifier).await.unwrap();
    let refused = grants.redeem(&certified.app, &code, &verifier).await.err().unwrap();
    assert!(refused.to_string().contains("invalid_grant"), "{refused}");
}
