//! Apps without a secret: a certificate's assertion, and an outside issuer's token.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{World, text};
use jiff::Timestamp;
use rebond_standin::entra::{Certificate, Federated};
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

const THUMBPRINT: &str = "kZcB0o5mE3o6kq0k8Yz7O0gT8u1Hn2wqk3jv9bqv1dA";
const ISSUER: &str = "https://0a1b2c3d.tokens.sts.global.api.aws";
const ROLE: &str = "arn:aws:iam::111122223333:role/Token-Refresh";
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Any RSA key will do; the test key of the package is at hand.
fn key() -> RsaKeyPair {
    let pem = include_bytes!("../src/entra/test-signing-key.pem");
    RsaKeyPair::from_pkcs8(PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap().secret_pkcs8_der()).unwrap()
}

fn sign(header: Value, claims: &Value) -> String {
    let key = key();
    let algorithm: &dyn ring::signature::RsaEncoding =
        if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(algorithm, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// An app without any secret.
async fn world() -> World {
    World::start(|settings| {
        let public = key().public_key().as_ref().to_vec();
        let certificate = |thumbprint: &str, public_key: &[u8]| Certificate {
            thumbprint: thumbprint.to_owned(),
            public_key: public_key.to_vec(),
        };
        settings.apps[0].secrets[0].value = "unused".to_owned();
        settings.apps[0].certificates = vec![certificate(THUMBPRINT, &public), certificate("b3RoZXI", b"no key")];
        settings.apps[0].federated =
            vec![Federated { issuer: ISSUER.into(), subject: ROLE.into(), audience: EXCHANGE.into() }];
        settings.issuers.insert(ISSUER.into(), vec![public]);
    })
    .await
}

/// Asks for an app-only token with an assertion: 0 for success, else the AADSTS number.
async fn code(world: &World, assertion: &str) -> u64 {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "https://outlook.office365.com/.default"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    let (status, answer) = world.token("example.org", &form, &[("client_secret", "")]).await;
    if status == 200 {
        return 0;
    }
    assert_eq!((status, text(&answer, "error")), (401, "invalid_client"), "{answer}");
    answer["error_codes"][0].as_u64().unwrap()
}

fn changed(base: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut changed = base.clone();
    changed[name] = value.into();
    changed
}

#[tokio::test]
async fn a_certificate_proves_the_app() {
    let world = world().await;
    let now = Timestamp::now().as_second();
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": THUMBPRINT});
    let claims = json!({
        "aud": format!("{}/example.org/oauth2/v2.0/token", world.entra.url()), "iss": world.client_id,
        "sub": world.client_id, "jti": "1", "nbf": now, "exp": now + 300, "iat": now,
    });
    let check = async |header: &Value, claims: &Value, expected: u64| {
        assert_eq!(code(&world, &sign(header.clone(), claims)).await, expected, "{header} {claims}");
    };
    check(&header, &claims, 0).await;
    check(&changed(&header, "alg", "RS256"), &claims, 0).await;
    check(&changed(&header, "x5t#S256", "b3RoZXI"), &claims, 700027).await;
    check(&changed(&header, "x5t#S256", "bm93aGVyZQ"), &claims, 700027).await;
    check(&header, &changed(&claims, "aud", "https://login.example.com/"), 700023).await;
    check(&header, &changed(&claims, "sub", "another"), 700021).await;
    check(&header, &changed(&claims, "exp", now - 301), 700024).await;
    check(&header, &changed(&claims, "nbf", now + 400), 700024).await;
    let good = sign(header.clone(), &claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let tampered = format!("{}A.{signature}", &signed[..signed.len() - 1]);
    assert!(matches!(code(&world, &tampered).await, 700027 | 50027));
    assert_eq!(code(&world, "nonsense").await, 50027);
}

#[tokio::test]
async fn a_replayed_assertion_is_refused_on_demand() {
    let world = world().await;
    let now = Timestamp::now().as_second();
    let claims = json!({
        "aud": format!("{}/{}/v2.0", world.entra.url(), world.tenant), "iss": world.client_id, "sub": world.client_id,
        "jti": "once", "nbf": now, "exp": now + 300,
    });
    let assertion = sign(json!({"alg": "PS256", "x5t#S256": THUMBPRINT}), &claims);
    assert_eq!(code(&world, &assertion).await, 0);
    assert_eq!(code(&world, &assertion).await, 0);
    world.entra.change(|settings| settings.refuse_replayed_assertions = true);
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "https://outlook.office365.com/.default"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    let (status, answer) = world.token("example.org", &form, &[("client_secret", "")]).await;
    assert_eq!((status, text(&answer, "error")), (401, "invalid_client"), "{answer}");
}

#[tokio::test]
async fn an_outside_issuer_proves_the_app() {
    let world = world().await;
    let now = Timestamp::now().as_second();
    let claims = json!({"aud": EXCHANGE, "iss": ISSUER, "sub": ROLE, "nbf": now, "exp": now + 300});
    let check = async |alg: &str, claims: &Value, expected: u64| {
        assert_eq!(code(&world, &sign(json!({"alg": alg}), claims)).await, expected, "{claims}");
    };
    check("RS256", &claims, 0).await;
    check("RS256", &changed(&claims, "iss", format!("{ISSUER}/")), 700211).await;
    check("RS256", &changed(&claims, "sub", "arn:aws:iam::111122223333:role/Other"), 700213).await;
    check("RS256", &changed(&claims, "sub", ROLE.to_lowercase()), 7002138).await;
    check("RS256", &changed(&claims, "aud", "api://other"), 700212).await;
    check("RS256", &changed(&claims, "exp", now - 301), 700024).await;
    check("PS256", &claims, 700027).await;
    world.entra.change(|settings| settings.issuers.clear());
    check("RS256", &claims, 700027).await;
}
