//! Incidents, what is watched to find them, and what senders told.

use super::accounts::applied;
use super::{Change, Table, TableError, attribute, failed, is_condition, keys, unique, write_item};
use crate::account::ListId;
use crate::incident::{Incident, Stage, Told, Watch};
use crate::standing::Hold;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Seconds that an incident is kept after a person has decided.
const KEPT_SECONDS: i64 = 400 * 86_400;
/// Seconds that a destination is watched after its last refusal.
const WATCHED_SECONDS: i64 = 30 * 86_400;
/// Writers of one watch at once that each come to their turn.
const TRIES: u32 = 12;

#[derive(Serialize, Deserialize)]
struct IncidentItem {
    incident: Incident,
}

#[derive(Default, Serialize, Deserialize)]
struct WatchItem {
    watch: Watch,
    version: u64,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
struct ToldItem {
    told: Told,
    expires: i64,
}

impl Table {
    /// Writes a new incident; `false` when there is one of that name.
    pub async fn open_incident(&self, incident: &Incident) -> Result<bool, TableError> {
        self.will(Change::Incident(incident)).await?;
        let item = write_item(keys::incident(&incident.id), &IncidentItem { incident: incident.clone() })?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// All incidents, the newest first.
    pub async fn incidents(&self) -> Result<Vec<Incident>, TableError> {
        let items: Vec<IncidentItem> = self.query_partition(keys::INCIDENTS.into(), "INCIDENT#").await?;
        let mut all: Vec<Incident> = items.into_iter().map(|item| item.incident).collect();
        all.sort_by(|a, b| (b.opened, &a.id).cmp(&(a.opened, &b.id)));
        Ok(all)
    }

    /// What all incidents hold back: whoever reads a standing needs them.
    pub async fn holds(&self) -> Result<Vec<Hold>, TableError> {
        Ok(self.incidents().await?.iter().filter_map(Incident::hold).collect())
    }

    /// One incident.
    pub async fn incident(&self, id: &str) -> Result<Option<Incident>, TableError> {
        Ok(self.get::<IncidentItem>(keys::incident(id)).await?.map(|item| item.incident))
    }

    /// Moves an incident on from the stage it was read in; `false` when somebody else did.
    pub async fn move_incident(&self, from: Stage, incident: &Incident) -> Result<bool, TableError> {
        self.will(Change::Incident(incident)).await?;
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::incident(&incident.id).into_item()))
            .condition_expression("incident.stage = :from")
            .expression_attribute_values(":from", attribute(&from)?)
            .expression_attribute_values(":incident", attribute(incident)?);
        let mut set = "SET incident = :incident".to_owned();
        if !incident.holds() {
            let decided = incident.decided.as_ref().map_or(incident.opened, |decision| decision.at);
            set += ", expires = :expires";
            update =
                update.expression_attribute_values(":expires", AttributeValue::N((decided + KEPT_SECONDS).to_string()));
        }
        applied(update.update_expression(set)).await
    }

    /// Counts refusals of one destination, as `change` says; what is counted after it. `change` runs anew when another
    /// writer came between.
    pub async fn change_watch(
        &self,
        list: &ListId,
        domain: &str,
        now: i64,
        change: impl Fn(&mut Watch),
    ) -> Result<Watch, TableError> {
        for attempt in 0..TRIES {
            let mut item: WatchItem = self.get(keys::watch(list, domain)).await?.unwrap_or_default();
            let read = item.version;
            change(&mut item.watch);
            item.version += 1;
            item.expires = now + WATCHED_SECONDS;
            let put = self
                .client
                .put_item()
                .table_name(&self.name)
                .set_item(Some(write_item(keys::watch(list, domain), &item)?));
            let put = match read {
                0 => put.condition_expression("attribute_not_exists(pk)"),
                _ => put
                    .condition_expression("version = :read")
                    .expression_attribute_values(":read", AttributeValue::N(read.to_string())),
            };
            match put.send().await {
                Ok(_) => return Ok(item.watch),
                Err(error) if is_condition(&error) => {}
                Err(error) => return Err(failed("written", error)),
            }
            let chance = u64::from_str_radix(&unique()?[..4], 16).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(chance % (10 << attempt.min(6)))).await;
        }
        Err(TableError::Service { doing: "written", said: "others wrote the same destination over and over".into() })
    }

    /// Writes what a sender told that it sends to one destination of a list; again with another number replaces it.
    pub async fn tell(&self, list: &ListId, domain: &str, told: &Told) -> Result<(), TableError> {
        let item = ToldItem { told: told.clone(), expires: told.closes + WATCHED_SECONDS };
        let item = write_item(keys::told(list, domain, &told.id), &item)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(|error| failed("written", error))
    }

    /// What senders told of one destination of a list, as far as it is open at a time.
    pub async fn told(&self, list: &ListId, domain: &str, now: i64) -> Result<Vec<Told>, TableError> {
        let items: Vec<ToldItem> = self.query_partition(keys::told_of(list, domain), "DELIVERY#").await?;
        let told = items.into_iter().map(|item| item.told);
        Ok(told.filter(|told| (told.opened..told.closes).contains(&now)).collect())
    }
}
