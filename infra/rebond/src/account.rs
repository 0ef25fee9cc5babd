//! `rebond account`: the mailboxes.

mod add;
mod forward;
mod set;

use crate::place::{Place, Where};
use crate::terminal;
use add::{ADD_EXAMPLES, AddArgs, store_password};
use anyhow::bail;
use clap::Subcommand;
use rebond::account::{Account, AccountId, AfterReading, Authentication, Encryption, Ending, Health, HealthState};
use rebond::advice::{self, Advice, Language};
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
    #[command(after_help = "Examples:
  rebond account list
  rebond account list --json
  rebond account list --stack rebond")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one account: settings, health, who must act
    #[command(after_help = "Examples:
  rebond account show bounces
  rebond account show bounces --json
  rebond account show bounces --language fr")]
    Show {
        /// Which account
        id: AccountId,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Replace the password of a password account
    #[command(after_help = "Examples:
  rebond account password bounces
  rebond account password bounces --secret-file password.txt")]
    Password {
        /// Which account
        id: AccountId,
        /// File with the password; - is standard input; asked for where it is left out
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Change what was said of it: on or off, folders, what becomes of read mail, period, limits, server, the way in. Id,
    /// cursors and facts stay
    #[command(after_help = set::EXAMPLES)]
    Set(Box<set::SetArgs>),
    /// Say which domains you send as: what a bounce must prove to count
    #[command(after_help = "Examples:
  rebond account sends-as bounces example.com example.org
  rebond account sends-as bounces           # no domain any more")]
    SendsAs {
        /// Which account
        id: AccountId,
        /// The domains, in place of those named before; none at all, and its bounces suppress nobody
        domains: Vec<String>,
    },
    /// Forward what nobody understood to an address; it stays in the mailbox
    #[command(after_help = forward::EXAMPLES)]
    Forward(Box<forward::ForwardArgs>),
    /// The same as `rebond forget`
    #[command(after_help = "Examples:\n  rebond account disconnect bounces")]
    Disconnect {
        /// Which account
        id: AccountId,
    },
    /// Remove an account with its secrets and cursors
    #[command(after_help = "Examples:
  rebond account remove bounces
  rebond account remove bounces --facts")]
    Remove {
        /// Which account
        id: AccountId,
        /// Remove its facts, too: they are gone for good
        #[arg(long)]
        facts: bool,
    },
}

pub async fn run(at: &Where, command: AccountCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        AccountCommand::Add(args) => add::add(&place, *args).await?,
        AccountCommand::List { json } => list(&place, json).await?,
        AccountCommand::Show { id, json } => show(&place, &id, json, at.language()).await?,
        AccountCommand::Password { id, secret_file } => password(&place, &id, secret_file).await?,
        AccountCommand::Set(args) => set::set(&place, *args).await?,
        AccountCommand::SendsAs { id, domains } => sends_as(&place, &id, domains).await?,
        AccountCommand::Forward(args) => forward::forward(&place, *args, at.language()).await?,
        AccountCommand::Disconnect { id } => crate::forget::forget(&place, &id).await?,
        AccountCommand::Remove { id, facts } => remove(&place, &id, facts).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn sends_as(place: &Place, id: &AccountId, domains: Vec<String>) -> anyhow::Result<()> {
    let item = find(place, id).await?;
    let account = Account { sends_as: domains, ..item.account.clone() };
    set::store(place, &item, &account).await?;
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

/// Refuses a name that no reports are recorded under: neither an account's nor an instance's.
pub async fn must_be_a_source(place: &Place, id: &AccountId) -> anyhow::Result<()> {
    match place.table().instance(id).await? {
        Some(_) => Ok(()),
        None => find(place, id).await.map(|_| ()),
    }
}

fn opened_by(account: &Account) -> String {
    match &account.authentication {
        Authentication::Password { user } => format!("password of {user}"),
        Authentication::OauthUser { app } => format!("OAuth with app {app}"),
        Authentication::OauthApp { app } => format!("app {app} itself"),
    }
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
    let mut table = terminal::table(&[
        "account",
        "mailbox",
        "health",
        "last poll",
        "last success",
        "messages",
        "new facts",
        "grant ends",
    ]);
    for item in accounts {
        let grant_ends = grant_ends(&item, false);
        let last = item.last_poll.unwrap_or_default();
        table.add_row([
            item.account.id.to_string(),
            item.account.mailbox,
            item.health.state.as_str().to_owned(),
            terminal::time(last.at),
            item.last_success.map(terminal::time).unwrap_or_default(),
            last.messages.to_string(),
            last.recorded.to_string(),
            grant_ends,
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn show(place: &Place, id: &AccountId, json: bool, language: Language) -> anyhow::Result<()> {
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
        ("read by", account.protocol.as_str().to_owned()),
        ("server", format!("{}:{} ({})", server.host, server.port, word(&server.encryption))),
        ("opened by", opened_by(account)),
        ("connected as", item.principal.as_ref().map(|who| who.name.clone()).unwrap_or_default()),
        ("folders", account.folders.join(", ")),
        ("first poll", String::from(account.since)),
        ("reports are", after(&account.reports)),
        ("other mail is", after(&account.others)),
        ("forwarded to", account.forwarding.as_ref().map(|forwarding| forwarding.to.clone()).unwrap_or_default()),
        ("polled every", format!("{} s", account.period_seconds)),
        ("sends as", account.sends_as.join(", ")),
        ("last poll", item.last_poll.as_ref().map(|last| terminal::time(last.at)).unwrap_or_default()),
        ("last success", item.last_success.map(terminal::time).unwrap_or_default()),
        ("next poll", terminal::time(item.next_due)),
        ("health", item.health.state.as_str().to_owned()),
        ("grant ends", grant_ends(&item, true)),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        println!("{name:>14}  {value}");
    }
    tell_advice(place, &item, &item.health, language).await
}

/// How a grant will end by itself; without `always`, only when that is near.
fn grant_ends(item: &AccountItem, always: bool) -> String {
    let now = jiff::Timestamp::now();
    match item.forecast() {
        Some(forecast) if always || forecast.days_left(now) < 30 => {
            let (ends, days) = (forecast.ends.strftime("%Y-%m-%d"), forecast.days_left(now));
            match forecast.ending {
                _ if !always => format!("{days} days left"),
                Ending::SignIn => format!("{ends} by a sign-in frequency policy, as once before ({days} days left)"),
                _ => format!("{ends} unless renewed ({days} days left)"),
            }
        }
        _ => String::new(),
    }
}

/// The advice that goes with a health, as the result page says it.
pub async fn tell_advice(place: &Place, item: &AccountItem, health: &Health, language: Language) -> anyhow::Result<()> {
    if health.state == HealthState::NotConnected {
        let words = match language {
            Language::English => "Nobody has connected it yet:",
            Language::French => "Personne ne l’a encore connecté :",
        };
        println!("\n{words} rebond connect {}", item.account.id);
        return Ok(());
    }
    let redirect_uri = redirect_uri(place, &item.account).await?;
    let off = (health.state == HealthState::Disabled).then_some("account-off");
    for advice in off.into_iter().chain(health.advice.as_deref()).filter_map(advice::by_id) {
        print_advice(advice, language, &item.account.id, &redirect_uri);
    }
    if let Some(said) = &health.said {
        println!("{} {said}", language.what_was_said());
    }
    Ok(())
}

/// The advice for a forwarding server that takes nothing.
pub fn tell_of_forwarding(id: &AccountId, advice: Option<&str>, language: Language) {
    if let Some(advice) = advice.and_then(advice::by_id) {
        print_advice(advice, language, id, "");
        println!("rebond doctor {id}");
    }
}

/// The redirect URI of an account's app; empty where it has none.
pub async fn redirect_uri(place: &Place, account: &Account) -> anyhow::Result<String> {
    Ok(match account.app() {
        Some(app) => place.table().app(app).await?.map(|app| app.redirect_uri).unwrap_or_default(),
        None => String::new(),
    })
}

/// What an advice means, what to do, and who must.
pub fn print_advice(advice: &Advice, language: Language, account: &AccountId, redirect_uri: &str) {
    println!("\n{}", advice.sentence(language, account.as_str(), redirect_uri));
    println!("{} {}.", language.who_must_act(), advice.who.words(language));
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
    place.vault().remove(&Name::Relay(id.clone())).await?;
    if facts && let Some(store) = place.kept_mail().await? {
        let objects = store.remove(id).await?;
        if objects > 0 {
            println!("Its kept mail is removed, too ({objects} objects).");
        }
    }
    println!("Account {id} is removed with its secrets ({removed} items of the table).");
    if !facts {
        println!("Its facts stay until their time is over; --facts would have removed them, too.");
    }
    Ok(())
}
