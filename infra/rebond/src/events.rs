//! `rebond events`: what endpoints are told, were not told yet, and could not be told.

use crate::place::{Place, Where};
use crate::{endpoint, terminal};
use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use rebond::account::EndpointId;
use rebond::events::{Event, EventType};
use rebond::table::Kept;
use std::process::ExitCode;
use std::time::Duration;

/// What to do with events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Show what happened as the events that were told of it, or what is kept for an endpoint
    #[command(after_help = "Examples:
  rebond events list
  rebond events list --days 2 --json")]
    List(ListArgs),
    /// Tell an endpoint again what happened, under the same ids; or its dead letters after all
    #[command(after_help = "Examples:
  rebond events replay crm --dead
  rebond events replay crm --days 2 --dry-run
  rebond events replay crm --days 2 --type address.quarantined")]
    Replay(ReplayArgs),
}

/// Which events.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What is kept for this endpoint to be told
    #[arg(long)]
    endpoint: Option<EndpointId>,
    /// Its dead letters
    #[arg(long, requires = "endpoint")]
    dead: bool,
    #[command(flatten)]
    which: Which,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Which of what happened.
#[derive(Debug, Args)]
pub struct Which {
    /// Only what happened in so many last days [default: 7]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=400))]
    days: Option<u16>,
    /// Only this, as address.quarantined
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<EventType>,
    /// Only what is of this address, account or report
    #[arg(long)]
    subject: Option<String>,
}

/// What is told again.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// To which endpoint
    endpoint: EndpointId,
    /// Its dead letters
    #[arg(long, conflicts_with_all = ["days", "kind", "subject"])]
    dead: bool,
    #[command(flatten)]
    which: Which,
    /// Say how many there are, and tell nothing
    #[arg(long)]
    dry_run: bool,
}

fn kind(text: &str) -> Result<EventType, String> {
    EventType::parse(text).ok_or_else(|| "no such type: see docs/events.md".to_owned())
}

pub async fn run(at: &Where, command: EventsCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        EventsCommand::List(args) => list(&place, args).await?,
        EventsCommand::Replay(args) => replay(&place, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Which {
    fn wants(&self, event: &Event) -> bool {
        let kind = self.kind.is_none_or(|kind| kind == event.kind);
        kind && self.subject.as_ref().is_none_or(|subject| subject.eq_ignore_ascii_case(&event.subject))
    }

    /// What happened, as far as it is on record.
    async fn past(&self, place: &Place) -> anyhow::Result<Vec<Event>> {
        let back = SignedDuration::from_hours(24 * i64::from(self.days.unwrap_or(7)));
        let since = Timestamp::now().saturating_sub(back)?;
        let accounts = place.table().sources().await?;
        let mut events = place.teller()?.past(&accounts, since).await?;
        events.retain(|event| self.wants(event));
        events.sort_by(|a, b| (a.time, &a.subject, &a.sequence).cmp(&(b.time, &b.subject, &b.sequence)));
        Ok(events)
    }
}

/// Everything of one kind that is kept for an endpoint, with what was answered last.
async fn kept(place: &Place, id: &EndpointId, kept: Kept) -> anyhow::Result<Vec<(Event, String)>> {
    endpoint::find(place, id).await?;
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = place.table().kept_events(id, kept, after.as_deref(), 1_000).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.name.clone());
        for event in &page {
            if let Some(read) = event.read() {
                found.push((read, event.said.clone().unwrap_or_default()));
            }
        }
    }
}

async fn list(place: &Place, args: ListArgs) -> anyhow::Result<()> {
    let events: Vec<(Event, String)> = match &args.endpoint {
        Some(id) => kept(place, id, if args.dead { Kept::Dead } else { Kept::Pending }).await?,
        None => args.which.past(place).await?.into_iter().map(|event| (event, String::new())).collect(),
    };
    let events: Vec<_> = events.into_iter().filter(|(event, _)| args.which.wants(event)).collect();
    if args.json {
        for (event, _) in events {
            println!("{}", serde_json::to_string(&event)?);
        }
        return Ok(());
    }
    if events.is_empty() {
        println!("{}", if args.endpoint.is_some() { "Nothing is kept for it." } else { "Nothing happened." });
        return Ok(());
    }
    let mut table = terminal::table(&["time", "what", "of", "why", "id", "answered"]);
    for (event, said) in events {
        let why = event.data["reason"].as_str().or(event.data["to"].as_str()).or(event.data["kind"].as_str());
        table.add_row([
            terminal::time(event.time.as_second()),
            event.kind.short().to_owned(),
            event.subject.chars().take(60).collect(),
            why.unwrap_or_default().to_owned(),
            event.id.clone(),
            said,
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn replay(place: &Place, args: ReplayArgs) -> anyhow::Result<()> {
    let (id, teller) = (&args.endpoint, place.teller()?);
    let item = endpoint::find(place, id).await?;
    if !item.settings.enabled {
        bail!("{id} is off: `rebond endpoint set {id} --on` first");
    }
    if args.dead && args.dry_run {
        println!("{} dead letters of {id} would be told.", kept(place, id, Kept::Dead).await?.len());
        return Ok(());
    }
    let done = if args.dead {
        teller.revive(id).await?
    } else {
        let events = args.which.past(place).await?;
        let wanted = events.iter().filter(|event| item.settings.wants(event)).count();
        if args.dry_run {
            println!("{wanted} events would be told to {id} again.");
            return Ok(());
        }
        teller.replay(id, &events).await?
    };
    println!("{} events are put to what is kept for {id}, and told now.", done.kept);
    if let Place::Machine(machine) = place {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let drained = machine.teller.drain_all(deadline).await?;
        println!("To all endpoints: {} told, {} left for `rebond serve`.", drained.told, drained.left);
    }
    Ok(())
}
