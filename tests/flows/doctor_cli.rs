//! `rebond doctor` as a person meets it, on a terminal: eight set-ups that are broken, one that passes by itself, one that is
//! well. `REBOND_CAPTURES=DIR` keeps what was shown.

use crate::doctor::{at, speak, with_login};
use crate::doctor_forwarding::{GOOD, TENANT, over_tls};
use crate::doctor_reaching::shows;
use crate::imap_tls::{acceptor, ca, leaf};
use rebond::account::{Account, AccountId, Authentication, Encryption, Protocol};
use rebond_standin::entra::Answer;
use rebond_standin::graph::{GraphAction, GraphCall, GraphFault};
use rebond_standin::{ExchangeFront, FrontSettings, Refusal};
use rebond_tests::dovecot::{Dovecot, PASSWORD, USER};
use rebond_tests::mail::{bounce, letter};
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, World};
use tokio::net::TcpListener;
use tokio::process::Command;

/// What `rebond doctor ID …` shows on a terminal of 100 columns, and its exit code.
async fn shown(world: &World, id: &AccountId, more: &str) -> (String, i32) {
    let binary = built("rebond").unwrap();
    let line = format!("stty cols 100; {} doctor {id} {more}", binary.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("REBOND_DIR", world.dir()).env("TERM", "xterm").kill_on_drop(true);
    let output = command.env_remove("REBOND_KEY").env_remove("RUST_LOG").output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if let Ok(dir) = std::env::var("REBOND_CAPTURES") {
        std::fs::write(format!("{dir}/{id}{}.txt", more.replace(' ', "")), &text).unwrap();
    }
    (text, output.status.code().unwrap())
}

fn app_only(account: &mut Account) {
    account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_broken_set_ups_on_a_terminal() {
    let (dovecot, ca) = (Dovecot::start().await.unwrap(), ca());
    dovecot.deliver(USER, [bounce(1)]).unwrap();
    let front = ExchangeFront::start(FrontSettings::new(dovecot.imap, dovecot.pop3)).await.unwrap();
    let trusted = format!("{}{}{}", dovecot.ca_pem, front.ca_pem(), ca.pem);
    let world = World::start_trusting(&trusted).await.unwrap();
    let mut cases: Vec<(AccountId, i32, &str)> = vec![];
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let id = at(&world, "closed", closed, Encryption::Tls, Protocol::Pop3).await;
    cases.push((id, 3, "connection-refused"));
    let ended = shows(acceptor(leaf(&ca, &["localhost"], (2020, 2021)))).await;
    cases.push((at(&world, "ended", ended, Encryption::Tls, Protocol::Imap).await, 3, "tls-expired"));
    let plain = speak("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready", &[]).await;
    cases.push((at(&world, "plain", plain, Encryption::Starttls, Protocol::Imap).await, 3, "starttls-missing"));
    let id = at(&world, "exchange", front.pop3_port(), Encryption::Tls, Protocol::Pop3).await;
    cases.push((with_login(&world, &id, USER, "wrong").await, 3, "exchange-password-refused"));
    let folder = |account: &mut Account| {
        (account.server.port, account.folders) = (dovecot.imaps, vec!["INBOX".into(), "Returned".into()]);
    };
    let id = world.add_basic("folder", folder).await.unwrap();
    cases.push((with_login(&world, &id, USER, PASSWORD).await, 3, "folder-missing"));
    world.entra.change(|settings| settings.apps[0].mailboxes.clear());
    cases.push((world.add("app", app_only).await.unwrap(), 3, "not-connected-app"));
    let graph = |account: &mut Account| {
        (account.protocol, account.server.port) = (Protocol::Graph, world.graph.port());
    };
    let id = world.add_connected("graph", graph).await.unwrap();
    let action = GraphAction::Refuse { status: 403, code: "ErrorAccessDenied", retry_after: None };
    world.graph.mail().script(GraphFault { call: GraphCall::Any, after: 0, times: 99, action });
    cases.push((id, 3, "graph-not-permitted"));
    let busy = speak("* BYE Connection closed. 14", &[]).await;
    cases.push((at(&world, "busy", busy, Encryption::None, Protocol::Imap).await, 6, "throttled"));
    for (id, code, advice) in &cases {
        let (text, ended) = shown(&world, id, "").await;
        assert_eq!(ended, *code, "{text}");
        let words = [advice, "BROKEN", "It means", "Who must act", "What to do"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        let longest = text.lines().map(|line| line.chars().filter(|c| *c != '\u{1b}').count()).max().unwrap();
        assert!(longest < 160 && !text.contains("panicked"), "{text}");
    }
    // The eighth cannot be had with the same provider: it refuses everybody.
    let secret = Answer::error("invalid_client", 7_000_222, "The provided client secret keys are expired.");
    world.entra.script(Refusal::token(secret).times(99));
    let id = world.add("secret", app_only).await.unwrap();
    let (text, code) = shown(&world, &id, "").await;
    assert!(code == 3 && text.contains("client-secret-expired"), "{text}");
    let (french, code) = shown(&world, &cases[0].0, "--language fr").await;
    assert!(code == 3 && french.contains("Qui doit agir") && french.contains("Vérifiez"), "{french}");
    let (json, code) = shown(&world, &cases[0].0, "--json").await;
    let found: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((code, &found["diagnosis"]["advice"]), (3, &"connection-refused".into()));
    let id = at(&world, "good", front.pop3_port(), Encryption::Tls, Protocol::Pop3).await;
    with_login(&world, &id, USER, PASSWORD).await;
    let (text, code) = shown(&world, &id, "").await;
    assert!(code == 0 && text.contains("The mailbox can be read."), "{text}");
    let (help, code) = shown(&world, &id, "--help").await;
    assert!(code == 0 && help.contains("Exit codes: 0 the mailbox can be read"), "{help}");
    let (unknown, code) = shown(&world, &"nobody".parse().unwrap(), "").await;
    assert!(code == 1 && unknown.contains("there is no account nobody"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarding_server_on_a_terminal() {
    let ca = ca();
    let world = World::start_trusting(&ca.pem).await.unwrap();
    world.imap.deliver(BASIC, "INBOX", letter(1), world.now());
    let id = over_tls(&world, &ca, "tenant", TENANT).await;
    let (text, code) = shown(&world, &id, "").await;
    for words in
        ["The mailbox can be read.", "forwarding: authentication", "BROKEN", "Set-CASMailbox", "smtp-auth-disabled"]
    {
        assert!(code == 3 && text.contains(words), "{words}: {text}");
    }
    let (french, code) = shown(&world, &id, "--language fr").await;
    assert!(code == 3 && french.contains("transfert\u{a0}: authentification") && french.contains("ROMPU"), "{french}");
    let (json, _) = shown(&world, &id, "--json").await;
    let found: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&found["diagnosis"]["forwarding"], &found["rungs"][0]["forwarding"]), (&true.into(), &().into()));
    // A poll by hand, and who asks for what waits, hear the same.
    let binary = built("rebond").unwrap();
    for arguments in [&["poll", "tenant"][..], &["account", "forward", "tenant"]] {
        let mut command = Command::new(&binary);
        let output = command.args(arguments).env("REBOND_DIR", world.dir()).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("-SmtpClientAuthenticationDisabled $false"), "{arguments:?}: {said}");
        assert!(
            said.contains("Who must act: an administrator of the mailbox's organisation."),
            "{arguments:?}: {said}"
        );
    }
    let id = over_tls(&world, &ca, "good-forwarding", GOOD).await;
    let (text, code) = shown(&world, &id, "").await;
    assert!(code == 0 && text.contains("the forwarding server lets us in. Nothing was sent"), "{text}");
}
