//! Calls of AWS that events are told by, that ask for client secrets, and that keep raw mail: each is one request, signed
//! (Signature Version 4). The clients of these services would be a megabyte of the function, for an operation or two each.

use super::Unusable;
use crate::limits;
use aws_sdk_sqs::config::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_types::SdkConfig;
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// Time for a whole exchange.
const EXCHANGE: Duration = Duration::from_secs(10);

/// One request to a service.
#[derive(Debug)]
pub struct Request<'a> {
    /// As it signs: `sns`, `sqs`, `events`, `ses`, `lambda`, `s3`.
    pub service: &'a str,
    /// The first part of its host, where that is another: `email` for `ses`.
    pub host: &'a str,
    /// As `AWS_ENDPOINT_URL_…` names it.
    pub variable: &'a str,
    /// Region.
    pub region: &'a str,
    /// HTTP method.
    pub method: &'a str,
    /// Path, without the first slash, and query.
    pub path: &'a str,
    /// Headers: content type, and which operation.
    pub headers: &'a [(&'static str, String)],
    /// Body.
    pub body: Vec<u8>,
}

/// What a service answered, as far as it was read.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body, bounded.
    pub body: Vec<u8>,
}

/// S3 signs the path as it is sent, and the hash of the body in a header (Amazon S3, "Authenticating Requests").
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// Signs and sends.
pub struct Signed {
    config: OnceCell<(SdkConfig, reqwest::Client)>,
}

impl Signed {
    /// With the credentials of whoever runs this process, found when they are first needed.
    pub fn of_operator() -> Self {
        Self { config: OnceCell::new() }
    }

    /// With a configuration's credentials; at its endpoint where it names one and the environment none of the service's own.
    pub fn new(config: &SdkConfig) -> Result<Self, Unusable> {
        let client = super::http::amazon_only_client().map_err(Unusable::Http)?;
        Ok(Self { config: OnceCell::new_with(Some((config.clone(), client))) })
    }

    /// Where a service is: as the environment says, or at AWS.
    pub fn base(host: &str, variable: &str, region: &str) -> String {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = named(&format!("AWS_ENDPOINT_URL_{variable}")).or_else(|| named("AWS_ENDPOINT_URL"));
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        named.map_or_else(|| format!("https://{host}.{region}.{suffix}"), |url| url.trim_end_matches('/').to_owned())
    }

    /// Status and body of the answer; a sentence where there is none.
    pub async fn send(&self, request: Request<'_>) -> Result<(u16, String), String> {
        let answer = self.exchange(request, limits::HTTP_ANSWER_BYTES).await?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// The answer with `most` bytes of its body; a sentence where there is none.
    pub async fn exchange(&self, request: Request<'_>, most: usize) -> Result<Answer, String> {
        let (config, client) = self.config.get_or_try_init(of_operator).await.map_err(|error| error.to_string())?;
        let provider = config.credentials_provider().ok_or("there are no credentials for AWS")?;
        let identity: Identity = match provider.provide_credentials().await {
            Ok(credentials) => credentials.into(),
            Err(_) => return Err("there are no credentials for AWS".to_owned()),
        };
        let base = match config.endpoint_url() {
            Some(url) if std::env::var_os(format!("AWS_ENDPOINT_URL_{}", request.variable)).is_none() => url.to_owned(),
            _ => Self::base(request.host, request.variable, request.region),
        };
        let url = format!("{}/{}", base.trim_end_matches('/'), request.path);
        let mut made = http::Request::builder().method(request.method).uri(&url);
        for (name, value) in request.headers {
            made = made.header(*name, value);
        }
        let mut made = made.body(request.body).map_err(|error| error.to_string())?;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(request.region)
            .name(request.service)
            .time(SystemTime::now())
            .settings(settings(request.service))
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = made.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(request.method, &url, headers, SignableBody::Bytes(made.body()))
            .map_err(|error| error.to_string())?;
        let (signature, _) = sign(signable, &params).map_err(|error| error.to_string())?.into_parts();
        signature.apply_to_request_http1x(&mut made);
        exchange(client, made, most).await.map_err(|error| error.without_url().to_string())
    }
}

async fn of_operator() -> Result<(SdkConfig, reqwest::Client), Unusable> {
    let client = super::http::client_of_this_machine().map_err(Unusable::Http)?;
    Ok((super::operator_config().await?, client))
}

async fn exchange(
    client: &reqwest::Client,
    request: http::Request<Vec<u8>>,
    most: usize,
) -> Result<Answer, reqwest::Error> {
    let mut request = reqwest::Request::try_from(request)?;
    *request.timeout_mut() = Some(EXCHANGE);
    let mut answer = client.execute(request).await?;
    let (status, headers, mut body) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()), Vec::new());
    while let Some(chunk) = answer.chunk().await? {
        let room = most.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room <= chunk.len() {
            break;
        }
    }
    Ok(Answer { status, headers, body })
}
