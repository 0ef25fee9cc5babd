//! `--from FILE`: what a command is told, in a file (TOML, or JSON where its name ends in `.json`). Its keys are the names of
//! the command's arguments, so that nothing is defined twice: the file is turned into arguments, behind those of the command
//! line, which win. A secret never stands in it: files with secrets are named, as on the command line.

use anyhow::{Context, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, CommandFactory};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A file in place of arguments.
#[derive(Debug, Args)]
pub struct FromFile {
    /// Take what is not said here from this file: TOML, or JSON (.json). Its keys are the names of these arguments; what may
    /// be given several times is a list. Never a secret: secret-file names the file that holds it
    #[arg(long = "from", id = ID, value_name = "FILE")]
    #[allow(dead_code, reason = "`expanded` reads it before anything else is")]
    file: Option<PathBuf>,
}

const ID: &str = "from_file";

/// The command line of a command, and behind it what its `--from` file says.
pub fn expanded<C: CommandFactory>(mut line: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let mut command = C::command().ignore_errors(true);
    command.build();
    // What is wrong with the line is said when the whole of it is read.
    let Ok(found) = command.try_get_matches_from_mut(&line) else { return Ok(line) };
    let (mut command, mut found) = (&command, &found);
    while let Some((name, of_command)) = found.subcommand() {
        let Some(next) = command.find_subcommand(name) else { return Ok(line) };
        (command, found) = (next, of_command);
    }
    let Some(path) = found.try_get_one::<PathBuf>(ID).ok().flatten() else { return Ok(line) };
    for (key, value) in read(path)? {
        let of_key = |arg: &&Arg| match arg.is_positional() {
            true => arg.get_id() == key.as_str(),
            false => arg.get_long() == Some(&key) && ![ID, "help"].contains(&arg.get_id().as_str()),
        };
        let Some(arg) = command.get_arguments().find(of_key) else {
            bail!("{}: {} has no argument {key}", path.display(), command.get_bin_name().unwrap_or("rebond"));
        };
        if found.value_source(arg.get_id().as_str()) != Some(ValueSource::CommandLine) {
            line.extend(arguments(arg, &key, value).with_context(|| path.display().to_string())?);
        }
    }
    Ok(line)
}

fn read(path: &Path) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
        return serde_json::from_str(&text).with_context(|| path.display().to_string());
    }
    toml::from_str(&text).map_err(|error| {
        // Not with the line itself, as it prints by itself: that may hold anything.
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
        anyhow!("{}, line {}: {}", path.display(), before.lines().count().max(1), error.message())
    })
}

/// What one key stands for on the command line. Of a value that does not fit only the key is said: it may be a secret.
fn arguments(arg: &Arg, key: &str, value: Value) -> anyhow::Result<Vec<OsString>> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) => Ok(vec![]),
            _ => bail!("{key} is true or false (a secret never stands in this file: secret-file names its own)"),
        };
    }
    let texts = match value {
        Value::Array(values) => values.into_iter().map(|value| text(key, value)).collect::<anyhow::Result<_>>()?,
        value => vec![text(key, value)?],
    };
    let argument = |text: String| match arg.is_positional() {
        true => text.into(),
        false => format!("--{key}={text}").into(),
    };
    Ok(texts.into_iter().map(argument).collect())
}

fn text(key: &str, value: Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::String(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Datetime(day) => day.to_string(),
        _ => bail!("{key} is a text or a number"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Cli;

    fn line(words: &str, name: &str, file: &str) -> anyhow::Result<String> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(name);
        std::fs::write(&path, file)?;
        let words = words.replace("FILE", &path.display().to_string());
        let line = expanded::<Cli>(words.split(' ').map(OsString::from).collect())?;
        let text: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
        Ok(text.join(" ").replace(&words, "").trim().to_owned())
    }

    #[test]
    fn a_file_becomes_arguments_behind_those_of_the_line() {
        let file = "id = \"box\"\nmailbox = \"a b\"\napp = \"m365\"\napp-only = true\ndisabled = false\nperiod = 600\n\
                    folder = [\"INBOX\", \"Junk\"]\n";
        let said = "--app=m365 --app-only --folder=INBOX --folder=Junk box --mailbox=a b --period=600";
        assert_eq!(line("rebond account add --from FILE", "a.toml", file).unwrap(), said);
        // The line wins, and what belongs to something in the file may stand in it alone.
        let said = "--app=m365 --app-only --mailbox=a b --period=600";
        let words = "rebond account add --from=FILE other --folder Spam --stack x";
        assert_eq!(line(words, "a.toml", file).unwrap(), said);
        assert_eq!(line("rebond account add --app-only --from FILE", "a", "app = \"m365\"").unwrap(), "--app=m365");
        let json = r#"{"id": "m365", "secret-ends": "2027-01-31", "scope": ["a"], "federated": false}"#;
        assert_eq!(
            line("rebond app add --from FILE", "a.JSON", json).unwrap(),
            "m365 --scope=a --secret-ends=2027-01-31"
        );
        assert_eq!(
            line("rebond app add --from FILE", "a", "secret-ends = 2027-01-31").unwrap(),
            "--secret-ends=2027-01-31"
        );
        // Other commands have no such file; a broken line is left to be refused.
        for words in ["rebond account list", "rebond account add --nonsense", "rebond app add --from", "rebond --help"]
        {
            assert_eq!(line(words, "a", "x = 1").unwrap(), "", "{words}");
        }
    }

    #[test]
    fn what_is_no_argument_is_refused_by_name_and_no_value_is_said() {
        for (file, words) in [
            ("mailbx = \"a\"", "rebond account add has no argument mailbx"),
            ("from = \"b\"", "has no argument from"),
            ("help = true", "has no argument help"),
            ("client-id = \"x\"", "has no argument client-id"),
            ("password = \"hunter2\"", "password is true or false (a secret never stands in this file"),
            ("period = true", "period is a text or a number"),
            ("folder = [[\"hunter2\"]]", "folder is a text or a number"),
            ("period = 1\nlabel = \"hunter2", "a.toml, line 2: "),
        ] {
            let refused = format!("{:#}", line("rebond account add --from FILE", "a.toml", file).unwrap_err());
            assert!(refused.contains(words) && !refused.contains("hunter2"), "{file}: {refused}");
        }
        let missing = expanded::<Cli>(["rebond", "app", "add", "--from", "/no/such/file"].map(OsString::from).to_vec());
        assert!(format!("{:#}", missing.unwrap_err()).contains("/no/such/file"));
    }
}
