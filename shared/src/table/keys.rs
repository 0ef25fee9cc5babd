//! Every key of the table, and nothing else that knows them.

use super::Item;
use crate::account::{AccountId, AppId, EndpointId, ListId, RouteId, RuleId};
use crate::delivery::DeliveryId;
use crate::standing::AddressKey;
use aws_sdk_dynamodb::types::AttributeValue;

/// Partition key.
pub(super) const PK: &str = "pk";
/// Sort key.
pub(super) const SK: &str = "sk";
/// Time to live, in seconds since 1970.
pub(super) const EXPIRES: &str = "expires";

/// Accounts by when they are due, apps beside them: `due_shard`, `next_due`.
pub(super) const DUE_INDEX: &str = "due";
/// Partition key of [`DUE_INDEX`].
pub(super) const DUE_SHARD: &str = "due_shard";
/// Sort key of [`DUE_INDEX`]: seconds since 1970.
pub(super) const NEXT_DUE: &str = "next_due";

/// Reports of an account by arrival: `account`, `arrived`.
pub(super) const ARRIVALS_INDEX: &str = "arrivals";
/// Partition key of [`ARRIVALS_INDEX`].
pub(super) const ACCOUNT: &str = "account";
/// Sort key of [`ARRIVALS_INDEX`]: seconds since 1970.
pub(super) const ARRIVED: &str = "arrived";

/// Shards of the accounts in [`DUE_INDEX`]: one partition takes 1,000 writes a second, and each poll writes twice.
pub(super) const DUE_SHARDS: u8 = 4;
/// The shard that lists apps; it never falls due.
pub(super) const APPS_SHARD: &str = "APPS";

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    pub fn into_item(self) -> Item {
        Item::from([(PK.into(), AttributeValue::S(self.pk)), (SK.into(), AttributeValue::S(self.sk))])
    }
}

/// A folder of a mailbox as part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(pub String);

pub(super) fn app(id: &AppId) -> Key {
    Key { pk: format!("APP#{id}"), sk: "APP".into() }
}

pub(super) fn account(id: &AccountId) -> Key {
    Key { pk: format!("ACCOUNT#{id}"), sk: "ACCOUNT".into() }
}

/// `number` is 0 but for what does not fit into one item.
pub(super) fn cursor(id: &AccountId, folder: &Folder, number: usize) -> Key {
    Key { pk: format!("ACCOUNT#{id}"), sk: format!("CURSOR#{}#{number}", folder.0) }
}

pub(super) fn report(id: &AccountId, key: &str) -> Key {
    Key { pk: format!("ACCOUNT#{id}"), sk: format!("REPORT#{key}") }
}

/// `reading` is the name of the last reading of a message that was read again: each has parts of its own.
pub(super) fn report_part(id: &AccountId, key: &str, reading: Option<&str>, part: usize) -> Key {
    let part = reading.map_or(part.to_string(), |reading| format!("{reading}.{part}"));
    Key { pk: format!("ACCOUNT#{id}"), sk: format!("REPORT#{key}#PART#{part}") }
}

/// What waits to be forwarded.
pub(super) fn forwards(id: &AccountId) -> Key {
    Key { pk: format!("ACCOUNT#{id}"), sk: "FORWARDS".into() }
}

/// That a message was forwarded, or will not be.
pub(super) fn forwarded(id: &AccountId, key: &str) -> Key {
    Key { pk: format!("ACCOUNT#{id}"), sk: format!("FORWARDED#{key}") }
}

/// Entries of the audit: what their sort keys begin with.
pub(super) const AUDIT: &str = "AUDIT#";

/// The partition of an account's audit; none is the whole's.
pub(super) fn audited(id: Option<&AccountId>) -> String {
    id.map_or(WHOLE.into(), |id| format!("ACCOUNT#{id}"))
}

/// `at` in milliseconds since 1970, as wide as it will be until the year 5138: entries sort by time.
pub(super) fn audit(id: Option<&AccountId>, at: i64, number: usize) -> Key {
    Key { pk: audited(id), sk: format!("{AUDIT}{at:014}#{number}") }
}

pub(super) fn authorization(id: &str) -> Key {
    Key { pk: format!("STATE#{id}"), sk: "STATE".into() }
}

/// All lists stand under one key: they are few, and whoever wants one wants all.
pub(super) const LISTS: &str = "LISTS";

pub(super) fn list(id: &ListId) -> Key {
    Key { pk: LISTS.into(), sk: format!("LIST#{id}") }
}

/// All keys of the API stand under one key: they are few, and an operator lists them.
pub(super) const API_KEYS: &str = "KEYS";

/// `hash` is SHA-256 of the key, in hexadecimal: the key itself is nowhere.
pub(super) fn api_key(hash: &str) -> Key {
    Key { pk: API_KEYS.into(), sk: format!("KEY#{hash}") }
}

/// All incidents stand under one key: they are few, and whoever reads a standing wants those that hold something back.
pub(super) const INCIDENTS: &str = "INCIDENTS";

pub(super) fn incident(id: &str) -> Key {
    Key { pk: INCIDENTS.into(), sk: format!("INCIDENT#{id}") }
}

/// What one destination of a list refused lately.
pub(super) fn watch(list: &ListId, domain: &str) -> Key {
    Key { pk: format!("DOMAIN#{list}#{domain}"), sk: "WATCH".into() }
}

/// What senders told that they send there.
pub(super) fn told_of(list: &ListId, domain: &str) -> String {
    format!("TOLD#{list}#{domain}")
}

pub(super) fn told(list: &ListId, domain: &str, delivery: &str) -> Key {
    Key { pk: told_of(list, domain), sk: format!("DELIVERY#{delivery}") }
}

/// All deliveries stand under one key, by their names.
pub(super) const DELIVERIES: &str = "DELIVERIES";
/// The shard of [`DUE_INDEX`] of deliveries that are not closed yet.
pub(super) const DELIVERIES_SHARD: &str = "DELIVERIES";

pub(super) fn delivery(id: &DeliveryId) -> Key {
    Key { pk: DELIVERIES.into(), sk: format!("DELIVERY#{id}") }
}

/// What was told of the mail of a delivery, by destination, and what came back of it.
pub(super) fn of_delivery(id: &DeliveryId) -> String {
    format!("{OF_DELIVERY}{id}")
}

/// What the partitions of single deliveries begin with.
pub(super) const OF_DELIVERY: &str = "DELIVERY#";

pub(super) fn sent_per_domain(id: &DeliveryId) -> Key {
    Key { pk: of_delivery(id), sk: "SENT".into() }
}

/// Sets of what came back: what their sort keys begin with.
pub(super) const CAME: &str = "CAME#";

/// `name` follows from what the set holds.
pub(super) fn came(id: &DeliveryId, name: &str) -> Key {
    Key { pk: of_delivery(id), sk: format!("{CAME}{name}") }
}

/// Whom mail with a mark was sent to: what their sort keys begin with.
pub(super) const TO: &str = "TO#";

/// `mark` is a hash of Message-ID, envelope id or return address.
pub(super) fn marked(mark: &str) -> String {
    format!("SENT#{mark}")
}

pub(super) fn sent(mark: &str, to: &AddressKey) -> Key {
    Key { pk: marked(mark), sk: format!("{TO}{to}") }
}

/// All routes stand under one key: they are few, and an operator lists them.
pub(super) const ROUTES: &str = "ROUTES";

pub(super) fn route(id: &RouteId) -> Key {
    Key { pk: ROUTES.into(), sk: format!("ROUTE#{id}") }
}

/// All instances stand under one key: they are few, and an operator lists them.
pub(super) const INSTANCES: &str = "INSTANCES";

pub(super) fn instance(id: &AccountId) -> Key {
    Key { pk: INSTANCES.into(), sk: format!("INSTANCE#{id}") }
}

/// Operators' rules.
pub(super) const RULES: &str = "RULES";

pub(super) fn rule(id: &RuleId) -> Key {
    Key { pk: RULES.into(), sk: format!("RULE#{id}") }
}

/// Texts that no rule knows.
pub(super) const TEXTS: &str = "TEXTS";

pub(super) fn text(template: &str) -> Key {
    Key { pk: TEXTS.into(), sk: format!("TEXT#{template}") }
}

/// What happened to no account, but to the whole: what was erased, undone, decided.
pub(super) const WHOLE: &str = "WHOLE";

/// Whether an item is settings, or the audit: nothing that facts led to.
pub(super) fn is_setting(sk: &str) -> bool {
    let begins = ["CURSOR#", "LIST#", "KEY#", "RULE#", "ENDPOINT#", "DELIVERY#", "ROUTE#", "INSTANCE#", AUDIT];
    matches!(sk, "ACCOUNT" | "APP" | "STATE") || begins.iter().any(|begin| sk.starts_with(begin))
}

/// Standings of an address: what their sort keys begin with.
pub(super) const STANDING: &str = "STANDING#";

/// The shard of [`DUE_INDEX`] of quarantines that end by themselves.
pub(super) const STANDINGS_SHARD: &str = "STANDINGS";

pub(super) fn address(address: &AddressKey) -> String {
    format!("ADDRESS#{address}")
}

pub(super) fn standing(of: &AddressKey, list: &ListId) -> Key {
    Key { pk: address(of), sk: format!("{STANDING}{list}") }
}

/// All endpoints stand under one key: they are few, and each event asks for all.
pub(super) const ENDPOINTS: &str = "ENDPOINTS";
/// The shard of [`DUE_INDEX`] of endpoints that something is kept for.
pub(super) const ENDPOINTS_SHARD: &str = "ENDPOINTS";
/// Events that an endpoint was not told yet: what their sort keys begin with.
pub(super) const PENDING: &str = "PENDING#";
/// Events that it could not be told in three days.
pub(super) const DEAD: &str = "DEAD#";

pub(super) fn endpoint(id: &EndpointId) -> Key {
    Key { pk: ENDPOINTS.into(), sk: format!("ENDPOINT#{id}") }
}

/// `name` keeps the events of one subject together, in their order.
pub(super) fn kept_event(of: &EndpointId, kind: &str, name: &str) -> Key {
    Key { pk: format!("ENDPOINT#{of}"), sk: format!("{kind}{name}") }
}

/// Whether a sort key is that of an event that is kept for an endpoint.
pub(super) fn is_kept_event(sk: &str) -> bool {
    sk.starts_with(PENDING) || sk.starts_with(DEAD)
}

/// The shard of an account: the same on every machine and in every version.
pub(super) fn due_shard(id: &AccountId) -> String {
    let sum = id.as_str().bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("DUE#{}", sum % u32::from(DUE_SHARDS))
}

pub(super) fn due_shards() -> impl Iterator<Item = String> {
    (0..DUE_SHARDS).map(|shard| format!("DUE#{shard}"))
}
