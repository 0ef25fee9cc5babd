//! Entra ID v2.0 and its clouds as data.
//!
//! Hosts: Microsoft, "National clouds" (authentication) and "Authenticate an IMAP, POP or SMTP connection using
//! OAuth". The scope of a person's token is named after the host the mail protocols of that cloud live on.

use crate::account::{App, Cloud, Protocol, Tenant};

/// What differs between clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudHosts {
    /// Where people sign in and tokens are had.
    pub login: &'static str,
    /// Where an administrator registers the app.
    pub portal: &'static str,
    /// IMAP and POP3.
    pub mail: &'static str,
    /// The resource that a person's mail scopes belong to.
    pub scope: &'static str,
}

/// The hosts of a cloud.
pub const fn hosts(cloud: Cloud) -> CloudHosts {
    match cloud {
        Cloud::Global => CloudHosts {
            login: "https://login.microsoftonline.com",
            portal: "https://entra.microsoft.com",
            mail: "outlook.office365.com",
            scope: "https://outlook.office.com",
        },
        Cloud::GccHigh => CloudHosts {
            login: "https://login.microsoftonline.us",
            portal: "https://portal.azure.us",
            mail: "outlook.office365.us",
            scope: "https://outlook.office365.us",
        },
        Cloud::Dod => CloudHosts {
            login: "https://login.microsoftonline.us",
            portal: "https://portal.azure.us",
            mail: "outlook-dod.office365.us",
            scope: "https://outlook-dod.office365.us",
        },
        Cloud::China => CloudHosts {
            login: "https://login.partner.microsoftonline.cn",
            portal: "https://portal.azure.cn",
            mail: "partner.outlook.cn",
            scope: "https://partner.outlook.cn",
        },
    }
}

/// Where `path` (as `oauth2/v2.0/token`) of an app's tenant is.
pub fn url(app: &App, path: &str) -> String {
    let authority = app.authority.as_deref().unwrap_or(hosts(app.cloud).login).trim_end_matches('/');
    format!("{authority}/{}/{path}", app.tenant)
}

/// The scopes asked of a person: who they are, a refresh token, and the protocol's own permission.
/// One access token has one resource, so nothing of Graph is among them (AADSTS28000).
pub fn scopes(cloud: Cloud, protocol: Protocol) -> Vec<String> {
    let permission = match protocol {
        Protocol::Imap => "IMAP.AccessAsUser.All",
    };
    let mut scopes: Vec<String> = ["offline_access", "openid", "profile", "email"].map(str::to_owned).into();
    scopes.push(format!("{}/{permission}", hosts(cloud).scope));
    scopes
}

/// The tenant that personal accounts live in.
pub const CONSUMERS_TENANT: uuid::Uuid = uuid::Uuid::from_u128(0x9188040d_6c67_4c5b_b112_36a304b66dad);

/// Whether somebody of directory `tid` is whom the app was registered for. `domain` cannot be compared with a
/// GUID without asking; there the token endpoint of that very domain vouches for it.
pub fn admits(tenant: &Tenant, tid: uuid::Uuid) -> bool {
    match tenant {
        Tenant::Id(id) => *id == tid,
        Tenant::Domain(_) | Tenant::Common => true,
        Tenant::Organizations => tid != CONSUMERS_TENANT,
        Tenant::Consumers => tid == CONSUMERS_TENANT,
    }
}
