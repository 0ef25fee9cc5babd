//! event-delivery behind Lambda's emulator, telling receivers of every kind: SQS, SNS and EventBridge are moto's.

use jiff::Timestamp;
use rebond::account::{AccountId, EndpointId};
use rebond::delivery::Delivery;
use rebond::events::{Arn, Destination, Endpoint, Judged, Received, Shape, WebhookKey, notification, of_report};
use rebond::proof::Level;
use rebond::report::{Outcome, Reason};
use rebond::standing::{Effect, History, List, effect};
use rebond::table::{AccountItem, EndpointItem};
use rebond::vault::{Name, Vault};
use rebond_tests::mail::bounce;
use rebond_tests::process::workspace;
use rebond_tests::receiver::{Got, Mood, Receiver};
use rebond_tests::rie::Emulated;
use rebond_tests::rights;
use rebond_tests::stack::Stack;
use rebond_tests::stream;
use rebond_tests::world::{BASIC, World};
use serde_json::{Value, json};
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// What moto takes for a signature: it reads the service, and nothing else.
async fn ask(stack: &Stack, service: &str, target: &str, body: String) -> String {
    let signed = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
    );
    let kind = if target.is_empty() { "application/x-www-form-urlencoded" } else { "application/x-amz-json-1.1" };
    let request = reqwest::Client::new().post(stack.services()).header("authorization", signed);
    let request = request.header("content-type", kind).header("x-amz-target", target).body(body);
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{service} {target}: {status} {text}");
    text
}

/// Whether a call is what the SDK of somebody else would send, and signs.
fn check_call(got: &Got, operation: &str, parameters: &Value) {
    let mut check = Command::new(workspace().join("target/tools/python/bin/python"))
        .arg(workspace().join("tests/check_aws_call.py"))
        .args(["sesv2", "us-east-1", "test", "test", operation, &parameters.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let call = json!({ "line": got.line, "headers": got.headers, "body": got.body });
    check.stdin.take().unwrap().write_all(call.to_string().as_bytes()).unwrap();
    assert!(check.wait_with_output().unwrap().status.success(), "{got:?}");
}

async fn queue(stack: &Stack, name: &str) -> String {
    let mut made = stack.sqs.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        made = made.attributes(aws_sdk_sqs::types::QueueAttributeName::FifoQueue, "true");
    }
    made.send().await.unwrap().queue_url.unwrap()
}

async fn received(stack: &Stack, url: &str) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        let page = stack.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        let messages = page.messages.unwrap_or_default();
        if messages.is_empty() {
            return found;
        }
        for message in messages {
            found.push(serde_json::from_str(message.body().unwrap()).unwrap());
            let handle = message.receipt_handle().unwrap();
            stack.sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
        }
    }
}

async fn add(stack: &Stack, id: &str, to: Destination, shape: Shape, secret: Option<&str>) -> EndpointId {
    let id: EndpointId = id.parse().unwrap();
    let endpoint = Endpoint {
        id: id.clone(),
        label: None,
        to,
        shape,
        types: vec![],
        accounts: vec![],
        lists: vec![],
        enabled: true,
    };
    endpoint.check().unwrap();
    if endpoint.to.has_secret() {
        let secret = secret.map_or_else(|| WebhookKey::generate(&[7; 32]), |text| text.to_owned().into());
        stack.vault.put(&Name::Endpoint(id.clone()), uuid::Uuid::from_u128(9), &secret).await.unwrap();
    }
    assert!(stack.table.add_endpoint(&EndpointItem::new(endpoint, Timestamp::now())).await.unwrap());
    id
}

fn arn(text: String) -> Arn {
    text.parse().unwrap()
}

fn kinds(events: &[Value], field: &str) -> Vec<String> {
    let mut all: Vec<String> = events.iter().map(|event| event[field].as_str().unwrap_or("?").to_owned()).collect();
    all.sort();
    all
}

const ALL: [&str; 3] = ["rebond.address.bounced.v1", "rebond.address.quarantined.v1", "rebond.report.received.v1"];

/// What the stream brings of one bounce: the fact, and the standing that follows from it.
async fn changes(world: &World, id: &AccountId) -> Vec<Value> {
    world.imap.deliver(BASIC, "INBOX", bounce(1), world.now());
    world.poll(id).await.unwrap();
    let facts = world.raw("Query", stream::partition("rebond", id.as_str())).await.unwrap();
    let standing = json!({ "TableName": "rebond", "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": "ADDRESS#user1@example.net" } } });
    let standing = world.raw("Query", standing).await.unwrap();
    let mut records = stream::records(&facts);
    records.retain(|record| record["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap().starts_with("REPORT#"));
    records.extend(stream::records(&standing));
    assert_eq!(records.len(), 2);
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_tells_receivers_of_every_kind_and_no_record_twice() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("ours", |account| account.sends_as = vec!["example.org".into()]).await.unwrap();
    let records = changes(&world, &id).await;
    let stack = Stack::start(Ipv4Addr::LOCALHOST, "test", "http://localhost:3000").await.unwrap();
    stack.table.add_account(&AccountItem::new(world.item(&id).await.unwrap().account, Timestamp::now())).await.unwrap();

    let (plain, fifo) = (queue(&stack, "told").await, queue(&stack, "told.fifo").await);
    let (of_topic, of_bus) = (queue(&stack, "of-topic").await, queue(&stack, "of-bus").await);
    let own = |service: &str, name: &str| arn(format!("arn:aws:{service}:us-east-1:123456789012:{name}"));
    ask(&stack, "sns", "", "Action=CreateTopic&Version=2010-03-31&Name=told".into()).await;
    let subscribe = format!(
        "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn={}&Endpoint={}",
        own("sns", "told"),
        own("sqs", "of-topic")
    );
    ask(&stack, "sns", "", subscribe).await;
    ask(&stack, "events", "AWSEvents.CreateEventBus", json!({ "Name": "told" }).to_string()).await;
    let rule = json!({ "Name": "all", "EventBusName": "told", "EventPattern": "{\"source\":[\"rebond\"]}" });
    ask(&stack, "events", "AWSEvents.PutRule", rule.to_string()).await;
    let target = json!({ "Rule": "all", "EventBusName": "told",
        "Targets": [{ "Id": "q", "Arn": own("sqs", "of-bus").to_string() }] });
    ask(&stack, "events", "AWSEvents.PutTargets", target.to_string()).await;

    let [hook, ses, listmonk, mautic] = [(); 4].map(|()| Receiver::start());
    let (hook, ses) = (hook.await.unwrap(), ses.await.unwrap());
    let (listmonk, mautic) = (listmonk.await.unwrap(), mautic.await.unwrap());
    let email = json!({ "fields": { "all": { "email": "user1@example.net" } }, "id": 42 });
    mautic.answers(json!({ "total": "1", "contacts": { "42": email } }));
    let url = |receiver: &Receiver| receiver.url().parse().unwrap();
    let user = || "rebond".to_owned();
    let shaped = Shape::Cloudevents;
    let crm = add(&stack, "crm", Destination::Webhook { url: url(&hook) }, shaped, None).await;
    add(&stack, "ses", Destination::Webhook { url: url(&ses) }, Shape::Ses, None).await;
    add(&stack, "queue", Destination::Sqs { arn: own("sqs", "told") }, shaped, None).await;
    add(&stack, "fifo", Destination::Sqs { arn: own("sqs", "told.fifo") }, shaped, None).await;
    add(&stack, "topic", Destination::Sns { arn: own("sns", "told") }, shaped, None).await;
    add(&stack, "bus", Destination::Eventbridge { arn: own("events", "event-bus/told") }, shaped, None).await;
    add(&stack, "list", Destination::SesSuppressionList { region: "us-east-1".into() }, shaped, None).await;
    let of_listmonk = Destination::Listmonk { url: url(&listmonk), user: user() };
    add(&stack, "listmonk", of_listmonk, shaped, Some("token-of-listmonk")).await;
    add(&stack, "mautic", Destination::Mautic { url: url(&mautic), user: user() }, shaped, Some("password")).await;

    let (mut environment, calls) = stack.recorded().await.unwrap();
    // moto has no suppression list.
    let suppression = Receiver::start().await.unwrap();
    environment.push(("AWS_ENDPOINT_URL_SESV2", suppression.url().trim_end_matches("/hook").to_owned()));
    let function = Emulated::start("event-delivery", &environment).unwrap();
    let answer = function.invoke(&json!({ "Records": records })).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }), "{}", function.output());

    let of_hook: Vec<Value> = hook.taken().iter().map(|got| got.json()).collect();
    assert_eq!(kinds(&of_hook, "type"), ALL, "{}", function.output());
    assert_eq!(kinds(&received(&stack, &plain).await, "type"), ALL, "{}", function.output());
    assert_eq!(kinds(&received(&stack, &fifo).await, "type"), ALL, "{}", function.output());
    let of_topic = received(&stack, &of_topic).await;
    let inner = |event: &Value| serde_json::from_str::<Value>(event["Message"].as_str().unwrap()).unwrap();
    assert_eq!(kinds(&of_topic.iter().map(inner).collect::<Vec<_>>(), "type"), ALL, "{}", function.output());
    let of_bus = received(&stack, &of_bus).await;
    assert_eq!(kinds(&of_bus, "detail-type"), ALL, "{}", function.output());
    let detail = |event: &Value| event["detail"].clone();
    assert_eq!(kinds(&of_bus.iter().map(detail).collect::<Vec<_>>(), "type"), ALL);
    let on_list = suppression.taken();
    assert_eq!(on_list.len(), 1, "{on_list:?}");
    let address = json!({ "EmailAddress": "user1@example.net", "Reason": "BOUNCE" });
    check_call(&on_list[0], "PutSuppressedDestination", &address);
    let of_ses: Vec<Value> = ses.taken().iter().map(|got| got.json()).collect();
    assert_eq!(kinds(&of_ses, "notificationType"), ["Bounce"]);
    assert_eq!(of_ses[0]["bounce"]["bouncedRecipients"][0]["emailAddress"], "user1@example.net");
    let of_listmonk = listmonk.taken();
    assert_eq!(of_listmonk.len(), 1);
    assert_eq!(of_listmonk[0].line, "POST /hook/webhooks/bounce");
    // rebond:token-of-listmonk
    assert_eq!(of_listmonk[0].headers["authorization"], "Basic cmVib25kOnRva2VuLW9mLWxpc3Rtb25r");
    assert_eq!(
        (&of_listmonk[0].json()["email"], &of_listmonk[0].json()["type"]),
        (&json!("user1@example.net"), &json!("hard"))
    );
    let lines: Vec<String> = mautic.taken().into_iter().map(|got| got.line).collect();
    assert_eq!(
        lines,
        [
            "GET /hook/api/contacts?search=email%3Auser1%40example.net&limit=30&minimal=true",
            "POST /hook/api/contacts/42/dnc/email/add"
        ]
    );
    let endpoints = stack.table.endpoints().await.unwrap();
    assert!(endpoints.iter().all(|item| !item.held), "{endpoints:?}");
    for text in ["token-of-listmonk", "whsec_", "User unknown"] {
        assert!(!function.output().contains(text), "{text} in the log");
    }

    // The same records again, and the other way round: the same events, by their ids.
    let ids = |events: &[Value]| {
        events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let turned: Vec<&Value> = records.iter().rev().collect();
    function.invoke(&json!({ "Records": turned })).await.unwrap();
    let again: Vec<Value> = hook.taken().iter().map(|got| got.json()).collect();
    assert_eq!((again.len(), ids(&again)), (6, ids(&of_hook)));
    // Kept by their ids, too: brought three times to one that is down, each is told once.
    hook.set(Mood::Bad(500, None));
    for _ in 0..3 {
        let answer = function.invoke(&json!({ "Records": records })).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [] }));
    }
    hook.set(Mood::Good);
    let nothing = function.invoke(&json!({})).await.unwrap();
    assert_eq!(nothing["told"], 0, "its time has not come");
    let settings = stack.table.endpoint(&crm).await.unwrap().unwrap().settings;
    stack.table.set_endpoint(&settings, Timestamp::now()).await.unwrap();
    let ticked = function.invoke(&json!({})).await.unwrap();
    assert_eq!((&ticked["told"], &ticked["dead"]), (&json!(3), &json!(0)), "{ticked} {}", function.output());
    let tested = function.invoke(&json!({ "test": "crm" })).await.unwrap();
    assert_eq!(hook.taken().last().unwrap().json()["id"], tested["id"], "{tested}");

    // What time cleans up is told; what an operator removes, is not.
    let mut removed = records[1].clone();
    removed["eventName"] = "REMOVE".into();
    removed["dynamodb"]["OldImage"] = removed["dynamodb"]["NewImage"].take();
    let before = hook.taken().len();
    function.invoke(&json!({ "Records": [removed] })).await.unwrap();
    assert_eq!(hook.taken().len(), before);
    removed["userIdentity"] = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
    function.invoke(&json!({ "Records": [removed] })).await.unwrap();
    assert_eq!(hook.taken().last().unwrap().json()["type"], "rebond.address.released.v1");
    let off_list = suppression.taken().pop().unwrap();
    check_call(&off_list, "DeleteSuppressedDestination", &json!({ "EmailAddress": "user1@example.net" }));

    let (made, allowed) = (calls.actions(), rights::actions("EventDelivery"));
    // All but what the event source does in its name, the two of SES, which went past the recorder, what a confirmed
    // incident needs, and what the next test shows.
    assert!(made.len() == allowed.len() - 6 && made.is_subset(&allowed), "called {made:?}, may {allowed:?}");
    // A record that is none of ours stops the batch there.
    let mut broken = records.clone();
    broken[1]["dynamodb"]["NewImage"]["version"] = json!({ "S": "another's" });
    let answer = function.invoke(&json!({ "Records": broken })).await.unwrap();
    let number = broken[1]["dynamodb"]["SequenceNumber"].clone();
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": number }] }));
}

fn delivery(now: i64) -> Delivery {
    let (id, list) = ("march".parse().unwrap(), "default".parse().unwrap());
    Delivery { id, list, route: None, opened: now - 3_600, closes: now, sent: 10 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_over_is_closed_and_starts_a_state_machine_once() {
    let stack = Stack::start(Ipv4Addr::LOCALHOST, "test", "http://localhost:3000").await.unwrap();
    let machine = json!({ "name": "after-news", "roleArn": "arn:aws:iam::123456789012:role/x",
        "definition": json!({ "StartAt": "a", "States": { "a": { "Type": "Pass", "End": true } } }).to_string() });
    ask(&stack, "states", "AWSStepFunctions.CreateStateMachine", machine.to_string()).await;
    let machine = "arn:aws:states:us-east-1:123456789012:stateMachine:after-news";
    let to = Destination::StepFunctions { arn: arn(machine.to_owned()) };
    let id = add(&stack, "next", to, Shape::Cloudevents, None).await;
    let (environment, calls) = stack.recorded().await.unwrap();
    let function = Emulated::start("event-delivery", &environment).unwrap();
    // The schedule closes what is over, once, and nothing that is not.
    let now = Timestamp::now().as_second();
    let early = Delivery { id: "april".parse().unwrap(), closes: now + 3_600, ..delivery(now) };
    for delivery in [delivery(now), early] {
        assert!(stack.table.put_delivery(&delivery, &[("example.net".to_owned(), 10)].into()).await.unwrap());
    }
    for expected in [1, 0] {
        let ticked = function.invoke(&json!({})).await.unwrap();
        assert_eq!(ticked["closed"], expected, "{ticked} {}", function.output());
    }
    // Nor does a quarantine whose time is over, and it is written so once.
    let (key, list) = ("jane@example.net".parse().unwrap(), List::new("default".parse().unwrap()));
    for n in 0..6 {
        let full = super::tell::cause(now - (40 - n) * 86_400, Effect::Soft, Reason::MailboxFull);
        let add = |history: &mut History| history.add(full.clone());
        stack.table.change_standing(&key, &list, None, full.at, add).await.unwrap();
    }
    for expected in [1, 0] {
        let ticked = function.invoke(&json!({})).await.unwrap();
        assert_eq!(ticked["ended"], expected, "{ticked} {}", function.output());
    }
    let ended = stack.table.standing(&key, &list.id).await.unwrap().unwrap();
    assert!(ended.ended.is_some_and(|at| at >= now) && ended.due_shard.is_none(), "{ended:?}");
    let closed = stack.table.delivery(&"march".parse().unwrap()).await.unwrap().unwrap().closed.unwrap();
    assert_eq!((closed.total.sent, closed.total.failed()), (10, 0));
    assert!(stack.table.delivery(&"april".parse().unwrap()).await.unwrap().unwrap().closed.is_none());

    // What the stream brings of one, as it was told and as it was closed.
    let world = World::start().await.unwrap();
    let (table, sent) = (&world.machine.table, [("example.net".to_owned(), 10)].into());
    let heads = json!({ "TableName": "rebond", "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": "DELIVERIES" } } });
    let at = world.now().as_second();
    assert!(table.put_delivery(&delivery(at), &sent).await.unwrap());
    let mut records = stream::records(&world.raw("Query", heads.clone()).await.unwrap());
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    assert_eq!(rebond::follow::close_due(table, world.now(), deadline).await.unwrap(), 1);
    let mut after = stream::records(&world.raw("Query", heads).await.unwrap());
    after[0]["eventName"] = "MODIFY".into();
    records.extend(after);
    assert_eq!(records.len(), 2);
    let executions = async || -> Vec<Value> {
        let asked = json!({ "stateMachineArn": machine }).to_string();
        let listed = ask(&stack, "states", "AWSStepFunctions.ListExecutions", asked).await;
        serde_json::from_str::<Value>(&listed).unwrap()["executions"].as_array().unwrap().clone()
    };
    // Brought three times, as after a crash: the service knows the name, and it counts as told.
    for _ in 0..3 {
        let answer = function.invoke(&json!({ "Records": records })).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{}", function.output());
        assert_eq!(executions().await.len(), 1, "{}", function.output());
        assert!(!stack.table.endpoint(&id).await.unwrap().unwrap().held, "{}", function.output());
    }
    let name = executions().await[0]["name"].as_str().unwrap().to_owned();
    let asked =
        json!({ "executionArn": format!("{}:{name}", machine.replace("stateMachine", "execution")) }).to_string();
    let shown: Value =
        serde_json::from_str(&ask(&stack, "states", "AWSStepFunctions.DescribeExecution", asked).await).unwrap();
    let event: Value = serde_json::from_str(shown["input"].as_str().unwrap()).unwrap();
    assert_eq!((&event["type"], event["id"].as_str()), (&json!("rebond.delivery.closed.v1"), Some(name.as_str())));
    assert_eq!((&event["data"]["delivery"], &event["data"]["delivered"]), (&json!("march"), &json!(10)));
    // A refusal of another kind is none: the machine is gone.
    ask(&stack, "states", "AWSStepFunctions.DeleteStateMachine", json!({ "stateMachineArn": machine }).to_string())
        .await;
    let gone = Destination::StepFunctions { arn: arn(machine.replace("after-news", "nobody's")) };
    let gone = add(&stack, "gone", gone, Shape::Cloudevents, None).await;
    function.invoke(&json!({ "Records": records })).await.unwrap();
    let item = stack.table.endpoint(&gone).await.unwrap().unwrap();
    assert!(item.held && item.health.said.unwrap().contains("HTTP 400"), "{}", function.output());
    let (made, allowed) = (calls.actions(), rights::actions("EventDelivery"));
    assert!(made.contains("states:StartExecution") && made.is_subset(&allowed), "called {made:?}, may {allowed:?}");
}

#[test]
fn every_bounce_and_complaint_reads_as_amazon_ses_documents_it() {
    let mut notifications = Vec::new();
    for entry in workspace().join("tests/fixtures/report").read_dir().unwrap().flatten() {
        if entry.path().extension().is_none_or(|end| end != "eml") {
            continue;
        }
        let report = rebond::report::read(&std::fs::read(entry.path()).unwrap());
        let list = || "default".parse().unwrap();
        let judge = |outcome: &Outcome| {
            Some(Judged {
                address: outcome.address.parse().ok()?,
                list: list(),
                proof: Level::Ours,
                doubt: None,
                believed: true,
                delivery: None,
                effect: effect(&report, outcome),
                repeated: false,
                held: None,
                confirmed: None,
                rule: None,
                reason: outcome.reason,
                hard: outcome.hard,
            })
        };
        let judged: Vec<_> = report.recipients.iter().map(judge).collect();
        let account = "bounces".parse().unwrap();
        let received =
            Received { source: "/test", account: &account, key: "k", arrived: 1_700_000_000, report: &report };
        notifications.extend(of_report(received, &judged).iter().filter_map(notification));
    }
    assert!(notifications.len() > 40, "only {} notifications", notifications.len());
    let mut check = Command::new(workspace().join("target/tools/python/bin/python"))
        .arg(workspace().join("tests/check_schema.py"))
        .arg(workspace().join("tests/fixtures/ses-notification.schema.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(json!(notifications).to_string().as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "see above");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), notifications.len().to_string());
}
