//! What codes say: the registry of enhanced status codes, the lists of large receivers, and SMTP reply codes.

use super::Reason;
use Reason::*;

/// How much a code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Enough by itself.
    Telling,
    /// Little: asked after all words.
    Vague,
}

/// A code that a table knows: what it means, how much it says, and the id of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Why.
    pub reason: Reason,
    /// How much it says.
    pub weight: Weight,
    /// Id of the row, for the evidence.
    pub rule: &'static str,
}

/// One row: class (0: any), subject, first and last detail.
struct Row(u8, u8, u16, u16, Reason, Weight, &'static str);

const T: Weight = Weight::Telling;
const V: Weight = Weight::Vague;

/// IANA "SMTP Enhanced Status Codes": RFC 3463, 4468, 4865, 4954, 5248, 5321, 6531, 6710, 7293, 7372, 7505, 8616, 8689.
/// X.0.0, X.1.4, X.1.5, X.1.9, X.2.0, X.3.6, and X.5.0 say too little, or nothing of a failure.
static REGISTRY: &[Row] = &[
    Row(0, 1, 1, 1, UserUnknown, T, "code/x.1.1"),
    Row(0, 1, 2, 2, HostUnknown, T, "code/x.1.2"),
    Row(0, 1, 3, 3, SyntaxError, T, "code/x.1.3"),
    Row(0, 1, 6, 6, HasMoved, T, "code/x.1.6"),
    Row(0, 1, 7, 8, Rejected, T, "code/x.1.7-8"),
    // RFC 7505 §4.1; Exchange uses the same number for an unknown recipient (see MICROSOFT).
    Row(0, 1, 10, 10, NotAccept, T, "code/x.1.10"),
    Row(0, 2, 1, 1, Suspend, T, "code/x.2.1"),
    Row(0, 2, 2, 2, MailboxFull, T, "code/x.2.2"),
    Row(0, 2, 3, 3, ExceedLimit, T, "code/x.2.3"),
    Row(0, 2, 4, 4, SystemError, T, "code/x.2.4"),
    Row(0, 3, 0, 0, SystemError, V, "code/x.3.0"),
    Row(0, 3, 1, 1, SystemFull, T, "code/x.3.1"),
    // RFC 7504 §4: with 521 the host takes no mail at all; else it is busy or shut for now.
    Row(0, 3, 2, 2, SystemError, V, "code/x.3.2"),
    Row(0, 3, 3, 3, SystemError, T, "code/x.3.3"),
    Row(0, 3, 4, 4, MessageTooBig, T, "code/x.3.4"),
    Row(0, 3, 5, 5, SystemError, T, "code/x.3.5"),
    Row(0, 4, 0, 0, NetworkError, V, "code/x.4.0"),
    Row(0, 4, 1, 1, NetworkError, V, "code/x.4.1"),
    Row(0, 4, 2, 3, NetworkError, T, "code/x.4.2-3"),
    // "Unable to route": Postfix and Exchange say 5.4.4 where the domain has no address record.
    Row(5, 4, 4, 4, HostUnknown, T, "code/5.4.4"),
    Row(4, 4, 4, 4, NetworkError, T, "code/4.4.4"),
    Row(0, 4, 5, 5, SystemError, T, "code/x.4.5"),
    Row(0, 4, 6, 6, NetworkError, T, "code/x.4.6"),
    Row(0, 4, 7, 7, Expired, T, "code/x.4.7"),
    Row(0, 5, 1, 2, SyntaxError, V, "code/x.5.1-2"),
    Row(0, 5, 3, 3, TooManyConnections, T, "code/x.5.3"),
    Row(0, 5, 4, 5, SyntaxError, T, "code/x.5.4-5"),
    Row(0, 5, 6, 6, SecurityError, T, "code/x.5.6"),
    Row(0, 6, 0, 0, ContentError, V, "code/x.6.0"),
    Row(0, 6, 1, 11, ContentError, T, "code/x.6.1-11"),
    Row(0, 7, 1, 1, PolicyViolation, V, "code/x.7.1"),
    Row(0, 7, 0, 0, PolicyViolation, V, "code/x.7.0"),
    Row(0, 7, 2, 2, Rejected, T, "code/x.7.2"),
    Row(0, 7, 3, 9, SecurityError, T, "code/x.7.3-9"),
    Row(0, 7, 10, 11, FailedStarttls, T, "code/x.7.10-11"),
    Row(0, 7, 12, 12, SecurityError, T, "code/x.7.12"),
    Row(0, 7, 13, 13, Suspend, T, "code/x.7.13"),
    Row(0, 7, 14, 14, SecurityError, T, "code/x.7.14"),
    Row(0, 7, 15, 15, PolicyViolation, T, "code/x.7.15"),
    Row(0, 7, 16, 16, MessageTooBig, T, "code/x.7.16"),
    // RFC 7293 §7.3: whoever owned the mailbox or the domain is gone.
    Row(0, 7, 17, 18, HasMoved, T, "code/x.7.17-18"),
    Row(0, 7, 19, 19, SystemError, T, "code/x.7.19"),
    Row(0, 7, 20, 24, AuthFailure, T, "code/x.7.20-24"),
    Row(0, 7, 25, 25, RequirePtr, T, "code/x.7.25"),
    Row(0, 7, 26, 26, AuthFailure, T, "code/x.7.26"),
    // RFC 7505 §4.2: the sender's domain has a null MX.
    Row(0, 7, 27, 27, Rejected, T, "code/x.7.27"),
    Row(0, 7, 28, 28, Speeding, T, "code/x.7.28"),
    Row(0, 7, 29, 29, AuthFailure, T, "code/x.7.29"),
    Row(0, 7, 30, 30, FailedStarttls, T, "code/x.7.30"),
];

/// Exchange and Exchange Online: "Email non-delivery reports in Exchange Online", [MS-OXCMAIL].
/// Details above 30 are Microsoft's alone, so those rows hold for any host.
static EXCHANGE: &[Row] = &[
    Row(0, 2, 121, 122, Speeding, T, "code/exchange-recipient-rate"),
    Row(0, 3, 190, 190, PolicyViolation, T, "code/exchange-journal"),
    Row(0, 4, 14, 14, NetworkError, T, "code/exchange-loop"),
    Row(0, 4, 300, 300, Expired, T, "code/exchange-expired"),
    Row(5, 4, 310, 310, HostUnknown, T, "code/exchange-no-domain"),
    Row(0, 4, 310, 312, NetworkError, T, "code/exchange-dns"),
    Row(0, 4, 316, 316, NetworkError, T, "code/exchange-refused"),
    Row(0, 4, 317, 319, FailedStarttls, T, "code/exchange-tls"),
    Row(0, 7, 51, 51, PolicyViolation, T, "code/exchange-inbound-restricted"),
    Row(0, 7, 54, 54, NoRelaying, T, "code/exchange-relay"),
    Row(0, 7, 57, 63, SecurityError, T, "code/exchange-client"),
    Row(0, 7, 64, 64, NoRelaying, T, "code/exchange-attribution"),
    Row(0, 7, 105, 105, Rejected, T, "code/exchange-sender-filter"),
    Row(0, 7, 124, 124, Rejected, T, "code/exchange-restricted"),
    Row(0, 7, 133, 136, Rejected, T, "code/exchange-restricted"),
    Row(0, 7, 193, 193, Rejected, T, "code/exchange-guest"),
    Row(0, 7, 230, 234, Rejected, T, "code/exchange-restricted"),
    Row(5, 7, 501, 501, SpamDetected, T, "code/exchange-spam"),
    Row(5, 7, 502, 503, Rejected, T, "code/exchange-banned-sender"),
    Row(5, 7, 504, 504, UserUnknown, T, "code/exchange-banned-recipient"),
    Row(5, 7, 505, 505, Filtered, T, "code/exchange-banned-recipient"),
    Row(5, 7, 506, 507, Blocked, T, "code/exchange-host"),
    Row(5, 7, 508, 508, Speeding, T, "code/exchange-ipv6-rate"),
    Row(5, 7, 509, 509, AuthFailure, T, "code/exchange-dmarc"),
    Row(5, 7, 510, 510, Rejected, T, "code/exchange-banned-sender"),
    Row(5, 7, 511, 511, Blocked, T, "code/exchange-banned-sender"),
    Row(5, 7, 512, 512, NotCompliantRfc, T, "code/exchange-rfc5322"),
    Row(5, 7, 513, 513, Blocked, T, "code/exchange-customer-list"),
    Row(5, 7, 520, 520, PolicyViolation, T, "code/exchange-forwarding"),
    Row(5, 7, 606, 649, Blocked, T, "code/exchange-banned-ip"),
    Row(5, 7, 700, 702, Rejected, T, "code/exchange-tenant"),
    Row(5, 7, 703, 707, Speeding, T, "code/exchange-tenant-limit"),
    Row(5, 7, 708, 749, BadReputation, T, "code/exchange-tenant-reputation"),
    Row(5, 7, 750, 750, Rejected, T, "code/exchange-unregistered-domain"),
    Row(4, 7, 650, 651, BadReputation, T, "code/exchange-ip-reputation"),
    Row(4, 7, 500, 699, Blocked, T, "code/exchange-try-later"),
    Row(4, 7, 850, 899, Blocked, T, "code/exchange-try-later"),
];

/// Numbers that Exchange uses in a sense of its own; asked where the host is Microsoft's.
static MICROSOFT: &[Row] = &[
    Row(5, 1, 10, 10, UserUnknown, T, "code/exchange-not-found"),
    // "Sender not authenticated by organisation" (Exchange Online 5.7.12), not a password transition.
    Row(5, 7, 12, 12, PolicyViolation, T, "code/exchange-outside"),
    Row(5, 7, 13, 13, Rejected, T, "code/exchange-restricted"),
];

/// Gmail: "Gmail SMTP errors and codes".
static GOOGLE: &[Row] = &[
    Row(4, 2, 1, 1, Speeding, T, "code/gmail-receiving-rate"),
    Row(5, 2, 1, 1, Suspend, T, "code/gmail-disabled"),
    Row(0, 4, 5, 5, Speeding, T, "code/gmail-daily-limit"),
    Row(0, 7, 27, 27, AuthFailure, T, "code/gmail-spf"),
    Row(0, 7, 29, 29, FailedStarttls, T, "code/gmail-tls"),
    Row(0, 7, 30, 32, AuthFailure, T, "code/gmail-dkim"),
    Row(0, 7, 40, 40, AuthFailure, T, "code/gmail-dmarc"),
];

/// SMTP reply codes (RFC 5321 §4.2.3, 4954 §6, 5248 §2, 7504).
static REPLIES: &[(u16, Reason, Weight, &str)] = &[
    (421, SystemError, V, "reply/421"),
    (451, SystemError, V, "reply/451"),
    (452, SystemFull, V, "reply/452"),
    (454, SecurityError, V, "reply/454"),
    (455, SyntaxError, V, "reply/455"),
    (500, SyntaxError, V, "reply/500"),
    (501, SyntaxError, V, "reply/501"),
    (502, SyntaxError, V, "reply/502"),
    (503, SyntaxError, V, "reply/503"),
    (504, SyntaxError, V, "reply/504"),
    (521, NotAccept, T, "reply/521"),
    (523, MessageTooBig, V, "reply/523"),
    (525, Suspend, T, "reply/525"),
    (530, SecurityError, V, "reply/530"),
    (534, SecurityError, V, "reply/534"),
    (535, SecurityError, V, "reply/535"),
    (538, SecurityError, V, "reply/538"),
    (551, HasMoved, T, "reply/551"),
    (552, MailboxFull, V, "reply/552"),
    (555, SyntaxError, V, "reply/555"),
    (556, NotAccept, T, "reply/556"),
];

/// Exit statuses of a delivery program (`sysexits.h`), as sendmail writes them: `Diagnostic-Code: X-Unix; 67`.
static EXITS: &[(u16, Reason, &str)] = &[
    (65, ContentError, "exit/65-dataerr"),
    (67, UserUnknown, "exit/67-nouser"),
    (68, HostUnknown, "exit/68-nohost"),
    (69, SystemError, "exit/69-unavailable"),
    (70, SystemError, "exit/70-software"),
    (71, SystemError, "exit/71-oserr"),
    (72, SystemError, "exit/72-osfile"),
    (73, SystemError, "exit/73-cantcreat"),
    (74, SystemError, "exit/74-ioerr"),
    (75, SystemError, "exit/75-tempfail"),
    (76, SystemError, "exit/76-protocol"),
    (77, SystemError, "exit/77-noperm"),
    (78, SystemError, "exit/78-config"),
];

/// PowerMTA: "Bounce categories", as far as they say more than a code does.
static CATEGORIES: &[(&str, Reason, &str)] = &[
    ("bad-mailbox", UserUnknown, "category/bad-mailbox"),
    ("bad-domain", HostUnknown, "category/bad-domain"),
    ("inactive-mailbox", Suspend, "category/inactive-mailbox"),
    ("quota-issues", MailboxFull, "category/quota-issues"),
    ("spam-related", SpamDetected, "category/spam-related"),
    ("virus-related", VirusDetected, "category/virus-related"),
    ("content-related", ContentError, "category/content-related"),
    ("invalid-sender", Rejected, "category/invalid-sender"),
    ("relaying-issues", NoRelaying, "category/relaying-issues"),
    ("message-expired", Expired, "category/message-expired"),
    ("no-answer-from-host", NetworkError, "category/no-answer-from-host"),
    ("bad-connection", NetworkError, "category/bad-connection"),
    ("routing-errors", NetworkError, "category/routing-errors"),
];

/// Who wrote a code, as far as it changes its sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum House {
    /// Exchange or Exchange Online.
    Microsoft,
    /// Gmail and Google Workspace.
    Google,
    /// Anybody else.
    Other,
}

/// Domains of KDDI's mobile customers (au, ezweb).
const KDDI: &[&str] = &["@ezweb.ne.jp", "@au.com", ".ezweb.ne.jp"];

/// Whether the destination's gateway answers "user unknown" for every refusal, and says only in its own sentence
/// which it was ("The user(s) account is disabled"): KDDI.
pub fn speaks_in_its_own_sentence(address: &str) -> bool {
    let ends = |domain: &&str| {
        let from = address.len().checked_sub(domain.len());
        from.and_then(|from| address.get(from..)).is_some_and(|tail| tail.eq_ignore_ascii_case(domain))
    };
    KDDI.iter().any(ends)
}

impl House {
    /// By the name of the refusing host, and by what the answers of the house carry.
    pub fn of(host: &str, words: &str) -> Self {
        let has = |text: &str, name: &str| memchr::memmem::find(text.as_bytes(), name.as_bytes()).is_some();
        if has(host, "outlook.com") || has(words, "outlook.com") || has(words, "RESOLVER.") || has(words, "STOREDRV") {
            House::Microsoft
        } else if has(host, "google.com") || has(words, " - gsmtp") || has(words, "support.google.com") {
            House::Google
        } else {
            House::Other
        }
    }
}

/// What an enhanced status code says by itself.
pub fn read_status(code: &str, house: House) -> Option<Meaning> {
    let mut numbers = code.split('.').map(|number| number.parse::<u16>().ok());
    let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let own = match house {
        House::Microsoft => MICROSOFT,
        House::Google => GOOGLE,
        House::Other => &[],
    };
    let fits = |row: &&Row| {
        (row.0 == 0 || u16::from(row.0) == class) && u16::from(row.1) == subject && (row.2..=row.3).contains(&detail)
    };
    let row = own.iter().chain(REGISTRY).chain(EXCHANGE).find(fits)?;
    Some(Meaning { reason: row.4, weight: row.5, rule: row.6 })
}

/// What an SMTP reply code says by itself.
pub fn read_reply(code: u16) -> Option<Meaning> {
    let &(_, reason, weight, rule) = REPLIES.iter().find(|row| row.0 == code)?;
    Some(Meaning { reason, weight, rule })
}

/// What PowerMTA's category says; `policy-related`, `protocol-errors` and `other` say too little.
pub fn read_category(name: &str) -> Option<Meaning> {
    let &(_, reason, rule) = CATEGORIES.iter().find(|row| name.trim().eq_ignore_ascii_case(row.0))?;
    Some(Meaning { reason, weight: T, rule })
}

/// What the exit status of a delivery program says; any other is the program's own fault.
pub fn read_exit(status: u16) -> Meaning {
    match EXITS.iter().find(|row| row.0 == status) {
        Some(&(_, reason, rule)) => Meaning { reason, weight: T, rule },
        None => Meaning { reason: MailerError, weight: T, rule: "exit/other" },
    }
}
