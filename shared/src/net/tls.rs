//! One TLS configuration: rustls with ring, Mozilla's roots, and the operator's own CA where there is one.

use super::NetError;
use super::certificate::{Explaining, Seen, SelfSigned};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Time for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What stands in the way of a TLS connection. Nothing here can be switched off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The certificate is of another host.
    #[error("the certificate is not for {host}, it is for {}: check the host name in the settings", names(.presented))]
    WrongName {
        /// The name that was asked for.
        host: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// Its time is over.
    #[error("the certificate of {host} expired{}: its administrator must renew it", ended(.on))]
    Expired {
        /// The host.
        host: String,
        /// The day it ended.
        on: Option<jiff::Timestamp>,
    },
    /// Its time has not come, or this machine's clock is wrong.
    #[error("the certificate of {0} is not valid yet: check this machine's clock")]
    NotYetValid(String),
    /// Signed by a CA that is neither public nor given.
    #[error(
        "the certificate of {0} is signed by a CA that we do not know: for a private server give the file of its CA"
    )]
    UnknownIssuer(String),
    /// Signed by itself: nobody vouches for it.
    #[error("the certificate of {0} is signed by itself: its administrator must give it one that an authority signed")]
    SelfSigned(String),
    /// A CA's certificate stands where the server's own should.
    #[error("{0} shows the certificate of a CA as its own: give the server a certificate signed by that CA")]
    CaAsServer(String),
    /// No common protocol version or cipher: TLS 1.2 and 1.3 are spoken.
    #[error("{host} speaks no TLS that is still safe ({why}): it needs TLS 1.2 or 1.3")]
    TooOld {
        /// The host.
        host: String,
        /// What the handshake said.
        why: String,
    },
    /// What answered speaks no TLS.
    #[error("{0} does not speak TLS on this port: check port and encryption")]
    NotTls(String),
    /// The given CA file cannot be used.
    #[error("the CA file cannot be used: {0}")]
    CaFile(String),
    /// The connection broke during the handshake.
    #[error("the TLS handshake broke: {0}")]
    Broken(String),
    /// Anything else that makes the certificate or the handshake unfit.
    #[error("TLS with {host} failed: {why}")]
    Other {
        /// The host.
        host: String,
        /// What rustls said.
        why: String,
    },
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() { "no host at all".to_owned() } else { presented[..presented.len().min(10)].join(", ") }
}

fn ended(end: &Option<jiff::Timestamp>) -> String {
    end.map_or(String::new(), |end| format!(" on {}", end.strftime("%Y-%m-%d")))
}

/// How TLS is spoken: to mail servers and under [`super::Http`].
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl Tls {
    /// Mozilla's roots, and the certificates in `extra_ca_pem`.
    pub fn new(extra_ca_pem: Option<&[u8]>) -> Result<Self, NetError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(pem) = extra_ca_pem {
            add(&mut roots, pem).map_err(TlsFault::CaFile)?;
        }
        Self::trusting(Arc::new(roots), None)
    }

    /// The same, trusting the same and refusing the same, that also keeps the certificate it was shown: for who explains
    /// a refusal.
    pub fn keeping(&self) -> Result<(Self, Seen), NetError> {
        let seen = Seen::default();
        Ok((Self::trusting(Arc::clone(&self.roots), Some(seen.clone()))?, seen))
    }

    fn trusting(roots: Arc<RootCertStore>, seen: Option<Seen>) -> Result<Self, NetError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsFault::Broken(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFault::Broken(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Explaining { verifier, seen }))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), roots })
    }

    /// Speaks TLS over `stream` with the server called `host`, whose certificate must be for that name.
    pub async fn wrap<S>(&self, stream: S, host: &str) -> Result<TlsStream<S>, NetError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsFault::Other { host: host.to_owned(), why: "that is no host name".to_owned() })?;
        match tokio::time::timeout(HANDSHAKE, TlsConnector::from(self.config.clone()).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(NetError::Tls(fault(&error, host))),
            Err(_) => Err(NetError::Timeout(format!("{host} (TLS handshake)"))),
        }
    }
}

/// Which version of TLS a connection speaks.
pub fn protocol<S>(stream: &TlsStream<S>) -> String {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)".to_owned()) } else { Ok(()) }
}

/// The fault inside an error of tokio-rustls, or of what stands above it.
pub(super) fn fault(error: &std::io::Error, host: &str) -> TlsFault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => rustls_fault(inner, host),
        None => TlsFault::Broken(format!("{host}: {}", error.kind())),
    }
}

pub(super) fn rustls_fault(error: &rustls::Error, host: &str) -> TlsFault {
    use rustls::Error as E;
    let host = host.to_owned();
    match error {
        E::InvalidCertificate(certificate) => certificate_fault(certificate, host),
        E::InvalidMessage(_) => TlsFault::NotTls(host),
        E::PeerIncompatible(why) => TlsFault::TooOld { host, why: format!("{why:?}") },
        E::AlertReceived(rustls::AlertDescription::ProtocolVersion | rustls::AlertDescription::HandshakeFailure) => {
            TlsFault::TooOld { host, why: error.to_string() }
        }
        other => TlsFault::Other { host, why: other.to_string() },
    }
}

fn certificate_fault(error: &CertificateError, host: String) -> TlsFault {
    use CertificateError as C;
    match error {
        C::NotValidForName => TlsFault::WrongName { host, presented: vec![] },
        C::NotValidForNameContext { presented, .. } => {
            TlsFault::WrongName { host, presented: presented.iter().map(|name| readable(name)).collect() }
        }
        C::Expired => TlsFault::Expired { host, on: None },
        C::ExpiredContext { not_after, .. } => {
            let on = i64::try_from(not_after.as_secs()).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            TlsFault::Expired { host, on }
        }
        C::NotValidYet | C::NotValidYetContext { .. } => TlsFault::NotYetValid(host),
        // BadSignature: another CA of the same name.
        C::UnknownIssuer | C::BadSignature => TlsFault::UnknownIssuer(host),
        C::Other(other) if other.0.is::<SelfSigned>() => TlsFault::SelfSigned(host),
        C::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => TlsFault::CaAsServer(host),
        other => TlsFault::Other { host, why: other.to_string() },
    }
}

/// rustls writes the presented names as `DnsName("…")` and `IpAddress(…)`; they come from the server, so they are
/// bounded and without control characters.
fn readable(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').chars().filter(|c| !c.is_control()).take(255).collect()
}
