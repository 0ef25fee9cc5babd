//! Accounts: settings, health, grant generation, leases, when they are due.

use super::{Item, Table, TableError, attribute, failed, is_condition, keys, read_item, unique, write_item};
use crate::account::{Account, AccountId, AppId, Forecast, Forwarding, Health, HealthState, SignInEnded};
use crate::oauth::Principal;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the last poll did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPoll {
    /// When it ended, in seconds since 1970.
    pub at: i64,
    /// Messages read.
    pub messages: u64,
    /// Facts that were new.
    pub recorded: u64,
    /// Polls in a row, up to this one, that found nothing.
    #[serde(default)]
    pub idle: u32,
}

/// The last warning of an end that comes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned {
    /// Of which end, in seconds since 1970.
    pub ends: i64,
    /// How many days before.
    pub days: i64,
}

/// An account as the table keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountItem {
    /// The operator's settings. (`account` is an attribute of facts, by which the index lists them.)
    #[serde(rename = "settings")]
    pub account: Account,
    /// What it can do now.
    pub health: Health,
    /// Which version of the grant in the vault is true; it starts with the time the account was made.
    pub generation: u64,
    /// Rises when somebody connects or disconnects the account, not when its grant is renewed: what invitations and
    /// sign-ins under way are bound to.
    #[serde(default)]
    pub connection: u64,
    /// Who connected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// When the access token of the current generation ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires: Option<i64>,
    /// When the grant was last renewed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<i64>,
    /// When the person last signed in, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in: Option<i64>,
    /// The last sign-in that a sign-in frequency policy ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_ended: Option<SignInEnded>,
    /// The last warning that the grant is about to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned: Option<Warned>,
    /// Number of the last lease of a poll.
    #[serde(default)]
    pub fence: u64,
    /// The shard of the index of what is due.
    pub due_shard: String,
    /// When it is polled next, in seconds since 1970.
    pub next_due: i64,
    /// What the last poll did, however it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<LastPoll>,
    /// When a poll last ended well, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<i64>,
}

/// A poll's right to one account, until an absolute time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Rises with each lease; the cursor refuses a lower one.
    pub fence: u64,
    /// Seconds since 1970.
    pub until: i64,
}

/// Somebody else holds the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl AccountItem {
    /// A new account: not connected when it waits for a person, due at once otherwise.
    pub fn new(account: Account, now: Timestamp) -> Self {
        let health = Health::new(account.enabled, account.needs_person(), now);
        Self {
            due_shard: keys::due_shard(&account.id),
            next_due: if health.state.is_polled() { now.as_second() } else { NEVER },
            health,
            // Not 0: an account removed and added again must not meet versions its predecessor left in the vault.
            generation: u64::try_from(now.as_second()).unwrap_or(0),
            connection: u64::try_from(now.as_second()).unwrap_or(0),
            principal: None,
            token_expires: None,
            refreshed: None,
            signed_in: None,
            sign_in_ended: None,
            warned: None,
            fence: 0,
            last_poll: None,
            last_success: None,
            account,
        }
    }

    /// Its health under other settings by the same way in: they may switch it off, or on as after a start.
    pub fn health_under(&self, account: &Account, now: Timestamp) -> Health {
        let off = self.health.state == HealthState::Disabled;
        match account.enabled {
            true if off => Health::new(true, account.needs_person() && self.principal.is_none(), now),
            true => self.health.clone(),
            false => self.health.disabled(now),
        }
    }

    /// How the grant will end first by itself.
    pub fn forecast(&self) -> Option<Forecast> {
        let idle = self.refreshed.and_then(Forecast::of_grant);
        let sign_in = self.signed_in.zip(self.sign_in_ended);
        let sign_in = sign_in.and_then(|(began, earlier)| Forecast::of_sign_in(began, earlier, self.refreshed));
        idle.into_iter().chain(sign_in).min_by_key(|forecast| forecast.ends)
    }
}

/// Sends a conditional write; `false` when its condition did not hold.
pub(super) async fn applied(update: UpdateItemFluentBuilder) -> Result<bool, TableError> {
    match update.send().await {
        Ok(_) => Ok(true),
        Err(error) if is_condition(&error) => Ok(false),
        Err(error) => Err(failed("written", error)),
    }
}

/// What can be understood; the rest is told to whoever reads the log.
fn readable(items: Vec<Item>) -> Vec<AccountItem> {
    let read = |item: Item| {
        let pk = item.get(keys::PK).and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
        read_item(item).inspect_err(|error| tracing::error!(item = pk, error = %error, "an account is left out")).ok()
    };
    items.into_iter().filter_map(read).collect()
}

/// An account that is not polled stays in the index, so that it can be listed, and never falls due.
pub(super) const NEVER: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z

impl Table {
    /// Adds an account; `false` when the name is taken.
    pub async fn add_account(&self, item: &AccountItem) -> Result<bool, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_item(keys::account(&item.account.id), item)?))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// One account.
    pub async fn account(&self, id: &AccountId) -> Result<Option<AccountItem>, TableError> {
        self.get(keys::account(id)).await
    }

    /// All accounts, by name; an item that cannot be understood is an error.
    pub async fn accounts(&self) -> Result<Vec<AccountItem>, TableError> {
        let items = self.items_due_before(NEVER + 1).await?;
        let mut all = items.into_iter().map(read_item).collect::<Result<Vec<AccountItem>, _>>()?;
        all.sort_by(|a, b| a.account.id.cmp(&b.account.id));
        Ok(all)
    }

    /// All accounts that can be understood: for schedules, which one odd item must not stop for everybody.
    pub async fn readable_accounts(&self) -> Result<Vec<AccountItem>, TableError> {
        Ok(readable(self.items_due_before(NEVER + 1).await?))
    }

    /// Accounts whose time has come, of those that can be understood.
    pub async fn accounts_due(&self, now: Timestamp) -> Result<Vec<AccountItem>, TableError> {
        Ok(readable(self.items_due_before(now.as_second() + 1).await?))
    }

    async fn items_due_before(&self, end: i64) -> Result<Vec<Item>, TableError> {
        let shards = keys::due_shards().map(|shard| async move {
            let values = Item::from([
                (":shard".into(), AttributeValue::S(shard)),
                (":end".into(), AttributeValue::N(end.to_string())),
            ]);
            let condition = "due_shard = :shard AND next_due < :end";
            self.query_items(keys::DUE_INDEX, condition, values, None, false).await
        });
        Ok(futures::future::try_join_all(shards).await?.concat())
    }

    /// Removes an account's own item; `false` when there is none. Facts and cursors go by [`Table::remove_mailbox`].
    pub async fn remove_account(&self, id: &AccountId) -> Result<bool, TableError> {
        self.delete(keys::account(id)).await
    }

    /// Claims an account for the tick that found it due: moves `next_due` on, unless another dispatcher did. The claim bears
    /// a name of its own, as a lease does, so that one whose answer was lost is not taken for another's.
    pub async fn claim_due(&self, found: &AccountItem, next_due: i64) -> Result<bool, TableError> {
        let update = self
            .update_account(&found.account.id)
            .update_expression("SET next_due = :next, claim_name = :name")
            .condition_expression("attribute_exists(pk) AND (next_due = :found OR claim_name = :name)")
            .expression_attribute_values(":name", AttributeValue::S(unique()?))
            .expression_attribute_values(":next", AttributeValue::N(next_due.to_string()))
            .expression_attribute_values(":found", AttributeValue::N(found.next_due.to_string()));
        applied(update).await
    }

    /// Takes the lease of a poll, if nobody holds it; the answer is the account as it stands.
    /// A holder that dies keeps the account for `seconds` at most. The lease bears a name of its own, so that a call
    /// whose answer was lost finds, when the client repeats it, that the lease is its own.
    pub async fn take_lease(
        &self,
        id: &AccountId,
        now: Timestamp,
        seconds: i64,
    ) -> Result<Result<(AccountItem, Lease), Busy>, TableError> {
        let until = now.as_second() + seconds;
        let update = self
            .update_account(id)
            .update_expression("SET lease_until = :until, lease_name = :name ADD fence :one")
            .condition_expression(
                "attribute_exists(pk) AND \
                 (attribute_not_exists(lease_until) OR lease_until <= :now OR lease_name = :name)",
            )
            .expression_attribute_values(":name", AttributeValue::S(unique()?))
            .expression_attribute_values(":until", AttributeValue::N(until.to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(answer) => {
                let item: AccountItem = read_item(answer.attributes.unwrap_or_default())?;
                let lease = Lease { fence: item.fence, until };
                Ok(Ok((item, lease)))
            }
            Err(error) if is_condition(&error) => Ok(Err(Busy)),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// Whether a lease is still the last one given; asked before anything on the mail server is changed.
    pub async fn holds_lease(&self, id: &AccountId, lease: Lease, now: Timestamp) -> Result<bool, TableError> {
        let item = self.account(id).await?;
        Ok(now.as_second() < lease.until && item.is_some_and(|item| item.fence == lease.fence))
    }

    /// Ends a poll: gives the lease back and says what was done, in one write. A poll whose lease passed to
    /// another changes nothing.
    pub async fn end_poll(
        &self,
        id: &AccountId,
        lease: Lease,
        health: &Health,
        next_due: Option<i64>,
        last_poll: Option<&LastPoll>,
    ) -> Result<bool, TableError> {
        let mut update = self
            .update_account(id)
            .condition_expression("fence = :fence")
            .expression_attribute_values(":fence", AttributeValue::N(lease.fence.to_string()))
            .expression_attribute_values(":health", attribute(health)?)
            .expression_attribute_values(":due", AttributeValue::N(next_due.unwrap_or(NEVER).to_string()));
        let mut set = "SET health = :health, next_due = :due".to_owned();
        if let Some(last) = last_poll {
            set += ", last_poll = :last";
            update = update.expression_attribute_values(":last", attribute(last)?);
            if health.state == HealthState::Active {
                set += ", last_success = :success";
                update = update.expression_attribute_values(":success", AttributeValue::N(last.at.to_string()));
            }
        }
        applied(update.update_expression(set + " REMOVE lease_until, lease_name")).await
    }

    /// Takes the right to renew the grant of `generation`, until an absolute time.
    pub async fn take_refresh_lease(
        &self,
        id: &AccountId,
        generation: u64,
        now: Timestamp,
        seconds: i64,
    ) -> Result<bool, TableError> {
        let update = self
            .update_account(id)
            .update_expression("SET refresh_until = :until")
            .condition_expression(
                "generation = :generation AND (attribute_not_exists(refresh_until) OR refresh_until <= :now)",
            )
            .expression_attribute_values(":until", AttributeValue::N((now.as_second() + seconds).to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()))
            .expression_attribute_values(":generation", AttributeValue::N(generation.to_string()));
        applied(update).await
    }

    /// Gives the right to renew back after a failure, so that the next try need not wait for its end.
    pub async fn drop_refresh_lease(&self, id: &AccountId, generation: u64) -> Result<(), TableError> {
        let update = self
            .update_account(id)
            .update_expression("REMOVE refresh_until")
            .condition_expression("generation = :generation")
            .expression_attribute_values(":generation", AttributeValue::N(generation.to_string()));
        applied(update).await.map(|_| ())
    }

    /// Writes down, once for each sign-in, that a sign-in frequency policy ended it.
    pub async fn end_sign_in(&self, id: &AccountId, generation: u64, ended: SignInEnded) -> Result<(), TableError> {
        let update = self
            .update_account(id)
            .update_expression("SET sign_in_ended = :ended")
            .condition_expression(
                "generation = :generation AND (attribute_not_exists(sign_in_ended) OR sign_in_ended.began <> :began)",
            )
            .expression_attribute_values(":ended", attribute(&ended)?)
            .expression_attribute_values(":began", AttributeValue::N(ended.began.to_string()))
            .expression_attribute_values(":generation", AttributeValue::N(generation.to_string()));
        applied(update).await.map(|_| ())
    }

    /// Moves the generation of the grant on by one; `false` when another writer did so first.
    pub async fn move_generation(
        &self,
        id: &AccountId,
        from: u64,
        token_expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let update = self
            .update_account(id)
            .update_expression(
                "SET generation = :next, token_expires = :expires, refreshed = :now REMOVE refresh_until",
            )
            .condition_expression("generation = :from")
            .expression_attribute_values(":from", AttributeValue::N(from.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((from + 1).to_string()))
            .expression_attribute_values(":expires", AttributeValue::N(token_expires.as_second().to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()));
        applied(update).await
    }

    /// Writes that a person connected the account: the next generation, who it was, active and due at once.
    pub async fn connect_account(
        &self,
        id: &AccountId,
        from: u64,
        principal: &Principal,
        token_expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let health = Health::connected(now);
        let update = self
            .update_account(id)
            .update_expression(
                "SET generation = :next, principal = :principal, health = :health, next_due = :now, \
                 token_expires = :expires, refreshed = :now, signed_in = :now \
                 REMOVE refresh_until ADD #connection :one",
            )
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            // The next generation with this very token is ours already: the answer was lost, or a renewal adopted it.
            .condition_expression("generation = :from OR (generation = :next AND token_expires = :expires)")
            // A reserved word.
            .expression_attribute_names("#connection", "connection")
            .expression_attribute_values(":from", AttributeValue::N(from.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((from + 1).to_string()))
            .expression_attribute_values(":principal", attribute(principal)?)
            .expression_attribute_values(":health", attribute(&health)?)
            .expression_attribute_values(":expires", AttributeValue::N(token_expires.as_second().to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()));
        applied(update).await
    }

    /// Forgets who connected an account: the next generation, nobody's.
    pub async fn disconnect_account(&self, id: &AccountId, from: u64, now: Timestamp) -> Result<bool, TableError> {
        let health = Health::disconnected(now);
        let update = self
            .update_account(id)
            .update_expression(
                "SET generation = :next, health = :health, next_due = :due \
                 REMOVE principal, token_expires, refreshed, signed_in, sign_in_ended ADD #connection :one",
            )
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .condition_expression("generation = :from")
            // A reserved word.
            .expression_attribute_names("#connection", "connection")
            .expression_attribute_values(":from", AttributeValue::N(from.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((from + 1).to_string()))
            .expression_attribute_values(":health", attribute(&health)?)
            .expression_attribute_values(":due", AttributeValue::N(NEVER.to_string()));
        applied(update).await
    }

    /// Gives an account another way in, keeping its id, cursors and facts: the next generation, nobody's, and the health
    /// of a new account. A poll under way loses its lease, so that it cannot say how the old way ended.
    /// `false` when the generation moved meanwhile.
    pub async fn replace_way_in(&self, account: &Account, from: u64, now: Timestamp) -> Result<bool, TableError> {
        let new = AccountItem::new(account.clone(), now);
        let update = self
            .update_account(&account.id)
            .update_expression(
                "SET settings = :settings, generation = :next, health = :health, next_due = :due \
                 REMOVE principal, token_expires, refreshed, signed_in, sign_in_ended, refresh_until, lease_until, \
                 warned \
                 ADD fence :one, #connection :one",
            )
            .condition_expression("generation = :from")
            .expression_attribute_values(":from", AttributeValue::N(from.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((from + 1).to_string()))
            .expression_attribute_values(":settings", attribute(account)?)
            .expression_attribute_values(":health", attribute(&new.health)?)
            .expression_attribute_values(":due", AttributeValue::N(new.next_due.to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            // A reserved word.
            .expression_attribute_names("#connection", "connection");
        applied(update).await
    }

    /// Gives an account other settings by the same way in, keeping its grant, cursors and facts, with the health that
    /// [`AccountItem::health_under`] says, due at once where it is polled. A poll under way loses its lease, so that it does
    /// not go on by the old settings. `false` when somebody polled, connected or changed the account since `before` was read.
    pub async fn replace_settings(
        &self,
        before: &AccountItem,
        account: &Account,
        health: &Health,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let due = match health.state {
            state if !state.is_polled() => NEVER,
            // Whoever waits for a person goes on waiting, and a server that asked for a rest has it.
            state if state == before.health.state && before.next_due == NEVER => NEVER,
            HealthState::Retrying => before.next_due,
            _ => now.as_second(),
        };
        let update = self
            .update_account(&account.id)
            .update_expression(
                "SET settings = :settings, health = :health, next_due = :due REMOVE lease_until ADD fence :one",
            )
            .condition_expression("fence = :fence AND #connection = :connection")
            // A reserved word.
            .expression_attribute_names("#connection", "connection")
            .expression_attribute_values(":fence", AttributeValue::N(before.fence.to_string()))
            .expression_attribute_values(":connection", AttributeValue::N(before.connection.to_string()))
            .expression_attribute_values(":settings", attribute(account)?)
            .expression_attribute_values(":health", attribute(health)?)
            .expression_attribute_values(":due", AttributeValue::N(due.to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()));
        applied(update).await
    }

    /// Writes the health found by something else than a poll, and when to ask again. One that was found while the account
    /// was switched off is nothing to one that was switched on meanwhile.
    pub async fn set_health(&self, id: &AccountId, health: &Health, next_due: Option<i64>) -> Result<(), TableError> {
        let update = self
            .update_account(id)
            .update_expression("SET health = :health, next_due = :due")
            .expression_attribute_values(":health", attribute(health)?)
            .expression_attribute_values(":due", AttributeValue::N(next_due.unwrap_or(NEVER).to_string()));
        let update = match health.state {
            HealthState::Disabled => update
                .condition_expression("settings.enabled = :off")
                .expression_attribute_values(":off", AttributeValue::Bool(false)),
            _ => update.condition_expression("attribute_exists(pk)"),
        };
        applied(update).await.map(|_| ())
    }

    /// Replaces what an account forwards, or has it forward nothing; `false` when there is no such account.
    pub async fn set_forwarding(&self, id: &AccountId, forwarding: Option<&Forwarding>) -> Result<bool, TableError> {
        let update = self.update_account(id).condition_expression("attribute_exists(pk)");
        applied(match forwarding {
            Some(forwarding) => update
                .update_expression("SET settings.forwarding = :forwarding")
                .expression_attribute_values(":forwarding", attribute(forwarding)?),
            None => update.update_expression("REMOVE settings.forwarding"),
        })
        .await
    }

    /// Writes down that the end of an account's grant was warned of; `false` when somebody did so, or a nearer warning
    /// was given.
    pub async fn warn_of_grant(&self, id: &AccountId, warned: Warned) -> Result<bool, TableError> {
        self.warn_once(keys::account(id), warned).await
    }

    /// The same of an app's credential.
    pub async fn warn_of_credential(&self, id: &AppId, warned: Warned) -> Result<bool, TableError> {
        self.warn_once(keys::app(id), warned).await
    }

    async fn warn_once(&self, key: keys::Key, warned: Warned) -> Result<bool, TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.into_item()))
            .update_expression("SET warned = :warned")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(warned) OR warned.ends <> :ends OR warned.days > :days)",
            )
            .expression_attribute_values(":warned", attribute(&warned)?)
            .expression_attribute_values(":ends", AttributeValue::N(warned.ends.to_string()))
            .expression_attribute_values(":days", AttributeValue::N(warned.days.to_string()));
        applied(update).await
    }

    fn update_account(&self, id: &AccountId) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).set_key(Some(keys::account(id).into_item()))
    }
}
