//! What came back, folded: each address once, by the gravest that is known of it.

use super::{Came, Class};
use crate::report::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Addresses of a delivery, or of one destination of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Mails sent, as the sender told it; 0 where it did not.
    pub sent: u64,
    /// Dead addresses.
    pub hard: u64,
    /// Errors of the address that may pass.
    pub soft: u64,
    /// Refused for the sender or the content.
    pub refused: u64,
    /// Complaints.
    pub complaints: u64,
    /// Automatic replies.
    pub auto_replies: u64,
    /// Deliveries that a server confirmed.
    pub confirmed: u64,
}

impl Counts {
    /// Mails that did not arrive.
    pub fn failed(&self) -> u64 {
        self.hard + self.soft + self.refused
    }

    /// What did not come back, where the sender told how many it sent. It counts as delivered here; a standing is cleared by
    /// a delivery that was confirmed alone.
    pub fn delivered(&self) -> Option<u64> {
        (self.sent > 0).then(|| self.sent.saturating_sub(self.failed()))
    }

    /// A number's share of what was sent.
    pub fn rate(&self, number: u64) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a share of four decimals")]
        (self.sent > 0).then(|| (number as f64 * 10_000.0 / self.sent as f64).round() / 10_000.0)
    }

    fn add(&mut self, whose: &Whose) {
        match whose.failure {
            Some((Class::Hard, _)) => self.hard += 1,
            Some((Class::Soft, _)) => self.soft += 1,
            Some(_) => self.refused += 1,
            // What was refused somewhere behind the server that confirmed it did not arrive.
            None => self.confirmed += u64::from(whose.confirmed),
        }
        self.complaints += u64::from(whose.complained);
        self.auto_replies += u64::from(whose.replied);
    }
}

/// What came back of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of it.
    pub total: Counts,
    /// By destination.
    pub domains: BTreeMap<String, Counts>,
    /// Failures by reason.
    pub reasons: BTreeMap<Reason, u64>,
}

/// What is known of one address.
#[derive(Default)]
struct Whose {
    domain: String,
    /// The gravest, and of its reasons the first.
    failure: Option<(Class, Reason)>,
    confirmed: bool,
    complained: bool,
    replied: bool,
}

/// Folds what came back, in any order and any number of times. `sent` is what was told by destination, `total` what was told
/// in all.
pub fn tally(total: u64, sent: &BTreeMap<String, u32>, came: impl IntoIterator<Item = Came>) -> Tally {
    let mut all: BTreeMap<String, Whose> = BTreeMap::new();
    for came in came {
        let whose = all.entry(came.who).or_default();
        whose.domain = came.domain;
        match came.class {
            Class::AutoReply => whose.replied = true,
            Class::Complaint => whose.complained = true,
            Class::Confirmed => whose.confirmed = true,
            class => {
                let graver =
                    whose.failure.is_none_or(|(held, reason)| class > held || class == held && came.reason < reason);
                if graver {
                    whose.failure = Some((class, came.reason));
                }
            }
        }
    }
    let mut done = Tally { total: Counts { sent: total, ..Counts::default() }, ..Tally::default() };
    for (domain, sent) in sent {
        done.domains.entry(domain.clone()).or_default().sent = u64::from(*sent);
    }
    for whose in all.values() {
        done.total.add(whose);
        done.domains.entry(whose.domain.clone()).or_default().add(whose);
        if let Some((_, reason)) = whose.failure {
            *done.reasons.entry(reason).or_default() += 1;
        }
    }
    done
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn came(class: Class, reason: Reason, who: &str) -> Came {
        Came { class, reason, domain: "example.net".into(), who: who.into() }
    }

    #[test]
    fn each_address_counts_once_by_the_gravest() {
        let sent = [("example.net".to_owned(), 10), ("example.org".to_owned(), 5)].into();
        let done = tally(
            15,
            &sent,
            [
                came(Class::Soft, Reason::MailboxFull, "a"),
                came(Class::Hard, Reason::UserUnknown, "a"),
                came(Class::Hard, Reason::HostUnknown, "a"),
                came(Class::Refused, Reason::SpamDetected, "b"),
                came(Class::Confirmed, Reason::Delivered, "b"),
                came(Class::Confirmed, Reason::Delivered, "c"),
                came(Class::Complaint, Reason::Feedback, "c"),
                came(Class::AutoReply, Reason::Vacation, "d"),
            ],
        );
        let expected = Counts { sent: 15, hard: 1, soft: 0, refused: 1, complaints: 1, auto_replies: 1, confirmed: 1 };
        assert_eq!(done.total, expected);
        assert_eq!((done.total.failed(), done.total.delivered(), done.total.rate(1)), (2, Some(13), Some(0.0667)));
        assert_eq!(done.domains["example.net"], Counts { sent: 10, ..expected });
        assert_eq!(done.domains["example.org"], Counts { sent: 5, ..Counts::default() });
        assert_eq!(done.reasons, [(Reason::UserUnknown, 1), (Reason::SpamDetected, 1)].into());
        let untold = tally(0, &BTreeMap::new(), [came(Class::Hard, Reason::UserUnknown, "a")]);
        assert_eq!((untold.total.delivered(), untold.total.rate(1)), (None, None));
    }

    fn some() -> impl Strategy<Value = Vec<Came>> {
        let classes = [Class::AutoReply, Class::Complaint, Class::Confirmed, Class::Refused, Class::Soft, Class::Hard];
        let one = (0..classes.len(), 0..Reason::ALL.len(), 0..6u8);
        let one = one.prop_map(move |(class, reason, who)| came(classes[class], Reason::ALL[reason], &who.to_string()));
        prop::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn any_order_and_any_number_of_times_give_one_tally(all in some(), again in prop::collection::vec(0..40usize, 0..20)) {
            let once = tally(9, &BTreeMap::new(), all.clone());
            let mut more = all.clone();
            more.extend(again.iter().filter_map(|at| all.get(*at)).cloned());
            more.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(&tally(9, &BTreeMap::new(), more), &once);
            // Each address fails once at most.
            prop_assert!(once.total.failed() + once.total.confirmed <= 6);
        }
    }
}
