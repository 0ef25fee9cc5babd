//! What ends by the clock: deliveries, of which what came back is counted, once, and told; quarantines, of which it is told.

use crate::delivery::Closed;
use crate::limits;
use crate::table::{AuditEntry, AuditEvent, By, DeliveryItem, StandingItem, Table, TableError};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;

/// Standings written at once.
const AT_ONCE: usize = 16;

/// Writes the quarantines that have ended by the clock as ended, so many at most and beginning none after `deadline`; how many.
/// Whoever reads a standing knows it already; who is told of what is written hears of it so. One that cannot be written holds
/// up no other, and is tried again.
pub async fn end_due(table: &Table, now: Timestamp, deadline: Instant) -> Result<u64, TableError> {
    let due = table.standings_due(now, limits::ENDED_AT_A_TICK).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let lists = table.lists().await?;
    let (mut ended, mut failed) = (0, None);
    let lists = &lists;
    let end = |item: StandingItem| async move {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        let list = lists.iter().find(|list| list.id == item.list);
        let thresholds = list.map(|list| list.thresholds).unwrap_or_default();
        table.end_standing(&item, &thresholds, now.as_second()).await
    };
    let mut written = stream::iter(due.into_iter().map(end)).buffer_unordered(AT_ONCE);
    while let Some(result) = written.next().await {
        match result {
            Ok(done) => ended += u64::from(done),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(ended), Err)
}

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
