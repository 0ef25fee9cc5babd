//! Complaints: the report part of RFC 5965 §3, and complaints that come without it.

use super::address;
use super::field::{self, Fields};
use super::text;
use super::types::Feedback;
use crate::limits;

/// A feedback part, and whom the complaint is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaint {
    pub feedback: Feedback,
    pub recipients: Vec<String>,
}

/// Reads `message/feedback-report`.
pub(crate) fn read(body: &[u8]) -> Complaint {
    let (fields, _) = field::split(body);
    let plain = |name: &str| fields.text(name).map(|v| text::bounded(&v, limits::DIAGNOSTIC_CHARS));
    let feedback = Feedback {
        feedback_type: plain("feedback-type").map_or_else(|| "other".to_owned(), |t| t.to_ascii_lowercase()),
        user_agent: plain("user-agent"),
        source_ip: plain("source-ip"),
        arrival: plain("arrival-date").or_else(|| plain("received-date")),
        reported_domain: plain("reported-domain"),
        original_mail_from: plain("original-mail-from").map(|v| v.trim_matches(['<', '>']).to_owned()),
    };
    let mut recipients: Vec<String> = Vec::new();
    for name in ["original-rcpt-to", "removal-recipient"] {
        for value in fields.all(name) {
            if let Some(found) = address::typed(&value.unfolded()).filter(|a| address::is_address(a))
                && !recipients.iter().any(|r| r.eq_ignore_ascii_case(&found))
                && recipients.len() < limits::RECIPIENTS
            {
                recipients.push(found);
            }
        }
    }
    Complaint { feedback, recipients }
}

/// A request to be unsubscribed that a mail client sent by `List-Unsubscribe` (RFC 2369 §3.2): an opt-out.
pub(crate) fn is_opt_out(fields: &Fields<'_>, subject: &str, words: usize) -> bool {
    if fields.get("x-apple-unsubscribe").is_some() {
        return true;
    }
    let to = fields.decoded("to").and_then(|t| address::first(&t)).unwrap_or_default().to_ascii_lowercase();
    let local = to.split('@').next().unwrap_or_default();
    let to_list = ["unsub", "opt-out", "optout", "leave"].iter().any(|w| local.contains(w));
    to_list && subject.trim().to_ascii_lowercase().starts_with("unsubscribe") && words <= 30
}

/// A complaint without a report part: from a feedback address, with a subject that says so, and the
/// message complained of attached (Microsoft's JMRP, and kin).
pub(crate) fn is_complaint(fields: &Fields<'_>, subject: &str, attached: Option<&Fields<'_>>) -> bool {
    let Some(attached) = attached else { return false };
    if attached.get("x-hmxmroriginalrecipient").is_some() {
        return true;
    }
    let from = fields.decoded("from").and_then(|f| address::first(&f)).unwrap_or_default().to_ascii_lowercase();
    let local = from.split('@').next().unwrap_or_default();
    let sender = ["staff", "abuse", "fbl", "feedback", "complaint", "scomp", "spam", "arf", "jmrp"]
        .iter()
        .any(|w| local.contains(w));
    let subject = subject.to_ascii_lowercase();
    let says = [
        "complaint about",
        "abuse report",
        "spam report",
        "spam complaint",
        "feedback report",
        "feedback loop",
        "[fbl]",
    ]
    .iter()
    .any(|w| subject.contains(w));
    sender && says
}
