//! Message disposition notifications (RFC 8098 §3.1), and Sieve's refusals that use them (RFC 5429 §2.1.3).

use super::address;
use super::field;
use super::types::{Action, Reason};

/// What a disposition part says.
#[derive(Debug, Clone)]
pub(crate) struct Disposition {
    pub address: Option<String>,
    pub original: Option<String>,
    pub action: Option<Action>,
    pub reason: Reason,
    pub rule: &'static str,
    pub reporting: Option<String>,
}

/// Reads `message/disposition-notification`.
pub(crate) fn read(body: &[u8]) -> Disposition {
    let (fields, _) = field::split(body);
    let said = fields.text("disposition").unwrap_or_default().to_ascii_lowercase();
    // `mode; type/modifier` (RFC 8098 §3.2.6)
    let kind = said.split_once(';').map_or(said.as_str(), |(_, kind)| kind).trim();
    let kind = kind.split(['/', ' ', ',']).next().unwrap_or_default();
    let (action, reason, rule) = match kind {
        "displayed" | "dispatched" | "processed" => (Some(Action::Delivered), Reason::Delivered, "mdn.displayed"),
        // A Sieve `reject` says deleted with the modifier of an automatic action, or denied in old drafts.
        "deleted" if said.contains("automatic-action") => (Some(Action::Failed), Reason::Filtered, "mdn.refused"),
        "denied" | "failed" => (Some(Action::Failed), Reason::Filtered, "mdn.refused"),
        "deleted" => (Some(Action::Delivered), Reason::Delivered, "mdn.deleted"),
        _ => (None, Reason::Undefined, "mdn.unknown"),
    };
    let typed = |name: &str| fields.text(name).and_then(|v| address::typed(&v));
    Disposition {
        address: typed("final-recipient"),
        original: typed("original-recipient"),
        action,
        reason,
        rule,
        reporting: fields.text("reporting-ua").map(|v| v.into_owned()),
    }
}
