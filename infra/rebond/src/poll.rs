//! `rebond poll`: read one mailbox now.

use crate::account;
use crate::place::{Place, Where, invoke};
use crate::terminal::Bar;
use rebond::account::{AccountId, HealthState};
use rebond::advice;
use rebond::poll::Summary;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// A poll by hand takes as long as it must, in runs of this length: a process that dies leaves the account held up for no
/// longer.
const RUN: Duration = Duration::from_secs(120);
/// Time that endpoints are told of it afterwards; what is left is the next run's.
const TELLING: Duration = Duration::from_secs(30);

pub async fn run(at: &Where, id: &AccountId, json: bool) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    account::find(&place, id).await?;
    let summary = poll(&place, id).await?;
    if json {
        let mut done = serde_json::to_value(&summary)?;
        if let Some(advice) = summary.advice() {
            done["advice"] = advice.into();
        }
        println!("{done}");
        return Ok(exit_code(&summary));
    }
    if summary.busy {
        println!("{id} is being polled by another process; nothing was done.");
        return Ok(exit_code(&summary));
    }
    println!(
        "{}: {} messages read, {} of them reports, {} new facts{}.",
        id,
        summary.messages,
        summary.reports,
        summary.recorded,
        if summary.left > 0 { format!(", {} messages left for the next run", summary.left) } else { String::new() },
    );
    if summary.forwarded + summary.not_forwarded > 0 {
        println!("{} messages forwarded, {} will not be: see the log.", summary.forwarded, summary.not_forwarded);
    }
    if let Some(fault) = &summary.forward_fault {
        println!("What waits to be forwarded was not taken: {fault}. It is tried again at the next poll.");
        account::tell_of_forwarding(id, summary.forward_advice.as_deref(), at.language());
    }
    if summary.marked_deleted > 0 {
        println!("{} messages are marked as deleted and still lie in the mailbox.", summary.marked_deleted);
    }
    if let Some(advice) = summary.advice().and_then(advice::by_id) {
        account::print_advice(advice, at.language(), id, "");
    }
    if summary.reports > 0 {
        account::warn_of_proof(&place, &account::find(&place, id).await?.account).await?;
    }
    if let Some(health) = summary.health.as_ref().filter(|health| health.state != HealthState::Active) {
        println!("Health: {}", health.state.as_str());
        let item = account::find(&place, id).await?;
        account::tell_advice(&place, &item, health, at.language()).await?;
    }
    Ok(exit_code(&summary))
}

fn is_active(summary: &Summary) -> bool {
    !summary.busy && summary.health.as_ref().is_some_and(|health| health.state == HealthState::Active)
}

/// 0 done, 3 the mailbox cannot be read, 4 another process is at it.
fn exit_code(summary: &Summary) -> ExitCode {
    match (&summary.health, summary.busy) {
        (_, true) => ExitCode::from(4),
        (Some(health), _) if health.state != HealthState::Active => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    }
}

async fn poll(place: &Place, id: &AccountId) -> anyhow::Result<Summary> {
    match place {
        Place::Machine(machine) => {
            let bar = Bar::new();
            let run = format!("by-hand-{}", jiff::Timestamp::now().as_second());
            let mut all = machine.poller().poll(id, &run, Instant::now() + RUN, &bar).await?;
            while all.left > 0 && is_active(&all) {
                let next = machine.poller().poll(id, &run, Instant::now() + RUN, &bar).await?;
                if next.messages == 0 {
                    break;
                }
                all.add(next);
            }
            bar.finish();
            if let Some(raw) = &machine.raw {
                raw.sweep(jiff::Timestamp::now());
            }
            // Where `rebond serve` runs, it is at it already.
            if let Err(error) = machine.teller.drain_all(Instant::now() + TELLING).await {
                eprintln!("Endpoints could not be told of it now: {error}");
            }
            Ok(all)
        }
        Place::Stack(stack) => invoke(stack, "bounce-poll", &serde_json::json!({ "account": id })).await,
    }
}
