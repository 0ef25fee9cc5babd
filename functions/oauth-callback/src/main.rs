//! Wires [`rebond_oauth_callback`] to Lambda.

use lambda_http::{Error, Request, run, service_fn};
use rebond::connection::Connector;
use rebond::deployment::{self, Deployment};
use rebond::grant::{Clock, Grants};
use rebond::net::Http;
use rebond::telemetry;
use rebond::vault::Vault;
use rebond_oauth_callback::OauthCallback;
use std::sync::Arc;

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
    let callback = &OauthCallback { connector: Connector { table, vault, grants, reach, tls, clock } };
    run(service_fn(
        move |request: Request| async move { Ok::<_, Error>(callback.handle(&request.into_parts().0).await) },
    ))
    .await
}
