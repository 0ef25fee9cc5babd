//! `rebond account`: the mailboxes.

use crate::place::{Place, Where};
use crate::{secret_input, terminal};
use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use rebond::account::{
    Account, AccountId, AfterReading, App, AppId, Authentication, Encryption, Forecast, Health, HealthState, Protocol,
    Purpose, Server, Since,
};
use rebond::advice::{self, Language};
use rebond::oauth::provider;
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
    /// Open it another way: by OAuth, by the app itself, or with a password. Id, cursors and facts stay
    Set(SetArgs),
    /// Say which domains you send as: what a bounce must prove to count
    SendsAs {
        /// Which account
        id: AccountId,
        /// The domains, in place of those named before; none at all, and its bounces suppress nobody
        domains: Vec<String>,
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
  rebond account add bounces --mailbox bounces@example.com --app m365 --app-only
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
    /// The app opens it for itself (its own permissions, which an administrator grants); nobody signs in
    #[arg(long, requires = "app", conflicts_with = "password")]
    app_only: bool,
    /// Open it with a password, which is read from --secret-file, standard input or the terminal
    #[arg(long)]
    password: bool,
    /// File with the password; - is standard input
    #[arg(long, value_name = "FILE", requires = "password")]
    secret_file: Option<PathBuf>,
    /// The name to log in with, where it is not the mailbox
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// IMAP server, as host or host:port [default: the one of the app's provider]
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

/// Another way in.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("new-way-in").required(true).args(["app", "password"]))]
pub struct SetArgs {
    /// Which account
    id: AccountId,
    /// Open it by OAuth with this app
    #[arg(long)]
    app: Option<AppId>,
    /// The app opens it for itself; nobody signs in
    #[arg(long, requires = "app", conflicts_with = "password")]
    app_only: bool,
    /// Open it with a password, which is read from --secret-file, standard input or the terminal
    #[arg(long)]
    password: bool,
    /// File with the password; - is standard input
    #[arg(long, value_name = "FILE", requires = "password")]
    secret_file: Option<PathBuf>,
    /// The name to log in with, where it is not the mailbox
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// Another IMAP server, as host or host:port [default: as it is; the one of the app's provider when it had a
    /// password]
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
    /// tls (port 993), starttls (port 143), none (this machine alone) [default: by the port]
    #[arg(long, value_enum, requires = "server")]
    encryption: Option<EncryptionArg>,
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
        AccountCommand::Set(args) => set(&place, args).await?,
        AccountCommand::SendsAs { id, domains } => sends_as(&place, &id, domains).await?,
        AccountCommand::Disconnect { id } => crate::forget::forget(&place, &id).await?,
        AccountCommand::Remove { id, facts } => remove(&place, &id, facts).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn sends_as(place: &Place, id: &AccountId, domains: Vec<String>) -> anyhow::Result<()> {
    let mut account = find(place, id).await?.account;
    account.sends_as = domains;
    account.check()?;
    if !place.table().set_sends_as(id, &account.sends_as).await? {
        bail!("the account {id} was removed meanwhile");
    }
    if !account.sends_as.is_empty() {
        println!("Bounces in {id} count from now on where they return mail of {}.", account.sends_as.join(", "));
    }
    warn_of_proof(place, &account).await
}

/// Says loudly that the bounces of an account suppress nobody, where that is so.
pub async fn warn_of_proof(place: &Place, account: &Account) -> anyhow::Result<()> {
    if !account.sends_as.is_empty() {
        return Ok(());
    }
    let lists = place.table().lists().await?;
    let list = lists.iter().find(|list| list.accounts.contains(&account.id)).or(lists.first());
    if list.is_some_and(|list| list.proof == rebond::proof::Level::Ours) {
        eprintln!(
            "ATTENTION: bounces in {id} suppress nobody, for it names no domain that you send as, and so anybody could \
             have sent them.\nSay it: rebond account sends-as {id} example.com",
            id = account.id
        );
    }
    Ok(())
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
    let app = find_app(place, args.app.as_ref()).await?;
    let server = server(app.as_ref(), args.server.as_deref(), args.encryption)?;
    let authentication = way_in(app.as_ref(), args.app_only, args.user, &args.mailbox)?;
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
    if let Some(app) = &app {
        crate::lint::warn(None, Some((&account, app)));
    }
    let (id, oauth, waits) = (account.id.clone(), account.app().is_some(), account.needs_person());
    if place.table().account(&id).await?.is_some() {
        bail!("there is an account {id} already");
    }
    if !oauth {
        store_password(place, &id, args.secret_file).await?;
    }
    if !place.table().add_account(&AccountItem::new(account.clone(), now)).await? {
        bail!("somebody added an account {id} at this moment");
    }
    match waits {
        true => println!("Account {id} is added. Next: rebond connect {id}"),
        false => println!("Account {id} is added. Next: rebond poll {id}"),
    }
    warn_of_proof(place, &account).await
}

async fn find_app(place: &Place, id: Option<&AppId>) -> anyhow::Result<Option<App>> {
    let Some(id) = id else { return Ok(None) };
    match place.table().app(id).await? {
        Some(app) => Ok(Some(app)),
        None => bail!("there is no app {id}: see `rebond app list`"),
    }
}

fn way_in(app: Option<&App>, app_only: bool, user: Option<String>, mailbox: &str) -> anyhow::Result<Authentication> {
    Ok(match app {
        Some(app) if app_only => {
            app.check_app_only()?;
            Authentication::OauthApp { app: app.id.clone() }
        }
        Some(app) => Authentication::OauthUser { app: app.id.clone() },
        None => Authentication::Password { user: user.unwrap_or_else(|| mailbox.to_owned()) },
    })
}

fn server(app: Option<&App>, server: Option<&str>, encryption: Option<EncryptionArg>) -> anyhow::Result<Server> {
    let host = match (server, app.map(provider::mail_host)) {
        (Some(server), _) => server,
        (None, Some(Some(host))) => host,
        (None, Some(None)) => bail!("--server is needed: this provider does not say where mail is"),
        (None, None) => bail!("--server is needed for an account with a password"),
    };
    Ok(Server::parse(host, encryption.map(Encryption::from))?)
}

async fn set(place: &Place, args: SetArgs) -> anyhow::Result<()> {
    let item = find(place, &args.id).await?;
    let (id, before) = (&args.id, &item.account);
    let app = find_app(place, args.app.as_ref()).await?;
    let server = match (&args.server, &app) {
        // Where the mailbox stays, an app of the same provider finds it where it was.
        (None, Some(_)) if before.app().is_some() => before.server.clone(),
        (None, None) => before.server.clone(),
        (given, app) => server(app.as_ref(), given.as_deref(), args.encryption)?,
    };
    let authentication = way_in(app.as_ref(), args.app_only, args.user, &before.mailbox)?;
    let account = Account { server, authentication, ..before.clone() };
    account.check()?;
    if account.app().is_none() {
        store_password(place, id, args.secret_file).await?;
    }
    if !place.table().replace_way_in(&account, item.generation, jiff::Timestamp::now()).await? {
        bail!("somebody connected or renewed {id} at this moment: try again");
    }
    // Of the old way nothing stays. The table no longer names it, so a crash here leaves no more than a spare secret.
    place.vault().remove(&Name::Grant(id.clone())).await?;
    if account.app().is_some() {
        place.vault().remove(&Name::Password(id.clone())).await?;
    }
    println!("{id} is opened by {} from now on; its cursors and facts stay.", opened_by(&account));
    match account.needs_person() {
        true => println!("Next: rebond connect {id}"),
        false => println!("Next: rebond poll {id}"),
    }
    Ok(())
}

fn opened_by(account: &Account) -> String {
    match &account.authentication {
        Authentication::Password { user } => format!("password of {user}"),
        Authentication::OauthUser { app } => format!("OAuth with app {app}"),
        Authentication::OauthApp { app } => format!("app {app} itself"),
    }
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
        ("opened by", opened_by(account)),
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
