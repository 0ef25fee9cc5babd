#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tables::{RULES, TABLE, reason_of, shown};
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
    for (index, rule) in RULES.iter().enumerate() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert_eq!(shown(index).language.len(), 2, "{}", rule.id);
        assert!(!shown(index).source.is_empty(), "{}", rule.id);
    }
}
