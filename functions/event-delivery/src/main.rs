//! Wires [`rebond_event_delivery`] to Lambda.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::deployment::Deployment;
use rebond::telemetry;
use rebond_event_delivery::{Task, handle};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Time kept back for the last try, and for writing down what was not taken.
const MARGIN: Duration = Duration::from_secs(25);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let teller = &Deployment::of_this_function()?.teller()?;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let left = event.context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let (run, deadline) = (&event.context.request_id, Instant::now() + left.saturating_sub(MARGIN));
        let (answer, done) = handle(teller, Task::try_from(event.payload)?, run, deadline).await?;
        let (told, drained) = (done.told, done.drained);
        let counts =
            [("events", told.events), ("told", told.told + drained.told), ("kept", told.kept), ("dead", drained.dead)];
        telemetry::emit_metrics("event-delivery", &counts, &[("run", run)]);
        Ok::<Value, Error>(answer)
    }))
    .await
}
