//! Scopes: which resource they belong to, and whether it has them. A scope without a resource belongs to Microsoft
//! Graph ("Scopes and permissions in the Microsoft identity platform").

use super::fault::Fault;

/// A resource that access tokens can be for.
pub(crate) struct Resource {
    pub id: &'static str,
    pub uris: &'static [&'static str],
    pub scopes: &'static [&'static str],
    pub roles: &'static [&'static str],
}

const GRAPH: Resource = Resource {
    id: "00000003-0000-0000-c000-000000000000",
    uris: &[
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
    ],
    scopes: &[
        "IMAP.AccessAsUser.All",
        "Mail.Read",
        "Mail.Read.Shared",
        "Mail.ReadBasic",
        "Mail.ReadWrite",
        "Mail.ReadWrite.Shared",
        "Mail.Send",
        "Mail.Send.Shared",
        "POP.AccessAsUser.All",
        "SMTP.Send",
        "User.Read",
    ],
    roles: &["Mail.Read", "Mail.ReadBasic.All", "Mail.ReadWrite", "Mail.Send"],
};

const EXCHANGE: Resource = Resource {
    id: "00000002-0000-0ff1-ce00-000000000000",
    uris: &[
        "https://outlook.office.com",
        "https://outlook.office365.com",
        "https://outlook.office365.us",
        "https://outlook-dod.office365.us",
        "https://partner.outlook.cn",
        "https://ps.outlook.com",
    ],
    scopes: &[
        "EWS.AccessAsUser.All",
        "IMAP.AccessAsUser.All",
        "Mail.Read",
        "Mail.ReadWrite",
        "Mail.Send",
        "POP.AccessAsUser.All",
        "SMTP.Send",
        "User.Read",
    ],
    roles: &["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp", "full_access_as_app"],
};

/// A `scope` parameter, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub openid: bool,
    pub profile: bool,
    pub email: bool,
    pub offline: bool,
    /// Resource permissions as (audience, name) in the order asked; the name `.default` is kept as it is.
    pub permissions: Vec<(String, String)>,
    /// The parameter as it was sent.
    pub text: String,
}

impl Asked {
    /// The audiences asked for, each once.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        let mut audiences: Vec<&str> = self.permissions.iter().map(|(audience, _)| audience.as_str()).collect();
        audiences.sort_unstable();
        audiences.dedup();
        audiences
    }
}

/// The resource an audience belongs to.
pub(crate) fn resource(audience: &str) -> Option<&'static Resource> {
    [&GRAPH, &EXCHANGE].into_iter().find(|resource| resource.uris.contains(&audience))
}

/// Whether an audience is Graph's.
pub(crate) fn is_graph(audience: &str) -> bool {
    GRAPH.uris.contains(&audience) || audience == GRAPH.id
}

/// Whether an audience is Exchange's.
pub(crate) fn is_exchange(audience: &str) -> bool {
    EXCHANGE.uris.contains(&audience)
}

/// Reads a `scope` parameter. Faults: 70011 for what is no scope, 500011 for an unknown resource, 650053 for a scope
/// that its resource does not have.
pub(crate) fn read(text: &str, app: &str, tenant: &str) -> Result<Asked, Fault> {
    let mut asked = Asked { text: text.to_owned(), ..Asked::default() };
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "openid" => asked.openid = true,
            "profile" => asked.profile = true,
            "email" => asked.email = true,
            "offline_access" => asked.offline = true,
            _ => asked.permissions.push(permission(word, text, app, tenant)?),
        }
    }
    if text.trim().is_empty() {
        return Err(invalid(text));
    }
    Ok(asked)
}

fn permission(word: &str, text: &str, app: &str, tenant: &str) -> Result<(String, String), Fault> {
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ',' | '<' | '>');
    if !word.chars().all(legal) {
        return Err(invalid(text));
    }
    let (audience, name) = match word.rsplit_once('/') {
        Some((audience, name)) if word.contains("://") => (audience.trim_end_matches('/').to_ascii_lowercase(), name),
        Some(_) => return Err(invalid(text)),
        None => (GRAPH.uris[0].to_owned(), word),
    };
    let Some(resource) = resource(&audience) else {
        return Err(Fault::new(
            "invalid_resource",
            500011,
            format!(
                "The resource principal named {audience} was not found in the tenant named {tenant}. This can happen \
                 if the application has not been installed by the administrator of the tenant or consented to by any \
                 user in the tenant. You might have sent your authentication request to the wrong tenant."
            ),
        ));
    };
    if name == ".default" {
        return Ok((audience, name.to_owned()));
    }
    match resource.scopes.iter().find(|scope| scope.eq_ignore_ascii_case(name)) {
        Some(scope) => Ok((audience, (*scope).to_owned())),
        // Seen in the field with `invalid_client`, and a status that is not 401 because it travels in a redirect.
        None => Err(Fault::new(
            "invalid_client",
            650053,
            format!(
                "The application '{app}' asked for scope '{name}' that doesn't exist on the resource '{}'. Contact \
                 the app vendor.",
                resource.id
            ),
        )
        .status(http::StatusCode::BAD_REQUEST)),
    }
}

/// 70011, with the words Entra uses.
pub(crate) fn invalid(text: &str) -> Fault {
    Fault::new(
        "invalid_scope",
        70011,
        format!(
            "The provided request must include a 'scope' input parameter. The provided value for the input parameter \
             'scope' is not valid. The scope {text} is not valid."
        ),
    )
}

/// 28000: one access token is for one resource.
pub(crate) fn several(text: &str) -> Fault {
    Fault::new(
        "invalid_request",
        28000,
        format!(
            "Provided value for the input parameter scope is not valid because it contains more than one resource. \
             Scope {text} is not valid."
        ),
    )
}
