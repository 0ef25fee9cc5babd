//! Was this our message? A bounce that suppresses must be believed. Pure: key and time are arguments.
//!
//! `ours` looks at what the returned message says of itself: it stops backscatter, not somebody who knows the domain.
//! `signed` is a return address made by us for one recipient of one list at one time ([`tag`]).

pub mod tag;

use crate::account::ListId;
use crate::oauth::SigningKey;
use crate::report::{Outcome, Report};
use crate::standing::AddressKey;
use serde::{Deserialize, Serialize};
use tag::{Checked, Mark};

/// How much a bounce must prove, or has proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing.
    None,
    /// The returned message is of a domain that the account sends as, or its sender told that it was sent.
    #[default]
    Ours,
    /// It came back to an address that we signed.
    Signed,
}

impl Level {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ours => "ours",
            Self::Signed => "signed",
        }
    }
}

/// Why a bounce proved no more than it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// The account names no domain that it sends as.
    NoDomains,
    /// Nothing of the returned message came back that would name its domain.
    NothingReturned,
    /// The returned message is of another domain.
    NotOurs,
    /// The return address is signed, and not by us for this recipient: forged, damaged, or of another one.
    Forged,
    /// The return address is signed for another list than its mailbox belongs to.
    OtherList,
    /// The return address was signed too long ago, or in the future.
    Expired,
}

impl Doubt {
    /// A sentence for whoever asks why a bounce was not believed.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoDomains => "the account names no domain that it sends as (`rebond account sends-as`)",
            Self::NothingReturned => "nothing of the returned message names its domain",
            Self::NotOurs => "the returned message is of a domain that the account does not send as",
            Self::Forged => "its signed address was not made here for this recipient",
            Self::OtherList => "its signed address belongs to another list than the mailbox",
            Self::Expired => "its signed address is too old",
        }
    }
}

/// What one outcome has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// How much.
    pub level: Level,
    /// Why no more.
    pub doubt: Option<Doubt>,
    /// Whom it is about: the recipient that the return address names, or else the one that the report names.
    pub address: AddressKey,
    /// The list that a signed address was made for, or that the message was told to be of.
    pub list: Option<ListId>,
    /// What it is counted once by, where its address is signed, and the time of the mail (seconds since 1970).
    pub signed: Option<(String, i64)>,
}

impl Proof {
    /// Whether it is as much as a list asks for. A signed address that is not good is good for nothing, also where
    /// nothing is asked for.
    pub fn satisfies(&self, asked: Level) -> bool {
        let bad = matches!(self.doubt, Some(Doubt::Forged | Doubt::OtherList | Doubt::Expired));
        self.level >= asked && !bad
    }
}

/// What the sender of a message told of it, found again by its Message-ID or the like ([`crate::delivery`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whom it was sent to, where that was one address.
    pub address: Option<AddressKey>,
    /// The list of its delivery.
    pub list: ListId,
}

/// What outcomes are judged by.
pub struct Judge<'a> {
    /// Domains that the account sends as.
    pub sends_as: &'a [String],
    /// The lists there are: those that a return address may have been signed for.
    pub lists: &'a [ListId],
    /// The list of the account, where one names it: no other list's proof is good here.
    pub bound: Option<&'a ListId>,
    /// The deployment's key.
    pub key: &'a SigningKey,
}

impl Judge<'_> {
    /// What an outcome of a report that arrived at `arrived` proves; none where nobody could have its address. `known` is what
    /// was told of the returned message. `age` is how old a signed address of that list may be, in seconds.
    pub fn judge(
        &self,
        report: &Report,
        outcome: &Outcome,
        arrived: i64,
        known: Option<&Known>,
        age: impl Fn(&ListId) -> i64,
    ) -> Option<Proof> {
        let named: Option<AddressKey> = outcome.address.parse().ok();
        let (level, doubt) = match (known, self.is_ours(report)) {
            (Some(_), _) | (None, Ok(())) => (Level::Ours, None),
            (None, Err(doubt)) => (Level::None, Some(doubt)),
        };
        let list = known.map(|known| known.list.clone());
        let told = known.and_then(|known| known.address.clone());
        let plain = |address| Proof { level, doubt, address, list: list.clone(), signed: None };
        let mut mark = None;
        for written in return_addresses(report) {
            match tag::read(written) {
                Some(Mark::Signed(stamp)) => {
                    mark = Some(Mark::Signed(stamp));
                    break;
                }
                found => mark = mark.or(found),
            }
        }
        // What a mark says of the recipient holds for the only one that a report has, or for the one that it names.
        let only = report.recipients.len() == 1;
        let about = |said: &Option<AddressKey>| match (said, &named) {
            (Some(said), Some(named)) if said == named || only => Some(said.clone()),
            (Some(said), None) if only => Some(said.clone()),
            _ => named.clone(),
        };
        let stamp = match mark {
            Some(Mark::Signed(stamp)) => stamp,
            // What was told is the sender's word; a plain mark is anybody's.
            Some(Mark::Verp { recipient }) => return about(&told.or(Some(recipient))).map(plain),
            Some(Mark::Batv { .. }) | None => return about(&told).map(plain),
        };
        let address = about(&stamp.recipient)?;
        // A signed address that is not good is worse than none: somebody made it up, or it is long over.
        let refused = |doubt| Proof { level: Level::None, doubt: Some(doubt), list: None, ..plain(address.clone()) };
        Some(match stamp.check(self.key, &address, self.lists, arrived, age) {
            Checked::Good(list) if self.bound.is_some_and(|bound| *bound != list) => refused(Doubt::OtherList),
            Checked::Good(list) => {
                let signed = Some((stamp.token().to_owned(), stamp.at()));
                Proof { level: Level::Signed, doubt: None, address, list: Some(list), signed }
            }
            Checked::Expired => refused(Doubt::Expired),
            Checked::Forged => refused(Doubt::Forged),
        })
    }

    /// Whether the returned message says that it is of a domain that the account sends as, or of a name below it.
    fn is_ours(&self, report: &Report) -> Result<(), Doubt> {
        if self.sends_as.is_empty() {
            return Err(Doubt::NoDomains);
        }
        let original = report.original.as_ref();
        let said = [
            original.and_then(|o| o.message_id.as_deref()),
            original.and_then(|o| o.return_path.as_deref()),
            report.feedback.as_ref().and_then(|f| f.original_mail_from.as_deref()),
        ];
        let mut any = false;
        for written in said.into_iter().flatten() {
            let Some((_, domain)) = written.trim_matches(['<', '>', ' ']).rsplit_once('@') else { continue };
            any = true;
            let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
            if self.sends_as.iter().any(|ours| is_below(&domain, ours)) {
                return Ok(());
            }
        }
        Err(if any { Doubt::NotOurs } else { Doubt::NothingReturned })
    }
}

fn is_below(domain: &str, ours: &str) -> bool {
    let ours = idna::domain_to_ascii(ours).unwrap_or_else(|_| ours.to_lowercase());
    domain == ours || domain.strip_suffix(&ours).is_some_and(|rest| rest.ends_with('.'))
}

/// Where a mark may stand: the address that the report came to, and what the returned message says it left under.
fn return_addresses(report: &Report) -> impl Iterator<Item = &str> {
    let original = report.original.as_ref().and_then(|o| o.return_path.as_deref());
    let feedback = report.feedback.as_ref().and_then(|f| f.original_mail_from.as_deref());
    [report.returned_to.as_deref(), original, feedback].into_iter().flatten()
}

#[cfg(test)]
mod tests;
