//! Folders by the names that people write.

use super::client::{Ask, Refusal};
use super::{FaultKind, Graph, INBOX, MailboxFault};
use crate::limits;
use serde::Deserialize;

/// Names that Graph itself knows, whatever a folder is called in the mailbox's language ("mailFolder resource type").
const KNOWN: [&str; 10] = [
    INBOX,
    "archive",
    "clutter",
    "conversationhistory",
    "deleteditems",
    "drafts",
    "junkemail",
    "msgfolderroot",
    "outbox",
    "sentitems",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    id: String,
    #[serde(default)]
    display_name: String,
}

#[derive(Deserialize)]
struct List {
    value: Vec<Found>,
}

impl Graph {
    /// The id of a folder: by a name that Graph knows, else by the names that people see, the path with `/` as over IMAP.
    pub(super) async fn folder(&mut self, name: &str) -> Result<String, MailboxFault> {
        if let Some(id) = self.folders.get(name) {
            return Ok(id.clone());
        }
        let missing = || FaultKind::FolderMissing(name.to_owned());
        let mut at: Option<String> = None;
        for part in name.split('/').filter(|part| !part.is_empty()) {
            let id = match (&at, known(part)) {
                (None, Some(known)) => match self.folder_by_known_name(known).await? {
                    Ok(id) => Some(id),
                    Err(refusal) if refusal.is_gone() => None,
                    Err(refusal) => return Err(self.client.fault(refusal, "to open the folder")),
                },
                (parent, _) => self.folder_in(parent.as_deref(), part).await?,
            };
            at = Some(id.ok_or_else(missing)?);
        }
        let id = at.ok_or_else(missing)?;
        self.folders.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    /// The id of a folder that Graph has a name for.
    pub(super) async fn folder_by_known_name(&mut self, name: &str) -> Result<Result<String, Refusal>, MailboxFault> {
        if let Some(id) = self.folders.get(name) {
            return Ok(Ok(id.clone()));
        }
        let mut url = self.client.url(&["mailFolders", name]);
        url.set_query(Some("$select=id,displayName"));
        match self.client.json::<Found>(Ask::get(url)).await? {
            Ok(found) => {
                let id = checked(found.id)?;
                self.folders.insert(name.to_owned(), id.clone());
                Ok(Ok(id))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    async fn folder_in(&self, parent: Option<&str>, name: &str) -> Result<Option<String>, MailboxFault> {
        let mut url = match parent {
            None => self.client.url(&["mailFolders"]),
            Some(parent) => self.client.url(&["mailFolders", parent, "childFolders"]),
        };
        let quoted = encoded(&name.replace('\'', "''"));
        let query =
            format!("$filter=displayName%20eq%20'{quoted}'&$select=id,displayName&includeHiddenFolders=true&$top=10");
        url.set_query(Some(&query));
        let list = match self.client.json::<List>(Ask::get(url)).await? {
            Ok(list) => list.value,
            Err(refusal) if refusal.is_gone() => return Ok(None),
            Err(refusal) => return Err(self.client.fault(refusal, "to open the folder")),
        };
        // The server compares without regard to case; where that finds two, the very name is meant.
        let exact = list.iter().position(|found| found.display_name == name);
        let found = list.into_iter().nth(exact.unwrap_or(0));
        found.map(|found| checked(found.id)).transpose()
    }
}

/// The name that Graph knows: `INBOX` in any case, as over IMAP, the others as Graph writes them.
fn known(name: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| name == *known || (*known == INBOX && name.eq_ignore_ascii_case(INBOX)))
}

/// An id that can stand in a URL and in the table.
pub(super) fn checked(id: String) -> Result<String, MailboxFault> {
    match id.as_str() {
        "" | "." | ".." => Err(FaultKind::Protocol("an empty id").into()),
        _ if id.len() > limits::GRAPH_ID_BYTES => Err(FaultKind::Limit("an id that is too long").into()),
        _ => Ok(id),
    }
}

/// A value within a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f30_names_cannot_leave_their_place() {
        assert_eq!(encoded("a&b=c'#d é\r\n"), "a%26b%3Dc%27%23d%20%C3%A9%0D%0A");
        for (name, is) in [("INBOX", Some("inbox")), ("junkemail", Some("junkemail")), ("Archive", None), ("", None)] {
            assert_eq!(known(name), is);
        }
        assert!(
            checked("..".into()).is_err() && checked("x".repeat(2_000)).is_err() && checked("AAMk=".into()).is_ok()
        );
    }
}
