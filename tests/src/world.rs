//! A whole world on loopback: the stand-in identity provider, the stand-in mail server, one machine's table and vault in
//! a directory of its own, and the pages of the connection on a port. The directory is also good for the binary.

use crate::faulty_table::{self, Faults};
use anyhow::{Context, Result};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use jiff::{SignedDuration, Timestamp};
use rebond::account::{
    Account, AccountId, AfterReading, App, Authentication, Encryption, Protocol, Purpose, Server, Since,
};
use rebond::grant::Clock;
use rebond::net::{Reach, Tls};
use rebond::oauth::{Invitation, Pending};
use rebond::poll::{PollError, Summary};
use rebond::raw::Folder;
use rebond::table::{AccountItem, Fact};
use rebond::vault::{MasterKey, Name, SealedFile, Vault, signing_key};
use rebond_cli::embedded::{self, Durability};
use rebond_cli::machine::{KeptMail, Machine};
use rebond_cli::serve;
use rebond_standin::{Entra, GraphServer, GraphSettings, ImapServer, ImapSettings, Person};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a poll may take: enough for a machine that is busy with much else.
pub const POLL: Duration = Duration::from_secs(200);
/// The mailbox of the person who signs in.
pub const MAILBOX: &str = "bounces@example.org";
/// A mailbox that is opened with a password.
pub const BASIC: &str = "basic@example.org";
/// Its password.
pub const PASSWORD: &str = "hunter2-of-the-basic-mailbox";
/// The password of everybody at the stand-in.
pub const SIGN_IN: &str = "correct horse";
/// The client secret that the stand-in knows.
pub const CLIENT_SECRET: &str = "St8~demo.secret-Value_0123456789abcdefXYZ";

/// Everything on the stage.
pub struct World {
    /// The identity provider.
    pub entra: Entra,
    /// The mail server.
    pub imap: ImapServer,
    /// Microsoft Graph.
    pub graph: GraphServer,
    /// The flows over table and vault.
    pub machine: Machine,
    /// The registration.
    pub app: App,
    /// What goes wrong with the table.
    pub faults: Arc<Faults>,
    /// Beneath the faults: for looking into the table and for what another version wrote.
    raw: SharedHttpConnector,
    ahead: Arc<AtomicI64>,
    http: reqwest::Client,
    pages: JoinHandle<()>,
    dir: tempfile::TempDir,
}

/// An answer of our pages.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's text; empty where it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A connection that a browser has started and whose answer of the provider was not delivered yet.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where the provider sent the browser: code and state are in it.
    pub callback: String,
    /// `name=value` of our cookie.
    pub cookie: String,
}

impl World {
    /// Sets everything up, with an app and no account.
    pub async fn start() -> Result<Self> {
        Self::start_trusting("").await
    }

    /// The same, trusting the authorities in `more_ca` (PEM) beside the stand-in's own.
    pub async fn start_trusting(more_ca: &str) -> Result<Self> {
        Self::start_at(0, more_ca).await
    }

    /// The same with the identity provider at a port of loopback that others were told of.
    pub async fn start_at(provider: u16, more_ca: &str) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let redirect_uri = format!("http://localhost:{}/oauth/callback", listener.local_addr()?.port());
        let mut settings = rebond_standin::Settings::demo(&redirect_uri);
        settings.port = provider;
        let app = app(&settings, redirect_uri)?;
        let entra = Entra::start(settings).await?;
        let app = App { authority: Some(entra.url().to_owned()), ..app };
        let mut settings = ImapSettings::new(entra.gate());
        settings.passwords.insert(BASIC.to_owned(), PASSWORD.to_owned());
        let imap = ImapServer::start(settings).await?;
        for mailbox in [MAILBOX, BASIC] {
            // A mailbox has an INBOX before it has mail.
            imap.renumber(mailbox, "INBOX");
        }
        let graph = GraphServer::start(GraphSettings::new(entra.graph_gate())).await?;
        graph.mail().open(MAILBOX);
        let dir = tempfile::tempdir()?;
        let ca = format!("{}{}{more_ca}", imap.ca_pem(), graph.ca_pem());
        write_settings(dir.path(), &ca, listener.local_addr()?.port())?;
        let faults = Arc::new(Faults::default());
        let ahead = Arc::new(AtomicI64::new(0));
        let raw = embedded::connector(&dir.path().join("table.sqlite").to_string_lossy(), Durability::Normal)?;
        let machine = machine(dir.path(), &raw, &faults, &ahead, &ca).await?;
        machine.table.add_app(&app).await?;
        machine.vault.put(&Name::App(app.id.clone()), uuid::Uuid::nil(), &CLIENT_SECRET.to_owned().into()).await?;
        let routes = serve::pages(&machine);
        let pages = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { entra, imap, graph, machine, app, faults, raw, ahead, http: http_client()?, pages, dir })
    }

    /// The directory of the machine, for the binary's `--dir`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Lets polls, here and by the binary, keep mail as it came.
    pub fn keep_raw(&mut self) -> Result<()> {
        self.machine.raw = Some(KeptMail { folder: Folder::new(self.dir().join("raw")), days: 30 });
        let path = self.dir().join("rebond.toml");
        Ok(std::fs::write(&path, std::fs::read_to_string(&path)? + "keep-raw = 30\n")?)
    }

    /// The origin of our pages, as `http://localhost:8484`.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.app.redirect_uri.trim_end_matches("/oauth/callback")
    }

    /// A client that follows no redirect.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Ends the pages, so that another process can listen at their port.
    pub async fn stop_pages(&mut self) {
        self.pages.abort();
        let _ = (&mut self.pages).await;
    }

    /// Time passes, here and at the provider.
    pub fn advance(&self, by: SignedDuration) {
        self.ahead.fetch_add(by.as_secs(), Ordering::Relaxed);
        self.entra.advance_clock(by);
    }

    /// Now, with what has passed.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.machine.clock)()
    }

    /// An account as most tests want it: OAuth, implicit TLS, INBOX, everything, mail left as it is.
    pub fn account(&self, id: &str) -> Result<Account> {
        Ok(Account {
            id: id.parse()?,
            label: None,
            enabled: true,
            purpose: Purpose::Bounce,
            protocol: Protocol::Imap,
            server: Server { host: "localhost".into(), port: self.imap.tls_port(), encryption: Encryption::Tls },
            mailbox: MAILBOX.into(),
            authentication: Authentication::OauthUser { app: self.app.id.clone() },
            folders: vec!["INBOX".into()],
            since: Since::All,
            reports: AfterReading::Leave,
            others: AfterReading::Leave,
            period_seconds: Account::PERIOD_SECONDS,
            limits: Default::default(),
            sends_as: vec![],
            forwarding: None,
        })
    }

    /// Adds an account, changed by `change`.
    pub async fn add(&self, id: &str, change: impl FnOnce(&mut Account)) -> Result<AccountId> {
        let mut account = self.account(id)?;
        change(&mut account);
        let id = account.id.clone();
        self.machine.table.add_account(&AccountItem::new(account, self.now())).await?;
        Ok(id)
    }

    /// Adds an account that is opened with a password, changed by `change`.
    pub async fn add_basic(&self, id: &str, change: impl FnOnce(&mut Account)) -> Result<AccountId> {
        let basic = |account: &mut Account| {
            account.mailbox = BASIC.into();
            account.authentication = Authentication::Password { user: BASIC.into() };
            change(account);
        };
        let id = self.add(id, basic).await?;
        let name = Name::Password(id.clone());
        self.machine.vault.put(&name, uuid::Uuid::nil(), &PASSWORD.to_owned().into()).await?;
        Ok(id)
    }

    /// Adds an OAuth account and connects it.
    pub async fn add_connected(&self, id: &str, change: impl FnOnce(&mut Account)) -> Result<AccountId> {
        let id = self.add(id, change).await?;
        let walk = self.person(MAILBOX).walk(&self.link(&id).await?).await?;
        anyhow::ensure!(walk.status == 200 && walk.url.contains("/oauth/done"), "not connected: {}", walk.text);
        Ok(id)
    }

    /// Somebody at the stand-in, who consents.
    #[must_use]
    pub fn person(&self, upn: &str) -> Person {
        Person { upn: upn.into(), password: SIGN_IN.into(), consents: true }
    }

    /// The invitation for an account as it stands.
    pub async fn link(&self, id: &AccountId) -> Result<String> {
        let item = self.item(id).await?;
        let key = signing_key(&*self.machine.vault).await?;
        let invitation = Invitation::new(self.now()).sign(&key, id, item.connection);
        Ok(format!("{}/oauth/start/{id}?invitation={invitation}", self.origin()))
    }

    /// Follows the invitation as far as the provider's redirect back to us, which stays undelivered.
    pub async fn begin(&self, id: &AccountId, person: &Person) -> Result<Begun> {
        self.begin_at(&self.link(id).await?, person).await
    }

    /// The same from a link.
    pub async fn begin_at(&self, link: &str, person: &Person) -> Result<Begun> {
        let started = self.get(link, "").await?;
        anyhow::ensure!(started.status == 302, "{link}: {}", started.body);
        let cookie = started.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        // The person's browser lacks our cookie, so the callback refuses it without any effect and shows where it was.
        let walk = person.walk(started.header("location")).await?;
        anyhow::ensure!(walk.url.contains("state="), "the provider did not send the browser back: {}", walk.text);
        Ok(Begun { callback: walk.url, cookie })
    }

    /// One request to our pages, redirects not followed.
    pub async fn get(&self, url: &str, cookie: &str) -> Result<Answer> {
        let mut request = self.http.get(url);
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.text().await? })
    }

    /// Delivers an answer of the provider, and asks for the result that it leads to.
    pub async fn deliver(&self, begun: &Begun) -> Result<Answer> {
        let answer = self.get(&begun.callback, &begun.cookie).await?;
        anyhow::ensure!(answer.status == 303, "HTTP {}: {}", answer.status, answer.body);
        self.get(&format!("{}{}", self.origin(), answer.header("location")), &begun.cookie).await
    }

    /// The account's item.
    pub async fn item(&self, id: &AccountId) -> Result<AccountItem> {
        self.machine.table.account(id).await?.with_context(|| format!("no account {id}"))
    }

    /// Polls.
    pub async fn poll(&self, id: &AccountId) -> Result<Summary, PollError> {
        self.machine.poller().poll(id, "test", Instant::now() + POLL, &()).await
    }

    /// All facts, the oldest first.
    pub async fn facts(&self, id: &AccountId) -> Result<Vec<Fact>> {
        let mut facts = self.machine.table.facts(id, Timestamp::UNIX_EPOCH, 100_000).await?;
        facts.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(facts)
    }

    /// Calls of the provider's token endpoint so far, of one grant type.
    #[must_use]
    pub fn token_calls(&self, grant_type: &str) -> usize {
        self.entra.log().iter().filter(|call| call.endpoint == "token" && call.grant_type == grant_type).count()
    }

    /// The table beneath every fault, for another process over it.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        self.raw.clone()
    }

    /// An operation on the table in DynamoDB's own JSON, past every fault.
    pub async fn raw(&self, operation: &str, body: Value) -> Result<Value> {
        let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
        request.headers_mut().insert("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let answer = self.raw.call(request).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let bytes = answer.body().bytes().context("a body")?;
        anyhow::ensure!(answer.status().is_success(), "{operation}: {}", String::from_utf8_lossy(bytes));
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Lets the leases of an account end, as time would.
    pub async fn end_leases(&self, id: &AccountId) -> Result<()> {
        let body = serde_json::json!({
            "TableName": "rebond",
            "Key": { "pk": { "S": format!("ACCOUNT#{id}") }, "sk": { "S": "ACCOUNT" } },
            "UpdateExpression": "REMOVE lease_until, refresh_until",
        });
        self.raw("UpdateItem", body).await.map(|_| ())
    }

    /// The files of table and vault, as they lie on the disk.
    pub fn files(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let paths = std::fs::read_dir(self.dir())?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.into_iter().map(|path| Ok((path.clone(), std::fs::read(path)?))).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.pages.abort();
    }
}

/// The authorization under way that a callback URL belongs to, by the name the table knows it by.
#[must_use]
pub fn authorization_id(callback: &str) -> String {
    let state = url::Url::parse(callback).ok();
    let state = state.and_then(|url| url.query_pairs().find(|(name, _)| name == "state").map(|(_, v)| v.into_owned()));
    Pending::from_browser(&state.unwrap_or_default(), "").id()
}

fn app(settings: &rebond_standin::Settings, redirect_uri: String) -> Result<App> {
    let registered = settings.apps.first().context("the stand-in's app")?;
    let tenant = registered.home.parse()?;
    Ok(App::entra("stand-in".parse()?, tenant, registered.client_id.clone(), redirect_uri))
}

fn write_settings(dir: &Path, ca: &str, port: u16) -> Result<()> {
    std::fs::write(dir.join("ca.pem"), ca)?;
    let ca = dir.join("ca.pem");
    let text = format!(
        "listen = \"localhost:{port}\"\nreach = \"loopback\"\nextra-ca = {:?}\ndurability = \"normal\"\n",
        ca.display().to_string()
    );
    Ok(std::fs::write(dir.join("rebond.toml"), text)?)
}

async fn machine(
    dir: &Path,
    raw: &SharedHttpConnector,
    faults: &Arc<Faults>,
    ahead: &Arc<AtomicI64>,
    ca: &str,
) -> Result<Machine> {
    // The first start makes key, vault and signing key as the binary does.
    let reach = Reach::public().with_loopback();
    Machine::with(dir, Durability::Normal, reach.clone(), None).await?;
    let table = embedded::table(faulty_table::wrap(raw.clone(), Arc::clone(faults))).await?;
    let key = MasterKey::from_file(&dir.join("key"))?;
    let vault: Arc<dyn Vault> = Arc::new(SealedFile::open(dir.join("vault.json"), &key)?);
    let ahead = Arc::clone(ahead);
    let clock: Clock = Arc::new(move || {
        let by = SignedDuration::from_secs(ahead.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(by).unwrap_or(Timestamp::MAX)
    });
    Machine::over(table, vault, reach, Tls::new(Some(ca.as_bytes()))?, clock)
}

fn http_client() -> Result<reqwest::Client> {
    // Plain HTTP only: the TLS set-up that the client wants is given, and trusts nobody.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    Ok(client.redirect(reqwest::redirect::Policy::none()).build()?)
}
