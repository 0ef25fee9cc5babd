//! What an operator says that texts mean which no rule of ours knows, or knows wrongly. Pure.
//!
//! A rule is data in the table: an upgrade does not touch it. Its phrase is a row of words of the template of a text
//! ([`crate::incident::template`]), so that no pattern costs more than the text is long.

use crate::account::RuleId;
use crate::incident::folded;
use crate::limits;
use crate::report::{Outcome, Reason};
use serde::{Deserialize, Serialize};

/// What becomes of an outcome whose words hold the phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is kept, with this reason.
    Keep {
        /// Why the mail came back.
        reason: Reason,
    },
    /// It says nothing about its address.
    Ignore,
}

/// An operator's rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Words that follow one another.
    pub phrase: String,
    /// What they mean.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Who made it.
    pub by: String,
    /// When, in seconds since 1970.
    pub made: i64,
    /// When it was tried on what is stored, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<i64>,
    /// Since when it is on, in seconds since 1970: for facts that are recorded from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<i64>,
}

/// A phrase that cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a phrase is 2 to 12 words of what a server says, without addresses, numbers and hosts: {0:?} is none")]
pub struct NoPhrase(String);

impl Rule {
    /// Checks the phrase: its words as a text's are folded.
    pub fn words(phrase: &str) -> Result<Vec<String>, NoPhrase> {
        let words = folded(phrase, "", 13);
        let marks = ["@", "#", "host"];
        let plain = words.iter().filter(|word| !marks.contains(&word.as_str())).count();
        if plain < 2 || words.len() > 12 || phrase.chars().count() > limits::PHRASE_CHARS {
            return Err(NoPhrase(phrase.chars().take(80).collect()));
        }
        Ok(words)
    }

    /// Whether what was said about an address holds the phrase.
    pub fn fits(&self, said: &str, address: &str) -> bool {
        let Ok(phrase) = Self::words(&self.phrase) else { return false };
        let words = folded(said, address, limits::DIAGNOSTIC_CHARS);
        words.windows(phrase.len()).any(|window| window == phrase)
    }
}

/// What was said about an outcome, as far as anything was.
pub fn said(outcome: &Outcome) -> &str {
    outcome.diagnostic.as_deref().filter(|words| !words.is_empty()).unwrap_or(&outcome.evidence.text)
}

/// Whether no rule of ours knows what was said.
pub fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome.reason, Reason::OnHold | Reason::Undefined) && !said(outcome).trim().is_empty()
}

/// The rule that decides about an outcome of a fact recorded at a time: of those that are on and fit, the one with the longest
/// phrase, then the first by name.
pub fn rule_of<'a>(rules: &'a [Rule], outcome: &Outcome, recorded: i64) -> Option<&'a Rule> {
    let said = said(outcome);
    let on = rules.iter().filter(|rule| rule.on.is_some_and(|since| recorded >= since));
    let fits = on.filter(|rule| rule.fits(said, &outcome.address));
    fits.min_by_key(|rule| (std::cmp::Reverse(rule.phrase.len()), &rule.id))
}

/// The outcome as a rule has it; none where it is to be ignored.
pub fn as_ruled(rule: &Rule, outcome: &Outcome) -> Option<Outcome> {
    match rule.verdict {
        Verdict::Ignore => None,
        Verdict::Keep { reason } => Some(Outcome { reason, hard: reason.is_hard(), ..outcome.clone() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(id: &str, phrase: &str, verdict: Verdict, on: Option<i64>) -> Rule {
        Rule { id: id.parse().unwrap(), phrase: phrase.into(), verdict, by: "jo".into(), made: 0, tested: None, on }
    }

    fn outcome(said: &str) -> Outcome {
        Outcome {
            address: "jane@example.net".into(),
            original_address: None,
            final_address: None,
            action: None,
            status: None,
            reply_code: None,
            reason: Reason::OnHold,
            hard: false,
            permanent: true,
            diagnostic: Some(said.into()),
            remote_mta: None,
            evidence: Default::default(),
        }
    }

    #[test]
    fn a_phrase_is_found_whatever_stands_around_it_and_however_it_is_written() {
        let rule = rule("left", "left the company", Verdict::Ignore, Some(0));
        for said in
            ["550 jane has LEFT the Company.", "left the company", "550-5.0.0 <x@y.example> left  the\r\n company!"]
        {
            assert!(rule.fits(said, "jane@example.net"), "{said}");
        }
        for said in ["left a company", "left the", "the company left", "", "cleft the company"] {
            assert!(!rule.fits(said, "jane@example.net"), "{said}");
        }
    }

    #[test]
    fn phrases_that_would_fit_everything_are_refused() {
        for phrase in
            ["", "unknown", "550 5.1.1", "jane@example.com gone", "a b c d e f g h i j k l m", "host mx.example.com"]
        {
            assert!(Rule::words(phrase).is_err(), "{phrase}");
        }
        assert!(Rule::words("user unknown").is_ok());
        assert!(Rule::words(&"word ".repeat(1_000)).is_err());
    }

    #[test]
    fn the_longest_phrase_that_is_on_decides() {
        let keep = Verdict::Keep { reason: Reason::UserUnknown };
        let rules = [
            rule("b", "left the", Verdict::Ignore, Some(100)),
            rule("a", "left the company", keep, Some(200)),
            rule("c", "has left the company", Verdict::Ignore, None),
        ];
        let outcome = outcome("550 jane has left the company");
        let of = |recorded| rule_of(&rules, &outcome, recorded).map(|rule| rule.id.as_str());
        assert_eq!((of(99), of(100), of(199), of(200)), (None, Some("b"), Some("b"), Some("a")));
        let ruled = as_ruled(&rules[1], &outcome).unwrap();
        assert_eq!((ruled.reason, ruled.hard), (Reason::UserUnknown, true));
        assert_eq!(as_ruled(&rules[0], &outcome), None);
        assert!(is_unknown(&outcome) && !is_unknown(&ruled));
    }
}
