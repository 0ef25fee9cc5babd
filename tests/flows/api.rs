//! The API: who may ask what, and what is answered; on one machine, and behind the Lambda emulator.

use rebond::account::Account;
use rebond::delivery::Delivery;
use rebond::incident::{Incident, Trigger, template};
use rebond::secret::ExposeSecret;
use rebond::standing::List;
use rebond::table::{NewKey, Scope, Table};
use rebond_tests::mail::bounce;
use rebond_tests::process::{Process, built, tool, workspace};
use rebond_tests::rie::Emulated;
use rebond_tests::rights;
use rebond_tests::stack::{ACCOUNT, Stack, account_id};
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

fn ours(account: &mut Account) {
    account.sends_as = vec!["example.org".into()];
}

/// Makes a key, and gives what its holder sends.
pub async fn key(table: &Table, name: &str, scopes: &[Scope]) -> String {
    let random: [u8; 32] = rebond_cli::machine::random().unwrap();
    let made = NewKey::new(name.parse().unwrap(), scopes.to_vec(), "test", &random, jiff::Timestamp::now());
    assert!(table.add_api_key(&made.key).await.unwrap());
    made.secret.expose_secret().to_owned()
}

pub struct Answer {
    pub status: u16,
    headers: http::HeaderMap,
    pub body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What a refusal must be.
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.body);
        assert_eq!((&self.body["status"], &self.body["type"]), (&json!(status), &json!("about:blank")));
        assert!(self.body["detail"].as_str().unwrap().len() > 10 && self.body["title"].is_string(), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
    }

    pub fn good(self) -> Value {
        assert_eq!((self.status, self.header("content-type")), (200, "application/json"), "{}", self.body);
        assert_eq!(self.header("cache-control"), "no-store");
        self.body
    }
}

/// One request; a body is JSON unless `kind` says otherwise.
pub async fn ask(world: &World, method: &str, path: &str, key: &str, body: Option<&str>, kind: &str) -> Answer {
    let url = format!("{}/api/v1{path}", world.origin());
    let mut request = world.http().request(method.parse().unwrap(), url);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    if let Some(body) = body {
        request = request.header("content-type", kind).body(body.to_owned());
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
}

pub async fn get(world: &World, path: &str, key: &str) -> Answer {
    ask(world, "GET", path, key, None, "").await
}

pub async fn post(world: &World, path: &str, key: &str, body: &Value) -> Answer {
    ask(world, "POST", path, key, Some(&body.to_string()), "application/json").await
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_checked_shown_and_decided() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    for number in 1..=3 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    world.poll(&id).await.unwrap();
    let all = key(&world.machine.table, "all", &[Scope::Check, Scope::Read, Scope::Write]).await;

    let asked = ["USER1@example.net", "fine@example.net", "nobody", "user1@example.net"];
    let checked = post(&world, "/check", &all, &json!({ "addresses": asked })).await.good();
    assert_eq!(checked["list"], "default");
    let results = checked["results"].as_array().unwrap();
    let told: Vec<_> =
        results.iter().map(|r| (r["address"].as_str().unwrap(), r["may_send"].as_bool().unwrap())).collect();
    assert_eq!(told, [(asked[0], false), (asked[1], true), (asked[2], false), (asked[3], false)]);
    assert_eq!((&results[0]["state"], &results[0]["reason"]), (&json!("quarantined"), &json!("user-unknown")));
    assert!(results[2]["error"].as_str().unwrap().contains("no address"));

    let shown = get(&world, "/addresses/User1%40Example.NET", &all).await.good();
    assert_eq!(shown["address"], "user1@example.net");
    let cause = &shown["lists"][0]["causes"][0];
    assert_eq!(
        (&cause["counts"], &cause["proof"], &cause["account"]),
        (&json!(true), &json!("ours"), &json!("bounces"))
    );
    assert_eq!(get(&world, "/addresses/fine@example.net", &all).await.good()["lists"], json!([]));

    let why = json!({ "why": "their outage" });
    let decided = post(&world, "/addresses/user1@example.net/release", &all, &why).await.good();
    assert_eq!((&decided["before"], &decided["after"]["state"]), (&json!("quarantined"), &json!("valid")));
    assert_eq!(decided["after"]["decided_by"]["who"], "all (key)");
    let shown = get(&world, "/addresses/user1@example.net", &all).await.good();
    assert_eq!(shown["lists"][0]["decisions"][0]["why"], "their outage");
    assert_eq!(shown["lists"][0]["causes"][0]["counts"], false, "{shown}");
    // Without a body: `default`, and no reason.
    let denied = ask(&world, "POST", "/addresses/new+tag@example.net/deny", &all, None, "").await.good();
    assert_eq!((&denied["address"], &denied["after"]["may_send"]), (&json!("new+tag@example.net"), &json!(false)));
    let checked = post(&world, "/check", &all, &json!({ "addresses": ["new+tag@example.net"] })).await.good();
    assert_eq!(checked["results"][0]["state"], "denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let check = key(table, "check", &[Scope::Check]).await;
    let all = key(table, "all", &[Scope::Check, Scope::Read, Scope::Write]).await;
    let one = json!({ "addresses": ["a@example.net"] });

    get(&world, "/nothing", &all).await.refused(404, "no-such-path");
    for (path, method, allow) in [("/check", "GET", "POST"), ("/accounts", "DELETE", "GET, HEAD")] {
        let answer = ask(&world, method, path, &all, None, "").await;
        answer.refused(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow);
    }
    let none = post(&world, "/check", "", &one).await;
    none.refused(401, "no-valid-key");
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"rebond\"");
    let flipped = format!("{}{}", &all[..all.len() - 1], if all.ends_with('A') { "E" } else { "A" });
    for wrong in ["x", "rebond_", flipped.as_str(), &all.to_uppercase(), &"rebond_x".repeat(100)] {
        let answer = post(&world, "/check", wrong, &one).await;
        answer.refused(401, "no-valid-key");
        assert!(answer.header("www-authenticate").contains("invalid_token"), "{wrong}");
    }
    for (path, body) in
        [("/accounts", None), ("/addresses/a@b.example", None), ("/addresses/a@b.example/deny", Some("{}"))]
    {
        let method = if body.is_some() { "POST" } else { "GET" };
        let answer = ask(&world, method, path, &check, body, "application/json").await;
        answer.refused(403, "insufficient-scope");
        assert!(answer.header("www-authenticate").contains("insufficient_scope"));
    }
    for body in [
        "",
        "{",
        "[]",
        "[[\"a@b.example\"],null]",
        "null",
        "{}",
        "{\"addresses\":[]}",
        "{\"addresses\":\"a@b.example\"}",
        "{\"addresses\":[1]}",
        "{\"addresses\":[\"a@b.example\"],\"liste\":\"x\"}",
        "{\"addresses\":[\"a@b.example\"],\"addresses\":[]}",
    ] {
        ask(&world, "POST", "/check", &all, Some(body), "application/json").await.refused(400, "bad-request");
    }
    let many: Vec<String> = (0..1_001).map(|n| format!("a{n}@example.net")).collect();
    post(&world, "/check", &all, &json!({ "addresses": many })).await.refused(400, "bad-request");
    post(&world, "/check", &all, &json!({ "addresses": many[..1_000] })).await.good();
    for kind in ["text/plain", "application/jsonx", "multipart/form-data; boundary=x"] {
        ask(&world, "POST", "/check", &all, Some(&one.to_string()), kind).await.refused(415, "unsupported-media-type");
    }
    let utf8 = "application/json; charset=utf-8";
    ask(&world, "POST", "/check", &all, Some(&one.to_string()), utf8).await.good();
    let long = format!("{{\"addresses\":[\"{}\"]}}", "a".repeat(1 << 20));
    ask(&world, "POST", "/check", &all, Some(&long), "application/json").await.refused(413, "too-long");
    for list in ["nobody's", "news"] {
        let body = json!({ "addresses": ["a@example.net"], "list": list });
        post(&world, "/check", &all, &body).await.refused(404, "no-such-list");
    }
    get(&world, "/addresses/nobody", &all).await.refused(404, "no-address");
    get(&world, "/reports?account=nobody", &all).await.refused(404, "no-such-account");
    for query in [
        "",
        "?account=a&account=a",
        "?account=a&x=1",
        "?account=a&limit=0",
        "?account=a&limit=101",
        "?account=a&limit=+1",
        "?account=a&since=yesterday",
    ] {
        get(&world, &format!("/reports{query}"), &all).await.refused(400, "bad-request");
    }
    world.add_basic("a", ours).await.unwrap();
    for cursor in ["%00", "AAAA", "", "a+b"] {
        get(&world, &format!("/reports?account=a&cursor={cursor}"), &all).await.refused(404, "no-such-page");
    }
    let head = ask(&world, "HEAD", "/accounts", &all, None, "").await;
    assert_eq!((head.status, head.body), (200, Value::Null));
    // A table that does not answer.
    world.faults.set(1_000, 0);
    let answer = post(&world, "/check", &all, &one).await;
    answer.refused(503, "our-fault");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_as_a_hash_opens_at_once_and_never_after_it_was_revoked() {
    let world = World::start().await.unwrap();
    let rebond = |words: &str| {
        let mut command = Command::new(built("rebond").unwrap());
        let output = command.arg("--dir").arg(world.dir()).args(words.split(' ')).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, secret) = rebond("key add crm --scope check --scope check --scope read --quiet");
    let secret = secret.trim();
    assert_eq!((code, secret.len()), (0, "rebond_".len() + 43), "{secret}");
    assert_eq!(rebond("key add crm --scope check").0, 1, "the name is taken");
    let one = json!({ "addresses": ["a@example.net"] });
    post(&world, "/check", secret, &one).await.good();
    let (_, listed) = rebond("key list --json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["id"], &listed["scopes"]), (&json!("crm"), &json!(["check", "read"])));
    // Asking writes nothing.
    let writes = world.faults.writes();
    post(&world, "/check", secret, &one).await.good();
    assert_eq!(world.faults.writes(), writes);
    assert_eq!(rebond("key revoke crm").0, 0);
    post(&world, "/check", secret, &one).await.refused(401, "no-valid-key");
    assert_eq!(rebond("key revoke crm").0, 1);
    let (code, replaced) = rebond("key add crm --scope check --quiet");
    assert_eq!(code, 0, "its name is free again");
    post(&world, "/check", replaced.trim(), &one).await.good();
    post(&world, "/check", secret, &one).await.refused(401, "no-valid-key");
    // Last: whoever closes a file of SQLite gives up its process's locks of it.
    for (path, bytes) in world.files().unwrap() {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the key stands in {}", path.display());
    }
}

/// Whoever administers does so on the host, or by the rights that AWS gave them: the API has nothing of it, for any key.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_reaches_administration() {
    let world = World::start().await.unwrap();
    world.add_basic("bounces", ours).await.unwrap();
    let table = &world.machine.table;
    let all = key(table, "all", &[Scope::Check, Scope::Read, Scope::Write, Scope::Deliveries]).await;
    let kept = async || {
        let accounts = serde_json::to_value(table.accounts().await.unwrap()).unwrap();
        let (apps, keys) = (table.apps().await.unwrap(), table.api_keys().await.unwrap());
        let endpoints = serde_json::to_value(table.endpoints().await.unwrap()).unwrap();
        (accounts, apps, keys, endpoints, std::fs::read(world.dir().join("vault.json")).unwrap())
    };
    let before = kept().await;
    // What the commands of an administrator act on: by its own name, and as a part of what can be asked about.
    for path in [
        "accounts",
        "accounts/bounces",
        "accounts/bounces/password",
        "accounts/bounces/connect",
        "accounts/bounces/token",
        "apps",
        "apps/stand-in",
        "apps/stand-in/secret",
        "keys",
        "keys/all",
        "endpoints",
        "endpoints/hook",
        "instances",
        "lists",
        "lists/default",
        "routes",
        "rules",
        "grants/bounces",
        "audit",
        "erase",
        "replay",
        "polls",
        "users",
        "admin",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if (method, path) == ("GET", "accounts") {
                continue;
            }
            let body = (method != "GET").then_some("{}");
            let answer = ask(&world, method, &format!("/{path}"), &all, body, "application/json").await;
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {} {}", answer.status, answer.body);
        }
    }
    assert!(before == kept().await, "something was changed");
    // What is described is all there is: to ask, and to decide about addresses and tell of deliveries.
    let described: Value =
        serde_json::from_str(&std::fs::read_to_string(workspace().join("functions/api/openapi.json")).unwrap())
            .unwrap();
    let mut changing = vec![];
    for (path, operations) in described["paths"].as_object().unwrap() {
        for method in
            operations.as_object().unwrap().keys().filter(|method| *method != "get" && *method != "parameters")
        {
            changing.push(format!("{method} {path}"));
        }
    }
    changing.sort();
    let decisions = ["deny", "quarantine", "release"].map(|deed| format!("post /api/v1/addresses/{{address}}/{deed}"));
    let others = ["check", "deliveries", "deliveries/{id}/sent"].map(|path| format!("post /api/v1/{path}"));
    assert_eq!(changing, [&decisions[..], &others[..]].concat());
    // And the accounts that may be listed show no way in.
    let listed = get(&world, "/accounts", &all).await.good().to_string();
    for word in ["password", "token", "principal", "server", "generation", "client_id"] {
        assert!(!listed.contains(&format!("\"{word}")), "{word}: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_asks_too_often_is_told_to_wait() {
    let world = World::start().await.unwrap();
    let busy = key(&world.machine.table, "busy", &[Scope::Check]).await;
    let other = key(&world.machine.table, "other", &[Scope::Check]).await;
    let one = json!({ "addresses": ["a@example.net"] });
    // More at once than a key may ask while they are answered.
    let asked = (0..1_500).map(|_| post(&world, "/check", &busy, &one));
    let answers: Vec<Answer> =
        futures::StreamExt::collect(futures::StreamExt::buffer_unordered(futures::stream::iter(asked), 50)).await;
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(answers.len() - refused.len() >= 200, "{}", refused.len());
    let first = refused.first().expect("1,500 requests in some seconds are too many");
    first.refused(429, "too-many-requests");
    assert_eq!(first.header("retry-after"), "1");
    post(&world, "/check", &other, &one).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_everything_once_in_order() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    for name in ["archive", "extra"] {
        world.add_basic(name, ours).await.unwrap();
    }
    for number in 0..23 {
        let arrived = world.now() - jiff::SignedDuration::from_hours(number / 3);
        world.imap.deliver(BASIC, "INBOX", bounce(usize::try_from(number).unwrap()), arrived);
    }
    world.poll(&id).await.unwrap();
    let read = key(&world.machine.table, "read", &[Scope::Read]).await;
    let mut facts = world.facts(&id).await.unwrap();
    facts.sort_by_key(|fact| -fact.arrived);
    for limit in [1, 7, 23, 100] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = get(&world, &format!("/reports?account=bounces&limit={limit}{cursor}"), &read).await.good();
            pages += 1;
            seen.extend(page["reports"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(pages >= 23_usize.div_ceil(limit) && pages <= 23 / limit + 1, "{pages} pages of {limit}");
        let ids: std::collections::BTreeSet<_> = seen.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!((seen.len(), ids.len()), (23, 23), "{limit}");
        let times: Vec<&str> = seen.iter().map(|r| r["arrived"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    }
    let since = jiff::Timestamp::from_second(facts[5].arrived).unwrap();
    let some = get(&world, &format!("/reports?account=bounces&since={since}"), &read).await.good();
    let expected = facts.iter().filter(|fact| fact.arrived >= facts[5].arrived).count();
    assert_eq!(some["reports"].as_array().unwrap().len(), expected);
    assert_eq!(some["reports"][0]["outcomes"][0]["reason"], "user-unknown");
    // A cursor of another question.
    let first = get(&world, "/reports?account=bounces&limit=20", &read).await.good();
    let next = first["next"].as_str().unwrap();
    get(&world, &format!("/reports?account=bounces&since={since}&cursor={next}"), &read)
        .await
        .refused(404, "no-such-page");
    assert_eq!(get(&world, &format!("/reports?account=extra&cursor={next}"), &read).await.good()["reports"], json!([]));

    let first = get(&world, "/accounts?limit=2", &read).await.good();
    let names = |page: &Value| page["accounts"].as_array().unwrap().iter().map(|a| a["id"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["archive", "bounces"]);
    assert_eq!(first["accounts"][1]["last_poll"]["messages"], 23);
    assert_eq!(first["accounts"][1]["last_success"], first["accounts"][1]["last_poll"]["at"]);
    assert_eq!(first["accounts"][0]["last_success"], Value::Null, "never read");
    let next = format!("/accounts?limit=2&cursor={}", first["next"].as_str().unwrap());
    let last = get(&world, &next, &read).await.good();
    assert_eq!((names(&last), &last["next"]), (vec![json!("extra")], &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_tells_what_it_sends_and_incidents_are_listed() {
    let world = World::start().await.unwrap();
    let table = &world.machine.table;
    let tell = key(table, "sender", &[Scope::Deliveries]).await;
    let read = key(table, "read", &[Scope::Read]).await;
    let now = world.now();
    let closes = now + jiff::SignedDuration::from_hours(24);
    let delivery = json!({ "id": "march", "sent_per_domain": { "Example.net": 299, "example.NET": 1, "example.org": 299 },
        "closes_at": closes.to_string() });
    let told = post(&world, "/deliveries", &tell, &delivery).await.good();
    assert_eq!(
        (&told["sent"], &told["domains"], &told["watched_domains"]),
        (&json!(599), &json!(2), &json!(1)),
        "{told}"
    );
    let list = List::DEFAULT.parse().unwrap();
    let later = now.as_second() + 60;
    let known = table.told(&list, "example.net", later).await.unwrap();
    assert_eq!((known.len(), known[0].sent, known[0].id.as_str()), (1, 300, "march"));
    assert_eq!(table.told(&list, "example.org", later).await.unwrap(), []);
    assert_eq!(table.told(&list, "example.net", closes.as_second()).await.unwrap(), [], "it is closed");
    post(&world, "/deliveries", &read, &delivery).await.refused(403, "insufficient-scope");
    for (name, value, status, code) in [
        ("id", json!("a b"), 400, "bad-request"),
        ("id", json!(""), 400, "bad-request"),
        ("sent_per_domain", json!({ "nobody": 1 }), 400, "bad-request"),
        ("sent_per_domain", json!({ "b\u{fc}cher.example": 1 }), 400, "bad-request"),
        ("sent_per_domain", json!({ "example.net": -1 }), 400, "bad-request"),
        ("sent_per_domain", json!({ "example.net": 1.5 }), 400, "bad-request"),
        ("list", json!("nobody"), 404, "no-such-list"),
        ("closes_at", json!("2020-01-01T00:00:00Z"), 422, "no-such-time"),
        ("closes_at", json!((closes + jiff::SignedDuration::from_hours(60 * 24)).to_string()), 422, "no-such-time"),
        ("closes_at", json!("tomorrow"), 400, "bad-request"),
    ] {
        let mut wrong = delivery.clone();
        wrong[name] = value;
        post(&world, "/deliveries", &tell, &wrong).await.refused(status, code);
    }

    let trigger = |from| Trigger {
        count: 60,
        from,
        since: None,
        template: Some(template("no", "")),
        median: Some(1),
        told: None,
    };
    for n in 0..5 {
        let incident = Incident::new(&list, &format!("d{n}.example"), trigger(n), 1, 1_772_366_400 + n);
        assert!(table.open_incident(&incident).await.unwrap());
    }
    let first = get(&world, "/incidents?limit=3", &read).await.good();
    let names =
        |page: &Value| page["incidents"].as_array().unwrap().iter().map(|i| i["domain"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["d4.example", "d3.example", "d2.example"]);
    assert_eq!((&first["incidents"][0]["stage"], &first["incidents"][0]["addresses"]), (&json!("open"), &json!(60)));
    let next = format!("/incidents?limit=3&cursor={}", first["next"].as_str().unwrap());
    let last = get(&world, &next, &read).await.good();
    assert_eq!((names(&last), &last["next"]), (vec![json!("d1.example"), json!("d0.example")], &Value::Null));
}

/// The description, and whether it is true: schemathesis makes requests of it, good ones and bad ones.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_true() {
    let mut world = World::start().await.unwrap();
    let id = world.add_basic("bounces", ours).await.unwrap();
    for number in 0..12 {
        world.imap.deliver(BASIC, "INBOX", bounce(number), world.now());
    }
    world.poll(&id).await.unwrap();
    assert!(world.machine.table.put_list(&List::new("news".parse().unwrap()), true).await.unwrap());
    // The one that the examples name.
    let (id, list) = ("march-news".parse().unwrap(), "default".parse().unwrap());
    let now = world.now().as_second();
    let delivery = Delivery { id, list, route: None, opened: now, closes: now + 86_400, sent: 5 };
    assert!(world.machine.table.put_delivery(&delivery, &[("example.net".to_owned(), 5)].into()).await.unwrap());
    let all = key(&world.machine.table, "all", &[Scope::Check, Scope::Read, Scope::Write, Scope::Deliveries]).await;
    let origin = world.origin().to_owned();
    let given = world.http().get(format!("{origin}/api/v1/openapi.json")).send().await.unwrap().text().await.unwrap();
    let kept = std::fs::read(workspace().join("functions/api/openapi.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&given).unwrap(), serde_json::from_slice::<Value>(&kept).unwrap());
    world.stop_pages().await;
    let dir = tempfile::tempdir().unwrap();
    let mut serve = Command::new(built("rebond").unwrap());
    serve.arg("--dir").arg(world.dir()).arg("serve");
    let mut served = Process::start(&serve, &dir.path().join("serve.log")).unwrap();
    served.wait_for_output("Rebond serves", Duration::from_secs(20)).unwrap();
    // A delivery that closes before it opens is well-formed, and cannot be.
    let accepted = "[checks.positive_data_acceptance]\nexpected-statuses = [\"2xx\", 401, 403, 404, 422, 429]\n";
    std::fs::write(dir.path().join("schemathesis.toml"), accepted).unwrap();
    let mut command = tool("st");
    command.env("SCHEMATHESIS_HOOKS", "jsonl_requests").env("PYTHONPATH", workspace().join("tests"));
    command.arg("run").arg(workspace().join("functions/api/openapi.json")).current_dir(dir.path());
    command.args(["--url", &origin, "--header", &format!("Authorization: Bearer {all}")]);
    let examples = if std::env::var("REBOND_LONG").is_ok() { "500" } else { "25" };
    command.args(["--seed", "1", "--max-examples", examples, "--rate-limit", "40/s", "--no-color"]);
    command.args(["--request-timeout", "20", "--warnings", "off"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("No issues found"), "{said}");
}

/// An event of API Gateway's HTTP API.
fn event(method: &str, path: &str, query: &str, key: &str, body: &str) -> Value {
    let file = workspace().join("tests/events/api.json");
    let mut event: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    event["rawPath"] = json!(path);
    event["rawQueryString"] = json!(query);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    event["queryStringParameters"] = pairs.map(|(name, value)| (name.into_owned(), json!(value))).collect();
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    event["headers"]["authorization"] = json!(format!("Bearer {key}"));
    event["body"] = json!(body);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_answers_and_does_no_more_than_it_may() {
    let stack = Stack::start(Ipv4Addr::LOCALHOST, "test", "http://localhost:3000").await.unwrap();
    let (environment, calls) = stack.recorded().await.unwrap();
    let function = Emulated::start("api", &environment).unwrap();
    let all = key(&stack.table, "all", &[Scope::Check, Scope::Read, Scope::Write, Scope::Deliveries]).await;
    let body = |answer: &Value| -> Value { serde_json::from_str(answer["body"].as_str().unwrap()).unwrap() };
    let invoke = async |method: &str, path: &str, query: &str, sent: &str| {
        function.invoke(&event(method, path, query, &all, sent)).await.unwrap()
    };
    let sample: Value =
        serde_json::from_slice(&std::fs::read(workspace().join("tests/events/api.json")).unwrap()).unwrap();
    let answer = function.invoke(&sample).await.unwrap();
    assert_eq!(answer["statusCode"], 401, "the key of the sample is nobody's: {answer}");
    let asked = json!({ "addresses": ["jane@example.org"] }).to_string();
    let answer = invoke("POST", "/api/v1/check", "", &asked).await;
    assert_eq!(
        (&answer["statusCode"], &body(&answer)["results"][0]["may_send"]),
        (&json!(200), &json!(true)),
        "{answer}"
    );
    let answer = invoke("POST", "/api/v1/addresses/jane@example.org/quarantine", "", "{}").await;
    assert_eq!(body(&answer)["after"]["state"], "quarantined", "{answer}");
    let answer = invoke("GET", "/api/v1/addresses/jane@example.org", "", "").await;
    assert_eq!(body(&answer)["lists"][0]["standing"]["may_send"], false, "{answer}");
    let answer = invoke("GET", "/api/v1/accounts", "", "").await;
    assert_eq!(body(&answer)["accounts"][0]["id"], ACCOUNT, "{answer}");
    // Facts by the function that records them.
    let archive = stack.add_password_account().await.unwrap();
    let poll = Emulated::start("bounce-poll", &stack.environment()).unwrap();
    poll.invoke(&json!({ "account": archive.as_str() })).await.unwrap();
    let answer = invoke("GET", "/api/v1/reports", "account=archive&since=2020-01-01&limit=100", "").await;
    assert_eq!(body(&answer)["reports"].as_array().unwrap().len(), stack.messages, "{answer}");
    let answer = invoke("GET", "/api/v1/reports", &format!("account={}", account_id().unwrap()), "").await;
    assert_eq!(body(&answer)["reports"], json!([]), "{answer}");
    let closes = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let told = json!({ "id": "march", "sent_per_domain": { "example.org": 2 }, "closes_at": closes.to_string() });
    let answer = invoke("POST", "/api/v1/deliveries", "", &told.to_string()).await;
    assert_eq!(body(&answer)["sent"], 2, "{answer}");
    let mail = json!({ "message_id": "a@example.com", "address": "jane@example.org" }).to_string();
    let mut lines = event("POST", "/api/v1/deliveries/march/sent", "", &all, &format!("{mail}\n{mail}\n"));
    lines["headers"]["content-type"] = json!("application/jsonl");
    let answer = function.invoke(&lines).await.unwrap();
    assert_eq!(body(&answer)["lines"], 2, "{answer}");
    let answer = invoke("GET", "/api/v1/deliveries/march", "", "").await;
    assert_eq!(body(&answer)["total"]["delivered"], 2, "{answer}");
    let answer = invoke("PATCH", "/api/v1/check", "", "").await;
    assert_eq!((&answer["statusCode"], &answer["headers"]["allow"]), (&json!(405), &json!("POST")), "{answer}");
    assert!(!function.output().contains("jane@example.org"), "{}", function.output());
    let (made, allowed) = (calls.actions(), rights::actions("Asking"));
    assert_eq!(made, allowed, "it may what it does, and nothing more");
}
