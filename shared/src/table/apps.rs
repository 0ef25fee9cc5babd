//! Registrations at identity providers.

use super::{Item, Table, TableError, failed, is_condition, keys, write_item};
use crate::account::{App, AppId};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct AppItem {
    app: App,
    due_shard: String,
    next_due: i64,
}

impl Table {
    /// Adds an app; `false` when the name is taken.
    pub async fn add_app(&self, app: &App) -> Result<bool, TableError> {
        let item = AppItem { app: app.clone(), due_shard: keys::APPS_SHARD.into(), next_due: 0 };
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(keys::app(&app.id), &item)?))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// One app.
    pub async fn app(&self, id: &AppId) -> Result<Option<App>, TableError> {
        Ok(self.get::<AppItem>(keys::app(id)).await?.map(|item| item.app))
    }

    /// All apps, by name.
    pub async fn apps(&self) -> Result<Vec<App>, TableError> {
        let shard = Item::from([(":shard".into(), AttributeValue::S(keys::APPS_SHARD.into()))]);
        let items: Vec<AppItem> = self.query_index(keys::DUE_INDEX, "due_shard = :shard", shard, None, false).await?;
        let mut apps: Vec<App> = items.into_iter().map(|item| item.app).collect();
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(apps)
    }

    /// Removes an app; `false` when there is none.
    pub async fn remove_app(&self, id: &AppId) -> Result<bool, TableError> {
        self.delete(keys::app(id)).await
    }
}
