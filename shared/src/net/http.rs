//! The one HTTP client, as one function.

use super::{NetError, Reach, Refused, Tls, connect, tls};
use crate::limits;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Time for a whole exchange.
const EXCHANGE: Duration = Duration::from_secs(10);

/// HTTPS (and HTTP where the reach policy names the host): no redirects, no proxy from the environment, ten seconds,
/// answers of at most [`limits::HTTP_ANSWER_BYTES`], where nothing else is said.
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
        let host = request.uri().host().unwrap_or_default().to_owned();
        match self.send_within(request, limits::HTTP_ANSWER_BYTES, EXCHANGE).await? {
            (response, false) => Ok(response),
            (_, true) => Err(NetError::TooLong { host, limit: limits::HTTP_ANSWER_BYTES }),
        }
    }

    /// The same within `time`, reading `most` bytes of the body; and whether it is longer. The rest is never received.
    pub async fn send_within(
        &self,
        request: http::Request<Vec<u8>>,
        most: usize,
        time: Duration,
    ) -> Result<(http::Response<Vec<u8>>, bool), NetError> {
        let (client, host, port) = self.client_for(&request)?;
        let explain = |error| explain(error, &host, port);
        let mut request = reqwest::Request::try_from(request).map_err(explain)?;
        *request.timeout_mut() = Some(time);
        let mut answer = client.execute(request).await.map_err(explain)?;
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(chunk) = answer.chunk().await.map_err(explain)? {
            let room = most - body.len();
            cut = chunk.len() > room;
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if cut {
                break;
            }
        }
        let mut response = http::Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok((response, cut))
    }

    fn client_for(&self, request: &http::Request<Vec<u8>>) -> Result<(&reqwest::Client, String, u16), NetError> {
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
            let checked = if url.scheme() == "https" { port } else { UNLISTED };
            self.reach.check(ip, checked).map_err(|refused| Refused { port, ..refused })?;
        }
        // Plain http, and ports other than 443, are for hosts that the policy names as a whole.
        let client = if url.scheme() == "https" && port == 443 { &self.https } else { &self.named };
        Ok((client, host.to_string(), port))
    }
}

/// How long a server asks to be left alone (RFC 9110 §10.2.3): in seconds, or until a date, which is held against the date
/// that the answer itself has; where it has none, against this machine's clock.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| rfc2822::parse(text).ok().map(|date| date.timestamp());
    let wanted = text(RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = text(DATE).and_then(date).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(date(wanted)?.duration_since(now)).unwrap_or_default())
}

/// The sentence for an error of reqwest, which itself would print the URL with its query.
fn explain(error: reqwest::Error, host: &str, port: u16) -> NetError {
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<NetError>() {
            return match found {
                NetError::Refused(refused) => NetError::Refused(Refused { port, ..refused.clone() }),
                other => other.clone(),
            };
        }
        if let Some(found) = inner.downcast_ref::<rustls::Error>() {
            return NetError::Tls(tls::rustls_fault(found, host));
        }
        cause = beneath(inner);
    }
    let why = deepest(&error);
    match () {
        () if error.is_timeout() => NetError::Timeout(host.to_owned()),
        () if error.is_connect() => NetError::Connect { host: host.to_owned(), port, why },
        () => NetError::Http { host: host.to_owned(), why },
    }
}

/// The error inside an error: `source` of an I/O error steps over the one that it wraps.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(inner) = beneath(deepest) {
        deepest = inner;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A server that answers every request with `answer`.
    async fn listen(answer: Vec<u8>) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(&answer).await;
            }
        });
        port
    }

    async fn get(reach: &Reach, url: &str) -> Result<http::Response<Vec<u8>>, NetError> {
        let http = Http::new(reach, &Tls::new(None).unwrap()).unwrap();
        http.send(http::Request::get(url).body(vec![]).unwrap()).await
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn answers_come_whole_whatever_their_status() {
        let local = Reach::public().with_loopback();
        let port = listen(answer("400 Bad Request\r\nX-Id: 7", b"{\"error\":\"invalid_grant\"}")).await;
        for host in ["localhost", "127.0.0.1"] {
            let response = get(&local, &format!("http://{host}:{port}/token")).await.unwrap();
            assert_eq!(response.status(), 400);
            assert_eq!(response.headers()["x-id"], "7");
            assert_eq!(response.body(), b"{\"error\":\"invalid_grant\"}");
        }
        let port = listen(answer("302 Found\r\nLocation: http://169.254.169.254/", b"")).await;
        assert_eq!(get(&local, &format!("http://localhost:{port}/")).await.unwrap().status(), 302);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let of = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            retry_after(&pairs.collect()).map(|time| time.as_secs())
        };
        assert_eq!(of(&[("retry-after", " 120 ")]), Some(120));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(of(&[("retry-after", "Sun, 06 Nov 1994 08:54:37 GMT"), date]), Some(300));
        assert_eq!(of(&[("retry-after", "Sun, 06 Nov 1994 08:40:37 GMT"), date]), Some(0), "a time that has passed");
        assert_eq!(of(&[("retry-after", "Sun, 06 Nov 1994 08:54:37 GMT")]), Some(0), "held against our own clock");
        assert_eq!(of(&[("retry-after", "soon"), date]), None);
        assert_eq!(of(&[date]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/token?code=s3cret", listener.local_addr().unwrap().port());
        let error = get(&Reach::public().with_loopback(), &url).await.unwrap_err();
        assert_eq!(error, NetError::Timeout("127.0.0.1".to_owned()));
    }

    #[tokio::test]
    async fn answers_are_bounded() {
        let local = Reach::public().with_loopback();
        let body = vec![b'x'; limits::HTTP_ANSWER_BYTES];
        let port = listen(answer("200 OK", &body)).await;
        assert_eq!(get(&local, &format!("http://localhost:{port}/")).await.unwrap().body().len(), body.len());
        let port = listen(answer("200 OK", &[&body[..], b"x"].concat())).await;
        let error = get(&local, &format!("http://localhost:{port}/")).await.unwrap_err();
        assert_eq!(error.to_string(), "localhost answered with more than 65536 bytes");
    }

    #[tokio::test]
    async fn f29_what_may_not_be_reached() {
        let port = listen(answer("200 OK", b"")).await;
        for url in [
            format!("http://localhost:{port}/"),
            format!("http://127.0.0.1:{port}/"),
            format!("http://2130706433:{port}/"),
            format!("http://0177.0.0.1:{port}/"),
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            "https://localhost/".to_owned(),
            "http://8.8.8.8/".to_owned(),
            "https://8.8.8.8:22/".to_owned(),
            "https://10.0.0.1/".to_owned(),
        ] {
            let error = get(&Reach::public(), &url).await.unwrap_err();
            assert!(matches!(&error, NetError::Refused(refused) if refused.port > 0), "{url}: {error}");
        }
        let error = get(&Reach::public().with_loopback(), "http://169.254.169.254/").await.unwrap_err();
        assert!(matches!(error, NetError::Refused(_)), "{error}");
    }

    #[tokio::test]
    async fn errors_never_show_the_query() {
        let local = Reach::public().with_loopback();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let broken = listen(b"no http at all\r\n\r\n".to_vec()).await;
        for port in [closed, broken] {
            let error = get(&local, &format!("http://localhost:{port}/token?code=s3cret")).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("localhost") && !shown.contains("s3cret"), "{shown}");
        }
    }
}
