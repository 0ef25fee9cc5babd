//! At which step of the SMTP dialogue a refusal came (RFC 5321 §3): it says what was refused, where the answer itself does not.

use super::Reason;
use memchr::memmem;

/// What reporting servers write around an answer; the later steps of the dialogue say nothing of what was refused.
const STEPS: &[(&str, Reason)] = &[
    // Postfix smtp_proto.c, smtp_connect.c; Exim transports/smtp.c; dma net.c; qmail-remote.c; Exchange.
    ("(in reply to HELO", Reason::Blocked),
    ("(in reply to EHLO", Reason::Blocked),
    ("refused to talk to me: ", Reason::Blocked),
    ("after initial connection", Reason::Blocked),
    ("after EHLO", Reason::Blocked),
    ("after HELO", Reason::Blocked),
    ("did not like our EHLO", Reason::Blocked),
    ("did not like our HELO", Reason::Blocked),
    ("but greeting failed", Reason::Blocked),
    ("but my name was rejected", Reason::Blocked),
    ("(in reply to MAIL FROM", Reason::Rejected),
    ("after MAIL FROM", Reason::Rejected),
    ("did not like our MAIL FROM", Reason::Rejected),
    ("but sender was rejected", Reason::Rejected),
];

/// What a refusal that names nothing refused: the host at the greeting, the sender after MAIL.
pub(super) fn refused_at(text: &str) -> Option<Reason> {
    if text.is_empty() {
        return None;
    }
    let said = |step: &&(&str, Reason)| memmem::find(text.as_bytes(), step.0.as_bytes()).is_some();
    STEPS.iter().find(said).map(|step| step.1).or_else(|| refused_in_transcript(text))
}

/// The same in a transcript (sendmail, Courier): the command before the first answer, or none where it was the greeting.
fn refused_in_transcript(text: &str) -> Option<Reason> {
    let before = &text[..memmem::find(text.as_bytes(), b"<<< ")?];
    let Some(command) = memmem::rfind(before.as_bytes(), b">>> ").map(|at| &before[at + 4..]) else {
        return before.contains("while talking to ").then_some(Reason::Blocked);
    };
    match command.get(..4) {
        Some("EHLO" | "HELO") => Some(Reason::Blocked),
        Some("MAIL") => Some(Reason::Rejected),
        _ => None,
    }
}

/// "Mail from 192.0.2.1 refused": what is said of a sender is said of a host.
pub(super) fn is_from_host(answer: &str) -> bool {
    let mut from = memmem::find_iter(answer.as_bytes(), b"ail from ").map(|at| &answer[at + 9..]);
    from.any(|rest| {
        let word = rest.split([' ', ',', ';']).next().unwrap_or_default();
        word.trim_matches(['[', ']', '(', ')', '.', ':']).parse::<std::net::Ipv4Addr>().is_ok()
    })
}

/// An IPv4 address within an answer that says no more than "denied" is what was denied.
pub(super) fn names_a_host_address(answer: &str) -> bool {
    let parts = answer.split(|character: char| !character.is_ascii_digit() && character != '.');
    parts.map(|part| part.trim_end_matches('.')).any(|part| part.parse::<std::net::Ipv4Addr>().is_ok())
}
