//! The app's own token (client credentials, RFC 6749 §4.4): no grant, no person, and never written down. One token
//! serves all mailboxes of its app.

use super::{GrantFault, Grants};
use crate::account::{App, Protocol};
use crate::oauth::entra;
use crate::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A token is renewed this long before its end, so that it outlives the session it is used in …
const MARGIN_SECONDS: i64 = 300;
/// … and up to this much earlier, so that processes that started together do not ask together.
const JITTER_SECONDS: i64 = 120;
/// A token that a mailbox refused is not asked for anew within this time: all mailboxes of an app may be refused at once.
const FRESH_SECONDS: i64 = 60;

/// Tokens by app, cloud, tenant, client id and resource. The inner lock makes one flight of all who want the same.
#[derive(Clone, Default)]
pub(super) struct AppTokens(Arc<Mutex<HashMap<String, Slot>>>);

type Slot = Arc<tokio::sync::Mutex<Option<AppToken>>>;

struct AppToken {
    access_token: Secret,
    since: Timestamp,
    until: Timestamp,
}

impl AppTokens {
    fn slot(&self, app: &App, protocol: Protocol) -> Slot {
        let resource = entra::app_scope(app.cloud, protocol);
        let key = format!("{} {} {} {} {resource}", app.id, app.cloud.as_str(), app.tenant, app.client_id);
        match self.0.lock() {
            Ok(mut tokens) => Arc::clone(tokens.entry(key).or_default()),
            // A panic elsewhere costs the cache, no more.
            Err(_) => Slot::default(),
        }
    }
}

impl Grants {
    /// A token of the app itself; `refused` when the mailbox did not take the last one.
    pub(super) async fn app_token(&self, app: &App, protocol: Protocol, refused: bool) -> Result<Secret, GrantFault> {
        app.check_app_only()?;
        let slot = self.app_tokens.slot(app, protocol);
        let mut slot = slot.lock().await;
        let now = (self.clock)();
        if let Some(token) = slot.as_ref() {
            let fresh = now.as_second() < token.since.as_second() + FRESH_SECONDS;
            if now < token.until && (!refused || fresh) {
                return Ok(token.access_token.clone());
            }
        }
        let tokens = self.app_only(app, protocol).await?;
        let now = (self.clock)();
        let access_token = tokens.access_token;
        let until = renewed_at(now, tokens.expires_at, random_seconds());
        *slot = Some(AppToken { access_token: access_token.clone(), since: now, until });
        Ok(access_token)
    }
}

/// When to ask for the next token: before the margin, but never sooner than after half of its life.
fn renewed_at(now: Timestamp, end: Timestamp, jitter: i64) -> Timestamp {
    let life = end.as_second() - now.as_second();
    let margin = (MARGIN_SECONDS + jitter).min(life / 2);
    end.saturating_sub(SignedDuration::from_secs(margin)).unwrap_or(now)
}

fn random_seconds() -> i64 {
    let mut byte = [0; 1];
    // Without random bytes everybody asks at the same time, and that is all.
    let _ = SystemRandom::new().fill(&mut byte);
    i64::from(byte[0]) * JITTER_SECONDS / 256
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_renewed_before_its_end_and_not_at_once() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let check = |life: i64, jitter| renewed_at(at(1_000), at(1_000 + life), jitter).as_second() - 1_000;
        assert_eq!(check(3_600, 0), 3_300);
        assert_eq!(check(3_600, 119), 3_181);
        assert_eq!(check(600, 119), 300);
        assert_eq!(check(60, 0), 30);
    }
}
