//! The labelled corpus, by the rules of its own scorer.
//!
//! `REBOND_CORPUS` is the folder that holds `mail/`, `labels.jsonl` and `score.py`. Without it the
//! test says that it was skipped; under `CI=true` that is a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use rebond_report::{Kind, read};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

fn corpus() -> Option<PathBuf> {
    let found = std::env::var_os("REBOND_CORPUS").map(PathBuf::from);
    if found.is_none() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "REBOND_CORPUS is not set: the corpus must be read in CI"
        );
        eprintln!("\n*** SKIPPED: the corpus was not read, because REBOND_CORPUS is not set. ***\n");
    }
    found
}

/// One line for the scorer.
fn prediction(id: &str, message: &[u8]) -> Value {
    let report = read(message);
    let kind = match report.kind {
        Kind::Other => json!("not-bounce"),
        other => serde_json::to_value(other).unwrap(),
    };
    let bounce = matches!(report.kind, Kind::Bounce | Kind::Delayed);
    json!({"id": id, "is_bounce": bounce, "kind": kind, "recipients": report.recipients})
}

/// Correct and possible, in percent, of each column of each half.
fn score(corpus: &Path) -> Value {
    let labels = std::fs::read_to_string(corpus.join("labels.jsonl")).expect("labels.jsonl");
    let mut said = String::new();
    for line in labels.lines() {
        let label: Value = serde_json::from_str(line).unwrap();
        let message = std::fs::read(corpus.join(label["path"].as_str().unwrap())).unwrap();
        said += &(prediction(label["id"].as_str().unwrap(), &message).to_string() + "\n");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), said).unwrap();
    let output = Command::new("python3")
        .arg(corpus.join("score.py"))
        .arg("--index")
        .arg(corpus.join("labels.jsonl"))
        .arg(file.path())
        .args(["--by", "half", "--json"])
        .output()
        .expect("python3 runs the scorer");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_corpus_is_understood() {
    let Some(corpus) = corpus() else { return };
    let scores = score(&corpus);
    let percent = |half: &str, column: &str| {
        let pair = scores[half][column].as_array()?;
        Some(100.0 * pair[0].as_f64()? / pair[1].as_f64()?)
    };
    let mut short = Vec::new();
    let mut least = |half: &str, column: &str, wanted: f64| {
        let found = percent(half, column).unwrap_or(wanted);
        if found < wanted {
            short.push(format!("{half} {column}: {found:.1} < {wanted:.1}"));
        }
    };
    for half in ["open", "scored"] {
        least(half, "prec", 100.0);
    }
    for (column, wanted) in [("recall", 99.0), ("rcpt", 99.0), ("status", 99.0), ("hard", 99.0), ("reason", 95.0)] {
        least("open", column, wanted);
    }
    // What was learnt by heart shows in the half that nobody looks at: it should trail by three points at most. Where it
    // trails by more, the least is what was last measured, so that it can only rise; docs/bounces.md says so.
    let trailing = [("status", 94.2), ("hard", 93.6), ("reason", 77.6), ("coarse", 91.0)];
    for column in ["recall", "fbl", "auto", "rcpt", "class", "status", "perm", "hard", "reason", "coarse"] {
        let Some(open) = percent("open", column) else { continue };
        let measured = trailing.iter().find(|(name, _)| *name == column).map_or(f64::MAX, |(_, least)| *least);
        least("scored", column, measured.min(open - 3.0));
        let scored = percent("scored", column).unwrap_or(open);
        if scored < open - 3.0 {
            eprintln!(
                "*** {column}: {scored:.1} in the scored half, {open:.1} in the open one: more than three points. ***"
            );
        }
    }
    for half in ["open", "scored"] {
        assert_eq!(percent(half, "false+"), Some(0.0), "ordinary mail was called a bounce in {half}");
    }
    assert!(short.is_empty(), "{}\n{scores}", short.join("\n"));
}
