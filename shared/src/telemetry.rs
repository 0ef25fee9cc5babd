//! Log lines and metrics of the functions: JSON, with one name for one thing everywhere.
//!
//! Field names: `account`, `run` (correlation id, from the schedule to the fact), `function`, `health`, `advice`,
//! `error`, and counts by their names in [`crate::poll::Summary`]. A failure is logged once, where it is handled.

use serde_json::{Map, Value, json};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging in JSON to standard output, `info` and above unless `RUST_LOG` says otherwise. Crates that print
/// what they send or receive (mail protocols, HTTP) stay at `warn` whatever is asked: they would print credentials.
/// A release build has no line below `info` in it (feature `release_max_level_info` of `tracing`), so there `RUST_LOG`
/// can only ask for less.
pub fn init_json() {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let _ = tracing_subscriber::registry().with(lines).with(wanted()).try_init();
}

/// What `RUST_LOG` asks for (`debug`, or `info,rebond=debug`), without what [`quiet`] takes away; `info` where it asks
/// for nothing that can be understood.
pub fn wanted() -> Targets {
    let asked = std::env::var("RUST_LOG").ok().and_then(|asked| asked.parse().ok());
    quiet(asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)))
}

/// Crates that would print what they send.
const TALKATIVE: [&str; 10] = [
    "async_imap",
    "imap_proto",
    "hyper",
    "hyper_util",
    "h2",
    "reqwest",
    "rustls",
    "aws_smithy_runtime",
    "aws_sigv4",
    "oauth2",
];

/// Keeps the talkative crates quiet, also where a part of one is asked for by name. async-imap prints what it sends,
/// credentials too, at `trace` through the crate `log`: nothing here takes lines from there (`tracing-subscriber` is built
/// without its feature `tracing-log`), and where something did, this would hold.
pub fn quiet(targets: Targets) -> Targets {
    let talks = |target: &str| TALKATIVE.iter().any(|talkative| target.starts_with(talkative));
    let quiet = targets.iter().filter(|(target, _)| !talks(target));
    let quiet: Targets = quiet.chain(TALKATIVE.map(|target| (target, LevelFilter::WARN))).collect();
    match targets.default_level() {
        Some(level) => quiet.with_default(level),
        None => quiet,
    }
}

/// One line of CloudWatch's embedded metric format: counts under the namespace `Rebond`, by function.
pub fn metrics_line(function: &str, at_millis: i64, counts: &[(&str, u64)], fields: &[(&str, &str)]) -> String {
    let names: Vec<Value> = counts.iter().map(|(name, _)| json!({ "Name": name, "Unit": "Count" })).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({
            "Timestamp": at_millis,
            "CloudWatchMetrics": [{ "Namespace": "Rebond", "Dimensions": [["function"]], "Metrics": names }],
        }),
    );
    line.insert("function".into(), function.into());
    line.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    line.extend(counts.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    Value::Object(line).to_string()
}

/// Prints [`metrics_line`] where CloudWatch reads it: the function's standard output.
pub fn emit_metrics(function: &str, counts: &[(&str, u64)], fields: &[(&str, &str)]) {
    use std::io::Write;
    let line = metrics_line(function, jiff::Timestamp::now().as_millisecond(), counts, fields);
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tracing::Level;

    #[test]
    fn what_would_print_secrets_stays_quiet_whatever_is_asked() {
        for asked in
            ["trace", "hyper_util::client=trace,async_imap=trace", "debug,aws_smithy_runtime::client::http=trace"]
        {
            let targets = quiet(asked.parse().unwrap());
            for target in ["hyper_util::client::legacy", "async_imap::client", "aws_smithy_runtime::client::http::body"]
            {
                assert!(!targets.would_enable(target, &Level::INFO), "{target} of {asked}");
            }
        }
        let targets = quiet("info,rebond::poll=debug".parse().unwrap());
        assert!(targets.would_enable("rebond::poll", &Level::DEBUG) && targets.would_enable("rebond", &Level::INFO));
        assert!(!targets.would_enable("rebond", &Level::DEBUG));
        assert!(!quiet("rebond=debug".parse().unwrap()).would_enable("other", &Level::ERROR));
    }
}
