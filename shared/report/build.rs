//! Lays the phrase tables out as static arrays, so that no automaton is built when a process starts.

#![allow(clippy::print_stdout, reason = "the way a build script speaks to cargo")]

#[path = "build/automaton.rs"]
mod automaton;
#[path = "build/phrase.rs"]
mod phrase;
#[path = "build/tables.rs"]
mod tables;
#[path = "src/words/token.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod token;
#[path = "build/trie.rs"]
mod trie;

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/words");
    println!("cargo:rerun-if-changed=src/reason/rules");
    lay_out("src/reason/rules", &out.join("reasons.rs"))?;
    lay_out("src/words/rules", &out.join("notices.rs"))
}

fn lay_out(directory: &str, to: &Path) -> Result<(), Box<dyn Error>> {
    let tables = tables::read(Path::new(directory)).map_err(|error| format!("{directory}: {error}"))?;
    let text = automaton::compile(&tables).map_err(|error| format!("{directory}: {error}"))?;
    fs::write(to, text)?;
    Ok(())
}
