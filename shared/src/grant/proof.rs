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

/// What another place than our vault gives out, as text in JSON.
#[derive(Deserialize)]
struct Answer {
    client_secret: String,
    #[serde(default)]
    client_id: Option<String>,
}

/// The same, read.
struct Given {
    client_secret: Secret,
    client_id: Option<String>,
}

impl Given {
    fn secret(client_secret: Secret) -> Self {
        Self { client_secret, client_id: None }
    }

    /// Text that is no such JSON is the client secret itself.
    fn read(text: Secret) -> Self {
        match serde_json::from_str::<Answer>(text.expose_secret()) {
            Ok(answer) => Self { client_secret: answer.client_secret.into(), client_id: answer.client_id },
            Err(_) => Self::secret(text),
        }
    }
}

impl Grants {
    /// What proves the app now, and the app with the client id that belongs to it.
    pub(super) async fn proof(&self, app: &App) -> Result<(Proof, App), GrantFault> {
        let proof = match &app.credential {
            Credential::ClientSecret => {
                let (secret, app) = self.client_secret(app).await?;
                return Ok((Proof::Secret(secret), app));
            }
            Credential::Certificate { thumbprint } => {
                Proof::assertion(self.sign_assertion(app, thumbprint).await?, &provider::token_endpoint(app))
            }
            Credential::Federated => {
                let identity = self.identity.as_ref().ok_or(IdentityError::None)?;
                Proof::assertion(identity.token(entra::EXCHANGE_AUDIENCE).await?, entra::EXCHANGE_AUDIENCE)
            }
        };
        Ok((proof, app.clone()))
    }

    async fn client_secret(&self, app: &App) -> Result<(Secret, App), GrantFault> {
        let text = match &app.secret_from {
            None => self.vault.get(&Name::App(app.id.clone()), Version::Current).await?,
            Some(SecretSource::Arn(arn)) => self.vault.get(&Name::Foreign(arn.clone()), Version::Current).await?,
            Some(SecretSource::Environment(name)) => std::env::var(name).ok().map(Secret::from),
            // Boxed, or the futures around it grow past what the compiler measures.
            Some(SecretSource::Lambda(arn)) => Some(Box::pin(self.ask_function(app, arn)).await?),
            // No app whose settings were checked has one.
            Some(SecretSource::Kms(_)) => None,
        };
        let given = match &app.secret_from {
            None => text.map(Given::secret),
            Some(_) => text.map(Given::read),
        };
        let given = given.filter(|given| !given.client_secret.expose_secret().trim().is_empty());
        let given = given.ok_or_else(|| GrantFault::NoSecret(app.id.clone()))?;
        let app = self.with_client_id(app, given.client_id.as_deref()).await?;
        Ok((given.client_secret, app))
    }

    /// The app with the client id that was given out beside the secret; a new one is written down, for whoever needs it
    /// and may not read secrets.
    async fn with_client_id(&self, app: &App, given: Option<&str>) -> Result<App, GrantFault> {
        if !app.client_id_given {
            return Ok(app.clone());
        }
        let given =
            given.and_then(|given| app.with_given(given)).ok_or_else(|| GrantFault::NoClientId(app.id.clone()))?;
        if given.client_id != app.client_id {
            // Boxed for the same reason as the function is.
            Box::pin(self.table.set_client_id(&app.id, &given.client_id)).await?;
            tracing::info!(app = %app.id, client_id = given.client_id, "a client id was given out");
        }
        Ok(given)
    }

    /// What a function of the operator's own gives out (Lambda's `Invoke`). Its words may hold the secret, so none of them
    /// are repeated.
    async fn ask_function(&self, app: &App, arn: &str) -> Result<Secret, GrantFault> {
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
            Ok(_) if status == 200 => Ok(Secret::from(body)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_place_gives_out_is_a_secret_or_says_which_it_is() {
        let read = |text: &str| {
            let given = Given::read(text.to_owned().into());
            (given.client_secret.expose_secret().to_owned(), given.client_id)
        };
        assert_eq!(read("s3cret"), ("s3cret".to_owned(), None));
        assert_eq!(read(r#"{"client_secret": "s"}"#), ("s".to_owned(), None));
        assert_eq!(
            read(r#"{"client_secret": "s", "client_id": "i", "more": 1}"#),
            ("s".to_owned(), Some("i".to_owned()))
        );
        // A secret may begin like anything.
        for text in ["{\"x\": 1}", "{", "\"s\"", "[1]"] {
            assert_eq!(read(text), (text.to_owned(), None));
        }
    }
}
