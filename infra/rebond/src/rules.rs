//! `rebond rules`: texts that no rule knows, and what an operator says they mean.

use crate::place::{Place, Where};
use crate::terminal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use rebond::account::RuleId;
use rebond::limits;
use rebond::qualify::{self, Rule, Verdict};
use rebond::report::{Kind, Reason};
use rebond::table::UnknownText;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// What to do with rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Show the texts that no rule knows, the most frequent first
    #[command(after_help = "Examples:
  rebond rules texts
  rebond rules texts --limit 5 --json")]
    Texts {
        /// At most so many
        #[arg(long, default_value_t = 30)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show all rules
    #[command(after_help = "Examples:\n  rebond rules list")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a rule; it is off until it was tested and switched on
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Try a rule on what is stored: what it fits, and what that is now
    #[command(after_help = "Examples:
  rebond rules test quota
  rebond rules test quota --days 7")]
    Test {
        /// Which rule
        id: RuleId,
        /// On the reports of so many last days
        #[arg(long, default_value_t = 30, value_name = "DAYS")]
        days: u16,
    },
    /// Switch a rule on that was tested: it decides about what is recorded from then on
    #[command(after_help = "Examples:\n  rebond rules on quota")]
    On {
        /// Which rule
        id: RuleId,
    },
    /// Switch a rule off
    #[command(after_help = "Examples:\n  rebond rules off quota")]
    Off {
        /// Which rule
        id: RuleId,
    },
    /// Remove a rule that is off
    #[command(after_help = "Examples:\n  rebond rules remove quota")]
    Remove {
        /// Which rule
        id: RuleId,
    },
}

const EXAMPLES: &str = "Examples:
  rebond rules add left --phrase \"has left the company\" --reason user-unknown
  rebond rules add survey --phrase \"rate our support\" --ignore
  rebond rules test left
  rebond rules on left";

/// A new rule.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it: a-z, 0-9 and -
    id: RuleId,
    /// 2 to 12 words that follow one another in what a server says; case, numbers and addresses do not matter
    #[arg(long)]
    phrase: String,
    /// What they mean
    #[arg(long, value_parser = reason, required_unless_present = "ignore")]
    reason: Option<Reason>,
    /// They say nothing about the address
    #[arg(long, conflicts_with = "reason")]
    ignore: bool,
    /// Who says so
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
}

fn reason(text: &str) -> Result<Reason, String> {
    let all = || Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or_else(|| format!("say one of {}", all()))
}

pub async fn run(at: &Where, command: RulesCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        RulesCommand::Texts { limit, json } => texts(&place, limit, json).await?,
        RulesCommand::List { json } => list(&place, json).await?,
        RulesCommand::Add(args) => add(&place, args).await?,
        RulesCommand::Test { id, days } => test(&place, &id, days).await?,
        RulesCommand::On { id } => on(&place, &id).await?,
        RulesCommand::Off { id } => off(&place, &id).await?,
        RulesCommand::Remove { id } => remove(&place, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(place: &Place, id: &RuleId) -> anyhow::Result<Rule> {
    let found = place.table().rules().await?.into_iter().find(|rule| rule.id == *id);
    found.with_context(|| format!("there is no rule {id}: see `rebond rules list`"))
}

async fn texts(place: &Place, limit: usize, json: bool) -> anyhow::Result<()> {
    let texts = place.table().unknown_texts().await?;
    let rules = place.table().rules().await?;
    if json {
        for text in texts.iter().take(limit) {
            let mut line = serde_json::to_value(text)?;
            line["status"] = status(&rules, text).into();
            println!("{line}");
        }
        return Ok(());
    }
    if texts.is_empty() {
        println!("Every text of late was read by a rule.");
        return Ok(());
    }
    let mut table = terminal::table(&["seen", "last", "status", "what they have in common", "an example"]);
    for text in texts.iter().take(limit) {
        let last = terminal::time(text.last);
        let (common, example) = (text.template.text.clone(), text.example.clone());
        table.add_row([text.seen.to_string(), last, status(&rules, text), common, example]);
    }
    println!("{table}");
    Ok(())
}

/// What is decided about a text: by the rule that its example would be read by, were it on.
fn status(rules: &[Rule], text: &UnknownText) -> String {
    let fits = rules.iter().filter(|rule| rule.fits(&text.example, ""));
    match fits.max_by_key(|rule| (rule.on.is_some(), rule.phrase.len())) {
        None => "to qualify".to_owned(),
        Some(rule) if rule.on.is_none() => format!("rule {}, off", rule.id),
        Some(rule) => format!("rule {}: {}", rule.id, meaning(rule)),
    }
}

fn meaning(rule: &Rule) -> &'static str {
    match rule.verdict {
        Verdict::Keep { reason } => reason.as_str(),
        Verdict::Ignore => "nothing (ignored)",
    }
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let rules = place.table().rules().await?;
    if json {
        for rule in rules {
            println!("{}", serde_json::to_string(&rule)?);
        }
        return Ok(());
    }
    if rules.is_empty() {
        println!("There are no rules of your own: `rebond rules texts` shows what no rule knows.");
        return Ok(());
    }
    let mut table = terminal::table(&["rule", "phrase", "means", "on since", "tested", "by"]);
    for rule in rules {
        table.add_row([
            rule.id.to_string(),
            rule.phrase.clone(),
            meaning(&rule).to_owned(),
            rule.on.map_or("off".to_owned(), terminal::time),
            rule.tested.map(terminal::time).unwrap_or_default(),
            rule.by.clone(),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    Rule::words(&args.phrase)?;
    if place.table().rules().await?.len() >= limits::RULES {
        bail!("there are {} rules, and no more may be", limits::RULES);
    }
    let verdict = args.reason.map_or(Verdict::Ignore, |reason| Verdict::Keep { reason });
    let (id, phrase, by, made) = (args.id, args.phrase, args.who, Timestamp::now().as_second());
    let rule = Rule { id, phrase, verdict, by, made, tested: None, on: None };
    if !place.table().put_rule(&rule, true).await? {
        bail!("there is a rule {} already: remove it first, or take another name", rule.id);
    }
    println!("Rule {} is made, and off. Try it: rebond rules test {}", rule.id, rule.id);
    Ok(())
}

/// Samples shown.
const SAMPLES: usize = 10;

async fn test(place: &Place, id: &RuleId, days: u16) -> anyhow::Result<()> {
    let mut rule = find(place, id).await?;
    let (table, now) = (place.table(), Timestamp::now());
    let since = now.as_second() - i64::from(days) * 86_400;
    let (mut seen, mut fits, mut by_reason) = (0u64, 0u64, BTreeMap::<&str, u64>::new());
    let mut samples = terminal::table(&["address", "reason now", "what was said"]);
    for account in table.sources().await? {
        let mut from = None;
        loop {
            let page = table.fact_page(&account, since, 500, from.as_ref()).await?;
            for fact in page.facts.iter().filter(|fact| fact.kind == Kind::Bounce) {
                for outcome in &fact.report.recipients {
                    seen += 1;
                    if !rule.fits(qualify::said(outcome), &outcome.address) {
                        continue;
                    }
                    fits += 1;
                    *by_reason.entry(outcome.reason.as_str()).or_default() += 1;
                    if fits <= SAMPLES as u64 {
                        let said: String = qualify::said(outcome).chars().take(limits::SAID_CHARS).collect();
                        samples.add_row([outcome.address.clone(), outcome.reason.as_str().to_owned(), said]);
                    }
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    rule.tested = Some(now.as_second());
    if !table.put_rule(&rule, false).await? {
        bail!("the rule {id} was removed meanwhile");
    }
    if fits > 0 {
        println!("{samples}\n");
    }
    let reasons: Vec<String> = by_reason.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let now_they_are = if reasons.is_empty() { String::new() } else { format!(" (now {})", reasons.join(", ")) };
    println!(
        "{fits} of {seen} outcomes of {days} days hold {:?}{now_they_are}; they would mean: {}.",
        rule.phrase,
        meaning(&rule)
    );
    if rule.on.is_none() {
        println!("To switch it on: rebond rules on {id}");
    }
    Ok(())
}

async fn on(place: &Place, id: &RuleId) -> anyhow::Result<()> {
    let mut rule = find(place, id).await?;
    if rule.tested.is_none() {
        bail!("try it first: rebond rules test {id}");
    }
    rule.on = rule.on.or(Some(Timestamp::now().as_second()));
    if !place.table().put_rule(&rule, false).await? {
        bail!("the rule {id} was removed meanwhile");
    }
    println!("Rule {id} is on: it decides about what is recorded from now on.");
    Ok(())
}

async fn off(place: &Place, id: &RuleId) -> anyhow::Result<()> {
    let mut rule = find(place, id).await?;
    rule.on = None;
    if !place.table().put_rule(&rule, false).await? {
        bail!("the rule {id} was removed meanwhile");
    }
    println!("Rule {id} is off. What it decided stays on record.");
    Ok(())
}

async fn remove(place: &Place, id: &RuleId) -> anyhow::Result<()> {
    if find(place, id).await?.on.is_some() {
        bail!("{id} is on: rebond rules off {id} first");
    }
    place.table().remove_rule(id).await?;
    println!("Rule {id} is removed.");
    Ok(())
}
