//! What came back of one mail, without whom it was sent to.

use super::DeliveryId;
use crate::oauth::sha256_hex;
use crate::report::{Action, Kind, Outcome, Reason, Report};
use crate::standing::{self, AddressKey, Effect};
use std::fmt;

/// What an outcome is to its delivery; of the failures the gravest comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A machine answered for the person.
    AutoReply,
    /// The person complained.
    Complaint,
    /// A server confirmed that it arrived.
    Confirmed,
    /// Refused for its sender or its content: nothing is wrong with the address.
    Refused,
    /// An error of the address that may pass.
    Soft,
    /// The address is dead.
    Hard,
}

impl Class {
    const ALL: [(Self, &'static str); 6] = [
        (Self::AutoReply, "auto-reply"),
        (Self::Complaint, "complaint"),
        (Self::Confirmed, "confirmed"),
        (Self::Refused, "refused"),
        (Self::Soft, "soft"),
        (Self::Hard, "hard"),
    ];

    /// What an outcome of a report is; none where it says nothing about how the mail ended.
    pub fn of(report: &Report, outcome: &Outcome) -> Option<Self> {
        match standing::effect(report, outcome) {
            Some(Effect::Hard) => Some(Self::Hard),
            Some(Effect::Soft) => Some(Self::Soft),
            Some(Effect::Complaint) => Some(Self::Complaint),
            Some(Effect::Success) => Some(Self::Confirmed),
            None if report.kind == Kind::AutoReply => Some(Self::AutoReply),
            None if report.kind == Kind::Bounce && matches!(outcome.action, None | Some(Action::Failed)) => {
                Some(Self::Refused)
            }
            None => None,
        }
    }

    /// Whether the mail did not arrive.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Refused | Self::Soft | Self::Hard)
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(class, _)| *class == self).map_or("", |(_, word)| word)
    }
}

/// What came back of one mail of a delivery. Its text is `class reason domain who`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Came {
    /// What it is.
    pub class: Class,
    /// Why.
    pub reason: Reason,
    /// Where it was sent: what stands behind the `@`.
    pub domain: String,
    /// Tells the addresses of one delivery apart, and says no more about them.
    pub who: String,
}

impl Came {
    /// What came back of the mail to an address.
    pub fn new(of: &DeliveryId, address: &AddressKey, class: Class, reason: Reason) -> Self {
        Self { class, reason, domain: address.domain().to_owned(), who: Self::who(of, address) }
    }

    /// An address as one delivery knows it: 64 bits of a hash of both.
    pub fn who(of: &DeliveryId, address: &AddressKey) -> String {
        let mut hash = sha256_hex(format!("{of}\n{address}").as_bytes());
        hash.truncate(16);
        hash
    }

    /// By its text; none where another version wrote it.
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (class, reason, domain, who) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let class = Class::ALL.iter().find(|(_, word)| *word == class)?.0;
        let reason = *Reason::ALL.iter().find(|known| known.as_str() == reason)?;
        Some(Self { class, reason, domain: domain.to_owned(), who: who.to_owned() })
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.class.as_str(), self.reason.as_str(), self.domain, self.who)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_names_nobody() {
        let (march, april): (DeliveryId, DeliveryId) = ("march".parse().unwrap(), "april".parse().unwrap());
        let jane: AddressKey = "jane@example.org".parse().unwrap();
        for (class, _) in Class::ALL {
            for reason in Reason::ALL {
                let came = Came::new(&march, &jane, class, *reason);
                assert_eq!(Came::read(&came.to_string()), Some(came.clone()));
                assert!(!came.to_string().contains("jane"), "{came}");
            }
        }
        assert_ne!(Came::who(&march, &jane), Came::who(&april, &jane), "nobody is followed from one to another");
        assert_eq!(Came::read("hard"), None);
        assert_eq!(Came::read("worse user-unknown example.org 00"), None);
    }
}
