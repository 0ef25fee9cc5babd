//! The SDK's requests over the project's one HTTP client. The SDK's own speaks HTTP/2 besides, which no service that is
//! asked here needs: 0.4 MB of each function.

use crate::limits;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// What the SDK's own client allows for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// For a function, which talks to AWS alone: all its endpoints chain to Amazon Trust Services, and reading the operating
/// system's roots would be most of a cold start.
pub fn amazon_only() -> Result<reqwest::Client, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(include_bytes!("amazon-roots.pem")).flatten());
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy())
}

/// For an operator's machine: the operating system's roots, and the proxy that its environment names.
pub fn of_this_machine() -> Result<reqwest::Client, String> {
    // A second call finds it installed, which is as good.
    let _ = ring::default_provider().install_default();
    client(reqwest::Client::builder())
}

fn client(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    let client = builder.connect_timeout(CONNECT_TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
    client.map_err(|error| error.to_string())
}

/// The client as the SDK takes it.
pub fn shared(client: &reqwest::Client) -> SharedHttpClient {
    SharedHttpClient::new(Client(client.clone()))
}

/// One pool of connections for all clients of the SDK.
#[derive(Debug)]
struct Client(reqwest::Client);

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { client: self.0.clone(), read_timeout: settings.read_timeout() })
    }
}

#[derive(Debug)]
struct Connector {
    client: reqwest::Client,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, read_timeout) = (self.client.clone(), self.read_timeout);
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (head, body) = request.into_parts();
            let body = body.bytes().ok_or_else(|| ConnectorError::user("a request whose body is a stream".into()))?;
            let mut request = reqwest::Request::try_from(http::Request::from_parts(head, body.to_vec()))
                .map_err(|error| ConnectorError::user(error.into()))?;
            *request.timeout_mut() = read_timeout;
            exchange(&client, request).await
        })
    }
}

async fn exchange(client: &reqwest::Client, request: reqwest::Request) -> Result<HttpResponse, ConnectorError> {
    let mut answer = client.execute(request).await.map_err(fault)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > limits::AWS_ANSWER_BYTES {
            return Err(ConnectorError::other("an answer that is longer than any service's".into(), None));
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = http::Response::new(SdkBody::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// By what the SDK decides whether another attempt is worth it.
fn fault(error: reqwest::Error) -> ConnectorError {
    // The URL of a request to AWS is no secret, and no help either.
    let error = error.without_url();
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
