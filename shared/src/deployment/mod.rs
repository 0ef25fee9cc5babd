//! The AWS side of a deployment: clients, the table, the vault, by the environment that `template.yaml` sets.

mod functions;
mod http;
pub mod signed;

pub use http::{of_this_machine as http_client, shared as shared_http_client};

use crate::identity::Sts;
use crate::queue::Sqs;
use crate::table::Table;
use crate::vault::{Kms, SecretsManager};
#[cfg(feature = "mailbox")]
use crate::{
    connection::Connector,
    follow::Follower,
    grant::{Clock, Grants},
    net::Http,
    raw::{Bucket, Store},
    tell::Teller,
    vault::Vault,
};
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use signed::Signed;
use std::sync::Arc;

/// What keeps a deployment from being used: nearly always a variable of the environment.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// `template.yaml` should have set it.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// Its value makes no sense.
    #[error("the environment variable {0}: {1}")]
    Wrong(&'static str, String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client: {0}")]
    Http(String),
}

/// A variable of the environment.
pub fn variable(name: &'static str) -> Result<String, Unusable> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(Unusable::Missing(name))
}

/// One deployed stack: its name is the table's name and the prefix of every secret and function.
pub struct Deployment {
    config: SdkConfig,
    signed: Arc<Signed>,
    stack: String,
}

impl Deployment {
    /// The stack that this function belongs to (`REBOND_STACK`).
    pub fn of_this_function() -> Result<Self, Unusable> {
        let client = http::amazon_only().map_err(Unusable::Http)?;
        Ok(Self::over(function_config(&client)?, client, variable("REBOND_STACK")?))
    }

    /// A stack by name, with the operator's own credentials.
    pub async fn named(stack: &str) -> Result<Self, Unusable> {
        let client = http::of_this_machine().map_err(Unusable::Http)?;
        Ok(Self::over(operator_config(&client).await, client, stack.to_owned()))
    }

    fn over(config: SdkConfig, client: reqwest::Client, stack: String) -> Self {
        Self { signed: Arc::new(Signed::new(&config, client)), config, stack }
    }

    /// The table.
    pub fn table(&self) -> Table {
        Table::new(aws_sdk_dynamodb::Client::new(&self.config), &self.stack)
    }

    /// The vault.
    pub fn vault(&self) -> SecretsManager {
        SecretsManager::new(aws_sdk_secretsmanager::Client::new(&self.config), &self.stack)
    }

    /// Who this function is, by its role.
    pub fn identity(&self) -> Sts {
        Sts::new(Arc::clone(&self.signed))
    }

    /// What signs for apps whose certificate's key is in KMS.
    pub fn kms(&self) -> Kms {
        Kms::new(Arc::clone(&self.signed))
    }

    /// All that connecting, renewing and polling need, at what this process may reach.
    #[cfg(feature = "mailbox")]
    pub fn connector(&self) -> Result<Connector, Unusable> {
        let (reach, tls) = (reach()?, tls()?);
        let (table, vault): (_, Arc<dyn Vault>) = (self.table(), Arc::new(self.vault()));
        let clock: Clock = Arc::new(jiff::Timestamp::now);
        let http = Http::new(&reach, &tls).map_err(|error| Unusable::Http(error.to_string()))?;
        let grants = Grants::new(table.clone(), Arc::clone(&vault), http, Arc::clone(&clock));
        let grants = grants.with_identity(Arc::new(self.identity())).with_kms(self.kms());
        let grants = grants.with_signed(Arc::clone(&self.signed));
        Ok(Connector { table, vault, grants, reach, tls, clock })
    }

    /// All that telling events needs, at what this process may reach.
    #[cfg(feature = "mailbox")]
    pub fn teller(&self) -> Result<Teller, Unusable> {
        let http = Http::new(&reach()?, &tls()?).map_err(|error| Unusable::Http(error.to_string()))?;
        let vault: Arc<dyn Vault> = Arc::new(self.vault());
        let follower = Follower::new(self.table(), Arc::clone(&vault));
        let signed = Arc::clone(&self.signed);
        let source = format!("/{}", self.stack);
        Ok(Teller::new(self.table(), vault, follower, http, signed, source, Arc::new(jiff::Timestamp::now)))
    }

    /// Where mail is kept as it came (`REBOND_RAW_BUCKET`); none where that is not wanted.
    #[cfg(feature = "mailbox")]
    pub fn kept_mail(&self) -> Option<Store> {
        variable("REBOND_RAW_BUCKET").ok().map(|bucket| self.bucket(&bucket))
    }

    /// The mail that is kept in a bucket of the deployment's region.
    #[cfg(feature = "mailbox")]
    pub fn bucket(&self, name: &str) -> Store {
        Store::Bucket(Bucket::new(Arc::clone(&self.signed), name))
    }

    /// The poll queue (`REBOND_QUEUE_URL`).
    pub fn queue(&self) -> Result<Sqs, Unusable> {
        Ok(Sqs::new(Arc::clone(&self.signed), variable("REBOND_QUEUE_URL")?))
    }

    /// What the stack says of itself under this name, by the credentials of whoever asks; none where it says nothing (AWS
    /// CloudFormation API reference, DescribeStacks).
    pub async fn output(&self, key: &str) -> Result<Option<String>, signed::Fault> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("Action", "DescribeStacks"), ("Version", "2010-05-15"), ("StackName", &self.stack)]);
        let request = signed::Request {
            service: "cloudformation",
            host: "cloudformation",
            variable: "CLOUDFORMATION",
            region: None,
            method: "POST",
            path: "",
            headers: &[("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: form.finish().into_bytes(),
        };
        Ok(output_of(&self.signed.call(request).await?, key))
    }

    /// The full name of one of the stack's functions.
    pub fn function(&self, name: &str) -> String {
        format!("{}-{name}", self.stack)
    }
}

/// One of the outputs in an answer of DescribeStacks: each is a `member` with its key, its value and perhaps more, in any order.
fn output_of(xml: &str, key: &str) -> Option<String> {
    let member = xml.split("<member>").find(|member| signed::between(member, "OutputKey") == Some(key))?;
    // Of all that XML escapes, a URL may hold this alone.
    signed::between(member, "OutputValue").map(|value| value.replace("&amp;", "&"))
}

/// As the operator's own tools find it: profiles, single sign-on, instance metadata.
async fn operator_config(client: &reqwest::Client) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http::shared(client)).load().await
}

/// Lambda tells a function its region and credentials by the environment, and nothing else needs to be asked: the
/// chain of places where an operator's tools look is half a megabyte of the binary.
fn function_config(client: &reqwest::Client) -> Result<SdkConfig, Unusable> {
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard())
        .service_config(EndpointVariables)
        .http_client(http::shared(client))
        .build())
}

/// `AWS_ENDPOINT_URL_SERVICE` before `AWS_ENDPOINT_URL`, as the SDKs agree on.
#[derive(Debug)]
struct EndpointVariables;

impl LoadServiceConfig for EndpointVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_ascii_uppercase().replace(' ', "_");
        let names = [format!("{}_{service}", key.env()), key.env().to_owned()];
        names.into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }
}

/// Which servers this function may reach: public addresses, and what `REBOND_REACH` names beside them.
#[cfg(feature = "mailbox")]
pub fn reach() -> Result<crate::net::Reach, Unusable> {
    let wrong = |error: crate::account::Invalid| Unusable::Wrong("REBOND_REACH", error.to_string());
    crate::net::Reach::parse(&std::env::var("REBOND_REACH").unwrap_or_default()).map_err(wrong)
}

/// Whom TLS to mail servers trusts: the public authorities, and the PEM text in `REBOND_EXTRA_CA`.
#[cfg(feature = "mailbox")]
pub fn tls() -> Result<crate::net::Tls, Unusable> {
    let pem = variable("REBOND_EXTRA_CA").ok();
    let tls = crate::net::Tls::new(pem.as_deref().map(str::as_bytes));
    tls.map_err(|error| Unusable::Wrong("REBOND_EXTRA_CA", error.to_string()))
}
