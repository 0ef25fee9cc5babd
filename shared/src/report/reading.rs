//! From parts to a report: which part decides, and what it makes of each recipient.

use super::evidence::{Passage, Witness};
use super::field::Fields;
use super::mime::{Media, Part, Parts};
use super::notice::{self, Company, Named};
use super::reason::Clue;
use super::signs::Signs;
use super::status::{self, Recipient};
use super::types::{Action, Evidence, Kind, Outcome, Reason, Report};
use super::words::{self, Notice};
use super::{address, diagnostic, disposition, feedback, original, text};
use crate::limits;
use std::borrow::Cow;

/// A message under reading.
struct Reading<'m> {
    message: &'m [u8],
    parts: Parts<'m>,
    signs: Signs,
    subject: String,
    /// The returned or attached message's fields.
    returned: Option<Fields<'m>>,
    /// Whom the returned message was sent to, in lower case.
    mailed: Vec<String>,
    report: Report,
}

/// Reads a message whose lines end in LF or CRLF. `depth` counts the messages around it.
pub(crate) fn read(message: &[u8], depth: usize) -> Report {
    let parts = Parts::of(message);
    let Some(top) = parts.list.first() else { return Report::default() };
    let subject = top.fields.decoded("subject").unwrap_or_default();
    let signs = Signs::of(&top.fields, &subject);
    let report = Report {
        message_id: original::message_id(&top.fields),
        diagnostics: parts.faults.iter().map(|code| diagnostic(code)).collect(),
        ..Report::default()
    };
    let mut reading = Reading { message, parts, signs, subject, returned: None, mailed: Vec::new(), report };
    reading.find_returned();
    reading.decide(depth);
    reading.report
}

impl<'m> Reading<'m> {
    fn top(&self) -> &Fields<'m> {
        &self.parts.list[0].fields
    }

    fn find_returned(&mut self) {
        let Some(at) = self.parts.list.iter().rposition(|p| matches!(p.media, Media::Headers | Media::Message)) else {
            return;
        };
        let part = &self.parts.list[at];
        let encoded = part
            .fields
            .get("content-transfer-encoding")
            .is_some_and(|f| f.value.trim_ascii().eq_ignore_ascii_case(b"base64"));
        if !encoded {
            // Fields without the empty line before them were read as the part's own.
            let own = part.fields.get("received").is_some() || part.fields.get("message-id").is_some();
            let fields = if own { part.fields.clone() } else { super::field::split(part.body).0 };
            self.set_returned(fields);
        }
    }

    fn set_returned(&mut self, fields: Fields<'m>) {
        if !fields.is_empty() {
            self.mailed = original::mailed(&fields);
            self.report.original = Some(original::read(&fields));
            self.returned = Some(fields);
        }
    }

    fn decide(&mut self, depth: usize) {
        if let Some(at) = self.parts.find(Media::Feedback) {
            return self.feedback(at);
        }
        if let Some(at) = self.parts.find(Media::DeliveryStatus) {
            if self.is_by_person() {
                self.note("forwarded-report");
            } else if self.delivery_status(at) {
                return;
            }
        }
        if let Some(at) = self.parts.find(Media::Disposition) {
            return self.disposition(at);
        }
        if feedback::is_complaint(self.top(), &self.subject, self.returned.as_ref()) {
            return self.bare_complaint();
        }
        if self.is_opt_out() {
            return self.opt_out();
        }
        if self.wrapped(depth) || self.notice() {
            return;
        }
        if self.is_auto_reply() {
            self.auto_reply();
        } else {
            self.report.original = None; // other mail: whatever is attached was not returned
        }
    }

    fn note(&mut self, code: &str) {
        self.report.diagnostics.push(diagnostic(code));
    }

    /// A person's own mail that has somebody's report in it.
    fn is_by_person(&self) -> bool {
        let content_type = self.top().text("content-type").unwrap_or_default();
        let is_report = content_type.get(..16).is_some_and(|t| t.eq_ignore_ascii_case("multipart/report"));
        !is_report && !self.signs.is_system() && !self.signs.automatic && self.signs.conversation
    }

    // ---- reports with a machine-readable part

    fn delivery_status(&mut self, at: usize) -> bool {
        let part = self.parts.list[at].clone();
        let decoded = part.decoded(limits::MESSAGE_BYTES);
        let said = status::read(&decoded);
        if said.recipients.is_empty() {
            self.note("status-unreadable");
            return false;
        }
        if said.cut {
            self.note("recipients-cut");
        }
        let texts = Notices::of(self);
        let path = self.parts.path(at);
        let final_words = texts.announces(Notice::Failure) && !texts.announces(Notice::Delay);
        let mut outcomes: Vec<Outcome> = Vec::new();
        for recipient in &said.recipients {
            let place = |field: &super::field::Field<'_>| -> usize {
                let whole = if matches!(decoded, Cow::Borrowed(_)) { self.message } else { &decoded[..] };
                (field.value.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
            };
            let Some(outcome) = self.outcome(recipient, &said, &path, place, &texts, final_words) else { continue };
            if !outcomes
                .iter()
                .rev()
                .take(50)
                .any(|o| o.address.eq_ignore_ascii_case(&outcome.address) && o.status == outcome.status)
            {
                outcomes.push(outcome);
            }
        }
        self.report.reporting_mta = said.reporting_mta.clone();
        self.report.arrival = said.arrival.clone();
        self.report.kind = kind_of(&outcomes);
        self.report.recipients = outcomes;
        true
    }

    fn outcome(
        &self,
        recipient: &Recipient<'_>,
        said: &status::Status<'_>,
        path: &str,
        place: impl Fn(&super::field::Field<'_>) -> usize,
        texts: &Notices<'_>,
        final_words: bool,
    ) -> Option<Outcome> {
        let (address, target) = self.mailed_address(recipient)?;
        let passage = |field: &super::field::Field<'_>| {
            Passage::new(path.to_owned(), place(field), Cow::Owned(field.raw().into_owned()))
        };
        let diagnostic_passage = recipient.diagnostic.as_ref().map(|field| {
            let raw = field.raw();
            let kind = raw.len() - status::diagnostic_text(&raw).len();
            let skip = if status::diagnostic_text(&raw).is_empty() {
                0
            } else {
                raw.find(status::diagnostic_text(&raw)).unwrap_or(kind)
            };
            Passage::new(path.to_owned(), place(field) + skip, Cow::Owned(raw[skip..].to_owned()))
        });
        let mut action =
            recipient.action.or_else(|| match recipient.status.as_deref().and_then(|s| s.bytes().next()) {
                Some(b'2') => Some(Action::Delivered),
                _ => None,
            });
        if action == Some(Action::Delayed) && final_words {
            action = Some(Action::Failed); // OpenSMTPD calls a final expiry delayed
        }
        let delayed = action == Some(Action::Delayed);
        let mut witness = Witness {
            remote: diagnostic_passage,
            local: None,
            status: recipient.status_field.as_ref().map(&passage),
            named: recipient.opening.as_ref().map(&passage),
        };
        let clue = Clue {
            status: recipient.status.as_deref(),
            action,
            address: &address,
            remote_mta: recipient.remote_mta.as_deref(),
            reporting_mta: said.reporting_mta.as_deref(),
            delayed,
            ..Clue::default()
        };
        let good = matches!(action, Some(Action::Delivered | Action::Relayed | Action::Expanded));
        let (mut verdict, mut evidence) = witness.weigh(&clue);
        if !good && is_vague(verdict.reason) {
            let who = [Some(&address), target.as_ref(), recipient.last.as_ref()];
            for local in texts.about(&who) {
                witness.local = Some(local);
                let (other, proof) = witness.weigh(&clue);
                if !is_vague(other.reason) || verdict.reason == Reason::Undefined && other.reason != Reason::Undefined {
                    (verdict, evidence) = (other, proof);
                    break;
                }
            }
        }
        let reason = if good { Reason::Delivered } else { verdict.reason };
        Some(Outcome {
            original_address: recipient.original.clone().filter(|o| !o.eq_ignore_ascii_case(&address)),
            final_address: target,
            action: action.or(Some(Action::Failed)),
            status: verdict.status.or_else(|| recipient.status.clone()),
            reply_code: verdict.reply_code,
            reason,
            hard: verdict.hard && !good && !delayed,
            permanent: verdict.permanent && !good && !delayed,
            diagnostic: witness
                .remote
                .as_ref()
                .map(|p| text::bounded(&p.text, limits::DIAGNOSTIC_CHARS))
                .filter(|d| !d.is_empty()),
            remote_mta: recipient.remote_mta.clone(),
            evidence: if good { proof_of_action(&witness, evidence) } else { evidence },
            address,
        })
    }

    /// The address that was mailed, and the target behind it where that is another.
    fn mailed_address(&self, recipient: &Recipient<'_>) -> Option<(String, Option<String>)> {
        let named = [&recipient.original, &recipient.last, &recipient.actual];
        let mut good: Vec<String> =
            named.iter().filter_map(|a| a.as_deref()).filter(|a| address::is_address(a)).map(str::to_owned).collect();
        // xtext that nobody decoded (RFC 3461 §4): believed where another field agrees.
        if let Some(decoded) = good.first().and_then(|a| address::from_xtext(a))
            && (self.mailed.contains(&decoded.to_lowercase())
                || good[1..].iter().any(|a| a.eq_ignore_ascii_case(&decoded)))
        {
            good[0] = decoded;
        }
        let Some(first) = good.first().cloned() else {
            // A local part alone: completed from the returned message.
            let local = named.iter().find_map(|a| a.as_deref())?;
            let matching =
                self.mailed.iter().find(|m| m.split('@').next().is_some_and(|l| l.eq_ignore_ascii_case(local)));
            let only = if self.mailed.len() == 1 { self.mailed.first() } else { None };
            return Some((matching.or(only).cloned().unwrap_or_else(|| local.to_owned()), None));
        };
        let actual = recipient.actual.as_ref().or(recipient.last.as_ref());
        let target = actual.filter(|a| !a.eq_ignore_ascii_case(&first)).cloned();
        Some((first, target))
    }

    fn feedback(&mut self, at: usize) {
        let part = self.parts.list[at].clone();
        let decoded = part.decoded(limits::MESSAGE_BYTES);
        let complaint = feedback::read(&decoded);
        let whom = if complaint.recipients.is_empty() { self.complainers() } else { complaint.recipients };
        let path = self.parts.path(at);
        self.report.kind = Kind::Feedback;
        self.report.arrival = complaint.feedback.arrival.clone();
        let said = Evidence {
            rule: "arf.report".to_owned(),
            part: path,
            text: complaint.feedback.feedback_type.clone(),
            ..Evidence::default()
        };
        self.report.recipients =
            whom.into_iter().map(|address| plain_outcome(address, None, Reason::Feedback, said.clone())).collect();
        self.report.feedback = Some(complaint.feedback);
    }

    fn bare_complaint(&mut self) {
        self.report.kind = Kind::Feedback;
        let said = Evidence {
            rule: "arf.bare".to_owned(),
            part: "header".to_owned(),
            text: self.subject.clone(),
            ..Evidence::default()
        };
        self.report.recipients = self
            .complainers()
            .into_iter()
            .map(|address| plain_outcome(address, None, Reason::Feedback, said.clone()))
            .collect();
        self.report.feedback = Some(super::types::Feedback { feedback_type: "abuse".to_owned(), ..Default::default() });
    }

    fn is_opt_out(&self) -> bool {
        let words = || self.parts.texts().next().map_or(0, |i| self.parts.list[i].text().split_whitespace().count());
        let subject = self.subject.trim_start();
        let names_it = subject.get(..11).is_some_and(|s| s.eq_ignore_ascii_case("unsubscribe"));
        (names_it || self.top().get("x-apple-unsubscribe").is_some())
            && feedback::is_opt_out(self.top(), subject, words())
    }

    fn opt_out(&mut self) {
        self.report.kind = Kind::Feedback;
        let said = Evidence {
            rule: "arf.opt-out".to_owned(),
            part: "header".to_owned(),
            text: self.subject.clone(),
            ..Evidence::default()
        };
        let from = self.top().decoded("from").and_then(|f| address::first(&f));
        self.report.recipients =
            from.into_iter().map(|a| plain_outcome(a, None, Reason::Feedback, said.clone())).collect();
        self.report.feedback =
            Some(super::types::Feedback { feedback_type: "opt-out".to_owned(), ..Default::default() });
    }

    /// Whom the message complained of was sent to, where it says so.
    fn complainers(&self) -> Vec<String> {
        let stamped =
            self.returned.as_ref().and_then(|f| f.text("x-hmxmroriginalrecipient")).and_then(|v| address::first(&v));
        stamped.into_iter().chain(self.mailed.iter().cloned()).take(1).collect()
    }

    fn disposition(&mut self, at: usize) {
        let part = self.parts.list[at].clone();
        let decoded = part.decoded(limits::MESSAGE_BYTES);
        let said = disposition::read(&decoded);
        self.report.kind = Kind::Disposition;
        self.report.reporting_mta = said.reporting.clone();
        let Some(address) = said.original.clone().or(said.address.clone()) else { return };
        let evidence = Evidence { rule: said.rule.to_owned(), part: self.parts.path(at), ..Evidence::default() };
        let mut outcome = plain_outcome(address, said.action, said.reason, evidence);
        outcome.final_address = said.address.filter(|a| *a != outcome.address);
        self.report.recipients = vec![outcome];
    }

    // ---- reports in plain words

    /// A report that a system or a relay wrapped in another message and said nothing of its own.
    fn wrapped(&mut self, depth: usize) -> bool {
        if depth >= 3 {
            return false;
        }
        let Some(at) = self.parts.find(Media::Message) else { return false };
        let part = self.parts.list[at].clone();
        let inner = part.decoded(limits::MESSAGE_BYTES);
        let mut report = read(&inner, depth + 1);
        if matches!(report.kind, Kind::Other | Kind::AutoReply) {
            return false;
        }
        let own: usize = self.parts.texts().map(|i| self.parts.list[i].text().split_whitespace().count()).sum();
        if own > 12 && !self.signs.is_system() {
            self.note("forwarded-report");
            return false;
        }
        let path = self.parts.path(at);
        let shift = if matches!(inner, Cow::Borrowed(_)) {
            inner.as_ptr() as usize - self.message.as_ptr() as usize
        } else {
            0
        };
        for outcome in &mut report.recipients {
            let part = std::mem::take(&mut outcome.evidence.part);
            outcome.evidence.part = format!("{path}.{part}");
            outcome.evidence.start += shift;
            outcome.evidence.end += shift;
        }
        report.diagnostics.splice(0..0, std::mem::take(&mut self.report.diagnostics));
        self.report = report;
        true
    }

    fn notice(&mut self) -> bool {
        let texts = Notices::of(self);
        let (failure, delay) = (texts.announces(Notice::Failure), texts.announces(Notice::Delay));
        let subject = self.signs.subject;
        let says = |n: Notice| subject == Some(n);
        let reply = says(Notice::AutoReply) || says(Notice::Challenge);
        let announced = failure || delay || says(Notice::Failure) || says(Notice::Delay);
        let talk = self.signs.conversation
            && !self.signs.stamped
            && (!self.signs.daemon || self.top().get("in-reply-to").is_some());
        let system = self.signs.is_system() && !reply && !talk;
        if self.returned.is_none() && !texts.returned.is_empty() {
            self.mailed = original::mailed(&texts.returned);
            self.report.original = Some(original::read(&texts.returned));
        }
        let company = self.company();
        let mut found = texts.recipients(&company);
        let answered = texts.texts.iter().any(|t| notice::smtp_answer(t.notice()).is_some());
        let sure = found.iter().any(|(_, n)| n.rank >= 3);
        let matched = found.iter().any(|(_, n)| n.rank >= 2 && self.mailed.contains(&n.address.to_lowercase()));
        let plausible = if self.signs.stamped {
            true
        } else if system {
            announced || self.signs.daemon && !found.is_empty() && (answered || sure && matched)
        } else if self.signs.conversation || self.signs.list || reply {
            false
        } else {
            let subject = says(Notice::Failure) || says(Notice::Delay);
            let returned = self.report.original.is_some();
            (failure || delay)
                && (subject && (answered || sure) || self.signs.robot && sure && (answered || matched || returned))
        };
        if !plausible {
            return false;
        }
        let stamped = self.stamped_recipients();
        if !sure && !stamped.is_empty() {
            found = stamped.iter().map(|a| (0, whole(a, &texts))).collect();
        }
        if found.is_empty() && self.mailed.len() == 1 {
            found.push((0, whole(&self.mailed[0].clone(), &texts)));
            self.note("recipient-guessed");
        }
        if found.is_empty() {
            self.note("recipient-unnamed");
            if !(self.signs.daemon || self.signs.stamped) {
                return false;
            }
        }
        let delayed = (delay || says(Notice::Delay)) && !failure && !says(Notice::Failure);
        let outcomes = found.iter().map(|(i, named)| self.named_outcome(&texts, *i, named, delayed)).collect();
        self.report.recipients = outcomes;
        self.report.kind = if delayed { Kind::Delayed } else { Kind::Bounce };
        true
    }

    fn company(&self) -> Company<'_> {
        let ours = ["from", "to", "reply-to", "sender"]
            .iter()
            .filter_map(|name| self.top().decoded(name))
            .flat_map(|v| address::find(&v).map(|s| v[s].to_lowercase()).collect::<Vec<_>>())
            .collect();
        Company { ours, mailed: &self.mailed }
    }

    fn stamped_recipients(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for field in self.top().all("x-failed-recipients") {
            let value = field.unfolded();
            for span in address::find(&value) {
                if all.len() < limits::RECIPIENTS && !all.iter().any(|a| a.eq_ignore_ascii_case(&value[span.clone()])) {
                    all.push(value[span].to_owned());
                }
            }
        }
        all
    }

    fn named_outcome(&self, texts: &Notices<'_>, at: usize, named: &Named, delayed: bool) -> Outcome {
        let clue = Clue {
            address: &named.address,
            action: Some(if delayed { Action::Delayed } else { Action::Failed }),
            delayed,
            ..Clue::default()
        };
        let mut best = None;
        if let Some(text) = texts.texts.get(at) {
            let everything = 0..text.end;
            for section in named.sections.iter().chain(std::iter::once(&everything)) {
                let witness = text.witness(section.clone());
                let (verdict, evidence) = witness.weigh(&clue);
                let vague = is_vague(verdict.reason);
                let better = match &best {
                    None => true,
                    Some((held, _, _)) => {
                        let held: &super::reason::Verdict = held;
                        is_vague(held.reason)
                            && (!vague || held.reason == Reason::Undefined && verdict.reason != Reason::Undefined)
                    }
                };
                if better {
                    best = Some((verdict, evidence, witness));
                }
                if !vague {
                    break;
                }
            }
        }
        let Some((verdict, evidence, witness)) = best else {
            return plain_outcome(named.address.clone(), clue.action, Reason::Undefined, Evidence::default());
        };
        Outcome {
            address: named.address.clone(),
            original_address: None,
            final_address: named.target.clone(),
            action: clue.action,
            status: verdict.status,
            reply_code: verdict.reply_code,
            reason: verdict.reason,
            hard: verdict.hard && !delayed,
            permanent: verdict.permanent && !delayed,
            diagnostic: witness
                .remote
                .as_ref()
                .or(witness.local.as_ref())
                .map(|p| text::bounded(&p.text, limits::DIAGNOSTIC_CHARS))
                .filter(|d| !d.is_empty()),
            remote_mta: None,
            evidence,
        }
    }

    // ---- automatic replies

    fn is_auto_reply(&self) -> bool {
        let texts = Notices::of(self);
        let subject = matches!(self.signs.subject, Some(Notice::AutoReply | Notice::Challenge));
        let body = texts.announces(Notice::AutoReply) || texts.announces(Notice::Challenge);
        if self.signs.list {
            return false;
        }
        self.signs.auto_reply
            || subject && !self.signs.conversation
            || body && (self.signs.automatic || self.signs.null_sender)
    }

    fn auto_reply(&mut self) {
        self.report.kind = Kind::AutoReply;
        let from = self.top().decoded("from").and_then(|f| address::first(&f));
        let said = Evidence {
            rule: "auto-reply".to_owned(),
            part: "header".to_owned(),
            text: self.subject.clone(),
            ..Evidence::default()
        };
        self.report.recipients =
            from.into_iter().map(|a| plain_outcome(a, None, Reason::Vacation, said.clone())).collect();
    }
}

fn is_vague(reason: Reason) -> bool {
    matches!(reason, Reason::Undefined | Reason::OnHold)
}

fn whole(address: &str, texts: &Notices<'_>) -> Named {
    let end = texts.texts.first().map_or(0, |t| t.end);
    Named { address: address.to_owned(), target: None, sections: std::iter::once(0..end).collect(), rank: 2 }
}

fn proof_of_action(witness: &Witness<'_>, other: Evidence) -> Evidence {
    match &witness.named {
        Some(p) => p.evidence("dsn.action", 0..p.text.len()),
        None => other,
    }
}

fn plain_outcome(address: String, action: Option<Action>, reason: Reason, evidence: Evidence) -> Outcome {
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

/// A report is what its worst outcome is.
fn kind_of(outcomes: &[Outcome]) -> Kind {
    let any = |wanted: Action| outcomes.iter().any(|o| o.action == Some(wanted));
    if any(Action::Failed) {
        Kind::Bounce
    } else if any(Action::Delayed) {
        Kind::Delayed
    } else {
        Kind::Delivered
    }
}

/// One text for people, and where its notice ends.
struct Notified<'t> {
    part: String,
    base: usize,
    text: Cow<'t, str>,
    end: usize,
}

impl Notified<'_> {
    fn notice(&self) -> &str {
        &self.text[..self.end]
    }

    /// The section's words: what it quotes of an SMTP answer, and all of it.
    fn witness(&self, section: std::ops::Range<usize>) -> Witness<'_> {
        let raw = &self.text[section.clone()];
        let passage = |span: std::ops::Range<usize>| {
            Passage::new(self.part.clone(), self.base + section.start + span.start, Cow::Borrowed(&raw[span]))
        };
        Witness {
            remote: notice::smtp_answer(raw).map(&passage),
            local: Some(passage(0..text::prefix(raw, limits::DIAGNOSTIC_CHARS * 4).len())),
            status: None,
            named: Some(passage(0..raw.find('\n').unwrap_or(raw.len()))),
        }
    }
}

/// The texts of a message that speak to people, without the returned message in them.
struct Notices<'t> {
    texts: Vec<Notified<'t>>,
    announced: Vec<Notice>,
    returned: Fields<'t>,
}

impl<'m> Notices<'m> {
    fn of(reading: &Reading<'m>) -> Self {
        let mut notices = Notices { texts: Vec::new(), announced: Vec::new(), returned: Fields::default() };
        for at in reading.parts.texts().take(4) {
            let part = &reading.parts.list[at];
            let text = part.text();
            let end = notice::returned_at(&text);
            let base = match &text {
                Cow::Borrowed(t) => t.as_ptr() as usize - reading.message.as_ptr() as usize,
                Cow::Owned(_) => 0,
            };
            if end < text.len() && notices.returned.is_empty() {
                notices.returned = returned_in(part, &text, end);
            }
            notices.announced.extend(words::in_body(&text[..end]).into_iter().map(|f| f.notice));
            notices.texts.push(Notified { part: reading.parts.path(at), base, text, end });
        }
        notices
    }

    fn announces(&self, wanted: Notice) -> bool {
        self.announced.contains(&wanted)
    }

    /// Recipients named in the texts, the surest first text only: alternatives say the same twice.
    fn recipients(&self, company: &Company<'_>) -> Vec<(usize, Named)> {
        let mut best: Vec<(usize, Named)> = Vec::new();
        for (i, text) in self.texts.iter().enumerate() {
            let found = notice::recipients(text.notice(), company);
            let rank = |named: Option<&Named>| named.map_or(0, |n| n.rank);
            if rank(found.first()) > rank(best.first().map(|b| &b.1)) {
                best = found.into_iter().map(|n| (i, n)).collect();
            }
        }
        best
    }

    /// What the texts say about a recipient known by any of these addresses; then all they say.
    fn about<'a>(&'a self, who: &[Option<&String>]) -> Vec<Passage<'a>> {
        let mut passages = Vec::new();
        for text in &self.texts {
            let lower = text.notice().to_ascii_lowercase();
            let at = who.iter().flatten().find_map(|a| lower.find(&a.to_ascii_lowercase()));
            for start in at.into_iter().chain(std::iter::once(0)) {
                let raw = text::prefix(&text.notice()[start..], limits::DIAGNOSTIC_CHARS * 4);
                passages.push(Passage::new(text.part.clone(), text.base + start, Cow::Borrowed(raw)));
            }
        }
        passages
    }
}

/// The fields of a message returned within a text, where the text is as it stands in the message.
fn returned_in<'m>(part: &Part<'m>, text: &Cow<'m, str>, end: usize) -> Fields<'m> {
    match text {
        Cow::Borrowed(t) => original::fields_in(&t.as_bytes()[end..]),
        Cow::Owned(_) => {
            let _ = part;
            Fields::default()
        }
    }
}
