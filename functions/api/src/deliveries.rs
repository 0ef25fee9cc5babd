//! What a sender tells of what it sends. Everything works without it; with it, what comes back is known to be of a delivery,
//! how much of it came back can be said, and many refusals of a large one are not taken for a sudden change.

use crate::problem::Problem;
use crate::{Call, address, pages, shape};
use rebond::account::RouteId;
use rebond::delivery::mark::Mark;
use rebond::delivery::{Delivery, DeliveryId};
use rebond::incident::{TOLD, Told};
use rebond::limits;
use rebond::standing::AddressKey;
use rebond::table::DeliveryItem;
use serde::Deserialize;
use serde_json::{Number, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that a delivery may be open.
const OPEN: i64 = 60 * 86_400;
/// Writes at once.
const AT_ONCE: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    id: String,
    #[serde(default)]
    list: Option<String>,
    sent_per_domain: BTreeMap<String, Number>,
    #[serde(default)]
    opens_at: Option<String>,
    closes_at: String,
    #[serde(default)]
    route: Option<String>,
}

/// Takes a sender's word; again with the same id and other numbers replaces it.
pub async fn tell(call: &Call<'_>) -> Result<Value, Problem> {
    let delivery: Word = call.body.json()?;
    let id: DeliveryId = delivery.id.parse().map_err(|error| Problem::bad(format!("{error}.")))?;
    if delivery.sent_per_domain.len() > limits::DELIVERY_DOMAINS {
        return Err(Problem::bad(format!("A delivery names {} domains at most.", limits::DELIVERY_DOMAINS)));
    }
    if let Some(domain) = delivery.sent_per_domain.keys().find(|domain| !is_domain(domain)) {
        return Err(Problem::bad(format!(
            "{domain:?} is no domain; an internationalised one stands there as A-labels."
        )));
    }
    let opened = delivery.opens_at.as_deref().map_or(Ok(call.now.as_second()), |text| pages::time(text, "opens_at"))?;
    let closes = pages::time(&delivery.closes_at, "closes_at")?;
    if closes <= opened || closes - opened > OPEN {
        let detail = "closes_at must be after opens_at (now, where it is not said), and 60 days after it at most.";
        return Err(Problem::cannot("no-such-time", detail));
    }
    let list = address::list(call, delivery.list.as_deref()).await?.id;
    let mut sent: BTreeMap<String, u32> = BTreeMap::new();
    for (domain, count) in &delivery.sent_per_domain {
        let sum = sent.entry(domain.to_ascii_lowercase()).or_default();
        let bad = || Problem::bad(format!("How many go to {domain:?} must be a whole number from 0 to {}.", u32::MAX));
        *sum = sum.saturating_add(whole(count).ok_or_else(bad)?);
    }
    let route = match &delivery.route {
        Some(name) => Some(route(call, name).await?),
        None => None,
    };
    let total: u64 = sent.values().map(|count| u64::from(*count)).sum();
    let of = Delivery { id: id.clone(), list: list.clone(), route, opened, closes, sent: total };
    if !call.table.put_delivery(&of, &sent).await? {
        return Err(closed(&id));
    }
    let list = &list;
    // Of fewer than that no share is looked at.
    let large: Vec<(&String, Told)> = (sent.iter().filter(|(_, sent)| **sent >= TOLD))
        .map(|(domain, sent)| (domain, Told { id: id.to_string(), opened, closes, sent: *sent }))
        .collect();
    for some in large.chunks(AT_ONCE) {
        let mut writes = Vec::with_capacity(AT_ONCE);
        for (domain, told) in some {
            writes.push(call.table.tell(list, domain, told));
        }
        futures::future::try_join_all(writes).await?;
    }
    Ok(json!({ "id": id, "list": list, "sent": total, "domains": sent.len(), "watched_domains": large.len(),
        "opens_at": shape::time(opened), "closes_at": shape::time(closes) }))
}

fn closed(id: &DeliveryId) -> Problem {
    Problem::cannot(
        "delivery-closed",
        format!("The delivery {id} is closed: what it said stays. Give another an id of its own."),
    )
}

async fn route(call: &Call<'_>, name: &str) -> Result<RouteId, Problem> {
    let none =
        || Problem::missing("no-such-route", format!("There is no route {name:?}: `rebond route add` makes one."));
    let id: RouteId = name.parse().map_err(|_| none())?;
    call.table.route(&id).await?.map(|route| route.id).ok_or_else(none)
}

/// What a path names.
async fn find(call: &Call<'_>, id: &str) -> Result<DeliveryItem, Problem> {
    let none = || Problem::missing("no-such-delivery", format!("There is no delivery {id:?}."));
    let id: DeliveryId = id.parse().map_err(|_| none())?;
    call.table.delivery(&id).await?.ok_or_else(none)
}

/// One mail that was sent, known by one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    address: String,
    #[serde(default, deserialize_with = "said")]
    message_id: Option<String>,
    #[serde(default, deserialize_with = "said")]
    envelope_id: Option<String>,
    #[serde(default, deserialize_with = "said")]
    return_path: Option<String>,
}

/// A text: `null` is none.
fn said<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

impl Mail {
    fn read(line: &[u8]) -> Result<Self, String> {
        // A list would be read as the fields of an object in their order.
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err("it must be a JSON object".to_owned());
        }
        let mail: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        match [&mail.message_id, &mail.envelope_id, &mail.return_path].into_iter().flatten().count() {
            1 => Ok(mail),
            _ => Err("it must have one of message_id, envelope_id and return_path".to_owned()),
        }
    }

    /// Its hash, and whom it was sent to; or what is unfit about them.
    fn mark(&self) -> Result<(String, AddressKey), String> {
        let mark = match (&self.message_id, &self.envelope_id) {
            (Some(id), _) => Mark::MessageId(id),
            (_, Some(id)) => Mark::EnvelopeId(id),
            _ => Mark::ReturnPath(self.return_path.as_deref().unwrap_or_default()),
        };
        let unfit = || match mark {
            Mark::ReturnPath(_) => "return_path must be an address with '+' or '=' before its '@'",
            _ => "the id must be 1 to 998 printable characters of ASCII",
        };
        let digest = mark.digest().ok_or_else(|| unfit().to_owned())?;
        let to = self.address.parse().map_err(|error: rebond::standing::NoAddress| error.to_string())?;
        Ok((digest, to))
    }
}

/// Takes whom the mail of a delivery was sent to: JSON Lines, all of them or none.
pub async fn sent(call: &Call<'_>, id: &str) -> Result<Value, Problem> {
    let body = call.body.jsonl()?;
    let delivery = find(call, id).await?.delivery;
    let until = delivery.closes + Delivery::CORRELATED;
    if until <= call.now.as_second() {
        return Err(closed(&delivery.id));
    }
    let mut mail = BTreeSet::new();
    let mut lines = 0u64;
    for (number, line) in (1u64..).zip(body.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = Mail::read(line).map_err(|error| Problem::bad(format!("Line {number}: {error}.")))?;
        let unfit = |error| Problem::cannot("unfit-line", format!("Line {number}: {error}."));
        mail.insert(read.mark().map_err(unfit)?);
        lines += 1;
    }
    if lines == 0 {
        return Err(Problem::bad("The body holds no line."));
    }
    call.table.put_sent(&delivery.id, mail, until).await?;
    Ok(json!({ "id": delivery.id, "lines": lines, "known_until": shape::time(until) }))
}

/// Deliveries by name.
pub async fn list(call: &Call<'_>) -> Result<Value, Problem> {
    let limit = call.query.limit()?;
    let after: Option<DeliveryId> = match pages::cursor(call)? {
        Some(text) => Some(text.parse().map_err(|_| pages::no_cursor())?),
        None => None,
    };
    let mut items = call.table.deliveries(after.as_ref(), limit + 1).await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|item| item.delivery.id.to_string());
    Ok(pages::page("deliveries", items.iter().map(shape::delivery).collect(), next))
}

/// One delivery, with what came back of it until now.
pub async fn show(call: &Call<'_>, id: &str) -> Result<Value, Problem> {
    let item = find(call, id).await?;
    let tally = call.table.tally(&item.delivery).await?;
    Ok(shape::tally(&item, &tally))
}

/// In JSON `5.0` is the same number as `5`.
fn whole(number: &Number) -> Option<u32> {
    let number = number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and within its bounds")]
    Some(number as u32)
}

/// Labels of letters, digits and hyphens (RFC 1123 §2.1), two at least.
fn is_domain(text: &str) -> bool {
    let label =
        |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}
