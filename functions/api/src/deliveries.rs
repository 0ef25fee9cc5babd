//! What a sender tells of what it sends. Everything works without it; with it, how much of a delivery came back is known, and
//! many refusals of a large one are not taken for a sudden change.

use crate::problem::Problem;
use crate::{Call, address, pages, shape};
use rebond::incident::{TOLD, Told};
use rebond::limits;
use serde::Deserialize;
use serde_json::{Number, Value, json};
use std::collections::BTreeMap;

/// Seconds that a delivery may be open.
const OPEN: i64 = 60 * 86_400;
/// Writes at once.
const AT_ONCE: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    id: String,
    #[serde(default)]
    list: Option<String>,
    sent_per_domain: BTreeMap<String, Number>,
    #[serde(default)]
    opens_at: Option<String>,
    closes_at: String,
}

/// Takes a sender's word; again with the same id and other numbers replaces it.
pub async fn tell(call: &Call<'_>) -> Result<Value, Problem> {
    let delivery: Delivery = call.body.json()?;
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=limits::DELIVERY_ID_CHARS).contains(&delivery.id.len()) || !delivery.id.chars().all(name) {
        return Err(Problem::bad("id must be 1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-'."));
    }
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
    let (id, list) = (&delivery.id, &list);
    // Of fewer than that no share is looked at.
    let large: Vec<(&String, Told)> = (sent.iter().filter(|(_, sent)| **sent >= TOLD))
        .map(|(domain, sent)| (domain, Told { id: id.clone(), opened, closes, sent: *sent }))
        .collect();
    for some in large.chunks(AT_ONCE) {
        let mut writes = Vec::with_capacity(AT_ONCE);
        for (domain, told) in some {
            writes.push(call.table.tell(list, domain, told));
        }
        futures::future::try_join_all(writes).await?;
    }
    let total: u64 = sent.values().map(|count| u64::from(*count)).sum();
    Ok(json!({ "id": id, "list": list, "sent": total, "domains": sent.len(), "watched_domains": large.len(),
        "opens_at": shape::time(opened), "closes_at": shape::time(closes) }))
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
