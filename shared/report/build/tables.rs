//! Reads the tables of rules: `order`, `sets` and one `NAME.rules` for each name in `order`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

/// One rule as written.
pub struct Rule {
    pub id: String,
    /// Name of the table it stands in.
    pub table: String,
    /// 0 decisive, 1 plain, 2 weak, 3 a hint, 4 a bare refusal, 5 a concept.
    pub rank: u8,
    pub language: String,
    pub source: String,
    pub patterns: Vec<String>,
    pub examples: Vec<String>,
}

/// Everything in a directory of tables.
pub struct Tables {
    /// Names of the tables, the first one winning.
    pub order: Vec<String>,
    pub rules: Vec<Rule>,
    /// Alternatives by the name of their set.
    pub sets: BTreeMap<String, Vec<String>>,
    /// How many rules there are before those that are concepts.
    pub concepts_from: usize,
    pub meanings: Vec<Meaning>,
}

/// A row of `meanings`: concepts that together give a reason.
pub struct Meaning {
    pub id: String,
    /// Name of the table of that reason.
    pub table: String,
    /// Bits of the concepts that must be there, and of those that must not.
    pub all: u64,
    pub none: u64,
    pub examples: Vec<String>,
}

pub fn read(directory: &Path) -> Result<Tables, Box<dyn Error>> {
    let text = |name: &str| fs::read_to_string(directory.join(name)).map_err(|error| format!("{name}: {error}"));
    let order: Vec<String> = lines(&text("order")?).map(str::to_owned).collect();
    let mut rules = Vec::new();
    for name in &order {
        read_rules(name, &text(&format!("{name}.rules"))?, &mut rules)
            .map_err(|error| format!("{name}.rules: {error}"))?;
    }
    let concepts_from = rules.len();
    let mut meanings = Vec::new();
    if directory.join("concepts").exists() {
        let concepts = add_concepts(&text("concepts")?, &mut rules)?;
        meanings = read_meanings(&text("meanings")?, &concepts, &order)?;
    }
    Ok(Tables { rules, sets: read_sets(&text("sets")?)?, order, concepts_from, meanings })
}

/// Each concept is a rule of one phrase; its number among them is its bit. Returns their names.
fn add_concepts(text: &str, rules: &mut Vec<Rule>) -> Result<Vec<String>, String> {
    let sets = read_sets(text)?;
    if sets.len() > 64 {
        return Err(format!("{} concepts are too many", sets.len()));
    }
    for (name, words) in &sets {
        rules.push(Rule {
            id: name.clone(),
            table: "concept".to_owned(),
            rank: 5,
            language: "en".to_owned(),
            source: String::new(),
            patterns: vec![format!("({})", words.join("|"))],
            examples: Vec::new(),
        });
    }
    Ok(sets.into_keys().collect())
}

/// `ID REASON = CONCEPT… - CONCEPT…`; below it, indented, examples after `>`.
fn read_meanings(text: &str, concepts: &[String], order: &[String]) -> Result<Vec<Meaning>, String> {
    let mut meanings: Vec<Meaning> = Vec::new();
    for line in lines(text) {
        if let Some(example) = line.trim_start().strip_prefix('>') {
            let last = meanings.last_mut().ok_or("an example before the first meaning")?;
            last.examples.push(example.trim().to_owned());
            continue;
        }
        let (left, right) = line.split_once('=').ok_or(format!("meanings: no '=' in {line}"))?;
        let mut words = left.split_whitespace();
        let (id, table) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let (all, none) = right.split_once(" - ").unwrap_or((right, ""));
        let bits = |names: &str| {
            names.split_whitespace().try_fold(0u64, |bits, name| {
                let bit = concepts.iter().position(|concept| concept == name);
                Ok::<_, String>(bits | 1 << bit.ok_or(format!("meanings: no concept {name}"))?)
            })
        };
        if !order.contains(&table) {
            return Err(format!("meanings: no reason {table}"));
        }
        meanings.push(Meaning { id, table, all: bits(all)?, none: bits(none)?, examples: Vec::new() });
    }
    match meanings.iter().find(|meaning| meaning.all == 0 || meaning.examples.is_empty()) {
        Some(meaning) => Err(format!("{}: a meaning needs a concept and an example", meaning.id)),
        None => Ok(meanings),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

/// `ID LANGUAGE SOURCE` at the margin; below it, indented, phrases, and examples after `>`.
fn read_rules(table: &str, text: &str, rules: &mut Vec<Rule>) -> Result<(), String> {
    for line in lines(text) {
        let body = line.trim_start();
        if body.len() == line.len() {
            let mut words = line.splitn(3, char::is_whitespace);
            let id = words.next().unwrap_or_default();
            let language = words.next().ok_or(format!("{id}: no language"))?.to_owned();
            let source = words.next().ok_or(format!("{id}: no source"))?.trim().to_owned();
            let rank = if id.starts_with('!') {
                0
            } else if id.starts_with('~') {
                2
            } else if id.starts_with('?') {
                3
            } else if id.starts_with('=') {
                4
            } else {
                1
            };
            let id = id.trim_start_matches(['!', '~', '?', '=']).to_owned();
            let table = table.to_owned();
            rules.push(Rule { id, table, rank, language, source, patterns: Vec::new(), examples: Vec::new() });
            continue;
        }
        let rule = rules.last_mut().ok_or("a phrase before the first rule")?;
        match body.strip_prefix('>') {
            Some(example) => rule.examples.push(example.trim().to_owned()),
            None => rule.patterns.push(body.to_owned()),
        }
    }
    match rules.iter().find(|rule| rule.patterns.is_empty() || rule.examples.is_empty()) {
        Some(rule) => Err(format!("{}: a rule needs a phrase and an example", rule.id)),
        None => Ok(()),
    }
}

/// `NAME = alternative | alternative`; an indented line goes on with the one above.
fn read_sets(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in lines(text) {
        let mut body = line.trim_start();
        if body.len() == line.len() {
            let (left, right) = line.split_once('=').ok_or(format!("sets: no '=' in {line}"))?;
            name = left.trim().to_owned();
            body = right;
        }
        let alternatives = body.split('|').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty());
        sets.entry(name.clone()).or_default().extend(alternatives);
    }
    Ok(sets)
}
