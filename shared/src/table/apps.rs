//! Registrations at identity providers.

use super::accounts::applied;
use super::{Item, Table, TableError, failed, is_condition, keys, read_item, write_item};
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

    /// Replaces an app's settings; `false` when there is none.
    pub async fn replace_app(&self, app: &App) -> Result<bool, TableError> {
        let item = AppItem { app: app.clone(), due_shard: keys::APPS_SHARD.into(), next_due: 0 };
        let item = write_item(keys::app(&app.id), &item)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        match put.condition_expression("attribute_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Writes down the client id that was given out for an app.
    pub async fn set_client_id(&self, id: &AppId, client_id: &str) -> Result<(), TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::app(id).into_item()))
            .update_expression("SET app.client_id = :id")
            .condition_expression("attribute_exists(pk) AND app.client_id_given = :yes")
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":id", AttributeValue::S(client_id.to_owned()));
        applied(update).await.map(|_| ())
    }

    /// One app.
    pub async fn app(&self, id: &AppId) -> Result<Option<App>, TableError> {
        Ok(self.get::<AppItem>(keys::app(id)).await?.map(|item| item.app))
    }

    /// All apps, by name; an item that cannot be understood is an error.
    pub async fn apps(&self) -> Result<Vec<App>, TableError> {
        let items = self.app_items().await?.into_iter().map(read_item::<AppItem>);
        let mut apps = items.map(|item| Ok(item?.app)).collect::<Result<Vec<App>, TableError>>()?;
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(apps)
    }

    /// All apps that can be understood: for the schedule, which one odd item must not stop for everybody. Whoever uses
    /// an app that cannot be understood says so.
    pub async fn readable_apps(&self) -> Result<Vec<App>, TableError> {
        let items = self.app_items().await?.into_iter();
        Ok(items.filter_map(|item| Some(read_item::<AppItem>(item).ok()?.app)).collect())
    }

    async fn app_items(&self) -> Result<Vec<Item>, TableError> {
        let shard = Item::from([(":shard".into(), AttributeValue::S(keys::APPS_SHARD.into()))]);
        self.query_items(keys::DUE_INDEX, "due_shard = :shard", shard, None, false).await
    }

    /// Removes an app; `false` when there is none.
    pub async fn remove_app(&self, id: &AppId) -> Result<bool, TableError> {
        self.delete(keys::app(id)).await
    }
}
