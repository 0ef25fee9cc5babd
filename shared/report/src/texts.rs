//! The texts of a message that speak to people, without the returned message in them.

use super::delivery::Place;
use super::evidence::{Passage, Witness};
use super::mime::Parts;
use super::notice::{self, Company, Named};
use super::types::Original;
use super::words::{self, Found, Notice};
use super::{original, text};
use crate::limits;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::LazyLock;

/// Texts that are looked at in one message: alternatives, and a footer that a gateway added.
const TEXTS: usize = 4;

/// Places where a notice speaks of one recipient that are looked at.
pub(crate) const SECTIONS: usize = 8;

/// What the texts say a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    Failure,
    Delay,
    Success,
}

/// One text, and where its notice ends.
#[derive(Debug)]
pub(crate) struct Text<'m> {
    part: String,
    /// Where the text begins in the message; 0 where it had to be decoded.
    base: usize,
    text: Cow<'m, str>,
    end: usize,
}

impl Text<'_> {
    /// The text up to the returned message.
    pub fn notice(&self) -> &str {
        &self.text[..self.end]
    }

    /// The words at `span`.
    pub fn passage(&self, span: Range<usize>) -> Passage<'_> {
        Passage::new(self.part.clone(), self.base + span.start, Cow::Borrowed(&self.text[span]))
    }

    /// What a section tells of its recipient: up to the transcript's end, or the ruled line of the next chapter.
    fn told(&self, section: Range<usize>) -> Passage<'_> {
        let raw = text::prefix(&self.text[section.clone()], limits::DIAGNOSTIC_CHARS * 4);
        let chapter = if section.start == 0 { raw.len() } else { raw.find("\n   -----").unwrap_or(raw.len()) };
        self.passage(section.start..section.start + notice::told_until(raw).min(chapter))
    }

    /// A section as a witness: what it quotes of an SMTP answer, and all that it says.
    pub fn witness(&self, section: Range<usize>) -> Witness<'_> {
        let raw = &self.text[section.clone()];
        let within = |span: Range<usize>| self.passage(section.start + span.start..section.start + span.end);
        let said = text::prefix(raw, notice::said_by_queue(raw).min(limits::DIAGNOSTIC_CHARS * 4));
        let said = notice::told_until(said);
        Witness {
            remote: notice::smtp_answer(raw).map(within),
            local: Some(within(0..said)),
            status: None,
            category: None,
            named: Some(within(0..raw.find('\n').unwrap_or(raw.len()))),
        }
    }
}

/// Every text of a message.
#[derive(Debug, Default)]
pub(crate) struct Texts<'m> {
    pub list: Vec<Text<'m>>,
    /// What the first text that announces anything announces, in order; and which text that is.
    announced: OnceCell<(usize, Vec<Found>)>,
    /// The message that a text returns, and whom it was sent to.
    pub original: Option<(Original, Vec<String>)>,
}

impl<'m> Texts<'m> {
    /// The texts of `message`, whose parts are `parts`.
    pub fn of(message: &'m [u8], parts: &Parts<'m>) -> Self {
        let mut texts = Texts::default();
        for at in parts.texts().take(TEXTS) {
            let text = parts.list[at].text();
            let end = notice::returned_at(&text);
            let base = match &text {
                // An empty text may stand nowhere.
                Cow::Borrowed(t) => (t.as_ptr() as usize).saturating_sub(message.as_ptr() as usize).min(message.len()),
                Cow::Owned(_) => 0,
            };
            if texts.original.is_none() && end < text.len() {
                let fields = original::fields_in(&text.as_bytes()[end..]);
                if !fields.is_empty() {
                    texts.original = Some((original::read(&fields), original::mailed(&fields)));
                }
            }
            texts.list.push(Text { part: parts.path(at), base, text, end });
        }
        texts
    }

    /// The notice that has the fields of a delivery status among its words (RFC 3464 §2), as whoever takes a report's parts
    /// for one text leaves them.
    pub fn status(&self) -> Option<Place<'m>> {
        // Lines that begin so; the last two stand behind others.
        static LINES: LazyLock<[Finder<'static>; 4]> =
            LazyLock::new(|| ["Final-Recipient:", "Reporting-MTA:", "\nStatus:", "\nAction:"].map(Finder::new));
        let [recipient, reporter, status, action] = &*LINES;
        let states = |text: &&Text<'m>| {
            let notice = text.notice().as_bytes();
            let begins = |name: &Finder<'_>| name.find(notice).is_some_and(|at| at == 0 || notice[at - 1] == b'\n');
            status.find(notice).is_some() && action.find(notice).is_some() && (begins(recipient) || begins(reporter))
        };
        let text = self.list.iter().find(states)?;
        let fields = match &text.text {
            Cow::Borrowed(all) => Cow::Borrowed(&all.as_bytes()[..text.end]),
            Cow::Owned(all) => Cow::Owned(all.as_bytes()[..text.end].to_vec()),
        };
        Some((text.part.clone(), fields))
    }

    fn announced(&self) -> &(usize, Vec<Found>) {
        self.announced.get_or_init(|| {
            let all = self.list.iter().map(|text| words::in_body(text.notice())).enumerate();
            all.into_iter().find(|(_, found)| !found.is_empty()).unwrap_or_default()
        })
    }

    /// Whether a text announces that.
    pub fn announces(&self, wanted: Notice) -> bool {
        self.announced().1.iter().any(|f| f.notice == wanted)
    }

    /// Whether what sounds like an automatic reply is no more than a courtesy ("thank you for your message"), as people
    /// write it in an answer of their own.
    pub fn is_courteous_alone(&self) -> bool {
        let mut replies = self.announced().1.iter().filter(|found| found.notice == Notice::AutoReply).peekable();
        replies.peek().is_some() && replies.all(|found| found.rule.starts_with("body-auto-reply/courtesy"))
    }

    /// The words of an announcement.
    pub fn announcement(&self, wanted: Notice) -> Option<super::types::Evidence> {
        let (announcer, all) = self.announced();
        let found = all.iter().find(|f| f.notice == wanted)?;
        let passage = self.list.get(*announcer)?.passage(found.span.clone());
        Some(passage.whole(found.rule))
    }

    /// What the texts say the message is, where they say it. A warning speaks of failure too; a
    /// failure does not say that there will be more attempts.
    pub fn sense(&self) -> Option<Sense> {
        if self.announces(Notice::Delay) {
            Some(Sense::Delay)
        } else if self.announces(Notice::Failure) {
            Some(Sense::Failure)
        } else {
            self.announces(Notice::Success).then_some(Sense::Success)
        }
    }

    /// Whether a text quotes an SMTP answer.
    pub fn answered(&self) -> bool {
        self.list.iter().any(|t| notice::smtp_answer(t.notice()).is_some())
    }

    /// Recipients named in the texts, each with its text. One text alone: alternatives say the same twice.
    pub fn recipients(&self, company: &Company<'_>) -> Vec<(usize, Named)> {
        let mut best: Vec<(usize, Named)> = Vec::new();
        for (i, text) in self.list.iter().enumerate() {
            let found = notice::recipients(text.notice(), company);
            let rank = |named: Option<&Named>| named.map_or(0, |n| n.rank);
            if rank(found.first()) > rank(best.first().map(|b| &b.1)) {
                best = found.into_iter().map(|n| (i, n)).collect();
            }
        }
        best
    }

    /// All that the texts say: of one who is reported alone, since the sentence that tells why may stand before the
    /// address.
    pub fn all(&self) -> Vec<Passage<'_>> {
        let said = |text: &'_ Text<'m>| !text.notice().trim().is_empty();
        self.list.iter().filter(|text| said(text)).map(|text| text.told(0..text.notice().len())).collect()
    }

    /// What the texts say of one of several recipients, known by any of these addresses: no word of what they say of
    /// another. `named` are those whom the texts name.
    pub fn about(&self, who: &[&str], named: &[(usize, Named)]) -> Vec<Passage<'_>> {
        let is_meant = |one: &Named| who.iter().any(|address| one.address.eq_ignore_ascii_case(address));
        let sections = named.iter().filter(|(_, one)| is_meant(one)).flat_map(|(at, one)| {
            let text = self.list.get(*at);
            text.into_iter()
                .flat_map(|text| one.sections.iter().take(SECTIONS).map(|section| text.told(section.clone())))
        });
        sections.collect()
    }

    /// Words of the person who wrote the message: those before whatever is forwarded or quoted.
    pub fn own_words(&self) -> usize {
        let Some(text) = self.list.first() else { return 0 };
        let mut words = 0;
        for line in text.text.lines().take(200) {
            let line = line.trim();
            if line.starts_with('>') || line.starts_with("--") || line.starts_with("__") || line.starts_with("==") {
                break;
            }
            let label = line.split_once(':').is_some_and(|(name, _)| name.len() < 12 && !name.contains(' '));
            let forwarded = line.ends_with(':') && line.to_ascii_lowercase().contains("forward");
            if label && line.contains('@') || forwarded {
                break; // `From: …`, `Von: …`, `Begin forwarded message:`
            }
            words += line.split_whitespace().count();
        }
        words
    }
}
