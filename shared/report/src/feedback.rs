//! Complaints: the report part of RFC 5965 §3, and complaints that come without it.

use super::reading::{Reading, stated};
use super::types::{Evidence, Feedback, Kind, Reason};
use super::{address, field, text};
use crate::limits;

/// A feedback part, and whom the complaint is about.
#[derive(Debug, Clone, Default)]
struct Complaint {
    feedback: Feedback,
    recipients: Vec<String>,
}

/// Reads `message/feedback-report`.
fn read(body: &[u8]) -> Complaint {
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

/// Reports the feedback part at `at`.
pub(crate) fn report(reading: &mut Reading<'_>, at: usize) {
    let complaint = read(&reading.parts.list[at].decoded(limits::MESSAGE_BYTES));
    let evidence = reading.part_evidence("feedback/report", at, "feedback-type");
    let whom = if complaint.recipients.is_empty() { complained(reading) } else { complaint.recipients };
    reading.report.arrival = complaint.feedback.arrival.clone();
    tell(reading, whom, evidence, complaint.feedback);
}

/// Reports a complaint or an opt-out that comes without a report part. Whether the message is one.
pub(crate) fn report_bare(reading: &mut Reading<'_>) -> bool {
    let bare = |kind: &str| Feedback { feedback_type: kind.to_owned(), ..Feedback::default() };
    if is_opt_out(reading) {
        let evidence = reading.header_evidence("feedback/opt-out", "subject");
        let from = reading.top().decoded("from").and_then(|f| address::first(&f));
        tell(reading, from.into_iter().collect(), evidence, bare("opt-out"));
        return true;
    }
    if is_complaint(reading) {
        let evidence = reading.header_evidence("feedback/bare", "subject");
        let whom = complained(reading);
        tell(reading, whom, evidence, bare("abuse"));
        return true;
    }
    false
}

fn tell(reading: &mut Reading<'_>, mut whom: Vec<String>, evidence: Evidence, feedback: Feedback) {
    reading.report.kind = Kind::Feedback;
    if whom.is_empty() {
        // Large providers leave out who complained; the sender may know it by the Message-ID.
        whom.push(String::new());
        reading.note("complainer-unnamed");
    }
    reading.report.recipients = whom.into_iter().map(|a| stated(a, None, Reason::Feedback, evidence.clone())).collect();
    reading.report.feedback = Some(feedback);
}

/// Whom the message complained of was sent to, where it says so.
fn complained(reading: &Reading<'_>) -> Vec<String> {
    let fields = reading.returned.as_ref();
    let stamped = fields.and_then(|f| f.text("x-hmxmroriginalrecipient")).and_then(|v| address::first(&v));
    stamped.into_iter().chain(reading.mailed().iter().cloned()).take(1).collect()
}

/// A request to be unsubscribed that a mail client sent by `List-Unsubscribe` (RFC 2369 §3.2).
fn is_opt_out(reading: &Reading<'_>) -> bool {
    if reading.top().get("x-apple-unsubscribe").is_some() {
        return true;
    }
    let says = reading.subject.trim_start().get(..11).is_some_and(|s| s.eq_ignore_ascii_case("unsubscribe"));
    if !says || reading.signs.is_system() {
        return false;
    }
    let to = reading.top().decoded("to").and_then(|t| address::first(&t)).unwrap_or_default().to_ascii_lowercase();
    let local = to.split('@').next().unwrap_or_default();
    ["unsub", "opt-out", "optout", "leave"].iter().any(|w| local.contains(w)) && reading.texts().own_words() <= 30
}

/// A complaint without a report part: from a feedback address, with a subject that says so, and the
/// message complained of attached (Microsoft's JMRP, and kin).
fn is_complaint(reading: &Reading<'_>) -> bool {
    let Some(attached) = &reading.returned else { return false };
    if attached.get("x-hmxmroriginalrecipient").is_some() && !reading.signs.is_system() {
        return true;
    }
    let from = reading.top().decoded("from").and_then(|f| address::first(&f)).unwrap_or_default().to_ascii_lowercase();
    let local = from.split('@').next().unwrap_or_default();
    let sender = ["staff", "abuse", "fbl", "feedback", "complaint", "scomp", "spam", "arf", "jmrp"]
        .iter()
        .any(|w| local.contains(w));
    let subject = reading.subject.to_ascii_lowercase();
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
