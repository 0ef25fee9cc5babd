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

/// What a refusal of the identity provider makes of an account: `error` and `suberror` decide, never a number.
pub fn state_after_refusal(error: &str, suberror: Option<&str>) -> HealthState {
    match (error, suberror) {
        // Signing in again would only show a message: Microsoft, "Handle errors and exceptions in MSAL".
        (
            "invalid_grant" | "interaction_required",
            Some("message_only" | "additional_action" | "protection_policy_required" | "device_authentication_failed"),
        ) => HealthState::NeedsAdmin,
        ("consent_required", _) | ("invalid_grant" | "interaction_required", Some("consent_required")) => {
            HealthState::NeedsConsent
        }
        (
            "access_denied" | "authorization_declined" | "permission_denied" | "authorization_pending" | "slow_down",
            _,
        ) => HealthState::NeedsConsent,
        (
            "invalid_grant"
            | "interaction_required"
            | "login_required"
            | "account_selection_required"
            | "expired_token"
            | "code_expired"
            | "bad_verification_code",
            _,
        ) => HealthState::NeedsReconnect,
        (
            "invalid_client"
            | "unauthorized_client"
            | "invalid_scope"
            | "insufficient_scope"
            | "invalid_resource"
            | "invalid_target"
            | "invalid_request"
            | "unsupported_grant_type"
            | "unsupported_response_type",
            _,
        ) => HealthState::Misconfigured,
        ("temporarily_unavailable" | "server_error", _) => HealthState::Retrying,
        _ => HealthState::OurFault,
    }
}

impl Health {
    /// An account that works.
    pub fn active(&self, now: Timestamp) -> Self {
        let since = if self.state == HealthState::Active { self.since } else { now };
        Self { state: HealthState::Active, since, advice: None, said: None, failures: 0 }
    }

    /// An account that does not, with what was said; faults in a row are counted.
    pub fn broken(&self, state: HealthState, advice: &str, said: Option<String>, now: Timestamp) -> Self {
        let since = if self.state == state { self.since } else { now };
        Self { state, since, advice: Some(advice.to_owned()), said, failures: self.failures.saturating_add(1) }
    }

    /// Seconds until the schedule asks again; none means never by itself. A passing fault doubles the pause up to an
    /// hour; where a person must act, four tries a day find out that they did, without locking anybody's account.
    pub fn pause_seconds(&self, period: u32) -> Option<i64> {
        let period = i64::from(period);
        match self.state {
            HealthState::Active => Some(period),
            HealthState::Retrying | HealthState::OurFault => {
                Some((period << self.failures.saturating_sub(1).min(10)).clamp(period, 3_600.max(period)))
            }
            HealthState::NeedsReconnect
            | HealthState::NeedsConsent
            | HealthState::NeedsAdmin
            | HealthState::Misconfigured => Some(6 * 3_600),
            HealthState::NotConnected | HealthState::Disabled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn error_and_suberror_decide() {
        let check = |error, suberror, state| assert_eq!(state_after_refusal(error, suberror), state, "{error}");
        check("invalid_grant", None, HealthState::NeedsReconnect);
        check("invalid_grant", Some("bad_token"), HealthState::NeedsReconnect);
        check("invalid_grant", Some("consent_required"), HealthState::NeedsConsent);
        check("interaction_required", None, HealthState::NeedsReconnect);
        check("consent_required", None, HealthState::NeedsConsent);
        check("invalid_grant", Some("message_only"), HealthState::NeedsAdmin);
        check("interaction_required", Some("additional_action"), HealthState::NeedsAdmin);
        check("interaction_required", Some("basic_action"), HealthState::NeedsReconnect);
        check("authorization_declined", None, HealthState::NeedsConsent);
        check("expired_token", None, HealthState::NeedsReconnect);
        check("invalid_target", None, HealthState::Misconfigured);
        check("invalid_client", None, HealthState::Misconfigured);
        check("temporarily_unavailable", None, HealthState::Retrying);
        check("a_word_of_tomorrow", None, HealthState::OurFault);
    }

    #[test]
    fn pauses_double_to_an_hour_and_end_with_success() {
        let now = Timestamp::from_second(1_000).unwrap();
        let mut health = Health { state: HealthState::Active, since: now, advice: None, said: None, failures: 0 };
        assert_eq!(health.pause_seconds(300), Some(300));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            health = health.broken(HealthState::Retrying, "server-slow", None, now);
            pauses.push(health.pause_seconds(300).unwrap());
        }
        assert_eq!(pauses, [300, 600, 1_200, 2_400, 3_600, 3_600]);
        assert_eq!(health.active(now).pause_seconds(300), Some(300));
        assert_eq!(health.broken(HealthState::NeedsAdmin, "x", None, now).pause_seconds(300), Some(21_600));
    }
}
