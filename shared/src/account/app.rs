//! What an app is made of: a registration at an identity provider, with the checks.

use super::settings::invalid;
use super::{AppId, Invalid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A Microsoft cloud; its hosts are data in [`crate::oauth::entra`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// Worldwide, and GCC.
    Global,
    /// GCC High, of the government of the United States.
    GccHigh,
    /// The Department of Defense of the United States.
    Dod,
    /// Operated by 21Vianet in China.
    China,
}

impl Cloud {
    /// The word used in the table, in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::GccHigh => "gcc-high",
            Self::Dod => "dod",
            Self::China => "china",
        }
    }
}

/// Who may sign in: a GUID, a verified domain, or one of Entra's three words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Tenant {
    /// The directory's id.
    Id(uuid::Uuid),
    /// A verified domain of the directory.
    Domain(String),
    /// Work accounts of any directory.
    Organizations,
    /// Work and personal accounts.
    Common,
    /// Personal accounts.
    Consumers,
}

impl TryFrom<String> for Tenant {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        match text.as_str() {
            "organizations" => return Ok(Self::Organizations),
            "common" => return Ok(Self::Common),
            "consumers" => return Ok(Self::Consumers),
            _ => {}
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        match idna::domain_to_ascii_strict(&text) {
            Ok(domain) if domain.contains('.') => Ok(Self::Domain(domain)),
            _ => invalid(format!(
                "{text:?} is no tenant: give the directory (tenant) ID, a verified domain, organizations, common or consumers"
            )),
        }
    }
}

impl Tenant {
    /// The directory of all personal accounts (Microsoft, "ID token claims reference", `tid`).
    pub const CONSUMERS_ID: uuid::Uuid = uuid::Uuid::from_u128(0x9188040d_6c67_4c5b_b112_36a304b66dad);

    /// Whether it means personal accounts and nobody else.
    pub fn is_personal(&self) -> bool {
        matches!(self, Self::Consumers) || *self == Self::Id(Self::CONSUMERS_ID)
    }
}

impl std::str::FromStr for Tenant {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.to_owned())
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.to_string()
    }
}

impl std::fmt::Display for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Domain(domain) => f.write_str(domain),
            Self::Organizations => f.write_str("organizations"),
            Self::Common => f.write_str("common"),
            Self::Consumers => f.write_str("consumers"),
        }
    }
}

/// How an app proves itself to the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// A client secret's value, in the vault under the app's id.
    ClientSecret,
    /// A certificate's private key (RSA, PKCS#8 in PEM), in the vault under the app's id (RFC 7523 §2.2).
    Certificate {
        /// base64url of the SHA-256 of the certificate in DER: `x5t#S256` (RFC 7515 §4.1.8).
        thumbprint: String,
    },
    /// A signed token that says who this process is, from AWS STS or a file: there is no secret anywhere.
    Federated,
}

/// Where a client secret or a private key is kept that is not in our vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// A secret of AWS Secrets Manager, by its ARN. Its value is the client secret, or
    /// `{"client_id": "…", "client_secret": "…"}`.
    Arn(String),
    /// A variable of the process's environment, with the same.
    Environment(String),
    /// A Lambda function, by its ARN: it is sent `{"app": "…", "client_id": "…"}` and answers
    /// `{"client_secret": "…"}`, with `client_id` beside it where that is given out, too.
    Lambda(String),
    /// A private key of AWS KMS, by its ARN. It signs there, and nobody ever reads it.
    Kms(String),
}

/// A registration at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name here.
    pub id: AppId,
    /// Which Microsoft cloud it is registered in.
    pub cloud: Cloud,
    /// Whose accounts may sign in.
    pub tenant: Tenant,
    /// "Application (client) ID"; where it is given out, the one that was given last, and empty before the first time.
    pub client_id: String,
    /// Whether the place that keeps the client secret gives out the client id beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_id_given: bool,
    /// Compared byte by byte by Entra (AADSTS50011), so it is kept as it was typed.
    pub redirect_uri: String,
    /// How it proves itself.
    pub credential: Credential,
    /// Another login host than the cloud's own: the stand-in on one machine, or a provider like Entra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Another provider than Entra, by its discovery document; cloud and tenant mean nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<OpenIdProvider>,
    /// When its client secret or certificate ends, as far as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_ends: Option<Timestamp>,
    /// Where its client secret is, in place of our vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_from: Option<SecretSource>,
}

/// A provider that is not Entra, as its discovery document described it when the app was added
/// (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIdProvider {
    /// Compared with `iss` of tokens and answers, byte by byte.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where tokens are had.
    pub token_endpoint: String,
    /// Where a device code is had (RFC 8628 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// The secret goes into the header in place of the body (`client_secret_basic` alone is supported).
    #[serde(default)]
    pub basic: bool,
    /// What is asked of a person: who they are, a refresh token, and the mailbox.
    pub scopes: Vec<String>,
    /// What the authorization request carries beside the standard.
    #[serde(default)]
    pub extra: Vec<(String, String)>,
}

impl App {
    /// An app of Entra's global cloud with a client secret in our vault.
    pub fn entra(id: AppId, tenant: Tenant, client_id: impl Into<String>, redirect_uri: impl Into<String>) -> Self {
        Self {
            id,
            cloud: Cloud::Global,
            tenant,
            client_id: client_id.into(),
            client_id_given: false,
            redirect_uri: redirect_uri.into(),
            credential: Credential::ClientSecret,
            authority: None,
            provider: None,
            credential_ends: None,
            secret_from: None,
        }
    }

    /// Checks what the provider would refuse later, and says it in the operator's words.
    pub fn check(&self) -> Result<(), Invalid> {
        match self.provider {
            Some(_) => self.check_open_id()?,
            None => self.check_entra()?,
        }
        self.check_client_id()?;
        self.check_secret_source()?;
        self.check_redirect_uri()
    }

    fn check_client_id(&self) -> Result<(), Invalid> {
        if self.client_id_given {
            match &self.secret_from {
                None | Some(SecretSource::Kms(_)) => {
                    return invalid(
                        "a client id is given out by the place that keeps the client secret, and that is ours",
                    );
                }
                // Not asked for yet.
                Some(_) if self.client_id.is_empty() => return Ok(()),
                Some(_) => {}
            }
        }
        if self.provider.is_some() {
            if self.client_id.is_empty() || self.client_id.len() > 255 || self.client_id.chars().any(char::is_control) {
                return invalid("the client id is empty, too long, or has control characters");
            }
        } else if self.client_id.parse::<uuid::Uuid>().is_err() && self.authority.is_none() {
            return invalid(format!(
                "client id {:?} is no GUID: copy \"Application (client) ID\" from the registration's Overview",
                self.client_id
            ));
        }
        Ok(())
    }

    fn check_entra(&self) -> Result<(), Invalid> {
        // Personal accounts live in the global cloud alone (Microsoft, "National clouds").
        if self.cloud != Cloud::Global && self.tenant.is_personal() {
            return invalid(format!(
                "tenant {} means personal accounts, and there are none in the cloud {}: give the directory (tenant) ID",
                self.tenant,
                self.cloud.as_str()
            ));
        }
        Ok(())
    }

    fn check_open_id(&self) -> Result<(), Invalid> {
        match self.credential {
            Credential::ClientSecret => Ok(()),
            _ => invalid(
                "certificate and federated are ways of Entra: with another provider the app has a client secret",
            ),
        }
    }

    fn check_secret_source(&self) -> Result<(), Invalid> {
        match &self.secret_from {
            None => Ok(()),
            Some(SecretSource::Kms(arn)) => match self.credential {
                Credential::Certificate { .. } if arn.starts_with("arn:") && arn.contains(":kms:") => Ok(()),
                Credential::Certificate { .. } => {
                    invalid(format!("{arn:?} is no ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID"))
                }
                _ => invalid("only a certificate's private key can be in KMS"),
            },
            Some(_) if self.credential != Credential::ClientSecret => {
                invalid("only a client secret can be kept in another place")
            }
            Some(SecretSource::Arn(arn)) if !arn.starts_with("arn:") || !arn.contains(":secretsmanager:") => {
                invalid(format!("{arn:?} is no ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"))
            }
            Some(SecretSource::Lambda(arn)) if !arn.starts_with("arn:") || !arn.contains(":function:") => {
                invalid(format!("{arn:?} is no ARN of a Lambda function: arn:aws:lambda:REGION:ACCOUNT:function:NAME"))
            }
            Some(SecretSource::Environment(name))
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
            {
                invalid(format!("{name:?} is no name of an environment variable"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks that the app can open mailboxes for itself (client credentials).
    pub fn check_app_only(&self) -> Result<(), Invalid> {
        if let Some(provider) = &self.provider {
            return invalid(format!(
                "{} gives no app-only access to mailboxes: a person must connect it",
                provider.issuer
            ));
        }
        match &self.tenant {
            Tenant::Id(_) | Tenant::Domain(_) if !self.tenant.is_personal() => Ok(()),
            tenant => invalid(format!(
                "app-only access belongs to one directory, and app {} was registered here for tenant {tenant}: add it \
                 again with --tenant and the directory (tenant) ID of the mailboxes, or a verified domain",
                self.id
            )),
        }
    }

    /// Checks that a whole directory can be asked for consent.
    pub fn check_admin_consent(&self) -> Result<(), Invalid> {
        if let Some(provider) = &self.provider {
            return invalid(format!("{} knows no consent by an administrator for everybody", provider.issuer));
        }
        match self.tenant.is_personal() {
            true => invalid("personal accounts have no administrator: whoever owns the mailbox connects it"),
            false => Ok(()),
        }
    }

    fn check_redirect_uri(&self) -> Result<(), Invalid> {
        let Ok(uri) = url::Url::parse(&self.redirect_uri) else {
            return invalid(format!("redirect URI {:?} is no URL", self.redirect_uri));
        };
        let loopback = matches!(uri.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if uri.scheme() != "https" && !(uri.scheme() == "http" && loopback) {
            return invalid(format!(
                "redirect URI {} must be https: Entra accepts http for localhost alone",
                self.redirect_uri
            ));
        }
        if uri.query().is_some() || uri.fragment().is_some() {
            return invalid("the redirect URI must have no query and no fragment");
        }
        if uri.path().ends_with("/nativeclient") {
            return invalid(
                "…/nativeclient belongs to the platform \"Mobile and desktop\": the code would land on a page nobody owns. \
                 Register this deployment's own /oauth/callback under the platform Web",
            );
        }
        if !matches!(uri.path(), "/oauth/callback" | "/nl/jsp/oauth.jsp") {
            return invalid(format!(
                "redirect URI {} must end in /oauth/callback (or /nl/jsp/oauth.jsp): that is where the answer is read",
                self.redirect_uri
            ));
        }
        Ok(())
    }

    /// The same app with the client id that was given out for it; `None` for what cannot be one.
    pub fn with_given(&self, client_id: &str) -> Option<Self> {
        let app = Self { client_id: client_id.to_owned(), ..self.clone() };
        (!client_id.is_empty() && app.check_client_id().is_ok()).then_some(app)
    }

    /// Checks a client secret: a GUID is almost surely the secret's *ID*, which Entra answers with AADSTS7000215.
    pub fn check_client_secret(secret: &str) -> Result<(), Invalid> {
        if secret.trim().is_empty() {
            return invalid("the client secret is empty");
        }
        if secret.trim().parse::<uuid::Uuid>().is_ok() {
            return invalid(
                "this is a GUID: it is the secret's ID, not its value. Under \"Certificates & secrets\" copy the column \
                 \"Value\" (it is shown only once, when the secret is made)",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GUID: &str = "11111111-1111-4111-8111-111111111111";

    fn app(cloud: Cloud, tenant: &str) -> App {
        let redirect_uri = "https://example.com/oauth/callback";
        App { cloud, ..App::entra("m365".parse().unwrap(), tenant.parse().unwrap(), GUID, redirect_uri) }
    }

    /// What Entra refuses is refused by us first: 5 kinds of tenant × 4 clouds × the ways in.
    #[test]
    fn clouds_tenants_and_ways() {
        let personal = Tenant::CONSUMERS_ID.to_string();
        // tenant, then who may be asked: a person in the global cloud, one in another cloud, the app, an administrator
        for (tenant, global, national, app_only, admin) in [
            (GUID, true, true, true, true),
            ("example.com", true, true, true, true),
            ("organizations", true, true, false, true),
            ("common", true, true, false, true),
            ("consumers", true, false, false, false),
            (personal.as_str(), true, false, false, false),
        ] {
            for cloud in [Cloud::Global, Cloud::GccHigh, Cloud::Dod, Cloud::China] {
                let app = app(cloud, tenant);
                let person = if cloud == Cloud::Global { global } else { national };
                assert_eq!(app.check().is_ok(), person, "{tenant} {cloud:?}: {:?}", app.check());
                assert_eq!(app.check_app_only().is_ok(), app_only, "{tenant} {cloud:?} app-only");
                assert_eq!(app.check_admin_consent().is_ok(), admin, "{tenant} {cloud:?} admin");
            }
        }
        let said = app(Cloud::Global, "common").check_app_only().unwrap_err().to_string();
        assert!(said.contains("common") && said.contains("directory (tenant) ID"), "{said}");
    }

    #[test]
    fn a_secret_of_another_place_is_checked() {
        let check =
            |source: SecretSource| App { secret_from: Some(source), ..app(Cloud::Global, GUID) }.check().is_ok();
        assert!(check(SecretSource::Arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:x".into())));
        assert!(!check(SecretSource::Arn("arn:aws:s3:::bucket".into())));
        assert!(check(SecretSource::Environment("MAIL_SECRET".into())));
        assert!(check(SecretSource::Lambda("arn:aws:lambda:eu-west-1:111122223333:function:secrets".into())));
        assert!(!check(SecretSource::Lambda("secrets".into())));
        assert!(!check(SecretSource::Lambda("arn:aws:kms:eu-west-1:111122223333:key/x".into())));
        assert!(!check(SecretSource::Environment("MAIL SECRET".into())));
        // A client id may be given out beside the secret, and by nothing else; until it is asked for there is none.
        let given = |source: Option<SecretSource>, client_id: &str| {
            let app = app(Cloud::Global, GUID);
            App { secret_from: source, client_id: client_id.into(), client_id_given: true, ..app }
        };
        let variable = || Some(SecretSource::Environment("X".into()));
        assert!(given(variable(), "").check().is_ok() && given(variable(), GUID).check().is_ok());
        assert!(given(variable(), "a-secret").check().is_err() && given(None, GUID).check().is_err());
        assert!(App { client_id: String::new(), ..app(Cloud::Global, GUID) }.check().is_err());
        assert_eq!(given(variable(), "").with_given(GUID).unwrap().client_id, GUID);
        assert!(["", "a-secret"].iter().all(|text| given(variable(), "").with_given(text).is_none()));
        let federated = App { credential: Credential::Federated, ..app(Cloud::Global, GUID) };
        assert!(federated.check().is_ok());
        assert!(App { secret_from: Some(SecretSource::Environment("X".into())), ..federated }.check().is_err());
    }

    /// What an older version wrote is still read.
    #[test]
    fn credentials_keep_their_words() {
        let text = |credential: &Credential| serde_json::to_string(credential).unwrap();
        assert_eq!(text(&Credential::ClientSecret), "\"client-secret\"");
        assert_eq!(text(&Credential::Federated), "\"federated\"");
        let old = format!(
            r#"{{"id":"a","cloud":"global","tenant":"{GUID}","client_id":"{GUID}","redirect_uri":"x","credential":"client-secret"}}"#
        );
        assert_eq!(serde_json::from_str::<App>(&old).unwrap().provider, None);
    }
}
