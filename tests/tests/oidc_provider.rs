//! Our requests against an authorization server that nobody here wrote.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rebond_tests::oidc_provider::{CLIENT_ID, CLIENT_SECRET, OidcProvider};
use serde_json::Value;

#[tokio::test]
async fn it_starts_and_says_what_it_supports() {
    let provider = OidcProvider::start("http://localhost:9/oauth/callback").unwrap();
    let mut browser = rebond_standin::person::Browser::new().unwrap();
    let url = format!("{}/.well-known/openid-configuration", provider.issuer());
    let (status, body) = browser.get(&url).await.unwrap();
    assert_eq!(status, 200, "{body}\n{}", provider.output());
    let discovery: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(discovery["issuer"], provider.issuer());
    assert_eq!(discovery["token_endpoint"], format!("{}/common/oauth2/v2.0/token", provider.issuer()));
    assert!(discovery["code_challenge_methods_supported"].to_string().contains("S256"));
    let _ = (CLIENT_ID, CLIENT_SECRET);
}
