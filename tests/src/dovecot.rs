//! A real Dovecot in a directory of its own: own configuration, ports, CA, users; tokens by introspection (RFC 7662) at
//! an endpoint served here. It ends with the value.

use anyhow::{Context, Result, ensure};
use axum::{Form, Json, Router, extract::State, routing::post};
use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What to run where Dovecot is missing.
pub const INSTALL: &str = "apt-get install -y --no-install-recommends dovecot-imapd dovecot-pop3d";
/// The user whose login is by password.
pub const USER: &str = "basic@example.com";
/// Users with mailboxes of their own and the same password.
pub const USERS: [&str; 6] =
    [USER, "a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"];
/// Its password, with what must be quoted and encoded rightly.
pub const PASSWORD: &str = "p\u{e4}ss \"w\\rd&{5}";
/// The mailbox whose login is by token.
pub const MAILBOX: &str = "bounce@example.com";
/// Its token.
pub const TOKEN: &str = "good-token-e30.e30.c2ln";

type Tokens = Arc<Mutex<HashMap<String, String>>>;

/// A running Dovecot.
pub struct Dovecot {
    dir: tempfile::TempDir,
    master: Child,
    introspection: tokio::task::JoinHandle<()>,
    tokens: Tokens,
    delivered: AtomicUsize,
    /// IMAP in clear, with STARTTLS.
    pub imap: u16,
    /// IMAP over TLS.
    pub imaps: u16,
    /// POP3 in clear, with STLS.
    pub pop3: u16,
    /// POP3 over TLS.
    pub pop3s: u16,
    /// The CA that signed its certificate (for localhost, 127.0.0.1 and ::1), as PEM.
    pub ca_pem: String,
}

impl Dovecot {
    /// Starts it; `settings` are added to its configuration.
    pub async fn start_with(settings: &str) -> Result<Self> {
        let found = Command::new("doveadm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(found.is_ok(), "Dovecot is not installed. Run: {INSTALL}");
        let dir = tempfile::tempdir()?;
        let [imap, imaps, pop3, pop3s] = free_ports()?;
        let tokens: Tokens = Arc::new(Mutex::new(HashMap::from([(TOKEN.to_owned(), MAILBOX.to_owned())])));
        let (introspection_port, introspection) = serve_introspection(tokens.clone()).await?;
        let ca_pem = write_certificate(dir.path())?;
        let ports = [imap, imaps, pop3, pop3s];
        write_configuration(dir.path(), ports, introspection_port, settings)?;
        // The kernel ends it too, should the test be killed.
        let master = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", "dovecot", "-F", "-c"])
            .arg(dir.path().join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dovecot")?;
        let delivered = AtomicUsize::new(0);
        let dovecot = Self { dir, master, introspection, tokens, delivered, imap, imaps, pop3, pop3s, ca_pem };
        dovecot.wait_until_ready().await?;
        Ok(dovecot)
    }

    /// Starts it.
    pub async fn start() -> Result<Self> {
        Self::start_with("").await
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.imaps)).await.is_err() {
            ensure!(Instant::now() < end, "dovecot did not start:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Where its configuration, `cert.pem` and `key.pem` are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Makes a token good for a mailbox, or good for nothing.
    pub fn set_token(&self, token: &str, mailbox: Option<&str>) {
        let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match mailbox {
            Some(mailbox) => tokens.insert(token.to_owned(), mailbox.to_owned()),
            None => tokens.remove(token),
        };
    }

    /// Ends the endpoint that knows tokens, as when the identity provider is down.
    pub fn stop_introspection(&self) {
        self.introspection.abort();
    }

    /// Puts messages into the INBOX of `user`, in the order of their names, as a delivery agent does.
    pub fn deliver<M: AsRef<[u8]>>(&self, user: &str, messages: impl IntoIterator<Item = M>) -> Result<usize> {
        let maildir = self.maildir(user)?;
        let (tmp, new) = (maildir.join("tmp"), maildir.join("new"));
        let mut count = 0;
        for message in messages {
            // Never a name twice: Dovecot knows a message by it.
            let number = self.delivered.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}.M{number:07}P1.test", 1_700_000_000 + number);
            // Whole before it is there: a session that is looking takes it to `cur` at once.
            fs::write(tmp.join(&name), message)?;
            give_to(&tmp.join(&name), &maildir)?;
            fs::rename(tmp.join(&name), new.join(&name))?;
            count += 1;
        }
        Ok(count)
    }

    /// The Maildir of `user`, made when missing: what delivers by itself may put mail there.
    pub fn maildir(&self, user: &str) -> Result<PathBuf> {
        let home = self.dir.path().join("mail").join(user);
        let maildir = home.join("Maildir");
        for path in [home, maildir.clone(), maildir.join("cur"), maildir.join("new"), maildir.join("tmp")] {
            if !path.exists() {
                fs::create_dir(&path)?;
                give_to(&path, &self.dir.path().join("mail"))?;
            }
        }
        Ok(maildir)
    }

    /// Runs `doveadm` on it, as an administrator or another client of the mailbox would; returns what it printed.
    pub fn doveadm(&self, arguments: &[&str]) -> Result<String> {
        let output =
            Command::new("doveadm").arg("-c").arg(self.dir.path().join("dovecot.conf")).args(arguments).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "doveadm {arguments:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.introspection.abort();
        // Asked to end, the master ends its children; killed, it would leave them.
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if matches!(self.master.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// Ports that nobody listens on, below those that the system gives to outgoing connections: between our look and
/// Dovecot's start nobody takes them by chance.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 120) as u16 * 100;
    let mut ports = [0; N];
    for port in &mut ports {
        *port = (0..12_000)
            .map(|_| 20_000 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .context("no port is free")?;
    }
    Ok(ports)
}

async fn serve_introspection(tokens: Tokens) -> Result<(u16, tokio::task::JoinHandle<()>)> {
    let app = Router::new().route("/introspect", post(introspect)).with_state(tokens);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let serving = tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok((port, serving))
}

async fn introspect(
    State(tokens): State<Tokens>,
    Form(form): Form<HashMap<String, String>>,
) -> Json<serde_json::Value> {
    let tokens = tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mailbox = form.get("token").and_then(|token| tokens.get(token));
    Json(match mailbox {
        Some(mailbox) => serde_json::json!({ "active": true, "email": mailbox, "scope": "IMAP.AccessAsUser.All" }),
        None => serde_json::json!({ "active": false }),
    })
}

fn write_certificate(dir: &Path) -> Result<String> {
    let ca_key = rcgen::KeyPair::generate()?;
    let mut ca = rcgen::CertificateParams::new(vec![])?;
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Test CA");
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let certificate = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    fs::write(dir.join("cert.pem"), certificate.pem())?;
    fs::write(dir.join("key.pem"), key.serialize_pem())?;
    Ok(ca_certificate.pem())
}

/// The names Dovecot runs under: as root its own users, else this one.
fn users(dir: &Path) -> Result<[String; 5]> {
    let named = |names: [&str; 5]| names.map(str::to_owned);
    if fs::metadata(dir)?.uid() == 0 {
        return Ok(named(["dovecot", "dovecot", "dovenull", "nobody", "nogroup"]));
    }
    let id = |option: &str| -> Result<String> {
        let output = Command::new("id").arg(option).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let (user, group) = (id("-un")?, id("-gn")?);
    Ok([user.clone(), group.clone(), user.clone(), user, group])
}

fn give_to(path: &Path, like: &Path) -> Result<()> {
    let like = fs::metadata(like)?;
    if like.uid() != fs::metadata(path)?.uid() {
        chown(path, Some(like.uid()), Some(like.gid()))?;
    }
    Ok(())
}

fn write_configuration(dir: &Path, ports: [u16; 4], introspection: u16, settings: &str) -> Result<()> {
    let [internal, internal_group, login, mail, mail_group] = users(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for name in ["run", "state", "mail"] {
        fs::create_dir(dir.join(name))?;
    }
    if internal == "dovecot" {
        let owner = format!("{mail}:{mail_group}");
        ensure!(Command::new("chown").arg(owner).arg(dir.join("mail")).status()?.success(), "chown of the mail folder");
    }
    let chroot = if internal == "dovecot" { String::new() } else { NO_CHROOT.to_owned() };
    let at = dir.display();
    let [imap, imaps, pop3, pop3s] = ports;
    fs::write(dir.join("passwd"), USERS.map(|user| format!("{user}:{{PLAIN}}{PASSWORD}\n")).concat())?;
    fs::write(
        dir.join("oauth2.conf.ext"),
        format!(
            "introspection_mode = post\nintrospection_url = http://127.0.0.1:{introspection}/introspect\n\
             username_attribute = email\nusername_format = %Lu\nactive_attribute = active\nactive_value = true\n\
             timeout_msecs = 3000\n"
        ),
    )?;
    fs::write(
        dir.join("dovecot.conf"),
        format!(
            "base_dir = {at}/run\nstate_dir = {at}/state\ninstance_name = test-{imaps}\nlog_path = {at}/log\n\
             protocols = imap pop3\nlisten = 127.0.0.1\nssl = yes\nssl_cert = <{at}/cert.pem\nssl_key = <{at}/key.pem\n\
             disable_plaintext_auth = no\ndefault_internal_user = {internal}\n\
             default_internal_group = {internal_group}\ndefault_login_user = {login}\nfirst_valid_uid = 1\n\
             first_valid_gid = 1\nauth_mechanisms = plain login xoauth2 oauthbearer\nauth_failure_delay = 0\n\
             default_vsz_limit = 0\nmail_max_userip_connections = 1000\nmail_fsync = never\nmail_location = maildir:~/Maildir\n\
             namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
             passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {at}/oauth2.conf.ext\n}}\n\
             passdb {{\n  driver = passwd-file\n  mechanisms = plain login\n  args = {at}/passwd\n}}\n\
             userdb {{\n  driver = static\n  args = uid={mail} gid={mail_group} home={at}/mail/%Lu allow_all_users=yes\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n\
             inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
             service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n\
             inet_listener pop3s {{\n    port = {pop3s}\n    ssl = yes\n  }}\n}}\n\
             service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n\
             {chroot}{settings}\n"
        ),
    )?;
    Ok(())
}

const NO_CHROOT: &str = "service anvil {\n  chroot =\n}\nservice imap-login {\n  chroot =\n}\n\
                         service pop3-login {\n  chroot =\n}\nservice stats {\n  chroot =\n}\n";
