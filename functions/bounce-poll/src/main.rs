//! Wires [`rebond_bounce_poll`] to Lambda.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::connection::Connector;
use rebond::deployment::Deployment;
use rebond::poll::{Poller, Summary};
use rebond::telemetry;
use rebond_bounce_poll::{Answer, Event, handle};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let Connector { table, vault, grants, reach, tls, clock } = stack.connector()?;
    let poller = &Poller { table, vault, grants, reach, tls, clock, follow: None, raw: stack.kept_mail() };
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
