//! Apps that open mailboxes for themselves, and how an app proves itself: secret, certificate, federated.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rebond::account::{Account, AccountId, App, Authentication, Credential, HealthState, SecretSource};
use rebond::identity::{Sts, TokenFile};
use rebond::oauth::{assertion, entra};
use rebond::secret::ExposeSecret;
use rebond::vault::{Name, Version};
use rebond_cli::machine::Machine;
use rebond_standin::entra::{AppSecret, Certificate, Federated, Settings};
use rebond_tests::stack::signed;
use rebond_tests::world::{CLIENT_SECRET, MAILBOX, World};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const ROLE: &str = "arn:aws:iam::111122223333:role/rebond-bounce-poll";
const ISSUER: &str = "https://0f1e2d3c.tokens.sts.global.api.aws";
/// Any RSA key will do; the stand-in's test key is at hand.
const KEY_PEM: &str = include_str!("../../infra/standin/src/entra/test-signing-key.pem");

fn app_only(account: &mut Account) {
    account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
}

fn key() -> RsaKeyPair {
    rebond::grant::private_key(&KEY_PEM.to_owned().into()).unwrap()
}

/// A token as an outside issuer signs it: each with a `jti` of its own.
fn outside_token(subject: &str, audience: &str) -> String {
    signed_outside(json!({ "sub": subject, "aud": audience }))
}

/// The same with these claims in place of the usual ones.
fn signed_outside(other: Value) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (now, jti) = (Timestamp::now().as_second(), format!("jti-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let mut claims = json!({
        "iss": ISSUER, "sub": ROLE, "aud": entra::EXCHANGE_AUDIENCE, "jti": jti, "iat": now, "nbf": now, "exp": now + 86_400,
    });
    claims.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The provider knows the app by an outside issuer alone.
fn federate(settings: &mut Settings) {
    settings.apps[0].secrets.clear();
    let audience = entra::EXCHANGE_AUDIENCE.to_owned();
    settings.apps[0].federated = vec![Federated { issuer: ISSUER.into(), subject: ROLE.into(), audience }];
    settings.issuers.insert(ISSUER.into(), vec![key().public().as_ref().to_vec()]);
}

async fn change_app(world: &World, change: impl FnOnce(&mut App)) {
    let mut app = world.app.clone();
    change(&mut app);
    app.check().unwrap();
    assert!(world.machine.table.replace_app(&app).await.unwrap());
}

/// Polls with another identity of the process; state and advice after it.
async fn poll_as(world: &World, machine: &Machine, id: &AccountId) -> (HealthState, String) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    machine.poller().poll(id, "test", deadline, &()).await.unwrap();
    health(world, id).await
}

async fn health(world: &World, id: &AccountId) -> (HealthState, String) {
    let health = world.item(id).await.unwrap().health;
    (health.state, health.advice.unwrap_or_default())
}

async fn poll(world: &World, id: &AccountId) -> (HealthState, String) {
    poll_as(world, &world.machine, id).await
}

/// Every secret in the vault, by name.
fn names_in_vault(world: &World) -> Vec<String> {
    let text = std::fs::read(world.dir().join("vault.json")).unwrap();
    let contents: Value = serde_json::from_slice(&text).unwrap();
    contents["secrets"].as_object().unwrap().keys().cloned().collect()
}

fn calls(world: &World) -> usize {
    world.token_calls("client_credentials")
}

#[tokio::test]
async fn one_app_serves_many_mailboxes_with_one_token_that_is_written_nowhere() {
    let world = World::start().await.unwrap();
    let mut ids = Vec::new();
    for (id, mailbox) in [("one", MAILBOX), ("two", "second@example.org"), ("three", "third@example.org")] {
        world.entra.change(|settings| settings.apps[0].mailboxes.push(mailbox.to_owned()));
        world.imap.renumber(mailbox, "INBOX");
        let change = |account: &mut Account| {
            account.mailbox = mailbox.into();
            app_only(account);
        };
        ids.push(world.add(id, change).await.unwrap());
    }
    let due = world.machine.table.accounts_due(world.now()).await.unwrap();
    assert_eq!(due.len(), 3, "they are polled at once: nobody has to connect them");
    let polls = futures::future::join_all(ids.iter().map(|id| poll(&world, id))).await;
    assert!(polls.iter().all(|(state, _)| *state == HealthState::Active), "{polls:?}");
    assert_eq!(calls(&world), 1, "one token for three mailboxes that were opened side by side");
    world.advance(SignedDuration::from_mins(30));
    assert_eq!(poll(&world, &ids[0]).await.0, HealthState::Active);
    assert_eq!(calls(&world), 1);
    world.advance(SignedDuration::from_mins(61));
    assert_eq!(poll(&world, &ids[0]).await.0, HealthState::Active);
    assert_eq!(calls(&world), 2, "a new one before the old one ended");

    let item = world.item(&ids[0]).await.unwrap();
    assert_eq!((item.principal, item.token_expires), (None, None));
    let token = world.machine.grants.access_token(&world.item(&ids[0]).await.unwrap()).await.unwrap();
    assert_eq!(calls(&world), 2);
    let token = token.expose_secret();
    assert_eq!(names_in_vault(&world), ["app/stand-in", "key/signing"]);
    for (path, bytes) in world.files().unwrap() {
        let found = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!found(token.as_bytes()) && !found(&token.as_bytes()[..60]), "{}", path.display());
        assert!(!found(CLIENT_SECRET.as_bytes()), "{}", path.display());
    }
    // There is nothing to renew on the schedule, and nobody to invite.
    let summary = world.machine.token_refresh().run(None, "test", world.now()).await.unwrap();
    assert_eq!((summary.accounts, summary.failed), (0, 0));
    let start = world.get(&world.link(&ids[0]).await.unwrap(), "").await.unwrap();
    assert_eq!(start.status, 400, "{}", start.body);
}

#[tokio::test]
async fn what_an_app_alone_cannot_do_is_said_in_the_right_place() {
    let world = World::start().await.unwrap();
    let id = world.add("app", app_only).await.unwrap();
    for tenant in ["common", "organizations", "consumers"] {
        change_app(&world, |app| app.tenant = tenant.parse().unwrap()).await;
        assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-refused".into()), "{tenant}");
        let said = world.item(&id).await.unwrap().health.said.unwrap();
        assert!(said.contains(tenant) && said.contains("directory"), "{said}");
    }
    assert_eq!(calls(&world), 0, "refused by us, before the provider would");
    change_app(&world, |_| {}).await;
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);

    // Each of the following is seen once the token at hand has ended.
    let tenant = world.app.tenant.to_string();
    let check = async |change: &dyn Fn(&mut Settings), state, advice: &str| {
        world.entra.change(|settings| change(settings));
        world.advance(SignedDuration::from_hours(2));
        assert_eq!(poll(&world, &id).await, (state, advice.to_owned()));
    };
    check(&|s| s.apps[0].mailboxes.clear(), HealthState::NeedsAdmin, "not-connected-app").await;
    check(&|s| s.apps[0].mailboxes.push(MAILBOX.into()), HealthState::Active, "").await;
    check(&|s| s.apps[0].roles.clear(), HealthState::NeedsConsent, "admin-consent-required").await;
    check(&|s| s.apps[0].roles.push("IMAP.AccessAsApp".into()), HealthState::Active, "").await;
    check(
        &|s| s.apps[0].secrets[0].expires = Some(Timestamp::UNIX_EPOCH),
        HealthState::Misconfigured,
        "client-secret-expired",
    )
    .await;
    check(&|s| s.apps[0].secrets[0].expires = None, HealthState::Active, "").await;
    check(&|s| s.apps[0].secrets[0].value = "another".into(), HealthState::Misconfigured, "client-secret-wrong").await;
    let gone = |s: &mut Settings| s.tenants.retain(|one| one.id != tenant);
    check(&gone, HealthState::Misconfigured, "tenant-not-found").await;
}

#[tokio::test]
async fn a_certificate_proves_the_app_in_every_flow() {
    let world = World::start().await.unwrap();
    let der = b"a certificate in DER, of which the provider keeps thumbprint and key";
    let thumbprint = assertion::thumbprint(der);
    let public_key = key().public().as_ref().to_vec();
    world.entra.change(|settings| {
        settings.apps[0].secrets.clear();
        settings.refuse_replayed_assertions = true;
        settings.apps[0].certificates = vec![Certificate { thumbprint: thumbprint.clone(), public_key }];
    });
    let name = Name::App(world.app.id.clone());
    world.machine.vault.put(&name, uuid::Uuid::max(), &KEY_PEM.to_owned().into()).await.unwrap();
    change_app(&world, |app| app.credential = Credential::Certificate { thumbprint: thumbprint.clone() }).await;
    let id = world.add_connected("person", |_| {}).await.unwrap();
    world.machine.token_refresh().run(Some(&id), "test", world.now()).await.unwrap();
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);
    let id = world.add("app", app_only).await.unwrap();
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);
    let proved = [world.token_calls("authorization_code"), world.token_calls("refresh_token"), calls(&world)];
    assert_eq!(proved, [1, 1, 1], "each with an assertion of its own: a replay would have been refused");

    // The provider's clock goes ahead of ours: what was signed here is out of its time there.
    world.advance(SignedDuration::from_hours(2));
    world.entra.advance_clock(SignedDuration::from_hours(2));
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-assertion-time".into()));
    let said = world.item(&id).await.unwrap().health.said.unwrap();
    assert!(said.contains("not within its valid time range"), "{said}");
    world.entra.advance_clock(SignedDuration::from_hours(-2));

    change_app(&world, |app| app.credential = Credential::Certificate { thumbprint: "b3RoZXI".into() }).await;
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-certificate".into()));
    change_app(&world, |app| app.credential = Credential::Certificate { thumbprint: thumbprint.clone() }).await;
    world.machine.vault.put(&name, uuid::Uuid::from_u128(9), &"no key".to_owned().into()).await.unwrap();
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-certificate".into()));
    assert!(world.item(&id).await.unwrap().health.said.unwrap().contains("private key"));
}

#[tokio::test]
async fn a_federated_app_needs_no_secret_anywhere() {
    let world = World::start().await.unwrap();
    world.entra.change(federate);
    world.machine.vault.remove(&Name::App(world.app.id.clone())).await.unwrap();
    change_app(&world, |app| app.credential = Credential::Federated).await;
    let id = world.add("app", app_only).await.unwrap();
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-assertion".into()));
    assert_eq!(calls(&world), 0, "a process without an identity asks nobody");

    let file = world.dir().join("token");
    let grants = world.machine.grants.clone().with_identity(Arc::new(TokenFile::new(&file)));
    let machine = Machine { grants, ..world.machine.clone() };
    for (subject, audience, expected) in [
        (ROLE, "api://other", (HealthState::Misconfigured, "client-assertion")),
        (
            "arn:aws:iam::111122223333:role/Other",
            entra::EXCHANGE_AUDIENCE,
            (HealthState::Misconfigured, "client-assertion"),
        ),
        (ROLE, entra::EXCHANGE_AUDIENCE, (HealthState::Active, "")),
    ] {
        std::fs::write(&file, outside_token(subject, audience)).unwrap();
        let (state, advice) = poll_as(&world, &machine, &id).await;
        assert_eq!((state, advice.as_str()), expected, "{:?}", world.item(&id).await.unwrap().health.said);
    }
    let token = machine.grants.access_token(&world.item(&id).await.unwrap()).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(names_in_vault(&world), ["key/signing"], "no secret of app or account");
    for (path, bytes) in world.files().unwrap() {
        let token = &token.expose_secret().as_bytes()[..60];
        assert!(!bytes.windows(60).any(|window| window == token), "{}", path.display());
    }
}

/// An app that proves itself by what stands in a file, at a provider that takes each assertion once: its account, the machine
/// that reads the file, and the file.
async fn by_token_file() -> (World, AccountId, Machine, PathBuf) {
    let world = World::start().await.unwrap();
    world.entra.change(|settings| {
        federate(settings);
        settings.refuse_replayed_assertions = true;
    });
    change_app(&world, |app| app.credential = Credential::Federated).await;
    let id = world.add("app", app_only).await.unwrap();
    let file = world.dir().join("token");
    let grants = world.machine.grants.clone().with_identity(Arc::new(TokenFile::new(&file)));
    let machine = Machine { grants, ..world.machine.clone() };
    (world, id, machine, file)
}

#[tokio::test]
async fn an_assertion_that_was_used_before_is_refused_and_explained() {
    // A token file that nobody keeps fresh is sent a second time when the first access token has ended.
    let (world, id, machine, file) = by_token_file().await;
    for (fresh, expected) in [
        (true, (HealthState::Active, "")),
        (false, (HealthState::Misconfigured, "client-unproven")),
        (true, (HealthState::Active, "")),
    ] {
        if fresh {
            std::fs::write(&file, outside_token(ROLE, entra::EXCHANGE_AUDIENCE)).unwrap();
        }
        world.advance(SignedDuration::from_hours(2));
        let (state, advice) = poll_as(&world, &machine, &id).await;
        let said = world.item(&id).await.unwrap().health.said.unwrap_or_default();
        assert_eq!((state, advice.as_str()), expected, "{said}");
        assert_eq!(said.contains("jti was used before"), !fresh, "{said}");
    }
}

/// What was presented stands beside what was wanted, whatever the provider says of it, and no part of the token itself.
async fn assert_shows(world: &World, id: &AccountId, token: &str, shown: &[&str]) {
    let said = world.item(id).await.unwrap().health.said.unwrap();
    for part in shown {
        assert!(said.contains(part), "{part}: {said}");
    }
    for part in token.split('.').filter(|part| !part.is_empty()) {
        assert!(!said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_refused_federated_assertion_is_shown_beside_what_was_wanted() {
    let (world, id, machine, file) = by_token_file().await;
    let wanted = format!("(wanted: {})", entra::EXCHANGE_AUDIENCE);
    let (past, lower) = (Timestamp::now().as_second() - 7_200, ROLE.to_lowercase().replace("role/r", "role/R"));
    let ended = Timestamp::from_second(past + 300).unwrap().to_string();
    for (claims, advice, shown) in [
        (json!({ "aud": "api://other" }), "client-assertion", ["audience api://other", ISSUER, ROLE]),
        (json!({ "sub": "somebody" }), "client-assertion", ["subject somebody", ISSUER, "api://"]),
        (json!({ "sub": lower }), "client-assertion-case", [lower.as_str(), ISSUER, "api://"]),
        (json!({ "iss": "https://other" }), "client-assertion", ["issuer https://other", ROLE, "api://"]),
        (
            json!({ "nbf": past, "exp": past + 300 }),
            "client-assertion-time",
            ["valid until", ended.as_str(), "not within its valid time range"],
        ),
    ] {
        let token = signed_outside(claims);
        std::fs::write(&file, &token).unwrap();
        assert_eq!(poll_as(&world, &machine, &id).await, (HealthState::Misconfigured, advice.to_owned()));
        assert_shows(&world, &id, &token, &shown).await;
        assert_shows(&world, &id, &token, &[wanted.as_str(), "we presented", "jti jti-"]).await;
    }
    // Sent a second time: its `jti` is shown, by which the file's keeper finds it.
    let token = signed_outside(json!({ "jti": "the-one-used-twice" }));
    std::fs::write(&file, &token).unwrap();
    assert_eq!(poll_as(&world, &machine, &id).await.0, HealthState::Active);
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(poll_as(&world, &machine, &id).await, (HealthState::Misconfigured, "client-unproven".into()));
    assert_shows(&world, &id, &token, &["jti was used before", "jti the-one-used-twice", &wanted, ISSUER, ROLE]).await;
}

#[tokio::test]
async fn a_refused_certificate_assertion_is_shown_beside_what_was_wanted() {
    let world = World::start().await.unwrap();
    let thumbprint = assertion::thumbprint(b"a certificate in DER");
    let public_key = key().public().as_ref().to_vec();
    world.entra.change(|settings| {
        settings.apps[0].secrets.clear();
        settings.apps[0].certificates = vec![Certificate { thumbprint: thumbprint.clone(), public_key }];
    });
    let name = Name::App(world.app.id.clone());
    world.machine.vault.put(&name, uuid::Uuid::max(), &KEY_PEM.to_owned().into()).await.unwrap();
    let id = world.add("app", app_only).await.unwrap();
    let own = |app: &mut App| app.credential = Credential::Certificate { thumbprint: thumbprint.clone() };
    let endpoint = |authority: &str| format!("{authority}/{}/oauth2/v2.0/token", world.app.tenant);
    let of_us = format!("issuer {0}, subject {0}", world.app.client_id);
    // Another key than the registration's. The thumbprint stands there as `openssl x509 -fingerprint -sha256` has it.
    let other = "b3RoZXItY2VydGlmaWNhdGU";
    change_app(&world, |app| app.credential = Credential::Certificate { thumbprint: other.into() }).await;
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-certificate".into()));
    let hex: String = b"other-certificate".iter().map(|byte| format!("{byte:02X}")).collect();
    let beside = format!("audience {0} (wanted: {0})", endpoint(world.entra.url()));
    assert_shows(&world, &id, "", &[&format!("SHA-256 thumbprint {hex}"), &of_us, &beside]).await;
    // A host in front of the provider, by whose name the provider does not know itself.
    let front = world.entra.url().replace("localhost", "127.0.0.1");
    assert_ne!(front, world.entra.url());
    change_app(&world, |app| {
        own(app);
        app.authority = Some(front.clone());
    })
    .await;
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-assertion-audience".into()));
    assert_shows(&world, &id, "", &["audience claim does not match", &endpoint(&front), &of_us]).await;
    // Out of its time by the provider's clock.
    change_app(&world, own).await;
    world.entra.advance_clock(SignedDuration::from_hours(2));
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-assertion-time".into()));
    assert_shows(&world, &id, "", &["valid from", "valid until", &of_us]).await;
    world.entra.advance_clock(SignedDuration::from_hours(-2));
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);
    // A refusal of something else says nothing of it.
    world.advance(SignedDuration::from_hours(2));
    world.entra.change(|settings| settings.apps[0].roles.clear());
    assert_eq!(poll(&world, &id).await.0, HealthState::NeedsConsent);
    assert!(!world.item(&id).await.unwrap().health.said.unwrap_or_default().contains("presented"));
}

/// `GetWebIdentityToken` as AWS documents it (query protocol, XML answer), signing with the test key.
async fn sts(role: &'static str) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let answer = move |body: String| {
        let seen = Arc::clone(&seen);
        async move {
            let audience = url::form_urlencoded::parse(body.as_bytes())
                .find(|(name, _)| name == "Audience.member.1")
                .map(|(_, value)| value.into_owned());
            seen.lock().unwrap().push(body);
            let token = outside_token(role, &audience.unwrap_or_default());
            format!(
                "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetWebIdentityTokenResult>\
                 <WebIdentityToken>{token}</WebIdentityToken><Expiration>2030-01-01T00:00:00Z</Expiration>\
                 </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
            )
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

#[tokio::test]
async fn on_aws_the_role_of_the_function_proves_the_app() {
    let world = World::start().await.unwrap();
    world.entra.change(federate);
    change_app(&world, |app| app.credential = Credential::Federated).await;
    let id = world.add("app", app_only).await.unwrap();
    let (url, asked) = sts(ROLE).await;
    let identity = Sts::new(signed(&url).await);
    let machine =
        Machine { grants: world.machine.grants.clone().with_identity(Arc::new(identity)), ..world.machine.clone() };
    assert_eq!(poll_as(&world, &machine, &id).await.0, HealthState::Active);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    for part in ["Action=GetWebIdentityToken", "SigningAlgorithm=RS256", "DurationSeconds=300", "Audience.member.1=api"]
    {
        assert!(asked[0].contains(part), "{part}: {}", asked[0]);
    }
    // Another function's role is another subject.
    let (url, _) = sts("arn:aws:iam::111122223333:role/rebond-token-refresh").await;
    let identity = Sts::new(signed(&url).await);
    let machine =
        Machine { grants: world.machine.grants.clone().with_identity(Arc::new(identity)), ..world.machine.clone() };
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(poll_as(&world, &machine, &id).await, (HealthState::Misconfigured, "client-assertion".into()));
    let said = world.item(&id).await.unwrap().health.said.unwrap();
    assert!(said.contains("role/rebond-token-refresh"), "what we sent is shown: {said}");
}

/// A function as Lambda's `Invoke` runs it: what it was sent, and what it answers.
async fn function(answer: &'static str) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let invoke = move |path: axum::extract::Path<String>, headers: axum::http::HeaderMap, body: String| {
        let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        seen.lock().unwrap().push(format!("{} {signed} {body}", path.0));
        std::future::ready(answer)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = axum::Router::new().route("/2015-03-31/functions/{name}/invocations", axum::routing::post(invoke));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

#[tokio::test]
async fn a_client_secret_may_be_given_out_by_a_function() {
    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:111122223333:function:secrets";
    let world = World::start().await.unwrap();
    world.machine.vault.remove(&Name::App(world.app.id.clone())).await.unwrap();
    change_app(&world, |app| app.secret_from = Some(SecretSource::Lambda(FUNCTION.into()))).await;
    let id = world.add("app", app_only).await.unwrap();
    let given = Box::leak(json!({ "client_secret": CLIENT_SECRET }).to_string().into_boxed_str());
    for (answer, expected) in [
        ("null", (HealthState::Misconfigured, "client-secret-missing")),
        ("{\"errorMessage\": \"the secret is planted-1234\"}", (HealthState::Misconfigured, "client-secret-missing")),
        (given, (HealthState::Active, "")),
    ] {
        let (url, asked) = function(answer).await;
        let grants = world.machine.grants.clone().with_signed(signed(&url).await);
        let machine = Machine { grants, ..world.machine.clone() };
        world.advance(SignedDuration::from_hours(2));
        let (state, advice) = poll_as(&world, &machine, &id).await;
        let said = world.item(&id).await.unwrap().health.said.unwrap_or_default();
        assert_eq!((state, advice.as_str()), expected, "{said}");
        assert!(!said.contains("planted") && said.is_empty() == (state == HealthState::Active), "{said}");
        let asked = asked.lock().unwrap().concat();
        for part in [FUNCTION, "/eu-west-1/lambda/aws4_request", &world.app.client_id] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
    }
    assert!(!names_in_vault(&world).iter().any(|name| name.starts_with("app/")), "ours is empty");
}

#[tokio::test]
async fn a_client_id_may_be_given_out_beside_the_secret() {
    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:111122223333:function:secrets";
    const OTHER: &str = "7c1f0b5e-3a52-4d0e-9d13-0a4d5c6b7e8f";
    let world = World::start().await.unwrap();
    world.machine.vault.remove(&Name::App(world.app.id.clone())).await.unwrap();
    world.entra.change(|settings| {
        let mut other = settings.apps[0].clone();
        other.client_id = OTHER.into();
        settings.apps.push(other);
        let own = settings.apps[0].client_id.clone();
        for granted in settings.tenants.iter_mut().map(|tenant| &mut tenant.roles_granted) {
            if granted.contains(&own) {
                granted.push(OTHER.into());
            }
        }
    });
    change_app(&world, |app| {
        app.secret_from = Some(SecretSource::Lambda(FUNCTION.into()));
        (app.client_id, app.client_id_given) = (String::new(), true);
    })
    .await;
    let robot = world.add("app", app_only).await.unwrap();
    let human = world.add("person", |_| {}).await.unwrap();
    let known = async || world.machine.table.app(&world.app.id).await.unwrap().unwrap().client_id;
    let asking = async |answer: Value| {
        let (url, _) = function(Box::leak(answer.to_string().into_boxed_str())).await;
        Machine { grants: world.machine.grants.clone().with_signed(signed(&url).await), ..world.machine.clone() }
    };
    // The page that begins a sign-in reads no secrets, so it waits for whoever may.
    let early = world.get(&world.link(&human).await.unwrap(), "").await.unwrap();
    assert!(early.status == 400 && early.body.contains("was not given out yet"), "{}", early.body);
    // No client id, and something that is none: neither is used, kept or repeated.
    for client_id in [json!(null), json!(""), json!(CLIENT_SECRET)] {
        let machine = asking(json!({ "client_secret": CLIENT_SECRET, "client_id": client_id })).await;
        // The stand-in's own app may have any client id; Entra's are GUIDs.
        change_app(&world, |app| {
            app.secret_from = Some(SecretSource::Lambda(FUNCTION.into()));
            (app.client_id, app.client_id_given, app.authority) = (String::new(), true, None);
        })
        .await;
        let (state, advice) = poll_as(&world, &machine, &robot).await;
        let said = world.item(&robot).await.unwrap().health.said.unwrap();
        assert_eq!((state, advice.as_str()), (HealthState::Misconfigured, "client-unproven"), "{said}");
        assert!(!said.contains(CLIENT_SECRET) && said.contains("no client id"), "{said}");
        assert_eq!((known().await.as_str(), calls(&world)), ("", 0));
    }
    change_app(&world, |app| {
        app.secret_from = Some(SecretSource::Lambda(FUNCTION.into()));
        (app.client_id, app.client_id_given) = (String::new(), true);
    })
    .await;
    let own = world.app.client_id.clone();
    let machine = asking(json!({ "client_secret": CLIENT_SECRET, "client_id": own })).await;
    // The schedule learns it before anybody needs it.
    machine.token_refresh().run(None, "test", world.now()).await.unwrap();
    assert_eq!((known().await, calls(&world)), (own.clone(), 0));
    assert_eq!(poll_as(&world, &machine, &robot).await, (HealthState::Active, String::new()));
    let begun = world.begin(&human, &world.person(MAILBOX)).await.unwrap();
    let request = http::Request::get(&begun.callback).header("cookie", &begun.cookie).body(()).unwrap();
    let answer = machine.oauth_callback().handle(&request.into_parts().0).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(world.item(&human).await.unwrap().principal.unwrap().name, MAILBOX);
    assert_eq!(poll_as(&world, &machine, &human).await.0, HealthState::Active);
    // Another one is given out: it is used from the next request on.
    let machine = asking(json!({ "client_secret": CLIENT_SECRET, "client_id": OTHER })).await;
    world.advance(SignedDuration::from_hours(2));
    let (state, _) = poll_as(&world, &machine, &robot).await;
    let asked: Vec<_> = world.entra.log().into_iter().filter(|call| call.endpoint == "token").collect();
    assert_eq!((state, known().await.as_str()), (HealthState::Active, OTHER), "{:?}", asked.last());
    let (last, before) = asked.split_last().unwrap();
    assert_eq!(last.client_id, OTHER);
    assert!(before.iter().all(|call| call.client_id == own), "{before:?}");
    // One that the operator named stays, whatever is given out.
    change_app(&world, |app| app.secret_from = Some(SecretSource::Lambda(FUNCTION.into()))).await;
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(poll_as(&world, &machine, &robot).await.0, HealthState::Active);
    assert_eq!((known().await, world.entra.log().pop().unwrap().client_id), (own.clone(), own));
}

#[tokio::test]
async fn a_client_secret_may_be_kept_in_another_place() {
    let world = World::start().await.unwrap();
    world.machine.vault.remove(&Name::App(world.app.id.clone())).await.unwrap();
    let id = world.add("app", app_only).await.unwrap();
    assert_eq!(poll(&world, &id).await, (HealthState::Misconfigured, "client-secret-missing".into()));
    // HOME is set for every test, so that no test changes the environment of the others.
    let value = std::env::var("HOME").unwrap();
    world
        .entra
        .change(|s| s.apps[0].secrets.push(AppSecret { id: String::new(), value: value.clone(), expires: None }));
    let from = SecretSource::Environment("HOME".into());
    change_app(&world, |app| app.secret_from = Some(from)).await;
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);
    assert_eq!(names_in_vault(&world), ["key/signing"]);
    // A machine has no Secrets Manager, and says so in place of guessing.
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:x";
    change_app(&world, |app| app.secret_from = Some(SecretSource::Arn(arn.into()))).await;
    world.advance(SignedDuration::from_hours(2));
    let foreign = world.machine.vault.get(&Name::Foreign(arn.into()), Version::Current).await;
    assert!(foreign.unwrap_err().to_string().contains("AWS Secrets Manager"));
}

#[tokio::test]
async fn another_way_in_is_an_edit() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    world.imap.deliver(MAILBOX, "INBOX", b"Subject: one\r\n\r\nx\r\n".to_vec(), world.now());
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);
    let before = world.item(&id).await.unwrap();
    let facts = world.facts(&id).await.unwrap().len();
    assert_eq!(facts, 1);
    // From a person to the app itself, as `rebond account set box --app stand-in --app-only` does it.
    let mut account = before.account.clone();
    app_only(&mut account);
    assert!(world.machine.table.replace_way_in(&account, before.generation, world.now()).await.unwrap());
    let item = world.item(&id).await.unwrap();
    assert_eq!((item.principal, item.generation), (None, before.generation + 1));
    world.imap.deliver(MAILBOX, "INBOX", b"Subject: two\r\n\r\nx\r\n".to_vec(), world.now());
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((summary.messages, summary.recorded), (1, 1), "the cursor stayed: the first message is not read again");
    assert_eq!(world.facts(&id).await.unwrap().len(), 2);
    // Whoever edits an old state changes nothing.
    assert!(!world.machine.table.replace_way_in(&before.account, before.generation, world.now()).await.unwrap());
    // Back to a person: not connected until somebody signs in.
    let generation = world.item(&id).await.unwrap().generation;
    assert!(world.machine.table.replace_way_in(&before.account, generation, world.now()).await.unwrap());
    assert_eq!(health(&world, &id).await.0, HealthState::NotConnected);
    let walk = world.person(MAILBOX).walk(&world.link(&id).await.unwrap()).await.unwrap();
    assert_eq!(walk.status, 200, "{}", walk.text);
    assert_eq!(poll(&world, &id).await.0, HealthState::Active);
    assert_eq!(world.facts(&id).await.unwrap().len(), 2);
}

const KMS_KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/0e8f1c52-7a64-4b1e-8c90-5e2f6a7b8c91";

/// One key of KMS as AWS documents it (JSON 1.1, `TrentService`): it signs the digest that it is given, with a salt as long
/// as the digest. moto does neither. OpenSSL signs with the test key.
async fn kms() -> (String, Arc<std::sync::Mutex<Vec<Value>>>) {
    let asked: Arc<std::sync::Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), KEY_PEM).unwrap();
    let key = Arc::new(key);
    let answer = move |headers: http::HeaderMap, body: String| {
        let body: Value = serde_json::from_str(&body).unwrap();
        seen.lock().unwrap().push(body.clone());
        let target = headers["x-amz-target"].to_str().unwrap().to_owned();
        let key = Arc::clone(&key);
        async move {
            let kind = [("content-type", "application/x-amz-json-1.1")];
            if body["KeyId"] != KMS_KEY {
                let fault = json!({ "__type": "NotFoundException", "message": "Key is not there" });
                return (http::StatusCode::BAD_REQUEST, kind, fault.to_string());
            }
            assert_eq!(target, "TrentService.Sign");
            assert_eq!(
                (&body["MessageType"], &body["SigningAlgorithm"]),
                (&json!("DIGEST"), &json!("RSASSA_PSS_SHA_256"))
            );
            let digest = base64::prelude::BASE64_STANDARD.decode(body["Message"].as_str().unwrap()).unwrap();
            assert_eq!(digest.len(), 32);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), digest).unwrap();
            let signed = std::process::Command::new("openssl")
                .args(["pkeyutl", "-sign", "-pkeyopt", "digest:sha256", "-pkeyopt", "rsa_padding_mode:pss"])
                .args(["-pkeyopt", "rsa_pss_saltlen:digest", "-inkey"])
                .arg(key.path())
                .arg("-in")
                .arg(file.path())
                .output()
                .unwrap();
            assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
            let signature = base64::prelude::BASE64_STANDARD.encode(signed.stdout);
            let answer = json!({ "KeyId": KMS_KEY, "Signature": signature, "SigningAlgorithm": "RSASSA_PSS_SHA_256" });
            (http::StatusCode::OK, kind, answer.to_string())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

#[tokio::test]
async fn a_key_in_kms_signs_and_is_never_seen() {
    let world = World::start().await.unwrap();
    let (url, asked) = kms().await;
    let public_key = key().public().as_ref().to_vec();
    let thumbprint = assertion::thumbprint(b"a certificate of the key in KMS");
    world.entra.change(|settings| {
        settings.apps[0].secrets.clear();
        settings.refuse_replayed_assertions = true;
        settings.apps[0].certificates = vec![Certificate { thumbprint: thumbprint.clone(), public_key }];
    });
    world.machine.vault.remove(&Name::App(world.app.id.clone())).await.unwrap();
    let proven_by = |key: &str| {
        let (thumbprint, key) = (thumbprint.clone(), key.to_owned());
        move |app: &mut App| {
            app.credential = Credential::Certificate { thumbprint };
            app.secret_from = Some(SecretSource::Kms(key));
        }
    };
    change_app(&world, proven_by(KMS_KEY)).await;
    let id = world.add("app", app_only).await.unwrap();
    assert_eq!(
        poll(&world, &id).await,
        (HealthState::Misconfigured, "client-certificate".into()),
        "there is no KMS here"
    );
    assert_eq!(calls(&world), 0);
    let grants = world.machine.grants.clone().with_kms(rebond::vault::Kms::new(signed(&url).await));
    let machine = Machine { grants, ..world.machine.clone() };
    assert_eq!(poll_as(&world, &machine, &id).await, (HealthState::Active, String::new()));
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(poll_as(&world, &machine, &id).await.0, HealthState::Active);
    assert_eq!((calls(&world), asked.lock().unwrap().len()), (2, 2), "each with an assertion of its own");
    assert_eq!(names_in_vault(&world), ["key/signing"]);
    // A key that is not there is said so.
    change_app(&world, proven_by("arn:aws:kms:us-east-1:111122223333:key/another")).await;
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(poll_as(&world, &machine, &id).await, (HealthState::Misconfigured, "client-certificate".into()));
    let said = world.item(&id).await.unwrap().health.said.unwrap();
    assert!(said.contains("key/another") && said.contains("NotFoundException"), "{said}");
    let wrong = App { secret_from: Some(SecretSource::Kms(KMS_KEY.into())), ..world.app.clone() };
    assert!(wrong.check().unwrap_err().to_string().contains("only a certificate's private key"));
}
