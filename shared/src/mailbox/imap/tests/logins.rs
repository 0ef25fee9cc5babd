//! What logins send, and what is said to them.

use super::*;

#[tokio::test]
async fn f30_what_logins_send() {
    let check = async |user: &str, password: &str, steps: &[(&str, &str)], sent: &str| {
        let greeting = "* OK [CAPABILITY IMAP4rev1] hello\r\n";
        let script = Script::new(greeting, steps);
        let heard = script.heard.clone();
        let login = Login::Password { user: user.into(), password: Secret::from(password.to_owned()) };
        open_as(script, &login, Duration::from_secs(60)).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), sent);
    };
    let ok = "# OK x\r\n";
    check("a b", "c\"\\d", &[("LOGIN", ok)], "A0001 LOGIN \"a b\" \"c\\\"\\\\d\"\r\n").await;
    let literal = "R1 LOGIN {3}\r\n\u{fc}x \"b\"\r\n";
    check("\u{fc}x", "b", &[("LOGIN {3}", "+ \r\n"), ("\u{fc}x", ok)], literal).await;
    let literals = "R1 LOGIN \"a\" {2}\r\n\u{fc}\r\n";
    check("a", "\u{fc}", &[("LOGIN \"a\" {2}", "+ go\r\n"), ("\u{fc}", ok)], literals).await;
}

#[tokio::test]
async fn logins_that_a_server_does_not_offer() {
    let check = async |capabilities: &str, login: Login, expected: FaultKind| {
        let script = Script::new(&format!("* OK [CAPABILITY IMAP4rev1 {capabilities}] hello\r\n"), &[]);
        let heard = script.heard.clone();
        assert_eq!(open_as(script, &login, Duration::from_secs(60)).await.err().unwrap().kind, expected);
        assert_eq!(*heard.lock().unwrap(), "");
    };
    let no_token = FaultKind::NoMechanism("AUTH=XOAUTH2, so no token can be used");
    check("AUTH=PLAIN", token(), no_token).await;
    check("LOGINDISABLED", password(), FaultKind::NoMechanism("any login by password")).await;
}

#[tokio::test]
async fn what_exchange_says() {
    let check = async |steps: &[(&str, &str)], expected: FaultKind, wait: Option<u64>| {
        let session = async {
            let mut imap = open_as(Script::new(GREETING, steps), &token(), Duration::from_secs(60)).await?;
            imap.select("INBOX").await
        };
        let outcome: Result<Folder, MailboxFault> = session.await;
        let fault = outcome.unwrap_err();
        assert_eq!((fault.kind, fault.retry_after), (expected, wait.map(Duration::from_millis)));
    };
    let login = |answer| [("AUTHENTICATE XOAUTH2 dXNl", answer)];
    check(&login("# NO AUTHENTICATE failed.\r\n"), FaultKind::LoginRefused, None).await;
    check(&login("# NO Basic authentication is disabled.\r\n"), FaultKind::BasicAuthDisabled, None).await;
    check(&login("# NO Server Unavailable. 15\r\n"), FaultKind::Unavailable, None).await;
    let throttled = "# BAD Request is throttled. Suggested Backoff Time: 4832 milliseconds\r\n";
    check(&login(throttled), FaultKind::Throttled, Some(4832)).await;
    let select = |answer| [login("# OK AUTHENTICATE completed.\r\n")[0], ("SELECT", answer)];
    check(&select("# BAD User is authenticated but not connected.\r\n"), FaultKind::NotConnected, None).await;
    check(&select("* BYE Connection closed. 14\r\n"), FaultKind::Throttled, None).await;
    check(&select(throttled), FaultKind::Throttled, Some(4832)).await;
    check(
        &select("* 3 EXISTS\r\n# OK x\r\n"),
        FaultKind::Protocol("a folder was opened without its UIDVALIDITY"),
        None,
    )
    .await;
}

#[tokio::test]
async fn xoauth2_error_continuation() {
    // {"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}
    let json = "+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==\r\n";
    let steps = [("AUTHENTICATE XOAUTH2 ", json), ("\r\n", "# NO [AUTHENTICATIONFAILED] Invalid credentials\r\n")];
    let fault = open_as(Script::new(GREETING, &steps), &token(), Duration::from_secs(60)).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::LoginRefused);
    assert_eq!(fault.said.as_deref(), Some("[AUTHENTICATIONFAILED] Invalid credentials (status 400)"));
    let forever = [("AUTHENTICATE XOAUTH2 ", json), ("\r\n", json)];
    let fault = open_as(Script::new(GREETING, &forever), &token(), Duration::from_secs(60)).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::Protocol("the login does not end"));
}

#[tokio::test]
async fn a_long_token_waits_for_its_turn() {
    let long = "t".repeat(8000);
    let login = Login::XOAuth2 { mailbox: "a".into(), token: Secret::from(long) };
    let first = Credential::of(&login).unwrap().first_message;
    let steps = [("AUTHENTICATE XOAUTH2\r\n", "+ \r\n"), (first.expose_secret(), "# OK x\r\n")];
    assert!(open_as(Script::new(GREETING, &steps), &login, Duration::from_secs(60)).await.is_ok());
}

#[tokio::test]
async fn refusals_of_every_way_to_log_in() {
    let check = async |capabilities: &str, password: &str, command: &str| {
        for (answer, kind, said) in [
            (
                "# NO [AUTHENTICATIONFAILED] no \"b\\\"\r\n",
                FaultKind::LoginRefused,
                "[AUTHENTICATIONFAILED] no \"b\\\"",
            ),
            ("# BAD [X] y\r\n", FaultKind::LoginRefused, "[X] y"),
            ("* NO [ALERT] careful\r\n* BYE [UNAVAILABLE] later\r\n", FaultKind::Unavailable, "[UNAVAILABLE] later"),
            ("* BYE Connection closed. 14\r\n", FaultKind::Throttled, "Connection closed. 14"),
        ] {
            let script = Script::new(&format!("* OK [CAPABILITY IMAP4rev1{capabilities}] x\r\n"), &[(command, answer)]);
            let login = Login::Password { user: "user".into(), password: Secret::from(password.to_owned()) };
            let fault = open_as(script, &login, Duration::from_secs(60)).await.err().unwrap();
            assert_eq!((fault.kind, fault.said.as_deref()), (kind, Some(said)), "{command} {answer}");
        }
        for (answer, what) in [
            ("R9 NO x\r\n", "an answer to a command that was not sent"),
            ("A0009 OK x\r\n", "an answer to a command that was not sent"),
            ("x NO\r\n", "a response that no command of ours asked for"),
            ("# BYE\r\n", "a command ended without OK, NO or BAD"),
        ] {
            let script = Script::new(&format!("* OK [CAPABILITY IMAP4rev1{capabilities}] x\r\n"), &[(command, answer)]);
            let login = Login::Password { user: "user".into(), password: Secret::from(password.to_owned()) };
            let fault = open_as(script, &login, Duration::from_secs(60)).await.err().unwrap();
            assert_eq!(fault.kind, FaultKind::Protocol(what), "{command} {answer}");
        }
    };
    check(" AUTH=PLAIN SASL-IR", "pass", "AUTHENTICATE PLAIN AHVzZXIAcGFzcw==").await;
    check(" AUTH=PLAIN", "pass", "AUTHENTICATE PLAIN\r\n").await;
    check("", "pass", "LOGIN \"user\" \"pass\"").await;
    check("", "p\u{e4}ss", "LOGIN \"user\" {5}").await;
}

#[tokio::test]
async fn capabilities_are_those_after_the_login() {
    let ok = "# OK x\r\n";
    let check = async |capabilities: &str, password: &str, steps: &[(&str, &str)]| {
        // Without MOVE a message is copied; asking again would be one command too many.
        let all = [steps, &[SELECT_OK, ("UID MOVE 1 \"X\"", ok)]].concat();
        let greeting = format!("* OK [CAPABILITY IMAP4rev1{capabilities}] x\r\n");
        let login = Login::Password { user: "user".into(), password: Secret::from(password.to_owned()) };
        let mut imap = open_as(Script::new(&greeting, &all), &login, Duration::from_secs(60)).await.unwrap();
        imap.select("INBOX").await.unwrap();
        assert_eq!(imap.settle(&[1], &AfterReading::Move("X".into())).await.unwrap(), Settled::Done);
        assert_eq!(imap.round_trips() as usize, all.len());
    };
    let coded = "# OK [CAPABILITY IMAP4rev2 MOVE] x\r\n";
    let said = "* CAPABILITY IMAP4rev2 MOVE\r\n# OK x\r\n";
    let sasl = " AUTH=PLAIN";
    for ended in [coded, said] {
        check(" AUTH=PLAIN SASL-IR", "pass", &[("AUTHENTICATE PLAIN A", ended)]).await;
        // What is said to a `+` need not be base64.
        check(sasl, "pass", &[("AUTHENTICATE PLAIN\r\n", "+ go ahead\r\n"), ("AHVzZXIAcGFzcw==", ended)]).await;
        check("", "pass", &[("LOGIN \"user\" \"pass\"", ended)]).await;
        check("", "p\u{e4}ss", &[("LOGIN \"user\" {5}", "+ go ahead\r\n"), ("p\u{e4}ss", ended)]).await;
    }
}
