//! `rebond endpoint`: receivers of events.

use crate::endpoint_add::{AddArgs, SetArgs, add, set};
use crate::place::{Place, Where, invoke};
use crate::{machine, terminal};
use anyhow::{Context, bail};
use clap::Subcommand;
use rebond::account::EndpointId;
use rebond::events::{Shape, WebhookKey, WebhookKeys};
use rebond::secret::{ExposeSecret, Secret};
use rebond::table::{EndpointItem, EndpointState, Kept};
use rebond::vault::{Name, Version};
use serde_json::{Value, json};
use std::process::ExitCode;

/// What to do with endpoints.
#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Name a receiver, and what it is told
    Add(AddArgs),
    /// Change what an endpoint is told, or where; what is not named stays. It is tried at once, also one that was gone
    #[command(after_help = "Examples:\n  rebond endpoint set crm --type address.quarantined --type address.released")]
    Set(SetArgs),
    /// Give a webhook a new signing secret; the old one signs beside it until --finish
    #[command(after_help = "Examples:
  rebond endpoint rotate crm
  rebond endpoint rotate crm --finish")]
    Rotate {
        /// Which endpoint
        id: EndpointId,
        /// The receiver knows the new secret: the old one signs no longer
        #[arg(long)]
        finish: bool,
    },
    /// Show one endpoint, how it goes, and how much is kept for it
    #[command(after_help = "Examples:
  rebond endpoint show crm
  rebond endpoint show crm --json")]
    Show {
        /// Which endpoint
        id: EndpointId,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show all endpoints
    #[command(name = "list")]
    #[command(after_help = "Examples:
  rebond endpoint list
  rebond endpoint list --json")]
    All {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove an endpoint with its secret; what is kept for it is told to nobody
    #[command(after_help = "Examples:\n  rebond endpoint remove crm")]
    Remove {
        /// Which endpoint
        id: EndpointId,
    },
    /// Tell an endpoint that it is being tried
    #[command(after_help = "Examples:\n  rebond endpoint test crm")]
    Test {
        /// Which endpoint
        id: EndpointId,
    },
}

pub async fn run(at: &Where, command: EndpointCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        EndpointCommand::Add(args) => add(&place, args).await?,
        EndpointCommand::Set(args) => set(&place, args).await?,
        EndpointCommand::Rotate { id, finish } => rotate(&place, &id, finish).await?,
        EndpointCommand::Show { id, json } => show(&place, &id, json).await?,
        EndpointCommand::All { json } => all(&place, json).await?,
        EndpointCommand::Remove { id } => remove(&place, &id).await?,
        EndpointCommand::Test { id } => return test(&place, &id).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// An endpoint, or the sentence that it is not there.
pub async fn find(place: &Place, id: &EndpointId) -> anyhow::Result<EndpointItem> {
    match place.table().endpoint(id).await? {
        Some(item) => Ok(item),
        None => bail!("there is no endpoint {id}: see `rebond endpoint list`"),
    }
}

/// Puts a secret under a version of its own.
pub async fn put_secret(place: &Place, id: &EndpointId, secret: &Secret) -> anyhow::Result<()> {
    let version = uuid::Builder::from_random_bytes(machine::random::<16>()?).into_uuid();
    place.vault().put(&Name::Endpoint(id.clone()), version, secret).await?;
    Ok(())
}

async fn rotate(place: &Place, id: &EndpointId, finish: bool) -> anyhow::Result<()> {
    let item = find(place, id).await?;
    if item.settings.to.as_str() != "webhook" {
        bail!("{id} is no webhook: `rebond endpoint set {id} --secret-file FILE` changes its password");
    }
    let secret = place.vault().get(&Name::Endpoint(id.clone()), Version::Current).await?;
    let secret = secret.context("there is no signing secret in the vault")?;
    let newest = secret.expose_secret().split_whitespace().next().unwrap_or_default().to_owned();
    if finish {
        put_secret(place, id, &Secret::from(newest)).await?;
        println!("{id} is signed with the new secret alone, within five minutes.");
        return Ok(());
    }
    let fresh = WebhookKey::generate(&machine::random()?);
    put_secret(place, id, &Secret::from(format!("{} {newest}", fresh.expose_secret()))).await?;
    println!("The new signing secret of {id}, shown this once:\n\n  {}\n", fresh.expose_secret());
    println!(
        "Within five minutes both sign each request. When the receiver knows it: `rebond endpoint rotate {id} --finish`"
    );
    Ok(())
}

/// How many events are kept, counted as far as is worth it.
async fn count(place: &Place, id: &EndpointId, kept: Kept) -> anyhow::Result<(usize, Option<String>)> {
    let (mut count, mut after, mut said) = (0, None::<String>, None);
    loop {
        let page = place.table().kept_events(id, kept, after.as_deref(), 1_000).await?;
        let Some(last) = page.last() else { return Ok((count, said)) };
        after = Some(last.name.clone());
        said = page.iter().find_map(|event| event.said.clone()).or(said);
        count += page.len();
    }
}

fn as_json(item: &EndpointItem) -> Value {
    let mut json = serde_json::to_value(&item.settings).unwrap_or_default();
    json["health"] = json!(item.health);
    json["held"] = json!(item.held);
    json
}

async fn show(place: &Place, id: &EndpointId, json: bool) -> anyhow::Result<()> {
    let item = find(place, id).await?;
    let (pending, refused) = count(place, id, Kept::Pending).await?;
    let (dead, _) = count(place, id, Kept::Dead).await?;
    if json {
        let mut json = as_json(&item);
        json["pending"] = pending.into();
        json["dead"] = dead.into();
        println!("{json}");
        return Ok(());
    }
    let of = |names: Vec<&str>| if names.is_empty() { "all".to_owned() } else { names.join(", ") };
    let settings = &item.settings;
    let shape = if settings.shape == Shape::Ses { "as Amazon SES tells bounces and complaints" } else { "CloudEvents" };
    for (name, value) in [
        ("endpoint", id.to_string()),
        ("label", settings.label.clone().unwrap_or_default()),
        ("kind", settings.to.as_str().to_owned()),
        ("where", settings.to.place()),
        ("shape", if settings.to.has_own_way() { String::new() } else { shape.to_owned() }),
        ("told of", of(settings.types.iter().map(|kind| kind.short()).collect())),
        ("accounts", of(settings.accounts.iter().map(|id| id.as_str()).collect())),
        ("lists", of(settings.lists.iter().map(|id| id.as_str()).collect())),
        ("state", state(&item).to_owned()),
        ("since", terminal::time(item.health.since)),
        ("it answered", item.health.said.clone().or(refused).unwrap_or_default()),
        ("kept to be told", pending.to_string()),
        ("next try", if item.held { terminal::time(item.next_due) } else { String::new() }),
        ("dead letters", dead.to_string()),
    ] {
        if !value.is_empty() {
            println!("{name:>16}  {value}");
        }
    }
    if item.health.state == EndpointState::Gone {
        println!("\nIt said that it is gone. When it is back: `rebond endpoint set {id}`");
    }
    if dead > 0 {
        println!("\nTo tell the dead letters after all: `rebond events replay {id} --dead`");
    }
    Ok(())
}

fn state(item: &EndpointItem) -> &'static str {
    if item.settings.enabled { item.health.state.as_str() } else { "off" }
}

async fn all(place: &Place, json: bool) -> anyhow::Result<()> {
    let endpoints = place.table().endpoints().await?;
    if json {
        for item in endpoints {
            println!("{}", as_json(&item));
        }
        return Ok(());
    }
    if endpoints.is_empty() {
        println!("Nobody is told anything yet: see `rebond endpoint add --help`");
        return Ok(());
    }
    let mut table = terminal::table(&["endpoint", "kind", "where", "told of", "state", "since", "it answered"]);
    for item in endpoints {
        let types: Vec<&str> = item.settings.types.iter().map(|kind| kind.short()).collect();
        table.add_row([
            item.settings.id.to_string(),
            item.settings.to.as_str().to_owned(),
            item.settings.to.place(),
            if types.is_empty() { "all".to_owned() } else { types.join(", ") },
            state(&item).to_owned(),
            terminal::time(item.health.since),
            item.health.said.clone().unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn remove(place: &Place, id: &EndpointId) -> anyhow::Result<()> {
    if !place.table().remove_endpoint(id).await? {
        bail!("there is no endpoint {id}: see `rebond endpoint list`");
    }
    place.vault().remove(&Name::Endpoint(id.clone())).await?;
    println!("Endpoint {id} is removed, and told nothing more.");
    Ok(())
}

async fn test(place: &Place, id: &EndpointId) -> anyhow::Result<ExitCode> {
    let item = find(place, id).await?;
    if item.settings.to.has_own_way() {
        bail!("{id} is spoken to in a way of its own, which has no word for a try: the next event will tell");
    }
    let said: Result<String, String> = match place {
        Place::Machine(machine) => machine.teller.test(&item).await?.map(|event| event.id),
        Place::Stack(stack) => {
            let answer: Value = invoke(stack, "event-delivery", &json!({ "test": id })).await?;
            let text = |name: &str| answer[name].as_str().map(str::to_owned);
            text("id").ok_or_else(|| text("refused").unwrap_or_else(|| "it did not say why".to_owned()))
        }
    };
    match said {
        Ok(event) => {
            println!("{id} took the event {event}.");
            Ok(ExitCode::SUCCESS)
        }
        Err(said) => {
            eprintln!("rebond: {id} did not take it: {said}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Whether a text is a signing secret.
pub fn check_signing_secret(secret: &Secret) -> anyhow::Result<()> {
    Ok(WebhookKeys::parse(secret).map(|_| ())?)
}
