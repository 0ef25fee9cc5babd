//! A certificate's private key in AWS KMS: it signs there, and never leaves the service.

use crate::deployment::signed::{Fault, Signed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Value, json};
use std::sync::Arc;

/// KMS did not sign.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// This process has no KMS.
    #[error("the private key is in AWS KMS, which a single machine does not ask")]
    None,
    /// The key is not there, is disabled, is of another kind, or this process may not use it.
    #[error("AWS KMS does not sign with {key}: {said}")]
    Refused {
        /// The key's ARN.
        key: String,
        /// The service's words.
        said: String,
    },
    /// Not reached, throttled, out of order: worth another try.
    #[error("AWS KMS could not be asked: {0}")]
    Service(String),
}

/// What asks KMS.
#[derive(Clone)]
pub struct Kms(Arc<Signed>);

impl Kms {
    /// Each key is asked for in the region that its ARN names.
    pub fn new(signed: Arc<Signed>) -> Self {
        Self(signed)
    }

    /// RSASSA-PSS with SHA-256 over `message`. KMS takes 4 KB at most, so it gets the digest.
    pub async fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, KmsError> {
        let hash = digest::digest(&digest::SHA256, message);
        let asked = json!({
            "KeyId": key,
            "MessageType": "DIGEST",
            "SigningAlgorithm": "RSASSA_PSS_SHA_256",
            "Message": STANDARD.encode(hash),
        });
        let answer = self.ask("Sign", key, &asked).await?;
        bytes(&answer, "Signature").ok_or_else(|| KmsError::Service("an answer without a signature".to_owned()))
    }

    /// The public key (SubjectPublicKeyInfo in DER), to be compared with the certificate's.
    pub async fn public_key(&self, key: &str) -> Result<Vec<u8>, KmsError> {
        let answer = self.ask("GetPublicKey", key, &json!({ "KeyId": key })).await?;
        bytes(&answer, "PublicKey").ok_or_else(|| KmsError::Service("an answer without a key".to_owned()))
    }

    async fn ask(&self, operation: &str, key: &str, asked: &Value) -> Result<Value, KmsError> {
        let (region, target) = (key.split(':').nth(3), format!("TrentService.{operation}"));
        self.0.call_json("kms", region, &target, "1.1", asked).await.map_err(|fault| failed(key, fault))
    }
}

fn bytes(answer: &Value, name: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(answer[name].as_str()?).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

fn failed(key: &str, fault: Fault) -> KmsError {
    match fault.code.as_deref() {
        None
        | Some(
            "ThrottlingException" | "KMSInternalException" | "DependencyTimeoutException" | "KeyUnavailableException",
        ) => KmsError::Service(fault.said),
        Some(_) => KmsError::Refused { key: key.to_owned(), said: fault.said },
    }
}
