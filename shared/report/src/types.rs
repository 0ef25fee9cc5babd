//! The shape of a report. Its JSON is what `rebond read --json` prints and what the table keeps.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A delivery failed for good.
    Bounce,
    /// A delivery is late and still being tried.
    Delayed,
    /// A delivery, relay or expansion succeeded.
    Delivered,
    /// A complaint or another feedback report (RFC 5965).
    Feedback,
    /// An automatic reply (RFC 3834), a vacation notice, a challenge.
    AutoReply,
    /// A message disposition notification (RFC 8098).
    Disposition,
    /// Any other mail.
    #[default]
    Other,
}

impl Kind {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Feedback => "feedback",
            Self::AutoReply => "auto-reply",
            Self::Disposition => "disposition",
            Self::Other => "other",
        }
    }
}

/// `Action` of RFC 3464 §2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Not delivered, and no more attempts.
    Failed,
    /// Not delivered yet.
    Delayed,
    /// Delivered.
    Delivered,
    /// Handed to a system that makes no reports.
    Relayed,
    /// Delivered to the members of a list or to an alias.
    Expanded,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $hard:literal;)*) => {
        /// Why a message came back: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The word in JSON and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $word,)* }
            }

            /// Whether the *address* is dead: nothing sent there will ever arrive.
            pub fn is_hard(self) -> bool {
                match self { $(Reason::$name => $hard,)* }
            }
        }
    };
}

reasons! {
    /// No such mailbox, alias or local part.
    UserUnknown = "user-unknown", true;
    /// The domain does not exist or has no usable MX.
    HostUnknown = "host-unknown", true;
    /// The mailbox moved away.
    HasMoved = "has-moved", true;
    /// The host or domain takes no mail at all; hard unless said to be temporary.
    NotAccept = "not-accept", true;
    /// Over quota.
    MailboxFull = "mailbox-full", false;
    /// The mailbox exists and is disabled, inactive or locked.
    Suspend = "suspend", false;
    /// Refused by the recipient's own filter or choice.
    Filtered = "filtered", false;
    /// Over the receiving system's size limit.
    MessageTooBig = "message-too-big", false;
    /// Over the recipient's own size limit.
    ExceedLimit = "exceed-limit", false;
    /// The receiving disk is full.
    SystemFull = "system-full", false;
    /// The envelope sender or From is refused.
    Rejected = "rejected", false;
    /// The sending host is refused.
    Blocked = "blocked", false;
    /// The sending host or domain is refused for its score.
    BadReputation = "bad-reputation", false;
    /// The sending host has no matching reverse name.
    RequirePtr = "require-ptr", false;
    /// SPF, DKIM or DMARC failed.
    AuthFailure = "auth-failure", false;
    /// A local policy, and nothing narrower fits.
    PolicyViolation = "policy-violation", false;
    /// TLS, authentication or a security product.
    SecurityError = "security-error", false;
    /// TLS was required and could not be had.
    FailedStarttls = "failed-starttls", false;
    /// The content was taken for spam.
    SpamDetected = "spam-detected", false;
    /// The content was taken for malware.
    VirusDetected = "virus-detected", false;
    /// The content or its encoding is not acceptable.
    ContentError = "content-error", false;
    /// The message breaks RFC 5322 or its kin.
    NotCompliantRfc = "not-compliant-rfc", false;
    /// The server will not relay for this domain.
    NoRelaying = "no-relaying", false;
    /// Too many messages in too short a time.
    Speeding = "speeding", false;
    /// Too many connections or recipients at once.
    TooManyConnections = "too-many-connections", false;
    /// Not delivered within the queue's lifetime.
    Expired = "expired", false;
    /// No route, connection refused, DNS failure, routing loop.
    NetworkError = "network-error", false;
    /// A fault of the receiving or the sending system.
    SystemError = "system-error", false;
    /// A delivery program failed.
    MailerError = "mailer-error", false;
    /// A malformed SMTP command or address.
    SyntaxError = "syntax-error", false;
    /// The sending service had the address on its own list.
    Suppressed = "suppressed", false;
    /// An error was stated, and too little to say which.
    OnHold = "on-hold", false;
    /// Nothing was stated.
    Undefined = "undefined", false;
    /// A complaint.
    Feedback = "feedback", false;
    /// An automatic reply.
    Vacation = "vacation", false;
    /// A success.
    Delivered = "delivered", false;
}

/// The words that prove a verdict, and the rule that read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Id of the rule.
    pub rule: String,
    /// The part of the message, counted as IMAP counts (`1`, `2.1`), or `header`.
    pub part: String,
    /// First byte of the words in the message as it came (for an encoded part: of the decoded part).
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
    /// The words, unfolded and bounded.
    pub text: String,
}

/// What happened to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The address that was mailed: the one to act on. Empty where the report names nobody.
    pub address: String,
    /// `Original-Recipient` as stated, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_address: Option<String>,
    /// The target behind an alias or a forward, where it is another than `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_address: Option<String>,
    /// RFC 3464 §2.3.3.
    pub action: Option<Action>,
    /// Enhanced status code (RFC 3463).
    pub status: Option<String>,
    /// SMTP reply code (RFC 5321 §4.2).
    pub reply_code: Option<u16>,
    /// Why.
    pub reason: Reason,
    /// Whether the address is dead.
    pub hard: bool,
    /// Whether this message was refused for good (5.x.x or failed).
    pub permanent: bool,
    /// What the refusing server said, unfolded and bounded.
    pub diagnostic: Option<String>,
    /// `Remote-MTA` (RFC 3464 §2.3.5).
    pub remote_mta: Option<String>,
    /// What proves the verdict.
    pub evidence: Evidence,
}

/// The message that was returned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Message-ID without its angle brackets; of an automatic reply, what it answers (RFC 3834 §3.1.5).
    pub message_id: Option<String>,
    /// From.
    pub from: Option<String>,
    /// To.
    pub to: Option<String>,
    /// Subject, decoded.
    pub subject: Option<String>,
    /// Return-Path.
    pub return_path: Option<String>,
    /// Feedback-ID.
    pub feedback_id: Option<String>,
    /// List-Id (RFC 2919).
    pub list_id: Option<String>,
    /// Other fields that senders stamp to find a delivery again (`X-…`), by name in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A feedback report (RFC 5965).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// `abuse`, `fraud`, `not-spam`, `auth-failure`, `virus`, `other`, `opt-out`, …
    pub feedback_type: String,
    /// User-Agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Source-IP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// Arrival-Date or Received-Date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<String>,
    /// Reported-Domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_domain: Option<String>,
    /// Original-Mail-From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_mail_from: Option<String>,
}

/// Something in the message that was damaged, bounded or guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// A word a program can match.
    pub code: String,
    /// A sentence for a person.
    pub text: String,
}

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is.
    pub kind: Kind,
    /// Message-ID of the report itself, without angle brackets.
    pub message_id: Option<String>,
    /// The address that the report came to, where a sender may have put a mark into it (VERP, BATV).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_to: Option<String>,
    /// `Reporting-MTA` (RFC 3464 §2.2.2).
    pub reporting_mta: Option<String>,
    /// `Arrival-Date` (RFC 3464 §2.2.5) as written.
    pub arrival: Option<String>,
    /// `Original-Envelope-Id` (RFC 3464 §2.2.1): what the sender called the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope_id: Option<String>,
    /// The message that was returned, as far as it came back.
    pub original: Option<Original>,
    /// One outcome for each recipient.
    pub recipients: Vec<Outcome>,
    /// A feedback report's fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
    /// What was damaged, bounded or guessed.
    pub diagnostics: Vec<Diagnostic>,
}
