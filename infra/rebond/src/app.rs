//! `rebond app`: registrations at the identity provider.

use crate::place::{Place, Where};
use crate::secret_input;
use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use rebond::account::{App, AppId, Cloud, Credential, Tenant};
use rebond::oauth::entra;
use rebond::secret::ExposeSecret;
use rebond::vault::Name;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with apps.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Store a registration and its client secret
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<AddArgs>),
    /// List the registrations
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Replace the client secret
    Secret {
        /// Which app
        id: AppId,
        /// File with the secret's value; - is standard input; asked for where it is left out
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Remove a registration and its secret
    Remove {
        /// Which app
        id: AppId,
    },
}

const ADD_EXAMPLES: &str = "Examples:
  rebond app add m365 --tenant example.com --client-id 00000000-0000-4000-8000-000000000000
  rebond app add m365 --tenant example.com --client-id … --secret-file secret.txt \\
      --redirect-uri https://abc123.execute-api.eu-west-1.amazonaws.com/oauth/callback --stack rebond

Register at the Microsoft Entra admin centre (App registrations, New registration):
  platform      Web (not \"Mobile and desktop\", not \"Single-page application\")
  redirect URI  exactly the one given here
  permissions   Office 365 Exchange Online or Microsoft Graph, delegated: IMAP.AccessAsUser.All, and offline_access,
                openid, profile, email
  do not tick   Access tokens, ID tokens (implicit grant)
  secret        Certificates & secrets, New client secret: copy the column Value, not the Secret ID";

/// A registration.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it here: a-z, 0-9 and -
    id: AppId,
    /// Directory (tenant) ID, a verified domain, organizations, common or consumers
    #[arg(long)]
    tenant: Tenant,
    /// Application (client) ID
    #[arg(long, value_name = "GUID")]
    client_id: String,
    /// The redirect URI as it is registered, byte by byte [default: this machine's own]
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// The Microsoft cloud it is registered in
    #[arg(long, value_enum, default_value_t = CloudArg::Global)]
    cloud: CloudArg,
    /// File with the client secret's value; - is standard input; asked for where it is left out
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Another login host that speaks as Entra does, such as a stand-in: http://localhost:PORT
    #[arg(long, value_name = "URL", hide = true)]
    authority: Option<String>,
}

/// A Microsoft cloud on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CloudArg {
    /// Worldwide and GCC
    Global,
    /// GCC High
    GccHigh,
    /// Department of Defense
    Dod,
    /// 21Vianet
    China,
}

impl From<CloudArg> for Cloud {
    fn from(cloud: CloudArg) -> Self {
        match cloud {
            CloudArg::Global => Self::Global,
            CloudArg::GccHigh => Self::GccHigh,
            CloudArg::Dod => Self::Dod,
            CloudArg::China => Self::China,
        }
    }
}

pub async fn run(at: &Where, command: AppCommand) -> anyhow::Result<ExitCode> {
    match command {
        AppCommand::Add(args) => add(at, *args).await?,
        AppCommand::List { json } => list(&at.open().await?, json).await?,
        AppCommand::Secret { id, secret_file } => {
            let place = at.open().await?;
            if place.table().app(&id).await?.is_none() {
                bail!("there is no app {id}: see `rebond app list`");
            }
            store_secret(&place, &id, secret_file).await?;
            println!("The secret of {id} is replaced; it is used from the next renewal on.");
        }
        AppCommand::Remove { id } => remove(&at.open().await?, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(at: &Where, args: AddArgs) -> anyhow::Result<()> {
    let redirect_uri = match (args.redirect_uri, &at.stack) {
        (Some(uri), _) => uri,
        (None, None) => format!("http://{}/oauth/callback", at.settings()?.listen),
        (None, Some(_)) => bail!("--redirect-uri is needed: it is the output RedirectUri of the stack"),
    };
    let app = App {
        id: args.id,
        cloud: args.cloud.into(),
        tenant: args.tenant,
        client_id: args.client_id,
        redirect_uri,
        credential: Credential::ClientSecret,
        authority: args.authority,
    };
    app.check()?;
    crate::lint::warn(Some(&app), None);
    let place = at.open().await?;
    if place.table().app(&app.id).await?.is_some() {
        bail!("there is an app {} already: `rebond app secret {}` replaces its secret", app.id, app.id);
    }
    // The vault first: an app whose secret is missing would be listed and not work.
    store_secret(&place, &app.id, args.secret_file).await?;
    if !place.table().add_app(&app).await? {
        bail!("somebody added an app {} at this moment", app.id);
    }
    println!(
        "App {} is stored. At Entra ({}) its registration must have, under",
        app.id,
        entra::hosts(app.cloud).portal
    );
    println!("Authentication, platform Web, exactly this redirect URI:\n\n    {}\n", app.redirect_uri);
    println!("Next: rebond account add NAME --mailbox ADDRESS --app {}", app.id);
    Ok(())
}

async fn store_secret(place: &Place, id: &AppId, file: Option<PathBuf>) -> anyhow::Result<()> {
    let secret = secret_input::read("Client secret (its Value)", file.as_deref())?;
    App::check_client_secret(secret.expose_secret())?;
    place
        .vault()
        .put(&Name::App(id.clone()), uuid::Builder::from_random_bytes(crate::machine::random()?).into_uuid(), &secret)
        .await?;
    Ok(())
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let apps = place.table().apps().await?;
    if json {
        for app in apps {
            println!("{}", serde_json::to_string(&app)?);
        }
        return Ok(());
    }
    if apps.is_empty() {
        println!("There is no app yet: see `rebond app add --help`.");
        return Ok(());
    }
    let mut table = crate::terminal::table(&["app", "tenant", "client id", "redirect URI"]);
    for app in apps {
        table.add_row([app.id.to_string(), app.tenant.to_string(), app.client_id, app.redirect_uri]);
    }
    println!("{table}");
    Ok(())
}

async fn remove(place: &Place, id: &AppId) -> anyhow::Result<()> {
    let users = place.table().accounts().await?;
    if let Some(user) = users.iter().find(|item| item.account.app() == Some(id)) {
        bail!("account {} uses app {id}: remove the account first", user.account.id);
    }
    if !place.table().remove_app(id).await? {
        bail!("there is no app {id}: see `rebond app list`");
    }
    place.vault().remove(&Name::App(id.clone())).await?;
    println!("App {id} and its secret are removed.");
    Ok(())
}
