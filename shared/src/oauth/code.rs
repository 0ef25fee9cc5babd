//! The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636), by the crate `oauth2`.

use super::{Pending, Refusal, SigningKey, TokenResponse, entra, provider};
use crate::account::{Account, App, Invalid, Protocol, Tenant};
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

/// The endpoints of an app. The secret goes into the request body: Entra takes it there in every flow. A provider that
/// takes it in the header alone gets it there (RFC 6749 §2.3.1).
pub fn endpoint(app: &App, secret: Option<&Secret>) -> Result<Endpoint, Invalid> {
    let wrong = |what: &str, error: url::ParseError| Invalid(format!("app {}: {what}: {error}", app.id));
    let client = Client::new(ClientId::new(app.client_id.clone()))
        .set_auth_type(match app.provider.as_ref().is_some_and(|provider| provider.basic) {
            true => AuthType::BasicAuth,
            false => AuthType::RequestBody,
        })
        .set_auth_uri(AuthUrl::new(provider::authorization_endpoint(app)).map_err(|e| wrong("login host", e))?)
        .set_token_uri(TokenUrl::new(provider::token_endpoint(app)).map_err(|e| wrong("login host", e))?)
        .set_redirect_uri(RedirectUrl::new(app.redirect_uri.clone()).map_err(|e| wrong("redirect URI", e))?);
    Ok(match secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    })
}

/// Where the browser is sent: `response_type=code`, S256, state, nonce, and the account's mailbox as a hint of who should sign in.
pub fn authorization_url(
    app: &App,
    account: &Account,
    pending: &Pending,
    key: &SigningKey,
) -> Result<url::Url, Invalid> {
    let verifier = PkceCodeVerifier::new(pending.verifier(key).expose_secret().to_owned());
    let endpoint = endpoint(app, None)?;
    let mut request = endpoint
        .authorize_url(|| CsrfToken::new(pending.state().to_owned()))
        .add_scopes(provider::consent_scopes(app, account).into_iter().map(Scope::new))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_extra_param("nonce", pending.nonce(key))
        .add_extra_param("login_hint", account.mailbox.as_str());
    for (name, value) in provider::extra(app) {
        request = request.add_extra_param(name, value);
    }
    Ok(request.url().0)
}

/// Where an administrator consents to all that the registration declares of the mail resource, for their whole directory
/// (Microsoft, "Admin consent on the Microsoft identity platform"; `common` is not allowed there).
pub fn admin_consent_url(app: &App, state: &str) -> Result<url::Url, Invalid> {
    app.check_admin_consent()?;
    let tenant = if app.tenant == Tenant::Common { Tenant::Organizations } else { app.tenant.clone() };
    let app = App { tenant, ..app.clone() };
    let url = url::Url::parse_with_params(
        &entra::url(&app, "v2.0/adminconsent"),
        [
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", &app.redirect_uri),
            ("state", state),
            ("scope", &entra::app_scope(app.cloud, Protocol::Imap)),
        ],
    );
    url.map_err(|error| Invalid(format!("app {}: login host: {error}", app.id)))
}
