//! Whole flows against real servers, and what must hold of the whole project. One program, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod advice_pages;
mod advice_refusals;
mod aws_emulators;
mod browser;
mod cli;
mod connect;
mod dispatch;
mod document;
mod dovecot;
mod flight;
mod imap_dovecot;
mod imap_tls;
mod invariants;
mod kill;
mod kill_steps;
mod kit_cli;
mod kit_scripts;
mod lambda_emulator;
mod oidc_provider;
mod poll;
mod postfix;
mod redaction;
mod refresh;
mod sam_local;
mod standing;
mod standing_cli;
mod template;
mod vault;
mod ways_apps;
mod ways_people;
mod ways_providers;
mod wizard;
