//! The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636), by the crate `oauth2`.

use super::{Pending, Refusal, SigningKey, TokenResponse, entra};
use crate::account::{App, Invalid, Protocol};
use crate::secret::{ExposeSecret, Secret};
use oauth2::basic::{BasicErrorResponseType, BasicTokenType};
use oauth2::{
    AuthType, AuthUrl, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse, StandardRevocableToken,
    StandardTokenIntrospectionResponse, TokenUrl,
};

/// The provider's endpoints for one app, as `oauth2` wants them.
pub type Endpoint = Client<
    Refusal,
    TokenResponse,
    StandardTokenIntrospectionResponse<EmptyExtraTokenFields, BasicTokenType>,
    StandardRevocableToken,
    StandardErrorResponse<BasicErrorResponseType>,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The endpoints of an app. The secret goes into the request body: Entra takes it there in every flow.
pub fn endpoint(app: &App, secret: Option<&Secret>) -> Result<Endpoint, Invalid> {
    let wrong = |what: &str, error: url::ParseError| Invalid(format!("app {}: {what}: {error}", app.id));
    let client = Client::new(ClientId::new(app.client_id.clone()))
        .set_auth_type(AuthType::RequestBody)
        .set_auth_uri(AuthUrl::new(entra::url(app, "oauth2/v2.0/authorize")).map_err(|e| wrong("login host", e))?)
        .set_token_uri(TokenUrl::new(entra::url(app, "oauth2/v2.0/token")).map_err(|e| wrong("login host", e))?)
        .set_redirect_uri(RedirectUrl::new(app.redirect_uri.clone()).map_err(|e| wrong("redirect URI", e))?);
    Ok(match secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    })
}

/// Where the browser is sent: `response_type=code`, `response_mode=query`, S256, state, nonce, and the mailbox as
/// a hint of who should sign in. `select_account` lets a person who is signed in as themselves choose the other.
pub fn authorization_url(
    app: &App,
    protocol: Protocol,
    login_hint: &str,
    pending: &Pending,
    key: &SigningKey,
) -> Result<url::Url, Invalid> {
    let verifier = PkceCodeVerifier::new(pending.verifier(key).expose_secret().to_owned());
    let (url, _) = endpoint(app, None)?
        .authorize_url(|| CsrfToken::new(pending.state().to_owned()))
        .add_scopes(entra::scopes(app.cloud, protocol).into_iter().map(Scope::new))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_extra_param("response_mode", "query")
        .add_extra_param("nonce", pending.nonce(key))
        .add_extra_param("login_hint", login_hint)
        .add_extra_param("prompt", "select_account")
        .url();
    Ok(url)
}
