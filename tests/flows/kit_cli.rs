//! The commands for whoever must act, as the binary prints them: token, audit, forget, lint, kit; and what they are fed
//! from: the audit, the log lines of a health that moves, the warnings before a grant lapses.

use jiff::SignedDuration;
use rebond::account::AccountId;
use rebond::secret::ExposeSecret;
use rebond::table::{AuditEntry, AuditEvent};
use rebond::vault::{Name, Version};
use rebond_standin::entra::{Answer, Refusal};
use rebond_tests::process::built;
use rebond_tests::world::{CLIENT_SECRET, MAILBOX, World};
use std::io::Write;
use std::process::Output;
use std::sync::{Arc, Mutex};
use tracing_subscriber::util::SubscriberInitExt;

async fn rebond(world: &World, args: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(built("rebond").unwrap());
    command
        .args(args)
        .env("REBOND_DIR", world.dir())
        .env_remove("REBOND_KEY")
        .env_remove("RUST_LOG")
        .kill_on_drop(true);
    let output: Output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{args:?}: {err}");
    (output.status.code().unwrap(), out, err)
}

async fn audited(world: &World, id: &AccountId) -> Vec<AuditEntry> {
    let mut entries = world.machine.table.audited(id, 1_000).await.unwrap();
    entries.reverse();
    entries
}

fn events(entries: &[AuditEntry]) -> Vec<AuditEvent> {
    entries.iter().map(|entry| entry.event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_described_and_never_shown() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let token = world.machine.grants.access_token(&world.item(&id).await.unwrap()).await.unwrap();
    let (code, out, _) = rebond(&world, &["token", "bounces"]).await;
    assert_eq!(code, 0, "{out}");
    for words in ["aud", "https://outlook.office.com", "scp", "IMAP.AccessAsUser.All", "tid", "exp", MAILBOX] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (code, json, _) = rebond(&world, &["token", "bounces", "--json"]).await;
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, read["good"].as_bool()), (0, Some(true)), "{json}");
    for part in token.expose_secret().split('.') {
        assert!(!out.contains(part) && !json.contains(part));
    }
    // Who holds another client ID than the token was made for sees the difference, and the exit code.
    let app = rebond::account::App { client_id: uuid::Uuid::nil().to_string(), ..world.app.clone() };
    world.machine.table.remove_app(&app.id).await.unwrap();
    world.machine.table.add_app(&app).await.unwrap();
    let (code, out, _) = rebond(&world, &["token", "bounces"]).await;
    assert_eq!(code, 3, "{out}");
    assert!(out.lines().any(|line| line.contains("appid") && line.contains("← differs")), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_knows_who_connected_renewed_failed_and_disconnected() {
    let world = World::start().await.unwrap();
    let id = world.add("bounces", |_| {}).await.unwrap();
    // Somebody who may not open the mailbox, then who may.
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    world.deliver(&begun).await.unwrap();
    let begun = world.begin(&id, &world.person(MAILBOX)).await.unwrap();
    world.deliver(&begun).await.unwrap();
    let refresh = world.machine.token_refresh();
    refresh.run(Some(&id), "run-1", world.now()).await.unwrap();
    world.entra.script(Refusal::token(Answer::error("invalid_grant", 50173, "Revoked.")));
    refresh.run(Some(&id), "run-2", world.now()).await.unwrap();
    refresh.run(Some(&id), "run-3", world.now()).await.unwrap();
    let (code, out, _) = rebond(&world, &["forget", "bounces"]).await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("Revoke-MgUserSignInSession -UserId '") && out.contains(MAILBOX), "{out}");
    assert!(world.machine.vault.get(&Name::Grant(id.clone()), Version::Current).await.unwrap().is_none());
    use AuditEvent::{Connected, ConnectionRefused, Disconnected, HealthChanged, Renewed};
    let entries = audited(&world, &id).await;
    let wanted = [ConnectionRefused, Connected, Renewed, HealthChanged, Renewed, HealthChanged, Disconnected];
    assert_eq!(events(&entries), wanted, "{entries:#?}");
    assert_eq!(entries[0].who.as_deref(), Some("alex@example.org"));
    assert_eq!((entries[1].who.as_deref(), entries[1].function.as_str()), (Some(MAILBOX), "oauth-callback"));
    assert_eq!((entries[2].function.as_str(), entries[2].run.as_str()), ("token-refresh", "run-1"));
    assert_eq!((entries[3].run.as_str(), entries[3].advice.as_deref()), ("run-2", Some("session-ended")));
    assert_eq!(entries[6].who.as_deref(), Some(MAILBOX));
    let (_, json, _) = rebond(&world, &["audit", "bounces", "--json"]).await;
    let last: AuditEntry = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((json.lines().count(), &last), (7, entries.last().unwrap()));
    let (_, table, _) = rebond(&world, &["audit", "bounces", "--limit", "2"]).await;
    assert!(table.contains("disconnected") && !table.contains("alex@example.org"), "{table}");
    // Kept for 400 days, no longer.
    let key = serde_json::json!({ "TableName": "rebond", "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
        "ExpressionAttributeValues": { ":pk": { "S": "ACCOUNT#bounces" }, ":sk": { "S": "AUDIT#" } } });
    let items = world.raw("Query", key).await.unwrap();
    let item = &items["Items"][0];
    let expires: i64 = item["expires"]["N"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires, entries[0].at / 1_000 + 400 * 86_400);
    assert!(!items.to_string().contains(CLIENT_SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_changes_nothing_writes_nothing_to_the_audit() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    world.poll(&id).await.unwrap();
    let (entries, writes) = (audited(&world, &id).await.len(), world.faults.writes());
    let summary = world.poll(&id).await.unwrap();
    assert_eq!((audited(&world, &id).await.len(), world.faults.writes() - writes), (entries, summary.table_writes));
    assert_eq!(summary.table_writes, 2);
    // The same fault twice is one change; its end is another.
    for refused in [true, true, false] {
        if refused {
            world.advance(SignedDuration::from_hours(2));
            world.entra.script(Refusal::token(Answer::html(503)));
        }
        let writes = world.faults.writes();
        world.poll(&id).await.unwrap();
        assert!(world.faults.writes() > writes);
    }
    let moves = audited(&world, &id).await.split_off(entries);
    let changed = moves.iter().filter(|entry| entry.event == AuditEvent::HealthChanged).count();
    assert_eq!(changed, 2, "{moves:#?}");
}

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub fn lines(&self, words: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What is logged on this thread while the second value lives.
pub fn logging() -> (Log, Box<dyn std::any::Any>) {
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || to.clone()).finish();
    (log, Box::new(subscriber.set_default()))
}

#[tokio::test]
async fn a_health_that_moves_is_one_log_line() {
    let (log, _guard) = logging();
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    for _ in 0..2 {
        world.entra.script(Refusal::token(Answer::error("invalid_client", 7000222, "Expired.")));
        world.machine.token_refresh().run(Some(&id), "run-1", world.now()).await.unwrap();
    }
    world.machine.token_refresh().run(Some(&id), "run-2", world.now()).await.unwrap();
    world.poll(&id).await.unwrap();
    let moves = log.lines("health changed");
    let pairs: Vec<_> = moves.iter().map(|line| (line["health_from"].as_str(), line["health_to"].as_str())).collect();
    let wanted = [("not-connected", "active"), ("active", "misconfigured"), ("misconfigured", "active")];
    assert_eq!(pairs, wanted.map(|(from, to)| (Some(from), Some(to))), "{moves:#?}");
    let fields = ["account", "function", "run", "advice"].map(|name| moves[1][name].as_str());
    assert_eq!(fields, [Some("bounces"), Some("token-refresh"), Some("run-1"), Some("client-secret-expired")]);
    assert!(moves[1]["sentence"].as_str().unwrap().starts_with("The client secret has expired. Make a new one"));
    assert_eq!(moves[2]["function"], "bounce-poll");
}

#[tokio::test]
async fn a_grant_that_will_lapse_is_warned_of_three_times() {
    let (log, _guard) = logging();
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    world.entra.script(Refusal::token(Answer::html(503)).times(1_000));
    let mut warned = Vec::new();
    for day in 1..=92 {
        world.advance(SignedDuration::from_hours(24));
        for _ in 0..2 {
            world.machine.token_refresh().run(None, "run", world.now()).await.unwrap();
        }
        let told = log.lines("a grant ends soon").len();
        if told > warned.len() {
            assert_eq!(told, warned.len() + 1, "once a threshold");
            warned.push(day);
        }
    }
    assert_eq!(warned, [60, 83, 89]);
    assert_eq!(log.lines("a grant ends soon")[1]["days_left"], 6, "seven days less the time that this test takes");
    // A new consent starts anew.
    assert_eq!(world.item(&id).await.unwrap().warned.unwrap().days, 1);
}

#[tokio::test]
async fn a_sign_in_that_a_policy_will_end_again_is_shown_and_warned_of() {
    const DAY: SignedDuration = SignedDuration::from_hours(24);
    let (log, _guard) = logging();
    let world = World::start().await.unwrap();
    let id = world.add_connected("bounces", |_| {}).await.unwrap();
    let refresh = async || world.machine.token_refresh().run(None, "run", world.now()).await.unwrap();
    let connect = async || {
        let walk = world.person(MAILBOX).walk(&world.link(&id).await.unwrap()).await.unwrap();
        assert_eq!(walk.status, 200, "{}", walk.text);
    };
    for _ in 1..14 {
        world.advance(DAY);
        assert_eq!(refresh().await.renewed, 1);
    }
    // The first sign-in ends after two weeks, and nothing is known before.
    assert!(log.lines("a grant ends soon").is_empty());
    world.advance(DAY * 3 / 2);
    let text = "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.";
    world.entra.script(Refusal::token(Answer::error("invalid_grant", 70043, text)).times(2));
    assert_eq!(refresh().await.failed, 1);
    let first = world.item(&id).await.unwrap();
    let ended = first.sign_in_ended.unwrap();
    assert_eq!(ended.began, first.signed_in.unwrap());
    assert!((0..600).contains(&(ended.ended - ended.began - 29 * 43_200)), "{ended:?}");
    assert_eq!(first.health.advice.as_deref(), Some("sign-in-frequency"));
    // Refused again a day later: that is the same end.
    world.advance(DAY);
    assert_eq!(refresh().await.failed, 1);
    assert_eq!(world.item(&id).await.unwrap().sign_in_ended, Some(ended));
    assert!(log.lines("a grant ends soon").is_empty(), "it has ended already");
    // The next sign-in is expected to end after the same time.
    connect().await;
    let (code, out, _) = rebond(&world, &["account", "show", "bounces"]).await;
    assert!(code == 0 && out.contains("by a sign-in frequency policy, as once before"), "{out}");
    let mut warned = Vec::new();
    for day in 1..=14 {
        world.advance(DAY);
        refresh().await;
        if log.lines("a grant ends soon").len() > warned.len() {
            warned.push(day);
        }
    }
    assert_eq!(warned, [8, 14], "seven days and one day before the middle of the fifteenth");
    let lines = log.lines("a grant ends soon");
    for line in &lines {
        assert_eq!((&line["ending"], &line["advice"]), (&"sign-in".into(), &"sign-in-frequency".into()), "{line}");
    }
    // It was renewed past that time: the policy is another one now, or gone.
    world.advance(SignedDuration::from_hours(48));
    assert_eq!(refresh().await.renewed, 1);
    let (_, out, _) = rebond(&world, &["account", "show", "bounces"]).await;
    assert!(out.contains("unless renewed") && !out.contains("frequency"), "{out}");
    // Whoever forgets the grant forgets how long the sign-in lasted.
    let item = world.item(&id).await.unwrap();
    assert!(world.machine.table.disconnect_account(&id, item.generation, world.now()).await.unwrap());
    let item = world.item(&id).await.unwrap();
    assert_eq!((item.signed_in, item.sign_in_ended), (None, None));
}

#[tokio::test]
async fn a_credential_that_will_end_is_warned_of_three_times() {
    let (log, _guard) = logging();
    let world = World::start().await.unwrap();
    let end = world.now() + SignedDuration::from_hours(40 * 24 + 1);
    let app = rebond::account::App { credential_ends: Some(end), ..world.app.clone() };
    assert!(world.machine.table.replace_app(&app).await.unwrap());
    let mut warned = Vec::new();
    for day in 1..=42 {
        world.advance(SignedDuration::from_hours(24));
        for _ in 0..2 {
            world.machine.token_refresh().run(None, "run", world.now()).await.unwrap();
        }
        let told = log.lines("an app's credential ends soon").len();
        if told > warned.len() {
            assert_eq!(told, warned.len() + 1, "once a threshold");
            warned.push(day);
        }
    }
    assert_eq!(warned, [11, 34, 40]);
    let lines = log.lines("an app's credential ends soon");
    let said: Vec<_> =
        lines.iter().map(|line| (line["app"].as_str(), line["ending"].as_str(), &line["days_left"])).collect();
    assert!(said.iter().all(|(app, ending, _)| *app == Some("stand-in") && *ending == Some("credential")), "{said:?}");
    let left: Vec<_> = said.iter().map(|(_, _, days)| days.as_i64().unwrap()).collect();
    assert_eq!(left, [29, 6, 0]);
    assert_eq!(lines[0]["advice"], "credential-ends-soon");
    // A new credential starts anew.
    let soon = world.now() + SignedDuration::from_hours(20 * 24);
    let replaced = rebond::account::App { credential_ends: Some(soon), ..app };
    assert!(world.machine.table.replace_app(&replaced).await.unwrap());
    world.machine.token_refresh().run(None, "run", world.now()).await.unwrap();
    assert_eq!(log.lines("an app's credential ends soon").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_judged_from_its_manifest() {
    let world = World::start().await.unwrap();
    world.add_connected("bounces", |_| {}).await.unwrap();
    let (code, out, _) = rebond(&world, &["lint", "stand-in"]).await;
    assert_eq!((code, out.as_str()), (0, "Nothing is wrong.\n"));
    let manifest = serde_json::json!({
        "appId": world.app.client_id, "signInAudience": "AzureADMyOrg",
        "web": { "redirectUris": ["https://login.microsoftonline.com/common/oauth2/nativeclient"],
            "implicitGrantSettings": { "enableAccessTokenIssuance": true } },
        "requiredResourceAccess": [{ "resourceAppId": "00000002-0000-0ff1-ce00-000000000000",
            "resourceAccess": [{ "id": "dc890d15-9560-4a4c-9b7f-a736ec74ec40", "type": "Role" }] }],
        "passwordCredentials": [{ "endDateTime": "2020-01-01T00:00:00Z" }],
    });
    let path = world.dir().join("manifest.json");
    std::fs::write(&path, manifest.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let (code, out, _) = rebond(&world, &["lint", "stand-in", "--manifest", path, "--json"]).await;
    assert_eq!(code, 3, "{out}");
    for id in ["nativeclient-as-web", "redirect-missing", "full-access-as-app", "credential-ended", "implicit-grant"] {
        assert!(out.lines().any(|line| line.contains(&format!("\"id\":\"{id}\""))), "{id}: {out}");
    }
    let scopes = "https://outlook.office.com/IMAP.AccessUser.All https://graph.microsoft.com/Mail.Read";
    let (code, out, _) = rebond(&world, &["lint", "--scopes", scopes]).await;
    assert_eq!(code, 3);
    assert!(out.contains("Ask for IMAP.AccessAsUser.All.") && out.contains("AADSTS28000"), "{out}");
    let (code, _, err) = rebond(&world, &["lint", "--manifest", "/nonexistent"]).await;
    assert!(code == 1 && err.contains("/nonexistent"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_names_who_signed_in_and_opens_to_nobody_else() {
    let world = World::start().await.unwrap();
    world.add("bounces", |_| {}).await.unwrap();
    world.add_basic("old", |_| {}).await.unwrap();
    let (code, out, _) = rebond(&world, &["kit", "bounces"]).await;
    assert_eq!(code, 0);
    assert!(out.contains(&format!("$Mailbox = '{MAILBOX}'")) && out.contains("Get-CASMailbox"), "{out}");
    // Who tried in vain is whom the script lets in.
    let begun = world.begin(&"bounces".parse().unwrap(), &world.person("alex@example.org")).await.unwrap();
    world.deliver(&begun).await.unwrap();
    let (_, out, _) = rebond(&world, &["kit", "bounces"]).await;
    assert!(out.contains("$Person  = 'alex@example.org'\n"), "{out}");
    let (_, out, _) = rebond(&world, &["kit", "bounces", "--person", "o'neil@example.org"]).await;
    assert!(out.contains("$Person  = 'o''neil@example.org'\n"), "{out}");
    let (_, out, _) = rebond(&world, &["kit", "bounces", "--way", "app"]).await;
    let mailboxes = format!("$Mailboxes = @('{MAILBOX}')\n");
    assert!(
        out.contains("New-ServicePrincipal -AppId $AppId -ObjectId $ObjectId") && out.contains(&mailboxes),
        "{out}"
    );
    let (_, out, _) = rebond(&world, &["kit", "bounces", "--az"]).await;
    assert!(out.contains(&world.app.redirect_uri) && out.starts_with("#!/bin/sh\n"), "{out}");
    let (code, _, err) = rebond(&world, &["kit", "old"]).await;
    assert!(code == 1 && err.contains("opened with a password"), "{err}");
}
