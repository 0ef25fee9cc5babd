//! The doctor from the token to a message.

use crate::doctor::{
    CLAIMS, CONNECTED, GRAPH, PASSWORDS, READING, TOKEN, at, check, check_within, examine_within, speak, with_login,
};
use jiff::SignedDuration;
use rebond::account::{Account, Authentication, Encryption, Protocol};
use rebond::oauth::entra;
use rebond_standin::entra::Answer;
use rebond_standin::graph::{GraphAction, GraphCall, GraphFault};
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{ExchangeFront, FrontSettings, Refusal};
use rebond_tests::dovecot::{Dovecot, PASSWORD as DOVECOT_PASSWORD, USER};
use rebond_tests::mail::bounce;
use rebond_tests::world::{BASIC, MAILBOX, World};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_and_the_vault_refuse() {
    let world = World::start().await.unwrap();
    let basic = |account: &mut Account| account.authentication = Authentication::Password { user: BASIC.into() };
    check(&world, &world.add("nothing", basic).await.unwrap(), TOKEN[0]).await;
    check(&world, &world.add("new", |_| {}).await.unwrap(), TOKEN[1]).await;
    let id = world.add_connected("box", |_| {}).await.unwrap();
    world.advance(SignedDuration::from_hours(3));
    for (answer, expected) in [
        (Answer::error("invalid_client", 7_000_215, "Invalid client secret provided."), TOKEN[2]),
        (Answer::error("invalid_client", 7_000_222, "The provided client secret keys are expired."), TOKEN[3]),
        (Answer::error("invalid_grant", 700_082, "The refresh token has expired due to inactivity."), TOKEN[4]),
        (Answer::error("invalid_grant", 53_003, "Access has been blocked by Conditional Access."), TOKEN[5]),
        (Answer::error("invalid_grant", 530_035, "Access has been blocked by security defaults."), TOKEN[6]),
        (Answer::error("invalid_grant", 65_001, "The user or administrator has not consented."), TOKEN[7]),
        (Answer::throttled(30), TOKEN[8]),
    ] {
        world.entra.script(Refusal::token(answer));
        check(&world, &id, expected).await;
    }
    assert!(examine_within(&world, &id, Duration::from_secs(20)).await.diagnosis.is_none(), "and all is well again");
}

/// A token that the mail server does not take, with these claims in place of the right ones.
fn token(world: &World, changes: Value) -> Answer {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let now = world.now().as_second();
    let mut claims = json!({
        "aud": entra::hosts(world.app.cloud).scope, "scp": "IMAP.AccessAsUser.All", "tid": world.app.tenant.to_string(),
        "appid": world.app.client_id, "upn": MAILBOX, "iat": now, "exp": now + 3_600,
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(&claims));
    Answer::Altered(json!({ "access_token": token }).as_object().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_explained_by_what_is_in_it() {
    let world = World::start().await.unwrap();
    let id = world.add_connected("box", |_| {}).await.unwrap();
    let zero = "00000000-0000-4000-8000-000000000000";
    for (changes, expected) in [
        (json!({}), CLAIMS[0]),
        (json!({ "aud": "https://graph.microsoft.com" }), CLAIMS[1]),
        (json!({ "scp": "POP.AccessAsUser.All" }), CLAIMS[2]),
        (json!({ "tid": zero }), CLAIMS[3]),
        (json!({ "appid": zero }), CLAIMS[4]),
        (json!({ "exp": 1_000_000_000 }), CLAIMS[7]),
    ] {
        // The old one has ended; a token that was renewed just now is not renewed again.
        world.advance(SignedDuration::from_hours(3));
        world.entra.script(Refusal::token(token(&world, changes.clone())));
        let found = check(&world, &id, expected).await;
        let warned: Vec<&str> = found.rungs.iter().filter_map(|rung| rung.warning.as_deref()).collect();
        let differs: &[&str] = if changes == json!({}) { &[] } else { &["token-differs"] };
        assert_eq!(warned, differs, "{changes}");
    }
    let app_only = |account: &mut Account| {
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let app = world.add("app", app_only).await.unwrap();
    let refused = ImapAction::Tagged("NO AUTHENTICATE failed.".to_owned());
    world.imap.script(ImapFault { command: "AUTHENTICATE".into(), after: 0, times: 2, action: refused });
    check(&world, &app, CLAIMS[6]).await;
    assert!(examine_within(&world, &app, Duration::from_secs(20)).await.diagnosis.is_none());
    world.entra.change(|settings| settings.tenants[0].roles_granted.clear());
    world.advance(SignedDuration::from_hours(3));
    check(&world, &app, CLAIMS[5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_at_dovecot_and_behind_the_exchange_front() {
    let dovecot = Dovecot::start().await.unwrap();
    dovecot.deliver(USER, [bounce(1)]).unwrap();
    let (imap, pop3) = (dovecot.imap, dovecot.pop3);
    let front = ExchangeFront::start(FrontSettings::new(imap, pop3)).await.unwrap();
    let online = FrontSettings { passwords: false, ..FrontSettings::new(imap, pop3) };
    let online = ExchangeFront::start(online).await.unwrap();
    let ca = format!("{}{}{}", dovecot.ca_pem, front.ca_pem(), online.ca_pem());
    let world = World::start_trusting(&ca).await.unwrap();
    for (name, port, protocol, password, expected) in [
        ("wrong", dovecot.imaps, Protocol::Imap, "wrong", PASSWORDS[0]),
        ("wrong-pop3", dovecot.pop3s, Protocol::Pop3, "wrong", PASSWORDS[0]),
        ("exchange", front.imap_port(), Protocol::Imap, "wrong", PASSWORDS[1]),
        ("exchange-pop3", front.pop3_port(), Protocol::Pop3, "wrong", PASSWORDS[1]),
        ("online", online.imap_port(), Protocol::Imap, DOVECOT_PASSWORD, PASSWORDS[2]),
        ("online-pop3", online.pop3_port(), Protocol::Pop3, DOVECOT_PASSWORD, PASSWORDS[2]),
    ] {
        let id = at(&world, name, port, Encryption::Tls, protocol).await;
        with_login(&world, &id, USER, password).await;
        check(&world, &id, expected).await;
    }
    let id = at(&world, "good", front.imap_port(), Encryption::Tls, Protocol::Imap).await;
    with_login(&world, &id, USER, DOVECOT_PASSWORD).await;
    assert!(examine_within(&world, &id, Duration::from_secs(20)).await.diagnosis.is_none());
    front.disconnect(USER);
    check(&world, &id, PASSWORDS[4]).await;
    let there = |account: &mut Account| {
        account.server.port = dovecot.imaps;
        account.folders = vec!["INBOX".into(), "Nowhere".into()];
    };
    let id = world.add_basic("nowhere", there).await.unwrap();
    with_login(&world, &id, USER, DOVECOT_PASSWORD).await;
    check(&world, &id, PASSWORDS[5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_that_exchange_does_not_open() {
    let world = World::start().await.unwrap();
    let shared = "shared@example.org";
    world.imap.renumber(shared, "INBOX");
    world.entra.change(|settings| settings.users[0].mailboxes.push(shared.into()));
    let own = world.add_connected("own", |_| {}).await.unwrap();
    let other = world.add_connected("other", |account| account.mailbox = shared.into()).await.unwrap();
    let app_only = |account: &mut Account| {
        account.authentication = Authentication::OauthApp { app: account.app().unwrap().clone() };
    };
    let app = world.add("app", app_only).await.unwrap();
    for id in [&own, &other, &app] {
        assert!(examine_within(&world, id, Duration::from_secs(20)).await.diagnosis.is_none(), "{id}");
    }
    world.entra.change(|settings| {
        settings.users[0].licensed = false;
        settings.users[0].mailboxes.clear();
        settings.apps[0].mailboxes.clear();
    });
    for (id, expected) in [(&own, CONNECTED[0]), (&other, CONNECTED[1]), (&app, CONNECTED[2])] {
        check(&world, id, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_messages_that_are_not_given_out() {
    for (command, after, action, expected) in [
        ("SELECT", 0, ImapAction::Tagged("NO Server Unavailable. 15".into()), READING[0]),
        ("SELECT", 0, ImapAction::Drop, READING[1]),
        ("SELECT", 0, ImapAction::Late(8_000), READING[2]),
        ("SELECT", 0, ImapAction::Tagged("NO [NOPERM] no right".into()), READING[3]),
        ("UID FETCH", 1, ImapAction::Tagged("NO some messages cannot be given out".into()), READING[5]),
    ] {
        // A mailbox for each: what is left of a script would meet the next.
        let world = World::start().await.unwrap();
        world.imap.deliver(BASIC, "INBOX", bounce(1), world.now());
        let id = world.add_basic("box", |_| {}).await.unwrap();
        world.imap.script(ImapFault { command: command.into(), after, times: 9, action });
        check_within(&world, &id, Duration::from_secs(4), expected).await;
    }
    let world = World::start().await.unwrap();
    let imap = speak(
        "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] x",
        &[("AUTHENTICATE", "# OK [CAPABILITY IMAP4rev1] x"), ("SELECT", "* 1 EXISTS\r\n# OK [READ-WRITE] x")],
    );
    let id = at(&world, "broken", imap.await, Encryption::None, Protocol::Imap).await;
    check(&world, &id, READING[4]).await;
    let pop3 = speak(
        "+OK ready",
        &[
            ("CAPA", "+OK\r\nUSER\r\n."),
            ("USER", "+OK"),
            ("PASS", "+OK"),
            ("UIDL", "-ERR no such command"),
            ("QUIT", "+OK"),
        ],
    );
    let id = at(&world, "pop3", pop3.await, Encryption::None, Protocol::Pop3).await;
    check(&world, &id, READING[6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_refuses() {
    for (status, code, expected) in [
        (401, "InvalidAuthenticationToken", GRAPH[0]),
        (403, "ErrorAccessDenied", GRAPH[1]),
        (404, "ErrorInvalidUser", GRAPH[2]),
        (404, "MailboxNotEnabledForRESTAPI", GRAPH[3]),
    ] {
        let world = World::start().await.unwrap();
        let graph = |account: &mut Account| {
            (account.protocol, account.server.port) = (Protocol::Graph, world.graph.port());
        };
        let id = world.add_connected("box", graph).await.unwrap();
        let action = GraphAction::Refuse { status, code, retry_after: None };
        world.graph.mail().script(GraphFault { call: GraphCall::Any, after: 0, times: 9, action });
        check(&world, &id, expected).await;
    }
}
