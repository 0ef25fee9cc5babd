#![allow(clippy::unwrap_used)]
use super::tag::{Mark, read, stamp};
use super::*;
use crate::report::{self, Kind, Original, Reason};

const NOW: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
const AGE: i64 = 30 * DAY;

fn key() -> SigningKey {
    SigningKey::new(&"k".repeat(40).into()).unwrap()
}

fn lists() -> Vec<ListId> {
    ["default", "news", "shop"].map(|id| id.parse().unwrap()).to_vec()
}

fn list(id: &str) -> ListId {
    id.parse().unwrap()
}

fn address(text: &str) -> AddressKey {
    text.parse().unwrap()
}

fn stamped(recipient: &str) -> String {
    stamp("bounces@mail.example.com", &address(recipient), &list("news"), &key(), NOW).unwrap()
}

/// A bounce of a message to `recipient` that came back to `returned_to`.
fn bounce(recipient: &str, returned_to: &str) -> report::Report {
    let outcome = report::Outcome {
        address: recipient.into(),
        original_address: None,
        final_address: None,
        action: Some(report::Action::Failed),
        status: Some("5.1.1".into()),
        reply_code: None,
        reason: Reason::UserUnknown,
        hard: true,
        permanent: true,
        diagnostic: None,
        remote_mta: None,
        evidence: report::Evidence::default(),
    };
    report::Report {
        kind: Kind::Bounce,
        returned_to: Some(returned_to.into()),
        recipients: vec![outcome],
        ..report::Report::default()
    }
}

fn judged(report: &report::Report, arrived: i64, bound: Option<&str>, sends_as: &[String]) -> Proof {
    let (key, lists, bound) = (key(), lists(), bound.map(list));
    let judge = Judge { sends_as, lists: &lists, bound: bound.as_ref(), key: &key };
    judge.judge(report, &report.recipients[0], arrived, None, |_| AGE).unwrap()
}

#[test]
fn what_we_stamped_is_known_again() {
    for recipient in [
        "jane@example.org",
        "jane+news@example.org",
        "a.very.long.name.that.does.not.fit@example.org",
        "josé@example.org",
    ] {
        let written = stamped(recipient);
        assert!(written.split('@').next().unwrap().len() <= 64, "{written}");
        for written in [written.clone(), written.to_uppercase(), format!("<{written}>")] {
            let proof = judged(&bounce(recipient, &written), NOW + DAY, None, &[]);
            assert_eq!((proof.level, proof.doubt), (Level::Signed, None), "{written}");
            assert_eq!((proof.address.as_str(), proof.list), (recipient, Some(list("news"))));
            assert_eq!(proof.signed.unwrap().1, NOW);
        }
    }
}

#[test]
fn the_recipient_of_the_mark_is_the_one_that_was_mailed() {
    // An alias: the report names its target alone.
    let proof = judged(&bounce("target@example.net", &stamped("jane@example.org")), NOW, None, &[]);
    assert_eq!((proof.level, proof.address.as_str()), (Level::Signed, "jane@example.org"));
    // A report of two can be of neither by a mark that names a third.
    let mut two = bounce("victim@example.net", &stamped("jane@example.org"));
    two.recipients.push(two.recipients[0].clone());
    let proof = judged(&two, NOW, None, &[]);
    assert_eq!(
        (proof.level, proof.doubt, proof.address.as_str()),
        (Level::None, Some(Doubt::Forged), "victim@example.net")
    );
}

#[test]
fn f34_expired_other_recipient_other_list_are_refused() {
    let written = stamped("jane@example.org");
    let good = bounce("jane@example.org", &written);
    for (arrived, doubt) in [
        (NOW - DAY - 1, Some(Doubt::Expired)),
        (NOW - DAY, None),
        (NOW + AGE - 1, None),
        (NOW + AGE, None),
        (NOW + AGE + 1, Some(Doubt::Expired)),
    ] {
        assert_eq!(judged(&good, arrived, None, &[]).doubt, doubt, "{}", arrived - NOW);
    }
    assert_eq!(judged(&good, NOW, Some("news"), &[]).doubt, None);
    let other = judged(&good, NOW, Some("shop"), &[]);
    assert_eq!((other.doubt, other.satisfies(Level::None)), (Some(Doubt::OtherList), false));
    // The short form names nobody: whom the report names must be the one it was made for.
    let long = "a.very.long.name.that.does.not.fit@example.org";
    let replayed = judged(&bounce("victim@example.org", &stamped(long)), NOW, None, &[]);
    assert_eq!((replayed.level, replayed.doubt), (Level::None, Some(Doubt::Forged)));
    // Written for another recipient by hand.
    let forged = written.replace("=jane=", "=june=");
    assert_eq!(judged(&bounce("june@example.org", &forged), NOW, None, &[]).doubt, Some(Doubt::Forged));
    // Another key's.
    let other = SigningKey::new(&"x".repeat(40).into()).unwrap();
    let theirs = stamp("bounces@example.com", &address("jane@example.org"), &list("news"), &other, NOW).unwrap();
    assert_eq!(judged(&bounce("jane@example.org", &theirs), NOW, None, &[]).doubt, Some(Doubt::Forged));
    // A list that is gone.
    let gone = stamp("bounces@example.com", &address("jane@example.org"), &list("gone"), &key(), NOW).unwrap();
    assert_eq!(judged(&bounce("jane@example.org", &gone), NOW, None, &[]).doubt, Some(Doubt::Forged));
}

#[test]
fn f34_of_a_thousand_flipped_bits_none_is_believed() {
    let recipient = "jane@example.org";
    let written = stamped(recipient);
    let mark = written.find('+').unwrap() + 1..written.find('@').unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let (mut flips, mut same_letter) = (0, 0);
    while flips < 1_000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut bytes = written.clone().into_bytes();
        let at = mark.start + (seed >> 8) as usize % mark.len();
        bytes[at] ^= 1 << (seed % 7);
        let flipped = String::from_utf8(bytes).unwrap();
        // Capitals mean the same: mail systems change them.
        if flipped.eq_ignore_ascii_case(&written) {
            same_letter += 1;
            continue;
        }
        flips += 1;
        let proof = judged(&bounce(recipient, &flipped), NOW, None, &[]);
        assert!(proof.level < Level::Signed && proof.signed.is_none(), "{flipped}");
    }
    assert!(same_letter < 1_000);
}

#[test]
fn ours_is_the_domain_of_the_returned_message_or_one_below() {
    let returned = |message_id: Option<&str>, return_path: Option<&str>| {
        let mut report = bounce("jane@example.org", "bounces@example.com");
        report.original = Some(Original {
            message_id: message_id.map(str::to_owned),
            return_path: return_path.map(str::to_owned),
            ..Original::default()
        });
        report
    };
    let ours = ["example.com".to_owned(), "bücher.example".to_owned()];
    for (message_id, return_path, expected) in [
        (Some("1@example.com"), None, Ok(())),
        (Some("1@mail.EXAMPLE.com"), None, Ok(())),
        (None, Some("bounces@example.com"), Ok(())),
        (Some("1@other.example"), Some("bounces@example.com"), Ok(())),
        (Some("1@xn--bcher-kva.example"), None, Ok(())),
        (Some("1@badexample.com"), None, Err(Doubt::NotOurs)),
        (Some("1@example.com.evil.example"), None, Err(Doubt::NotOurs)),
        (Some("no-domain"), None, Err(Doubt::NothingReturned)),
        (None, None, Err(Doubt::NothingReturned)),
    ] {
        let proof = judged(&returned(message_id, return_path), NOW, None, &ours);
        let level = if expected.is_ok() { Level::Ours } else { Level::None };
        assert_eq!((proof.level, proof.doubt), (level, expected.err()), "{message_id:?} {return_path:?}");
    }
    let proof = judged(&returned(Some("1@example.com"), None), NOW, None, &[]);
    assert_eq!((proof.level, proof.doubt), (Level::None, Some(Doubt::NoDomains)));
    assert!(!proof.satisfies(Level::Ours) && proof.satisfies(Level::None));
}

#[test]
fn marks_of_others_are_read_and_prove_nothing() {
    for (written, expected) in [
        ("prvs=4123ab90cd=bounces@example.com", Some(Mark::Batv { address: "bounces@example.com".into() })),
        ("prvs=nonsense=bounces@example.com", None),
        ("bounces+jane=example.org@example.com", Some(Mark::Verp { recipient: address("jane@example.org") })),
        ("news-bounces+Jane+x=Example.org@example.com", Some(Mark::Verp { recipient: address("jane+x@example.org") })),
        (
            "list-return-5-jane=example.org@example.com",
            Some(Mark::Verp { recipient: address("return-5-jane@example.org") }),
        ),
        ("bounces+tag@example.com", None),
        ("bounces@example.com", None),
        ("", None),
    ] {
        assert_eq!(read(written), expected, "{written}");
    }
    let proof = judged(&bounce("target@example.net", "b+jane=example.org@example.com"), NOW, None, &[]);
    assert_eq!((proof.level, proof.address.as_str()), (Level::None, "jane@example.org"));
}

#[test]
fn a_base_that_cannot_carry_a_mark_is_refused() {
    let jane = address("jane@example.org");
    for base in ["", "bounces", "@example.com", "b@", "bö@example.com", &format!("{}@example.com", "b".repeat(40))] {
        assert!(stamp(base, &jane, &list("news"), &key(), NOW).is_err(), "{base}");
    }
    assert!(stamp(&format!("{}@example.com", "b".repeat(39)), &jane, &list("news"), &key(), NOW).is_ok());
}
