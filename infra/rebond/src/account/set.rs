//! `rebond account set`: other settings for an account that stays: its id, cursors and facts, and its grant where the way in
//! is the same.

use super::add::{WayIn, find_app, server, store_password, way_in};
use super::{find, opened_by, word};
use crate::ask;
use crate::place::Place;
use anyhow::bail;
use clap::Args;
use rebond::account::{Account, AccountId, AfterReading, App, Health, HealthState, Server, Since};
use rebond::table::{AccountItem, By};
use rebond::vault::Name;

pub(super) const EXAMPLES: &str = "Examples:
  rebond account set bounces --folder INBOX --folder Junk --reports move=Processed
  rebond account set bounces --period 600 --session-messages 500
  rebond account set bounces --session-messages none
  rebond account set bounces --off          # and --on
  rebond account set bounces --server mail.example.com:993
  rebond account set bounces --app m365 --app-only

What is not named stays as it is. New folders or domains take the place of the old ones.
Another way in (--app, --password) gives up the old one: a person must then connect it again.
The mailbox and its protocol are what an account is: for another one, add another account.";

/// Who acts, for the audit.
const BY: By<'static> = By { function: "rebond account set", run: "by-hand" };

/// What is said when an account is added, and may be said anew at any time.
#[derive(Debug, Default, PartialEq, Args)]
pub struct Settings {
    /// A folder to read, as IMAP names it (for graph also inbox, junkemail and the like, which mean the same in every
    /// language); may be given several times (a new account: INBOX)
    #[arg(long = "folder", value_name = "NAME")]
    folders: Vec<String>,
    /// How far back the first reading of a folder looks: days (30d), all, or new (a new account: 30d)
    #[arg(long)]
    since: Option<Since>,
    /// What becomes of reports once their facts are durable: leave, seen, move=FOLDER, delete; POP3: leave, delete (a new
    /// account: leave)
    #[arg(long, value_name = "WHAT")]
    reports: Option<AfterReading>,
    /// The same for all other mail
    #[arg(long, value_name = "WHAT")]
    others: Option<AfterReading>,
    /// Seconds between polls (a new account: 300)
    #[arg(long, value_name = "SECONDS")]
    period: Option<u32>,
    /// Messages of one session, and the next goes on at once; or none: as many as the time allows (a new account: none)
    #[arg(long, value_name = "NUMBER")]
    session_messages: Option<Bound>,
    /// Seconds of one session, or none: as many as a function has (a new account: none)
    #[arg(long, value_name = "SECONDS")]
    session_timeout: Option<Bound>,
    /// The longest pause in seconds while nothing arrives; the period itself for none longer (a new account: 3600)
    #[arg(long, value_name = "SECONDS")]
    idle_pause: Option<u32>,
    /// A domain that you send as; may be given several times
    #[arg(long = "sends-as", value_name = "DOMAIN")]
    sends_as: Vec<String>,
    /// A title for people; an empty one takes it away
    #[arg(long)]
    label: Option<String>,
}

/// A bound, or the word that there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound(Option<u32>);

impl std::str::FromStr for Bound {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            number => number.parse().map(|number| Self(Some(number))).map_err(|_| "say a number, or none"),
        }
    }
}

impl Settings {
    /// An account with what was named, and otherwise as it is.
    pub(super) fn over(self, mut account: Account) -> Account {
        if !self.folders.is_empty() {
            account.folders = self.folders;
        }
        if !self.sends_as.is_empty() {
            account.sends_as = self.sends_as;
        }
        if let Some(label) = self.label {
            account.label = Some(label).filter(|label| !label.is_empty());
        }
        if let Some(Bound(messages)) = self.session_messages {
            account.limits.session_messages = messages;
        }
        if let Some(Bound(seconds)) = self.session_timeout {
            account.limits.session_seconds = seconds;
        }
        account.limits.idle_seconds = self.idle_pause.unwrap_or(account.limits.idle_seconds);
        account.period_seconds = self.period.unwrap_or(account.period_seconds);
        account.since = self.since.unwrap_or(account.since);
        account.reports = self.reports.unwrap_or(account.reports);
        account.others = self.others.unwrap_or(account.others);
        account
    }
}

/// Which account, and what of it.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Which account
    id: AccountId,
    /// Have it polled: at once, and by the schedule
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Have it polled no more; its grant is kept and renewed
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    way: WayIn,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn set(place: &Place, args: SetArgs) -> anyhow::Result<()> {
    let item = find(place, &args.id).await?;
    let before = &item.account;
    let place_named = args.way.server.is_some() || args.way.encryption.is_some();
    let named = args.on || args.off || place_named || args.settings != Settings::default();
    let other_way = args.way.app.is_some() || args.way.password;
    let switched = Account { enabled: (before.enabled || args.on) && !args.off, ..before.clone() };
    let account = args.settings.over(switched);
    if named && !other_way {
        let server = server_after(before, None, &args.way)?;
        return settings(place, &item, Account { server, ..account }).await;
    }
    if !other_way {
        ask::needed("--app <APP>, --password, or a setting")?;
    }
    let way = args.way.completed(place).await?;
    let app = find_app(place, way.app.as_ref()).await?;
    let server = server_after(before, app.as_ref(), &way)?;
    let authentication = way_in(app.as_ref(), way.app_only, way.user.clone(), &before.mailbox)?;
    replace(place, &item, Account { server, authentication, ..account }, way).await
}

/// Where the mailbox is afterwards. An app finds it where it was, unless there was none before.
fn server_after(before: &Account, app: Option<&App>, way: &WayIn) -> anyhow::Result<Server> {
    match (&way.server, way.encryption) {
        (None, None) if app.is_none() || before.app().is_some() => Ok(before.server.clone()),
        (None, encryption) if app.is_none() || before.app().is_some() => {
            server(None, before.protocol, Some(&before.server.host), encryption)
        }
        (given, encryption) => server(app, before.protocol, given.as_deref(), encryption),
    }
}

/// Other settings by the same way in.
async fn settings(place: &Place, item: &AccountItem, account: Account) -> anyhow::Result<()> {
    let health = store(place, item, &account).await?;
    println!("The settings of {} are changed; its grant, cursors and facts stay.", account.id);
    if account.server != item.account.server {
        let server = &account.server;
        println!("It is read at {}:{} ({}).", server.host, server.port, word(&server.encryption));
    }
    tell_next(&account, &health);
    Ok(())
}

/// Stores them, and answers the health under them.
pub(super) async fn store(place: &Place, item: &AccountItem, account: &Account) -> anyhow::Result<Health> {
    checked(account)?;
    let (id, now) = (&account.id, jiff::Timestamp::now());
    let health = item.health_under(account, now);
    if !place.table().replace_settings(item, account, &health, now).await? {
        bail!("somebody polled, connected or changed {id} at this moment: try again");
    }
    place.table().audit_health(item, &health, BY, now).await;
    Ok(health)
}

fn checked(account: &Account) -> anyhow::Result<()> {
    account.check()?;
    if let Some(warning) = account.warning() {
        eprintln!("Warning: {warning}");
    }
    Ok(())
}

fn tell_next(account: &Account, health: &Health) {
    let id = &account.id;
    match health.state {
        HealthState::Disabled => println!("It is switched off. To have it polled: rebond account set {id} --on"),
        HealthState::NotConnected => println!("Next: rebond connect {id}"),
        _ => println!("Next: rebond poll {id}"),
    }
}

/// Another way in, and whatever else was named.
async fn replace(place: &Place, item: &AccountItem, account: Account, way: WayIn) -> anyhow::Result<()> {
    checked(&account)?;
    let (id, now) = (&account.id, jiff::Timestamp::now());
    if account.app().is_none() {
        store_password(place, id, way.secret_file).await?;
    }
    if !place.table().replace_way_in(&account, item.generation, now).await? {
        bail!("somebody connected or renewed {id} at this moment: try again");
    }
    let health = AccountItem::new(account.clone(), now).health;
    place.table().audit_health(item, &health, BY, now).await;
    // Of the old way nothing stays. The table no longer names it, so a crash here leaves no more than a spare secret.
    place.vault().remove(&Name::Grant(id.clone())).await?;
    if account.app().is_some() {
        place.vault().remove(&Name::Password(id.clone())).await?;
    }
    println!("{id} is opened by {} from now on; its cursors and facts stay.", opened_by(&account));
    tell_next(&account, &health);
    Ok(())
}
