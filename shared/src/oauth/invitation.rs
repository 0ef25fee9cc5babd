//! The link that starts a connection: signed, with an end, reusable until somebody connects the account
//! (mail scanners fetch links, so a link that works once would be spent before a person sees it).

use super::SigningKey;
use crate::account::{AccountId, AppId};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};

const LABEL: &str = "invitation";
const CONSENT: &str = "consent";

/// Why a link does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It was not signed for this account, or somebody has connected it since.
    #[error("this link was not made for this account, or somebody has connected it since: ask for a new one")]
    Forged,
    /// Its end has passed.
    #[error("this link has expired: ask for a new one")]
    Expired,
}

/// An invitation to connect an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    end: i64,
}

impl Invitation {
    /// The longest life of a link.
    pub const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);

    /// Ends seven days from now.
    pub fn new(now: Timestamp) -> Self {
        Self { end: now.as_second() + Self::LIFE.as_secs() }
    }

    /// The text of the query, to connect an account: `{end}.{signature}`.
    pub fn sign(self, key: &SigningKey, account: &AccountId, connection: u64) -> String {
        self.write(key, LABEL, &[account.as_str(), &connection.to_string()])
    }

    /// The same, for an administrator to consent to an app. It may be used again: consent given twice is consent.
    pub fn sign_consent(self, key: &SigningKey, app: &AppId) -> String {
        self.write(key, CONSENT, &[app.as_str()])
    }

    /// Checks the text of a query.
    pub fn verify(
        text: &str,
        key: &SigningKey,
        account: &AccountId,
        connection: u64,
        now: Timestamp,
    ) -> Result<(), InvitationError> {
        Self::read(text, key, LABEL, &[account.as_str(), &connection.to_string()], now)
    }

    /// Checks the text of a query for consent.
    pub fn verify_consent(text: &str, key: &SigningKey, app: &AppId, now: Timestamp) -> Result<(), InvitationError> {
        Self::read(text, key, CONSENT, &[app.as_str()], now)
    }

    fn write(self, key: &SigningKey, label: &str, fields: &[&str]) -> String {
        let end = self.end.to_string();
        let fields: Vec<&str> = fields.iter().copied().chain([end.as_str()]).collect();
        format!("{end}.{}", BASE64_URL_SAFE_NO_PAD.encode(key.sign(label, &fields)))
    }

    fn read(text: &str, key: &SigningKey, label: &str, fields: &[&str], now: Timestamp) -> Result<(), InvitationError> {
        let (end, tag) = text.split_once('.').ok_or(InvitationError::Forged)?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).map_err(|_| InvitationError::Forged)?;
        let fields: Vec<&str> = fields.iter().copied().chain([end]).collect();
        if !key.verify(label, &fields, &tag) {
            return Err(InvitationError::Forged);
        }
        match end.parse::<i64>() {
            Ok(end) if now.as_second() < end => Ok(()),
            Ok(_) => Err(InvitationError::Expired),
            Err(_) => Err(InvitationError::Forged),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_link_opens_one_account_of_one_connection_until_its_end() {
        let key = SigningKey::new(&"k".repeat(40).into()).unwrap();
        let (account, other): (AccountId, AccountId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let now = Timestamp::from_second(1_000_000).unwrap();
        let link = Invitation::new(now).sign(&key, &account, 3);
        let check = |text: &str, account, connection, at: i64| {
            Invitation::verify(text, &key, account, connection, Timestamp::from_second(at).unwrap())
        };
        let end = 1_000_000 + 7 * 86_400;
        assert_eq!(check(&link, &account, 3, 1_000_001), Ok(()));
        assert_eq!(check(&link, &account, 3, end - 1), Ok(()));
        assert_eq!(check(&link, &account, 3, end), Err(InvitationError::Expired));
        assert_eq!(check(&link, &account, 4, 1_000_001), Err(InvitationError::Forged));
        assert_eq!(check(&link, &other, 3, 1_000_001), Err(InvitationError::Forged));
        let later = link.replacen(&end.to_string(), &(end + 1).to_string(), 1);
        assert_eq!(check(&later, &account, 3, 1_000_001), Err(InvitationError::Forged));
        for text in ["", ".", "1", "1.", "x.y", &format!("{end}.")] {
            assert_eq!(check(text, &account, 3, 1_000_001), Err(InvitationError::Forged), "{text}");
        }
    }

    #[test]
    fn a_link_for_consent_opens_one_app_and_no_account() {
        let key = SigningKey::new(&"k".repeat(40).into()).unwrap();
        let now = Timestamp::from_second(1_000_000).unwrap();
        let link = Invitation::new(now).sign_consent(&key, &"a".parse().unwrap());
        let check = |app: &str, at| {
            Invitation::verify_consent(&link, &key, &app.parse().unwrap(), Timestamp::from_second(at).unwrap())
        };
        assert_eq!(check("a", 1_000_001), Ok(()));
        assert_eq!(check("b", 1_000_001), Err(InvitationError::Forged));
        assert_eq!(check("a", 1_000_000 + 7 * 86_400), Err(InvitationError::Expired));
        assert_eq!(
            Invitation::verify(&link, &key, &"a".parse().unwrap(), 0, now),
            Err(InvitationError::Forged),
            "a link for consent connects nothing"
        );
    }
}
