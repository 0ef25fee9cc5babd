//! A scripted person: a small browser with cookies and redirects, and someone who fills in the forms of sign-in, second
//! factor and consent until no such form is left.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use http::{Method, StatusCode, header};
use url::{Url, form_urlencoded};

/// More steps than any honest sign-in has: past them the person gives up.
const STEPS: usize = 30;

/// Someone with a password and a will.
#[derive(Clone)]
pub struct Person {
    /// Sign-in name.
    pub upn: String,
    /// Password.
    pub password: String,
    /// Accepts what the consent page asks, or cancels.
    pub consents: bool,
}

/// One request of a walk. The query is left out: codes and states are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `GET` or `POST`.
    pub method: String,
    /// URL without query and fragment.
    pub url: String,
    /// Status of the answer.
    pub status: u16,
}

/// Where a walk led.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Every request, in order.
    pub steps: Vec<Step>,
    /// Status of the last page.
    pub status: u16,
    /// The last page's URL, with its query.
    pub url: String,
    /// The last page's text: tags taken out, white space squeezed.
    pub text: String,
    /// The last page as it came.
    pub html: String,
}

/// Cookies, redirects and forms over plain HTTP. Cookies are kept by host name without the port, as browsers do
/// (RFC 6265, section 8.5).
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
    steps: Vec<Step>,
}

struct Page {
    url: Url,
    status: StatusCode,
    html: String,
}

impl Person {
    /// Opens `start` in a new browser and goes on until a page asks nothing that this person can answer.
    /// Errors: nothing listens, an answer is no page, or the walk does not end.
    pub async fn walk(&self, start: &str) -> anyhow::Result<Walk> {
        self.walk_in(&mut Browser::new()?, start).await
    }

    /// The same in a browser that may have cookies already.
    pub async fn walk_in(&self, browser: &mut Browser, start: &str) -> anyhow::Result<Walk> {
        browser.steps.clear();
        let mut page = browser.open(Method::GET, Url::parse(start)?, None).await?;
        let mut passwords = 0;
        while browser.steps.len() < STEPS {
            let Some(form) = Form::find(&page.html) else { break };
            let Some(values) = self.fill(&form) else { break };
            if form.fields.contains_key("passwd") {
                // A second time the provider refused it: the person does not lock the account.
                passwords += 1;
                if passwords > 1 {
                    break;
                }
            }
            let target = page.url.join(&form.action)?;
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish();
            page = browser.open(Method::POST, target, Some(body)).await?;
        }
        if browser.steps.len() >= STEPS {
            bail!("{STEPS} requests and still no end, at {}", without_query(&page.url));
        }
        let steps = browser.steps.clone();
        let text = text_of(&page.html);
        Ok(Walk { steps, status: page.status.as_u16(), url: page.url.to_string(), text, html: page.html })
    }

    /// What this person enters; `None` for a form that is none of theirs.
    fn fill(&self, form: &Form) -> Option<BTreeMap<String, String>> {
        let mut values = form.fields.clone();
        let press = |values: &mut BTreeMap<String, String>, name: &str, value: &str| {
            let there = form.buttons.iter().any(|(n, v)| n == name && v == value);
            there.then(|| values.insert(name.to_owned(), value.to_owned()))
        };
        if values.contains_key("passwd") {
            values.insert("login".to_owned(), self.upn.clone());
            values.insert("passwd".to_owned(), self.password.clone());
            return Some(values);
        }
        let decision = if self.consents { "accept" } else { "cancel" };
        if press(&mut values, "decision", decision).is_some() || press(&mut values, "factor", "approve").is_some() {
            return Some(values);
        }
        None
    }
}

impl Browser {
    /// A browser without cookies. Errors: the HTTP client cannot be made.
    pub fn new() -> anyhow::Result<Browser> {
        // Plain HTTP only: the TLS set-up that the client wants is given, and trusts nobody.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Browser { client, cookies: BTreeMap::new(), steps: Vec::new() })
    }

    /// Opens a URL and follows redirects; the page's status and HTML.
    pub async fn get(&mut self, url: &str) -> anyhow::Result<(u16, String)> {
        self.steps.clear();
        let page = self.open(Method::GET, Url::parse(url)?, None).await?;
        Ok((page.status.as_u16(), page.html))
    }

    /// Posts a form and follows redirects; the answer's status and body.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
        self.steps.clear();
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let page = self.open(Method::POST, Url::parse(url)?, Some(body)).await?;
        Ok((page.status.as_u16(), page.html))
    }

    async fn open(&mut self, mut method: Method, mut url: Url, mut body: Option<String>) -> anyhow::Result<Page> {
        loop {
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(cookies) = self.cookie_line(&url) {
                request = request.header(header::COOKIE, cookies);
            }
            if let Some(body) = body.take() {
                request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
            }
            let answer = request.send().await.with_context(|| format!("no answer from {}", without_query(&url)))?;
            let status = answer.status();
            self.steps.push(Step { method: method.to_string(), url: without_query(&url), status: status.as_u16() });
            self.keep_cookies(&url, answer.headers());
            let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return Ok(Page { url, status, html: answer.text().await? });
            };
            if self.steps.len() >= STEPS {
                bail!("redirects without end, at {}", without_query(&url));
            }
            url = url.join(location)?;
            // 301, 302 and 303 after a form are followed by GET, as browsers do (RFC 9110, section 15.4).
            method = Method::GET;
        }
    }

    fn cookie_line(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let cookies = self.cookies.iter().filter(|((of, _), _)| of == host);
        let line = cookies.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        (!line.is_empty()).then_some(line)
    }

    fn keep_cookies(&mut self, url: &Url, headers: &http::HeaderMap) {
        let Some(host) = url.host_str() else { return };
        for line in headers.get_all(header::SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let key = (host.to_owned(), name.to_owned());
            match parts.any(|part| part.eq_ignore_ascii_case("Max-Age=0")) {
                true => self.cookies.remove(&key),
                false => self.cookies.insert(key, value.to_owned()),
            };
        }
    }
}

/// The first form of a page.
struct Form {
    action: String,
    fields: BTreeMap<String, String>,
    buttons: Vec<(String, String)>,
}

impl Form {
    /// Reads the first form that is sent by POST. Attributes in double quotes, as both sides write them.
    fn find(html: &str) -> Option<Form> {
        let start = html.find("<form")?;
        let whole = &html[start..];
        let whole = &whole[..whole.find("</form>")?];
        let open = tag(whole)?;
        if !attribute(open, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")) {
            return None;
        }
        let mut form = Form {
            action: attribute(open, "action").unwrap_or_default(),
            fields: BTreeMap::new(),
            buttons: Vec::new(),
        };
        for (at, _) in whole.match_indices('<') {
            let Some(tag) = tag(&whole[at..]) else { continue };
            let Some(name) = attribute(tag, "name") else { continue };
            let value = attribute(tag, "value").unwrap_or_default();
            if tag.starts_with("<button") {
                form.buttons.push((name, value));
            } else if tag.starts_with("<input") && attribute(tag, "type").as_deref() != Some("checkbox") {
                form.fields.insert(name, value);
            }
        }
        Some(form)
    }
}

fn tag(text: &str) -> Option<&str> {
    text.get(..text.find('>')?)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = &tag[start..];
    Some(plain(&value[..value.find('"')?]))
}

/// Character references that HTML writers escape with; `&amp;` last, so that nothing is decoded twice.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

/// A page's words: without head, scripts, styles and tags.
fn text_of(html: &str) -> String {
    let body = html.find("<body").map_or(html, |at| &html[at..]);
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    plain(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_form_is_read_with_its_hidden_fields_and_buttons() {
        let html = r#"<p>x</p><form method="post" action="/a?b=1&amp;c=2"><input name="csrf" type="hidden" value="&lt;1&gt;">
            <input type="checkbox" name="whole" value="yes"><button name="decision" value="accept">Go</button></form>"#;
        let form = Form::find(html).unwrap();
        assert_eq!(form.action, "/a?b=1&c=2");
        assert_eq!(form.fields, BTreeMap::from([("csrf".to_owned(), "<1>".to_owned())]));
        assert_eq!(form.buttons, [("decision".to_owned(), "accept".to_owned())]);
        assert!(Form::find("<form method=\"get\"></form>").is_none());
    }

    #[test]
    fn the_text_of_a_page_is_what_stands_in_its_body() {
        let html = "<html><head><style>p{}</style></head><body><h1>It&#39;s</h1>\n<p>a &amp;lt; b</p></body></html>";
        assert_eq!(text_of(html), "It's a &lt; b");
    }
}
