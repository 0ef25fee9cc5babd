//! `rebond read`: what messages in files say, for a person or for a program.

mod card;
mod source;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rebond::report::{Report, read};
use serde::Serialize;
use source::{Message, Messages};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

const EXAMPLES: &str = "Examples:
  rebond read bounce.eml              one message as a card: what it is, whom it names, why, and the words that prove it
  rebond read ~/Maildir archive.mbox  folders (with what is in them, sorted), Maildirs, mbox files
  rebond read - < bounce.eml          standard input
  rebond read --json mail/ | jq -r 'select(.kind == \"bounce\") | .recipients[] | select(.hard) | .address'

In an mbox of several messages the path is FILE#N, from 1. Exit codes: 0 all were read, 1 something could not be opened.";

/// Say what messages mean: bounces, complaints, automatic replies
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReadArgs {
    /// Files, folders, Maildirs, mbox files; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object a message, a line each, in the order of the arguments
    #[arg(long)]
    json: bool,
}

/// Messages that are read together: as many as keep the cores busy, and no more bytes than fit easily.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 32 << 20;

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

/// Reads everything that is named and prints it in order.
pub fn run(args: ReadArgs) -> anyhow::Result<ExitCode> {
    let mut messages = Messages::of(args.paths);
    let bar = bar(messages.total());
    let look = if args.json { None } else { Some(card::Look::of_stdout()) };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut failed = false;
    loop {
        let batch = messages.next_batch(BATCH, BATCH_BYTES);
        if batch.is_empty() {
            break;
        }
        for said in read_all(&batch, look.as_ref()) {
            let printed = match said {
                Ok(text) => out.write_all(text.as_bytes()),
                Err(error) => {
                    failed = true;
                    bar.suspend(|| eprintln!("rebond: {error}"));
                    Ok(())
                }
            };
            match printed {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                other => other?,
            }
        }
        bar.set_length(messages.total() as u64);
        bar.set_position(messages.opened() as u64);
    }
    bar.finish_and_clear();
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ if failed => Ok(ExitCode::FAILURE),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Reads a batch on all cores; the results come in its order.
fn read_all(batch: &[Message], look: Option<&card::Look>) -> Vec<Result<String, String>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(batch.len());
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Result<String, String>>> = batch.iter().map(|_| Mutex::new(Err(String::new()))).collect();
    let work = || {
        while let Some((message, slot)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            batch.get(at).zip(done.get(at))
        } {
            let said = say(message, look);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..cores {
            scope.spawn(work);
        }
        work();
    });
    done.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn say(message: &Message, look: Option<&card::Look>) -> Result<String, String> {
    let bytes = message.bytes()?;
    let report = read(&bytes);
    let path = message.name();
    match look {
        Some(look) => Ok(look.card(&path, &report)),
        None => {
            let mut line =
                serde_json::to_string(&Line { path: &path, report: &report }).map_err(|error| error.to_string())?;
            line.push('\n');
            Ok(line)
        }
    }
}

/// A bar on standard error while a person is watching it and there is something to watch.
fn bar(total: usize) -> ProgressBar {
    let watched = std::io::stderr().is_terminal() && total > BATCH;
    let bar = if watched { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} files ({per_sec}, {eta} left)");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
