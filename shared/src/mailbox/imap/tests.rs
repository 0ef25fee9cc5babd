//! Sessions with a scripted server in memory: what Dovecot would never do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::sasl;
use super::*;
use crate::account::{AfterReading, Encryption};
use crate::secret::ExposeSecret as _;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What the server has to say, and what it heard.
struct Script {
    /// How each line of the client must begin, behind its tag, and what is answered; `#` stands for the tag.
    steps: VecDeque<(String, Vec<u8>)>,
    out: VecDeque<u8>,
    heard: Arc<Mutex<String>>,
    line: Vec<u8>,
    tag: String,
    /// Said over and over when all else is said.
    forever: &'static [u8],
    /// When all is said: hang up, or keep silent.
    hangs_up: bool,
    /// No read goes across this byte of what is said.
    split_at: usize,
    said: usize,
    /// Time between two bytes.
    pause: Option<Duration>,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl Script {
    fn new(greeting: &str, steps: &[(&str, &str)]) -> Self {
        let steps = steps.iter().map(|(command, reply)| ((*command).to_owned(), reply.as_bytes().to_vec()));
        Self {
            steps: steps.collect(),
            out: greeting.bytes().collect(),
            heard: Arc::default(),
            line: vec![],
            tag: String::new(),
            forever: b"",
            hangs_up: false,
            split_at: usize::MAX,
            said: 0,
            pause: None,
            pausing: None,
        }
    }

    fn hear(&mut self, line: &str) {
        self.heard.lock().unwrap().push_str(line);
        let command = match line.split_once(' ') {
            Some((tag, command)) if tag.starts_with(TAG_START) && tag[1..].parse::<u32>().is_ok() => {
                self.tag = tag.to_owned();
                command
            }
            _ => line,
        };
        let Some((expected, reply)) = self.steps.pop_front() else { return };
        assert!(command.starts_with(&expected), "the client sent {line:?} where {expected:?} was due");
        let reply = String::from_utf8(reply).unwrap().replace("\n#", &format!("\n{}", self.tag));
        self.out.extend(reply.strip_prefix('#').map_or(reply.clone(), |rest| format!("{}{rest}", self.tag)).bytes());
    }
}

const TAG_START: char = answer::TAG;

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(pause) = self.pause {
            let pausing = self.pausing.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(pausing.as_mut().poll(cx));
            self.pausing = None;
        }
        if self.out.is_empty() {
            let forever = self.forever;
            while !forever.is_empty() && self.out.len() < 60_000 {
                self.out.extend(forever);
            }
        }
        if self.out.is_empty() {
            return if self.hangs_up { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let until_split = self.split_at.checked_sub(self.said).filter(|left| *left > 0).unwrap_or(usize::MAX);
        let most = if self.pause.is_some() { 1 } else { until_split };
        let count = self.out.len().min(buf.remaining()).min(most);
        let bytes: Vec<u8> = self.out.drain(..count).collect();
        self.said += count;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.line.extend(bytes);
        while let Some(end) = self.line.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.line.drain(..end + 2).collect();
            self.hear(std::str::from_utf8(&line).unwrap());
        }
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2] hello\r\n";
const LOGIN_OK: (&str, &str) = ("AUTHENTICATE PLAIN AGEAYg==", "# OK [CAPABILITY IMAP4rev1 MOVE UIDPLUS] welcome\r\n");
const SELECT_OK: (&str, &str) = (
    "SELECT \"INBOX\"",
    "* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 12] x\r\n# OK [READ-WRITE] x\r\n",
);

fn password() -> Login {
    Login::Password { user: "a".into(), password: Secret::from("b".to_owned()) }
}
fn token() -> Login {
    Login::XOAuth2 { mailbox: "a@example.com".into(), token: Secret::from("tokentoken".to_owned()) }
}

fn server(encryption: Encryption) -> Server {
    Server { host: "mail.example.com".into(), port: 143, encryption }
}

/// Logs in over the script as if TLS stood beneath it.
async fn open_as(script: Script, login: &Login, time: Duration) -> Result<Imap, MailboxFault> {
    let first = sasl::first_message(login).unwrap();
    let secrets = sasl::secrets(login, &first);
    let mut imap = Imap::over(Box::new(script), &server(Encryption::Tls), secrets, Instant::now() + time);
    imap.greet(Encryption::Tls).await?;
    imap.log_in(login, &first).await?;
    Ok(imap)
}

async fn open(steps: &[(&str, &str)]) -> Imap {
    let steps = [&[LOGIN_OK, SELECT_OK], steps].concat();
    let mut imap = open_as(Script::new(GREETING, &steps), &password(), Duration::from_secs(60)).await.unwrap();
    imap.select("INBOX").await.unwrap();
    imap
}

fn listed(uids: &[u32]) -> Vec<Listed> {
    uids.iter().map(|&uid| Listed { uid, size: 3, arrival: None }).collect()
}

async fn fetch(imap: &mut Imap, uids: &[u32]) -> (Vec<(u32, String)>, Result<Vec<Missed>, MailboxFault>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let missed = imap.fetch(&listed(uids), 1000, sender).await;
    let mut came = vec![];
    while let Some(message) = receiver.recv().await {
        came.push((message.uid, String::from_utf8(message.bytes).unwrap()));
    }
    (came, missed)
}

async fn starttls(greeting: &str, steps: &[(&str, &str)]) -> (FaultKind, String) {
    let script = Script::new(greeting, steps);
    let heard = script.heard.clone();
    let (server, tls) = (server(Encryption::Starttls), Tls::new(None).unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    let opened = Imap::open_over(Box::new(script), true, &server, &password(), &tls, deadline).await;
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
        let opened = Imap::open_over(Box::new(script), here, &server, &login, &tls, deadline).await;
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
        assert!(imap.wire.room() <= 128 << 10, "{size}: {} bytes were set aside", imap.wire.room());
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
    check(&steps, refused("to open the folder")).await;
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
    check("a b", "c\"\\d", &[("LOGIN", ok)], "R1 LOGIN \"a b\" \"c\\\"\\\\d\"\r\n").await;
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
    let first = sasl::first_message(&login).unwrap();
    let steps = [("AUTHENTICATE XOAUTH2\r\n", "+ \r\n"), (first.expose_secret(), "# OK x\r\n")];
    assert!(open_as(Script::new(GREETING, &steps), &login, Duration::from_secs(60)).await.is_ok());
}

#[tokio::test]
async fn f09_what_is_expunged_meanwhile_is_said_to_be_gone() {
    let reply = "* 1 FETCH (UID 5 BODY[]<0> \"five\")\r\n* 2 EXPUNGE\r\n* 2 EXISTS\r\n\
                 * 2 FETCH (UID 7 BODY[]<0> \"seven\")\r\n";
    let nil = "* 2 FETCH (UID 6 BODY[]<0> NIL)\r\n";
    let ok = "# OK x\r\n";
    let expunged = "# NO [EXPUNGEISSUED] Some of them are gone\r\n";
    for (first, again) in [
        (format!("{reply}{ok}"), vec![]),
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
        assert_eq!(missed.unwrap(), [Missed { uid: 6, refused: None }]);
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
    let refused = |uid, said: &str| Missed { uid, refused: Some(said.to_owned()) };
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
    let mixed = format!("{}{}", answers(501..=1000, "R4"), answers(1..=500, "R3"));
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
        assert_eq!(message.bytes, message.uid.to_string().into_bytes());
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
    let leaving = async move { receiver.recv().await.unwrap().uid };
    let wanted = listed(&uids);
    let (missed, uid) = tokio::join!(imap.fetch(&wanted, 1000, sender), leaving);
    assert_eq!(uid, 1);
    // The second range was answered without its messages: those are gone; the others were never asked for.
    assert_eq!(missed.unwrap().len(), 500);
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
