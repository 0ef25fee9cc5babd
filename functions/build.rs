//! Links a function without unwind tables, where it is built as it is deployed: nothing unwinds there (`panic = "abort"`), and
//! they are a tenth of the binary. Each function's `Cargo.toml` names this file.

#![allow(clippy::print_stdout, reason = "the way a build script speaks to cargo")]

use std::path::Path;

/// Set by `functions/.cargo/config.toml`.
const AS_DEPLOYED: &str = "REBOND_WITHOUT_UNWIND_TABLES";

fn main() {
    println!("cargo::rerun-if-env-changed={AS_DEPLOYED}");
    println!("cargo::rerun-if-changed=../without-unwind-tables.ld");
    let on_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if on_linux && std::env::var_os(AS_DEPLOYED).is_some() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../without-unwind-tables.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
