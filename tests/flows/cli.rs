//! The binary as an operator meets it: wrong input with its sentence and exit code, help, JSON, and the whole way from
//! `app add` to `account remove`.

use rebond::secret::ExposeSecret;
use rebond::vault::{MasterKey, Name, SealedFile, Vault, Version};
use rebond_standin::entra::{Platform, RedirectUri};
use rebond_standin::{Person, demo_mail};
use rebond_tests::process::{built, free_port};
use rebond_tests::world::{CLIENT_SECRET, MAILBOX, SIGN_IN, World};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const CLIENT_ID: &str = "0d3c1f52-7a64-4b1e-8c90-5e2f6a7b8c91";

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

fn rebond(dir: &Path, args: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(built("rebond").unwrap());
    command.args(args).env("REBOND_DIR", dir).env_remove("REBOND_KEY").env_remove("RUST_LOG").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub async fn run_with(dir: &Path, args: &[&str], input: &str) -> Ran {
    let mut child = rebond(dir, args).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.err.contains("panicked"), "{args:?}: {}", ran.err);
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{args:?}: colour on no terminal");
    ran
}

pub async fn run(dir: &Path, args: &[&str]) -> Ran {
    run_with(dir, args, "").await
}

pub async fn run_well(dir: &Path, args: &[&str], input: &str) -> String {
    let ran = run_with(dir, args, input).await;
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    ran.out
}

pub async fn assert_fails(dir: &Path, args: &[&str], input: &str, code: i32, words: &str) {
    let ran = run_with(dir, args, input).await;
    assert!(ran.err.contains(words), "{args:?} should say {words:?}, and says: {}{}", ran.err, ran.out);
    assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
}

/// A command whose reader hangs up at once, as `| head -0` does.
async fn run_unread(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut child = rebond(dir, args).spawn().unwrap();
    drop((child.stdin.take(), child.stdout.take()));
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_reader_that_hangs_up_is_no_fault() {
    let dir = furnished().await;
    for args in [
        &["account", "list"][..],
        &["account", "show", "waits"],
        &["app", "list", "--json"],
        &["reports", "waits"],
        &["demo", "--once", "--json"],
    ] {
        let (code, err) = run_unread(dir.path(), args).await;
        assert_eq!((code, err.contains("panicked")), (Some(0), false), "{args:?}: {err}");
    }
}

/// A directory with an app, a password account and an account that waits for a person.
async fn furnished() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    run_well(at, &["app", "add", "m365", "--tenant", "example.org", "--client-id", CLIENT_ID], "S3cret~value").await;
    run_well(at, &["account", "add", "waits", "--mailbox", MAILBOX, "--app", "m365"], "").await;
    let add = ["account", "add", "basic", "--mailbox", "a@example.org", "--password", "--server", "mail.example.org"];
    run_well(at, &add, "pass-word\n").await;
    dir
}

#[tokio::test]
async fn an_account_that_is_not_there_is_said_by_every_command() {
    let dir = furnished().await;
    for args in [
        &["account", "show", "nobody"][..],
        &["account", "show", "nobody", "--json"],
        &["account", "password", "nobody"],
        &["account", "disconnect", "nobody"],
        &["forget", "nobody"],
        &["token", "nobody"],
        &["audit", "nobody"],
        &["kit", "nobody"],
        &["account", "remove", "nobody"],
        &["connect", "nobody"],
        &["poll", "nobody"],
        &["poll", "nobody", "--json"],
        &["refresh", "nobody"],
        &["reports", "nobody"],
    ] {
        assert_fails(dir.path(), args, "x", 1, "rebond: there is no account nobody: see `rebond account list`").await;
    }
}

#[tokio::test]
async fn wrong_input_is_refused_with_its_sentence_and_changes_nothing() {
    let dir = furnished().await;
    let at = dir.path();
    let before =
        (run_well(at, &["account", "list", "--json"], "").await, run_well(at, &["app", "list", "--json"], "").await);

    for id in ["UPPER", "a_b", "-a", "", "a/b", &"a".repeat(64)] {
        for command in [&["poll"][..], &["connect"], &["refresh"], &["reports"], &["account", "show"]] {
            let args: Vec<&str> = command.iter().copied().chain(["--", id]).collect();
            assert_fails(at, &args, "", 2, "is no valid id: use 1 to 63 of a-z, 0-9 and -").await;
        }
    }
    let app = |more: &[&'static str]| {
        let all = ["app", "add", "new", "--client-id", CLIENT_ID, "--tenant", "example.org"];
        all.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let guid = "a9f3c6d1-58b2-4e7a-91c4-0f6d2b8e3a75";
    let cases: Vec<(Vec<&str>, &str, i32, &str)> = vec![
        (app(&["--cloud", "mars"]), "s", 2, "[possible values: global, gcc-high, dod, china]"),
        (app(&[]), guid, 1, "this is a GUID: it is the secret's ID, not its value"),
        (app(&[]), "", 1, "nothing was given (a file by --secret-file, or standard input)"),
        (app(&["--secret-file", "/no/such/file"]), "", 1, "/no/such/file"),
        (
            app(&["--redirect-uri", "http://example.org/oauth/callback"]),
            "s",
            1,
            "must be https: Entra accepts http for localhost alone",
        ),
        (app(&["--redirect-uri", "https://example.org/elsewhere"]), "s", 1, "must end in /oauth/callback"),
        (
            app(&["--redirect-uri", "https://login.microsoftonline.com/common/oauth2/nativeclient"]),
            "s",
            1,
            "belongs to the platform",
        ),
        (app(&["--redirect-uri", "nonsense"]), "s", 1, "is no URL"),
        (
            vec!["app", "add", "new", "--client-id", "not-a-guid", "--tenant", "example.org"],
            "s",
            1,
            "copy \"Application (client) ID\"",
        ),
        (
            vec!["app", "add", "new", "--client-id", CLIENT_ID, "--tenant", "nonsense"],
            "s",
            2,
            "is no tenant: give the directory (tenant) ID",
        ),
        (
            vec!["app", "add", "m365", "--client-id", CLIENT_ID, "--tenant", "example.org"],
            "s",
            1,
            "there is an app m365 already",
        ),
        (vec!["app", "remove", "m365"], "", 1, "account waits uses app m365: remove the account first"),
        (vec!["app", "remove", "nothing"], "", 1, "there is no app nothing: see `rebond app list`"),
        (vec!["app", "secret", "nothing"], "s", 1, "there is no app nothing: see `rebond app list`"),
        (vec!["app", "secret", "m365"], guid, 1, "this is a GUID"),
        (vec!["connect", "basic"], "", 1, "basic is opened with a password: there is nothing to connect"),
        (vec!["account", "password", "waits"], "s", 1, "waits is opened by OAuth: it has no password"),
        (vec!["account", "disconnect", "basic"], "", 1, "basic is opened with a password"),
        (vec!["refresh", "waits"], "", 1, "waits is not connected: rebond connect waits"),
        (vec!["reports", "basic", "--limit", "0"], "", 2, "0 is not in 1..=100000"),
        (vec!["nonsense"], "", 2, "unrecognized subcommand"),
        (vec![], "", 2, "Usage:"),
    ];
    for (args, input, code, words) in cases {
        assert_fails(at, &args, input, code, words).await;
    }
    let account = |more: &[&'static str]| {
        let all = ["account", "add", "new", "--mailbox", "b@example.org"];
        all.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (
            account(&["--app", "m365", "--server", "localhost:143", "--encryption", "none"]),
            1,
            "an access token never travels in clear: localhost:143",
        ),
        (
            account(&["--password", "--server", "mail.example.org", "--encryption", "none"]),
            1,
            "a password never travels in clear to mail.example.org",
        ),
        (account(&["--password"]), 1, "--server is needed for an account with a password"),
        (account(&[]), 2, "required arguments were not provided"),
        (vec!["account", "add"], 2, "required arguments were not provided: <ID>"),
        (
            vec!["account", "set", "basic"],
            2,
            "required arguments were not provided: --app <APP>, --password, or a setting",
        ),
        (vec!["app", "add"], 2, "required arguments were not provided: <ID>"),
        (vec!["app", "add", "new"], 2, "required arguments were not provided: --client-id <ID>"),
        (account(&["--app", "m365", "--password"]), 2, "cannot be used with"),
        (account(&["--app", "nothing"]), 1, "there is no app nothing: see `rebond app list`"),
        (account(&["--app", "m365", "--since", "soon"]), 2, "say a number of days (30d), all, or new"),
        (account(&["--app", "m365", "--reports", "burn"]), 2, "say leave, seen, move=FOLDER or delete"),
        (account(&["--app", "m365", "--reports", "move=INBOX"]), 1, "which is itself read, would never end"),
        (account(&["--app", "m365", "--period", "5"]), 1, "the period must be 60 to 86400 seconds"),
        (account(&["--app", "m365", "--sends-as", "nodot"]), 1, "is no domain"),
        (account(&["--app", "m365", "--server", "https://example.org"]), 1, "is a URL: give the host name alone"),
        (account(&["--app", "m365", "--server", "host:99999"]), 1, "the port must be a number from 1 to 65535"),
        (vec!["account", "add", "basic", "--mailbox", "x", "--app", "m365"], 1, "there is an account basic already"),
        (
            vec!["account", "add", "new", "--mailbox", "", "--app", "m365"],
            1,
            "the mailbox must be an address or a user name",
        ),
    ];
    for (args, code, words) in cases {
        assert_fails(at, &args, "pw", code, words).await;
    }
    let after =
        (run_well(at, &["account", "list", "--json"], "").await, run_well(at, &["app", "list", "--json"], "").await);
    assert_eq!(after, before, "state stayed whole");
    // Nothing of what was refused lies in the vault.
    let vault = std::fs::read_to_string(at.join("vault.json")).unwrap();
    assert!(
        !vault.contains("app/new") && !vault.contains("password/new") && vault.contains("password/basic"),
        "{vault}"
    );
}

#[tokio::test]
async fn an_account_that_nobody_connected_is_not_polled_and_says_what_comes_next() {
    let dir = furnished().await;
    let ran = run(dir.path(), &["poll", "waits"]).await;
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("Health: not-connected"), "{}", ran.out);
    assert!(ran.out.contains("Nobody has connected it yet: rebond connect waits"), "{}", ran.out);
}

#[tokio::test]
async fn a_server_out_of_reach_is_said_with_exit_code_3() {
    let dir = furnished().await;
    let add =
        ["account", "add", "lab", "--mailbox", "a", "--password", "--server", "127.0.0.1:143", "--encryption", "none"];
    run_well(dir.path(), &add, "pass-word").await;
    let ran = run(dir.path(), &["poll", "lab"]).await;
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("Health: misconfigured") && ran.out.contains("Who must act: the operator"), "{}", ran.out);
    std::fs::write(dir.path().join("rebond.toml"), "reach = \"loopback\"\n").unwrap();
    let port = free_port().unwrap().to_string();
    let server = format!("127.0.0.1:{port}");
    let add = ["account", "add", "down", "--mailbox", "a", "--password", "--encryption", "none", "--server", &server];
    run_well(dir.path(), &add, "pass-word").await;
    let ran = run(dir.path(), &["poll", "down"]).await;
    assert_eq!(ran.code, 3);
    assert!(
        ran.out.contains("Health: retrying") && ran.out.contains("The mail server was not reached."),
        "{}",
        ran.out
    );
    let ran = run(dir.path(), &["poll", "down", "--json"]).await;
    assert_eq!(ran.code, 3);
    let summary: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(summary["health"]["advice"], "server-unreachable");
}

#[tokio::test]
async fn settings_of_the_process_that_cannot_be_read_are_said_by_file() {
    let dir = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("listen = 5", "invalid type"),
        ("lisen = \"localhost:1\"", "unknown field `lisen`"),
        ("listen = ", "rebond.toml"),
        ("reach = \"everywhere\"", "reach"),
        ("extra-ca = \"/no/such/ca.pem\"", "/no/such/ca.pem"),
        ("durability = \"some\"", "unknown variant"),
    ] {
        std::fs::write(dir.path().join("rebond.toml"), text).unwrap();
        assert_fails(dir.path(), &["account", "list"], "", 1, words).await;
    }
    let not_pem = dir.path().join("ca.pem");
    std::fs::write(&not_pem, "no certificate").unwrap();
    std::fs::write(dir.path().join("rebond.toml"), format!("extra-ca = {:?}", not_pem.display().to_string())).unwrap();
    assert_fails(dir.path(), &["account", "list"], "", 1, "there is no certificate in it").await;
}

/// Names of the commands in a help text.
fn commands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("Commands:\n") else { return vec![] };
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_has_help_and_none_takes_a_secret_as_an_argument() {
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = vec![vec![]];
    let mut seen = Vec::new();
    while let Some(command) = waiting.pop() {
        let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
        args.push("--help");
        let help = run_well(dir.path(), &args, "").await;
        assert!(help.contains("Usage: rebond"), "{help}");
        for line in help.lines().map(str::trim_start).filter(|line| line.starts_with("--")) {
            let secret =
                ["--password <", "--secret <", "--client-secret", "--token"].iter().any(|o| line.starts_with(o));
            assert!(!secret, "{command:?} takes a secret on the command line: {line}");
        }
        if ["", "app add", "account add"].contains(&command.join(" ").as_str()) {
            assert!(help.contains("Examples:\n  rebond "), "{command:?}: {help}");
        }
        waiting.extend(commands(&help).into_iter().map(|name| [command.clone(), vec![name]].concat()));
        seen.push(command.join(" "));
    }
    for name in ["demo", "serve", "app add", "account remove", "connect", "poll", "refresh", "reports"] {
        assert!(seen.iter().any(|one| one == name), "{name} is not among {seen:?}");
    }
    assert!(!dir.path().join("table.sqlite").exists(), "help makes nothing");
    let version = run_well(dir.path(), &["--version"], "").await;
    assert!(version.starts_with("rebond "), "{version}");
}

#[tokio::test]
async fn lists_are_empty_with_a_hint_before_there_is_anything() {
    let dir = tempfile::tempdir().unwrap();
    assert!(run_well(dir.path(), &["account", "list"], "").await.contains("rebond account add --help"));
    assert!(run_well(dir.path(), &["app", "list"], "").await.contains("rebond app add --help"));
    for list in ["account", "app"] {
        assert_eq!(run_well(dir.path(), &[list, "list", "--json"], "").await, "");
    }
}

fn lines(json: &str) -> Vec<Value> {
    json.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_app_add_to_account_remove() {
    let world = World::start().await.unwrap();
    for message in demo_mail() {
        world.imap.deliver(MAILBOX, "INBOX", message.to_vec(), world.now());
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let port = free_port().unwrap();
    let redirect = format!("http://localhost:{port}/oauth/callback");
    let uri = RedirectUri { uri: redirect.clone(), platform: Platform::Web };
    world.entra.change(move |settings| settings.apps[0].redirect_uris.push(uri));
    std::fs::copy(world.dir().join("ca.pem"), at.join("ca.pem")).unwrap();
    let settings = format!("listen = \"localhost:{port}\"\nreach = \"loopback\"\nextra-ca = {:?}\n", at.join("ca.pem"));
    std::fs::write(at.join("rebond.toml"), settings).unwrap();
    let mut said = String::new();

    let tenant = world.app.tenant.to_string();
    let add = ["app", "add", "m365", "--tenant", &tenant, "--client-id", CLIENT_ID, "--authority", world.entra.url()];
    let out = run_well(at, &[&add[..], &["--secret-file", "-"]].concat(), &format!("{CLIENT_SECRET}\n")).await;
    assert!(out.contains(&format!("\n    {redirect}\n")) && out.contains("Next: rebond account add"), "{out}");
    said += &out;
    let server = format!("localhost:{}", world.imap.tls_port());
    let add =
        ["account", "add", "bounces", "--mailbox", MAILBOX, "--app", "m365", "--server", &server, "--since", "all"];
    let out = run_well(at, &add, "").await;
    assert!(out.contains("Next: rebond connect bounces"), "{out}");
    let ran = run(at, &["connect", "bounces"]).await;
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("Nothing answers there yet: run `rebond serve` first."), "{}", ran.err);
    let link = ran.out.trim().to_owned();
    assert!(link.starts_with(&format!("http://localhost:{port}/oauth/start/bounces?invitation=")), "{link}");

    let mut serve = rebond(at, &["serve"]).env("RUST_LOG", "trace").spawn().unwrap();
    let mut log = serve.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut text = String::new();
        log.read_to_string(&mut text).await.unwrap();
        text
    });
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while tokio::net::TcpStream::connect(("localhost", port)).await.is_err() {
        assert!(std::time::Instant::now() < until, "rebond serve does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_fails(at, &["serve"], "", 1, &format!("cannot listen on localhost:{port}")).await;
    let person = Person { upn: MAILBOX.into(), password: SIGN_IN.into(), consents: true };
    let walk = person.walk(&link).await.unwrap();
    assert!(walk.text.contains("The mailbox is connected"), "{}", walk.text);

    let out = run_well(at, &["poll", "bounces", "--json"], "").await;
    let summary = lines(&out);
    assert_eq!((summary.len(), summary[0]["messages"].as_u64()), (1, Some(demo_mail().len() as u64)));
    assert_eq!(summary[0]["health"]["state"], "active");
    let out = run_well(at, &["poll", "bounces"], "").await;
    assert!(out.starts_with("bounces: 0 messages read, 0 of them reports, 0 new facts."), "{out}");
    let reports = run_well(at, &["reports", "bounces", "--json"], "").await;
    let facts = lines(&reports);
    assert_eq!(facts.len() as u64, summary[0]["reports"].as_u64().unwrap());
    let every = lines(&run_well(at, &["reports", "bounces", "--json", "--all"], "").await);
    assert_eq!(every.len(), demo_mail().len());
    let table = run_well(at, &["reports", "bounces"], "").await;
    assert!(table.contains("user-unknown") && table.contains("the words that prove it"), "{table}");
    assert_eq!(lines(&run_well(at, &["reports", "bounces", "--json", "--all", "--limit", "2"], "").await).len(), 2);

    let key = MasterKey::from_file(&at.join("key")).unwrap();
    let vault = SealedFile::open(at.join("vault.json"), &key).unwrap();
    let name = Name::Grant("bounces".parse().unwrap());
    let grant = |version| vault.get(&name, version);
    let before = grant(Version::Current).await.unwrap().unwrap();
    let out = run_well(at, &["refresh", "bounces"], "").await;
    assert_eq!(out, "The grant of bounces is renewed.\n");
    let after = grant(Version::Current).await.unwrap().unwrap();
    assert_ne!(before.expose_secret(), after.expose_secret());
    said += &out;
    let show = run_well(at, &["account", "show", "bounces"], "").await;
    assert!(show.contains("connected as  bounces@example.org") && show.contains("health  active"), "{show}");
    let json = lines(&run_well(at, &["account", "show", "bounces", "--json"], "").await);
    assert_eq!(json[0]["health"]["state"], "active");
    assert_eq!(lines(&run_well(at, &["account", "list", "--json"], "").await).len(), 1);
    let list = run_well(at, &["account", "list"], "").await;
    assert!(list.contains("bounces@example.org") && list.contains("active"), "{list}");

    let out = run_well(at, &["account", "disconnect", "bounces"], "").await;
    assert!(out.contains("our copy of the grant is deleted"), "{out}");
    assert!(grant(Version::Current).await.unwrap().is_none());
    assert_eq!(run(at, &["poll", "bounces"]).await.code, 3);
    let out = run_well(at, &["account", "remove", "bounces", "--facts"], "").await;
    assert!(out.starts_with("Account bounces is removed with its secrets"), "{out}");
    assert_eq!(run(at, &["account", "show", "bounces"]).await.code, 1);
    run_well(at, &["app", "remove", "m365"], "").await;
    let left = std::fs::read_to_string(at.join("vault.json")).unwrap();
    assert!(!left.contains("bounces") && !left.contains("m365"), "{left}");

    // Asked to end, it ends well; nothing that it logged at the finest level is a secret.
    let pid = serve.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(20), serve.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    let log = log.await.unwrap();
    assert!(log.contains("mailbox connected"), "{log}");
    for text in [&log, &said, &show, &reports, &table, &list] {
        for secret in [CLIENT_SECRET, SIGN_IN] {
            assert!(!text.contains(secret));
        }
        for grant in [&before, &after] {
            let grant: Value = serde_json::from_str(grant.expose_secret()).unwrap();
            for name in ["refresh_token", "access_token"] {
                assert!(!text.contains(grant[name].as_str().unwrap()), "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let out = run_well(dir.path(), &["demo", "--once", "--json"], "").await;
    let story = lines(&out);
    assert_eq!(story.len(), 1, "one object on one line");
    assert_eq!((&story[0]["connected"], &story[0]["refreshed"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(story[0]["messages"].as_u64(), Some(demo_mail().len() as u64));
    assert!(story[0]["outcomes"].as_array().is_some_and(|outcomes| outcomes.len() > 5));
    assert!(run_well(dir.path(), &["demo", "--once"], "").await.contains("every step happened"));
}
