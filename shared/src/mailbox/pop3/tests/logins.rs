//! Every way in, and what is said on it.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// What the client said on its way in, and how that ended.
async fn enter(greeting: &str, login: &Login, steps: &[(&str, &str)]) -> (String, Result<(), MailboxFault>) {
    let script = Script::new(greeting, steps);
    let heard = script.heard.clone();
    let opened = open_as(script, login, MINUTE).await;
    let heard = heard.lock().unwrap().clone();
    (heard, opened.map(|_| ()))
}

#[tokio::test]
async fn every_login_in_the_form_that_the_server_takes() {
    let ok = "+OK\r\n";
    let offering = |what: &str| format!("+OK\r\nUIDL\r\n{what}\r\n.\r\n");
    let check = async |greeting: &str, login: &Login, capa: &str, steps: &[(&str, &str)]| {
        let steps = [&[("CAPA\r\n", capa)], steps].concat();
        let (heard, opened) = enter(greeting, login, &steps).await;
        opened.unwrap();
        assert_eq!(heard.lines().count(), steps.len(), "all was sent");
    };
    let modern = offering("PIPELINING\r\nSASL PLAIN XOAUTH2\r\nUSER");
    let exchange = offering("TOP\r\nSASL PLAIN XOAUTH2\r\nUSER");
    check(GREETING, &password(), &modern, &[LOGIN]).await;
    // Exchange wants a line of its own, and so does a message that is too long for one line.
    let two = [("AUTH PLAIN\r\n", "+ \r\n"), ("AGEAYg==\r\n", ok)];
    let greeting = "+OK The Microsoft Exchange POP3 service is ready. [abcd]\r\n";
    check(greeting, &password(), &modern, &two).await;
    check(GREETING, &password(), &exchange, &two).await;
    check(GREETING, &token(20), &modern, &[("AUTH XOAUTH2 dXNl", ok)]).await;
    check(GREETING, &token(2000), &modern, &[("AUTH XOAUTH2\r\n", "+\r\n"), ("dXNl", ok)]).await;
    check(greeting, &token(20), &exchange, &[("AUTH XOAUTH2\r\n", "+ \r\n"), ("dXNl", ok)]).await;
    let plain = [("USER a\r\n", ok), ("PASS b\r\n", ok)];
    check(GREETING, &password(), &offering("USER"), &plain).await;
    check(GREETING, &password(), "-ERR unknown command\r\n", &plain).await;
}

#[tokio::test]
async fn a_refused_token_is_explained_before_it_is_refused() {
    // {"status":"401","schemes":"bearer","scope":"mail"}
    let challenge = "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=\r\n";
    for length in [20, 2000] {
        let refused = ("\r\n", "-ERR [AUTH] Authentication failed.\r\n");
        let one: &[_] = &[CAPA, ("AUTH XOAUTH2 dXNl", challenge), refused];
        let two: &[_] = &[CAPA, ("AUTH XOAUTH2\r\n", "+ \r\n"), ("dXNl", challenge), refused];
        let (_, opened) = enter(GREETING, &token(length), if length == 20 { one } else { two }).await;
        let fault = opened.unwrap_err();
        assert_eq!(fault.kind, FaultKind::LoginRefused);
        assert_eq!(fault.said.as_deref(), Some("[AUTH] Authentication failed. (status 401)"));
    }
}

#[tokio::test]
async fn refusals_by_code_and_by_words() {
    let check = async |said: &str, kind: FaultKind, passing: bool| {
        let (heard, opened) = enter(GREETING, &password(), &[CAPA, (LOGIN.0, &format!("-ERR {said}\r\n"))]).await;
        let fault = opened.unwrap_err();
        assert_eq!((fault.kind.clone(), fault.is_passing()), (kind, passing), "{said}");
        assert_eq!(heard.matches("AUTH").count(), 1, "once, and not again");
    };
    check("[AUTH] no", FaultKind::LoginRefused, false).await;
    check("Authentication failure: unknown user name or bad password.", FaultKind::LoginRefused, false).await;
    check("[IN-USE] Do you have another POP session running?", FaultKind::Throttled, true).await;
    check("[LOGIN-DELAY] minimum time between mail checks violation", FaultKind::Throttled, true).await;
    check("[SYS/TEMP] Temporary server problem, try again later", FaultKind::Unavailable, true).await;
    check("Server Unavailable. 15", FaultKind::Unavailable, true).await;
    check("Connection closed. 14", FaultKind::Throttled, true).await;
    check("Basic authentication is disabled.", FaultKind::BasicAuthDisabled, false).await;
    check("User is authenticated but not connected.", FaultKind::NotConnected, false).await;
}

#[tokio::test]
async fn no_way_in() {
    let check = async |login: &Login, capa: &str, missing: &'static str| {
        let (heard, opened) = enter(GREETING, login, &[("CAPA", capa)]).await;
        assert_eq!(opened.unwrap_err().kind, FaultKind::NoMechanism(missing));
        assert_eq!(heard, "CAPA\r\n", "nothing of the credential was sent");
    };
    check(&token(9), "+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n", "SASL XOAUTH2, so no token can be used").await;
    check(&token(9), "-ERR what\r\n", "SASL XOAUTH2, so no token can be used").await;
    check(&password(), "+OK\r\nUIDL\r\nSASL XOAUTH2\r\n.\r\n", "any login by password").await;
}

async fn stls(capa: &str, steps: &[(&str, &str)]) -> (FaultKind, String) {
    let steps = [&[("CAPA", capa)], steps].concat();
    let script = Script::new(GREETING, &steps);
    let heard = script.heard.clone();
    let (server, tls) = (server(Encryption::Starttls), Tls::new(None).unwrap());
    let opened = open_over::<Line>(Box::new(script), true, &server, &password(), &tls, Instant::now() + MINUTE).await;
    let heard = heard.lock().unwrap().clone();
    (opened.err().unwrap().kind, heard)
}

#[tokio::test]
async fn f19_stls_taken_away() {
    let not_offered = FaultKind::Downgrade("the server does not offer STLS");
    assert_eq!(stls("+OK\r\nUSER\r\n.\r\n", &[]).await, (not_offered.clone(), "CAPA\r\n".into()));
    assert_eq!(stls("-ERR\r\n", &[]).await, (not_offered, "CAPA\r\n".into()));
    let refused = stls("+OK\r\nSTLS\r\n.\r\n", &[("STLS", "-ERR no\r\n")]).await;
    assert_eq!(refused, (FaultKind::Downgrade("the server refuses STLS"), "CAPA\r\nSTLS\r\n".into()));
}

#[tokio::test]
async fn f20_bytes_behind_the_ok_of_stls() {
    for slipped_in in ["+OK\r\nSASL PLAIN\r\n.\r\n", "x", "+OK x\r\n"] {
        let (kind, heard) = stls("+OK\r\nSTLS\r\n.\r\n", &[("STLS", &format!("+OK go\r\n{slipped_in}"))]).await;
        assert_eq!(kind, FaultKind::Downgrade("something was slipped in before encryption started"));
        assert_eq!(heard, "CAPA\r\nSTLS\r\n");
    }
}

#[tokio::test]
async fn no_credential_in_clear() {
    let (server, tls) = (server(Encryption::None), Tls::new(None).unwrap());
    for (login, near) in [(token(9), true), (token(9), false), (password(), false)] {
        let script = Script::new(GREETING, &[]);
        let heard = script.heard.clone();
        let opened = open_over::<Line>(Box::new(script), near, &server, &login, &tls, Instant::now() + MINUTE).await;
        assert!(matches!(opened.err().unwrap().kind, FaultKind::ClearText(_)));
        assert_eq!(*heard.lock().unwrap(), "");
    }
}
