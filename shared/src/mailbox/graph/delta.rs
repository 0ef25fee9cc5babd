//! The listing of one folder: pages of what changed, and how far they are done with (Microsoft, "Get incremental changes
//! to messages in a folder").
//!
//! A link is moved over only when every message of its page is behind: until then the next run asks for the same page
//! again and leaves out what it knows to be done.

use super::client::{Ask, Client};
use super::folder::checked;
use super::{FaultKind, MailboxFault};
use crate::account::Since;
use crate::cursor::{GraphPosition, Reference};
use crate::limits;
use crate::mailbox::Listed;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{HashSet, VecDeque};
use tokio::time::Instant;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// How far back is read again where a link is not known any more and the account wanted new mail only.
const REREAD_DAYS: i64 = 30;

#[derive(Deserialize)]
struct Page {
    value: Vec<Item>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    received_date_time: Option<String>,
    #[serde(rename = "@removed")]
    removed: Option<IgnoredAny>,
}

/// A page that was listed.
struct Ahead {
    /// Ids on it that are ours, done with or not.
    ids: HashSet<String>,
    /// Those that are not behind yet.
    pending: HashSet<String>,
    /// Where to go on after it.
    link: String,
    /// Whether the round ends here.
    last: bool,
}

/// One listing.
pub(super) struct Round {
    pub listed: Vec<Listed>,
    pages: VecDeque<Ahead>,
    /// Whether it went through to its end and showed no change of any kind.
    idle: bool,
}

/// The reading of one folder.
pub(super) struct Reading {
    /// The folder's id.
    pub folder: String,
    position: Option<GraphPosition>,
    pages: VecDeque<Ahead>,
    now: i64,
}

impl Reading {
    pub fn of(folder: String) -> Self {
        Self { folder, position: None, pages: VecDeque::new(), now: 0 }
    }

    pub fn position(&self) -> Option<GraphPosition> {
        self.position.clone()
    }

    /// Takes up what was listed from `position`.
    pub fn begin(&mut self, mut position: GraphPosition, round: Round, now: Timestamp) -> Vec<Listed> {
        self.now = now.as_second();
        // What was moved or deleted when it was done is listed no longer, and no page that is moved over would take it along.
        position.done.retain(|id| round.pages.iter().any(|page| page.ids.contains(id)));
        // A new link at each empty poll would be a write for nothing; but none is good for ever.
        let keep = round.idle && !position.first_round && position.done.is_empty() && self.now - position.linked < DAY;
        self.position = Some(position);
        self.pages = if keep { VecDeque::new() } else { round.pages };
        self.move_on();
        round.listed
    }

    pub fn advance(&mut self, done: &[Reference]) {
        for reference in done {
            let Reference::Name(id) = reference else { continue };
            let was_pending = self.pages.iter_mut().any(|page| page.pending.remove(id));
            if let Some(position) = self.position.as_mut().filter(|_| was_pending) {
                position.done.push(id.clone());
            }
        }
        self.move_on();
    }

    fn move_on(&mut self) {
        let Some(position) = &mut self.position else { return };
        while let Some(page) = self.pages.pop_front_if(|page| page.pending.is_empty()) {
            position.link = page.link;
            position.linked = self.now;
            position.first_round &= !page.last;
            position.done.retain(|id| !page.ids.contains(id));
        }
    }
}

/// Where the first listing of a folder begins, and the first after its link lost its meaning. In the latter `new` cannot
/// mean "from now on": what came since the last poll would be lost.
pub(super) fn first_position(
    client: &Client,
    folder: &str,
    before: Option<&GraphPosition>,
    since: Since,
    now: Timestamp,
) -> GraphPosition {
    let now = now.as_second();
    let since_second = match (since, before) {
        (Since::All, _) => 0,
        (Since::Days(days), _) => (now / DAY - i64::from(days)) * DAY,
        (Since::New, None) => now,
        (Since::New, Some(before)) => before.since.max(now - REREAD_DAYS * DAY),
    };
    let mut url = client.url(&["mailFolders", folder, "messages", "delta"]);
    // Of `updated` we would be told at each mark of our own.
    let mut query = "$select=receivedDateTime&changeType=created".to_owned();
    // A filter stays in the links for good, and would hide older mail that somebody moves here later: which is what `new`
    // asks for, and no other.
    if let (Since::New, Ok(from)) = (since, Timestamp::from_second(since_second)) {
        query.push_str(&format!("&$filter=receivedDateTime%20ge%20{from}"));
    }
    url.set_query(Some(&query));
    GraphPosition {
        folder_id: folder.to_owned(),
        link: url.into(),
        linked: now,
        first_round: true,
        since: since_second,
        done: vec![],
    }
}

/// Lists from `position`, for as long as `until` allows but one page at least. None where the server does not know the link
/// any more.
pub(super) async fn list(
    client: &Client,
    position: &GraphPosition,
    until: Instant,
) -> Result<Option<Round>, MailboxFault> {
    let mut round = Round { listed: vec![], pages: VecDeque::new(), idle: true };
    let mut link = position.link.clone();
    let (mut seen, mut visited) = (HashSet::new(), HashSet::new());
    loop {
        let url = client.follow(&link)?;
        if !visited.insert(link) {
            return Err(FaultKind::Protocol("its pages go in a circle").into());
        }
        let page = match client.json::<Page>(Ask::get(url)).await? {
            Ok(page) => page,
            Err(refusal) if refusal.is_gone() || is_resync(&refusal.code) => return Ok(None),
            Err(refusal) => return Err(client.fault(refusal, "to list the folder")),
        };
        let (next, last) = match (page.next, page.delta) {
            (Some(next), None) => (next, false),
            (None, Some(delta)) => (delta, true),
            _ => return Err(FaultKind::Protocol("a page without a link to go on with").into()),
        };
        // It will stand in the table: what cannot be followed must not get there.
        client.follow(&next)?;
        round.idle &= page.value.is_empty();
        round.take(page.value, next.clone(), last, position, &mut seen)?;
        let enough = round.listed.len() >= limits::GRAPH_LISTED_MESSAGES
            || visited.len() >= limits::GRAPH_PAGES
            || Instant::now() >= until;
        if last || enough {
            round.idle &= last;
            return Ok(Some(round));
        }
        link = next;
    }
}

/// "Use delta query to track changes", synchronization reset: the codes vary, also with the status 400.
fn is_resync(code: &str) -> bool {
    ["syncStateNotFound", "syncStateInvalid", "resyncRequired"].iter().any(|known| code.eq_ignore_ascii_case(known))
}

impl Round {
    fn take(
        &mut self,
        items: Vec<Item>,
        link: String,
        last: bool,
        position: &GraphPosition,
        seen: &mut HashSet<String>,
    ) -> Result<(), MailboxFault> {
        let mut page = Ahead { ids: HashSet::new(), pending: HashSet::new(), link, last };
        for item in items {
            let id = checked(item.id)?;
            if item.removed.is_some() {
                // Listed a page ago, and gone since.
                self.drop(&id);
                page.pending.remove(&id);
                continue;
            }
            let arrival: Option<Timestamp> = item.received_date_time.and_then(|text| text.parse().ok());
            let old = position.first_round && arrival.is_some_and(|arrival| arrival.as_second() < position.since);
            // A page may repeat what another one said.
            if old || !seen.insert(id.clone()) {
                continue;
            }
            page.ids.insert(id.clone());
            if !position.done.contains(&id) {
                page.pending.insert(id.clone());
                self.listed.push(Listed { reference: Reference::Name(id), size: u32::MAX, arrival });
            }
        }
        // A page without anything of ours is no stop of its own.
        match self.pages.back_mut().filter(|_| page.ids.is_empty()) {
            Some(before) => (before.link, before.last) = (page.link, page.last),
            None => self.pages.push_back(page),
        }
        Ok(())
    }

    fn drop(&mut self, id: &str) {
        self.listed.retain(|listed| listed.reference != Reference::Name(id.to_owned()));
        self.pages.iter_mut().for_each(|page| {
            page.pending.remove(id);
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn position(first_round: bool, since: i64, done: &[&str]) -> GraphPosition {
        let done = done.iter().map(|id| (*id).to_owned()).collect();
        GraphPosition { folder_id: "f".into(), link: "0".into(), linked: 0, first_round, since, done }
    }

    /// A round of pages; `-x` is a removal of x, `~x` a message of 1970.
    fn round(position: &GraphPosition, pages: &[&[&str]]) -> Round {
        let mut round = Round { listed: vec![], pages: VecDeque::new(), idle: true };
        let mut seen = HashSet::new();
        for (n, page) in pages.iter().enumerate() {
            let item = |id: &&str| {
                let name = id.trim_start_matches(['-', '~']);
                let received = if id.starts_with('~') { "1970-01-01T00:00:01Z" } else { "2026-01-01T00:00:00Z" };
                let removed = if id.starts_with('-') { r#","@removed":{"reason":"deleted"}"# } else { "" };
                let text = format!(r#"{{"id":"{name}","receivedDateTime":"{received}"{removed}}}"#);
                serde_json::from_str(&text).unwrap()
            };
            round.idle &= page.is_empty();
            let items: Vec<Item> = page.iter().map(item).collect();
            round.take(items, (n + 1).to_string(), n + 1 == pages.len(), position, &mut seen).unwrap();
        }
        round
    }

    fn names(listed: &[Listed]) -> Vec<String> {
        listed.iter().map(|one| one.reference.to_string()).collect()
    }

    /// Lists pages, puts `done` behind, and tells what was listed, the link and what is done behind it.
    fn check(from: GraphPosition, pages: &[&[&str]], done: &[&str]) -> (Vec<String>, String, Vec<String>) {
        let round = round(&from, pages);
        let mut reading = Reading::of("f".into());
        let listed = reading.begin(from, round, Timestamp::from_second(10 * DAY).unwrap());
        let done: Vec<Reference> = done.iter().map(|id| Reference::Name((*id).to_owned())).collect();
        reading.advance(&done);
        let position = reading.position().unwrap();
        (names(&listed), position.link, position.done)
    }

    fn told(listed: &[&str], link: &str, done: &[&str]) -> (Vec<String>, String, Vec<String>) {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        (all(listed), link.to_owned(), all(done))
    }

    #[test]
    fn a_link_is_moved_over_when_its_page_is_done() {
        let pages: &[&[&str]] = &[&["a", "b"], &["c"], &["d", "e"]];
        let all = ["a", "b", "c", "d", "e"];
        let first = || position(true, 0, &[]);
        assert_eq!(check(first(), pages, &[]), told(&all, "0", &[]));
        assert_eq!(check(first(), pages, &["a"]), told(&all, "0", &["a"]));
        assert_eq!(check(first(), pages, &["b", "a"]), told(&all, "1", &[]));
        assert_eq!(check(first(), pages, &["a", "b", "c", "d"]), told(&all, "2", &["d"]));
        assert_eq!(check(first(), pages, &all), told(&all, "3", &[]));
        // The next run leaves out what is done.
        assert_eq!(check(position(true, 0, &["a"]), pages, &[]), told(&["b", "c", "d", "e"], "0", &["a"]));
        assert_eq!(check(position(true, 0, &["a", "b"]), pages, &[]), told(&["c", "d", "e"], "1", &[]));
        assert_eq!(check(position(true, 0, &["a"]), pages, &["b"]), told(&["b", "c", "d", "e"], "1", &[]));
        // What was moved away meanwhile is forgotten.
        assert_eq!(check(position(true, 0, &["x", "a", "y"]), pages, &[]), told(&["b", "c", "d", "e"], "0", &["a"]));
        assert_eq!(check(position(false, 0, &["x", "y"]), &[&[]], &[]), told(&[], "1", &[]));
    }

    #[test]
    fn removals_repeats_and_old_mail_hold_nothing_up() {
        let first = || position(true, 100, &[]);
        assert_eq!(check(first(), &[&["a", "b"], &["-a"]], &["b"]), told(&["b"], "2", &[]));
        assert_eq!(check(first(), &[&["a", "b"], &["a", "c"]], &["a", "b"]), told(&["a", "b", "c"], "1", &[]));
        assert_eq!(check(first(), &[&["~a"], &["~b"], &["c"]], &[]), told(&["c"], "2", &[]));
        assert_eq!(check(first(), &[&["a"], &["~b"], &["~c"]], &["a"]), told(&["a"], "3", &[]));
        assert_eq!(check(first(), &[&["-x"], &[]], &[]), told(&[], "2", &[]));
        // After the first round what is old is news all the same.
        assert_eq!(check(position(false, 100, &[]), &[&["~a"]], &[]), told(&["a"], "0", &[]));
    }

    #[test]
    fn a_quiet_folder_keeps_its_link_for_a_day() {
        let at = |linked: i64, first_round: bool| GraphPosition { linked, ..position(first_round, 0, &[]) };
        assert_eq!(check(at(9 * DAY + 1, false), &[&[]], &[]).1, "0");
        assert_eq!(check(at(9 * DAY, false), &[&[]], &[]).1, "1");
        assert_eq!(check(at(9 * DAY + 1, true), &[&[]], &[]).1, "1");
        assert_eq!(check(at(9 * DAY + 1, false), &[&["-x"]], &[]).1, "1");
    }
}
