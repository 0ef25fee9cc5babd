//! What a report is known by to be of a delivery: the Message-ID of the mail, its envelope id (RFC 3461 §4.4), or the
//! return address that it alone left under.

use crate::oauth::sha256_hex;
use crate::report::Report;
use crate::standing::AddressKey;

/// What a sender may tell of one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Message-ID, with or without angle brackets.
    MessageId(&'a str),
    /// ENVID, not encoded.
    EnvelopeId(&'a str),
    /// The envelope's sender, with `+` or `=` in its local part (VERP).
    ReturnPath(&'a str),
}

impl Mark<'_> {
    /// What the table knows it by: a hash, so that it says nothing by itself. None where it marks no mail.
    pub fn digest(&self) -> Option<String> {
        let text = match self {
            Self::MessageId(id) => {
                let id = id.trim();
                let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
                format!("m\n{}", printable(id).filter(|id| !id.contains(['<', '>', ' ']))?)
            }
            Self::EnvelopeId(id) => format!("e\n{}", printable(id.trim())?),
            Self::ReturnPath(address) => {
                let key: AddressKey = address.parse().ok()?;
                format!("r\n{}", Some(key).filter(|key| key.local().contains(['+', '=']))?)
            }
        };
        let mut hash = sha256_hex(text.as_bytes());
        hash.truncate(32);
        Some(hash)
    }
}

/// Both ids are of printable ASCII (RFC 5322 §3.6.4, RFC 3461 §4.4) and fit a line (RFC 5322 §2.1.1).
fn printable(id: &str) -> Option<&str> {
    ((1..=998).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))).then_some(id)
}

/// What a report may be known by, the surest first.
pub fn of(report: &Report) -> Vec<String> {
    let original = report.original.as_ref();
    let returned = [
        report.returned_to.as_deref(),
        original.and_then(|original| original.return_path.as_deref()),
        report.feedback.as_ref().and_then(|feedback| feedback.original_mail_from.as_deref()),
    ];
    let id = original.and_then(|original| original.message_id.as_deref()).map(Mark::MessageId);
    let envelope = report.envelope_id.as_deref().map(Mark::EnvelopeId);
    let marks = id.into_iter().chain(envelope).chain(returned.into_iter().flatten().map(Mark::ReturnPath));
    let mut found: Vec<String> = Vec::new();
    for digest in marks.filter_map(|mark| mark.digest()) {
        if !found.contains(&digest) {
            found.push(digest);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::Original;

    #[test]
    fn a_mark_is_the_same_however_it_is_written() {
        let digest = |mark: Mark<'_>| mark.digest().unwrap();
        assert_eq!(digest(Mark::MessageId("<a@example.org>")), digest(Mark::MessageId(" a@example.org ")));
        assert_ne!(digest(Mark::MessageId("a")), digest(Mark::EnvelopeId("a")), "each kind for itself");
        let verp = |text| digest(Mark::ReturnPath(text));
        assert_eq!(verp("<B+jane=example.org@Example.COM>"), verp("b+jane=example.org@example.com"));
        for none in [Mark::MessageId("<>"), Mark::MessageId(" "), Mark::MessageId("<a> <b>"), Mark::EnvelopeId("a\nb")]
        {
            assert_eq!(none.digest(), None, "{none:?}");
        }
        for none in ["bounces@example.com", "", "b+x"] {
            assert_eq!(Mark::ReturnPath(none).digest(), None, "{none}");
        }
    }

    #[test]
    fn a_report_is_known_by_all_that_it_says_of_the_mail() {
        let original = Original {
            message_id: Some("a@example.org".into()),
            return_path: Some("b+1@example.com".into()),
            ..Original::default()
        };
        let mut report = Report { original: Some(original), envelope_id: Some("E1".into()), ..Report::default() };
        report.returned_to = Some("b+1@example.com".into());
        let expected = [Mark::MessageId("a@example.org"), Mark::EnvelopeId("E1"), Mark::ReturnPath("b+1@example.com")];
        assert_eq!(of(&report), expected.map(|mark| mark.digest().unwrap()));
        assert_eq!(of(&Report::default()), [""; 0]);
    }
}
