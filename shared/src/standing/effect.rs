//! What an outcome says about the *address*; most refusals say something about the sender or the message.

use crate::report::{Action, Outcome, Reason, Report};
use serde::{Deserialize, Serialize};

/// What an outcome does to the standing of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Mail arrived: the soft errors before it are forgotten.
    Success,
    /// An error that may pass.
    Soft,
    /// The address is dead.
    Hard,
    /// The person complained.
    Complaint,
}

impl Effect {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Complaint => "complaint",
        }
    }
}

/// What one outcome of a report does; none where it says nothing about the address.
pub fn effect(report: &Report, outcome: &Outcome) -> Option<Effect> {
    match outcome.reason {
        Reason::Feedback => complaint(report),
        // RFC 3464 §2.3.3: relayed and expanded messages may still fail further on.
        Reason::Delivered => (outcome.action == Some(Action::Delivered)).then_some(Effect::Success),
        _ if !matches!(outcome.action, None | Some(Action::Failed)) => None,
        // Told of a message that is still being tried, or by a machine that answers for a person.
        _ if !matches!(report.kind, crate::report::Kind::Bounce) => None,
        _ if outcome.hard => Some(Effect::Hard),
        reason => is_about_the_address(reason).then_some(Effect::Soft),
    }
}

/// RFC 5965 §7.3 and what large senders of reports add to it. `not-spam`, `virus`, `auth-failure` and `other` are no
/// word of a person who wants no more mail.
fn complaint(report: &Report) -> Option<Effect> {
    let kind = report.feedback.as_ref()?.feedback_type.to_ascii_lowercase();
    matches!(kind.as_str(), "abuse" | "fraud" | "opt-out" | "opt-out-list").then_some(Effect::Complaint)
}

/// Whether an error that is not hard is counted. A closed list, so that a new reason asks for a decision.
fn is_about_the_address(reason: Reason) -> bool {
    match reason {
        Reason::MailboxFull
        | Reason::Suspend
        | Reason::Filtered
        | Reason::SystemFull
        | Reason::Expired
        | Reason::NetworkError
        | Reason::SystemError
        | Reason::MailerError
        | Reason::OnHold
        | Reason::Undefined
        // Hard reasons that were said to be temporary.
        | Reason::UserUnknown
        | Reason::HostUnknown
        | Reason::HasMoved
        | Reason::NotAccept => true,
        // Who sent it, and from where.
        Reason::Rejected
        | Reason::Blocked
        | Reason::BadReputation
        | Reason::RequirePtr
        | Reason::AuthFailure
        | Reason::PolicyViolation
        | Reason::SecurityError
        | Reason::FailedStarttls
        | Reason::NoRelaying
        | Reason::Speeding
        | Reason::TooManyConnections
        | Reason::SyntaxError
        // What was in it.
        | Reason::MessageTooBig
        | Reason::ExceedLimit
        | Reason::SpamDetected
        | Reason::VirusDetected
        | Reason::ContentError
        | Reason::NotCompliantRfc
        // Never sent.
        | Reason::Suppressed
        // No failures.
        | Reason::Feedback
        | Reason::Vacation
        | Reason::Delivered => false,
    }
}
