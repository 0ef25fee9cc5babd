//! A message as a card for a person.

use rebond::report::{Evidence, Kind, Outcome, Report};
use std::fmt::Write;
use std::io::IsTerminal;

/// How cards look: in colour on a terminal, plain elsewhere.
pub struct Look {
    colour: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const CYAN: &str = "36";

impl Look {
    /// The look for standard output. `NO_COLOR` is heeded (no-color.org).
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Look { colour: std::io::stdout().is_terminal() && !refused }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// One message.
    pub fn card(&self, path: &str, report: &Report) -> String {
        let mut card = String::new();
        let _ = writeln!(card, "{}", self.paint(BOLD, &plain(path)));
        let _ = writeln!(card, "  {}", self.headline(report));
        for outcome in report.recipients.iter().take(SHOWN) {
            self.outcome(&mut card, report.kind, outcome);
        }
        if report.recipients.len() > SHOWN {
            let _ = writeln!(card, "  … and {} more (--json has them all)", report.recipients.len() - SHOWN);
        }
        if let Some(original) = &report.original {
            let subject = original.subject.as_deref().unwrap_or("(no subject)");
            let id = original.message_id.as_deref().map(|id| format!(" <{id}>")).unwrap_or_default();
            let _ = writeln!(card, "  {} {}", self.paint(DIM, "about:"), plain(&format!("{subject}{id}")));
        }
        for told in &report.diagnostics {
            let _ = writeln!(card, "  {} {}", self.paint(DIM, "note:"), plain(&told.text));
        }
        card.push('\n');
        card
    }

    fn headline(&self, report: &Report) -> String {
        let (style, words) = match report.kind {
            Kind::Bounce => (RED, "bounce: not delivered, and no more attempts"),
            Kind::Delayed => (YELLOW, "delayed: not delivered yet, still being tried"),
            Kind::Delivered => (GREEN, "delivered"),
            Kind::Feedback => (RED, "feedback: a complaint, or a request to stop"),
            Kind::AutoReply => (CYAN, "automatic reply"),
            Kind::Disposition => (CYAN, "disposition: what became of the message after delivery"),
            Kind::Other => (DIM, "other mail: no report"),
        };
        let mut line = self.paint(style, words);
        if let Some(feedback) = &report.feedback {
            let _ = write!(line, " ({})", plain(&feedback.feedback_type));
        }
        if let Some(mta) = &report.reporting_mta {
            let _ = write!(line, "  {}", self.paint(DIM, &plain(&format!("reported by {mta}"))));
        }
        line
    }

    fn outcome(&self, card: &mut String, kind: Kind, outcome: &Outcome) {
        let who = if outcome.address.is_empty() { "(nobody is named)" } else { &outcome.address };
        let mut line = format!("  {}  {}", self.paint(BOLD, &plain(who)), outcome.reason.as_str());
        if matches!(kind, Kind::Bounce | Kind::Delayed) {
            let word = match (outcome.hard, outcome.permanent) {
                (true, _) => self.paint(RED, "hard: the address is dead"),
                (false, true) => "not hard, refused for good".to_owned(),
                (false, false) => "not hard, for now".to_owned(),
            };
            let codes = [outcome.status.clone(), outcome.reply_code.map(|c| c.to_string())];
            let codes: Vec<_> = codes.into_iter().flatten().collect();
            let _ = write!(line, "  {word}  {}", codes.join(" / "));
        }
        let _ = writeln!(card, "{}", line.trim_end());
        if let Some(target) = &outcome.final_address {
            let _ = writeln!(card, "    {} {}", self.paint(DIM, "leads to:"), plain(target));
        }
        self.evidence(card, &outcome.evidence);
    }

    fn evidence(&self, card: &mut String, proof: &Evidence) {
        if !proof.text.is_empty() {
            let _ = writeln!(card, "    “{}”", plain(&proof.text));
        }
        let place = match proof.part.as_str() {
            "" => String::new(),
            "header" => format!("header, bytes {}–{}, ", proof.start, proof.end),
            part => format!("part {part}, bytes {}–{}, ", proof.start, proof.end),
        };
        let _ = writeln!(card, "    {}", self.paint(DIM, &plain(&format!("{place}rule {}", proof.rule))));
    }
}

/// Outcomes shown on one card.
const SHOWN: usize = 20;

/// Text from a message that cannot move the cursor, colour the screen or turn the line around.
fn plain(text: &str) -> String {
    let dangerous = |c: char| {
        c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
    };
    text.chars().map(|c| if dangerous(c) { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_show_words_and_nothing_that_moves_the_cursor() {
        let message = b"From: MAILER-DAEMON\nSubject: failure notice\n\n<a@example.com>:\nRemote host said: 550 no such user \x1b[2J\n";
        let card = Look { colour: false }.card("x.eml", &rebond::report::read(message));
        assert!(card.contains("a@example.com  user-unknown  hard"), "{card}");
        assert!(card.contains("rule "), "{card}");
        assert!(!card.contains('\x1b'), "{card:?}");
    }
}
