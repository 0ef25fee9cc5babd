//! Our reasons as the delivery failure reasons of Adobe Campaign Classic (its documentation, "Understand delivery failures").

use super::{Deed, Standing, State};
use crate::report::Reason;

/// The number that Campaign's quarantine and exclusion logs have for why an address may not be written to, or has errors.
/// 0 is "not defined".
pub fn adobe_reason_code(standing: &Standing) -> u8 {
    match standing.by.as_ref().map(|act| act.deed) {
        Some(Deed::Denied) => return DENYLISTED,
        Some(Deed::Quarantined) => return QUARANTINED,
        Some(Deed::Released | Deed::Undone) | None => {}
    }
    match standing.reason {
        None => 0,
        Some(_) if standing.state == State::Denied => DENYLISTED,
        Some(reason) => code(reason),
    }
}

const DENYLISTED: u8 = 8;
const QUARANTINED: u8 = 9;

/// A closed list, so that a new reason asks for a decision.
fn code(reason: Reason) -> u8 {
    match reason {
        // Not defined: nothing was stated, or too little.
        Reason::OnHold | Reason::Undefined => 0,
        // User unknown. A mailbox that moved away is not known there any longer.
        Reason::UserUnknown | Reason::HasMoved => 1,
        // Invalid domain.
        Reason::HostUnknown => 2,
        // Unreachable.
        Reason::NotAccept
        | Reason::SystemFull
        | Reason::Expired
        | Reason::NetworkError
        | Reason::SystemError
        | Reason::MailerError => 3,
        // Account disabled.
        Reason::Suspend => 4,
        // Mailbox full.
        Reason::MailboxFull => 5,
        // Denylisted.
        Reason::Feedback => DENYLISTED,
        // In quarantine: where it was sent from, in this case.
        Reason::Suppressed => QUARANTINED,
        // Refused.
        Reason::Filtered
        | Reason::MessageTooBig
        | Reason::ExceedLimit
        | Reason::Rejected
        | Reason::Blocked
        | Reason::BadReputation
        | Reason::RequirePtr
        | Reason::AuthFailure
        | Reason::PolicyViolation
        | Reason::SecurityError
        | Reason::FailedStarttls
        | Reason::SpamDetected
        | Reason::VirusDetected
        | Reason::ContentError
        | Reason::NotCompliantRfc
        | Reason::NoRelaying
        | Reason::Speeding
        | Reason::TooManyConnections
        | Reason::SyntaxError => 20,
        // Error ignored: no failure.
        Reason::Vacation | Reason::Delivered => 25,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Act;

    #[test]
    fn every_reason_has_a_number_of_campaigns() {
        let known = [0, 1, 2, 3, 4, 5, 8, 9, 20, 25];
        let of = |state, reason| Standing { state, reason, ..Standing::default() };
        for reason in Reason::ALL {
            assert!(known.contains(&adobe_reason_code(&of(State::Quarantined, Some(*reason)))), "{reason:?}");
        }
        for (state, reason, expected) in [
            (State::Quarantined, Reason::UserUnknown, 1),
            (State::Quarantined, Reason::HostUnknown, 2),
            (State::WithErrors, Reason::NetworkError, 3),
            (State::WithErrors, Reason::Suspend, 4),
            (State::Quarantined, Reason::MailboxFull, 5),
            (State::Denied, Reason::Feedback, 8),
            (State::WithErrors, Reason::Filtered, 20),
        ] {
            assert_eq!(adobe_reason_code(&of(state, Some(reason))), expected, "{reason:?}");
        }
        assert_eq!(adobe_reason_code(&Standing::default()), 0);
        for (deed, expected) in [(Deed::Denied, 8), (Deed::Quarantined, 9), (Deed::Released, 0)] {
            let by = Some(Act { at: 0, deed, who: "ann".into(), why: None });
            assert_eq!(adobe_reason_code(&Standing { by, ..Standing::default() }), expected, "{deed:?}");
        }
    }
}
