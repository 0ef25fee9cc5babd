//! Wires [`rebond_token_refresh`] to Lambda: the schedule's event, or `{"account": "…"}` by hand.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::account::AccountId;
use rebond::connection::Connector;
use rebond::deployment::Deployment;
use rebond::telemetry;
use rebond_token_refresh::{Summary, TokenRefresh};
use serde::Deserialize;

#[derive(Deserialize)]
struct Event {
    account: Option<AccountId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let Connector { table, grants, .. } = stack.connector()?;
    let refresh = &TokenRefresh { table, grants };
    run(service_fn(move |event: LambdaEvent<Event>| async move {
        let (account, now) = (event.payload.account, jiff::Timestamp::now());
        let summary = refresh.run(account.as_ref(), &event.context.request_id, now).await?;
        let counts = [("accounts", summary.accounts), ("renewed", summary.renewed), ("failed", summary.failed)];
        telemetry::emit_metrics("token-refresh", &counts, &[("run", &summary.run)]);
        Ok::<Summary, Error>(summary)
    }))
    .await
}
