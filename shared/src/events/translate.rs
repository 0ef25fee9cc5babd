//! What happened → events.

use super::{Event, EventType, Made};
use crate::account::{AccountId, EndpointId, HealthState, ListId, RouteId, RuleId};
use crate::delivery::{Closed, Counts, Delivery, DeliveryId};
use crate::incident::{Decision, Incident, Stage};
use crate::limits;
use crate::proof::{Doubt, Level};
use crate::report::{Action, Kind, Original, Outcome, Reason, Report};
use crate::standing::{AddressKey, Effect, History, Standing, State};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A report as it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The deployment, as `source` names it.
    pub source: &'a str,
    /// The mailbox it arrived in.
    pub account: &'a AccountId,
    /// The report's key.
    pub key: &'a str,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
    /// What it says, whole.
    pub report: &'a Report,
}

/// How far an outcome is believed, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Whose address it is.
    #[serde(skip)]
    pub address: AddressKey,
    /// The list that its mail belongs to.
    pub list: ListId,
    /// What it proved.
    pub proof: Level,
    /// Why it proved no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Whether that is as much as the list asks for.
    pub believed: bool,
    /// The delivery that the mail was of, where its sender told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// What it does to the standing of its address, if it is believed; none where it says nothing about it, or was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Something else came back to its signed address and said the same: it counts once.
    #[serde(skip_serializing_if = "is_false")]
    pub repeated: bool,
    /// The incident that holds it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The incident that held it back until a person confirmed it: now it is told to those who act on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// The operator's rule that decided what it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// Why the mail came back, as the rule has it.
    #[serde(skip)]
    pub reason: Reason,
    /// Whether the address is dead, as the rule has it.
    #[serde(skip)]
    pub hard: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "so serde asks")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A standing that was written.
#[derive(Debug, Clone, Copy)]
pub struct Moved<'a> {
    /// The deployment, as `source` names it.
    pub source: &'a str,
    /// Whose.
    pub address: &'a AddressKey,
    /// As it was written in mail, where that is another.
    pub written: Option<&'a str>,
    /// On which list.
    pub list: &'a ListId,
    /// What was on record before.
    pub old: &'a History,
    /// What is now.
    pub new: &'a History,
    /// The version of what is now; rises with each write.
    pub version: u64,
    /// When it was written that the last quarantine had ended by the clock, in seconds since 1970: as that was on record before,
    /// and is now.
    pub ended: (Option<i64>, Option<i64>),
}

/// The head of a report, and of every outcome of it.
#[derive(Serialize)]
struct Head<'a> {
    account: &'a AccountId,
    report: &'a str,
    kind: Kind,
    arrived: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reporting_mta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<&'a Original>,
}

#[derive(Serialize)]
struct ReportData<'a> {
    #[serde(flatten)]
    head: &'a Head<'a>,
    recipients: usize,
}

#[derive(Serialize)]
struct OutcomeData<'a> {
    #[serde(flatten)]
    head: &'a Head<'a>,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<&'a str>,
    number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_code: Option<u16>,
    reason: Reason,
    hard: bool,
    permanent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_mta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(flatten)]
    judged: Option<&'a Judged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unjudged: Option<Unjudged>,
}

/// Of an outcome whose address nobody could have: nothing was proved by it.
#[derive(Serialize)]
struct Unjudged {
    believed: bool,
}

#[derive(Serialize)]
struct StandingData<'a> {
    address: &'a AddressKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<&'a str>,
    list: &'a ListId,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a AccountId>,
    before: State,
    version: u64,
    #[serde(flatten)]
    standing: &'a Standing,
}

#[derive(Serialize)]
struct DeliveryData<'a> {
    delivery: &'a DeliveryId,
    list: &'a ListId,
    route: Option<&'a RouteId>,
    activity: Option<&'a str>,
    opened: i64,
    closes: i64,
    closed: i64,
    #[serde(flatten)]
    counts: &'a Counts,
    delivered: Option<u64>,
    reasons: &'a BTreeMap<Reason, u64>,
}

#[derive(Serialize)]
struct HealthData<'a> {
    account: &'a AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<HealthState>,
    to: HealthState,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a str>,
    at: i64,
}

#[derive(Serialize)]
struct IncidentData<'a> {
    incident: &'a str,
    list: &'a ListId,
    domain: &'a str,
    stage: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    addresses: u32,
    from: i64,
    opened: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<&'a Decision>,
}

/// What a report that is new tells: that it came, and of each recipient that mail was not delivered to, or who complained,
/// what it says; of mail that is no report nothing. `judged` has one entry for each outcome.
pub fn of_report(of: Received<'_>, judged: &[Option<Judged>]) -> Vec<Event> {
    let report = of.report;
    if report.kind == Kind::Other {
        return vec![];
    }
    let head = Head {
        account: of.account,
        report: of.key,
        kind: report.kind,
        arrived: of.arrived,
        message_id: report.message_id.as_deref(),
        reporting_mta: report.reporting_mta.as_deref(),
        original: report.original.as_ref(),
    };
    let made = |kind, subject, number: usize, data| {
        let cause = format!("{}/{}/{number}", of.account, of.key);
        Made { kind, source: of.source, subject, time: of.arrived, order: (0, number), cause: &cause, data }.event()
    };
    let data = json(&ReportData { head: &head, recipients: report.recipients.len() });
    let mut events = vec![made(EventType::ReportReceived, of.key.to_owned(), 0, data)];
    for (number, outcome) in report.recipients.iter().enumerate() {
        let judged = judged.get(number).and_then(Option::as_ref);
        let address = judged.map_or(outcome.address.as_str(), |judged| judged.address.as_str());
        let Some(kind) = told(report, outcome).filter(|_| !address.is_empty()) else { continue };
        let data = OutcomeData {
            head: &head,
            address,
            written: Some(outcome.address.as_str()).filter(|written| !written.is_empty() && *written != address),
            number,
            action: outcome.action,
            status: outcome.status.as_deref(),
            reply_code: outcome.reply_code,
            reason: judged.map_or(outcome.reason, |judged| judged.reason),
            hard: judged.map_or(outcome.hard, |judged| judged.hard),
            permanent: outcome.permanent,
            said: outcome.diagnostic.as_ref().map(|said| said.chars().take(limits::EVENT_SAID_CHARS).collect()),
            remote_mta: outcome.remote_mta.as_deref(),
            feedback_type: report.feedback.as_ref().map(|feedback| feedback.feedback_type.as_str()),
            user_agent: report.feedback.as_ref().and_then(|feedback| feedback.user_agent.as_deref()),
            judged,
            unjudged: judged.is_none().then_some(Unjudged { believed: false }),
        };
        events.push(made(kind, address.to_owned(), number, json(&data)));
    }
    events
}

/// What an outcome is told as; none where it is no failure and no complaint.
fn told(report: &Report, outcome: &Outcome) -> Option<EventType> {
    match report.kind {
        Kind::Feedback if outcome.reason == Reason::Feedback => Some(EventType::AddressComplained),
        Kind::Bounce if matches!(outcome.action, None | Some(Action::Failed)) => Some(EventType::AddressBounced),
        _ => None,
    }
}

/// What a standing that was written tells: that its address may no longer be written to, or may again. `before` reads what
/// was on record by the numbers of its list, at a time (seconds since 1970); `after` what is now, with what is held back;
/// `now` is the time of the writing.
pub fn of_standing(
    of: Moved<'_>,
    before: impl Fn(&History, i64) -> Standing,
    after: impl Fn(&History, i64) -> Standing,
    now: i64,
) -> Option<Event> {
    // As it was told when it was last written: what has ended by the clock since is told now at the latest, and so is
    // what was told before it was held back.
    let before = before(of.old, of.old.newest().max(of.ended.0).unwrap_or(now)).state;
    let after = after(of.new, now);
    let kind = match after.state {
        state if state == before => return None,
        State::Quarantined => EventType::AddressQuarantined,
        State::Denied => EventType::AddressDenied,
        State::Valid | State::WithErrors if before.may_send() => return None,
        State::Valid | State::WithErrors => EventType::AddressReleased,
    };
    let data = StandingData {
        address: of.address,
        written: of.written,
        list: of.list,
        account: after.causes.last().map(|cause| &cause.account),
        before,
        version: of.version,
        standing: &after,
    };
    let made = Made {
        kind,
        source: of.source,
        subject: of.address.to_string(),
        time: of.new.newest().max(of.ended.1).unwrap_or(now),
        order: (of.version, 0),
        cause: &format!("{}/{}/{}", of.address, of.list, of.version),
        data: json(&data),
    };
    Some(made.event())
}

/// What the health of an account that moved tells; `at` is in milliseconds since 1970.
pub fn of_health(
    source: &str,
    account: &AccountId,
    (from, to): (Option<HealthState>, HealthState),
    advice: Option<&str>,
    said: Option<&str>,
    at: i64,
) -> Event {
    let seconds = at.div_euclid(1_000);
    let made = Made {
        kind: EventType::HealthChanged,
        source,
        subject: account.to_string(),
        time: seconds,
        order: (at.rem_euclid(1_000).unsigned_abs(), 0),
        cause: &format!("{account}/{at}/{}", to.as_str()),
        data: json(&HealthData { account, from, to, advice, said, at: seconds }),
    };
    made.event()
}

/// What is not known is left out. What has derived its own shape cannot fail to become JSON: names are texts, and there
/// are no numbers but finite ones.
fn json(data: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(data).unwrap_or_default();
    leave_out_nulls(&mut value);
    value
}

fn leave_out_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(leave_out_nulls);
    }
}

/// What an incident tells: that it was opened, or what a person has decided; while that is being done, nothing.
pub fn of_incident(source: &str, incident: &Incident) -> Option<Event> {
    let (kind, at) = match (incident.stage, &incident.decided) {
        (Stage::Open, _) => (EventType::IncidentOpened, incident.opened),
        (Stage::Releasing, _) => return None,
        (Stage::Released | Stage::Confirmed, decided) => {
            (EventType::IncidentClosed, decided.as_ref().map_or(incident.opened, |decision| decision.at))
        }
    };
    let template = incident.trigger.template.as_ref();
    let data = IncidentData {
        incident: &incident.id,
        list: &incident.list,
        domain: &incident.domain,
        stage: incident.stage,
        text: template.map(|template| template.text.as_str()),
        addresses: incident.trigger.count,
        from: incident.trigger.from,
        opened: incident.opened,
        decided: incident.decided.as_ref(),
    };
    let made = Made {
        kind,
        source,
        subject: incident.id.clone(),
        time: at,
        order: (u64::from(kind == EventType::IncidentClosed), 0),
        cause: &format!("{}/{}", incident.id, incident.stage.as_str()),
        data: json(&data),
    };
    Some(made.event())
}

/// What a delivery that is closed tells. What came back later is told to nobody: whoever wants it asks.
pub fn of_delivery(source: &str, of: &Delivery, closed: &Closed) -> Event {
    let data = DeliveryData {
        delivery: &of.id,
        list: &of.list,
        route: of.route.as_ref(),
        activity: closed.activity.as_deref(),
        opened: of.opened,
        closes: of.closes,
        closed: closed.at,
        counts: &closed.total,
        delivered: closed.total.delivered(),
        reasons: &closed.reasons,
    };
    let made = Made {
        kind: EventType::DeliveryClosed,
        source,
        subject: of.id.to_string(),
        time: of.closes,
        order: (0, 0),
        cause: &format!("{}/{}", of.id, of.closes),
        data: json(&data),
    };
    made.event()
}

/// What an operator tries an endpoint with; `at` is in milliseconds since 1970.
pub fn of_test(source: &str, endpoint: &EndpointId, at: i64) -> Event {
    let made = Made {
        kind: EventType::EndpointTested,
        source,
        subject: endpoint.to_string(),
        time: at.div_euclid(1_000),
        order: (at.rem_euclid(1_000).unsigned_abs(), 0),
        cause: &format!("{endpoint}/{at}"),
        data: serde_json::json!({ "endpoint": endpoint }),
    };
    made.event()
}
