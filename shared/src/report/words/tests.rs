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
