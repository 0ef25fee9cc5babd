//! `rebond account forward`: where mail goes that nobody understood, beside staying where it is.

use super::add::EncryptionArg;
use super::{find, word};
use crate::place::Place;
use crate::{secret_input, terminal};
use anyhow::bail;
use clap::Args;
use rebond::account::{Account, AccountId, Encryption, Forwarding, RelayLogin};
use rebond::advice::Language;
use rebond::limits;
use rebond::vault::Name;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "Examples:
  rebond account forward bounces --to people@example.com --server smtp.example.com:587 --as-mailbox
  rebond account forward bounces --to people@example.com --server smtp.example.com --user robot --secret-file password
  rebond account forward bounces --to people@example.com --server localhost:25 --encryption none
  rebond account forward bounces          # what is set, and what waits
  rebond account forward bounces --off

Each message goes as an attachment, untouched, in a message of its own: from nobody (MAIL FROM:<>), so that no robot
answers it. The original stays in the mailbox. What was forwarded before, answers it, or comes from the address itself is
left out. With --as-mailbox, an OAuth account's app needs SMTP.Send (delegated; the person must connect again) or
SMTP.SendAsApp (application).";

/// What is forwarded, and by which server. Without --to and --off: what is set, and what waits.
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// Which account
    id: AccountId,
    /// The one address that it goes to
    #[arg(long, value_name = "ADDRESS", requires = "server")]
    to: Option<String>,
    /// Reports, too: everything that is read, and not only what is no report
    #[arg(long, requires = "to")]
    all: bool,
    /// The server that takes it, as host or host:port (465 over TLS, 587 with STARTTLS)
    #[arg(long, value_name = "HOST[:PORT]", requires = "to")]
    server: Option<String>,
    /// tls, starttls, none (this machine and private hosts) [default: by the port]
    #[arg(long, value_enum, requires = "to")]
    encryption: Option<EncryptionArg>,
    /// Log in as the mailbox is opened: with its password, or its app's token
    #[arg(long, requires = "to", conflicts_with = "user")]
    as_mailbox: bool,
    /// Log in with this name, and a password that is read from --secret-file, standard input or the terminal. Without it and
    /// --as-mailbox nobody logs in
    #[arg(long, value_name = "NAME", requires = "to")]
    user: Option<String>,
    /// File with the password; - is standard input
    #[arg(long, value_name = "FILE", requires = "user")]
    secret_file: Option<PathBuf>,
    /// Forward nothing any more
    #[arg(long, conflicts_with = "to")]
    off: bool,
}

pub(super) async fn forward(place: &Place, args: ForwardArgs, language: Language) -> anyhow::Result<()> {
    let account = find(place, &args.id).await?.account;
    match (args.to, args.server) {
        (Some(to), Some(server)) => {
            let forwarding = Forwarding {
                to,
                since: jiff::Timestamp::now().as_second(),
                all: args.all,
                server: Forwarding::server(&server, args.encryption.map(Encryption::from))?,
                login: match args.user {
                    Some(user) => RelayLogin::Password { user },
                    None if args.as_mailbox => RelayLogin::Mailbox,
                    None => RelayLogin::None,
                },
            };
            start(place, account, forwarding, args.secret_file).await
        }
        _ if args.off => stop(place, &account).await,
        _ => show(place, &account, language).await,
    }
}

async fn start(
    place: &Place,
    mut account: Account,
    mut forwarding: Forwarding,
    secret_file: Option<PathBuf>,
) -> anyhow::Result<()> {
    // Other settings of what is forwarded already do not leave out what came meanwhile.
    if let Some(before) = &account.forwarding {
        forwarding.since = before.since;
    }
    let id = account.id.clone();
    account.forwarding = Some(forwarding.clone());
    account.check()?;
    if matches!(forwarding.login, RelayLogin::Password { .. }) {
        let secret = secret_input::read("Password of the server that takes mail", secret_file.as_deref())?;
        let version = uuid::Builder::from_random_bytes(crate::machine::random()?).into_uuid();
        place.vault().put(&Name::Relay(id.clone()), version, &secret).await?;
    }
    if !place.table().set_forwarding(&id, Some(&forwarding)).await? {
        bail!("the account {id} was removed meanwhile");
    }
    println!(
        "{} that arrives in {id} from now on is forwarded to {}, at most {} messages a day; it stays in the mailbox.",
        what(&forwarding),
        forwarding.to,
        limits::FORWARDS_A_DAY
    );
    if forwarding.login == RelayLogin::Mailbox && account.needs_person() {
        println!("Its app must ask for SMTP.Send, too, and the person consent: rebond connect {id}");
    }
    Ok(())
}

async fn stop(place: &Place, account: &Account) -> anyhow::Result<()> {
    let id = &account.id;
    if !place.table().set_forwarding(id, None).await? {
        bail!("the account {id} was removed meanwhile");
    }
    place.vault().remove(&Name::Relay(id.clone())).await?;
    println!("Nothing that arrives in {id} is forwarded any more; what waited stays in the mailbox.");
    Ok(())
}

async fn show(place: &Place, account: &Account, language: Language) -> anyhow::Result<()> {
    let id = &account.id;
    let Some(forwarding) = &account.forwarding else {
        println!("Nothing that arrives in {id} is forwarded: see `rebond account forward --help`.");
        return Ok(());
    };
    let list = place.table().forwards(id).await?;
    let server = &forwarding.server;
    let today = jiff::Timestamp::now().as_second().div_euclid(86_400);
    let rows = [
        ("forwarded", what(forwarding).to_owned()),
        ("to", forwarding.to.clone()),
        ("by", format!("{}:{} ({})", server.host, server.port, word(&server.encryption))),
        (
            "logged in",
            match &forwarding.login {
                RelayLogin::None => "not at all".to_owned(),
                RelayLogin::Mailbox => "as the mailbox is".to_owned(),
                RelayLogin::Password { user } => format!("as {user}"),
            },
        ),
        ("sent today", if list.day == today { list.sent.to_string() } else { "0".to_owned() }),
        ("waiting", list.waiting.len().to_string()),
    ];
    for (name, value) in rows {
        println!("{name:>10}  {value}");
    }
    for waiting in list.waiting.iter().take(10) {
        let said = waiting.said.as_deref().unwrap_or("not tried yet");
        println!("\n{} in {}: {said}", terminal::time(waiting.since), waiting.folder);
        super::tell_of_forwarding(id, waiting.advice.as_deref(), language);
    }
    Ok(())
}

fn what(forwarding: &Forwarding) -> &'static str {
    if forwarding.all { "Everything" } else { "Mail that is no report" }
}
