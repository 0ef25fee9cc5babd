//! Listing, fetching, settling: what came held against what was asked.

use super::*;

#[tokio::test]
async fn f09_what_is_expunged_meanwhile_is_said_to_be_gone() {
    let reply = "* 1 FETCH (UID 5 BODY[]<0> \"five\")\r\n* 2 EXPUNGE\r\n* 2 EXISTS\r\n\
                 * 2 FETCH (UID 7 BODY[]<0> \"seven\")\r\n";
    let nil = "* 2 FETCH (UID 6 BODY[]<0> NIL)\r\n";
    let ok = "# OK x\r\n";
    let expunged = "# NO [EXPUNGEISSUED] Some of them are gone\r\n";
    for (first, again) in [
        (format!("{reply}{ok}"), vec![ok]),
        // As Dovecot does it.
        (format!("{reply}{nil}{ok}"), vec![ok]),
        (format!("{reply}{expunged}"), vec![ok]),
        (format!("{nil}{reply}{expunged}"), vec![expunged, expunged]),
    ] {
        let mut steps = vec![("UID FETCH 5:7 (UID INTERNALDATE BODY.PEEK[]<0.1000>)", &first[..])];
        steps.extend(again.iter().map(|answer| ("UID FETCH 6 ", *answer)));
        let mut imap = open(&steps).await;
        let (came, missed) = fetch(&mut imap, &[5, 6, 7]).await;
        assert_eq!(came, [(5, "five".to_owned()), (7, "seven".to_owned())]);
        assert_eq!(missed.unwrap(), [Missed { reference: Reference::Uid(6), refused: None }]);
    }
}

#[tokio::test]
async fn unreadable_messages_do_not_stop_the_others() {
    let steps = [
        (
            "UID FETCH 5:8 ",
            "* 1 FETCH (UID 5 BODY[]<0> \"five\")\r\n* 2 FETCH (UID 6 BODY[]<0> NIL)\r\n# NO broken\r\n",
        ),
        ("UID FETCH 6 ", "* 2 FETCH (UID 6 BODY[]<0> NIL)\r\n# OK x\r\n"),
        ("UID FETCH 7 ", "# NO still no use\r\n"),
        ("UID FETCH 8 ", "* 4 FETCH (UID 8 BODY[]<0> \"eight\")\r\n# OK x\r\n"),
    ];
    let mut imap = open(&steps).await;
    let (came, missed) = fetch(&mut imap, &[5, 6, 7, 8]).await;
    assert_eq!(came, [(5, "five".to_owned()), (8, "eight".to_owned())]);
    let refused = |uid, said: &str| Missed { reference: Reference::Uid(uid), refused: Some(said.to_owned()) };
    assert_eq!(missed.unwrap(), [refused(6, "NIL in place of the message"), refused(7, "still no use")]);
}

#[tokio::test]
async fn f09_messages_are_never_taken_for_others() {
    let check = async |reply: &str, expected: Result<&[(u32, &str)], FaultKind>| {
        let mut imap = open(&[("UID FETCH 5:6 ", reply)]).await;
        let (came, missed) = fetch(&mut imap, &[5, 6]).await;
        let came: Vec<_> = came.iter().map(|(uid, text)| (*uid, &text[..])).collect();
        assert_eq!(missed.map(|_| &came[..]).map_err(|fault| fault.kind), expected, "{reply}");
    };
    let both = "* 1 FETCH (UID 6 BODY[]<0> \"six\")\r\n* 2 FETCH (UID 5 BODY[]<0> \"five\")\r\n";
    check(&format!("{both}# OK x\r\n"), Ok(&[(6, "six"), (5, "five")])).await;
    check(&format!("{both}{both}# OK x\r\n"), Ok(&[(6, "six"), (5, "five")])).await;
    check("* 1 FETCH (BODY[]<0> \"six\")\r\n", Err(FaultKind::Protocol("a message came without its UID"))).await;
    check("* 1 FETCH (UID 9 BODY[]<0> \"x\")\r\n", Err(FaultKind::Protocol("a message came that was not asked for")))
        .await;
    check("R9 OK x\r\n", Err(FaultKind::Protocol("an answer to a command that was not sent"))).await;
    check("* 1 FETCH (UID 5 BODY[]<0> \"x\"\r\n", Err(FaultKind::Protocol("a FETCH response that cannot be read")))
        .await;
}

#[tokio::test]
async fn the_next_range_is_asked_for_before_this_one_has_come() {
    let uids: Vec<u32> = (1..=1200).collect();
    let answers = |range: std::ops::RangeInclusive<u32>, tag: &str| {
        let messages: String = range.map(|uid| format!("* 1 FETCH (UID {uid} BODY[]<0> \"{uid}\")\r\n")).collect();
        format!("{messages}{tag} OK x\r\n")
    };
    // Nothing is said to the first range; to the second, both are answered, mixed.
    let mixed = format!("{}{}", answers(501..=1000, "A0004"), answers(1..=500, "A0003"));
    let steps = [
        ("UID FETCH 1:500 ", ""),
        ("UID FETCH 501:1000 ", &mixed),
        ("UID FETCH 1001:1200 ", &answers(1001..=1200, "#")),
    ];
    let mut imap = open(&steps).await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2000);
    assert_eq!(imap.fetch(&listed(&uids), 1000, sender).await.unwrap(), []);
    let mut count = 0;
    while let Some(message) = receiver.recv().await {
        assert_eq!(message.bytes, message.reference.to_string().into_bytes());
        count += 1;
    }
    assert_eq!(count, 1200);
}

#[tokio::test]
async fn a_receiver_that_leaves_stops_the_fetch_not_the_session() {
    let uids: Vec<u32> = (1..=2000).collect();
    let messages: String = (1..=500).map(|uid| format!("* 1 FETCH (UID {uid} BODY[]<0> \"x\")\r\n")).collect();
    let first = format!("{messages}# OK x\r\n");
    let steps =
        [("UID FETCH 1:500 ", &first[..]), ("UID FETCH 501:1000 ", "# OK x\r\n"), ("UID STORE 1 ", "# OK x\r\n")];
    let mut imap = open(&steps).await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Fetched>(1);
    let leaving = async move { receiver.recv().await.unwrap().reference };
    let wanted = listed(&uids);
    let (missed, first) = tokio::join!(imap.fetch(&wanted, 1000, sender), leaving);
    assert_eq!(first, Reference::Uid(1));
    // The second range was answered without its messages, and nothing was asked for again: nothing is known of them.
    assert_eq!(missed.unwrap(), []);
    assert_eq!(imap.settle(&[1], &AfterReading::Seen).await.unwrap(), Settled::Done);
}

#[tokio::test]
async fn settling_with_what_the_server_can() {
    let check = async |capabilities: &str, what: AfterReading, steps: &[(&str, &str)], expected: Settled| {
        let asked = format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n# OK x\r\n");
        let steps = [&[("AUTHENTICATE", "# OK x\r\n"), ("CAPABILITY", &asked[..])], steps].concat();
        let script = Script::new(GREETING, &steps);
        let heard = script.heard.clone();
        let mut imap = open_as(script, &password(), Duration::from_secs(60)).await.unwrap();
        assert_eq!(imap.settle(&[3, 2, 1, 9], &what).await.unwrap(), expected);
        assert_eq!(heard.lock().unwrap().lines().count(), steps.len(), "all and nothing else was sent");
    };
    let ok = "# OK x\r\n";
    let to = || AfterReading::Move("B\u{fc}ro".into());
    let (mark, expunge) = (("UID STORE 1:3,9 +FLAGS.SILENT (\\Deleted)\r\n", ok), ("UID EXPUNGE 1:3,9\r\n", ok));
    let (mv, copy) = (("UID MOVE 1:3,9 \"B&APw-ro\"\r\n", ok), ("UID COPY 1:3,9 \"B&APw-ro\"\r\n", ok));
    check("MOVE", to(), &[mv], Settled::Done).await;
    check("UIDPLUS", to(), &[copy, mark, expunge], Settled::Done).await;
    check("", to(), &[copy, mark], Settled::MarkedDeleted).await;
    check("UIDPLUS", AfterReading::Delete, &[mark, expunge], Settled::Done).await;
    check("MOVE", AfterReading::Delete, &[mark], Settled::MarkedDeleted).await;
}

#[tokio::test]
async fn searches_and_lists() {
    let steps = [
        ("UID FETCH 9:*", "* 3 FETCH (UID 8 RFC822.SIZE 1)\r\n# OK x\r\n"),
        (
            "UID FETCH 1:*",
            "* 3 FETCH (UID 8 RFC822.SIZE 5000000000)\r\n* 1 FETCH (UID 2 RFC822.SIZE 1)\r\n\
                           * 3 FETCH (UID 8 FLAGS (\\Seen))\r\n* 3 FETCH (UID 8 RFC822.SIZE 1)\r\n# OK x\r\n",
        ),
        ("UID SEARCH SINCE 1-Jan-2026\r\n", "* SEARCH\r\n# OK x\r\n"),
    ];
    let mut imap = open(&steps).await;
    assert_eq!(imap.list_from(9).await.unwrap(), []);
    let found = imap.list_from(0).await.unwrap();
    assert_eq!(found.iter().map(|m| (m.uid, m.size)).collect::<Vec<_>>(), [(2, 1), (8, u32::MAX)]);
    assert_eq!(imap.list_since(jiff::civil::date(2026, 1, 1)).await.unwrap(), []);
    assert_eq!(imap.round_trips(), 5);
}

/// Of a large folder a piece is asked for at a time, a wider one where UIDs are few; what is old is stepped over, and the rest
/// is listed once the piece is behind.
#[tokio::test]
async fn a_large_folder_is_listed_piece_by_piece() {
    let select = (
        "SELECT \"INBOX\"",
        "* 50000 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 100001] x\r\n# OK [READ-WRITE] x\r\n",
    );
    let rows = |uids: std::ops::RangeInclusive<u32>, less: u32| {
        let row = |uid| format!("* {} FETCH (UID {uid} RFC822.SIZE 9)\r\n", uid - less);
        uids.map(row).collect::<String>() + "# OK x\r\n"
    };
    let nothing = "# OK x\r\n";
    let (piece, rest) = (rows(30_001..=50_000, 30_000), rows(50_001..=50_010, 30_000));
    let steps = [
        LOGIN_OK,
        select,
        ("UID FETCH 1:20000 ", nothing),
        ("UID FETCH 20001:60000 ", piece.as_str()),
        ("UID FETCH 49900:69899 ", rest.as_str()),
        ("UID FETCH 69900:*", nothing),
    ];
    let mut imap = open_as(Script::new(GREETING, &steps), &password(), Duration::from_secs(60)).await.unwrap();
    let mailbox: &mut dyn crate::mailbox::Mailbox = &mut imap;
    mailbox.select("INBOX").await.unwrap();
    let list = async |mailbox: &mut dyn crate::mailbox::Mailbox| {
        let from = mailbox.position();
        let listed = mailbox.list(from.as_ref(), Since::All, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        let references: Vec<_> = listed.into_iter().map(|message| message.reference).collect();
        (references, mailbox.beyond())
    };
    let (first, beyond) = list(mailbox).await;
    assert_eq!((first.len(), &first[0], beyond), (20_000, &Reference::Uid(30_001), 30_000));
    mailbox.advance(&first);
    let (second, beyond) = list(mailbox).await;
    assert_eq!((second.len(), &second[0], beyond), (10, &Reference::Uid(50_001), 0));
    mailbox.advance(&second);
    // Nothing is asked where nothing can be new.
    assert_eq!(list(mailbox).await, (vec![], 0));
}

/// As many old messages as are listed at once do not hide what comes after them.
#[tokio::test]
async fn a_piece_of_old_messages_is_stepped_over() {
    let select = (
        "SELECT \"INBOX\"",
        "* 20001 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 20002] x\r\n# OK [READ-WRITE] x\r\n",
    );
    let row = |uid, year| {
        format!("* {uid} FETCH (UID {uid} RFC822.SIZE 9 INTERNALDATE \"17-Jul-{year} 02:44:25 +0000\")\r\n")
    };
    let found = (1..=20_001).map(|uid| format!(" {uid}")).collect::<String>();
    let found = format!("* SEARCH{found}\r\n# OK x\r\n");
    let old = (1..=20_000).map(|uid| row(uid, 1996)).collect::<String>() + "# OK x\r\n";
    let new = row(20_001, 2026) + "# OK x\r\n";
    let steps = [
        LOGIN_OK,
        select,
        ("UID SEARCH SINCE ", found.as_str()),
        ("UID FETCH 1:20000 ", old.as_str()),
        ("UID FETCH 19900:*", new.as_str()),
    ];
    let mut imap = open_as(Script::new(GREETING, &steps), &password(), Duration::from_secs(60)).await.unwrap();
    let mailbox: &mut dyn crate::mailbox::Mailbox = &mut imap;
    mailbox.select("INBOX").await.unwrap();
    let now = "2026-07-18T00:00:00Z".parse().unwrap();
    let listed = mailbox.list(None, Since::Days(30), now).await.unwrap();
    assert_eq!(listed.iter().map(|message| &message.reference).collect::<Vec<_>>(), [&Reference::Uid(20_001)]);
    assert_eq!(mailbox.beyond(), 0);
}

#[tokio::test]
async fn a_fetch_that_breaks_off_is_never_taken_for_its_end() {
    let check = async |reply: &str, expected: FaultKind| {
        let mut script = Script::new(GREETING, &[LOGIN_OK, SELECT_OK, ("UID FETCH 5:6 ", reply)]);
        script.hangs_up = true;
        let mut imap = open_as(script, &password(), Duration::from_secs(60)).await.unwrap();
        imap.select("INBOX").await.unwrap();
        let (came, missed) = fetch(&mut imap, &[5, 6]).await;
        assert_eq!(missed.unwrap_err().kind, expected, "{reply}");
        assert_eq!(came, [(5, "five".to_owned())]);
    };
    let five = "* 1 FETCH (UID 5 BODY[]<0> \"five\")\r\n";
    check(five, FaultKind::Closed).await;
    check(&format!("{five}* 2 FETCH (UID 6 BODY[]<0> {{9}}\r\nhalf"), FaultKind::Closed).await;
    check(&format!("{five}* BYE x\r\n"), FaultKind::Closed).await;
    check(&format!("{five}# BAD x\r\n"), FaultKind::Refused("UID FETCH")).await;
    check(&format!("{five}# NO Server Unavailable. 15\r\n"), FaultKind::Unavailable).await;
    check(&format!("{five}# BAD Request is throttled.\r\n"), FaultKind::Throttled).await;
    check(&format!("{five}+ go on\r\n"), FaultKind::Protocol("it asks for more than the command had")).await;
}

/// A function of a multi-threaded runtime, or of Lambda, must be able to hold a session.
#[test]
fn sessions_can_be_sent() {
    fn check<T: Send>(_: impl FnOnce(Server, Login, Reach, Tls) -> T) {}
    check(|server, login, reach, tls| async move {
        let mut imap = Imap::open(&server, &login, &reach, &tls, Instant::now()).await?;
        imap.select("INBOX").await?;
        let listed = imap.list_since(jiff::civil::date(2026, 1, 1)).await?;
        imap.list_from(1).await?;
        imap.fetch(&listed, 1, tokio::sync::mpsc::channel(1).0).await?;
        imap.settle(&[1], &AfterReading::Delete).await?;
        imap.close().await;
        Ok::<(), MailboxFault>(())
    });
}
