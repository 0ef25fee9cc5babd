//! What will end by itself unless somebody acts, and when.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long Entra keeps a refresh token that nobody uses: Microsoft, "Refresh tokens in the Microsoft identity platform".
pub const IDLE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Days before the end at which it is told.
pub const TOLD_AT_DAYS: [i64; 3] = [30, 7, 1];

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The grant, for not having been renewed.
    Grant,
    /// The grant, by a sign-in frequency policy that ended an earlier one after the same time.
    SignIn,
    /// The app's client secret or certificate.
    Credential,
}

impl Ending {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::SignIn => "sign-in",
            Self::Credential => "credential",
        }
    }
}

/// A sign-in that a sign-in frequency policy ended. That it was one is told by the provider's number, so nothing is decided
/// by it but what is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInEnded {
    /// When the person had signed in, in seconds since 1970.
    pub began: i64,
    /// When a renewal was first refused.
    pub ended: i64,
}

/// One end that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// What ends.
    pub ending: Ending,
    /// When.
    pub ends: Timestamp,
    /// How long it lasts in all, in seconds; none where that is not known.
    lasts: Option<i64>,
}

impl Forecast {
    /// The end of a grant that was last renewed then, in seconds since 1970.
    pub fn of_grant(renewed: i64) -> Option<Self> {
        let ends = Timestamp::from_second(renewed).ok()?.checked_add(IDLE).ok()?;
        Some(Self { ending: Ending::Grant, ends, lasts: Some(IDLE.as_secs()) })
    }

    /// The end of a sign-in of then, if it lasts as long as an earlier one did that a sign-in frequency policy ended; all in
    /// seconds since 1970. A renewal after that end has shown that it lasts longer now.
    pub fn of_sign_in(began: i64, earlier: SignInEnded, renewed: Option<i64>) -> Option<Self> {
        let lasts = earlier.ended.checked_sub(earlier.began).filter(|lasts| *lasts > 0)?;
        let ends = began.checked_add(lasts)?;
        if began == earlier.began || renewed.is_some_and(|renewed| renewed > ends) {
            return None;
        }
        Some(Self { ending: Ending::SignIn, ends: Timestamp::from_second(ends).ok()?, lasts: Some(lasts) })
    }

    /// The end of a client secret or certificate.
    pub fn of_credential(ends: Timestamp) -> Self {
        Self { ending: Ending::Credential, ends, lasts: None }
    }

    /// Whole days left; negative when it has ended.
    pub fn days_left(self, now: Timestamp) -> i64 {
        (self.ends.as_second() - now.as_second()).div_euclid(86_400)
    }

    /// Which warning is due: 30, 7 or 1 days before the end, the nearest one that has come; none before, and none after
    /// the end, which is a fault of its own. What lasts no longer than that is not warned of from its beginning.
    pub fn warning(self, now: Timestamp) -> Option<i64> {
        let left = self.ends.as_second() - now.as_second();
        let told =
            |days: &i64| left > 0 && left <= days * 86_400 && self.lasts.is_none_or(|lasts| lasts > days * 86_400);
        TOLD_AT_DAYS.into_iter().rev().find(told)
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

    #[test]
    fn a_sign_in_is_expected_to_last_as_long_as_the_one_that_a_policy_ended() {
        let day = 86_400;
        let earlier = SignInEnded { began: day, ended: 15 * day };
        let at = |days: i64| Timestamp::from_second(days * day).unwrap();
        let forecast = Forecast::of_sign_in(20 * day, earlier, Some(20 * day)).unwrap();
        assert_eq!((forecast.ending, forecast.ends), (Ending::SignIn, at(34)));
        for (today, warning) in [(20, None), (26, None), (27, Some(7)), (32, Some(7)), (33, Some(1)), (34, None)] {
            assert_eq!(forecast.warning(at(today)), warning, "day {today}");
        }
        // The one that was ended has ended; one renewed after its time lasts longer; nonsense forecasts nothing.
        assert_eq!(Forecast::of_sign_in(day, earlier, None), None);
        assert!(Forecast::of_sign_in(20 * day, earlier, Some(34 * day)).is_some());
        assert_eq!(Forecast::of_sign_in(20 * day, earlier, Some(34 * day + 1)), None);
        for (began, ended) in [(5, 5), (5, 4), (i64::MIN, i64::MAX)] {
            assert_eq!(Forecast::of_sign_in(20 * day, SignInEnded { began, ended }, None), None);
        }
        // A policy of some hours ends a sign-in before the nearest warning: it is shown, and not told.
        let hours = Forecast::of_sign_in(20 * day, SignInEnded { began: 0, ended: day / 2 }, None).unwrap();
        assert_eq!(hours.warning(at(20)), None);
    }
}
