#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::{Value, json};

const CLIENT: &str = "33333333-3333-4333-8333-333333333333";
const OBJECT: &str = "44444444-4444-4444-8444-444444444444";
const URI: &str = "https://mail.example.com/oauth/callback";

fn app(tenant: &str) -> App {
    serde_json::from_value(json!({
        "id": "m365", "cloud": "global", "tenant": tenant, "client_id": CLIENT, "redirect_uri": URI,
        "credential": "client-secret",
    }))
    .unwrap()
}

/// As `az ad app show` prints a registration that nothing is wrong with.
fn registration() -> Value {
    json!({
        "appId": CLIENT, "id": OBJECT, "signInAudience": "AzureADMyOrg",
        "web": { "redirectUris": [URI],
            "implicitGrantSettings": { "enableAccessTokenIssuance": false, "enableIdTokenIssuance": false } },
        "spa": { "redirectUris": [] }, "publicClient": { "redirectUris": [] },
        "requiredResourceAccess": [{ "resourceAppId": GRAPH,
            "resourceAccess": [{ "id": IMAP_AS_USER, "type": "Scope" }] }],
        "passwordCredentials": [{ "keyId": OBJECT, "endDateTime": "2028-01-01T00:00:00Z" }], "keyCredentials": [],
    })
}

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// Ids of what is found after a change of the registration.
fn check(tenant: &str, changes: &[(&str, Value)], expected: &[&str]) {
    let mut json = registration();
    for (path, value) in changes {
        let (parent, name) = path.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    let manifest = Manifest::read(&json.to_string()).unwrap();
    let mut ids: Vec<&str> = lint(Some(&app(tenant)), Some(&manifest), now()).iter().map(|f| f.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, expected, "{tenant} {changes:?}");
}

#[test]
fn a_registration_by_what_is_wrong_with_it() {
    let tenant = "11111111-1111-4111-8111-111111111111";
    let native = "https://login.microsoftonline.com/common/oauth2/nativeclient";
    check(tenant, &[], &[]);
    check("common", &[], &["single-tenant", "tenant-common"]);
    check("organizations", &[], &["single-tenant"]);
    check("consumers", &[], &["work-accounts-only"]);
    check("consumers", &[("/signInAudience", "AzureADMultipleOrgs".into())], &["work-accounts-only"]);
    check(tenant, &[("/signInAudience", "PersonalMicrosoftAccount".into())], &["personal-accounts-only"]);
    check(tenant, &[("/appId", OBJECT.into())], &["other-registration"]);
    check(tenant, &[("/appId", OBJECT.into()), ("/id", CLIENT.into())], &["object-id-as-client-id"]);
    check(tenant, &[("/web/redirectUris", json!([]))], &["redirect-missing"]);
    check(tenant, &[("/web/redirectUris", json!([format!("{URI}/")]))], &["redirect-missing"]);
    check(tenant, &[("/web/redirectUris", json!([URI, native]))], &["nativeclient-as-web"]);
    check(tenant, &[("/publicClient/redirectUris", json!([native]))], &[]);
    check(tenant, &[("/web/redirectUris", json!([URI, "http://mail.example.com/x"]))], &["http-callback"]);
    check(tenant, &[("/web/redirectUris", json!([URI, "http://localhost:8484/oauth/callback"]))], &[]);
    check(tenant, &[("/web/redirectUris", json!([URI, "https://*.example.com/x"]))], &["wildcard-redirect"]);
    check(tenant, &[("/web/redirectUris", json!([])), ("/spa/redirectUris", json!([URI]))], &["redirect-as-spa"]);
    check(
        tenant,
        &[("/web/redirectUris", json!([])), ("/publicClient/redirectUris", json!([URI]))],
        &["redirect-as-native"],
    );
    check(
        tenant,
        &[("/web/implicitGrantSettings", json!({ "enableAccessTokenIssuance": true, "enableIdTokenIssuance": true }))],
        &["implicit-grant", "implicit-grant"],
    );
    let exchange = |ids: &[&str]| {
        let access: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "type": "Role" })).collect();
        json!([{ "resourceAppId": EXCHANGE, "resourceAccess": access }])
    };
    let permissions = |value: Value| [("/requiredResourceAccess", value)];
    check(tenant, &permissions(json!([])), &["imap-permission-missing"]);
    check(tenant, &permissions(exchange(&[IMAP_AS_APP])), &[]);
    check(tenant, &permissions(exchange(&[IMAP_AS_APP, FULL_ACCESS_AS_APP])), &["full-access-as-app"]);
    check(
        tenant,
        &permissions(exchange(&[EWS_AS_USER, FULL_ACCESS_AS_APP])),
        &["ews-permission", "full-access-as-app", "imap-permission-missing"],
    );
    let secret = |end: &str| [("/passwordCredentials", json!([{ "endDateTime": end }]))];
    check(tenant, &secret("2026-11-19T00:00:00Z"), &["credential-ended"]);
    check(tenant, &secret("2026-12-01T00:00:00Z"), &["credential-ends-soon"]);
    check(tenant, &secret("2026-12-25T00:00:00Z"), &[]);
    check(tenant, &[("/passwordCredentials", json!([]))], &["no-credential"]);
}

#[test]
fn the_portals_older_form_says_the_same() {
    let old = json!({
        "appId": CLIENT, "id": OBJECT, "signInAudience": "AzureADMyOrg",
        "oauth2AllowImplicitFlow": true, "oauth2AllowIdTokenImplicitFlow": false,
        "replyUrlsWithType": [{ "url": URI, "type": "Spa" }],
        "requiredResourceAccess": [{ "resourceAppId": GRAPH,
            "resourceAccess": [{ "id": IMAP_AS_USER.to_uppercase(), "type": "Scope" }] }],
        "passwordCredentials": [{ "endDate": "2028-01-01T00:00:00Z" }],
    });
    let manifest = Manifest::read(&format!("\u{feff}{old}")).unwrap();
    let found = lint(Some(&app("example.com")), Some(&manifest), now());
    assert_eq!(found.iter().map(|f| f.id).collect::<Vec<_>>(), ["redirect-as-spa", "implicit-grant"]);
}

#[test]
fn what_is_no_manifest_is_said_so() {
    for text in ["", "[]", "x", "\"x\"", "null"] {
        assert!(Manifest::read(text).is_err(), "{text}");
    }
    assert!(Manifest::read(&" ".repeat(MANIFEST_BYTES + 1)).is_err());
    // An object with nothing of ours in it is a registration that lacks everything.
    let found = lint(None, Some(&Manifest::read("{}").unwrap()), now());
    assert_eq!(found.iter().map(|f| f.id).collect::<Vec<_>>(), ["imap-permission-missing", "no-credential"]);
}

#[test]
fn scopes_by_what_is_wrong_with_them() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(lint_scopes(text).iter().map(|f| f.id).collect::<Vec<_>>(), expected, "{text}");
    };
    check("https://outlook.office.com/IMAP.AccessAsUser.All offline_access openid profile email", &[]);
    check("https://outlook.office.com/IMAP.AccessUser.All offline_access", &["scope-misspelt"]);
    check(
        "https://outlook.office.com/IMAP.AccessAsUser.All https://graph.microsoft.com/Mail.Read",
        &["several-resources"],
    );
    check("https://outlook.office.com/IMAP.AccessAsUser.All User.Read", &["several-resources"]);
    check("IMAP.AccessAsUser.All offline_access", &["bare-scope"]);
    check("Mail.Read offline_access", &[]);
    check("https://outlook.office365.com/EWS.AccessAsUser.All", &["ews-permission"]);
    check("https://outlook.office365.com/full_access_as_app", &["ews-permission"]);
}

#[test]
fn an_account_beside_its_app() {
    let check = |mailbox: &str, host: &str, tenant: &str, expected: &[&str]| {
        let account: Account = serde_json::from_value(json!({
            "id": "bounces", "enabled": true, "protocol": "imap", "mailbox": mailbox,
            "server": { "host": host, "port": 993, "encryption": "tls" },
            "authentication": { "kind": "oauth-user", "app": "m365" }, "folders": ["INBOX"], "period_seconds": 300,
        }))
        .unwrap();
        let ids: Vec<&str> = lint_account(&account, &app(tenant)).iter().map(|f| f.id).collect();
        assert_eq!(ids, expected, "{mailbox} {host} {tenant}");
    };
    check("bounces@example.com", "outlook.office365.com", "example.com", &[]);
    check("bounces@example.com", "mail.example.com", "example.com", &[]);
    check("bounces@example.com", "outlook.office365.us", "example.com", &["other-cloud"]);
    check("bounces@outlook.com", "outlook.office365.com", "example.com", &["personal-mailbox"]);
    check("bounces@outlook.com", "outlook.office365.com", "consumers", &[]);
}
