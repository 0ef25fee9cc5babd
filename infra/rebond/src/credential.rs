//! How an app proves itself, from the command line: a client secret, a certificate with its key, or nothing at all.

use crate::place::Place;
use crate::{ask, secret_input};
use anyhow::{Context, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rebond::account::{App, AppId, Credential, SecretSource};
use rebond::grant::private_key;
use rebond::oauth::{assertion, entra};
use rebond::secret::{ExposeSecret, Secret};
use rebond::vault::Name;
use std::path::{Path, PathBuf};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;

/// The functions that prove an app, and so need its federated credential.
const PROVING: [&str; 3] = ["oauth-callback", "token-refresh", "bounce-poll"];

/// How an app proves itself.
#[derive(Debug, Args)]
pub struct CredentialArgs {
    /// File with the client secret's value, or the certificate's private key; - is standard input; asked for where it
    /// is left out
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The day that the client secret ends (YYYY-MM-DD), as the portal shows it
    #[arg(long, value_name = "DATE", conflicts_with_all = ["certificate", "federated"])]
    secret_ends: Option<Date>,
    /// Prove it by this certificate (PEM, RSA); its private key is in the same file or in --secret-file
    #[arg(long, value_name = "FILE", conflicts_with = "federated")]
    certificate: Option<PathBuf>,
    /// The certificate's private key is this one of AWS KMS (RSA, for signing), which never gives it away
    #[arg(long, value_name = "ARN", requires = "certificate", conflicts_with = "secret_file")]
    kms_key: Option<String>,
    /// Prove it by who this deployment is: the function's role on AWS, or federated-token-file in rebond.toml.
    /// There is no secret then
    #[arg(long, conflicts_with_all = ["secret_file", "secret_arn", "secret_env", "secret_lambda"])]
    federated: bool,
    /// The client secret is the value of this secret of AWS Secrets Manager, which somebody else keeps; or {"client_id",
    /// "client_secret"}, where --client-id is left out
    #[arg(long, value_name = "ARN", conflicts_with_all = ["secret_file", "certificate", "secret_env"])]
    secret_arn: Option<String>,
    /// The client secret is in this variable of the environment, or both as JSON where --client-id is left out
    #[arg(long, value_name = "NAME", conflicts_with_all = ["secret_file", "certificate"])]
    secret_env: Option<String>,
    /// The client secret is given out by this Lambda function: sent {"app", "client_id"}, it answers {"client_secret"}, and
    /// {"client_id"} beside it where --client-id is left out
    #[arg(long, value_name = "ARN", conflicts_with_all = ["secret_file", "certificate", "secret_arn", "secret_env"])]
    secret_lambda: Option<String>,
}

/// What was given: how the app proves itself, and what goes into our vault for it.
pub(crate) struct Given {
    credential: Credential,
    ends: Option<Timestamp>,
    secret_from: Option<SecretSource>,
    secret: Option<Secret>,
    /// The certificate's public key (SubjectPublicKeyInfo in DER), where its private key is elsewhere.
    public_key: Option<Vec<u8>>,
}

impl CredentialArgs {
    /// Whether the client secret is kept in another place, which may give out the client id, too.
    pub(crate) fn elsewhere(&self) -> bool {
        self.secret_arn.is_some() || self.secret_env.is_some() || self.secret_lambda.is_some()
    }

    /// The same with a way chosen by the person at the terminal, where the arguments name none.
    pub(crate) fn asked(mut self) -> anyhow::Result<Self> {
        let named = self.federated || self.certificate.is_some() || self.secret_file.is_some() || self.elsewhere();
        if named {
            return Ok(self);
        }
        let ways = [
            "federated: by who this deployment is; there is no secret at all (best on AWS)",
            "a certificate: its private key is kept in the vault",
            "a client secret: it ends after two years at most",
        ];
        match ask::choice("How does the app prove itself?", &ways)? {
            0 => self.federated = true,
            1 => self.certificate = Some(ask::line("File with the certificate (PEM), and its key or not", None)?),
            _ => {}
        }
        Ok(self)
    }

    /// Reads files and checks what they hold.
    pub(crate) fn read(&self) -> anyhow::Result<Given> {
        if self.federated {
            return Ok(Given {
                credential: Credential::Federated,
                ends: None,
                secret_from: None,
                secret: None,
                public_key: None,
            });
        }
        if let Some(file) = &self.certificate {
            return self.read_certificate(file);
        }
        let ends = match self.secret_ends {
            Some(date) => Some(date.to_zoned(TimeZone::UTC)?.timestamp()),
            None => None,
        };
        let arn = self.secret_arn.clone().map(SecretSource::Arn);
        let function = self.secret_lambda.clone().map(SecretSource::Lambda);
        let secret_from = arn.or(function).or_else(|| self.secret_env.clone().map(SecretSource::Environment));
        let secret = match secret_from {
            Some(_) => None,
            None => Some(secret_input::read("Client secret (its Value)", self.secret_file.as_deref())?),
        };
        if let Some(secret) = &secret {
            App::check_client_secret(secret.expose_secret())?;
        }
        Ok(Given { credential: Credential::ClientSecret, ends, secret_from, secret, public_key: None })
    }

    fn read_certificate(&self, file: &Path) -> anyhow::Result<Given> {
        let text = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
        let pem = pem_of("CERTIFICATE", &text).with_context(|| format!("{} holds no certificate", file.display()))?;
        let certificate = pem.parse_x509().with_context(|| format!("{}", file.display()))?;
        let ends = Timestamp::from_second(certificate.validity().not_after.timestamp())?;
        ensure!(ends > Timestamp::now(), "the certificate ended on {ends}");
        let credential = Credential::Certificate { thumbprint: assertion::thumbprint(&pem.contents) };
        if let Some(arn) = &self.kms_key {
            return Ok(Given {
                credential,
                ends: Some(ends),
                secret_from: Some(SecretSource::Kms(arn.clone())),
                secret: None,
                public_key: Some(certificate.public_key().raw.to_vec()),
            });
        }
        let key = match (&self.secret_file, String::from_utf8(text.clone())) {
            (None, Ok(text)) if text.contains("PRIVATE KEY") => Secret::from(text),
            (from, _) => secret_input::read("Private key (PKCS#8, PEM)", from.as_deref())?,
        };
        check_key(&key, &certificate)?;
        Ok(Given { credential, ends: Some(ends), secret_from: None, secret: Some(key), public_key: None })
    }
}

/// The first PEM block of a kind.
fn pem_of(label: &str, text: &[u8]) -> Option<x509_parser::pem::Pem> {
    let mut rest = text;
    while let Ok((left, pem)) = parse_x509_pem(rest) {
        if pem.label == label {
            return Some(pem);
        }
        rest = left;
    }
    None
}

/// The key must be the certificate's own: Entra would say so later, and in worse words (AADSTS700027).
fn check_key(key: &Secret, certificate: &X509Certificate<'_>) -> anyhow::Result<()> {
    let Some(pair) = private_key(key) else {
        bail!(
            "this is no RSA key of 2048 to 4096 bits in PKCS#8 (openssl pkcs8 -topk8 -nocrypt -in old.key makes one)"
        );
    };
    let public: &[u8] = &certificate.public_key().subject_public_key.data;
    ensure!(pair.public().as_ref() == public, "the private key is not the certificate's");
    Ok(())
}

impl Given {
    /// The app, proving itself so.
    pub(crate) fn set(&self, app: App) -> App {
        App {
            credential: self.credential.clone(),
            credential_ends: self.ends,
            secret_from: self.secret_from.clone(),
            ..app
        }
    }

    /// Puts the secret into our vault, where there is one; a key that is in KMS must be the certificate's own.
    pub(crate) async fn store(&self, place: &Place, id: &AppId) -> anyhow::Result<()> {
        if let Some(SecretSource::Kms(arn)) = &self.secret_from {
            let Place::Stack(stack) = place else { bail!("a key in KMS is for a stack: add --stack NAME") };
            let public = stack.kms().public_key(arn).await?;
            ensure!(self.public_key.as_ref() == Some(&public), "the key in KMS is not the certificate's");
        }
        let Some(secret) = &self.secret else { return Ok(()) };
        let version = uuid::Builder::from_random_bytes(crate::machine::random()?).into_uuid();
        place.vault().put(&Name::App(id.clone()), version, secret).await?;
        Ok(())
    }

    /// Where there is no secret of ours any more, the old one goes, once the app no longer needs it.
    pub(crate) async fn tidy(&self, place: &Place, id: &AppId) -> anyhow::Result<()> {
        match self.secret {
            Some(_) => Ok(()),
            None => Ok(place.vault().remove(&Name::App(id.clone())).await?),
        }
    }
}

/// For the list of apps: how it proves itself, and until when.
pub(crate) fn describe(app: &App) -> String {
    let by = match (&app.credential, &app.secret_from) {
        (Credential::Certificate { .. }, Some(SecretSource::Kms(_))) => "certificate, key in KMS",
        (Credential::Certificate { .. }, _) => "certificate",
        (Credential::Federated, _) => "federated",
        (Credential::ClientSecret, None) => "secret",
        (Credential::ClientSecret, Some(SecretSource::Arn(_))) => "secret of another place",
        (Credential::ClientSecret, Some(SecretSource::Environment(_))) => "secret in the environment",
        (Credential::ClientSecret, Some(SecretSource::Lambda(_))) => "secret of a function",
        (Credential::ClientSecret, Some(SecretSource::Kms(_))) => "nothing that could be used",
    };
    match app.credential_ends {
        Some(ends) => format!("{by}, ends {}", ends.to_zoned(TimeZone::UTC).date()),
        None => by.to_owned(),
    }
}

/// For the list of apps: the client id, and where it is from when it is not ours.
pub(crate) fn client_id(app: &App) -> String {
    let from = match &app.secret_from {
        Some(SecretSource::Arn(_)) => "a secret of another place",
        Some(SecretSource::Environment(_)) => "the environment",
        Some(SecretSource::Lambda(_)) => "a function",
        None | Some(SecretSource::Kms(_)) => return app.client_id.clone(),
    };
    match (app.client_id_given, app.client_id.as_str()) {
        (false, id) => id.to_owned(),
        (true, "") => format!("from {from}, not asked yet"),
        (true, id) => format!("{id}, from {from}"),
    }
}

/// What to register for a federated credential.
pub(crate) async fn tell_federated(place: &Place) -> anyhow::Result<()> {
    println!("Under Certificates & secrets, Federated credentials, it must have one for each subject:\n");
    println!("    audience  {}", entra::EXCHANGE_AUDIENCE);
    match place {
        Place::Machine(_) => {
            println!("    issuer    iss of the token in federated-token-file (rebond.toml)");
            println!("    subject   sub of that token\n");
        }
        Place::Stack(stack) => {
            println!("    issuer    what `aws iam get-outbound-web-identity-federation-info` prints");
            for function in PROVING {
                let told = stack.configuration(function).await;
                let told = told.map_err(|said| anyhow::anyhow!("{}: {said}", stack.function(function)))?;
                println!("    subject   {}   ({function})", told["Role"].as_str().unwrap_or_default());
            }
            println!("\nThe feature is off in a new AWS account: aws iam enable-outbound-web-identity-federation\n");
        }
    }
    Ok(())
}
