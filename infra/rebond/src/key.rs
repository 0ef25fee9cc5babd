//! `rebond key`: keys of the API.

use crate::place::{Place, Where};
use crate::{machine, terminal};
use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use rebond::account::KeyId;
use rebond::limits;
use rebond::secret::ExposeSecret;
use rebond::table::{ApiKey, NewKey, Scope};
use std::process::ExitCode;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, and print it: it is seen this once
    #[command(after_help = "Examples:\n  rebond key add crm --scope check")]
    Add(AddArgs),
    /// Show all keys
    #[command(after_help = "Examples:\n  rebond key list")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Let a key open nothing any longer, at once
    #[command(after_help = "Examples:\n  rebond key revoke crm")]
    Revoke {
        /// Which key
        id: KeyId,
    },
}

/// A new key.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it: a-z, 0-9 and -
    id: KeyId,
    /// What it may be used for; may be given several times
    #[arg(long = "scope", required = true, value_enum)]
    scopes: Vec<ScopeArg>,
    /// Who makes it
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
    /// The key alone, for a script
    #[arg(long)]
    quiet: bool,
}

/// Scopes on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeArg {
    /// Ask whether addresses may be written to
    Check,
    /// Read addresses, reports, accounts, incidents
    Read,
    /// Release, deny, quarantine
    Write,
    /// Tell what was sent
    Deliveries,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Check => Self::Check,
            ScopeArg::Read => Self::Read,
            ScopeArg::Write => Self::Write,
            ScopeArg::Deliveries => Self::Deliveries,
        }
    }
}

pub async fn run(at: &Where, command: KeyCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        KeyCommand::Add(args) => add(&place, args).await?,
        KeyCommand::List { json } => list(&place, json).await?,
        KeyCommand::Revoke { id } => revoke(&place, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    let known = place.table().api_keys().await?;
    let in_use: Vec<&ApiKey> = known.iter().filter(|key| key.revoked.is_none()).collect();
    if in_use.iter().any(|key| key.id == args.id) {
        bail!("there is a key {} already: revoke it first, or take another name", args.id);
    }
    if in_use.len() >= limits::API_KEYS {
        bail!("there are {} keys, and no more may be", in_use.len());
    }
    let mut scopes: Vec<Scope> = args.scopes.into_iter().map(Scope::from).collect();
    scopes.sort();
    scopes.dedup();
    let made = NewKey::new(args.id, scopes, &args.who, &machine::random()?, jiff::Timestamp::now());
    if !place.table().add_api_key(&made.key).await? {
        bail!("the key could not be kept: try again");
    }
    let secret = made.secret.expose_secret();
    if args.quiet {
        println!("{secret}");
        return Ok(());
    }
    println!("{secret}\n");
    println!("This is the key {}, for: {}.", made.key.id, words(&made.key));
    println!("It is shown this once: only its hash is kept. Send it as  Authorization: Bearer …");
    Ok(())
}

fn words(key: &ApiKey) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let keys = place.table().api_keys().await?;
    if json {
        for key in keys {
            println!("{}", serde_json::to_string(&key)?);
        }
        return Ok(());
    }
    if keys.is_empty() {
        println!("There are no keys: `rebond key add NAME --scope check` makes one.");
        return Ok(());
    }
    let mut table = terminal::table(&["key", "for", "made", "by", "revoked"]);
    for key in keys {
        table.add_row([
            key.id.to_string(),
            words(&key),
            terminal::time(key.made),
            key.by.clone(),
            key.revoked.map(terminal::time).unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn revoke(place: &Place, id: &KeyId) -> anyhow::Result<()> {
    let keys = place.table().api_keys().await?;
    let Some(key) = keys.iter().find(|key| key.id == *id && key.revoked.is_none()) else {
        bail!("there is no key {id} that is in use: see `rebond key list`");
    };
    place.table().revoke_api_key(key, jiff::Timestamp::now()).await?;
    println!("The key {id} opens nothing any longer.");
    Ok(())
}
