//! Delta queries: rounds of pages, and the tokens that go on with them.

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::route::Refused;
use super::store::{Kind, Mailbox, Store};
use crate::random;

/// What was asked for at first; it stays in every token.
#[derive(Clone)]
pub(super) struct Query {
    mailbox: String,
    folder: String,
    created_only: bool,
    from: Option<Timestamp>,
}

/// Where a token goes on.
#[derive(Clone)]
pub(crate) enum Token {
    /// Within a round.
    Skip { query: Query, rows: Arc<Vec<Row>>, at: usize, seen: usize },
    /// After a round that saw so many changes.
    Delta { query: Query, seen: usize },
}

/// A line of a round.
#[derive(Clone)]
pub(crate) struct Row {
    immutable: String,
    mutable: String,
    removed: bool,
}

/// A page and the link after it.
pub(super) struct Page {
    pub items: Vec<Value>,
    /// `@odata.nextLink` or `@odata.deltaLink`.
    pub name: &'static str,
    pub query: String,
}

/// Answers one request of a delta query: the first one, or one with a token.
pub(super) fn page(
    store: &mut Store,
    mailbox: &str,
    folder: &str,
    options: &[(String, String)],
    size: usize,
    immutable: bool,
) -> Result<Page, Refused> {
    let option = |name: &str| options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let token = option("$skiptoken").or_else(|| option("$deltatoken"));
    let (query, rows, at, seen) = match token {
        None => {
            let query = read_query(store, mailbox, folder, options)?;
            let Some(found) = store.mailbox(mailbox) else { return Err(gone()) };
            (query.clone(), Arc::new(all(found, &query)), 0, found.changes.len())
        }
        Some(token) => match store.tokens.get(token).cloned() {
            Some(Token::Skip { query, rows, at, seen }) => (query, rows, at, seen),
            Some(Token::Delta { query, seen }) => {
                let Some(found) = store.mailbox(&query.mailbox) else { return Err(gone()) };
                let rows = since(found, &query, seen);
                (query.clone(), Arc::new(rows), 0, found.changes.len())
            }
            None => return Err(gone()),
        },
    };
    if query.mailbox != mailbox.to_ascii_lowercase() {
        return Err(gone());
    }
    let end = rows.len().min(at + size);
    let Some(found) = store.mailbox(mailbox) else { return Err(gone()) };
    let items = rows[at..end].iter().filter_map(|row| item(found, row, immutable)).collect();
    let (name, token, kind) = match end < rows.len() {
        true => ("@odata.nextLink", Token::Skip { query, rows, at: end, seen }, "$skiptoken"),
        false => ("@odata.deltaLink", Token::Delta { query, seen }, "$deltatoken"),
    };
    let key = random::token(60);
    store.tokens.insert(key.clone(), token);
    Ok(Page { items, name, query: format!("{kind}={key}") })
}

fn gone() -> Refused {
    let words =
        "The sync state generation is not found; the delta token is expired and data must be synchronized again.";
    Refused::new(StatusCode::GONE, "syncStateNotFound", words)
}

/// The options that "message: delta" allows, and no others.
fn read_query(store: &mut Store, mailbox: &str, folder: &str, options: &[(String, String)]) -> Result<Query, Refused> {
    let bad = |words: &str| Refused::new(StatusCode::BAD_REQUEST, "ErrorInvalidUrlQuery", words);
    let Some(found) = store.mailbox(mailbox) else { return Err(gone()) };
    let Some(found) = found.folder(folder) else { return Err(Refused::not_found()) };
    let mut query =
        Query { mailbox: mailbox.to_ascii_lowercase(), folder: found.id.clone(), created_only: false, from: None };
    for (name, value) in options {
        match (name.as_str(), value.as_str()) {
            ("$select" | "$top" | "$expand", _) => {}
            ("changeType", "created") => query.created_only = true,
            ("changeType", _) => return Err(bad("changeType is created here, or is left out")),
            ("$filter", filter) => {
                let value = filter.strip_prefix("receivedDateTime ge ");
                let value = value.ok_or_else(|| bad("$filter is receivedDateTime ge {value} here"))?;
                query.from = Some(value.parse().map_err(|_| bad("no date and time"))?);
            }
            (other, _) => return Err(bad(&format!("{other} is not supported by change tracking"))),
        }
    }
    Ok(query)
}

fn matches(mailbox: &Mailbox, query: &Query, immutable: &str) -> bool {
    let found = mailbox.find(immutable).map(|at| &mailbox.messages[at]);
    found.is_some_and(|one| one.folder == query.folder && query.from.is_none_or(|from| one.received >= from))
}

/// The first round: what is there. In no order: "the return order is not guaranteed".
fn all(mailbox: &Mailbox, query: &Query) -> Vec<Row> {
    let there = mailbox.messages.iter().filter(|one| matches(mailbox, query, &one.immutable));
    let mut rows: Vec<Row> = there
        .map(|one| Row { immutable: one.immutable.clone(), mutable: one.mutable.clone(), removed: false })
        .collect();
    rows.sort_by(|one, other| one.immutable.cmp(&other.immutable));
    rows
}

/// A later round: what came, changed and went after so many changes.
fn since(mailbox: &Mailbox, query: &Query, seen: usize) -> Vec<Row> {
    let changes = mailbox.changes.get(seen..).unwrap_or_default();
    let ours: Vec<_> = changes.iter().filter(|change| change.folder == query.folder).collect();
    let created = |id: &str| ours.iter().any(|change| change.immutable == id && change.kind == Kind::Created);
    let (mut rows, mut told) = (Vec::new(), HashSet::new());
    for change in &ours {
        let id = change.immutable.as_str();
        if !told.insert(id) {
            continue;
        }
        let there = matches(mailbox, query, id);
        if query.created_only && !(there && created(id)) {
            continue;
        }
        let at = mailbox.find(id).filter(|_| there);
        let mutable = at.map_or(&change.mutable, |at| &mailbox.messages[at].mutable);
        rows.push(Row { immutable: id.to_owned(), mutable: mutable.clone(), removed: !there });
    }
    rows
}

/// A line as JSON. What went after the round began is left out: it is the next round's.
fn item(mailbox: &Mailbox, row: &Row, immutable: bool) -> Option<Value> {
    let id = if immutable { &row.immutable } else { &row.mutable };
    let kind = "#microsoft.graph.message";
    if row.removed {
        return Some(json!({ "@odata.type": kind, "id": id, "@removed": { "reason": "deleted" } }));
    }
    let message = &mailbox.messages[mailbox.find(&row.immutable)?];
    let received = Timestamp::from_second(message.received.as_second()).ok()?;
    Some(json!({
        "@odata.type": kind, "@odata.etag": "W/\"CQAAABYAAAB\"", "id": id, "receivedDateTime": received.to_string(),
    }))
}
