//! `rebond account add`: which mailbox, and by which way it is opened.

use super::set::Settings;
use crate::from_file::FromFile;
use crate::place::Place;
use crate::{ask, secret_input};
use anyhow::bail;
use clap::{ArgGroup, Args, ValueEnum};
use rebond::account::{
    Account, AccountId, AfterReading, App, AppId, Authentication, Encryption, Limits, Protocol, Purpose, Server, Since,
};
use rebond::oauth::provider;
use rebond::table::AccountItem;
use rebond::vault::Name;
use std::path::PathBuf;

pub(super) const ADD_EXAMPLES: &str = "Examples:
  rebond account add bounces --mailbox bounces@example.com --app m365
  rebond account add bounces --mailbox bounces@example.com --app m365 --app-only
  rebond account add bounces --mailbox bounces@example.com --app m365 --reports move=Processed --sends-as example.com
  rebond account add old --mailbox bounces@example.com --password --server mail.example.com:993
  rebond account add pop --mailbox bounces@example.com --password --protocol pop3 --server mail.example.com --reports delete
  rebond account add graph --mailbox bounces@example.com --app m365 --app-only --protocol graph --folder inbox --folder junkemail
  rebond account add lab --mailbox test --password --server localhost:143 --encryption none
  rebond account add --from bounces.toml     # with the names of the arguments as keys:
      id = \"bounces\"
      mailbox = \"bounces@example.com\"
      app = \"m365\"
      app-only = true
      folder = [\"INBOX\", \"Junk Email\"]
      reports = \"move=Processed\"
      sends-as = [\"example.com\"]";

/// A mailbox. What is left out is asked for at a terminal.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it here: a-z, 0-9 and -
    id: Option<AccountId>,
    /// The mailbox: its address, or the name to log in with. A shared mailbox is named here; who signs in may differ
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    #[command(flatten)]
    way: WayIn,
    /// How it is read: imap, pop3 or graph
    #[arg(long, value_enum, default_value_t)]
    protocol: ProtocolArg,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    _from: FromFile,
    /// Do not poll it yet
    #[arg(long)]
    disabled: bool,
}

/// How a mailbox is opened, and where it is.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("way-in").args(["app", "password"]))]
pub(super) struct WayIn {
    /// Open it by OAuth with this app
    #[arg(long)]
    pub(super) app: Option<AppId>,
    /// The app opens it for itself (its own permissions, which an administrator grants); nobody signs in
    #[arg(long, requires = "app", conflicts_with = "password")]
    pub(super) app_only: bool,
    /// Open it with a password, which is read from --secret-file, standard input or the terminal
    #[arg(long)]
    pub(super) password: bool,
    /// File with the password; - is standard input
    #[arg(long, value_name = "FILE", requires = "password")]
    pub(super) secret_file: Option<PathBuf>,
    /// The name to log in with, where it is not the mailbox
    #[arg(long, value_name = "NAME", requires = "password")]
    pub(super) user: Option<String>,
    /// The server, as host or host:port [default: as it is, or the one of the app's provider; for graph that of its cloud]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) server: Option<String>,
    /// tls (port 993; POP3 995), starttls (port 143; POP3 110), none (this machine and private hosts) [default: by the
    /// port]
    #[arg(long, value_enum)]
    pub(super) encryption: Option<EncryptionArg>,
}

/// Protocol on the command line.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum ProtocolArg {
    /// IMAP
    #[default]
    Imap,
    /// POP3: one folder; mail is left or deleted
    Pop3,
    /// Microsoft Graph, for Exchange Online: no server to name. The app needs Mail.ReadWrite of Microsoft Graph (delegated,
    /// and Mail.ReadWrite.Shared for a shared mailbox; with --app-only the application permission). One app may serve
    /// accounts of both Graph and IMAP
    Graph,
}

impl From<ProtocolArg> for Protocol {
    fn from(protocol: ProtocolArg) -> Self {
        match protocol {
            ProtocolArg::Imap => Self::Imap,
            ProtocolArg::Pop3 => Self::Pop3,
            ProtocolArg::Graph => Self::Graph,
        }
    }
}

/// Encryption on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EncryptionArg {
    /// From the first byte
    Tls,
    /// Plain until STARTTLS (over POP3 STLS), which is required
    #[value(alias = "stls")]
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

pub(super) async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let id =
        ask::unless("<ID>", args.id, || ask::line("A name for the mailbox here (a-z, 0-9 and -)", Some("bounces")))?;
    let mailbox = ask::unless("--mailbox <ADDRESS>", args.mailbox, || ask::line("The mailbox's address", None))?;
    let way = args.way.completed(place).await?;
    let app = find_app(place, way.app.as_ref()).await?;
    let protocol = Protocol::from(args.protocol);
    let server = server(app.as_ref(), protocol, way.server.as_deref(), way.encryption)?;
    let authentication = way_in(app.as_ref(), way.app_only, way.user, &mailbox)?;
    let account = args.settings.over(Account {
        id,
        label: None,
        enabled: !args.disabled,
        purpose: Purpose::Bounce,
        protocol,
        server,
        mailbox,
        authentication,
        folders: vec!["INBOX".to_owned()],
        since: Since::default(),
        reports: AfterReading::Leave,
        others: AfterReading::Leave,
        period_seconds: Account::PERIOD_SECONDS,
        limits: Limits::default(),
        sends_as: vec![],
        forwarding: None,
    });
    account.check()?;
    if let Some(warning) = account.warning() {
        eprintln!("Warning: {warning}");
    }
    if let Some(app) = &app {
        crate::lint::warn(None, Some((&account, app)));
    }
    let (id, oauth, waits) = (account.id.clone(), account.app().is_some(), account.needs_person());
    if place.table().account(&id).await?.is_some() {
        bail!("there is an account {id} already");
    }
    if place.table().instance(&id).await?.is_some() {
        bail!("there is an instance {id} already: reports of both would lie under one name");
    }
    if !oauth {
        store_password(place, &id, way.secret_file).await?;
    }
    if !place.table().add_account(&AccountItem::new(account.clone(), now)).await? {
        bail!("somebody added an account {id} at this moment");
    }
    match waits {
        true => println!("Account {id} is added. Next: rebond connect {id}"),
        false => println!("Account {id} is added. Next: rebond poll {id}"),
    }
    super::warn_of_proof(place, &account).await
}

impl WayIn {
    /// The same with a way chosen: at a terminal whoever named none is asked, and told what suits an unattended poller.
    pub(super) async fn completed(mut self, place: &Place) -> anyhow::Result<Self> {
        if self.app.is_some() || self.password {
            return Ok(self);
        }
        ask::needed("--app <APP> or --password")?;
        let apps = place.table().apps().await?;
        let mut ways = Vec::new();
        for app in apps.iter().filter(|app| app.check_app_only().is_ok()) {
            let words =
                format!("by app {} itself: nobody signs in (recommended for a mailbox that nobody watches)", app.id);
            ways.push((words, Some((app.id.clone(), true))));
        }
        for app in &apps {
            ways.push((
                format!("by app {}, once a person has signed in and consented", app.id),
                Some((app.id.clone(), false)),
            ));
        }
        ways.push((
            "with a password (Exchange on your own premises, other servers; Microsoft 365 takes none)".to_owned(),
            None,
        ));
        if apps.is_empty() {
            eprintln!("There is no app yet. For Microsoft 365 or Gmail make one first: rebond app add");
        }
        let words: Vec<&str> = ways.iter().map(|(words, _)| words.as_str()).collect();
        match ways.get(ask::choice("How is it opened?", &words)?).and_then(|(_, way)| way.clone()) {
            Some((app, app_only)) => (self.app, self.app_only) = (Some(app), app_only),
            None => {
                self.password = true;
                if self.server.is_none() {
                    self.server = Some(ask::line("The mail server (host, or host:port)", None)?);
                }
            }
        }
        Ok(self)
    }
}

pub(super) async fn find_app(place: &Place, id: Option<&AppId>) -> anyhow::Result<Option<App>> {
    let Some(id) = id else { return Ok(None) };
    match place.table().app(id).await? {
        Some(app) => Ok(Some(app)),
        None => bail!("there is no app {id}: see `rebond app list`"),
    }
}

pub(super) fn way_in(
    app: Option<&App>,
    app_only: bool,
    user: Option<String>,
    mailbox: &str,
) -> anyhow::Result<Authentication> {
    Ok(match app {
        Some(app) if app_only => {
            app.check_app_only()?;
            Authentication::OauthApp { app: app.id.clone() }
        }
        Some(app) => Authentication::OauthUser { app: app.id.clone() },
        None => Authentication::Password { user: user.unwrap_or_else(|| mailbox.to_owned()) },
    })
}

pub(super) fn server(
    app: Option<&App>,
    protocol: Protocol,
    server: Option<&str>,
    encryption: Option<EncryptionArg>,
) -> anyhow::Result<Server> {
    let host = match (server, app.map(|app| provider::mail_host(app, protocol))) {
        (Some(server), _) => server,
        (None, Some(Some(host))) => host,
        (None, Some(None)) => bail!("--server is needed: this provider does not say where mail is"),
        (None, None) => bail!("--server is needed for an account with a password"),
    };
    Ok(Server::parse(host, protocol, encryption.map(Encryption::from))?)
}

pub(super) async fn store_password(place: &Place, id: &AccountId, file: Option<PathBuf>) -> anyhow::Result<()> {
    let secret = secret_input::read("Password", file.as_deref())?;
    let version = uuid::Builder::from_random_bytes(crate::machine::random()?).into_uuid();
    place.vault().put(&Name::Password(id.clone()), version, &secret).await?;
    Ok(())
}
