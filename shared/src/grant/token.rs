//! Requests to the token endpoint, by the crate `oauth2` over our own HTTP function.

use super::proof::Proof;
use super::{GrantFault, Grants};
use crate::account::{App, Protocol};
use crate::net::{self, Http, NetError};
use crate::oauth::{Refusal, TokenResponse, Tokens, accept, endpoint, entra, provider};
use crate::secret::{ExposeSecret, Secret};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use oauth2::{
    AsyncHttpClient, AuthorizationCode, HttpRequest, HttpResponse, PkceCodeVerifier, RefreshToken, RequestTokenError,
    Scope,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// What the HTTP function says instead of an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("HTTP {status}")]
    Busy { status: u16, retry_after: Option<Duration> },
}

/// The parameters of a token request that are secrets (RFC 6749 §2.3.1, §4.1.3, §6; RFC 7523 §2.2; RFC 7636 §4.5;
/// RFC 8628 §3.4).
const SECRET_PARAMETERS: [&str; 6] =
    ["client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "device_code"];

/// Our HTTP function as `oauth2` calls it. 429 and 5xx are the server's trouble whatever their body says. It keeps what
/// must not come back in a refusal's words.
pub(super) struct Exchange<'a> {
    http: &'a Http,
    status: AtomicU16,
    secrets: Mutex<Vec<Secret>>,
    /// What an assertion says for the app.
    presented: Option<&'a str>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(http: &'a Http, proof: &'a Proof) -> Self {
        Self { http, status: AtomicU16::new(0), secrets: Mutex::default(), presented: proof.presented() }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        if let Ok(mut secrets) = self.secrets.lock() {
            *secrets = secrets_of(&request);
        }
        let answer = self.http.send(request).await?;
        let status = answer.status();
        self.status.store(status.as_u16(), Ordering::Relaxed);
        if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
            return Err(Unanswered::Busy { status: status.as_u16(), retry_after: net::retry_after(answer.headers()) });
        }
        Ok(answer)
    }
}

fn secrets_of(request: &HttpRequest) -> Vec<Secret> {
    let is_secret = |name: &str| SECRET_PARAMETERS.contains(&name);
    let parameters = url::form_urlencoded::parse(request.body()).filter(|(name, _)| is_secret(name));
    let mut secrets: Vec<Secret> = parameters.map(|(_, value)| Secret::from(value.into_owned())).collect();
    // HTTP Basic (RFC 6749 §2.3.1): the secret is form-encoded inside it, so both forms may come back.
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    if let Some(encoded) = header {
        secrets.push(Secret::from(encoded.to_owned()));
        let pair = BASE64_STANDARD.decode(encoded).ok().and_then(|pair| String::from_utf8(pair).ok());
        if let Some((_, secret)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            let plain = url::form_urlencoded::parse(secret.as_bytes()).map(|(plain, _)| plain.into_owned());
            secrets.extend(plain.map(Secret::from));
            secrets.push(Secret::from(secret.to_owned()));
        }
    }
    secrets
}

impl<'c> AsyncHttpClient<'c> for Exchange<'_> {
    type Error = Unanswered;
    type Future = BoxFuture<'c, Result<HttpResponse, Unanswered>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// What is asked of the token endpoint.
enum Ask<'a> {
    Code { code: &'a Secret, verifier: &'a Secret },
    Refresh { protocol: Protocol, refresh_token: &'a Secret },
    App { protocol: Protocol },
}

impl Grants {
    /// Redeems an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    pub async fn redeem(&self, app: &App, code: &Secret, verifier: &Secret) -> Result<Tokens, GrantFault> {
        Box::pin(self.ask(app, Ask::Code { code, verifier })).await
    }

    /// Renews with a refresh token (RFC 6749 §6). The scopes name the resource: one refresh token opens several.
    pub(super) async fn renew_once(
        &self,
        app: &App,
        protocol: Protocol,
        refresh_token: &Secret,
    ) -> Result<Tokens, GrantFault> {
        Box::pin(self.ask(app, Ask::Refresh { protocol, refresh_token })).await
    }

    /// A token of the app itself (RFC 6749 §4.4).
    pub(super) async fn app_only(&self, app: &App, protocol: Protocol) -> Result<Tokens, GrantFault> {
        Box::pin(self.ask(app, Ask::App { protocol })).await
    }

    /// Asks with the app's proof; and once more where a secret was refused that was replaced since it was read. To be boxed,
    /// or the futures around it grow past what the compiler measures.
    async fn ask(&self, app: &App, ask: Ask<'_>) -> Result<Tokens, GrantFault> {
        let (proof, app) = self.proof(app).await?;
        let answer = self.ask_once(&app, &proof, &ask).await;
        match (&answer, proof.secret()) {
            (Err(GrantFault::Refused(refusal)), Some(secret)) if refusal.is_of_client() => {
                let (now, app) = self.proof(&app).await?;
                match now.secret().is_some_and(|now| now.expose_secret() != secret.expose_secret()) {
                    true => self.ask_once(&app, &now, &ask).await,
                    false => answer,
                }
            }
            _ => answer,
        }
    }

    async fn ask_once(&self, app: &App, proof: &Proof, ask: &Ask<'_>) -> Result<Tokens, GrantFault> {
        let endpoint = endpoint(app, proof.secret())?;
        let exchange = Exchange::new(&self.http, proof);
        let further = proof.parameters();
        let answer = match ask {
            Ask::Code { code, verifier } => {
                let code = AuthorizationCode::new(code.expose_secret().to_owned());
                let verifier = PkceCodeVerifier::new(verifier.expose_secret().to_owned());
                let mut request = endpoint.exchange_code(code).set_pkce_verifier(verifier);
                for (name, value) in further {
                    request = request.add_extra_param(name, value);
                }
                request.request_async(&exchange).await
            }
            Ask::Refresh { protocol, refresh_token } => {
                let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
                let scopes = provider::scopes(app, *protocol).into_iter().map(Scope::new);
                let mut request = endpoint.exchange_refresh_token(&refresh_token).add_scopes(scopes);
                for (name, value) in further {
                    request = request.add_extra_param(name, value);
                }
                request.request_async(&exchange).await
            }
            Ask::App { protocol } => {
                let scope = Scope::new(entra::app_scope(app.cloud, *protocol));
                let mut request = endpoint.exchange_client_credentials().add_scope(scope);
                for (name, value) in further {
                    request = request.add_extra_param(name, value);
                }
                request.request_async(&exchange).await
            }
        };
        self.take(answer, &exchange)
    }

    pub(super) fn take(
        &self,
        answer: Result<TokenResponse, RequestTokenError<Unanswered, Refusal>>,
        exchange: &Exchange<'_>,
    ) -> Result<Tokens, GrantFault> {
        answer.map(|answer| accept(&answer, (self.clock)())).map_err(|error| exchange.explain(error))
    }
}

impl Exchange<'_> {
    /// Why there is no token, in words that hold none of the request's secrets: a provider may repeat what it was sent.
    pub(super) fn explain(&self, error: RequestTokenError<Unanswered, Refusal>) -> GrantFault {
        let nonsense = GrantFault::Nonsense { status: self.status.load(Ordering::Relaxed) };
        match error {
            RequestTokenError::ServerResponse(refusal) => self.refused(refusal),
            RequestTokenError::Request(Unanswered::Net(error)) => GrantFault::Unreachable(error),
            RequestTokenError::Request(Unanswered::Busy { status, retry_after }) => {
                GrantFault::Busy { status, retry_after }
            }
            // A 200 that carries a refusal all the same; the body itself is never kept: it may hold tokens.
            RequestTokenError::Parse(_, body) => match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) if !refusal.error.is_empty() => self.refused(refusal),
                _ => nonsense,
            },
            RequestTokenError::Other(_) => nonsense,
        }
    }

    fn refused(&self, refusal: Refusal) -> GrantFault {
        // A poisoned lock is of a request that never came to an answer.
        let secrets = self.secrets.lock().map(|secrets| secrets.clone()).unwrap_or_default();
        let refusal = refusal.without(&secrets).bounded();
        let presented = self.presented.filter(|_| refusal.is_of_client()).map(str::to_owned);
        GrantFault::Refused(Box::new(Refusal { presented, ..refusal }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::net::{Reach, Tls};

    fn asked(headers: &[(&str, &str)], body: &str) -> HttpRequest {
        let request =
            headers.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
        request.body(body.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_a_request_holds_in_secret_does_not_come_back_in_a_refusal() {
        let body = "grant_type=authorization_code&client_id=app&client_secret=s%2Bcret&code=c0de&code_verifier=ver1fier\
                    &refresh_token=r3fresh&client_assertion=a.b.c&device_code=d3vice&scope=openid";
        // `id:s+c ret`, its secret form-encoded as RFC 6749 §2.3.1 wants it.
        let basic = BASE64_STANDARD.encode("id:b%2Bsic+one");
        let secrets = secrets_of(&asked(&[("authorization", &format!("Basic {basic}"))], body));
        let http = Http::new(&Reach::public(), &Tls::new(None).unwrap()).unwrap();
        let (status, secrets) = (AtomicU16::new(400), Mutex::new(secrets));
        let exchange = Exchange { http: &http, status, secrets, presented: None };
        for secret in ["s+cret", "c0de", "ver1fier", "r3fresh", "a.b.c", "d3vice", "b+sic one", "b%2Bsic+one", &basic] {
            let refusal = Refusal {
                error: "invalid_client".into(),
                error_description: format!("scope openid of app: ({secret}) is wrong"),
                suberror: Some(format!("bad {secret}")),
                ..Refusal::default()
            };
            let said = exchange.explain(RequestTokenError::ServerResponse(refusal));
            let GrantFault::Refused(said) = said else { panic!("{said}") };
            assert_eq!(said.error_description, "scope openid of app: ([redacted]) is wrong");
            assert_eq!(said.suberror.as_deref(), Some("bad [redacted]"));
        }
    }
}
