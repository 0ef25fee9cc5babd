//! `rebond endpoint add` and `set`.

use crate::endpoint::{check_signing_secret, find, put_secret};
use crate::place::Place;
use crate::{machine, secret_input};
use anyhow::bail;
use clap::{ArgGroup, Args, ValueEnum};
use rebond::account::{AccountId, EndpointId, ListId};
use rebond::events::{Arn, Destination, Endpoint, EventType, Shape, WebhookKey};
use rebond::limits;
use rebond::secret::{ExposeSecret, Secret};
use rebond::table::EndpointItem;
use std::path::PathBuf;
use url::Url;

const EXAMPLES: &str = "Examples:
  rebond endpoint add crm --webhook https://crm.example.com/hooks/rebond
  rebond endpoint add old --webhook https://crm.example.com/ses --shape ses
  rebond endpoint add queue --sqs arn:aws:sqs:eu-west-1:111122223333:bounces.fifo --type address.quarantined
  rebond endpoint add next --step-functions arn:aws:states:eu-west-1:111122223333:stateMachine:after-news
  rebond endpoint add ses --ses-suppression-list eu-west-1
  rebond endpoint add news --listmonk https://news.example.com --user rebond --secret-file token.txt

A stack on AWS tells only the queues, topics, buses and state machines that its parameters EventQueues, EventTopics,
EventBuses and StateMachines name, and the suppression list where SesSuppressionList says yes.";

/// Where events go. One of these.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("to").args(["webhook", "sqs", "sns", "eventbridge", "step_functions", "ses_suppression_list", "listmonk", "mautic"]))]
struct ToArgs {
    /// POST to this URL, signed by Standard Webhooks
    #[arg(long, value_name = "URL")]
    webhook: Option<Url>,
    /// A queue of Amazon SQS
    #[arg(long, value_name = "ARN")]
    sqs: Option<Arn>,
    /// A topic of Amazon SNS
    #[arg(long, value_name = "ARN")]
    sns: Option<Arn>,
    /// A bus of Amazon EventBridge
    #[arg(long, value_name = "ARN")]
    eventbridge: Option<Arn>,
    /// A state machine of AWS Step Functions: an execution is started for each event [default type: delivery.closed]
    #[arg(long, value_name = "ARN")]
    step_functions: Option<Arn>,
    /// The suppression list of Amazon SES in this region
    #[arg(long, value_name = "REGION")]
    ses_suppression_list: Option<String>,
    /// listmonk at this URL, which has bounce processing on
    #[arg(long, value_name = "URL", requires = "user")]
    listmonk: Option<Url>,
    /// Mautic at this URL, whose API takes HTTP Basic
    #[arg(long, value_name = "URL", requires = "user")]
    mautic: Option<Url>,
    /// The user of listmonk's or Mautic's API
    #[arg(long)]
    user: Option<String>,
}

/// What is told there.
#[derive(Debug, Args)]
struct WhatArgs {
    /// A title for people
    #[arg(long)]
    label: Option<String>,
    /// How events are written [default: cloudevents]
    #[arg(long, value_enum)]
    shape: Option<ShapeArg>,
    /// Tell this, as address.quarantined; may be given several times [default: all; delivery.closed for a state machine]
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    types: Vec<EventType>,
    /// Tell what is of this account; may be given several times [default: all]
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<AccountId>,
    /// Tell what is of this list; may be given several times [default: all]
    #[arg(long = "list", value_name = "LIST")]
    lists: Vec<ListId>,
    /// Read the secret from this file, - for standard input: a webhook's own whsec_…, listmonk's token, Mautic's password
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// A new endpoint.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AddArgs {
    /// A name for it: a-z, 0-9 and -
    id: EndpointId,
    #[command(flatten)]
    to: ToArgs,
    #[command(flatten)]
    what: WhatArgs,
}

/// A changed one.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Which endpoint
    id: EndpointId,
    #[command(flatten)]
    to: ToArgs,
    #[command(flatten)]
    what: WhatArgs,
    /// Tell everything: no types, accounts and lists are named any longer
    #[arg(long, conflicts_with_all = ["types", "accounts", "lists"])]
    everything: bool,
    /// Tell it nothing; what happens meanwhile is not kept for it
    #[arg(long, conflicts_with = "on")]
    off: bool,
    /// Tell it again
    #[arg(long)]
    on: bool,
}

/// Shapes on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShapeArg {
    /// CloudEvents 1.0
    Cloudevents,
    /// As Amazon SES tells bounces and complaints
    Ses,
}

fn kind(text: &str) -> Result<EventType, String> {
    let words: Vec<&str> = EventType::ALL.iter().map(|kind| kind.short()).collect();
    EventType::parse(text).ok_or_else(|| format!("one of {}", words.join(", ")))
}

impl ToArgs {
    fn destination(self) -> Option<Destination> {
        let user = self.user.unwrap_or_default();
        let one = self.webhook.map(|url| Destination::Webhook { url });
        one.or(self.sqs.map(|arn| Destination::Sqs { arn }))
            .or(self.sns.map(|arn| Destination::Sns { arn }))
            .or(self.eventbridge.map(|arn| Destination::Eventbridge { arn }))
            .or(self.step_functions.map(|arn| Destination::StepFunctions { arn }))
            .or(self.ses_suppression_list.map(|region| Destination::SesSuppressionList { region }))
            .or(self.listmonk.map(|url| Destination::Listmonk { url, user: user.clone() }))
            .or(self.mautic.map(|url| Destination::Mautic { url, user }))
    }
}

pub async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    if place.table().endpoints().await?.len() >= limits::ENDPOINTS {
        bail!("there are {} endpoints, and no more may be", limits::ENDPOINTS);
    }
    let Some(to) = args.to.destination() else {
        bail!("say where to: --webhook URL, --sqs ARN, …: see `rebond endpoint add --help`");
    };
    let secret_file = args.what.secret_file.clone();
    let mut endpoint = Endpoint {
        id: args.id,
        label: None,
        to,
        shape: Shape::default(),
        types: vec![],
        accounts: vec![],
        lists: vec![],
        enabled: true,
    };
    change(place, &mut endpoint, args.what).await?;
    let id = endpoint.id.clone();
    if place.table().endpoint(&id).await?.is_some() {
        bail!("there is an endpoint {id} already: `rebond endpoint set {id}` changes it");
    }
    let is_webhook = matches!(endpoint.to, Destination::Webhook { .. });
    let mut made = None;
    if endpoint.to.has_secret() {
        let secret = match (&secret_file, is_webhook) {
            (None, true) => WebhookKey::generate(&machine::random()?),
            (file, _) => secret_input::read("Secret of the endpoint", file.as_deref())?,
        };
        if is_webhook {
            check_signing_secret(&secret)?;
            made = secret_file.is_none().then(|| secret.clone());
        }
        // Before the endpoint: it is never there without its secret.
        put_secret(place, &id, &secret).await?;
    }
    let (to, place_of) = (endpoint.to.as_str(), endpoint.to.place());
    if !place.table().add_endpoint(&EndpointItem::new(endpoint, jiff::Timestamp::now())).await? {
        bail!("there is an endpoint {id} already: `rebond endpoint set {id}` changes it");
    }
    println!("Endpoint {id} is added: {to}, {place_of}");
    tell_secret(made.as_ref());
    println!("To try it: `rebond endpoint test {id}`");
    Ok(())
}

fn tell_secret(secret: Option<&Secret>) {
    if let Some(secret) = secret {
        println!("\nIts signing secret, for the receiver, shown this once:\n\n  {}\n", secret.expose_secret());
    }
}

pub async fn set(place: &Place, args: SetArgs) -> anyhow::Result<()> {
    let mut endpoint = find(place, &args.id).await?.settings;
    if let Some(to) = args.to.destination() {
        if to.as_str() != endpoint.to.as_str() {
            bail!("{} is a {}: another kind is another endpoint", args.id, endpoint.to.as_str());
        }
        endpoint.to = to;
    }
    if args.everything {
        (endpoint.types, endpoint.accounts, endpoint.lists) = (vec![], vec![], vec![]);
    }
    endpoint.enabled = (endpoint.enabled || args.on) && !args.off;
    let secret_file = args.what.secret_file.clone();
    change(place, &mut endpoint, args.what).await?;
    if let Some(file) = secret_file {
        if !endpoint.to.has_secret() {
            bail!("{} is spoken to with no secret", endpoint.id);
        }
        let secret = secret_input::read("Secret of the endpoint", Some(&file))?;
        if matches!(endpoint.to, Destination::Webhook { .. }) {
            check_signing_secret(&secret)?;
        }
        put_secret(place, &endpoint.id, &secret).await?;
    }
    if !place.table().set_endpoint(&endpoint, jiff::Timestamp::now()).await? {
        bail!("the endpoint {} was removed meanwhile", endpoint.id);
    }
    let tried = if endpoint.enabled { "What is kept for it is told now." } else { "It is told nothing." };
    println!("Endpoint {} is changed. {tried}", endpoint.id);
    Ok(())
}

async fn change(place: &Place, endpoint: &mut Endpoint, args: WhatArgs) -> anyhow::Result<()> {
    for account in &args.accounts {
        crate::account::must_be_a_source(place, account).await?;
    }
    for list in &args.lists {
        crate::list::find(place, list).await?;
    }
    endpoint.label = args.label.or(endpoint.label.take());
    match args.shape {
        Some(ShapeArg::Cloudevents) => endpoint.shape = Shape::Cloudevents,
        Some(ShapeArg::Ses) => endpoint.shape = Shape::Ses,
        None => {}
    }
    if !args.types.is_empty() {
        endpoint.types = args.types;
    }
    if !args.accounts.is_empty() {
        endpoint.accounts = args.accounts;
    }
    if !args.lists.is_empty() {
        endpoint.lists = args.lists;
    }
    Ok(endpoint.check()?)
}
