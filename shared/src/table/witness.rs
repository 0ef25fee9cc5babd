//! Who is told of what is about to be written. On AWS the table's stream tells of it afterwards, and nobody is; on one
//! machine nothing carries a stream, so that whoever writes says it first: killed between the two, it says it again.

use super::{AuditEntry, DeliveryItem, Fact, StandingItem, Table, TableError};
use crate::account::AccountId;
use crate::incident::Incident;
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// What is about to be written, or was.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// A fact, whole: new, or known already.
    Fact(&'a Fact),
    /// What is on record of an address.
    Standing {
        /// As it was; none where nothing was.
        before: Option<&'a StandingItem>,
        /// As it is; none where it was cleaned up.
        after: Option<&'a StandingItem>,
    },
    /// An incident, opened or moved on.
    Incident(&'a Incident),
    /// A delivery that is closed.
    Delivery(&'a DeliveryItem),
    /// An entry of the audit of an account.
    Audit(&'a AccountId, &'a AuditEntry),
}

/// Is told of a change before it is written; its error keeps it from being written.
#[derive(Clone)]
pub struct Witness(Arc<Told>);

type Told = dyn for<'a> Fn(Change<'a>) -> BoxFuture<'a, Result<(), TableError>> + Send + Sync;

impl Witness {
    /// By the function that is told.
    pub fn new(
        told: impl for<'a> Fn(Change<'a>) -> BoxFuture<'a, Result<(), TableError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(told))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl Table {
    /// The same table, whose changes `witness` is told of before they are written.
    pub fn witnessed(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }

    pub(super) async fn will(&self, change: Change<'_>) -> Result<(), TableError> {
        match &self.witness {
            Some(witness) => (witness.0)(change).await,
            None => Ok(()),
        }
    }
}
