//! Reports in plain words: whether a notice is one, whom it names, and what becomes of each.

use super::delivery::is_vague;
use super::evidence::Witness;
use super::notice::{Company, Named};
use super::reading::{Reading, stated};
use super::reason::{Clue, Verdict};
use super::texts::{SECTIONS, Sense, Texts};
use super::types::{Action, Evidence, Kind, Outcome, Reason};
use super::words::Notice;
use super::{address, text};
use crate::limits;

/// Reads a notice in plain words. Whether the message is one.
pub(crate) fn report(reading: &mut Reading<'_>) -> bool {
    if !is_possible(reading) {
        return false;
    }
    if signs_of_list(reading) {
        return list_refusal(reading);
    }
    let mut found = reading.texts().recipients(&company(reading));
    if !is_plausible(reading, &found) {
        return false;
    }
    let stamped = stamped_recipients(reading);
    if !stamped.is_empty() && found.iter().all(|(_, n)| n.rank < 3) {
        found = stamped.into_iter().map(|a| (0, unplaced(a, reading.texts()))).collect();
    }
    if found.is_empty() && reading.mailed().len() == 1 {
        found.push((0, unplaced(reading.mailed()[0].clone(), reading.texts())));
        reading.note("recipient-guessed");
    }
    if found.is_empty() {
        reading.note("recipient-unnamed");
        found.push((0, unplaced(String::new(), reading.texts())));
    }
    let sense = sense(reading);
    let whole = found.len() <= limits::SEARCHED_RECIPIENTS;
    let outcomes = found.iter().map(|(i, named)| outcome(reading.texts(), *i, named, sense, whole)).collect();
    reading.report.recipients = outcomes;
    reading.report.kind = match sense {
        Sense::Failure => Kind::Bounce,
        Sense::Delay => Kind::Delayed,
        Sense::Success => Kind::Delivered,
    };
    true
}

/// Written by a mailing-list manager: it stamps its own fields on what it sends.
fn signs_of_list(reading: &Reading<'_>) -> bool {
    let signs = &reading.signs;
    !signs.daemon && !signs.postmaster && !signs.stamped && signs.manager
}

/// A list manager's notice is other mail, except where it refuses the message that was posted.
fn list_refusal(reading: &mut Reading<'_>) -> bool {
    let texts = reading.texts();
    if reading.signs.conversation || !texts.announces(Notice::ListNotice) {
        return false;
    }
    let Some(text) = texts.list.first() else { return false };
    let clue = Clue { action: Some(Action::Failed), ..Clue::default() };
    let (verdict, evidence) = text.witness(0..text.notice().len()).weigh(&clue);
    if verdict.reason != Reason::Rejected {
        return false;
    }
    let list = super::notice::lists(text.notice()).or_else(|| reading.mailed().first().cloned());
    let Some(address) = list else { return false };
    let mut outcome = stated(address, Some(Action::Failed), verdict.reason, evidence);
    (outcome.status, outcome.reply_code, outcome.permanent) = (verdict.status, verdict.reply_code, verdict.permanent);
    reading.report.kind = Kind::Bounce;
    reading.report.recipients = vec![outcome];
    true
}

/// Whether the header leaves it possible, before any text is looked at.
fn is_possible(reading: &Reading<'_>) -> bool {
    let signs = &reading.signs;
    let announced = matches!(signs.subject, Some(Notice::Failure | Notice::Delay | Notice::Success));
    signs.is_system() || signs.robot || signs.manager || announced && !signs.conversation && !signs.list
}

/// Whether it is a report of what became of a delivery. Ordinary mail must never pass: what comes
/// from no mail system needs every sign at once.
fn is_plausible(reading: &Reading<'_>, found: &[(usize, Named)]) -> bool {
    let signs = &reading.signs;
    if signs.stamped {
        return true;
    }
    let texts = reading.texts();
    let says = |n: Notice| signs.subject == Some(n);
    if says(Notice::AutoReply) || says(Notice::Challenge) || signs.list && !signs.daemon {
        return false;
    }
    let by_subject = says(Notice::Failure) || says(Notice::Delay) || says(Notice::Success);
    let by_text = texts.sense().is_some();
    let sure = found.iter().any(|(_, n)| n.rank >= 3);
    let mailed = |n: &Named| reading.mailed().contains(&n.address.to_lowercase());
    let matched = found.iter().any(|(_, n)| n.rank >= 2 && mailed(n));
    let returned = reading.returned.is_some() || texts.original.is_some();
    let answered = || texts.answered();
    if signs.conversation && reading.top().get("in-reply-to").is_some() {
        // A gateway that answers as if it were a person: few words but the transcript.
        return signs.is_system() && sure && answered() && texts.own_words() < 80;
    }
    if signs.daemon {
        return by_subject
            || by_text && (!found.is_empty() || returned || answered())
            || !found.is_empty() && (answered() || sure && (matched || gives_reason(texts, found)));
    }
    if signs.postmaster {
        let reasoned = || answered() || matched || returned || gives_reason(texts, found);
        return by_subject && (by_text || !found.is_empty() || returned) || sure && reasoned();
    }
    if signs.null_sender {
        let replies = signs.auto_reply.is_some() && !by_subject || texts.announces(Notice::AutoReply);
        return !replies && (by_subject || by_text) && !found.is_empty() && (sure || answered());
    }
    if signs.conversation || signs.human || signs.bulk {
        return false;
    }
    by_text && sure && (by_subject && (matched || returned) || signs.robot && returned)
}

/// Whether the words about the first recipient say why, in a language whose announcements are not known.
fn gives_reason(texts: &Texts<'_>, found: &[(usize, Named)]) -> bool {
    let Some((at, named)) = found.first() else { return false };
    best_verdict(texts, *at, named, Action::Failed, true).is_some_and(|(verdict, _, _)| !is_vague(verdict.reason))
}

fn sense(reading: &Reading<'_>) -> Sense {
    let in_text = reading.texts().sense();
    match reading.signs.subject {
        // A subject may say failure of what is a warning: `Mail delivery problem`.
        Some(Notice::Failure) if in_text != Some(Sense::Delay) => Sense::Failure,
        Some(Notice::Delay) if in_text != Some(Sense::Failure) => Sense::Delay,
        Some(Notice::Success) if in_text != Some(Sense::Failure) => Sense::Success,
        _ => in_text.unwrap_or(Sense::Failure),
    }
}

pub(crate) fn company<'r>(reading: &'r Reading<'_>) -> Company<'r> {
    let mut ours: Vec<String> = Vec::new();
    for name in ["from", "to", "reply-to", "sender"] {
        if let Some(value) = reading.top().decoded(name) {
            ours.extend(address::find(&value).take(50).map(|s| value[s].to_lowercase()));
        }
    }
    // Whoever sent what came back.
    if let Some(original) = reading.original() {
        let senders = [&original.from, &original.return_path];
        ours.extend(senders.into_iter().flatten().filter_map(|v| address::first(v)).map(|a| a.to_lowercase()));
    }
    Company { ours, mailed: reading.mailed() }
}

/// `X-Failed-Recipients`, which Exim and its kin write.
fn stamped_recipients(reading: &Reading<'_>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for field in reading.top().all("x-failed-recipients") {
        let value = field.unfolded();
        for span in address::find(&value) {
            if !all.iter().any(|a| a.eq_ignore_ascii_case(&value[span.clone()])) {
                all.push(value[span].to_owned());
            }
        }
    }
    all
}

/// A recipient that the header names: all of the notice may be about it.
fn unplaced(address: String, texts: &Texts<'_>) -> Named {
    let end = texts.list.first().map_or(0, |t| t.notice().len());
    Named { address, target: None, sections: std::iter::once(0..end).collect(), rank: 2, alone: true }
}

fn outcome(texts: &Texts<'_>, at: usize, named: &Named, sense: Sense, whole: bool) -> Outcome {
    let action = match sense {
        Sense::Failure => Action::Failed,
        Sense::Delay => Action::Delayed,
        Sense::Success => {
            let evidence = texts.announcement(Notice::Success).unwrap_or_default();
            return stated(named.address.clone(), Some(Action::Delivered), Reason::Delivered, evidence);
        }
    };
    let Some((verdict, evidence, witness)) = best_verdict(texts, at, named, action, whole) else {
        return stated(named.address.clone(), Some(action), Reason::Undefined, Evidence::default());
    };
    let failed = action == Action::Failed;
    let words = witness.remote.as_ref().or(witness.local.as_ref());
    Outcome {
        address: named.address.clone(),
        original_address: None,
        final_address: named.target.clone(),
        action: Some(action),
        status: verdict.status,
        reply_code: verdict.reply_code,
        reason: verdict.reason,
        hard: verdict.hard && failed,
        permanent: verdict.permanent && failed,
        diagnostic: words.map(|p| text::bounded(p.text(), limits::DIAGNOSTIC_CHARS)).filter(|d| !d.is_empty()),
        remote_mta: None,
        evidence,
    }
}

/// The first of the recipient's sections that tells a reason; then all of the notice, which also
/// tells the codes that a section left out, where it speaks of nobody else. With `whole` unset a
/// recipient is known by its own sections alone: there are too many of them.
fn best_verdict<'t>(
    texts: &'t Texts<'_>,
    at: usize,
    named: &Named,
    action: Action,
    whole: bool,
) -> Option<(Verdict, Evidence, Witness<'t>)> {
    let text = texts.list.get(at)?;
    let clue =
        Clue { address: &named.address, action: Some(action), delayed: action == Action::Delayed, ..Clue::default() };
    let weigh = |section: std::ops::Range<usize>| {
        let witness = text.witness(section);
        let (verdict, evidence) = witness.weigh(&clue);
        (verdict, evidence, witness)
    };
    let mut best: Option<(Verdict, Evidence, Witness<'t>)> = None;
    for section in named.sections.iter().take(SECTIONS) {
        let next = weigh(section.clone());
        let held = best.as_ref().map(|(held, _, _)| held.reason);
        if held.is_none_or(|held| !is_vague(next.0.reason) || held == Reason::Undefined) {
            best = Some(next);
        }
        if best.as_ref().is_some_and(|(v, _, _)| !is_vague(v.reason)) {
            break;
        }
    }
    if best.is_none() || whole && best.as_ref().is_some_and(|(v, _, _)| is_vague(v.reason)) {
        let all = weigh(0..text.notice().len());
        let held = best.as_ref().map(|(held, _, _)| held.reason);
        if held.is_none_or(|held| !is_vague(all.0.reason) || held == Reason::Undefined) {
            best = Some(all);
        }
    }
    if let Some((verdict, _, _)) = &mut best
        && named.alone
    {
        add_codes(verdict, texts, at, &clue);
    }
    best
}

/// Codes that stand outside the sections of a recipient who is named alone: elsewhere in its text
/// first, then in the others (an alternative, an attached transcript).
fn add_codes(verdict: &mut Verdict, texts: &Texts<'_>, at: usize, clue: &Clue<'_>) {
    let others = texts.list.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, text)| text);
    for text in texts.list.get(at).into_iter().chain(others) {
        if verdict.status.is_some() {
            return;
        }
        let other = text.witness(0..text.notice().len()).numbers(clue);
        if other.status.is_some() || verdict.reply_code.is_none() && other.reply_code.is_some() {
            verdict.reply_code = verdict.reply_code.or(other.reply_code);
            verdict.permanent = other.permanent;
            verdict.status = other.status;
        }
    }
}
