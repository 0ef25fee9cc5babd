//! Every page that a person can end at, in both languages: whole sentences, nothing left to fill in, nothing that the
//! browser may keep or load. `REBOND_PAGES=DIR` writes them there; `cargo run -p rebond-tests --example screenshots DIR` makes
//! pictures of them.

use http::request::Parts;
use http::{Request, Response};
use rebond::advice::{self, Language};
use rebond::oauth::Pending;
use rebond::table::{Authorization, AuthorizationOutcome, Sought};
use rebond_tests::world::{MAILBOX, World};

const LANGUAGES: [Language; 2] = [Language::English, Language::French];

fn request(path: &str, cookie: &str, language: Language) -> Parts {
    let request = Request::get(path).header("cookie", cookie).header("accept-language", language.tag());
    request.body(()).unwrap().into_parts().0
}

/// The page, checked and written down.
fn look(name: &str, language: Language, page: &Response<String>) -> String {
    let body = page.body().clone();
    assert!(body.contains(&format!("<html lang=\"{}\">", language.tag())), "{name}: {body}");
    assert!(
        !body.contains(['{', '}']) || !body.split("</style>").nth(1).unwrap().contains(['{', '}']),
        "{name}: {body}"
    );
    assert_eq!(page.headers()["cache-control"], "no-store", "{name}");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer", "{name}");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{name}");
    if let Some(dir) = std::env::var_os("REBOND_PAGES") {
        let path = std::path::Path::new(&dir).join(format!("{name}.{}.html", language.tag()));
        std::fs::write(path, &body).unwrap();
    }
    plain(&body)
}

fn plain(html: &str) -> String {
    let html = html.replace("<code>", "`").replace("</code>", "`");
    html.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn of_account() -> Sought {
    Sought::Account { account: "bounces".parse().unwrap(), connection: 0 }
}

/// An authorization that ended so; its cookie and the address of its result.
async fn ended(world: &World, n: u8, sought: Sought, outcome: Option<&AuthorizationOutcome>) -> (String, String) {
    let pending = Pending::new(&[n; 64]);
    let authorization = Authorization {
        sought,
        cookie_hash: pending.cookie_hash(),
        expires: world.now().as_second() + 600,
        used: false,
        outcome: None,
    };
    let (table, id) = (&world.machine.table, pending.id());
    table.start_authorization(&id, &authorization).await.unwrap();
    table.claim_authorization(&id, world.now()).await.unwrap();
    if let Some(outcome) = outcome {
        table.end_authorization(&id, outcome).await.unwrap();
    }
    (format!("{}={}", Pending::cookie_name(&id, false), pending.cookie()), format!("/oauth/done?id={id}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_is_a_whole_page_in_both_languages() {
    let world = World::start().await.unwrap();
    world.add("bounces", |_| {}).await.unwrap();
    let callback = world.machine.oauth_callback();
    for (n, row) in advice::all().enumerate() {
        let said =
            Some("the identity provider refused: invalid_grant: AADSTS50173: <b>words</b> of the other side".into());
        let outcome = AuthorizationOutcome {
            connected: false,
            who: Some("alex@example.org".into()),
            advice: Some(row.id.into()),
            said,
        };
        let (cookie, path) = ended(&world, u8::try_from(n).unwrap(), of_account(), Some(&outcome)).await;
        for language in LANGUAGES {
            let page = callback.handle(&request(&path, &cookie, language)).await;
            assert_eq!(page.status(), 400, "{}", row.id);
            assert!(!page.body().contains("<b>words"), "{}", row.id);
            let text = look(&format!("refused-{}", row.id), language, &page);
            assert!(text.contains(&row.sentence(language, "bounces", &world.app.redirect_uri)), "{}: {text}", row.id);
            assert!(text.contains(row.who.words(language)) && text.contains("alex@example.org"), "{}", row.id);
        }
    }
    let done = |who: &str| AuthorizationOutcome { connected: true, who: Some(who.into()), advice: None, said: None };
    let (connected, directory) = (done(MAILBOX), world.app.tenant.to_string());
    let consented = done(&directory);
    let of_app = || Sought::Consent { app: world.app.id.clone() };
    let mut under_way = Vec::new();
    for (n, name, sought, outcome, words) in [
        (250, "consented", of_app(), Some(&consented), directory.as_str()),
        (251, "consenting", of_app(), None, ""),
        (254, "connected", of_account(), Some(&connected), MAILBOX),
        (255, "working", of_account(), None, ""),
    ] {
        let (cookie, path) = ended(&world, n, sought, outcome).await;
        for language in LANGUAGES {
            let page = callback.handle(&request(&path, &cookie, language)).await;
            assert_eq!(page.status(), 200);
            let text = look(name, language, &page);
            assert!(text.contains(words) && (outcome.is_some() || !text.contains(MAILBOX)), "{text}");
        }
        if outcome.is_none() {
            under_way.push((format!("broke-off-{name}"), cookie, path));
        }
    }
    // Whoever took the answer and never came to an end is gone.
    world.advance(jiff::SignedDuration::from_mins(3));
    for (name, cookie, path) in under_way {
        for (language, words) in
            LANGUAGES.into_iter().zip(["It broke off in the middle", "L’opération s’est interrompue"])
        {
            let page = callback.handle(&request(&path, &cookie, language)).await;
            assert_eq!(page.status(), 503);
            let text = look(&name, language, &page);
            assert!(text.contains(words), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_we_know_nothing_of_is_told_nothing() {
    let world = World::start().await.unwrap();
    world.add("bounces", |_| {}).await.unwrap();
    let callback = world.machine.oauth_callback();
    let start = world.machine.oauth_start();
    for language in LANGUAGES {
        let page = callback.handle(&request("/oauth/callback?state=x&code=y", "", language)).await;
        assert_eq!(page.status(), 400);
        look("stranger", language, &page);
        let link = request("/oauth/start/bounces?invitation=x", "", language);
        let page = start.handle(&link, world.now(), &[0; 64]).await;
        assert_eq!(page.status(), 400);
        let forged = look("link-forged", language, &page);
        assert!(!forged.contains(MAILBOX), "{forged}");
        let link = world.link(&"bounces".parse().unwrap()).await.unwrap();
        let link = link.trim_start_matches(world.origin());
        let later = world.now().checked_add(jiff::SignedDuration::from_hours(8 * 24)).unwrap();
        let page = start.handle(&request(link, "", language), later, &[0; 64]).await;
        assert_eq!(page.status(), 400);
        look("link-expired", language, &page);
        look("our-fault", language, &rebond::page::our_fault(language, "bounces"));
    }
}
