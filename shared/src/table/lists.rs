//! Lists: streams of mail with their thresholds.

use super::{Table, TableError, failed, is_condition, keys, write_item};
use crate::account::ListId;
use crate::standing::List;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct ListItem {
    list: List,
}

impl Table {
    /// Writes a list: a new one (`false` when the name is taken), or one that there is (`false` when there is none).
    pub async fn put_list(&self, list: &List, new: bool) -> Result<bool, TableError> {
        let item = write_item(keys::list(&list.id), &ListItem { list: list.clone() })?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = match (new, list.id.as_str() == List::DEFAULT) {
            (true, _) => put.condition_expression("attribute_not_exists(pk)"),
            // It is there without anybody having added it.
            (false, true) => put,
            (false, false) => put.condition_expression("attribute_exists(pk)"),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// All lists, `default` first, which is always there, then by name.
    pub async fn lists(&self) -> Result<Vec<List>, TableError> {
        let items: Vec<ListItem> = self.query_partition(keys::LISTS.into(), "LIST#").await?;
        let mut lists: Vec<List> = items.into_iter().map(|item| item.list).collect();
        if !lists.iter().any(|list| list.id.as_str() == List::DEFAULT) {
            let id = ListId::try_from(List::DEFAULT.to_owned()).map_err(|e| TableError::Shape(e.to_string()))?;
            lists.push(List::new(id));
        }
        lists.sort_by(|a, b| (a.id.as_str() != List::DEFAULT, &a.id).cmp(&(b.id.as_str() != List::DEFAULT, &b.id)));
        Ok(lists)
    }

    /// One list; `default` is always there.
    pub async fn list(&self, id: &ListId) -> Result<Option<List>, TableError> {
        let found = self.get::<ListItem>(keys::list(id)).await?.map(|item| item.list);
        Ok(found.or_else(|| (id.as_str() == List::DEFAULT).then(|| List::new(id.clone()))))
    }

    /// Removes a list; `false` when there is none. Standings on it stay, and are read no more.
    pub async fn remove_list(&self, id: &ListId) -> Result<bool, TableError> {
        self.delete(keys::list(id)).await
    }
}
