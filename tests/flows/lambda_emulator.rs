//! Each built function behind Lambda's runtime emulator, with the events that AWS would send.

use jiff::Timestamp;
use rebond::raw::{Bucket, Store};
use rebond::report::{self, Kind};
use rebond_tests::gateway::Gateway;
use rebond_tests::moto::make_bucket;
use rebond_tests::process::workspace;
use rebond_tests::recorder::Recorder;
use rebond_tests::rie::Emulated;
use rebond_tests::rights;
use rebond_tests::stack::{ACCOUNT, Stack, account_id, signed};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;

async fn stack() -> Stack {
    Stack::start(Ipv4Addr::LOCALHOST, "test", "http://localhost:3000").await.unwrap()
}

fn start(stack: &Stack, function: &str) -> Emulated {
    Emulated::start(function, &stack.environment()).unwrap()
}

async fn recorded(stack: &Stack, function: &str) -> (Emulated, Recorder) {
    let (environment, recorder) = stack.recorded().await.unwrap();
    (Emulated::start(function, &environment).unwrap(), recorder)
}

fn event(name: &str) -> Value {
    let path = workspace().join("tests/events").join(name).with_extension("json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn header(answer: &Value, name: &str) -> String {
    let headers = answer["headers"].as_object().unwrap();
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str().unwrap().to_owned()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_connected_dispatched_polled_and_refreshed_and_its_addresses_judged() {
    let gateway = Gateway::start().await.unwrap();
    let stack = &gateway.stack;
    let walk = stack.person().walk(&stack.invitation().await.unwrap()).await.unwrap();
    assert_eq!(walk.status, 200, "{walk:?}\n{}", gateway.logs());
    assert!(walk.url.contains("/oauth/done?id="), "{walk:?}\n{}", gateway.logs());
    let item = stack.table.account(&account_id().unwrap()).await.unwrap().unwrap();
    assert!(item.principal.is_some(), "{item:?}\n{}", gateway.logs());

    let (dispatch, dispatch_calls) = recorded(stack, "poll-dispatch").await;
    let dispatched = dispatch.invoke(&event("poll-dispatch")).await.unwrap();
    assert_eq!((&dispatched["due"], &dispatched["queued"]), (&json!(1), &json!(1)), "{dispatched}");
    let batch = stack.queued().await.unwrap();
    let (mut environment, poll_calls) = stack.recorded().await.unwrap();
    make_bucket(stack.services(), "raw-mail").await.unwrap();
    environment.push(("REBOND_RAW_BUCKET", "raw-mail".to_owned()));
    let poll = Emulated::start("bounce-poll", &environment).unwrap();
    let answer = poll.invoke(&batch).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }), "{}", poll.output());
    assert_eq!(stack.facts_of(&account_id().unwrap()).await.unwrap(), stack.messages, "{}", poll.output());

    // What became a report is kept as it came, and the report points to it.
    let signer = signed(stack.services()).await;
    let store = Store::Bucket(Bucket::new(signer, "raw-mail"));
    let facts = stack.table.facts(&account_id().unwrap(), Timestamp::UNIX_EPOCH, 1_000).await.unwrap();
    for fact in facts.iter().filter(|fact| fact.kind != Kind::Other) {
        let pointer = fact.raw.as_ref().unwrap();
        let object = store.get(&pointer.object.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(report::key(&object.message(pointer).unwrap()), fact.key);
    }

    let (standing, standing_calls) = recorded(stack, "standing-update").await;
    let answer = standing.invoke(&stack.stream_of(&account_id().unwrap()).await.unwrap()).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }), "{}", standing.output());
    assert!(stack.standings_of(&account_id().unwrap()).await.unwrap() > 0, "{}", standing.output());

    let again = poll.invoke(&json!({ "account": ACCOUNT })).await.unwrap();
    assert_eq!((&again["messages"], &again["recorded"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(again["table_writes"].as_u64().unwrap().max(2), 2, "an empty poll writes at most twice: {again}");

    let (refresh, refresh_calls) = recorded(stack, "token-refresh").await;
    let refreshed = refresh.invoke(&json!({ "account": ACCOUNT })).await.unwrap();
    assert_eq!((&refreshed["renewed"], &refreshed["failed"]), (&json!(1), &json!(0)), "{refreshed}");
    let with_new_token = poll.invoke(&json!({ "account": ACCOUNT })).await.unwrap();
    assert_eq!(with_new_token["health"]["state"], "active", "{with_new_token}");

    refresh.invoke(&event("token-refresh")).await.unwrap();
    for (function, calls) in [
        ("OauthStart", &gateway.start_calls),
        ("OauthCallback", &gateway.callback_calls),
        ("PollDispatch", &dispatch_calls),
        ("BouncePoll", &poll_calls),
        ("TokenRefresh", &refresh_calls),
        ("StandingUpdate", &standing_calls),
    ] {
        let (made, allowed) = (calls.actions(), rights::actions(function));
        assert!(made.len() > 1 && made.is_subset(&allowed), "{function} called {made:?}, may {allowed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_invitation_and_an_unknown_state_are_refused_with_a_page() {
    let stack = stack().await;
    for function in ["oauth-start", "oauth-callback"] {
        let answer = start(&stack, function).invoke(&event(function)).await.unwrap();
        assert_eq!(answer["statusCode"], 400, "{function}: {answer}");
        assert!(answer["body"].as_str().unwrap().contains("<html"), "{function}: {answer}");
        assert_eq!(header(&answer, "cache-control"), "no-store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_reports_only_the_message_that_is_none_of_ours() {
    let stack = stack().await;
    let answer = start(&stack, "bounce-poll").invoke(&event("bounce-poll")).await.unwrap();
    let failed = json!({ "batchItemFailures": [{ "itemIdentifier": "00000003-1111-4222-8333-444444444444" }] });
    assert_eq!(answer, failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedules_find_nothing_to_do_while_nothing_is_connected() {
    let stack = stack().await;
    let answer = start(&stack, "poll-dispatch").invoke(&event("poll-dispatch")).await.unwrap();
    assert_eq!((&answer["due"], &answer["queued"]), (&json!(0), &json!(0)), "{answer}");
    let answer = start(&stack, "token-refresh").invoke(&event("token-refresh")).await.unwrap();
    assert_eq!((&answer["accounts"], &answer["renewed"]), (&json!(0), &json!(0)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_unknown_is_an_error_that_says_so() {
    let stack = stack().await;
    let answer = start(&stack, "bounce-poll").invoke(&json!({ "account": "nobody" })).await.unwrap();
    assert!(answer["errorMessage"].as_str().unwrap().contains("nobody"), "{answer}");
}
