//! A certificate's private key in AWS KMS: it signs there, and never leaves the service.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use ring::digest;

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

/// The client of one region.
#[derive(Clone, Debug)]
pub struct Kms(Client);

impl Kms {
    /// By a client of the region that the keys are in.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// RSASSA-PSS with SHA-256 over `message`. KMS takes 4 KB at most, so it gets the digest.
    pub async fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, KmsError> {
        let hash = digest::digest(&digest::SHA256, message);
        let asked = self
            .0
            .sign()
            .key_id(key)
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::RsassaPssSha256)
            .message(Blob::new(hash.as_ref()))
            .send()
            .await
            .map_err(|error| failed(key, &error))?;
        let empty = || KmsError::Service("an answer without a signature".to_owned());
        asked.signature.map(Blob::into_inner).filter(|signature| !signature.is_empty()).ok_or_else(empty)
    }

    /// The public key (SubjectPublicKeyInfo in DER), to be compared with the certificate's.
    pub async fn public_key(&self, key: &str) -> Result<Vec<u8>, KmsError> {
        let answer = self.0.get_public_key().key_id(key).send().await.map_err(|error| failed(key, &error))?;
        Ok(answer.public_key.map(Blob::into_inner).unwrap_or_default())
    }
}

fn failed<E: ProvideErrorMetadata, R>(key: &str, error: &SdkError<E, R>) -> KmsError {
    let said = match (error.as_service_error(), error) {
        (Some(said), _) => {
            let (code, words) = (said.code().unwrap_or("?"), said.message().unwrap_or("no message"));
            let said = format!("{code}: {words}").chars().take(500).collect();
            return match code {
                "ThrottlingException"
                | "KMSInternalException"
                | "DependencyTimeoutException"
                | "KeyUnavailableException" => KmsError::Service(said),
                _ => KmsError::Refused { key: key.to_owned(), said },
            };
        }
        (None, SdkError::TimeoutError(_)) => "no answer in time",
        (None, SdkError::DispatchFailure(_)) => "it was not reached",
        (None, _) => "its answer was not understood",
    };
    KmsError::Service(said.to_owned())
}
