//! What the stand-in identity provider knows when it starts: tenants, app registrations, people and policies.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use jiff::Timestamp;

/// The directory of personal Microsoft accounts, which `/consumers` means.
pub const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Everything the stand-in knows. Lifetimes are in seconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen at: loopback, or that of a test's own network namespace.
    pub address: Ipv4Addr,
    /// Port; 0 lets the system choose.
    pub port: u16,
    /// The directories.
    pub tenants: Vec<Tenant>,
    /// The app registrations.
    pub apps: Vec<App>,
    /// The people who can sign in.
    pub users: Vec<User>,
    /// Lifetime of access tokens, drawn anew each time: Entra documents 60 to 90 minutes.
    pub access_seconds: RangeInclusive<u64>,
    /// Lifetime of an authorization code: Entra documents "about 10 minutes".
    pub code_seconds: u64,
    /// Idle lifetime of a refresh token: 90 days, except for single-page apps, where 24 hours are fixed.
    pub refresh_idle_seconds: u64,
    /// Each refresh token works once; a second use revokes its whole family (RFC 9700, section 2.2.2).
    /// Entra does not do this; other providers do, and it makes a lost race visible.
    pub strict_rotation: bool,
    /// Outside issuers and their RSA public keys (DER of RSAPublicKey), in place of fetching their key sets.
    pub issuers: BTreeMap<String, Vec<Vec<u8>>>,
    /// A client assertion whose `jti` was seen is refused. Entra documents no such refusal.
    pub refuse_replayed_assertions: bool,
    /// A line beneath the sign-in form, for a demo; empty for none.
    pub sign_in_hint: String,
    /// What introspection says in `email` for the tokens of a sign-in name (or of an app, by client id), where
    /// that is another mailbox: a delegate who opens a shared one. Without it: the sign-in name, or an app's first mailbox.
    pub introspect_as: BTreeMap<String, String>,
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Directory identifier, a GUID in lower case.
    pub id: String,
    /// Verified domains, in lower case.
    pub domains: Vec<String>,
    /// Who may consent to an app that reads mail.
    pub user_consent: UserConsent,
    /// Client ids that an administrator consented to for the whole directory, with all their scopes.
    pub admin_consented: Vec<String>,
    /// Client ids whose application permissions an administrator granted here.
    pub roles_granted: Vec<String>,
}

/// A directory's policy on consent by people who are no administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserConsent {
    /// Each person consents for themselves.
    Allowed,
    /// Only an administrator may: AADSTS90094.
    AdminRequired,
    /// Only an administrator may, and people can ask for it: AADSTS90095.
    AdminRequiredOnRequest,
}

/// An app registration.
#[derive(Clone, Debug)]
pub struct App {
    /// Application (client) identifier.
    pub client_id: String,
    /// Display name.
    pub name: String,
    /// The directory it was registered in.
    pub home: String,
    /// Which accounts it admits.
    pub audience: Audience,
    /// Client secrets.
    pub secrets: Vec<AppSecret>,
    /// Certificates, by their public keys.
    pub certificates: Vec<Certificate>,
    /// Federated credentials: outside issuers whose tokens prove who the app is.
    pub federated: Vec<Federated>,
    /// Redirect URIs, compared byte by byte.
    pub redirect_uris: Vec<RedirectUri>,
    /// Application permissions it declares, such as `IMAP.AccessAsApp`; effective where an administrator granted them
    /// ([`Tenant::roles_granted`]).
    pub roles: Vec<String>,
    /// Mailboxes that `Add-MailboxPermission` opened to its service principal.
    pub mailboxes: Vec<String>,
}

/// A certificate registered for an app.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// base64url of the SHA-256 of the certificate in DER: what an assertion's header says in `x5t#S256`.
    pub thumbprint: String,
    /// The RSA public key: DER of RSAPublicKey (RFC 8017, appendix A.1.1).
    pub public_key: Vec<u8>,
}

/// A federated credential: what an outside token must say. All three are compared with regard to case.
#[derive(Clone, Debug)]
pub struct Federated {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, by default `api://AzureADTokenExchange`.
    pub audience: String,
}

/// "Supported account types" of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `AzureADMyOrg`: this directory only.
    Single,
    /// `AzureADMultipleOrgs`: any directory.
    Multi,
    /// `AzureADandPersonalMicrosoftAccount`: any directory and personal accounts.
    MultiAndPersonal,
    /// `PersonalMicrosoftAccount`: personal accounts only.
    Personal,
}

/// A client secret, as the portal shows it: an identifier, and the value that is shown once.
#[derive(Clone)]
pub struct AppSecret {
    /// "Secret ID", a GUID; never what the token endpoint wants.
    pub id: String,
    /// "Value".
    pub value: String,
    /// End of validity.
    pub expires: Option<Timestamp>,
}

impl std::fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppSecret").field("id", &self.id).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A redirect URI and the platform it was registered under.
#[derive(Clone, Debug)]
pub struct RedirectUri {
    /// The URI, compared byte by byte.
    pub uri: String,
    /// Its platform.
    pub platform: Platform,
}

/// Platform of a redirect URI: it decides whether the client is confidential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Web: confidential, a secret or an assertion is required.
    Web,
    /// Single-page app: no secret, refresh tokens end after 24 hours.
    Spa,
    /// Mobile and desktop: public, a secret is refused.
    Native,
}

/// A person who can sign in.
#[derive(Clone)]
pub struct User {
    /// Sign-in name.
    pub upn: String,
    /// Password.
    pub password: String,
    /// Object identifier in the directory.
    pub oid: String,
    /// The directory.
    pub tid: String,
    /// May consent for the whole directory.
    pub admin: bool,
    /// Has an Exchange mailbox of the sign-in name.
    pub licensed: bool,
    /// Other mailboxes opened to this person.
    pub mailboxes: Vec<String>,
    /// Blocked from signing in, as shared mailboxes are.
    pub disabled: bool,
    /// Must approve a second factor after the password.
    pub mfa: bool,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("upn", &self.upn).field("oid", &self.oid).finish_non_exhaustive()
    }
}

impl Settings {
    /// The demo's world: one directory that lets people consent, one web app with the given redirect URI, and three
    /// people, one of whom (`bounces@example.org`) owns the mailbox that receives bounces.
    pub fn demo(redirect_uri: &str) -> Settings {
        let tid = "6f1d9a4e-2c37-4f8b-9d05-3b7e8a1c5d20";
        let user = |upn: &str, oid: &str| User {
            upn: upn.to_owned(),
            password: "correct horse".to_owned(),
            oid: oid.to_owned(),
            tid: tid.to_owned(),
            admin: false,
            licensed: true,
            mailboxes: Vec::new(),
            disabled: false,
            mfa: false,
        };
        let app = App {
            client_id: "0d3c1f52-7a64-4b1e-8c90-5e2f6a7b8c91".to_owned(),
            name: "Rebond".to_owned(),
            home: tid.to_owned(),
            audience: Audience::Multi,
            secrets: vec![AppSecret {
                id: "a9f3c6d1-58b2-4e7a-91c4-0f6d2b8e3a75".to_owned(),
                value: "St8~demo.secret-Value_0123456789abcdefXYZ".to_owned(),
                expires: None,
            }],
            certificates: Vec::new(),
            federated: Vec::new(),
            redirect_uris: vec![RedirectUri { uri: redirect_uri.to_owned(), platform: Platform::Web }],
            roles: vec!["IMAP.AccessAsApp".to_owned()],
            mailboxes: vec!["bounces@example.org".to_owned()],
        };
        Settings {
            address: Ipv4Addr::LOCALHOST,
            port: 0,
            tenants: vec![Tenant {
                id: tid.to_owned(),
                domains: vec!["example.org".to_owned()],
                user_consent: UserConsent::Allowed,
                admin_consented: Vec::new(),
                roles_granted: vec!["0d3c1f52-7a64-4b1e-8c90-5e2f6a7b8c91".to_owned()],
            }],
            apps: vec![app],
            users: vec![
                user("bounces@example.org", "11b2c3d4-0001-4a5b-8c6d-7e8f90a1b2c3"),
                user("alex@example.org", "11b2c3d4-0002-4a5b-8c6d-7e8f90a1b2c3"),
                User { admin: true, ..user("admin@example.org", "11b2c3d4-0003-4a5b-8c6d-7e8f90a1b2c3") },
            ],
            access_seconds: 3600..=5399,
            code_seconds: 600,
            refresh_idle_seconds: 90 * 86_400,
            strict_rotation: false,
            issuers: BTreeMap::new(),
            refuse_replayed_assertions: false,
            sign_in_hint: "For the demo: bounces@example.org, password “correct horse”.".to_owned(),
            introspect_as: BTreeMap::new(),
        }
    }
}
