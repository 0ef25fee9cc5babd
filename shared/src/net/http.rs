//! The one HTTP client, as one function.

use super::{NetError, Reach, Tls, connect, tls};
use crate::limits;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Time for a whole exchange.
const EXCHANGE: Duration = Duration::from_secs(10);

/// HTTPS (and HTTP where the reach policy names the host): no redirects, no proxy from the environment, ten seconds,
/// answers of at most [`limits::HTTP_ANSWER_BYTES`].
#[derive(Clone)]
pub struct Http {
    reach: Reach,
    https: reqwest::Client,
    named: reqwest::Client,
}

/// Resolves by the policy. reqwest's resolver is not told the port, so each port policy has a client of its own.
struct Resolver {
    reach: Reach,
    port: u16,
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (reach, port) = (self.reach.clone(), self.port);
        Box::pin(async move {
            let mut found = connect::resolve(name.as_str(), port, &reach).await?;
            // Port 0 means: the one in the URL.
            found.iter_mut().for_each(|address| address.set_port(0));
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// A port that no policy for public addresses lists: it passes only where the whole address is allowed.
const UNLISTED: u16 = 0;

impl Http {
    /// A client that reaches what `reach` allows and speaks TLS as `tls` says.
    pub fn new(reach: &Reach, tls: &Tls) -> Result<Self, NetError> {
        let client = |port| {
            reqwest::Client::builder()
                .tls_backend_preconfigured((*tls.config).clone())
                .dns_resolver(Arc::new(Resolver { reach: reach.clone(), port }))
                .redirect(reqwest::redirect::Policy::none())
                .timeout(EXCHANGE)
                .no_proxy()
                .build()
                .map_err(|error| NetError::Http { host: "the HTTP client".to_owned(), why: error.to_string() })
        };
        Ok(Self { reach: reach.clone(), https: client(443)?, named: client(UNLISTED)? })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, NetError> {
        let (client, host) = self.client_for(&request)?;
        let request = reqwest::Request::try_from(request).map_err(|error| explain(error, &host))?;
        let mut answer = client.execute(request).await.map_err(|error| explain(error, &host))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| explain(error, &host))? {
            if body.len() + chunk.len() > limits::HTTP_ANSWER_BYTES {
                return Err(NetError::TooLong { host, limit: limits::HTTP_ANSWER_BYTES });
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = http::Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    fn client_for(&self, request: &http::Request<Vec<u8>>) -> Result<(&reqwest::Client, String), NetError> {
        let broken = |why: &str| NetError::Http { host: "the URL".to_owned(), why: why.to_owned() };
        // Parsed as reqwest will parse it: `http://2130706433/` becomes 127.0.0.1 here too.
        let url = url::Url::parse(&request.uri().to_string()).map_err(|_| broken("it is no absolute URL"))?;
        let port = url.port_or_known_default().ok_or_else(|| broken("it is neither http nor https"))?;
        let host = url.host().ok_or_else(|| broken("it names no host"))?;
        let ip = match host {
            url::Host::Ipv4(ip) => Some(ip.into()),
            url::Host::Ipv6(ip) => Some(ip.into()),
            url::Host::Domain(_) => None,
        };
        if let Some(ip) = ip {
            self.reach.check(ip, if url.scheme() == "https" { port } else { UNLISTED })?;
        }
        // Plain http, and ports other than 443, are for hosts that the policy names as a whole.
        let client = if url.scheme() == "https" && port == 443 { &self.https } else { &self.named };
        Ok((client, host.to_string()))
    }
}

/// The sentence for an error of reqwest, which itself would print the URL with its query.
fn explain(error: reqwest::Error, host: &str) -> NetError {
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<NetError>() {
            return found.clone();
        }
        if let Some(found) = inner.downcast_ref::<rustls::Error>() {
            return NetError::Tls(tls::rustls_fault(found, host));
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return NetError::Tls(tls::fault(io, host));
        }
        cause = inner.source();
    }
    let why = deepest(&error);
    match () {
        () if error.is_timeout() => NetError::Timeout(host.to_owned()),
        () if error.is_connect() => NetError::Connect { host: host.to_owned(), port: 443, why },
        () => NetError::Http { host: host.to_owned(), why },
    }
}

fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(inner) = deepest.source() {
        deepest = inner;
    }
    deepest.to_string()
}
