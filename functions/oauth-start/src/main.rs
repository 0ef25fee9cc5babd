//! Wires [`rebond_oauth_start`] to Lambda.

use lambda_http::{Error, Request, run, service_fn};
use rebond::deployment::Deployment;
use rebond::telemetry;
use rebond_oauth_start::OauthStart;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let start = OauthStart { table: stack.table(), vault: Arc::new(stack.vault()) };
    let start = &start;
    run(service_fn(move |request: Request| async move {
        let mut random = [0; 64];
        SystemRandom::new().fill(&mut random).map_err(|_| "no random bytes to be had")?;
        Ok::<_, Error>(start.handle(&request.into_parts().0, jiff::Timestamp::now(), &random).await)
    }))
    .await
}
