//! The pages a person sees while connecting a mailbox: no scripts, nothing to load, nothing kept by the browser.

use crate::advice::{self, Advice, Language};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, html};

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 1.05rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto 4rem; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
.mark { display: inline-block; width: 1.6rem; height: 1.6rem; line-height: 1.6rem; border-radius: 50%; text-align: center;
  color: #fff; font-size: 1rem; margin-right: .5rem; vertical-align: .1rem; }
.good { background: #1a7f37; } .bad { background: #b35900; } .none-yet { background: #57606a; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 1.25rem 0; }
dt { opacity: .75; } dd { margin: 0; overflow-wrap: anywhere; }
.said { font-family: ui-monospace, monospace; font-size: .85rem; opacity: .85; overflow-wrap: anywhere; }
code { font: .92em ui-monospace, monospace; white-space: nowrap; }
@media (max-width: 30rem) { code { white-space: normal; } }
footer { margin-top: 2.5rem; font-size: .85rem; opacity: .7; }
";

/// What kind of news a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// All is well.
    Good,
    /// It did not work.
    Bad,
    /// Nothing is known yet.
    NoneYet,
}

impl News {
    /// Class and character of the mark before the heading.
    fn mark(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("good", "✓"),
            Self::Bad => ("bad", "!"),
            Self::NoneYet => ("none-yet", "…"),
        }
    }
}

/// What a page shows.
pub struct Page<'a> {
    /// In which language.
    pub language: Language,
    /// What kind of news it is.
    pub news: News,
    /// The heading.
    pub title: &'a str,
    /// A sentence of its own, where there is no advice.
    pub sentence: Option<&'a str>,
    /// Rows of names and values.
    pub facts: Vec<(&'a str, String)>,
    /// What to do.
    pub advice: Option<&'a Advice>,
    /// The account, for the advice.
    pub account: &'a str,
    /// The app's redirect URI, for the advice.
    pub redirect_uri: &'a str,
    /// What the other side said.
    pub said: Option<&'a str>,
    /// The closing sentence.
    pub closing: &'a str,
}

impl Page<'_> {
    /// The page as an answer. The headers keep it out of caches, frames and referrers, and let it load nothing.
    pub fn answer(&self, status: StatusCode) -> Response<String> {
        let mut answer = Response::new(self.markup().into_string());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        );
        private(headers);
        answer
    }

    fn markup(&self) -> Markup {
        let (class, mark) = self.news.mark();
        html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " – Rebond" }
                    style { (maud::PreEscaped(STYLE)) }
                }
                body {
                    main {
                        h1 {
                            span.mark.(class) aria-hidden="true" { (mark) }
                            (self.title)
                        }
                        @if let Some(advice) = self.advice {
                            p { (commands(&advice.sentence(self.language, self.account, self.redirect_uri))) }
                            p { (self.language.who_must_act()) " " strong { (advice.who.words(self.language)) } "." }
                        }
                        @if let Some(sentence) = self.sentence { p { (sentence) } }
                        @if !self.facts.is_empty() {
                            dl { @for (name, value) in &self.facts { dt { (name) } dd { (value) } } }
                        }
                        @if let Some(said) = self.said { p.said { (self.language.what_was_said()) " " (said) } }
                        p { (self.closing) }
                    }
                    footer { "Rebond" }
                }
            }
        }
    }
}

/// A sentence whose back quotes enclose what is to be typed.
fn commands(sentence: &str) -> Markup {
    html! {
        @for (number, piece) in sentence.split('`').enumerate() {
            @if number % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

/// Headers of everything that belongs to one person's sign-in.
fn private(headers: &mut http::HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// A redirect, 302 to the provider or 303 after an answer was used; `cookie` is set on the way.
pub fn redirect(status: StatusCode, to: &str, cookie: Option<&str>) -> Response<String> {
    let mut answer = Response::new(String::new());
    *answer.status_mut() = status;
    private(answer.headers_mut());
    for (name, value) in [(header::LOCATION, Some(to)), (header::SET_COOKIE, cookie)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A page that says no more than that the link does not work: for whoever we know nothing of.
pub fn refusal(status: StatusCode, language: Language, sentence: &str) -> Response<String> {
    let (title, closing) = match language {
        Language::English => ("This link does not work", "You may close this page."),
        Language::French => ("Ce lien ne fonctionne pas", "Vous pouvez fermer cette page."),
    };
    let page = Page {
        language,
        news: News::Bad,
        title,
        sentence: Some(sentence),
        facts: vec![],
        advice: None,
        account: "",
        redirect_uri: "",
        said: None,
        closing,
    };
    page.answer(status)
}

/// A page for a fault of our own store.
pub fn our_fault(language: Language, account: &str) -> Response<String> {
    let (title, closing) = match language {
        Language::English => ("Something of ours is out of order", "You may close this page."),
        Language::French => ("Une panne de notre côté", "Vous pouvez fermer cette page."),
    };
    let advice = advice::by_id("our-store");
    let page = Page {
        language,
        news: News::Bad,
        title,
        sentence: None,
        facts: vec![],
        advice,
        account,
        redirect_uri: "",
        said: None,
        closing,
    };
    page.answer(StatusCode::SERVICE_UNAVAILABLE)
}

/// The language a request asks for.
pub fn language(request: &Parts) -> Language {
    let header = request.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::preferred(header.unwrap_or_default())
}

/// The value of a cookie.
pub fn cookie(request: &Parts, name: &str) -> Option<String> {
    let all = request.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// The values of a query, bounded; the first of each name counts.
pub fn query(request: &Parts, name: &str) -> Option<String> {
    let query = request.uri.query().filter(|query| query.len() <= crate::limits::QUERY_BYTES)?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
