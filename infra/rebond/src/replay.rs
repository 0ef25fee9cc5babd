//! `rebond replay`: kept mail read again under the rules of today.

use crate::account;
use crate::incident::time;
use crate::place::{Place, Where};
use crate::terminal::{self, Bar};
use anyhow::bail;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rebond::account::AccountId;
use rebond::replay::{Difference, Done, Replayer, Verdict, Wanted};
use rebond::table::{AuditEntry, AuditEvent, By};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

pub const HELP: &str =
    "Read again are reports of which the message is kept (keep-raw in rebond.toml, the parameter KeepRaw of a stack).
What says something else is recorded anew, and standings follow as if it had been read so at first. It may be
broken off and said again; twice does the same as once.

Examples:
  rebond replay --since 2026-03-01 --dry-run       # what would be different, and which standings would move
  rebond replay bounces --since 2026-03-01 --until 2026-03-08T12:00:00Z
  rebond replay --since 2026-03-01 --with-rules    # your own rules of today decide about older reports, too";

/// What to read again.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Which account; without it all
    account: Option<AccountId>,
    /// Reports that arrived since then: 2026-03-01, or 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: i64,
    /// And no later than then [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// Let operators' rules that are on today decide about them, and not only those that were on when they were recorded
    #[arg(long)]
    with_rules: bool,
    /// Only say what would be different
    #[arg(long)]
    dry_run: bool,
    /// One JSON object a line: each report that says something else, then what was done
    #[arg(long)]
    json: bool,
    /// Who decides
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
}

/// Reports shown, and standings.
const SAMPLES: usize = 10;
/// How long the effect of a fact may be on its way: on a stack as long as its stream keeps it, here as long as a poll.
const STREAM: SignedDuration = SignedDuration::from_hours(13);
const POLL: SignedDuration = SignedDuration::from_mins(5);

/// What is shown.
#[derive(Default)]
struct Shown {
    samples: Vec<[String; 5]>,
    by_change: BTreeMap<String, u64>,
}

pub async fn run(at: &Where, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let accounts = match &args.account {
        Some(id) => vec![account::find(&place, id).await?.account.id],
        None => place.table().accounts().await?.into_iter().map(|item| item.account.id).collect(),
    };
    let Some(store) = place.kept_mail().await? else {
        bail!("no mail is kept: deploy the stack with KeepRaw=30, and from then on mail is kept for 30 days");
    };
    let replayer = Replayer { table: place.table(), store, follower: place.follower() };
    let now = Timestamp::now();
    let wanted = Wanted {
        since: args.since,
        until: args.until.unwrap_or(i64::MAX),
        settled: now.saturating_sub(if at.stack.is_some() { STREAM } else { POLL })?.as_second(),
        with_rules: args.with_rules,
        dry_run: args.dry_run,
    };
    let (mut done, mut shown, bar) = (Done::default(), Shown::default(), Bar::new());
    let mut broken = None;
    for id in &accounts {
        done.reached = None;
        let mut told = |difference: &Difference| match args.json {
            true => println!("{}", json!(difference)),
            false => shown.add(difference),
        };
        if let Err(error) = replayer.replay(id, &wanted, now, &bar, &mut told, &mut done).await {
            let reached = done.reached.and_then(|reached| Timestamp::from_second(reached).ok());
            let rest = reached.map(|time| format!(" --until {time}")).unwrap_or_default();
            broken = Some(anyhow::Error::from(error).context(format!(
                "broken off in {id}; what was done stands. Say it again, or go on with: rebond replay {id} --since {}{rest}",
                Timestamp::from_second(args.since).unwrap_or_default()
            )));
            break;
        }
    }
    bar.finish();
    if !args.dry_run && done.changed + done.ruled > 0 {
        audit(&place, args, &done, now).await?;
    }
    match args.json {
        true => println!("{}", summary(&done, args.dry_run)),
        false => shown.print(&done, args.dry_run),
    }
    broken.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// What is told of each standing that moved.
fn moved(done: &Done) -> Vec<[String; 4]> {
    let words = |change: rebond::follow::Change| {
        let (before, after) = (change.before.as_str().to_owned(), change.after.as_str().to_owned());
        [change.address.to_string(), change.list.to_string(), before, after]
    };
    done.moves.changes().map(words).collect()
}

fn summary(done: &Done, dry_run: bool) -> serde_json::Value {
    let standings: Vec<_> = moved(done)
        .into_iter()
        .map(|[address, list, before, after]| json!({ "address": address, "list": list, "before": before, "after": after }))
        .collect();
    json!({ "summary": {
        "dry_run": dry_run,
        "read": done.read,
        "changed": done.changed,
        "details_alone": done.details,
        "by_rules_alone": done.ruled,
        "never_kept": done.unkept,
        "kept_no_longer": done.gone,
        "too_new": done.fresh,
        "changed_meanwhile": done.overtaken,
        "standings": standings,
    } })
}

async fn audit(place: &Place, args: &ReplayArgs, done: &Done, now: Timestamp) -> anyhow::Result<()> {
    let mut entry = AuditEntry::new(AuditEvent::Replayed, By { function: "rebond replay", run: "by hand" }, now);
    entry.who = Some(args.who.clone());
    let whose = args.account.as_ref().map_or("all accounts".to_owned(), |id| format!("the account {id}"));
    let since = Timestamp::from_second(args.since).unwrap_or_default();
    entry.said = Some(format!(
        "of {whose} since {since}: {} reports read, {} say something else, {} are decided differently by rules, {} standings moved",
        done.read,
        done.changed,
        done.ruled,
        done.moves.changes().count()
    ));
    Ok(place.table().audit_whole(&entry).await?)
}

fn verdict(of: Option<&Verdict>) -> String {
    let Some(of) = of else { return "–".to_owned() };
    let hard = if of.hard { " (hard)" } else { "" };
    format!("{}{hard}{}", of.reason.as_str(), of.status.as_ref().map(|status| format!(" {status}")).unwrap_or_default())
}

impl Shown {
    fn add(&mut self, difference: &Difference) {
        let kind = match difference.was == difference.is {
            true => difference.is.as_str().to_owned(),
            false => format!("{} → {}", difference.was.as_str(), difference.is.as_str()),
        };
        let report = format!("{}/{:.12}", difference.account, difference.report);
        for recipient in &difference.recipients {
            let (old, new) = (verdict(recipient.old.as_ref()), verdict(recipient.new.as_ref()));
            *self.by_change.entry(format!("{old} → {new}")).or_default() += 1;
            if self.samples.len() < SAMPLES {
                self.samples.push([report.clone(), kind.clone(), recipient.address.clone(), old, new]);
            }
        }
        if difference.recipients.is_empty() && !difference.is_detail() {
            *self.by_change.entry(kind).or_default() += 1;
        }
    }

    fn print(&self, done: &Done, dry_run: bool) {
        if !self.samples.is_empty() {
            let mut table = terminal::table(&["report", "what", "address", "said", "says"]);
            table.add_rows(&self.samples);
            println!("{table}\n");
        }
        let mut counts: Vec<_> = self.by_change.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (change, count) in counts {
            println!("{count:>8}  {change}");
        }
        let moved = moved(done);
        if !moved.is_empty() {
            let mut table =
                terminal::table(&["address", "list", "standing", if dry_run { "would be" } else { "is now" }]);
            table.add_rows(moved.iter().take(SAMPLES));
            println!("\n{table}\n");
        }
        let (say, moves) = if dry_run { ("would say", "would move") } else { ("say", "moved") };
        println!(
            "{} reports read again: {} {say} something else, {} of them in details alone; {} standings {moves}.",
            done.read,
            done.changed,
            done.details,
            moved.len()
        );
        for (count, what) in [
            (done.ruled, "are decided differently by rules of your own"),
            (done.overtaken, "were changed by somebody else meanwhile, and left as they are"),
            (done.gone, "are left: their message is kept no longer"),
            (done.unkept, "are left: their message was never kept"),
            (done.fresh, "are left: they are so new that their effect may be on its way still"),
        ] {
            if count > 0 {
                println!("{count} {what}.");
            }
        }
        if dry_run {
            println!("Nothing is changed. To do it, say it again without --dry-run.");
        }
    }
}
