//! Golden reports: each `fixtures/report/NAME.eml` is read as it stands and with CRLF and CR line
//! ends, and must say what `NAME.json` says.
//!
//! After a change that is meant, `REBOND_ACCEPT=1 cargo test -p rebond-report --test report golden`
//! writes the new results; look at the difference before you commit it.

use rebond_report::{Kind, Report, read};
use std::path::{Path, PathBuf};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/report");
    let entries = std::fs::read_dir(&folder).expect("the fixtures are part of the repository");
    let mut all: Vec<_> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "eml")).collect();
    all.sort();
    assert!(all.len() >= 60, "{} fixtures are too few", all.len());
    all
}

/// The report without what depends on line ends: where the words stand.
fn without_places(mut report: Report) -> Report {
    for outcome in &mut report.recipients {
        (outcome.evidence.start, outcome.evidence.end) = (0, 0);
    }
    report
}

fn with_ends(message: &[u8], end: &[u8]) -> Vec<u8> {
    message.split(|b| *b == b'\n').collect::<Vec<_>>().join(end)
}

#[test]
fn every_fixture_says_what_was_accepted() {
    let accept = std::env::var_os("REBOND_ACCEPT").is_some();
    let mut wrong = Vec::new();
    for path in fixtures() {
        let message = std::fs::read(&path).unwrap();
        let said = serde_json::to_string_pretty(&read(&message)).unwrap() + "\n";
        let golden = path.with_extension("json");
        if accept {
            std::fs::write(&golden, &said).unwrap();
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&said) {
            wrong.push(format!("{}:\n{said}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{} differ from what was accepted:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn line_ends_change_nothing_but_places() {
    for path in fixtures() {
        let message = std::fs::read(&path).unwrap();
        let said = without_places(read(&message));
        let twins = [&b"\r\n"[..], b"\r"].map(|end| with_ends(&message, end));
        for twin in &twins {
            assert_eq!(said, without_places(read(twin)), "{}", path.display());
            assert_eq!(rebond_report::key(&message), rebond_report::key(twin), "{}", path.display());
        }
    }
}

/// Two different messages have two keys, also where they share a Message-ID or have none.
#[test]
fn keys_tell_messages_apart() {
    let mut seen = std::collections::HashMap::new();
    for path in fixtures() {
        let message = std::fs::read_to_string(&path).map_or_else(|_| std::fs::read(&path).unwrap(), String::into_bytes);
        let other = String::from_utf8_lossy(&message)
            .lines()
            .filter(|l| !l.to_lowercase().starts_with("message-id:"))
            .fold(String::new(), |all, line| all + line + "\n");
        for key in [rebond_report::key(&message), rebond_report::key(other.as_bytes())] {
            assert_eq!(key.len(), 64);
            if let Some(before) = seen.insert(key, path.clone()) {
                assert_eq!(before, path, "one key for two messages");
            }
        }
    }
}

/// Words of parts that stand in plain sight in the message stand at the place that is given.
#[test]
fn evidence_stands_where_it_says() {
    let squeezed = |bytes: &[u8]| String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut seen = 0;
    for path in fixtures() {
        let message = std::fs::read(&path).unwrap();
        for outcome in read(&message).recipients {
            let proof = outcome.evidence;
            assert!(!proof.rule.is_empty(), "{}: no rule for {}", path.display(), outcome.address);
            let there = message.get(proof.start..proof.end).map(squeezed);
            // A longer text is cut to a bound.
            if there.is_some_and(|t| !proof.text.is_empty() && t.starts_with(&proof.text)) {
                seen += 1;
            } else {
                assert!(is_encoded(&message), "{}: {proof:?}", path.display());
            }
        }
    }
    assert!(seen >= 40, "only {seen} pieces of evidence stand in plain sight");
}

/// Whether any text of the message must be decoded before it can be read.
fn is_encoded(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message).to_lowercase();
    ["base64", "quoted-printable", "iso-2022-jp", "koi8-r", "utf-7", "text/html", "=?"].iter().any(|e| text.contains(e))
}

/// The kind that a fixture's name states is the kind that is read.
#[test]
fn names_state_the_kind() {
    let mut wrong = Vec::new();
    for path in fixtures() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let kind = read(&std::fs::read(&path).unwrap()).kind;
        let expected = match name.as_str() {
            n if n.starts_with("arf-") || n.starts_with("opt-out") => Kind::Feedback,
            n if n.starts_with("mdn-") => Kind::Disposition,
            n if n.starts_with("auto-reply-") || n.starts_with("challenge-") => Kind::AutoReply,
            n if n.starts_with("other-") => Kind::Other,
            n if n.contains("-delay-") => Kind::Delayed,
            n if n.contains("-success") => Kind::Delivered,
            _ => Kind::Bounce,
        };
        if kind != expected {
            wrong.push((name, kind));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
