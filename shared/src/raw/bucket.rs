//! Kept mail on AWS: a bucket of S3, which is asked one signed request at a time.

use super::{Key, Object, RawError};
use crate::account::AccountId;
use crate::deployment::signed::{Answer, Request, Signed};
use crate::limits;
use std::sync::Arc;
use std::time::Duration;

/// Tries of one request: S3 asks now and then to be asked again.
const TRIES: u32 = 4;

/// A bucket of kept mail.
#[derive(Clone)]
pub struct Bucket {
    signed: Arc<Signed>,
    name: String,
    /// What the names of its objects begin with; empty, or a slash ends it.
    prefix: String,
}

impl Bucket {
    /// By name, in the region of this process.
    pub fn new(signed: Arc<Signed>, name: impl Into<String>) -> Self {
        Self { signed, name: name.into(), prefix: String::new() }
    }

    /// The same, where objects lie below a prefix.
    pub fn below(self, prefix: &str) -> Result<Self, RawError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        let prefix = prefix.trim_matches('/');
        if !prefix.bytes().all(plain) || prefix.len() > 500 {
            return Err(RawError(format!("{prefix:?} is no prefix: letters, digits and -_./ alone")));
        }
        let end = if prefix.is_empty() { "" } else { "/" };
        Ok(Self { prefix: format!("{prefix}{end}"), ..self })
    }

    pub(super) async fn put(&self, key: &Key, bytes: Vec<u8>) -> Result<(), RawError> {
        let headers = [("content-type", "application/gzip".to_owned())];
        match self.ask("PUT", key.as_str(), &headers, bytes).await? {
            Answer { status: 200, .. } => Ok(()),
            answer => Err(self.refused("written", &answer)),
        }
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Object>, RawError> {
        match self.ask("GET", key.as_str(), &[], vec![]).await? {
            Answer { status: 200, headers, body } => {
                let tag = headers.get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                Ok(Some(Object { bytes: body, tag }))
            }
            Answer { status: 404, .. } => Ok(None),
            answer => Err(self.refused("read", &answer)),
        }
    }

    /// Writes an object over what it was read as; `false` when it is another now, or gone.
    pub(super) async fn replace(&self, key: &Key, read: &Object, bytes: Vec<u8>) -> Result<bool, RawError> {
        let headers =
            [("content-type", "application/gzip".to_owned()), ("if-match", read.tag.clone().unwrap_or_default())];
        match self.ask("PUT", key.as_str(), &headers, bytes).await? {
            Answer { status: 200, .. } => Ok(true),
            // Another one now; written just now by somebody else; gone.
            Answer { status: 412 | 409 | 404, .. } => Ok(false),
            answer => Err(self.refused("written", &answer)),
        }
    }

    pub(super) async fn list(&self, account: Option<&AccountId>) -> Result<Vec<Key>, RawError> {
        let coded = |text: &str| text.replace('/', "%2F");
        let prefix = coded(&format!("{}{}", self.prefix, account.map(|id| format!("{id}/")).unwrap_or_default()));
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let query = format!("?list-type=2&prefix={prefix}&start-after={}", coded(&after));
            let answer = self.ask("GET", &query, &[], vec![]).await?;
            if answer.status != 200 {
                return Err(self.refused("listed", &answer));
            }
            let text = String::from_utf8_lossy(&answer.body);
            let names: Vec<&str> = elements(&text, "Key").collect();
            let of = |name: &&str| name.strip_prefix(self.prefix.as_str())?.parse::<Key>().ok();
            found.extend(names.iter().filter_map(of));
            match (elements(&text, "IsTruncated").next(), names.last()) {
                (Some("true"), Some(last)) => after = (*last).to_owned(),
                _ => return Ok(found),
            }
        }
    }

    pub(super) async fn remove(&self, key: &Key) -> Result<(), RawError> {
        match self.ask("DELETE", key.as_str(), &[], vec![]).await? {
            Answer { status: 200..=299 | 404, .. } => Ok(()),
            answer => Err(self.refused("removed", &answer)),
        }
    }

    /// One request, and again where S3 is busy: each of them may be made twice.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Answer, RawError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let request = Request {
                service: "s3",
                host: "s3",
                variable: "S3",
                region: None,
                method,
                path: &match path.strip_prefix('?') {
                    Some(_) => format!("{}{path}", self.name),
                    None => format!("{}/{}{path}", self.name, self.prefix),
                },
                headers,
                body: body.clone(),
            };
            match self.signed.exchange(request, limits::RAW_OBJECT_BYTES).await {
                Ok(answer) if answer.status < 500 || tries == TRIES => return Ok(answer),
                Err(said) if tries == TRIES => return Err(RawError(format!("s3://{}: {said}", self.name))),
                _ => tokio::time::sleep(Duration::from_millis(50 << (2 * tries))).await,
            }
        }
    }

    /// What S3 said, by its code: its message may name keys of AWS.
    fn refused(&self, doing: &str, answer: &Answer) -> RawError {
        let text = String::from_utf8_lossy(&answer.body);
        let code = elements(&text, "Code").next().unwrap_or("no reason given").chars().take(80).collect::<String>();
        RawError(format!("s3://{} could not be {doing}: HTTP {} {code}", self.name, answer.status))
    }
}

/// What stands in the elements of a name, of which none stands within another. Our keys hold nothing that is escaped.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let begins = rest.find(&open)? + open.len();
        let ends = begins + rest[begins..].find(&close)?;
        let found = &rest[begins..ends];
        rest = &rest[ends..];
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found() {
        let xml = "<R><IsTruncated>false</IsTruncated><C><Key>a</Key></C><C><Key>b</Key></C><Key>";
        assert_eq!(elements(xml, "Key").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(elements(xml, "IsTruncated").next(), Some("false"));
        assert_eq!(elements("", "Key").next(), None);
    }
}
