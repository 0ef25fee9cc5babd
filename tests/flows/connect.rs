//! Connecting a mailbox: the whole code flow with a scripted person, and every way in which it must not connect.

use futures::future::join_all;
use jiff::SignedDuration;
use rebond::account::{AccountId, HealthState};
use rebond::vault::{Name, Version};
use rebond_standin::{Answer as Script, Person, Refusal, entra};
use rebond_tests::world::{Answer, Begun, MAILBOX, World, authorization_id};
use serde_json::{Map, Value, json};

/// What the account was before: not connected, no grant in the vault.
async fn assert_untouched(world: &World, id: &AccountId) {
    let item = world.item(id).await.unwrap();
    assert_eq!(item.health.state, HealthState::NotConnected);
    assert!(item.principal.is_none() && item.token_expires.is_none());
    let grant = world.machine.vault.get(&Name::Grant(id.clone()), Version::Current).await.unwrap();
    assert!(grant.is_none(), "a grant was kept");
}

fn assert_says(answer: &Answer, status: u16, words: &[&str]) {
    for word in words {
        assert!(answer.body.contains(word), "{word:?} is not in the page:\n{}", answer.body);
    }
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_private(answer);
}

/// Headers of everything that belongs to a sign-in.
fn assert_private(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    if answer.status != 302 && answer.status != 303 {
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_a_mailbox_and_may_reload_what_they_see() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let link = world.link(&id).await.unwrap();

    let started = world.get(&link, "").await.unwrap();
    assert_eq!(started.status, 302);
    assert_private(&started);
    let cookie = started.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let to = started.header("location");
    for word in ["code_challenge_method=S256", "response_mode=query", "nonce=", "state=", "login_hint=bounces%40"] {
        assert!(to.contains(word), "{word} is not in the request");
    }
    assert!(!to.contains("client_secret") && !to.contains("verifier"));

    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let redirect = world.get(&begun.callback, &begun.cookie).await.unwrap();
    assert_eq!(redirect.status, 303, "{}", redirect.body);
    assert_private(&redirect);
    assert!(!redirect.header("location").contains("code="), "the code stays in no address bar");
    let done = format!("{}{}", world.origin(), redirect.header("location"));
    let page = world.get(&done, &begun.cookie).await.unwrap();
    assert_says(&page, 200, &["The mailbox is connected", MAILBOX, "Signed in as", "read for the first time within"]);

    let item = world.item(&id).await.unwrap();
    assert_eq!(item.health.state, HealthState::Active);
    assert_eq!(item.principal.as_ref().unwrap().name, MAILBOX);
    assert!(item.next_due <= world.now().as_second(), "due at once");

    // Reloads of the result and of the callback change nothing and say the same.
    assert_eq!(world.get(&done, &begun.cookie).await.unwrap().body, page.body);
    assert_eq!(world.deliver(&begun).await.unwrap().body, page.body);
    assert_eq!(world.token_calls("authorization_code"), 1);
    assert_eq!(world.item(&id).await.unwrap().generation, item.generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_speaks_french_to_who_asks_for_it() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let mut request = http::Request::get(format!("/oauth/start/{id}?invitation=1.x")).body(()).unwrap();
    request.headers_mut().insert("accept-language", "fr-FR,fr;q=0.9,en;q=0.5".parse().unwrap());
    let answer = world.machine.oauth_start().handle(&request.into_parts().0, world.now(), &[1; 64]).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.body().contains("Ce lien ne fonctionne pas"), "{}", answer.body());
    assert!(answer.body().contains("lang=\"fr\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alias_of_the_callback_is_the_callback() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let mut begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    begun.callback = begun.callback.replace("/oauth/callback", "/nl/jsp/oauth.jsp");
    assert_says(&world.deliver(&begun).await.unwrap(), 200, &["The mailbox is connected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_state_of_nobody_or_of_another_browser_learns_nothing_and_spends_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let other = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let (name, _) = begun.cookie.split_once('=').unwrap();
    let sentence = "The sign-in took too long, or it was started in another browser. Open the invitation once more.";
    let unknown = format!("{}/oauth/callback?code=x&state=nobody-knows-it", world.origin());
    let callbacks = [
        (begun.callback.as_str(), String::new()),
        (begun.callback.as_str(), format!("{name}=somebody-elses")),
        (begun.callback.as_str(), other.cookie.clone()),
        (unknown.as_str(), begun.cookie.clone()),
        (&format!("{}/oauth/callback", world.origin()), begun.cookie.clone()),
        (&format!("{}/oauth/callback?state=&code=", world.origin()), begun.cookie.clone()),
        (&format!("{}/oauth/callback?state={}", world.origin(), "s".repeat(20_000)), begun.cookie.clone()),
    ];
    for (url, cookie) in callbacks {
        assert_says(&world.get(url, &cookie).await.unwrap(), 400, &[sentence]);
    }
    let done = format!("{}/oauth/done?id={}", world.origin(), authorization_id(&begun.callback));
    assert_says(&world.get(&done, "").await.unwrap(), 400, &[sentence]);
    assert_says(&world.get(&done, &other.cookie).await.unwrap(), 400, &[sentence]);
    assert_eq!(world.token_calls("authorization_code"), 0);
    assert_untouched(&world, &id).await;
    // The attempts of others did not spend it.
    assert_says(&world.deliver(&begun).await.unwrap(), 200, &["The mailbox is connected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_state_of_one_account_with_the_cookie_of_another_connects_neither() {
    let world = World::start().await.unwrap();
    let (one, two) = (world.add("one", |_| {}).await.unwrap(), world.add("two", |_| {}).await.unwrap());
    let first = world.begin(&one, &world.person(MAILBOX)).await.unwrap();
    let second = world.begin(&two, &world.person(MAILBOX)).await.unwrap();
    let parts = |begun: &Begun| {
        let (name, value) = begun.cookie.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let ((first_name, first_value), (second_name, second_value)) = (parts(&first), parts(&second));
    for (callback, cookie) in [
        (&first.callback, second.cookie.clone()),
        // The other's value under the name that is looked for, alone and beside the other's own.
        (&first.callback, format!("{first_name}={second_value}")),
        (&first.callback, format!("{first_name}={second_value}; {}", second.cookie)),
        (&second.callback, first.cookie.clone()),
        (&second.callback, format!("{second_name}={first_value}")),
    ] {
        assert_says(&world.get(callback, &cookie).await.unwrap(), 400, &["started in another browser"]);
    }
    // The code of one under the state of the other, in a browser that holds both cookies: PKCE and nonce tell them apart.
    let of = |url: &str, name: &str| {
        let url = url::Url::parse(url).unwrap();
        url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
    };
    assert_eq!(world.token_calls("authorization_code"), 0);
    let crossed = first.callback.replace(&of(&first.callback, "code"), &of(&second.callback, "code"));
    let both = format!("{}; {}", first.cookie, second.cookie);
    let page = world.deliver(&Begun { callback: crossed, cookie: both }).await.unwrap();
    assert_says(&page, 400, &["The mailbox is not connected", "belongs to another sign-in"]);
    for id in [&one, &two] {
        assert_untouched(&world, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_state_past_its_time_is_not_used() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    world.advance(SignedDuration::from_secs(3_601));
    let answer = world.get(&begun.callback, &begun.cookie).await.unwrap();
    assert_says(&answer, 400, &["The sign-in took too long"]);
    assert_eq!(world.token_calls("authorization_code"), 0);
    assert_untouched(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_hundred_replays_at_once_make_one_token_call() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let before = world.item(&id).await.unwrap().generation;
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let answers = join_all((0..100).map(|_| world.get(&begun.callback, &begun.cookie))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status, 303);
    }
    assert_eq!(world.token_calls("authorization_code"), 1);
    assert_says(&world.deliver(&begun).await.unwrap(), 200, &["The mailbox is connected"]);
    assert_eq!(world.item(&id).await.unwrap().generation, before + 1);
    // The code was not presented twice, so what it gave lives.
    assert_eq!(world.poll(&id).await.unwrap().health.unwrap().state, HealthState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_work_and_the_later_one_does_not_undo_the_first() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let link = world.link(&id).await.unwrap();
    let first = world.begin_at(&link, &world.person(MAILBOX)).await.unwrap();
    let second = world.begin_at(&link, &world.person(MAILBOX)).await.unwrap();
    let both = format!("{}; {}", first.cookie, second.cookie);
    let (first, second) = (Begun { cookie: both.clone(), ..first }, Begun { cookie: both, ..second });
    assert_says(&world.deliver(&second).await.unwrap(), 200, &["The mailbox is connected"]);
    let generation = world.item(&id).await.unwrap().generation;
    assert_says(&world.deliver(&first).await.unwrap(), 400, &["The mailbox is not connected", "at the same time"]);
    let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
    assert_eq!(entry.advice.as_deref(), Some("superseded"));
    let item = world.item(&id).await.unwrap();
    assert_eq!((item.generation, item.health.state), (generation, HealthState::Active));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_consent_is_said_and_keeps_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let person = Person { consents: false, ..world.person(MAILBOX) };
    let begun = world.begin(&id, &person).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    let words = ["The mailbox is not connected", "The permission was declined.", "Nothing of this sign-in was kept."];
    assert_says(&page, 400, &words);
    assert_eq!(world.token_calls("authorization_code"), 0);
    assert_untouched(&world, &id).await;
    // The same link works once they think better of it.
    let walk = world.person(MAILBOX).walk(&world.link(&id).await.unwrap()).await.unwrap();
    assert!(walk.text.contains("The mailbox is connected"), "{}", walk.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn f40_what_the_provider_says_is_shown_as_text() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let state = begun.callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let callback = format!(
        "{}/oauth/callback?state={state}&error=access_denied&error_description={}",
        world.origin(),
        "%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E%0D%0Aset-cookie:%20a=b"
    );
    let page = world.deliver(&Begun { callback, ..begun }).await.unwrap();
    assert_says(
        &page,
        400,
        &["&lt;script&gt;alert(1)", "The mailbox is not connected", "The permission was declined."],
    );
    assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    assert_eq!(page.header("set-cookie"), "");
    assert_untouched(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_nobody_is_sent_where_a_link_says() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let targets =
        ["https://evil.example/", "//evil.example", "%5Cevil.example", "/%5Cevil.example", "javascript:evil()"];
    let names = ["return_to", "redirect_uri", "redirect", "next", "url", "continue"];
    let further = |target: &str| names.iter().map(|name| format!("&{name}={target}")).collect::<String>();
    for target in targets {
        let started = world.get(&(world.link(&id).await.unwrap() + &further(target)), "").await.unwrap();
        let to = url::Url::parse(started.header("location")).unwrap();
        assert!(to.as_str().starts_with(world.entra.url()) && !to.as_str().contains("evil"), "{to}");
        let ours: Vec<_> = to.query_pairs().filter(|(name, _)| name == "redirect_uri").collect();
        assert!(ours.len() == 1 && ours[0].1 == world.app.redirect_uri, "{to}");
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        let done = world.get(&(begun.callback.clone() + &further(target)), &begun.cookie).await.unwrap();
        let expected = format!("/oauth/done?id={}", authorization_id(&begun.callback));
        assert_eq!((done.status, done.header("location")), (303, expected.as_str()));
        let page = world.get(&format!("{}{expected}{}", world.origin(), further(target)), &begun.cookie).await.unwrap();
        assert_says(&page, 200, &["The mailbox is connected"]);
        assert!(!page.body.contains("evil") && page.header("location").is_empty(), "{}", page.body);
    }
    // A path that a browser would take for another host's: what is answered is a path of ours.
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let query = begun.callback.split_once('?').unwrap().1;
    let request = http::Request::get(format!("http://localhost//evil.example/oauth/callback?{query}"));
    let request = request.header("cookie", &begun.cookie).header("host", "evil.example").body(()).unwrap();
    let answer = world.machine.oauth_callback().handle(&request.into_parts().0).await;
    let location = answer.headers()["location"].to_str().unwrap();
    assert_eq!(location, format!("/oauth/done?id={}", authorization_id(&begun.callback)));
}

/// Another directory, and somebody in it.
fn neighbour(settings: &mut entra::Settings) {
    let mut tenant = settings.tenants[0].clone();
    tenant.id = "9a0b1c2d-0000-4000-8000-000000000001".into();
    tenant.domains = vec!["example.net".into()];
    let mut user = settings.users[0].clone();
    user.upn = "eve@example.net".into();
    user.oid = "22b2c3d4-0009-4a5b-8c6d-7e8f90a1b2c3".into();
    user.tid = tenant.id.clone();
    user.mailboxes = vec![MAILBOX.into()];
    settings.tenants.push(tenant);
    settings.users.push(user);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_must_be_of_the_tenant_that_the_operator_named() {
    let world = World::start().await.unwrap();
    world.entra.change(neighbour);
    // The endpoint of several directories, as an app with the wrong setting would use it.
    let id = world.add("bounces", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let members = claims_of(&world, |claims| {
        claims["tid"] = json!("9a0b1c2d-0000-4000-8000-000000000001");
        claims["iss"] = json!(format!("{}/9a0b1c2d-0000-4000-8000-000000000001/v2.0", world.entra.url()));
    });
    let page = deliver_with(&world, &begun, members).await;
    assert_says(&page, 400, &["The mailbox is not connected", "belongs to another directory"]);
    assert_untouched(&world, &id).await;
    // And at the provider's own door: the person of another directory is not let into this one.
    let link = world.link(&id).await.unwrap();
    let walk = world.person("eve@example.net").walk(&link).await.unwrap();
    assert!(!walk.url.contains("/oauth/done"), "{}", walk.text);
    assert_untouched(&world, &id).await;
}

/// The claims of a genuine ID token of this world, altered, as the member of a token answer. The nonce is filled in later.
fn claims_of(world: &World, alter: impl Fn(&mut Value)) -> Value {
    let settings = rebond_standin::Settings::demo("http://localhost/");
    let user = &settings.users[0];
    let mut claims = json!({
        "iss": format!("{}/{}/v2.0", world.entra.url(), user.tid), "aud": settings.apps[0].client_id,
        "exp": world.now().as_second() + 3_600, "tid": user.tid, "oid": user.oid, "preferred_username": user.upn,
    });
    alter(&mut claims);
    claims
}

/// Delivers an answer whose token answer carries an ID token with these claims (its signature is not looked at: it comes
/// from the token endpoint itself).
async fn deliver_with(world: &World, begun: &Begun, mut claims: Value) -> Answer {
    let state = begun.callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let cookie = begun.cookie.split_once('=').unwrap().1;
    let key = rebond::vault::signing_key(&*world.machine.vault).await.unwrap();
    let nonce = rebond::oauth::Pending::from_browser(state, cookie).nonce(&key);
    if claims.get("nonce").is_none() {
        claims["nonce"] = json!(nonce);
    }
    let encode = |value: &Value| base64url(value.to_string().as_bytes());
    let token = format!("{}.{}.c2ln", encode(&json!({"alg": "RS256"})), encode(&claims));
    world.entra.script(Refusal::token(Script::Altered(Map::from_iter([("id_token".to_owned(), json!(token))]))));
    world.deliver(begun).await.unwrap()
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(LETTERS[(word >> (18 - 6 * at)) as usize & 63] as char);
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_an_id_token_made_for_something_else_connects_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    type Alter = fn(&mut Value);
    let cases: [(&str, Alter); 5] = [
        ("(nonce)", |claims| claims["nonce"] = json!("of another sign-in")),
        ("(aud)", |claims| claims["aud"] = json!("another-app")),
        ("(iss)", |claims| claims["iss"] = json!("https://login.example.net/x/v2.0")),
        ("(exp)", |claims| claims["exp"] = json!(1_000_000_000)),
        ("does not say who signed in", |claims| claims["oid"] = Value::Null),
    ];
    for (words, alter) in cases {
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        let page = deliver_with(&world, &begun, claims_of(&world, alter)).await;
        assert_says(&page, 400, &["The mailbox is not connected", words]);
        let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
        assert_eq!(entry.advice.as_deref(), Some("not-who-signed-in"));
        assert_untouched(&world, &id).await;
    }
    // The very same way with nothing altered connects, so the refusals above are refusals of what was altered.
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let page = deliver_with(&world, &begun, claims_of(&world, |_| {})).await;
    assert_says(&page, 200, &["The mailbox is connected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_an_answer_of_another_provider_is_not_believed_and_its_code_is_sent_nowhere() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let lookalike = format!("{}.evil.example/x/v2.0", world.entra.url());
    for iss in ["https://evil.example", "", &lookalike] {
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        let mixed = Begun { callback: format!("{}&iss={iss}", begun.callback), ..begun };
        let page = world.deliver(&mixed).await.unwrap();
        assert_says(&page, 400, &["another identity provider", "RFC 9207"]);
        assert!(!page.body.contains("evil"), "{}", page.body);
        let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
        assert_eq!(entry.advice.as_deref(), Some("other-provider"));
        assert_untouched(&world, &id).await;
    }
    // An error of another provider is not believed either.
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let state = begun.callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let callback = format!("{}?error=access_denied&state={state}&iss=https://evil.example", world.app.redirect_uri);
    let page = world.deliver(&Begun { callback, ..begun }).await.unwrap();
    assert_says(&page, 400, &["another identity provider"]);
    assert_eq!(world.token_calls("authorization_code"), 0);
    // The provider's own name changes nothing.
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let own = format!("{}&iss={}/{}/v2.0", begun.callback, world.entra.url(), world.app.tenant);
    let page = world.deliver(&Begun { callback: own, ..begun }).await.unwrap();
    assert_says(&page, 200, &["The mailbox is connected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_of_somebody_else_is_not_kept() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    // Alex may sign in and consent, and has no right to the mailbox.
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    let words = ["The mailbox is not connected", "authenticated but not connected", "full access", "An administrator"];
    let words: Vec<&str> =
        words.into_iter().map(|w| if w == "An administrator" { "an administrator" } else { w }).collect();
    assert_says(&page, 400, &words);
    assert_untouched(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_mailbox_is_connected_by_who_has_full_access() {
    let world = World::start().await.unwrap();
    world.entra.change(|settings| settings.users[1].mailboxes = vec![MAILBOX.into()]);
    let id = world.add("bounces", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert_says(&page, 200, &["The mailbox is connected", "alex@example.org", MAILBOX]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnection_is_for_the_person_who_has_the_account() {
    let world = World::start().await.unwrap();
    world.entra.change(|settings| settings.users[1].mailboxes = vec![MAILBOX.into()]);
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let before = world.item(&id).await.unwrap();
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert_says(&page, 400, &["The mailbox is not connected", "alex@example.org"]);
    let after = world.item(&id).await.unwrap();
    assert_eq!((after.generation, after.principal, after.health), (before.generation, before.principal, before.health));
    assert_eq!(world.poll(&id).await.unwrap().health.unwrap().state, HealthState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_names_the_owner_of_the_registration() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let name = Name::App(world.app.id.clone());
    world.machine.vault.put(&name, uuid::Uuid::from_u128(2), &"Wr0ng~secret".to_owned().into()).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert_says(&page, 400, &["The mailbox is not connected", "the owner of the app registration", "AADSTS7000215"]);
    assert!(!page.body.contains("Wr0ng~secret"));
    assert_untouched(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f44_whatever_the_token_endpoint_answers_is_a_page_and_keeps_nothing() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let altered = |members: Value| Script::Altered(members.as_object().unwrap().clone());
    let cases = [
        (Script::html(500), "busy (HTTP 500)"),
        (Script::html(503), "busy (HTTP 503)"),
        (Script::throttled(30), "busy (HTTP 429)"),
        (Script::html(200), "no token answer (HTTP 200)"),
        (Script::html(404), "no token answer (HTTP 404)"),
        (Script::huge(10_000_000), "more than 65536 bytes"),
        (Script::error_in_200("invalid_grant"), "invalid_grant"),
        (Script::error("invalid_grant", 54005, "already redeemed"), "AADSTS54005"),
        (Script::Lost, "The mailbox is not connected"),
        (Script::no_refresh_token(), "no refresh token"),
        (altered(json!({"access_token": null})), "no token answer (HTTP 200)"),
        (altered(json!({"id_token": null})), "does not say who signed in"),
        (altered(json!({"id_token": "a.b.c"})), "does not say who signed in"),
        (altered(json!({"token_type": 7})), "no token answer (HTTP 200)"),
        (altered(json!({"expires_in": "soon"})), "no token answer (HTTP 200)"),
        (altered(json!({"expires_in": -1})), "no token answer (HTTP 200)"),
    ];
    for (script, words) in cases {
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        world.entra.script(Refusal::token(script.clone()));
        let page = world.deliver(&begun).await.unwrap();
        assert_eq!(page.status, 400, "{script:?}: {}", page.body);
        assert_says(&page, 400, &["The mailbox is not connected", "Nothing of this sign-in was kept.", words]);
        assert_untouched(&world, &id).await;
    }
    // A life beyond reason is bounded, not believed.
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    world.entra.script(Refusal::token(Script::expires_in(1_000_000_000_000_u64)));
    assert_says(&world.deliver(&begun).await.unwrap(), 200, &["The mailbox is connected"]);
    let ends = world.item(&id).await.unwrap().token_expires.unwrap();
    assert!(ends <= world.now().as_second() + 86_400, "{ends}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_open_their_own_account_and_generation_in_time() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let other = world.add("other", |_| {}).await.unwrap();
    let link = world.link(&id).await.unwrap();
    let forged = "It was changed on its way, or somebody has used it since";
    let start = |path: &str| format!("{}/oauth/start/{path}", world.origin());
    let invitation = link.split("invitation=").nth(1).unwrap();
    let (head, last) = link.split_at(link.len() - 1);
    for url in [
        format!("{head}{}", if last == "A" { "B" } else { "A" }),
        link.replace("/bounces?", "/other?"),
        link.replace("/bounces?", "/nobody?"),
        start(&id.to_string()),
        start("bounces?invitation="),
        start(&format!("UPPER?invitation={invitation}")),
        start(&format!("..%2F..?invitation={invitation}")),
        start(&format!("{}?invitation={invitation}", "a".repeat(64))),
    ] {
        let page = world.get(&url, "").await.unwrap();
        assert_says(&page, 400, &["This link does not work", forged]);
        assert_eq!(page.header("set-cookie"), "");
    }
    let _ = other;
    // Scanners of mail fetch it first; it opens all the same.
    for _ in 0..3 {
        assert_eq!(world.get(&link, "").await.unwrap().status, 302);
    }
    world.advance(SignedDuration::from_hours(7 * 24));
    assert_says(&world.get(&link, "").await.unwrap(), 400, &["It has expired. Ask whoever sent it for a new one."]);
    let link = world.link(&id).await.unwrap();
    assert_eq!(world.person(MAILBOX).walk(&link).await.unwrap().status, 200);
    assert_says(&world.get(&link, "").await.unwrap(), 400, &[forged]);
    // A link to connect it anew outlives the renewals of its seven days.
    let link = world.link(&id).await.unwrap();
    let generation = world.item(&id).await.unwrap().generation;
    world.machine.grants.renew(&world.item(&id).await.unwrap()).await.unwrap();
    assert_eq!(world.item(&id).await.unwrap().generation, generation + 1);
    assert_eq!(world.get(&link, "").await.unwrap().status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_account_and_a_lost_app_have_nothing_to_connect() {
    let world = World::start().await.unwrap();
    let basic = world.add_basic("basic", |_| {}).await.unwrap();
    let page = world.get(&world.link(&basic).await.unwrap(), "").await.unwrap();
    assert_says(&page, 400, &["basic is opened with a password: there is nothing to connect"]);
    let id = world.add("bounces", |_| {}).await.unwrap();
    let link = world.link(&id).await.unwrap();
    world.machine.table.remove_app(&world.app.id).await.unwrap();
    assert_says(&world.get(&link, "").await.unwrap(), 400, &["there is no app stand-in"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_removed_while_somebody_signs_in_is_not_brought_back() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    world.machine.table.remove_mailbox(&id, true).await.unwrap();
    assert_says(&world.deliver(&begun).await.unwrap(), 400, &["there is no account bounces any more"]);
    assert!(world.machine.table.account(&id).await.unwrap().is_none());
    assert_eq!(world.token_calls("authorization_code"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_is_said_while_the_person_waits() {
    let world = World::start().await.unwrap();
    let port = rebond_tests::process::free_port().unwrap();
    let id = world.add("bounces", |account| account.server.port = port).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert_says(&page, 400, &["The mail server was not reached.", &format!("no connection to localhost port {port}")]);
    assert_untouched(&world, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_is_our_fault_and_the_page_says_so() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    let link = world.link(&id).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    world.faults.set(1_000, 0);
    for (url, cookie) in [(&link, String::new()), (&begun.callback, begun.cookie.clone())] {
        let page = world.get(url, &cookie).await.unwrap();
        assert_says(&page, 503, &["Something of ours is out of order"]);
        assert!(!page.body.contains("Throughput"), "{}", page.body);
    }
    world.faults.set(0, 0);
    // Nothing was spent.
    assert_says(&world.deliver(&begun).await.unwrap(), 200, &["The mailbox is connected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_whichever_write_loses_its_answer_the_person_hears_the_truth() {
    for words in ["used_by = :name", "principal = :principal", "SET outcome"] {
        let world = World::start().await.unwrap();
        let id = world.add("bounces", |_| {}).await.unwrap();
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        world.faults.lose_once(words);
        let page = world.deliver(&begun).await.unwrap();
        assert!(world.faults.was_lost(), "{words}");
        assert_says(&page, 200, &["The mailbox is connected"]);
        assert_eq!(world.token_calls("authorization_code"), 1);
        assert_eq!(world.poll(&id).await.unwrap().health.unwrap().state, HealthState::Active);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reconnection_while_the_grant_is_being_renewed_ends_well_whoever_is_first() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let (mut connected, mut superseded) = (0, 0);
    for trial in 0..12 {
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        let item = world.item(&id).await.unwrap();
        if trial % 3 == 0 {
            world.entra.script(Refusal::token(Script::Late(10 * trial)));
        }
        let (page, renewed) = tokio::join!(world.deliver(&begun), world.machine.grants.renew(&item));
        let page = page.unwrap();
        renewed.unwrap();
        match page.status {
            200 => connected += 1,
            _ => {
                assert_says(&page, 400, &["The mailbox is not connected"]);
                superseded += 1;
            }
        }
        let item = world.item(&id).await.unwrap();
        assert_eq!((item.health.state, item.principal.as_ref().unwrap().name.as_str()), (HealthState::Active, MAILBOX));
        // What the table calls true is there, and the mail server takes it.
        let refreshes = world.token_calls("refresh_token");
        let fresh = world.machine.poller();
        let summary = fresh.poll(&id, "test", tokio::time::Instant::now() + std::time::Duration::from_secs(20), &());
        assert_eq!(summary.await.unwrap().health.unwrap().state, HealthState::Active);
        assert_eq!(world.token_calls("refresh_token"), refreshes, "trial {trial}: the stored token was good");
    }
    assert_eq!(connected + superseded, 12);
}
