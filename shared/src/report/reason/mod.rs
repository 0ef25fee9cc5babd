//! Stand-in: the reason by the enhanced status code alone.

use super::status::is_enhanced;
use super::types::{Action, Reason};
use std::ops::Range;

/// What a message says about one recipient; texts are unfolded UTF-8, original case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clue<'a> {
    /// The refusing server's own words (Diagnostic-Code, quoted SMTP answer).
    pub remote: &'a str,
    /// The reporting server's own words about this recipient (human-readable part).
    pub local: &'a str,
    /// The Status field.
    pub status: Option<&'a str>,
    /// The Action field.
    pub action: Option<Action>,
    /// The address.
    pub address: &'a str,
    /// Remote-MTA.
    pub remote_mta: Option<&'a str>,
    /// Reporting-MTA.
    pub reporting_mta: Option<&'a str>,
    /// It is still being tried.
    pub delayed: bool,
}

/// Which of the clue's texts a span is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `remote`.
    Remote,
    /// `local`.
    Local,
    /// `status`.
    Status,
    /// `action`.
    Action,
    /// Nothing was said.
    Nothing,
}

/// The reason, and what it rests on.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// The address is dead.
    pub hard: bool,
    /// Refused for good.
    pub permanent: bool,
    /// The best enhanced status.
    pub status: Option<String>,
    /// SMTP reply code.
    pub reply_code: Option<u16>,
    /// Id of the rule.
    pub rule: &'static str,
    /// Where the words stand.
    pub source: Source,
    /// The words.
    pub span: Range<usize>,
}

/// Weighs a clue.
pub fn weigh(clue: &Clue<'_>) -> Verdict {
    let code = |text: &str| {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find(|w| is_enhanced(w)).map(str::to_owned)
    };
    let reply = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .find(|w| w.len() == 3 && w.starts_with(['4', '5']) && w.parse::<u16>().is_ok())
            .and_then(|w| w.parse().ok())
    };
    let (source, text) =
        [(Source::Remote, clue.remote), (Source::Local, clue.local), (Source::Status, clue.status.unwrap_or_default())]
            .into_iter()
            .find(|(_, t)| code(t).is_some_and(|c| !c.ends_with(".0.0")))
            .unwrap_or((Source::Status, clue.status.unwrap_or_default()));
    let status = code(text);
    let span = status.as_ref().and_then(|s| text.find(s.as_str()).map(|at| at..at + s.len())).unwrap_or(0..0);
    let reason = match status.as_deref().and_then(|s| s.get(1..)) {
        Some(".1.1" | ".1.10" | ".1.3") => Reason::UserUnknown,
        Some(".1.2") => Reason::HostUnknown,
        Some(".2.2") => Reason::MailboxFull,
        Some(".2.1") => Reason::Suspend,
        Some(".4.7") => Reason::Expired,
        Some(_) => Reason::OnHold,
        None => Reason::Undefined,
    };
    let class = status.as_deref().and_then(|s| s.bytes().next());
    let reply_code = reply(clue.remote).or_else(|| reply(clue.local));
    let permanent = !clue.delayed && class.map_or(reply_code.is_none_or(|c| c >= 500), |c| c == b'5');
    let source = if status.is_some() { source } else { Source::Nothing };
    Verdict {
        reason,
        hard: reason.is_hard() && permanent,
        permanent,
        status,
        reply_code,
        rule: "stand-in",
        source,
        span,
    }
}
