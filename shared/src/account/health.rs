//! The health of an account, always with an advice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an account can do now, and who must act when it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// Nobody has connected it yet.
    NotConnected,
    /// The last poll or refresh succeeded.
    Active,
    /// A passing fault; the schedule tries again.
    Retrying,
    /// A person must sign in again.
    NeedsReconnect,
    /// A permission was not granted.
    NeedsConsent,
    /// An administrator of the tenant must act.
    NeedsAdmin,
    /// The settings cannot work as they stand.
    Misconfigured,
    /// A fault of Rebond itself.
    OurFault,
    /// Switched off by the operator.
    Disabled,
}

impl HealthState {
    /// The word used in the table, in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not-connected",
            Self::Active => "active",
            Self::Retrying => "retrying",
            Self::NeedsReconnect => "needs-reconnect",
            Self::NeedsConsent => "needs-consent",
            Self::NeedsAdmin => "needs-admin",
            Self::Misconfigured => "misconfigured",
            Self::OurFault => "our-fault",
            Self::Disabled => "disabled",
        }
    }

    /// Whether the schedule should ask this account at all.
    pub fn is_polled(self) -> bool {
        !matches!(self, Self::NotConnected | Self::Disabled)
    }
}

/// The health of an account: a state, since when, and the advice that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What the account can do now.
    pub state: HealthState,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// The advice, by its id in [`crate::advice`]; none when there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What was said by the other side, bounded and without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Faults in a row; the pause before the next attempt grows with it.
    #[serde(default)]
    pub failures: u32,
}
