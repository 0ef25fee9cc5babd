//! Scripted refusals of the identity provider and of the mail server, each through the flow that meets it: what the result
//! page, the account's health and the advice then are. `docs/refusals.md` is this table, written by this test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity)]

mod rows;

use rebond::account::{Account, AccountId, Authentication, Encryption};
use rebond::advice::{self, Language};
use rebond::table::{AuditEvent, By};
use rebond_standin::entra::{Answer, Platform, Refusal, Settings};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_tests::process::workspace;
use rebond_tests::world::{BASIC, MAILBOX, World};
use rows::{At, Row, UNMET, mail_rows, rows};
use std::collections::BTreeSet;
use std::fmt::Write as _;

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
    for (n, (command, answer, health, advice)) in mail_rows().enumerate() {
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
        At::Device => device_and_fail(world, &name, row).await,
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
        At::AppOnly => {
            let app_only = |account: &mut Account| {
                account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
            };
            let id = world.add(&name, app_only).await.unwrap();
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

/// As `rebond connect ACCOUNT --device` does it: nothing is kept, and the audit knows.
async fn device_and_fail(world: &World, name: &str, row: &Row) -> Met {
    let id = world.add(name, |_| {}).await.unwrap();
    let (connector, item) = (world.machine.connector(), world.item(&id).await.unwrap());
    let code = connector.grants.device_code(&world.app, &item.account).await.unwrap();
    world.entra.script(Refusal::token(row.answer.clone()));
    let by = By { function: "test", run: "test" };
    let outcome = connector.by_device(&item, &world.app, &code, |_| async {}, by).await;
    assert!(!outcome.connected && world.item(&id).await.unwrap().principal.is_none());
    let entry = world.machine.table.audited(&id, 1).await.unwrap().pop().unwrap();
    assert_eq!((entry.event, &entry.advice), (AuditEvent::ConnectionRefused, &outcome.advice));
    Met { what: words(&row.answer), health: health(world, &id).await, advice: outcome.advice.unwrap() }
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
            let number = if *code == 0 { String::new() } else { format!(", AADSTS{code}") };
            format!("`{error}`{suberror}{number}")
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
        Exchange says the same words of several causes, a protocol that is switched off among them: [the doctor](doctor.md) has the\n\
        order in which to look.\n\n\
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

/// Each advice is met by a row above, or named by another flow, and each of Entra's numbers has a row.
#[test]
fn every_advice_and_every_number_is_met_by_a_flow() {
    let rows = rows();
    let scripted: BTreeSet<&str> = rows.iter().map(|row| row.advice).chain(mail_rows().map(|row| row.3)).collect();
    let numbers: BTreeSet<u32> = rows.iter().filter_map(|row| number(&row.answer)).collect();
    let mut flows = String::new();
    for entry in workspace().join("tests/flows").read_dir().unwrap() {
        let path = entry.unwrap().path();
        // The pages show every advice, whether anything leads to it or not.
        if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("advice_pages.rs") {
            flows += &std::fs::read_to_string(path).unwrap();
        }
    }
    for row in advice::all() {
        let met = scripted.contains(row.id) || flows.contains(&format!("\"{}\"", row.id));
        let excused = UNMET.iter().any(|(id, why)| *id == row.id && !why.is_empty());
        assert!(met != excused, "{}: {}", row.id, if met { "is met, and excused" } else { "no flow meets it" });
        for number in row.aadsts.iter().filter(|_| !excused) {
            assert!(numbers.contains(number), "no row has AADSTS{number} ({})", row.id);
        }
    }
}

fn number(answer: &Answer) -> Option<u32> {
    match answer {
        Answer::Error { code, .. } => Some(*code),
        _ => None,
    }
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
