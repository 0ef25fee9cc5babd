//! Wires [`rebond_bounce_poll`] to Lambda.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::deployment::{self, Deployment};
use rebond::grant::{Clock, Grants};
use rebond::net::Http;
use rebond::poll::{Poller, Summary};
use rebond::telemetry;
use rebond::vault::Vault;
use rebond_bounce_poll::{Answer, Event, handle};
use std::sync::Arc;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let (reach, tls) = (deployment::reach()?, deployment::tls()?);
    let (table, vault): (_, Arc<dyn Vault>) = (stack.table(), Arc::new(stack.vault()));
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    let http = Http::new(&reach, &tls)?;
    let grants = Grants::new(table.clone(), Arc::clone(&vault), http, Arc::clone(&clock));
    let grants = grants.with_identity(Arc::new(stack.identity()));
    let poller = &Poller { table, vault, grants, reach, tls, clock, follower: None };
    run(service_fn(move |event: LambdaEvent<Event>| async move {
        let left = event.context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let run = event.context.request_id.clone();
        Ok::<Answer, Error>(handle(poller, event.payload, &run, Instant::now() + left, measure).await?)
    }))
    .await
}

fn measure(summary: &Summary) {
    let counts = [
        ("messages", summary.messages),
        ("reports", summary.reports),
        ("recorded", summary.recorded),
        ("table_writes", summary.table_writes),
    ];
    telemetry::emit_metrics("bounce-poll", &counts, &[("run", &summary.run), ("account", summary.account.as_str())]);
}
