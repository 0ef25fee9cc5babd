//! What a fault means, who must act, and the exact step: one table, in English and French. The result page, the
//! command line and the log say the same sentence.
//!
//! A refusal's `error` and `suberror` decide what follows; Entra's number only picks the advice, here.

mod mailbox;
mod oauth;

use crate::oauth::Refusal;

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Nobody: it passes, and the schedule tries again.
    Nobody,
    /// The person who signs in.
    Person,
    /// Who registered the app.
    AppOwner,
    /// An administrator of the Microsoft 365 tenant, or of the mail server.
    Administrator,
    /// Who runs this deployment.
    Operator,
}

impl Who {
    /// In words.
    pub fn words(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Nobody, Language::English) => "nobody: it is tried again",
            (Self::Nobody, Language::French) => "personne : une nouvelle tentative suivra",
            (Self::Person, Language::English) => "the person who signs in",
            (Self::Person, Language::French) => "la personne qui se connecte",
            (Self::AppOwner, Language::English) => "the owner of the app registration",
            (Self::AppOwner, Language::French) => "le responsable de l’inscription de l’application",
            (Self::Administrator, Language::English) => "an administrator of the mailbox's organisation",
            (Self::Administrator, Language::French) => "un administrateur de l’organisation de la boîte",
            (Self::Operator, Language::English) => "the operator of this deployment",
            (Self::Operator, Language::French) => "l’exploitant de ce déploiement",
        }
    }
}

/// A language of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// French.
    French,
}

impl Language {
    /// The first of the two that `Accept-Language` (RFC 9110 §12.5.4) names; English where it names neither.
    pub fn preferred(accept_language: &str) -> Self {
        let mut wanted: Vec<(f32, Self)> = Vec::new();
        for range in accept_language.split(',').take(20) {
            let (tag, quality) = range.split_once(";q=").unwrap_or((range, "1"));
            let language = match tag.trim().split('-').next().map(str::to_ascii_lowercase).as_deref() {
                Some("en") => Self::English,
                Some("fr") => Self::French,
                _ => continue,
            };
            wanted.push((quality.trim().parse().unwrap_or(0.0), language));
        }
        // A stable sort keeps the order of equals.
        wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
        wanted.first().map_or(Self::English, |(_, language)| *language)
    }

    /// The tag of `<html lang>`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }
}

/// A sentence in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// French.
    pub fr: &'static str,
}

impl Words {
    /// In one language.
    pub fn get(self, language: Language) -> &'static str {
        match language {
            Language::English => self.en,
            Language::French => self.fr,
        }
    }
}

/// One row: what it means, who must act, the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Its name in health, logs and JSON.
    pub id: &'static str,
    /// Who must act.
    pub who: Who,
    /// Entra's numbers that it answers.
    pub aadsts: &'static [u32],
    /// What it means.
    pub means: Words,
    /// What to do; `{redirect_uri}` and `{account}` stand for the account's own.
    pub step: Words,
}

impl Advice {
    /// Meaning and step as one text, with the account's own values in place.
    pub fn sentence(&self, language: Language, account: &str, redirect_uri: &str) -> String {
        let text = format!("{} {}", self.means.get(language), self.step.get(language));
        text.replace("{account}", account).replace("{redirect_uri}", redirect_uri)
    }
}

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Advice> {
    oauth::ROWS.iter().chain(mailbox::ROWS)
}

/// A row by its id.
pub fn by_id(id: &str) -> Option<&'static Advice> {
    all().find(|advice| advice.id == id)
}

/// The row for a refusal: by Entra's number, or else by the OAuth error.
pub fn for_refusal(refusal: &Refusal) -> &'static Advice {
    let by_number = refusal.aadsts().and_then(|number| oauth::ROWS.iter().find(|row| row.aadsts.contains(&number)));
    by_number.or_else(|| by_id(oauth::id_of_error(&refusal.error))).unwrap_or(&oauth::UNKNOWN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_and_numbers_stand_once_and_every_row_says_all() {
        let (mut ids, mut numbers) = (HashSet::new(), HashSet::new());
        for row in all() {
            assert!(ids.insert(row.id), "{} stands twice", row.id);
            for number in row.aadsts {
                assert!(numbers.insert(number), "AADSTS{number} stands twice");
            }
            for words in [row.means, row.step] {
                assert!(words.en.ends_with('.') && words.fr.ends_with('.'), "{}: whole sentences", row.id);
                assert_ne!(words.en, words.fr);
            }
        }
    }

    #[test]
    fn the_number_picks_before_the_error() {
        let refusal = |error: &str, codes: &[u32]| Refusal {
            error: error.into(),
            error_codes: codes.to_vec(),
            ..Refusal::default()
        };
        assert_eq!(for_refusal(&refusal("invalid_client", &[7000215])).id, "client-secret-wrong");
        assert_eq!(for_refusal(&refusal("invalid_grant", &[1])).id, "grant-refused");
        assert_eq!(for_refusal(&refusal("nonsense", &[])).id, "provider-unknown");
    }

    #[test]
    fn language_follows_the_browser() {
        for (header, language) in [
            ("", Language::English),
            ("fr-FR,fr;q=0.9,en;q=0.8", Language::French),
            ("de,en;q=0.5,fr;q=0.7", Language::French),
            ("en-GB,fr;q=0.9", Language::English),
            ("ja", Language::English),
            (";;q=x,fr;q=nan", Language::French),
        ] {
            assert_eq!(Language::preferred(header), language, "{header}");
        }
    }
}
