// What holds for any bytes at all. Shared by the fuzz target and by the bounded run of the tests.

use rebond_report::limits;
use rebond_report::{Kind, key, read};

/// Reads `data` as a message and checks what must hold of any report.
pub fn check(data: &[u8]) {
    let report = read(data);
    assert!(report.recipients.len() <= limits::RECIPIENTS);
    for outcome in &report.recipients {
        assert!(!outcome.hard || report.kind == Kind::Bounce, "only a bounce tells that an address is dead");
        assert!(!outcome.hard || outcome.reason.is_hard(), "hard follows from the reason");
        assert!(outcome.evidence.start <= outcome.evidence.end);
        assert!(outcome.evidence.text.chars().count() <= limits::EVIDENCE_CHARS);
        assert!(outcome.diagnostic.as_ref().is_none_or(|d| d.chars().count() <= limits::DIAGNOSTIC_CHARS));
    }
    if report.kind == Kind::Other {
        assert!(report.recipients.is_empty() && report.original.is_none());
    }
    let line = serde_json::to_string(&report).expect("a report is always JSON");
    assert!(!line.contains('\n'));
    assert_eq!(key(data).len(), 64);
}
