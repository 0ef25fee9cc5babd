//! What a fault means, who must act, and the exact step: one table, in English and French. The result page, the
//! command line and the log say the same sentence.
//!
//! A refusal's `error` and `suberror` decide what follows; Entra's number only picks the advice, here.

mod doctor;
mod forwarding;
mod mailbox;
mod oauth;
mod registration;

pub use mailbox::of_unopened_mailbox;

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
            (Self::Nobody, Language::English) => "nobody",
            (Self::Nobody, Language::French) => "personne",
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

    /// What stands before who must act.
    pub fn who_must_act(self) -> &'static str {
        match self {
            Self::English => "Who must act:",
            Self::French => "Qui doit agir :",
        }
    }

    /// What stands before the other side's words.
    pub fn what_was_said(self) -> &'static str {
        match self {
            Self::English => "What was said:",
            Self::French => "Ce qui a été répondu :",
        }
    }

    /// A French sentence never breaks before its high punctuation, nor inside its quotation marks.
    fn typeset(self, text: &str) -> String {
        let spaces = [(" :", "\u{a0}:"), (" ;", "\u{a0};"), (" ?", "\u{a0}?"), ("« ", "«\u{a0}"), (" »", "\u{a0}»")];
        match self {
            Self::English => text.to_owned(),
            Self::French => spaces.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)),
        }
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
        let (means, step) = self.parts(language, account, redirect_uri);
        format!("{means} {step}")
    }

    /// Whether it names the redirect URI, which then must be known to say it.
    pub fn names_redirect_uri(&self) -> bool {
        [self.means.en, self.step.en].iter().any(|text| text.contains("{redirect_uri}"))
    }

    /// Meaning and step, each with the account's own values in place.
    pub fn parts(&self, language: Language, account: &str, redirect_uri: &str) -> (String, String) {
        let part = |words: Words| {
            let text = language.typeset(words.get(language));
            text.replace("{account}", account).replace("{redirect_uri}", redirect_uri)
        };
        (part(self.means), part(self.step))
    }
}

/// A sentence in both languages.
const fn w(en: &'static str, fr: &'static str) -> Words {
    Words { en, fr }
}

/// A row that answers no number of Entra's.
const fn row(id: &'static str, who: Who, means: Words, step: Words) -> Advice {
    numbered(id, who, &[], means, step)
}

/// A row that answers these numbers of Entra's.
const fn numbered(id: &'static str, who: Who, aadsts: &'static [u32], means: Words, step: Words) -> Advice {
    Advice { id, who, aadsts, means, step }
}

/// The rows that a refusal of the identity provider may end in.
fn of_provider() -> impl Iterator<Item = &'static Advice> {
    oauth::ROWS.iter().chain(registration::ROWS)
}

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Advice> {
    of_provider().chain(mailbox::ROWS).chain(forwarding::ROWS).chain(doctor::ROWS)
}

/// A row by its id.
pub fn by_id(id: &str) -> Option<&'static Advice> {
    all().find(|advice| advice.id == id)
}

/// The row for a refusal: by Entra's number, or else by suberror and error.
pub fn for_refusal(refusal: &Refusal) -> &'static Advice {
    let by_number = refusal.aadsts().and_then(|number| of_provider().find(|row| row.aadsts.contains(&number)));
    let by_word = || by_id(oauth::id_of_error(&refusal.error, refusal.suberror.as_deref()));
    by_number.or_else(by_word).unwrap_or(&oauth::UNKNOWN)
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
    fn every_number_of_the_reference_has_its_row() {
        // Microsoft, "Microsoft Entra authentication and authorization error codes", and who acts on each.
        use Who::{Administrator, AppOwner, Nobody, Operator, Person};
        for (who, numbers) in [
            (Person, &[50020, 50034, 50055, 50058, 50072, 50074, 50076, 50078, 50079, 50126][..]),
            (Person, &[50132, 50133, 50173, 54005, 65004, 70000, 70008, 700082, 70016, 70018, 70019]),
            (Administrator, &[50053, 50057, 50097, 50105, 53000, 53001, 53002, 53003, 530035, 65001, 650052]),
            (Administrator, &[70043, 90094, 90095]),
            (AppOwner, &[50011, 50194, 65005, 65006, 650056, 650057, 650053, 70001, 700016, 7000112, 700084]),
            (AppOwner, &[700025, 700027, 70021, 700211, 700212, 700213, 7002137, 7002138, 7000215, 7000218]),
            (AppOwner, &[7000222, 90002, 9001023, 9002332, 900382, 900432, 90038]),
            (Operator, &[700024, 50147, 501481, 50196, 900144, 9002313, 70011, 28000, 700022]),
            (Nobody, &[90006, 90024, 90033, 50033, 50087, 90055]),
        ] {
            for number in numbers {
                let row = all().find(|row| row.aadsts.contains(number));
                assert_eq!(row.map(|row| row.who), Some(who), "AADSTS{number}: {row:?}");
            }
        }
    }

    #[test]
    fn every_error_of_oauth_has_its_row() {
        let check = |error: &str, suberror: Option<&str>, id: &str| {
            let refusal = Refusal { error: error.into(), suberror: suberror.map(str::to_owned), ..Refusal::default() };
            assert_eq!(for_refusal(&refusal).id, id, "{error} {suberror:?}");
        };
        // RFC 6749 §4.1.2.1 and §5.2.
        check("invalid_request", None, "request-refused");
        check("invalid_client", None, "client-unproven");
        check("invalid_grant", None, "grant-refused");
        check("unauthorized_client", None, "app-may-not");
        check("unsupported_grant_type", None, "request-refused");
        check("unsupported_response_type", None, "request-refused");
        check("invalid_scope", None, "scope-refused");
        check("access_denied", None, "declined");
        check("server_error", None, "provider-busy");
        check("temporarily_unavailable", None, "provider-busy");
        // RFC 8628 §3.5, and what Entra says in its place.
        check("authorization_pending", None, "device-code-waiting");
        check("slow_down", None, "device-code-waiting");
        check("expired_token", None, "device-code-ended");
        check("authorization_declined", None, "declined");
        check("bad_verification_code", None, "device-code-ended");
        // RFC 8707 §2, OpenID Connect Core §3.1.2.6, the administrator's consent.
        check("invalid_target", None, "permission-list");
        check("login_required", None, "sign-in-again");
        check("consent_required", None, "consent-missing");
        check("permission_denied", None, "admin-consent-required");
        // Entra's finer words.
        check("invalid_grant", Some("consent_required"), "consent-missing");
        check("interaction_required", Some("message_only"), "policy-blocks");
        check("invalid_grant", Some("user_password_expired"), "password-expired");
        check("invalid_grant", Some("bad_token"), "grant-refused");
    }

    #[test]
    fn who_signed_in_narrows_down_why_a_mailbox_did_not_open() {
        let of = |who| of_unopened_mailbox(who, "bounces@example.com");
        assert_eq!(of(None), "not-connected-app");
        assert_eq!(of(Some("Bounces@Example.com")), "not-connected");
        assert_eq!(of(Some("")), "not-connected");
        assert_eq!(of(Some("alex@example.com")), "not-connected-other-user");
        for id in ["not-connected-app", "not-connected", "not-connected-other-user", "no-licence"] {
            assert!(by_id(id).is_some(), "{id}");
        }
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
