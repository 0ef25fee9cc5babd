//! `rebond demo`: the whole story on loopback, with no account anywhere.

use crate::embedded::Durability;
use crate::machine::Machine;
use crate::place::Place;
use crate::{connect, serve, terminal};
use anyhow::{Context, ensure};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rebond::account::{
    Account, AccountId, AfterReading, App, Authentication, Encryption, HealthState, Protocol, Purpose, Server, Since,
};
use rebond::net::Reach;
use rebond::poll::Summary;
use rebond::report::Kind;
use rebond::table::{AccountItem, Fact};
use rebond::vault::Name;
use rebond_standin::{Entra, ImapServer, ImapSettings, Person, demo_mail};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

const MAILBOX: &str = "bounces@example.org";

/// How the demo is played.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A scripted person signs in; the demo ends by itself, and well only if every step happened
    #[arg(long)]
    once: bool,
    /// One JSON object on one line in place of the story (with --once)
    #[arg(long, requires = "once")]
    json: bool,
}

/// Everything on the stage.
struct Stage {
    machine: Machine,
    entra: Entra,
    /// Kept so that it goes on listening.
    _imap: ImapServer,
    account: AccountId,
    link: String,
    password: String,
    messages: usize,
    _dir: tempfile::TempDir,
}

pub async fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let stage = Stage::set().await?;
    match args.once {
        true => play(&stage, args.json).await?,
        false => show(&stage).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let listener = serve::listen("127.0.0.1:0").await?;
        let redirect_uri = format!("http://localhost:{}/oauth/callback", listener.local_addr()?.port());
        let settings = rebond_standin::Settings::demo(&redirect_uri);
        let registered = settings.apps.first().context("the stand-in's app")?.clone();
        let password = settings.users.first().context("the stand-in's person")?.password.clone();
        let tenant = registered.home.clone();
        let entra = Entra::start(settings).await?;
        let imap = ImapServer::start(ImapSettings::new(entra.gate())).await?;
        let mail = demo_mail();
        for (number, message) in mail.iter().enumerate() {
            let ago = SignedDuration::from_mins(7 * i64::try_from(mail.len() - number)?);
            imap.deliver(MAILBOX, "INBOX", message.to_vec(), Timestamp::now().checked_sub(ago)?);
        }
        let dir = tempfile::tempdir()?;
        let reach = Reach::public().with_loopback();
        let machine = Machine::with(dir.path(), Durability::Normal, reach, Some(imap.ca_pem().as_bytes())).await?;
        let app = App::entra("stand-in".parse()?, tenant.parse()?, registered.client_id.clone(), redirect_uri);
        let app = App { authority: Some(entra.url().to_owned()), ..app };
        let secret = registered.secrets.first().context("the stand-in's secret")?.value.clone();
        machine.vault.put(&Name::App(app.id.clone()), uuid::Uuid::nil(), &secret.into()).await?;
        machine.table.add_app(&app).await?;
        let item = AccountItem::new(account(&app, imap.tls_port())?, Timestamp::now());
        machine.table.add_account(&item).await?;
        let link = connect::invitation(&Place::Machine(Box::new(machine.clone())), &item, &app).await?;
        let pages = serve::pages(&machine);
        tokio::spawn(async move { axum::serve(listener, pages).await });
        let account = item.account.id;
        Ok(Self { machine, entra, _imap: imap, account, link, password, messages: mail.len(), _dir: dir })
    }

    async fn poll(&self) -> anyhow::Result<Summary> {
        let bar = terminal::Bar::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        let summary = self.machine.poller().poll(&self.account, "demo", deadline, &bar).await?;
        bar.finish();
        Ok(summary)
    }

    async fn item(&self) -> anyhow::Result<AccountItem> {
        self.machine.table.account(&self.account).await?.context("the demo's account")
    }

    async fn facts(&self) -> anyhow::Result<Vec<Fact>> {
        let mut facts = self.machine.table.facts(&self.account, Timestamp::UNIX_EPOCH, 1_000).await?;
        facts.reverse();
        Ok(facts)
    }
}

fn account(app: &App, port: u16) -> anyhow::Result<Account> {
    Ok(Account {
        id: "demo".parse()?,
        label: None,
        enabled: true,
        purpose: Purpose::Bounce,
        protocol: Protocol::Imap,
        server: Server { host: "localhost".into(), port, encryption: Encryption::Tls },
        mailbox: MAILBOX.into(),
        authentication: Authentication::OauthUser { app: app.id.clone() },
        folders: vec!["INBOX".into()],
        since: Since::default(),
        reports: AfterReading::Leave,
        others: AfterReading::Leave,
        period_seconds: Account::PERIOD_SECONDS,
        limits: Default::default(),
        sends_as: vec!["example.org".into()],
        forwarding: None,
    })
}

/// With a person at the browser.
async fn show(stage: &Stage) -> anyhow::Result<()> {
    println!(
        "A stand-in identity provider and a stand-in mailbox with {} messages are running on this machine.",
        stage.messages
    );
    println!("\nOpen this link, sign in, and accept:\n\n    {}\n", stage.link);
    println!("    sign in as  {MAILBOX}\n    password    {}\n", stage.password);
    println!("Waiting for the mailbox to be connected … (Ctrl-C ends the demo)");
    while stage.item().await?.health.state != HealthState::Active {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    println!("\nConnected. The first poll runs:\n");
    let summary = stage.poll().await?;
    println!("{}", terminal::outcomes(&stage.facts().await?));
    println!(
        "\n{} messages read, {} of them reports. The page can still be reloaded; Ctrl-C ends the demo.",
        summary.messages, summary.reports
    );
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// With a scripted person: real redirects, cookies and forms.
async fn play(stage: &Stage, json: bool) -> anyhow::Result<()> {
    let person = Person { upn: MAILBOX.into(), password: stage.password.clone(), consents: true };
    let walk = person.walk(&stage.link).await?;
    ensure!(
        walk.url.contains("/oauth/done") && walk.status == 200,
        "the sign-in ended on a page that says: {}",
        walk.text
    );
    let connected = stage.item().await?;
    ensure!(connected.health.state == HealthState::Active, "the account is {}", connected.health.state.as_str());
    let first = stage.poll().await?;
    let all = stage.messages as u64;
    ensure!(first.messages == all && first.recorded == all, "{} of {all} messages were recorded", first.recorded);
    let renewed = stage.machine.token_refresh().run(Some(&stage.account), "demo", Timestamp::now()).await?;
    let moved = stage.item().await?.generation == connected.generation + 1;
    let asked = stage.entra.log().iter().filter(|call| call.grant_type == "refresh_token").count();
    ensure!(renewed.renewed == 1 && moved && asked == 1, "the grant was not renewed exactly once");
    let again = stage.poll().await?;
    ensure!(
        again.recorded == 0 && again.health.is_some_and(|h| h.state == HealthState::Active),
        "the second poll found news"
    );
    let facts = stage.facts().await?;
    ensure!(facts.len() as u64 == all, "{} facts of {all} messages", facts.len());
    match json {
        true => println!("{}", story(&facts, &first)),
        false => {
            println!("{}\n\nConnected, read, renewed and read again: every step happened.", terminal::outcomes(&facts))
        }
    }
    Ok(())
}

fn story(facts: &[Fact], first: &Summary) -> serde_json::Value {
    let outcomes: Vec<_> = facts
        .iter()
        .flat_map(|fact| &fact.report.recipients)
        .map(|outcome| {
            serde_json::json!({
                "address": outcome.address, "reason": outcome.reason, "hard": outcome.hard,
                "status": outcome.status, "action": outcome.action,
            })
        })
        .collect();
    let reports = facts.iter().filter(|fact| fact.kind != Kind::Other).count();
    serde_json::json!({
        "connected": true, "refreshed": true, "messages": first.messages, "reports": reports, "outcomes": outcomes,
    })
}
