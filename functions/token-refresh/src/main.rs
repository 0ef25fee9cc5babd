//! Wires [`rebond_token_refresh`] to Lambda: the schedule's event, or `{"account": "…"}` by hand.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebond::account::AccountId;
use rebond::deployment::{self, Deployment};
use rebond::grant::{Clock, Grants};
use rebond::net::Http;
use rebond::telemetry;
use rebond_token_refresh::{Summary, TokenRefresh};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Event {
    account: Option<AccountId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let table = stack.table();
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    let http = Http::new(&deployment::reach()?, &deployment::tls()?)?;
    let grants = Grants::new(table.clone(), Arc::new(stack.vault()), http, clock);
    let grants = grants.with_identity(Arc::new(stack.identity()));
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
