#![allow(clippy::unwrap_used)]
use super::*;
use crate::account::AccountId;
use crate::proof::Level;
use crate::report::Reason;
use proptest::prelude::*;

const DAY: i64 = 86_400;

fn account() -> AccountId {
    "bounces".parse().unwrap()
}

/// An outcome of the report of a day.
fn cause(day: i64, number: usize, (effect, believed): (Effect, bool)) -> Cause {
    Cause {
        at: 1_700_000_000 + day * DAY,
        token: None,
        effect,
        believed,
        proof: Level::Ours,
        doubt: None,
        reason: Reason::UserUnknown,
        status: None,
        said: None,
        template: None,
        rule: None,
        account: account(),
        report: report(day),
        number,
    }
}

fn report(day: i64) -> String {
    format!("{day:064}")
}

/// One reading of a report: what each of its outcomes says of the address.
type Reading = Vec<(Effect, bool)>;

fn causes(day: usize, reading: &Reading) -> Vec<Cause> {
    let day = i64::try_from(day).unwrap();
    reading.iter().enumerate().map(|(number, said)| cause(day, number, *said)).collect()
}

fn history<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> History {
    let mut history = History::default();
    for (day, reading) in readings.into_iter().enumerate() {
        for cause in causes(day, reading) {
            history.add(cause);
        }
    }
    history
}

fn reading() -> impl Strategy<Value = Reading> {
    let effect = prop_oneof![Just(Effect::Soft), Just(Effect::Hard), Just(Effect::Complaint)];
    prop::collection::vec((effect, prop::bool::weighted(0.8)), 0..3)
}

proptest! {
    #[test]
    fn read_again_in_any_order_and_any_number_of_times_it_is_as_if_it_had_been_read_so_at_first(
        readings in prop::collection::vec((reading(), reading()), 0..4),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let (old, new): (Vec<Reading>, Vec<Reading>) = readings.into_iter().unzip();
        let before = history(&old);
        let mut now = before.clone();
        let days = order.iter().filter(|_| !new.is_empty()).map(|index| index.index(new.len())).chain(0..new.len());
        for day in days {
            now.replace(&account(), &report(i64::try_from(day).unwrap()), &causes(day, &new[day]));
        }
        prop_assert_eq!(&now, &history(&new));
        for day in 0..new.len() {
            let changed = now.replace(&account(), &report(i64::try_from(day).unwrap()), &causes(day, &new[day]));
            prop_assert!(!changed, "once more changes nothing");
        }
        for (day, reading) in old.iter().enumerate() {
            now.replace(&account(), &report(i64::try_from(day).unwrap()), &causes(day, reading));
        }
        prop_assert_eq!(&now, &before, "and back");
    }
}

#[test]
fn what_was_taken_back_stays_taken_back_and_another_account_keeps_its_own() {
    let mut of = history([&vec![(Effect::Hard, true)]]);
    let elsewhere = Cause { account: "other".parse().unwrap(), ..cause(0, 7, (Effect::Soft, true)) };
    of.add(elsewhere.clone());
    assert!(of.take_back(&cause(0, 0, (Effect::Hard, true))));
    // The same refusal, second now of what the report says.
    let again = cause(0, 1, (Effect::Hard, true));
    assert!(of.replace(&account(), &report(0), std::slice::from_ref(&again)));
    assert!(of.causes.contains(&again) && of.causes.contains(&elsewhere));
    assert!(!of.counts(&again) && of.counts(&elsewhere));
    assert!(!of.replace(&account(), &report(0), &[again]), "once");
    assert!(of.replace(&account(), &report(0), &[]));
    assert_eq!(of.causes, [elsewhere]);
}
