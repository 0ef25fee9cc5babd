//! What an account is made of, with the checks and the defaults.

use super::{AccountId, AppId};
use serde::{Deserialize, Serialize};

/// A setting that cannot work, in a sentence for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

pub(super) fn invalid<T>(sentence: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(sentence.into()))
}

/// How a mailbox is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RFC 9051 and RFC 3501.
    Imap,
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// TLS from the first byte: IMAP 993.
    Tls,
    /// Plain until STARTTLS, which is required: IMAP 143.
    Starttls,
    /// Never encrypted: passwords only, and only to a loopback host.
    None,
}

/// Where the mailbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Host name (A-label) or address literal without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption.
    pub encryption: Encryption,
}

impl Server {
    /// Reads `host`, `host:port`, `[v6]:port`; the encryption follows the port, and the port the encryption.
    pub fn parse(text: &str, encryption: Option<Encryption>) -> Result<Self, Invalid> {
        let (host, port) = split_host_port(text)?;
        let (port, encryption) = match (port, encryption) {
            (None, None | Some(Encryption::Tls)) => (993, Encryption::Tls),
            (None, Some(other)) => (143, other),
            (Some(143), None) => (143, Encryption::Starttls),
            (Some(port), None) => (port, Encryption::Tls),
            (Some(port), Some(encryption)) => (port, encryption),
        };
        Ok(Self { host, port, encryption })
    }

    /// Whether the host is this machine, by name or literal.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

fn split_host_port(text: &str) -> Result<(String, Option<u16>), Invalid> {
    let text = text.trim();
    if text.contains("://") {
        return invalid(format!(
            "{text:?} is a URL: give the host name alone, as imap.example.com or imap.example.com:993"
        ));
    }
    let (host, port) = match (text.strip_prefix('['), text.parse::<std::net::Ipv6Addr>()) {
        (Some(rest), _) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) if port.starts_with(':') => (host, Some(&port[1..])),
            _ => return invalid(format!("{text:?} has an open bracket")),
        },
        (None, Ok(_)) => (text, None),
        (None, Err(_)) => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return invalid(format!("{text:?}: the port must be a number from 1 to 65535")),
    };
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok((host.to_owned(), port));
    }
    match idna::domain_to_ascii_strict(host) {
        Ok(name) if !name.is_empty() && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Ok((name, port)),
        _ => invalid(format!("{host:?} is no host name")),
    }
}

/// How the mailbox is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Authentication {
    /// A user name and a password, which is in the vault.
    Password {
        /// The name to log in with; the mailbox's address where nobody said otherwise.
        user: String,
    },
    /// A person consented; the grant is in the vault.
    OauthUser {
        /// Which registration.
        app: AppId,
    },
    /// The app opens it for itself: no grant and no person (client credentials, RFC 6749 §4.4).
    OauthApp {
        /// Which registration.
        app: AppId,
    },
}

/// How far back the first poll looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Since {
    /// This many days.
    Days(u16),
    /// To the first message.
    All,
    /// Only what arrives from now on.
    New,
}

impl Default for Since {
    fn default() -> Self {
        Self::Days(30)
    }
}

impl TryFrom<String> for Since {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        match text.as_str() {
            "all" => Ok(Self::All),
            "new" => Ok(Self::New),
            days => match days.strip_suffix('d').unwrap_or(days).parse() {
                Ok(days) if days > 0 => Ok(Self::Days(days)),
                _ => invalid(format!("{text:?}: say a number of days (30d), all, or new")),
            },
        }
    }
}

impl std::str::FromStr for Since {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.to_owned())
    }
}

impl From<Since> for String {
    fn from(since: Since) -> Self {
        match since {
            Since::Days(days) => format!("{days}d"),
            Since::All => "all".to_owned(),
            Since::New => "new".to_owned(),
        }
    }
}

/// What becomes of a message on the server once its facts are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterReading {
    /// It stays as it is.
    #[default]
    Leave,
    /// It is marked as read.
    Seen,
    /// It is moved to this folder, which must exist.
    Move(String),
    /// It is deleted.
    Delete,
}

impl std::str::FromStr for AfterReading {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once('=').map_or((text, ""), |(word, folder)| (word, folder)) {
            ("leave", "") => Ok(Self::Leave),
            ("seen", "") => Ok(Self::Seen),
            ("delete", "") => Ok(Self::Delete),
            ("move", folder) if !folder.is_empty() => Ok(Self::Move(folder.to_owned())),
            _ => invalid(format!("{text:?}: say leave, seen, move=FOLDER or delete")),
        }
    }
}

/// What a mailbox is read for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Returned mail.
    #[default]
    Bounce,
}

/// One mailbox that the operator named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name here.
    pub id: AccountId,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether the schedule polls it.
    pub enabled: bool,
    /// What it is read for.
    #[serde(default)]
    pub purpose: Purpose,
    /// How it is read.
    pub protocol: Protocol,
    /// Where it is.
    pub server: Server,
    /// The mailbox: what IMAP logs in as. A shared mailbox differs from the person who consented.
    pub mailbox: String,
    /// How it is opened.
    pub authentication: Authentication,
    /// Folders read, INBOX where nobody said otherwise.
    pub folders: Vec<String>,
    /// How far back the first poll looks.
    #[serde(default)]
    pub since: Since,
    /// What becomes of messages that are reports.
    #[serde(default)]
    pub reports: AfterReading,
    /// What becomes of all other messages.
    #[serde(default)]
    pub others: AfterReading,
    /// Seconds between polls.
    pub period_seconds: u32,
    /// Domains whose mail is ours: what a bounce must prove to count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends_as: Vec<String>,
}

impl Account {
    /// Seconds between polls where nobody said otherwise.
    pub const PERIOD_SECONDS: u32 = 300;

    /// Checks the settings against each other.
    pub fn check(&self) -> Result<(), Invalid> {
        let oauth = self.app().is_some();
        if self.server.encryption == Encryption::None {
            if oauth {
                return invalid(format!(
                    "an access token never travels in clear: {}:{} needs encryption tls (port 993) or starttls (port 143)",
                    self.server.host, self.server.port
                ));
            }
            if !self.server.is_loopback() {
                return invalid(format!(
                    "a password never travels in clear to {}: use encryption tls or starttls; none is for this machine alone",
                    self.server.host
                ));
            }
        }
        if self.mailbox.is_empty() || self.mailbox.len() > 320 || self.mailbox.chars().any(char::is_control) {
            return invalid("the mailbox must be an address or a user name without control characters");
        }
        if self.folders.is_empty() || self.folders.len() > 20 {
            return invalid("name 1 to 20 folders");
        }
        for folder in self.folders.iter().chain(self.moves_to()) {
            if folder.is_empty() || folder.chars().count() > 200 || folder.chars().any(char::is_control) {
                return invalid(format!("{folder:?} is no folder name"));
            }
        }
        if let Some(folder) = self.moves_to().find(|to| self.folders.contains(to)) {
            return invalid(format!("moving read mail to {folder:?}, which is itself read, would never end"));
        }
        if !(60..=86_400).contains(&self.period_seconds) {
            return invalid("the period must be 60 to 86400 seconds");
        }
        for domain in &self.sends_as {
            if !idna::domain_to_ascii_strict(domain).is_ok_and(|d| d.contains('.')) {
                return invalid(format!("sends-as {domain:?} is no domain"));
            }
        }
        Ok(())
    }

    fn moves_to(&self) -> impl Iterator<Item = &String> {
        [&self.reports, &self.others].into_iter().filter_map(|after| match after {
            AfterReading::Move(folder) => Some(folder),
            _ => None,
        })
    }

    /// The app of an OAuth account.
    pub fn app(&self) -> Option<&AppId> {
        match &self.authentication {
            Authentication::OauthUser { app } | Authentication::OauthApp { app } => Some(app),
            Authentication::Password { .. } => None,
        }
    }

    /// Whether somebody must sign in before it can be read.
    pub fn needs_person(&self) -> bool {
        matches!(self.authentication, Authentication::OauthUser { .. })
    }
}
