//! What a hostile or broken server does.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// How a session ends whose server, after the login, does as `script` was changed to.
async fn end_of(change: impl FnOnce(&mut Script), time: Duration) -> FaultKind {
    let mut script = Script::new(GREETING, &[CAPA, LOGIN]);
    change(&mut script);
    let session = async {
        let mut pop3 = open_as(script, &password(), time).await?;
        list(&mut pop3, None, Since::All).await
    };
    session.await.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn f25_silence_and_trickle() {
    let idle = FaultKind::Net(crate::net::NetError::Timeout("mail.example.com".into()));
    assert_eq!(end_of(|script| script.out.clear(), MINUTE).await, idle);
    assert_eq!(end_of(|_| {}, MINUTE).await, idle);
    let start = Instant::now();
    // One byte a second is never silent: the time for the whole mailbox ends it.
    assert_eq!(end_of(|script| script.pause = Some(Duration::from_secs(1)), MINUTE).await, FaultKind::Deadline);
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn f25_no_end_of_talk() {
    let flood = |bytes: &'static [u8]| move |script: &mut Script| script.forever = bytes;
    assert_eq!(end_of(flood(b"x"), MINUTE).await, FaultKind::Limit("a line longer than we read"));
    // Each line is one that was asked for, so only the time can end it here; its bytes are bounded by the machine.
    let listing = |script: &mut Script| {
        script.steps.push_back(("UIDL".into(), b"+OK\r\n".to_vec()));
        script.forever = b"1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    };
    assert_eq!(end_of(listing, Duration::from_millis(300)).await, FaultKind::Deadline);
}

#[tokio::test]
async fn f09_listings_that_contradict_themselves() {
    let check = async |uidl: &str, sizes: &str, expected: Result<&[(&str, u32)], FaultKind>| {
        let mut pop3 = open(&[("UIDL", uidl), ("LIST", sizes)]).await;
        let listed = list(&mut pop3, None, Since::All).await.map_err(|fault| fault.kind);
        let listed = listed.map(|all| all.iter().map(|m| (m.reference.to_string(), m.size)).collect::<Vec<_>>());
        let expected = expected.map(|all| all.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect());
        assert_eq!(listed, expected, "{uidl} {sizes}");
    };
    let two = "+OK\r\n1 aa\r\n2 bb\r\n.\r\n";
    let sizes = "+OK\r\n1 5\r\n2 6\r\n.\r\n";
    // Sizes that are missing, too many, or of 4 GB.
    check(two, sizes, Ok(&[("aa", 5), ("bb", 6)])).await;
    check(two, "+OK\r\n2 4294967296\r\n7 1\r\n.\r\n", Ok(&[("aa", u32::MAX), ("bb", u32::MAX)])).await;
    // Numbers and lines that are none.
    check("+OK\r\n0 zz\r\nx yy\r\n-1 ww\r\n3\r\n4294967296 vv\r\n2 bb\r\n.\r\n", sizes, Ok(&[("bb", 6)])).await;
    // Two messages of one name are both read; one number for two messages is nonsense.
    check("+OK\r\n1 aa\r\n2 aa\r\n.\r\n", sizes, Ok(&[("aa", 5), ("aa 2", 6)])).await;
    check("+OK\r\n1 aa\r\n1 bb\r\n.\r\n", sizes, Err(FaultKind::Protocol("it gives one number to two messages"))).await;
}

#[tokio::test]
async fn without_uidl_nothing_is_read() {
    let refused = [("UIDL", "-ERR unknown command\r\n"), ("LIST", "+OK\r\n.\r\n")];
    let mut pop3 = open(&refused).await;
    let fault = list(&mut pop3, None, Since::All).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NoUidl);
    assert!(fault.to_string().contains("UIDL"), "{fault}");
    let passing = [("UIDL", "-ERR [SYS/TEMP] later\r\n"), ("LIST", "+OK\r\n.\r\n")];
    let fault = list(&mut open(&passing).await, None, Since::All).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unavailable);
}

#[tokio::test]
async fn f27_every_command_refused_in_turn() {
    let whole = [
        CAPA,
        LOGIN,
        ("UIDL", "+OK\r\n1 aa\r\n.\r\n"),
        ("LIST", "+OK\r\n1 5\r\n.\r\n"),
        ("RETR", "+OK\r\nx\r\n.\r\n"),
        ("DELE", "+OK\r\n"),
        ("QUIT", "+OK\r\n"),
    ];
    let refused = [
        // Without CAPA there is no SASL, and the script waits for another command.
        None,
        Some(FaultKind::LoginRefused),
        Some(FaultKind::NoUidl),
        Some(FaultKind::Refused("LIST")),
        // A message that is not given out is no fault of the mailbox.
        None,
        Some(FaultKind::Refused("DELE")),
        Some(FaultKind::Refused("QUIT")),
    ];
    for (at, refused) in refused.into_iter().enumerate() {
        let Some(refused) = refused else { continue };
        for (answer, expected) in [("-ERR no\r\n", refused), ("", FaultKind::Closed)] {
            let mut steps = whole[..=at].to_vec();
            steps[at].1 = answer;
            let mut script = Script::new(GREETING, &steps);
            script.hangs_up = true;
            let session = async {
                let mut pop3 = open_as(script, &password(), MINUTE).await?;
                let listed = list(&mut pop3, None, Since::All).await?;
                fetch(&mut pop3, &listed).await?;
                let done: Vec<Reference> = listed.into_iter().map(|message| message.reference).collect();
                pop3.settle(&done, &AfterReading::Delete).await?;
                Box::new(pop3).close().await
            };
            let fault = session.await.unwrap_err();
            assert_eq!(fault.kind, expected, "{} {answer}", whole[at].0);
        }
    }
}

#[tokio::test]
async fn f27_greetings_that_are_none() {
    let check = async |greeting: &str, expected: FaultKind| {
        let mut script = Script::new(greeting, &[]);
        script.hangs_up = true;
        assert_eq!(open_as(script, &password(), MINUTE).await.err().unwrap().kind, expected, "{greeting}");
    };
    let none = FaultKind::Protocol("what answered is no POP3 server");
    check("* OK IMAP4rev1 ready\r\n", none.clone()).await;
    check("220 mail.example.com ESMTP\r\n", none.clone()).await;
    check("HTTP/1.1 400 Bad Request\r\n", none).await;
    check("-ERR [SYS/TEMP] down\r\n", FaultKind::Unavailable).await;
    check("-ERR Too many connections\r\n", FaultKind::Throttled).await;
    check("", FaultKind::Closed).await;
}

#[tokio::test]
async fn f28_words_are_cleaned() {
    let said = "-ERR \u{1b}[31mno \u{202e}b and b AGEAYg==\r\n";
    let script = Script::new(GREETING, &[CAPA, (LOGIN.0, said)]);
    let fault = open_as(script, &password(), MINUTE).await.err().unwrap();
    assert!(!fault.said.clone().unwrap().contains(['\u{1b}', '\u{202e}']), "{fault:?}");
    assert!(!format!("{fault:?} {fault}").contains("AGEAYg=="), "{fault:?}");
}

/// A whole session, told as text.
async fn session(split_at: usize) -> (String, usize) {
    let challenge = "+ \r\n";
    let steps = [
        ("CAPA", "+OK\r\nTOP\r\nUIDL\r\nUSER\r\nSASL PLAIN XOAUTH2\r\n.\r\n"),
        ("AUTH XOAUTH2\r\n", challenge),
        ("dXNl", "+OK welcome\r\n"),
        ("UIDL", "+OK\r\n1 aa\r\n2 bb\r\n.\r\n"),
        ("LIST", "+OK\r\n1 10\r\n2 9\r\n.\r\n"),
        ("RETR 1", "+OK\r\n..x\r\n.\r.y\r\n\r\n.\r\n"),
        ("RETR 2", "-ERR no such message\r\n"),
        ("DELE 1", "+OK\r\n"),
        ("QUIT", "+OK bye\r\n"),
    ];
    let mut script = Script::new(GREETING, &steps);
    script.split_at = split_at;
    let length = GREETING.len() + steps.iter().map(|(_, reply)| reply.len()).sum::<usize>();
    let heard = script.heard.clone();
    let mut pop3 = open_as(script, &token(9), MINUTE).await.unwrap();
    let listed = list(&mut pop3, None, Since::All).await.unwrap();
    let fetched = fetch(&mut pop3, &listed).await;
    pop3.settle(&[Reference::Name("aa".into())], &AfterReading::Delete).await.unwrap();
    let closed = Box::new(pop3).close().await;
    let heard = heard.lock().unwrap();
    (format!("{listed:?} {fetched:?} {closed:?} {heard}"), length)
}

#[tokio::test]
async fn f26_a_session_split_at_every_byte() {
    let (whole, length) = session(usize::MAX).await;
    assert!(whole.contains(r#"("aa", ".x\r\n\r.y\r\n\r\n", false)"#), "{whole}");
    for at in 1..length {
        assert_eq!(session(at).await.0, whole, "split at byte {at}");
    }
}
