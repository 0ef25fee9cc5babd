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

    /// Whether it stays so until a person, an administrator or the operator acts.
    pub fn waits_for_somebody(self) -> bool {
        matches!(self, Self::NeedsReconnect | Self::NeedsConsent | Self::NeedsAdmin | Self::Misconfigured)
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
    /// An account in a state that needs no advice.
    fn plain(state: HealthState, now: Timestamp) -> Self {
        Self { state, since: now, advice: None, said: None, failures: 0 }
    }

    /// A new account: disabled, or waiting for a person, or ready.
    pub fn new(enabled: bool, waits_for_a_person: bool, now: Timestamp) -> Self {
        let state = match (enabled, waits_for_a_person) {
            (false, _) => HealthState::Disabled,
            (true, true) => HealthState::NotConnected,
            (true, false) => HealthState::Active,
        };
        Self::plain(state, now)
    }

    /// An account that a person has just connected.
    pub fn connected(now: Timestamp) -> Self {
        Self::plain(HealthState::Active, now)
    }

    /// An account whose grant was forgotten. Nothing else leads here.
    pub fn disconnected(now: Timestamp) -> Self {
        Self::plain(HealthState::NotConnected, now)
    }

    /// An account that the operator switched off; what ails its grant is still known.
    pub fn disabled(&self, now: Timestamp) -> Self {
        match self.state {
            HealthState::Disabled => self.clone(),
            _ => Self::plain(HealthState::Disabled, now),
        }
    }

    /// An account that works: active, unless it is switched off.
    pub fn active(&self, now: Timestamp) -> Self {
        match self.state {
            HealthState::Disabled => Self { advice: None, said: None, failures: 0, ..self.clone() },
            HealthState::Active => Self { since: self.since, ..Self::connected(now) },
            _ => Self::connected(now),
        }
    }

    /// An account that does not, with what was said; faults in a row are counted.
    ///
    /// - A passing fault says nothing new about an account that waits for somebody: state and advice stay.
    /// - Only disconnecting disconnects: a grant that is not to be had is one to be had again.
    /// - Who is switched off stays so, and keeps the advice for the day it is switched on.
    pub fn broken(&self, state: HealthState, advice: &str, said: Option<String>, now: Timestamp) -> Self {
        let failures = self.failures.saturating_add(1);
        if state == HealthState::Retrying && self.state.waits_for_somebody() {
            return Self { failures, ..self.clone() };
        }
        let state = match (self.state, state) {
            (HealthState::Disabled, _) => HealthState::Disabled,
            (HealthState::NotConnected, HealthState::NotConnected) => HealthState::NotConnected,
            (_, HealthState::NotConnected) => HealthState::NeedsReconnect,
            (_, state) => state,
        };
        let since = if self.state == state { self.since } else { now };
        Self { state, since, advice: Some(advice.to_owned()), said, failures }
    }

    /// Whether this is news after `before`: another state, or another advice.
    pub fn differs(&self, before: &Self) -> bool {
        (self.state, &self.advice) != (before.state, &before.advice)
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

    /// What can happen to an account, as poll, token-refresh, callback and operator tell it.
    #[derive(Debug, Clone)]
    enum Event {
        Succeeded,
        Failed(HealthState),
        Connected,
        Disconnected,
        Disabled,
    }

    const FAILURES: [HealthState; 7] = [
        HealthState::Retrying,
        HealthState::NeedsReconnect,
        HealthState::NeedsConsent,
        HealthState::NeedsAdmin,
        HealthState::Misconfigured,
        HealthState::OurFault,
        // A grant that is not in the vault.
        HealthState::NotConnected,
    ];

    fn events() -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
        use proptest::prelude::*;
        let event = prop_oneof![
            3 => Just(Event::Succeeded),
            6 => (0..FAILURES.len()).prop_map(|n| Event::Failed(FAILURES[n])),
            1 => Just(Event::Connected),
            1 => Just(Event::Disconnected),
            1 => Just(Event::Disabled),
        ];
        proptest::collection::vec(event, 1..60)
    }

    proptest::proptest! {
        #[test]
        fn health_moves_only_as_the_rules_say(events in events()) {
            let time = |n: usize| Timestamp::from_second(1_000 + i64::try_from(n).unwrap()).unwrap();
            let mut health = Health::new(true, true, time(0));
            for (n, event) in events.into_iter().enumerate() {
                let (before, now) = (health.clone(), time(n + 1));
                health = match event {
                    Event::Succeeded => before.active(now),
                    Event::Failed(state) => before.broken(state, &format!("advice-{n}"), Some("said".into()), now),
                    Event::Connected => Health::connected(now),
                    Event::Disconnected => Health::disconnected(now),
                    Event::Disabled => before.disabled(now),
                };
                let off = before.state == HealthState::Disabled;
                match event {
                    // Success always leads to active unless disabled, and leaves nothing to do.
                    Event::Succeeded => {
                        assert_eq!(health.state, if off { HealthState::Disabled } else { HealthState::Active });
                        assert_eq!((health.advice.as_ref(), health.failures), (None, 0));
                    }
                    // Failures never lose the advice, and are counted.
                    Event::Failed(state) => {
                        assert!(health.advice.is_some(), "{before:?} → {health:?}");
                        assert_eq!(health.failures, before.failures + 1);
                        let was_not_connected = before.state == HealthState::NotConnected;
                        assert!(health.state != HealthState::NotConnected || was_not_connected);
                        assert!(!off || health.state == HealthState::Disabled);
                        // A passing fault never becomes one that somebody must mend, and never hides one.
                        if state == HealthState::Retrying {
                            assert_eq!(health.state.waits_for_somebody(), before.state.waits_for_somebody());
                            assert!(!before.state.waits_for_somebody() || health.advice == before.advice);
                        }
                    }
                    Event::Connected => assert_eq!(health.state, HealthState::Active),
                    Event::Disconnected => assert_eq!(health.state, HealthState::NotConnected),
                    Event::Disabled => assert_eq!(health.state, HealthState::Disabled),
                }
                // `since` moves with the state and with nothing else.
                if health.state == before.state && !matches!(event, Event::Connected | Event::Disconnected) {
                    assert_eq!(health.since, before.since);
                } else if health.state != before.state {
                    assert_eq!(health.since, now);
                }
                // Who is not asked by the schedule is exactly who cannot be.
                assert_eq!(health.pause_seconds(300).is_some(), health.state.is_polled());
            }
        }
    }
}
