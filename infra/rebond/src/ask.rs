//! Questions to a person at a terminal, for what a command was not told. Elsewhere a command never asks: it says which
//! argument is missing, and ends with the exit code of wrong usage.

use anyhow::bail;
use clap::error::ErrorKind;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::str::FromStr;

/// Bytes of one answer.
const ANSWER: u64 = 4 << 10;

/// Whether somebody is there to be asked.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// An error where nobody is there to be asked for `argument`.
pub fn needed(argument: &str) -> anyhow::Result<()> {
    if is_possible() {
        return Ok(());
    }
    let said = format!(
        "the following required arguments were not provided: {argument}\n\nAt a terminal they are asked for. \
         For more information, try '--help'.\n"
    );
    Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, said).into())
}

/// What was given, or the answer.
pub fn unless<T>(argument: &str, given: Option<T>, ask: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    match given {
        Some(given) => Ok(given),
        None => needed(argument).and_then(|()| ask()),
    }
}

/// One line that means something; asked again until it does. An empty answer is the default.
pub fn line<T: FromStr>(question: &str, default: Option<&str>) -> anyhow::Result<T>
where
    T::Err: std::fmt::Display,
{
    loop {
        match default {
            Some(default) => eprint!("{question} [{default}]: "),
            None => eprint!("{question}: "),
        }
        let answer = answer()?;
        let text = match (answer.is_empty(), default) {
            (true, Some(default)) => default,
            (true, None) => continue,
            _ => answer.as_str(),
        };
        match text.parse() {
            Ok(value) => return Ok(value),
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// One of several; the first is the default. Answers which, counted from 0.
pub fn choice(question: &str, choices: &[&str]) -> anyhow::Result<usize> {
    eprintln!("{question}");
    for (number, words) in (1..).zip(choices) {
        eprintln!("  {number}  {words}");
    }
    loop {
        let number: usize = line("Which", Some("1"))?;
        if (1..=choices.len()).contains(&number) {
            return Ok(number - 1);
        }
        eprintln!("1 to {}", choices.len());
    }
}

fn answer() -> anyhow::Result<String> {
    std::io::stderr().flush()?;
    let mut text = String::new();
    if std::io::stdin().lock().take(ANSWER).read_line(&mut text)? == 0 {
        bail!("nothing more was typed: nothing was stored");
    }
    Ok(text.trim().to_owned())
}
