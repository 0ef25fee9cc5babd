//! `docs/connect-microsoft-365.md`, followed step by step: its commands are taken out of the document itself and run by a
//! shell as they stand there, in their order, against the stand-ins. Names of the example become names of the stand-ins; what
//! a person or an administrator does between two commands is done here.
#![allow(clippy::print_stdout, reason = "the figures are told")]

use crate::ways_providers::{SCOPE, introspect, sign_in};
use rebond::oauth::assertion;
use rebond_standin::entra::{Certificate, Settings, User, UserConsent};
use rebond_standin::{Admission, ImapServer, ImapSettings, Person};
use rebond_tests::oidc_provider::{CLIENT_ID as OIDC_CLIENT, CLIENT_SECRET as OIDC_SECRET, OidcProvider};
use rebond_tests::process::built;
use rebond_tests::world::{BASIC, CLIENT_SECRET, MAILBOX, PASSWORD, SIGN_IN, World};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

const DOCUMENT: &str = include_str!("../../docs/connect-microsoft-365.md");
const RETURNS: &str = "returns@example.org";
const ADMIN: &str = "admin@example.org";
const ZERO: &str = "00000000-0000-4000-8000-000000000000";

/// The lines of the document's code blocks.
fn commands() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```").skip(1).step_by(2);
    blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// An Entra where only an administrator may consent, and nobody has yet.
fn closed(settings: &mut Settings) {
    settings.tenants[0].roles_granted.clear();
    settings.tenants[0].user_consent = UserConsent::AdminRequired;
    let first = settings.users[0].clone();
    settings.users.push(User { upn: RETURNS.into(), oid: "11b2c3d4-0009-4a5b-8c6d-7e8f90a1b2c3".into(), ..first });
    settings.apps[0].mailboxes.clear();
}

fn person(upn: &str) -> Person {
    Person { upn: upn.into(), password: SIGN_IN.into(), consents: true }
}

struct Reader {
    world: World,
    own: ImapServer,
    provider: OidcProvider,
    serve: Option<Child>,
}

impl Reader {
    async fn start() -> Self {
        let issuer: Arc<Mutex<String>> = Arc::default();
        let asked = Arc::clone(&issuer);
        let gate = move |mailbox: &str, token: &str| {
            let said = introspect(&asked.lock().unwrap(), token);
            match (said["active"] == true, said["sub"] == mailbox) {
                (false, _) => Admission::Refused,
                (true, false) => Admission::NotConnected,
                (true, true) => Admission::Connected,
            }
        };
        let own = ImapServer::start(ImapSettings::new(Arc::new(gate))).await.unwrap();
        let mut world = World::start_trusting(own.ca_pem()).await.unwrap();
        world.entra.change(closed);
        world.imap.renumber(RETURNS, "INBOX");
        for mailbox in ["list@example.org", "post@example.org"] {
            own.renumber(mailbox, "INBOX");
        }
        world.stop_pages().await;
        let provider = OidcProvider::start(&world.app.redirect_uri).unwrap();
        *issuer.lock().unwrap() = provider.issuer().to_owned();
        std::fs::write(world.dir().join("client-secret.txt"), OIDC_SECRET).unwrap();
        let reader = Self { world, own, provider, serve: None };
        reader.put_fake_az();
        reader
    }

    /// An Azure CLI that knows one registration: the stand-in's.
    fn put_fake_az(&self) {
        let manifest = serde_json::json!({
            "appId": self.world.app.client_id, "signInAudience": "AzureADMyOrg",
            "web": { "redirectUris": [self.world.app.redirect_uri] },
            "requiredResourceAccess": [{ "resourceAppId": "00000003-0000-0000-c000-000000000000",
                "resourceAccess": [{ "id": "652390e4-393a-48de-9484-05f9b1212954", "type": "Scope" }] }],
        });
        let path = self.world.dir().join("az");
        std::fs::write(&path, format!("#!/bin/sh\n[ \"$1 $2 $3 $4\" = 'ad app show --id' ] && echo '{manifest}'\n"))
            .unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// The document's example in this world.
    fn here(&self, line: &str) -> String {
        let issuer = self.provider.issuer();
        let entra_mail = format!("localhost:{}", self.world.imap.tls_port());
        let mut line = line
            .replace("old@example.com", BASIC)
            .replace("mail.example.com", if line.contains("--app own") { "OWN" } else { &entra_mail })
            .replace("OWN", &format!("localhost:{}", self.own.tls_port()))
            .replace("outlook.office365.com", &entra_mail)
            .replace("--provider https://id.example.com --scope mail", &format!("--provider {issuer} --scope {SCOPE}"))
            .replace("--provider google", &format!("--provider {issuer} --scope {SCOPE}"))
            .replace("1234-example.apps.googleusercontent.com", OIDC_CLIENT)
            .replace("--client-id rebond ", &format!("--client-id {OIDC_CLIENT} "))
            .replace("example.com", "example.org")
            .replace(ZERO, &self.world.app.client_id);
        let command = line.split('#').next().unwrap().trim_end().to_owned();
        if command.starts_with("rebond app add m365") {
            line = format!("{command} --authority {}", self.world.entra.url());
        }
        if command.starts_with("rebond account add") && !command.contains("--server") {
            let port = if command.contains("--app gmail") { self.own.tls_port() } else { self.world.imap.tls_port() };
            line = format!("{command} --server localhost:{port}");
        }
        line
    }

    fn shell(&self, line: &str) -> Command {
        let binary = built("rebond").unwrap();
        let path = format!("{}:{}:{}", self.world.dir().display(), binary.parent().unwrap().display(), env!("PATH"));
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path).env("REBOND_DIR", self.world.dir()).current_dir(self.world.dir());
        command.env_remove("REBOND_KEY").env_remove("RUST_LOG").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a line to its end; what it printed.
    async fn run(&self, line: &str, input: &str) -> String {
        let mut child = self.shell(line).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        text(&output.stdout)
    }

    async fn connect(&self, line: &str, account: &str) {
        let link = self.run(line, "").await;
        let link = link.trim();
        match account {
            "list" | "post" => {
                let (status, page) = sign_in(link, &format!("{account}@example.org")).await;
                assert_eq!(status, 200, "{page}\n{}", self.provider.output());
            }
            _ => {
                let walk = person(RETURNS).walk(link).await.unwrap();
                // What the document says of the first attempt: the policy of the directory stands before it.
                if walk.text.contains("AADSTS90094") || !walk.url.contains("/oauth/done") {
                    self.consent(&format!("{line} --admin")).await;
                    let walk = person(RETURNS).walk(link).await.unwrap();
                    assert!(walk.text.contains("The mailbox is connected"), "{}", walk.text);
                }
            }
        }
    }

    async fn consent(&self, line: &str) {
        let link = self.run(line, "").await;
        let walk = person(ADMIN).walk(link.trim()).await.unwrap();
        assert!(walk.text.contains("Consent is given for your organisation"), "{}", walk.text);
    }

    /// Types the code on the page that the terminal names.
    async fn device(&self, line: &str) {
        let mut child = self.shell(line).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next =
            async || tokio::time::timeout(Duration::from_secs(20), printed.next_line()).await.unwrap().unwrap();
        let page = next().await.unwrap().strip_prefix("Open  ").unwrap().to_owned();
        let code = next().await.unwrap().strip_prefix("enter ").unwrap().to_owned();
        let walk = person(RETURNS).walk(&format!("{page}?otc={code}")).await.unwrap();
        assert!(walk.text.contains("You have signed in"), "{}", walk.text);
        let said = next().await.unwrap();
        assert!(said.contains("is connected as returns@example.org"), "{said}");
        assert!(child.wait().await.unwrap().success());
    }

    /// Copies the address that the browser ends at.
    async fn paste(&self, line: &str) {
        let mut child = self.shell(line).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut page = String::new();
        printed.read_line(&mut page).await.unwrap();
        let walk = person(RETURNS).walk(page.trim()).await.unwrap();
        assert!(walk.url.starts_with(&self.world.app.redirect_uri), "{}", walk.url);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{}\n", walk.url).as_bytes()).await.unwrap();
        let mut said = String::new();
        printed.read_to_string(&mut said).await.unwrap();
        assert!(said.contains("is connected as returns@example.org"), "{said}");
        assert!(child.wait().await.unwrap().success());
    }

    /// What an administrator does with the script that a line wrote to `file`.
    fn read_script(&self, file: &str) {
        let script = std::fs::read_to_string(self.world.dir().join(file)).unwrap();
        match file {
            "exchange.ps1" => {
                assert!(script.contains("Add-MailboxPermission") && script.contains(MAILBOX), "{script}");
                let also = [MAILBOX, BASIC].map(str::to_owned);
                self.world.entra.change(move |settings| settings.apps[0].mailboxes.extend(also));
            }
            "delegate.ps1" => assert!(script.contains("$Person  = 'alex@example.org'"), "{script}"),
            _ => assert!(script.starts_with("#!/bin/sh") && script.contains(&self.world.app.client_id), "{script}"),
        }
    }

    /// The new certificate becomes known at Entra, and the client secret ends.
    fn register_certificate(&self) {
        let read = |name: &str| std::fs::read_to_string(self.world.dir().join(name)).unwrap();
        let der: String = read("app.pem").lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, der).unwrap();
        let thumbprint = assertion::thumbprint(&der);
        let public_key = rebond::grant::private_key(&read("app.key").into()).unwrap().public().as_ref().to_vec();
        self.world.entra.change(move |settings| {
            settings.apps[0].certificates.push(Certificate { thumbprint, public_key });
            settings.refuse_replayed_assertions = true;
        });
    }

    async fn follow(&mut self, line: &str) {
        let line = self.here(line);
        let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().collect();
        match words.as_slice() {
            ["rebond", "serve", "&"] => {
                assert!(self.serve.is_none());
                self.serve = Some(self.shell("exec rebond serve").spawn().unwrap());
                let port = self.world.origin().rsplit(':').next().unwrap().parse::<u16>().unwrap();
                while tokio::net::TcpStream::connect(("localhost", port)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            ["rebond", "connect", _, "--admin"] => self.consent(&line).await,
            ["rebond", "connect", _, "--device"] => self.device(&line).await,
            ["rebond", "connect", _, "--paste"] => self.paste(&line).await,
            ["rebond", "connect", account] => self.connect(&line, account).await,
            [.., ">", file] if words[1] == "kit" => {
                self.run(&line, "").await;
                self.read_script(file);
            }
            ["rebond", "app", "add", "m365", ..] => {
                let said = self.run(&line, CLIENT_SECRET).await;
                assert!(said.contains(&self.world.app.redirect_uri) && said.contains("--app-only"), "{said}");
            }
            ["rebond", "app", "secret", "m365", "--secret-ends", _] => {
                assert_eq!(self.run(&line, CLIENT_SECRET).await.lines().count(), 1);
            }
            ["rebond", "app", "secret", "m365", "--certificate", ..] => {
                self.run(&line, "").await;
                self.register_certificate();
            }
            ["rebond", "account", "add", "old", ..] => drop(self.run(&line, PASSWORD).await),
            ["rebond", "poll", account] => {
                let said = self.run(&line, "").await;
                assert!(said.starts_with(&format!("{account}: 0 messages read")), "{said}");
            }
            ["rebond" | "az" | "openssl", ..] => drop(self.run(&line, "").await),
            _ => panic!("the document holds a line that this test cannot follow: {line}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_document_does_what_it_says() {
    let mut reader = Reader::start().await;
    let all = commands();
    assert!(all.len() >= 35, "{} commands", all.len());
    for line in &all {
        reader.follow(line).await;
    }
    for way in ["--app-only", "connect returns ", "--device", "--paste", "--admin", "--password", "--provider google"] {
        assert!(all.iter().any(|line| line.contains(way)), "{way}");
    }
    let serve = reader.serve.as_mut().unwrap();
    serve.kill().await.unwrap();
    println!("{} commands of the document were run", all.len());
}
