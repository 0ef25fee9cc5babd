//! What an account is made of, with the checks and the defaults.

use super::{AccountId, AppId, Forwarding};
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
    /// RFC 1939.
    Pop3,
    /// Microsoft Graph v1.0: Exchange Online over HTTPS.
    Graph,
}

impl Protocol {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Graph => "Graph",
        }
    }

    /// The ports of a server: TLS from the first byte, and plain at first (RFC 8314 §3).
    fn ports(self) -> (u16, u16) {
        match self {
            Self::Imap => (993, 143),
            Self::Pop3 => (995, 110),
            // Nothing of it is ever plain.
            Self::Graph => (443, 443),
        }
    }
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// TLS from the first byte: IMAP 993, POP3 995.
    Tls,
    /// Plain until STARTTLS (over POP3 STLS), which is required: IMAP 143, POP3 110.
    #[serde(alias = "stls")]
    Starttls,
    /// Never encrypted: passwords only, and only to this machine or a private address.
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
    pub fn parse(text: &str, protocol: Protocol, encryption: Option<Encryption>) -> Result<Self, Invalid> {
        Self::parse_for(text, protocol.ports(), encryption)
    }

    /// The same of a protocol with these ports: TLS from the first byte, and plain at first.
    pub(super) fn parse_for(
        text: &str,
        (over_tls, plain): (u16, u16),
        encryption: Option<Encryption>,
    ) -> Result<Self, Invalid> {
        let (host, port) = split_host_port(text)?;
        let (port, encryption) = match (port, encryption) {
            (None, None | Some(Encryption::Tls)) => (over_tls, Encryption::Tls),
            (None, Some(other)) => (plain, other),
            (Some(port), None) if port == plain && plain != over_tls => (port, Encryption::Starttls),
            (Some(port), None) => (port, Encryption::Tls),
            (Some(port), Some(encryption)) => (port, encryption),
        };
        Ok(Self { host, port, encryption })
    }

    /// Whether the host is this machine, by name or literal.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether the host is named as one of a private network: a private address, a name without a dot, or one below a
    /// domain that is nobody's (RFC 6762 appendix G, RFC 8375, ICANN's `internal`). Where it really is, is seen when it is
    /// connected to.
    pub fn is_private(&self) -> bool {
        match self.host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(v4)) => v4.is_private(),
            Ok(std::net::IpAddr::V6(v6)) => v6.segments()[0] & 0xfe00 == 0xfc00,
            Err(_) => {
                let ends = [".internal", ".intranet", ".private", ".corp", ".home", ".lan", ".local", ".home.arpa"];
                !self.host.contains('.') || ends.iter().any(|end| self.host.ends_with(end))
            }
        }
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

/// How much is asked of a mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Messages read in one session; the next session goes on at once. None: as many as the time allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_messages: Option<u32>,
    /// Seconds of one session. None: as many as the function has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_seconds: Option<u32>,
    /// The longest pause of a mailbox in which nothing arrives.
    pub idle_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { session_messages: None, session_seconds: None, idle_seconds: 3_600 }
    }
}

/// Polls without anything new after which the pause doubles, and again after as many.
const IDLE_POLLS: u32 = 12;
/// Messages of one poll from which a mailbox is busy.
const BUSY: u64 = 100;
/// The shortest pause.
const SHORTEST: i64 = 60;

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
    /// How much is asked of its server.
    #[serde(default)]
    pub limits: Limits,
    /// Domains whose mail is ours: what a bounce must prove to count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends_as: Vec<String>,
    /// Where mail goes that nobody understood; none where it only stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
}

/// Checks the domains that somebody sends as.
pub fn check_sends_as(domains: &[String]) -> Result<(), Invalid> {
    let no_domain = |domain: &&String| !idna::domain_to_ascii_strict(domain).is_ok_and(|name| name.contains('.'));
    match domains.iter().find(no_domain) {
        Some(domain) => invalid(format!("sends-as {domain:?} is no domain")),
        None => Ok(()),
    }
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
                    "an access token never travels in clear: {}:{} needs encryption tls (port {}) or starttls (port {})",
                    self.server.host,
                    self.server.port,
                    self.protocol.ports().0,
                    self.protocol.ports().1,
                ));
            }
            if !self.server.is_loopback() && !self.server.is_private() {
                return invalid(format!(
                    "a password never travels in clear to {}: use encryption tls or starttls; none is for this machine \
                     and hosts of a private network",
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
        if self.protocol == Protocol::Pop3 {
            self.check_pop3()?;
        }
        if self.protocol == Protocol::Graph && (!oauth || self.server.encryption != Encryption::Tls) {
            return invalid("Graph is opened by OAuth and over TLS alone: give --app, and no --encryption");
        }
        if let Some(folder) = self.moves_to().find(|to| self.folders.contains(to)) {
            return invalid(format!("moving read mail to {folder:?}, which is itself read, would never end"));
        }
        if !(60..=86_400).contains(&self.period_seconds) {
            return invalid("the period must be 60 to 86400 seconds");
        }
        if self.limits.idle_seconds > 86_400 {
            return invalid("the longest pause when idle must be at most 86400 seconds");
        }
        if self.limits.session_messages == Some(0) {
            return invalid("a session must be allowed at least one message");
        }
        if self.limits.session_seconds.is_some_and(|seconds| seconds < 10) {
            return invalid("a session must be allowed at least 10 seconds");
        }
        check_sends_as(&self.sends_as)?;
        self.forwarding.as_ref().map_or(Ok(()), |forwarding| forwarding.check(self))
    }

    /// POP3 has one folder, no marks, and deletes at best.
    fn check_pop3(&self) -> Result<(), Invalid> {
        if let Some(folder) = self.folders.iter().find(|folder| !folder.eq_ignore_ascii_case("INBOX")) {
            return invalid(format!(
                "POP3 shows the INBOX alone, not {folder:?}: read it by IMAP, or leave the folder out"
            ));
        }
        for after in [&self.reports, &self.others] {
            match after {
                AfterReading::Leave | AfterReading::Delete => {}
                AfterReading::Seen => {
                    return invalid("POP3 cannot mark mail as read: say leave or delete, or read it by IMAP");
                }
                AfterReading::Move(folder) => {
                    return invalid(format!(
                        "POP3 cannot move mail to {folder:?}: say leave or delete, or read it by IMAP"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Seconds until the next poll of a mailbox that works, after `idle` polls in a row that found nothing, or after one
    /// that found `messages`: a quiet mailbox is asked less and less often up to its longest pause, a busy one more often.
    pub fn pause_seconds(&self, messages: u64, idle: u32) -> i64 {
        let period = i64::from(self.period_seconds);
        if messages >= BUSY {
            return (period / 4).clamp(SHORTEST.min(period), period);
        }
        let longest = i64::from(self.limits.idle_seconds).max(period);
        (period << (idle / IDLE_POLLS).min(16)).min(longest)
    }

    /// What the operator should know of these settings though they work.
    pub fn warning(&self) -> Option<String> {
        let (reader, act) = match self.server.is_loopback() {
            true => ("whoever may watch this machine's own network", "Where the server can,"),
            false => ("whoever is on that network", "Have its administrator switch on TLS, then"),
        };
        (self.server.encryption == Encryption::None).then(|| {
            format!(
                "The password and all mail of {} travel in clear to {}: {reader} can read them. \
                 {act} give --encryption tls or starttls.",
                self.id, self.server.host
            )
        })
    }

    /// Folders that read mail is moved to.
    pub fn moves_to(&self) -> impl Iterator<Item = &String> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn account(change: impl FnOnce(&mut Account)) -> Account {
        let mut account: Account = serde_json::from_value(serde_json::json!({
            "id": "a", "enabled": true, "protocol": "pop3", "mailbox": "a@example.com", "folders": ["INBOX"],
            "server": { "host": "mail.example.com", "port": 995, "encryption": "tls" },
            "authentication": { "kind": "password", "user": "a" }, "period_seconds": 300,
        }))
        .unwrap();
        change(&mut account);
        account
    }

    #[test]
    fn pop3_leaves_or_deletes_in_one_folder() {
        let refused = |change: fn(&mut Account)| account(change).check().unwrap_err().0;
        account(|_| {}).check().unwrap();
        account(|account| account.others = AfterReading::Delete).check().unwrap();
        assert!(refused(|a| a.reports = AfterReading::Seen).starts_with("POP3 cannot mark mail as read"));
        assert!(refused(|a| a.others = AfterReading::Move("Done".into())).contains("cannot move mail to \"Done\""));
        assert!(refused(|a| a.folders.push("Junk".into())).starts_with("POP3 shows the INBOX alone"));
    }

    #[test]
    fn clear_text_is_for_near_hosts_and_always_warned_of() {
        let clear = |host: &str| {
            account(|account| {
                account.server = Server { host: host.into(), port: 110, encryption: Encryption::None };
            })
        };
        for (host, allowed) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("fd00::7", true),
            ("exchange", true),
            ("mail.corp", true),
            ("mail.example.internal", true),
            ("mail.example.com", false),
            ("8.8.8.8", false),
        ] {
            let account = clear(host);
            assert_eq!(account.check().is_ok(), allowed, "{host}");
            assert!(account.warning().is_some_and(|words| words.contains(host)), "{host}");
            let encrypted = Server { encryption: Encryption::Starttls, ..account.server.clone() };
            assert_eq!(Account { server: encrypted, ..account }.warning(), None, "{host}");
        }
    }

    #[test]
    fn ports_follow_protocol_and_encryption() {
        let check = |protocol, encryption, text: &str, port: u16, expected: Encryption| {
            let server = Server::parse(text, protocol, encryption).unwrap();
            assert_eq!((server.port, server.encryption), (port, expected), "{text}");
        };
        use Encryption::{None as Clear, Starttls, Tls};
        for (protocol, tls, clear) in [(Protocol::Pop3, 995, 110), (Protocol::Imap, 993, 143)] {
            check(protocol, None, "a.example", tls, Tls);
            check(protocol, None, &format!("a.example:{clear}"), clear, Starttls);
            check(protocol, Some(Tls), "a.example", tls, Tls);
            check(protocol, Some(Starttls), "a.example", clear, Starttls);
            check(protocol, Some(Clear), "a.example", clear, Clear);
            check(protocol, Some(Tls), "[2001:db8::1]:7995", 7995, Tls);
        }
        check(Protocol::Imap, None, "a.example:110", 110, Tls);
    }

    #[test]
    fn quiet_mailboxes_rest_longer_and_busy_ones_less() {
        let account = account(|_| {});
        for (messages, idle, pause) in [
            (0, 1, 300),
            (0, 11, 300),
            (0, 12, 600),
            (0, 24, 1200),
            (0, 48, 3600),
            (0, u32::MAX, 3600),
            (5, 0, 300),
            (500, 0, 75),
        ] {
            assert_eq!(account.pause_seconds(messages, idle), pause, "{messages} messages, {idle} idle");
        }
        let steady = Account { limits: Limits { idle_seconds: 300, ..Limits::default() }, ..account };
        assert_eq!(steady.pause_seconds(0, 1_000), 300);
    }
}
