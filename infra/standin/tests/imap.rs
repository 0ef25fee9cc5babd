//! The stand-in IMAP server by raw sockets, and by Python's imaplib as a client that nobody here wrote.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rebond_standin::imap::{ImapAction, ImapFault};
use rebond_standin::{Admission, ImapServer, ImapSettings, demo_mail};
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BOX: &str = "bounces@example.org";

/// `good` opens the mailbox, `other` is a token of somebody else.
async fn server() -> ImapServer {
    let gate = Arc::new(|mailbox: &str, token: &str| match token {
        "good" if mailbox == BOX => Admission::Connected,
        "good" | "other" => Admission::NotConnected,
        _ => Admission::Refused,
    });
    let passwords = [("old@example.org".to_owned(), "pass word".to_owned())].into();
    ImapServer::start(ImapSettings { passwords, ..ImapSettings::new(gate) }).await.unwrap()
}

struct Client<S> {
    stream: S,
    seen: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads until a line begins with `start`; all that came. Empty when the connection ends first.
    async fn until(&mut self, start: &str) -> String {
        loop {
            let whole = self.seen.rfind("\r\n").map_or(0, |at| at + 2);
            let mut from = 0;
            for line in self.seen[..whole].split_inclusive("\r\n") {
                from += line.len();
                if line.starts_with(start) {
                    return self.seen.drain(..from).collect();
                }
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut buffer));
            match read.await.expect("an answer in ten seconds") {
                Ok(0) | Err(_) => return String::new(),
                Ok(count) => self.seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
            }
        }
    }

    async fn ask(&mut self, command: &str) -> String {
        self.send(&format!("a {command}\r\n")).await;
        self.until("a ").await
    }

    /// The last line of the answer.
    async fn verdict(&mut self, command: &str) -> String {
        self.ask(command).await.lines().last().unwrap_or_default().to_owned()
    }
}

async fn encrypt<S: AsyncRead + AsyncWrite + Unpin>(
    server: &ImapServer,
    stream: S,
) -> tokio_rustls::client::TlsStream<S> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

async fn connect(server: &ImapServer) -> Client<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", server.tls_port())).await.unwrap();
    let mut client = Client { stream: encrypt(server, stream).await, seen: String::new() };
    assert!(client.until("* OK").await.contains("ready"));
    client
}

fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

/// Logged in and INBOX selected.
async fn selected(server: &ImapServer) -> Client<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut client = connect(server).await;
    let verdict = client.verdict(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(BOX, "good"))).await;
    assert_eq!(verdict, "a OK AUTHENTICATE completed.");
    assert!(client.verdict("SELECT INBOX").await.starts_with("a OK [READ-WRITE]"));
    client
}

fn arrival(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_capabilities_are_those_of_exchange() {
    let server = server().await;
    let answer = connect(&server).await.ask("CAPABILITY").await;
    let expected = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+\r\n";
    assert!(answer.starts_with(expected), "{answer}");
}

#[tokio::test]
async fn tokens_are_refused_admitted_and_not_connected() {
    let server = server().await;
    let check = async |user: &str, token: &str, login: &str, select: &str| {
        let mut client = connect(&server).await;
        assert_eq!(client.verdict(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(user, token))).await, login);
        let verdict = client.verdict("SELECT INBOX").await;
        assert!(verdict.starts_with(select), "{user} {token}: {verdict}");
    };
    check(BOX, "good", "a OK AUTHENTICATE completed.", "a OK [READ-WRITE]").await;
    check(BOX, "bad", "a NO AUTHENTICATE failed.", "a BAD Command received in Invalid state.").await;
    check(BOX, "other", "a OK AUTHENTICATE completed.", "a BAD User is authenticated but not connected.").await;
    check("x@example.org", "good", "a OK AUTHENTICATE completed.", "a BAD User is authenticated but not connected.")
        .await;

    let mut client = connect(&server).await;
    client.send("a AUTHENTICATE XOAUTH2\r\n").await;
    assert_eq!(client.until("+").await, "+ \r\n");
    client.send(&format!("{}\r\n", xoauth2(BOX, "good"))).await;
    assert_eq!(client.until("a ").await, "a OK AUTHENTICATE completed.\r\n");

    let mut client = connect(&server).await;
    let one_end = STANDARD.encode(format!("user={BOX}\u{1}auth=Bearer good\u{1}"));
    assert_eq!(client.verdict(&format!("AUTHENTICATE XOAUTH2 {one_end}")).await, "a NO AUTHENTICATE failed.");
    assert!(client.verdict("AUTHENTICATE XOAUTH2 !!!").await.starts_with("a BAD"));
    assert!(client.verdict("AUTHENTICATE OAUTHBEARER eA==").await.starts_with("a NO"));
}

#[tokio::test]
async fn passwords_are_disabled_unless_allowed() {
    let server = server().await;
    let mut client = connect(&server).await;
    let refused = "a NO Basic authentication is disabled.";
    assert_eq!(client.verdict("LOGIN bounces@example.org x").await, refused);
    assert_eq!(
        client.verdict(&format!("AUTHENTICATE PLAIN {}", STANDARD.encode("\0bounces@example.org\0x"))).await,
        refused
    );
    assert_eq!(client.verdict("LOGIN old@example.org wrong").await, "a NO LOGIN failed.");
    client.send("a LOGIN old@example.org {9}\r\n").await;
    assert!(client.until("+").await.starts_with("+ "));
    client.send("pass word\r\n").await;
    assert_eq!(client.until("a ").await, "a OK LOGIN completed.\r\n");
    assert!(client.verdict("SELECT INBOX").await.starts_with("a OK"));
}

#[tokio::test]
async fn nothing_is_told_to_the_plain_port_before_starttls() {
    let server = server().await;
    let stream = TcpStream::connect(("127.0.0.1", server.plain_port())).await.unwrap();
    let mut client = Client { stream, seen: String::new() };
    client.until("* OK").await;
    assert!(client.ask("CAPABILITY").await.contains("STARTTLS LOGINDISABLED"));
    assert!(client.verdict("LOGIN old@example.org \"pass word\"").await.starts_with("a NO"));
    assert!(client.verdict(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(BOX, "good"))).await.starts_with("a NO"));
    assert!(client.verdict("STARTTLS").await.starts_with("a OK"));
    let mut client = Client { stream: encrypt(&server, client.stream).await, seen: String::new() };
    assert!(client.verdict(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(BOX, "good"))).await.starts_with("a OK"));
}

#[tokio::test]
async fn messages_are_found_and_fetched() {
    let server = server().await;
    server.deliver(
        BOX,
        "INBOX",
        b"Subject: one\r\nX-A: 1\r\n 2\r\n\r\nfirst\r\n".to_vec(),
        arrival("2026-10-01T10:00:00Z"),
    );
    server.deliver(BOX, "INBOX", b"Subject: two\r\n\r\nsecond\r\n".to_vec(), arrival("2026-11-02T03:04:05Z"));
    let mut client = selected(&server).await;
    let check = async |client: &mut Client<_>, command: &str, expected: &str| {
        let answer = client.ask(command).await;
        assert_eq!(answer.rsplit_once("a OK").map(|(before, _)| before), Some(expected), "{command}: {answer}");
    };
    let client = &mut client;
    check(client, "UID SEARCH ALL", "* SEARCH 1 2\r\n").await;
    check(client, "UID SEARCH SINCE 02-Nov-2026", "* SEARCH 2\r\n").await;
    check(client, "UID SEARCH SINCE 3-Nov-2026", "* SEARCH\r\n").await;
    check(client, "UID SEARCH UID 2:*", "* SEARCH 2\r\n").await;
    check(client, "UID SEARCH UID 9:*", "* SEARCH 2\r\n").await;
    check(client, "UID SEARCH OR SEEN NOT BEFORE 1-Nov-2026 SMALLER 99", "* SEARCH 2\r\n").await;
    check(
        client,
        "UID FETCH 2 (FLAGS RFC822.SIZE INTERNALDATE)",
        "* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 24 INTERNALDATE \" 2-Nov-2026 03:04:05 +0000\")\r\n",
    )
    .await;
    check(client, "UID FETCH 2 BODY.PEEK[TEXT]", "* 2 FETCH (UID 2 BODY[TEXT] {8}\r\nsecond\r\n)\r\n").await;
    check(client, "UID FETCH 2 (UID BODY.PEEK[]<9.6>)", "* 2 FETCH (UID 2 BODY[]<9> {6}\r\ntwo\r\n\r)\r\n").await;
    check(client, "UID FETCH 2 (UID BODY.PEEK[]<99.6>)", "* 2 FETCH (UID 2 BODY[]<99> {0}\r\n)\r\n").await;
    check(
        client,
        "FETCH 1 BODY.PEEK[HEADER.FIELDS (X-A)]",
        "* 1 FETCH (BODY[HEADER.FIELDS (X-A)] {14}\r\nX-A: 1\r\n 2\r\n\r\n)\r\n",
    )
    .await;
    check(client, "UID FETCH 1 FLAGS", "* 1 FETCH (UID 1 FLAGS ())\r\n").await;
    let answer = client.ask("UID FETCH 1 BODY[]").await;
    assert!(answer.contains("FLAGS (\\Seen)"), "{answer}");
    assert!(client.verdict("UID FETCH 1 (NONSENSE)").await.starts_with("a BAD"));
    assert!(client.verdict("UID FETCH x FLAGS").await.starts_with("a BAD"));
    assert_eq!(server.messages(BOX, "INBOX"), [(1, vec!["\\Seen".to_owned()]), (2, vec![])]);
}

#[tokio::test]
async fn messages_are_marked_copied_moved_and_expunged() {
    let server = server().await;
    for number in 1..=4 {
        let bytes = format!("Subject: {number}\r\n\r\nx\r\n").into_bytes();
        server.deliver(BOX, "INBOX", bytes, arrival("2026-11-02T03:04:05Z"));
    }
    let mut client = selected(&server).await;
    assert!(client.verdict("UID MOVE 1 Done").await.starts_with("a NO [TRYCREATE]"));
    assert_eq!(client.verdict("CREATE Done").await, "a OK CREATE completed.");
    assert!(client.verdict("CREATE Done").await.starts_with("a NO"));
    assert_eq!(
        client.ask("UID STORE 1,2 +FLAGS (\\Seen)").await,
        "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 FLAGS (\\Seen))\r\na OK STORE completed.\r\n"
    );
    assert_eq!(client.ask("UID STORE 2 -FLAGS.SILENT (\\seen)").await, "a OK STORE completed.\r\n");
    assert!(client.verdict("UID COPY 1 Done").await.starts_with("a OK [COPYUID 1002 1 1]"));
    let answer = client.ask("UID MOVE 2:3 Done").await;
    assert_eq!(answer, "* OK [COPYUID 1002 2,3 2,3]\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\na OK MOVE completed.\r\n");
    client.ask("UID STORE 1,4 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.ask("UID EXPUNGE 4").await, "* 2 EXPUNGE\r\na OK EXPUNGE completed.\r\n");
    assert_eq!(server.messages(BOX, "INBOX"), [(1, vec!["\\Deleted".to_owned(), "\\Seen".to_owned()])]);
    assert_eq!(server.messages(BOX, "Done").iter().map(|(uid, _)| *uid).collect::<Vec<_>>(), [1, 2, 3]);
    let list = client.ask("LIST \"\" \"*\"").await;
    assert!(list.contains("\"Done\"") && list.contains("\"INBOX\""), "{list}");
    assert!(client.verdict("EXAMINE INBOX").await.starts_with("a OK [READ-ONLY]"));
    assert!(client.verdict("UID STORE 1 +FLAGS (\\Seen)").await.starts_with("a NO"));
    assert!(client.verdict("SELECT Missing").await.starts_with("a NO"));
    assert!(client.verdict("UID SEARCH ALL").await.starts_with("a BAD"));
}

#[tokio::test]
async fn a_client_that_idles_hears_of_new_mail() {
    let server = server().await;
    let mut client = selected(&server).await;
    client.send("a IDLE\r\n").await;
    client.until("+").await;
    server.deliver(BOX, "INBOX", b"\r\nx".to_vec(), arrival("2026-11-02T03:04:05Z"));
    assert_eq!(client.until("*").await, "* 1 EXISTS\r\n");
    client.send("DONE\r\n").await;
    assert_eq!(client.until("a ").await, "a OK IDLE completed.\r\n");
}

#[tokio::test]
async fn scripted_faults_happen_when_they_are_told_to() {
    let server = server().await;
    server.deliver(BOX, "INBOX", b"Subject: x\r\n\r\nbody\r\n".to_vec(), arrival("2026-11-02T03:04:05Z"));
    let script = |command: &str, after: usize, action: ImapAction| {
        server.script(ImapFault { command: command.to_owned(), after, times: 1, action });
    };
    let throttled = "BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds";
    script("SELECT", 1, ImapAction::Tagged(throttled.to_owned()));
    let mut client = selected(&server).await;
    assert_eq!(client.verdict("SELECT INBOX").await, format!("a {throttled}"));
    assert!(client.verdict("SELECT INBOX").await.starts_with("a OK"));
    script("UID FETCH", 0, ImapAction::CutAfter(20));
    client.send("a UID FETCH 1 BODY.PEEK[]\r\n").await;
    assert_eq!(client.until("a ").await, "");
    assert_eq!(client.seen.len(), 20);
    script("NOOP", 0, ImapAction::Bye("Connection closed. 14".to_owned()));
    let mut client = selected(&server).await;
    client.send("a NOOP\r\n").await;
    assert_eq!(client.until("* BYE").await, "* BYE Connection closed. 14\r\n");
    script("", 0, ImapAction::Drop);
    let mut client = connect(&server).await;
    assert_eq!(client.ask("NOOP").await, "");
    let before = server.messages(BOX, "INBOX");
    server.renumber(BOX, "INBOX");
    assert_eq!(server.messages(BOX, "INBOX"), before);
    assert!(selected(&server).await.ask("STATUS INBOX (UIDVALIDITY)").await.contains("UIDVALIDITY 101001"));
}

/// imaplib has its own parser of answers and its own idea of SASL.
#[tokio::test(flavor = "multi_thread")]
async fn an_independent_client_reads_the_demo_mail() {
    let server = server().await;
    for bytes in demo_mail() {
        server.deliver(BOX, "INBOX", bytes.to_vec(), arrival("2026-11-20T09:00:00Z"));
    }
    let script = r#"
import imaplib, ssl, sys, email
context = ssl.create_default_context(cadata=sys.argv[2])
client = imaplib.IMAP4_SSL("localhost", int(sys.argv[1]), ssl_context=context)
client.authenticate("XOAUTH2", lambda _: b"user=bounces@example.org\x01auth=Bearer good\x01\x01")
assert client.select()[1] == [b"13"]
kind, data = client.uid("SEARCH", "SINCE", "01-Nov-2026")
for uid in data[0].split():
    kind, data = client.uid("FETCH", uid, "(UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])")
    message = email.message_from_bytes(data[0][1])
    assert not message.defects, message.defects
    print(message.get_content_type(), message.get_param("report-type"))
client.create("Done")
assert client.uid("MOVE", "1:3", "Done")[0] == "OK"
client.uid("STORE", "4", "+FLAGS", "(\\Deleted)")
client.uid("EXPUNGE", "4")
assert client.select("Done")[1] == [b"3"]
client.append("Done", None, None, b"Subject: x\r\n\r\nappended\r\n")
assert client.select("INBOX")[1] == [b"9"]
assert client.logout()[0] == "BYE"
"#;
    let run = std::process::Command::new("python3")
        .args(["-c", script, &server.tls_port().to_string(), server.ca_pem()])
        .output();
    let Ok(run) = run else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{err}");
    assert_eq!(out.matches("multipart/report delivery-status").count(), 9, "{out}");
    assert_eq!(out.matches("multipart/report feedback-report").count(), 1, "{out}");
    assert_eq!(server.messages(BOX, "Done").len(), 4);
}
