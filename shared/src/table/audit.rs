//! What happened to an account, for whoever asks later: who connected it, when its grant was renewed, what failed, who
//! disconnected it, by which function and run. Written where it happens; a poll that changes nothing writes nothing here.

use super::{AccountItem, Change, Item, Table, TableError, attribute, failed, is_condition, keys, read_item};
use crate::account::{AccountId, AppId, Health, HealthState};
use crate::advice::{self, Language};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds that an entry is kept: 400 days.
const KEPT_SECONDS: i64 = 400 * 86_400;
/// Entries of one account within one millisecond.
const AT_ONCE: usize = 8;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditEvent {
    /// A person connected the account.
    Connected,
    /// Somebody tried to connect it, and was refused.
    ConnectionRefused,
    /// The grant was renewed.
    Renewed,
    /// The health moved.
    HealthChanged,
    /// The grant was forgotten.
    Disconnected,
    /// A person was erased: `said` is a hash of the address, keyed.
    Erased,
    /// Refusals were taken back.
    Undone,
    /// A person decided that an incident was the destination's mistake.
    IncidentReleased,
    /// A person decided that the addresses of an incident are dead.
    IncidentConfirmed,
    /// A delivery is over: `said` names the activity that goes on, and its counts.
    DeliveryClosed,
    /// Kept mail was read again, and said something else.
    Replayed,
}

impl AuditEvent {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::ConnectionRefused => "connection refused",
            Self::Renewed => "renewed",
            Self::HealthChanged => "health changed",
            Self::Disconnected => "disconnected",
            Self::Erased => "erased",
            Self::Undone => "undone",
            Self::IncidentReleased => "incident released",
            Self::IncidentConfirmed => "incident confirmed",
            Self::DeliveryClosed => "delivery closed",
            Self::Replayed => "replayed",
        }
    }
}

/// Who did it: a function or command, and its correlation id.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Name of the function (`bounce-poll`), or of the command.
    pub function: &'a str,
    /// Correlation id of the run.
    pub run: &'a str,
}

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What happened.
    pub event: AuditEvent,
    /// Which function or command did it.
    pub function: String,
    /// In which run.
    pub run: String,
    /// Which person, by the name they signed in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The generation of the grant after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The health before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_from: Option<HealthState>,
    /// The health after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_to: Option<HealthState>,
    /// The advice, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What the other side said, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl AuditEntry {
    /// An entry that says no more than what happened, by whom, when.
    pub fn new(event: AuditEvent, by: By<'_>, now: Timestamp) -> Self {
        Self {
            at: now.as_millisecond(),
            event,
            function: by.function.to_owned(),
            run: by.run.to_owned(),
            who: None,
            generation: None,
            health_from: None,
            health_to: None,
            advice: None,
            said: None,
        }
    }
}

#[derive(Deserialize)]
struct Stored {
    entry: AuditEntry,
}

impl Table {
    /// Writes an entry down. One that cannot be written is in the log, and stops nothing: the audit tells of the work.
    pub async fn audit(&self, id: &AccountId, entry: &AuditEntry) {
        if let Err(error) = self.put_audit(Some(id), entry).await {
            tracing::warn!(account = %id, run = entry.run, entry = ?entry.event, error = %error, "not audited");
        }
    }

    /// Writes down what happened to the whole, by a person: that must not be left out.
    pub async fn audit_whole(&self, entry: &AuditEntry) -> Result<(), TableError> {
        self.put_audit(None, entry).await
    }

    /// An update, not a put, since every function that changes an account may update items and not all may put them.
    async fn put_audit(&self, id: Option<&AccountId>, entry: &AuditEntry) -> Result<(), TableError> {
        if let Some(id) = id {
            self.will(Change::Audit(id, entry)).await?;
        }
        let expires = entry.at / 1_000 + KEPT_SECONDS;
        for number in 0..AT_ONCE {
            let update = self
                .client
                .update_item()
                .table_name(&self.name)
                .set_key(Some(keys::audit(id, entry.at, number).into_item()))
                .update_expression("SET entry = :entry, expires = :expires")
                .condition_expression("attribute_not_exists(pk)")
                .expression_attribute_values(":entry", attribute(entry)?)
                .expression_attribute_values(":expires", AttributeValue::N(expires.to_string()));
            match update.send().await {
                Ok(_) => return Ok(()),
                Err(error) if is_condition(&error) => {}
                Err(error) => return Err(failed("written", error)),
            }
        }
        Err(TableError::Service { doing: "written", said: format!("{AT_ONCE} entries in one millisecond") })
    }

    /// Writes down that the health moved, and logs it, once, where it was written; `false` when it is no news.
    pub async fn audit_health(&self, item: &AccountItem, after: &Health, by: By<'_>, now: Timestamp) -> bool {
        let (id, before) = (&item.account.id, &item.health);
        if !after.differs(before) {
            return false;
        }
        let sentence = match after.advice.as_deref() {
            Some(advice) => self.sentence_of(advice, id.as_str(), item.account.app()).await,
            None => None,
        };
        log_health(item, after, sentence.as_deref(), by);
        let mut entry = AuditEntry::new(AuditEvent::HealthChanged, by, now);
        entry.health_from = Some(before.state);
        entry.health_to = Some(after.state);
        entry.advice.clone_from(&after.advice);
        entry.said.clone_from(&after.said);
        self.audit(id, &entry).await;
        true
    }

    /// What an advice says to an account, as logs have it: in English. The app is asked for its redirect URI where the advice
    /// names it; one that cannot be read is named in its place.
    pub async fn sentence_of(&self, advice: &str, account: &str, app: Option<&AppId>) -> Option<String> {
        let row = advice::by_id(advice)?;
        let uri = match app.filter(|_| row.names_redirect_uri()) {
            Some(id) => match self.app(id).await {
                Ok(Some(app)) => app.redirect_uri,
                _ => format!("(the redirect URI of app {id})"),
            },
            None => String::new(),
        };
        Some(row.sentence(Language::English, account, &uri))
    }

    /// The last entries of an account, the newest first.
    pub async fn audited(&self, id: &AccountId, limit: usize) -> Result<Vec<AuditEntry>, TableError> {
        self.entries(Some(id), limit).await
    }

    /// The last entries of the whole, the newest first.
    pub async fn audited_whole(&self, limit: usize) -> Result<Vec<AuditEntry>, TableError> {
        self.entries(None, limit).await
    }

    async fn entries(&self, id: Option<&AccountId>, limit: usize) -> Result<Vec<AuditEntry>, TableError> {
        let mut entries = Vec::new();
        let mut from: Option<Item> = None;
        loop {
            let left = i32::try_from(limit - entries.len()).unwrap_or(i32::MAX);
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", AttributeValue::S(keys::audited(id)))
                .expression_attribute_values(":prefix", AttributeValue::S(keys::AUDIT.into()))
                .scan_index_forward(false)
                .limit(left)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| failed("read", error))?;
            for item in page.items.unwrap_or_default() {
                entries.push(read_item::<Stored>(item)?.entry);
            }
            from = page.last_evaluated_key;
            if from.is_none() || entries.len() >= limit {
                return Ok(entries);
            }
        }
    }
}

/// The log line of a health that moved, with what its advice says; its field names are stable: alarms and dashboards read
/// them.
pub fn log_health(item: &AccountItem, after: &Health, sentence: Option<&str>, by: By<'_>) {
    let (id, health_from, health_to) = (&item.account.id, item.health.state.as_str(), after.state.as_str());
    let (function, run, advice) = (by.function, by.run, after.advice.as_deref());
    match after.advice {
        None => tracing::info!(account = %id, function, run, health_from, health_to, advice, "health changed"),
        Some(_) => {
            let error = after.said.as_deref();
            tracing::warn!(account = %id, function, run, health_from, health_to, advice, sentence, error, "health changed");
        }
    }
}
