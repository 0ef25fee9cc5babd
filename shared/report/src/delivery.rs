//! Delivery status notifications (RFC 3464): the outcome of each recipient.

use super::evidence::{Passage, Witness};
use super::field::Field;
use super::notice::Named;
use super::reading::Reading;
use super::reason::{Clue, Source, Verdict};
use super::status::{self, Recipient, Status};
use super::texts::Sense;
use super::types::{Action, Evidence, Kind, Outcome, Reason};
use super::{address, notice, prose, text};
use crate::limits;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;

/// Where the fields of a delivery status stand: the number of the part, and its bytes without their transfer encoding.
pub(crate) type Place<'m> = (String, Cow<'m, [u8]>);

/// Reads the fields of every such place: RFC 3464 §2 has one in a message, some systems write one for each recipient.
/// Whether they told of any recipient. Where they name nobody, `names` are those whom the text for people names.
pub(crate) fn report(reading: &mut Reading<'_>, places: &[Place<'_>], names: Option<&[String]>) -> bool {
    let mut all: Vec<Status<'_>> = places.iter().map(|(_, fields)| status::read(fields)).collect();
    let told: usize = all.iter().map(|said| said.recipients.len()).sum();
    if told == 0 {
        reading.note("status-unreadable");
        return false;
    }
    let reporting_mta = all.iter_mut().find_map(|said| said.reporting_mta.take());
    let delivery = Delivery { reading, told, reporting_mta: reporting_mta.as_deref(), named: OnceCell::new() };
    let groups = || all.iter().zip(places).flat_map(|(said, place)| said.recipients.iter().map(move |r| (r, place)));
    if names.is_none() && !groups().any(|(r, _)| delivery.mailed_address(r).is_some()) {
        return false;
    }
    let mut seen = HashSet::new();
    let outcome = |(i, (r, place)): (usize, (&Recipient<'_>, &Place<'_>))| {
        // One who is unnamed beside others has an outcome, too.
        let whose = delivery.mailed_address(r);
        let (address, target) = whose.unwrap_or_else(|| (nameless(names.unwrap_or_default(), i, told), None));
        let outcome = delivery.outcome(r, place, i < limits::SEARCHED_RECIPIENTS, address, target);
        // A name that is no address may be that of several: a local part, or what somebody has blackened.
        let new = !address::is_address(&outcome.address)
            || told == 1
            || seen.insert((outcome.address.to_lowercase(), outcome.status.clone()));
        new.then_some(outcome)
    };
    let mut outcomes: Vec<_> = groups().take(limits::RECIPIENTS).enumerate().filter_map(outcome).collect();
    if outcomes.is_empty() {
        return false;
    }
    if all.iter().any(|said| said.of_all) && outcomes.len() > 1 {
        let all: Vec<String> =
            outcomes.iter().take(limits::SEARCHED_RECIPIENTS).map(|o| o.address.to_lowercase()).collect();
        outcomes.iter_mut().for_each(|outcome| doubt(outcome, &all));
    }
    if told > limits::RECIPIENTS || all.iter().any(|said| said.cut) {
        reading.note("recipients-cut");
    }
    if outcomes.iter().any(|o| o.address.is_empty()) {
        reading.note("recipient-unnamed");
    }
    reading.report.kind = kind_of(&outcomes);
    reading.report.recipients = outcomes;
    reading.report.arrival = all.iter_mut().find_map(|said| said.arrival.take());
    reading.report.envelope_id = all.iter_mut().find_map(|said| said.envelope_id.take());
    reading.report.reporting_mta = reporting_mta;
    true
}

/// An answer that was given to one of several and does not name this one kills no address; where it names another, it says
/// nothing of this one.
fn doubt(outcome: &mut Outcome, all: &[String]) {
    let answer = outcome.diagnostic.as_deref().unwrap_or_default().to_lowercase();
    if answer.contains(&outcome.address.to_lowercase()) {
        return;
    }
    outcome.hard = false;
    if all.iter().any(|other| answer.contains(other)) {
        outcome.reason = Reason::OnHold;
    }
}

/// Who a group is about that names nobody: the one whom the text names, or each in its turn, or an empty address.
fn nameless(names: &[String], group: usize, told: usize) -> String {
    match names {
        [only] => only.clone(),
        names if names.len() == told => names[group].clone(),
        _ => String::new(),
    }
}

/// Kinds that tell what became of a delivery.
pub(crate) fn is_kind(kind: Kind) -> bool {
    matches!(kind, Kind::Bounce | Kind::Delayed | Kind::Delivered)
}

/// A report is what its worst outcome is.
pub(crate) fn kind_of(outcomes: &[Outcome]) -> Kind {
    let any = |wanted: Action| outcomes.iter().any(|o| o.action == Some(wanted));
    if any(Action::Failed) {
        Kind::Bounce
    } else if any(Action::Delayed) {
        Kind::Delayed
    } else {
        Kind::Delivered
    }
}

struct Delivery<'r, 'm> {
    reading: &'r Reading<'m>,
    /// Recipients that are told of.
    told: usize,
    reporting_mta: Option<&'r str>,
    /// Whom the texts for people name, once somebody asks.
    named: OnceCell<Vec<(usize, Named)>>,
}

impl Delivery<'_, '_> {
    fn passage<'f>(&self, (path, fields): &Place<'_>, field: &Field<'f>) -> Passage<'f> {
        Passage::new(path.clone(), self.reading.offset_in(fields, field.value), field.raw())
    }

    /// The Diagnostic-Code without its type.
    fn diagnostic<'f>(&self, (path, fields): &Place<'_>, field: &Field<'f>) -> Passage<'f> {
        let raw = field.raw();
        let said = status::diagnostic_text(&raw);
        let skip = said.as_ptr() as usize - raw.as_ptr() as usize;
        let length = said.len();
        let at = self.reading.offset_in(fields, field.value) + skip;
        let words = match raw {
            Cow::Borrowed(raw) => Cow::Borrowed(&raw[skip..skip + length]),
            Cow::Owned(raw) => Cow::Owned(raw[skip..skip + length].to_owned()),
        };
        Passage::new(path.clone(), at, words)
    }

    /// The whole answer, where Diagnostic-Code has the first of its lines (`554-…`): sendmail keeps the others for the
    /// transcript.
    fn rest_of(&self, diagnostic: &Passage<'_>) -> Option<Passage<'_>> {
        let line = diagnostic.raw.trim();
        if line.as_bytes().get(3) != Some(&b'-') || line.contains('\n') {
            return None;
        }
        let quoted = format!("<<< {line}");
        let texts = &self.reading.texts().list;
        let (text, at) = texts.iter().find_map(|text| Some((text, text.notice().find(&quoted)?)))?;
        let at = at + quoted.len() - line.len();
        let whole = notice::smtp_answer(&text.notice()[at..]).filter(|whole| whole.start == 0)?;
        Some(text.passage(at..at + whole.end))
    }

    /// An echo in Diagnostic-Code, where the text for people tells the answer that it echoes.
    fn is_answered_before(&self, diagnostic: &Passage<'_>) -> bool {
        notice::is_echo(&diagnostic.raw)
            && self.reading.texts().list.iter().any(|text| {
                notice::smtp_answer(text.notice()).is_some_and(|answer| !notice::is_echo(&text.notice()[answer]))
            })
    }

    fn outcome(
        &self,
        recipient: &Recipient<'_>,
        place: &Place<'_>,
        search: bool,
        address: String,
        target: Option<String>,
    ) -> Outcome {
        let action = self.action(recipient);
        let mut witness = Witness {
            remote: recipient
                .diagnostic
                .as_ref()
                .map(|f| self.diagnostic(place, f))
                .filter(|d| !self.is_answered_before(d))
                .map(|d| self.rest_of(&d).unwrap_or(d)),
            local: None,
            status: recipient.status_field.as_ref().map(|f| self.passage(place, f)),
            category: recipient.category.as_ref().map(|f| self.passage(place, f)),
            named: recipient.opening.as_ref().map(|f| self.passage(place, f)),
        };
        let clue = Clue {
            status: recipient.status.as_deref(),
            action: Some(action),
            address: &address,
            remote_mta: recipient.remote_mta.as_deref(),
            reporting_mta: self.reporting_mta,
            delayed: action == Action::Delayed,
            ..Clue::default()
        };
        let good = matches!(action, Action::Delivered | Action::Relayed | Action::Expanded);
        let (mut verdict, mut evidence) = witness.weigh(&clue);
        if good {
            evidence = witness.named.as_ref().map(|p| p.whole("action/delivered")).unwrap_or_default();
        } else if search && (says_little(&verdict) || witness.remote.is_none() && verdict.reason == Reason::Expired) {
            let who = [Some(address.as_str()), target.as_deref(), recipient.last.as_deref()];
            (verdict, evidence) = self.ask_the_texts(&mut witness, &clue, &who, verdict, evidence);
        }
        let bad = action == Action::Failed;
        Outcome {
            original_address: recipient.original.clone().filter(|o| !o.eq_ignore_ascii_case(&address)),
            final_address: target,
            action: Some(action),
            status: verdict.status.or_else(|| recipient.status.clone()),
            reply_code: verdict.reply_code,
            reason: if good { Reason::Delivered } else { verdict.reason },
            hard: verdict.hard && bad,
            permanent: verdict.permanent && bad,
            diagnostic: witness
                .remote
                .as_ref()
                .map(|p| text::bounded(p.text(), limits::DIAGNOSTIC_CHARS))
                .filter(|d| !d.is_empty()),
            remote_mta: recipient.remote_mta.clone(),
            evidence,
            address,
        }
    }

    /// The machine-readable fields said little: what the text for people says of this recipient.
    fn ask_the_texts<'t>(
        &'t self,
        witness: &mut Witness<'t>,
        clue: &Clue<'_>,
        who: &[Option<&str>],
        mut verdict: Verdict,
        mut evidence: Evidence,
    ) -> (Verdict, Evidence) {
        let who: Vec<&str> = who.iter().flatten().copied().filter(|a| !a.is_empty()).collect();
        let texts = self.reading.texts();
        let passages = if self.told == 1 {
            texts.all()
        } else {
            texts.about(&who, self.named.get_or_init(|| texts.recipients(&prose::company(self.reading))))
        };
        for local in passages {
            if witness.remote.is_none()
                && let Some(answer) = notice::smtp_answer(&local.raw)
            {
                let Cow::Borrowed(raw) = local.raw else { continue };
                let (start, part) = (answer.start, local.part.clone());
                witness.remote = Some(Passage::new(part, local.base + start, Cow::Borrowed(&raw[answer])));
            }
            witness.local = Some(local);
            let (other, proof) = witness.weigh(clue);
            // What the last attempt met says more than that it was the last.
            let met = verdict.reason == Reason::Expired && other.source == Source::Remote && !is_vague(other.reason);
            if is_clearer(&other, &verdict) || met {
                (verdict, evidence) = (other, proof);
            }
            if !says_little(&verdict) {
                break;
            }
        }
        (verdict, evidence)
    }

    fn action(&self, recipient: &Recipient<'_>) -> Action {
        let class = recipient.status.as_deref().and_then(|s| s.bytes().next());
        match recipient.action {
            // OpenSMTPD calls a final expiry delayed: only the text says that it is over.
            Some(Action::Delayed) if self.reading.texts().sense() == Some(Sense::Failure) => Action::Failed,
            Some(action) => action,
            None if class == Some(b'2') => Action::Delivered,
            None if class == Some(b'4') && self.reading.texts().sense() == Some(Sense::Delay) => Action::Delayed,
            None => Action::Failed,
        }
    }

    /// The address that was mailed, and the target behind it where that is another.
    fn mailed_address(&self, recipient: &Recipient<'_>) -> Option<(String, Option<String>)> {
        let named = [&recipient.original, &recipient.last, &recipient.actual];
        let mut good = named.iter().filter_map(|a| a.as_deref()).filter(|a| address::is_address(a));
        let Some(first) = good.next() else {
            // A local part alone is completed from the returned message.
            let mailed = self.reading.mailed();
            let Some(local) = named.iter().find_map(|a| a.as_deref()) else {
                // A report that names nobody is about the one who was mailed.
                let only = mailed.first().filter(|_| mailed.len() == 1 && self.told == 1)?;
                return Some((only.clone(), None));
            };
            let matching = mailed.iter().find(|m| m.split('@').next().is_some_and(|l| l.eq_ignore_ascii_case(local)));
            let alone = mailed.len() == 1 && self.told == 1;
            let whole = matching.or(if alone { mailed.first() } else { None });
            return Some((whole.cloned().unwrap_or_else(|| local.to_owned()), None));
        };
        // xtext that nobody decoded (RFC 3461 §4) is believed where something else agrees.
        let decoded = address::from_xtext(first).filter(|decoded| {
            good.any(|a| a.eq_ignore_ascii_case(decoded)) || self.reading.mailed().contains(&decoded.to_lowercase())
        });
        let first = decoded.unwrap_or_else(|| first.to_owned());
        let actual = recipient.actual.as_ref().or(recipient.last.as_ref());
        let target = actual.filter(|a| !a.eq_ignore_ascii_case(&first)).cloned();
        Some((first, target))
    }
}

/// A verdict that more words may better.
fn says_little(verdict: &Verdict) -> bool {
    !verdict.sure || verdict.status.as_deref().is_none_or(|s| s.ends_with(".0.0"))
}

fn is_clearer(other: &Verdict, held: &Verdict) -> bool {
    let rank = |v: &Verdict| match v.reason {
        Reason::Undefined => 0,
        Reason::OnHold => 1,
        _ if !v.sure => 2,
        _ => 3,
    };
    let specific = |v: &Verdict| v.status.as_deref().is_some_and(|s| !s.ends_with(".0.0"));
    rank(other) > rank(held) || rank(other) == rank(held) && specific(other) && !specific(held)
}

/// A reason that is no answer.
pub(crate) fn is_vague(reason: Reason) -> bool {
    matches!(reason, Reason::Undefined | Reason::OnHold)
}
