//! Where mail goes that nobody understood, beside staying where it is: on request, to one address that the operator named.

use super::settings::{Invalid, Server, invalid};
use super::{Account, AfterReading, Encryption};
use crate::report::Kind;
use crate::standing::AddressKey;
use serde::{Deserialize, Serialize};

/// Ports of a server that takes mail: TLS from the first byte, and plain at first (RFC 8314 §3.3, RFC 6409).
const PORTS: (u16, u16) = (465, 587);

/// What is forwarded, to whom, by which server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// The one address that it goes to.
    pub to: String,
    /// Mail that arrived before is not forwarded, in seconds since 1970: when it was switched on.
    #[serde(default)]
    pub since: i64,
    /// Reports, too: everything that is read. Else other mail alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// The server that takes it (RFC 6409).
    pub server: Server,
    /// How it is logged in to.
    pub login: RelayLogin,
}

/// How the server that takes mail is logged in to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RelayLogin {
    /// Not at all: a relay on this machine or in a private network.
    None,
    /// As the mailbox itself is: its password, or the access token of its app.
    Mailbox,
    /// With a password of its own, which is in the vault.
    Password {
        /// The name to log in with.
        user: String,
    },
}

impl Forwarding {
    /// Reads the server as [`Server::parse`] does, by the ports of submission.
    pub fn server(text: &str, encryption: Option<Encryption>) -> Result<Server, Invalid> {
        Server::parse_for(text, PORTS, encryption)
    }

    /// Whether mail of this kind, which arrived then, is forwarded.
    pub fn concerns(&self, kind: Kind, arrived: i64) -> bool {
        arrived >= self.since && (self.all || kind == Kind::Other)
    }

    /// Checks it against the account.
    pub(super) fn check(&self, account: &Account) -> Result<(), Invalid> {
        let fits = |address: &AddressKey| {
            let text = address.as_str();
            text.is_ascii() && text.len() <= 254 && !text.contains(['"', '<', '>', ' ', ',', ';', '[', '\\'])
        };
        let Some(to) = self.to.parse::<AddressKey>().ok().filter(fits).filter(|_| self.to.is_ascii()) else {
            return invalid(format!("{:?} is no address to forward to: it takes the form name@example.com", self.to));
        };
        if account.mailbox.parse::<AddressKey>().is_ok_and(|mailbox| mailbox == to) {
            return invalid("forwarding a mailbox to itself would never end");
        }
        if account.others == AfterReading::Delete || (self.all && account.reports == AfterReading::Delete) {
            return invalid(
                "what is forwarded is never deleted: let it be left, marked as read or moved (--reports, --others)",
            );
        }
        let server = &self.server;
        let near = server.is_loopback() || server.is_private();
        match (&self.login, server.encryption) {
            (RelayLogin::Mailbox, _) if account.protocol == super::Protocol::Graph => {
                invalid("the token of a Graph account opens no server that takes mail: give --user, or no login at all")
            }
            (RelayLogin::Mailbox, Encryption::None) if account.app().is_some() => {
                invalid("an access token never travels in clear: use encryption tls or starttls")
            }
            (_, Encryption::None) if !near => invalid(format!(
                "mail never travels in clear to {}: use encryption tls or starttls; none is for this machine and hosts \
                 of a private network",
                server.host
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn account(change: impl FnOnce(&mut Account, &mut Forwarding)) -> Result<(), Invalid> {
        let mut account: Account = serde_json::from_value(serde_json::json!({
            "id": "a", "enabled": true, "protocol": "imap", "mailbox": "bounces@example.com", "folders": ["INBOX"],
            "server": { "host": "mail.example.com", "port": 993, "encryption": "tls" },
            "authentication": { "kind": "password", "user": "a" }, "period_seconds": 300,
        }))
        .unwrap();
        let mut forwarding = Forwarding {
            to: "people@example.com".into(),
            since: 0,
            all: false,
            server: Forwarding::server("smtp.example.com", None).unwrap(),
            login: RelayLogin::Mailbox,
        };
        change(&mut account, &mut forwarding);
        account.forwarding = Some(forwarding);
        account.check()
    }

    #[test]
    fn what_may_be_forwarded_where() {
        let refused = |change: fn(&mut Account, &mut Forwarding)| account(change).unwrap_err().0;
        account(|_, _| {}).unwrap();
        account(|account, _| account.others = AfterReading::Move("Later".into())).unwrap();
        account(|account, _| account.reports = AfterReading::Delete).unwrap();
        assert!(refused(|_, f| f.to = "Bounces@Example.com".into()).contains("would never end"));
        for to in
            ["", "people", "a b@example.com", "a@example.com>\r\nRCPT TO:<b@example.com", "é@example.com", "a@[::1]"]
        {
            let said = account(|_, forwarding| forwarding.to = to.to_owned()).unwrap_err().0;
            assert!(said.contains("no address to forward to"), "{to}: {said}");
        }
        assert!(refused(|account, _| account.others = AfterReading::Delete).contains("never deleted"));
        assert!(
            refused(|account, f| (account.reports, f.all) = (AfterReading::Delete, true)).contains("never deleted")
        );
        assert!(refused(|_, f| f.server.encryption = Encryption::None).contains("never travels in clear"));
        account(|_, f| f.server = Forwarding::server("localhost:25", Some(Encryption::None)).unwrap()).unwrap();
    }

    #[test]
    fn ports_of_submission() {
        for (text, port, encryption) in [
            ("smtp.example.com", 465, Encryption::Tls),
            ("smtp.example.com:587", 587, Encryption::Starttls),
            ("smtp.example.com:2465", 2465, Encryption::Tls),
        ] {
            let server = Forwarding::server(text, None).unwrap();
            assert_eq!((server.port, server.encryption), (port, encryption), "{text}");
        }
    }
}
