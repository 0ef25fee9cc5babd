#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tables::{MEANINGS, MEANT, RULES, TABLE, reason_of, shown};
use super::*;

fn said(remote: &str) -> Verdict {
    weigh(&Clue { remote, ..Clue::default() })
}

#[test]
fn every_example_is_read_by_its_own_rule_and_given_its_reason() {
    let mut wrong = Vec::new();
    for (index, rule) in RULES.iter().enumerate() {
        for example in shown(index).examples {
            let mut fired = false;
            TABLE.scan(example, |hit| fired |= hit.rule as usize == index);
            let verdict = said(example);
            if !fired || verdict.reason != reason_of(rule.table) {
                wrong.push(format!(
                    "{}: fired {fired}, {} by {}: {example}",
                    rule.id,
                    verdict.reason.as_str(),
                    verdict.rule
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

#[test]
fn a_rule_names_its_language_and_source_and_has_an_id_of_its_own() {
    let mut ids = std::collections::BTreeSet::new();
    for (index, rule) in RULES.iter().enumerate().filter(|(_, rule)| rule.rank < 5) {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert_eq!(shown(index).language.len(), 2, "{}", rule.id);
        assert!(!shown(index).source.is_empty(), "{}", rule.id);
    }
}

#[test]
fn every_meaning_is_read_from_its_examples() {
    let mut wrong = Vec::new();
    for (meaning, examples) in MEANINGS.iter().zip(MEANT) {
        for example in examples.iter() {
            let verdict = said(example);
            let fired = weigh::meaning_of(example).map_or("", |meaning| meaning.id);
            if fired != meaning.id || verdict.reason != reason_of(meaning.table) {
                wrong.push(format!(
                    "{}: fired {fired}, {} by {}: {example}",
                    meaning.id,
                    verdict.reason.as_str(),
                    verdict.rule
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

/// F32 in spirit: what is done for a text grows as the text does, whatever it holds.
#[test]
fn hostile_text_costs_no_more_than_its_length() {
    for seed in [
        "a",
        " ",
        "<",
        "@",
        "a@",
        "5.1.1 ",
        "550-",
        "n't ",
        "mailbox ",
        "user not ",
        "mailbox user recipient address not found ",
        "(((",
        "....",
        "。",
        "用户",
        "é",
        "quota exceeded for ",
        "no such user here but ",
    ] {
        let steps = |bytes: usize| {
            let text = seed.repeat(bytes / seed.len());
            let mut count = 0u64;
            TABLE.scan_beside(&text, |_| {}, |_| count += 1);
            (count, TABLE.scan_counting(&text))
        };
        let (tokens, walked) = steps(1 << 17);
        let (twice_tokens, twice_walked) = steps(1 << 18);
        assert!(twice_tokens <= tokens * 23 / 10 + 16, "{seed}: {tokens} then {twice_tokens} tokens");
        assert!(twice_walked <= walked * 23 / 10 + 64, "{seed}: {walked} then {twice_walked} steps");
    }
}

#[test]
fn what_servers_say_is_understood() {
    let files = [
        include_str!("rules/said"),
        include_str!("rules/heard"),
        include_str!("rules/worded"),
        include_str!("rules/registry"),
    ];
    let lines = files.into_iter().flat_map(str::lines).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut wrong = Vec::new();
    for line in lines {
        let (reason, remote) = line.split_once("  ").expect("a reason, two blanks, what is said");
        let verdict = said(remote);
        if verdict.reason.as_str() != reason {
            wrong.push(format!("{} by {}, not {reason}: {remote}", verdict.reason.as_str(), verdict.rule));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

/// The share of all sentences that are given their reason by concepts alone, without any phrase.
#[test]
#[allow(clippy::print_stderr)]
fn concepts_alone_understand_most() {
    let files = [include_str!("rules/said"), include_str!("rules/heard"), include_str!("rules/worded")];
    let lines = files.into_iter().flat_map(str::lines).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut right, mut wrong, mut silent) = (0, 0, 0);
    for (reason, remote) in lines.filter_map(|line| line.split_once("  ")).filter(|(_, remote)| remote.is_ascii()) {
        match weigh::meaning_of(remote) {
            None => silent += 1,
            Some(meaning) if reason_of(meaning.table).as_str() == reason => right += 1,
            Some(_) => wrong += 1,
        }
    }
    eprintln!("by concepts alone: {right} right, {wrong} wrong, {silent} not read");
    assert!(right * 100 >= 63 * (right + wrong + silent) && wrong * 100 <= 6 * (right + wrong));
}

fn check(clue: &Clue<'_>, reason: Reason, hard: bool, permanent: bool, status: Option<&str>, source: Source) {
    let verdict = weigh(clue);
    assert_eq!(verdict.reason, reason, "{clue:?} by {}", verdict.rule);
    assert_eq!((verdict.hard, verdict.permanent), (hard, permanent), "{clue:?}");
    assert_eq!((verdict.status.as_deref(), verdict.source), (status, source), "{clue:?} by {}", verdict.rule);
}

#[test]
fn evidence_is_weighed_in_the_stated_order() {
    use Reason::*;
    let none = Clue::default();
    // The refusing server's words before its code, the field and the local summary.
    let clue = Clue {
        remote: "550 5.1.1 <a@example.com>... Mailbox Full",
        local: "User unknown",
        status: Some("5.1.1"),
        ..none
    };
    check(&clue, MailboxFull, false, true, Some("5.1.1"), Source::Remote);
    // The code in the words before the field.
    let clue =
        Clue { remote: "450 4.7.1 Access denied. IP name lookup failed [192.0.2.222]", status: Some("4.4.7"), ..none };
    check(&clue, RequirePtr, false, false, Some("4.7.1"), Source::Remote);
    let clue = Clue { remote: "550 5.2.1 no", status: Some("5.1.1"), ..none };
    check(&clue, Suspend, false, true, Some("5.2.1"), Source::Remote);
    // The field before the local words; 5.0.0 says nothing.
    let clue = Clue { local: "Host unknown", status: Some("5.1.1 (bad destination mailbox address)"), ..none };
    check(&clue, UserUnknown, true, true, Some("5.1.1"), Source::Status);
    let clue = Clue { local: "Host unknown", status: Some("5.0.0"), ..none };
    check(&clue, HostUnknown, true, true, Some("5.0.0"), Source::Local);
    // Weak words and vague codes come last, words first.
    let clue = Clue { remote: "552 Requested action aborted", status: Some("5.2.2"), ..none };
    check(&clue, MailboxFull, false, true, Some("5.2.2"), Source::Status);
    let clue = Clue { remote: "550 Access denied", status: Some("5.1.1"), ..none };
    check(&clue, PolicyViolation, false, true, Some("5.1.1"), Source::Remote);
    let clue = Clue { remote: "550 Bob", status: Some("5.1.1"), ..none };
    check(&clue, UserUnknown, true, true, Some("5.1.1"), Source::Status);
    let clue = Clue { remote: "550 5.7.1 Access denied", local: "the mailbox is full", ..none };
    check(&clue, MailboxFull, false, true, Some("5.7.1"), Source::Local);
    // A temporary answer in a final failure is not permanent, and yet the address is dead.
    let clue = Clue {
        remote: "450 4.1.1 <a@example.com>: User unknown in virtual alias table",
        action: Some(Action::Failed),
        ..none
    };
    check(&clue, UserUnknown, true, false, Some("4.1.1"), Source::Remote);
    // A host that takes no mail for now is not dead.
    let clue = Clue { remote: "450 4.3.2 this host does not accept mail", ..none };
    check(&clue, NotAccept, false, false, Some("4.3.2"), Source::Remote);
    let clue = Clue { delayed: true, local: "Message will be retried for 2 more days", ..none };
    check(&clue, Expired, false, false, None, Source::Local);
    let clue = Clue { action: Some(Action::Delayed), ..none };
    check(&clue, Expired, false, false, None, Source::Action);
    let clue = Clue { remote: "X-Unix; 67", action: Some(Action::Failed), ..none };
    check(&clue, UserUnknown, true, true, None, Source::Remote);
    let clue = Clue { remote: "x-unix; 255", action: Some(Action::Failed), ..none };
    check(&clue, MailerError, false, true, None, Source::Remote);
    let clue = Clue {
        remote: "550 user unknown",
        local: "The user(s) account is disabled.",
        address: "a@ezweb.ne.jp",
        ..none
    };
    check(&clue, Suspend, false, true, None, Source::Local);
    check(&Clue { local: "エラー", ..none }, OnHold, false, true, None, Source::Local);
    check(&none, Undefined, false, true, None, Source::Nothing);
}

#[test]
fn one_code_has_the_meaning_of_its_house_and_of_its_words() {
    let cases = [
        ("550 5.1.10", "mx.example.com", Reason::NotAccept),
        ("550 5.1.10", "example-com.mail.protection.outlook.com", Reason::UserUnknown),
        ("550 5.2.2 mailbox full", "", Reason::MailboxFull),
        ("550 5.2.2 Submission quota exceeded", "", Reason::Speeding),
        ("550 5.4.1 Recipient address rejected: Access denied", "", Reason::UserUnknown),
        ("550 5.4.1 Relay access denied", "", Reason::NoRelaying),
        ("550 5.7.1 Relaying denied", "", Reason::NoRelaying),
        ("550 5.7.1 Message rejected as spam", "", Reason::SpamDetected),
        ("550 5.7.1 RESOLVER.RST.NotAuthorized", "", Reason::Rejected),
        ("550 5.0.350 Remote server returned an error -> 550 5.1.1 User unknown", "", Reason::UserUnknown),
        ("550 5.0.350 Remote server returned an error -> 554 Rejected as spam", "", Reason::SpamDetected),
        ("550 5.1.0 Sender denied", "", Reason::Rejected),
        ("550 5.1.0 Address rejected", "", Reason::UserUnknown),
        ("550 5.7.504 [a@example.com]: Recipient address rejected: Access denied", "", Reason::UserUnknown),
        ("550 5.7.27 no", "gmail-smtp-in.l.google.com", Reason::AuthFailure),
        ("550 5.7.27 no", "mx.example.com", Reason::Rejected),
    ];
    for (remote, host, reason) in cases {
        let verdict = weigh(&Clue { remote, remote_mta: Some(host), ..Clue::default() });
        assert_eq!(verdict.reason, reason, "{remote} at {host} by {}", verdict.rule);
    }
}

/// Exchange Online names its refusal by a code, and itself elsewhere in the notice.
#[test]
fn a_code_is_read_as_the_reporting_exchange_means_it() {
    let clue = Clue { remote: "550 5.1.10", local: "DSN generated by: x.prod.outlook.com", ..Clue::default() };
    assert_eq!(weigh(&clue).reason, Reason::UserUnknown);
    assert_eq!(weigh(&Clue { remote_mta: Some("mx.example.com"), ..clue }).reason, Reason::NotAccept);
}

#[test]
fn a_denied_host_address_is_a_block() {
    assert_eq!(said("550 5.7.1 192.0.2.1 has been blocked").reason, Reason::Blocked);
    assert_eq!(said("host mx.example.com[192.0.2.1] said: 550 5.7.1 Denied").reason, Reason::PolicyViolation);
    assert_eq!(said("571 5.7.1 no").reply_code, Some(571));
}

/// What leads up to the quoted answer is no part of it, whatever it says.
#[test]
fn the_frame_of_an_answer_does_not_change_its_reason() {
    let frames = [
        "host mx.example.com[192.0.2.1] said: ANSWER (in reply to RCPT TO command)",
        "SMTP error from remote mail server after RCPT TO:<a@example.com>: host mx.example.com [192.0.2.1]: ANSWER",
        "192.0.2.1 does not like recipient. Remote host said: ANSWER Giving up on 192.0.2.1.",
        "It was rejected by the server for the recipient domain. The error that the other server returned was: ANSWER",
        "mx.example.com #<mx.example.com #5.0.0 smtp;ANSWER> #SMTP#",
        "mx.example.com [192.0.2.1] did not like our RCPT TO: ANSWER",
        "5.1.0 - Unknown address error ANSWER",
    ];
    for (answer, reason) in [
        ("550 5.7.1 Message rejected as spam", Reason::SpamDetected),
        ("552 5.2.2 mailbox full", Reason::MailboxFull),
        ("550 we do not relay", Reason::NoRelaying),
        ("550 5.7.26 DMARC evaluation failed", Reason::AuthFailure),
        ("550 5.3.1 <a@example.com>: Recipient address rejected: Mail system full", Reason::SystemFull),
    ] {
        for frame in frames {
            let verdict = said(&frame.replace("ANSWER", answer));
            assert_eq!(verdict.reason, reason, "{frame}: {answer} by {}", verdict.rule);
        }
    }
}

#[test]
fn a_category_is_asked_after_what_the_refusing_server_said_and_before_the_field() {
    // The server's own code says more than what was made of it.
    let said = Clue { remote: "550 5.2.1 Mailbox unavailable", category: "bad-mailbox", ..Clue::default() };
    check(&said, Reason::Suspend, false, true, Some("5.2.1"), Source::Remote);
    let clue = Clue { category: "inactive-mailbox", status: Some("5.1.1"), ..Clue::default() };
    check(&Clue { remote: "550 Bob", ..clue }, Reason::Suspend, false, true, Some("5.1.1"), Source::Category);
    check(&Clue { remote: "552 over quota", ..clue }, Reason::MailboxFull, false, true, Some("5.1.1"), Source::Remote);
    check(&Clue { category: "other", ..clue }, Reason::UserUnknown, true, true, Some("5.1.1"), Source::Status);
}

/// Whoever cannot be reached may be there.
#[test]
fn not_reached_is_not_unknown() {
    for words in ["550 the recipient could not be reached", "550 this mailbox can not be reached"] {
        assert!(!said(words).hard, "{words}");
    }
    assert!(said("550 the recipient could not be found").hard);
}

/// A hint is no proof, and what a notice says around an answer is none either.
#[test]
fn hints_are_soft_and_read_in_answers_alone() {
    assert_eq!(said("550 certificate trouble").reason, Reason::FailedStarttls);
    let clue = Clue { local: "certificate trouble", ..Clue::default() };
    assert_eq!(weigh(&clue).reason, Reason::OnHold);
    for rule in RULES.iter().filter(|rule| rule.rank == 3) {
        assert!(!reason_of(rule.table).is_hard(), "{}", rule.id);
    }
}

#[test]
fn codes_are_found_where_they_stand() {
    let cases = [
        ("550-5.7.26 Unauthenticated 550 5.7.26 mail", Some("5.7.26"), Some(550)),
        (
            "5.1.0 - Unknown address error 550-'5.4.1 Recipient address rejected: Access denied.'",
            Some("5.4.1"),
            Some(550),
        ),
        ("Sorry, no mailbox here by that name. (#5.1.1)", Some("5.1.1"), None),
        ("host mx.example.com[192.0.2.4] said: 421 4.7.0 [TSS04] 4.16.55.1", Some("4.7.0"), Some(421)),
        ("450 450 4.2.2 <a@example.com>... Mailbox Full (state 14)", Some("4.2.2"), Some(450)),
        ("smtp;550 5.1.1 user unknown", Some("5.1.1"), Some(550)),
        ("after 450 messages, version 5.10.1", None, None),
        ("550 2.1.5 is no failure", None, Some(550)),
        ("timeout on port 587", None, None),
    ];
    for (remote, status, reply) in cases {
        let verdict = said(remote);
        assert_eq!((verdict.status.as_deref(), verdict.reply_code), (status, reply), "{remote}");
    }
}

#[test]
fn spans_stand_on_characters_and_within_the_text() {
    for text in [
        "550 Boîte pleine é",
        "用户不存在。",
        "é".repeat(50).as_str(),
        "邮箱已满 mailbox full ü",
        "\u{301}mailbox\u{301} full",
    ] {
        let verdict = said(text);
        assert!(text.get(verdict.span.clone()).is_some(), "{text}: {:?}", verdict.span);
    }
}

#[test]
fn what_speaks_of_the_sender_or_of_now_kills_no_address() {
    let mut wrong = Vec::new();
    for remote in [
        "535 5.7.8 Authentication failed: invalid user or password",
        "550 Invalid login",
        "550 5.7.1 Sender account not found",
        "501 EHLO Invalid domain address.",
        "550 5.7.1 Client IP address unknown",
        "550 5.7.1 Your IP address is not listed in our directory",
        "550 Unknown IP address",
        "550 To have your IP address removed from the blacklist see https://example.com",
        "450 Requested mail action not taken: mailbox unavailable",
        "450 4.2.1 mailbox temporarily unavailable",
        "450 4.7.1 <a@example.com>: Recipient address rejected: try again",
        "554 5.7.1 <a@example.com>: Recipient address rejected: Access denied",
        "550 This host does not accept mail from dynamic addresses",
        "452 4.2.2 The recipient is not accepting new mail",
        "550 5.1.8 Sender domain does not exist",
        "550 MAIL FROM domain does not exist",
        "550 5.7.27 Sender domain has null MX",
        "550 your sender domain has no MX record",
        "553 5.1.8 <a@example.com>: Sender address rejected: Domain not found",
        "450 4.7.1 Client host rejected: cannot find your hostname",
        "550 5.7.1 unknown client host",
        "554 5.7.1 message contains no valid recipients in header To",
        "552 5.2.2 over quota, address no longer available until space is freed",
        "451 4.3.0 user database unavailable",
        "550 5.7.1 Message rejected: invalid content in subject",
        "421 4.3.2 host is shutting down",
        "554 delivery to recipient failed: unknown error",
        "550 mailbox access failed for an unknown reason",
        "500 unknown command",
        "501 Invalid address syntax",
        "550 Cannot resolve your domain",
        "550 Your domain does not exist",
        "550 Your host name could not be found",
        "550 your address was not found in our whitelist",
        "550 cannot resolve sender domain",
        "421 4.7.0 complaint rate too high for this domain",
    ] {
        let verdict = said(remote);
        if verdict.hard {
            wrong.push(format!("{} by {}: {remote}", verdict.reason.as_str(), verdict.rule));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

mod properties {
    use super::*;
    use crate::words::{in_body, in_subject, is_answer};
    use proptest::prelude::*;

    /// Texts of the words that rules are made of, and of what damages them.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec!["user", "mailbox", "unknown", "not", "found", "full", "quota", "exceeded", "550", "5.1.1",
                "5.0.0", "<a@example.com>", "doesn't", "cannot", "X-Unix;", "67", "said:", "用户", "不存在", "boîte", "pleine",
                "Re:", "out of office", "\n\n", ". ", "host", "4.2.2", "421", "@", "..."]).prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_with_spans_inside(remote in text(), local in text(), status in prop::option::of(text())) {
            let clue = Clue { remote: &remote, local: &local, status: status.as_deref(), ..Clue::default() };
            let verdict = weigh(&clue);
            let from = match verdict.source {
                Source::Remote => remote.as_str(),
                Source::Local => local.as_str(),
                _ => return Ok(()),
            };
            prop_assert!(from.get(verdict.span.clone()).is_some());
        }

        #[test]
        fn notices_keep_their_spans_inside(text in text()) {
            let found = in_body(&text).into_iter().chain(in_subject(&text));
            for found in found {
                prop_assert!(text.get(found.span.clone()).is_some());
            }
            let _ = is_answer(&text);
        }

        #[test]
        fn folding_white_space_and_case_do_not_matter(words in text()) {
            let plain: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let folded = plain.replace(' ', "\r\n\t");
            prop_assert_eq!(said(&plain).reason, said(&folded).reason);
            if plain.is_ascii() {
                prop_assert_eq!(said(&plain).reason, said(&plain.to_ascii_uppercase()).reason);
            }
        }
    }
}
