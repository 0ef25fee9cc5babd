//! F47: secrets are planted in every flow, with everything logged that the product can log; then all that came out is
//! searched for them: log, answers, table, vault file, audit, `{:?}`, what a panic prints.
#![allow(clippy::print_stdout, reason = "the figures are told")]

mod other_ways;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::SignedDuration;
use rebond::secret::ExposeSecret;
use rebond::vault::{Name, Version, signing_key};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{Answer as Script, Refusal};
use rebond_tests::mail::bounce;
use rebond_tests::world::{BASIC, CLIENT_SECRET, MAILBOX, PASSWORD, SIGN_IN, World};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where all log lines go.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that is logged from now on, once at each level, as a terminal and as CloudWatch get it.
fn log_at_every_level() -> BTreeMap<LevelFilter, Log> {
    let levels = [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    let logs = levels.map(|level| (level, Log::default()));
    let lines = logs.iter().flat_map(|(level, log)| {
        let wanted = rebond::telemetry::quiet(Targets::new().with_default(*level));
        let (plain, json) = (log.clone(), log.clone());
        let plain = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || plain.clone());
        let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(move || json.clone());
        [plain.with_filter(wanted.clone()).boxed(), json.with_filter(wanted).boxed()]
    });
    tracing_subscriber::registry().with(lines.collect::<Vec<_>>()).init();
    logs.into()
}

/// What was planted, and what came out.
#[derive(Default)]
pub(crate) struct Search {
    secrets: Vec<(String, String)>,
    shown: Vec<(String, Vec<u8>)>,
}

impl Search {
    pub(crate) fn plant(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 12, "{name} is too short to be searched for");
        self.secrets.push((name.to_owned(), secret.to_owned()));
    }

    pub(crate) fn show(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.shown.push((place.to_owned(), bytes.into()));
    }

    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, bytes) in &self.shown {
            for (name, secret) in &self.secrets {
                if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                    found.push(format!("{name} in {place}"));
                }
            }
        }
        found
    }
}

/// The tokens of the account's grant, as the vault keeps them now.
async fn plant_grant(world: &World, search: &mut Search, id: &rebond::account::AccountId) {
    let grant = world.machine.vault.get(&Name::Grant(id.clone()), Version::Current).await.unwrap().unwrap();
    let grant: serde_json::Value = serde_json::from_str(grant.expose_secret()).unwrap();
    for name in ["refresh_token", "access_token"] {
        search.plant(name, grant[name].as_str().unwrap());
    }
    let sasl = format!("user={MAILBOX}\x01auth=Bearer {}\x01\x01", grant["access_token"].as_str().unwrap());
    search.plant("SASL XOAUTH2", &BASE64_STANDARD.encode(sasl));
}

#[tokio::test(flavor = "multi_thread")]
async fn f47_no_secret_comes_out_anywhere() {
    let logs = log_at_every_level();
    let log = logs[&LevelFilter::TRACE].clone();
    let mut search = Search::default();
    let world = World::start().await.unwrap();
    search.plant("password", PASSWORD);
    search.plant("SASL PLAIN", &BASE64_STANDARD.encode(format!("\0{BASIC}\0{PASSWORD}")));
    search.plant("client secret", CLIENT_SECRET);
    search.plant("sign-in password", SIGN_IN);
    let signing = world.machine.vault.get(&Name::SigningKey, Version::Current).await.unwrap().unwrap();
    search.plant("signing key", signing.expose_secret());
    search.plant("master key", std::fs::read_to_string(world.dir().join("key")).unwrap().trim());

    // Connections: one good, one refused by the provider, one of another's mailbox, one broken.
    let id = world.add("bounces", |_| {}).await.unwrap();
    let key = signing_key(&*world.machine.vault).await.unwrap();
    let scripts = [
        Some(Script::error("invalid_client", 7000215, &format!("Invalid client secret provided: {CLIENT_SECRET}"))),
        Some(Script::html(500)),
        Some(Script::html(200)),
        Some(Script::huge(1_000_000)),
        Some(Script::error_in_200("invalid_grant")),
        Some(Script::Altered(serde_json::Map::from_iter([("id_token".to_owned(), serde_json::json!("a.b.c"))]))),
        None,
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let link = world.link(&id).await.unwrap();
        search.plant("invitation", link.split_once("invitation=").unwrap().1);
        let begun = world.begin_at(&link, &world.person(MAILBOX)).await.unwrap();
        let url = url::Url::parse(&begun.callback).unwrap();
        let query = |name: &str| url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
        let cookie = begun.cookie.split_once('=').unwrap().1;
        let pending = rebond::oauth::Pending::from_browser(&query("state"), cookie);
        search.plant("code", &query("code"));
        search.plant("state", &query("state"));
        search.plant("cookie", cookie);
        search.plant("verifier", pending.verifier(&key).expose_secret());
        search.plant("nonce", &pending.nonce(&key));
        if let Some(script) = script {
            world.entra.script(Refusal::token(script));
        }
        let answer = world.get(&begun.callback, &begun.cookie).await.unwrap();
        search.show(&format!("redirect {number}"), format!("{:?}{}", answer.headers, answer.body));
        let page = world.deliver(&begun).await.unwrap();
        search.show(&format!("result {number}"), format!("{:?}{}", page.headers, page.body));
        let reload =
            world.get(&begun.callback.replace("code=", "error=server_error&code="), &begun.cookie).await.unwrap();
        search.show(&format!("reload {number}"), format!("{:?}{}", reload.headers, reload.body));
    }
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    search.show("wrong person", world.deliver(&begun).await.unwrap().body);
    plant_grant(&world, &mut search, &id).await;

    // Polls and renewals: good, refused, refused with the secret in the server's words, broken off.
    let basic = world.add_basic("basic", |_| {}).await.unwrap();
    for mailbox in [MAILBOX, BASIC] {
        world.imap.deliver(mailbox, "INBOX", bounce(1), world.now());
    }
    for words in [PASSWORD, &format!("NO [ALERT] {PASSWORD} is wrong for {BASIC}")] {
        for command in ["AUTHENTICATE", "LOGIN"] {
            let action = ImapAction::Tagged(format!("NO {words}"));
            world.imap.script(ImapFault { command: command.into(), after: 0, times: 1, action });
        }
        search.show("poll refused", format!("{:?}", world.poll(&basic).await));
    }
    while world.poll(&basic).await.unwrap().health.unwrap().advice.is_some() {}
    let repeated = format!("the secret {CLIENT_SECRET} gives no token");
    let refused = [Script::error("invalid_client", 0, &repeated), Script::error("invalid_grant", 700082, "expired")];
    for script in [None].into_iter().chain(refused.map(Some)).chain([Some(Script::Lost), None]) {
        world.advance(SignedDuration::from_hours(2));
        if let Some(script) = script {
            world.entra.script(Refusal::token(script));
        }
        search.show("poll", format!("{:?}", world.poll(&id).await));
        plant_grant(&world, &mut search, &id).await;
    }
    let item = world.item(&id).await.unwrap();
    world.machine.grants.renew(&item).await.unwrap();
    plant_grant(&world, &mut search, &id).await;
    world.faults.set(1_000, 0);
    search.show("a throttled poll", format!("{:?}", world.poll(&id).await));
    search.show("a throttled renewal", format!("{:?}", world.machine.grants.renew(&item).await));
    world.faults.set(0, 0);
    world.entra.revoke_all();
    world.advance(SignedDuration::from_hours(2));
    search.show("poll revoked", format!("{:?}", world.poll(&id).await));

    other_ways::play(&world, &mut search).await;
    other_ways::panics(&world, &mut search, &id, log.clone()).await;
    for id in [&id, &basic] {
        search.show("audit", format!("{:?}", world.machine.table.audited(id, 1_000).await));
    }

    // What the types say of themselves.
    let login = rebond::mailbox::Login::Password { user: BASIC.into(), password: PASSWORD.to_owned().into() };
    search.show("Login", format!("{login:?}"));
    search.show("items", format!("{:?} {:?} {:?}", world.item(&id).await, world.item(&basic).await, world.app));
    search.show("signing key", format!("{key:?}"));
    let master = rebond::vault::MasterKey::from_file(&world.dir().join("key")).unwrap();
    search.show("master key", format!("{master:?}"));
    search.show("table", format!("{:?}", world.machine.table));
    for (path, bytes) in world.files().unwrap() {
        if path.file_name().unwrap() != "key" {
            search.show(&path.display().to_string(), bytes);
        }
    }
    let mut before = 0;
    for (level, log) in &logs {
        let lines = log.0.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&lines).into_owned();
        println!("{} lines at {level}", text.lines().count());
        assert!(text.lines().count() >= before, "{level} has every line of the levels above it");
        before = text.lines().count();
        if *level >= LevelFilter::INFO {
            assert!(text.contains("mailbox not connected") && text.contains("mailbox connected"), "{level}: {text}");
        }
        search.show(&format!("log at {level}"), lines);
    }
    assert!(before > 0, "it was logged at all");
    let kinds: BTreeSet<&str> = search.secrets.iter().map(|(name, _)| name.as_str()).collect();
    println!("{} secrets of {} kinds in {} places: {kinds:?}", search.secrets.len(), kinds.len(), search.shown.len());
    assert!(search.secrets.len() >= 80 && kinds.len() >= 24 && search.shown.len() >= 50);
    let table: usize =
        search.shown.iter().filter(|(place, _)| place.contains("table.sqlite")).map(|(_, b)| b.len()).sum();
    assert!(table > 20_000, "{table} bytes of table were searched");
    assert_eq!(search.found(), Vec::<String>::new());
    // The search finds what is there: the mailbox's name is no secret.
    search.secrets = vec![("the mailbox".to_owned(), MAILBOX.to_owned())];
    let found = search.found().join(", ");
    for place in ["result 6", "table.sqlite", "items", "panic"] {
        assert!(found.contains(place), "{found}");
    }
}
