//! Routes: how the mail of some deliveries goes out.

use super::{Table, TableError, failed, is_condition, keys, write_item};
use crate::account::RouteId;
use crate::delivery::Route;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RouteItem {
    route: Route,
}

impl Table {
    /// Writes a route: a new one (`false` when the name is taken), or one that there is (`false` when there is none).
    pub async fn put_route(&self, route: &Route, new: bool) -> Result<bool, TableError> {
        let item = write_item(keys::route(&route.id), &RouteItem { route: route.clone() })?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let condition = if new { "attribute_not_exists(pk)" } else { "attribute_exists(pk)" };
        match put.condition_expression(condition).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// All routes, by name.
    pub async fn routes(&self) -> Result<Vec<Route>, TableError> {
        let items: Vec<RouteItem> = self.query_partition(keys::ROUTES.into(), "ROUTE#").await?;
        Ok(items.into_iter().map(|item| item.route).collect())
    }

    /// One route.
    pub async fn route(&self, id: &RouteId) -> Result<Option<Route>, TableError> {
        Ok(self.get::<RouteItem>(keys::route(id)).await?.map(|item| item.route))
    }

    /// Removes a route; `false` when there is none.
    pub async fn remove_route(&self, id: &RouteId) -> Result<bool, TableError> {
        self.delete(keys::route(id)).await
    }
}
