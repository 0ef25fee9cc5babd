//! Listing, reading, deleting: what is remembered, and what is only so after QUIT.

use super::*;

const UIDL: (&str, &str) = ("UIDL\r\n", "+OK\r\n1 aa\r\n2 bb\r\n3 cc\r\n.\r\n");
const LIST: (&str, &str) = ("LIST\r\n", "+OK\r\n1 10\r\n2 10\r\n3 10\r\n.\r\n");

fn reply(body: &str) -> String {
    format!("+OK\r\n{body}\r\n.\r\n")
}

#[tokio::test]
async fn what_was_read_is_not_listed_again() {
    let (one, two, three) = (reply("one"), reply("two"), reply("three"));
    let steps = [UIDL, LIST, ("RETR 1\r\n", &one), ("RETR 2\r\n", &two), ("RETR 3\r\n", &three), ("QUIT", "+OK\r\n")];
    let mut pop3 = open(&steps).await;
    let listed = list(&mut pop3, None, Since::All).await.unwrap();
    assert_eq!(names(&listed), ["aa", "bb", "cc"]);
    let (came, missed) = fetch(&mut pop3, &listed).await.unwrap();
    let expected = [("aa", "one"), ("bb", "two"), ("cc", "three")];
    assert_eq!(came, expected.map(|(name, text)| (name.to_owned(), format!("{text}\r\n"), false)));
    assert_eq!(missed, []);
    pop3.advance(&[Reference::Name("aa".into()), Reference::Name("cc".into())]);
    let position = Mailbox::position(&pop3).unwrap();
    Box::new(pop3).close().await.unwrap();
    let mut pop3 = open(&[UIDL, LIST]).await;
    assert_eq!(names(&list(&mut pop3, Some(&position), Since::New).await.unwrap()), ["bb"]);
    // In another order, with arrivals and without what was expunged.
    let uidl = ("UIDL\r\n", "+OK\r\n1 dd\r\n2 cc\r\n3 bb\r\n.\r\n");
    let mut pop3 = open(&[uidl, LIST]).await;
    assert_eq!(names(&list(&mut pop3, Some(&position), Since::All).await.unwrap()), ["dd", "bb"]);
}

/// Of a large mailbox a piece is listed at a time, the next one in the same session.
#[tokio::test]
async fn a_large_mailbox_is_listed_piece_by_piece() {
    let lines = |line: fn(u32) -> String| format!("+OK\r\n{}.\r\n", (1..20_003).map(line).collect::<String>());
    let uidl = lines(|number| format!("{number} u{number}\r\n"));
    let sizes = lines(|number| format!("{number} 10\r\n"));
    let (uidl, sizes) = (("UIDL\r\n", uidl.as_str()), ("LIST\r\n", sizes.as_str()));
    let steps = [uidl, sizes, ("DELE 1\r\n", "+OK\r\n"), uidl, sizes];
    let mut pop3 = open(&steps).await;
    let listed = list(&mut pop3, None, Since::Days(9)).await.unwrap();
    assert_eq!((listed.len(), Mailbox::beyond(&pop3)), (20_000, 2));
    assert_eq!((listed[0].size, &listed[19_999].reference), (10, &Reference::Name("u20000".into())));
    let references: Vec<Reference> = listed.into_iter().map(|message| message.reference).collect();
    pop3.settle(&references[..1], &AfterReading::Delete).await.unwrap();
    pop3.advance(&references);
    let position = Mailbox::position(&pop3).unwrap();
    let Position::Pop3(read) = &position else { panic!() };
    assert!(read.since != 0 && read.uidls.len() == 19_999, "not read whole");
    // The server still names the one that QUIT will delete.
    let listed = list(&mut pop3, Some(&position), Since::Days(9)).await.unwrap();
    assert_eq!((names(&listed), Mailbox::beyond(&pop3)), (vec!["u20001".to_owned(), "u20002".to_owned()], 0));
}

/// RFC 1939 §7 forbids it; each is read.
#[tokio::test]
async fn messages_of_one_unique_id_are_told_apart() {
    let uidl = ("UIDL\r\n", "+OK\r\n1 aa\r\n2 bb\r\n3 aa\r\n4 aa\r\n.\r\n");
    let mut pop3 = open(&[uidl, LIST]).await;
    assert_eq!(names(&list(&mut pop3, None, Since::All).await.unwrap()), ["aa", "bb", "aa 2", "aa 3"]);
    pop3.advance(&["aa", "aa 2"].map(|name| Reference::Name(name.into())));
    let position = Mailbox::position(&pop3).unwrap();
    let mut pop3 = open(&[uidl, LIST]).await;
    assert_eq!(names(&list(&mut pop3, Some(&position), Since::All).await.unwrap()), ["bb", "aa 3"]);
}

#[tokio::test]
async fn without_new_mail_it_costs_one_command_and_the_farewell() {
    let mut pop3 = open(&[("UIDL\r\n", "+OK\r\n.\r\n")]).await;
    assert_eq!(list(&mut pop3, None, Since::All).await.unwrap(), []);
    assert!(Mailbox::position(&pop3).is_some());
    assert_eq!(Mailbox::round_trips(&pop3), 4);
    let uidls = ["aa", "bb", "cc"].map(crate::cursor::Pop3Position::hash).to_vec();
    let position = Position::Pop3(crate::cursor::Pop3Position { since: 0, uidls });
    let mut pop3 = open(&[UIDL]).await;
    assert_eq!(list(&mut pop3, Some(&position), Since::All).await.unwrap(), []);
    assert_eq!(Mailbox::round_trips(&pop3), 4);
}

#[tokio::test]
async fn commands_are_sent_ahead_where_the_server_takes_them() {
    // Nothing is said to the first two; then all three are answered at once.
    let all = [reply("one"), reply("two"), reply("three")].concat();
    let steps = [UIDL, LIST, ("RETR 1\r\n", ""), ("RETR 2\r\n", ""), ("RETR 3\r\n", &all)];
    let mut pop3 = open(&steps).await;
    let listed = list(&mut pop3, None, Since::All).await.unwrap();
    let before = Mailbox::round_trips(&pop3);
    assert_eq!(fetch(&mut pop3, &listed).await.unwrap().0.len(), 3);
    assert_eq!(Mailbox::round_trips(&pop3), before + 1);
}

#[tokio::test]
async fn since_leaves_out_by_the_topmost_received() {
    let at = |day: &str| format!("Received: x; {day} 10:00:00 +0000\r\nSubject: x\r\n\r\n");
    let (old, new) = (at("1 Sep 2026"), at("19 Nov 2026"));
    let (old, new) = (reply(&old), reply(&new));
    let top = |number| format!("TOP {number} 0\r\n");
    let tops = [top(1), top(2), top(3)];
    let steps = [UIDL, LIST, (&tops[0], &old), (&tops[1], &new), (&tops[2], &old), ("RETR 2\r\n", &new)];
    let mut pop3 = open(&steps).await;
    let listed = list(&mut pop3, None, Since::Days(30)).await.unwrap();
    let (came, missed) = fetch(&mut pop3, &listed).await.unwrap();
    assert_eq!(came.len(), 1);
    assert_eq!(missed, [("aa".to_owned(), None), ("cc".to_owned(), None)]);
    let references: Vec<Reference> = listed.iter().map(|message| message.reference.clone()).collect();
    pop3.advance(&references);
    // Read whole: from now on everything is new.
    let Some(Position::Pop3(position)) = Mailbox::position(&pop3) else { panic!() };
    assert_eq!((position.since, position.uidls.len()), (0, 3));
    // `new` reads nothing of what is there.
    let mut pop3 = open(&[UIDL]).await;
    assert_eq!(list(&mut pop3, None, Since::New).await.unwrap(), []);
    let Some(Position::Pop3(position)) = Mailbox::position(&pop3) else { panic!() };
    assert_eq!(position.uidls.len(), 3);
}

#[tokio::test]
async fn f03_what_is_to_be_deleted_is_remembered_by_the_server_alone() {
    let ok = "+OK\r\n";
    let steps = [UIDL, LIST, ("DELE 1\r\n", ok), ("DELE 3\r\n", "-ERR message is deleted\r\n")];
    for (quit, kind) in [(Some(ok), None), (None, Some(FaultKind::Closed))] {
        let mut script = Script::new(GREETING, &[&[CAPA, LOGIN], &steps[..]].concat());
        script.steps.extend(quit.map(|reply| ("QUIT".to_owned(), reply.as_bytes().to_vec())));
        script.hangs_up = true;
        let mut pop3 = open_as(script, &password(), Duration::from_secs(60)).await.unwrap();
        list(&mut pop3, None, Since::All).await.unwrap();
        let named = |name: &str| Reference::Name(name.to_owned());
        pop3.settle(&[named("aa"), named("cc")], &AfterReading::Delete).await.unwrap();
        pop3.advance(&["aa", "bb", "cc"].map(named));
        let Some(Position::Pop3(position)) = Mailbox::position(&pop3) else { panic!() };
        assert_eq!(position.uidls, [crate::cursor::Pop3Position::hash("bb")]);
        assert_eq!(Box::new(pop3).close().await.err().map(|fault| fault.kind), kind);
    }
    let mut pop3 = open(&[UIDL, LIST]).await;
    list(&mut pop3, None, Since::All).await.unwrap();
    for what in [AfterReading::Seen, AfterReading::Move("Done".into())] {
        let fault = pop3.settle(&[Reference::Name("aa".into())], &what).await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::NoMechanism(_)), "{fault}");
    }
}

#[tokio::test]
async fn time_that_ends_in_a_message_does_not_undo_what_was_deleted() {
    let body = "+OK\r\nx\r\n.\r\n";
    for (quit, kind) in [("+OK bye\r\n", None), ("-ERR not all\r\n", Some(FaultKind::Refused("QUIT")))] {
        let steps = [UIDL, LIST, ("DELE 1", "+OK\r\n"), ("RETR 2", body), ("RETR 3", body), ("QUIT", quit)];
        let script = Script::new(GREETING, &[&[CAPA, LOGIN], &steps[..]].concat());
        let mut pop3 = open_as(script, &password(), Duration::from_millis(200)).await.unwrap();
        let listed = list(&mut pop3, None, Since::All).await.unwrap();
        pop3.settle(&[listed[0].reference.clone()], &AfterReading::Delete).await.unwrap();
        // Nobody takes what comes: the first waits for room until the time is over.
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender
            .send(super::super::super::Fetched {
                reference: Reference::Uid(1),
                size: 0,
                arrival: None,
                bytes: vec![],
                cut: false,
            })
            .await
            .unwrap();
        let fault = pop3.fetch(&listed[1..], sender).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Deadline);
        assert_eq!(Box::new(pop3).close().await.err().map(|fault| fault.kind), kind);
        drop(receiver);
    }
}

#[tokio::test]
async fn a_message_that_is_refused_does_not_stop_the_others() {
    let steps = [
        UIDL,
        LIST,
        ("RETR 1\r\n", "-ERR no use\r\n"),
        ("RETR 2\r\n", "-ERR no such message\r\n"),
        ("RETR 3\r\n", "+OK\r\nx\r\n.\r\n"),
    ];
    let mut pop3 = open(&steps).await;
    let listed = list(&mut pop3, None, Since::All).await.unwrap();
    let (came, missed) = fetch(&mut pop3, &listed).await.unwrap();
    assert_eq!(came.len(), 1);
    assert_eq!(missed, [("aa".to_owned(), Some("no use".to_owned())), ("bb".to_owned(), None)]);
}

#[tokio::test]
async fn a_large_message_is_asked_for_in_part() {
    let sizes = "+OK\r\n1 10\r\n2 99999999999999999999\r\n3 200000000\r\n.\r\n";
    let part = reply("head");
    // A size that is no number is no size: the whole is asked for, and only what we keep is kept.
    let steps = [UIDL, ("LIST", sizes), ("RETR 1", &part), ("RETR 2", &part), ("TOP 3 69905\r\n", &part)];
    let mut pop3 = open(&steps).await;
    let listed = list(&mut pop3, None, Since::All).await.unwrap();
    assert_eq!(listed.iter().map(|message| message.size).collect::<Vec<_>>(), [10, u32::MAX, 200_000_000]);
    let (came, _) = fetch(&mut pop3, &listed).await.unwrap();
    assert_eq!(came.iter().map(|(.., cut)| *cut).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn other_folders_are_not_there() {
    let mut pop3 = open(&[]).await;
    let fault = pop3.select("Junk").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::FolderMissing("Junk".into()));
}
