//! The stand-in identity provider over HTTP: the whole code flow, and each refusal.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{SCOPE, VERIFIER, World, claims, person, query, text};
use jiff::SignedDuration;
use rebond_standin::entra::{Audience, Platform, UserConsent};
use rebond_standin::person::Browser;
use rebond_standin::{Answer, Person, Refusal};

#[tokio::test]
async fn a_person_signs_in_consents_and_the_app_gets_tokens() {
    let world = World::start(|_| ()).await;
    let walk = person(true).walk(&world.authorize("common", &[])).await.unwrap();
    let path: Vec<String> = walk.steps.iter().map(|step| format!("{} {}", step.method, step.status)).collect();
    assert_eq!(path, ["GET 200", "POST 200", "POST 302", "GET 200"]);
    assert_eq!((walk.status, walk.text.as_str()), (200, "back at the app"));
    assert_eq!(query(&walk, "state").as_deref(), Some("state-1"));
    assert!(query(&walk, "session_state").is_some());

    let (status, answer) = world.redeem(&query(&walk, "code").unwrap(), &[]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(text(&answer, "token_type"), "Bearer");
    assert_eq!(text(&answer, "scope"), "https://outlook.office.com/IMAP.AccessAsUser.All");
    assert!((3600..=5399).contains(&answer["expires_in"].as_u64().unwrap()));
    let access = claims(&answer["access_token"]);
    assert_eq!(text(&access, "aud"), "https://outlook.office.com");
    assert_eq!(text(&access, "scp"), "IMAP.AccessAsUser.All");
    assert_eq!(text(&access, "upn"), "bounces@example.org");
    let id = claims(&answer["id_token"]);
    assert_eq!(text(&id, "aud"), world.client_id);
    assert_eq!(text(&id, "nonce"), "nonce-1");
    assert_eq!(text(&id, "tid"), world.tenant);
    assert_eq!(text(&id, "iss"), format!("{}/{}/v2.0", world.entra.url(), world.tenant));
    assert_eq!(text(&world.entra.introspect(text(&answer, "access_token")), "email"), "bounces@example.org");

    let log = format!("{:?}", world.entra.log());
    let secrets = [&world.secret, text(&answer, "access_token"), text(&answer, "refresh_token"), VERIFIER, "horse"];
    assert!(secrets.iter().all(|secret| !log.contains(*secret)), "{log}");
}

#[tokio::test]
async fn id_tokens_verify_with_the_published_keys() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let world = World::start(|_| ()).await;
    let answer = world.connect().await;
    let mut browser = Browser::new().unwrap();
    let url = format!("{}/{}/v2.0/.well-known/openid-configuration", world.entra.url(), world.tenant);
    let document: serde_json::Value = serde_json::from_str(&browser.get(&url).await.unwrap().1).unwrap();
    assert_eq!(text(&document, "issuer"), text(&claims(&answer["id_token"]), "iss"));
    let keys: serde_json::Value =
        serde_json::from_str(&browser.get(text(&document, "jwks_uri")).await.unwrap().1).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(text(&keys["keys"][0], name)).unwrap();
    let public = ring::signature::RsaPublicKeyComponents { n: part("n"), e: part("e") };
    for token in ["id_token", "access_token"] {
        let (signed, signature) = text(&answer, token).rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(&ring::signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
    }
}

/// What must not be redirected is shown on the provider's own page.
#[tokio::test]
async fn a_wrong_client_or_redirect_uri_is_never_redirected() {
    let world = World::start(|_| ()).await;
    let exact = world.redirect_uri.clone();
    let slash = format!("{exact}/");
    let upper = exact.replace("/oauth/", "/OAuth/");
    let other_host = exact.replace("localhost", "127.0.0.1");
    let check = async |tenant: &str, changes: &[(&str, &str)], expected: &str| {
        let (status, html) = Browser::new().unwrap().get(&world.authorize(tenant, changes)).await.unwrap();
        assert_eq!(status, 400, "{changes:?}");
        assert!(html.contains(expected), "{changes:?}: {html}");
    };
    check("common", &[("redirect_uri", &slash)], "AADSTS50011").await;
    check("common", &[("redirect_uri", &upper)], "AADSTS50011").await;
    check("common", &[("redirect_uri", &other_host)], "AADSTS50011").await;
    check("common", &[("redirect_uri", "")], "AADSTS900144").await;
    check("common", &[("client_id", "")], "AADSTS900144").await;
    check("common", &[("client_id", "11111111-2222-3333-4444-555555555555")], "AADSTS700016").await;
    check("elsewhere.example.com", &[], "AADSTS90002").await;
    check("consumers", &[], "AADSTS9002332").await;
    check("common", &[("state", "")], "state is required").await;
    let script = "<script>alert(1)</script>";
    let (_, html) = Browser::new().unwrap().get(&world.authorize("common", &[("redirect_uri", script)])).await.unwrap();
    assert!(!html.contains(script) && html.contains("&lt;script&gt;"));
}

#[tokio::test]
async fn other_faults_of_an_authorize_request_go_back_to_the_app() {
    let world = World::start(|_| ()).await;
    let check = async |changes: &[(&str, &str)], error: &str, description: &str| {
        let walk = person(true).walk(&world.authorize("common", changes)).await.unwrap();
        assert_eq!(walk.text, "back at the app", "{changes:?}");
        assert_eq!(query(&walk, "error").as_deref(), Some(error), "{changes:?}");
        assert!(query(&walk, "error_description").unwrap().starts_with(description), "{changes:?}: {}", walk.url);
        assert_eq!(query(&walk, "state").as_deref(), Some("state-1"));
        assert_eq!(query(&walk, "code"), None);
    };
    check(&[("code_challenge", "")], "invalid_request", "Stand-in: code_challenge").await;
    check(&[("code_challenge_method", "plain")], "invalid_request", "Stand-in: code_challenge").await;
    check(&[("scope", "")], "invalid_request", "AADSTS900144: ").await;
    check(&[("response_type", "token")], "unsupported_response_type", "AADSTS700051: ").await;
    check(&[("scope", "IMAP.AccessUser.All")], "invalid_client", "AADSTS650053: ").await;
    check(&[("scope", "https://outlook.office.com/IMAP.AccessUser.All")], "invalid_client", "AADSTS650053: ").await;
    check(&[("scope", "a,b")], "invalid_scope", "AADSTS70011: ").await;
    check(&[("scope", "https://other.example.com/x")], "invalid_resource", "AADSTS500011: ").await;
    check(&[("prompt", "none")], "login_required", "AADSTS50058: ").await;
}

#[tokio::test]
async fn a_person_who_cancels_is_an_error_for_the_app() {
    let world = World::start(|_| ()).await;
    let walk = person(false).walk(&world.authorize("common", &[])).await.unwrap();
    assert_eq!(query(&walk, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&walk, "error_subcode").as_deref(), Some("cancel"));
    assert!(query(&walk, "error_description").unwrap().starts_with("AADSTS65004: User declined to consent"));
}

#[tokio::test]
async fn a_second_walk_in_the_same_browser_asks_nothing_unless_told() {
    let world = World::start(|_| ()).await;
    let mut browser = Browser::new().unwrap();
    let mut posts = async |prompt: &str| {
        let url = world.authorize("common", &[("prompt", prompt)]);
        let walk = person(true).walk_in(&mut browser, &url).await.unwrap();
        assert!(query(&walk, "code").is_some(), "{prompt}: {}", walk.text);
        walk.steps.iter().filter(|step| step.method == "POST").count()
    };
    assert_eq!(posts("").await, 2);
    assert_eq!(posts("").await, 0);
    assert_eq!(posts("none").await, 0);
    assert_eq!(posts("login").await, 1);
    assert_eq!(posts("select_account").await, 1);
    assert_eq!(posts("consent").await, 1);
}

#[tokio::test]
async fn sign_in_refuses_who_may_not() {
    let world = World::start(|settings| {
        settings.users[1].disabled = true;
        settings.users[2].mfa = true;
        settings.users.push(rebond_standin::entra::User {
            upn: "guest@example.net".into(),
            tid: "00000000-aaaa-4bbb-8ccc-0123456789ab".into(),
            oid: "99b2c3d4-0009-4a5b-8c6d-7e8f90a1b2c3".into(),
            ..settings.users[0].clone()
        });
    })
    .await;
    let check = async |upn: &str, password: &str, expected: &str| {
        let someone = Person { upn: upn.into(), password: password.into(), consents: true };
        let walk = someone.walk(&world.authorize(&world.tenant, &[])).await.unwrap();
        assert!(walk.text.contains(expected), "{upn}: {}", walk.text);
    };
    check("bounces@example.org", "wrong", "AADSTS50126").await;
    check("nobody@example.org", "correct horse", "AADSTS50034").await;
    check("alex@example.org", "correct horse", "AADSTS50057").await;
    check("guest@example.net", "correct horse", "AADSTS50020").await;
    // A second factor, approved, and on to consent.
    check("admin@example.org", "correct horse", "back at the app").await;
}

#[tokio::test]
async fn a_policy_can_keep_consent_for_administrators() {
    for (policy, code) in
        [(UserConsent::AdminRequired, "AADSTS90094"), (UserConsent::AdminRequiredOnRequest, "AADSTS90095")]
    {
        let world = World::start(|settings| settings.tenants[0].user_consent = policy).await;
        let walk = person(true).walk(&world.authorize("common", &[])).await.unwrap();
        assert!(walk.text.contains("Need admin approval") && walk.text.contains(code), "{}", walk.text);
        world.entra.change(|settings| {
            let app = settings.apps[0].client_id.clone();
            settings.tenants[0].admin_consented.push(app);
        });
        assert_eq!(person(true).walk(&world.authorize("common", &[])).await.unwrap().text, "back at the app");
    }
}

#[tokio::test]
async fn a_code_is_worth_tokens_once_for_its_client_in_its_time() {
    let world = World::start(|_| ()).await;
    let check = async |changes: &[(&str, &str)], status: u16, error: &str, code: u64| {
        let (got, answer) = world.redeem(&world.code().await, changes).await;
        assert_eq!((got, text(&answer, "error")), (status, error), "{changes:?}: {answer}");
        assert_eq!(answer["error_codes"][0], code, "{changes:?}: {answer}");
    };
    check(&[("code_verifier", "another-verifier-of-at-least-forty-three-characters")], 400, "invalid_grant", 501481)
        .await;
    check(&[("code_verifier", "")], 400, "invalid_grant", 50148).await;
    check(&[("redirect_uri", "http://localhost:1/oauth/callback")], 400, "invalid_client", 500112).await;
    check(&[("code", "0.nonsense")], 400, "invalid_grant", 9002313).await;
    check(&[("code", "")], 400, "invalid_request", 900144).await;
    check(&[("grant_type", "")], 400, "invalid_request", 900144).await;
    check(&[("grant_type", "password")], 400, "unsupported_grant_type", 70003).await;
    check(&[("client_secret", "")], 401, "invalid_client", 7000218).await;
    check(&[("client_secret", "a9f3c6d1-58b2-4e7a-91c4-0f6d2b8e3a75")], 401, "invalid_client", 7000215).await;

    let code = world.code().await;
    let (_, answer) = world.redeem(&code, &[]).await;
    let (status, replay) = world.redeem(&code, &[]).await;
    assert_eq!((status, &replay["error_codes"][0]), (400, &54005.into()), "{replay}");
    // What the code gave is revoked with it.
    assert_eq!(world.entra.introspect(text(&answer, "access_token"))["active"], false);
    let (_, refused) = world.refresh(text(&answer, "refresh_token"), &[]).await;
    assert_eq!(refused["error_codes"][0], 50173, "{refused}");

    let code = world.code().await;
    world.entra.advance_clock(SignedDuration::from_secs(601));
    let (_, late) = world.redeem(&code, &[]).await;
    assert_eq!(late["error_codes"][0], 70008, "{late}");
}

#[tokio::test]
async fn an_error_has_entras_form() {
    let world = World::start(|_| ()).await;
    let (_, answer) = world.refresh("nonsense", &[]).await;
    let members: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["correlation_id", "error", "error_codes", "error_description", "error_uri", "timestamp", "trace_id"];
    assert_eq!(members, expected);
    let description = format!(
        "AADSTS9002313: Invalid request. Request is malformed or invalid. Trace ID: {} Correlation ID: {} Timestamp: {}",
        text(&answer, "trace_id"),
        text(&answer, "correlation_id"),
        text(&answer, "timestamp")
    );
    assert_eq!(text(&answer, "error_description"), description);
}

#[tokio::test]
async fn client_secrets_expire_and_public_clients_have_none() {
    let world = World::start(|_| ()).await;
    let grant = world.connect().await;
    let refresh = text(&grant, "refresh_token");
    world.entra.change(|settings| settings.apps[0].secrets[0].expires = Some("2026-01-01T00:00:00Z".parse().unwrap()));
    let (status, answer) = world.refresh(refresh, &[]).await;
    assert_eq!((status, &answer["error_codes"][0]), (401, &7000222.into()));

    let world = World::start(|settings| settings.apps[0].redirect_uris[0].platform = Platform::Native).await;
    let (status, answer) = world.redeem(&world.code().await, &[]).await;
    assert_eq!((status, &answer["error_codes"][0]), (401, &700025.into()));
    let (status, answer) = world.redeem(&world.code().await, &[("client_secret", "")]).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn the_secret_may_come_by_http_basic() {
    use base64::Engine as _;
    let world = World::start(|_| ()).await;
    let code = world.code().await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &world.redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(&world.client_id), encode(&world.secret));
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let authority = world.entra.url().trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let request = format!(
        "POST /common/oauth2/v2.0/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {basic}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn refresh_tokens_renew_and_die() {
    let world = World::start(|_| ()).await;
    let grant = world.connect().await;
    let first = text(&grant, "refresh_token").to_owned();
    let (status, answer) = world.refresh(&first, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let second = text(&answer, "refresh_token").to_owned();
    assert_ne!(first, second);
    // Entra does not revoke the old one at once.
    assert_eq!(world.refresh(&first, &[]).await.0, 200);

    let (_, answer) =
        world.refresh(&second, &[("scope", "https://graph.microsoft.com/Mail.Read offline_access")]).await;
    assert_eq!((&answer["error_codes"][0], text(&answer, "suberror")), (&65001.into(), "consent_required"));
    let two = "https://graph.microsoft.com/User.Read https://outlook.office.com/IMAP.AccessAsUser.All";
    let graph = world.authorize("common", &[("scope", two)]);
    // Consent may be asked for several resources at once; a token is for one.
    let walk = person(true).walk(&graph).await.unwrap();
    let (_, answer) = world.redeem(&query(&walk, "code").unwrap(), &[]).await;
    assert_eq!(answer["error_codes"][0], 28000, "{answer}");
    let (status, answer) = world.refresh(&second, &[("scope", "https://graph.microsoft.com/User.Read")]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(text(&claims(&answer["access_token"]), "aud"), "https://graph.microsoft.com");

    world.entra.change(|settings| settings.users[0].disabled = true);
    assert_eq!(world.refresh(&second, &[]).await.1["error_codes"][0], 50057);
    world.entra.change(|settings| settings.users[0].disabled = false);
    world.entra.advance_clock(SignedDuration::from_hours(24 * 89));
    let (status, answer) = world.refresh(&second, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let third = text(&answer, "refresh_token").to_owned();
    world.entra.advance_clock(SignedDuration::from_hours(24 * 90 + 1));
    let (_, answer) = world.refresh(&third, &[]).await;
    assert_eq!(answer["error_codes"][0], 700082);
    assert!(text(&answer, "error_description").contains("was inactive for 90.00:00:00."), "{answer}");

    let grant = world.connect().await;
    world.entra.revoke_all();
    let (_, answer) = world.refresh(text(&grant, "refresh_token"), &[]).await;
    assert_eq!((text(&answer, "error"), &answer["error_codes"][0]), ("invalid_grant", &50173.into()));
    // Access tokens live on until their end.
    assert_eq!(world.entra.introspect(text(&grant, "access_token"))["active"], true);
    world.entra.advance_clock(SignedDuration::from_secs(5400));
    assert_eq!(world.entra.introspect(text(&grant, "access_token"))["active"], false);
}

#[tokio::test]
async fn strict_rotation_revokes_the_family_on_reuse() {
    let world = World::start(|settings| settings.strict_rotation = true).await;
    let first = text(&world.connect().await, "refresh_token").to_owned();
    let (_, answer) = world.refresh(&first, &[]).await;
    let second = text(&answer, "refresh_token").to_owned();
    let (status, answer) = world.refresh(&first, &[]).await;
    assert_eq!((status, text(&answer, "error")), (400, "invalid_grant"), "{answer}");
    let (status, answer) = world.refresh(&second, &[]).await;
    assert_eq!((status, text(&answer, "error")), (400, "invalid_grant"), "{answer}");
}

#[tokio::test]
async fn an_app_gets_its_own_token_for_a_concrete_tenant() {
    let world = World::start(|_| ()).await;
    let ask = async |tenant: &str, scope: &str| {
        world.token(tenant, &[("grant_type", "client_credentials"), ("scope", scope)], &[]).await
    };
    let default = "https://outlook.office365.com/.default";
    let (status, answer) = ask("example.org", default).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(claims(&answer["access_token"])["roles"], serde_json::json!(["IMAP.AccessAsApp"]));
    assert!(answer.get("refresh_token").is_none());
    let check = async |tenant: &str, scope: &str, code: u64| {
        let (status, answer) = ask(tenant, scope).await;
        assert_eq!((status, &answer["error_codes"][0]), (400, &code.into()), "{tenant} {scope}: {answer}");
    };
    check("common", default, 9001023).await;
    check("organizations", default, 50059).await;
    check("elsewhere.example.com", default, 90002).await;
    check("example.org", "https://outlook.office365.com/IMAP.AccessAsUser.All", 1002012).await;
    check("example.org", "", 900144).await;
}

#[tokio::test]
async fn audiences_decide_which_tenant_paths_serve_an_app() {
    let check = async |audience: Audience, tenant: &str, expected: &str| {
        let world = World::start(|settings| settings.apps[0].audience = audience).await;
        let (_, html) = Browser::new().unwrap().get(&world.authorize(tenant, &[])).await.unwrap();
        assert!(html.contains(expected), "{audience:?} {tenant}");
    };
    check(Audience::Single, "common", "AADSTS50194").await;
    check(Audience::Single, "organizations", "AADSTS50194").await;
    check(Audience::Single, "example.org", "E-mail address").await;
    check(Audience::Multi, "organizations", "E-mail address").await;
    check(Audience::Multi, "consumers", "AADSTS9002332").await;
    check(Audience::MultiAndPersonal, "consumers", "E-mail address").await;
    check(Audience::Personal, "common", "AADSTS9002331").await;
}

#[tokio::test]
async fn scripted_answers_come_in_order_and_end() {
    let world = World::start(|_| ()).await;
    let token = text(&world.connect().await, "refresh_token").to_owned();
    world.entra.script(Refusal::token(Answer::throttled(7)));
    world.entra.script(Refusal::token(Answer::error("invalid_grant", 53003, "Blocked.")).times(2));
    world.entra.script(Refusal::token(Answer::error_in_200("invalid_grant")));
    world.entra.script(Refusal::token(Answer::expires_in(-1)));
    world.entra.script(Refusal::token(Answer::no_refresh_token()));
    assert_eq!(world.refresh(&token, &[]).await.0, 429);
    assert_eq!(world.refresh(&token, &[]).await.1["error_codes"][0], 53003);
    assert_eq!(world.refresh(&token, &[]).await.1["error_codes"][0], 53003);
    let (status, answer) = world.refresh(&token, &[]).await;
    assert_eq!((status, text(&answer, "error")), (200, "invalid_grant"));
    assert_eq!(world.refresh(&token, &[]).await.1["expires_in"], -1);
    let (status, answer) = world.refresh(&token, &[]).await;
    assert!(status == 200 && answer.get("refresh_token").is_none() && answer.get("access_token").is_some());
    assert_eq!(world.refresh(&token, &[]).await.0, 200);
    let outcomes: Vec<String> = world.entra.log().into_iter().rev().take(7).map(|call| call.outcome).collect();
    assert_eq!(outcomes[6], "scripted");
    assert_eq!(outcomes[5], "invalid_grant 53003");

    let url = format!("{}/common/oauth2/v2.0/token", world.entra.url());
    world.entra.script(Refusal::token(Answer::html(503)));
    let (status, body) = Browser::new().unwrap().post(&url, &[]).await.unwrap();
    assert!(status == 503 && body.contains("<h1>"));
    world.entra.script(Refusal::token(Answer::huge(10_000_000)));
    let (status, body) = Browser::new().unwrap().post(&url, &[]).await.unwrap();
    assert_eq!((status, body.len()), (200, 10_000_000));

    world.entra.script(Refusal::authorize(Answer::error("access_denied", 53003, "Access has been blocked.")));
    let walk = person(true).walk(&world.authorize("common", &[])).await.unwrap();
    assert!(query(&walk, "error_description").unwrap().starts_with("AADSTS53003: "));
}

#[tokio::test]
async fn a_lost_answer_has_rotated_all_the_same() {
    let world = World::start(|settings| settings.strict_rotation = true).await;
    let token = text(&world.connect().await, "refresh_token").to_owned();
    world.entra.script(Refusal::token(Answer::Lost));
    let form = [
        ("client_id", world.client_id.as_str()),
        ("client_secret", &world.secret),
        ("grant_type", "refresh_token"),
        ("refresh_token", &token),
    ];
    let url = format!("{}/common/oauth2/v2.0/token", world.entra.url());
    Browser::new().unwrap().post(&url, &form).await.unwrap_err();
    assert_eq!(world.refresh(&token, &[]).await.0, 400);
}

#[tokio::test]
async fn introspection_speaks_of_the_mailbox_that_was_set() {
    let world = World::start(|settings| {
        settings.introspect_as.insert("bounces@example.org".into(), "shared@example.org".into());
    })
    .await;
    let token = text(&world.connect().await, "access_token").to_owned();
    let url = format!("{}/introspect", world.entra.url());
    let (_, body) = Browser::new().unwrap().post(&url, &[("token", &token)]).await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&answer["active"], text(&answer, "email")), (&true.into(), "shared@example.org"));
    assert!(SCOPE.contains(text(&answer, "scope")));
    let (_, body) = Browser::new().unwrap().post(&url, &[("token", "nonsense")]).await.unwrap();
    assert_eq!(body, r#"{"active":false}"#);
}

#[tokio::test]
async fn an_administrator_consents_for_a_directory_by_a_link() {
    let other = "5a4b3c2d-0000-4000-8000-00000000000b";
    let world = World::start(|settings| {
        let mut tenant = settings.tenants[0].clone();
        tenant.id = other.to_owned();
        tenant.domains = vec!["example.net".to_owned()];
        tenant.user_consent = UserConsent::AdminRequired;
        tenant.roles_granted.clear();
        settings.tenants.push(tenant);
        for (name, admin) in [("boss@example.net", true), ("clerk@example.net", false)] {
            let user = rebond_standin::entra::User {
                upn: name.into(),
                tid: other.into(),
                oid: format!("oid-of-{name}"),
                admin,
                ..settings.users[0].clone()
            };
            settings.users.push(user);
        }
    })
    .await;
    let person = |upn: &str, consents| Person { upn: upn.into(), password: "correct horse".into(), consents };
    let form = [("grant_type", "client_credentials"), ("scope", "https://outlook.office365.com/.default")];
    assert_eq!(world.token("example.net", &form, &[]).await.1["error_codes"][0], 700016);

    let pairs = |version: &str, scope: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([("client_id", &world.client_id), ("redirect_uri", &world.redirect_uri)]);
        query.append_pair("state", "s&1");
        if !scope.is_empty() {
            query.append_pair("scope", scope);
        }
        format!("{}/example.net{version}/adminconsent?{}", world.entra.url(), query.finish())
    };
    let walk = person("clerk@example.net", true).walk(&pairs("", "")).await.unwrap();
    assert!(walk.text.contains("Need admin approval"), "{}", walk.text);
    let walk = person("boss@example.net", false).walk(&pairs("", "")).await.unwrap();
    assert_eq!(query(&walk, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&walk, "admin_consent").as_deref(), Some("True"));
    assert_eq!(query(&walk, "state").as_deref(), Some("s&1"));

    let walk = person("boss@example.net", true).walk(&pairs("/v2.0", "https://ps.outlook.com/.default")).await.unwrap();
    assert_eq!(walk.text, "back at the app");
    assert_eq!(query(&walk, "error"), None);
    assert_eq!(query(&walk, "admin_consent").as_deref(), Some("True"));
    assert_eq!(query(&walk, "tenant").as_deref(), Some(other));
    assert_eq!(query(&walk, "scope").as_deref(), Some("https://ps.outlook.com/.default"));
    let (status, answer) = world.token("example.net", &form, &[]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(claims(&answer["access_token"])["roles"], serde_json::json!(["IMAP.AccessAsApp"]));
    let walk = person("clerk@example.net", true).walk(&world.authorize(other, &[])).await.unwrap();
    assert!(query(&walk, "code").is_some(), "{}", walk.text);

    let wrong = pairs("", "").replace("callback", "elsewhere");
    assert!(person("boss@example.net", true).walk(&wrong).await.unwrap().text.contains("AADSTS50011"));
}

#[tokio::test]
async fn a_device_waits_for_its_person() {
    let world = World::start(|_| ()).await;
    let start = async || {
        let url = format!("{}/common/oauth2/v2.0/devicecode", world.entra.url());
        let form = [("client_id", world.client_id.as_str()), ("scope", SCOPE)];
        let (status, body) = Browser::new().unwrap().post(&url, &form).await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let poll = async |device: &serde_json::Value| {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        world.token("common", &[("grant_type", grant), ("device_code", text(device, "device_code"))], &[]).await
    };
    let link = |device: &serde_json::Value| {
        format!("{}?otc={}", text(device, "verification_uri"), text(device, "user_code").to_lowercase())
    };
    let device = start().await;
    assert!(text(&device, "message").contains(text(&device, "user_code")));
    let (status, answer) = poll(&device).await;
    assert_eq!(
        (status, text(&answer, "error"), &answer["error_codes"][0]),
        (400, "authorization_pending", &70016.into())
    );
    let walk = person(true).walk(&link(&device)).await.unwrap();
    assert!(walk.text.contains("You are signed in"), "{}", walk.text);
    let (status, answer) = poll(&device).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(world.refresh(text(&answer, "refresh_token"), &[]).await.0, 200);
    assert_eq!(text(&poll(&device).await.1, "error"), "bad_verification_code");

    world.entra.forget_consents();
    let device = start().await;
    assert!(person(false).walk(&link(&device)).await.unwrap().text.contains("cancelled"));
    assert_eq!(text(&poll(&device).await.1, "error"), "authorization_declined");

    let device = start().await;
    world.entra.advance_clock(SignedDuration::from_secs(901));
    assert_eq!(text(&poll(&device).await.1, "error"), "expired_token");
    assert!(person(true).walk(&link(&device)).await.unwrap().text.contains("didn't work"));
}

/// What the stand-in IMAP server asks: audience, permission, mailbox.
#[tokio::test]
async fn a_token_opens_the_mailboxes_of_its_person_or_app() {
    use rebond_standin::Admission::{Connected, NotConnected, Refused};
    let world = World::start(|_| ()).await;
    let grant = world.connect().await;
    let token = text(&grant, "access_token").to_owned();
    let check = |token: &str, mailbox: &str, expected| {
        assert_eq!(world.entra.admission(token, mailbox), expected, "{mailbox}");
        assert_eq!((world.entra.gate())(mailbox, token), expected, "{mailbox}");
    };
    check(&token, "Bounces@Example.org", Connected);
    check(&token, "shared@example.org", NotConnected);
    world.entra.change(|settings| settings.users[0].mailboxes.push("shared@example.org".into()));
    check(&token, "shared@example.org", Connected);
    world.entra.change(|settings| settings.users[0].licensed = false);
    check(&token, "bounces@example.org", NotConnected);
    check("nonsense", "bounces@example.org", Refused);
    check(text(&grant, "id_token"), "bounces@example.org", Refused);

    let walk = person(true).walk(&world.authorize("common", &[("scope", "User.Read SMTP.Send")])).await.unwrap();
    let (_, graph) = world.redeem(&query(&walk, "code").unwrap(), &[]).await;
    check(text(&graph, "access_token"), "shared@example.org", Refused);
    let send = "https://outlook.office.com/SMTP.Send";
    let walk = person(true).walk(&world.authorize("common", &[("scope", send)])).await.unwrap();
    let (_, answer) = world.redeem(&query(&walk, "code").unwrap(), &[]).await;
    check(text(&answer, "access_token"), "shared@example.org", Refused);

    let form = [("grant_type", "client_credentials"), ("scope", "https://outlook.office365.com/.default")];
    let (_, app) = world.token("example.org", &form, &[]).await;
    check(text(&app, "access_token"), "bounces@example.org", Connected);
    check(text(&app, "access_token"), "alex@example.org", NotConnected);
    world.entra.change(|settings| settings.tenants[0].roles_granted.clear());
    let (_, app) = world.token("example.org", &form, &[]).await;
    check(text(&app, "access_token"), "bounces@example.org", Refused);

    world.entra.advance_clock(SignedDuration::from_secs(5400));
    check(&token, "shared@example.org", Refused);
}
