//! Scripted refusals of the identity provider and of the mail server, each through the flow that meets it: what the result
//! page, the account's health and the advice then are. `docs/refusals.md` is this table, written by this test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity)]

use rebond::account::{AccountId, Authentication, Encryption};
use rebond::advice::{self, Language};
use rebond::table::AuditEvent;
use rebond_standin::entra::{Answer, Platform, Refusal, Settings};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_tests::process::workspace;
use rebond_tests::world::{BASIC, MAILBOX, World};
use std::fmt::Write as _;

/// Where a refusal is met.
#[derive(Clone, Copy, PartialEq)]
enum At {
    /// While a person connects: at the provider's page.
    Authorize,
    /// While a person connects: at the token endpoint.
    Redeem,
    /// By token-refresh.
    Refresh,
    /// By a poll that has to renew the grant.
    Renewal,
    /// By a poll, at the mail server.
    Mail,
}

impl At {
    fn words(self) -> &'static str {
        match self {
            Self::Authorize => "connecting (page)",
            Self::Redeem => "connecting (token)",
            Self::Refresh => "token-refresh",
            Self::Renewal => "poll (token)",
            Self::Mail => "poll (mail)",
        }
    }
}

/// One row: what is refused, and what it ends in. The health of an account that is being connected stays as it was.
struct Row {
    at: At,
    answer: Answer,
    health: &'static str,
    advice: &'static str,
}

/// Error, suberror, number and sentence as Microsoft documents them.
fn entra(
    at: At,
    error: &str,
    sub: Option<&str>,
    code: u32,
    text: &str,
    health: &'static str,
    advice: &'static str,
) -> Row {
    let status = if error == "invalid_client" { 401 } else { 400 };
    let answer =
        Answer::Error { status, error: error.into(), suberror: sub.map(str::to_owned), code, text: text.into() };
    Row { at, answer, health, advice }
}

fn rows() -> Vec<Row> {
    use At::{Authorize, Redeem, Refresh, Renewal};
    let kept = "not-connected";
    let consent = Some("consent_required");
    let basic = Some("basic_action");
    let message = Some("message_only");
    let token = Some("bad_token");
    vec![
        // While a person connects: what comes back in the redirect.
        entra(
            Authorize,
            "access_denied",
            Some("cancel"),
            65004,
            "User declined to consent to access the app.",
            kept,
            "declined",
        ),
        entra(
            Authorize,
            "access_denied",
            None,
            90094,
            "Admin consent is required for the permissions requested by this application.",
            kept,
            "admin-consent-required",
        ),
        entra(
            Authorize,
            "access_denied",
            None,
            90095,
            "Admin consent is required. The user can send an admin consent request.",
            kept,
            "admin-consent-required",
        ),
        entra(
            Authorize,
            "invalid_request",
            None,
            50105,
            "The signed in user is not assigned to a role for the application.",
            kept,
            "not-assigned",
        ),
        entra(
            Authorize,
            "invalid_request",
            None,
            50020,
            "User account from identity provider does not exist in tenant.",
            kept,
            "other-tenant",
        ),
        entra(
            Authorize,
            "invalid_request",
            None,
            50034,
            "The user account does not exist in the directory.",
            kept,
            "account-not-found",
        ),
        entra(
            Authorize,
            "invalid_request",
            None,
            50053,
            "The account is locked, you've tried to sign in too many times.",
            kept,
            "account-locked",
        ),
        entra(
            Authorize,
            "interaction_required",
            message,
            53003,
            "Access has been blocked by Conditional Access policies.",
            kept,
            "conditional-access",
        ),
        entra(
            Authorize,
            "invalid_scope",
            None,
            650053,
            "The application asked for scope 'IMAP.AccessUser.All' that doesn't exist on the resource.",
            kept,
            "scope-refused",
        ),
        entra(
            Authorize,
            "invalid_resource",
            None,
            650057,
            "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions.",
            kept,
            "permission-list",
        ),
        entra(
            Authorize,
            "invalid_client",
            None,
            650052,
            "The app needs access to a service that your organization has not subscribed to.",
            kept,
            "no-exchange",
        ),
        entra(
            Authorize,
            "temporarily_unavailable",
            None,
            90033,
            "A transient error has occurred. Please try again.",
            kept,
            "provider-busy",
        ),
        entra(
            Authorize,
            "login_required",
            None,
            50058,
            "Session information is not sufficient for single-sign-on.",
            kept,
            "sign-in-again",
        ),
        // While a person connects: what the token endpoint says to the code.
        entra(
            Redeem,
            "invalid_client",
            None,
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
            kept,
            "client-secret-wrong",
        ),
        entra(
            Redeem,
            "invalid_client",
            None,
            7000222,
            "The provided client secret keys are expired.",
            kept,
            "client-secret-expired",
        ),
        entra(
            Redeem,
            "invalid_client",
            None,
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            kept,
            "client-secret-missing",
        ),
        entra(
            Redeem,
            "invalid_client",
            None,
            700027,
            "Client assertion failed signature validation.",
            kept,
            "client-certificate",
        ),
        entra(
            Redeem,
            "invalid_client",
            None,
            700213,
            "No matching federated identity record found for presented assertion subject.",
            kept,
            "client-assertion",
        ),
        entra(
            Redeem,
            "invalid_client",
            None,
            7002138,
            "No matching federated identity record found; a case-insensitive match was found.",
            kept,
            "client-assertion-case",
        ),
        entra(
            Redeem,
            "invalid_client",
            None,
            700025,
            "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
            kept,
            "public-client",
        ),
        entra(
            Redeem,
            "unauthorized_client",
            None,
            700016,
            "Application was not found in the directory.",
            kept,
            "client-refused",
        ),
        entra(
            Redeem,
            "invalid_grant",
            None,
            54005,
            "OAuth2 Authorization code was already redeemed.",
            kept,
            "code-used",
        ),
        entra(
            Redeem,
            "invalid_grant",
            None,
            501481,
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            kept,
            "stale-sign-in",
        ),
        entra(
            Redeem,
            "invalid_request",
            None,
            28000,
            "Provided value for the input parameter scope is not valid because it contains more than one resource.",
            kept,
            "several-resources",
        ),
        entra(
            Redeem,
            "invalid_request",
            None,
            9002313,
            "Invalid request. Request is malformed or invalid.",
            kept,
            "our-request",
        ),
        entra(Redeem, "invalid_request", None, 90002, "Tenant not found.", kept, "tenant-not-found"),
        entra(
            Redeem,
            "invalid_request",
            None,
            50194,
            "Application is not configured as a multi-tenant application.",
            kept,
            "single-tenant",
        ),
        Row { at: Redeem, answer: Answer::throttled(30), health: kept, advice: "provider-busy" },
        Row { at: Redeem, answer: Answer::no_refresh_token(), health: kept, advice: "no-refresh-token" },
        // By token-refresh.
        entra(
            Refresh,
            "invalid_grant",
            token,
            700082,
            "The refresh token has expired due to inactivity. The token was issued on 2026-06-01T00:00:00.0000000Z and was inactive for 90.00:00:00.",
            "needs-reconnect",
            "grant-expired",
        ),
        entra(
            Refresh,
            "invalid_grant",
            None,
            50173,
            "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
            "needs-reconnect",
            "session-ended",
        ),
        entra(
            Refresh,
            "invalid_grant",
            basic,
            50076,
            "Due to a configuration change made by your administrator, you must use multi-factor authentication.",
            "needs-reconnect",
            "second-factor",
        ),
        entra(
            Refresh,
            "interaction_required",
            basic,
            50079,
            "The user is required to use multi-factor authentication.",
            "needs-reconnect",
            "second-factor",
        ),
        entra(
            Refresh,
            "invalid_grant",
            Some("user_password_expired"),
            50055,
            "The password is expired.",
            "needs-reconnect",
            "password-expired",
        ),
        entra(
            Refresh,
            "invalid_grant",
            None,
            50057,
            "The user account is disabled.",
            "needs-reconnect",
            "account-disabled",
        ),
        entra(
            Refresh,
            "invalid_grant",
            None,
            700084,
            "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime.",
            "needs-reconnect",
            "grant-of-spa",
        ),
        entra(
            Refresh,
            "invalid_grant",
            None,
            70043,
            "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.",
            "needs-reconnect",
            "sign-in-frequency",
        ),
        entra(
            Refresh,
            "invalid_grant",
            consent,
            65001,
            "The user or administrator has not consented to use the application.",
            "needs-consent",
            "consent-missing",
        ),
        entra(
            Refresh,
            "interaction_required",
            message,
            53003,
            "Access has been blocked by Conditional Access policies.",
            "needs-admin",
            "conditional-access",
        ),
        entra(
            Refresh,
            "interaction_required",
            message,
            530035,
            "Access has been blocked by security defaults.",
            "needs-admin",
            "security-defaults",
        ),
        entra(
            Refresh,
            "invalid_grant",
            Some("device_authentication_failed"),
            50097,
            "Device authentication is required.",
            "needs-admin",
            "device-policy",
        ),
        entra(
            Refresh,
            "invalid_grant",
            Some("protection_policy_required"),
            53002,
            "The app used is not an approved app for Conditional Access.",
            "needs-admin",
            "device-policy",
        ),
        entra(
            Refresh,
            "invalid_client",
            None,
            7000222,
            "The provided client secret keys are expired.",
            "misconfigured",
            "client-secret-expired",
        ),
        entra(
            Refresh,
            "unauthorized_client",
            None,
            7000112,
            "Application is disabled.",
            "misconfigured",
            "client-refused",
        ),
        entra(
            Refresh,
            "invalid_scope",
            None,
            70011,
            "The provided value for the input parameter 'scope' is not valid.",
            "misconfigured",
            "several-resources",
        ),
        entra(
            Refresh,
            "server_error",
            None,
            50196,
            "The server terminated an operation because it encountered a client request loop.",
            "active",
            "asked-too-often",
        ),
        entra(Refresh, "temporarily_unavailable", None, 90055, "The server is too busy.", "active", "provider-busy"),
        // A number of tomorrow: error and suberror still decide.
        entra(
            Refresh,
            "invalid_grant",
            None,
            999_999,
            "A sentence that nobody has read yet.",
            "needs-reconnect",
            "grant-refused",
        ),
        entra(
            Refresh,
            "invalid_grant",
            message,
            999_999,
            "A sentence that nobody has read yet.",
            "needs-admin",
            "policy-blocks",
        ),
        entra(
            Refresh,
            "a_word_of_tomorrow",
            None,
            999_999,
            "A sentence that nobody has read yet.",
            "our-fault",
            "provider-unknown",
        ),
        // By a poll whose access token is over.
        entra(
            Renewal,
            "invalid_grant",
            None,
            70000,
            "The provided value for the input parameter 'refresh_token' is not valid.",
            "needs-reconnect",
            "grant-refused",
        ),
        entra(
            Renewal,
            "invalid_grant",
            token,
            50132,
            "The session is not valid: password expired or changed.",
            "needs-reconnect",
            "session-ended",
        ),
        entra(
            Renewal,
            "invalid_client",
            None,
            7000215,
            "Invalid client secret provided.",
            "misconfigured",
            "client-secret-wrong",
        ),
        entra(Renewal, "temporarily_unavailable", None, 90024, "Request budget exceeded.", "retrying", "provider-busy"),
        Row { at: Renewal, answer: Answer::html(503), health: "retrying", advice: "provider-busy" },
        Row { at: Renewal, answer: Answer::html(200), health: "retrying", advice: "provider-nonsense" },
        Row {
            at: Renewal,
            answer: Answer::error_in_200("invalid_grant"),
            health: "needs-reconnect",
            advice: "grant-refused",
        },
    ]
}

/// What the mail server says, to which command, and what it ends in.
fn mail_rows() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("AUTHENTICATE", "NO AUTHENTICATE failed.", "needs-admin", "login-refused"),
        ("AUTHENTICATE", "NO Basic authentication is disabled.", "misconfigured", "basic-auth-disabled"),
        ("AUTHENTICATE", "NO Server Unavailable. 15", "retrying", "server-unreachable"),
        ("SELECT", "BAD User is authenticated but not connected.", "needs-admin", "not-connected"),
        ("SELECT", "BAD Request is throttled. Suggested Backoff Time: 4832 milliseconds", "retrying", "throttled"),
        ("SELECT", "NO INBOX doesn't exist.", "misconfigured", "folder-missing"),
    ]
}

struct Met {
    what: String,
    health: String,
    advice: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_ends_in_its_health_and_advice() {
    let world = World::start().await.unwrap();
    let mut table = String::new();
    for (n, row) in rows().into_iter().enumerate() {
        let met = meet(&world, n, &row).await;
        assert_eq!((met.health.as_str(), met.advice.as_str()), (row.health, row.advice), "{}", met.what);
        table_row(&mut table, row.at, &met);
    }
    for (n, (command, answer, health, advice)) in mail_rows().into_iter().enumerate() {
        let id = world.add_connected(&format!("mail-{n}"), |_| {}).await.unwrap();
        // A token that is refused is renewed once and tried again.
        world.imap.script(ImapFault {
            command: command.into(),
            after: 0,
            times: if command == "AUTHENTICATE" && answer.ends_with("failed.") { 2 } else { 1 },
            action: ImapAction::Tagged(answer.into()),
        });
        world.poll(&id).await.unwrap();
        let met = told(&world, &id, format!("{command}: {answer}")).await;
        assert_eq!((met.health.as_str(), met.advice.as_str()), (health, advice), "{answer}");
        table_row(&mut table, At::Mail, &met);
    }
    compare_with_document(&table);
}

async fn meet(world: &World, n: usize, row: &Row) -> Met {
    let name = format!("account-{n}");
    match row.at {
        At::Authorize | At::Redeem => connect_and_fail(world, &name, row).await,
        At::Refresh => {
            let id = world.add_connected(&name, |_| {}).await.unwrap();
            world.entra.script(Refusal::token(row.answer.clone()));
            let now = world.now();
            let summary = world.machine.token_refresh().run(Some(&id), "test", now).await.unwrap();
            assert_eq!((summary.renewed, summary.failed), (0, 1));
            // A passing fault is no news while the access token lives: its advice is in the log line alone.
            match row.health {
                "active" => {
                    Met { what: words(&row.answer), health: health(world, &id).await, advice: row.advice.into() }
                }
                _ => told(world, &id, words(&row.answer)).await,
            }
        }
        At::Renewal => {
            let id = world.add_connected(&name, |_| {}).await.unwrap();
            world.advance(jiff::SignedDuration::from_hours(2));
            world.entra.script(Refusal::token(row.answer.clone()));
            world.poll(&id).await.unwrap();
            told(world, &id, words(&row.answer)).await
        }
        At::Mail => unreachable!("mail rows are their own list"),
    }
}

/// The result page says the advice in both languages, nothing is kept, and the audit knows.
async fn connect_and_fail(world: &World, name: &str, row: &Row) -> Met {
    let id = world.add(name, |_| {}).await.unwrap();
    let at_page = row.at == At::Authorize;
    world.entra.script(if at_page {
        Refusal::authorize(row.answer.clone())
    } else {
        Refusal::token(row.answer.clone())
    });
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.body);
    let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
    assert_eq!(entry.event, AuditEvent::ConnectionRefused);
    let advice = entry.advice.unwrap();
    let sentence = sentence(world, &id, &advice, Language::English);
    assert!(plain(&page.body).contains(&sentence), "{advice}: {sentence}\n{}", page.body);
    assert!(world.item(&id).await.unwrap().principal.is_none());
    Met { what: words(&row.answer), health: health(world, &id).await, advice }
}

async fn health(world: &World, id: &AccountId) -> String {
    world.item(id).await.unwrap().health.state.as_str().to_owned()
}

/// Health and advice as the account keeps them, the log's and the audit's among them.
async fn told(world: &World, id: &AccountId, what: String) -> Met {
    let item = world.item(id).await.unwrap();
    let advice = item.health.advice.clone().unwrap_or_default();
    let entry = world.machine.table.audited(id, 1).await.unwrap().pop().unwrap();
    assert_eq!((entry.event, entry.advice.as_deref()), (AuditEvent::HealthChanged, Some(advice.as_str())), "{what}");
    assert_eq!(entry.health_to, Some(item.health.state));
    assert!(!sentence(world, id, &advice, Language::French).is_empty());
    Met { what, health: item.health.state.as_str().to_owned(), advice }
}

fn sentence(world: &World, id: &AccountId, advice: &str, language: Language) -> String {
    let row = advice::by_id(advice).unwrap_or_else(|| panic!("no advice {advice}"));
    row.sentence(language, id.as_str(), &world.app.redirect_uri)
}

fn plain(html: &str) -> String {
    let html = html.replace("<code>", "`").replace("</code>", "`");
    html.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn words(answer: &Answer) -> String {
    match answer {
        Answer::Error { status: 200, error, .. } => format!("HTTP 200 with `{error}` in it"),
        Answer::Error { error, suberror, code, .. } => {
            let suberror = suberror.as_ref().map(|word| format!(", `{word}`")).unwrap_or_default();
            format!("`{error}`{suberror}, AADSTS{code}")
        }
        Answer::Raw { status, headers, .. } => {
            let html = headers.iter().any(|(_, value)| value.contains("html"));
            format!("HTTP {status}{}", if html { " with a page" } else { " with Retry-After" })
        }
        Answer::Altered(_) => "tokens without a refresh token".into(),
        other => format!("{other:?}"),
    }
}

fn table_row(table: &mut String, at: At, met: &Met) {
    let row = advice::by_id(&met.advice).unwrap();
    let who = row.who.words(Language::English);
    let what = met.what.replace('|', "\\|");
    writeln!(table, "| {} | {what} | `{}` | `{}` | {who} |", at.words(), met.health, met.advice).unwrap();
}

/// `REBOND_WRITE_DOCS=1` writes the document anew.
fn compare_with_document(table: &str) {
    let path = workspace().join("docs/refusals.md");
    let head = "# What each refusal ends in\n\n\
        Each row was scripted at the stand-in identity provider or mail server, in the words of their documents, and met by\n\
        the flow named in the first column. `tests/flows/advice_refusals.rs` writes this table and fails when it is no longer\n\
        true. The health is decided by `error`, `suberror` and HTTP status; Entra's number only picks the advice\n\
        (`rebond account show` and the result page say its sentence, in English or French).\n\n\
        An account that is being connected stays `not-connected`: nothing of a refused sign-in is kept. A passing fault of\n\
        `token-refresh` leaves an account `active` while its access token lives.\n\n\
        | met while | refusal | health | advice | who must act |\n|---|---|---|---|---|\n";
    let wanted = format!("{head}{table}");
    if std::env::var_os("REBOND_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/refusals.md is not what happened: run with REBOND_WRITE_DOCS=1 and read the difference"
    );
    assert!(table.lines().count() >= 40);
}

/// Without a script: what the stand-in refuses by itself, as Entra would.
#[tokio::test(flavor = "multi_thread")]
async fn what_entra_refuses_by_itself_ends_in_the_same_advice() {
    let refused: &[(&str, fn(&mut Settings), &str)] = &[
        (
            "secret-expired",
            |s| s.apps[0].secrets[0].expires = Some(jiff::Timestamp::UNIX_EPOCH),
            "client-secret-expired",
        ),
        ("secret-id", |s| s.apps[0].secrets[0].value = "Another~value".into(), "client-secret-wrong"),
        ("native", |s| s.apps[0].redirect_uris[0].platform = Platform::Native, "public-client"),
    ];
    for (name, change, advice) in refused {
        let world = World::start().await.unwrap();
        world.entra.change(change);
        let id = world.add(name, |_| {}).await.unwrap();
        let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
        world.deliver(&begun).await.unwrap();
        let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
        assert_eq!(entry.advice.as_deref(), Some(*advice), "{name}: {:?}", entry.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_in_decides_why_a_mailbox_did_not_open() {
    let world = World::start().await.unwrap();
    // Somebody else than the mailbox.
    let id = world.add("other", |_| {}).await.unwrap();
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert!(plain(&page.body).contains("Add-MailboxPermission"), "{}", page.body);
    let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
    assert_eq!(entry.advice.as_deref(), Some("not-connected-other-user"));
    assert_eq!(entry.who.as_deref(), Some("alex@example.org"));
    // The mailbox itself, which lost its licence.
    let id = world.add_connected("own", |_| {}).await.unwrap();
    world.entra.change(|settings| settings.users.iter_mut().for_each(|user| user.licensed = false));
    world.poll(&id).await.unwrap();
    assert_eq!(world.item(&id).await.unwrap().health.advice.as_deref(), Some("not-connected"));
    // A password that is wrong is no matter of permissions.
    let id = world.add_basic("basic", |account| {
        account.authentication = Authentication::Password { user: BASIC.into() };
        assert_eq!(account.server.encryption, Encryption::Tls);
    });
    let id = id.await.unwrap();
    let name = rebond::vault::Name::Password(id.clone());
    world.machine.vault.put(&name, uuid::Uuid::from_u128(7), &"wrong".to_owned().into()).await.unwrap();
    world.poll(&id).await.unwrap();
    let item = world.item(&id).await.unwrap();
    assert!(
        matches!(item.health.advice.as_deref(), Some("password-refused" | "basic-auth-disabled")),
        "{:?}",
        item.health
    );
}
