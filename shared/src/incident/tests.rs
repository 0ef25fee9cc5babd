#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// 1 March 2026, 12:00 UTC: the beginning of an hour.
const NOON: i64 = 1_772_366_400;
const HOUR: i64 = 3_600;

fn unknown() -> Template {
    template("550 5.1.1 <jane@example.net>: Recipient address rejected: User unknown", "jane@example.net")
}

fn gone() -> Template {
    template("550 No such person here", "jane@example.net")
}

/// So many refusals at a time.
fn refused(watch: &mut Watch, count: u32, at: i64, text: &Template, told: &[Told]) {
    for _ in 0..count {
        watch.add(at, at, text, told);
    }
}

fn sudden(watch: &Watch) -> bool {
    !watch.judge(&[]).is_empty()
}

#[test]
fn fifty_addresses_with_one_text_within_an_hour_are_sudden_and_forty_nine_are_not() {
    let mut watch = Watch::default();
    refused(&mut watch, 49, NOON, &unknown(), &[]);
    refused(&mut watch, 49, NOON, &gone(), &[]);
    assert!(!sudden(&watch), "49 of each of two texts");
    watch.add(NOON + 59 * 60 + 59, NOON + 59 * 60 + 59, &unknown(), &[]);
    let triggers = watch.judge(&[]);
    let expected =
        Trigger { count: 50, from: NOON, since: None, template: Some(unknown()), median: Some(0), told: None };
    assert_eq!(triggers, [expected], "the last one a second before the hour is over");
    let mut late = Watch::default();
    refused(&mut late, 49, NOON, &unknown(), &[]);
    late.add(NOON + HOUR, NOON + HOUR, &unknown(), &[]);
    assert!(!sudden(&late), "the last one when the hour is over");
    refused(&mut late, 48, NOON + 2 * HOUR - 61, &unknown(), &[]);
    assert!(!sudden(&late), "49 in the next hour");
    late.add(NOON + 2 * HOUR - 61, NOON + 2 * HOUR - 61, &unknown(), &[]);
    assert_eq!(late.judge(&[])[0].from, NOON + HOUR);
}

#[test]
fn refusals_count_when_they_arrive_and_are_held_by_the_time_they_are_known_by() {
    let mut watch = Watch::default();
    // Mail that left within a minute, refused one every two minutes.
    for n in 0..50 {
        watch.add(NOON + n * 120, NOON, &unknown(), &[]);
    }
    assert!(!sudden(&watch), "50 within 100 minutes");
    // Mail of the last fifty hours, refused within an hour.
    let mut watch = Watch::default();
    for n in 0..50 {
        watch.add(NOON + n * 60, NOON - n * HOUR, &unknown(), &[]);
    }
    let trigger = watch.judge(&[]).remove(0);
    assert_eq!((trigger.count, trigger.from, trigger.since), (50, NOON, Some(NOON - 49 * HOUR)));
    let incident = Incident::new(&"news".parse().unwrap(), "example.net", trigger, 1, NOON + HOUR);
    assert_eq!(incident.hold().unwrap().from, NOON - 49 * HOUR);
}

#[test]
fn each_text_is_told_by_itself() {
    let mut watch = Watch::default();
    refused(&mut watch, 80, NOON, &unknown(), &[]);
    refused(&mut watch, 50, NOON + 60, &gone(), &[]);
    let mut counts: Vec<u32> = watch.judge(&[]).iter().map(|trigger| trigger.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [50, 80]);
}

/// So many refusals of other texts in each of so many hours before noon.
fn usual(hours: i64, each: u32) -> Watch {
    let mut watch = Watch::default();
    for hour in 1..=hours {
        refused(&mut watch, each, NOON - hour * HOUR, &gone(), &[]);
    }
    watch
}

#[test]
fn ten_times_the_median_of_fourteen_days_are_sudden_and_one_less_is_not() {
    for (count, expected) in [(59, false), (60, true), (61, true)] {
        let mut watch = usual(14 * 24, 6);
        refused(&mut watch, count, NOON, &unknown(), &[]);
        assert_eq!(sudden(&watch), expected, "{count} beside a median of 6");
    }
    // The median of an even number is the lower of the two in the middle; an hour without any is one with none.
    for (hours, expected) in [(14 * 12, true), (14 * 12 + 1, false)] {
        let mut watch = usual(hours, 6);
        refused(&mut watch, 59, NOON, &unknown(), &[]);
        assert_eq!(sudden(&watch), expected, "{hours} hours with 6");
    }
    // What is older than 14 days does not count.
    for (oldest, expected) in [(14 * 24, false), (14 * 24 + 1, true)] {
        let mut watch = usual(14 * 12, 6);
        refused(&mut watch, 6, NOON - oldest * HOUR, &gone(), &[]);
        refused(&mut watch, 59, NOON, &unknown(), &[]);
        assert_eq!(sudden(&watch), expected, "the oldest {oldest} hours ago");
    }
}

fn told(sent: u32) -> Told {
    Told { id: "march".into(), opened: NOON, closes: NOON + 24 * HOUR, sent }
}

#[test]
fn nine_of_ten_of_three_hundred_that_were_sent_are_sudden() {
    for (sent, count, expected) in [
        (300, 269, false),
        (300, 270, true),
        (301, 270, false),
        (301, 271, true),
        (1_000, 899, false),
        (1_000, 900, true),
    ] {
        let mut watch = Watch::default();
        // Spread over the whole time, and with other words each.
        for n in 0..count {
            let text = if n % 2 == 0 { unknown() } else { gone() };
            let at = NOON + i64::from(n) * 60;
            watch.add(at, at, &text, &[told(sent)]);
        }
        let triggers = watch.judge(&[told(sent)]);
        assert_eq!(!triggers.is_empty(), expected, "{count} of {sent}");
        if expected {
            assert_eq!((triggers[0].count, triggers[0].from, &triggers[0].template), (count, NOON, &None));
        }
    }
    // Told of enough, a count alone is not sudden; told of too little, it is.
    for (sent, expected) in [(299, true), (300, false)] {
        let mut watch = Watch::default();
        refused(&mut watch, 200, NOON, &unknown(), &[told(sent)]);
        assert_eq!(!watch.judge(&[told(sent)]).is_empty(), expected, "200 of {sent}");
    }
}

#[test]
fn a_delivery_counts_from_its_beginning_until_it_closes() {
    for (at, expected) in [(NOON - 1, false), (NOON, true), (NOON + 24 * HOUR - 1, true), (NOON + 24 * HOUR, false)] {
        let mut watch = Watch::default();
        refused(&mut watch, 300, at, &unknown(), &[told(300)]);
        assert_eq!(!watch.judge(&[told(300)]).is_empty(), expected, "{at}");
    }
}

#[test]
fn texts_are_one_when_only_names_numbers_and_hosts_differ() {
    let text = |said: &str, address: &str| template(said, address).text;
    let expected = "# @ recipient address rejected user unknown in virtual mailbox table";
    for (said, address) in [
        (
            "550 5.1.1 <a@example.net>: Recipient address rejected: User unknown in virtual mailbox table",
            "a@example.net",
        ),
        (
            "550-5.1.1 <b.c+d@example.net>:  recipient address rejected: User unknown in\r\n virtual mailbox table",
            "b@x.example",
        ),
    ] {
        assert_eq!(text(said, address), expected);
    }
    assert_eq!(
        text("mx1.example.com said: 550 mailbox jane.doe is gone (id 4f-2a)", "jane.doe@example.net"),
        "# said # mailbox @ is gone id #"
    );
    assert_eq!(text("smtp; host mx.example.com[192.0.2.1] refused", "x@example.net"), "smtp host # refused");
    assert_eq!(text("no route to mx.example.com", "x@example.net"), "no route to host");
    assert_ne!(unknown().id, gone().id);
    assert_eq!(text("", ""), "");
    assert!(text(&"word ".repeat(10_000), "").len() <= 160);
}

#[test]
fn an_incident_has_a_name_and_holds_until_somebody_decides() {
    let list: ListId = "news".parse().unwrap();
    let mut watch = Watch::default();
    refused(&mut watch, 50, NOON, &unknown(), &[]);
    let trigger = watch.judge(&[]).remove(0);
    let mut incident = Incident::new(&list, "example.net", trigger.clone(), 1, NOON + 60);
    assert!(incident.id.starts_with("example.net-") && incident.id.ends_with("-20260301"), "{}", incident.id);
    let hold = incident.hold().unwrap();
    let concerns = |address: &str, list: &str| hold.concerns(&address.parse().unwrap(), &list.parse().unwrap());
    assert!(concerns("anybody@example.net", "news"));
    assert!(!concerns("anybody@example.net", "default") && !concerns("anybody@sub.example.net", "news"));
    let decision = |at| Some(Decision { at, who: "jo".into(), why: None });
    assert!(incident.answers(NOON) && incident.takes_back(NOON).is_none());
    incident.stage = Stage::Releasing;
    assert!(incident.hold().is_some());
    (incident.stage, incident.decided) = (Stage::Released, decision(NOON));
    assert!(incident.hold().is_none() && !incident.answers(NOON));
    assert!(incident.takes_back(NOON + HOUR).is_some() && incident.takes_back(NOON + HOUR + 1).is_none());
    incident.stage = Stage::Confirmed;
    assert!(incident.hold().is_none() && incident.takes_back(NOON).is_none());
    assert!(incident.answers(NOON + 14 * 24 * HOUR) && !incident.answers(NOON + 14 * 24 * HOUR + 1));
    assert!(incident.is_of(&list, "example.net", &trigger));
    let other = Trigger { template: Some(gone()), ..trigger };
    assert!(!incident.is_of(&list, "example.net", &other));
}

fn any_refusals() -> impl Strategy<Value = Vec<(i64, bool)>> {
    prop::collection::vec((prop_oneof![NOON..NOON + HOUR, NOON - 400 * HOUR..NOON + 30 * HOUR], any::<bool>()), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_refusals_does_not_matter(refusals in any_refusals(), swaps in prop::collection::vec(any::<(u16, u16)>(), 0..300)) {
        let told = [told(200)];
        let add = |all: &[(i64, bool)]| {
            let mut watch = Watch::default();
            for (at, which) in all {
                watch.add(*at, *at - 100, &if *which { unknown() } else { gone() }, &told);
            }
            watch
        };
        let mut shuffled = refusals.clone();
        for (a, b) in swaps.iter().filter(|_| !refusals.is_empty()) {
            shuffled.swap(usize::from(*a) % refusals.len(), usize::from(*b) % refusals.len());
        }
        let (one, two) = (add(&refusals), add(&shuffled));
        prop_assert_eq!(one.judge(&[]), two.judge(&[]));
        prop_assert_eq!(&one, &two);
        let text = serde_json::to_string(&one).unwrap();
        prop_assert_eq!(serde_json::from_str::<Watch>(&text).unwrap(), one);
    }
}
