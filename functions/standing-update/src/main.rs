//! Wires [`rebond_standing_update`] to Lambda.

use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::streams::DynamoDbEventResponse;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::deployment::Deployment;
use rebond::follow::Follower;
use rebond::telemetry;
use rebond_standing_update::handle;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let follower = &Follower::new(stack.table(), Arc::new(stack.vault()));
    run(service_fn(move |event: LambdaEvent<Event>| async move {
        let run = &event.context.request_id;
        let (answer, done) = handle(follower, event.payload, run, jiff::Timestamp::now()).await;
        let counts =
            [("facts", done.facts), ("causes", done.causes), ("unproven", done.unproven), ("changed", done.changed)];
        telemetry::emit_metrics("standing-update", &counts, &[("run", run)]);
        Ok::<DynamoDbEventResponse, Error>(answer)
    }))
    .await
}
