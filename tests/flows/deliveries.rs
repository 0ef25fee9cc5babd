//! Deliveries: what senders told of their mail, reports known to be of it, and what came back counted once, whoever dies and
//! whatever comes twice or late.
#![allow(clippy::print_stdout, reason = "the figures are told")]

use crate::api::{ask, get, key, post};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use jiff::SignedDuration;
use rebond::account::{Account, AccountId};
use rebond::delivery::{Counts, Delivery, DeliveryId, Tally};
use rebond::follow::Follower;
use rebond::proof::{Doubt, Level};
use rebond::report::Reason;
use rebond::standing::{self, List, Standing, State, Thresholds};
use rebond::table::{Fact, Scope};
use rebond_cli::embedded;
use rebond_tests::mail::{bounce, bounce_of};
use rebond_tests::mortal::{Life, MortalTable};
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::Ordering;

/// An account that names no domain: by itself its bounces prove nothing.
fn nobodys(account: &mut Account) {
    account.sends_as = vec![];
}

fn deliver(world: &World, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        world.imap.deliver(BASIC, "INBOX", message, world.now());
    }
}

/// Tells of a delivery of `sent` mails to `example.net`, and gives a key that may do both.
async fn told(world: &World, id: &str, sent: u64) -> String {
    let secret = key(&world.machine.table, &format!("of-{id}"), &[Scope::Deliveries, Scope::Read]).await;
    let closes = world.now() + SignedDuration::from_hours(72);
    let word = json!({ "id": id, "sent_per_domain": { "example.net": sent }, "closes_at": closes.to_string() });
    post(world, "/deliveries", &secret, &word).await.good();
    secret
}

fn lines(mail: &[Value]) -> String {
    mail.iter().map(|one| format!("{one}\n")).collect()
}

async fn sent(world: &World, id: &str, secret: &str, mail: &[Value]) -> Value {
    let path = format!("/deliveries/{id}/sent");
    ask(world, "POST", &path, secret, Some(&lines(mail)), "application/jsonl").await.good()
}

/// The mail that [`bounce`] is of.
fn mail(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let one = |n| json!({ "message_id": format!("<news-{n}@example.org>"), "address": format!("User{n}@Example.net") });
    numbers.map(one).collect()
}

async fn standing(world: &World, address: &str, list: &str) -> Standing {
    let found = world.machine.table.standing(&address.parse().unwrap(), &list.parse().unwrap()).await.unwrap();
    let now = world.now().as_second();
    found.map(|item| standing::read(&item.history, &Thresholds::default(), now)).unwrap_or_default()
}

async fn tally(world: &World, id: &str) -> Tally {
    let item = world.machine.table.delivery(&id.parse().unwrap()).await.unwrap().unwrap();
    world.machine.table.tally(&item.delivery).await.unwrap()
}

/// Facts that nobody has followed.
async fn recorded(world: &World, id: &AccountId, messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<Fact> {
    deliver(world, messages);
    let mut poller = world.machine.poller();
    poller.follow = None;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    poller.poll(id, "test", deadline, &()).await.unwrap();
    world.facts(id).await.unwrap()
}

/// A delivery report of success.
fn success(number: usize) -> Vec<u8> {
    let text = String::from_utf8(bounce(number)).unwrap();
    let text = text.replace("Action: failed", "Action: delivered").replace("Status: 5.1.1", "Status: 2.0.0");
    let text = text.replace("Undelivered Mail Returned to Sender", "Delivery Status Notification (Success)");
    let text = text.replace("Your message could not be delivered.", "Your message was delivered.");
    let said = "Diagnostic-Code: smtp; 550 5.1.1 <user";
    let (before, after) = text.split_once(said).unwrap();
    let (_, after) = after.split_once("\r\n").unwrap();
    format!("{before}{after}").replace("<bounce-", "<success-").into_bytes()
}

/// A refusal that says something else.
fn refusal(number: usize, status: &str, said: &str) -> Vec<u8> {
    let address = format!("<user{number}@example.net>: Recipient address rejected: User unknown");
    let text = String::from_utf8(bounce(number)).unwrap();
    text.replace("5.1.1", status).replace(&address, said).replace("<bounce-", "<other-").into_bytes()
}

fn complaint(number: usize) -> Vec<u8> {
    format!(
        "From: feedback@example.com\r\nTo: bounces@example.org\r\nSubject: complaint\r\nMessage-ID: <arf-{number}@example.com>\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=\"=-f\"\r\n\r\n\
         --=-f\r\nContent-Type: text/plain\r\n\r\nThis is a complaint.\r\n\
         --=-f\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: example/1\r\nVersion: 1\r\n\r\n\
         --=-f\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: news@example.org\r\nMessage-ID: <news-{number}@example.org>\r\n\
         Subject: News\r\n\r\n--=-f--\r\n"
    )
    .into_bytes()
}

fn auto_reply(number: usize) -> Vec<u8> {
    format!(
        "From: user{number}@example.net\r\nTo: bounces@example.org\r\nSubject: Out of office\r\n\
         Auto-Submitted: auto-replied\r\nIn-Reply-To: <news-{number}@example.org>\r\n\
         Message-ID: <away-{number}@example.net>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nI am away.\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_told_is_known_again_and_counted_by_what_became_of_it() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    assert!(world.machine.table.put_list(&List::new("news".parse().unwrap()), true).await.unwrap());
    let secret = key(&world.machine.table, "sender", &[Scope::Deliveries, Scope::Read]).await;
    let closes = world.now() + SignedDuration::from_hours(72);
    let word = json!({ "id": "march", "list": "news", "closes_at": closes.to_string(),
        "sent_per_domain": { "example.net": 20, "example.com": 5 } });
    post(&world, "/deliveries", &secret, &word).await.good();
    let remembered = sent(&world, "march", &secret, &mail(0..20)).await;
    assert_eq!((&remembered["lines"], &remembered["id"]), (&json!(20), &json!("march")));
    let until: jiff::Timestamp = remembered["known_until"].as_str().unwrap().parse().unwrap();
    assert_eq!(until.as_second(), closes.as_second() + 14 * 86_400, "eight days at least");

    // A soft error, and then a success that a server confirmed; a hard one; a refusal for its sender; a complaint that names
    // nobody; an automatic reply; one that nobody told of.
    deliver(&world, [refusal(2, "4.2.2", "mailbox full"), refusal(3, "5.7.1", "message refused as spam"), bounce(1)]);
    world.poll(&id).await.unwrap();
    assert_eq!(standing(&world, "user2@example.net", "news").await.state, State::WithErrors);
    world.advance(SignedDuration::from_mins(1));
    deliver(&world, [success(2), success(4), complaint(5), auto_reply(6), bounce(77)]);
    world.poll(&id).await.unwrap();

    let hard = standing(&world, "user1@example.net", "news").await;
    assert_eq!((hard.state, hard.causes[0].proof, hard.causes[0].doubt), (State::Quarantined, Level::Ours, None));
    assert_eq!(standing(&world, "user1@example.net", "default").await, Standing::default(), "of the delivery's list");
    assert_eq!(
        standing(&world, "user5@example.net", "news").await.state,
        State::Denied,
        "known by the Message-ID alone"
    );
    assert_eq!(standing(&world, "user2@example.net", "news").await.state, State::Valid, "a confirmed success clears");
    let (unknown, list) = ("user77@example.net".parse().unwrap(), "default".parse().unwrap());
    let unknown = world.machine.table.standing(&unknown, &list).await.unwrap();
    let cause = unknown.unwrap().history.causes.remove(0);
    assert_eq!((cause.believed, cause.doubt), (false, Some(Doubt::NoDomains)), "nobody told of it");

    let shown = get(&world, "/deliveries/march", &secret).await.good();
    let total = json!({ "sent": 25, "hard": 1, "soft": 1, "refused": 1, "complaints": 1, "auto_replies": 1, "confirmed": 1,
        "delivered": 22 });
    assert_eq!(shown["total"], total, "{shown}");
    assert_eq!(shown["rates"]["hard"], 0.04);
    assert_eq!(shown["reasons"], json!({ "user-unknown": 1, "mailbox-full": 1, "spam-detected": 1 }));
    assert_eq!(shown["domains"][0]["domain"], "example.net");
    assert_eq!(
        shown["domains"][1],
        json!({ "domain": "example.com", "sent": 5, "hard": 0, "soft": 0, "refused": 0,
        "complaints": 0, "auto_replies": 0, "confirmed": 0, "delivered": 5 })
    );
    let listed = get(&world, "/deliveries", &secret).await.good();
    assert_eq!((&listed["deliveries"][0]["id"], &listed["deliveries"][0]["list"]), (&json!("march"), &json!("news")));

    // The same at the command line.
    let rebond = |words: &str| {
        let output =
            Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(words.split(' ')).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&rebond("delivery show march --json")).unwrap();
    assert_eq!((&json["total"]["hard"], &json["delivered"], &json["list"]), (&json!(1), &json!(22), &json!("news")));
    let told = rebond("delivery show march");
    assert!(told.contains("25") && told.contains("4.00 %") && told.contains("user-unknown"), "{told}");
    assert!(rebond("delivery list").contains("march"));
    // No Message-ID stands in the table, and no address but where it must be known.
    let items = world.raw("Scan", json!({ "TableName": "rebond" })).await.unwrap()["Items"].clone();
    let of = |pk: &str| -> Vec<String> {
        let items = items.as_array().unwrap().iter();
        items.filter(|item| item["pk"]["S"].as_str().unwrap().starts_with(pk)).map(Value::to_string).collect()
    };
    assert_eq!(of("SENT#").len(), 20);
    assert!(of("SENT#").iter().all(|item| !item.contains("news-")), "{:?}", of("SENT#"));
    assert!(
        !of("DELIVERY#").is_empty() && of("DELIVERY#").iter().all(|item| !item.contains('@')),
        "{:?}",
        of("DELIVERY#")
    );
}

/// A report that names nobody, in a way that the returned message does not mend.
fn nameless(number: usize) -> Vec<u8> {
    let text = String::from_utf8(bounce_of(number, &["somebody".to_owned()])).unwrap();
    text.replace("Final-Recipient: rfc822; somebody\r\n", "").replace("<somebody>: ", "").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_of_whom_the_mail_was_sent_to_by_each_kind_of_mark() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let secret = told(&world, "march", 10).await;
    let mail = [
        json!({ "message_id": "news-1@example.org", "address": "one@example.net" }),
        json!({ "envelope_id": "E-2", "address": "two@example.net" }),
        json!({ "return_path": "bounces+3@example.org", "address": "three@example.net" }),
        // One mail to two people.
        json!({ "message_id": "news-4@example.org", "address": "four@example.net" }),
        json!({ "message_id": "news-4@example.org", "address": "another@example.net" }),
    ];
    sent(&world, "march", &secret, &mail).await;
    let text = |message: Vec<u8>| String::from_utf8(message).unwrap();
    let without_id = |n: usize| text(nameless(n)).replace(&format!("Message-ID: <news-{n}@example.org>\r\n"), "");
    let by_envelope = without_id(2)
        .replace("mx.example.org\r\n\r\nAction", "mx.example.org\r\nOriginal-Envelope-Id: E-2\r\n\r\nAction");
    let by_path = without_id(3).replace("To: bounces@example.org", "To: bounces+3@example.org");
    // Forwarded on: the report names where it ended.
    let forwarded = text(bounce_of(1, &["elsewhere@example.com".into()])).replace("<bounce-1@", "<forwarded-1@");
    let two = text(bounce_of(4, &["four@example.net".into()]));
    deliver(&world, [nameless(1), by_envelope.into(), by_path.into(), forwarded.into(), two.into(), nameless(4)]);
    world.poll(&id).await.unwrap();
    for address in ["one@example.net", "two@example.net", "three@example.net", "four@example.net"] {
        let of = standing(&world, address, "default").await;
        assert_eq!((of.state, of.causes[0].proof), (State::Quarantined, Level::Ours), "{address}: {of:?}");
    }
    for address in ["elsewhere@example.com", "another@example.net"] {
        assert_eq!(standing(&world, address, "default").await, Standing::default(), "{address}");
    }
    assert_eq!(tally(&world, "march").await.total, Counts { sent: 10, hard: 4, ..Counts::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_counts_once_doubled_reordered_and_by_two_at_once() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let secret = told(&world, "march", 100).await;
    sent(&world, "march", &secret, &mail(0..60)).await;
    let messages = (0..40).map(bounce).chain((30..60).map(success)).chain((0..10).map(complaint));
    let facts = recorded(&world, &id, messages).await;
    assert_eq!(facts.len(), 80);
    let expected = Counts { sent: 100, hard: 40, complaints: 10, confirmed: 20, ..Counts::default() };
    let (table, vault) = (&world.machine.table, &world.machine.vault);
    let follower = Follower::new(table.clone(), vault.clone());
    // One by one, the last first; then all in one batch; then by two at once, in batches that cut across each other.
    for fact in facts.iter().rev() {
        follower.follow(std::slice::from_ref(fact), world.now()).await.unwrap();
    }
    assert_eq!(tally(&world, "march").await.total, expected);
    follower.follow(&facts, world.now()).await.unwrap();
    let other = Follower::new(table.clone(), vault.clone());
    let follow = async |follower: &Follower, size: usize| {
        for batch in facts.chunks(size) {
            follower.follow(batch, world.now()).await.unwrap();
        }
    };
    tokio::join!(follow(&follower, 7), follow(&other, 11));
    let done = tally(&world, "march").await;
    assert_eq!(done.total, expected);
    assert_eq!(done.reasons, BTreeMap::from([(Reason::UserUnknown, 40)]));
    // Told again, nothing changes: neither what is known, nor what was counted.
    sent(&world, "march", &secret, &mail(0..60)).await;
    told_again(&world, &secret).await;
    assert_eq!(tally(&world, "march").await.total, expected);
}

async fn told_again(world: &World, secret: &str) {
    let closes = world.now() + SignedDuration::from_hours(72);
    let word = json!({ "id": "march", "sent_per_domain": { "example.net": 100 }, "closes_at": closes.to_string() });
    post(world, "/deliveries", secret, &word).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_what_came_back_is_counted_once() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let facts = recorded(&world, &id, (0..6).map(bounce).chain((3..9).map(success))).await;
    let mut steps = 0;
    loop {
        // Each time of a delivery of its own: the newest word about a mail is what counts.
        let delivery = format!("d{steps}");
        let secret = told(&world, &delivery, 9).await;
        sent(&world, &delivery, &secret, &mail(0..9)).await;
        let life = Life::of(usize::MAX);
        let connector = SharedHttpConnector::new(MortalTable(world.connector(), life.clone()));
        let table = embedded::table(connector).await.unwrap();
        life.left.store(steps, Ordering::SeqCst);
        let mortal = Follower::new(table, world.machine.vault.clone());
        let ended = tokio::select! {
            followed = mortal.follow(&facts, world.now()) => { followed.unwrap(); true }
            () = life.over.notified() => false,
        };
        if !ended {
            // The stream brings the batch again, here in two.
            let follower = Follower::new(world.machine.table.clone(), world.machine.vault.clone());
            for batch in facts.chunks(5) {
                follower.follow(batch, world.now()).await.unwrap();
            }
        }
        let expected = Counts { sent: 9, hard: 6, confirmed: 3, ..Counts::default() };
        assert_eq!(tally(&world, &delivery).await.total, expected, "killed at step {steps}");
        for number in 0..3 {
            let of = standing(&world, &format!("user{number}@example.net"), "default").await;
            assert_eq!((of.state, of.causes.len()), (State::Quarantined, 1), "killed at step {steps}");
        }
        if ended {
            break;
        }
        steps += 1;
    }
    println!("killed at each of {steps} steps");
    assert!(steps > 15, "{steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_what_a_batch_of_writes_leaves_unprocessed_is_written_again() {
    let world = World::start().await.unwrap();
    let secret = told(&world, "march", 40).await;
    let unprocessed = &world.faults.unprocessed;
    unprocessed.store(3, Ordering::Relaxed);
    sent(&world, "march", &secret, &mail(0..40)).await;
    assert_eq!(unprocessed.load(Ordering::Relaxed), 0, "there were batches in halves");
    let now = world.now().as_second();
    for n in 0..40 {
        let found = world.machine.table.sent(&digest(&format!("news-{n}@example.org")), now).await.unwrap();
        assert!(found.is_some(), "mail {n} is not known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_is_refused_whole_and_names_the_line() {
    let world = World::start().await.unwrap();
    let secret = told(&world, "march", 10).await;
    let path = "/deliveries/march/sent";
    let good = json!({ "message_id": "a@example.org", "address": "a@example.net" }).to_string();
    for (line, says) in [
        // What is not the shape of a mail: a bad request. What is, with an address or a mark that is none: unfit.
        ("nonsense", "JSON object"),
        ("[\"a@example.net\",\"a@example.org\"]", "JSON object"),
        ("{\"address\":\"a@example.net\"}", "one of message_id"),
        ("{\"address\":\"a@example.net\",\"message_id\":\"a\",\"envelope_id\":\"b\"}", "one of message_id"),
        ("{\"address\":\"a@example.net\",\"message_id\":null}", "null"),
        ("{\"address\":\"a@example.net\",\"message_id\":\"\"}", "printable"),
        ("{\"address\":\"a@example.net\",\"return_path\":\"bounces@example.org\"}", "'+' or '='"),
        ("{\"address\":\"nobody\",\"message_id\":\"a\"}", "no address"),
        ("{\"address\":\"a@example.net\",\"message_id\":\"a\",\"campaign\":1}", "campaign"),
    ] {
        let body = format!("{good}\n\n{line}\n{good}\n");
        let answer = ask(&world, "POST", path, &secret, Some(&body), "application/jsonl").await;
        match ["printable", "'+' or '='", "no address"].contains(&says) {
            true => answer.refused(422, "unfit-line"),
            false => answer.refused(400, "bad-request"),
        };
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("Line 3: ") && detail.contains(says), "{line}: {detail}");
    }
    let known = world.raw(
        "Query",
        json!({ "TableName": "rebond", "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": format!("SENT#{}", digest("a@example.org")) } } }),
    );
    assert_eq!(known.await.unwrap()["Count"], 0, "of what is refused nothing is kept");
    ask(&world, "POST", path, &secret, Some("\n\n"), "application/jsonl").await.refused(400, "bad-request");
    ask(&world, "POST", path, &secret, Some(&good), "application/json").await.refused(415, "unsupported-media-type");
    let other = "/deliveries/april/sent";
    ask(&world, "POST", other, &secret, Some(&good), "application/jsonl").await.refused(404, "no-such-delivery");
    get(&world, "/deliveries/april", &secret).await.refused(404, "no-such-delivery");
    let check = key(&world.machine.table, "check", &[Scope::Check]).await;
    ask(&world, "POST", path, &check, Some(&good), "application/jsonl").await.refused(403, "insufficient-scope");
    get(&world, "/deliveries", &check).await.refused(403, "insufficient-scope");
    // As much as fits a request, at once, and one line more than that.
    let many: String = (0..9_000)
        .map(|n| lines(&[json!({ "message_id": format!("n{n}@example.org"), "address": format!("p{n}@example.net") })]))
        .collect();
    let answer = ask(&world, "POST", path, &secret, Some(&many), "application/jsonl").await.good();
    assert_eq!(answer["lines"], 9_000);
    let more = many.repeat(3);
    ask(&world, "POST", path, &secret, Some(&more), "application/jsonl").await.refused(413, "too-long");
    // 14 days after it closes nothing is remembered of it any longer.
    world.advance(SignedDuration::from_hours(72 + 14 * 24 - 1));
    ask(&world, "POST", path, &secret, Some(&good), "application/jsonl").await.good();
    world.advance(SignedDuration::from_hours(1));
    ask(&world, "POST", path, &secret, Some(&good), "application/jsonl").await.refused(422, "delivery-closed");
}

fn digest(id: &str) -> String {
    rebond::delivery::mark::Mark::MessageId(id).digest().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_costs_is_counted_by_the_table() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let secret = told(&world, "march", 1_000).await;
    world.faults.count_units();
    sent(&world, "march", &secret, &mail(0..1_000)).await;
    let told = world.faults.units().get("TO").copied().unwrap_or_default() / 1_000.0;
    let facts = recorded(&world, &id, (0..100).map(bounce)).await;
    world.faults.count_units();
    world.machine.follower().follow(&facts, world.now()).await.unwrap();
    let together = world.faults.units()["CAME"] / 100.0;
    let facts = recorded(&world, &id, (100..110).map(bounce)).await;
    world.faults.count_units();
    for fact in &facts[100..] {
        world.machine.follower().follow(std::slice::from_ref(fact), world.now()).await.unwrap();
    }
    let alone = world.faults.units()["CAME"] / 10.0;
    println!(
        "told: {told:.2} write units a mail (${:.2} a million); what came back: {together:.2} each in a batch of 100 (${:.2}), \
         {alone:.2} alone (${:.2})",
        told * 0.625,
        together * 0.625,
        alone * 0.625
    );
    assert_eq!((told, alone), (1.0, 1.0));
    assert!(together <= 0.1, "{together}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_ignores_did_not_arrive_nonetheless() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let secret = told(&world, "march", 10).await;
    sent(&world, "march", &secret, &mail(0..4)).await;
    let mut facts = recorded(&world, &id, [bounce(1)]).await;
    let rebond = |words: &[&str]| {
        let output = Command::new(built("rebond").unwrap()).arg("--dir").arg(world.dir()).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    rebond(&["rules", "add", "moved", "--phrase", "recipient address rejected", "--ignore"]);
    rebond(&["rules", "test", "moved"]);
    rebond(&["rules", "on", "moved"]);
    facts[0].recorded = world.now().as_second() + 1;
    world.machine.follower().follow(&facts, world.now()).await.unwrap();
    let total = tally(&world, "march").await.total;
    assert_eq!((total.hard, total.refused, total.delivered()), (0, 1, Some(9)));
    assert_eq!(standing(&world, "user1@example.net", "default").await.state, State::Valid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_of_a_mail_is_known_until_its_time_is_over() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let secret = told(&world, "march", 10).await;
    sent(&world, "march", &secret, &mail(0..4)).await;
    let facts = recorded(&world, &id, [bounce(1)]).await;
    let of = world.machine.table.delivery(&"march".parse().unwrap()).await.unwrap().unwrap().delivery;
    let end = of.closes + Delivery::CORRELATED;
    for (at, known) in [(end - 1, true), (end, false), (end + 1, false)] {
        let found = world.machine.table.sent(&digest("news-1@example.org"), at).await.unwrap();
        assert_eq!(found.is_some(), known, "{}", at - end);
    }
    // What the table has not removed yet proves nothing.
    for (at, state) in [(end, State::Valid), (end - 1, State::Quarantined)] {
        world.machine.follower().follow(&facts, jiff::Timestamp::from_second(at).unwrap()).await.unwrap();
        assert_eq!(standing(&world, "user1@example.net", "default").await.state, state, "{}", at - end);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_signed_address_is_of_no_delivery_and_a_person_is_erased_from_one() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", nobodys).await.unwrap();
    let secret = told(&world, "march", 10).await;
    sent(&world, "march", &secret, &mail(0..4)).await;
    let mut facts = recorded(&world, &id, (1..3).map(bounce)).await;
    let list = List::DEFAULT.parse().unwrap();
    let holder = "user1@example.net".parse().unwrap();
    let signing = rebond::vault::signing_key(&*world.machine.vault).await.unwrap();
    let stamp =
        rebond::proof::tag::stamp("bounces@example.org", &holder, &list, &signing, world.now().as_second()).unwrap();
    let good = facts[0].clone();
    facts[0].report.returned_to = Some(stamp.replace("=user1=", "=user2="));
    world.machine.follower().follow(&facts, world.now()).await.unwrap();
    assert_eq!(tally(&world, "march").await.total.hard, 1, "the forged one is of none");
    world.machine.follower().follow(&[good], world.now()).await.unwrap();
    assert_eq!(tally(&world, "march").await.total.hard, 2);
    let person = rebond::erase::Person::new(holder);
    let erased = world.machine.table.erase(&person, &BTreeSet::new(), false).await.unwrap();
    // Whom the mail was told to be for, what came back of it, and the words of the forged bounce, which stand with another.
    assert_eq!((erased.standings, erased.others), (1, 3), "{erased:?}");
    assert_eq!(tally(&world, "march").await.total.hard, 1);
    let delivery: DeliveryId = "march".parse().unwrap();
    let of: Delivery = world.machine.table.delivery(&delivery).await.unwrap().unwrap().delivery;
    assert_eq!(of.sent, 10, "the delivery itself stays");
    let left: BTreeSet<String> = (0..4).map(|n| format!("news-{n}@example.org")).collect();
    for id in left {
        let known = world.machine.table.sent(&digest(&id), world.now().as_second()).await.unwrap();
        assert_eq!(known.is_some(), id != "news-1@example.org", "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_by_name_page_by_page_also_where_the_table_gives_fewer_at_once() {
    let world = World::start().await.unwrap();
    let secret = key(&world.machine.table, "sender", &[Scope::Deliveries, Scope::Read]).await;
    let closes = world.now() + SignedDuration::from_hours(72);
    // Thirty of some 60 KB each: the table gives a megabyte at a time.
    let sent: serde_json::Map<String, Value> =
        (0..1_000).map(|n| (format!("{}{n}.example.net", "long-name-of-a-destination-".repeat(2)), json!(1))).collect();
    let names: Vec<String> = (0..30).map(|n| format!("d{n:02}")).collect();
    for name in &names {
        let word = json!({ "id": name, "sent_per_domain": sent, "closes_at": closes.to_string() });
        post(&world, "/deliveries", &secret, &word).await.good();
    }
    for limit in [1, 7, 29, 30, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&world, &format!("/deliveries?limit={limit}{cursor}"), &secret).await.good();
            let found = page["deliveries"].as_array().unwrap();
            seen.extend(found.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => {
                    assert_eq!(found.len(), limit, "only the last page is short");
                    cursor = format!("&cursor={next}");
                }
                None => break,
            }
        }
        assert_eq!(seen, names, "by {limit}");
    }
    get(&world, "/deliveries?cursor=AAAA", &secret).await.refused(404, "no-such-page");
}
