//! Why a mailbox was not connected, and what the result page says of it.

use crate::account::AccountId;
use crate::advice;
use crate::grant::GrantFault;
use crate::mailbox::MailboxFault;
use crate::oauth::{IdTokenError, Principal, Refusal};
use crate::poll::state_and_advice_for;
use crate::table::{AccountItem, AuthorizationOutcome, TableError};
use crate::vault::VaultError;

/// Why a mailbox was not connected.
#[derive(Debug)]
pub enum Failed {
    /// The provider sent a refusal in place of a code.
    Provider(Box<Refusal>),
    /// No tokens were had, or they could not be kept.
    Grant(GrantFault),
    /// The answer carries neither what was asked for nor an error.
    NoCode,
    /// The answer names another issuer than the provider that was asked (RFC 9207 §2.4): a mix-up.
    OtherProvider,
    /// It is not proven who signed in.
    WhoSignedIn(IdTokenError),
    /// Somebody else than who had connected it.
    WrongPerson {
        /// How they call themselves.
        signed_in: String,
    },
    /// The token does not open the mailbox.
    Mailbox {
        /// What the mail server said.
        fault: Box<MailboxFault>,
        /// What it means, by its id.
        advice: &'static str,
        /// How the person calls themselves.
        signed_in: String,
    },
    /// Somebody else connected the account while this person signed in.
    Superseded,
    /// The account, or its app, was removed meanwhile.
    Gone(AccountId),
    /// Our own stores.
    Ours(String),
}

impl From<GrantFault> for Failed {
    fn from(fault: GrantFault) -> Self {
        Self::Grant(fault)
    }
}

impl From<TableError> for Failed {
    fn from(error: TableError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<VaultError> for Failed {
    fn from(error: VaultError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl Failed {
    /// A server does not say why it opens no mailbox; who signed in narrows it down.
    pub(super) fn unopened(fault: MailboxFault, item: &AccountItem, principal: &Principal) -> Self {
        let advice = state_and_advice_for(item, &fault.kind, Some(&principal.name)).1;
        Self::Mailbox { fault: Box::new(fault), advice, signed_in: principal.name.clone() }
    }

    /// What is kept of it for the result page. A fault of our own is logged here, where it is handled.
    pub fn outcome(self) -> AuthorizationOutcome {
        let (advice, said, who) = match self {
            Self::Provider(refusal) => (advice::for_refusal(&refusal).id, Some(refusal.to_string()), None),
            Self::Grant(fault) => (fault.health().1, Some(fault.to_string()), None),
            Self::NoCode => ("request-refused", None, None),
            // The name it gives is whoever's it is who made the answer, so it is not repeated.
            Self::OtherProvider => ("other-provider", None, None),
            Self::WhoSignedIn(error) => ("not-who-signed-in", Some(error.to_string()), None),
            Self::WrongPerson { signed_in } => ("wrong-person", None, Some(signed_in)),
            Self::Mailbox { fault, advice, signed_in } => (advice, Some(fault.to_string()), Some(signed_in)),
            Self::Superseded => ("superseded", None, None),
            Self::Gone(id) => ("request-refused", Some(format!("there is no account {id} any more")), None),
            Self::Ours(error) => {
                tracing::error!(error, "our own store failed while a mailbox was being connected");
                ("our-store", None, None)
            }
        };
        AuthorizationOutcome { connected: false, who, advice: Some(advice.to_owned()), said }
    }
}
