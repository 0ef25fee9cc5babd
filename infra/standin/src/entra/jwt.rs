//! Signed tokens: RS256 (RFC 7515, RFC 7518 section 3.3) with one test key, and the key's public half as a JWK.

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{KeyPair as _, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// A throw-away key: whoever reads this repository can sign as the stand-in, and that is all they can do with it.
const TEST_KEY: &[u8] = include_bytes!("test-signing-key.pem");

/// The provider's signing key.
pub(crate) struct Signer {
    key: RsaKeyPair,
    key_id: String,
}

impl Signer {
    pub(crate) fn new() -> anyhow::Result<Signer> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(TEST_KEY).map_err(|error| anyhow!("test key: {error}"))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|error| anyhow!("test key: {error}"))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        Ok(Signer { key, key_id: URL_SAFE_NO_PAD.encode(&digest.as_ref()[..20]) })
    }

    /// A compact JWS of the claims.
    pub(crate) fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.key_id});
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&ring::signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| anyhow!("signing failed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The key set of `/discovery/v2.0/keys` (RFC 7517).
    pub(crate) fn key_set(&self) -> Value {
        let parts: PublicKeyComponents<Vec<u8>> = self.key.public().into();
        json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id,
            "n": URL_SAFE_NO_PAD.encode(&parts.n), "e": URL_SAFE_NO_PAD.encode(&parts.e),
        }]})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_signature_verifies_with_the_published_key_and_with_no_other_text() {
        let signer = Signer::new().unwrap();
        let token = signer.sign(&json!({"sub": "x"})).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let set = signer.key_set();
        let field = |name: &str| URL_SAFE_NO_PAD.decode(set["keys"][0][name].as_str().unwrap()).unwrap();
        let public = PublicKeyComponents { n: field("n"), e: field("e") };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let parameters = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
        public.verify(parameters, signed.as_bytes(), &signature).unwrap();
        public.verify(parameters, b"another text", &signature).unwrap_err();
    }
}
