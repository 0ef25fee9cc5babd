//! Wires [`rebond_poll_dispatch`] to Lambda.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::deployment::Deployment;
use rebond::telemetry;
use rebond_poll_dispatch::{PollDispatch, Summary};
use serde_json::Value;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let dispatch = &PollDispatch { table: stack.table(), queue: Arc::new(stack.queue()?) };
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let summary = dispatch.run(&event.context.request_id, jiff::Timestamp::now()).await?;
        let counts = [("due", summary.due), ("queued", summary.queued)];
        telemetry::emit_metrics("poll-dispatch", &counts, &[("run", &summary.run)]);
        Ok::<Summary, Error>(summary)
    }))
    .await
}
