//! Where a command acts: on this machine, or on a deployed stack.

use crate::machine::{Machine, Settings};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rebond::advice::Language;
use rebond::connection::Connector;
use rebond::deployment::{self, Deployment};
use rebond::follow::Follower;
use rebond::net::Http;
use rebond::raw::Store;
use rebond::table::Table;
use rebond::tell::Teller;
use rebond::vault::Vault;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;

/// Options that every command has.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// Directory of this machine's table, vault and rebond.toml
    #[arg(long, global = true, default_value = ".rebond", env = "REBOND_DIR", value_name = "DIR")]
    pub dir: PathBuf,
    /// Act on the stack of this name on AWS, with your own credentials, in place of this machine
    #[arg(long, global = true, value_name = "NAME")]
    pub stack: Option<String>,
    /// Language of what a fault means and what to do about it
    #[arg(long, global = true, value_enum, default_value_t)]
    language: LanguageArg,
}

/// A language on the command line.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum LanguageArg {
    #[default]
    En,
    Fr,
}

/// Where a command acts.
pub enum Place {
    /// This machine.
    Machine(Box<Machine>),
    /// A deployed stack.
    Stack(Box<Deployment>),
}

impl Where {
    /// Opens the place.
    pub async fn open(&self) -> anyhow::Result<Place> {
        Ok(match &self.stack {
            Some(stack) => Place::Stack(Box::new(Deployment::named(stack).await?)),
            None => Place::Machine(Box::new(self.machine().await?)),
        })
    }

    /// This machine, for commands that have no meaning on a stack.
    pub async fn machine(&self) -> anyhow::Result<Machine> {
        if self.stack.is_some() {
            bail!("this command runs on one machine: leave --stack out");
        }
        Machine::open(&self.dir, &self.settings()?).await
    }

    /// The language of advice.
    pub fn language(&self) -> Language {
        match self.language {
            LanguageArg::En => Language::English,
            LanguageArg::Fr => Language::French,
        }
    }

    /// The settings of this machine.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Settings::read(&self.dir)
    }
}

impl Place {
    /// The table.
    pub fn table(&self) -> Table {
        match self {
            Self::Machine(machine) => machine.table.clone(),
            Self::Stack(stack) => stack.table(),
        }
    }

    /// The vault.
    pub fn vault(&self) -> Arc<dyn Vault> {
        match self {
            Self::Machine(machine) => Arc::clone(&machine.vault),
            Self::Stack(stack) => Arc::new(stack.vault()),
        }
    }
}

impl Place {
    /// What makes a connection of a provider's answer: from here, with a stack's table and secrets.
    pub fn connector(&self) -> anyhow::Result<Connector> {
        Ok(match self {
            Self::Machine(machine) => machine.connector(),
            Self::Stack(stack) => stack.connector()?,
        })
    }

    /// What tells endpoints, or keeps for them what a stack's function tells.
    pub fn teller(&self) -> anyhow::Result<Teller> {
        Ok(match self {
            Self::Machine(machine) => machine.teller.clone(),
            Self::Stack(stack) => stack.teller()?,
        })
    }

    /// Mail as it came; none where a stack keeps none.
    pub async fn kept_mail(&self) -> anyhow::Result<Option<Store>> {
        let stack = match self {
            Self::Machine(machine) => return Ok(machine.raw.clone().map(|raw| Store::Folder(raw.folder))),
            Self::Stack(stack) => stack,
        };
        // As the function that keeps it is told. A bucket that it is told of no longer can be named by hand.
        if let Some(kept) = stack.kept_mail() {
            return Ok(Some(kept));
        }
        let name = stack.function("bounce-poll");
        let told = stack.configuration("bounce-poll").await.map_err(|said| anyhow::anyhow!("{name}: {said}"))?;
        let bucket = told["Environment"]["Variables"]["REBOND_RAW_BUCKET"].as_str().filter(|name| !name.is_empty());
        Ok(bucket.map(|name| stack.bucket(name)))
    }

    /// What puts facts into standings.
    pub fn follower(&self) -> Follower {
        match self {
            Self::Machine(machine) => machine.follower(),
            Self::Stack(stack) => Follower::new(stack.table(), Arc::new(stack.vault())),
        }
    }

    /// The one HTTP client, for asking providers what they are.
    pub fn http(&self) -> anyhow::Result<Http> {
        let (reach, tls) = match self {
            Self::Machine(machine) => (machine.reach.clone(), machine.tls.clone()),
            // What a command reaches from here: as the functions are told, by REBOND_REACH and REBOND_EXTRA_CA.
            Self::Stack(_) => (deployment::reach()?, deployment::tls()?),
        };
        Ok(Http::new(&reach, &tls)?)
    }
}

/// Invokes a function of a stack and waits: so that what is shown is what *it* can reach.
pub async fn invoke<T: DeserializeOwned>(
    stack: &Deployment,
    function: &str,
    event: &serde_json::Value,
) -> anyhow::Result<T> {
    let name = stack.function(function);
    let answer = stack.invoke(function, event).await.map_err(|said| anyhow::anyhow!("{name}: {said}"))?;
    serde_json::from_value(answer).with_context(|| format!("{name} answered with something else than expected"))
}
