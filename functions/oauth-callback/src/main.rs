//! Wires [`rebond_oauth_callback`] to Lambda.

use lambda_http::{Error, Request, run, service_fn};
use rebond::deployment::Deployment;
use rebond::telemetry;
use rebond_oauth_callback::OauthCallback;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init_json();
    let stack = Deployment::of_this_function()?;
    let callback = &OauthCallback { connector: stack.connector()? };
    run(service_fn(
        move |request: Request| async move { Ok::<_, Error>(callback.handle(&request.into_parts().0).await) },
    ))
    .await
}
