//! Which app, which directory, which person: who may meet whom ("Supported account types", "User and admin consent").

use super::fault::Fault;
use super::scope::Asked;
use super::settings::{App, Audience, CONSUMERS, RedirectUri, User, UserConsent};
use super::state::State;

/// The app of a request, if its audience allows this tenant path.
pub(super) fn find_app(state: &State, tenant: &str, client_id: &str) -> Result<App, Fault> {
    let directory = match tenant {
        "common" | "organizations" | "consumers" | CONSUMERS => None,
        _ => Some(state.tenant(tenant).ok_or_else(|| unknown_tenant(tenant))?),
    };
    let elsewhere = || not_installed(client_id, tenant);
    let app = state.app(client_id).ok_or_else(elsewhere)?;
    let named = format!("'{}'({})", app.client_id, app.name);
    let personal = matches!(tenant, "consumers" | CONSUMERS);
    match (app.audience, directory) {
        (Audience::Single, Some(directory)) if directory.id != app.home => Err(elsewhere()),
        (Audience::Single | Audience::Multi, None) if personal => {
            let text = format!(
                "Application {named} is configured for use by Azure Active Directory users only. Please do not use the \
                 /consumers endpoint to serve this request."
            );
            Err(Fault::new("invalid_request", 9002332, text))
        }
        (Audience::Single, None) => {
            let text = format!(
                "Application {named} is not configured as a multi-tenant application. Usage of the /common endpoint is not \
                 supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the \
                 application to be multi-tenant."
            );
            Err(Fault::new("invalid_request", 50194, text))
        }
        (Audience::Personal, _) if !personal => {
            let text = format!(
                "Application {named} is configured for use by Microsoft Account users only. Please use the /consumers \
                 endpoint to serve this request."
            );
            Err(Fault::new("invalid_request", 9002331, text))
        }
        _ => Ok(app.clone()),
    }
}

/// 700016.
pub(super) fn not_installed(client_id: &str, tenant: &str) -> Fault {
    let text = format!(
        "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant. You may have sent your authentication request to the wrong tenant."
    );
    Fault::new("unauthorized_client", 700016, text)
}

/// 90002.
pub(super) fn unknown_tenant(tenant: &str) -> Fault {
    let text = format!(
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
         cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the \
         tenant."
    );
    Fault::new("invalid_request", 90002, text)
}

/// 65001.
pub(super) fn unconsented(app: &App) -> Fault {
    let text = format!(
        "The user or administrator has not consented to use the application with ID '{}' named '{}'. Send an interactive \
         authorization request for this user and resource.",
        app.client_id, app.name
    );
    Fault::new("invalid_grant", 65001, text).suberror("consent_required")
}

/// 50020: a person of another directory than the request's or the app's.
pub(super) fn admit(state: &State, tenant: &str, app: &App, user: &User) -> Result<(), Fault> {
    let personal = user.tid == CONSUMERS;
    let right = match tenant {
        "common" => true,
        "organizations" => !personal,
        "consumers" | CONSUMERS => personal,
        named => state.tenant(named).is_some_and(|tenant| tenant.id == user.tid),
    };
    let right = right && (!personal || matches!(app.audience, Audience::MultiAndPersonal | Audience::Personal));
    let provider = if personal { "live.com".to_owned() } else { format!("https://sts.windows.net/{}/", user.tid) };
    if right {
        return Ok(());
    }
    Err(Fault::new(
        "invalid_request",
        50020,
        format!(
            "User account '{}' from identity provider '{provider}' does not exist in tenant '{}' and cannot access the \
             application '{}'({}) in that tenant. The account needs to be added as an external user in the tenant first. \
             Sign out and sign in again with a different Azure Active Directory user account.",
            user.upn, tenant, app.client_id, app.name
        ),
    ))
}

/// What the directory's policy says when this person may not consent.
pub(super) fn withheld(state: &State, asked: &Asked, user: &User) -> Option<Fault> {
    if user.admin || asked.permissions.iter().all(|(_, name)| name == "User.Read") {
        return None;
    }
    match state.tenant(&user.tid).map(|tenant| tenant.user_consent) {
        Some(UserConsent::AdminRequired) => Some(Fault::new(
            "access_denied",
            90094,
            "Admin consent is required for the permissions requested by this application.",
        )),
        Some(UserConsent::AdminRequiredOnRequest) => Some(Fault::new(
            "access_denied",
            90095,
            "Admin consent is required. The user can send an admin consent request.",
        )),
        _ => None,
    }
}

/// The registered redirect URI that equals the given one byte by byte, or 50011.
pub(super) fn check_redirect<'a>(app: &'a App, given: &str) -> Result<&'a RedirectUri, Fault> {
    app.redirect_uris.iter().find(|known| known.uri == given).ok_or_else(|| {
        let text = format!(
            "The redirect URI '{given}' specified in the request does not match the redirect URIs configured for the \
             application '{}'. Make sure the redirect URI sent in the request matches one added to your application in \
             the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to fix this.",
            app.client_id
        );
        Fault::new("invalid_request", 50011, text)
    })
}
