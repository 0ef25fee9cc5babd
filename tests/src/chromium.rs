//! A headless Chromium with a new profile, driven by WebDriver.

use crate::process::{Process, free_port, loopback};
use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A browser and its driver.
#[derive(Debug)]
pub struct Chromium {
    /// The WebDriver session.
    pub client: Client,
    _driver: Process,
    _dir: TempDir,
}

impl Chromium {
    /// Starts a browser that has seen nothing yet.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env("TMPDIR", dir.path()).env("HOME", dir.path());
        let mut driver = Process::start(&command, &dir.path().join("log"))?;
        driver.wait_for_port(loopback(port), Duration::from_secs(20))?;
        let profile = format!("--user-data-dir={}", dir.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=900,1100",
            &profile,
        ];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().unwrap_or_default())
            .connect(&format!("http://{}", loopback(port)))
            .await
            .with_context(|| format!("no browser session: {}", driver.output()))?;
        Ok(Self { client, _driver: driver, _dir: dir })
    }
}
