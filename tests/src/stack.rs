//! All that a deployed stack talks to, on one address: the table (dynoxide), secrets and queue (moto), and the
//! stand-ins for the identity provider and the mail server, with one account that waits to be connected.

use crate::moto::Moto;
use crate::recorder::Recorder;
use crate::stream;
use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use jiff::{SignedDuration, Timestamp};
use rebond::account::{Account, AccountId, App, Authentication, Encryption, Protocol, Server, Since};
use rebond::deployment::signed::Signed;
use rebond::deployment::{http_client, shared_http_client};
use rebond::oauth::Invitation;
use rebond::secret::Secret;
use rebond::standing::{AddressKey, List};
use rebond::table::{AccountItem, Table};
use rebond::vault::{Name, SecretsManager, Vault, signing_key};
use rebond_standin::{Entra, ImapServer, ImapSettings, Person, Settings, demo_mail};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The mailbox that the account reads.
pub const MAILBOX: &str = "bounces@example.org";
/// A mailbox with the same mail that opens with a password.
pub const ARCHIVE: &str = "archive@example.org";
const ARCHIVE_PASSWORD: &str = "opens the archive";
/// The account's name.
pub const ACCOUNT: &str = "bounces";

/// A stack's surroundings. They end with the value.
pub struct Stack {
    /// The identity provider.
    pub entra: Entra,
    /// The mail server.
    pub imap: ImapServer,
    /// The table.
    pub table: Table,
    /// The secrets.
    pub vault: SecretsManager,
    /// The queue's client.
    pub sqs: aws_sdk_sqs::Client,
    /// The queue.
    pub queue_url: String,
    /// How many messages the mailbox holds.
    pub messages: usize,
    moto: Moto,
    table_url: String,
    address: Ipv4Addr,
    public_url: String,
    name: String,
    dynamodb: JoinHandle<()>,
}

impl Stack {
    /// Starts everything at `address` for the stack `name`, whose functions people reach under `public_url`.
    pub async fn start(address: Ipv4Addr, name: &str, public_url: &str) -> Result<Self> {
        let redirect_uri = format!("{public_url}/oauth/callback");
        let settings = Settings { address, ..Settings::demo(&redirect_uri) };
        let (client_id, client_secret) = registered(&settings)?;
        let entra = Entra::start(settings).await?;
        let passwords = [(ARCHIVE.to_owned(), ARCHIVE_PASSWORD.to_owned())].into();
        let imap = ImapServer::start(ImapSettings { address, passwords, ..ImapSettings::new(entra.gate()) }).await?;
        let mail = demo_mail();
        let messages = mail.len();
        for (number, bytes) in (1..).zip(mail) {
            let arrived = Timestamp::now() - SignedDuration::from_mins(60 - number);
            for mailbox in [MAILBOX, ARCHIVE] {
                imap.deliver(mailbox, "INBOX", bytes.to_vec(), arrived);
            }
        }
        let moto = Moto::start_on(address)?;
        let listener = TcpListener::bind((address, 0)).await?;
        let table_url = format!("http://{}", listener.local_addr()?);
        let database = dynoxide::Database::memory()?;
        let dynamodb = tokio::spawn(dynoxide::server::serve_on(listener, database));
        let config = config(moto.endpoint()).await;
        let of_table = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&table_url).build();
        let table = Table::new(aws_sdk_dynamodb::Client::from_conf(of_table), name);
        table.create_if_missing(true).await?;
        let vault = SecretsManager::new(aws_sdk_secretsmanager::Client::new(&config), name);
        let sqs = aws_sdk_sqs::Client::new(&config);
        let queue_url = sqs.create_queue().queue_name(format!("{name}-poll")).send().await?.queue_url;
        let queue_url = queue_url.context("a queue has a URL")?;
        let name = name.to_owned();
        let public_url = public_url.to_owned();
        let stack = Self {
            entra,
            imap,
            table,
            vault,
            sqs,
            queue_url,
            messages,
            moto,
            table_url,
            address,
            public_url,
            name,
            dynamodb,
        };
        stack.fill(&redirect_uri, client_id, &client_secret).await?;
        Ok(stack)
    }

    /// What the operator did before: the app with its secret, the account, and the key that the template makes.
    async fn fill(&self, redirect_uri: &str, client_id: String, client_secret: &str) -> Result<()> {
        let app = App::entra("entra".parse()?, "example.org".parse()?, client_id, redirect_uri);
        let app = App { authority: Some(self.entra.url().to_owned()), ..app };
        app.check()?;
        let authentication = Authentication::OauthUser { app: app.id.clone() };
        let account = self.account(account_id()?, MAILBOX, authentication);
        account.check()?;
        let version = |n: u128| uuid::Uuid::from_u128(n);
        self.vault.put(&Name::App(app.id.clone()), version(1), &Secret::from(client_secret.to_owned())).await?;
        let key = Secret::from("signs-the-invitations-of-one-test-and-nothing-else".to_owned());
        self.vault.put(&Name::SigningKey, version(2), &key).await?;
        self.table.add_app(&app).await?;
        self.table.add_account(&AccountItem::new(account, Timestamp::now())).await?;
        Ok(())
    }

    /// An account of this stack's mail server.
    #[must_use]
    pub fn account(&self, id: AccountId, mailbox: &str, authentication: Authentication) -> Account {
        Account {
            id,
            label: None,
            enabled: true,
            purpose: rebond::account::Purpose::default(),
            protocol: Protocol::Imap,
            server: Server { host: self.address.to_string(), port: self.imap.tls_port(), encryption: Encryption::Tls },
            mailbox: mailbox.to_owned(),
            authentication,
            folders: vec!["INBOX".to_owned()],
            since: Since::All,
            reports: rebond::account::AfterReading::Leave,
            others: rebond::account::AfterReading::Leave,
            period_seconds: Account::PERIOD_SECONDS,
            limits: Default::default(),
            sends_as: Vec::new(),
        }
    }

    /// Adds an account for [`ARCHIVE`], which nobody needs to connect, and which is due at once.
    pub async fn add_password_account(&self) -> Result<AccountId> {
        let id: AccountId = "archive".parse()?;
        let password = Secret::from(ARCHIVE_PASSWORD.to_owned());
        self.vault.put(&Name::Password(id.clone()), uuid::Uuid::from_u128(3), &password).await?;
        let account = self.account(id.clone(), ARCHIVE, Authentication::Password { user: ARCHIVE.to_owned() });
        account.check()?;
        self.table.add_account(&AccountItem::new(account, Timestamp::now())).await?;
        Ok(id)
    }

    /// What stands on the queue, as the event source would hand it to the function.
    pub async fn queued(&self) -> Result<Value> {
        let received = self.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10).send().await?;
        let record = |m: &aws_sdk_sqs::types::Message| json!({ "messageId": m.message_id, "body": m.body, "eventSource": "aws:sqs" });
        Ok(json!({ "Records": received.messages().iter().map(record).collect::<Vec<_>>() }))
    }

    /// The environment of the stack's functions, as the template and Lambda would set it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("REBOND_STACK", self.name.clone()),
            ("REBOND_QUEUE_URL", self.queue_url.clone()),
            ("REBOND_REACH", format!("{}/32", self.address)),
            ("REBOND_EXTRA_CA", self.imap.ca_pem().to_owned()),
            ("AWS_ENDPOINT_URL", self.moto.endpoint().to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.table_url.clone()),
            ("RUST_LOG", "info".to_owned()),
        ]
    }

    /// The same, with all calls to AWS going through a recorder of their own.
    pub async fn recorded(&self) -> Result<(Vec<(&'static str, String)>, Recorder)> {
        let recorder = Recorder::start(&self.table_url, self.moto.endpoint()).await?;
        let mut environment = self.environment();
        for (name, value) in &mut environment {
            if name.starts_with("AWS_ENDPOINT_URL") {
                *value = recorder.url().to_owned();
            }
        }
        Ok((environment, recorder))
    }

    /// Where moto is.
    #[must_use]
    pub fn services(&self) -> &str {
        self.moto.endpoint()
    }

    /// The link that the operator would send.
    pub async fn invitation(&self) -> Result<String> {
        let id = account_id()?;
        let item = self.table.account(&id).await?.context("the account is in the table")?;
        let key = signing_key(&self.vault).await?;
        let text = Invitation::new(Timestamp::now()).sign(&key, &id, item.connection);
        Ok(format!("{}/oauth/start/{id}?invitation={text}", self.public_url))
    }

    /// Who may open the mailbox.
    #[must_use]
    pub fn person(&self) -> Person {
        Person { upn: MAILBOX.to_owned(), password: "correct horse".to_owned(), consents: true }
    }

    /// How many facts an account has.
    pub async fn facts_of(&self, account: &AccountId) -> Result<usize> {
        Ok(self.table.facts(account, Timestamp::UNIX_EPOCH, 1000).await?.len())
    }

    /// What the table's stream hands over of an account: an event for `standing-update`.
    pub async fn stream_of(&self, account: &AccountId) -> Result<Value> {
        let credential = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/dynamodb/aws4_request, \
            SignedHeaders=host, Signature=unread";
        let request = reqwest::Client::new().post(&self.table_url).header("authorization", credential);
        let request =
            request.header("x-amz-target", "DynamoDB_20120810.Query").header("x-amz-date", "20260101T000000Z");
        let query = stream::partition(&self.name, account.as_str()).to_string();
        let answer = request.header("content-type", "application/x-amz-json-1.0").body(query).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "the table answered {status}: {text}");
        let found = serde_json::from_str(&text)?;
        Ok(json!({ "Records": stream::records(&found) }))
    }

    /// How many addresses of an account's facts have a standing.
    pub async fn standings_of(&self, account: &AccountId) -> Result<usize> {
        let facts = self.table.facts(account, Timestamp::UNIX_EPOCH, 1000).await?;
        let addresses = facts.iter().flat_map(|fact| &fact.report.recipients);
        let keys: Vec<AddressKey> = addresses.filter_map(|outcome| outcome.address.parse().ok()).collect();
        Ok(self.table.standings(&keys, &List::DEFAULT.parse()?).await?.len())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.dynamodb.abort();
    }
}

/// The account's name as the code has it.
pub fn account_id() -> Result<AccountId> {
    Ok(ACCOUNT.parse()?)
}

/// A request as API Gateway's HTTP API hands it to a function (payload format 2.0), from the sample event.
pub fn api_request(url: &str, cookies: &[String]) -> Result<Value> {
    let url = reqwest::Url::parse(url)?;
    let mut event: Value = serde_json::from_str(include_str!("../events/oauth-start.json"))?;
    event["rawPath"] = json!(url.path());
    event["requestContext"]["http"]["path"] = json!(url.path());
    event["routeKey"] = json!(format!("GET {}", url.path()));
    event["rawQueryString"] = json!(url.query().unwrap_or_default());
    event["queryStringParameters"] = url.query_pairs().map(|(k, v)| (k.into_owned(), json!(v))).collect();
    event["cookies"] = json!(cookies);
    Ok(event)
}

fn registered(settings: &Settings) -> Result<(String, String)> {
    let app = settings.apps.first().context("the stand-in knows an app")?;
    let secret = app.secrets.first().context("the app has a secret")?;
    Ok((app.client_id.clone(), secret.value.clone()))
}

/// A client's configuration for an emulator.
pub async fn config(endpoint: &str) -> SdkConfig {
    #[allow(clippy::expect_used, reason = "without it no test could go on")]
    let client = http_client().expect("an HTTP client");
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(shared_http_client(&client))
        .endpoint_url(endpoint)
        .load()
        .await
}

/// What signs calls for an emulator.
pub async fn signed(endpoint: &str) -> Arc<Signed> {
    #[allow(clippy::expect_used, reason = "without it no test could go on")]
    let client = http_client().expect("an HTTP client");
    Arc::new(Signed::new(&config(endpoint).await, client))
}
