//! `screenshots DIR`: a PNG beside each page (HTML) in DIR, as a browser shows it.
#![allow(clippy::print_stdout, missing_docs)]

use anyhow::Context;
use rebond_tests::chromium::Chromium;
use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = PathBuf::from(std::env::args().nth(1).context("screenshots DIR")?).canonicalize()?;
    let browser = Chromium::start().await?;
    let mut count = 0;
    for entry in std::fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "html") {
            browser.client.goto(&format!("file://{}", path.display())).await?;
            std::fs::write(path.with_extension("png"), browser.client.screenshot().await?)?;
            count += 1;
        }
    }
    browser.client.clone().close().await?;
    println!("{count} pages");
    Ok(())
}
