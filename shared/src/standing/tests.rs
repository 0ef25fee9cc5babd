#![allow(clippy::unwrap_used)]
use super::*;
use crate::proof::Level;
use crate::report::{self, Action, Kind, Outcome, Reason, Report};
use proptest::prelude::*;

const DAY: i64 = 86_400;
/// A Thursday at noon.
const NOON: i64 = 1_700_136_000 / DAY * DAY + DAY / 2;

fn cause(at: i64, effect: Effect, reason: Reason) -> Cause {
    Cause {
        at,
        token: None,
        effect,
        believed: true,
        proof: Level::Ours,
        doubt: None,
        reason,
        status: None,
        said: None,
        template: None,
        rule: None,
        account: "bounces".parse().unwrap(),
        report: format!("{at:064}"),
        number: 0,
    }
}

fn soft(at: i64) -> Cause {
    cause(at, Effect::Soft, Reason::Suspend)
}

fn full(at: i64) -> Cause {
    cause(at, Effect::Soft, Reason::MailboxFull)
}

fn history(causes: impl IntoIterator<Item = Cause>) -> History {
    let mut history = History::default();
    for cause in causes {
        history.add(cause);
    }
    history
}

fn at(history: &History, now: i64) -> Standing {
    read(history, &Thresholds::default(), now)
}

fn state(causes: impl IntoIterator<Item = Cause>, now: i64) -> (State, u32) {
    let standing = at(&history(causes), now);
    (standing.state, standing.errors)
}

fn act(at: i64, deed: Deed) -> Act {
    Act { at: at * 1_000, deed, who: "operator".into(), why: None }
}

/// Six errors, each a day after the one before.
fn six(of: fn(i64) -> Cause) -> Vec<Cause> {
    (0..6).map(|n| of(NOON + n * DAY)).collect()
}

#[test]
fn a_hard_bounce_quarantines_at_once_and_for_good() {
    let of = history([cause(NOON, Effect::Hard, Reason::UserUnknown)]);
    for now in [NOON, NOON + 10 * DAY, NOON + 10_000 * DAY] {
        let standing = at(&of, now);
        assert_eq!((standing.state, standing.since, standing.ends), (State::Quarantined, Some(NOON), None));
        assert_eq!((standing.reason, standing.causes.len()), (Some(Reason::UserUnknown), 1));
        assert!(!standing.state.may_send() && standing.by.is_none());
    }
}

#[test]
fn the_sixth_counted_error_quarantines_and_the_fifth_does_not() {
    let errors = six(soft);
    for counted in 1..=5 {
        let now = errors[counted - 1].at;
        assert_eq!(state(errors[..counted].to_vec(), now), (State::WithErrors, counted as u32));
    }
    assert_eq!(state(errors.clone(), errors[5].at), (State::Quarantined, 6));
    assert_eq!(at(&history(errors.clone()), NOON + 9_999 * DAY).state, State::Quarantined, "never by itself");
    assert_eq!(at(&history(errors.clone()), NOON + 5 * DAY).causes.len(), 6, "with the outcomes that led there");
    let other = Thresholds { soft_errors: 2, ..Thresholds::default() };
    assert_eq!(read(&history(errors[..2].to_vec()), &other, NOON + DAY).state, State::WithErrors);
    assert_eq!(read(&history(errors[..3].to_vec()), &other, NOON + 2 * DAY).state, State::Quarantined);
    let none = Thresholds { soft_errors: 0, ..Thresholds::default() };
    assert_eq!(read(&history([soft(NOON)]), &none, NOON).state, State::Quarantined);
}

#[test]
fn errors_within_a_day_of_the_last_counted_one_are_not_counted() {
    for (gap, counted) in [(1, 1), (DAY - 1, 1), (DAY, 2), (DAY + 1, 2)] {
        assert_eq!(state([soft(NOON), soft(NOON + gap)], NOON + gap).1, counted, "{gap} s apart");
    }
    // Of the last *counted* one: errors every twelve hours count every other time.
    let twice_daily: Vec<Cause> = (0..11).map(|n| soft(NOON + n * DAY / 2)).collect();
    assert_eq!(state(twice_daily[..10].to_vec(), NOON + 5 * DAY), (State::WithErrors, 5));
    assert_eq!(state(twice_daily, NOON + 5 * DAY), (State::Quarantined, 6));
    let other = Thresholds { apart: DAY / 4, ..Thresholds::default() };
    assert_eq!(read(&history([soft(NOON), soft(NOON + DAY / 4 - 1)]), &other, NOON + DAY).errors, 1);
    assert_eq!(read(&history([soft(NOON), soft(NOON + DAY / 4)]), &other, NOON + DAY).errors, 2);
}

#[test]
fn many_errors_a_day_count_once_a_day() {
    let hourly = (0..5 * 24 + 1).map(|n| soft(NOON + n * 3_600));
    let standing = at(&history(hourly.clone()), NOON + 5 * DAY);
    assert_eq!((standing.state, standing.errors), (State::Quarantined, 6), "{standing:?}");
    let four_days = hourly.take(4 * 24 + 1);
    assert_eq!(state(four_days, NOON + 4 * DAY), (State::WithErrors, 5));
}

#[test]
fn the_count_starts_anew_when_the_last_counted_error_is_more_than_ten_days_old() {
    for (gap, expected) in [(10 * DAY - 1, 2), (10 * DAY, 2), (10 * DAY + 1, 1)] {
        assert_eq!(state([soft(NOON), soft(NOON + gap)], NOON + gap), (State::WithErrors, expected), "{gap}");
        let left = if expected == 2 { State::WithErrors } else { State::Valid };
        assert_eq!(state([soft(NOON)], NOON + gap).0, left, "with errors, read {gap} s later");
    }
    assert_eq!(at(&history([soft(NOON)]), NOON).ends, Some(NOON + 10 * DAY + 1));
    // Not the last error: the last counted one.
    let uncounted = [soft(NOON), soft(NOON + DAY - 1), soft(NOON + 10 * DAY + 1)];
    assert_eq!(state(uncounted, NOON + 10 * DAY + 1).1, 1);
    let other = Thresholds { forgotten: 2 * DAY, ..Thresholds::default() };
    assert_eq!(read(&history([soft(NOON)]), &other, NOON + 2 * DAY).state, State::WithErrors);
    assert_eq!(read(&history([soft(NOON)]), &other, NOON + 2 * DAY + 1).state, State::Valid);
}

#[test]
fn a_full_mailbox_leaves_quarantine_thirty_days_after_its_last_error() {
    let errors = six(full);
    let last = errors[5].at;
    for (after, expected) in
        [(30 * DAY - 1, State::Quarantined), (30 * DAY, State::Valid), (30 * DAY + 1, State::Valid)]
    {
        assert_eq!(state(errors.clone(), last + after).0, expected, "{after}");
    }
    assert_eq!(at(&history(errors.clone()), last).ends, Some(last + 30 * DAY));
    // A further error, even one that would not be counted, moves the end.
    let later = last + 3_600;
    let more = errors.iter().cloned().chain([full(later)]);
    assert_eq!(at(&history(more.clone()), later).ends, Some(later + 30 * DAY));
    assert_eq!(state(more, last + 30 * DAY).0, State::Quarantined);
    // The next error after it has left is the first of a new count.
    let again = errors.iter().cloned().chain([full(last + 30 * DAY)]);
    assert_eq!(state(again, last + 30 * DAY), (State::WithErrors, 1));
    // What another reason holds does not leave.
    let other = errors.into_iter().chain([soft(last + DAY)]);
    assert_eq!(at(&history(other), last + 900 * DAY).state, State::Quarantined);
    let sooner = Thresholds { mailbox_full: DAY, ..Thresholds::default() };
    assert_eq!(read(&history(six(full)), &sooner, last + DAY - 1).state, State::Quarantined);
    assert_eq!(read(&history(six(full)), &sooner, last + DAY).state, State::Valid);
}

#[test]
fn a_complaint_denies_and_outranks_what_failed() {
    let complaint = cause(NOON, Effect::Complaint, Reason::Feedback);
    let both = history([complaint, cause(NOON + 1, Effect::Hard, Reason::UserUnknown)]);
    for now in [NOON, NOON + 9_999 * DAY] {
        assert_eq!((at(&both, now).state, at(&both, now).ends), (State::Denied, None));
    }
}

#[test]
fn a_success_clears_soft_errors_before_it_and_nothing_else() {
    let arrived = |at| cause(at, Effect::Success, Reason::Delivered);
    assert_eq!(state([soft(NOON), arrived(NOON + 1)], NOON + 1).0, State::Valid);
    assert_eq!(state([soft(NOON), arrived(NOON - 1)], NOON + 1).0, State::WithErrors);
    assert_eq!(
        state([soft(NOON), arrived(NOON)], NOON + 1).0,
        State::WithErrors,
        "in the same second the error stands"
    );
    assert_eq!(
        state(six(soft).into_iter().chain([arrived(NOON + 2 * DAY + 1)]), NOON + 5 * DAY),
        (State::WithErrors, 3)
    );
    assert_eq!(state(six(soft).into_iter().chain([arrived(NOON + 6 * DAY)]), NOON + 7 * DAY).0, State::Valid);
    let dead = cause(NOON, Effect::Hard, Reason::UserUnknown);
    assert_eq!(state([dead, arrived(NOON + 1)], NOON + 2).0, State::Quarantined);
}

#[test]
fn what_is_not_believed_suppresses_nobody() {
    let forged = |cause: Cause| Cause { believed: false, proof: Level::None, ..cause };
    let mut all: Vec<Cause> = six(soft).into_iter().map(forged).collect();
    all.push(forged(cause(NOON, Effect::Hard, Reason::UserUnknown)));
    all.push(forged(cause(NOON, Effect::Complaint, Reason::Feedback)));
    let of = history(all);
    assert_eq!(at(&of, NOON + 6 * DAY), Standing::default());
    assert!(of.causes.len() >= 6, "recorded all the same: {}", of.causes.len());
    // Nor does it clear anything.
    let success = forged(cause(NOON + DAY, Effect::Success, Reason::Delivered));
    assert_eq!(state([soft(NOON), success], NOON + DAY).0, State::WithErrors);
}

#[test]
fn a_release_covers_what_was_known_and_nothing_later() {
    let mut of = history([cause(NOON, Effect::Hard, Reason::UserUnknown)]);
    assert!(of.decide(act(NOON + 60, Deed::Released)));
    assert!(!of.decide(act(NOON + 60, Deed::Released)), "told twice, it is one");
    let standing = at(&of, NOON + 61);
    assert_eq!((standing.state, standing.by.unwrap().who), (State::Valid, "operator".to_owned()));
    of.add(cause(NOON + 60, Effect::Hard, Reason::UserUnknown));
    assert_eq!(at(&of, NOON + 61).state, State::Valid, "what arrived before it and was recorded late");
    of.add(cause(NOON + 61, Effect::Hard, Reason::UserUnknown));
    assert_eq!(at(&of, NOON + 61).state, State::Quarantined);
}

#[test]
fn persons_deny_quarantine_and_release() {
    let mut of = History::default();
    for (n, (deed, expected)) in [
        (Deed::Quarantined, State::Quarantined),
        (Deed::Denied, State::Denied),
        (Deed::Released, State::Valid),
        (Deed::Denied, State::Denied),
        (Deed::Released, State::Valid),
        (Deed::Quarantined, State::Quarantined),
    ]
    .into_iter()
    .enumerate()
    {
        of.decide(act(NOON + n as i64, deed));
        let standing = at(&of, NOON + 9_999 * DAY);
        assert_eq!((standing.state, standing.ends), (expected, None), "{n}");
        assert_eq!(standing.by.unwrap().deed, deed);
    }
}

fn outcome(reason: Reason, action: Option<Action>) -> Outcome {
    Outcome {
        address: "a@example.org".into(),
        original_address: None,
        final_address: None,
        action,
        status: None,
        reply_code: None,
        reason,
        hard: reason.is_hard(),
        permanent: true,
        diagnostic: None,
        remote_mta: None,
        evidence: report::Evidence::default(),
    }
}

fn of_kind(kind: Kind) -> Report {
    Report { kind, ..Report::default() }
}

#[test]
fn what_is_about_the_sender_or_the_message_is_never_counted() {
    use Reason::*;
    let never = [
        Rejected,
        Blocked,
        BadReputation,
        RequirePtr,
        AuthFailure,
        PolicyViolation,
        SecurityError,
        FailedStarttls,
        SpamDetected,
        VirusDetected,
        ContentError,
        NotCompliantRfc,
        MessageTooBig,
        ExceedLimit,
        Speeding,
        TooManyConnections,
        NoRelaying,
        SyntaxError,
        Suppressed,
        Vacation,
    ];
    let soft = [
        MailboxFull,
        Suspend,
        Filtered,
        SystemFull,
        Expired,
        NetworkError,
        SystemError,
        MailerError,
        OnHold,
        Undefined,
    ];
    let hard = [UserUnknown, HostUnknown, HasMoved, NotAccept];
    assert_eq!(never.len() + soft.len() + hard.len() + 2, Reason::ALL.len(), "every reason is decided");
    for (reasons, expected) in [(&never[..], None), (&soft, Some(Effect::Soft)), (&hard, Some(Effect::Hard))] {
        for reason in reasons {
            let said = effect(&of_kind(Kind::Bounce), &outcome(*reason, Some(Action::Failed)));
            assert_eq!(said, expected, "{reason:?}");
        }
    }
}

#[test]
fn f36_delays_replies_and_successes_are_no_errors() {
    for kind in [Kind::Delayed, Kind::AutoReply, Kind::Disposition, Kind::Other, Kind::Delivered] {
        for reason in [Reason::UserUnknown, Reason::MailboxFull, Reason::Vacation] {
            assert_eq!(effect(&of_kind(kind), &outcome(reason, None)), None, "{kind:?} {reason:?}");
        }
    }
    let bounce = of_kind(Kind::Bounce);
    assert_eq!(effect(&bounce, &outcome(Reason::UserUnknown, Some(Action::Delayed))), None);
    for (action, expected) in
        [(Action::Delivered, Some(Effect::Success)), (Action::Relayed, None), (Action::Expanded, None)]
    {
        assert_eq!(effect(&bounce, &outcome(Reason::Delivered, Some(action))), expected, "{action:?}");
    }
    for (kind, expected) in
        [("abuse", Some(Effect::Complaint)), ("Fraud", Some(Effect::Complaint)), ("not-spam", None), ("virus", None)]
    {
        let feedback = report::Feedback { feedback_type: kind.into(), ..report::Feedback::default() };
        let report = Report { feedback: Some(feedback), ..of_kind(Kind::Feedback) };
        assert_eq!(effect(&report, &outcome(Reason::Feedback, None)), expected, "{kind}");
    }
}

fn any_cause() -> impl Strategy<Value = Cause> {
    let reasons = prop_oneof![
        4 => Just((Effect::Soft, Reason::MailboxFull)),
        4 => Just((Effect::Soft, Reason::Suspend)),
        1 => Just((Effect::Success, Reason::Delivered)),
        1 => Just((Effect::Hard, Reason::UserUnknown)),
        1 => Just((Effect::Complaint, Reason::Feedback)),
    ];
    // Coarse times and few names, so that days, seconds and names collide.
    (0i64..70 * 8, reasons, 0u8..3, prop::bool::weighted(0.9), 0u8..3).prop_map(
        |(at, (effect, reason), id, believed, report)| {
            let mut cause = cause(NOON + at * DAY / 8, effect, reason);
            cause.token = (id > 0).then(|| format!("id{id}"));
            cause.report = format!("report{report}");
            cause.believed = believed;
            cause
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_same_outcomes_in_any_order_any_number_of_times_give_one_standing(
        causes in prop::collection::vec(any_cause(), 0..120),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..360),
        now in 0i64..120,
    ) {
        let once = history(causes.clone());
        let mut shuffled = History::default();
        if !causes.is_empty() {
            for at in &order {
                shuffled.add(at.get(&causes).clone());
            }
        }
        for cause in causes.iter().rev() {
            shuffled.add(cause.clone());
        }
        prop_assert_eq!(&once, &shuffled);
        prop_assert_eq!(at(&once, NOON + now * DAY), at(&shuffled, NOON + now * DAY));
        for cause in causes {
            prop_assert!(!shuffled.add(cause), "once more changes nothing");
        }
    }

    #[test]
    fn a_history_is_bounded_and_survives_json(causes in prop::collection::vec(any_cause(), 0..400)) {
        let of = history(causes);
        prop_assert!(of.causes.len() <= 2 * 48 + 2 * 8 + 2 * 4 + 1 + 4 * 4, "{}", of.causes.len());
        let text = serde_json::to_string(&of).unwrap();
        prop_assert_eq!(serde_json::from_str::<History>(&text).unwrap(), of);
    }
}

/// The model as its documentation states it, over every error: what the bounded history must agree with as long as no
/// day has more than two.
fn by_the_book(errors: &[i64], now: i64) -> State {
    let (mut counted, mut last, mut quarantined) = (0, None, false);
    for at in errors {
        match last {
            Some(last) if at - last < DAY => continue,
            Some(last) if at - last > 10 * DAY => counted = 0,
            _ => {}
        }
        counted += 1;
        last = Some(*at);
        quarantined |= counted > 5;
    }
    match last {
        _ if quarantined => State::Quarantined,
        Some(last) if now - last <= 10 * DAY => State::WithErrors,
        _ => State::Valid,
    }
}

proptest! {
    #[test]
    fn two_errors_a_day_are_counted_by_the_book(
        days in prop::collection::btree_map(0i64..40, (0i64..DAY, 0i64..DAY), 0..16),
        now in 0i64..60,
    ) {
        let midnight = NOON / DAY * DAY;
        let mut errors: Vec<i64> = days.iter().flat_map(|(day, (a, b))| [day * DAY + a, day * DAY + b]).collect();
        errors.sort_unstable();
        errors.dedup();
        let errors: Vec<i64> = errors.into_iter().map(|at| midnight + at).collect();
        let now = errors.last().copied().unwrap_or(midnight) + now * DAY;
        let of = history(errors.iter().copied().map(soft));
        prop_assert_eq!(at(&of, now).state, by_the_book(&errors, now));
    }
}

#[test]
fn numbers_that_a_standing_cannot_keep_are_refused() {
    let check = |change: fn(&mut Thresholds)| {
        let mut list = List::new("news".parse().unwrap());
        change(&mut list.thresholds);
        list.check()
    };
    assert!(check(|_| {}).is_ok());
    assert!(check(|t| t.soft_errors = 11).is_ok());
    assert!(check(|t| t.soft_errors = 12).is_err());
    assert!(check(|t| (t.soft_errors, t.apart) = (3, 4 * DAY)).is_err());
    assert!(check(|t| t.apart = DAY / 4).is_ok());
    assert!(check(|t| t.apart = DAY / 4 - 1).is_err());
    assert!(check(|t| t.forgotten = DAY - 1).is_err());
    assert!(check(|t| t.mailbox_full = -1).is_err());
    assert!(check(|t| t.proof_age = 400 * DAY).is_err());
}

#[test]
fn errors_all_the_time_for_months_stay_counted() {
    for minutes in [20, 60, 7 * 60] {
        let mut of = History::default();
        for n in 0..30 * 24 * 60 / minutes {
            of.add(soft(NOON + n * minutes * 60));
        }
        let limit = Thresholds { soft_errors: 11, ..Thresholds::default() };
        for thresholds in [Thresholds::default(), limit] {
            assert_eq!(read(&of, &thresholds, NOON + 30 * DAY).state, State::Quarantined, "every {minutes} minutes");
        }
    }
}

/// The example of docs/suppression.md, day by day.
#[test]
fn the_worked_example_is_true() {
    let at_time = |day: i64, hour: i64| 1_772_323_200 + (day - 1) * DAY + hour * 3_600; // 1 March 2026, 00:00 UTC
    let mut jane = history([full(at_time(1, 12))]);
    let told = |of: &History, now| {
        let standing = at(of, now);
        (standing.state, standing.errors)
    };
    assert_eq!(told(&jane, at_time(1, 12)), (State::WithErrors, 1));
    jane.add(full(at_time(2, 11)));
    assert_eq!(told(&jane, at_time(2, 11)), (State::WithErrors, 1));
    for (day, counted) in [(3, 2), (4, 3), (5, 4), (6, 5)] {
        jane.add(full(at_time(day, 12)));
        assert_eq!(told(&jane, at_time(day, 12)), (State::WithErrors, counted));
    }
    let mut paused = jane.clone();
    jane.add(full(at_time(7, 12)));
    let standing = at(&jane, at_time(7, 12));
    let sixth_of_april = at_time(31 + 6, 12);
    assert_eq!((standing.state, standing.ends), (State::Quarantined, Some(sixth_of_april)));
    assert_eq!(at(&jane, sixth_of_april).state, State::Valid);
    paused.add(full(at_time(17, 12)));
    assert_eq!(told(&paused, at_time(17, 12)), (State::WithErrors, 1));
}
