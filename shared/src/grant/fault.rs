//! Why a grant could not be had, and what it makes of the account.

use crate::account::{AppId, HealthState, state_after_refusal};
use crate::advice;
use crate::net::NetError;
use crate::oauth::Refusal;
use crate::table::TableError;
use crate::vault::{KmsError, VaultError};
use std::time::Duration;

/// Why a grant could not be had.
#[derive(Debug, thiserror::Error)]
pub enum GrantFault {
    /// Nobody has connected the account yet, or it was disconnected.
    #[error("this account is not connected")]
    NotConnected,
    /// The account names an app that is not there.
    #[error("there is no app {0}")]
    NoApp(AppId),
    /// The app's client secret is not in the vault.
    #[error("there is no client secret for app {0}: store it with `rebond app secret {0}`")]
    NoSecret(AppId),
    /// What keeps the client id gave none, or what can be none. It is not repeated: it may be a secret.
    #[error("what keeps the client secret of app {0} gave out no client id beside it")]
    NoClientId(AppId),
    /// The certificate's private key is not in the vault, or is none that can sign.
    #[error("there is no usable private key for app {0}: store it with `rebond app secret {0} --certificate FILE`")]
    BadKey(AppId),
    /// KMS does not sign for the app.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// This process cannot say who it is.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// The app's own token opens no mailbox: an administrator has not granted it that.
    #[error("the app's token carries no {0}: an administrator has not granted it")]
    NoPermission(&'static str),
    /// The app's settings make no request.
    #[error(transparent)]
    Settings(#[from] crate::account::Invalid),
    /// The provider refused.
    #[error("the identity provider refused: {0}")]
    Refused(Box<Refusal>),
    /// The function that keeps the client secret gave none.
    #[error("the function {function} gave no client secret: {said}")]
    SecretFunction {
        /// Its ARN.
        function: String,
        /// What happened.
        said: String,
    },
    /// The provider answered 429 or 5xx.
    #[error("the identity provider is busy (HTTP {status})")]
    Busy {
        /// HTTP status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The provider was not reached.
    #[error("the identity provider: {0}")]
    Unreachable(#[from] NetError),
    /// The answer is neither tokens nor a refusal.
    #[error("the identity provider answered with something that is no token answer (HTTP {status})")]
    Nonsense {
        /// HTTP status.
        status: u16,
    },
    /// There was no refresh token in the answer of a first connection.
    #[error("the identity provider gave no refresh token")]
    NoRefreshToken,
    /// Somebody else is renewing, and did not finish in our time.
    #[error("another process is renewing this grant and did not finish in time")]
    Waited,
    /// Our table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Our vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl GrantFault {
    /// Whether it is our own fault, which no state of the account describes.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Table(_) | Self::Vault(_) | Self::Kms(KmsError::Service(_)))
    }

    /// Whether it says that a sign-in frequency policy ended the grant. Entra says so by a number alone, which picks the advice
    /// and decides nothing: that a person must sign in again is decided by the error.
    pub fn is_of_sign_in_frequency(&self) -> bool {
        self.health() == (HealthState::NeedsReconnect, "sign-in-frequency")
    }

    /// What it makes of the account: state and advice. Decided by `error`, `suberror` and HTTP status.
    pub fn health(&self) -> (HealthState, &'static str) {
        match self {
            Self::NotConnected => (HealthState::NotConnected, "sign-in-again"),
            Self::Kms(KmsError::Service(_)) => (HealthState::OurFault, "our-store"),
            Self::BadKey(_) | Self::Kms(_) => (HealthState::Misconfigured, "client-certificate"),
            Self::Identity(_) => (HealthState::Misconfigured, "client-assertion"),
            Self::NoPermission(_) => (HealthState::NeedsConsent, "admin-consent-required"),
            Self::NoApp(_) | Self::Settings(_) => (HealthState::Misconfigured, "client-refused"),
            Self::NoClientId(_) => (HealthState::Misconfigured, "client-unproven"),
            Self::NoSecret(_) | Self::SecretFunction { .. } => (HealthState::Misconfigured, "client-secret-missing"),
            Self::Refused(refusal) => {
                (state_after_refusal(&refusal.error, refusal.suberror.as_deref()), advice::for_refusal(refusal).id)
            }
            Self::Busy { .. } | Self::Waited => (HealthState::Retrying, "provider-busy"),
            Self::Unreachable(_) => (HealthState::Retrying, "provider-unreachable"),
            Self::Nonsense { .. } => (HealthState::Retrying, "provider-nonsense"),
            Self::NoRefreshToken => (HealthState::Misconfigured, "no-refresh-token"),
            Self::Table(_) | Self::Vault(_) => (HealthState::OurFault, "our-store"),
        }
    }
}
