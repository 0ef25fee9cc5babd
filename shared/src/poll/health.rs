//! What a poll makes of the account's health.

use super::PollError;
use crate::account::{Authentication, Health, HealthState, Protocol};
use crate::advice;
use crate::grant::GrantFault;
use crate::mailbox::{FaultKind, MailboxFault};
use crate::net::{NetError, TlsFault};
use crate::table::AccountItem;
use jiff::Timestamp;

pub(super) fn after_success(item: &AccountItem, now: Timestamp) -> Health {
    if item.account.enabled {
        return item.health.active(now);
    }
    item.health.disabled(now)
}

pub(super) fn after_our_fault(item: &AccountItem, error: &PollError, now: Timestamp) -> Health {
    item.health.broken(HealthState::OurFault, "our-store", Some(error.to_string()), now)
}

pub(super) fn after_missing_password(item: &AccountItem, now: Timestamp) -> Health {
    item.health.broken(HealthState::Misconfigured, "password-missing", None, now)
}

pub(super) fn after_grant_fault(item: &AccountItem, fault: &GrantFault, now: Timestamp) -> Health {
    let (state, advice) = fault.health();
    item.health.broken(state, advice, Some(fault.to_string()), now)
}

pub(super) fn after_mailbox_fault(item: &AccountItem, fault: &MailboxFault, now: Timestamp) -> Health {
    let signed_in = item.principal.as_ref().map(|principal| principal.name.as_str());
    let (state, advice) = state_and_advice_for(item, &fault.kind, signed_in);
    item.health.broken(state, advice, Some(fault.to_string()), now)
}

/// The same as [`state_and_advice`] for an account that `signed_in` connected: what a server does not say, its protocol and
/// who signed in narrow down.
pub fn state_and_advice_for(
    item: &AccountItem,
    kind: &FaultKind,
    signed_in: Option<&str>,
) -> (HealthState, &'static str) {
    let password = matches!(item.account.authentication, Authentication::Password { .. });
    let (state, advice) = state_and_advice(kind, password);
    let advice = match kind {
        FaultKind::NotConnected if !password => advice::of_unopened_mailbox(signed_in, &item.account.mailbox),
        FaultKind::LoginRefused if item.account.protocol == Protocol::Graph => "graph-token-refused",
        _ => advice,
    };
    (state, advice)
}

/// Whose fault a mailbox's fault is, and the advice for it.
pub fn state_and_advice(kind: &FaultKind, password: bool) -> (HealthState, &'static str) {
    use HealthState::{Misconfigured, NeedsAdmin, NeedsReconnect, Retrying};
    match kind {
        FaultKind::Net(error) => net(error),
        // A wrong password is tried four times a day, no more: mail servers lock accounts out.
        FaultKind::LoginRefused if password => (NeedsReconnect, "password-refused"),
        FaultKind::LoginRefused => (NeedsAdmin, "login-refused"),
        FaultKind::NotConnected => (NeedsAdmin, "not-connected"),
        FaultKind::BasicAuthDisabled => (Misconfigured, "basic-auth-disabled"),
        FaultKind::Throttled => (Retrying, "throttled"),
        // Somebody must look at the folder's name and rights in either case.
        FaultKind::FolderMissing(_) | FaultKind::Refused("to open the folder") => (Misconfigured, "folder-missing"),
        FaultKind::Downgrade(why) if why.contains("refuses") => (NeedsAdmin, "starttls-refused"),
        FaultKind::Downgrade(why) if why.contains("slipped in") => (NeedsAdmin, "starttls-tampered"),
        FaultKind::Downgrade(why) if why.contains("logged us in") => (NeedsAdmin, "preauth"),
        FaultKind::Downgrade(_) => (NeedsAdmin, "starttls-missing"),
        FaultKind::ClearText(_) | FaultKind::Unsendable(_) => (Misconfigured, "settings-unusable"),
        FaultKind::NoMechanism(_) => (NeedsAdmin, "mechanism-missing"),
        FaultKind::NotPermitted => (NeedsAdmin, "graph-not-permitted"),
        FaultKind::NoMailbox => (NeedsAdmin, "graph-no-mailbox"),
        FaultKind::NoUidl => (NeedsAdmin, "uidl-missing"),
        FaultKind::Refused(_) => (NeedsAdmin, "cannot-settle"),
        FaultKind::Protocol(_) | FaultKind::Limit(_) => (Retrying, "server-broken"),
        FaultKind::Deadline => (Retrying, "server-slow"),
        FaultKind::Unavailable | FaultKind::Closed => (Retrying, "server-unreachable"),
    }
}

fn net(error: &NetError) -> (HealthState, &'static str) {
    use HealthState::{Misconfigured, NeedsAdmin, Retrying};
    match error {
        NetError::Resolve { .. } => (Retrying, "host-unknown"),
        NetError::Refused(_) => (Misconfigured, "reach-refused"),
        NetError::Tls(TlsFault::WrongName { .. }) => (NeedsAdmin, "tls-name"),
        NetError::Tls(TlsFault::Expired { .. }) => (NeedsAdmin, "tls-expired"),
        NetError::Tls(TlsFault::UnknownIssuer { .. }) => (Misconfigured, "tls-issuer"),
        NetError::Tls(TlsFault::SelfSigned(_)) => (NeedsAdmin, "tls-self-signed"),
        NetError::Tls(TlsFault::NotYetValid(_)) => (Misconfigured, "tls-not-yet-valid"),
        NetError::Tls(TlsFault::CaAsServer(_)) => (NeedsAdmin, "tls-ca-as-server"),
        NetError::Tls(TlsFault::TooOld { .. }) => (NeedsAdmin, "tls-too-old"),
        NetError::Tls(TlsFault::NotTls(_)) => (Misconfigured, "tls-not-spoken"),
        NetError::Tls(TlsFault::Broken(_)) => (NeedsAdmin, "tls-broken"),
        NetError::Tls(_) => (NeedsAdmin, "tls-failed"),
        NetError::Timeout(_) => (Retrying, "server-slow"),
        NetError::Connect { .. } | NetError::TooLong { .. } | NetError::Http { .. } => (Retrying, "server-unreachable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_opened_is_for_the_operator() {
        for kind in [FaultKind::FolderMissing("X".into()), FaultKind::Refused("to open the folder")] {
            assert_eq!(state_and_advice(&kind, false), (HealthState::Misconfigured, "folder-missing"));
        }
        let settling = state_and_advice(&FaultKind::Refused("UID STORE"), false);
        assert_eq!(settling, (HealthState::NeedsAdmin, "cannot-settle"));
    }
}
