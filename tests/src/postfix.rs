//! A real Postfix on loopback, so that bounces are genuine: it relays to a scripted peer, and what comes back to a
//! sender goes into a Maildir that Dovecot can read. Postfix starts only as root.

use crate::process::{Process, free_port, loopback};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// Mail for this domain goes to the scripted peer.
pub const PEER_DOMAIN: &str = "peer.example.com";
/// Mail for this domain is delivered to local users, of whom there are none.
pub const LOCAL_DOMAIN: &str = "local.example.com";

/// What the peer answers to RCPT, by local part; it accepts every other recipient.
pub const REFUSALS: &[(&str, &str)] = &[
    ("unknown", "550 5.1.1 Recipient address rejected: User unknown"),
    ("full", "552 5.2.2 Mailbox is full: quota exceeded"),
    ("blocked", "550 5.7.1 Message refused: sending address is on a block list"),
    ("later", "450 4.2.1 Mailbox is busy, try again later"),
];

/// A running Postfix with its peer.
#[derive(Debug)]
pub struct Postfix {
    port: u16,
    process: Process,
    _peer: Peer,
    _dir: TempDir,
}

impl Postfix {
    /// Starts a Postfix that delivers to `mailboxes`: an address, and the Maildir (made when missing) that its mail
    /// goes to, owned by whoever owns the folder above it (which root gives to nobody).
    pub fn start(mailboxes: &[(&str, &Path)]) -> Result<Self> {
        Self::start_with(mailboxes, "")
    }

    /// The same; `settings` are added to its configuration.
    pub fn start_with(mailboxes: &[(&str, &Path)], settings: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("postfix").tempdir()?;
        let (port, peer) = (free_port()?, Peer::start(REFUSALS)?);
        // Its daemons run as another user and must pass through the folder.
        Command::new("chmod").arg("755").arg(dir.path()).status()?;
        for (name, text) in [
            ("main.cf", main_cf(dir.path(), peer.port, mailboxes)? + settings),
            ("master.cf", master_cf(port)),
            ("mailboxes", mailbox_map(mailboxes)),
        ] {
            std::fs::write(dir.path().join(name), text)?;
        }
        make_queue(dir.path())?;
        let mut master = Command::new("/usr/lib/postfix/sbin/master");
        master.arg("-d").arg("-c").arg(dir.path());
        let mut process = Process::start(&master, &dir.path().join("master.log"))?;
        process
            .wait_for_port(loopback(port), Duration::from_secs(20))
            .with_context(|| std::fs::read_to_string(dir.path().join("mail.log")).unwrap_or_default())?;
        Ok(Self { port, process, _peer: peer, _dir: dir })
    }

    /// Where it takes mail.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Hands it one message over SMTP. `message` has CRLF line ends and is dot-stuffed here.
    pub fn submit(&self, from: &str, to: &[&str], message: &str) -> Result<()> {
        let stream = TcpStream::connect(loopback(self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut session = Session { reader: BufReader::new(stream.try_clone()?), writer: stream };
        session.expect("220").with_context(|| self.log())?;
        session.command("EHLO client.example.com", "250")?;
        session.command(&format!("MAIL FROM:<{from}>"), "250")?;
        for address in to {
            session.command(&format!("RCPT TO:<{address}>"), "250")?;
        }
        session.command("DATA", "354")?;
        let stuffed = message.replace("\r\n.", "\r\n..");
        session.command(&format!("{}\r\n.", stuffed.trim_end_matches("\r\n")), "250")?;
        session.command("QUIT", "221")
    }

    /// Postfix's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self._dir.path().join("mail.log")).unwrap_or_default();
        log + &self.process.output()
    }
}

struct Session {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Session {
    fn command(&mut self, line: &str, expected: &str) -> Result<()> {
        write!(self.writer, "{line}\r\n")?;
        self.expect(expected)
    }

    fn expect(&mut self, expected: &str) -> Result<()> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the server closed the connection instead of answering {expected}");
            }
            if line.as_bytes().get(3) == Some(&b'-') {
                continue;
            }
            if !line.starts_with(expected) {
                bail!("expected {expected}, got {}", line.trim_end());
            }
            return Ok(());
        }
    }
}

/// An SMTP server that answers RCPT as it was told, and accepts and forgets the rest.
#[derive(Debug)]
struct Peer {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    fn start(refusals: &'static [(&'static str, &'static str)]) -> Result<Self> {
        let listener = TcpListener::bind(loopback(0))?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::spawn(move || serve(&stream, refusals));
            }
        });
        Ok(Self { port, stop, thread: Some(thread) })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(loopback(self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One session; it ends with QUIT, with the connection, or after a minute of silence.
fn serve(stream: &TcpStream, refusals: &[(&str, &str)]) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    let mut say = move |reply: &str| write!(writer, "{reply}\r\n").ok();
    say("220 mx.peer.example.com ESMTP")?;
    while let Some(Ok(line)) = lines.next() {
        let verb = line.get(..4).unwrap_or("").to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say("250 mx.peer.example.com")?,
            "RCPT" => say(rcpt_reply(&line, refusals))?,
            "DATA" => {
                say("354 go on")?;
                while lines.next()?.ok()? != "." {}
                say("250 2.0.0 taken")?;
            }
            "QUIT" => {
                say("221 2.0.0 bye")?;
                return Some(());
            }
            _ => say("250 2.0.0 ok")?,
        }
    }
    None
}

fn rcpt_reply<'a>(line: &str, refusals: &[(&str, &'a str)]) -> &'a str {
    let local_part = line.split(['<', '@']).nth(1).unwrap_or("");
    refusals.iter().find(|(name, _)| *name == local_part).map_or("250 2.1.5 ok", |(_, reply)| reply)
}

fn make_queue(dir: &Path) -> Result<()> {
    let check = Command::new("postfix").arg("-c").arg(dir).arg("check").output().context("Postfix is not installed")?;
    if !check.status.success() {
        bail!("postfix check: {}", String::from_utf8_lossy(&check.stderr));
    }
    Ok(())
}

fn mailbox_map(mailboxes: &[(&str, &Path)]) -> String {
    mailboxes.iter().map(|(address, maildir)| format!("{address} {}/\n", maildir.display())).collect()
}

const NOBODY: (u32, u32) = (65534, 65534);

/// Who is to own the mail below `folder`: its owner, or nobody where that is root, for whom Postfix delivers nothing.
fn owner(folder: &Path) -> Result<(u32, u32)> {
    let metadata = std::fs::metadata(folder).with_context(|| folder.display().to_string())?;
    if metadata.uid() != 0 {
        return Ok((metadata.uid(), metadata.gid()));
    }
    std::os::unix::fs::chown(folder, Some(NOBODY.0), Some(NOBODY.1))?;
    Ok(NOBODY)
}

fn main_cf(dir: &Path, peer: u16, mailboxes: &[(&str, &Path)]) -> Result<String> {
    let dir_name = dir.display();
    for folder in ["spool", "data"] {
        std::fs::create_dir(dir.join(folder))?;
    }
    Command::new("chown").arg("postfix").arg(dir.join("data")).status().context("chown")?;
    let domains: Vec<_> = mailboxes.iter().filter_map(|(address, _)| Some(address.split_once('@')?.1)).collect();
    let (uid, gid) = match mailboxes.first().and_then(|(_, maildir)| maildir.parent()) {
        Some(parent) => owner(parent)?,
        None => NOBODY,
    };
    Ok(format!(
        "compatibility_level = 3.6
queue_directory = {dir_name}/spool
data_directory = {dir_name}/data
maillog_file = {dir_name}/mail.log
maillog_file_prefixes = {dir_name}
myhostname = mail.example.com
mydestination = {LOCAL_DOMAIN}
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_host_lookup = native
# Unknown local users are taken first and bounced afterwards.
local_recipient_maps =
alias_maps =
alias_database =
transport_maps = inline:{{ {PEER_DOMAIN}=smtp:[127.0.0.1]:{peer} }}
default_transport = error:5.4.4 no route in a test
virtual_mailbox_domains = {domains}
virtual_mailbox_base = /
virtual_mailbox_maps = texthash:{dir_name}/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtp_tls_security_level = none
smtpd_tls_security_level = none
# A final failure within seconds, also of what the peer puts off.
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
maximal_queue_lifetime = 6s
bounce_queue_lifetime = 6s
# Several recipients of one message share a bounce.
default_destination_recipient_limit = 50
",
        domains = domains.join(" ")
    ))
}

fn master_cf(port: u16) -> String {
    // Name, type, unprivileged (local and virtual delivery need root), process limit, program.
    let services = [
        (format!("127.0.0.1:{port}"), "inet", "-", "-", "smtpd"),
        ("cleanup".into(), "unix", "-", "0", "cleanup"),
        ("qmgr".into(), "unix", "-", "1", "qmgr"),
        ("rewrite".into(), "unix", "-", "-", "trivial-rewrite"),
        ("bounce".into(), "unix", "-", "0", "bounce"),
        ("defer".into(), "unix", "-", "0", "bounce"),
        ("trace".into(), "unix", "-", "0", "bounce"),
        ("verify".into(), "unix", "-", "1", "verify"),
        ("tlsmgr".into(), "unix", "-", "1", "tlsmgr"),
        ("proxymap".into(), "unix", "-", "-", "proxymap"),
        ("smtp".into(), "unix", "-", "-", "smtp"),
        ("error".into(), "unix", "-", "-", "error"),
        ("retry".into(), "unix", "-", "-", "error"),
        ("local".into(), "unix", "n", "-", "local"),
        ("virtual".into(), "unix", "n", "-", "virtual"),
        ("anvil".into(), "unix", "-", "1", "anvil"),
        ("scache".into(), "unix", "-", "1", "scache"),
        ("postlog".into(), "unix-dgram", "n", "1", "postlogd"),
    ];
    let mut text = String::new();
    for (name, kind, unprivileged, limit, program) in services {
        let public = kind != "unix" || matches!(program, "cleanup" | "qmgr");
        let private = if public { "n" } else { "y" };
        text.push_str(&format!("{name} {kind} {private} {unprivileged} n - {limit} {program}\n"));
    }
    text
}
