//! One machine: a directory with the table, the vault and `rebond.toml`, and the flows of the functions over them.

use crate::embedded::{self, Durability, Sweeper};
use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rebond::connection::Connector;
use rebond::deployment::signed::Signed;
use rebond::follow::Follower;
use rebond::grant::{Clock, Grants};
use rebond::identity::TokenFile;
use rebond::limits;
use rebond::net::{Http, Reach, Tls};
use rebond::poll::Poller;
use rebond::raw::{Folder, Store};
use rebond::secret::Secret;
use rebond::table::Table;
use rebond::tell::Teller;
use rebond::vault::{MasterKey, Name, SealedFile, Vault, Version};
use rebond_api::Api;
use rebond_oauth_callback::OauthCallback;
use rebond_oauth_start::OauthStart;
use rebond_token_refresh::TokenRefresh;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `rebond.toml`: settings of the process only. Accounts live in the table.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Address and port that `serve` listens on.
    pub listen: String,
    /// What may be reached beside public addresses: `loopback`, ranges, by commas.
    pub reach: String,
    /// A PEM file with further authorities for TLS.
    pub extra_ca: Option<PathBuf>,
    /// What a power failure may cost.
    pub durability: Durability,
    /// Accounts polled at once.
    pub polls_at_once: usize,
    /// A file that somebody keeps fresh with a token that says who this process is: what apps with a federated
    /// credential prove themselves with.
    pub federated_token_file: Option<PathBuf>,
    /// Days that mail is kept as it came, to be read again under other rules; 0 for none.
    pub keep_raw: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "localhost:8484".into(),
            reach: String::new(),
            extra_ca: None,
            durability: Durability::Full,
            polls_at_once: 4,
            federated_token_file: None,
            keep_raw: 0,
        }
    }
}

impl Settings {
    /// Reads `rebond.toml` in the directory; the defaults where there is none.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("rebond.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{}", path.display())),
        }
    }
}

/// Mail as it came, on one machine.
#[derive(Debug, Clone)]
pub struct KeptMail {
    /// Where it is.
    pub folder: Folder,
    /// How long it is kept; 0 where polls keep none.
    pub days: u16,
}

impl KeptMail {
    /// Removes what was kept so many days ago: where none is kept any longer, all but today's. A failure is logged and stops
    /// nothing: it is tried again.
    pub fn sweep(&self, now: Timestamp) {
        let before = now.to_zoned(TimeZone::UTC).date().saturating_sub(i64::from(self.days).days());
        match self.folder.sweep(before) {
            Ok(0) => {}
            Ok(days) => tracing::info!(days, "kept mail was removed, its time being over"),
            Err(error) => tracing::error!(error = %error, "kept mail could not be removed"),
        }
    }
}

/// Everything the flows need on one machine.
#[derive(Clone)]
pub struct Machine {
    /// State.
    pub table: Table,
    /// Secrets.
    pub vault: Arc<dyn Vault>,
    /// Which servers may be reached.
    pub reach: Reach,
    /// Whom TLS trusts.
    pub tls: Tls,
    /// Grants.
    pub grants: Grants,
    /// The time.
    pub clock: Clock,
    /// What puts facts into standings.
    pub follower: Follower,
    /// What tells endpoints.
    pub teller: Teller,
    /// Mail as it came; none where this machine was made of parts.
    pub raw: Option<KeptMail>,
    /// What removes items whose time to live is over; none where this machine was made of parts.
    pub sweeper: Option<Sweeper>,
}

impl Machine {
    /// Opens (or makes) the table and the vault in `dir`.
    pub async fn open(dir: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let extra_ca = match &settings.extra_ca {
            Some(path) => Some(std::fs::read(path).with_context(|| format!("extra-ca {}", path.display()))?),
            None => None,
        };
        let reach = Reach::parse(&settings.reach).context("reach")?;
        let mut machine = Self::with(dir, settings.durability, reach, extra_ca.as_deref()).await?;
        if settings.keep_raw > limits::RAW_DAYS {
            bail!("keep-raw: {} days at most, as long as facts are kept", limits::RAW_DAYS);
        }
        machine.raw = Some(KeptMail { folder: Folder::new(dir.join("raw")), days: settings.keep_raw });
        Ok(match &settings.federated_token_file {
            Some(file) => Self { grants: machine.grants.with_identity(Arc::new(TokenFile::new(file))), ..machine },
            None => machine,
        })
    }

    /// The same with reach and authorities given: for the demo.
    pub async fn with(
        dir: &Path,
        durability: Durability,
        reach: Reach,
        extra_ca: Option<&[u8]>,
    ) -> anyhow::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("{}", dir.display()))?;
        let path = dir.join("table.sqlite");
        let (table, sweeper) = embedded::open(&path.to_string_lossy(), durability).await?;
        let vault: Arc<dyn Vault> = Arc::new(SealedFile::open(dir.join("vault.json"), &master_key(dir)?)?);
        make_signing_key(&*vault).await?;
        let machine = Self::over(table, vault, reach, Tls::new(extra_ca)?, Arc::new(jiff::Timestamp::now))?;
        Ok(Self { sweeper: Some(sweeper), ..machine })
    }

    /// The same over parts that are open already.
    pub fn over(table: Table, vault: Arc<dyn Vault>, reach: Reach, tls: Tls, clock: Clock) -> anyhow::Result<Self> {
        let http = Http::new(&reach, &tls)?;
        let follower = Follower::new(table.clone(), Arc::clone(&vault));
        let (source, of_clock) = ("/rebond".to_owned(), Arc::clone(&clock));
        let signed = Arc::new(Signed::of_operator());
        let for_teller = Arc::clone(&signed);
        let teller =
            Teller::new(table.clone(), Arc::clone(&vault), follower, http.clone(), for_teller, source, of_clock);
        // No stream tells of what is written here.
        let table = table.witnessed(teller.witness());
        let grants = Grants::new(table.clone(), Arc::clone(&vault), http, Arc::clone(&clock));
        let grants = grants.with_signed(signed);
        let follower = Follower::new(table.clone(), Arc::clone(&vault));
        Ok(Self { table, vault, reach, tls, grants, clock, follower, teller, raw: None, sweeper: None })
    }

    /// The flow of `bounce-poll`.
    pub fn poller(&self) -> Poller {
        Poller {
            table: self.table.clone(),
            vault: Arc::clone(&self.vault),
            grants: self.grants.clone(),
            reach: self.reach.clone(),
            tls: self.tls.clone(),
            clock: Arc::clone(&self.clock),
            follow: Some(self.follower().into_follow()),
            raw: self.raw.clone().filter(|raw| raw.days > 0).map(|raw| Store::Folder(raw.folder)),
        }
    }

    /// The flow of `standing-update`; here the poll that recorded a fact hands it over.
    pub fn follower(&self) -> Follower {
        self.follower.clone()
    }

    /// The flow of `api`.
    pub fn api(&self) -> Api {
        Api::new(self.table.clone())
    }

    /// The flow of `oauth-start`.
    pub fn oauth_start(&self) -> OauthStart {
        OauthStart { table: self.table.clone(), vault: Arc::clone(&self.vault) }
    }

    /// The flow of `oauth-callback`.
    pub fn oauth_callback(&self) -> OauthCallback {
        OauthCallback { connector: self.connector() }
    }

    /// What makes a connection of a provider's answer.
    pub fn connector(&self) -> Connector {
        Connector {
            table: self.table.clone(),
            vault: Arc::clone(&self.vault),
            grants: self.grants.clone(),
            reach: self.reach.clone(),
            tls: self.tls.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// The flow of `token-refresh`.
    pub fn token_refresh(&self) -> TokenRefresh {
        TokenRefresh { table: self.table.clone(), grants: self.grants.clone() }
    }
}

/// `REBOND_KEY`, or the key file in the directory.
fn master_key(dir: &Path) -> anyhow::Result<MasterKey> {
    match std::env::var("REBOND_KEY") {
        Ok(text) => match MasterKey::from_base64(&Secret::from(text)) {
            Some(key) => Ok(key),
            None => bail!("REBOND_KEY must hold 32 bytes in base64 (openssl rand -base64 32)"),
        },
        Err(_) => Ok(MasterKey::from_file(&dir.join("key"))?),
    }
}

/// On AWS the template generates it; here the first start does. Two first starts at once agree on one.
async fn make_signing_key(vault: &dyn Vault) -> anyhow::Result<()> {
    if vault.get(&Name::SigningKey, Version::Current).await?.is_none() {
        let secret: String = random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        vault.put(&Name::SigningKey, uuid::Uuid::nil(), &Secret::from(secret)).await?;
    }
    Ok(())
}

/// Fresh random bytes.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random bytes to be had"))?;
    Ok(bytes)
}
