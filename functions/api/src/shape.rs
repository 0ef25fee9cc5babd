//! The shapes of answers: times as RFC 3339 writes them, words as the command line has them.

use jiff::Timestamp;
use rebond::delivery::{Counts, Tally};
use rebond::incident::Incident;
use rebond::report::{Evidence, Outcome};
use rebond::standing::{Act, Cause, Standing};
use rebond::table::{AccountItem, DeliveryItem, Fact};
use rebond::{limits, standing};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;

/// Seconds since 1970.
pub fn time(seconds: i64) -> Value {
    Timestamp::from_second(seconds).map_or(Value::Null, |time| json!(time.to_string()))
}

/// An object without the fields of which nothing is known.
pub fn known(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// A standing as it is now.
pub fn standing(of: &Standing) -> Value {
    known(json!({
        "may_send": of.state.may_send(),
        "state": of.state,
        "reason": of.reason,
        "errors": of.errors,
        "since": of.since.map(time),
        "until": of.ends.map(time),
        "held": of.held,
        "decided_by": of.by.as_ref().map(act),
    }))
}

/// A person's decision.
pub fn act(of: &Act) -> Value {
    known(json!({ "at": time(of.at.div_euclid(1_000)), "deed": of.deed, "who": of.who, "why": of.why }))
}

/// What an outcome said about an address, and whether it counts.
fn cause(of: &Cause, counts: bool) -> Value {
    known(json!({
        "at": time(of.at),
        "effect": of.effect,
        "counts": counts,
        "proof": of.proof,
        "doubt": of.doubt.map(rebond::proof::Doubt::sentence),
        "reason": of.reason,
        "rule": of.rule,
        "status": of.status,
        "said": of.said,
        "account": of.account,
        "report": of.report,
    }))
}

/// A report with what it says, as much of it as fits a page.
pub fn report(of: &Fact) -> Value {
    let outcomes: Vec<Value> = of.report.recipients.iter().take(limits::API_OUTCOMES).map(outcome).collect();
    let truncated = of.parts > 0 || of.report.recipients.len() > outcomes.len();
    let original = of.report.original.as_ref();
    known(json!({
        "account": of.account,
        "id": of.key,
        "kind": of.kind,
        "arrived": time(of.arrived),
        "recorded": time(of.recorded),
        "message_id": of.report.message_id,
        "reporting_mta": of.report.reporting_mta,
        "original_message_id": original.and_then(|o| o.message_id.clone()),
        "original_subject": original.and_then(|o| o.subject.clone()),
        "feedback_type": of.report.feedback.as_ref().map(|f| f.feedback_type.clone()),
        "outcomes": outcomes,
        "outcomes_truncated": truncated,
    }))
}

fn outcome(of: &Outcome) -> Value {
    let Evidence { rule, text, .. } = &of.evidence;
    known(json!({
        "address": of.address,
        "original_address": of.original_address,
        "final_address": of.final_address,
        "action": of.action,
        "status": of.status,
        "reply_code": of.reply_code,
        "reason": of.reason,
        "hard": of.hard,
        "permanent": of.permanent,
        "diagnostic": of.diagnostic,
        "remote_mta": of.remote_mta,
        "evidence": { "rule": rule, "text": text },
    }))
}

/// An account: nothing of how it is opened.
pub fn account(of: &AccountItem) -> Value {
    let last = of.last_poll.as_ref();
    let health = &of.health;
    known(json!({
        "id": of.account.id,
        "label": of.account.label,
        "mailbox": of.account.mailbox,
        "protocol": of.account.protocol,
        "enabled": of.account.enabled,
        "health": known(json!({
            "state": health.state,
            "since": health.since.to_string(),
            "advice": health.advice,
            "said": health.said,
        })),
        "last_poll": last.map(|last| json!({ "at": time(last.at), "messages": last.messages, "recorded": last.recorded })),
        "last_success": of.last_success.map(time),
    }))
}

/// A destination that suddenly refused many addresses.
pub fn incident(of: &Incident) -> Value {
    let trigger = &of.trigger;
    let decided = of.decided.as_ref();
    known(json!({
        "id": of.id,
        "list": of.list,
        "domain": of.domain,
        "stage": of.stage,
        "opened": time(of.opened),
        "from": time(trigger.from),
        "addresses": trigger.count,
        "text": trigger.template.as_ref().map(|template| template.text.clone()),
        "usual_hour": trigger.median,
        "delivery": trigger.told.as_ref().map(|told| told.id.clone()),
        "sent": trigger.told.as_ref().map(|told| told.sent),
        "decided": decided.map(|d| known(json!({ "at": time(d.at), "who": d.who, "why": d.why }))),
    }))
}

/// A delivery as its sender told it, and when it was closed.
pub fn delivery(of: &DeliveryItem) -> Value {
    let (of, closed) = (&of.delivery, of.closed.as_ref());
    known(json!({
        "id": of.id,
        "list": of.list,
        "route": of.route,
        "opens_at": time(of.opened),
        "closes_at": time(of.closes),
        "closed_at": closed.map(|closed| time(closed.at)),
        "sent": of.sent,
    }))
}

/// A delivery with what came back of it, the destinations with the most first.
pub fn tally(of: &DeliveryItem, tally: &Tally) -> Value {
    let mut domains: Vec<(&String, &Counts)> = tally.domains.iter().collect();
    domains.sort_by_key(|(domain, counts)| (Reverse((counts.sent, counts.failed())), *domain));
    let shown = domains.iter().take(limits::DELIVERY_KEPT_DOMAINS);
    let domains: Vec<Value> = shown
        .map(|(domain, of)| {
            let mut shown = counts(of);
            shown["domain"] = json!(domain);
            shown
        })
        .collect();
    let rate = |number| tally.total.rate(number);
    let total = &tally.total;
    let mut shown = delivery(of);
    shown["total"] = counts(total);
    shown["rates"] = known(json!({
        "hard": rate(total.hard),
        "soft": rate(total.soft),
        "refused": rate(total.refused),
        "complaints": rate(total.complaints),
        "auto_replies": rate(total.auto_replies),
        "delivered": total.delivered().and_then(rate),
    }));
    shown["reasons"] = json!(tally.reasons);
    shown["domains"] = json!(domains);
    shown
}

fn counts(of: &Counts) -> Value {
    known(json!({
        "sent": of.sent,
        "hard": of.hard,
        "soft": of.soft,
        "refused": of.refused,
        "complaints": of.complaints,
        "auto_replies": of.auto_replies,
        "confirmed": of.confirmed,
        "delivered": of.delivered(),
    }))
}

/// What is on record of an address on one list.
pub fn record(item: &rebond::table::StandingItem, read: &Standing) -> Value {
    let released = item.history.released().map_or(i64::MIN, |act| act.at.div_euclid(1_000));
    let counts = |cause: &Cause| item.history.counts(cause) && cause.at > released;
    let mut causes: Vec<&standing::Cause> = item.history.causes.iter().collect();
    causes.sort_by_key(|cause| cause.at);
    json!({
        "list": item.list,
        "standing": standing(read),
        "causes": causes.into_iter().map(|one| cause(one, counts(one))).collect::<Vec<_>>(),
        "decisions": item.history.acts.iter().map(act).collect::<Vec<_>>(),
    })
}
