//! `rebond erase`: a person removed from everything that facts led to.

use crate::place::Where;
use clap::Args;
use rebond::erase::Person;
use rebond::raw;
use rebond::standing::AddressKey;
use rebond::table::{AuditEntry, AuditEvent, By, Erased};
use rebond::vault::signing_key;
use std::process::ExitCode;

/// Whom to erase.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Whose address
    address: String,
    /// Do it; without this it is only counted. It cannot be taken back
    #[arg(long)]
    yes: bool,
    /// Only count: what happens without --yes, too
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Who asks for it
    #[arg(long, env = "USER", default_value = "operator", value_name = "NAME")]
    who: String,
}

pub async fn run(at: &Where, args: &EraseArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let person = Person::new(args.address.parse::<AddressKey>()?);
    // Kept mail first: who reads some of it again at this moment finds the report changed, and leaves it.
    let kept = match place.kept_mail().await? {
        Some(store) => store.erase(&person, !args.yes).await?,
        None => raw::Erased::default(),
    };
    let done = place.table().erase(&person, &kept.places, !args.yes).await?;
    tell(&done, kept.messages, args.yes);
    if !args.yes {
        println!("Nothing is changed. To erase it, say it again with --yes; the whole table is read once more.");
        return Ok(ExitCode::SUCCESS);
    }
    let now = jiff::Timestamp::now();
    let mut entry = AuditEntry::new(AuditEvent::Erased, By { function: "rebond erase", run: "by hand" }, now);
    entry.who = Some(args.who.clone());
    // Keyed: an address is guessed too easily from a plain hash.
    let hash = signing_key(&*place.vault()).await?.pseudonym("erased", person.key().as_str());
    let (standings, reports) = (done.standings, done.reports);
    let (others, messages) = (done.others, kept.messages);
    entry.said = Some(format!(
        "person {hash}: {standings} standings, {reports} reports, {messages} kept messages, {others} other items"
    ));
    place.table().audit_whole(&entry).await?;
    println!("The audit names the person as {hash} and nothing else does.");
    Ok(ExitCode::SUCCESS)
}

fn tell(done: &Erased, messages: u64, yes: bool) {
    let verb = if yes { "Erased" } else { "Found" };
    println!(
        "{verb}: {} standings, {} reports that name the person, {} other items, {messages} messages kept as they came.",
        done.standings, done.reports, done.others
    );
    if !done.mailboxes.is_empty() {
        println!("The messages themselves are in the mailboxes still, unless they were deleted there:");
        for (account, place) in &done.mailboxes {
            println!("  {account}: {place}");
        }
        let more = done.reports.saturating_sub(done.mailboxes.len() as u64);
        if more > 0 {
            println!("  and {more} more");
        }
    }
}
