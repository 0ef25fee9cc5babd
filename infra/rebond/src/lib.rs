//! `rebond`: the functions of Rebond in one process on one machine, and the operator's commands.

#![allow(clippy::print_stderr, reason = "saying what went wrong is what a command is for")]

// First: what follows prints by its macros.
#[macro_use]
mod out;

mod account;
mod address;
mod app;
mod ask;
mod audit;
pub mod connect;
mod credential;
mod csv;
mod delivery;
mod demo;
mod doctor;
pub mod embedded;
mod endpoint;
mod endpoint_add;
mod erase;
mod events;
mod forget;
mod from_file;
mod incident;
mod instance;
mod key;
pub mod kit;
mod lint;
mod list;
pub mod machine;
pub mod place;
mod poll;
mod quote;
mod read;
mod refresh;
mod registration;
mod replay;
mod reports;
mod route;
mod rules;
mod secret_input;
pub mod serve;
mod stamp;
mod terminal;
mod token;
mod transfer;

use clap::{Parser, Subcommand};
use rebond::account::AccountId;
use rebond::standing::Deed;
use std::process::ExitCode;

const EXAMPLES: &str = "Examples:
  rebond demo                      see the whole story, with no account
  rebond serve                     run on this machine: pages and schedules
  rebond app add m365 --tenant example.com --client-id GUID
  rebond account add bounces --mailbox bounces@example.com --app m365
  rebond connect bounces           print the link that connects it
  rebond poll bounces              read it now
  rebond doctor bounces            say why it does not answer, and who must act
  rebond kit bounces               print what an Exchange administrator must run for it
  rebond reports bounces           see what came back, and why
  rebond check jane@example.org    ask whether an address may be written to
  rebond poll bounces --stack NAME the same for a stack on AWS

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the mailbox or its grant needs
somebody, 4 another process is at it, 5 an address may not be written to, 6 it
passes by itself and is tried again.";

/// Connects a mailbox once and turns returned mail into facts: which address is dead, and why.
#[derive(Debug, Parser)]
#[command(name = "rebond", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    at: place::Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the whole story on loopback with stand-ins
    #[command(after_help = "Examples:
  rebond demo
  rebond demo --once
  rebond demo --once --json")]
    Demo(demo::DemoArgs),
    /// Run the functions on this machine
    #[command(after_help = "Examples:
  rebond serve
  rebond serve --dir /var/lib/rebond")]
    Serve,
    /// Registrations at the identity provider
    #[command(subcommand)]
    App(app::AppCommand),
    /// Mailboxes
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Connect an account: by a link (the default), by a code on another device, or by an administrator's consent
    #[command(after_help = "Examples:
  rebond connect bounces
  rebond connect bounces --device
  rebond connect bounces --paste
  rebond connect bounces --admin
  rebond connect bounces --stack rebond")]
    Connect(connect::ConnectArgs),
    /// Read one mailbox now
    #[command(after_help = "Examples:
  rebond poll bounces
  rebond poll bounces --json
  rebond poll bounces --language fr
  rebond poll bounces --stack rebond")]
    Poll {
        /// Which account
        account: AccountId,
        /// What was done as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say why a mailbox does not answer, who must act, and the exact step
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::DoctorArgs),
    /// Renew the grant of one account now
    #[command(after_help = "Examples:
  rebond refresh bounces
  rebond refresh bounces --stack rebond")]
    Refresh {
        /// Which account
        account: AccountId,
    },
    /// Show what is in an account's access token, beside what is wanted; never the token
    #[command(after_help = "Examples:
  rebond token bounces
  rebond token bounces --json")]
    Token(token::TokenArgs),
    /// Delete our copy of an account's grant, and say what an administrator must do
    #[command(after_help = "Examples:\n  rebond forget bounces")]
    Forget {
        /// Which account
        account: AccountId,
    },
    /// Show who connected an account, when its grant was renewed, what failed; of no account, what was undone and erased
    #[command(after_help = "Examples:
  rebond audit bounces
  rebond audit bounces --limit 10 --json
  rebond audit                             # what was decided, undone and erased")]
    Audit(audit::AuditArgs),
    /// Say what is wrong with a registration before Entra does
    #[command(after_help = "Examples:
  rebond lint m365
  rebond lint m365 --manifest app.json
  rebond lint --scopes \"openid https://outlook.office.com/IMAP.AccessAsUser.All\"")]
    Lint(lint::LintArgs),
    /// Print the script that an Exchange administrator runs for an account
    #[command(after_help = "Examples:
  rebond kit bounces > exchange.ps1
  rebond kit bounces --az
  rebond kit bounces --person alex@example.com")]
    Kit(Box<kit::KitArgs>),
    /// Say what messages in files mean
    Read(read::ReadArgs),
    /// Show the facts of one account
    #[command(after_help = "Examples:
  rebond reports bounces
  rebond reports bounces --days 7 --limit 20
  rebond reports bounces --all --json")]
    Reports(reports::ReportsArgs),
    /// Streams of mail, and what their standings ask for
    #[command(subcommand)]
    List(list::ListCommand),
    /// Say whether addresses may be written to, and why not
    #[command(after_help = "Examples:
  rebond check jane@example.org
  rebond check --list news --json jane@example.org joe@example.net
  rebond check - < addresses.txt")]
    Check(address::CheckArgs),
    /// Show all that is on record of one address
    #[command(after_help = "Examples:
  rebond address jane@example.org
  rebond address jane@example.org --json")]
    Address(address::AddressArgs),
    /// Let addresses be written to again: what is on record until now counts no longer
    #[command(after_help = "Examples:
  rebond release jane@example.org --why \"she wrote that it works again\"
  rebond release --list news - < addresses.txt")]
    Release(address::DecideArgs),
    /// Write to addresses no more: they asked for it
    #[command(after_help = "Examples:\n  rebond deny jane@example.org --why \"asked for it by telephone\"")]
    Deny(address::DecideArgs),
    /// Write to addresses no more: they do not work
    #[command(after_help = "Examples:\n  rebond quarantine jane@example.org joe@example.net --list news")]
    Quarantine(address::DecideArgs),
    /// Receivers of events: webhooks, queues, topics, buses, suppression lists
    #[command(subcommand)]
    Endpoint(Box<endpoint::EndpointCommand>),
    /// What endpoints are told, and what they could not be told
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Make return addresses whose bounces prove themselves
    #[command(
        after_help = "Examples:\n  rebond stamp jane@example.org --from returns@example.com --list news\n  rebond stamp - --from returns@example.com --list news < recipients.txt > senders.txt"
    )]
    Stamp(stamp::StampArgs),
    /// Destinations that suddenly refused many addresses, and what you decide about them
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Ways on which other systems send mail, and what goes on when a delivery is over
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// What senders told of their mail, and what came back of it
    #[command(subcommand)]
    Delivery(delivery::DeliveryCommand),
    /// Take refusals of one destination and time back; first they are counted
    #[command(after_help = "Examples:
  rebond undo --domain example.org --since 2026-03-01
  rebond undo --domain example.org --since 2026-03-01T08:00:00Z --text \"relay denied\" --yes")]
    Undo(incident::UndoArgs),
    /// Texts that no rule knows, and what you say they mean
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Other deployments that reports are drawn from, and what is archived
    #[command(subcommand)]
    Instance(Box<instance::InstanceCommand>),
    /// Read kept mail again under the rules of today; reports that say something else are recorded anew
    #[command(after_help = replay::HELP)]
    Replay(replay::ReplayArgs),
    /// Erase a person from everything that was recorded; first it is counted
    #[command(after_help = "Examples:
  rebond erase jane@example.org              # only counted
  rebond erase jane@example.org --yes")]
    Erase(erase::EraseArgs),
    /// Keys for other systems that ask and decide over HTTP
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Write standings into a file
    #[command(after_help = "Examples:
  rebond export standings.csv
  rebond export news.jsonl --list news --all")]
    Export(transfer::ExportArgs),
    /// Deny or quarantine the addresses in a file
    #[command(after_help = "Examples:
  rebond import suppressed.csv
  rebond import unsubscribed.csv --list news --state denied")]
    Import(transfer::ImportArgs),
}

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    let line = match from_file::expanded::<Cli>(std::env::args_os().collect()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("rebond: {error:#}");
            return ExitCode::from(2);
        }
    };
    let cli = Cli::parse_from(line);
    let done = match cli.command {
        Command::Demo(args) => demo::run(&args).await,
        Command::Serve => serve::run(&cli.at).await,
        Command::App(command) => app::run(&cli.at, command).await,
        Command::Account(command) => account::run(&cli.at, command).await,
        Command::Connect(args) => connect::run(&cli.at, &args).await,
        Command::Poll { account, json } => poll::run(&cli.at, &account, json).await,
        Command::Doctor(args) => doctor::run(&cli.at, &args).await,
        Command::Refresh { account } => refresh::run(&cli.at, &account).await,
        Command::Token(args) => token::run(&cli.at, &args).await,
        Command::Forget { account } => forget::run(&cli.at, &account).await,
        Command::Audit(args) => audit::run(&cli.at, &args).await,
        Command::Lint(args) => lint::run(&cli.at, &args).await,
        Command::Kit(args) => kit::run(&cli.at, *args).await,
        Command::Read(args) => read::run(args),
        Command::Reports(args) => reports::run(&cli.at, &args).await,
        Command::List(command) => list::run(&cli.at, command).await,
        Command::Check(args) => address::check(&cli.at, &args).await,
        Command::Address(args) => address::show(&cli.at, &args).await,
        Command::Release(args) => address::decide(&cli.at, Deed::Released, &args).await,
        Command::Deny(args) => address::decide(&cli.at, Deed::Denied, &args).await,
        Command::Quarantine(args) => address::decide(&cli.at, Deed::Quarantined, &args).await,
        Command::Endpoint(command) => endpoint::run(&cli.at, *command).await,
        Command::Events(command) => events::run(&cli.at, command).await,
        Command::Stamp(args) => stamp::run(&cli.at, &args).await,
        Command::Incident(command) => incident::run(&cli.at, command).await,
        Command::Route(command) => route::run(&cli.at, command).await,
        Command::Delivery(command) => delivery::run(&cli.at, command).await,
        Command::Undo(args) => incident::take_back(&cli.at, &args).await,
        Command::Rules(command) => rules::run(&cli.at, command).await,
        Command::Instance(command) => instance::run(&cli.at, *command).await,
        Command::Replay(args) => replay::run(&cli.at, &args).await,
        Command::Erase(args) => erase::run(&cli.at, &args).await,
        Command::Key(command) => key::run(&cli.at, command).await,
        Command::Export(args) => transfer::export(&cli.at, &args).await,
        Command::Import(args) => transfer::import(&cli.at, &args).await,
    };
    done.unwrap_or_else(|error| {
        if let Some(usage) = error.downcast_ref::<clap::Error>() {
            usage.exit();
        }
        eprintln!("rebond: {error:#}");
        ExitCode::FAILURE
    })
}

/// Log lines for whoever runs `serve`: on standard error, in colour only on a terminal.
fn log_to_stderr() {
    use std::io::{IsTerminal, stderr};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let _ = tracing_subscriber::registry().with(lines).with(rebond::telemetry::wanted()).try_init();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rebond::advice;

    /// What stands between back quotes and begins with our name.
    fn commands(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("rebond "))
    }

    #[test]
    fn every_command_that_an_advice_names_exists() {
        let mut seen = 0;
        for row in advice::all() {
            for text in [row.means.en, row.means.fr, row.step.en, row.step.fr] {
                for command in commands(text) {
                    let typed =
                        command.replace("{account}", "bounces").replace("APP", "m365").replace("ID", "example.com");
                    let words = typed.split(' ').chain(typed.contains("app add").then_some("--client-id=x"));
                    let parsed = Cli::try_parse_from(words);
                    assert!(parsed.is_ok(), "{}: {command}: {}", row.id, parsed.unwrap_err());
                    seen += 1;
                }
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn every_way_in_can_be_typed_and_no_two_at_once() {
        for (line, good) in [
            ("connect box", true),
            ("connect box --device", true),
            ("connect box --paste", true),
            ("connect box --admin", true),
            ("connect box --device --paste", false),
            ("app consent m365", true),
            ("account add box --mailbox a@example.com --app m365 --app-only", true),
            ("account add box --mailbox a@example.com --password --app-only", false),
            ("account set box --app m365 --app-only", true),
            ("account set box --app m365", true),
            ("account set box --password --user a", true),
            ("account set box --password --app m365", false),
            ("account set box --on", true),
            ("account set box --off --period 600 --folder INBOX --folder Junk", true),
            ("account set box --on --off", false),
            ("account set box --session-messages none --session-timeout 60", true),
            ("account add box --mailbox a --app m365 --on", false),
            // Asked for at a terminal; elsewhere refused with the exit code of wrong usage.
            ("account set box", true),
            ("app add", true),
            ("account add", true),
            ("app add a --tenant example.com --client-id x --certificate c.pem --secret-file k.pem", true),
            ("app add a --tenant example.com --client-id x --federated", true),
            ("app add a --tenant example.com --client-id x --federated --secret-file s", false),
            ("app add a --tenant example.com --client-id x --secret-env S --secret-ends 2027-01-31", true),
            ("app add a --tenant example.com --client-id x --secret-arn arn:x --secret-env S", false),
            ("app add a --provider google --client-id x", true),
            ("app secret a --certificate c.pem", true),
            ("app secret a --certificate c.pem --kms-key arn:x", true),
            ("app secret a --kms-key arn:x", false),
            ("app secret a --certificate c.pem --kms-key arn:x --secret-file s", false),
        ] {
            let parsed = Cli::try_parse_from(["rebond"].into_iter().chain(line.split(' ')));
            assert_eq!(parsed.is_ok(), good, "{line}: {:?}", parsed.err().map(|error| error.to_string()));
        }
    }

    /// The words of a line: what stands between quotation marks is one.
    fn words(line: &str) -> Vec<&str> {
        let pieces = line.split('"').enumerate().map(|(number, piece)| match number % 2 {
            0 => piece.split_whitespace().collect(),
            _ => vec![piece],
        });
        pieces.collect::<Vec<_>>().concat()
    }

    /// Whole lines of a document's indented or fenced blocks that begin with our name, without comment and redirection.
    fn typed(document: &str) -> Vec<String> {
        let bare = |line: &str| {
            let line = line.split(" #").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
            line.trim().trim_end_matches('&').trim().to_owned()
        };
        let lines = document.lines().map(str::trim).filter(|line| line.starts_with("rebond ")).map(bare);
        // A line that goes on is not whole.
        lines.filter(|line| !line.ends_with('\\')).collect()
    }

    /// Every command that has none of its own, with the words before its arguments.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        if !command.has_subcommands() {
            found.push((path.to_owned(), command.clone()));
        }
        for of_it in command.get_subcommands().filter(|of_it| of_it.get_name() != "help") {
            leaves(of_it, &format!("{path} {}", of_it.get_name()), found);
        }
    }

    #[test]
    fn every_command_has_an_example_that_can_be_typed() {
        let mut found = Vec::new();
        let mut all = <Cli as clap::CommandFactory>::command();
        all.build();
        leaves(&all, "rebond", &mut found);
        assert!(found.len() > 60, "{}", found.len());
        let mut wrong = Vec::new();
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.split_once("Examples:\n").map_or("", |(_, examples)| examples);
            let of_it = |line: &&str| line.trim_start().strip_prefix(&path).is_some_and(|rest| !rest.starts_with('-'));
            if !examples.lines().any(|line| of_it(&line)) {
                wrong.push(format!("{path} has no example"));
            }
            for line in typed(examples) {
                let bare =
                    [" | ", " || ", " < "].iter().fold(line.as_str(), |line, end| line.split(end).next().unwrap());
                if let Err(error) = Cli::try_parse_from(words(bare)) {
                    wrong.push(format!("{path}: {line}: {error}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_command_that_the_documents_name_exists() {
        let mut seen = 0;
        for (name, text) in [
            ("README.md", include_str!("../../../README.md")),
            ("docs/connect-microsoft-365.md", include_str!("../../../docs/connect-microsoft-365.md")),
            ("docs/doctor.md", include_str!("../../../docs/doctor.md")),
            ("docs/suppression.md", include_str!("../../../docs/suppression.md")),
            ("docs/events.md", include_str!("../../../docs/events.md")),
            ("docs/api.md", include_str!("../../../docs/api.md")),
            ("docs/instances.md", include_str!("../../../docs/instances.md")),
            ("docs/replay.md", include_str!("../../../docs/replay.md")),
        ] {
            for line in typed(text) {
                let line = line.replace('…', "x").replace("seen|move=FOLDER|delete", "seen");
                let parsed = Cli::try_parse_from(words(&line));
                assert!(parsed.is_ok(), "{name}: {line}: {}", parsed.unwrap_err());
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen}");
    }
}
