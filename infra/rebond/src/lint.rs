//! `rebond lint`: what is wrong with a registration before Entra says it.

use crate::place::{Place, Where};
use anyhow::{Context, bail};
use clap::Args;
use rebond::account::lint::{Finding, MANIFEST_BYTES, Manifest, Severity, lint, lint_account, lint_scopes};
use rebond::account::{Account, App, AppId};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to look at.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Which app; all of them where it is left out
    app: Option<AppId>,
    /// The registration's manifest, as `az ad app show --id CLIENT-ID` or the portal prints it; - is standard input
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Scopes that somebody is about to ask for, separated by blanks
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(at: &Where, args: &LintArgs) -> anyhow::Result<ExitCode> {
    let manifest = match &args.manifest {
        Some(path) => Some(Manifest::read(&read(path)?)?),
        None => None,
    };
    let mut found: Vec<(String, Finding)> = Vec::new();
    let mut add = |of: &str, findings: Vec<Finding>| found.extend(findings.into_iter().map(|f| (of.to_owned(), f)));
    if let Some(scopes) = &args.scopes {
        add("scopes", lint_scopes(scopes));
    }
    let now = jiff::Timestamp::now();
    let stored = args.app.is_some() || (manifest.is_none() && args.scopes.is_none());
    if stored {
        let place = at.open().await?;
        let apps = apps(&place, args.app.as_ref()).await?;
        let accounts = place.table().accounts().await?;
        for app in apps {
            add(app.id.as_str(), lint(Some(&app), manifest.as_ref(), now));
            for item in accounts.iter().filter(|item| item.account.app() == Some(&app.id)) {
                add(item.account.id.as_str(), lint_account(&item.account, &app));
            }
        }
    } else if manifest.is_some() {
        add("manifest", lint(None, manifest.as_ref(), now));
    }
    tell(&found, args.json)?;
    let broken = found.iter().any(|(_, finding)| finding.severity == Severity::Error);
    Ok(if broken { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

async fn apps(place: &Place, id: Option<&AppId>) -> anyhow::Result<Vec<App>> {
    let Some(id) = id else { return Ok(place.table().apps().await?) };
    match place.table().app(id).await? {
        Some(app) => Ok(vec![app]),
        None => bail!("there is no app {id}: see `rebond app list`"),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let bound = MANIFEST_BYTES as u64 + 1;
    match path.as_os_str() == "-" {
        true => std::io::stdin().take(bound).read_to_string(&mut text)?,
        false => std::fs::File::open(path)
            .with_context(|| path.display().to_string())?
            .take(bound)
            .read_to_string(&mut text)
            .with_context(|| path.display().to_string())?,
    };
    Ok(text)
}

fn tell(found: &[(String, Finding)], json: bool) -> anyhow::Result<()> {
    for (of, finding) in found {
        if json {
            let mut line = serde_json::to_value(finding)?;
            line["of"] = of.as_str().into();
            println!("{line}");
        } else {
            println!("{}", sentence(of, finding));
        }
    }
    if found.is_empty() && !json {
        println!("Nothing is wrong.");
    }
    Ok(())
}

fn sentence(of: &str, finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{of}: {word} ({}): {}\n    {}", finding.id, finding.said, finding.step)
}

/// Says on standard error what is wrong with what was just added.
pub fn warn(app: Option<&App>, account: Option<(&Account, &App)>) {
    let mut found = lint(app, None, jiff::Timestamp::now());
    if let Some((account, app)) = account {
        found.extend(lint_account(account, app));
    }
    let of = account.map(|(account, _)| account.id.as_str()).or(app.map(|app| app.id.as_str())).unwrap_or_default();
    for finding in found {
        eprintln!("{}", sentence(of, &finding));
    }
}
