//! The life of a grant: obtained, renewed in one flight, forgotten. The one caller of the vault for grants and of the
//! provider's token endpoint.
//!
//! A grant has a generation. Each value of it is a version in the vault whose id is made of account and generation,
//! so two writers of one generation cannot both win; the table's generation says which version is true. A crash
//! between the vault and the table leaves the next generation's version behind, and whoever comes next adopts it.

mod app_only;
mod device;
mod fault;
mod keep;
mod proof;
mod token;

pub use device::DeviceCode;
pub use fault::GrantFault;
pub use proof::private_key;

use crate::account::{App, AppId};
use crate::deployment::signed::Signed;
use crate::identity::Identity;
use crate::net::Http;
use crate::secret::Secret;
use crate::table::{By, Table};
use crate::vault::{Kms, Vault};
use app_only::AppTokens;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Tells the time; tests hand over another one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What grants are kept in and renewed with.
#[derive(Clone)]
pub struct Grants {
    table: Table,
    vault: Arc<dyn Vault>,
    http: Http,
    clock: Clock,
    /// Access tokens by account and generation, so that a warm function does not ask the vault at each poll.
    warm: Arc<Mutex<HashMap<String, Warm>>>,
    /// Tokens of apps themselves; they are nowhere else.
    app_tokens: AppTokens,
    /// Who this process is, for apps with a federated credential.
    identity: Option<Arc<dyn Identity>>,
    /// What signs for apps whose certificate's key is in KMS.
    kms: Option<Kms>,
    /// What asks functions that keep client secrets.
    signed: Option<Arc<Signed>>,
    /// Which function acts, and in which run: for the audit.
    function: Arc<str>,
    run: Arc<str>,
}

#[derive(Clone)]
struct Warm {
    generation: u64,
    access_token: Secret,
    expires_at: Timestamp,
}

impl Grants {
    /// Grants in this table and vault, renewed over this HTTP client.
    pub fn new(table: Table, vault: Arc<dyn Vault>, http: Http, clock: Clock) -> Self {
        Self {
            table,
            vault,
            http,
            clock,
            warm: Arc::default(),
            app_tokens: AppTokens::default(),
            identity: None,
            kms: None,
            signed: None,
            function: "rebond".into(),
            run: "".into(),
        }
    }

    /// The same for a process that can say who it is.
    #[must_use]
    pub fn with_identity(self, identity: Arc<dyn Identity>) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// The same for a process that may have AWS KMS sign for it.
    #[must_use]
    pub fn with_kms(self, kms: Kms) -> Self {
        Self { kms: Some(kms), ..self }
    }

    /// The same for a process that may ask functions for client secrets.
    #[must_use]
    pub fn with_signed(self, signed: Arc<Signed>) -> Self {
        Self { signed: Some(signed), ..self }
    }

    /// The same grants, acting as this function in this run: the audit names both.
    pub fn acting_as(&self, function: &str, run: &str) -> Self {
        Self { function: function.into(), run: run.into(), ..self.clone() }
    }

    /// The time, as grants are kept by it.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Who acts.
    fn by(&self) -> By<'_> {
        By { function: &self.function, run: &self.run }
    }

    /// An app by its id. A client id that is given out is asked for the first time; from then on each proof brings it.
    pub async fn app(&self, id: &AppId) -> Result<App, GrantFault> {
        let app = self.table.app(id).await?.ok_or_else(|| GrantFault::NoApp(id.clone()))?;
        match app.client_id_given && app.client_id.is_empty() {
            true => Ok(Box::pin(self.proof(&app)).await?.1),
            false => Ok(app),
        }
    }
}
