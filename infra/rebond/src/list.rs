//! `rebond list`: streams of mail, with the numbers that decide who may be written to.

use crate::place::{Place, Where};
use crate::terminal;
use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use rebond::account::{AccountId, ListId};
use rebond::proof::Level;
use rebond::standing::List;
use std::process::ExitCode;

/// What to do with lists.
#[derive(Debug, Subcommand)]
pub enum ListCommand {
    /// Name a stream of mail
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Change what a list asks for; what is not named stays
    #[command(after_help = EXAMPLES)]
    Set(AddArgs),
    /// Show one list
    #[command(after_help = "Examples:
  rebond list show news
  rebond list show news --json")]
    Show {
        /// Which list
        id: ListId,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show all lists
    #[command(name = "list")]
    #[command(after_help = "Examples:
  rebond list list
  rebond list list --json")]
    All {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a list; what is on record on it stays, and is read no more
    #[command(after_help = "Examples:\n  rebond list remove news")]
    Remove {
        /// Which list
        id: ListId,
    },
}

const EXAMPLES: &str = "Examples:
  rebond list add news --label \"The newsletter\" --account bounces
  rebond list set news --proof signed
  rebond list set default --soft-errors 3 --mailbox-full 14d

`default` is always there: it holds what belongs to no other list.";

/// The settings of a list.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A name for it: a-z, 0-9 and -
    id: ListId,
    /// A title for people
    #[arg(long)]
    label: Option<String>,
    /// What a bounce must prove to count [default: ours]
    #[arg(long, value_enum)]
    proof: Option<LevelArg>,
    /// An account whose bounces belong to it; may be given several times, and replaces those named before
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<AccountId>,
    /// Name no account any longer
    #[arg(long, conflicts_with = "accounts")]
    no_accounts: bool,
    /// Soft errors an address may have; one more, and it is quarantined [default: 5]
    #[arg(long, value_name = "N")]
    soft_errors: Option<u32>,
    /// Errors nearer than this to the last counted one are not counted [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    apart: Option<i64>,
    /// When the last counted error is older than this, the count starts anew [default: 10d]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    forgotten: Option<i64>,
    /// An address quarantined for a full mailbox leaves so long after its last error [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    mailbox_full: Option<i64>,
    /// How old the mail may be that a signed address proves a bounce of [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    proof_age: Option<i64>,
}

/// Levels of proof on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LevelArg {
    /// Nothing: whoever can send to the mailbox can suppress anybody
    None,
    /// The returned message is of a domain that the account sends as
    Ours,
    /// It came back to an address that `rebond stamp` made
    Signed,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::None => Self::None,
            LevelArg::Ours => Self::Ours,
            LevelArg::Signed => Self::Signed,
        }
    }
}

/// `90m`, `24h`, `10d`, as seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err("say a number with s, m, h or d behind it, as 24h or 10d".to_owned()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    i64::from(number).checked_mul(unit).ok_or_else(|| format!("{text:?} is too long"))
}

pub async fn run(at: &Where, command: ListCommand) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    match command {
        ListCommand::Add(args) => add(&place, args).await?,
        ListCommand::Set(args) => set(&place, args).await?,
        ListCommand::Show { id, json } => show(&place, &id, json).await?,
        ListCommand::All { json } => all(&place, json).await?,
        ListCommand::Remove { id } => remove(&place, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A list, or the sentence that it is not there.
pub async fn find(place: &Place, id: &ListId) -> anyhow::Result<List> {
    match place.table().list(id).await? {
        Some(list) => Ok(list),
        None => bail!("there is no list {id}: see `rebond list list`"),
    }
}

async fn add(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    let lists = place.table().lists().await?;
    if lists.len() >= rebond::limits::LISTS {
        bail!("there are {} lists, and no more may be", lists.len());
    }
    let mut list = List::new(args.id.clone());
    change(place, &mut list, args).await?;
    if list.id.as_str() == List::DEFAULT || !place.table().put_list(&list, true).await? {
        bail!("there is a list {} already: `rebond list set {}` changes it", list.id, list.id);
    }
    println!("List {} is added. A bounce must prove: {}.", list.id, list.proof.as_str());
    warn_of_proof(&list);
    Ok(())
}

async fn set(place: &Place, args: AddArgs) -> anyhow::Result<()> {
    let mut list = find(place, &args.id).await?;
    change(place, &mut list, args).await?;
    if !place.table().put_list(&list, false).await? {
        bail!("the list {} was removed meanwhile", list.id);
    }
    println!("List {} is changed; standings follow its numbers from now on.", list.id);
    warn_of_proof(&list);
    Ok(())
}

async fn change(place: &Place, list: &mut List, args: AddArgs) -> anyhow::Result<()> {
    for account in &args.accounts {
        crate::account::must_be_a_source(place, account).await?;
        let other = place.table().lists().await?.into_iter().find(|l| l.id != list.id && l.accounts.contains(account));
        if let Some(other) = other {
            bail!("{account} belongs to the list {}: `rebond list set {} --no-accounts` first", other.id, other.id);
        }
    }
    if args.no_accounts {
        list.accounts.clear();
    } else if !args.accounts.is_empty() {
        list.accounts = args.accounts;
    }
    list.label = args.label.or(list.label.take());
    list.proof = args.proof.map_or(list.proof, Level::from);
    let t = &mut list.thresholds;
    t.soft_errors = args.soft_errors.unwrap_or(t.soft_errors);
    t.apart = args.apart.unwrap_or(t.apart);
    t.forgotten = args.forgotten.unwrap_or(t.forgotten);
    t.mailbox_full = args.mailbox_full.unwrap_or(t.mailbox_full);
    t.proof_age = args.proof_age.unwrap_or(t.proof_age);
    Ok(list.check()?)
}

fn warn_of_proof(list: &List) {
    match list.proof {
        Level::None => eprintln!(
            "Careful: on {} nothing need be proved, so whoever can write to the mailbox can suppress anybody.",
            list.id
        ),
        Level::Signed => eprintln!(
            "From now on a bounce counts on {} only if it comes back to an address made by `rebond stamp --list {}`.",
            list.id, list.id
        ),
        Level::Ours => {}
    }
}

async fn show(place: &Place, id: &ListId, json: bool) -> anyhow::Result<()> {
    let list = find(place, id).await?;
    if json {
        println!("{}", serde_json::to_string(&list)?);
        return Ok(());
    }
    let t = &list.thresholds;
    let accounts: Vec<&str> = list.accounts.iter().map(AccountId::as_str).collect();
    for (name, value) in [
        ("list", list.id.to_string()),
        ("label", list.label.clone().unwrap_or_default()),
        ("a bounce must prove", list.proof.as_str().to_owned()),
        ("accounts", accounts.join(", ")),
        ("soft errors allowed", t.soft_errors.to_string()),
        ("counted when apart", time(t.apart)),
        ("forgotten after", time(t.forgotten)),
        ("a full mailbox leaves after", time(t.mailbox_full)),
        ("a signed address proves for", time(t.proof_age)),
    ] {
        if !value.is_empty() {
            println!("{name:>27}  {value}");
        }
    }
    Ok(())
}

async fn all(place: &Place, json: bool) -> anyhow::Result<()> {
    let lists = place.table().lists().await?;
    if json {
        for list in lists {
            println!("{}", serde_json::to_string(&list)?);
        }
        return Ok(());
    }
    let mut table =
        terminal::table(&["list", "proof", "accounts", "soft errors", "apart", "forgotten", "mailbox full"]);
    for list in lists {
        let t = &list.thresholds;
        let accounts: Vec<&str> = list.accounts.iter().map(AccountId::as_str).collect();
        table.add_row([
            list.id.to_string(),
            list.proof.as_str().to_owned(),
            accounts.join(", "),
            t.soft_errors.to_string(),
            time(t.apart),
            time(t.forgotten),
            time(t.mailbox_full),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// Seconds in the largest unit that they are whole in.
fn time(seconds: i64) -> String {
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds > 0 && seconds % unit == 0 {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

async fn remove(place: &Place, id: &ListId) -> anyhow::Result<()> {
    if id.as_str() == List::DEFAULT {
        bail!("`default` is always there: `rebond list set default` changes it");
    }
    if !place.table().remove_list(id).await? {
        bail!("there is no list {id}: see `rebond list list`");
    }
    println!(
        "List {id} is removed. What comes now belongs to `default`; signed addresses of {id} prove nothing any longer."
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_said() {
        for (text, expected) in [("24h", 86_400), ("10d", 864_000), ("90m", 5_400), ("1s", 1), ("0d", 0)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "d", "10", "-1d", "1w", "x d", "é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!((time(86_400), time(90), time(0)), ("1d".into(), "90s".into(), "0s".into()));
    }
}
