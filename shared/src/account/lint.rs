//! What is wrong with a registration before Entra says it: our own app item, the registration's manifest, scopes and
//! secrets that somebody is about to use. Each finding names the refusal it would end in.

mod manifest;

use manifest::ENTRIES;
pub use manifest::{MANIFEST_BYTES, Manifest, Platform};

use super::{Account, App, Cloud, Protocol, Tenant};
use crate::oauth::entra;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It works, and should not be so.
    Warning,
    /// It cannot work.
    Error,
}

/// Something wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name in JSON.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what it ends in.
    pub said: String,
    /// What to do.
    pub step: String,
}

fn error(id: &'static str, said: impl Into<String>, step: impl Into<String>) -> Finding {
    Finding { id, severity: Severity::Error, said: said.into(), step: step.into() }
}

fn warning(id: &'static str, said: impl Into<String>, step: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, ..error(id, said, step) }
}

/// "Office 365 Exchange Online".
pub const EXCHANGE: &str = "00000002-0000-0ff1-ce00-000000000000";
/// "Microsoft Graph".
pub const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
/// `IMAP.AccessAsUser.All` of Microsoft Graph: a person's permission.
pub const IMAP_AS_USER: &str = "652390e4-393a-48de-9484-05f9b1212954";
/// `IMAP.AccessAsApp` of Office 365 Exchange Online: the app's own permission.
pub const IMAP_AS_APP: &str = "5e5addcd-3e8d-4e90-baf5-964efab2b20a";
/// `POP.AccessAsUser.All` of Microsoft Graph.
pub const POP_AS_USER: &str = "d7b7f2d9-0f45-4ea1-9d42-e50810c06991";
/// `POP.AccessAsApp` of Office 365 Exchange Online.
pub const POP_AS_APP: &str = "cb842b43-da6e-4506-86fe-bb12199c656d";
/// `Mail.ReadWrite` of Microsoft Graph: a person's permission.
pub const GRAPH_AS_USER: &str = "024d486e-b451-40bb-833d-3e66d98c5c73";
/// `Mail.ReadWrite.Shared` of Microsoft Graph: the same for mailboxes that are shared with the person.
pub const GRAPH_AS_USER_SHARED: &str = "5df07973-7d5d-46ed-9847-1271055cbd51";
/// `Mail.ReadWrite` of Microsoft Graph: the app's own permission.
pub const GRAPH_AS_APP: &str = "e2a3a72e-5f79-4c64-b1b1-878b674786c9";
/// `EWS.AccessAsUser.All` of Office 365 Exchange Online; EWS is blocked since October 2026.
const EWS_AS_USER: &str = "3b5f3d61-589b-4a3c-a359-5dd4b5ee5bd5";
/// `full_access_as_app` of Office 365 Exchange Online: EWS, every mailbox.
const FULL_ACCESS_AS_APP: &str = "dc890d15-9560-4a4c-9b7f-a736ec74ec40";

/// Credentials that end so soon are warned of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// All that is wrong with our app item, with the registration, and between the two.
pub fn lint(app: Option<&App>, manifest: Option<&Manifest>, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(app) = app {
        lint_app(app, &mut found);
    }
    if let Some(manifest) = manifest {
        lint_redirects(manifest, &mut found);
        lint_implicit(manifest, &mut found);
        lint_permissions(manifest, &mut found);
        lint_credentials(manifest, now, &mut found);
    }
    if let (Some(app), Some(manifest)) = (app, manifest) {
        lint_identity(app, manifest, &mut found);
        lint_audience(app, manifest, &mut found);
        lint_our_redirect(app, manifest, &mut found);
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn lint_app(app: &App, found: &mut Vec<Finding>) {
    // One table of checks: what `app add` refuses is what is found here in an item written by hand.
    if let Err(invalid) = app.check() {
        found.push(error("app-settings", invalid.0, "Remove the app and add it again with the right values."));
    }
    if app.tenant == Tenant::Common {
        found.push(warning(
            "tenant-common",
            "The tenant is common: any work or personal account may sign in, and a registration for one organisation \
             refuses it (AADSTS50194).",
            "Give the directory (tenant) ID of the mailbox's organisation.",
        ));
    }
}

fn lint_redirects(manifest: &Manifest, found: &mut Vec<Finding>) {
    for (platform, uri) in &manifest.redirects {
        if uri.ends_with("/oauth2/nativeclient") && *platform != Platform::Native {
            found.push(error(
                "nativeclient-as-web",
                format!(
                    "{uri} belongs to the platform \"Mobile and desktop\": under Web the code lands on a page that nobody owns."
                ),
                "Remove it; register this deployment's own /oauth/callback under Web.",
            ));
        }
        let (http, local) = (
            uri.starts_with("http://"),
            ["//localhost", "//127.0.0.1", "//[::1]"].iter().any(|host| uri.contains(host)),
        );
        if http && !local {
            found.push(error(
                "http-callback",
                format!("{uri} is http: the code would travel in clear, and Entra accepts http for localhost alone."),
                "Register the https address.",
            ));
        }
        if uri.contains('*') {
            found.push(warning(
                "wildcard-redirect",
                format!("{uri} holds a wildcard: whoever owns any name below it receives codes (RFC 9700 §4.1.3)."),
                "Register whole URIs.",
            ));
        }
    }
}

fn lint_implicit(manifest: &Manifest, found: &mut Vec<Finding>) {
    for (ticked, what) in [(manifest.implicit_access, "Access tokens"), (manifest.implicit_id, "ID tokens")] {
        if ticked {
            found.push(warning(
                "implicit-grant",
                format!(
                    "\"{what}\" is ticked under Authentication: the implicit grant hands tokens to the browser's address line \
                     (RFC 9700 §2.1.2), and the code flow does not need it."
                ),
                format!("Untick \"{what}\"."),
            ));
        }
    }
}

fn lint_permissions(manifest: &Manifest, found: &mut Vec<Finding>) {
    let has =
        |resource: &str, id: &str| manifest.permissions.iter().any(|(of, which, _)| of == resource && which == id);
    if has(EXCHANGE, FULL_ACCESS_AS_APP) {
        found.push(error(
            "full-access-as-app",
            "full_access_as_app reads every mailbox of the organisation, over EWS, which Exchange Online blocks since \
             October 2026.",
            "Remove it; add IMAP.AccessAsApp, which opens only the mailboxes that an administrator grants (`rebond kit`).",
        ));
    }
    if has(EXCHANGE, EWS_AS_USER) {
        found.push(error(
            "ews-permission",
            "EWS.AccessAsUser.All is for EWS, which Exchange Online blocks since October 2026.",
            "Remove it; add IMAP.AccessAsUser.All.",
        ));
    }
    // Permissions of Exchange Online that are not known here may be those of IMAP under the resource's own ids.
    let ews = [EWS_AS_USER, FULL_ACCESS_AS_APP];
    let may_be = |(of, id, _): &(String, String, bool)| of == EXCHANGE && !ews.contains(&id.as_str());
    let of_graph = [IMAP_AS_USER, POP_AS_USER, GRAPH_AS_USER, GRAPH_AS_APP].iter().any(|id| has(GRAPH, id));
    if !of_graph && !manifest.permissions.iter().any(may_be) {
        found.push(error(
            "imap-permission-missing",
            "Neither IMAP.AccessAsUser.All (a person signs in) nor IMAP.AccessAsApp (the app itself) is among the \
             permissions (AADSTS65005, AADSTS650057).",
            format!("Add {IMAP_AS_USER} of Microsoft Graph, or {IMAP_AS_APP} of Office 365 Exchange Online."),
        ));
    }
}

fn lint_credentials(manifest: &Manifest, now: Timestamp, found: &mut Vec<Finding>) {
    let Some(last) = manifest.credentials.iter().map(|end| end.unwrap_or(Timestamp::MAX)).max() else {
        found.push(warning(
            "no-credential",
            "The registration has neither a client secret nor a certificate (AADSTS7000218), unless it has a federated \
             credential, which the manifest does not show.",
            "Certificates & secrets: add a federated credential, a certificate, or a client secret.",
        ));
        return;
    };
    let date = last.strftime("%Y-%m-%d");
    if last <= now {
        found.push(error(
            "credential-ended",
            format!("The last of its secrets and certificates ended on {date} (AADSTS7000222)."),
            "Make a new one, then `rebond app secret`.",
        ));
    } else if last.duration_since(now) <= SOON {
        found.push(warning(
            "credential-ends-soon",
            format!("The last of its secrets and certificates ends on {date}."),
            "Make a new one before, then `rebond app secret`.",
        ));
    }
}

fn lint_identity(app: &App, manifest: &Manifest, found: &mut Vec<Finding>) {
    // One that is given out, and was not asked for yet.
    if app.client_id.is_empty() {
        return;
    }
    let same = |id: &str| !id.is_empty() && id.eq_ignore_ascii_case(&app.client_id);
    if same(&manifest.object_id) && !same(&manifest.client_id) {
        found.push(error(
            "object-id-as-client-id",
            "The client ID we hold is the registration's Object ID (AADSTS700016).",
            format!("Add the app with \"Application (client) ID\" {}.", manifest.client_id),
        ));
    } else if !same(&manifest.client_id) {
        found.push(error(
            "other-registration",
            format!("The manifest is that of another app ({}), not of {}.", manifest.client_id, app.client_id),
            "Compare the Application (client) ID with the registration's Overview.",
        ));
    }
}

fn lint_audience(app: &App, manifest: &Manifest, found: &mut Vec<Finding>) {
    let wide = matches!(app.tenant, Tenant::Common | Tenant::Organizations);
    let (id, said) = match (manifest.audience.as_str(), &app.tenant) {
        ("AzureADMyOrg", _) if wide => ("single-tenant", "the registration is for one organisation (AADSTS50194)"),
        ("AzureADMyOrg" | "AzureADMultipleOrgs", Tenant::Consumers) => {
            ("work-accounts-only", "the registration takes no personal accounts (AADSTS9002332)")
        }
        ("PersonalMicrosoftAccount", tenant) if *tenant != Tenant::Consumers => {
            ("personal-accounts-only", "the registration takes personal accounts only (AADSTS9002331)")
        }
        _ => return,
    };
    found.push(error(
        id,
        format!("Our tenant is {}, and {said}.", app.tenant),
        "Give the directory (tenant) ID as tenant, or change \"Supported account types\".",
    ));
}

fn lint_our_redirect(app: &App, manifest: &Manifest, found: &mut Vec<Finding>) {
    let ours = &app.redirect_uri;
    match manifest.redirects.iter().find(|(_, uri)| uri == ours) {
        Some((Platform::Web, _)) => {}
        Some((Platform::Spa, _)) => found.push(error(
            "redirect-as-spa",
            format!("{ours} is registered as single-page application: its grants live 24 hours (AADSTS700084)."),
            "Move it to the platform Web.",
        )),
        Some((Platform::Native, _)) => found.push(error(
            "redirect-as-native",
            format!(
                "{ours} is registered under \"Mobile and desktop\": a client with a secret is refused (AADSTS700025)."
            ),
            "Move it to the platform Web.",
        )),
        None => {
            let loose = |uri: &str| uri.trim_end_matches('/').to_ascii_lowercase();
            let near = manifest.redirects.iter().find(|(_, uri)| loose(uri) == loose(ours));
            let near = near.map(|(_, uri)| format!(" The nearest is {uri}: the comparison is byte by byte."));
            found.push(error(
                "redirect-missing",
                format!("Our redirect URI is not registered (AADSTS50011).{}", near.unwrap_or_default()),
                format!("Under Authentication, platform Web, add exactly {ours}."),
            ));
        }
    }
}

/// What is wrong between an account and its app.
pub fn lint_account(account: &Account, app: &App) -> Vec<Finding> {
    let mut found = Vec::new();
    let clouds = [Cloud::Global, Cloud::GccHigh, Cloud::Dod, Cloud::China];
    let host = |cloud| match account.protocol {
        Protocol::Graph => entra::hosts(cloud).graph,
        Protocol::Imap | Protocol::Pop3 => entra::hosts(cloud).mail,
    };
    let of_server = clouds.into_iter().find(|cloud| host(*cloud) == account.server.host);
    if of_server.is_some_and(|cloud| host(cloud) != host(app.cloud)) {
        found.push(error(
            "other-cloud",
            format!(
                "{} is the mail server of another cloud than the one app {} is registered in.",
                account.server.host, app.id
            ),
            format!("Leave --server out, or give {}.", host(app.cloud)),
        ));
    }
    let domain = account.mailbox.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()).unwrap_or_default();
    let personal = ["outlook.com", "hotmail.com", "live.com", "msn.com"].contains(&domain.as_str());
    if personal && matches!(app.tenant, Tenant::Id(_) | Tenant::Domain(_) | Tenant::Organizations) {
        found.push(error(
            "personal-mailbox",
            format!(
                "{} is a personal mailbox, and app {} takes accounts of {} (AADSTS50020).",
                account.mailbox, app.id, app.tenant
            ),
            "Use an app whose tenant is consumers or common.",
        ));
    }
    found
}

/// What is wrong with a list of scopes, separated by white space.
pub fn lint_scopes(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let scopes: Vec<&str> = text.split_whitespace().take(ENTRIES).collect();
    let name = |scope: &str| scope.rsplit('/').next().unwrap_or_default().to_owned();
    let wrong = ["IMAP.AccessUser.All", "POP.AccessUser.All", "IMAP.AccessAsUser", "SMTP.AccessAsUser.All"];
    for scope in &scopes {
        if let Some(wrong) = wrong.iter().find(|wrong| name(scope).eq_ignore_ascii_case(wrong)) {
            let right = match *wrong {
                "POP.AccessUser.All" => "POP.AccessAsUser.All",
                "SMTP.AccessAsUser.All" => "SMTP.Send",
                _ => "IMAP.AccessAsUser.All",
            };
            found.push(error(
                "scope-misspelt",
                format!("{scope} does not exist (AADSTS650053)."),
                format!("Ask for {right}."),
            ));
        }
        if name(scope).eq_ignore_ascii_case("full_access_as_app") || name(scope).starts_with("EWS.") {
            found.push(error(
                "ews-permission",
                format!("{scope} is for EWS, which Exchange Online blocks since October 2026."),
                "Ask for IMAP.AccessAsUser.All, or /.default of an app with IMAP.AccessAsApp.",
            ));
        }
    }
    let openid = ["openid", "profile", "email", "offline_access"];
    let resource = |scope: &&&str| match scope.strip_prefix("https://").and_then(|rest| rest.split('/').next()) {
        Some(host) if host.contains("outlook") || host.contains("office365") => Some("Outlook"),
        Some(host) if host.contains("graph") => Some("Graph"),
        Some(_) => Some("another resource"),
        // Bare names belong to Graph.
        None => (!openid.contains(*scope)).then_some("Graph"),
    };
    let mut resources: Vec<&str> = scopes.iter().filter_map(|scope| resource(&scope)).collect();
    resources.sort_unstable();
    resources.dedup();
    if resources.len() > 1 {
        found.push(error(
            "several-resources",
            format!(
                "One token is for one resource, and these scopes belong to {} (AADSTS28000).",
                resources.join(" and ")
            ),
            "Ask for the scopes of one resource; the refresh token can be used for the other afterwards.",
        ));
    } else if resources == ["Graph"]
        && scopes.iter().any(|scope| !scope.contains('/') && name(scope).contains(".AccessAsUser"))
    {
        found.push(error(
            "bare-scope",
            "Scopes without a resource belong to Graph: the token would be refused by the mail server.",
            "Write them whole: https://outlook.office.com/IMAP.AccessAsUser.All",
        ));
    }
    found
}

#[cfg(test)]
mod tests;
