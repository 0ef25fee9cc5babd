//! What the API of another deployment answers (`openapi.json`), read into what is recorded here.

use crate::limits;
use crate::report::{Action, Diagnostic, Evidence, Feedback, Kind, Original, Outcome, Reason, Report};
use jiff::Timestamp;
use serde::Deserialize;

/// An account, as far as its health goes.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountShape {
    /// Its name there.
    pub id: String,
    /// How it goes.
    pub health: HealthShape,
}

/// A health.
#[derive(Debug, Clone, Deserialize)]
pub struct HealthShape {
    /// The word.
    pub state: String,
}

/// A report.
#[derive(Debug, Clone, Deserialize)]
pub struct ReportShape {
    /// Its key.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// When it arrived there.
    pub arrived: Timestamp,
    message_id: Option<String>,
    reporting_mta: Option<String>,
    original_message_id: Option<String>,
    original_subject: Option<String>,
    feedback_type: Option<String>,
    outcomes: Vec<OutcomeShape>,
    #[serde(default)]
    outcomes_truncated: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct OutcomeShape {
    address: String,
    original_address: Option<String>,
    final_address: Option<String>,
    action: Option<Action>,
    status: Option<String>,
    reply_code: Option<u16>,
    reason: Reason,
    hard: bool,
    permanent: bool,
    diagnostic: Option<String>,
    remote_mta: Option<String>,
    #[serde(default)]
    evidence: EvidenceShape,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EvidenceShape {
    rule: String,
    text: String,
}

fn bounded(text: String, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

fn words(text: Option<String>) -> Option<String> {
    text.map(|text| bounded(text, limits::DIAGNOSTIC_CHARS))
}

fn address(text: Option<String>) -> Option<String> {
    text.map(|text| bounded(text, limits::ADDRESS_CHARS))
}

impl ReportShape {
    /// Whether its key is one that a report may have.
    pub fn has_key(&self) -> bool {
        self.id.len() == 64 && self.id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Whether it has more outcomes than the answer holds.
    pub fn is_cut(&self) -> bool {
        self.outcomes_truncated
    }

    /// The report, as far as the answer has it.
    pub fn report(self) -> Report {
        let original = (self.original_message_id.is_some() || self.original_subject.is_some()).then(|| Original {
            message_id: words(self.original_message_id),
            subject: words(self.original_subject),
            ..Original::default()
        });
        let feedback_type = words(self.feedback_type);
        let cut = self.outcomes_truncated.then(|| Diagnostic {
            code: "outcomes-cut".into(),
            text: "The instance has more recipients of this report than its API tells.".into(),
        });
        Report {
            kind: self.kind,
            message_id: words(self.message_id),
            reporting_mta: words(self.reporting_mta),
            original,
            recipients: self.outcomes.into_iter().take(limits::RECIPIENTS).map(OutcomeShape::outcome).collect(),
            feedback: feedback_type.map(|feedback_type| Feedback { feedback_type, ..Feedback::default() }),
            diagnostics: cut.into_iter().collect(),
            ..Report::default()
        }
    }
}

impl OutcomeShape {
    fn outcome(self) -> Outcome {
        Outcome {
            address: bounded(self.address, limits::ADDRESS_CHARS),
            original_address: address(self.original_address),
            final_address: address(self.final_address),
            action: self.action,
            status: words(self.status),
            reply_code: self.reply_code,
            reason: self.reason,
            hard: self.hard,
            permanent: self.permanent,
            diagnostic: words(self.diagnostic),
            remote_mta: words(self.remote_mta),
            evidence: Evidence {
                rule: bounded(self.evidence.rule, 100),
                text: bounded(self.evidence.text, limits::EVIDENCE_CHARS),
                ..Evidence::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_read_and_bounded() {
        let text = serde_json::json!({
            "account": "a", "id": "ab".repeat(32), "kind": "bounce", "arrived": "2026-03-01T12:00:00Z",
            "recorded": "2026-03-01T12:00:01Z", "original_message_id": "news-1@example.org", "more": [1],
            "outcomes": [{ "address": "x".repeat(5_000), "reason": "user-unknown", "hard": true, "permanent": true,
                "diagnostic": "\u{e9}".repeat(5_000), "evidence": { "rule": "r", "text": "t" } }],
            "outcomes_truncated": true,
        });
        let shape: ReportShape = serde_json::from_value(text).unwrap();
        assert!(shape.has_key() && shape.is_cut());
        let report = shape.report();
        assert_eq!(report.original.unwrap().message_id.unwrap(), "news-1@example.org");
        assert_eq!(report.recipients[0].address.len(), limits::ADDRESS_CHARS);
        assert_eq!(report.recipients[0].diagnostic.as_ref().unwrap().chars().count(), limits::DIAGNOSTIC_CHARS);
        assert_eq!(report.diagnostics[0].code, "outcomes-cut");
    }
}
