//! Ways in for people: a device code, a pasted address, an administrator's consent, in every cloud.

use jiff::SignedDuration;
use rebond::account::{Account, AccountId, App, Authentication, Cloud, HealthState};
use rebond::connection::Answer;
use rebond::oauth::{Pending, authorization_url};
use rebond::table::{Authorization, AuthorizationOutcome, By, Claim, Sought};
use rebond::vault::signing_key;
use rebond_cli::connect;
use rebond_cli::place::Place;
use rebond_standin::entra::{Audience, CONSUMERS, Settings, User, UserConsent};
use rebond_standin::person::Browser;
use rebond_standin::{Answer as Scripted, Person, Refusal};
use rebond_tests::world::{MAILBOX, SIGN_IN, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BY: By<'static> = By { function: "test", run: "test" };

async fn health(world: &World, id: &AccountId) -> (HealthState, String) {
    let health = world.item(id).await.unwrap().health;
    (health.state, health.advice.unwrap_or_default())
}

async fn poll(world: &World, id: &AccountId) -> HealthState {
    world.poll(id).await.unwrap().health.unwrap().state
}

fn app_only(account: &mut Account) {
    account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
}

/// Plays a device code to its end; `act` is what happens while we wait for the first time.
async fn by_device(
    world: &World,
    id: &AccountId,
    act: impl AsyncFn(String, String) + Send + Sync + 'static,
) -> (AuthorizationOutcome, Vec<u64>) {
    let (connector, item) = (world.machine.connector(), world.item(id).await.unwrap());
    let code = connector.grants.device_code(&world.app, &item.account).await.unwrap();
    assert!(code.page().ends_with("/devicelogin") && code.life() == Duration::from_secs(900));
    let waits = Arc::new(Mutex::new(Vec::new()));
    let (seen, act) = (Arc::clone(&waits), Arc::new(act));
    let (page, typed) = (code.page().to_owned(), code.user_code().to_owned());
    let sleep = move |time: Duration| {
        let first = {
            let mut seen = seen.lock().unwrap();
            seen.push(time.as_secs());
            seen.len() == 1
        };
        let (act, page, typed) = (Arc::clone(&act), page.clone(), typed.clone());
        async move {
            if first {
                act(page, typed).await;
            }
        }
    };
    let outcome = connector.by_device(&item, &world.app, &code, sleep, BY).await;
    let waits = waits.lock().unwrap().clone();
    (outcome, waits)
}

async fn types(person: Person, page: String, code: String) {
    person.walk(&format!("{page}?otc={code}")).await.unwrap();
}

fn person(upn: &str, consents: bool) -> Person {
    Person { upn: upn.into(), password: SIGN_IN.into(), consents }
}

#[tokio::test]
async fn a_device_code_connects_with_the_same_checks() {
    let world = World::start().await.unwrap();
    let id = world.add("box", |_| {}).await.unwrap();
    let (outcome, waits) =
        by_device(&world, &id, async |page, code| types(person(MAILBOX, true), page, code).await).await;
    assert!(outcome.connected && outcome.who.as_deref() == Some(MAILBOX), "{outcome:?}");
    assert_eq!(waits, [5], "the interval that the provider asked for");
    assert_eq!(poll(&world, &id).await, HealthState::Active);
    world.machine.token_refresh().run(Some(&id), "test", world.now()).await.unwrap();
    assert_eq!(world.token_calls("refresh_token"), 1);
    let generation = world.item(&id).await.unwrap().generation;

    // Somebody else may not take the account over, and nothing of theirs is kept.
    let other = "alex@example.org";
    let (outcome, _) =
        by_device(&world, &id, async move |page, code| types(person(other, true), page, code).await).await;
    assert_eq!((outcome.connected, outcome.advice.as_deref()), (false, Some("wrong-person")));
    assert_eq!(world.item(&id).await.unwrap().generation, generation);
    // Nor connect a mailbox that their token does not open.
    let second = world.add("second", |_| {}).await.unwrap();
    let (outcome, _) =
        by_device(&world, &second, async move |page, code| types(person(other, true), page, code).await).await;
    assert_eq!(
        (outcome.connected, outcome.advice.as_deref()),
        (false, Some("not-connected-other-user")),
        "{outcome:?}"
    );
    assert_eq!(health(&world, &second).await.0, HealthState::NotConnected);
}

#[tokio::test]
async fn a_device_code_may_be_declined_may_end_and_may_be_asked_for_too_often() {
    let world = Arc::new(World::start().await.unwrap());
    let id = world.add("box", |_| {}).await.unwrap();
    let (outcome, _) = by_device(&world, &id, async |page, code| types(person(MAILBOX, false), page, code).await).await;
    assert_eq!((outcome.connected, outcome.advice.as_deref()), (false, Some("declined")), "{outcome:?}");

    let late = Arc::clone(&world);
    let (outcome, _) = by_device(&world, &id, async move |_, _| late.advance(SignedDuration::from_mins(16))).await;
    assert!(!outcome.connected && outcome.said.unwrap().contains("expired_token"));

    // RFC 8628 §3.5: slow_down adds five seconds, for good.
    let slow = |error: &str| Refusal::token(Scripted::error(error, 0, "scripted."));
    world.entra.script(slow("slow_down"));
    world.entra.script(slow("authorization_pending"));
    let (outcome, waits) =
        by_device(&world, &id, async |page, code| types(person(MAILBOX, true), page, code).await).await;
    assert!(outcome.connected, "{outcome:?}");
    assert_eq!(waits, [10, 10]);
}

/// The steps of `rebond connect ACCOUNT --paste`, with the person's browser in between.
async fn paste(world: &World, id: &AccountId, change: impl Fn(String) -> String) -> AuthorizationOutcome {
    paste_as(world, id, MAILBOX, change).await
}

/// The same by somebody.
async fn paste_as(world: &World, id: &AccountId, upn: &str, change: impl Fn(String) -> String) -> AuthorizationOutcome {
    let (connector, item) = (world.machine.connector(), world.item(id).await.unwrap());
    let pending = Pending::new(&rebond_cli::machine::random().unwrap());
    let key = signing_key(&*world.machine.vault).await.unwrap();
    let page = authorization_url(&world.app, &item.account, &pending, &key).unwrap();
    let sought = Sought::Account { account: id.clone(), connection: item.connection };
    let authorization = Authorization::new(sought, &pending, world.now());
    connector.table.start_authorization(&pending.id(), &authorization).await.unwrap();
    // The browser ends at our own callback, which refuses it for want of a cookie and spends nothing.
    let walk = person(upn, true).walk(page.as_str()).await.unwrap();
    assert_eq!(walk.status, 400, "{}", walk.text);
    let pasted = url::Url::parse(&change(walk.url)).unwrap();
    assert_eq!(connector.table.claim_authorization(&pending.id(), world.now()).await.unwrap(), Claim::Yours);
    let get = |name: &str| pasted.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
    connector.by_code(id, item.connection, &Answer::read(get), &pending, BY).await
}

#[tokio::test]
async fn a_pasted_address_connects_with_the_same_checks() {
    let world = World::start().await.unwrap();
    let id = world.add("box", |_| {}).await.unwrap();
    // Mix-up: an answer that names another issuer is not believed, and its code is sent nowhere.
    let outcome = paste(&world, &id, |url| format!("{url}&iss=https://evil.example")).await;
    assert_eq!((outcome.connected, outcome.advice.as_deref()), (false, Some("other-provider")));
    assert_eq!(world.token_calls("authorization_code"), 0);
    let outcome = paste(&world, &id, |url| url.replace("code=", "kode=")).await;
    assert_eq!((outcome.connected, outcome.advice.as_deref()), (false, Some("request-refused")));
    let outcome = paste(&world, &id, |url| url).await;
    assert!(outcome.connected, "{outcome:?}");
    assert_eq!(poll(&world, &id).await, HealthState::Active);
}

/// A directory where nobody consented, and only an administrator may.
fn closed(settings: &mut Settings) {
    settings.tenants[0].roles_granted.clear();
    settings.tenants[0].user_consent = UserConsent::AdminRequired;
}

#[tokio::test]
async fn an_administrator_consents_by_a_link_and_what_waited_goes_on_by_itself() {
    let world = World::start().await.unwrap();
    world.entra.change(closed);
    let robot = world.add("robot", app_only).await.unwrap();
    let human = world.add("human", |_| {}).await.unwrap();
    assert_eq!(poll(&world, &robot).await, HealthState::NeedsConsent);
    let walk = person(MAILBOX, true).walk(&world.link(&human).await.unwrap()).await.unwrap();
    assert!(walk.text.contains("90094"), "the person may not consent: {}", walk.text);

    let place = Place::Machine(Box::new(world.machine.clone()));
    let link = connect::consent_link(&place, &world.app).await.unwrap();
    let waiting = world.machine.connector().await_consent(&world.app, BY).await.unwrap();
    assert_eq!(waiting.len(), 2);
    for id in [&robot, &human] {
        assert_eq!(health(&world, id).await, (HealthState::NeedsConsent, "admin-consent-required".into()));
    }
    let due = world.item(&robot).await.unwrap().next_due - world.now().as_second();
    assert!((1..=6 * 3_600).contains(&due), "the consent may be given elsewhere: asked again in {due} s");

    // Somebody who is no administrator, and an administrator who declines: nothing changes, the link stays good.
    let walk = person("alex@example.org", true).walk(&link).await.unwrap();
    assert!(walk.text.contains("90094"), "{}", walk.text);
    let walk = person("admin@example.org", false).walk(&link).await.unwrap();
    assert!(walk.status == 400 && walk.text.contains("Consent was not given"), "{}", walk.text);
    assert_eq!(health(&world, &robot).await.0, HealthState::NeedsConsent);

    let mut browser = Browser::new().unwrap();
    let walk = person("admin@example.org", true).walk_in(&mut browser, &link).await.unwrap();
    assert!(walk.status == 200 && walk.text.contains("Consent is given"), "{}", walk.text);
    assert!(walk.text.contains(&world.app.tenant.to_string()), "{}", walk.text);
    let (status, _) = browser.get(&walk.url).await.unwrap();
    assert_eq!(status, 200, "the result page answers a reload");
    let due: Vec<_> = world.machine.table.accounts_due(world.now()).await.unwrap();
    assert_eq!(due.iter().map(|item| item.account.id.as_str()).collect::<Vec<_>>(), ["robot"]);
    world.advance(SignedDuration::from_mins(2));
    assert_eq!(poll(&world, &robot).await, HealthState::Active);
    assert_eq!(health(&world, &human).await.0, HealthState::NotConnected);
    let walk = person(MAILBOX, true).walk(&world.link(&human).await.unwrap()).await.unwrap();
    assert_eq!(walk.status, 200, "{}", walk.text);
    // What works already is left alone.
    assert!(world.machine.connector().await_consent(&world.app, BY).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_forged_link_or_answer_of_consent_does_nothing() {
    let world = World::start().await.unwrap();
    world.entra.change(closed);
    let robot = world.add("robot", app_only).await.unwrap();
    assert_eq!(poll(&world, &robot).await, HealthState::NeedsConsent);
    let due = world.item(&robot).await.unwrap().next_due;
    let place = Place::Machine(Box::new(world.machine.clone()));
    let link = connect::consent_link(&place, &world.app).await.unwrap();
    for forged in
        [link.replace("stand-in", "other"), link.replace("consent=", "consent=1"), world.link(&robot).await.unwrap()]
    {
        assert_eq!(world.get(&forged, "").await.unwrap().status, 400, "{forged}");
    }
    let started = world.get(&link, "").await.unwrap();
    assert_eq!(started.status, 302);
    let provider = url::Url::parse(started.header("location")).unwrap();
    assert!(provider.path().ends_with("/v2.0/adminconsent"), "{provider}");
    let state = provider.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let cookie = started.header("set-cookie").split(';').next().unwrap().to_owned();
    let answer = |tenant: &str| format!("{}?admin_consent=True&tenant={tenant}&state={state}", world.app.redirect_uri);
    // Another browser, and another directory.
    assert_eq!(world.get(&answer(&world.app.tenant.to_string()), "").await.unwrap().status, 400);
    let other = answer("11111111-2222-4333-8444-555555555555");
    let done = world.get(&other, &cookie).await.unwrap();
    assert_eq!(done.status, 303);
    let page = world.get(&format!("{}{}", world.origin(), done.header("location")), &cookie).await.unwrap();
    assert!(page.status == 400 && page.body.contains("another directory"), "{}", page.body);
    assert_eq!(world.item(&robot).await.unwrap().next_due, due, "nobody was woken");
    // The same state a second time is the first's result, whatever it says now.
    let again = world.get(&answer(&world.app.tenant.to_string()), &cookie).await.unwrap();
    assert_eq!(again.header("location"), done.header("location"));
    assert_eq!(world.item(&robot).await.unwrap().next_due, due);
}

#[tokio::test]
async fn every_cloud_and_every_kind_of_tenant_connects_and_polls() {
    let mut world = World::start().await.unwrap();
    let home = world.app.tenant.to_string();
    for cloud in [Cloud::Global, Cloud::GccHigh, Cloud::Dod, Cloud::China] {
        for tenant in [home.as_str(), "example.org", "organizations", "common"] {
            let app = App { cloud, tenant: tenant.parse().unwrap(), ..world.app.clone() };
            app.check().unwrap();
            assert!(world.machine.table.replace_app(&app).await.unwrap());
            let name = format!("{}-{}", cloud.as_str(), tenant.split('.').next().unwrap());
            let id = world.add_connected(&name, |_| {}).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(poll(&world, &id).await, HealthState::Active, "{name}");
            world.machine.token_refresh().run(Some(&id), "test", world.now()).await.unwrap();
            world.app = app.clone();
            let typed = world.add(&format!("{name}-device"), |_| {}).await.unwrap();
            let (outcome, _) =
                by_device(&world, &typed, async |page, code| types(person(MAILBOX, true), page, code).await).await;
            assert!(outcome.connected, "{name} by device code: {outcome:?}");
            let pasted = world.add(&format!("{name}-pasted"), |_| {}).await.unwrap();
            let outcome = paste(&world, &pasted, |url| url).await;
            assert!(outcome.connected, "{name} by a pasted address: {outcome:?}");
            for id in [&typed, &pasted] {
                assert_eq!(poll(&world, id).await, HealthState::Active, "{name}");
            }
            let place = Place::Machine(Box::new(world.machine.clone()));
            let link = connect::consent_link(&place, &app).await.unwrap();
            let walk = person("admin@example.org", true).walk(&link).await.unwrap();
            assert!(walk.status == 200 && walk.text.contains("Consent is given"), "{name}: {}", walk.text);
            let robot = world.add(&format!("{name}-app"), app_only).await.unwrap();
            let expected = match app.check_app_only() {
                Ok(()) => HealthState::Active,
                Err(_) => HealthState::Misconfigured,
            };
            assert_eq!(poll(&world, &robot).await, expected, "{name} app-only");
        }
    }
    let asked: Vec<_> = world.entra.log().into_iter().filter(|call| call.grant_type == "client_credentials").collect();
    assert_eq!(asked.len(), 8, "a token for each cloud and each tenant that is a directory");
    assert!(asked.iter().all(|call| call.outcome == "ok" && call.scope.ends_with("/.default")), "{asked:?}");
    assert_eq!(world.token_calls("refresh_token"), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_account_connects_by_consumers_and_common_of_the_global_cloud() {
    const PERSONAL: &str = "newsletter@outlook.example";
    let mut world = World::start().await.unwrap();
    world.entra.change(|settings| {
        settings.apps[0].audience = Audience::MultiAndPersonal;
        let somebody = settings.users[0].clone();
        let oid = "00000000-0000-0000-8c6d-7e8f90a1b2c3".to_owned();
        settings.users.push(User { upn: PERSONAL.into(), tid: CONSUMERS.into(), oid, ..somebody });
    });
    world.imap.renumber(PERSONAL, "INBOX");
    for (tenant, opens) in [("consumers", true), ("common", true), ("organizations", false), ("example.org", false)] {
        let app = App { tenant: tenant.parse().unwrap(), ..world.app.clone() };
        app.check().unwrap();
        assert!(world.machine.table.replace_app(&app).await.unwrap());
        world.app = app;
        let name = tenant.split('.').next().unwrap();
        let id = world.add(name, |account| account.mailbox = PERSONAL.into()).await.unwrap();
        let walk = world.person(PERSONAL).walk(&world.link(&id).await.unwrap()).await.unwrap();
        let connected = walk.status == 200 && walk.url.contains("/oauth/done");
        assert_eq!(connected, opens, "{tenant}: {}", walk.text);
        assert_eq!(world.item(&id).await.unwrap().principal.is_some(), opens, "{tenant}");
        if !opens {
            continue;
        }
        let typed = world.add(&format!("{name}-device"), |account| account.mailbox = PERSONAL.into()).await.unwrap();
        let act = async |page, code| types(person(PERSONAL, true), page, code).await;
        let (outcome, _) = by_device(&world, &typed, act).await;
        assert!(outcome.connected, "{tenant} by device code: {outcome:?}");
        let pasted = world.add(&format!("{name}-pasted"), |account| account.mailbox = PERSONAL.into()).await.unwrap();
        let outcome = paste_as(&world, &pasted, PERSONAL, |url| url).await;
        assert!(outcome.connected, "{tenant} by a pasted address: {outcome:?}");
        for id in [&id, &typed, &pasted] {
            assert_eq!(poll(&world, id).await, HealthState::Active, "{tenant} {id}");
            let item = world.item(id).await.unwrap();
            assert_eq!(item.principal.unwrap().name, PERSONAL, "{tenant} {id}");
        }
        // Nobody can be asked for consent for all personal accounts; for those of `common`, an administrator can.
        assert_eq!(world.app.check_admin_consent().is_ok(), tenant == "common");
    }
    for cloud in [Cloud::GccHigh, Cloud::Dod, Cloud::China] {
        let app = App { cloud, tenant: "consumers".parse().unwrap(), ..world.app.clone() };
        assert!(app.check().is_err(), "{} has no personal accounts", cloud.as_str());
    }
}
