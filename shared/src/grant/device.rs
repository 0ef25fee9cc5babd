//! A device code: for a terminal without a browser (RFC 8628). The person types it on a page of the provider's.

use super::token::Exchange;
use super::{GrantFault, Grants};
use crate::account::{Account, App};
use crate::oauth::{Refusal, Tokens, endpoint, provider};
use oauth2::{
    DeviceAuthorizationUrl, DeviceCodeErrorResponse, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
};
use std::time::Duration;

/// A device code that waits for a person.
pub struct DeviceCode(StandardDeviceAuthorizationResponse);

impl DeviceCode {
    /// The page to open.
    pub fn page(&self) -> &str {
        self.0.verification_uri()
    }

    /// What to type there.
    pub fn user_code(&self) -> &str {
        self.0.user_code().secret()
    }

    /// For how long.
    pub fn life(&self) -> Duration {
        self.0.expires_in()
    }
}

impl Grants {
    /// Asks for a code (RFC 8628 §3.1).
    pub async fn device_code(&self, app: &App, account: &Account) -> Result<DeviceCode, GrantFault> {
        let (proof, app) = &self.proof(app).await?;
        let url = provider::device_endpoint(app)?;
        let url = DeviceAuthorizationUrl::new(url).map_err(|error| crate::account::Invalid(error.to_string()))?;
        let endpoint = endpoint(app, proof.secret())?.set_device_authorization_url(url);
        let exchange = Exchange::new(&self.http, proof);
        let mut request = endpoint
            .exchange_device_code()
            .add_scopes(provider::consent_scopes(app, account).into_iter().map(Scope::new));
        for (name, value) in proof.parameters() {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&exchange).await;
        answer.map(DeviceCode).map_err(|error| exchange.explain(error))
    }

    /// Asks again and again until the person has decided or the code has ended (RFC 8628 §3.4, §3.5). `sleep` waits.
    pub async fn device_tokens<S: Future<Output = ()>>(
        &self,
        app: &App,
        code: &DeviceCode,
        sleep: impl Fn(Duration) -> S,
    ) -> Result<Tokens, GrantFault> {
        let (proof, app) = &self.proof(app).await?;
        let endpoint = endpoint(app, proof.secret())?;
        let exchange = Exchange::new(&self.http, proof);
        let mut request = endpoint.exchange_device_access_token(&code.0);
        for (name, value) in proof.parameters() {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&exchange, sleep, None).await;
        self.take(answer.map_err(in_our_words), &exchange)
    }
}

/// Entra has words of its own ("OAuth 2.0 device authorization grant flow"): RFC 8628 §3.5 calls it `access_denied`.
fn in_our_words<E: std::error::Error + 'static>(
    error: RequestTokenError<E, DeviceCodeErrorResponse>,
) -> RequestTokenError<E, Refusal> {
    match error {
        RequestTokenError::ServerResponse(said) => {
            let error = match said.error().as_ref() {
                "authorization_declined" => "access_denied",
                error => error,
            };
            let description = said.error_description().map(String::as_str);
            RequestTokenError::ServerResponse(Refusal::of_words(error, description, None))
        }
        RequestTokenError::Request(error) => RequestTokenError::Request(error),
        RequestTokenError::Parse(error, body) => RequestTokenError::Parse(error, body),
        RequestTokenError::Other(text) => RequestTokenError::Other(text),
    }
}
