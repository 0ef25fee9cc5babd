//! The machine-readable part of a delivery status notification (RFC 3464 §2, RFC 6533 §4).

use super::address;
use super::field::{self, Field};
use super::text;
use super::types::Action;
use crate::limits;

/// The fields that are about one recipient.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recipient<'a> {
    pub original: Option<String>,
    pub last: Option<String>,
    pub actual: Option<String>,
    /// Others of whom the same is said: a field that lists several addresses, or that comes again before any outcome.
    pub others: Vec<String>,
    pub action: Option<Action>,
    pub status: Option<String>,
    pub diagnostic: Option<Field<'a>>,
    /// What PowerMTA made of the answer: `X-PowerMTA-BounceCategory`.
    pub category: Option<Field<'a>>,
    pub remote_mta: Option<String>,
    /// The first field of the group: evidence where nothing better stands.
    pub opening: Option<Field<'a>>,
    pub status_field: Option<Field<'a>>,
}

/// What a delivery status part says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status<'a> {
    pub reporting_mta: Option<String>,
    pub arrival: Option<String>,
    pub envelope_id: Option<String>,
    pub recipients: Vec<Recipient<'a>>,
    /// Reported by nullmailer, which sends once for all recipients and calls every one of them refused where one is
    /// (`Reporting-MTA: x-local-hostname; …`).
    pub of_all: bool,
    /// More recipients than `limits::RECIPIENTS`.
    pub cut: bool,
}

/// The fields that are known; per-message ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    ReportingMta,
    ReceivedFrom,
    Arrival,
    EnvelopeId,
    Original,
    Final,
    Actual,
    Action,
    Status,
    Remote,
    Diagnostic,
    Category,
    Other,
}

const NAMES: &[(&str, Name)] = &[
    ("reporting-mta", Name::ReportingMta),
    ("received-from-mta", Name::ReceivedFrom),
    ("arrival-date", Name::Arrival),
    ("original-envelope-id", Name::EnvelopeId),
    ("original-recipient", Name::Original),
    ("final-recipient", Name::Final),
    ("x-actual-recipient", Name::Actual),
    ("action", Name::Action),
    ("status", Name::Status),
    ("remote-mta", Name::Remote),
    ("diagnostic-code", Name::Diagnostic),
    ("x-powermta-bouncecategory", Name::Category),
];

/// Reads the part. Groups are divided by empty lines and, where those are missing or doubled, by the
/// field that opens a recipient coming again.
pub(crate) fn read(body: &[u8]) -> Status<'_> {
    let mut status = Status::default();
    let mut current: Option<Recipient<'_>> = None;
    let mut rest = body;
    while !rest.is_empty() {
        let (fields, after) = field::split(rest);
        if fields.is_empty() {
            // Not a field here: this line is stepped over.
            let (_, next) = text::take_line(rest);
            rest = if after.len() < rest.len() { after } else { next };
            continue;
        }
        // An empty line ends a recipient once its outcome is stated, where the next group names another, whichever of its
        // fields comes first, or states another outcome, of somebody unnamed.
        let another = |r: &Recipient<'_>| {
            let stated_again = |f: &Field<'_>| match known(f.name) {
                Name::Action => r.action.is_some(),
                Name::Status => r.status.is_some(),
                _ => false,
            };
            let names = fields.iter().any(|f| names_recipient(f.name));
            let again = fields.iter().any(stated_again);
            if r.is_named() { r.is_stated() && (names || again) } else { again }
        };
        if current.as_ref().is_some_and(another) {
            close(&mut status, &mut current);
        }
        for (i, found) in fields.iter().enumerate() {
            let named_below = || fields.iter().skip(i + 1).any(|f| known(f.name) == Name::Final);
            take(&mut status, &mut current, found, named_below);
        }
        rest = after;
        if status.cut {
            break;
        }
    }
    close(&mut status, &mut current);
    status
}

fn names_recipient(name: &[u8]) -> bool {
    matches!(known(name), Name::Original | Name::Final | Name::Actual)
}

impl Recipient<'_> {
    fn is_named(&self) -> bool {
        self.original.is_some() || self.last.is_some() || self.actual.is_some()
    }

    fn is_stated(&self) -> bool {
        self.action.is_some() || self.status.is_some() || self.diagnostic.is_some()
    }
}

fn close<'a>(status: &mut Status<'a>, current: &mut Option<Recipient<'a>>) {
    let Some(mut recipient) = current.take() else { return };
    if !recipient.is_named() {
        // Fields before any recipient was named: kept for a recipient that never was.
        if !recipient.is_stated() {
            return;
        }
    }
    let others = std::mem::take(&mut recipient.others);
    let room = limits::RECIPIENTS.saturating_sub(status.recipients.len());
    status.cut |= others.len() >= room;
    let same = |other| Recipient { original: None, last: Some(other), actual: None, ..recipient.clone() };
    let others: Vec<_> = others.into_iter().take(room.saturating_sub(1)).map(same).collect();
    if room > 0 {
        status.recipients.push(recipient);
        status.recipients.extend(others);
    }
}

/// One field. `named_below`: a `Final-Recipient` stands further down in the same group.
fn take<'a>(
    status: &mut Status<'a>,
    current: &mut Option<Recipient<'a>>,
    found: &Field<'a>,
    named_below: impl Fn() -> bool,
) {
    let name = known(found.name);
    let value = || found.unfolded();
    match name {
        Name::ReportingMta => {
            status.of_all |= value().trim_start().starts_with("x-local-hostname");
            status.reporting_mta = status.reporting_mta.take().or_else(|| host(&value()));
            return;
        }
        Name::Arrival => {
            status.arrival = status.arrival.take().or_else(|| Some(value().into_owned()).filter(|v| !v.is_empty()));
            return;
        }
        Name::EnvelopeId => {
            let said = || Some(text::bounded(value().trim(), limits::HEADER_BYTES)).filter(|v| !v.is_empty());
            status.envelope_id = status.envelope_id.take().or_else(said);
            return;
        }
        Name::ReceivedFrom | Name::Other => return,
        _ => {}
    }
    let again = current.as_ref().is_some_and(|r| match name {
        // After the others, it is this recipient's; before another `Final-Recipient`, the next one's.
        Name::Original => r.original.is_some() || r.last.is_some() && r.is_stated() && named_below(),
        Name::Final => r.last.is_some() && r.is_stated(),
        Name::Actual => r.actual.is_some(),
        // Of somebody unnamed, another outcome is another's.
        Name::Action => !r.is_named() && r.action.is_some(),
        Name::Status => !r.is_named() && r.status.is_some(),
        _ => false,
    });
    if again {
        close(status, current);
    }
    let recipient = current.get_or_insert_with(|| Recipient { opening: Some(*found), ..Recipient::default() });
    match name {
        Name::Original => recipient.original = address::typed(&value()),
        Name::Final => {
            let value = value();
            match &recipient.last {
                None => recipient.last = address::typed(&value),
                Some(_) => recipient.others.extend(address::typed(&value)),
            }
            recipient.others.extend(address::listed_after_first(&value));
            recipient.others.truncate(limits::RECIPIENTS);
        }
        Name::Actual => recipient.actual = address::typed(&value()),
        Name::Action => recipient.action = recipient.action.or_else(|| action(&value())),
        Name::Status if recipient.status.is_none() => {
            recipient.status = enhanced(&value());
            recipient.status_field = Some(*found);
        }
        Name::Remote => recipient.remote_mta = recipient.remote_mta.take().or_else(|| host(&value())),
        Name::Category => recipient.category = Some(*found),
        Name::Diagnostic => {
            // Said twice: what came over SMTP is what the refusing server said.
            let better = recipient.diagnostic.is_none_or(|held| !is_smtp(&held) && is_smtp(found));
            if better && !diagnostic_text(&value()).is_empty() {
                recipient.diagnostic = Some(*found);
            }
        }
        _ => {}
    }
}

fn is_smtp(field: &Field<'_>) -> bool {
    field.value.trim_ascii_start().get(..4).is_some_and(|v| v.eq_ignore_ascii_case(b"smtp"))
}

/// A diagnostic without its type (`smtp; …`, RFC 3464 §2.3.6).
pub(crate) fn diagnostic_text(value: &str) -> &str {
    match value.split_once(';') {
        Some((kind, rest))
            if kind.len() < 24
                && kind.trim().chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) =>
        {
            rest.trim()
        }
        _ => value.trim(),
    }
}

/// `dns; mx.example.com` without its type.
fn host(value: &str) -> Option<String> {
    let name = value.split_once(';').map_or(value, |(_, name)| name).trim();
    (!name.is_empty()).then(|| text::bounded(name, limits::ADDRESS_CHARS))
}

fn action(value: &str) -> Option<Action> {
    let word =
        value.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase();
    Some(match word.as_str() {
        "failed" | "failure" | "fail" | "failed-permanently" | "error" => Action::Failed,
        "delayed" | "delay" | "deferred" | "transient" => Action::Delayed,
        "delivered" | "success" => Action::Delivered,
        "relayed" => Action::Relayed,
        "expanded" => Action::Expanded,
        _ => return None,
    })
}

/// The `d.d.d` in a Status field (RFC 3463 §2), which may carry a comment.
fn enhanced(value: &str) -> Option<String> {
    let mut numbers = value.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.'));
    numbers.find(|word| is_enhanced(word)).map(str::to_owned)
}

/// `class.subject.detail` (RFC 3463 §2).
pub(crate) fn is_enhanced(word: &str) -> bool {
    let mut numbers = word.split('.');
    let class = matches!(numbers.next(), Some("2" | "4" | "5"));
    let mut rest = 0;
    class
        && numbers.all(|n| {
            rest += 1;
            (1..=3).contains(&n.len()) && n.bytes().all(|c| c.is_ascii_digit())
        })
        && rest == 2
}

/// The field a name means: in any case, with `_` or nothing for `-`, and with up to two letters wrong.
fn known(name: &[u8]) -> Name {
    if let Some((_, known)) = NAMES.iter().find(|(n, _)| name.eq_ignore_ascii_case(n.as_bytes())) {
        return *known;
    }
    // Short names and extension fields are not guessed at.
    if name.len() < 8 || name.len() > 24 || name[..2].eq_ignore_ascii_case(b"x-") {
        return Name::Other;
    }
    let letters = letters_of(name);
    // Each edit changes two letters of the set at the most.
    let near = |n: &str| n.len() >= 9 && (letters ^ letters_of(n.as_bytes())).count_ones() <= 4;
    NAMES.iter().find(|(n, _)| near(n) && distance(name, n.as_bytes()) <= 2).map_or(Name::Other, |(_, known)| *known)
}

/// The set of letters in a name, in any case; all else counts as one.
fn letters_of(name: &[u8]) -> u32 {
    name.iter().fold(0, |set, c| match c | 0x20 {
        letter @ b'a'..=b'z' => set | 1 << (letter - b'a'),
        _ => set | 1 << 26,
    })
}

/// Edit distance of two short names, in any case.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return 3;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = usize::from(!x.eq_ignore_ascii_case(y));
            let next = (diagonal + cost).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(body: &str, expected: &[(&str, &str)]) {
        let status = read(body.as_bytes());
        let found: Vec<_> = status
            .recipients
            .iter()
            .map(|r| (r.last.as_deref().or(r.original.as_deref()).unwrap_or(""), r.status.as_deref().unwrap_or("")))
            .collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn groups() {
        check(
            "Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822; x@example.com\nAction: failed\nStatus: 5.1.1\n\n\
             Final-Recipient: rfc822; y@example.com\nStatus: 5.2.2 (full)\n",
            &[("x@example.com", "5.1.1"), ("y@example.com", "5.2.2")],
        );
        // No empty lines at all.
        check(
            "Reporting-MTA: dns; a\nFinal-Recipient: rfc822; x@example.com\nStatus: 5.1.1\n\
             Final-Recipient: rfc822; y@example.com\nStatus: 5.2.2\n",
            &[("x@example.com", "5.1.1"), ("y@example.com", "5.2.2")],
        );
        // Empty lines within a group, and misspelt names.
        check(
            "Final-Recepient: rfc822; x@example.com\n\nAction: failed\n\nStatus: 5.1.1\n",
            &[("x@example.com", "5.1.1")],
        );
        check(
            "Original-Recipient: rfc822; o@example.com\nFinal-Recipient: rfc822; x@example.com\nStatus: 5.1.1\n",
            &[("x@example.com", "5.1.1")],
        );
        // Groups that begin with another field, and a recipient named twice in one.
        check(
            "Reporting-MTA: dns; a\n\nAction: failed\nStatus: 5.1.1.\nFinal-Recipient: rfc822; x@example.com\n\n\
             Action: failed\nStatus: 4.2.2\nFinal-Recipient: rfc822; y@example.com\n",
            &[("x@example.com", "5.1.1"), ("y@example.com", "4.2.2")],
        );
        check(
            "Final-Recipient: rfc822; x@example.com\nStatus: 5.1.1\nOriginal-Recipient: rfc822; o@example.com\n\n\
             Final-Recipient: rfc822; y@example.com\nStatus: 5.2.2\nOriginal-Recipient: rfc822; p@example.com\n",
            &[("x@example.com", "5.1.1"), ("y@example.com", "5.2.2")],
        );
        // One outcome of several.
        for two in [
            "x@example.com, y@example.com",
            "<x@example.com> <y@example.com>",
            "x@example.com\nFinal-Recipient: y@example.com",
        ] {
            let group = format!("Final-Recipient: rfc822; {two}\nAction: failed\nStatus: 5.1.1\n");
            check(&group, &[("x@example.com", "5.1.1"), ("y@example.com", "5.1.1")]);
        }
        check(
            "Final-Recipient: rfc822; \"|/bin/x\" (expanded from: <y@example.com>)\nFinal-Recipient: rfc822; x@example.com \
             (was y@example.com)\nStatus: 5.1.1\n",
            &[("y@example.com", "5.1.1"), ("x@example.com", "5.1.1")],
        );
        // Whoever took the names out may have taken the empty lines, too.
        let nobody = "Final-Recipient: rfc822;\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no\n";
        check(&nobody.repeat(2), &[("", "5.1.1"), ("", "5.1.1")]);
        check("", &[]);
    }
}
