//! What will end by itself unless somebody acts, and when.

use jiff::{SignedDuration, Timestamp};

/// How long Entra keeps a refresh token that nobody uses: Microsoft, "Refresh tokens in the Microsoft identity platform".
pub const IDLE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Days before the end at which it is told.
pub const TOLD_AT_DAYS: [i64; 3] = [30, 7, 1];

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The grant, for not having been renewed.
    Grant,
    /// The app's client secret or certificate.
    Credential,
}

impl Ending {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Credential => "credential",
        }
    }
}

/// One end that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// What ends.
    pub ending: Ending,
    /// When.
    pub ends: Timestamp,
}

impl Forecast {
    /// The end of a grant that was last renewed then, in seconds since 1970.
    pub fn of_grant(renewed: i64) -> Option<Self> {
        let ends = Timestamp::from_second(renewed).ok()?.checked_add(IDLE).ok()?;
        Some(Self { ending: Ending::Grant, ends })
    }

    /// The end of a client secret or certificate.
    pub fn of_credential(ends: Timestamp) -> Self {
        Self { ending: Ending::Credential, ends }
    }

    /// Whole days left; negative when it has ended.
    pub fn days_left(self, now: Timestamp) -> i64 {
        (self.ends.as_second() - now.as_second()).div_euclid(86_400)
    }

    /// Which warning is due: 30, 7 or 1 days before the end, the nearest one that has come; none before, and none after
    /// the end, which is a fault of its own.
    pub fn warning(self, now: Timestamp) -> Option<i64> {
        let left = self.ends.as_second() - now.as_second();
        TOLD_AT_DAYS.into_iter().rev().find(|days| left > 0 && left <= days * 86_400)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_warning_is_due_thirty_seven_and_one_day_before() {
        let day = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let forecast = Forecast::of_grant(0).unwrap();
        assert_eq!(forecast.ends, day(90));
        for (today, warning) in [
            (0, None),
            (59, None),
            (60, Some(30)),
            (82, Some(30)),
            (83, Some(7)),
            (88, Some(7)),
            (89, Some(1)),
            (90, None),
        ] {
            assert_eq!(forecast.warning(day(today)), warning, "day {today}");
            assert_eq!(forecast.days_left(day(today)), 90 - today);
        }
    }
}
