//! Why a mailbox could not be opened or read, and what the server said.

use crate::limits;
use crate::net::NetError;
use crate::secret::{ExposeSecret, Secret};
use std::time::Duration;

/// A fault of a mailbox or its server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}", .said.as_ref().map_or(String::new(), |said| format!(" (the server said: {said})")))]
pub struct MailboxFault {
    /// What went wrong.
    pub kind: FaultKind,
    /// The server's words: control characters escaped, bounded, secrets taken out.
    pub said: Option<String>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// What went wrong with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The server could not be reached, or not safely.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Token or password, or the right to this mailbox, was refused.
    #[error("the server refused the login")]
    LoginRefused,
    /// Exchange: the token is good, the mailbox is not this user's (or does not exist, or has the protocol disabled).
    #[error("the login is good, but it does not open this mailbox")]
    NotConnected,
    /// Graph: the token is good, and lacks the permission for this mailbox.
    #[error("the token does not carry the permission for this mailbox")]
    NotPermitted,
    /// Graph: no mailbox of this address, or none that whoever signed in may open.
    #[error("there is no such mailbox for this token")]
    NoMailbox,
    /// IMAP or POP3 is switched off for this mailbox, or for its whole organisation. Exchange never says so: there it looks
    /// like a refused login, or like [`Self::NotConnected`].
    #[error("the server says that this protocol is switched off for the mailbox")]
    ProtocolDisabled,
    /// SMTP: login is switched off for this mailbox, or for its whole organisation.
    #[error("the server says that SMTP AUTH is switched off")]
    SmtpAuthDisabled,
    /// The tenant takes no passwords.
    #[error("the server takes no passwords any more: connect this mailbox by OAuth")]
    BasicAuthDisabled,
    /// Too many connections or commands.
    #[error("the server asks to slow down")]
    Throttled,
    /// The server has a fault of its own.
    #[error("the server is unavailable for now")]
    Unavailable,
    /// The folder does not exist, or may not be opened.
    #[error("the folder {0:?} does not exist")]
    FolderMissing(String),
    /// The encryption that the settings require is not to be had, or somebody is in between.
    #[error("the connection could not be encrypted: {0}")]
    Downgrade(&'static str),
    /// We were told to send a credential in clear.
    #[error("{0}")]
    ClearText(&'static str),
    /// The server offers no way to log in that we have.
    #[error("the server does not offer {0}")]
    NoMechanism(&'static str),
    /// POP3: messages cannot be known again.
    #[error("the server offers no UIDL, without which read mail cannot be told from new")]
    NoUidl,
    /// A user name, password or folder that cannot be sent.
    #[error("{0} holds a character that cannot be sent")]
    Unsendable(&'static str),
    /// A command was answered NO or BAD.
    #[error("the server refused {0}")]
    Refused(&'static str),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
    /// The server sent more than we take.
    #[error("the server sent {0}")]
    Limit(&'static str),
    /// Our own time for this mailbox is over.
    #[error("the time for this mailbox is over")]
    Deadline,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
}

impl FaultKind {
    /// Whether the same attempt may succeed later without anybody acting.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Net(error) => error.is_passing(),
            Self::Throttled | Self::Unavailable | Self::Deadline | Self::Closed => true,
            _ => false,
        }
    }
}

impl MailboxFault {
    /// Whether the same attempt may succeed later without anybody acting.
    pub fn is_passing(&self) -> bool {
        self.kind.is_passing()
    }

    /// The same, with the status that the server explained a refused token by.
    pub(super) fn with_status(self, status: Option<&str>) -> Self {
        let Some(status) = status.filter(|status| !status.is_empty()) else { return self };
        let words = self.said.as_deref().unwrap_or_default();
        let said = Some(clean(format!("{words} (status {status})").as_bytes(), &[]));
        Self { said, ..self }
    }
}

impl From<FaultKind> for MailboxFault {
    fn from(kind: FaultKind) -> Self {
        Self { kind, said: None, retry_after: None }
    }
}

impl From<NetError> for MailboxFault {
    fn from(error: NetError) -> Self {
        FaultKind::Net(error).into()
    }
}

/// A server's words made fit to show: secrets taken out, control and direction characters escaped, bounded.
pub(super) fn clean(text: &[u8], secrets: &[Secret]) -> String {
    // Bounded before anything is searched in it; a secret cut by the bound is still taken out below.
    let mut text = String::from_utf8_lossy(&text[..text.len().min(limits::SERVER_LINE_BYTES)]).into_owned();
    for secret in secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[secret]");
    }
    let text = without_long_words(&text);
    let mut shown = String::new();
    for c in text.trim().chars().take(limits::DIAGNOSTIC_CHARS) {
        if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A server that repeats a command, cut short, shows part of a credential: no word for people is that long.
fn without_long_words(text: &str) -> String {
    const LONG: usize = 64;
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-' | '.');
    let mut kept = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_of_token(c)) {
        let word = piece.trim_end_matches(|c| !is_of_token(c));
        kept.push_str(if word.len() > LONG { "[secret]" } else { word });
        kept.push_str(&piece[word.len()..]);
    }
    kept
}

/// What was asked when a server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// To be let in.
    Login,
    /// To open this folder.
    Folder(&'a str),
    /// To put messages into this folder, by this command.
    Into(&'a str, &'static str),
    /// Anything else.
    Command(&'static str),
}

/// What a refusal means, by its response code (RFC 5530, RFC 2449 §8, RFC 3206) and its words: the sentences are Exchange's, Dovecot's,
/// Gmail's and Zoho's. `said` is kept.
pub(super) fn classify(asked: Asked<'_>, bye: bool, code: &[u8], words: &[u8], said: String) -> MailboxFault {
    let text = String::from_utf8_lossy(words).to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let code = String::from_utf8_lossy(code.split(|&b| b == b' ').next().unwrap_or_default()).to_ascii_uppercase();
    let kind = if has(&["authenticated but not connected"]) {
        FaultKind::NotConnected
    } else if has(&["smtpclientauthentication is disabled"]) {
        FaultKind::SmtpAuthDisabled
    } else if has(&["basic authentication is disabled", "basicauthblocked", "logondenied-basicauth"])
        || has(&["basic authentication is not supported"])
    {
        FaultKind::BasicAuthDisabled
    } else if has(&["not enabled for imap", "not enabled for pop", "imap access is disabled", "pop access is disabled"])
        || has(&["yet to enable imap", "yet to enable pop"])
    {
        FaultKind::ProtocolDisabled
    } else if has(&["throttled", "backoff time", "too many", "maximum number of connections", "bandwidth limits"])
        || has(&["connection closed. 14"])
        || matches!(code.as_str(), "LIMIT" | "INUSE" | "IN-USE" | "LOGIN-DELAY")
    {
        FaultKind::Throttled
    } else if has(&["server unavailable", "temporary authentication failure", "try again later"])
        || matches!(code.as_str(), "UNAVAILABLE" | "SERVERBUG" | "SYS/TEMP")
    {
        FaultKind::Unavailable
    } else if bye {
        FaultKind::Closed
    } else {
        let missing = matches!(code.as_str(), "NONEXISTENT" | "TRYCREATE")
            || has(&["doesn't exist", "does not exist", "not exist", "not found", "unknown mailbox", "no such"]);
        match asked {
            Asked::Login => FaultKind::LoginRefused,
            Asked::Folder(name) | Asked::Into(name, _) if missing => FaultKind::FolderMissing(name.to_owned()),
            Asked::Folder(_) => FaultKind::Refused("to open the folder"),
            Asked::Into(_, what) | Asked::Command(what) => FaultKind::Refused(what),
        }
    };
    MailboxFault { kind, retry_after: backoff(&text), said: (!said.is_empty()).then_some(said) }
}

/// Exchange: `Request is throttled. Suggested Backoff Time: 4832 milliseconds`.
fn backoff(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once("backoff time:")?;
    let rest = rest.trim_start();
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let milliseconds: u64 = rest[..digits].parse().ok()?;
    // A day is more than any server means.
    Some(Duration::from_millis(milliseconds.min(86_400_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Asked<'_>, bye: bool, code: &str, said: &str, kind: FaultKind, passing: bool) {
        let fault = classify(asked, bye, code.as_bytes(), said.as_bytes(), said.to_owned());
        assert_eq!(fault.kind, kind, "{said}");
        assert_eq!(fault.is_passing(), passing, "{said}");
    }

    #[test]
    fn refusals_by_their_words() {
        use FaultKind as K;
        let command = Asked::Command("FETCH");
        check(Asked::Login, false, "", "AUTHENTICATE failed.", K::LoginRefused, false);
        check(Asked::Login, false, "AUTHENTICATIONFAILED", "Authentication failed.", K::LoginRefused, false);
        check(Asked::Folder("INBOX"), false, "", "User is authenticated but not connected.", K::NotConnected, false);
        check(Asked::Login, false, "", "Basic authentication is disabled.", K::BasicAuthDisabled, false);
        let locked = "Your account is not enabled for IMAP use. Please visit your Gmail settings page";
        check(Asked::Login, false, "ALERT", locked, K::ProtocolDisabled, false);
        check(command, false, "SYS/PERM", "Your account is not enabled for POP access.", K::ProtocolDisabled, false);
        let domain = "IMAP access is disabled for your domain. Please contact your domain administrator";
        check(Asked::Login, false, "ALERT", domain, K::ProtocolDisabled, false);
        check(Asked::Login, false, "ALERT", "You are yet to enable IMAP for your account.", K::ProtocolDisabled, false);
        for whose in ["Tenant", "Mailbox"] {
            let said = format!(
                "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the {whose}. Visit \
                 https://aka.ms/smtp_auth_disabled for more information."
            );
            check(Asked::Login, false, "", &said, K::SmtpAuthDisabled, false);
        }
        for said in [
            "5.7.139 Authentication unsuccessful, basic authentication is disabled.",
            "5.7.30 Basic authentication is not supported for Client Submission.",
        ] {
            check(Asked::Login, false, "", said, K::BasicAuthDisabled, false);
        }
        check(
            command,
            false,
            "",
            "Request is throttled. Suggested Backoff Time: 4832 milliseconds",
            K::Throttled,
            true,
        );
        check(command, false, "", "Server Unavailable. 15", K::Unavailable, true);
        check(Asked::Login, false, "", "Server Unavailable. 15", K::Unavailable, true);
        check(Asked::Login, false, "UNAVAILABLE", "Temporary authentication failure. [x:2026]", K::Unavailable, true);
        check(command, true, "", "Connection closed. 14", K::Throttled, true);
        check(command, true, "", "Autologout; idle for too long", K::Closed, true);
        check(Asked::Login, false, "ALERT", "Too many simultaneous connections. (Failure)", K::Throttled, true);
        let dovecot = "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)";
        check(Asked::Login, false, "LIMIT", dovecot, K::Throttled, true);
        check(Asked::Folder("Büro"), false, "NONEXISTENT", "Unknown Mailbox", K::FolderMissing("Büro".into()), false);
        check(Asked::Folder("a"), false, "", "a doesn't exist.", K::FolderMissing("a".into()), false);
        check(Asked::Folder("a"), false, "NOPERM", "No", K::Refused("to open the folder"), false);
        check(Asked::Into("a", "UID MOVE"), false, "NOPERM", "No", K::Refused("UID MOVE"), false);
        check(Asked::Into("a", "UID MOVE"), false, "TRYCREATE", "No", K::FolderMissing("a".into()), false);
        check(Asked::Folder("a"), false, "INUSE", "Mailbox is locked", K::Throttled, true);
        check(Asked::Folder("a"), false, "TRYCREATE", "a", K::FolderMissing("a".into()), false);
        check(command, false, "", "Command Argument Error. 12", K::Refused("FETCH"), false);
    }

    #[test]
    fn backoff_times() {
        let of = |text: &str| classify(Asked::Login, false, b"", text.as_bytes(), String::new()).retry_after;
        assert_eq!(of("Suggested Backoff Time: 4832 milliseconds"), Some(Duration::from_millis(4832)));
        assert_eq!(of("Suggested Backoff Time: milliseconds"), None);
        assert_eq!(of("Suggested Backoff Time: 99999999999999999999999 ms"), None);
        assert_eq!(of("Suggested Backoff Time: 999999999999 ms"), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn f28_words_are_cleaned() {
        let secrets = [Secret::from("hunter2".to_owned()), Secret::from(String::new())];
        let check = |text: &str, shown: &str| assert_eq!(clean(text.as_bytes(), &secrets), shown);
        check("  plain words ", "plain words");
        check("user=hunter2hunter2!", "user=[secret][secret]!");
        check("a\u{1b}[31mb\rc\0d\u{202e}e", "a\\u{1b}[31mb\\u{d}c\\u{0}d\\u{202e}e");
        assert_eq!(clean(b"\xff\xfe", &secrets), "\u{fffd}\u{fffd}");
        check(&format!("BAD AUTHENTICATE XOAUTH2 {}...", "dXNlcj1h".repeat(9)), "BAD AUTHENTICATE XOAUTH2 [secret]");
        check(&format!("é{}é {}", "x".repeat(65), "x".repeat(64)), &format!("é[secret]é {}", "x".repeat(64)));
        assert_eq!(clean("x ".repeat(1 << 19).as_bytes(), &secrets).len(), limits::DIAGNOSTIC_CHARS);
    }
}
