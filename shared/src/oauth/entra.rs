//! Entra ID v2.0 and its clouds as data.
//!
//! Hosts: Microsoft, "National clouds" (authentication) and "Authenticate an IMAP, POP or SMTP connection using
//! OAuth". The scope of a person's token is named after the host the mail protocols of that cloud live on.

use crate::account::{App, Cloud, Protocol, Tenant};
use crate::secret::{ExposeSecret, Secret};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

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
    /// The resource that the app's own mail permissions belong to.
    pub app_scope: &'static str,
    /// Microsoft Graph: its host, and with https before it the resource of its permissions.
    pub graph: &'static str,
}

/// The hosts of a cloud.
pub const fn hosts(cloud: Cloud) -> CloudHosts {
    match cloud {
        Cloud::Global => CloudHosts {
            login: "https://login.microsoftonline.com",
            portal: "https://entra.microsoft.com",
            mail: "outlook.office365.com",
            scope: "https://outlook.office.com",
            app_scope: "https://outlook.office365.com",
            graph: "graph.microsoft.com",
        },
        Cloud::GccHigh => CloudHosts {
            login: "https://login.microsoftonline.us",
            portal: "https://portal.azure.us",
            mail: "outlook.office365.us",
            scope: "https://outlook.office365.us",
            app_scope: "https://outlook.office365.us",
            graph: "graph.microsoft.us",
        },
        Cloud::Dod => CloudHosts {
            login: "https://login.microsoftonline.us",
            portal: "https://portal.azure.us",
            mail: "outlook-dod.office365.us",
            scope: "https://outlook-dod.office365.us",
            app_scope: "https://outlook-dod.office365.us",
            graph: "dod-graph.microsoft.us",
        },
        Cloud::China => CloudHosts {
            login: "https://login.partner.microsoftonline.cn",
            portal: "https://portal.azure.cn",
            mail: "partner.outlook.cn",
            scope: "https://partner.outlook.cn",
            app_scope: "https://partner.outlook.cn",
            graph: "microsoftgraph.chinacloudapi.cn",
        },
    }
}

/// The login host of an app, without a slash at its end.
pub fn authority(app: &App) -> &str {
    app.authority.as_deref().unwrap_or(hosts(app.cloud).login).trim_end_matches('/')
}

/// Where `path` (as `oauth2/v2.0/token`) of an app's tenant is.
pub fn url(app: &App, path: &str) -> String {
    format!("{}/{}/{path}", authority(app), app.tenant)
}

/// The scopes asked of a person: who they are, a refresh token, and the protocol's own permission.
/// One access token has one resource, so Graph's and Outlook's are never asked for together (AADSTS28000).
pub fn scopes(cloud: Cloud, protocol: Protocol) -> Vec<String> {
    let permission = user_permission(protocol);
    let mut scopes: Vec<String> = ["offline_access", "openid", "profile", "email"].map(str::to_owned).into();
    match protocol {
        Protocol::Imap | Protocol::Pop3 => scopes.push(format!("{}/{permission}", hosts(cloud).scope)),
        // A shared mailbox is opened by a permission of its own, and who will sign in is not known yet.
        Protocol::Graph => scopes
            .extend([permission, "Mail.ReadWrite.Shared"].map(|name| format!("https://{}/{name}", hosts(cloud).graph))),
    }
    scopes
}

/// The scope that lets a person's token send mail.
pub fn smtp_scope(cloud: Cloud) -> String {
    format!("{}/{}", hosts(cloud).scope, SMTP_PERMISSIONS.0)
}

/// What sending needs, of a person's token and of an app's own (Microsoft, "Authenticate an IMAP, POP or SMTP connection
/// using OAuth").
pub(super) const SMTP_PERMISSIONS: (&str, &str) = ("SMTP.Send", "SMTP.SendAsApp");

/// The delegated permission that a protocol needs.
pub fn user_permission(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "IMAP.AccessAsUser.All",
        Protocol::Pop3 => "POP.AccessAsUser.All",
        Protocol::Graph => "Mail.ReadWrite",
    }
}

/// The scope of the app's own token: everything an administrator granted it at the resource
/// (Microsoft, "OAuth 2.0 client credentials flow").
pub fn app_scope(cloud: Cloud, protocol: Protocol) -> String {
    match protocol {
        Protocol::Imap | Protocol::Pop3 => format!("{}/.default", hosts(cloud).app_scope),
        Protocol::Graph => format!("https://{}/.default", hosts(cloud).graph),
    }
}

/// The application permission that a protocol needs.
pub fn app_role(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "IMAP.AccessAsApp",
        Protocol::Pop3 => "POP.AccessAsApp",
        Protocol::Graph => "Mail.ReadWrite",
    }
}

/// Whether an app's own token says that it lacks the permission for a protocol. Exchange alone decides: this only
/// explains a refusal, and a token that cannot be read says nothing.
pub fn lacks_role(token: &Secret, protocol: Protocol) -> bool {
    #[derive(serde::Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
    }
    let part = token.expose_secret().split('.').nth(1);
    let claims = part.and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Claims>(&claims).ok());
    let wanted = |role: &String| role == app_role(protocol) || (protocol == Protocol::Graph && role == "Mail.Read");
    claims.is_some_and(|claims| !claims.roles.iter().any(wanted))
}

/// The audience of a token that proves an app from outside ("Workload identity federation"; it is the default of a
/// federated credential in every cloud).
pub const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// Whether somebody of directory `tid` is whom the app was registered for. `domain` cannot be compared with a
/// GUID without asking; there the token endpoint of that very domain vouches for it.
pub fn admits(tenant: &Tenant, tid: uuid::Uuid) -> bool {
    match tenant {
        Tenant::Id(id) => *id == tid,
        Tenant::Domain(_) | Tenant::Common => true,
        Tenant::Organizations => tid != Tenant::CONSUMERS_ID,
        Tenant::Consumers => tid == Tenant::CONSUMERS_ID,
    }
}
