//! `rebond app`: registrations at the identity provider.

use crate::ask;
use crate::credential::{self, CredentialArgs};
use crate::from_file::FromFile;
use crate::place::{Place, Where};
use crate::registration::{self, Way};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use rebond::account::{App, AppId, Cloud, Credential, OpenIdProvider, Tenant};
use rebond::deployment::Deployment;
use rebond::oauth::open_id;
use rebond::vault::Name;
use std::process::ExitCode;

/// What to do with apps.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Store a registration and its client secret
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<AddArgs>),
    /// List the registrations
    #[command(after_help = "Examples:
  rebond app list
  rebond app list --json")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Replace the client secret, or the certificate with its key
    #[command(after_help = "Examples:
  rebond app secret m365 --secret-file secret.txt
  rebond app secret m365 --certificate app.pem --secret-file app.key")]
    Secret {
        /// Which app
        id: AppId,
        #[command(flatten)]
        credential: CredentialArgs,
    },
    /// Print a link by which an administrator consents to the app for a whole directory
    #[command(after_help = "Examples:\n  rebond app consent m365")]
    Consent {
        /// Which app
        id: AppId,
    },
    /// Remove a registration and its secret
    #[command(after_help = "Examples:\n  rebond app remove m365")]
    Remove {
        /// Which app
        id: AppId,
    },
}

const ADD_EXAMPLES: &str = "Examples:
  rebond app add m365 --tenant example.com --client-id 00000000-0000-4000-8000-000000000000
  rebond app add m365 --tenant example.com --client-id … \\
      --certificate app.pem --secret-file app.key
  rebond app add m365 --tenant example.com --client-id … --federated --stack rebond
  rebond app add gmail --provider google --client-id … --secret-file secret.txt
  rebond app add m365 --tenant example.com --client-id … --stack rebond --secret-file secret.txt
  rebond app add --from app.toml           # with the names of the arguments as keys:
      id = \"m365\"
      tenant = \"example.com\"
      client-id = \"00000000-0000-4000-8000-000000000000\"
      secret-file = \"secret.txt\"             # the secret itself never stands there

What is left out is asked for at a terminal. What the registration must have is printed.";

/// A registration.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it here: a-z, 0-9 and -
    id: Option<AppId>,
    /// Where it is registered: entra, google, or the https URL of any OpenID Connect provider [default: entra]
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// What to ask another provider for beside who signs in; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// At Entra: directory (tenant) ID, a verified domain, organizations, common or consumers
    #[arg(long)]
    tenant: Option<Tenant>,
    /// Application (client) ID; left out where the place that keeps the client secret gives it out beside it
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The redirect URI as it is registered, byte by byte [default: this machine's own; with --stack the stack's output
    /// RedirectUri]
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// The Microsoft cloud it is registered in
    #[arg(long, value_enum, default_value_t = CloudArg::Global)]
    cloud: CloudArg,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    _from: FromFile,
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
        AppCommand::Secret { id, credential } => {
            let place = at.open().await?;
            let given = credential.read()?;
            let app = given.set(find(&place, &id).await?);
            app.check()?;
            given.store(&place, &id).await?;
            place.table().replace_app(&app).await?;
            given.tidy(&place, &id).await?;
            println!("The credential of {id} is replaced; it is used from the next renewal on.");
        }
        AppCommand::Consent { id } => {
            let place = at.open().await?;
            crate::connect::ask_for_consent(&place, &whole(&place, &id).await?).await?;
        }
        AppCommand::Remove { id } => remove(&at.open().await?, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(at: &Where, args: AddArgs) -> anyhow::Result<()> {
    let place = at.open().await?;
    let redirect_uri = match (args.redirect_uri.clone(), &place) {
        (Some(uri), _) => uri,
        (None, Place::Machine(_)) => format!("http://{}/oauth/callback", at.settings()?.listen),
        (None, Place::Stack(stack)) => redirect_uri_of(stack).await?,
    };
    let Chosen { id, provider, tenant, client_id, way, credential } = choose(&args, &redirect_uri)?;
    let app = App {
        cloud: args.cloud.into(),
        authority: args.authority.clone(),
        provider: discover(&place, &provider, &args.scopes).await?,
        client_id_given: client_id.is_empty(),
        ..App::entra(id, tenant, client_id, redirect_uri)
    };
    let given = if credential { args.credential.asked()?.read()? } else { args.credential.read()? };
    let app = given.set(app);
    app.check()?;
    crate::lint::warn(Some(&app), None);
    if place.table().app(&app.id).await?.is_some() {
        bail!("there is an app {} already: `rebond app secret {}` replaces its secret", app.id, app.id);
    }
    // The vault first: an app whose secret is missing would be listed and not work.
    given.store(&place, &app.id).await?;
    if !place.table().add_app(&app).await? {
        bail!("somebody added an app {} at this moment", app.id);
    }
    println!("App {} is stored.", app.id);
    if app.client_id_given {
        // From here it may not be to be had: the variable is of the functions' environment, the function lets only them ask.
        match place.connector()?.grants.app(&app.id).await {
            Ok(app) => println!("Its client id is {}.", credential::client_id(&app)),
            Err(fault) => {
                println!("Its client id could not be asked for from here ({fault}); whoever needs it first asks.")
            }
        }
    }
    // Whoever was asked has read it before.
    if way.is_none() {
        println!("{}", registration::describe(&app, None));
    }
    if app.credential == Credential::Federated {
        credential::tell_federated(&place).await?;
    }
    let app_only = if app.check_app_only().is_ok() && way != Some(Way::Person) { " --app-only" } else { "" };
    println!("Next: rebond account add NAME --mailbox ADDRESS --app {}{app_only}", app.id);
    if !app_only.is_empty() && way.is_none() {
        println!("      (without --app-only where a person shall sign in for the mailbox)");
    }
    Ok(())
}

/// The stack says which it is, in an output of its template.
async fn redirect_uri_of(stack: &Deployment) -> anyhow::Result<String> {
    match stack.output("RedirectUri").await {
        Ok(Some(uri)) => Ok(uri),
        Ok(None) => bail!("the stack has no output RedirectUri: say it with --redirect-uri"),
        Err(fault) => bail!(
            "the stack could not be asked for its output RedirectUri ({}): say it with --redirect-uri",
            fault.said
        ),
    }
}

/// What the arguments say, or the person at the terminal.
struct Chosen {
    id: AppId,
    provider: String,
    tenant: Tenant,
    client_id: String,
    /// Who opens mailboxes, where that was asked.
    way: Option<Way>,
    /// Whether to ask how the app proves itself.
    credential: bool,
}

fn choose(args: &AddArgs, redirect_uri: &str) -> anyhow::Result<Chosen> {
    let given = args.client_id.is_none() && args.credential.elsewhere();
    let asks = args.id.is_none() || (args.client_id.is_none() && !given);
    let mut way = None;
    if asks {
        ask::needed(if args.id.is_none() { "<ID>" } else { "--client-id <ID>" })?;
    }
    let provider = match (&args.provider, asks) {
        (Some(provider), _) => provider.clone(),
        (None, false) => "entra".to_owned(),
        (None, true) => match ask::choice("Where are the mailboxes?", &["Microsoft 365", "Gmail", "another provider"])?
        {
            0 => "entra".to_owned(),
            1 => "google".to_owned(),
            _ => ask::line("The provider's issuer (https://…)", None)?,
        },
    };
    let entra = provider == "entra";
    let name = if entra { "m365" } else { "mail" };
    let id =
        ask::unless("<ID>", args.id.clone(), || ask::line("A name for the app here (a-z, 0-9 and -)", Some(name)))?;
    let tenant = match &args.tenant {
        Some(tenant) => tenant.clone(),
        None if !entra => Tenant::Common,
        None if asks => ask::line("Directory (tenant) ID of the mailboxes, or a verified domain", None)?,
        None => bail!("--tenant is needed: the directory (tenant) ID of the mailboxes, or a verified domain"),
    };
    if asks && entra {
        let ways = [
            "the app itself; nobody signs in (recommended for a mailbox that nobody watches: Microsoft's default lets \
             no user consent to mail any more)",
            "a person who signs in and consents",
        ];
        way = Some(if ask::choice("Who opens them?", &ways)? == 0 { Way::App } else { Way::Person });
        let app = App::entra(id.clone(), tenant.clone(), "", redirect_uri);
        eprintln!("\n{}", registration::describe(&App { cloud: args.cloud.into(), ..app }, way));
    }
    let client_id = match given {
        true => String::new(),
        false => {
            ask::unless("--client-id <ID>", args.client_id.clone(), || ask::line("Application (client) ID", None))?
        }
    };
    Ok(Chosen { id, provider, tenant, client_id, way, credential: asks && entra })
}

/// An app with its client id, asked for where it is given out.
pub(crate) async fn whole(place: &Place, id: &AppId) -> anyhow::Result<App> {
    Ok(place.connector()?.grants.app(id).await?)
}

/// An app, or the sentence that it is not there.
pub(crate) async fn find(place: &Place, id: &AppId) -> anyhow::Result<App> {
    match place.table().app(id).await? {
        Some(app) => Ok(app),
        None => bail!("there is no app {id}: see `rebond app list`"),
    }
}

/// What another provider than Entra says of itself.
async fn discover(place: &Place, word: &str, scopes: &[String]) -> anyhow::Result<Option<OpenIdProvider>> {
    if word == "entra" {
        return Ok(None);
    }
    let issuer = open_id::issuer(word)?;
    let url = open_id::discovery_url(&issuer);
    let request = http::Request::get(&url).body(Vec::new()).with_context(|| url.clone())?;
    let answer = place.http()?.send(request).await?;
    if answer.status() != http::StatusCode::OK {
        bail!("{url} answered with HTTP {}: is this the issuer's own URL?", answer.status().as_u16());
    }
    Ok(Some(open_id::read_discovery(&issuer, answer.body(), scopes)?))
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
    let mut table = crate::terminal::table(&["app", "tenant", "client id", "proves itself by", "redirect URI"]);
    for app in apps {
        let (by, client_id) = (credential::describe(&app), credential::client_id(&app));
        let tenant = app.provider.map_or_else(|| app.tenant.to_string(), |provider| provider.issuer);
        table.add_row([app.id.to_string(), tenant, client_id, by, app.redirect_uri]);
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
