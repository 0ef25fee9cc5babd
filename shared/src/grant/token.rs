//! Requests to the token endpoint, by the crate `oauth2` over our own HTTP function.

use super::{GrantFault, Grants};
use crate::account::{App, Protocol};
use crate::net::{Http, NetError};
use crate::oauth::{Refusal, TokenResponse, Tokens, accept, endpoint, entra};
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
enum Unanswered {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("HTTP {status}")]
    Busy { status: u16, retry_after: Option<u32> },
}

/// Our HTTP function as `oauth2` calls it. 429 and 5xx are the server's trouble whatever their body says.
struct Exchange<'a> {
    http: &'a Http,
    status: AtomicU16,
}

impl<'a> Exchange<'a> {
    fn new(http: &'a Http) -> Self {
        Self { http, status: AtomicU16::new(0) }
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
        let endpoint = endpoint(app, Some(&self.client_secret(app).await?))?;
        let exchange = Exchange::new(&self.http);
        let answer = endpoint
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
            .request_async(&exchange)
            .await;
        self.take(answer, exchange.status.into_inner())
    }

    /// Renews with a refresh token (RFC 6749 §6). The scopes name the resource: one refresh token opens several.
    pub(super) async fn renew_once(&self, app: &App, refresh_token: &Secret) -> Result<Tokens, GrantFault> {
        let endpoint = endpoint(app, Some(&self.client_secret(app).await?))?;
        let exchange = Exchange::new(&self.http);
        let answer = endpoint
            .exchange_refresh_token(&RefreshToken::new(refresh_token.expose_secret().to_owned()))
            .add_scopes(entra::scopes(app.cloud, Protocol::Imap).into_iter().map(Scope::new))
            .request_async(&exchange)
            .await;
        self.take(answer, exchange.status.into_inner())
    }

    fn take(
        &self,
        answer: Result<TokenResponse, RequestTokenError<Unanswered, Refusal>>,
        status: u16,
    ) -> Result<Tokens, GrantFault> {
        match answer {
            Ok(answer) => Ok(accept(&answer, (self.clock)())),
            Err(RequestTokenError::ServerResponse(refusal)) => Err(GrantFault::Refused(refusal.bounded())),
            Err(RequestTokenError::Request(Unanswered::Net(error))) => Err(GrantFault::Unreachable(error)),
            Err(RequestTokenError::Request(Unanswered::Busy { status, retry_after })) => {
                Err(GrantFault::Busy { status, retry_after })
            }
            // A 200 that carries a refusal all the same; the body itself is never kept: it may hold tokens.
            Err(RequestTokenError::Parse(_, body)) => match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) if !refusal.error.is_empty() => Err(GrantFault::Refused(refusal.bounded())),
                _ => Err(GrantFault::Nonsense { status }),
            },
            Err(RequestTokenError::Other(_)) => Err(GrantFault::Nonsense { status }),
        }
    }
}
