//! The table on one machine: dynoxide, in this process, behind the very client that speaks to DynamoDB on AWS.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use rebond::table::Table;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How much a crash of the whole machine may cost; a crash of the process alone costs nothing either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Every write is on disk before it is answered (SQLite `synchronous = FULL`).
    #[default]
    Full,
    /// The last writes may be lost with the power (SQLite `synchronous = NORMAL`).
    Normal,
}

/// Opens the table in the file at `path`, creating both where there are none; and what removes from it.
pub async fn open(path: &str, durability: Durability) -> anyhow::Result<(Table, Sweeper)> {
    let database = database(path, durability)?;
    let sweeper = Sweeper { database: database.clone() };
    Ok((table(SharedHttpConnector::new(Embedded { database })).await?, sweeper))
}

/// What answers the client: the database in the file at `path`, created where there is none.
pub fn connector(path: &str, durability: Durability) -> anyhow::Result<SharedHttpConnector> {
    Ok(SharedHttpConnector::new(Embedded { database: database(path, durability)? }))
}

fn database(path: &str, durability: Durability) -> anyhow::Result<Database> {
    let database = Database::new(path)?;
    if durability == Durability::Normal {
        // The only way that dynoxide offers to `synchronous = NORMAL`.
        database.enable_bulk_loading()?;
        database.disable_bulk_loading()?;
    }
    Ok(database)
}

/// What removes the items whose time to live is over, as DynamoDB does by itself.
#[derive(Clone)]
pub struct Sweeper {
    database: Database,
}

impl Sweeper {
    /// Removes them; how many. Whoever waits for the table comes to its turn in between.
    pub async fn sweep(&self) -> anyhow::Result<usize> {
        let database = self.database.clone();
        Ok(tokio::task::spawn_blocking(move || database.sweep_ttl()).await??)
    }
}

/// The table behind a connector: what [`connector`] gives, or what a test has put before it.
pub async fn table(connector: SharedHttpConnector) -> anyhow::Result<Table> {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "embedded"))
        .endpoint_url("http://embedded.invalid")
        .retry_config(RetryConfig::standard().with_max_attempts(5))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    let table = Table::new(aws_sdk_dynamodb::Client::from_conf(config), "rebond");
    table.create_if_missing(false).await?;
    Ok(table)
}

struct Embedded {
    database: Database,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded")
    }
}

impl HttpConnector for Embedded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.database.clone();
        HttpConnectorFuture::new(async move {
            let operation = request.headers().get("x-amz-target").and_then(|target| target.split_once('.'));
            let operation = operation.map_or("", |(_, operation)| operation);
            let (status, body) = match call(&database, operation, request.body().bytes().unwrap_or_default()) {
                Ok(body) => (200, body),
                Err(error) => (error.status_code(), error.to_json()),
            };
            let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
            Ok(HttpResponse::new(status.into(), SdkBody::from(body)))
        })
    }
}

/// The operations that [`Table`] calls.
fn call(db: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    match operation {
        "GetItem" => answer(body, |request| db.get_item(request)),
        "PutItem" => answer(body, |request| db.put_item(request)),
        "UpdateItem" => answer(body, |request| db.update_item(request)),
        "DeleteItem" => answer(body, |request| db.delete_item(request)),
        "Query" => answer(body, |request| db.query(request)),
        "Scan" => answer(body, |request| db.scan(request)),
        "BatchGetItem" => answer(body, |request| db.batch_get_item(request)),
        "BatchWriteItem" => answer(body, |request| db.batch_write_item(request)),
        "CreateTable" => answer(body, |request| db.create_table(request)),
        "UpdateTimeToLive" => answer(body, |request| db.update_time_to_live(request)),
        other => Err(DynoxideError::UnsupportedCapability(other.to_owned())),
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    run: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynoxideError> {
    let broken = |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
    let answer = run(serde_json::from_slice(body).map_err(broken)?)?;
    serde_json::to_string(&answer).map_err(broken)
}
