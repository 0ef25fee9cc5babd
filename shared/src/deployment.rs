//! The AWS side of a deployment: clients, the table, the vault, by the environment that `template.yaml` sets.

use crate::identity::Sts;
use crate::queue::Sqs;
use crate::table::Table;
use crate::vault::{Kms, SecretsManager};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// A variable of the environment that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadVariable {
    /// `template.yaml` should have set it.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// Its value makes no sense.
    #[error("the environment variable {0}: {1}")]
    Wrong(&'static str, String),
}

/// A variable of the environment.
pub fn variable(name: &'static str) -> Result<String, BadVariable> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(BadVariable::Missing(name))
}

/// One deployed stack: its name is the table's name and the prefix of every secret and function.
pub struct Deployment {
    config: SdkConfig,
    stack: String,
}

impl Deployment {
    /// The stack that this function belongs to (`REBOND_STACK`).
    pub async fn of_this_function() -> Result<Self, BadVariable> {
        Ok(Self { stack: variable("REBOND_STACK")?, config: config(AWS_ROOTS_ONLY).await })
    }

    /// A stack by name, with the operator's own credentials.
    pub async fn named(stack: &str) -> Self {
        Self { stack: stack.to_owned(), config: config(ALL_ROOTS).await }
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
        Sts::new(aws_sdk_sts::Client::new(&self.config))
    }

    /// What signs for apps whose certificate's key is in KMS.
    pub fn kms(&self) -> Kms {
        Kms::new(aws_sdk_kms::Client::new(&self.config))
    }

    /// All that connecting, renewing and polling need, at what this process may reach.
    #[cfg(feature = "mailbox")]
    pub fn connector(&self) -> Result<crate::connection::Connector, BadVariable> {
        use std::sync::Arc;
        let (reach, tls) = (reach()?, tls()?);
        let (table, vault): (_, Arc<dyn crate::vault::Vault>) = (self.table(), Arc::new(self.vault()));
        let clock: crate::grant::Clock = Arc::new(jiff::Timestamp::now);
        let http = crate::net::Http::new(&reach, &tls)
            .map_err(|error| BadVariable::Wrong("REBOND_EXTRA_CA", error.to_string()))?;
        let grants = crate::grant::Grants::new(table.clone(), Arc::clone(&vault), http, Arc::clone(&clock));
        let grants = grants.with_identity(Arc::new(self.identity())).with_kms(self.kms());
        Ok(crate::connection::Connector { table, vault, grants, reach, tls, clock })
    }

    /// The poll queue (`REBOND_QUEUE_URL`).
    pub fn queue(&self) -> Result<Sqs, BadVariable> {
        Ok(Sqs::new(aws_sdk_sqs::Client::new(&self.config), variable("REBOND_QUEUE_URL")?))
    }

    /// What further clients are made of.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The full name of one of the stack's functions.
    pub fn function(&self, name: &str) -> String {
        format!("{}-{name}", self.stack)
    }
}

const AWS_ROOTS_ONLY: bool = true;
const ALL_ROOTS: bool = false;

async fn config(aws_roots_only: bool) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(aws_roots_only)).load().await
}

/// The SDK's HTTP client over ring. Reading the operating system's roots is most of a cold start, and a function
/// talks to AWS alone, whose endpoints all chain to Amazon Trust Services.
fn http_client(aws_roots_only: bool) -> SharedHttpClient {
    let provider = Provider::Rustls(CryptoMode::Ring);
    let builder = aws_smithy_http_client::Builder::new().tls_provider(provider);
    if !aws_roots_only {
        return builder.build_https();
    }
    let roots = include_bytes!("amazon-roots.pem");
    let context = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots)).build();
    match context {
        Ok(context) => builder.tls_context(context).build_https(),
        Err(_) => builder.build_https(),
    }
}

/// Which servers this function may reach: public addresses, and what `REBOND_REACH` names beside them.
#[cfg(feature = "mailbox")]
pub fn reach() -> Result<crate::net::Reach, BadVariable> {
    let wrong = |error: crate::account::Invalid| BadVariable::Wrong("REBOND_REACH", error.to_string());
    crate::net::Reach::parse(&std::env::var("REBOND_REACH").unwrap_or_default()).map_err(wrong)
}

/// Whom TLS to mail servers trusts: the public authorities, and the PEM text in `REBOND_EXTRA_CA`.
#[cfg(feature = "mailbox")]
pub fn tls() -> Result<crate::net::Tls, BadVariable> {
    let pem = variable("REBOND_EXTRA_CA").ok();
    let tls = crate::net::Tls::new(pem.as_deref().map(str::as_bytes));
    tls.map_err(|error| BadVariable::Wrong("REBOND_EXTRA_CA", error.to_string()))
}
