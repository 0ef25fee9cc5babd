//! Deliveries that are over: what came back of each is counted, once, and told.

use crate::delivery::Closed;
use crate::table::{AuditEntry, AuditEvent, By, DeliveryItem, Table, TableError};
use jiff::Timestamp;
use tokio::time::Instant;

/// Closes the deliveries whose time has come, beginning none after `deadline`; how many. One that cannot be closed holds up
/// no other, and is tried again.
pub async fn close_due(table: &Table, now: Timestamp, deadline: Instant) -> Result<u64, TableError> {
    let (mut closed, mut failed) = (0, None);
    for item in table.deliveries_due(now).await? {
        if Instant::now() >= deadline {
            break;
        }
        match close(table, item, now).await {
            Ok(done) => closed += u64::from(done),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(closed), Err)
}

/// Counts, and writes the counts in one step with the end: whoever is told hears of these, however often it is told.
async fn close(table: &Table, item: DeliveryItem, now: Timestamp) -> Result<bool, TableError> {
    let delivery = &item.delivery;
    let route = match &delivery.route {
        Some(id) => table.route(id).await?,
        None => None,
    };
    let tally = table.tally(delivery).await?;
    let (activity, total, reasons) = (route.map(|route| route.activity), tally.total, tally.reasons);
    let closed = Closed { at: now.as_second(), activity, total, reasons };
    let done = DeliveryItem { closed: Some(closed.clone()), ..item.clone() };
    if !table.close_delivery(&done).await? {
        return Ok(false);
    }
    let (delivery, failed) = (delivery.id.as_str(), closed.total.failed());
    tracing::info!(delivery, activity = closed.activity, sent = closed.total.sent, failed, "a delivery is closed");
    let by = By { function: "event-delivery", run: delivery };
    let mut entry = AuditEntry::new(AuditEvent::DeliveryClosed, by, now);
    let activity = closed.activity.map(|activity| format!("{activity}: ")).unwrap_or_default();
    entry.said = Some(format!("{activity}{} sent, {failed} failed", closed.total.sent));
    if let Err(error) = table.audit_whole(&entry).await {
        tracing::warn!(delivery, error = %error, "not audited");
    }
    Ok(true)
}
