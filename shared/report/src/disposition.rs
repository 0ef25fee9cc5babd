//! Message disposition notifications (RFC 8098 §3.1), and Sieve's refusals that use them (RFC 5429 §2.1.3).

use super::reading::{Reading, stated};
use super::types::{Action, Kind, Reason};
use super::{address, field};
use crate::limits;

/// Reports the disposition part at `at`.
pub(crate) fn report(reading: &mut Reading<'_>, at: usize) {
    let decoded = reading.parts.list[at].decoded(limits::MESSAGE_BYTES);
    let (fields, _) = field::split(&decoded);
    let (action, reason, rule) = meaning(&fields.text("disposition").unwrap_or_default());
    let typed = |name: &str| fields.text(name).and_then(|v| address::typed(&v));
    let (last, first) = (typed("final-recipient"), typed("original-recipient"));
    reading.report.kind = Kind::Disposition;
    reading.report.reporting_mta = fields.text("reporting-ua").map(|v| v.into_owned());
    let Some(address) = first.or_else(|| last.clone()) else { return };
    let evidence = reading.part_evidence(rule, at, "disposition");
    let mut outcome = stated(address, action, reason, evidence);
    outcome.permanent = action == Some(Action::Failed);
    outcome.final_address = last.filter(|a| !a.eq_ignore_ascii_case(&outcome.address));
    reading.report.recipients = vec![outcome];
}

/// `mode; type/modifier` (RFC 8098 §3.2.6).
fn meaning(disposition: &str) -> (Option<Action>, Reason, &'static str) {
    let said = disposition.to_ascii_lowercase();
    let kind = said.split_once(';').map_or(said.as_str(), |(_, kind)| kind).trim();
    match kind.split(['/', ' ', ',']).next().unwrap_or_default() {
        "displayed" | "dispatched" | "processed" => {
            (Some(Action::Delivered), Reason::Delivered, "disposition/displayed")
        }
        // A Sieve `reject` deletes by an automatic action; drafts before RFC 3798 said denied or failed.
        "deleted" if said.contains("automatic-action") => {
            (Some(Action::Failed), Reason::Filtered, "disposition/refused")
        }
        "denied" | "failed" => (Some(Action::Failed), Reason::Filtered, "disposition/refused"),
        "deleted" => (Some(Action::Delivered), Reason::Delivered, "disposition/deleted"),
        _ => (None, Reason::Undefined, "disposition/unknown"),
    }
}
