//! Every bound on what comes from outside, in one place; those of the reader of mail are its own.

pub use rebond_report::limits::*;

/// Standings whose quarantine has ended that are written at one tick.
pub const ENDED_AT_A_TICK: usize = 500;

/// One line of a mail server, without literals.
pub const SERVER_LINE_BYTES: usize = 64 << 10;
/// Brackets open at once in a mail server's response.
pub const SERVER_NESTING: usize = 32;
/// Untagged responses to one command that carry nothing we asked for.
pub const SERVER_UNTAGGED: usize = 200_000;
/// Bytes asked for in one `UID FETCH` range.
pub const FETCH_RANGE_BYTES: u64 = 8 << 20;
/// Messages asked for in one `UID FETCH` range.
pub const FETCH_RANGE_MESSAGES: usize = 500;
/// Messages of one folder that IMAP lists at once, the lowest UIDs first; the rest once these are behind. A server may have
/// to open each of them for its size.
pub const LISTED_MESSAGES: usize = 20_000;
/// Messages that a search may find.
pub const FOUND_MESSAGES: usize = 2_000_000;
/// Messages that POP3 lists at once by name and size; each piece costs the mailbox's whole UIDL.
pub const POP3_LISTED_MESSAGES: usize = 20_000;
/// The listing of a POP3 mailbox: UIDL or LIST.
pub const POP3_LISTING_BYTES: usize = 32 << 20;
/// A unique-id of POP3; RFC 1939 §7 allows 70.
pub const POP3_UIDL_BYTES: usize = 400;
/// Bytes of one message that a POP3 server may send: it cannot be asked for a part. Exchange takes 150 MB.
pub const POP3_BODY_BYTES: u64 = 256 << 20;
/// UIDs below the highest one read that are looked at again: a server may commit them late.
pub const RESCAN_UIDS: u32 = 100;

/// Body of an answer to an HTTP request of ours.
pub const HTTP_ANSWER_BYTES: usize = 64 << 10;
/// What a function answers: Lambda passes on no more.
pub const FUNCTION_ANSWER_BYTES: usize = 6 << 20;
/// Body of an answer of AWS: a page of DynamoDB has 1 MB, the largest there is.
pub const AWS_ANSWER_BYTES: usize = 8 << 20;
/// Query string of a request to us.
pub const QUERY_BYTES: usize = 16 << 10;
/// A file with a token that says who this process is.
pub const TOKEN_FILE_BYTES: u64 = 64 << 10;

/// A page of Graph's list of messages: 200 of about 500 bytes each are asked for.
pub const GRAPH_PAGE_BYTES: usize = 2 << 20;
/// Messages on a page of Graph's list, as we ask for it.
pub const GRAPH_PAGE_MESSAGES: usize = 200;
/// Messages of one folder listed by Graph at once: it allows 10,000 requests for a mailbox in ten minutes, and each costs
/// one or two.
pub const GRAPH_LISTED_MESSAGES: usize = 5_000;
/// Pages of one listing by Graph: of a folder full of old mail, the rest is the next poll's.
pub const GRAPH_PAGES: usize = 1_000;
/// A link that Graph gives to go on with; it is kept in the table.
pub const GRAPH_LINK_BYTES: usize = 8 << 10;
/// An id that Graph gives a message or a folder: about 150 in practice.
pub const GRAPH_ID_BYTES: usize = 1 << 10;
/// Requests to Graph at once: so many it allows an app for one mailbox.
pub const GRAPH_REQUESTS: usize = 4;
/// Days with hard bounces of one address that its standing keeps: one is enough to quarantine it.
pub const HARD_DAYS: usize = 8;
/// Quarters of a day with soft errors that it keeps, of each the first and the last error: twelve days of errors all the
/// time, or seven weeks of one error a day.
pub const SOFT_QUARTERS: usize = 48;
/// Days with complaints that it keeps.
pub const COMPLAINT_DAYS: usize = 4;
/// Days (of soft errors quarters) that it keeps of each kind of unproven outcome: anybody can send those.
pub const UNPROVEN_SPANS: usize = 4;
/// What persons and imports did to it, the last so many.
pub const ACTS: usize = 16;
/// Characters of a server's words that a standing keeps; the report has them whole.
pub const SAID_CHARS: usize = 160;
/// Characters of a person's reason.
pub const WHY_CHARS: usize = 300;
/// Accounts that one list names.
pub const LIST_ACCOUNTS: usize = 100;
/// Lists of one deployment.
pub const LISTS: usize = 200;

/// Characters of a server's words that an event tells.
pub const EVENT_SAID_CHARS: usize = 500;
/// A URL that events are told to.
pub const ENDPOINT_URL_BYTES: usize = 2_000;
/// Accounts and lists that an endpoint names.
pub const ENDPOINT_NAMES: usize = 200;
/// Endpoints of one deployment.
pub const ENDPOINTS: usize = 50;
/// Bytes of a receiver's answer that are read: of a webhook nothing is done with them.
pub const RECEIVER_ANSWER_BYTES: usize = 4 << 10;
/// Body of a request to the API: 1,000 addresses, or some thousand messages that were sent.
pub const API_BODY_BYTES: usize = 1 << 20;
/// Addresses that one request may ask about.
pub const API_ADDRESSES: usize = 1_000;
/// Things on one page of an answer of the API.
pub const API_PAGE: usize = 100;
/// Outcomes of one report in an answer of the API.
pub const API_OUTCOMES: usize = 100;
/// Bytes of one page of reports: Lambda answers 6 MB at most.
pub const API_PAGE_BYTES: usize = 4 << 20;
/// Requests of one key at once, and how many a second come back to it, in each process that answers.
pub const API_BURST: u32 = 200;
/// See [`API_BURST`].
pub const API_RATE: u32 = 50;
/// Keys of the API of one deployment.
pub const API_KEYS: usize = 100;
/// Characters of the phrase of an operator's rule.
pub const PHRASE_CHARS: usize = 200;
/// Operators' rules of one deployment.
pub const RULES: usize = 200;
/// Refusals of one address that were taken back, the marks of which are kept.
pub const UNDONE: usize = 64;
/// Minutes and texts of refusals by one destination that are watched: a server that says something new each time.
pub const WATCHED: usize = 600;
/// Domains that one delivery may name.
pub const DELIVERY_DOMAINS: usize = 10_000;
/// Of these, those that are kept one by one: the largest.
pub const DELIVERY_KEPT_DOMAINS: usize = 1_000;
/// What came back of a delivery in one item of the table.
pub const CAME_IN_ITEM: usize = 1_000;
/// Characters of the name of what goes on when a delivery is over.
pub const ACTIVITY_CHARS: usize = 200;
/// Routes of one deployment.
pub const ROUTES: usize = 200;
/// Characters of the name that a sender gives a delivery.
pub const DELIVERY_ID_CHARS: usize = 100;
/// Bytes of an object of kept mail. A poll begins another at a quarter of it, and one message more is no longer than that.
pub const RAW_OBJECT_BYTES: usize = 16 << 20;
/// Other deployments that reports are drawn from.
pub const INSTANCES: usize = 100;
/// Accounts of one of them.
pub const INSTANCE_ACCOUNTS: usize = 10_000;
/// A page that it answers: Lambda answers 6 MB at most.
pub const INSTANCE_ANSWER_BYTES: usize = 6 << 20;
/// Days that mail may be kept: no longer than the facts that point to it.
pub const RAW_DAYS: u16 = 400;
/// Received fields of a message that is forwarded: one more, and it goes in circles (RFC 5321 §6.3 wants 100 at least of
/// who relays; what is brought to a person passed ten at most).
pub const RECEIVED: usize = 50;
/// Messages of one account that are forwarded in a day.
pub const FORWARDS_A_DAY: u32 = 500;
/// Messages of one account that wait to be forwarded.
pub const FORWARDS_WAITING: usize = 500;
/// Lines of one answer of a server that takes mail.
pub const SMTP_REPLY_LINES: usize = 100;
