//! A process that dies between two steps: from then on nothing comes back.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Steps that a process may still take.
#[derive(Debug)]
pub struct Life {
    /// How many there were.
    pub steps: usize,
    /// How many are left.
    pub left: AtomicUsize,
    /// Is told when a step was asked for that is not taken.
    pub over: Notify,
}

impl Life {
    /// A life of so many steps.
    #[must_use]
    pub fn of(steps: usize) -> Arc<Self> {
        Arc::new(Self { steps, left: AtomicUsize::new(steps), over: Notify::new() })
    }

    /// Whether one more step is taken; at the end of life nothing ever comes back.
    pub fn step(&self) -> bool {
        let taken = self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if taken.is_err() {
            self.over.notify_one();
        }
        taken.is_ok()
    }
}

/// A table whose calls are steps of a life.
#[derive(Debug)]
pub struct MortalTable(pub SharedHttpConnector, pub Arc<Life>);

impl HttpConnector for MortalTable {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.1.step() {
            true => self.0.call(request),
            false => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}
