//! `rebond incident`: destinations that suddenly refused many addresses, and what a person decides about them. `rebond undo`:
//! refusals taken back without an incident.

use crate::place::{Place, Where};
use crate::terminal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use rebond::account::ListId;
use rebond::follow::undo::{self, Found, Sought};
use rebond::incident::{Decision, Incident, Stage};
use rebond::limits;
use rebond::table::{AuditEntry, AuditEvent, By};
use std::process::ExitCode;

/// What to do with incidents.
#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// Show all incidents, the newest first
    #[command(after_help = "Examples:
  rebond incident list
  rebond incident list --open --json")]
    List {
        /// Those that wait for a decision alone
        #[arg(long)]
        open: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one incident, and some of what it holds back
    #[command(after_help = "Examples:\n  rebond incident show 01J9ZC")]
    Show {
        /// Which incident
        id: String,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// It was the destination's mistake: its refusals are taken back, and the addresses are written to again
    #[command(after_help = "Examples:\n  rebond incident release 01J9ZC --why \"their postmaster says so\"")]
    Release(DecideArgs),
    /// The addresses are dead: the refusals count
    #[command(after_help = "Examples:\n  rebond incident confirm 01J9ZC")]
    Confirm(DecideArgs),
}

/// A decision about an incident.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// Which incident
    id: String,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Who decides
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
}

/// Refusals to be taken back.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The destination: what stands behind the @
    #[arg(long)]
    domain: String,
    /// Only what arrived since then: 2026-03-01, or 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: i64,
    /// And until then [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// Only refusals whose words hold this
    #[arg(long)]
    text: Option<String>,
    /// Only on this list
    #[arg(long)]
    list: Option<ListId>,
    /// Do it; without this it is only counted
    #[arg(long)]
    yes: bool,
    /// Why; it is kept with each address
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Who decides
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
}

/// A time, or the beginning of a day; UTC.
pub fn time(text: &str) -> Result<i64, String> {
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
    let time = match day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok()) {
        Some(day) => day.timestamp(),
        None => text.parse::<Timestamp>().map_err(|_| "say a day as 2026-03-01, or a time as 2026-03-01T12:00:00Z")?,
    };
    Ok(time.as_second())
}

pub async fn run(at: &Where, command: IncidentCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        IncidentCommand::List { open, json } => list(&place, open, json).await?,
        IncidentCommand::Show { id, json } => show(&place, &id, json).await?,
        IncidentCommand::Release(args) => release(&place, &args).await?,
        IncidentCommand::Confirm(args) => confirm(&place, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(place: &Place, id: &str) -> anyhow::Result<Incident> {
    let found = place.table().incident(id).await?;
    found.with_context(|| format!("there is no incident {id}: see `rebond incident list`"))
}

async fn list(place: &Place, open: bool, json: bool) -> anyhow::Result<()> {
    let mut all = place.table().incidents().await?;
    all.retain(|incident| !open || incident.holds());
    if json {
        for incident in all {
            println!("{}", serde_json::to_string(&incident)?);
        }
        return Ok(());
    }
    if all.is_empty() {
        println!("There are no incidents.");
        return Ok(());
    }
    let mut table =
        terminal::table(&["incident", "stage", "list", "since", "addresses", "what was said", "decided by"]);
    for incident in all {
        table.add_row([
            incident.id.clone(),
            incident.stage.as_str().to_owned(),
            incident.list.to_string(),
            terminal::time(incident.trigger.from),
            incident.trigger.count.to_string(),
            incident.trigger.template.as_ref().map_or("anything", |template| template.text.as_str()).to_owned(),
            incident.decided.as_ref().map(|decision| decision.who.clone()).unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn show(place: &Place, id: &str, json: bool) -> anyhow::Result<()> {
    let incident = find(place, id).await?;
    if json {
        println!("{}", serde_json::to_string(&incident)?);
        return Ok(());
    }
    let trigger = &incident.trigger;
    let why = match (&trigger.told, trigger.median) {
        (Some(told), _) => format!("{} of {} mails of the delivery {} were refused", trigger.count, told.sent, told.id),
        (None, median) => format!(
            "{} addresses that were fine were refused within an hour with one text; a usual hour has {}",
            trigger.count,
            median.unwrap_or_default()
        ),
    };
    println!("{} on the list {}: {}", incident.domain, incident.list, incident.stage.as_str());
    println!("  {:12}  {why}", "what");
    println!("  {:12}  {}", "since", terminal::time(trigger.from));
    println!("  {:12}  {}", "opened", terminal::time(incident.opened));
    if let Some(template) = &trigger.template {
        println!("  {:12}  {}", "text", template.text);
    }
    if let Some(decision) = &incident.decided {
        let why = decision.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        println!("  {:12}  {} by {}{why}", "decided", terminal::time(decision.at), decision.who);
    }
    if incident.holds() {
        let now = Timestamp::now().as_second();
        let found = undo::find(&place.follower(), &Sought::of(&incident, now), now).await?;
        println!();
        samples(&found);
        println!("Their mistake:      rebond incident release {id} --why …");
        println!("The addresses died: rebond incident confirm {id} --why …");
    }
    Ok(())
}

/// What would be taken back, with some of it.
fn samples(found: &Found) {
    if !found.samples.is_empty() {
        let mut table = terminal::table(&["address", "what was said"]);
        for (address, said) in &found.samples {
            table.add_row([address.to_string(), said.clone()]);
        }
        println!("{table}\n");
    }
    println!("{} addresses were refused so; {} would be written to again.", found.addresses(), found.restored);
}

/// Who decides, and why, as it is kept.
fn checked(who: &str, why: Option<&str>) -> anyhow::Result<()> {
    crate::address::act(rebond::standing::Deed::Undone, who, why, Timestamp::now()).map(|_| ())
}

async fn release(place: &Place, args: &DecideArgs) -> anyhow::Result<()> {
    checked(&args.who, args.why.as_deref())?;
    let mut incident = find(place, &args.id).await?;
    if !incident.holds() {
        bail!("{} is {} already", args.id, incident.stage.as_str());
    }
    let decision = decision(args, Timestamp::now());
    let Some(changed) = undo::release(&place.follower(), &mut incident, decision).await? else {
        bail!("somebody else has decided about {} meanwhile", args.id);
    };
    audit(place, AuditEvent::IncidentReleased, args, &incident, format!("{changed} addresses")).await?;
    println!("{} was the destination's mistake: {changed} addresses are taken back.", incident.id);
    println!("What comes late within an hour is taken back as it comes.");
    Ok(())
}

async fn confirm(place: &Place, args: &DecideArgs) -> anyhow::Result<()> {
    checked(&args.who, args.why.as_deref())?;
    let mut incident = find(place, &args.id).await?;
    if incident.stage != Stage::Open {
        bail!("{} is {} already", args.id, incident.stage.as_str());
    }
    incident.stage = Stage::Confirmed;
    incident.decided = Some(decision(args, Timestamp::now()));
    if !place.table().move_incident(Stage::Open, &incident).await? {
        bail!("somebody else has decided about {} meanwhile", args.id);
    }
    audit(place, AuditEvent::IncidentConfirmed, args, &incident, String::new()).await?;
    println!("{} is confirmed: what it held back counts now.", incident.id);
    Ok(())
}

fn decision(args: &DecideArgs, now: Timestamp) -> Decision {
    Decision { at: now.as_second(), who: args.who.clone(), why: args.why.clone() }
}

async fn audit(
    place: &Place,
    event: AuditEvent,
    args: &DecideArgs,
    incident: &Incident,
    count: String,
) -> anyhow::Result<()> {
    let mut entry = AuditEntry::new(event, By { function: "rebond incident", run: &incident.id }, Timestamp::now());
    entry.who = Some(args.who.clone());
    let said = [count, args.why.clone().unwrap_or_default()];
    entry.said = Some(said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": "));
    Ok(place.table().audit_whole(&entry).await?)
}

/// Counts refusals, and takes them back where that is wanted.
pub async fn take_back(at: &Where, args: &UndoArgs) -> anyhow::Result<ExitCode> {
    checked(&args.who, args.why.as_deref())?;
    let place = at.open().await?;
    let now = Timestamp::now();
    let domain = format!("x@{}", args.domain.trim_start_matches('@')).parse::<rebond::standing::AddressKey>()?;
    let sought = Sought {
        domain: domain.domain().to_owned(),
        list: args.list.clone(),
        since: args.since,
        until: args.until.unwrap_or(now.as_second()),
        text: args.text.as_ref().map(|text| text.to_lowercase().chars().take(limits::SAID_CHARS).collect()),
        template: None,
    };
    let found = undo::find(&place.follower(), &sought, now.as_second()).await?;
    samples(&found);
    if !args.yes {
        println!("Nothing is changed. To take them back, say it again with --yes.");
        return Ok(ExitCode::SUCCESS);
    }
    let why = args.why.as_deref().unwrap_or("undo");
    let changed = undo::take_back(&place.table(), &found, &args.who, Some(why), now.as_second()).await?;
    let mut entry = AuditEntry::new(AuditEvent::Undone, By { function: "rebond undo", run: &sought.domain }, now);
    entry.who = Some(args.who.clone());
    let window = format!("{} to {}", terminal::time(sought.since), terminal::time(sought.until));
    let text = sought.text.map(|text| format!(", {text:?}")).unwrap_or_default();
    entry.said = Some(format!("{changed} addresses of {}, {window}{text}: {why}", sought.domain));
    place.table().audit_whole(&entry).await?;
    println!("{changed} addresses are taken back.");
    Ok(ExitCode::SUCCESS)
}
