//! A person removed from the table: reads the whole of it.

use super::reports::same_reading;
use super::{Item, Table, TableError, deliveries, failed, is_condition, keys};
use crate::erase::Person;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeSet, HashMap};

/// What was found of a person, and removed unless it was only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Items of the address itself: its standings.
    pub standings: u64,
    /// Reports that named it.
    pub reports: u64,
    /// Other items that named it.
    pub others: u64,
    /// Where such a report lies in its mailbox, some of them: account, folder, and what the server calls it.
    pub mailboxes: Vec<(String, String)>,
}

/// Places shown.
const PLACES: usize = 20;

impl Table {
    /// Removes a person from everything that facts led to; `count` only says from what. Settings and the audit stay. A report
    /// itself stays too, without what it said of the person, so that the message is not recorded anew. Reports whose kept
    /// message is gone from its place (`gone`: the object's name and the first byte), or was about the person, point there
    /// no longer: who is reading one again comes too late.
    pub async fn erase(
        &self,
        person: &Person,
        gone: &BTreeSet<(String, u64)>,
        count: bool,
    ) -> Result<Erased, TableError> {
        let (mut done, mut from) = (Erased::default(), None);
        loop {
            let page = self.client.scan().table_name(&self.name).set_exclusive_start_key(from).send().await;
            let page = page.map_err(|error| failed("read", error))?;
            for item in page.items.unwrap_or_default() {
                self.erase_from(item, person, gone, count, &mut done).await?;
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(done);
            }
        }
    }

    async fn erase_from(
        &self,
        mut item: Item,
        person: &Person,
        gone: &BTreeSet<(String, u64)>,
        count: bool,
        done: &mut Erased,
    ) -> Result<(), TableError> {
        let text =
            |name: &str| item.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).cloned().unwrap_or_default();
        let (pk, sk) = (text(keys::PK), text(keys::SK));
        if keys::is_setting(&sk) {
            return Ok(());
        }
        let key = keys::Key { pk: pk.clone(), sk: sk.clone() };
        let named = person.out_of(&pk.replace('#', " ")).is_some() || person.out_of(&sk.replace('#', " ")).is_some();
        if named {
            match pk == keys::address(person.key()) {
                true => done.standings += 1,
                false => done.others += 1,
            }
            return if count { Ok(()) } else { self.delete(key).await.map(|_| ()) };
        }
        let place = (text(keys::ACCOUNT), format!("{} {}", text("folder"), reference(&item)));
        let is_report = sk.starts_with("REPORT#");
        let named = match () {
            () if is_report => of_report(&mut item, person),
            () if sk.starts_with(keys::CAME) => deliveries::erase(&mut item, &pk, person.key()),
            () => of_fields(&mut item, person),
        };
        let points = is_report && pointer(&item).is_some_and(|place| named || gone.contains(&place));
        if points {
            item.remove("raw");
        }
        if !named {
            return if points && !count { self.put_erased(item, key, person, gone).await } else { Ok(()) };
        }
        if keys::is_kept_event(&sk) {
            // An event that was not told yet tells nobody of a person who is gone.
            done.others += 1;
            return if count { Ok(()) } else { self.delete(key).await.map(|_| ()) };
        }
        if is_report {
            done.reports += 1;
            if done.mailboxes.len() < PLACES && !place.0.is_empty() {
                done.mailboxes.push(place);
            }
        } else {
            done.others += 1;
        }
        if count {
            return Ok(());
        }
        self.put_erased(item, key, person, gone).await
    }

    /// Writes an item that a person was erased from, over what it was read as.
    async fn put_erased(
        &self,
        item: Item,
        key: keys::Key,
        person: &Person,
        gone: &BTreeSet<(String, u64)>,
    ) -> Result<(), TableError> {
        let reading = item.get("reading").and_then(|value| value.as_s().ok()).cloned();
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = same_reading(put, "attribute_exists(pk)", reading.as_deref());
        match put.send().await {
            Err(error) if is_condition(&error) => {}
            other => return other.map(|_| ()).map_err(|error| failed("written", error)),
        }
        // It was removed meanwhile, or its message read again.
        let get = self.client.get_item().table_name(&self.name).set_key(Some(key.into_item())).consistent_read(true);
        match get.send().await.map_err(|error| failed("read", error))?.item {
            Some(item) => Box::pin(self.erase_from(item, person, gone, false, &mut Erased::default())).await,
            None => Ok(()),
        }
    }
}

/// Where the message of a report is kept: the object's name and the first byte.
fn pointer(item: &Item) -> Option<(String, u64)> {
    let AttributeValue::M(raw) = item.get("raw")? else { return None };
    Some((raw.get("object")?.as_s().ok()?.clone(), raw.get("offset")?.as_n().ok()?.parse().ok()?))
}

/// What the server calls the message, for a person.
fn reference(item: &Item) -> String {
    match item.get("reference") {
        Some(AttributeValue::N(number)) => number.clone(),
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    }
}

fn of_fields(fields: &mut HashMap<String, AttributeValue>, person: &Person) -> bool {
    let mut changed = false;
    for value in fields.values_mut() {
        changed |= of_value(value, person);
    }
    changed
}

fn of_value(value: &mut AttributeValue, person: &Person) -> bool {
    let of_text = |text: &mut String| person.out_of(text).map(|left| *text = left).is_some();
    // All of them, also behind one that changed.
    match value {
        AttributeValue::S(text) => of_text(text),
        AttributeValue::L(values) => {
            values.iter_mut().filter_map(|value| of_value(value, person).then_some(())).count() > 0
        }
        AttributeValue::M(fields) => of_fields(fields, person),
        AttributeValue::Ss(texts) => texts.iter_mut().filter_map(|text| of_text(text).then_some(())).count() > 0,
        _ => false,
    }
}

/// A report, or a part of one: outcomes of the person go whole. A report of nobody else says no more than what it was.
fn of_report(item: &mut Item, person: &Person) -> bool {
    let mut removed = false;
    let is_part = !item.contains_key("report");
    let fields = match item.get_mut("report") {
        Some(AttributeValue::M(report)) => report,
        _ => item,
    };
    let mut left = 0;
    if let Some(AttributeValue::L(outcomes)) = fields.get_mut("recipients") {
        let before = outcomes.len();
        outcomes.retain(|outcome| !is_of(outcome, person));
        removed = outcomes.len() < before;
        left = outcomes.len();
    }
    if removed && left == 0 && !is_part {
        let code = [("code", "erased"), ("text", "What this report said of a person was erased.")];
        let note = code.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
        fields.retain(|name, _| matches!(name.as_str(), "kind" | "recipients"));
        fields.insert("diagnostics".into(), AttributeValue::L(vec![AttributeValue::M(note.into())]));
        return true;
    }
    of_fields(fields, person) || removed
}

fn is_of(outcome: &AttributeValue, person: &Person) -> bool {
    let AttributeValue::M(fields) = outcome else { return false };
    ["address", "original_address", "final_address"].iter().any(|name| {
        let text = fields.get(*name).and_then(|value| value.as_s().ok());
        text.is_some_and(|text| person.is(text))
    })
}
