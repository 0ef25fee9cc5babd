//! How an app proves itself in one request: a secret, an assertion of its certificate, or who this process is.

use super::{GrantFault, Grants};
use crate::account::{App, Credential, SecretSource};
use crate::deployment::signed::Request;
use crate::identity::IdentityError;
use crate::oauth::{assertion, entra, provider};
use crate::secret::{ExposeSecret, Secret};
use crate::vault::{KmsError, Name, Version};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

/// The proof of one request.
pub(super) enum Proof {
    Secret(Secret),
    Assertion {
        text: Secret,
        /// What it says, for whoever reads of its refusal.
        shown: Option<String>,
    },
}

impl Proof {
    /// The secret, for `oauth2` to put where the provider wants it.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Assertion { .. } => None,
        }
    }

    /// What an assertion says, which is no secret.
    pub(super) fn presented(&self) -> Option<&str> {
        match self {
            Self::Secret(_) => None,
            Self::Assertion { shown, .. } => shown.as_deref(),
        }
    }

    /// An assertion, whose audience should be `wanted`.
    fn assertion(text: Secret, wanted: &str) -> Self {
        Self::Assertion { shown: assertion::shown(&text, wanted), text }
    }

    /// What an assertion adds to the form (RFC 7523 §2.2).
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Secret(_) => vec![],
            Self::Assertion { text, .. } => vec![
                ("client_assertion_type", assertion::TYPE.to_owned()),
                ("client_assertion", text.expose_secret().to_owned()),
            ],
        }
    }
}

impl Grants {
    /// What proves the app now.
    pub(super) async fn proof(&self, app: &App) -> Result<Proof, GrantFault> {
        Ok(match &app.credential {
            Credential::ClientSecret => Proof::Secret(self.client_secret(app).await?),
            Credential::Certificate { thumbprint } => {
                Proof::assertion(self.sign_assertion(app, thumbprint).await?, &provider::token_endpoint(app))
            }
            Credential::Federated => {
                let identity = self.identity.as_ref().ok_or(IdentityError::None)?;
                Proof::assertion(identity.token(entra::EXCHANGE_AUDIENCE).await?, entra::EXCHANGE_AUDIENCE)
            }
        })
    }

    async fn client_secret(&self, app: &App) -> Result<Secret, GrantFault> {
        let secret = match &app.secret_from {
            None => self.vault.get(&Name::App(app.id.clone()), Version::Current).await?,
            Some(SecretSource::Arn(arn)) => self.vault.get(&Name::Foreign(arn.clone()), Version::Current).await?,
            Some(SecretSource::Environment(name)) => std::env::var(name).ok().map(Secret::from),
            // Boxed, or the futures around it grow past what the compiler measures.
            Some(SecretSource::Lambda(arn)) => Some(Box::pin(self.ask_function(app, arn)).await?),
            // No app whose settings were checked has one.
            Some(SecretSource::Kms(_)) => None,
        };
        let secret = secret.filter(|secret| !secret.expose_secret().trim().is_empty());
        secret.ok_or_else(|| GrantFault::NoSecret(app.id.clone()))
    }

    /// The client secret that a function of the operator's own gives out (Lambda's `Invoke`). Its words may hold the
    /// secret, so none of them are repeated.
    async fn ask_function(&self, app: &App, arn: &str) -> Result<Secret, GrantFault> {
        #[derive(Deserialize)]
        struct Answer {
            client_secret: String,
        }
        let failed = |said: String| GrantFault::SecretFunction { function: arn.to_owned(), said };
        let signed = self.signed.as_ref().ok_or_else(|| failed("this process calls no functions".to_owned()))?;
        let request = Request {
            service: "lambda",
            host: "lambda",
            variable: "LAMBDA",
            region: arn.split(':').nth(3),
            method: "POST",
            path: &format!("2015-03-31/functions/{}/invocations", arn.replace(':', "%3A")),
            headers: &[("content-type", "application/json".to_owned())],
            body: json!({ "app": app.id, "client_id": app.client_id }).to_string().into_bytes(),
        };
        let (status, body) = signed.send(request).await.map_err(failed)?;
        match serde_json::from_str::<Answer>(&body) {
            Ok(answer) if status == 200 => Ok(Secret::from(answer.client_secret)),
            _ => Err(failed(format!("HTTP {status}, and no {{\"client_secret\": \"…\"}}"))),
        }
    }

    async fn sign_assertion(&self, app: &App, thumbprint: &str) -> Result<Secret, GrantFault> {
        let bad = || GrantFault::BadKey(app.id.clone());
        let random = SystemRandom::new();
        let mut jti = [0; 16];
        random.fill(&mut jti).map_err(|_| bad())?;
        let jti = uuid::Builder::from_random_bytes(jti).into_uuid();
        let unsigned = assertion::unsigned(app, thumbprint, jti, (self.clock)());
        if let Some(SecretSource::Kms(key)) = &app.secret_from {
            let kms = self.kms.as_ref().ok_or(KmsError::None)?;
            return Ok(assertion::signed(&unsigned, &kms.sign(key, unsigned.as_bytes()).await?));
        }
        let pem = self.vault.get(&Name::App(app.id.clone()), Version::Current).await?;
        let key = private_key(&pem.ok_or_else(bad)?).ok_or_else(bad)?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PSS_SHA256, &random, unsigned.as_bytes(), &mut signature).map_err(|_| bad())?;
        Ok(assertion::signed(&unsigned, &signature))
    }
}

/// An RSA key of 2048 to 4096 bits, in PKCS#8 as PEM; what else there is in the text is passed over.
pub fn private_key(pem: &Secret) -> Option<RsaKeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes()).ok()?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()
}
