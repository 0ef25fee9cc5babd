//! Secrets come from a file, from standard input, or typed unseen; never from the command line, where every process
//! of the machine can read them.

use anyhow::{Context, bail};
use rebond::secret::{ExposeSecret, Secret};
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Reads a secret: from `file` (`-` is standard input), or by asking the person at the terminal.
pub fn read(prompt: &str, file: Option<&Path>) -> anyhow::Result<Secret> {
    let text = match file {
        Some(path) if path.as_os_str() != "-" => {
            std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?
        }
        None if std::io::stdin().is_terminal() => rpassword::prompt_password(format!("{prompt}: "))?,
        _ => {
            let mut text = String::new();
            std::io::stdin().take(64 << 10).read_to_string(&mut text)?;
            text
        }
    };
    let secret = Secret::from(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.expose_secret().is_empty() {
        bail!("{prompt}: nothing was given (a file by --secret-file, or standard input)");
    }
    Ok(secret)
}
