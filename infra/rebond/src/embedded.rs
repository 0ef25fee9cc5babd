//! The table on one machine: dynoxide, in this process, behind the very client that speaks to DynamoDB on AWS.

use aws_sdk_dynamodb::config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::actions::transact_write_items::{TransactPut, TransactWriteItem, TransactWriteItemsRequest};
use dynoxide::errors::CancellationReason;
use dynoxide::{Database, DynoxideError};
use rebond::table::Table;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

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
    Ok((table(SharedHttpConnector::new(Embedded::new(database)?)).await?, sweeper))
}

/// What answers the client: the database in the file at `path`, created where there is none.
pub fn connector(path: &str, durability: Durability) -> anyhow::Result<SharedHttpConnector> {
    Ok(SharedHttpConnector::new(Embedded::new(database(path, durability)?)?))
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
    let table = Table::new(client(connector), TABLE);
    table.create_if_missing(false).await?;
    Ok(table)
}

/// The name of the table on one machine.
pub const TABLE: &str = "rebond";

/// A client of the table behind a connector.
pub fn client(connector: SharedHttpConnector) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        // Nobody signs what stays in the process.
        .allow_no_auth()
        .endpoint_url("http://embedded.invalid")
        .retry_config(RetryConfig::standard().with_max_attempts(5))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// Requests that are taken up at once, and puts that are made durable together at most.
const TOGETHER: usize = 50;

/// A request on its way to the database, and who waits for the answer.
struct Call {
    request: HttpRequest,
    answer: oneshot::Sender<HttpResponse>,
}

/// The database has a thread of its own: who waits for the disk holds up nobody who reads mail meanwhile.
struct Embedded {
    calls: mpsc::UnboundedSender<Call>,
}

impl Embedded {
    fn new(database: Database) -> std::io::Result<Self> {
        let (calls, waiting) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("table".into()).spawn(move || serve(&database, waiting))?;
        Ok(Self { calls })
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded")
    }
}

impl HttpConnector for Embedded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.send(Call { request, answer });
        HttpConnectorFuture::new(async move {
            let gone = || ConnectorError::other("the thread of the table has ended".into(), None);
            sent.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())
        })
    }
}

/// Answers what is asked until nobody is left to ask. All puts that wait at the same time are one transaction: it costs one
/// `fsync`, however many they are, and each is answered when it is durable.
fn serve(database: &Database, mut calls: mpsc::UnboundedReceiver<Call>) {
    while let Some(first) = calls.blocking_recv() {
        let (mut puts, mut left) = (Vec::new(), TOGETHER);
        let mut next = Some(first);
        while let Some(call) = next {
            match lone_put(&call.request) {
                Some(put) => puts.push((put, call)),
                None => alone(database, call),
            }
            // No longer than that, or puts would wait for as long as somebody reads.
            left -= 1;
            next = if left > 0 { calls.try_recv().ok() } else { None };
        }
        together(database, puts);
    }
}

/// A put that asks for nothing back, as a transaction takes it.
fn lone_put(request: &HttpRequest) -> Option<TransactPut> {
    let body = request.body().bytes().filter(|_| operation(request) == "PutItem")?;
    let body = std::str::from_utf8(body).ok()?;
    let asks = ["\"ReturnValues\"", "\"ReturnConsumedCapacity\""].iter().any(|name| body.contains(name));
    if asks { None } else { serde_json::from_str(body).ok() }
}

/// Puts in one transaction. Those that their conditions refuse are answered so, and the rest goes without them; where
/// anything else is wrong, each goes alone and has its own answer.
fn together(database: &Database, mut puts: Vec<(TransactPut, Call)>) {
    while puts.len() > 1 {
        let items = puts.iter().map(|(put, _)| TransactWriteItem { put: Some(put.clone()), ..Default::default() });
        let all = TransactWriteItemsRequest { transact_items: items.collect(), ..Default::default() };
        match database.transact_write_items(all) {
            Ok(_) => {
                for (_, call) in puts {
                    respond(call.answer, Ok("{}".to_owned()));
                }
                return;
            }
            Err(DynoxideError::TransactionCanceledException(_, reasons)) if reasons.len() == puts.len() => {
                let refused = |reason: &CancellationReason| reason.code == "ConditionalCheckFailed";
                if !reasons.iter().any(refused) {
                    break;
                }
                let mut rest = Vec::new();
                for (reason, (put, call)) in reasons.iter().zip(puts) {
                    if refused(reason) {
                        let said = "The conditional request failed".to_owned();
                        respond(call.answer, Err(DynoxideError::ConditionalCheckFailedException(said, None)));
                    } else {
                        rest.push((put, call));
                    }
                }
                puts = rest;
            }
            Err(_) => break,
        }
    }
    for (_, call) in puts {
        alone(database, call);
    }
}

fn alone(database: &Database, call: Call) {
    let body = call.request.body().bytes().unwrap_or_default();
    let answer = run(database, operation(&call.request), body);
    respond(call.answer, answer);
}

/// Who asked may have gone: what was done is done.
fn respond(to: oneshot::Sender<HttpResponse>, answer: Result<String, DynoxideError>) {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (error.status_code(), error.to_json()),
    };
    let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let _ = to.send(HttpResponse::new(status.into(), SdkBody::from(body)));
}

fn operation(request: &HttpRequest) -> &str {
    request.headers().get("x-amz-target").and_then(|target| target.split_once('.')).map_or("", |(_, name)| name)
}

/// The operations that [`Table`] calls.
fn run(db: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::error::ProvideErrorMetadata;
    use aws_sdk_dynamodb::types::AttributeValue;
    use futures::future::join_all;

    /// Puts an item where there is none; the code of what was refused.
    async fn put(client: &aws_sdk_dynamodb::Client, pk: String, sk: Option<&str>) -> Result<(), String> {
        let put = client.put_item().table_name(TABLE).item("pk", AttributeValue::S(pk));
        let put = match sk {
            Some(sk) => put.item("sk", AttributeValue::S(sk.to_owned())),
            None => put,
        };
        let put = put.condition_expression("attribute_not_exists(pk)").send().await;
        put.map(|_| ()).map_err(|error| error.code().unwrap_or("?").to_owned())
    }

    #[tokio::test]
    async fn of_puts_that_are_made_durable_together_each_has_its_own_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.sqlite").to_string_lossy().into_owned();
        let connector = connector(&path, Durability::Full).unwrap();
        table(connector.clone()).await.unwrap();
        let client = client(connector);
        for n in 0..20 {
            put(&client, format!("item{n}"), Some("x")).await.unwrap();
        }
        // Twenty that are there, forty that are new, ten of these asked for twice, and one that is no item of the table.
        let numbers: Vec<u32> = (0..60).chain(30..40).collect();
        let puts = join_all(numbers.iter().map(|n| put(&client, format!("item{n}"), Some("x"))));
        let (answers, broken) = tokio::join!(puts, put(&client, "item60".into(), None));
        assert_eq!(broken, Err("ValidationException".to_owned()));
        let refused = Err("ConditionalCheckFailedException".to_owned());
        for (n, answer) in numbers.iter().zip(&answers) {
            match n {
                0..20 => assert_eq!(*answer, refused, "{n}"),
                30..40 => {}
                _ => assert_eq!(*answer, Ok(()), "{n}"),
            }
        }
        for n in 30..40 {
            let of: Vec<_> = numbers.iter().zip(&answers).filter(|(m, _)| **m == n).map(|(_, answer)| answer).collect();
            assert_eq!(of.iter().filter(|answer| answer.is_ok()).count(), 1, "{n}: {of:?}");
            assert!(of.contains(&&refused), "{n}: {of:?}");
        }
        // What was answered is there for whoever opens the file next.
        let other = super::client(super::connector(&path, Durability::Full).unwrap());
        let found = other.scan().table_name(TABLE).send().await.unwrap();
        assert_eq!(found.count, 60);
    }
}
