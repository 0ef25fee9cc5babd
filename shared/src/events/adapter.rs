//! The calls of systems that take bounces in a way of their own.

use super::{Event, EventType};
use serde_json::{Value, json};

/// A call to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// HTTP method.
    pub method: &'static str,
    /// Path and query below the system's URL.
    pub path: String,
    /// JSON body, where there is one.
    pub body: Option<Value>,
}

/// listmonk's webhook for bounces (listmonk documentation, "Bounce processing", `POST /webhooks/bounce`).
pub fn listmonk(event: &Event) -> Option<Call> {
    let kind = match event.kind {
        EventType::AddressComplained => "complaint",
        EventType::AddressBounced if event.data["hard"] == true => "hard",
        EventType::AddressBounced => "soft",
        _ => return None,
    };
    let headers = &event.data["original"]["headers"];
    let mut body = json!({
        "email": event.text("address")?,
        "source": "rebond",
        "type": kind,
        // A text that holds JSON: so it is documented.
        "meta": json!({ "id": event.id, "reason": event.data["reason"], "status": event.data["status"] }).to_string(),
    });
    // What listmonk stamps on its mail, which comes back with it.
    for (field, header) in [("campaign_uuid", "x-listmonk-campaign"), ("subscriber_uuid", "x-listmonk-subscriber")] {
        if let Some(uuid) = headers[header].as_str().and_then(|text| text.trim().parse::<uuid::Uuid>().ok()) {
            body[field] = uuid.to_string().into();
        }
    }
    Some(Call { method: "POST", path: "webhooks/bounce".to_owned(), body: Some(body) })
}

/// Mautic, first step: which contacts have the address (Mautic REST API, "List contacts").
pub fn mautic_find(event: &Event) -> Option<Call> {
    let address = event.text("address")?;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("search", &format!("email:{address}"))
        .append_pair("limit", "30")
        .append_pair("minimal", "true")
        .finish();
    Some(Call { method: "GET", path: format!("api/contacts?{query}"), body: None })
}

/// Mautic, second step: Do Not Contact of each contact that was found, put on or taken off (Mautic REST API, "Add Do Not
/// Contact": reason 1 is unsubscribed, 2 is bounced).
pub fn mautic_mark(event: &Event, found: &Value) -> Vec<Call> {
    let (deed, reason) = match event.kind {
        EventType::AddressQuarantined => ("add", 2),
        EventType::AddressDenied => ("add", 1),
        EventType::AddressReleased => ("remove", 0),
        _ => return vec![],
    };
    let address = event.text("address").unwrap_or_default();
    let same = |contact: &Value| {
        let email = contact["fields"]["all"]["email"].as_str().or(contact["fields"]["core"]["email"]["value"].as_str());
        // The search is by words: only the address itself counts.
        email.is_some_and(|email| email.eq_ignore_ascii_case(address))
    };
    let contacts = found["contacts"].as_object().into_iter().flat_map(|all| all.values());
    let ids = contacts.filter(|contact| same(contact)).filter_map(|contact| contact["id"].as_u64());
    let body = |reason| json!({ "reason": reason, "comments": event.text("reason").unwrap_or("said by a person") });
    ids.map(|id| Call {
        method: "POST",
        path: format!("api/contacts/{id}/dnc/email/{deed}"),
        body: Some(if reason == 0 { json!({}) } else { body(reason) }),
    })
    .collect()
}

/// The suppression list of an account of Amazon SES (API v2, `PutSuppressedDestination`, `DeleteSuppressedDestination`).
pub fn suppression(event: &Event) -> Option<Call> {
    let address = event.text("address")?;
    let put = |reason| Call {
        method: "PUT",
        path: "v2/email/suppression/addresses".to_owned(),
        body: Some(json!({ "EmailAddress": address, "Reason": reason })),
    };
    match event.kind {
        EventType::AddressQuarantined => Some(put("BOUNCE")),
        EventType::AddressDenied => Some(put("COMPLAINT")),
        EventType::AddressReleased => {
            let escaped: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
            // A form escapes a blank as a plus; in a path that is one.
            let path = format!("v2/email/suppression/addresses/{}", escaped.replace('+', "%20"));
            Some(Call { method: "DELETE", path, body: None })
        }
        _ => None,
    }
}
