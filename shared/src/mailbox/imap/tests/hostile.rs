//! What a hostile or broken server does: downgrades, floods, broken forms, refusals of every command.

use super::*;

async fn starttls(greeting: &str, steps: &[(&str, &str)]) -> (FaultKind, String) {
    let script = Script::new(greeting, steps);
    let heard = script.heard.clone();
    let (server, tls) = (server(Encryption::Starttls), Tls::new(None).unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    let opened = open_over::<Opening>(Box::new(script), true, &server, &password(), &tls, deadline).await;
    let heard = heard.lock().unwrap().clone();
    (opened.err().unwrap().kind, heard)
}

#[tokio::test]
async fn f19_starttls_taken_away() {
    let not_offered = FaultKind::Downgrade("the server does not offer STARTTLS");
    let refused = FaultKind::Downgrade("the server refuses STARTTLS");
    let silent = "* OK hello\r\n";
    let capable = ("CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n# OK x\r\n");
    let incapable = ("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n# OK x\r\n");
    assert_eq!(starttls(GREETING, &[]).await, (not_offered.clone(), String::new()));
    assert_eq!(starttls(silent, &[incapable]).await, (not_offered, "R1 CAPABILITY\r\n".into()));
    for answer in ["# NO x\r\n", "# BAD x\r\n"] {
        let (kind, heard) = starttls(silent, &[capable, ("STARTTLS", answer)]).await;
        assert_eq!((kind, &heard[..]), (refused.clone(), "R1 CAPABILITY\r\nR2 STARTTLS\r\n"));
    }
}

#[tokio::test]
async fn f20_bytes_behind_the_ok_of_starttls() {
    let greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n";
    for slipped_in in ["* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "x", "R2 OK x\r\n"] {
        let reply = format!("# OK go\r\n{slipped_in}");
        let (kind, heard) = starttls(greeting, &[("STARTTLS", &reply)]).await;
        assert_eq!(kind, FaultKind::Downgrade("something was slipped in before encryption started"));
        assert_eq!(heard, "R1 STARTTLS\r\n");
    }
}

#[tokio::test]
async fn f21_preauth_in_clear() {
    let (kind, heard) = starttls("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n", &[]).await;
    assert_eq!(kind, FaultKind::Downgrade("the server logged us in before encryption could start"));
    assert_eq!(heard, "");
}

#[tokio::test]
async fn no_credential_in_clear() {
    let (server, tls) = (server(Encryption::None), Tls::new(None).unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    for (login, here) in [(token(), true), (token(), false), (password(), false)] {
        let script = Script::new(GREETING, &[]);
        let heard = script.heard.clone();
        let opened = open_over::<Opening>(Box::new(script), here, &server, &login, &tls, deadline).await;
        assert!(matches!(opened.err().unwrap().kind, FaultKind::ClearText(_)));
        assert_eq!(*heard.lock().unwrap(), "");
    }
}

#[tokio::test]
async fn f24_literals_that_nobody_asked_for() {
    for size in ["4294967295", "99999999999999999999", "1048576", "-1", "1{1}"] {
        let reply = format!("* 1 FETCH (UID 5 BODY[]<0> {{{size}}}\r\n");
        let mut imap = open(&[("UID FETCH 5 ", &reply)]).await;
        let kind = fetch(&mut imap, &[5]).await.1.unwrap_err().kind;
        assert!(matches!(kind, FaultKind::Limit(_) | FaultKind::Protocol(_)), "{size}: {kind:?}");
        let room = imap.session.get_ref().wire.room();
        assert!(room <= 128 << 10, "{size}: {room} bytes were set aside");
    }
}

/// How a session ends whose server, after the SELECT, does as `script` was changed to.
async fn end_of(change: impl FnOnce(&mut Script), time: Duration) -> FaultKind {
    let mut script = Script::new(GREETING, &[LOGIN_OK]);
    script.steps.push_back((SELECT_OK.0.into(), SELECT_OK.1.into()));
    change(&mut script);
    let session = async {
        let mut imap = open_as(script, &password(), time).await?;
        imap.select("INBOX").await?;
        imap.list_from(1).await
    };
    let outcome: Result<Vec<Listed>, MailboxFault> = session.await;
    outcome.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn f25_silence_and_trickle() {
    let minute = Duration::from_secs(60);
    let idle = FaultKind::Net(crate::net::NetError::Timeout("mail.example.com".into()));
    assert_eq!(end_of(|script| script.out.clear(), minute).await, idle);
    assert_eq!(end_of(|_| {}, minute).await, idle);
    let start = Instant::now();
    // One byte a second is never silent: the time for the whole mailbox ends it.
    assert_eq!(end_of(|script| script.pause = Some(Duration::from_secs(1)), minute).await, FaultKind::Deadline);
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn f25_no_end_of_talk() {
    let minute = Duration::from_secs(60);
    let flood = |bytes: &'static [u8]| move |script: &mut Script| script.forever = bytes;
    assert_eq!(end_of(flood(b"* 4 EXPUNGE\r\n"), minute).await, FaultKind::Limit("more than we listen to"));
    assert_eq!(end_of(flood(b"* OK still here\r\n"), minute).await, FaultKind::Limit("more than we listen to"));
    assert_eq!(end_of(flood(b"x"), minute).await, FaultKind::Limit("a line longer than we read"));
    // Each of these is an answer to what was asked, so only the time can end it.
    let flood = flood(b"* 1 FETCH (UID 5 RFC822.SIZE 10)\r\n");
    assert_eq!(end_of(flood, Duration::from_millis(300)).await, FaultKind::Deadline);
}

/// A whole session, told as text.
async fn session(split_at: usize) -> (String, usize) {
    let greeting = "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hello {9}\r\n";
    let fetched = "* 1 FETCH (UID 5 BODY[]<0> {7}\r\n)\r\nR3 O)\r\n* 2 FETCH (BODY[]<0> \"x\" UID 6)\r\n\
                   * 2 FETCH (FLAGS (\\Seen))\r\n# OK x\r\n";
    let steps = [
        ("AUTHENTICATE XOAUTH2\r\n", "+ \r\n"),
        ("dXNlc", "* CAPABILITY IMAP4rev1 UIDPLUS\r\n# OK welcome\r\n"),
        SELECT_OK,
        (
            "UID FETCH 1:* ",
            "* 1 FETCH (UID 5 RFC822.SIZE 7 INTERNALDATE \" 1-Nov-2026 10:00:00 +0000\")\r\n\
                            * 2 FETCH (UID 6 RFC822.SIZE 3)\r\n# OK x\r\n",
        ),
        ("UID FETCH 5:6 ", fetched),
        ("UID SEARCH SINCE 2-Nov-2026", "* SEARCH 6 5\r\n# OK x\r\n"),
        ("UID FETCH 5:6 ", "* 2 FETCH (UID 6 RFC822.SIZE 3)\r\n# OK x\r\n"),
        ("UID STORE 5 ", "# OK x\r\n"),
        ("UID EXPUNGE 5", "* 1 EXPUNGE\r\n# OK x\r\n"),
        ("LOGOUT", "* BYE x\r\n# OK x\r\n"),
    ];
    let mut script = Script::new(greeting, &steps);
    script.split_at = split_at;
    let length = greeting.len() + steps.iter().map(|(_, reply)| reply.len() + 1).sum::<usize>();
    let heard = script.heard.clone();
    let mut imap = open_as(script, &token(), Duration::from_secs(60)).await.unwrap();
    let folder = imap.select("INBOX").await.unwrap();
    let listed = imap.list_from(1).await.unwrap();
    let fetched = fetch(&mut imap, &[5, 6]).await;
    let since = imap.list_since(jiff::civil::date(2026, 11, 2)).await.unwrap();
    let settled = imap.settle(&[5], &AfterReading::Delete).await.unwrap();
    imap.close().await;
    let heard = heard.lock().unwrap().clone();
    (format!("{folder:?} {listed:?} {fetched:?} {since:?} {settled:?} {heard}"), length)
}

#[tokio::test]
async fn f26_split_at_every_byte() {
    let (whole, length) = session(usize::MAX).await;
    assert!(whole.contains("(5, \")\\r\\nR3 O\")") && whole.contains("2026-11-01T10:00:00Z"), "{whole}");
    for at in 1..length {
        assert_eq!(session(at).await.0, whole, "split at byte {at}");
    }
}

#[tokio::test]
async fn f27_every_command_refused_in_turn() {
    let check = async |steps: &[(&str, &str)], expected: [FaultKind; 3]| {
        let (command, before) = steps.split_last().unwrap();
        let answers = ["# NO x\r\n", "# BAD x\r\n", "* BYE x\r\n", ""];
        let [_, _, closed] = &expected;
        for (answer, expected) in answers.iter().zip(expected.iter().chain([closed]).cloned()) {
            let steps = [before, &[(command.0, *answer)]].concat();
            let session = async {
                let mut script = Script::new(GREETING, &steps);
                script.hangs_up = true;
                let mut imap = open_as(script, &password(), Duration::from_secs(60)).await?;
                imap.select("INBOX").await?;
                imap.list_from(1).await?;
                imap.list_since(jiff::civil::date(2026, 11, 2)).await?;
                fetch(&mut imap, &[5]).await.1?;
                imap.settle(&[5], &AfterReading::Seen).await?;
                imap.settle(&[5], &AfterReading::Move("X".into())).await
            };
            let outcome: Result<Settled, MailboxFault> = session.await;
            let fault = outcome.unwrap_err();
            assert_eq!(fault.kind, expected, "{} {answer}", command.0);
            assert_eq!(fault.is_passing(), expected == FaultKind::Closed);
        }
    };
    let refused = |what| [FaultKind::Refused(what), FaultKind::Refused(what), FaultKind::Closed];
    let ok = "# OK x\r\n";
    let mut steps = vec![LOGIN_OK];
    check(&steps, [FaultKind::LoginRefused, FaultKind::LoginRefused, FaultKind::Closed]).await;
    steps.push(SELECT_OK);
    check(&steps, refused("to open the folder")).await;
    steps.push(("UID FETCH 1:*", ok));
    check(&steps, refused("UID FETCH")).await;
    steps.push(("UID SEARCH", ok));
    check(&steps, refused("UID SEARCH")).await;
    // A NO to the messages themselves is no fault of the mailbox: see the test on unreadable messages.
    steps.push(("UID FETCH 5", "* 1 FETCH (UID 5 BODY[]<0> \"x\")\r\n# OK x\r\n"));
    steps.push(("UID STORE", ok));
    check(&steps, refused("UID STORE")).await;
    steps.push(("UID MOVE", ok));
    check(&steps, refused("UID MOVE")).await;
}

#[tokio::test]
async fn f27_greetings_that_are_none() {
    let check = async |greeting: &str, expected: FaultKind| {
        let mut script = Script::new(greeting, &[]);
        script.hangs_up = true;
        assert_eq!(open_as(script, &password(), Duration::from_secs(60)).await.err().unwrap().kind, expected);
    };
    check("", FaultKind::Closed).await;
    check("* BYE [UNAVAILABLE] overloaded\r\n", FaultKind::Unavailable).await;
    check("* BYE Connection closed. 14\r\n", FaultKind::Throttled).await;
    check("* NO x\r\n", FaultKind::Closed).await;
    check("* PREAUTH x\r\n", FaultKind::Protocol("it logged us in, as somebody, before we said who we are")).await;
    check("+OK POP3 ready\r\n", FaultKind::Protocol("what answered is no IMAP server")).await;
    check("220 smtp\r\n", FaultKind::Protocol("a response that no command of ours asked for")).await;
    check("* OK half", FaultKind::Closed).await;
}

#[tokio::test]
async fn f28_words_of_the_server_are_harmless() {
    let steps = [(
        "AUTHENTICATE XOAUTH2 ",
        "* OK [ALERT] send money to\x1b[2J\r\n# NO [REFERRAL imap://evil.example] \
                   token \x07tokentoken is bad\u{202e}\r\n",
    )];
    let fault = open_as(Script::new(GREETING, &steps), &token(), Duration::from_secs(60)).await.err().unwrap();
    let said = "[REFERRAL imap://evil.example] token \\u{7}[secret] is bad\\u{202e}";
    assert_eq!(fault.said.as_deref(), Some(said));
    assert_eq!(fault.to_string(), format!("the server refused the login (the server said: {said})"));
}

#[tokio::test(start_paused = true)]
async fn bytes_changed_on_the_way_end_in_a_result() {
    let messages =
        "* 1 FETCH (UID 5 RFC822.SIZE 7 INTERNALDATE \" 1-Nov-2026 10:00:00 +0000\" FLAGS (a))\r\n# OK x\r\n";
    let bodies = "* 1 FETCH (UID 5 BODY[]<0> {7}\r\n)\r\nR3 O)\r\n# OK x\r\n";
    let steps = [LOGIN_OK, SELECT_OK, ("UID FETCH 1:*", messages), ("UID FETCH 5 ", bodies)];
    let (mut faults, mut whole) = (0, 0);
    for step in 1..steps.len() {
        for at in 0..steps[step].1.len() {
            for change in *b"(){}[]\"\r\n 0*~N" {
                let mut script = Script::new(GREETING, &steps);
                script.steps[step].1[at] = change;
                script.hangs_up = true;
                let session = async {
                    let mut imap = open_as(script, &password(), Duration::from_secs(60)).await?;
                    imap.select("INBOX").await?;
                    let listed = imap.list_from(1).await?;
                    let uids: Vec<u32> = listed.iter().map(|message| message.uid).collect();
                    if uids == [5] { fetch(&mut imap, &uids).await.1.map(|_| ()) } else { Ok(()) }
                };
                let outcome: Result<(), MailboxFault> = session.await;
                *(if outcome.is_ok() { &mut whole } else { &mut faults }) += 1;
            }
        }
    }
    assert!(faults > 1000 && whole > 1000, "{faults} faults, {whole} whole");
}

/// imap_proto would read the literal behind the line's end, and take the tagged answer for it.
#[tokio::test]
async fn no_parser_reads_across_the_end_of_a_response() {
    let reply = "* OK [BADCHARSET ({13}\r\n# OK x\r\n";
    let mut imap = open(&[("UID FETCH 1:*", reply)]).await;
    let fault = imap.list_from(1).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Protocol("a response that cannot be read"));
}

#[tokio::test]
async fn forms_that_panic_imap_proto_stop_no_message() {
    let listed =
        "* OK [ALERT]\u{e9}\r\n* 1 FETCH (INTERNALDATE NIL UID 5 RFC822.SIZE 3)\r\n* X-NEW (((\r\n# OK [X]\u{e9}\r\n";
    let fetched = "* 1 FETCH (INTERNALDATE NIL X (Y (Z)) UID 5 BODY[]<0> {3}\r\nabc)\r\n# OK x\r\n";
    let mut imap = open(&[("UID FETCH 1:*", listed), ("UID FETCH 5 ", fetched)]).await;
    assert_eq!(imap.list_from(1).await.unwrap(), [Listed { uid: 5, sequence: 1, size: 3, arrival: None }]);
    assert_eq!(fetch(&mut imap, &[5]).await, (vec![(5, "abc".to_owned())], Ok(vec![])));
}

#[tokio::test]
async fn invariant_3_a_session_shows_no_secret() {
    let mut imap = open(&[]).await;
    imap.session.get_mut().wire.deadline = Instant::now();
    let _ = imap.session.run_command("hunter2").await;
    let shown = format!("{:?}", imap.session);
    assert!(shown.contains("Stream") && !shown.contains("hunter2"), "{shown}");
}
