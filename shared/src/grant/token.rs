//! Requests to the token endpoint, by the crate `oauth2` over our own HTTP function.

use super::{GrantFault, Grants};
use crate::account::{App, Protocol};
use crate::net::{Http, NetError};
use crate::oauth::{Refusal, TokenResponse, Tokens, accept, endpoint, entra, provider};
use crate::secret::{ExposeSecret, Secret};
use futures::future::BoxFuture;
use http::header::RETRY_AFTER;
use oauth2::{
    AsyncHttpClient, AuthorizationCode, HttpRequest, HttpResponse, PkceCodeVerifier, RefreshToken, RequestTokenError,
    Scope,
};
use std::sync::atomic::{AtomicU16, Ordering};

/// What the HTTP function says instead of an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("HTTP {status}")]
    Busy { status: u16, retry_after: Option<u32> },
}

/// Our HTTP function as `oauth2` calls it. 429 and 5xx are the server's trouble whatever their body says.
pub(super) struct Exchange<'a> {
    http: &'a Http,
    status: AtomicU16,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(http: &'a Http) -> Self {
        Self { http, status: AtomicU16::new(0) }
    }

    /// HTTP status of the last answer.
    pub(super) fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let answer = self.http.send(request).await?;
        let status = answer.status();
        self.status.store(status.as_u16(), Ordering::Relaxed);
        if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
            let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(Unanswered::Busy { status: status.as_u16(), retry_after });
        }
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Exchange<'_> {
    type Error = Unanswered;
    type Future = BoxFuture<'c, Result<HttpResponse, Unanswered>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl Grants {
    /// Redeems an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    pub async fn redeem(&self, app: &App, code: &Secret, verifier: &Secret) -> Result<Tokens, GrantFault> {
        let proof = self.proof(app).await?;
        let endpoint = endpoint(app, proof.secret())?;
        let exchange = Exchange::new(&self.http);
        let mut request = endpoint
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
        for (name, value) in proof.parameters() {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&exchange).await;
        self.take(answer, exchange.status())
    }

    /// Renews with a refresh token (RFC 6749 §6). The scopes name the resource: one refresh token opens several.
    pub(super) async fn renew_once(
        &self,
        app: &App,
        protocol: Protocol,
        refresh_token: &Secret,
    ) -> Result<Tokens, GrantFault> {
        let proof = self.proof(app).await?;
        let endpoint = endpoint(app, proof.secret())?;
        let exchange = Exchange::new(&self.http);
        let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let mut request = endpoint
            .exchange_refresh_token(&refresh_token)
            .add_scopes(provider::scopes(app, protocol).into_iter().map(Scope::new));
        for (name, value) in proof.parameters() {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&exchange).await;
        self.take(answer, exchange.status())
    }

    /// A token of the app itself (RFC 6749 §4.4).
    pub(super) async fn app_only(&self, app: &App, protocol: Protocol) -> Result<Tokens, GrantFault> {
        let proof = self.proof(app).await?;
        let endpoint = endpoint(app, proof.secret())?;
        let exchange = Exchange::new(&self.http);
        let scope = Scope::new(entra::app_scope(app.cloud, protocol));
        let mut request = endpoint.exchange_client_credentials().add_scope(scope);
        for (name, value) in proof.parameters() {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&exchange).await;
        self.take(answer, exchange.status())
    }

    pub(super) fn take(
        &self,
        answer: Result<TokenResponse, RequestTokenError<Unanswered, Refusal>>,
        status: u16,
    ) -> Result<Tokens, GrantFault> {
        match answer {
            Ok(answer) => Ok(accept(&answer, (self.clock)())),
            Err(error) => Err(self.explain(error, status)),
        }
    }

    pub(super) fn explain(&self, error: RequestTokenError<Unanswered, Refusal>, status: u16) -> GrantFault {
        match error {
            RequestTokenError::ServerResponse(refusal) => GrantFault::Refused(refusal.bounded()),
            RequestTokenError::Request(Unanswered::Net(error)) => GrantFault::Unreachable(error),
            RequestTokenError::Request(Unanswered::Busy { status, retry_after }) => {
                GrantFault::Busy { status, retry_after }
            }
            // A 200 that carries a refusal all the same; the body itself is never kept: it may hold tokens.
            RequestTokenError::Parse(_, body) => match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) if !refusal.error.is_empty() => GrantFault::Refused(refusal.bounded()),
                _ => GrantFault::Nonsense { status },
            },
            RequestTokenError::Other(_) => GrantFault::Nonsense { status },
        }
    }
}
