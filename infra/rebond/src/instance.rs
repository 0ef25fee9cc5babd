//! `rebond instance`: other deployments as sources: how they are, their reports drawn in, and what is archived.

use crate::place::{Place, Where};
use crate::secret_input;
use crate::terminal::{self, Bar};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use rebond::account::AccountId;
use rebond::deployment::signed::Signed;
use rebond::instance::archive::{self, Archived};
use rebond::instance::draw::{self, DrawError, Drawer, Drawn};
use rebond::instance::{AccountShape, Fault, Instance, InstanceItem, Source};
use rebond::limits;
use rebond::poll::Progress;
use rebond::raw::{Bucket, Folder, Store};
use rebond::secret::{ExposeSecret, Secret};
use rebond::vault::{Name, Version};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use url::Url;

/// What to do with other deployments.
#[derive(Debug, Subcommand)]
pub enum InstanceCommand {
    /// Name another deployment that reports are drawn from; of one that is named already, change how
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Show all, and how it goes with each
    #[command(after_help = "Examples:\n  rebond instance list")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ask one how it is, and show what is known of it
    #[command(after_help = "Examples:\n  rebond instance show emea")]
    Show {
        /// Which
        id: AccountId,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Draw from it no longer; what was drawn stays
    #[command(after_help = "Examples:\n  rebond instance remove emea")]
    Remove {
        /// Which
        id: AccountId,
    },
    /// Draw in the reports that are new there
    #[command(after_help = "Examples:
  rebond instance pull
  rebond instance pull emea --full")]
    Pull {
        /// Which; without it all
        id: Option<AccountId>,
        /// Look at all of the last 35 days again, and not only at what is new
        #[arg(long)]
        full: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Copy reports and kept mail to a place: of this deployment, or what was drawn from another
    #[command(after_help = ARCHIVE)]
    Archive(ArchiveArgs),
}

const EXAMPLES: &str = "Examples:
  rebond key add hub --scope read --quiet > key.txt      there
  rebond instance add emea --url https://emea.example.com --key-file key.txt --sends-as example.com
  rebond instance add apac --method export --from s3://bounces-apac/archive --sends-as example.com";

const ARCHIVE: &str = "In the place lies, of each account and day of arrival, an object with one JSON object a line, and beside it the mail
that was kept. What is there already, the same, is left alone. Run it each day.

Examples:
  rebond instance archive --to /var/backups/bounces
  rebond instance archive emea --to s3://bounces-hub/emea --days 400";

/// Another deployment.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it: a-z, 0-9 and -; its reports are recorded under it
    id: AccountId,
    /// How its reports come here [default: api with --url, export with --from]
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// Where its /api/v1 begins
    #[arg(long, required_unless_present = "from", conflicts_with = "from")]
    url: Option<Url>,
    /// A file with a key of its API that may read; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    key_file: Option<PathBuf>,
    /// The folder, or s3://bucket/prefix, that it archives to
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// A domain that it sends as: what its bounces must prove here; may be given several times
    #[arg(long, value_name = "DOMAIN")]
    sends_as: Vec<String>,
    /// For people
    #[arg(long)]
    label: Option<String>,
}

/// How reports come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// It is asked over HTTP, by a key
    Api,
    /// It archives them in a place that is read here
    Export,
}

/// What to archive.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// What was drawn from this one; without it the accounts of this deployment itself
    id: Option<AccountId>,
    /// Where to: a folder, or s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// What arrived in so many last days
    #[arg(long, value_name = "DAYS", default_value_t = 35)]
    days: u16,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(at: &Where, command: InstanceCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        InstanceCommand::Add(args) => add(&place, args).await,
        InstanceCommand::List { json } => list(&place, json).await,
        InstanceCommand::Show { id, json } => show(&place, &id, json).await,
        InstanceCommand::Remove { id } => remove(&place, &id).await,
        InstanceCommand::Pull { id, full, json } => pull(&place, id.as_ref(), full, json).await,
        InstanceCommand::Archive(args) => archive(&place, &args).await,
    }
}

async fn find(place: &Place, id: &AccountId) -> anyhow::Result<InstanceItem> {
    let found = place.table().instance(id).await?;
    found.with_context(|| format!("there is no instance {id}: see `rebond instance list`"))
}

/// A folder, or a bucket of S3, which is asked with the operator's own credentials.
fn store(text: &str) -> anyhow::Result<Store> {
    let Some(rest) = text.strip_prefix("s3://") else { return Ok(Store::Folder(Folder::new(text))) };
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Store::Bucket(Bucket::new(Arc::new(Signed::of_operator()), name).below(prefix)?))
}

fn drawer(place: &Place, full: bool) -> anyhow::Result<Drawer> {
    let follower = match place {
        Place::Machine(machine) => Some(machine.follower()),
        // The stream brings what is recorded to the function that sees to it.
        Place::Stack(_) => None,
    };
    Ok(Drawer { table: place.table(), follower, http: place.http()?, now: Timestamp::now(), full })
}

async fn key(place: &Place, id: &AccountId) -> anyhow::Result<Option<Secret>> {
    Ok(place.vault().get(&Name::Instance(id.clone()), Version::Current).await?)
}

/// How it is: its accounts, or how many there are where it archives.
async fn probe(place: &Place, item: &InstanceItem) -> anyhow::Result<Result<Vec<AccountShape>, DrawError>> {
    Ok(match &item.settings.source {
        Source::Api { url } => match key(place, &item.settings.id).await? {
            Some(key) => drawer(place, false)?.probe(url, &key).await,
            None => Err(DrawError::Instance(Fault::NoKey, "there is no key for it in the vault".into())),
        },
        Source::Export { from } => match store(from)?.list(None).await {
            Ok(keys) if !keys.iter().any(|key| key.is_reports()) => {
                Err(DrawError::Instance(Fault::Unreadable, "nothing is archived there".into()))
            }
            Ok(_) => Ok(vec![]),
            Err(error) => Err(DrawError::Instance(Fault::Unreadable, error.to_string())),
        },
    })
}

async fn add(place: &Place, args: AddArgs) -> anyhow::Result<ExitCode> {
    if place.table().account(&args.id).await?.is_some() {
        bail!("there is an account {} already: reports of both would lie under one name", args.id);
    }
    let known = place.table().instances().await?;
    let before = known.iter().find(|item| item.settings.id == args.id);
    if before.is_none() && known.len() >= limits::INSTANCES {
        bail!("there are {} instances, and no more may be", known.len());
    }
    let source = match (args.method, args.url, args.from) {
        (None | Some(Method::Api), Some(url), None) => Source::Api { url },
        (None | Some(Method::Export), None, Some(from)) => Source::Export { from },
        _ => bail!("--url goes with the method api, --from with the method export"),
    };
    if let Source::Export { from } = &source {
        store(from)?;
    }
    let settings = Instance { id: args.id, label: args.label, source, sends_as: args.sends_as };
    settings.check()?;
    let id = settings.id.clone();
    if matches!(settings.source, Source::Api { .. }) && (args.key_file.is_some() || key(place, &id).await?.is_none()) {
        // Before the instance: it is never there without its key.
        let key = secret_input::read("Key of its API", args.key_file.as_deref())?;
        if http::HeaderValue::from_str(key.expose_secret()).is_err() {
            bail!("the key is none: it has one line, and begins with rebond_");
        }
        let version = uuid::Builder::from_random_bytes(crate::machine::random()?).into_uuid();
        place.vault().put(&Name::Instance(id.clone()), version, &key).await?;
    }
    let now = Timestamp::now().as_second();
    let mut item = match before {
        // Elsewhere nothing was drawn in yet.
        Some(before) if before.settings.source == settings.source => InstanceItem { settings, ..before.clone() },
        _ => InstanceItem::new(settings, now),
    };
    let went = probe(place, &item).await?;
    item.health = draw::health(&went, now);
    place.table().put_instance(&item).await?;
    println!("Instance {id} is kept: {}, {}", item.settings.source.as_str(), item.settings.source.place());
    if item.settings.sends_as.is_empty() {
        println!("It sends as no domain, so its bounces prove nothing here and suppress nobody: --sends-as names one.");
    }
    tell_health(&item);
    if went.is_ok() {
        println!("To draw in its reports: rebond instance pull {id}");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(3))
}

fn tell_health(item: &InstanceItem) {
    let Some(health) = &item.health else { return };
    match health.fault {
        None => println!("It answers."),
        Some(fault) => {
            println!("It cannot be drawn from: {} ({})", fault.as_str(), health.said.as_deref().unwrap_or_default());
            println!("{}", fault.advice());
        }
    }
}

async fn list(place: &Place, json: bool) -> anyhow::Result<ExitCode> {
    let all = place.table().instances().await?;
    if json {
        for item in all {
            println!("{}", serde_json::to_string(&item)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        println!("There is no instance yet: see `rebond instance add --help`.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = terminal::table(&["instance", "method", "place", "health", "last asked", "accounts", "drawn in"]);
    for item in all {
        let health = item.health.as_ref();
        table.add_row([
            item.settings.id.to_string(),
            item.settings.source.as_str().to_owned(),
            item.settings.source.place().to_owned(),
            health.map_or("–", |health| health.fault.map_or("well", Fault::as_str)).to_owned(),
            health.map(|health| terminal::time(health.at)).unwrap_or_default(),
            item.reached.len().to_string(),
            item.drawn.to_string(),
        ]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

async fn show(place: &Place, id: &AccountId, json: bool) -> anyhow::Result<ExitCode> {
    let mut item = find(place, id).await?;
    let went = probe(place, &item).await?;
    item.health = draw::health(&went, Timestamp::now().as_second()).or(item.health);
    place.table().set_instance(&item).await?;
    let well = went.is_ok();
    let accounts = went.unwrap_or_default();
    if json {
        let accounts: Vec<_> =
            accounts.iter().map(|of| serde_json::json!({ "id": of.id, "health": of.health.state })).collect();
        println!("{}", serde_json::json!({ "instance": item, "accounts": accounts }));
        return Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(3) });
    }
    let rows = [
        ("instance", id.to_string()),
        ("label", item.settings.label.clone().unwrap_or_default()),
        ("method", item.settings.source.as_str().to_owned()),
        ("place", item.settings.source.place().to_owned()),
        ("sends as", item.settings.sends_as.join(", ")),
        ("drawn in", item.drawn.to_string()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        println!("{name:>14}  {value}");
    }
    for of in &accounts {
        println!("{:>14}  {}: {}", "its account", of.id, of.health.state);
    }
    tell_health(&item);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

async fn remove(place: &Place, id: &AccountId) -> anyhow::Result<ExitCode> {
    find(place, id).await?;
    place.table().remove_instance(id).await?;
    place.vault().remove(&Name::Instance(id.clone())).await?;
    println!("Instance {id} is removed with its key. What was drawn from it stays until its time is over.");
    Ok(ExitCode::SUCCESS)
}

async fn pull(place: &Place, id: Option<&AccountId>, full: bool, json: bool) -> anyhow::Result<ExitCode> {
    let items = match id {
        Some(id) => vec![find(place, id).await?],
        None => place.table().instances().await?,
    };
    let mut all_well = true;
    for mut item in items {
        let (id, bar) = (item.settings.id.clone(), Bar::new());
        let drawn = draw(place, &mut item, full, &bar).await;
        bar.finish();
        let (done, well) = drawn?;
        all_well &= well;
        if json {
            println!("{}", serde_json::json!({ "instance": id, "drawn": done, "health": item.health }));
            continue;
        }
        println!(
            "{id}: {} accounts, {} reports looked at, {} of them new here.",
            done.accounts, done.read, done.recorded
        );
        for (count, what) in [
            (done.cut, "of the new ones have more recipients than its API tells: the method export draws them whole"),
            (done.refused, "of its answers were no reports, and are left out"),
        ] {
            if count > 0 {
                println!("{count} {what}.");
            }
        }
        if item.health.as_ref().is_some_and(|health| health.fault.is_some()) {
            tell_health(&item);
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Draws in what is new at one, and writes down how it is; what was drawn, and whether it could be.
async fn draw(
    place: &Place,
    item: &mut InstanceItem,
    full: bool,
    progress: &dyn Progress,
) -> anyhow::Result<(Drawn, bool)> {
    let (key, from) = match &item.settings.source {
        Source::Api { .. } => (key(place, &item.settings.id).await?, None),
        Source::Export { from } => (None, Some(store(from)?)),
    };
    let mut done = Drawn::default();
    let went = drawer(place, full)?.draw(item, key.as_ref(), from.as_ref(), progress, &mut done).await;
    item.health = draw::health(&went, Timestamp::now().as_second()).or(item.health.take());
    place.table().set_instance(item).await?;
    match went {
        Ok(()) => Ok((done, true)),
        Err(DrawError::Instance(..)) => Ok((done, false)),
        Err(error) => Err(error.into()),
    }
}

/// Draws in what is new at all of them, as `rebond serve` does by itself. That one fails holds up no other.
pub(crate) async fn draw_all(place: &Place) -> anyhow::Result<()> {
    for mut item in place.table().instances().await? {
        let id = item.settings.id.clone();
        match draw(place, &mut item, false, &()).await {
            Ok((done, true)) => tracing::info!(instance = %id, recorded = done.recorded, "an instance was drawn from"),
            Ok((_, false)) => {
                let said = item.health.as_ref().and_then(|health| health.said.as_deref());
                tracing::warn!(instance = %id, said, "an instance cannot be drawn from");
            }
            Err(error) => tracing::error!(instance = %id, error = %error, "an instance was not drawn from to the end"),
        }
    }
    Ok(())
}

async fn archive(place: &Place, args: &ArchiveArgs) -> anyhow::Result<ExitCode> {
    let to = store(&args.to)?;
    let first = Timestamp::now().saturating_sub(SignedDuration::from_hours(24 * i64::from(args.days)))?;
    let day = first.strftime("%Y-%m-%d").to_string();
    // From the beginning of that day: of each day all is archived, or nothing.
    let since = first.as_second().div_euclid(86_400) * 86_400;
    // Mail that was kept here, or that an instance has archived; one that is asked by its API keeps its own.
    let (accounts, mail) = match &args.id {
        Some(id) => match find(place, id).await?.settings.source {
            Source::Api { .. } => (vec![id.clone()], None),
            Source::Export { from } => (vec![id.clone()], Some(store(&from)?)),
        },
        None => {
            let accounts = place.table().accounts().await?.into_iter().map(|item| item.account.id).collect();
            (accounts, place.kept_mail().await?)
        }
    };
    let (mut reports, mut kept, bar) = (Archived::default(), Archived::default(), Bar::new());
    for account in &accounts {
        archive::reports(&place.table(), account, since, &to, &mut reports).await?;
    }
    if let Some(mail) = &mail {
        archive::mail(mail, None, &day, &to, &mut kept).await?;
    }
    bar.finish();
    if args.json {
        println!("{}", serde_json::json!({ "reports": reports, "mail": kept }));
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} reports are in {}: {} objects added, {} written over, {} there already.",
        reports.reports, args.to, reports.added, reports.changed, reports.same
    );
    if mail.is_some() {
        println!(
            "Kept mail: {} objects added, {} written over, {} there already.",
            kept.added, kept.changed, kept.same
        );
    }
    Ok(ExitCode::SUCCESS)
}
