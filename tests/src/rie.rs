//! The Lambda runtime interface emulator, from the wheel of the SAM command line, in front of a built function.

use crate::process::{Process, built, free_port, loopback, workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A function of this workspace under the emulator.
#[derive(Debug)]
pub struct Emulated {
    url: String,
    http: reqwest::Client,
    process: Process,
    _dir: TempDir,
}

impl Emulated {
    /// Starts the function `name` with these environment variables beside those that Lambda sets.
    pub fn start(name: &str, environment: &[(&'static str, String)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (api, runtime) = (free_port()?, free_port()?);
        let mut command = Command::new(emulator()?);
        command
            .args(["--runtime-interface-emulator-address", &loopback(api).to_string()])
            .args(["--runtime-api-address", &loopback(runtime).to_string()])
            .arg(function(name)?)
            .current_dir(dir.path())
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", name),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_TIMEOUT", "60"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(&command, &dir.path().join("log"))?;
        process.wait_for_port(loopback(api), Duration::from_secs(10))?;
        let url = format!("http://{}/2015-03-31/functions/function/invocations", loopback(api));
        // reqwest wants a provider though it speaks plain HTTP here; a second call finds the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(90)).build()?;
        Ok(Self { url, http, process, _dir: dir })
    }

    /// Invokes the function and gives what it answered. A function that failed answers
    /// `{"errorType": …, "errorMessage": …}`, as it does on Lambda.
    pub async fn invoke(&self, event: &Value) -> Result<Value> {
        let answer = self.http.post(&self.url).body(event.to_string()).send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            bail!("the emulator answered {status}: {body}\n{}", self.output());
        }
        serde_json::from_str(&body).with_context(|| format!("not JSON: {body}\n{}", self.output()))
    }

    /// The function's log so far, with the emulator's own lines.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// The function's program: as built here, or in the folder that `REBOND_FUNCTIONS` names.
fn function(name: &str) -> Result<PathBuf> {
    match std::env::var_os("REBOND_FUNCTIONS") {
        Some(folder) => Ok(PathBuf::from(folder).join(name)),
        None => built(name),
    }
}

fn emulator() -> Result<PathBuf> {
    let name = match std::env::consts::ARCH {
        "aarch64" => "aws-lambda-rie-arm64",
        _ => "aws-lambda-rie-x86_64",
    };
    let lib = workspace().join("target/tools/python/lib");
    let pythons = lib.read_dir().context("infra/setup/tools has not been run")?;
    pythons
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/samcli/local/rapid").join(name)))
        .find(|path| path.exists())
        .context("the SAM command line came without its runtime emulator")
}
