//! Calls of AWS for which a client of the SDK would be too much: each is one request, signed (Signature Version 4), for an
//! operation or two of each service.

use super::Unusable;
use crate::limits;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use futures::future::BoxFuture;
use serde_json::Value;
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// Time for a whole exchange.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Tries of a call, and the pause before the second, which doubles: what the SDK's clients do.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// Characters of a service's words that are passed on.
const SAID_CHARACTERS: usize = 500;

/// One request to a service.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// As it signs: `sns`, `sqs`, `events`, `ses`, `lambda`, `sts`, `kms`, `s3`, `cloudformation`.
    pub service: &'a str,
    /// The first part of its host, where that is another: `email` for `ses`.
    pub host: &'a str,
    /// As `AWS_ENDPOINT_URL_…` names it.
    pub variable: &'a str,
    /// Region; none for that of this process.
    pub region: Option<&'a str>,
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

/// A service did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The service's own name for it (`ThrottlingException`); none where it was not reached.
    pub code: Option<String>,
    /// A sentence: its words, or why there are none.
    pub said: String,
    /// Another try may end otherwise.
    passing: bool,
}

/// Signs and sends.
pub struct Signed {
    config: OnceCell<Found>,
    /// What finds the configuration when it is first needed. By a pointer: where an operator's tools look is half a megabyte,
    /// and a function, which is told, is linked without it.
    find: fn() -> BoxFuture<'static, Result<Found, Unusable>>,
}

type Found = (SdkConfig, reqwest::Client);

impl Signed {
    /// With the credentials of whoever runs this process, found when they are first needed.
    pub fn of_operator() -> Self {
        Self { config: OnceCell::new(), find: || Box::pin(of_operator()) }
    }

    /// With a configuration's credentials, over this client; at its endpoint where it names one and the environment none of
    /// the service's own.
    pub fn new(config: &SdkConfig, client: reqwest::Client) -> Self {
        let found = OnceCell::new_with(Some((config.clone(), client)));
        Self { config: found, find: || Box::pin(std::future::ready(Err(Unusable::Missing("AWS_REGION")))) }
    }

    /// Where a service is: as the environment says, or at AWS.
    pub fn base(host: &str, variable: &str, region: &str) -> String {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = named(&format!("AWS_ENDPOINT_URL_{variable}")).or_else(|| named("AWS_ENDPOINT_URL"));
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        named.map_or_else(|| format!("https://{host}.{region}.{suffix}"), |url| url.trim_end_matches('/').to_owned())
    }

    /// Body of an answer that is a success. What may be passing is tried again, so that a call may arrive twice.
    pub async fn call(&self, request: Request<'_>) -> Result<String, Fault> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.call_once(request.clone()).await {
                Err(fault) if fault.passing => tokio::time::sleep(pause).await,
                ended => return ended,
            }
            pause *= 2;
        }
        self.call_once(request).await
    }

    async fn call_once(&self, request: Request<'_>) -> Result<String, Fault> {
        // Boxed, or the futures around it grow past what the compiler measures.
        match Box::pin(self.send(request)).await {
            Ok((200..=299, body)) => Ok(body),
            Ok((status, body)) => Err(Fault::of_answer(status, &body)),
            Err(said) => Err(Fault { code: None, said, passing: true }),
        }
    }

    /// The same for a service that speaks JSON by one operation a request.
    pub async fn call_json(
        &self,
        service: &str,
        region: Option<&str>,
        target: &str,
        version: &str,
        body: &Value,
    ) -> Result<Value, Fault> {
        let headers =
            [("content-type", format!("application/x-amz-json-{version}")), ("x-amz-target", target.to_owned())];
        let request = Request {
            service,
            host: service,
            variable: &service.to_ascii_uppercase(),
            region,
            method: "POST",
            path: "",
            headers: &headers,
            body: body.to_string().into_bytes(),
        };
        let answer = self.call(request).await?;
        let nonsense = |_| Fault { code: None, said: "its answer was not understood".to_owned(), passing: false };
        serde_json::from_str(&answer).map_err(nonsense)
    }

    /// Status and body of the answer; a sentence where there is none.
    pub async fn send(&self, request: Request<'_>) -> Result<(u16, String), String> {
        let answer = self.exchange(request, limits::HTTP_ANSWER_BYTES).await?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// The answer with `most` bytes of its body; a sentence where there is none.
    pub async fn exchange(&self, request: Request<'_>, most: usize) -> Result<Answer, String> {
        self.exchange_within(EXCHANGE, request, most).await
    }

    /// The same in a time of its own.
    pub async fn exchange_within(
        &self,
        patience: Duration,
        request: Request<'_>,
        most: usize,
    ) -> Result<Answer, String> {
        let found = self.config.get_or_try_init(self.find).await;
        let (config, client) = found.map_err(|error| error.to_string())?;
        let own_region = config.region().map(AsRef::as_ref);
        let region = request.region.or(own_region).ok_or("there is no region for AWS")?;
        let provider = config.credentials_provider().ok_or("there are no credentials for AWS")?;
        let identity: Identity = match provider.provide_credentials().await {
            Ok(credentials) => credentials.into(),
            Err(_) => return Err("there are no credentials for AWS".to_owned()),
        };
        let base = match config.endpoint_url() {
            Some(url) if std::env::var_os(format!("AWS_ENDPOINT_URL_{}", request.variable)).is_none() => url.to_owned(),
            _ => Self::base(request.host, request.variable, region),
        };
        let url = format!("{}/{}", base.trim_end_matches('/'), request.path);
        let mut made = http::Request::builder().method(request.method).uri(&url);
        for (name, value) in request.headers {
            made = made.header(*name, value);
        }
        let mut made = made.body(request.body).map_err(|error| error.to_string())?;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
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
        exchange(client, made, patience, most).await.map_err(|error| match error.is_timeout() {
            true => "no answer in time".to_owned(),
            false => error.without_url().to_string(),
        })
    }
}

impl Fault {
    /// JSON has the code in `__type`, behind a namespace or not, and the words in `message`; XML in `Code` and `Message`.
    fn of_answer(status: u16, body: &str) -> Self {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let words = json["message"].as_str().or_else(|| json["Message"].as_str()).or_else(|| between(body, "Message"));
        let code = json["__type"].as_str().and_then(|code| code.rsplit('#').next()).or_else(|| between(body, "Code"));
        let said = format!("{}: {}", code.unwrap_or("?"), words.unwrap_or("no message"));
        Self {
            passing: status >= 500 || status == 429 || code.is_some_and(|code| code.contains("Throttl")),
            code: code.map(str::to_owned),
            said: said.chars().take(SAID_CHARACTERS).collect(),
        }
    }
}

/// What stands in the first element of a name, where it holds text alone.
pub fn between<'a>(xml: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{element}>"))?;
    rest.split_once(&format!("</{element}>")).map(|(text, _)| text)
}

async fn of_operator() -> Result<Found, Unusable> {
    let client = super::http::of_this_machine().map_err(Unusable::Http)?;
    Ok((super::operator_config(&client).await, client))
}

async fn exchange(
    client: &reqwest::Client,
    request: http::Request<Vec<u8>>,
    patience: Duration,
    most: usize,
) -> Result<Answer, reqwest::Error> {
    let mut request = reqwest::Request::try_from(request)?;
    *request.timeout_mut() = Some(patience);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_json_and_in_xml() {
        let fault = |status, body| Fault::of_answer(status, body);
        let json = r#"{"__type":"com.amazonaws.kms#NotFoundException","message":"Key is not there"}"#;
        assert_eq!(fault(400, json).code.as_deref(), Some("NotFoundException"));
        assert_eq!(fault(400, json).said, "NotFoundException: Key is not there");
        assert!(!fault(400, json).passing);
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate</Message></Error>\
                   </ErrorResponse>";
        assert_eq!((fault(400, xml).said.as_str(), fault(400, xml).passing), ("Throttling: Rate", true));
        assert_eq!(fault(503, "<html>").said, "?: no message");
        assert!(fault(503, "<html>").passing);
        assert_eq!(fault(400, &format!(r#"{{"message":"{}"}}"#, "é".repeat(9_000))).said.chars().count(), 500);
    }
}
