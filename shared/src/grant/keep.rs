//! Keeping a grant: what stands in the vault, and which generation is true.

use super::{GrantFault, Grants, Warm};
use crate::account::{AccountId, App, Authentication, Protocol, SignInEnded};
use crate::oauth::{Principal, Tokens};
use crate::secret::{ExposeSecret, Secret};
use crate::table::{AccountItem, AuditEntry, AuditEvent};
use crate::vault::{Name, Put, Version};
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// An access token is renewed this long before its end, so that it outlives the session it is used in …
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// … and up to this much earlier, each account by its own name: those that were connected together are not renewed together.
const JITTER_SECONDS: i64 = 120;
/// How long a flight may take; a process that dies in one holds the grant up for so long.
const FLIGHT_SECONDS: i64 = 30;
/// How long one waits for another's flight.
const WAIT: Duration = Duration::from_secs(35);
/// Between two looks whether it is over: at first, and at most. Many may be waiting for the one.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(1_600);

/// What the vault keeps of one generation.
struct Grant {
    refresh_token: Secret,
    access_token: Secret,
    expires_at: Timestamp,
}

impl Grant {
    fn new(tokens: &Tokens, before: Option<&Grant>) -> Result<Self, GrantFault> {
        let refresh_token = tokens.refresh_token.as_ref().or(before.map(|grant| &grant.refresh_token));
        Ok(Self {
            refresh_token: refresh_token.ok_or(GrantFault::NoRefreshToken)?.clone(),
            access_token: tokens.access_token.clone(),
            expires_at: tokens.expires_at,
        })
    }

    fn to_secret(&self) -> Secret {
        let text = serde_json::json!({
            "refresh_token": self.refresh_token.expose_secret(),
            "access_token": self.access_token.expose_secret(),
            "expires_at": self.expires_at.as_second(),
        });
        text.to_string().into()
    }

    fn read(text: &Secret) -> Option<Self> {
        #[derive(Deserialize)]
        struct Text {
            refresh_token: String,
            access_token: String,
            expires_at: i64,
        }
        let text: Text = serde_json::from_str(text.expose_secret()).ok()?;
        Some(Self {
            refresh_token: text.refresh_token.into(),
            access_token: text.access_token.into(),
            expires_at: Timestamp::from_second(text.expires_at).ok()?,
        })
    }
}

/// The version id of one generation of one account's grant.
fn version_id(account: &AccountId, generation: u64) -> Uuid {
    let hash = digest::digest(&digest::SHA256, format!("grant/{account}/{generation}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl Grants {
    /// A token for the mailbox, good for at least five minutes more: the stored one, or a new one.
    pub async fn access_token(&self, item: &AccountItem) -> Result<Secret, GrantFault> {
        let id = &item.account.id;
        if let Authentication::OauthApp { app } = &item.account.authentication {
            return self.app_token(&self.app(app).await?, item.account.protocol, false).await;
        }
        if item.principal.is_none() {
            return Err(GrantFault::NotConnected);
        }
        if let Some(token) = self.warm_token(id, item.generation) {
            return Ok(token);
        }
        let grant = self.stored(id, item.generation).await?.ok_or(GrantFault::NotConnected)?;
        if is_fresh(id, grant.expires_at, (self.clock)()) {
            self.warm_up(id, item.generation, &grant);
            return Ok(grant.access_token);
        }
        self.renew(item).await
    }

    /// A token newer than generation `item.generation`: the mailbox refused that one, or its end is near.
    /// One flight across all processes; who loses reads the winner's token.
    pub async fn renew(&self, item: &AccountItem) -> Result<Secret, GrantFault> {
        let (id, old) = (&item.account.id, item.generation);
        if let Authentication::OauthApp { app } = &item.account.authentication {
            return self.app_token(&self.app(app).await?, item.account.protocol, true).await;
        }
        let app = self.app(item.account.app().ok_or(GrantFault::NotConnected)?).await?;
        let waited = tokio::time::Instant::now() + WAIT;
        let mut pause = PAUSE;
        loop {
            let now = self.table.account(id).await?.ok_or(GrantFault::NotConnected)?;
            if now.generation != old {
                let grant = self.stored(id, now.generation).await?.ok_or(GrantFault::NotConnected)?;
                self.warm_up(id, now.generation, &grant);
                return Ok(grant.access_token);
            }
            if self.table.take_refresh_lease(id, old, (self.clock)(), FLIGHT_SECONDS).await? {
                return self.fly(id, old, &app, now.account.protocol).await;
            }
            if tokio::time::Instant::now() >= waited {
                return Err(GrantFault::Waited);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The flight itself: refresh → put → move the generation. The new token is durable before it is used.
    async fn fly(&self, id: &AccountId, old: u64, app: &App, protocol: Protocol) -> Result<Secret, GrantFault> {
        let new = old + 1;
        // A crash between put and move left it behind: the provider has seen its refresh token, ours is the older one.
        if let Some(left) = self.stored(id, new).await? {
            return self.move_to(id, old, left).await;
        }
        let grant = self.stored(id, old).await?.ok_or(GrantFault::NotConnected)?;
        let renewed = match self.renew_once(app, protocol, &grant.refresh_token).await {
            Ok(tokens) => Grant::new(&tokens, Some(&grant))?,
            Err(fault) => {
                // Before anybody is alarmed: has another writer moved on meanwhile?
                let current = self.table.account(id).await?;
                if let Some(current) = current.as_ref().map(|item| item.generation).filter(|current| *current != old)
                    && let Some(grant) = self.stored(id, current).await?
                {
                    self.warm_up(id, current, &grant);
                    return Ok(grant.access_token);
                }
                if let Some(began) = current.and_then(|item| item.signed_in)
                    && fault.is_of_sign_in_frequency()
                {
                    let ended = SignInEnded { began, ended: (self.clock)().as_second() };
                    self.table.end_sign_in(id, old, ended).await?;
                }
                self.table.drop_refresh_lease(id, old).await?;
                return Err(fault);
            }
        };
        let put = self.vault.put(&Name::Grant(id.clone()), version_id(id, new), &renewed.to_secret()).await?;
        let winner = match put {
            Put::Stored => renewed,
            Put::Taken => self.stored(id, new).await?.ok_or(GrantFault::NotConnected)?,
        };
        self.move_to(id, old, winner).await
    }

    async fn move_to(&self, id: &AccountId, old: u64, grant: Grant) -> Result<Secret, GrantFault> {
        // `false` means that somebody else moved it to the very same version.
        let now = (self.clock)();
        if self.table.move_generation(id, old, grant.expires_at, now).await? {
            let renewed = AuditEntry::new(AuditEvent::Renewed, self.by(), now);
            self.table.audit(id, &AuditEntry { generation: Some(old + 1), ..renewed }).await;
        }
        self.warm_up(id, old + 1, &grant);
        Ok(grant.access_token)
    }

    /// Keeps the grant of a person who just connected the account; `false` when somebody else did so meanwhile.
    pub async fn keep(&self, item: &AccountItem, principal: &Principal, tokens: &Tokens) -> Result<bool, GrantFault> {
        let id = &item.account.id;
        let grant = Grant::new(tokens, None)?;
        let mut generation = item.generation;
        // A version that a crash left behind holds the next number; what it holds is older than this consent.
        for _ in 0..3 {
            let version = version_id(id, generation + 1);
            match self.vault.put(&Name::Grant(id.clone()), version, &grant.to_secret()).await? {
                Put::Stored => {
                    let now = (self.clock)();
                    let moved = self.table.connect_account(id, generation, principal, grant.expires_at, now).await?;
                    return Ok(moved);
                }
                Put::Taken => {
                    if !self.table.move_generation(id, generation, grant.expires_at, (self.clock)()).await? {
                        return Ok(false);
                    }
                    generation += 1;
                }
            }
        }
        Err(GrantFault::Waited)
    }

    /// Deletes our copy. Entra has no revocation endpoint: an administrator ends the sessions there.
    pub async fn forget(&self, id: &AccountId) -> Result<(), GrantFault> {
        if let Ok(mut warm) = self.warm.lock() {
            warm.remove(id.as_str());
        }
        Ok(self.vault.remove(&Name::Grant(id.clone())).await?)
    }

    async fn stored(&self, id: &AccountId, generation: u64) -> Result<Option<Grant>, GrantFault> {
        let version = Version::Id(version_id(id, generation));
        let text = self.vault.get(&Name::Grant(id.clone()), version).await?;
        Ok(text.as_ref().and_then(Grant::read))
    }

    fn warm_token(&self, id: &AccountId, generation: u64) -> Option<Secret> {
        let warm = self.warm.lock().ok()?.get(id.as_str()).cloned()?;
        (warm.generation == generation && is_fresh(id, warm.expires_at, (self.clock)())).then_some(warm.access_token)
    }

    fn warm_up(&self, id: &AccountId, generation: u64, grant: &Grant) {
        if let Ok(mut warm) = self.warm.lock() {
            let (access_token, expires_at) = (grant.access_token.clone(), grant.expires_at);
            warm.insert(id.to_string(), Warm { generation, access_token, expires_at });
        }
    }
}

/// Whether a token is still to be used, and not yet to be renewed.
fn is_fresh(id: &AccountId, expires_at: Timestamp, now: Timestamp) -> bool {
    now.as_second() + MARGIN.as_secs() + id.spread(JITTER_SECONDS) < expires_at.as_second()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_token_is_used_until_five_to_seven_minutes_before_its_end_by_each_account_at_its_own_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut margins = BTreeSet::new();
        for number in 0..1_000 {
            let id: AccountId = format!("account-{number}").parse().unwrap();
            let margin = 300 + id.spread(JITTER_SECONDS);
            assert!((300..420).contains(&margin));
            assert!(is_fresh(&id, at(10_000), at(10_000 - margin - 1)), "{id}");
            assert!(!is_fresh(&id, at(10_000), at(10_000 - margin)), "{id}");
            assert_eq!(margin, 300 + id.spread(JITTER_SECONDS), "the same whoever asks");
            margins.insert(margin);
        }
        assert_eq!(margins.len(), 120, "they are spread over all of it");
    }
}
