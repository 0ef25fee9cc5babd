//! From parts to a report: which part decides.

use super::delivery::Place;
use super::evidence::Passage;
use super::field::{self, Fields};
use super::mime::{Media, Part, Parts};
use super::signs::Signs;
use super::texts::Texts;
use super::types::{Action, Diagnostic, Evidence, Kind, Original, Outcome, Reason, Report};
use super::words::Notice;
use super::{address, delivery, diagnostic, disposition, feedback, original, prose};
use crate::limits;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Messages within messages that are followed to a report: a forward of a forward.
const WRAPPINGS: usize = 3;

/// Bytes of a text that a notice of absence keeps to.
const SHORT: usize = 1500;

/// A message under reading. What costs something is found when somebody asks for it.
pub(crate) struct Reading<'m> {
    pub message: &'m [u8],
    pub parts: Parts<'m>,
    pub signs: Signs,
    pub subject: String,
    pub report: Report,
    texts: OnceCell<Texts<'m>>,
    /// The fields of the returned or attached message, where it is a part.
    pub returned: Option<Fields<'m>>,
    mailed: OnceCell<Vec<String>>,
}

/// Reads a message whose lines end in LF or CRLF. `depth` counts the messages around it.
pub(crate) fn read(message: &[u8], depth: usize) -> Report {
    let parts = Parts::of(message);
    let Some(top) = parts.list.first() else { return Report::default() };
    let subject = top.fields.decoded("subject").unwrap_or_default();
    let report = Report {
        message_id: original::message_id(&top.fields),
        returned_to: returned_to(&top.fields),
        diagnostics: parts.faults.iter().map(|code| diagnostic(code)).collect(),
        ..Report::default()
    };
    let mut reading = Reading {
        message,
        signs: Signs::of(&top.fields, &subject),
        subject,
        report,
        texts: OnceCell::new(),
        returned: returned_part(&parts),
        mailed: OnceCell::new(),
        parts,
    };
    reading.decide(depth);
    reading.report
}

/// The address that a message came to, where its local part may carry a mark: the envelope's word before the header's.
fn returned_to(fields: &Fields<'_>) -> Option<String> {
    for name in ["delivered-to", "x-original-to", "envelope-to", "x-rcpt-to", "to"] {
        for value in fields.all(name) {
            if memchr::memchr2(b'+', b'=', value.value).is_none() {
                continue;
            }
            let value = value.unfolded();
            let marked = |address: &str| address.rsplit_once('@').is_some_and(|(local, _)| local.contains(['+', '=']));
            if let Some(span) = address::find(&value).into_iter().find(|span| marked(&value[span.clone()])) {
                return Some(super::text::bounded(&value[span], limits::ADDRESS_CHARS));
            }
        }
    }
    None
}

/// The fields of the last part that is a message or a message's header.
fn returned_part<'m>(parts: &Parts<'m>) -> Option<Fields<'m>> {
    let part = parts.list.iter().rfind(|p| matches!(p.media, Media::Headers | Media::Message))?;
    // Fields without the empty line before them were read as the part's own.
    let own = part.fields.get("received").is_some() || part.fields.get("message-id").is_some();
    let fields = if own { part.fields.clone() } else { field::split(part.body).0 };
    (!fields.is_empty()).then_some(fields)
}

impl<'m> Reading<'m> {
    /// The fields of the message itself.
    pub fn top(&self) -> &Fields<'m> {
        &self.parts.list[0].fields
    }

    /// The texts that speak to people.
    pub fn texts(&self) -> &Texts<'m> {
        self.texts.get_or_init(|| Texts::of(self.message, &self.parts))
    }

    /// Whom the returned message was sent to, in lower case.
    pub fn mailed(&self) -> &[String] {
        self.mailed.get_or_init(|| match &self.returned {
            Some(fields) => original::mailed(fields),
            None => self.texts().original.as_ref().map(|(_, mailed)| mailed.clone()).unwrap_or_default(),
        })
    }

    /// The message that came back, as far as it did.
    pub fn original(&self) -> Option<Original> {
        match &self.returned {
            Some(fields) => Some(original::read(fields)),
            None => self.texts().original.as_ref().map(|(original, _)| original.clone()),
        }
    }

    /// Tells something about the reading.
    pub fn note(&mut self, code: &str) {
        if self.report.diagnostics.iter().all(|told| told.code != code) {
            self.report.diagnostics.push(diagnostic(code));
        }
    }

    /// Where a slice of the message, or of its decoded part, stands.
    pub fn offset_in(&self, whole: &[u8], slice: &[u8]) -> usize {
        let inside = self.message.as_ptr_range().contains(&whole.as_ptr());
        let from = if inside { self.message } else { whole };
        (slice.as_ptr() as usize).saturating_sub(from.as_ptr() as usize)
    }

    /// A field of the header as evidence.
    pub fn header_evidence(&self, rule: &str, name: &str) -> Evidence {
        let Some(found) = self.top().get(name) else {
            return Evidence { rule: rule.to_owned(), part: "header".to_owned(), ..Evidence::default() };
        };
        let at = (found.value.as_ptr() as usize).saturating_sub(self.message.as_ptr() as usize);
        let passage = Passage::new("header".to_owned(), at, found.raw());
        let mut evidence = passage.whole(rule);
        if name == "subject" {
            evidence.text = super::text::bounded(&self.subject, limits::EVIDENCE_CHARS);
        }
        evidence
    }

    /// A part as evidence, from the field of that name.
    pub fn part_evidence(&self, rule: &str, at: usize, name: &str) -> Evidence {
        let part = &self.parts.list[at];
        let decoded = part.decoded(limits::MESSAGE_BYTES);
        let (fields, _) = field::split(&decoded);
        let Some(found) = fields.get(name) else {
            return Evidence { rule: rule.to_owned(), part: self.parts.path(at), ..Evidence::default() };
        };
        let passage = Passage::new(self.parts.path(at), self.offset_in(&decoded, found.value), found.raw());
        passage.whole(rule)
    }

    fn decide(&mut self, depth: usize) {
        if !self.is_decided(depth) {
            self.report.original = None; // other mail: what is attached to it did not come back
        } else if self.report.original.is_none() {
            self.report.original = self.original();
        }
        let nothing_returned = self.report.original.as_ref().is_none_or(|original| original.message_id.is_none());
        if self.report.kind == Kind::AutoReply
            && nothing_returned
            && let Some(id) = original::answered(self.top())
        {
            self.report.original.get_or_insert_default().message_id = Some(id);
        }
    }

    /// The order of evidence. Whether the message is anything but other mail.
    fn is_decided(&mut self, depth: usize) -> bool {
        if let Some(at) = self.parts.find(Media::Feedback) {
            feedback::report(self, at);
            return true;
        }
        let status = self.status();
        if !status.is_empty() {
            if self.is_by_person() {
                self.note("forwarded-report");
                return false;
            }
            if delivery::report(self, &status, None) || self.nameless(&status) {
                return true;
            }
        }
        if let Some(at) = self.parts.find(Media::Disposition) {
            disposition::report(self, at);
            return true;
        }
        feedback::report_bare(self) || self.unwrap(depth) || prose::report(self) || self.auto_reply()
    }

    /// The delivery status parts; without one, the text of a mail system that has the fields of one in it.
    fn status(&self) -> Vec<Place<'m>> {
        let parts = self.parts.list.iter().enumerate().filter(|(_, part)| part.media == Media::DeliveryStatus);
        let place = |(at, part): (usize, &Part<'m>)| (self.parts.path(at), part.decoded(limits::MESSAGE_BYTES));
        let places: Vec<_> = parts.map(place).collect();
        if places.is_empty() && self.signs.is_system() { self.texts().status().into_iter().collect() } else { places }
    }

    /// A delivery status that names nobody: the text for people may.
    fn nameless(&mut self, status: &[Place<'_>]) -> bool {
        if self.report.diagnostics.iter().any(|told| told.code == "status-unreadable") {
            return false;
        }
        let told = prose::report(self);
        let names: Vec<String> = self.report.recipients.iter().map(|o| o.address.clone()).collect();
        if delivery::report(self, status, Some(&names)) {
            return true;
        }
        self.note("status-unreadable");
        told
    }

    /// A person's own mail that has somebody's report in it.
    fn is_by_person(&self) -> bool {
        let content_type = self.top().text("content-type").unwrap_or_default();
        let is_report = content_type.get(..16).is_some_and(|t| t.eq_ignore_ascii_case("multipart/report"));
        let signs = &self.signs;
        if is_report || signs.is_system() || signs.automatic || signs.robot {
            return false;
        }
        let announced = matches!(signs.subject, Some(Notice::Failure | Notice::Delay | Notice::Success));
        // A forward without a word of its own is the report in a wrapper.
        (signs.conversation || !announced) && self.texts().own_words() > 0
    }

    /// Reports in a message that says nothing of its own: forwarded as attachments, or by a relay.
    fn unwrap(&mut self, depth: usize) -> bool {
        if depth >= WRAPPINGS {
            return false;
        }
        let attached = (0..self.parts.list.len()).filter(|&at| self.parts.list[at].media == Media::Message);
        let mut reports = attached.filter_map(|at| self.attached_report(at, depth));
        let Some(mut report) = reports.next() else { return false };
        let signs = &self.signs;
        let passed_on = signs.is_system() || signs.automatic || signs.robot;
        if !passed_on && self.texts().own_words() > 0 {
            drop(reports);
            self.note("forwarded-report");
            return false;
        }
        // Several deliveries: all their outcomes, of no message in particular.
        let of_deliveries = delivery::is_kind(report.kind);
        for other in reports.filter(|other| of_deliveries && delivery::is_kind(other.kind)) {
            report.recipients.extend(other.recipients);
            let told = |new: &Diagnostic| report.diagnostics.iter().any(|held| held.code == new.code);
            let new: Vec<_> = other.diagnostics.into_iter().filter(|new| !told(new)).collect();
            report.diagnostics.extend(new);
            report.kind = delivery::kind_of(&report.recipients);
            report.original = report.original.filter(|original| other.original.as_ref() == Some(original));
        }
        if report.recipients.len() > limits::RECIPIENTS {
            report.recipients.truncate(limits::RECIPIENTS);
            report.diagnostics.push(diagnostic("recipients-cut"));
        }
        report.diagnostics.splice(0..0, std::mem::take(&mut self.report.diagnostics));
        self.report = report;
        self.returned = None; // the report itself did not come back
        true
    }

    /// What an attached message reports, with its evidence where it stands in the whole.
    fn attached_report(&self, at: usize, depth: usize) -> Option<Report> {
        let inner = self.parts.list[at].decoded(limits::MESSAGE_BYTES);
        let mut report = read(&inner, depth + 1);
        if matches!(report.kind, Kind::Other | Kind::AutoReply) {
            return None;
        }
        let path = self.parts.path(at);
        let shift = if matches!(inner, Cow::Borrowed(_)) { self.offset_in(&inner, &inner) } else { 0 };
        for outcome in &mut report.recipients {
            let proof = &mut outcome.evidence;
            proof.part = format!("{path}.{}", proof.part);
            proof.start += shift;
            proof.end += shift;
        }
        Some(report)
    }

    /// Whether the words of the text may make it an automatic reply, where the header does not: from
    /// an automaton, or a short answer in which nobody is quoted and no mail client left its name.
    fn may_reply_in_words(&self) -> bool {
        let signs = &self.signs;
        if signs.automatic || signs.null_sender || signs.junk && signs.conversation {
            return true;
        }
        let text = || self.texts().list.first().map(|t| t.notice().trim()).unwrap_or_default();
        let quoted = || text().lines().any(|l| l.starts_with('>') || l.trim_end().ends_with("wrote:"));
        // An automaton does not ask.
        let asks = || text().contains(['?', '？', '؟']);
        signs.conversation && !signs.client && !signs.bulk && text().len() < SHORT && !quoted() && !asks()
    }

    /// An automatic reply (RFC 3834), a vacation notice, a challenge.
    fn auto_reply(&mut self) -> bool {
        let signs = &self.signs;
        if signs.list
            || signs.subject == Some(Notice::ListNotice)
            || signs.manager && self.texts().announces(Notice::ListNotice)
        {
            return false;
        }
        // A newsletter may ask "Out of office?".
        let by_subject = matches!(signs.subject, Some(Notice::AutoReply | Notice::Challenge))
            && !signs.conversation
            && (signs.automatic || !signs.bulk);
        let evidence = if let Some(name) = signs.auto_reply {
            self.header_evidence("auto-reply/field", name)
        } else if by_subject {
            self.header_evidence(signs.subject_rule, "subject")
        } else if self.may_reply_in_words() {
            let texts = self.texts();
            if texts.announces(Notice::ListNotice) {
                return false;
            }
            if signs.conversation && !signs.automatic && !signs.null_sender && texts.is_courteous_alone() {
                return false;
            }
            match texts.announcement(Notice::AutoReply).or_else(|| texts.announcement(Notice::Challenge)) {
                Some(evidence) => evidence,
                None => return false,
            }
        } else {
            return false;
        };
        self.report.kind = Kind::AutoReply;
        let from = self.top().decoded("from").and_then(|f| address::first(&f));
        self.report.recipients =
            from.into_iter().map(|a| stated(a, None, Reason::Vacation, evidence.clone())).collect();
        true
    }
}

/// An outcome that is no failure.
pub(crate) fn stated(address: String, action: Option<Action>, reason: Reason, evidence: Evidence) -> Outcome {
    Outcome {
        address,
        original_address: None,
        final_address: None,
        action,
        status: None,
        reply_code: None,
        reason,
        hard: false,
        permanent: false,
        diagnostic: None,
        remote_mta: None,
        evidence,
    }
}
