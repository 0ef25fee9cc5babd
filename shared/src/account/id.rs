//! Names the operator gives: `[a-z0-9][a-z0-9-]{0,62}`.

use ring::digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that is not `[a-z0-9][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no valid id: use 1 to 63 of a-z, 0-9 and -, starting with a letter or digit")]
pub struct InvalidId(String);

fn check(text: &str) -> Result<(), InvalidId> {
    let valid = (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    // What is quoted back is bounded and escaped by `{:?}`: it may come from a URL.
    if valid { Ok(()) } else { Err(InvalidId(text.chars().take(80).collect())) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                check(&text).map(|()| Self(text))
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The name of an account: one mailbox.
    AccountId
}

impl AccountId {
    /// A number of seconds from 0 to below `range`, always the same for this account: what would come for many at one time
    /// is spread by it.
    pub fn spread(&self, range: i64) -> i64 {
        let hash = digest::digest(&digest::SHA256, self.as_str().as_bytes());
        let part = hash.as_ref().iter().take(4).fold(0, |part, byte| part << 8 | i64::from(*byte));
        (part * range) >> 32
    }
}
id! {
    /// The name of an app: one registration at an identity provider.
    AppId
}
id! {
    /// The name of a list: the stream of mail that standings belong to.
    ListId
}
id! {
    /// The name of an operator's rule.
    RuleId
}
id! {
    /// The name of a key of the API.
    KeyId
}

id! {
    /// The name of a route: how the mail of some deliveries goes out.
    RouteId
}

id! {
    /// The name of an endpoint: one receiver of events.
    EndpointId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_at_the_edge() {
        for good in ["a", "0", "bounces-2", &"x".repeat(63)] {
            assert!(good.parse::<AccountId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "é", "a#b", &"x".repeat(64)] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad}");
        }
    }
}
