//! A certified authorization server that nobody here wrote: `oidc-provider` for Node, on loopback.

use crate::process::{Process, free_port, loopback, workspace};
use anyhow::Result;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The client that the provider knows.
pub const CLIENT_ID: &str = "5c8b5a5e-4f0c-4d5e-9a63-0a7a8e1b2c3d";
/// Its secret.
pub const CLIENT_SECRET: &str = "app-secret-0123456789";

/// What a mail server calls itself when it asks about a token, as the user information of a URL.
pub const MAIL_SERVER: &str = "dovecot:dovecot-secret-0123456789";

/// A running provider. Its paths are those of Entra for the tenant `common`.
#[derive(Debug)]
pub struct OidcProvider {
    issuer: String,
    process: Process,
    _dir: TempDir,
}

impl OidcProvider {
    /// Starts a provider that accepts one redirect URI.
    pub fn start(redirect_uri: &str) -> Result<Self> {
        Self::start_at(free_port()?, redirect_uri)
    }

    /// The same at a port of loopback that others were told of.
    pub fn start_at(port: u16, redirect_uri: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("node");
        command
            .arg(workspace().join("tests/oidc-provider.mjs"))
            .arg(workspace().join("target/tools/node/node_modules/oidc-provider/lib/index.js"))
            .args([&port.to_string(), CLIENT_ID, CLIENT_SECRET, redirect_uri]);
        let mut process = Process::start(&command, &dir.path().join("log"))?;
        process.wait_for_port(loopback(port), Duration::from_secs(20))?;
        Ok(Self { issuer: format!("http://localhost:{port}"), process, _dir: dir })
    }

    /// The issuer's URL, which is the authority too.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the provider has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}
