//! What a poll makes of the account's health.

use super::PollError;
use crate::account::{Account, Authentication, Forwarding, Health, HealthState, Protocol, RelayLogin};
use crate::advice;
use crate::grant::GrantFault;
use crate::mailbox::{FaultKind, MailboxFault, Rung};
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
        FaultKind::ProtocolDisabled => (NeedsAdmin, "protocol-disabled"),
        FaultKind::SmtpAuthDisabled => (NeedsAdmin, "smtp-auth-disabled"),
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

/// The advice for the server that takes what is forwarded, where it does not: by the step that did not end well, which is
/// [`Rung::Message`] once it has let us in.
pub(crate) fn advice_for_forwarding(
    account: &Account,
    forwarding: &Forwarding,
    rung: Rung,
    kind: &FaultKind,
) -> &'static str {
    use FaultKind as K;
    let by_token = forwarding.login == RelayLogin::Mailbox && account.app().is_some();
    match (kind, rung) {
        (K::Net(NetError::Refused(refused)), _) if refused.is_about_port() => "reach-port",
        (K::Net(NetError::Connect { .. }), _) | (K::Net(NetError::Timeout(_)) | K::Deadline, Rung::Dns | Rung::Tcp) => {
            "forward-not-reached"
        }
        // It keeps silent where we wait for TLS or for a greeting, or says something else.
        (K::Net(NetError::Timeout(_)) | K::Deadline, Rung::Tls | Rung::Greeting)
        | (K::Net(NetError::Tls(TlsFault::NotTls(_))), _)
        | (K::Protocol(_), Rung::Greeting) => "forward-no-smtp",
        (K::Downgrade(why), _) if why.contains("slipped in") => "starttls-tampered",
        // Of STARTTLS, not of a handshake.
        (K::Downgrade(_) | K::Unavailable, Rung::CapabilitiesBefore | Rung::Tls) => "forward-starttls-missing",
        (K::Closed | K::Refused(_), Rung::Greeting | Rung::CapabilitiesBefore | Rung::Capabilities) => {
            "forward-turned-away"
        }
        (K::NoMechanism(_), _) => "forward-mechanism-missing",
        (K::SmtpAuthDisabled, _) => "smtp-auth-disabled",
        (K::BasicAuthDisabled, _) => "forward-basic-auth",
        (K::LoginRefused, _) if by_token => "forward-token-refused",
        (K::LoginRefused, _) => "forward-login-refused",
        (K::Net(error @ (NetError::Resolve { .. } | NetError::Refused(_) | NetError::Tls(_))), _) => net(error).1,
        (K::ClearText(_) | K::Unsendable(_), _) => "settings-unusable",
        (K::Refused(_), _) => "forward-refused",
        // Whatever is left passes by itself, or is said by no server that takes mail.
        _ => "forward-later",
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_that_is_not_opened_is_for_the_operator() {
        for kind in [FaultKind::FolderMissing("X".into()), FaultKind::Refused("to open the folder")] {
            assert_eq!(state_and_advice(&kind, false), (HealthState::Misconfigured, "folder-missing"));
        }
        let settling = state_and_advice(&FaultKind::Refused("UID STORE"), false);
        assert_eq!(settling, (HealthState::NeedsAdmin, "cannot-settle"));
    }

    /// What servers script is in `tests/flows/doctor_forwarding.rs`; this is what takes time, or a network, to meet.
    #[test]
    fn what_a_forwarding_server_does_at_which_step() {
        let account: Account = serde_json::from_value(serde_json::json!({
            "id": "a", "enabled": true, "protocol": "imap", "mailbox": "bounces@example.com", "folders": ["INBOX"],
            "server": { "host": "mail.example.com", "port": 993, "encryption": "tls" },
            "authentication": { "kind": "password", "user": "a" }, "period_seconds": 300,
            "forwarding": {
                "to": "people@example.com", "login": { "kind": "mailbox" },
                "server": { "host": "smtp.example.com", "port": 587, "encryption": "starttls" },
            },
        }))
        .unwrap();
        let forwarding = account.forwarding.as_ref().unwrap();
        let silent = || FaultKind::Net(NetError::Timeout("smtp.example.com port 587".into()));
        let unknown = NetError::Resolve { host: "smtp.example.com".into(), why: String::new() };
        for (rung, kind, advice) in [
            (Rung::Dns, FaultKind::Net(unknown), "host-unknown"),
            (Rung::Tcp, silent(), "forward-not-reached"),
            (Rung::Tls, silent(), "forward-no-smtp"),
            (Rung::Greeting, FaultKind::Deadline, "forward-no-smtp"),
            (Rung::Greeting, FaultKind::Closed, "forward-turned-away"),
            (Rung::Tls, FaultKind::Net(NetError::Tls(TlsFault::NotYetValid(String::new()))), "tls-not-yet-valid"),
            (
                Rung::Tls,
                FaultKind::Downgrade("something was slipped in before encryption started"),
                "starttls-tampered",
            ),
            (Rung::Tls, FaultKind::Downgrade("the server refuses STARTTLS"), "forward-starttls-missing"),
            (Rung::Authentication, FaultKind::ClearText("no"), "settings-unusable"),
            (Rung::Authentication, FaultKind::Unavailable, "forward-later"),
            (Rung::Message, FaultKind::Unavailable, "forward-later"),
            (Rung::Message, FaultKind::Throttled, "forward-later"),
            (Rung::Message, FaultKind::Closed, "forward-later"),
            (Rung::Message, FaultKind::Refused("MAIL FROM:<>"), "forward-refused"),
        ] {
            assert_eq!(advice_for_forwarding(&account, forwarding, rung, &kind), advice, "{rung:?} {kind:?}");
            assert!(advice::by_id(advice).is_some(), "{advice}");
        }
    }
}
