//! AWS Secrets Manager. The version id is the client request token, so a second writer is refused by the service.

use super::{Name, Put, Vault, VaultError, Version};
use crate::secret::{ExposeSecret, Secret};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use std::time::Duration;
use uuid::Uuid;

/// The secrets of one deployment.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    client: Client,
    prefix: String,
}

impl SecretsManager {
    /// `prefix` is the stack's name: secrets are called `{prefix}/app/…`.
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self { client, prefix: prefix.into() }
    }

    fn id(&self, name: &Name) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn create(&self, name: &Name, version: Uuid, value: &Secret) -> Result<Put, VaultError> {
        // A name that was just removed may answer for a short while that it is being deleted.
        let mut pause = Duration::from_millis(200);
        for _ in 0..6 {
            let made = self
                .client
                .create_secret()
                .name(self.id(name))
                .client_request_token(version.to_string())
                .secret_string(value.expose_secret())
                .send()
                .await;
            match made {
                Ok(_) => return Ok(Put::Stored),
                // Another writer created it meanwhile: its versions decide.
                Err(error) if code(&error) == Some("ResourceExistsException") => {
                    return self.put_version(name, version, value).await.map(|put| put.unwrap_or(Put::Taken));
                }
                Err(error) if code(&error) == Some("InvalidRequestException") => {
                    let restored = self.client.restore_secret().secret_id(self.id(name)).send().await;
                    if restored.is_ok() {
                        return self.put_version(name, version, value).await.map(|put| put.unwrap_or(Put::Taken));
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(failed(name, &error)),
            }
        }
        Err(VaultError::Service { name: name.to_string(), said: "its name is still being deleted".into() })
    }

    /// None when there is no such secret.
    async fn put_version(&self, name: &Name, version: Uuid, value: &Secret) -> Result<Option<Put>, VaultError> {
        let put = self
            .client
            .put_secret_value()
            .secret_id(self.id(name))
            .client_request_token(version.to_string())
            .secret_string(value.expose_secret())
            .send()
            .await;
        match put {
            Ok(_) => Ok(Some(Put::Stored)),
            Err(error) => match code(&error) {
                // "A version with this ID exists with other contents."
                Some("ResourceExistsException") => Ok(Some(Put::Taken)),
                Some("ResourceNotFoundException") => Ok(None),
                _ if is_being_deleted(&error) => Ok(None),
                _ => Err(failed(name, &error)),
            },
        }
    }
}

#[async_trait::async_trait]
impl Vault for SecretsManager {
    async fn get(&self, name: &Name, version: Version) -> Result<Option<Secret>, VaultError> {
        let ask = self.client.get_secret_value().secret_id(self.id(name));
        let ask = match version {
            Version::Current => ask.version_stage("AWSCURRENT"),
            Version::Id(id) => ask.version_id(id.to_string()),
        };
        match ask.send().await {
            Ok(answer) => Ok(answer.secret_string.map(Secret::from)),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(None),
            Err(error) if is_being_deleted(&error) => Ok(None),
            Err(error) => Err(failed(name, &error)),
        }
    }

    async fn put(&self, name: &Name, version: Uuid, value: &Secret) -> Result<Put, VaultError> {
        match self.put_version(name, version, value).await? {
            Some(put) => Ok(put),
            None => self.create(name, version, value).await,
        }
    }

    async fn remove(&self, name: &Name) -> Result<(), VaultError> {
        let gone =
            self.client.delete_secret().secret_id(self.id(name)).force_delete_without_recovery(true).send().await;
        match gone {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("ResourceNotFoundException") || is_being_deleted(&error) => Ok(()),
            Err(error) => Err(failed(name, &error)),
        }
    }
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn is_being_deleted<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    code(error) == Some("InvalidRequestException")
        && error.as_service_error().and_then(ProvideErrorMetadata::message).is_some_and(|said| said.contains("delet"))
}

fn failed<E: ProvideErrorMetadata, R>(name: &Name, error: &SdkError<E, R>) -> VaultError {
    let said = match error.as_service_error() {
        Some(service) => format!("{}: {}", service.code().unwrap_or("?"), service.message().unwrap_or("no message")),
        None => match error {
            SdkError::TimeoutError(_) => "no answer in time".into(),
            SdkError::DispatchFailure(_) => "it was not reached".into(),
            _ => "its answer was not understood".into(),
        },
    };
    VaultError::Service { name: name.to_string(), said: said.chars().take(500).collect() }
}
