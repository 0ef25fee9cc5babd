//! `rebond doctor`: why a mailbox does not answer, who must act, and the exact step.

use crate::account;
use crate::place::{Place, Where, invoke};
use crate::terminal;
use anyhow::Context;
use clap::Args;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, Table, Width};
use rebond::account::AccountId;
use rebond::advice::{self, Advice, Language, Who};
use rebond::doctor::{Climbed, Examination, Verdict};
use rebond::mailbox::Rung;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

pub const HELP: &str = "It climbs by the very steps of a poll, and stops at the first rung that does not hold:
  settings, DNS, TCP, TLS, greeting, capabilities (before and after STARTTLS), token or
  password, authentication, mailbox, count, one message
Where the account forwards mail, it then climbs to the forwarding server, as far as the login.
No mail is sent, moved or deleted; no cursor or health is changed. (By POP3 some servers, such
as Dovecot, mark the one message as read.) Of a token its claims are shown, never the token.
With --stack NAME the deployed function climbs: what is shown is what it can reach.

Examples:
  rebond doctor bounces
  rebond doctor bounces --json | jq -r .diagnosis.advice
                                    the diagnosis by its name; docs/doctor.md lists them
  rebond doctor bounces --language fr
  rebond doctor bounces || echo \"somebody must look at it\"

Exit codes: 0 the mailbox can be read, and what is forwarded can be handed over (warnings
included), 3 somebody must act, 6 it passes by itself and is tried again, 1 the doctor itself
failed, 2 wrong usage.";

/// Which account, and how it is told.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Which account
    account: AccountId,
    /// What was found as one JSON object
    #[arg(long)]
    json: bool,
    /// The longest time for all of it
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=240))]
    within: u16,
}

pub async fn run(at: &Where, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let item = account::find(&place, &args.account).await?;
    let found: Examination = match &place {
        Place::Machine(machine) => {
            let deadline = Instant::now() + Duration::from_secs(args.within.into());
            machine.poller().examine(&args.account, deadline).await?
        }
        Place::Stack(stack) => {
            let event = serde_json::json!({ "doctor": args.account, "seconds": args.within });
            invoke(stack, "bounce-poll", &event).await?
        }
    };
    let redirect_uri = account::redirect_uri(&place, &item.account).await?;
    if args.json {
        println!("{}", serde_json::to_string(&found)?);
    } else {
        tell(&found, at.language(), &redirect_uri)?;
    }
    exit_code(&found)
}

fn exit_code(found: &Examination) -> anyhow::Result<ExitCode> {
    let Some(diagnosis) = &found.diagnosis else { return Ok(ExitCode::SUCCESS) };
    let passes = row(&diagnosis.advice)?.who == Who::Nobody;
    Ok(ExitCode::from(if passes { 6 } else { 3 }))
}

/// The row of an advice; a newer stack may know one that this command does not.
fn row(id: &str) -> anyhow::Result<&'static Advice> {
    advice::by_id(id).with_context(|| format!("this version does not know the diagnosis {id:?}: take a newer rebond"))
}

fn tell(found: &Examination, language: Language, redirect_uri: &str) -> anyhow::Result<()> {
    let words = &Words::of(language);
    let mut rungs = terminal::table(&["", words.rung, "ms", words.said]);
    for climbed in &found.rungs {
        rungs.add_row([
            mark(climbed, words),
            Cell::new(name(climbed.rung, climbed.forwarding, language)),
            took(climbed),
            Cell::new(&climbed.said),
        ]);
    }
    println!("{}", rungs.trim_fmt());
    let account = found.account.as_str();
    for climbed in &found.rungs {
        let Some(id) = &climbed.warning else { continue };
        let sentence = row(id)?.sentence(language, account, redirect_uri);
        let label = format!("{} ({})", words.warning, name(climbed.rung, climbed.forwarding, language));
        println!("\n{}", lines(&[(&label, &sentence)]).trim_fmt());
    }
    let Some(diagnosis) = &found.diagnosis else {
        let forwards = found.rungs.iter().any(|climbed| climbed.forwarding);
        println!("\n{}", if forwards { words.well_forwarding } else { words.well });
        return Ok(());
    };
    if diagnosis.forwarding {
        println!("\n{}", words.read);
    }
    let advice = row(&diagnosis.advice)?;
    let (means, step) = advice.parts(language, account, redirect_uri);
    let who = advice.who.words(language);
    let rows = [(words.means, &means[..]), (words.who, who), (words.step, &step), (words.id, advice.id)];
    println!("\n{}", lines(&rows).trim_fmt());
    Ok(())
}

fn mark(climbed: &Climbed, words: &Words) -> Cell {
    match climbed.verdict {
        Verdict::Good => Cell::new("ok").fg(Color::Green),
        Verdict::Warning => Cell::new(words.warn).fg(Color::Yellow),
        Verdict::Broken => Cell::new(words.broken).fg(Color::Red).add_attribute(Attribute::Bold),
    }
}

fn took(climbed: &Climbed) -> Cell {
    Cell::new(climbed.milliseconds).set_alignment(comfy_table::CellAlignment::Right)
}

/// Labels in bold beside their texts, which are wrapped.
fn lines(rows: &[(&str, &str)]) -> Table {
    let mut table = terminal::table(&[]);
    for (label, text) in rows {
        table.add_row([Cell::new(label).add_attribute(Attribute::Bold), Cell::new(text)]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(14)));
    }
    table
}

/// A rung's name for people; of the forwarding server it says so.
fn name(rung: Rung, forwarding: bool, language: Language) -> String {
    let (en, fr) = match rung {
        Rung::Settings => ("settings", "réglages"),
        Rung::Dns => ("DNS", "DNS"),
        Rung::Tcp => ("TCP", "TCP"),
        Rung::Tls => ("TLS", "TLS"),
        Rung::Greeting => ("greeting", "accueil"),
        Rung::CapabilitiesBefore if forwarding => ("EHLO before TLS", "EHLO avant TLS"),
        Rung::Capabilities if forwarding => ("EHLO", "EHLO"),
        Rung::CapabilitiesBefore => ("capabilities before TLS", "capacités avant TLS"),
        Rung::Capabilities => ("capabilities", "capacités"),
        Rung::Token => ("token or password", "jeton ou mot de passe"),
        Rung::Authentication => ("authentication", "authentification"),
        Rung::Mailbox => ("mailbox", "boîte"),
        Rung::Count => ("count", "compte"),
        Rung::Message => ("one message", "un message"),
    };
    match (language, forwarding) {
        (Language::English, false) => en.to_owned(),
        (Language::English, true) => format!("forwarding: {en}"),
        (Language::French, false) => fr.to_owned(),
        (Language::French, true) => format!("transfert\u{a0}: {fr}"),
    }
}

/// What stands around the advice.
struct Words {
    rung: &'static str,
    said: &'static str,
    warn: &'static str,
    broken: &'static str,
    warning: &'static str,
    well: &'static str,
    well_forwarding: &'static str,
    read: &'static str,
    means: &'static str,
    who: &'static str,
    step: &'static str,
    id: &'static str,
}

impl Words {
    fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                rung: "rung",
                said: "what was found or said",
                warn: "warn",
                broken: "BROKEN",
                warning: "Warning",
                well: "The mailbox can be read. Nothing was moved, deleted or recorded.",
                well_forwarding: "The mailbox can be read, and the forwarding server lets us in. Nothing was sent or recorded.",
                read: "The mailbox can be read. What is forwarded cannot be handed over:",
                means: "It means",
                who: "Who must act",
                step: "What to do",
                id: "Its name",
            },
            Language::French => Self {
                rung: "échelon",
                said: "ce qui a été trouvé ou dit",
                warn: "alerte",
                broken: "ROMPU",
                warning: "Attention",
                well: "La boîte peut être relevée. Rien n’a été déplacé, supprimé ni enregistré.",
                well_forwarding: "La boîte peut être relevée, et le serveur de transfert nous laisse entrer. Rien n’a été \
                                  envoyé ni enregistré.",
                read: "La boîte peut être relevée. Ce qui est à transférer ne peut être remis\u{a0}:",
                means: "Signification",
                who: "Qui doit agir",
                step: "Que faire",
                id: "Son nom",
            },
        }
    }
}
