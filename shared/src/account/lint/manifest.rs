//! A registration as it is printed, read into what the linter looks at.

use crate::account::Invalid;
use jiff::Timestamp;
use serde_json::Value;

/// Bytes of a manifest: the portal's own bound is far lower.
pub const MANIFEST_BYTES: usize = 1 << 20;
/// Entries looked at in each list of a manifest.
pub(super) const ENTRIES: usize = 1_000;

/// A registration, as `az ad app show` and the portal's Manifest page print it, in either of the portal's two forms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// "Application (client) ID".
    pub client_id: String,
    /// The registration's own object ID, which is never asked for.
    pub object_id: String,
    /// `AzureADMyOrg`, `AzureADMultipleOrgs`, `AzureADandPersonalMicrosoftAccount`, `PersonalMicrosoftAccount`.
    pub audience: String,
    /// Redirect URIs with their platform.
    pub redirects: Vec<(Platform, String)>,
    /// "Access tokens (used for implicit flows)".
    pub implicit_access: bool,
    /// "ID tokens (used for implicit and hybrid flows)".
    pub implicit_id: bool,
    /// Resource, permission id, and whether it is an app's own (`Role`).
    pub permissions: Vec<(String, String, bool)>,
    /// Ends of client secrets and of certificates.
    pub credentials: Vec<Option<Timestamp>>,
}

/// Platform of a redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Web.
    Web,
    /// Single-page application.
    Spa,
    /// Mobile and desktop.
    Native,
}

impl Manifest {
    /// Reads a manifest. Errors: it is no JSON object, or too long.
    pub fn read(text: &str) -> Result<Self, Invalid> {
        let no = |why: &str| {
            Invalid(format!(
                "the manifest {why}: save what `az ad app show --id CLIENT-ID` prints, or the portal's Manifest page"
            ))
        };
        if text.len() > MANIFEST_BYTES {
            return Err(no("is longer than a megabyte"));
        }
        let json: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| no("is no JSON"))?;
        if !json.is_object() {
            return Err(no("is no JSON object"));
        }
        let text = |path: &str| json.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is = |path: &str| json.pointer(path).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            client_id: text("/appId"),
            object_id: [text("/id"), text("/objectId")].into_iter().find(|id| !id.is_empty()).unwrap_or_default(),
            audience: text("/signInAudience"),
            redirects: redirects(&json),
            implicit_access: is("/web/implicitGrantSettings/enableAccessTokenIssuance")
                || is("/oauth2AllowImplicitFlow"),
            implicit_id: is("/web/implicitGrantSettings/enableIdTokenIssuance")
                || is("/oauth2AllowIdTokenImplicitFlow"),
            permissions: permissions(&json),
            credentials: credentials(&json),
        })
    }
}

fn list<'a>(json: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    json.pointer(path).and_then(Value::as_array).into_iter().flatten().take(ENTRIES)
}

fn redirects(json: &Value) -> Vec<(Platform, String)> {
    let mut found = Vec::new();
    for (platform, path) in [
        (Platform::Web, "/web/redirectUris"),
        (Platform::Spa, "/spa/redirectUris"),
        (Platform::Native, "/publicClient/redirectUris"),
    ] {
        found.extend(list(json, path).filter_map(Value::as_str).map(|uri| (platform, uri.to_owned())));
    }
    for entry in list(json, "/replyUrlsWithType") {
        let platform = match entry["type"].as_str() {
            Some("Spa") => Platform::Spa,
            Some("InstalledClient") => Platform::Native,
            _ => Platform::Web,
        };
        found.extend(entry["url"].as_str().map(|uri| (platform, uri.to_owned())));
    }
    found
}

fn permissions(json: &Value) -> Vec<(String, String, bool)> {
    let lower = |value: &Value| value.as_str().unwrap_or_default().to_ascii_lowercase();
    let of_resource = |resource: &Value| {
        let id = lower(&resource["resourceAppId"]);
        let one = move |access: &Value| (id.clone(), lower(&access["id"]), access["type"].as_str() == Some("Role"));
        list(resource, "/resourceAccess").map(one).collect::<Vec<_>>()
    };
    list(json, "/requiredResourceAccess").flat_map(of_resource).take(ENTRIES).collect()
}

fn credentials(json: &Value) -> Vec<Option<Timestamp>> {
    let end = |entry: &Value| {
        let text = entry["endDateTime"].as_str().or_else(|| entry["endDate"].as_str())?;
        text.parse().ok()
    };
    list(json, "/passwordCredentials").chain(list(json, "/keyCredentials")).map(end).collect()
}
