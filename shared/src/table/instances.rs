//! Other deployments that reports are drawn from.

use super::{Table, TableError, failed, is_condition, keys, write_item};
use crate::account::AccountId;
use crate::instance::InstanceItem;
use std::collections::BTreeSet;

impl Table {
    /// Adds an instance, or writes one over.
    pub async fn put_instance(&self, item: &InstanceItem) -> Result<(), TableError> {
        let item = write_item(keys::instance(&item.settings.id), item)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item)).send();
        put.await.map(|_| ()).map_err(|error| failed("written", error))
    }

    /// Writes down how far it is drawn in, and how it goes; nothing where it was removed meanwhile.
    pub async fn set_instance(&self, item: &InstanceItem) -> Result<(), TableError> {
        let item = write_item(keys::instance(&item.settings.id), item)?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        match put.condition_expression("attribute_exists(pk)").send().await {
            Err(error) if !is_condition(&error) => Err(failed("written", error)),
            _ => Ok(()),
        }
    }

    /// All instances, by name.
    pub async fn instances(&self) -> Result<Vec<InstanceItem>, TableError> {
        self.query_partition(keys::INSTANCES.into(), "INSTANCE#").await
    }

    /// One instance.
    pub async fn instance(&self, id: &AccountId) -> Result<Option<InstanceItem>, TableError> {
        self.get(keys::instance(id)).await
    }

    /// Removes an instance; `false` when there is none. What was drawn from it stays.
    pub async fn remove_instance(&self, id: &AccountId) -> Result<bool, TableError> {
        self.delete(keys::instance(id)).await
    }

    /// All that reports are recorded under: accounts, and instances.
    pub async fn sources(&self) -> Result<Vec<AccountId>, TableError> {
        let mut all: Vec<AccountId> = self.accounts().await?.into_iter().map(|item| item.account.id).collect();
        all.extend(self.instances().await?.into_iter().map(|item| item.settings.id));
        Ok(all)
    }

    /// Which of these reports are recorded already.
    pub async fn known_facts(&self, account: &AccountId, of: &[String]) -> Result<BTreeSet<String>, TableError> {
        let mut found = BTreeSet::new();
        for some in of.chunks(100) {
            // One that is named twice is refused as a whole.
            let wanted: BTreeSet<&String> = some.iter().collect();
            let wanted = wanted.into_iter().map(|key| keys::report(account, key).into_item()).collect();
            found.extend(self.batch_get(wanted).await?.into_iter().map(|fact| fact.key));
        }
        Ok(found)
    }
}
