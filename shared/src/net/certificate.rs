//! What a server's certificate says of itself: for people to read, never to decide by.

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names that are shown, and characters of each.
const NAMES: usize = 10;
const NAME_CHARS: usize = 255;

/// A certificate, as far as it tells people apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The names it is for, without control characters.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// Whether that is itself.
    pub self_signed: bool,
    /// When it ends.
    pub ends: Option<Timestamp>,
}

impl Certificate {
    /// Reads DER; none where that is no certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names
            .map_or(vec![], |found| found.value.general_names.iter().filter_map(readable_name).take(NAMES).collect());
        Some(Self {
            names,
            issuer: readable(&certificate.issuer().to_string()),
            self_signed: certificate.issuer().as_raw() == certificate.subject().as_raw(),
            ends: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok(),
        })
    }
}

fn readable_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(readable(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
}

/// The certificate that the last handshake was shown, believed or not.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl Seen {
    /// What it says.
    pub fn certificate(&self) -> Option<Certificate> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Certificate::read(seen.as_ref()?)
    }
}

/// Why a certificate that nobody vouches for is refused, where that is because it vouches for itself.
#[derive(Debug, thiserror::Error)]
#[error("it is signed by itself")]
pub(super) struct SelfSigned;

/// Decides as rustls's own verifier does, which it asks; says of what that refuses whether it is signed by itself, and keeps
/// what was shown where somebody wants to see it.
#[derive(Debug)]
pub(super) struct Explaining {
    pub verifier: Arc<WebPkiServerVerifier>,
    pub seen: Option<Seen>,
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(seen) = &self.seen {
            *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        }
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if Certificate::read(end_entity).is_some_and(|certificate| certificate.self_signed) =>
            {
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned)))))
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
