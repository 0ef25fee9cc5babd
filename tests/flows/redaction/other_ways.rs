//! The ways in besides a person's browser, at a provider whose every answer is a planted secret; and panics in the middle.

use super::{Log, Search};
use async_trait::async_trait;
use axum::routing::post;
use rebond::account::{Account, AccountId, App, Authentication, Credential};
use rebond::identity::TokenFile;
use rebond::secret::Secret;
use rebond::table::By;
use rebond::vault::{Name, Put, Vault, VaultError, Version};
use rebond_cli::connect;
use rebond_cli::machine::Machine;
use rebond_cli::place::Place;
use rebond_tests::world::{BASIC, MAILBOX, World};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};

const BY: By<'static> = By { function: "test", run: "test" };
const KEY_PEM: &str = include_str!("../../../infra/standin/src/entra/test-signing-key.pem");
const DEVICE_CODE: &str = "planted-device-code-4f1b2c";
const ACCESS: &str = "planted-access-token-of-the-app-9a7d";
const REFRESH: &str = "planted-refresh-token-77c1";
const ID_TOKEN: &str = "planted.id-token.signature";
const FEDERATED: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkLWZlZGVyYXRlZC10b2tlbiJ9.cGxhbnRlZC1zaWduYXR1cmU";

/// A provider that gives planted secrets away, and keeps what it was sent.
async fn provider() -> (String, Arc<Mutex<Vec<String>>>) {
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&sent);
    let device = json!({ "device_code": DEVICE_CODE, "user_code": "ABCD-EFGH", "interval": 1, "expires_in": 900,
        "verification_uri": "https://login.example.com/device" })
    .to_string();
    let token = json!({ "access_token": ACCESS, "refresh_token": REFRESH, "id_token": ID_TOKEN, "token_type": "Bearer",
        "expires_in": 3_600 })
    .to_string();
    let json = [("content-type", "application/json")];
    let take = move |body: String| {
        seen.lock().unwrap().push(body);
        std::future::ready((json, token.clone()))
    };
    let routes = axum::Router::new()
        .route("/{tenant}/oauth2/v2.0/devicecode", post(move || std::future::ready((json, device.clone()))))
        .route("/{tenant}/oauth2/v2.0/token", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, sent)
}

fn app_only(account: &mut Account) {
    account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
}

async fn replace(world: &World, app: &App) {
    app.check().unwrap();
    assert!(world.machine.table.replace_app(app).await.unwrap());
}

/// An administrator's link, then device code, certificate and federated token.
pub(super) async fn play(world: &World, search: &mut Search) {
    let place = Place::Machine(Box::new(world.machine.clone()));
    let link = connect::consent_link(&place, &world.app).await.unwrap();
    search.plant("consent link", link.split_once("consent=").unwrap().1);
    let started = world.get(&link, "").await.unwrap();
    let at = url::Url::parse(started.header("location")).unwrap();
    let state = at.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let cookie = started.header("set-cookie").split(';').next().unwrap().to_owned();
    search.plant("state of a consent", &state);
    search.plant("cookie of a consent", cookie.split_once('=').unwrap().1);
    let answer = format!("{}?admin_consent=True&tenant={}&state={state}", world.app.redirect_uri, world.app.tenant);
    let done = world.get(&answer, &cookie).await.unwrap();
    let page = world.get(&format!("{}{}", world.origin(), done.header("location")), &cookie).await.unwrap();
    search.show("consent", format!("{:?}{}{:?}{}", done.headers, done.body, page.headers, page.body));
    assert_eq!(page.status, 200, "{}", page.body);

    let (authority, sent) = provider().await;
    let app = App { authority: Some(authority), ..world.app.clone() };
    replace(world, &app).await;
    for (name, secret) in [
        ("device code", DEVICE_CODE),
        ("the app's access token", ACCESS),
        ("refresh token", REFRESH),
        ("ID token", ID_TOKEN),
    ] {
        search.plant(name, secret);
    }
    let device = world.add("device", |_| {}).await.unwrap();
    let (connector, item) = (world.machine.connector(), world.item(&device).await.unwrap());
    let code = connector.grants.device_code(&app, &item.account).await.unwrap();
    let outcome = connector.by_device(&item, &app, &code, |_| std::future::ready(()), BY).await;
    assert!(!outcome.connected, "an ID token that is none proves nobody");
    search.show("device", format!("{outcome:?} {:?}", world.machine.table.audited(&device, 10).await));

    // Each way of proof is used, and what it gave is refused by the mail server.
    let replaced = "planted-second-client-secret~Value";
    let key_line = KEY_PEM.lines().nth(3).unwrap();
    for (name, secret) in
        [("replaced client secret", replaced), ("private key", key_line), ("federated token", FEDERATED)]
    {
        search.plant(name, secret);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FEDERATED).unwrap();
    let grants = world.machine.grants.clone().with_identity(Arc::new(TokenFile::new(file.path())));
    let name = Name::App(app.id.clone());
    for (number, credential, secret) in [
        (1, Credential::ClientSecret, Some(replaced)),
        (2, Credential::Certificate { thumbprint: "dGh1bWI".into() }, Some(KEY_PEM)),
        (3, Credential::Federated, None),
    ] {
        let app = App { credential, ..app.clone() };
        replace(world, &app).await;
        if let Some(secret) = secret {
            world
                .machine
                .vault
                .put(&name, uuid::Uuid::from_u128(100 + number), &secret.to_owned().into())
                .await
                .unwrap();
        }
        let before = sent.lock().unwrap().len();
        let id = world.add(&format!("app{number}"), app_only).await.unwrap();
        // Another client id, so that each asks for a token of its own.
        let grants = grants.acting_as("test", &number.to_string());
        let machine = Machine { grants, ..world.machine.clone() };
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        world.advance(jiff::SignedDuration::from_hours(2));
        search.show("app-only", format!("{:?}", machine.poller().poll(&id, "test", deadline, &()).await));
        search.show("its item", format!("{:?}", world.item(&id).await));
        let asked = sent.lock().unwrap().clone();
        assert!(asked.len() > before, "way {number} asked for a token");
        for (name, value) in url::form_urlencoded::parse(asked.last().unwrap().as_bytes()) {
            if name == "client_assertion" && value != FEDERATED {
                search.plant("assertion of a certificate", &value);
            }
        }
    }
    let passwords = "planted-second-password-of-basic";
    search.plant("replaced password", passwords);
    let id: AccountId = "basic".parse().unwrap();
    world
        .machine
        .vault
        .put(&Name::Password(id.clone()), uuid::Uuid::from_u128(5), &passwords.to_owned().into())
        .await
        .unwrap();
    search.show("another password", format!("{:?} {BASIC}", world.poll(&id).await));
    replace(world, &world.app).await;
}

/// A vault that panics with the value in its hands.
struct Panicking(Arc<dyn Vault>);

#[async_trait]
impl Vault for Panicking {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        self.0.get(name, version).await
    }
    async fn put(&self, name: &Name, version: uuid::Uuid, value: &Secret) -> Result<Put, VaultError> {
        panic!("no room for {name} of {MAILBOX}: {value:?} {version}")
    }
    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        self.0.remove(name).await
    }
}

/// Flows that panic while they hold tokens; what the panic prints goes to the log, with a backtrace.
pub(super) async fn panics(world: &World, search: &mut Search, id: &AccountId, log: Log) {
    let printed: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, log) = (Arc::clone(&printed), Mutex::new(log));
    std::panic::set_hook(Box::new(move |info| {
        let text = format!("{info}\n{}\n", std::backtrace::Backtrace::force_capture());
        let _ = log.lock().unwrap().write_all(text.as_bytes());
        seen.lock().unwrap().push(text);
    }));
    let m = &world.machine;
    let vault = Arc::new(Panicking(Arc::clone(&m.vault)));
    let machine = Machine::over(m.table.clone(), vault, m.reach.clone(), m.tls.clone(), Arc::clone(&m.clock)).unwrap();
    // A grant that works, then a renewal and a callback that come as far as the vault.
    let secret = rebond_tests::world::CLIENT_SECRET.to_owned().into();
    m.vault.put(&Name::App(world.app.id.clone()), uuid::Uuid::from_u128(200), &secret).await.unwrap();
    let begun = world.begin(id, &world.person(MAILBOX)).await.unwrap();
    assert_eq!(world.deliver(&begun).await.unwrap().status, 200);
    super::plant_grant(world, search, id).await;
    let (grants, item) = (machine.grants.clone(), world.item(id).await.unwrap());
    let renewed = tokio::spawn(async move { grants.renew(&item).await.map(|_| ()) }).await;
    search.show("a renewal that panicked", format!("{:?}", renewed.unwrap_err()));
    let begun = world.begin(id, &world.person(MAILBOX)).await.unwrap();
    let url = url::Url::parse(&begun.callback).unwrap();
    search.plant("code", &url.query_pairs().find(|(name, _)| name == "code").unwrap().1);
    let request = http::Request::get(&begun.callback).header("cookie", &begun.cookie).body(()).unwrap();
    let callback = machine.oauth_callback();
    let called = tokio::spawn(async move { callback.handle(&request.into_parts().0).await.status() }).await;
    search.show("a callback that panicked", format!("{:?}", called.unwrap_err()));
    // And whoever holds everything at once, and prints it.
    let login = rebond::mailbox::Login::XOAuth2 { mailbox: MAILBOX.into(), token: ACCESS.to_owned().into() };
    let printing = tokio::spawn(async move { panic!("{login:?} {:?}", Secret::from(REFRESH.to_owned())) }).await;
    search.show("a panic with everything", format!("{:?}", printing.unwrap_err()));
    let _ = std::panic::take_hook();
    let printed = printed.lock().unwrap().clone();
    assert_eq!(printed.len(), 3, "{printed:?}");
    search.show("panic", printed.join("\n"));
}
