//! Wires [`rebond_api`] to Lambda.

use lambda_http::{Error, Request, run, service_fn};
use rebond::deployment::Deployment;
use rebond::telemetry;
use rebond_api::Api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let api = Api::new(Deployment::of_this_function()?.table());
    let api = &api;
    run(service_fn(move |request: Request| async move {
        let (parts, body) = request.into_parts();
        Ok::<_, Error>(api.handle(&parts, &body, jiff::Timestamp::now()).await)
    }))
    .await
}
