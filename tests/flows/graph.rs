//! A mailbox of Exchange Online through Microsoft Graph: the same facts as through IMAP, once and only once, whatever the
//! server does.

use jiff::SignedDuration;
use rebond::account::{
    Account, AccountId, AfterReading, Authentication, Encryption, HealthState, Protocol, Server, Since,
};
use rebond::net::Http;
use rebond::poll::{Progress, Summary};
use rebond::report::{Kind, Report};
use rebond::secret::ExposeSecret;
use rebond::vault::Name;
use rebond_standin::demo_mail;
use rebond_standin::graph::{GraphAction, GraphCall, GraphFault};
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::{bounce, letter};
use rebond_tests::process::built;
use rebond_tests::world::{MAILBOX, World};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// The account reads by Graph.
fn by_graph(world: &World) -> impl Fn(&mut Account) + use<> {
    let port = world.graph.port();
    move |account| {
        account.protocol = Protocol::Graph;
        account.server = Server { host: "localhost".into(), port, encryption: Encryption::Tls };
    }
}

/// Adds an account that the app opens for itself.
async fn add_app_only(world: &World, id: &str, change: impl FnOnce(&mut Account)) -> AccountId {
    world.entra.change(|settings| settings.apps[0].roles.push("Mail.ReadWrite".into()));
    let graph = by_graph(world);
    let change = |account: &mut Account| {
        graph(account);
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
        change(account);
    };
    world.add(id, change).await.unwrap()
}

fn deliver(world: &World, messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let mail = world.graph.mail();
    messages.into_iter().map(|message| mail.deliver(MAILBOX, "INBOX", message, world.now())).collect()
}

fn script(world: &World, call: GraphCall, after: usize, times: usize, action: GraphAction) {
    world.graph.mail().script(GraphFault { call, after, times, action });
}

fn refuse(status: u16, code: &'static str, retry_after: Option<u32>) -> GraphAction {
    GraphAction::Refuse { status, code, retry_after }
}

async fn poll_well(world: &World, id: &AccountId) -> Summary {
    let summary = world.poll(id).await.unwrap();
    assert_eq!(summary.health.as_ref().unwrap().state, HealthState::Active, "{summary:?}");
    summary
}

/// Polls, and tells state and advice afterwards.
async fn poll_badly(world: &World, id: &AccountId) -> (HealthState, String) {
    let health = world.poll(id).await.unwrap().health.unwrap();
    (health.state, health.advice.unwrap_or_default())
}

async fn addresses(world: &World, id: &AccountId) -> Vec<String> {
    let facts = world.facts(id).await.unwrap();
    let mut all: Vec<String> = facts.into_iter().flat_map(|f| f.report.recipients).map(|o| o.address).collect();
    all.sort();
    all
}

fn count(world: &World, folder: &str) -> usize {
    world.graph.mail().messages(MAILBOX, folder).len()
}

fn calls(world: &World, name: &str) -> usize {
    world.graph.mail().log().iter().filter(|call| *call == name).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_the_app_itself_open_a_mailbox_beside_imap() {
    let world = World::start().await.unwrap();
    deliver(&world, demo_mail().into_iter().map(<[u8]>::to_vec));
    let person = world.add_connected("person", by_graph(&world)).await.unwrap();
    let itself = add_app_only(&world, "itself", |_| {}).await;
    // The same app reads the same mailbox by IMAP: another resource, another token.
    let imap = |account: &mut Account| {
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let imap = world.add("imap", imap).await.unwrap();
    for message in demo_mail() {
        world.imap.deliver(MAILBOX, "INBOX", message.to_vec(), world.now());
    }
    let mut all = Vec::new();
    for id in [&person, &itself, &imap] {
        let summary = poll_well(&world, id).await;
        assert_eq!((summary.messages, summary.recorded), (13, 13), "{id}");
        let facts = world.facts(id).await.unwrap();
        all.push(facts.into_iter().map(|fact| fact.key).collect::<BTreeSet<_>>());
    }
    assert!(all[0].len() == 13 && all.iter().all(|keys| *keys == all[0]));
    // A grant is renewed for the resource that it was had for.
    world.advance(SignedDuration::from_hours(3));
    deliver(&world, [bounce(1)]);
    for id in [&person, &itself] {
        assert_eq!(poll_well(&world, id).await.recorded, 1, "{id}");
    }
    let scopes: Vec<String> = world.entra.log().into_iter().map(|call| call.scope).collect();
    let both = |scope: &&String| scope.contains("graph.microsoft") && scope.contains("outlook");
    assert!(scopes.iter().find(both).is_none(), "{scopes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_mailbox_is_opened_by_who_may() {
    let world = World::start().await.unwrap();
    world.graph.mail().open("shared@example.org");
    world.graph.mail().deliver("shared@example.org", "INBOX", bounce(1), world.now());
    let graph = by_graph(&world);
    let shared = |account: &mut Account| {
        graph(account);
        account.mailbox = "shared@example.org".into();
    };
    let id = world.add("shared", shared).await.unwrap();
    let link = world.link(&id).await.unwrap();
    let walk = world.person(MAILBOX).walk(&link).await.unwrap();
    assert!(walk.text.contains("Graph finds no mailbox"), "{}", walk.text);
    world.entra.change(|settings| settings.users[0].mailboxes.push("shared@example.org".into()));
    let walk = world.person(MAILBOX).walk(&link).await.unwrap();
    assert_eq!(walk.status, 200, "{}", walk.text);
    assert_eq!(poll_well(&world, &id).await.recorded, 1);
}

/// The report without what depends on line ends: where the words stand.
fn without_places(mut report: Report) -> Report {
    for outcome in &mut report.recipients {
        (outcome.evidence.start, outcome.evidence.end) = (0, 0);
    }
    report
}

pub fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in message {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mail_gives_the_same_facts_through_graph_and_through_dovecot() {
    let dovecot = Dovecot::start().await.unwrap();
    let world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let messages = super::conformance::messages();
    dovecot.deliver(USER, &messages).unwrap();
    // Graph hands out what it has stored; of the two forms of line ends one is stored half of the time.
    let halves = messages.iter().enumerate();
    deliver(&world, halves.map(|(n, message)| if n % 2 == 0 { message.clone() } else { with_crlf(message) }));
    world.graph.mail().change(|settings| settings.page = 17);
    let by_imap = |account: &mut Account| {
        account.mailbox = USER.into();
        account.authentication = Authentication::Password { user: USER.into() };
        account.server.port = dovecot.imaps;
    };
    let imap = world.add("imap", by_imap).await.unwrap();
    let name = Name::Password(imap.clone());
    world.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await.unwrap();
    let graph = add_app_only(&world, "graph", |_| {}).await;
    let mut both = Vec::new();
    for id in [&imap, &graph] {
        let summary = poll_well(&world, id).await;
        assert_eq!((summary.messages, summary.unreadable, summary.left), (messages.len() as u64, 0, 0), "{id}");
        let facts = world.facts(id).await.unwrap();
        let told = |report| serde_json::to_value(without_places(report)).unwrap();
        both.push(facts.into_iter().map(|fact| (fact.key, told(fact.report))).collect::<BTreeMap<_, _>>());
    }
    assert!(both[0].len() > 400, "{} keys", both[0].len());
    assert_eq!(both[0], both[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_marked_moved_and_deleted_after_its_facts_are_durable() {
    let world = World::start().await.unwrap();
    let change = |account: &mut Account| {
        account.reports = AfterReading::Move("Done/Bounces".into());
        account.others = AfterReading::Delete;
    };
    let id = add_app_only(&world, "bounces", change).await;
    world.graph.mail().make_folder(MAILBOX, "Done/Bounces");
    deliver(&world, (0..30).map(bounce).chain((0..5).map(letter)));
    // The table takes nothing: nothing on the server is touched.
    world.faults.set(0, 0);
    world.faults.lose_once("REPORT#");
    world.poll(&id).await.unwrap();
    while world.item(&id).await.unwrap().health.state != HealthState::Active || count(&world, "INBOX") > 0 {
        poll_well(&world, &id).await;
    }
    assert_eq!((count(&world, "INBOX"), count(&world, "Done/Bounces")), (0, 30));
    assert_eq!(count(&world, "Recoverable Items"), 5);
    assert_eq!(world.facts(&id).await.unwrap().len(), 35);
    assert!(world.graph.mail().busiest() <= 4, "{}", world.graph.mail().busiest());

    let seen = add_app_only(&world, "seen", |account| {
        account.folders = vec!["junkemail".into()];
        account.reports = AfterReading::Seen;
    });
    let seen = seen.await;
    world.graph.mail().deliver(MAILBOX, "Junk Email", bounce(100), world.now());
    world.graph.mail().deliver(MAILBOX, "Junk Email", letter(100), world.now());
    assert_eq!(poll_well(&world, &seen).await.recorded, 2);
    let read: Vec<bool> =
        world.graph.mail().messages(MAILBOX, "Junk Email").into_iter().map(|(_, read)| read).collect();
    assert_eq!(read, [true, false]);
    // Our own mark is no news.
    assert_eq!(poll_well(&world, &seen).await.messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_leaves_the_mail_alone() {
    let world = World::start().await.unwrap();
    let id = add_app_only(&world, "bounces", |account| account.reports = AfterReading::Delete).await;
    deliver(&world, (0..5).map(bounce));
    let fails = Failing(&world);
    let deadline = Instant::now() + Duration::from_secs(20);
    let polled = world.machine.poller().poll(&id, "test", deadline, &fails).await;
    assert!(polled.is_err(), "{polled:?}");
    assert_eq!((calls(&world, "DELETE"), count(&world, "INBOX")), (0, 5));
    world.faults.set(0, 0);
    world.end_leases(&id).await.unwrap();
    assert_eq!(poll_well(&world, &id).await.messages, 5);
    assert_eq!((count(&world, "INBOX"), addresses(&world, &id).await.len()), (0, 5));
}

/// From the listing on the table takes nothing.
struct Failing<'a>(&'a World);

impl Progress for Failing<'_> {
    fn folder(&self, _: &str, _: u64) {
        self.0.faults.set(u32::MAX, 0);
    }
}

/// What other clients do after the listing and before the reading.
struct Between<F>(F);

impl<F: Fn() + Send + Sync> Progress for Between<F> {
    fn folder(&self, _: &str, _: u64) {
        (self.0)();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_what_comes_and_goes_in_between_is_neither_lost_nor_taken() {
    let world = World::start().await.unwrap();
    let id = add_app_only(&world, "bounces", |account| account.reports = AfterReading::Delete).await;
    let ids = deliver(&world, (0..10).map(bounce));
    let mail = world.graph.mail().clone();
    let now = world.now();
    let between = Between(|| {
        assert!(mail.remove(MAILBOX, &ids[1]) && mail.remove(MAILBOX, &ids[8]));
        // Somebody keeps this one: it is in no folder of ours any more.
        assert!(mail.move_to(MAILBOX, &ids[5], "Aside"));
        mail.deliver(MAILBOX, "INBOX", bounce(20), now);
        mail.deliver(MAILBOX, "INBOX", bounce(21), now);
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let summary = world.machine.poller().poll(&id, "test", deadline, &between).await.unwrap();
    assert_eq!((summary.messages, summary.recorded, summary.left), (7, 7, 0), "{summary:?}");
    assert_eq!((count(&world, "INBOX"), count(&world, "Aside")), (2, 1));
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.recorded), (2, 2));
    assert_eq!((count(&world, "INBOX"), count(&world, "Aside")), (0, 1));
    let mut expected: Vec<String> = [0, 2, 3, 4, 6, 7, 9, 20, 21].map(|n| format!("user{n}@example.net")).into();
    expected.sort();
    assert_eq!(addresses(&world, &id).await, expected);
    // Moved back, it is new here.
    assert!(world.graph.mail().move_to(MAILBOX, &ids[5], "INBOX"));
    assert_eq!(poll_well(&world, &id).await.recorded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_not_known_any_more_is_begun_anew() {
    let world = World::start().await.unwrap();
    let all = add_app_only(&world, "all", |_| {}).await;
    let new = add_app_only(&world, "new", |account| account.since = Since::New).await;
    let week = add_app_only(&world, "week", |account| account.since = Since::Days(7)).await;
    deliver(&world, (0..5).map(bounce));
    let old = world.now() - SignedDuration::from_hours(24 * 20);
    world.graph.mail().deliver(MAILBOX, "INBOX", bounce(50), old);
    world.advance(SignedDuration::from_secs(5));
    for (id, recorded) in [(&all, 6), (&new, 0), (&week, 5)] {
        assert_eq!(poll_well(&world, id).await.recorded, recorded, "{id}");
    }
    world.advance(SignedDuration::from_secs(60));
    deliver(&world, [bounce(6)]);
    world.graph.mail().expire_tokens();
    world.advance(SignedDuration::from_secs(60));
    deliver(&world, [bounce(7)]);
    for (id, messages, recorded) in [(&all, 8, 2), (&new, 2, 2), (&week, 7, 2)] {
        let summary = poll_well(&world, id).await;
        assert_eq!((summary.messages, summary.recorded), (messages, recorded), "{id}: {summary:?}");
        assert_eq!(poll_well(&world, id).await.messages, 0, "{id}");
    }
    // Old mail that somebody moves here is news, except to who wants new mail alone.
    let moved = world.graph.mail().deliver(MAILBOX, "Aside", bounce(60), old);
    assert!(world.graph.mail().move_to(MAILBOX, &moved, "INBOX"));
    for (id, recorded) in [(&all, 1), (&new, 0), (&week, 1)] {
        assert_eq!(poll_well(&world, id).await.recorded, recorded, "{id}");
    }
    // Another folder of the same name.
    world.graph.mail().replace_folder(MAILBOX, "INBOX");
    deliver(&world, [bounce(8)]);
    assert_eq!(poll_well(&world, &all).await.recorded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_the_account_rests_for_as_long_as_it_was_told() {
    let places = [
        (GraphCall::Folder, 0, 429, "ApplicationThrottled"),
        (GraphCall::Delta, 0, 429, "ApplicationThrottled"),
        (GraphCall::Value, 7, 429, "MailboxConcurrency"),
        (GraphCall::Value, 7, 503, "ErrorServerBusy"),
        (GraphCall::Settle, 3, 504, "ErrorTimeoutExpired"),
    ];
    for (call, after, status, code) in places {
        let world = World::start().await.unwrap();
        let id = add_app_only(&world, "bounces", |account| account.reports = AfterReading::Delete).await;
        deliver(&world, (0..20).map(bounce));
        script(&world, call, after, 1, refuse(status, code, Some(1_800)));
        let told = (HealthState::Retrying, "throttled".to_owned());
        assert_eq!(poll_badly(&world, &id).await, told, "{call:?} {status}");
        let rest = world.item(&id).await.unwrap().next_due - world.now().as_second();
        assert!((1_790..=1_800).contains(&rest), "{call:?} {status}: due in {rest} s");
        world.advance(SignedDuration::from_secs(1_800));
        poll_well(&world, &id).await;
        assert_eq!((count(&world, "INBOX"), addresses(&world, &id).await.len()), (0, 20), "{call:?} {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_refuses_has_its_advice() {
    let world = World::start().await.unwrap();
    let graph = by_graph(&world);
    let itself = |account: &mut Account| {
        graph(account);
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let id = world.add("bounces", itself).await.unwrap();
    use HealthState::{NeedsAdmin, NeedsConsent, Retrying};
    // The app has roles of Exchange alone.
    assert_eq!(poll_badly(&world, &id).await, (NeedsConsent, "admin-consent-required".into()));
    world.advance(SignedDuration::from_hours(2));
    world.entra.change(|settings| settings.apps[0].roles.push("Mail.ReadWrite".into()));
    poll_well(&world, &id).await;
    world.entra.change(|settings| settings.apps[0].mailboxes.clear());
    assert_eq!(poll_badly(&world, &id).await, (NeedsAdmin, "graph-not-permitted".into()));
    world.entra.change(|settings| settings.apps[0].mailboxes.push("nobody@example.org".into()));
    let nobody = |account: &mut Account| {
        itself(account);
        account.mailbox = "nobody@example.org".into();
    };
    let nobody = world.add("nobody", nobody).await.unwrap();
    assert_eq!(poll_badly(&world, &nobody).await, (NeedsAdmin, "graph-no-mailbox".into()));
    world.entra.change(|settings| settings.apps[0].mailboxes.push(MAILBOX.into()));
    poll_well(&world, &id).await;
    let folder = |account: &mut Account| {
        itself(account);
        account.folders = vec!["No such folder".into()];
    };
    let folder = world.add("folder", folder).await.unwrap();
    assert_eq!(poll_badly(&world, &folder).await, (HealthState::Misconfigured, "folder-missing".into()));
    // A token that is refused is renewed once.
    script(&world, GraphCall::Folder, 0, 1, refuse(401, "InvalidAuthenticationToken", None));
    poll_well(&world, &id).await;
    script(&world, GraphCall::Folder, 0, 2, refuse(401, "InvalidAuthenticationToken", None));
    assert_eq!(poll_badly(&world, &id).await, (NeedsAdmin, "graph-token-refused".into()));
    poll_well(&world, &id).await;
    // One whose life ends while it is used is no refusal.
    deliver(&world, (0..10).map(bounce));
    script(&world, GraphCall::Value, 4, 1, refuse(401, "InvalidAuthenticationToken", None));
    assert_eq!(poll_badly(&world, &id).await, (Retrying, "server-unreachable".into()));
    poll_well(&world, &id).await;
    assert_eq!(addresses(&world, &id).await.len(), 10);
    // It may read, and not change anything.
    world.entra.change(|settings| settings.apps[0].roles = vec!["Mail.Read".into()]);
    world.advance(SignedDuration::from_hours(2));
    let delete = |account: &mut Account| {
        itself(account);
        account.reports = AfterReading::Delete;
    };
    let delete = world.add("delete", delete).await.unwrap();
    assert_eq!(poll_badly(&world, &delete).await, (NeedsAdmin, "cannot-settle".into()));
    assert_eq!((addresses(&world, &delete).await.len(), count(&world, "INBOX")), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_end_within_their_bounds_and_lose_nothing() {
    let world = World::start().await.unwrap();
    let id = add_app_only(&world, "bounces", |_| {}).await;
    world.graph.mail().change(|settings| settings.page = 5);
    deliver(&world, (0..12).map(bounce));
    let broken = (HealthState::Retrying, "server-broken".to_owned());
    let page = |link: &str| format!("{{\"value\":[],\"@odata.nextLink\":\"{link}\"}}");
    let here = format!("https://localhost:{}", world.graph.port());
    let links = [
        "https://graph.microsoft.com/v1.0/users/a/mailFolders/inbox/messages/delta?$skiptoken=x".to_owned(),
        format!("{here}/beta/users/a/messages/delta"),
        format!("{}@localhost:{}/v1.0/x", "https://somebody", world.graph.port()),
        format!("http://localhost:{}/v1.0/x", world.graph.port()),
        format!("{here}/v1.0/{}", "x".repeat(9_000)),
        "no URL".to_owned(),
    ];
    for link in &links {
        script(&world, GraphCall::Delta, 1, 1, GraphAction::Link(link.clone()));
        assert_eq!(poll_badly(&world, &id).await, broken, "{link}");
    }
    let bodies = ["", "{}", "[]", "<html>", "{\"value\":[]}", "{\"value\":[{\"id\":\"\"}],\"@odata.deltaLink\":\"x\"}"];
    for body in bodies.map(str::to_owned).into_iter().chain([page("")]) {
        script(&world, GraphCall::Delta, 0, 1, GraphAction::Body(body.clone()));
        assert_eq!(poll_badly(&world, &id).await, broken, "{body}");
    }
    script(&world, GraphCall::Delta, 1, 1, GraphAction::SamePage);
    assert_eq!(poll_badly(&world, &id).await, broken, "a page that leads to itself");
    script(&world, GraphCall::Delta, 0, 1, GraphAction::Endless);
    assert_eq!(poll_badly(&world, &id).await, broken, "a page that never ends");
    assert!(world.facts(&id).await.unwrap().is_empty());
    script(&world, GraphCall::Delta, 0, 1, refuse(302, "Found", None));
    assert_eq!(poll_badly(&world, &id).await, broken, "a redirect");
    // Words of the server reach people, and never the token.
    let said = world.item(&id).await.unwrap().health.said.unwrap();
    assert!(said.contains("302") && !said.contains("eyJ"), "{said}");
    assert_eq!(poll_well(&world, &id).await.recorded, 12);

    // A message that never ends is read as far as any other, and kept.
    deliver(&world, [bounce(100), bounce(101)]);
    script(&world, GraphCall::Value, 0, 1, GraphAction::Endless);
    assert_eq!(poll_well(&world, &id).await.recorded, 2);
    let facts = world.facts(&id).await.unwrap();
    let cut: Vec<_> = facts.iter().filter(|fact| fact.report.diagnostics.iter().any(|one| one.code == "cut")).collect();
    assert_eq!((cut.len(), cut[0].kind), (1, Kind::Other));
    assert!(cut[0].report.diagnostics.iter().any(|one| one.text == "only the first 4194304 bytes were read"));

    // Silence within a message ends with the time of the run; the next one reads it.
    deliver(&world, [bounce(200)]);
    script(&world, GraphCall::Value, 0, 1, GraphAction::Stall);
    let (started, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(8));
    let summary = world.machine.poller().poll(&id, "test", deadline, &()).await.unwrap();
    assert_eq!((summary.messages, summary.left), (0, 1), "{summary:?}");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(poll_well(&world, &id).await.recorded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_server_fails_at_is_told_from_a_server_that_fails() {
    let world = World::start().await.unwrap();
    let id = add_app_only(&world, "bounces", |_| {}).await;
    deliver(&world, (0..4).map(bounce));
    script(&world, GraphCall::Value, 0, 4, refuse(500, "ErrorInternalServerError", None));
    assert_eq!(poll_badly(&world, &id).await, (HealthState::Retrying, "server-unreachable".into()));
    assert!(world.facts(&id).await.unwrap().is_empty());
    // One fails twice: the others came meanwhile.
    script(&world, GraphCall::Value, 0, 1, refuse(500, "ErrorInternalServerError", None));
    script(&world, GraphCall::Value, 3, 1, refuse(500, "ErrorMimeContentInvalid", None));
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.unreadable, summary.left), (3, 1, 0), "{summary:?}");
    let facts = world.facts(&id).await.unwrap();
    let unreadable = facts.iter().find(|fact| fact.report.diagnostics.iter().any(|one| one.code == "unreadable"));
    let said = &unreadable.unwrap().report.diagnostics[0].text;
    assert!(said.contains("HTTP 500, ErrorMimeContentInvalid"), "{said}");
    assert_eq!((facts.len(), poll_well(&world, &id).await.messages), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_asked_for_once_over_many_sessions_and_four_at_a_time() {
    let world = World::start().await.unwrap();
    let id = add_app_only(&world, "bounces", |account| account.limits.session_messages = Some(7)).await;
    world.graph.mail().change(|settings| {
        settings.page = 10;
        settings.latency = Duration::from_millis(10);
    });
    deliver(&world, (0..50).map(bounce));
    let mut sessions = 0;
    loop {
        sessions += 1;
        let summary = poll_well(&world, &id).await;
        if summary.left == 0 {
            break;
        }
        assert_eq!((summary.messages, summary.recorded), (7, 7), "{summary:?}");
    }
    assert_eq!((sessions, calls(&world, "GET $value"), addresses(&world, &id).await.len()), (8, 50, 50));
    assert!((2..=4).contains(&world.graph.mail().busiest()), "{} at once", world.graph.mail().busiest());
    // Nothing new costs two questions and two writes, and moves no link.
    let before = world.faults.writes();
    let summary = poll_well(&world, &id).await;
    assert_eq!((summary.messages, summary.round_trips), (0, 2), "{summary:?}");
    assert_eq!(world.faults.writes() - before, 2);
    // But no link is kept for ever.
    let link = |cursor: Option<rebond::table::Cursor>| match cursor.unwrap().position {
        rebond::cursor::Position::Graph(position) => position.link,
        other => panic!("{other:?}"),
    };
    let inbox = rebond::table::Folder("INBOX".into());
    let old = link(world.machine.table.cursor(&id, &inbox).await.unwrap());
    world.advance(SignedDuration::from_hours(25));
    poll_well(&world, &id).await;
    let new = link(world.machine.table.cursor(&id, &inbox).await.unwrap());
    assert!(old != new && old.contains("deltatoken") && new.contains("deltatoken"), "{old} {new}");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_found_by_the_names_that_people_see() {
    let world = World::start().await.unwrap();
    for (n, folder) in ["Retours d'été/À lire & plus", "Junk Email", "INBOX/Below"].into_iter().enumerate() {
        world.graph.mail().deliver(MAILBOX, folder, bounce(n), world.now());
    }
    let names = ["Retours d'été/À lire & plus", "junkemail", "inbox/below"];
    let id = add_app_only(&world, "bounces", |account| account.folders = names.map(str::to_owned).into()).await;
    assert_eq!(poll_well(&world, &id).await.recorded, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_refuses_what_graph_refuses() {
    let world = World::start().await.unwrap();
    let ids = deliver(&world, [bounce(1)]);
    let imap = world.add_connected("imap", |_| {}).await.unwrap();
    let graph = world.add_connected("graph", by_graph(&world)).await.unwrap();
    let machine = &world.machine;
    let http = Http::new(&machine.reach, &machine.tls).unwrap();
    let item = world.item(&imap).await.unwrap();
    let of_exchange = machine.grants.access_token(&item).await.unwrap().expose_secret().to_owned();
    let item = world.item(&graph).await.unwrap();
    let of_graph = machine.grants.access_token(&item).await.unwrap().expose_secret().to_owned();
    let ask = async |method: &str, token: &str, path: &str, prefer: &str, body: &str| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://localhost:{}/v1.0/{path}", world.graph.port()))
            .header("authorization", format!("Bearer {token}"))
            .header("prefer", prefer)
            .body(body.as_bytes().to_vec())
            .unwrap();
        let answer = http.send(request).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), json)
    };
    let code = |json: &serde_json::Value| json["error"]["code"].as_str().unwrap_or_default().to_owned();
    let inbox = format!("users/{MAILBOX}/mailFolders/inbox");
    for token in ["", "nonsense", &of_exchange] {
        let (status, json) = ask("GET", token, &inbox, "", "").await;
        assert_eq!((status, code(&json).as_str()), (401, "InvalidAuthenticationToken"));
    }
    let (status, _) = ask("GET", &of_graph, "me/mailFolders/inbox", "", "").await;
    assert_eq!(status, 200);
    let (status, json) = ask("GET", &of_graph, &format!("{inbox}/messages/delta?$search=x"), "", "").await;
    assert_eq!((status, code(&json).as_str()), (400, "ErrorInvalidUrlQuery"));
    let (status, json) = ask("GET", &of_graph, &format!("{inbox}/messages/delta?$deltatoken=x"), "", "").await;
    assert_eq!((status, code(&json).as_str()), (410, "syncStateNotFound"));
    // Ids change with a move, unless the request asks for those that do not.
    let mine = "IdType=\"ImmutableId\"";
    let id_of = async |prefer: &str| {
        let (_, json) = ask("GET", &of_graph, &format!("{inbox}/messages/delta"), prefer, "").await;
        json["value"][0]["id"].as_str().unwrap_or_default().to_owned()
    };
    let (mutable, immutable) = (id_of("").await, id_of(mine).await);
    assert!(mutable != immutable && immutable == ids[0]);
    let to = r#"{"destinationId":"archive"}"#;
    let (status, json) = ask("POST", &of_graph, &format!("{inbox}/messages/{mutable}/move"), "", to).await;
    assert_eq!(status, 201);
    assert_ne!(json["id"], serde_json::json!(mutable));
    let path = format!("users/{MAILBOX}/messages");
    assert_eq!(ask("GET", &of_graph, &format!("{path}/{mutable}/$value"), "", "").await.0, 404);
    assert_eq!(ask("GET", &of_graph, &format!("{path}/{immutable}/$value"), "", "").await.0, 200);
    assert_eq!(ask("GET", &of_graph, &format!("{inbox}/messages/{immutable}/$value"), "", "").await.0, 404);
}

fn spawn_poll(world: &World) -> Child {
    let mut command = Command::new(built("rebond").unwrap());
    command.args(["poll", "bounces", "--json", "--dir"]).arg(world.dir());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_killed_between_recording_and_settling_nothing_is_lost_or_done_twice() {
    let world = World::start().await.unwrap();
    let change = |account: &mut Account| account.reports = AfterReading::Move("Archive".into());
    let id = add_app_only(&world, "bounces", change).await;
    deliver(&world, (0..60).map(bounce));
    // At its first move, and at one in the middle.
    for after in [0, 5] {
        let child: Arc<Mutex<Option<Child>>> = Arc::default();
        let kills = Arc::clone(&child);
        let kill = move || {
            let mut child = kills.lock().unwrap();
            let child = child.as_mut().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        };
        script(&world, GraphCall::Settle, after, 1, GraphAction::Meanwhile(Arc::new(kill)));
        *child.lock().unwrap() = Some(spawn_poll(&world));
        let end = Instant::now() + Duration::from_secs(30);
        let ended = loop {
            if let Some(ended) = child.lock().unwrap().as_mut().unwrap().try_wait().unwrap() {
                break ended;
            }
            assert!(Instant::now() < end, "the poll was not killed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(ended.code(), None, "it was killed");
        let facts = world.facts(&id).await.unwrap().len();
        // A chunk is of 16, and some moves may be under way when it is killed.
        assert!(facts >= 16, "all of a chunk are durable before the first is moved: {facts}");
        assert!(count(&world, "Archive") <= facts, "none is moved that is not durable");
        world.end_leases(&id).await.unwrap();
    }
    // Carried out, and the answer never came.
    script(&world, GraphCall::Settle, 3, 1, GraphAction::Unanswered);
    assert_eq!(poll_badly(&world, &id).await, (HealthState::Retrying, "server-unreachable".into()));
    let before = world.facts(&id).await.unwrap().len() as u64;
    let summary = poll_well(&world, &id).await;
    assert_eq!(summary.recorded, 60 - before, "{summary:?}");
    assert_eq!((count(&world, "INBOX"), count(&world, "Archive"), addresses(&world, &id).await.len()), (0, 60, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_a_graph_account_without_a_server() {
    let world = World::start().await.unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(built("rebond").unwrap());
        let output = command.args(args).arg("--dir").arg(world.dir()).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), text)
    };
    let add = ["account", "add", "graph", "--mailbox", MAILBOX, "--app", "stand-in", "--protocol", "graph"];
    let (well, said) = run(&add);
    assert!(well, "{said}");
    let item = world.item(&"graph".parse().unwrap()).await.unwrap();
    let server = Server { host: "graph.microsoft.com".into(), port: 443, encryption: Encryption::Tls };
    assert_eq!((item.account.protocol, item.account.server), (Protocol::Graph, server));
    let (well, said) =
        run(&["account", "add", "pw", "--mailbox", "a", "--password", "--server", "x.example", "--protocol", "graph"]);
    assert!(!well && said.contains("Graph is opened by OAuth"), "{said}");
    let (well, said) = run(&["account", "add", "--help"]);
    assert!(well && said.contains("Mail.ReadWrite.Shared") && said.contains("junkemail"), "{said}");
}
