//! `rebond route`: how the mail of some deliveries goes out, and what goes on when one is over.

use crate::place::{Place, Where};
use crate::terminal;
use anyhow::bail;
use clap::{Args, Subcommand};
use rebond::account::RouteId;
use rebond::delivery::{Channel, Mode, Route};
use rebond::limits;
use std::process::ExitCode;

const EXAMPLES: &str = "Examples:
  rebond route add newsletter --activity \"Newsletter is over\"
  rebond route set newsletter --activity \"Newsletter has ended\"
  rebond endpoint add next --step-functions arn:aws:states:eu-west-1:111122223333:stateMachine:after-news
  rebond endpoint add crm --webhook https://crm.example.com/hooks/rebond --type delivery.closed

A delivery names its route: POST /api/v1/deliveries with \"route\": \"newsletter\". When it closes, the event delivery.closed
is told once, with its counts, under the name of the activity.";

/// What to do with routes.
#[derive(Debug, Subcommand)]
pub enum RouteCommand {
    /// Name a way on which another system sends mail
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Change a route; what is not named stays
    #[command(after_help = EXAMPLES)]
    Set(SetArgs),
    /// Show all routes
    #[command(name = "list")]
    #[command(after_help = "Examples:
  rebond route list
  rebond route list --json")]
    All {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a route; deliveries that name it are told of without an activity
    #[command(after_help = "Examples:\n  rebond route remove campaign")]
    Remove {
        /// Which route
        id: RouteId,
    },
}

/// A new route.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it: a-z, 0-9 and -
    id: RouteId,
    /// What goes on when a delivery is over, as the other system names it
    #[arg(long, value_name = "NAME")]
    activity: String,
    /// A title for people
    #[arg(long)]
    label: Option<String>,
    /// What is sent: email, and nothing else
    #[arg(long, default_value = "email")]
    channel: Channel,
    /// Who sends it: external, another system
    #[arg(long, default_value = "external")]
    mode: Mode,
}

/// A changed one.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Which route
    id: RouteId,
    /// What goes on when a delivery is over
    #[arg(long, value_name = "NAME")]
    activity: Option<String>,
    /// A title for people
    #[arg(long)]
    label: Option<String>,
}

pub async fn run(at: &Where, command: RouteCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        RouteCommand::Add(args) => add(&place, args).await?,
        RouteCommand::Set(args) => set(&place, args).await?,
        RouteCommand::All { json } => all(&place, json).await?,
        RouteCommand::Remove { id } => remove(&place, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    if place.table().routes().await?.len() >= limits::ROUTES {
        bail!("there are {} routes, and no more may be", limits::ROUTES);
    }
    let AddArgs { id, activity, label, channel, mode } = args;
    let route = Route { id, label, channel, mode, activity };
    route.check()?;
    if !place.table().put_route(&route, true).await? {
        bail!("there is a route {} already: `rebond route set {}` changes it", route.id, route.id);
    }
    println!("Route {} is added. When a delivery that names it closes, {:?} is told.", route.id, route.activity);
    Ok(())
}

async fn set(place: &Place, args: SetArgs) -> anyhow::Result<()> {
    let Some(mut route) = place.table().route(&args.id).await? else {
        bail!("there is no route {}: see `rebond route list`", args.id);
    };
    route.activity = args.activity.unwrap_or(route.activity);
    route.label = args.label.or(route.label);
    route.check()?;
    if !place.table().put_route(&route, false).await? {
        bail!("the route {} was removed meanwhile", route.id);
    }
    println!("Route {} is changed: {:?} is told of deliveries that close from now on.", route.id, route.activity);
    Ok(())
}

async fn all(place: &Place, json: bool) -> anyhow::Result<()> {
    let routes = place.table().routes().await?;
    if json {
        for route in routes {
            println!("{}", serde_json::to_string(&route)?);
        }
        return Ok(());
    }
    if routes.is_empty() {
        println!("There are no routes.");
        return Ok(());
    }
    let mut table = terminal::table(&["route", "channel", "mode", "activity", "label"]);
    for route in routes {
        let label = route.label.unwrap_or_default();
        table.add_row([route.id.to_string(), "email".to_owned(), "external".to_owned(), route.activity, label]);
    }
    println!("{table}");
    Ok(())
}

async fn remove(place: &Place, id: &RouteId) -> anyhow::Result<()> {
    if !place.table().remove_route(id).await? {
        bail!("there is no route {id}: see `rebond route list`");
    }
    println!("Route {id} is removed.");
    Ok(())
}
