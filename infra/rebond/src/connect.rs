//! `rebond connect`: the invitation for whoever can sign in to the mailbox, and the ways without one.

use crate::place::{Place, Where};
use crate::{account, app};
use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use rebond::account::{AccountId, App};
use rebond::advice::{self, Language};
use rebond::connection::Answer;
use rebond::oauth::{Invitation, Pending, authorization_url};
use rebond::table::{AccountItem, Authorization, AuthorizationOutcome, By, Claim, Sought};
use rebond::vault::signing_key;
use std::io::{BufRead, Read};
use std::process::ExitCode;
use url::Url;

/// Who acts, for log and audit.
const BY: By<'static> = By { function: "rebond connect", run: "by-hand" };

/// Which account, and which way.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("way").args(["device", "paste", "admin"]))]
pub struct ConnectArgs {
    /// Which account
    account: AccountId,
    /// Show a code to type on another device, and wait: for a terminal without a browser
    #[arg(long)]
    device: bool,
    /// Print the provider's own page and read the address that it ends at from standard input
    #[arg(long)]
    paste: bool,
    /// Print a link by which an administrator consents for the whole directory
    #[arg(long)]
    admin: bool,
}

pub(crate) async fn run(at: &Where, args: &ConnectArgs) -> anyhow::Result<ExitCode> {
    let (place, id) = (at.open().await?, &args.account);
    let item = account::find(&place, id).await?;
    let Some(app_id) = item.account.app() else {
        bail!("{id} is opened with a password: there is nothing to connect. Next: rebond poll {id}");
    };
    let app = app::whole(&place, app_id).await?;
    if args.admin {
        ask_for_consent(&place, &app).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if !item.account.needs_person() {
        bail!(
            "{id} is opened by app {app_id} itself: there is nobody to connect. Next: rebond poll {id} (and, when an \
             administrator must consent first: rebond connect {id} --admin)"
        );
    }
    match (args.device, args.paste) {
        (true, _) => by_device(&place, &item, &app, at.language()).await,
        (_, true) => by_paste(&place, &item, &app, at.language()).await,
        _ => by_invitation(at, &place, &item, &app).await,
    }
}

async fn by_invitation(at: &Where, place: &Place, item: &AccountItem, app: &App) -> anyhow::Result<ExitCode> {
    println!("{}", invitation(place, item, app).await?);
    eprintln!("\nOpen this link in a browser, or send it to whoever can sign in to {}.", item.account.mailbox);
    eprintln!("It is valid for 7 days, or until the account is connected.");
    if at.stack.is_none() && !is_served(app).await {
        eprintln!("Nothing answers there yet: run `rebond serve` first.");
    }
    Ok(ExitCode::SUCCESS)
}

async fn by_device(place: &Place, item: &AccountItem, app: &App, language: Language) -> anyhow::Result<ExitCode> {
    let connector = place.connector()?;
    let code = connector.grants.device_code(app, &item.account).await?;
    println!("Open  {}\nenter {}", code.page(), code.user_code());
    eprintln!(
        "\nSign in there as whoever can open {}, within {} minutes. Waiting …",
        item.account.mailbox,
        code.life().as_secs() / 60
    );
    let outcome = connector.by_device(item, app, &code, tokio::time::sleep, BY).await;
    tell(item, app, &outcome, language)
}

async fn by_paste(place: &Place, item: &AccountItem, app: &App, language: Language) -> anyhow::Result<ExitCode> {
    let (connector, id) = (place.connector()?, &item.account.id);
    let pending = Pending::new(&crate::machine::random()?);
    let key = signing_key(&*place.vault()).await?;
    let page = authorization_url(app, &item.account, &pending, &key)?;
    let sought = Sought::Account { account: id.clone(), connection: item.connection };
    let authorization = Authorization::new(sought, &pending, (connector.clock)());
    connector.table.start_authorization(&pending.id(), &authorization).await?;
    println!("{page}");
    eprintln!("\nOpen this page and sign in. The browser then ends at an address that begins with");
    eprintln!("{} – whatever it shows there. Paste that whole address here:", app.redirect_uri);
    let mut line = String::new();
    std::io::stdin().lock().take(rebond::limits::QUERY_BYTES as u64).read_line(&mut line)?;
    let pasted = read_pasted(line.trim(), app, &pending)?;
    if connector.table.claim_authorization(&pending.id(), (connector.clock)()).await? != Claim::Yours {
        bail!("this sign-in took too long: run the command again");
    }
    let answer = Answer::read(|name| first(&pasted, name));
    let outcome = connector.by_code(id, item.connection, &answer, &pending, BY).await;
    connector.table.end_authorization(&pending.id(), &outcome).await?;
    tell(item, app, &outcome, language)
}

/// The address that the provider sent the browser to, if it is of this very sign-in.
fn read_pasted(text: &str, app: &App, pending: &Pending) -> anyhow::Result<Url> {
    let Ok(url) = Url::parse(text) else {
        bail!("this is no address: copy the whole of it from the browser's address bar, from https: to its end");
    };
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    if bare.as_str() != Url::parse(&app.redirect_uri)?.as_str() {
        bail!("this address does not begin with {}: sign in to the end, then copy the address", app.redirect_uri);
    }
    if first(&url, "state").as_deref() != Some(pending.state()) {
        bail!("this address is of another sign-in than the one just printed: open the printed page once more");
    }
    Ok(url)
}

fn first(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// Says how it ended, as the result page does.
fn tell(item: &AccountItem, app: &App, outcome: &AuthorizationOutcome, language: Language) -> anyhow::Result<ExitCode> {
    let (id, who) = (&item.account.id, outcome.who.as_deref().unwrap_or_default());
    if outcome.connected {
        println!("{id} is connected as {who}. It is read from now on; at once: rebond poll {id}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{id} is not connected. Nothing of this sign-in was kept.");
    if let Some(advice) = outcome.advice.as_deref().and_then(advice::by_id) {
        account::print_advice(advice, language, id, &app.redirect_uri);
    }
    if let Some(said) = &outcome.said {
        println!("{} {said}", language.what_was_said());
    }
    Ok(ExitCode::from(3))
}

/// Prints the link for an administrator, and notes that the app's accounts wait for one.
pub(crate) async fn ask_for_consent(place: &Place, app: &App) -> anyhow::Result<()> {
    println!("{}", consent_link(place, app).await?);
    let waiting = place.connector()?.await_consent(app, BY).await?;
    eprintln!("\nSend this link to an administrator of the directory. It is valid for 7 days.");
    for item in waiting {
        eprintln!("{} waits for it.", item.account.id);
    }
    Ok(())
}

/// The link by which an administrator consents to an app.
pub async fn consent_link(place: &Place, app: &App) -> anyhow::Result<String> {
    app.check_admin_consent()?;
    let key = signing_key(&*place.vault()).await?;
    let text = Invitation::new(jiff::Timestamp::now()).sign_consent(&key, &app.id);
    let mut link = Url::parse(&app.redirect_uri).context("the app's redirect URI")?;
    link.set_path(&format!("/oauth/start/{}", app.id));
    link.query_pairs_mut().append_pair("consent", &text);
    Ok(link.into())
}

/// The link: the redirect URI's own origin serves the start, too.
pub async fn invitation(place: &Place, item: &AccountItem, app: &App) -> anyhow::Result<String> {
    let key = signing_key(&*place.vault()).await?;
    let id = &item.account.id;
    let text = Invitation::new(jiff::Timestamp::now()).sign(&key, id, item.connection);
    let mut link = Url::parse(&app.redirect_uri).context("the app's redirect URI")?;
    link.set_path(&format!("/oauth/start/{id}"));
    link.query_pairs_mut().append_pair("invitation", &text);
    Ok(link.into())
}

async fn is_served(app: &App) -> bool {
    let Some((host, port)) = Url::parse(&app.redirect_uri)
        .ok()
        .and_then(|uri| Some((uri.host_str()?.to_owned(), uri.port_or_known_default()?)))
    else {
        return false;
    };
    tokio::net::TcpStream::connect((host.as_str(), port)).await.is_ok()
}
