//! A notice in plain words: where it ends and the returned message begins, whom it names, and what
//! it says of each. No format is presumed: the general habits of sentences, labels and transcripts.

use super::address;
use super::field;
use super::status::is_enhanced;
use memchr::memmem::{self, Finder};
use std::ops::Range;
use std::sync::LazyLock;

/// Addresses looked at in one notice.
const MENTIONS: usize = 2_000;

/// Bytes before an address that are looked at for what they say of it; bytes of an answer, for whether it is an echo.
const FRONT: usize = 200;

/// A recipient that a notice names, and where it speaks of it.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub address: String,
    /// The target behind it, where the notice tells of an alias.
    pub target: Option<String>,
    pub sections: Vec<Range<usize>>,
    /// How surely it is a failed recipient: 3 named as such, 2 probably, 1 merely present.
    pub rank: u8,
    /// The notice names nobody else.
    pub alone: bool,
}

/// Addresses that a notice may name without meaning them.
#[derive(Debug, Default)]
pub(crate) struct Company<'a> {
    /// Whom the notice came from and went to, in lower case.
    pub ours: Vec<String>,
    /// Recipients of the returned message, in lower case.
    pub mailed: &'a [String],
}

/// Where the returned message begins in a notice: at its fields, or at the line that announces it.
/// Fields that stand before any word of the notice are stepped over.
pub(crate) fn returned_at(text: &str) -> usize {
    let (mut at, mut said) = (0, false);
    while at < text.len() {
        let end = line_end(text, at);
        let line = &text[at..end];
        if begins_fields(text, at) {
            if said {
                return at;
            }
            at = text[at..].find("\n\n").or_else(|| text[at..].find("\n\r\n")).map_or(text.len(), |n| at + n + 1);
            said = true;
            continue;
        }
        if announces_copy(line) && said {
            return at;
        }
        said |= !line.trim().is_empty();
        at = next_line(text, end);
    }
    text.len()
}

fn line_end(text: &str, at: usize) -> usize {
    memchr::memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |n| at + n)
}

fn next_line(text: &str, end: usize) -> usize {
    (end + 1).min(text.len())
}

/// A line that says that the returned message follows, as servers write it: a ruled line, a label,
/// or a short sentence that ends in `follow`.
fn announces_copy(line: &str) -> bool {
    let trimmed = line.trim();
    if trimmed.len() < 10 || trimmed.len() > 120 {
        return false;
    }
    let ruled = trimmed.starts_with("--") || trimmed.starts_with("==") || trimmed.starts_with("**");
    let label = trimmed.ends_with(':');
    let follows = trimmed.ends_with("follows.") || trimmed.ends_with("follow.") || trimmed.ends_with("following.");
    if !(ruled || label || follows) {
        return false;
    }
    let lower = trimmed.to_ascii_lowercase();
    const WORDS: &[&str] = &[
        "copy of the message",
        "copy of the original",
        "copy of your message",
        "original message follows",
        "original message header",
        "message header",
        "header of the original",
        "headers of the original",
        "returned message",
        "message follows",
        "unsent message",
    ];
    // `----- Original message -----` and nothing else.
    let bare = lower.trim_matches(|c: char| matches!(c, '-' | '=' | '*' | ' ' | ':'));
    ruled && bare == "original message" || WORDS.iter().any(|w| lower.contains(w))
}

/// Whether a block of message fields begins here: three and more, one of them of a kind that a
/// notice does not list among the message's particulars.
fn begins_fields(text: &str, at: usize) -> bool {
    let mut rest = &text.as_bytes()[at..];
    let (mut known, mut sure, mut lines) = (0, false, 0);
    while lines < 12 {
        let (line, after) = super::text::take_line(rest);
        let line = line.strip_prefix(b"> ").or(line.strip_prefix(b">")).unwrap_or(line);
        let folded = lines > 0 && matches!(line.first(), Some(b' ' | b'\t'));
        if !folded {
            let Some(end) = field::colon(line) else { break };
            let is = |names: &[&str]| names.iter().any(|n| line[..end].trim_ascii().eq_ignore_ascii_case(n.as_bytes()));
            if is(&[
                "received",
                "return-path",
                "mime-version",
                "dkim-signature",
                "delivered-to",
                "x-received",
                "content-transfer-encoding",
            ]) {
                known += 1;
                sure = true;
            } else if is(&[
                "from",
                "to",
                "subject",
                "date",
                "message-id",
                "content-type",
                "reply-to",
                "cc",
                "sender",
                "x-mailer",
                "user-agent",
            ]) {
                known += 1;
            } else if lines == 0 {
                return false;
            }
            if known >= 3 && sure {
                return true;
            }
        }
        lines += 1;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    // The last lines of a text may hold no more than `Received:` and little else.
    sure && known >= 2
}

/// The recipients that a notice names, by the best rank it reaches, each with its sections.
pub(crate) fn recipients(text: &str, company: &Company<'_>) -> Vec<Named> {
    let mut mentions: Vec<Mention> = Vec::new();
    let mut place = Place::default();
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        let line = &text[at..end];
        place.enter(line);
        if line.contains('@') && mentions.len() < MENTIONS {
            add_mentions(line, at, &place, company, &mut mentions);
        }
        place.leave(line);
        at = next_line(text, end);
    }
    let best = mentions.iter().map(|m| m.rank).max().unwrap_or(0);
    let mut named: Vec<Named> = Vec::new();
    for mention in mentions.iter().filter(|m| m.rank == best && best > 0) {
        let address = &text[mention.span.clone()];
        if named.len() < crate::limits::RECIPIENTS && !known(&named, address) {
            named.push(Named {
                address: address.to_owned(),
                target: None,
                sections: Vec::new(),
                rank: best,
                alone: false,
            });
        }
    }
    if let [only] = named.as_mut_slice() {
        only.alone = true;
    }
    add_sections(text, &mentions, &mut named);
    for mention in mentions.iter().filter(|m| m.alias) {
        name_alias(text, mention, company, &mut named);
    }
    named
}

/// An address that a notice mentions.
#[derive(Debug)]
struct Mention {
    span: Range<usize>,
    rank: u8,
    /// Where its line begins.
    line: usize,
    /// `(expanded from: <alias>)`, `(generated from alias)`: the address behind the one before.
    alias: bool,
}

fn known(named: &[Named], address: &str) -> bool {
    // A notice lists few; a list of thousands is one a line, where neighbours tell.
    named.iter().rev().take(200).any(|n| n.address.eq_ignore_ascii_case(address))
}

fn add_mentions(line: &str, at: usize, place: &Place, company: &Company<'_>, mentions: &mut Vec<Mention>) {
    let spans: Vec<_> = address::find(line).take(MENTIONS).collect();
    for (i, span) in spans.iter().enumerate() {
        // `shown@example.com <real@example.com>`: the first is a display name, the second is meant.
        let between = |a: &Range<usize>, b: &Range<usize>| line[a.end..b.start].trim_matches(['"', '\'']).trim() == "<";
        if spans.get(i + 1).is_some_and(|next| between(span, next)) {
            continue;
        }
        let shown = i.checked_sub(1).map(|i| &spans[i]).filter(|shown| between(shown, span));
        let front = tail(&line[..shown.unwrap_or(span).start]);
        let (rank, alias) = rank(line, front, span, place, company);
        mentions.push(Mention { span: at + span.start..at + span.end, rank, line: at, alias });
    }
}

/// The last words before an address: what is further away says nothing of it.
fn tail(front: &str) -> &str {
    let mut from = front.len().saturating_sub(FRONT);
    while !front.is_char_boundary(from) {
        from += 1;
    }
    &front[from..]
}

/// The alias is what was mailed, where the returned message says so; the target stands beside it.
/// An alias of the sender's own is no recipient of its: then the target is whom it reached out to.
fn name_alias(text: &str, mention: &Mention, company: &Company<'_>, named: &mut [Named]) {
    let alias = &text[mention.span.clone()];
    let lower = alias.to_lowercase();
    if !company.mailed.contains(&lower) || company.ours.contains(&lower) {
        return;
    }
    let behind = named.iter_mut().find(|n| n.sections.iter().any(|s| s.contains(&mention.span.start)));
    if let Some(one) = behind.filter(|n| !n.address.eq_ignore_ascii_case(alias)) {
        one.target = Some(std::mem::replace(&mut one.address, alias.to_owned()));
    }
}

/// A section is from the line that names the address to the next line that names another one.
fn add_sections(text: &str, mentions: &[Mention], named: &mut [Named]) {
    let mut index: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for (i, one) in named.iter().enumerate() {
        index.entry(one.address.to_ascii_lowercase()).or_insert(i);
    }
    let marks: Vec<(usize, usize)> = mentions
        .iter()
        .filter(|m| m.rank > 0)
        .filter_map(|m| index.get(&text[m.span.clone()].to_ascii_lowercase()).map(|i| (*i, m.line)))
        .collect();
    let mut i = 0;
    while i < marks.len() {
        let (who, from) = marks[i];
        let next = marks[i + 1..].iter().position(|(other, _)| *other != who).map(|n| i + 1 + n);
        let end = next.map_or(text.len(), |n| marks[n].1);
        if end > from {
            named[who].sections.push(from..end);
        }
        i = next.unwrap_or(marks.len());
    }
    // Several recipients on one line, or listed first and explained once: they share what follows.
    let shared = marks.first().map_or(0, |m| m.1)..text.len();
    for one in named.iter_mut().filter(|n| n.sections.is_empty()) {
        one.sections.push(shared.clone());
    }
}

/// Where in a notice a line stands: what its paragraph has said so far.
#[derive(Debug, Default)]
struct Place {
    /// Indentation of the paragraph's last line that an address opens.
    opened: Option<usize>,
    /// Particulars of the message are being listed: `Subject:`, `Sent:`, …
    particulars: bool,
    /// An SMTP answer stands above, and this line may go on with it.
    answering: bool,
    indent: usize,
}

impl Place {
    fn enter(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if trimmed.trim_end().is_empty() {
            *self = Place::default();
            return;
        }
        self.indent = line.len() - trimmed.len();
        let label = |name: &str| trimmed.get(..name.len()).is_some_and(|l| l.eq_ignore_ascii_case(name));
        self.particulars |= label("subject:") || label("message-id:") || label("sent:");
    }

    fn leave(&mut self, line: &str) {
        let front = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        let opens = address::find(front).next().is_some_and(|s| s.start == 0);
        if opens && !self.continues() {
            self.opened = Some(self.indent);
        }
        self.answering = !opens && !line.trim_end().ends_with(':') && (self.answering || smtp_answer(line).is_some());
    }

    /// Whether the line goes on with a sentence about an address named above it.
    fn continues(&self) -> bool {
        self.answering || self.opened.is_some_and(|open| self.indent > open)
    }
}

/// How surely the address at `span` of `line` is a failed recipient, 0 for one that is surely not;
/// and whether it is an alias that expanded into the one before.
fn rank(line: &str, front: &str, span: &Range<usize>, place: &Place, company: &Company<'_>) -> (u8, bool) {
    let address = line[span.clone()].to_ascii_lowercase();
    let before = front.trim_end_matches(['<', '\'', '"', '(', '[', ' ', '\t', '*']);
    let words = before.trim_start_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    let ending = words.trim_end_matches([':', ' ']);
    if ["expanded from", "generated from", "forwarded from"].iter().any(|w| ending.ends_with(w)) {
        return (0, true);
    }
    if is_service(&address) && !words.is_empty() || is_sender_label(&words) {
        return (0, false);
    }
    let mailed = company.mailed.contains(&address);
    if company.ours.contains(&address) && !mailed {
        return (0, false);
    }
    let after = line[span.end..].trim_start_matches(['>', '\'', '"', ')', ']']);
    let rank = if is_recipient_label(&words) || words.is_empty() && !place.continues() {
        3 // named as such, or at the front of its line: alone, or followed by what is said of it
    } else if place.particulars || words.is_empty() {
        1
    } else if leads_to_recipient(&words) || after.starts_with("...") {
        2
    } else {
        1
    };
    (if mailed && rank < 3 { rank + 1 } else { rank }, false)
}

/// Addresses of services, which a notice names to be asked for help.
fn is_service(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default();
    matches!(local, "mailer-daemon" | "support" | "helpdesk" | "noreply" | "no-reply" | "abuse" | "hostmaster")
}

fn is_sender_label(words: &str) -> bool {
    let label = words.trim_end_matches([':', '=', ' ', '<']);
    const SENDERS: &[&str] = &[
        "from",
        "sender",
        "reply-to",
        "return-path",
        "message-id",
        "id",
        "contact",
        "mailto",
        "errors-to",
        "de",
        "von",
    ];
    let last = label.rsplit([' ', '\t', '(', ',']).next().unwrap_or_default();
    SENDERS.contains(&last) || words.contains("mail from") || words.contains("postmaster") || words.contains("contact ")
}

fn is_recipient_label(words: &str) -> bool {
    let Some(label) = words.strip_suffix([':', '=', ';']) else { return false };
    const LABELS: &[&str] = &[
        "rcpt to",
        "recipient",
        "final-recipient",
        "original-recipient",
        "recipients",
        "failed address",
        "addresses",
        "address",
        "rfc822",
        "destinataire",
        "empfänger",
        "destinatario",
        "delivered to",
        "delivery to",
        "sent to",
    ];
    LABELS.iter().any(|l| label.trim_end().ends_with(l))
}

fn leads_to_recipient(words: &str) -> bool {
    let last = words.trim_end_matches([':', ' ', ',']).rsplit(' ').next().unwrap_or_default();
    matches!(
        last,
        "to" | "for"
            | "an"
            | "à"
            | "a"
            | "para"
            | "naar"
            | "do"
            | "user"
            | "recipient"
            | "address"
            | "mailbox"
            | "account"
            | "至"
    )
}

/// The mailing list that a list manager's notice names.
pub(crate) fn lists(text: &str) -> Option<String> {
    let named = |span: &Range<usize>| {
        let before = text[..span.start].trim_end_matches(['<', '(', '"', ':', ' ', '\n', '\r']).to_ascii_lowercase();
        ["list", "group", "to"].iter().any(|w| before.ends_with(w))
    };
    address::find(text).take(20).find(named).map(|span| text[span].to_owned())
}

/// The SMTP answer that a section quotes: from its reply code to the end of the paragraph. An echo only where nothing else
/// is quoted.
pub(crate) fn smtp_answer(section: &str) -> Option<Range<usize>> {
    let bytes = section.as_bytes();
    let replies = || memchr::memchr2_iter(b'4', b'5', bytes).filter(|at| at + 3 <= bytes.len() && is_reply(bytes, *at));
    let at = replies().find(|at| !is_echo(&section[*at..])).or_else(|| replies().next())?;
    let end = paragraph_end(section, at).min(at + said_by_queue(&section[at..]));
    Some(at..at + told_until(&section[at..end]))
}

/// An answer that tells nothing new: to DATA once every recipient was refused, which whoever pipelines hears too
/// (RFC 2920 §3.1), in the words of Postfix, Exim, qmail, sendmail and Exchange; or to QUIT.
pub(crate) fn is_echo(answer: &str) -> bool {
    const ECHOES: [&str; 5] =
        ["no valid recipients", "valid rcpt command must precede", "rcpt first", "need rcpt", "rcpt command expected"];
    if !matches!(answer.get(..3), Some("503" | "554")) {
        return answer.starts_with("2") && answer.get(..3).is_some_and(|code| code.bytes().all(|c| c.is_ascii_digit()));
    }
    let front = super::text::prefix(answer, FRONT);
    let words: Vec<&str> = front.split_whitespace().take_while(|word| *word != "<<<").take(8).collect();
    let words = words.join(" ").to_ascii_lowercase();
    ECHOES.iter().any(|echo| words.contains(echo))
}

/// Where a transcript has told all that an answer says. sendmail puts it into words of its own below it: `550 5.1.1 … User
/// unknown` for any 550, `554 5.0.0 Service unavailable` for any 554 (sysexits.c); and an echo may follow.
pub(crate) fn told_until(section: &str) -> usize {
    let mut answered = false;
    let mut after_answer = false;
    let mut at = 0;
    for line in section.split_inclusive('\n') {
        let words = line.trim_start();
        let quoted = words.strip_prefix("<<< ");
        if quoted.is_some_and(|answer| answered && is_echo(answer)) || after_answer && has_code(line) {
            return at;
        }
        after_answer = quoted.is_some() && line.starts_with('<');
        answered |= quoted.is_some_and(|answer| !is_echo(answer)) || at == 0 && has_code(line);
        at += line.len();
    }
    section.len()
}

/// Whether a line begins with a reply code that refuses.
fn has_code(line: &str) -> bool {
    matches!(line.as_bytes(), [b'4' | b'5', a, b, b' ' | b'-' | b'\n' | b'\r', ..] if a.is_ascii_digit() && b.is_ascii_digit())
}

/// Where the queue's own words after the answer begin: that it gives up, and why it did not before.
pub(crate) fn said_by_queue(section: &str) -> usize {
    const TRAILERS: [&str; 4] = ["Giving up on ", "I'm not going to try again", "[RCPT_TO]", "[MAIL_FROM]"];
    static FOUND: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| TRAILERS.map(Finder::new));
    let found = FOUND.iter().filter_map(|trailer| trailer.find(section.as_bytes()));
    found.filter(|at| *at > 0).min().unwrap_or(section.len())
}

/// Whether a reply code (RFC 5321 §4.2) stands at `at`, by what is around it.
fn is_reply(bytes: &[u8], at: usize) -> bool {
    let code = &bytes[at..at + 3];
    if !(b'0'..=b'7').contains(&code[1]) || !code[2].is_ascii_digit() {
        return false;
    }
    let next = bytes.get(at + 3).copied().unwrap_or(b'\n');
    if !matches!(next, b' ' | b'-' | b'\n' | b'\r' | b'\'' | b'"' | b':' | b'#') {
        return false;
    }
    let before = &bytes[..at];
    let spaced = before.trim_ascii_end();
    let line_start = before[spaced.len()..].contains(&b'\n') || spaced.is_empty();
    let quoted = matches!(before.last(), Some(b'\'' | b'"' | b'(' | b'[' | b';' | b':' | b'>' | b'-'));
    let led = matches!(spaced.last(), Some(b':' | b';' | b'<' | b'-' | b'='))
        || spaced.ends_with(b"said")
        || spaced.ends_with(b"error")
        || spaced.ends_with(b"code");
    let rest = bytes.get(at + 4..).unwrap_or_default();
    let word = rest.iter().position(|c| !(c.is_ascii_digit() || *c == b'.')).map_or(rest, |n| &rest[..n]);
    let enhanced = std::str::from_utf8(word).is_ok_and(is_enhanced);
    let separated = before.last().is_none_or(|c| c.is_ascii_whitespace()) || quoted;
    // Exchange's line for administrators: `#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##`. Where it quotes what came
    // over SMTP (`#550 5.2.2 smtp;550 5.2.0 …`), that is the answer.
    let hashed = || {
        before.strip_suffix(b"#").is_some_and(|line| match line.last() {
            None | Some(b'\n') => matches!(next, b' ' | b'-'),
            Some(last) => last.is_ascii_whitespace() && enhanced,
        })
    };
    let quotes = || memmem::find(super::text::take_line(rest).0, b"smtp;").is_some();
    separated && (line_start || quoted || led || enhanced) || hashed() && !quotes()
}

fn paragraph_end(section: &str, from: usize) -> usize {
    let mut at = from;
    loop {
        let end = line_end(section, at);
        let next = next_line(section, end);
        if next >= section.len()
            || section[next..line_end(section, next)].trim().is_empty()
            || next - from > crate::limits::DIAGNOSTIC_CHARS * 2
        {
            return end;
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let company = Company { ours: vec!["me@example.org".to_owned()], mailed: &[] };
        let end = returned_at(text);
        let found: Vec<_> = recipients(&text[..end], &company).into_iter().map(|n| n.address).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn whom_a_notice_names() {
        check(
            "Hi.\n<a@example.com>:\nno such user\n\n--- Below this line is a copy of the message.\n\nTo: b@example.com\n",
            &["a@example.com"],
        );
        check("The message to a@example.com failed. Ask support@example.net\n", &["a@example.com"]);
        check("    Recipient: <a@example.com>\n    >>> MAIL FROM:<me@example.org>\n", &["a@example.com"]);
        check("a@example.com\nb@example.com\n  both unknown\n", &["a@example.com", "b@example.com"]);
        check("a@example.com\n  550 5.1.1\n  <b@example.com>: refused\n", &["a@example.com"]);
        check("a@example.com <b@example.com>: malformed\n", &["b@example.com"]);
        check("nothing here\n", &[]);
    }

    #[test]
    fn quoted_answers() {
        let check = |section: &str, expected: Option<&str>| {
            assert_eq!(smtp_answer(section).map(|s| &section[s]), expected, "{section}");
        };
        check("host x[10.5.5.5] said: 550 no such\n user\n\nother", Some("550 no such\n user"));
        check("after 432 tries on port 587 we", None);
        check("<<< 452 4.2.2 full", Some("452 4.2.2 full"));
        // Exchange's line for administrators, alone, after a host's name, and around the answer that it quotes.
        check("a@example.com\n#550 5.1.1 RESOLVER; not found ##", Some("550 5.1.1 RESOLVER; not found ##"));
        check("a@example.com\nmx.example.com #550 5.1.1 unknown ##", Some("550 5.1.1 unknown ##"));
        check("a@example.com\n#550 5.1.1 smtp;550 5.7.1 denied ##", Some("550 5.7.1 denied ##"));
        check("see ticket #550 of today", None);
    }
}
