//! Which advice a broken rung ends in: by the rung, the fault, and what was heard on the way up.

use super::ports::Elsewhere;
use super::{Authentication, Claim, Encryption, FaultKind, MailboxFault, PollError, Rung, Stop, Trail};
use crate::account::{AppId, Forwarding, Protocol, RelayLogin};
use crate::grant::GrantFault;
use crate::net::NetError;
use crate::poll::{advice_for_forwarding, state_and_advice_for};
use crate::table::AccountItem;

/// Why a rung broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Settings that contradict each other.
    #[error("{0}")]
    Settings(String),
    #[error("there is no app {0}")]
    NoApp(AppId),
    #[error(transparent)]
    Mailbox(#[from] MailboxFault),
    /// Nothing listens where it should; whether it does at the protocol's other usual ports.
    #[error("{fault}; {elsewhere}")]
    NothingListens { fault: MailboxFault, elsewhere: Elsewhere },
    #[error(transparent)]
    Grant(GrantFault),
    #[error("there is no password in the vault")]
    NoPassword,
    /// A message that is listed and not given out, and what the server said.
    #[error("the server does not give the message out: {0}")]
    Message(String),
    /// A fault of our own, which is no diagnosis.
    #[error(transparent)]
    Ours(#[from] PollError),
}

impl Fault {
    pub fn of(stop: Stop) -> Self {
        match stop {
            Stop::Mailbox(fault) => Self::Mailbox(fault),
            Stop::Grant(fault) => Self::Grant(fault),
            Stop::NoPassword => Self::NoPassword,
            Stop::Ours(error) => Self::Ours(error),
            // Nothing here takes a lease.
            Stop::LeaseLost => Self::Settings("another process has the account".to_owned()),
        }
    }
}

/// A broken rung and what is known of it.
pub(super) struct Broken<'a> {
    pub rung: Rung,
    pub fault: &'a Fault,
    pub item: &'a AccountItem,
    pub forwarding: Option<&'a Forwarding>,
    pub trail: &'a Trail,
    pub differing: &'a [Claim],
}

/// The advice, by its id.
pub(super) fn of(broken: &Broken<'_>) -> &'static str {
    match broken.fault {
        Fault::Settings(_) => "settings-unusable",
        Fault::NoApp(_) => "app-missing",
        Fault::NoPassword if broken.sends_with_own_password() => "forward-password-missing",
        Fault::NoPassword => "password-missing",
        Fault::Message(_) => "message-refused",
        Fault::Grant(GrantFault::NotConnected) => "never-connected",
        Fault::Grant(fault) => fault.health().1,
        Fault::Ours(_) => "our-store",
        Fault::NothingListens { elsewhere, .. } if elsewhere.answers() => "port-wrong",
        Fault::NothingListens { .. } => "connection-refused",
        Fault::Mailbox(fault) => match broken.forwarding {
            Some(forwarding) => advice_for_forwarding(&broken.item.account, forwarding, broken.rung, &fault.kind),
            None => broken.of_mailbox(fault),
        },
    }
}

impl Broken<'_> {
    fn of_mailbox(&self, fault: &MailboxFault) -> &'static str {
        let password = self.opens_with_password();
        match &fault.kind {
            FaultKind::Net(error) => self.of_net(error),
            FaultKind::Deadline => self.of_silence(),
            FaultKind::Closed if self.rung == Rung::Greeting => "greeting-closed",
            FaultKind::Closed => "connection-lost",
            FaultKind::Unavailable => "server-unavailable",
            FaultKind::Protocol(_) if self.rung == Rung::Greeting => of_greeting(fault),
            FaultKind::NoMechanism(_) => self.of_mechanisms(password),
            FaultKind::LoginRefused => self.of_refusal(fault, password),
            FaultKind::NotConnected if password => "exchange-backend",
            FaultKind::NotConnected => self.of_claims().unwrap_or_else(|| self.as_polls_say(&fault.kind)),
            // Graph's word for a mailbox that is on a server of one's own, or has no licence.
            FaultKind::NoMailbox if said(fault).contains("MailboxNotEnabledForRESTAPI") => "no-licence",
            FaultKind::NotPermitted => self.of_claims().unwrap_or("graph-not-permitted"),
            FaultKind::Refused("to open the folder") => "folder-refused",
            FaultKind::Refused(_) if self.rung == Rung::Message => "message-refused",
            FaultKind::Refused(_) => "server-broken",
            kind => self.as_polls_say(kind),
        }
    }

    fn as_polls_say(&self, kind: &FaultKind) -> &'static str {
        let signed_in = self.item.principal.as_ref().map(|principal| principal.name.as_str());
        state_and_advice_for(self.item, kind, signed_in).1
    }

    fn of_net(&self, error: &NetError) -> &'static str {
        match (self.rung, error) {
            (_, NetError::Refused(refused)) if refused.is_about_port() => "reach-port",
            (Rung::Tcp, NetError::Timeout(_)) => "connection-silent",
            (_, NetError::Timeout(_)) => self.of_silence(),
            (Rung::Tcp, NetError::Connect { why, .. }) if why.contains("refused") => "connection-refused",
            _ => self.as_polls_say(&FaultKind::Net(error.clone())),
        }
    }

    fn of_silence(&self) -> &'static str {
        match self.rung {
            Rung::Tcp => "connection-silent",
            Rung::Tls => "tls-silent",
            Rung::Greeting => "greeting-silent",
            _ => "server-slow",
        }
    }

    fn of_mechanisms(&self, password: bool) -> &'static str {
        match (password, self.item.account.server.encryption) {
            (true, Encryption::None) => "secure-logon",
            (true, _) => "password-not-offered",
            (false, _) if self.is_exchange() => "exchange-no-oauth",
            (false, _) => "mechanism-missing",
        }
    }

    fn of_refusal(&self, fault: &MailboxFault, password: bool) -> &'static str {
        let account = &self.item.account;
        if password {
            return match account.server.encryption {
                // Exchange's POP3 says so to USER where it wants TLS first (Set-PopSettings -LoginType).
                Encryption::None if said(fault).contains("not valid in this state") => "secure-logon",
                _ if self.is_exchange() => "exchange-password-refused",
                _ => "password-refused",
            };
        }
        if let Some(explained) = self.of_claims() {
            return explained;
        }
        match account.authentication {
            // An app's own token is Entra's, and the mailbox Exchange Online's.
            Authentication::OauthApp { .. } if account.protocol != Protocol::Graph => "service-principal-missing",
            _ => self.as_polls_say(&fault.kind),
        }
    }

    /// What in a token that was refused explains the refusal.
    fn of_claims(&self) -> Option<&'static str> {
        let name = self.differing.first()?.name;
        Some(match name {
            "aud" => "token-audience",
            "roles" => "admin-consent-required",
            "scp" | "scope" => "token-permission",
            "tid" | "iss" => "token-tenant",
            "appid" | "azp" | "client_id" => "token-other-app",
            "iat" | "exp" => "token-ended",
            _ => return None,
        })
    }

    fn sends_with_own_password(&self) -> bool {
        self.forwarding.is_some_and(|forwarding| matches!(forwarding.login, RelayLogin::Password { .. }))
    }

    fn opens_with_password(&self) -> bool {
        matches!(self.item.account.authentication, Authentication::Password { .. })
    }

    fn is_exchange(&self) -> bool {
        self.trail.said(Rung::Greeting).contains("Microsoft Exchange")
    }
}

fn of_greeting(fault: &MailboxFault) -> &'static str {
    match fault.kind {
        FaultKind::Protocol("it logged us in, as somebody, before we said who we are") => "preauth",
        // RFC 5321 §3.1.
        _ if said(fault).starts_with("220") => "smtp-answers",
        _ => "wrong-protocol",
    }
}

fn said(fault: &MailboxFault) -> &str {
    fault.said.as_deref().unwrap_or_default()
}
