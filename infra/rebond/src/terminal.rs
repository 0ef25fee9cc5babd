//! What a person sees: tables, times, colour only on a terminal, a bar on long work.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use rebond::poll::Progress;
use rebond::report::Outcome;
use rebond::table::Fact;
use std::io::IsTerminal;

/// An empty table with a heading, or with none.
pub fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(160).force_no_tty();
    }
    if heading.is_empty() {
        return table;
    }
    table.set_header(heading.iter().map(|name| Cell::new(name).add_attribute(Attribute::Underlined)));
    table
}

/// Seconds since 1970 for a person; nothing for never.
pub fn time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) if seconds > 0 && seconds < 253_402_300_799 => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        _ => String::new(),
    }
}

/// Characters shown of the words that prove a verdict.
const WORDS: usize = 110;

/// Facts as a table: one row for each outcome.
pub fn outcomes(facts: &[Fact]) -> Table {
    let mut table = table(&["arrived", "what", "address", "reason", "hard", "status", "the words that prove it"]);
    for fact in facts {
        let (time, what) = (time(fact.arrived), fact.kind.as_str());
        if fact.report.recipients.is_empty() {
            table.add_row([time.as_str(), what]);
        }
        for outcome in &fact.report.recipients {
            table.add_row([
                Cell::new(&time),
                Cell::new(what),
                Cell::new(&outcome.address),
                Cell::new(outcome.reason.as_str()),
                Cell::new(if outcome.hard { "hard" } else { "" }).fg(Color::Red),
                Cell::new(outcome.status.as_deref().unwrap_or_default()),
                Cell::new(proof(outcome)),
            ]);
        }
    }
    table
}

/// The sentence that the proving words stand in, or the words alone.
fn proof(outcome: &Outcome) -> String {
    let words = &outcome.evidence.text;
    let sentence = outcome.diagnostic.as_ref().filter(|sentence| sentence.contains(words.as_str())).unwrap_or(words);
    match sentence.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &sentence[..end]),
        None => sentence.clone(),
    }
}

/// A bar on standard error while a person is watching it; nothing otherwise.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} ({per_sec}, {eta} left)");
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn folder(&self, name: &str, messages: u64) {
        self.0.set_message(name.to_owned());
        self.0.set_length(self.0.position() + messages);
    }

    fn recorded(&self, messages: u64) {
        self.0.inc(messages);
    }
}
