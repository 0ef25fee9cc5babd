//! TLS to mail servers: every unfit certificate is refused with a sentence of its own, and nothing that was heard before
//! encryption is believed after it.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rebond::account::{Encryption, Server};
use rebond::mailbox::imap::Imap;
use rebond::mailbox::{FaultKind, Login, MailboxFault};
use rebond::net::{Http, NetError, Reach, Tls, TlsFault};
use rebond::secret::Secret;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub struct Ca {
    pub pem: String,
    pub der: CertificateDer<'static>,
    pub key: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

pub fn ca() -> Ca {
    ca_called("Test CA")
}

pub fn ca_called(name: &str) -> Ca {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).unwrap();
    let (pem, der, der_key) = (certificate.pem(), certificate.der().clone(), key.serialize_der());
    Ca { pem, der, key: der_key, issuer: Issuer::new(params, key) }
}

impl Ca {
    /// A certificate of its own making, and its key.
    pub fn sign(&self, params: CertificateParams, key: &KeyPair) -> (CertificateDer<'static>, Vec<u8>) {
        (params.signed_by(key, &self.issuer).unwrap().der().clone(), key.serialize_der())
    }
}

/// A certificate for `names`, valid between two years, and its key.
pub fn leaf(ca: &Ca, names: &[&str], years: (i32, i32)) -> (CertificateDer<'static>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    ca.sign(params, &key)
}

pub fn acceptor((certificate, key): (CertificateDer<'static>, Vec<u8>)) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn login() -> Login {
    Login::Password { user: "a".into(), password: Secret::from("b".to_owned()) }
}

async fn open(port: u16, encryption: Encryption, ca_pem: &str) -> Result<Imap, MailboxFault> {
    let server = Server { host: "localhost".into(), port, encryption };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let tls = Tls::new(Some(ca_pem.as_bytes())).unwrap();
    Imap::open(&server, &login(), &Reach::public().with_loopback(), &tls, deadline).await
}

/// A server that takes one connection and does `serve` with it.
async fn listen<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    port
}

async fn fault_of(port: u16, ca_pem: &str) -> TlsFault {
    match open(port, Encryption::Tls, ca_pem).await.err().unwrap().kind {
        FaultKind::Net(NetError::Tls(fault)) => fault,
        other => panic!("no fault of TLS: {other:?}"),
    }
}

async fn fault_of_certificate(certificate: (CertificateDer<'static>, Vec<u8>), ca_pem: &str) -> TlsFault {
    let acceptor = acceptor(certificate);
    let port = listen(async move |stream| drop(acceptor.accept(stream).await)).await;
    fault_of(port, ca_pem).await
}

async fn fault_of_bytes(bytes: &'static [u8], ca_pem: &str) -> TlsFault {
    let port = listen(async move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1000]).await;
        let _ = stream.write_all(bytes).await;
    });
    fault_of(port.await, ca_pem).await
}

#[tokio::test]
async fn f23_unfit_certificates_each_with_its_sentence() {
    let (ca, other) = (ca(), ca_called("Another CA"));
    let host = || "localhost".to_owned();
    let now = (2020, 2100);
    let mut sentences = vec![];
    let mut check = |fault: TlsFault, is_expected: bool| {
        assert!(is_expected, "{fault:?}");
        sentences.push(fault.to_string());
    };
    let fault = fault_of_certificate(leaf(&ca, &["imap.example.com", "example.com"], now), &ca.pem).await;
    let presented = vec!["imap.example.com".to_owned(), "example.com".to_owned()];
    let expected = fault == TlsFault::WrongName { host: host(), presented };
    check(fault, expected);
    let fault = fault_of_certificate(leaf(&ca, &["localhost"], (2020, 2021)), &ca.pem).await;
    let expected =
        matches!(&fault, TlsFault::Expired { on: Some(day), .. } if day.to_string().starts_with("2021-01-01"));
    check(fault, expected);
    let fault = fault_of_certificate(leaf(&ca, &["localhost"], (2090, 2100)), &ca.pem).await;
    let expected = fault == TlsFault::NotYetValid(host());
    check(fault, expected);
    let fault = fault_of_certificate(leaf(&other, &["localhost"], now), &ca.pem).await;
    let expected = fault == TlsFault::UnknownIssuer(host());
    check(fault, expected);
    let of_same_name = leaf(&self::ca(), &["localhost"], now);
    assert_eq!(fault_of_certificate(of_same_name, &ca.pem).await, TlsFault::UnknownIssuer(host()));
    let key = KeyPair::generate().unwrap();
    let itself = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let fault = fault_of_certificate((itself.der().clone(), key.serialize_der()), &ca.pem).await;
    let expected = fault == TlsFault::SelfSigned(host());
    check(fault, expected);
    let fault = fault_of_certificate((ca.der.clone(), ca.key.clone()), &ca.pem).await;
    let expected = fault == TlsFault::CaAsServer(host());
    check(fault, expected);
    let fault = fault_of_bytes(b"* OK IMAP4rev1 ready\r\n", &ca.pem).await;
    let expected = fault == TlsFault::NotTls(host());
    check(fault, expected);
    // What a server answers that speaks TLS 1.1 at most: the fatal alert protocol_version.
    let fault = fault_of_bytes(b"\x15\x03\x01\x00\x02\x02\x46", &ca.pem).await;
    let expected = matches!(fault, TlsFault::TooOld { .. });
    check(fault, expected);
    let fault = fault_of_bytes(b"", &ca.pem).await;
    let expected = matches!(fault, TlsFault::Broken(_));
    check(fault, expected);
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), 9);
}

#[tokio::test]
async fn f23_http_says_the_same() {
    let (ca, other) = (ca(), ca_called("Another CA"));
    let key = KeyPair::generate().unwrap();
    let itself = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    for (certificate, fault) in [
        (leaf(&other, &["localhost"], (2020, 2100)), TlsFault::UnknownIssuer("localhost".into())),
        ((itself.der().clone(), key.serialize_der()), TlsFault::SelfSigned("localhost".into())),
    ] {
        let acceptor = acceptor(certificate);
        let port = listen(async move |stream| drop(acceptor.accept(stream).await)).await;
        let tls = Tls::new(Some(ca.pem.as_bytes())).unwrap();
        let http = Http::new(&Reach::public().with_loopback(), &tls).unwrap();
        let request = http::Request::get(format!("https://localhost:{port}/token?secret=1")).body(vec![]).unwrap();
        let error = http.send(request).await.unwrap_err();
        assert_eq!(error, NetError::Tls(fault));
    }
}

#[tokio::test]
async fn ca_files() {
    let check = |pem: &str, sentence: &str| {
        let error = Tls::new(Some(pem.as_bytes())).err().unwrap().to_string();
        assert!(error.starts_with(sentence), "{error}");
    };
    check("", "the CA file cannot be used: there is no certificate in it");
    check("not PEM at all", "the CA file cannot be used: there is no certificate in it");
    check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "the CA file cannot be used: ");
}

async fn expect(reader: &mut (impl AsyncBufReadExt + Unpin), command: &str) {
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    assert_eq!(line, format!("{command}\r\n"));
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), text: &str) {
    writer.write_all(text.as_bytes()).await.unwrap();
    writer.flush().await.unwrap();
}

#[tokio::test]
async fn f22_capabilities_are_asked_again_under_tls() {
    let ca = ca();
    let acceptor = acceptor(leaf(&ca, &["localhost"], (2020, 2100)));
    let (told, heard) = tokio::sync::oneshot::channel();
    let port = listen(async move |mut stream: TcpStream| {
        let (read, mut write) = stream.split();
        let mut read = BufReader::new(read);
        // Before TLS somebody in between promises PLAIN and SASL-IR.
        say(&mut write, "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] x\r\n").await;
        expect(&mut read, "R1 STARTTLS").await;
        say(&mut write, "R1 OK go\r\n").await;
        let stream = acceptor.accept(stream).await.unwrap();
        let (read, mut write) = tokio::io::split(stream);
        let mut read = BufReader::new(read);
        expect(&mut read, "R2 CAPABILITY").await;
        say(&mut write, "* CAPABILITY IMAP4rev1 STARTTLS\r\nR2 OK x\r\n").await;
        expect(&mut read, "A0001 LOGIN \"a\" \"b\"").await;
        say(&mut write, "A0001 OK x\r\n").await;
        told.send(()).unwrap();
    })
    .await;
    assert!(open(port, Encryption::Starttls, &ca.pem).await.is_ok());
    heard.await.expect("the server heard what it should");
}

#[tokio::test]
async fn f20_a_handshake_spoilt_by_plain_text_is_no_login() {
    let ca = ca();
    // The plain text comes after the OK was read, so it meets the handshake and not our buffer.
    let port = listen(async move |mut stream: TcpStream| {
        say(&mut stream, "* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n").await;
        let mut read = BufReader::new(&mut stream);
        expect(&mut read, "R1 STARTTLS").await;
        say(&mut stream, "R1 OK go\r\n").await;
        let _ = stream.read(&mut [0; 10]).await;
        say(&mut stream, "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n").await;
        let mut rest = vec![];
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.windows(5).any(|bytes| bytes == b"LOGIN"));
    })
    .await;
    let fault = open(port, Encryption::Starttls, &ca.pem).await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::Net(NetError::Tls(TlsFault::NotTls("localhost".into()))));
}
