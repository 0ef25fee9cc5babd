//! What the header of a message says about who wrote it: a mail system, an automaton or a person.

use super::address;
use super::field::Fields;
use super::words::{self, Notice};

/// Signs in the header, none of which decides alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs {
    /// `Return-Path: <>`: no reply is wanted (RFC 5321 §4.5.5).
    pub null_sender: bool,
    /// From a mail system by its local part or its display name.
    pub daemon: bool,
    /// From `postmaster`, which is a system's name and sometimes a person's.
    pub postmaster: bool,
    /// Stamped by a mailing-list manager.
    pub manager: bool,
    /// `Precedence: bulk` or `junk`: sent by an automaton, be it to one.
    pub junk: bool,
    /// Written with a mail client.
    pub client: bool,
    /// Sent to many: a newsletter, a list.
    pub bulk: bool,
    /// From an address that nobody reads: `no-reply` and its kin.
    pub robot: bool,
    /// A field that only bounces carry (`X-Failed-Recipients`, `X-MS-Exchange-Message-Is-Ndr`).
    pub stamped: bool,
    /// `Auto-Submitted` is `auto-replied` or `auto-generated` (RFC 3834 §5), or a kin of it says so.
    pub automatic: bool,
    /// The field that says that this is an automatic reply: `Auto-Submitted: auto-replied`, `X-Autoreply`, …
    pub auto_reply: Option<&'static str>,
    /// The subject is a reply or a forward by a person, or fields of a conversation stand there.
    pub conversation: bool,
    /// Fields that a person's mail client writes.
    pub human: bool,
    /// The message came through a mailing list.
    pub list: bool,
    /// What the subject announces.
    pub subject: Option<Notice>,
    /// The rule that read the subject.
    pub subject_rule: &'static str,
}

impl Signs {
    /// Reads the signs of a header whose decoded subject is `subject`.
    pub fn of(fields: &Fields<'_>, subject: &str) -> Self {
        let from = fields.decoded("from").unwrap_or_default();
        let writer = Writer::of(&from);
        let auto = fields.text("auto-submitted").unwrap_or_default().to_ascii_lowercase();
        let precedence = fields.text("precedence").unwrap_or_default().to_ascii_lowercase();
        let has = |name: &str| fields.get(name).is_some();
        let announced = words::in_subject(subject);
        let auto_reply = match () {
            () if auto.starts_with("auto-replied") => Some("auto-submitted"),
            () if matches!(precedence.as_str(), "auto_reply" | "auto-reply") => Some("precedence"),
            () => REPLY_FIELDS.iter().copied().find(|name| has(name)),
        };
        Signs {
            null_sender: is_null_sender(fields, &from),
            daemon: writer.is_daemon() || fields.text("sender").is_some_and(|s| Writer::of(&s).is_daemon()),
            postmaster: writer.is_postmaster(),
            manager: MANAGER_FIELDS.iter().any(|n| has(n)),
            junk: matches!(precedence.as_str(), "bulk" | "junk"),
            client: CLIENT_FIELDS.iter().any(|n| has(n)),
            bulk: has("list-unsubscribe") || has("list-id") || has("list-post") || precedence == "list",
            robot: writer.is_robot(),
            stamped: has("x-failed-recipients") || has("x-ms-exchange-message-is-ndr"),
            automatic: auto.starts_with("auto-") || has("x-auto-response-suppress") || auto_reply.is_some(),
            auto_reply,
            conversation: is_conversation(subject),
            human: ["in-reply-to", "references", "user-agent", "thread-index", "x-originating-ip"]
                .iter()
                .any(|n| has(n)),
            list: has("list-id") || has("list-post") || precedence == "list",
            subject: announced.as_ref().map(|f| f.notice),
            subject_rule: announced.map_or("", |f| f.rule),
        }
    }

    /// Written by a mail system, as far as the header tells.
    pub fn is_system(&self) -> bool {
        self.daemon || self.postmaster || self.stamped || self.null_sender
    }
}

/// Fields that mail clients write.
const CLIENT_FIELDS: &[&str] = &["user-agent", "thread-index", "x-originating-ip", "x-mimeole"];

/// Fields that mailing-list managers stamp on their own notices.
const MANAGER_FIELDS: &[&str] = &[
    "x-mlserver",
    "x-mailman-version",
    "mailing-list",
    "x-list-administrivia",
    "x-listserver",
    "x-sympa-to",
    "x-ml-info",
    "list-subscribe",
];

/// Fields that only automatic replies carry.
const REPLY_FIELDS: &[&str] =
    &["x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from", "x-mail-autoreply", "x-autoreply-from"];

fn is_null_sender(fields: &Fields<'_>, from: &str) -> bool {
    // The delivering server's own field is the topmost one.
    let path = fields.get("return-path").map(|f| f.unfolded().into_owned());
    matches!(path.as_deref(), Some("<>" | "< >")) || from.trim_end().ends_with("<>")
}

/// Who a `From` or `Sender` says that it is.
struct Writer {
    /// The field in lower case.
    field: String,
    /// Letters and digits of the local part, or of the field where no address stands.
    local: String,
    /// An address stands there.
    named: bool,
}

impl Writer {
    fn of(field: &str) -> Self {
        let field = field.to_ascii_lowercase();
        let found = address::first(&field);
        let whole = found.as_deref().and_then(|a| a.rsplit_once('@')).map_or(field.as_str(), |(local, _)| local);
        let local = whole.chars().filter(char::is_ascii_alphanumeric).collect();
        Writer { local, named: found.is_some(), field }
    }

    /// `MAILER-DAEMON`, `postmaster` and their kin (RFC 2142 §5, RFC 3464 §2), or a display name that says so.
    fn is_daemon(&self) -> bool {
        const LOCALS: &[&str] =
            &["mailerdaemon", "maildaemon", "mdaemon", "mailerdaemonowner", "mailsystem", "bounce", "bounces"];
        LOCALS.iter().any(|l| self.local == *l)
            || self.local.starts_with("mailerdaemon")
            || self.local.starts_with("microsoftexchange")
            || NAMES.iter().any(|n| self.field.contains(n))
    }

    fn is_postmaster(&self) -> bool {
        self.named && self.local.starts_with("postmaster") || self.field.contains("postmaster")
    }

    /// An address that nobody reads.
    fn is_robot(&self) -> bool {
        const LOCALS: &[&str] = &[
            "noreply",
            "donotreply",
            "nobody",
            "mailer",
            "bounce",
            "root",
            "daemon",
            "autoreply",
            "system",
            "notification",
        ];
        self.named && LOCALS.iter().any(|l| self.local.contains(l))
    }
}

const NAMES: &[&str] = &[
    "mail delivery s",
    "mail deliver s",
    "mail delivery agent",
    "mail administrator",
    "mail system",
    "mailer-daemon",
    "mailer daemon",
    "delivery subsystem",
    "mail router",
    "system administrator",
];

fn is_conversation(subject: &str) -> bool {
    let front = subject.trim_start();
    const PREFIXES: &[&str] =
        &["re", "fw", "fwd", "aw", "wg", "tr", "rv", "sv", "vs", "ref", "enc", "antw", "odp", "ynt", "i", "r"];
    front.split_once([':', '：']).is_some_and(|(word, _)| {
        let word = word.trim().trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '^' | '('));
        PREFIXES.iter().any(|p| word.eq_ignore_ascii_case(p))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons() {
        let check = |from: &str, expected: bool| assert_eq!(Writer::of(from).is_daemon(), expected, "{from}");
        check("MAILER-DAEMON@example.com (Mail Delivery System)", true);
        assert!(Writer::of("\"Postmaster\" <post_master@example.com>").is_postmaster());
        check("MAILER-DAEMON <>", true);
        check("Mail Delivery Subsystem <mailer-daemon@example.com>", true);
        check("Ann <ann@example.com>", false);
    }

    #[test]
    fn conversations() {
        assert!(is_conversation("Re: Undeliverable"));
        assert!(is_conversation("RE[2]: x"));
        assert!(!is_conversation("Undeliverable: Re: x"));
    }
}
