//! The notifications that Amazon SES publishes of bounces and complaints (Amazon SES Developer Guide, "Amazon SNS
//! notification contents for Amazon SES"), so that what was made for them reads ours.

use super::{Event, EventType};
use crate::report::Reason;
use serde_json::{Map, Value, json};

/// A bounce or complaint as SES would tell it; none for any other event.
pub fn notification(event: &Event) -> Option<Value> {
    match event.kind {
        EventType::AddressBounced => {
            Some(json!({ "notificationType": "Bounce", "bounce": bounce(event), "mail": mail(event) }))
        }
        EventType::AddressComplained => {
            Some(json!({ "notificationType": "Complaint", "complaint": complaint(event), "mail": mail(event) }))
        }
        _ => None,
    }
}

fn bounce(event: &Event) -> Value {
    let text = |name| event.text(name);
    let mut recipient = Map::new();
    recipient.insert("emailAddress".into(), address(event).into());
    for (name, value) in [("action", text("action")), ("status", text("status"))] {
        if let Some(value) = value {
            recipient.insert(name.into(), value.into());
        }
    }
    if let Some(said) = text("said") {
        recipient.insert("diagnosticCode".into(), format!("smtp; {said}").into());
    }
    let (bounce_type, sub_type) = types(event);
    let mut bounce = json!({
        "bounceType": bounce_type,
        "bounceSubType": sub_type,
        "bouncedRecipients": [recipient],
        "timestamp": timestamp(event),
        "feedbackId": event.id,
    });
    if let Some(mta) = text("reporting_mta") {
        bounce["reportingMTA"] = format!("dns; {mta}").into();
    }
    bounce
}

fn complaint(event: &Event) -> Value {
    let mut complaint = json!({
        "complainedRecipients": [{ "emailAddress": address(event) }],
        "timestamp": timestamp(event),
        "feedbackId": event.id,
        "complaintSubType": null,
        "arrivalDate": timestamp(event),
    });
    if let Some(agent) = event.text("user_agent") {
        complaint["userAgent"] = agent.into();
    }
    // SES documents these; what a report calls otherwise is `other` there too.
    let kind = event.text("feedback_type").unwrap_or_default();
    let known = ["abuse", "auth-failure", "fraud", "not-spam", "other", "virus"];
    complaint["complaintFeedbackType"] = if known.contains(&kind) { kind } else { "other" }.into();
    complaint
}

/// The message that came back, as far as it did. SES names its own id; ours knows the Message-ID, and names that.
fn mail(event: &Event) -> Value {
    let original = event.data.get("original").cloned().unwrap_or_default();
    let of = |name: &str| original.get(name).and_then(Value::as_str);
    let source = of("return_path").or_else(|| of("from")).unwrap_or_default();
    let message_id = of("message_id").unwrap_or_default();
    let mut headers: Vec<Value> = Vec::new();
    let mut common = Map::new();
    for (name, header, value) in [
        ("from", "From", of("from")),
        ("to", "To", of("to")),
        ("subject", "Subject", of("subject")),
        ("messageId", "Message-ID", of("message_id")),
    ] {
        let Some(value) = value else { continue };
        headers.push(json!({ "name": header, "value": value }));
        // SES gives addresses as lists.
        let value = if matches!(name, "from" | "to") { json!([value]) } else { value.into() };
        common.insert(name.into(), value);
    }
    for (name, value) in original.get("headers").and_then(Value::as_object).into_iter().flatten() {
        headers.push(json!({ "name": name, "value": value }));
    }
    json!({
        "timestamp": timestamp(event),
        "source": source,
        "messageId": message_id,
        "destination": [address(event)],
        "headersTruncated": false,
        "headers": headers,
        "commonHeaders": common,
    })
}

fn address(event: &Event) -> &str {
    event.text("written").or_else(|| event.text("address")).unwrap_or_default()
}

/// As SES writes times: milliseconds, UTC.
fn timestamp(event: &Event) -> String {
    format!("{:.3}", event.time)
}

/// `bounceType` and `bounceSubType`. Permanent is what the address will never take: SES suppresses by it, so it is said
/// of no refusal that is about the sender or the message.
fn types(event: &Event) -> (&'static str, &'static str) {
    let is = |name| event.data.get(name).and_then(Value::as_bool) == Some(true);
    let reason = event.text("reason").and_then(|word| Reason::ALL.iter().find(|reason| reason.as_str() == word));
    match reason {
        Some(Reason::Suppressed) => ("Permanent", "Suppressed"),
        Some(Reason::UserUnknown) if is("hard") => ("Permanent", "NoEmail"),
        _ if is("hard") => ("Permanent", "General"),
        Some(Reason::MailboxFull) => ("Transient", "MailboxFull"),
        Some(Reason::MessageTooBig | Reason::ExceedLimit) => ("Transient", "MessageTooLarge"),
        Some(Reason::SpamDetected | Reason::ContentError | Reason::PolicyViolation) => ("Transient", "ContentRejected"),
        Some(Reason::VirusDetected) => ("Transient", "AttachmentRejected"),
        Some(Reason::Undefined | Reason::OnHold) | None => ("Undetermined", "Undetermined"),
        Some(_) => ("Transient", "General"),
    }
}
