//! `rebond account`: the mailboxes.

use crate::place::{Place, Where};
use crate::{secret_input, terminal};
use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use rebond::account::{
    Account, AccountId, AfterReading, AppId, Authentication, Encryption, Forecast, Health, HealthState, Protocol,
    Purpose, Server, Since,
};
use rebond::advice::{self, Language};
use rebond::oauth::entra;
use rebond::table::AccountItem;
use rebond::vault::Name;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Name a mailbox to be read
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<AddArgs>),
    /// List the accounts with their health
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one account: settings, health, who must act
    Show {
        /// Which account
        id: AccountId,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Replace the password of a password account
    Password {
        /// Which account
        id: AccountId,
        /// File with the password; - is standard input; asked for where it is left out
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// The same as `rebond forget`
    Disconnect {
        /// Which account
        id: AccountId,
    },
    /// Remove an account with its secrets and cursors
    Remove {
        /// Which account
        id: AccountId,
        /// Remove its facts, too: they are gone for good
        #[arg(long)]
        facts: bool,
    },
}

const ADD_EXAMPLES: &str = "Examples:
  rebond account add bounces --mailbox bounces@example.com --app m365
  rebond account add bounces --mailbox bounces@example.com --app m365 --reports move=Processed --sends-as example.com
  rebond account add old --mailbox bounces@example.com --password --server mail.example.com:993
  rebond account add lab --mailbox test --password --server localhost:143 --encryption none";

/// A mailbox.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("way-in").required(true).args(["app", "password"]))]
pub struct AddArgs {
    /// A name for it here: a-z, 0-9 and -
    id: AccountId,
    /// The mailbox: its address, or the name to log in with. A shared mailbox is named here; who signs in may differ
    #[arg(long, value_name = "ADDRESS")]
    mailbox: String,
    /// Open it by OAuth with this app
    #[arg(long)]
    app: Option<AppId>,
    /// Open it with a password, which is read from --secret-file, standard input or the terminal
    #[arg(long)]
    password: bool,
    /// File with the password; - is standard input
    #[arg(long, value_name = "FILE", requires = "password")]
    secret_file: Option<PathBuf>,
    /// The name to log in with, where it is not the mailbox
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// IMAP server, as host or host:port [default: the one of the app's cloud]
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
    /// tls (port 993), starttls (port 143), none (this machine alone) [default: by the port]
    #[arg(long, value_enum)]
    encryption: Option<EncryptionArg>,
    /// A folder to read; may be given several times
    #[arg(long = "folder", value_name = "NAME", default_value = "INBOX")]
    folders: Vec<String>,
    /// How far back the first poll looks: days (30d), all, or new
    #[arg(long, default_value = "30d")]
    since: Since,
    /// What becomes of reports once their facts are durable: leave, seen, move=FOLDER, delete
    #[arg(long, default_value = "leave", value_name = "WHAT")]
    reports: AfterReading,
    /// The same for all other mail
    #[arg(long, default_value = "leave", value_name = "WHAT")]
    others: AfterReading,
    /// Seconds between polls
    #[arg(long, default_value_t = Account::PERIOD_SECONDS, value_name = "SECONDS")]
    period: u32,
    /// A domain that you send as; may be given several times
    #[arg(long = "sends-as", value_name = "DOMAIN")]
    sends_as: Vec<String>,
    /// A title for people
    #[arg(long)]
    label: Option<String>,
    /// Do not poll it yet
    #[arg(long)]
    disabled: bool,
}

/// Encryption on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EncryptionArg {
    /// From the first byte
    Tls,
    /// Plain until STARTTLS, which is required
    Starttls,
    /// Never
    None,
}

impl From<EncryptionArg> for Encryption {
    fn from(encryption: EncryptionArg) -> Self {
        match encryption {
            EncryptionArg::Tls => Self::Tls,
            EncryptionArg::Starttls => Self::Starttls,
            EncryptionArg::None => Self::None,
        }
    }
}

pub async fn run(at: &Where, command: AccountCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        AccountCommand::Add(args) => add(&place, *args).await?,
        AccountCommand::List { json } => list(&place, json).await?,
        AccountCommand::Show { id, json } => show(&place, &id, json).await?,
        AccountCommand::Password { id, secret_file } => password(&place, &id, secret_file).await?,
        AccountCommand::Disconnect { id } => crate::forget::forget(&place, &id).await?,
        AccountCommand::Remove { id, facts } => remove(&place, &id, facts).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An account, or the sentence that it is not there.
pub async fn find(place: &Place, id: &AccountId) -> anyhow::Result<AccountItem> {
    match place.table().account(id).await? {
        Some(item) => Ok(item),
        None => bail!("there is no account {id}: see `rebond account list`"),
    }
}

async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let server = server(place, &args).await?;
    let authentication = match args.app {
        Some(app) => Authentication::OauthUser { app },
        None => Authentication::Password { user: args.user.unwrap_or_else(|| args.mailbox.clone()) },
    };
    let account = Account {
        id: args.id,
        label: args.label,
        enabled: !args.disabled,
        purpose: Purpose::Bounce,
        protocol: Protocol::Imap,
        server,
        mailbox: args.mailbox,
        authentication,
        folders: args.folders,
        since: args.since,
        reports: args.reports,
        others: args.others,
        period_seconds: args.period,
        sends_as: args.sends_as,
    };
    account.check()?;
    if let Some(app) = account.app()
        && let Some(app) = place.table().app(app).await?
    {
        crate::lint::warn(None, Some((&account, &app)));
    }
    let (id, oauth) = (account.id.clone(), account.app().is_some());
    if place.table().account(&id).await?.is_some() {
        bail!("there is an account {id} already");
    }
    if !oauth {
        store_password(place, &id, args.secret_file).await?;
    }
    if !place.table().add_account(&AccountItem::new(account, now)).await? {
        bail!("somebody added an account {id} at this moment");
    }
    match oauth {
        true => println!("Account {id} is added. Next: rebond connect {id}"),
        false => println!("Account {id} is added. Next: rebond poll {id}"),
    }
    Ok(())
}

async fn server(place: &Place, args: &AddArgs) -> anyhow::Result<Server> {
    let app = match &args.app {
        None => None,
        Some(id) => match place.table().app(id).await? {
            Some(app) => Some(app),
            None => bail!("there is no app {id}: see `rebond app list`"),
        },
    };
    let host = match (&args.server, app) {
        (Some(server), _) => server.clone(),
        (None, Some(app)) => entra::hosts(app.cloud).mail.to_owned(),
        (None, None) => bail!("--server is needed for an account with a password"),
    };
    Ok(Server::parse(&host, args.encryption.map(Encryption::from))?)
}

async fn store_password(place: &Place, id: &AccountId, file: Option<PathBuf>) -> anyhow::Result<()> {
    let secret = secret_input::read("Password", file.as_deref())?;
    let version = uuid::Builder::from_random_bytes(crate::machine::random()?).into_uuid();
    place.vault().put(&Name::Password(id.clone()), version, &secret).await?;
    Ok(())
}

async fn password(place: &Place, id: &AccountId, file: Option<PathBuf>) -> anyhow::Result<()> {
    let item = find(place, id).await?;
    if item.account.app().is_some() {
        bail!("{id} is opened by OAuth: it has no password. To sign in again: rebond connect {id}");
    }
    store_password(place, id, file).await?;
    let now = jiff::Timestamp::now();
    place.table().set_health(id, &item.health.active(now), Some(now.as_second())).await?;
    println!("The password of {id} is replaced; it is used from the next poll on.");
    Ok(())
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let accounts = place.table().accounts().await?;
    if json {
        for item in accounts {
            println!("{}", serde_json::to_string(&item)?);
        }
        return Ok(());
    }
    if accounts.is_empty() {
        println!("There is no account yet: see `rebond account add --help`.");
        return Ok(());
    }
    let mut table =
        terminal::table(&["account", "mailbox", "health", "last poll", "messages", "new facts", "grant ends"]);
    for item in accounts {
        let last = item.last_poll.unwrap_or_default();
        table.add_row([
            item.account.id.to_string(),
            item.account.mailbox,
            item.health.state.as_str().to_owned(),
            terminal::time(last.at),
            last.messages.to_string(),
            last.recorded.to_string(),
            item.refreshed.map(|renewed| grant_ends(renewed, false)).unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn show(place: &Place, id: &AccountId, json: bool) -> anyhow::Result<()> {
    let item = find(place, id).await?;
    if json {
        println!("{}", serde_json::to_string(&item)?);
        return Ok(());
    }
    let account = &item.account;
    let server = &account.server;
    let rows = [
        ("account", id.to_string()),
        ("label", account.label.clone().unwrap_or_default()),
        ("mailbox", account.mailbox.clone()),
        ("server", format!("{}:{} ({})", server.host, server.port, word(&server.encryption))),
        (
            "opened by",
            match &account.authentication {
                Authentication::Password { user } => format!("password of {user}"),
                Authentication::OauthUser { app } => format!("OAuth with app {app}"),
            },
        ),
        ("connected as", item.principal.as_ref().map(|who| who.name.clone()).unwrap_or_default()),
        ("folders", account.folders.join(", ")),
        ("first poll", String::from(account.since)),
        ("reports are", after(&account.reports)),
        ("other mail is", after(&account.others)),
        ("polled every", format!("{} s", account.period_seconds)),
        ("sends as", account.sends_as.join(", ")),
        ("next poll", terminal::time(item.next_due)),
        ("health", item.health.state.as_str().to_owned()),
        ("grant ends", item.refreshed.map(|renewed| grant_ends(renewed, true)).unwrap_or_default()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        println!("{name:>14}  {value}");
    }
    tell_advice(place, &item, &item.health).await
}

/// When a grant ends unless it is renewed; without `always`, only when that is near.
fn grant_ends(renewed: i64, always: bool) -> String {
    let now = jiff::Timestamp::now();
    match Forecast::of_grant(renewed) {
        Some(forecast) if always || forecast.days_left(now) < 30 => {
            let (ends, days) = (forecast.ends.strftime("%Y-%m-%d"), forecast.days_left(now));
            if always { format!("{ends} unless renewed ({days} days left)") } else { format!("{days} days left") }
        }
        _ => String::new(),
    }
}

/// The advice that goes with a health, as the result page says it.
pub async fn tell_advice(place: &Place, item: &AccountItem, health: &Health) -> anyhow::Result<()> {
    let redirect_uri = match item.account.app() {
        Some(app) => place.table().app(app).await?.map(|app| app.redirect_uri).unwrap_or_default(),
        None => String::new(),
    };
    if health.state == HealthState::NotConnected {
        println!("\nNobody has connected it yet: rebond connect {}", item.account.id);
        return Ok(());
    }
    let Some(advice) = health.advice.as_deref().and_then(advice::by_id) else { return Ok(()) };
    println!("\n{}", advice.sentence(Language::English, item.account.id.as_str(), &redirect_uri));
    println!("Who must act: {}.", advice.who.words(Language::English));
    if let Some(said) = &health.said {
        println!("What was said: {said}");
    }
    Ok(())
}

fn word(encryption: &Encryption) -> &'static str {
    match encryption {
        Encryption::Tls => "tls",
        Encryption::Starttls => "starttls",
        Encryption::None => "not encrypted",
    }
}

fn after(after: &AfterReading) -> String {
    match after {
        AfterReading::Leave => "left as they are".into(),
        AfterReading::Seen => "marked as read".into(),
        AfterReading::Move(folder) => format!("moved to {folder}"),
        AfterReading::Delete => "deleted".into(),
    }
}

async fn remove(place: &Place, id: &AccountId, facts: bool) -> anyhow::Result<()> {
    find(place, id).await?;
    let removed = place.table().remove_mailbox(id, facts).await?;
    place.vault().remove(&Name::Grant(id.clone())).await?;
    place.vault().remove(&Name::Password(id.clone())).await?;
    println!("Account {id} is removed with its secrets ({removed} items of the table).");
    if !facts {
        println!("Its facts stay until their time is over; --facts would have removed them, too.");
    }
    Ok(())
}
