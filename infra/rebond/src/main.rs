//! See the library of this package: tests use its rooms, too.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    rebond_cli::run().await
}
