//! moto: Secrets Manager, SQS, KMS, S3 and EventBridge on one port.
//!
//! Known to differ from AWS: Secrets Manager returns an old version unless `VersionStage=AWSCURRENT` is asked for,
//! and accepts more than 64 KB; its DynamoDB has no idempotency tokens, so the table is never moto's; its KMS hashes a
//! digest once more and salts RSASSA-PSS with as many bytes as fit, so its signatures are none of PS256.

use crate::process::{Process, free_port, tool};
use anyhow::Result;
use std::net::Ipv4Addr;
use std::time::Duration;
use tempfile::TempDir;

/// A running moto server.
#[derive(Debug)]
pub struct Moto {
    endpoint: String,
    _process: Process,
    _dir: TempDir,
}

impl Moto {
    /// Starts a server without any state on a free port of `address`.
    pub fn start_on(address: Ipv4Addr) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = tool("moto_server");
        command.args(["-H", &address.to_string(), "-p", &port.to_string()]).current_dir(dir.path());
        // Small pages, so that lists have more than one.
        command.env("MOTO_S3_DEFAULT_MAX_KEYS", "10");
        let mut process = Process::start(&command, &dir.path().join("log"))?;
        process.wait_for_port((address, port).into(), Duration::from_secs(60))?;
        Ok(Self { endpoint: format!("http://{address}:{port}"), _process: process, _dir: dir })
    }

    /// Starts a server without any state on the loopback address.
    pub fn start() -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// What `AWS_ENDPOINT_URL` must say.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// Makes a bucket. moto takes any signature: it reads the service, and nothing else.
pub async fn make_bucket(endpoint: &str, name: &str) -> Result<()> {
    let signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
    let request = reqwest::Client::new().put(format!("{endpoint}/{name}")).header("authorization", signed);
    request.send().await?.error_for_status()?;
    Ok(())
}
