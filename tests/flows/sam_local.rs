//! The functions in containers, by the SAM command line. `tests/sam-local` prepares the engine and runs these inside
//! its network namespace, where containers reach the emulators at the engine's own address.

use rebond::secret::ExposeSecret;
use rebond::table::{NewKey, Scope};
use rebond_tests::process::{Process, free_port, loopback, tool, workspace};
use rebond_tests::stack::{ACCOUNT, Stack, account_id, api_request};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The engine's address in its namespace.
const ENGINE: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);
/// What `AWS::StackName` is under `sam local`.
const STACK: &str = "local";

struct Sam {
    stack: Stack,
    public_port: u16,
    dir: TempDir,
}

impl Sam {
    async fn start() -> Self {
        let public_port = free_port().unwrap();
        let stack = Stack::start(ENGINE, STACK, &format!("http://localhost:{public_port}")).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let variables: serde_json::Map<_, _> =
            stack.environment().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        std::fs::write(dir.path().join("env.json"), json!({ "Parameters": variables }).to_string()).unwrap();
        Self { stack, public_port, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let template = std::env::var("REBOND_SAM_TEMPLATE").expect("run tests/sam-local");
        let mut command = tool("sam");
        command.arg("local").args(words).args(["--template", &template, "--skip-pull-image"]);
        command.args(["--parameter-overrides", "Architecture=x86_64"]);
        command.arg("--env-vars").arg(self.file("env.json"));
        command
    }

    fn invoke(&self, function: &str, event: &Value) -> Value {
        std::fs::write(self.file("event.json"), event.to_string()).unwrap();
        let mut command = self.command(&["invoke", function]);
        let output = command.arg("--event").arg(self.file("event.json")).output().unwrap();
        let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}\n{log}");
        let answer = out.lines().rev().find(|line| line.starts_with('{'));
        serde_json::from_str(answer.unwrap_or_else(|| panic!("no answer: {out}\n{log}"))).unwrap()
    }
}

fn event(name: &str) -> Value {
    let path = workspace().join("tests/events").join(name).with_extension("json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/sam-local runs it"]
async fn invoke_oauth_start() {
    let sam = Sam::start().await;
    let invitation = sam.stack.invitation().await.unwrap();
    let answer = sam.invoke("OauthStart", &api_request(&invitation, &[]).unwrap());
    assert_eq!(answer["statusCode"], 302, "{answer}");
    assert!(answer.to_string().contains(sam.stack.entra.url()), "{answer}");
    let refused = sam.invoke("OauthStart", &event("oauth-start"));
    assert_eq!(refused["statusCode"], 400, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/sam-local runs it"]
async fn invoke_bounce_poll() {
    let sam = Sam::start().await;
    let archive = sam.stack.add_password_account().await.unwrap();
    let answer = sam.invoke("BouncePoll", &json!({ "account": archive.as_str() }));
    assert_eq!(answer["messages"], sam.stack.messages, "{answer}");
    assert_eq!(sam.stack.facts_of(&archive).await.unwrap(), sam.stack.messages, "{answer}");
    let again = sam.invoke("BouncePoll", &json!({ "account": archive.as_str() }));
    assert_eq!((&again["messages"], &again["recorded"]), (&json!(0), &json!(0)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/sam-local runs it"]
async fn invoke_api() {
    let sam = Sam::start().await;
    // The key of the sample is nobody's.
    let answer = sam.invoke("Asking", &event("api"));
    assert_eq!(answer["statusCode"], 401, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains("no-valid-key"), "{answer}");
    let random: [u8; 32] = rebond_cli::machine::random().unwrap();
    let key = NewKey::new("crm".parse().unwrap(), vec![Scope::Check], "test", &random, jiff::Timestamp::now());
    assert!(sam.stack.table.add_api_key(&key.key).await.unwrap());
    let mut asked = event("api");
    asked["headers"]["authorization"] = format!("Bearer {}", key.secret.expose_secret()).into();
    let answer = sam.invoke("Asking", &asked);
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&answer["statusCode"], &body["results"][0]["may_send"]), (&json!(200), &json!(true)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/sam-local runs it"]
async fn all_with_start_and_callback_behind_the_api() {
    let sam = Sam::start().await;
    let port = sam.public_port.to_string();
    let command = sam.command(&["start-api", "--port", &port, "--warm-containers", "EAGER"]);
    let mut api = Process::start(&command, &sam.file("api.log")).unwrap();
    api.wait_for_port(loopback(sam.public_port), Duration::from_secs(120)).unwrap();

    let stack = &sam.stack;
    let walk = stack.person().walk(&stack.invitation().await.unwrap()).await.unwrap();
    assert!(walk.url.contains("/oauth/done?id=") && walk.status == 200, "{walk:?}\n{}", api.output());
    let item = stack.table.account(&account_id().unwrap()).await.unwrap().unwrap();
    assert!(item.principal.is_some(), "{walk:?}\n{}", api.output());
    drop(api);

    let dispatched = sam.invoke("PollDispatch", &event("poll-dispatch"));
    assert_eq!(dispatched["queued"], 1, "{dispatched}");
    let batch = stack.queued().await.unwrap();
    assert_eq!(sam.invoke("BouncePoll", &batch), json!({ "batchItemFailures": [] }));
    assert_eq!(stack.facts_of(&account_id().unwrap()).await.unwrap(), stack.messages);
    let judged = sam.invoke("StandingUpdate", &stack.stream_of(&account_id().unwrap()).await.unwrap());
    assert_eq!(judged, json!({ "batchItemFailures": [] }));
    assert!(stack.standings_of(&account_id().unwrap()).await.unwrap() > 0);
    let told = sam.invoke("EventDelivery", &stack.stream_of(&account_id().unwrap()).await.unwrap());
    assert_eq!(told, json!({ "batchItemFailures": [] }));
    assert_eq!(sam.invoke("EventDelivery", &json!({}))["endpoints"], 0);
    let refreshed = sam.invoke("TokenRefresh", &json!({ "account": ACCOUNT }));
    assert_eq!((&refreshed["renewed"], &refreshed["failed"]), (&json!(1), &json!(0)), "{refreshed}");
    let refused = sam.invoke("OauthCallback", &event("oauth-callback"));
    assert_eq!(refused["statusCode"], 400, "{refused}");
}
