//! What the provider remembers: codes, refresh tokens, access tokens, sessions and consents; and its own clock.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::device::Device;
use super::fault::Fault;
use super::jwt::Signer;
use super::scope::Asked;
use super::script::{Answer, Call, Endpoint, Refusal};
use super::settings::{App, Platform, Settings, Tenant, User};
use crate::random;

pub(crate) struct State {
    pub settings: Settings,
    pub url: String,
    pub signer: Signer,
    /// How far the stand-in's clock is ahead of the real one.
    pub ahead: SignedDuration,
    pub codes: HashMap<String, Code>,
    /// Device code → what it waits for.
    pub devices: HashMap<String, Device>,
    pub refresh: HashMap<String, Refresh>,
    pub access: HashMap<String, Access>,
    /// (client id, `jti`) of the client assertions seen.
    pub assertions: HashSet<(String, String)>,
    /// Session cookie → who signed in.
    pub sessions: HashMap<String, Session>,
    /// (client id, object id) → permissions as `audience/name`.
    pub consents: HashMap<(String, String), BTreeSet<String>>,
    pub revoked_families: HashSet<String>,
    /// Nothing issued before this counts for the person: object id → "TokensValidFrom".
    pub valid_from: HashMap<String, Timestamp>,
    pub script: VecDeque<Refusal>,
    pub log: Vec<Call>,
}

/// A browser's session.
#[derive(Clone)]
pub(crate) struct Session {
    pub oid: String,
    /// The second factor was given, or none is needed.
    pub complete: bool,
}

/// An authorization code.
#[derive(Clone)]
pub(crate) struct Code {
    pub client_id: String,
    pub oid: String,
    pub redirect_uri: String,
    pub platform: Platform,
    pub challenge: String,
    pub nonce: Option<String>,
    pub asked: Asked,
    pub issued: Timestamp,
    pub family: String,
    pub redeemed: bool,
}

/// A refresh token.
#[derive(Clone)]
pub(crate) struct Refresh {
    pub client_id: String,
    pub oid: String,
    pub family: String,
    pub platform: Platform,
    pub asked: Asked,
    /// When the person signed in; kept through rotation.
    pub granted: Timestamp,
    /// When this token was issued or last used.
    pub used: Timestamp,
    /// Replaced by a newer one.
    pub rotated: bool,
}

/// An access token that was issued.
#[derive(Clone)]
pub(crate) struct Access {
    pub family: Option<String>,
    pub claims: Value,
}

impl State {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now().checked_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn app(&self, client_id: &str) -> Option<&App> {
        self.settings.apps.iter().find(|app| app.client_id.eq_ignore_ascii_case(client_id))
    }

    /// A directory by identifier or verified domain.
    pub(crate) fn tenant(&self, name: &str) -> Option<&Tenant> {
        let name = name.to_ascii_lowercase();
        self.settings.tenants.iter().find(|tenant| tenant.id == name || tenant.domains.contains(&name))
    }

    pub(crate) fn user(&self, oid: &str) -> Option<&User> {
        self.settings.users.iter().find(|user| user.oid == oid)
    }

    pub(crate) fn user_named(&self, upn: &str) -> Option<&User> {
        self.settings.users.iter().find(|user| user.upn.eq_ignore_ascii_case(upn.trim()))
    }

    /// The next scripted answer for an endpoint, if there is one.
    pub(crate) fn scripted(&mut self, at: Endpoint) -> Option<Answer> {
        let place = self.script.iter().position(|refusal| refusal.at == at && refusal.times > 0)?;
        let refusal = self.script.get_mut(place)?;
        refusal.times -= 1;
        let answer = refusal.answer.clone();
        self.script.retain(|refusal| refusal.times > 0);
        Some(answer)
    }

    /// Whether the person, or an administrator for the whole directory, consented to all of it.
    pub(crate) fn has_consent(&self, app: &App, user: &User, asked: &Asked) -> bool {
        let whole = self.tenant(&user.tid).is_some_and(|tenant| tenant.admin_consented.contains(&app.client_id));
        let given = self.consents.get(&(app.client_id.clone(), user.oid.clone()));
        whole
            || asked.permissions.iter().all(|(audience, name)| {
                given.is_some_and(|given| match name.as_str() {
                    ".default" => given.iter().any(|one| one.starts_with(audience.as_str())),
                    _ => given.contains(&format!("{audience}/{name}")),
                })
            }) && given.is_some()
    }

    pub(crate) fn consent(&mut self, client_id: &str, oid: &str, asked: &Asked) {
        let given = self.consents.entry((client_id.to_owned(), oid.to_owned())).or_default();
        given.extend(asked.permissions.iter().map(|(audience, name)| format!("{audience}/{name}")));
    }

    /// An administrator's consent for a whole directory.
    pub(crate) fn consent_whole(&mut self, client_id: &str, tid: &str) {
        let tenants = self.settings.tenants.iter_mut().filter(|tenant| tenant.id == tid);
        tenants.for_each(|tenant| tenant.admin_consented.push(client_id.to_owned()));
    }

    /// The app's own permissions become effective in a directory.
    pub(crate) fn grant_roles(&mut self, client_id: &str, tid: &str) {
        let tenants = self.settings.tenants.iter_mut().filter(|tenant| tenant.id == tid);
        tenants.for_each(|tenant| tenant.roles_granted.push(client_id.to_owned()));
    }

    /// Whether a grant of this person, made at `granted`, was revoked since.
    pub(crate) fn revoked(&self, family: &str, oid: &str, granted: Timestamp) -> Option<Timestamp> {
        let from = self.valid_from.get(oid).copied().filter(|from| granted < *from);
        if self.revoked_families.contains(family) { Some(from.unwrap_or(granted)) } else { from }
    }

    /// A new access token for a person; the lifetime in seconds beside it.
    pub(crate) fn user_access(
        &mut self,
        app: &App,
        user: &User,
        asked: &Asked,
        family: &str,
    ) -> Result<(String, u64), Fault> {
        let audience = asked.audiences().first().map(|audience| (*audience).to_owned());
        // With nothing but OpenID scopes Entra gives a token for Graph's user-info endpoint.
        let audience = audience.unwrap_or_else(|| "https://graph.microsoft.com".to_owned());
        let names = self.granted_names(app, user, asked, &audience);
        let claims = json!({
            "upn": user.upn, "unique_name": user.upn, "oid": user.oid, "sub": pairwise(&app.client_id, &user.oid),
            "scp": names.join(" "), "idtyp": "user", "sid": family,
        });
        self.issue(app, &user.tid.clone(), &audience, claims, Some(family.to_owned()))
    }

    /// The names that `scp` lists: what was asked, or for `.default` all that was consented to at the audience.
    pub(crate) fn granted_names(&self, app: &App, user: &User, asked: &Asked, audience: &str) -> Vec<String> {
        let given = self.consents.get(&(app.client_id.clone(), user.oid.clone()));
        let mut names = Vec::new();
        for (_, name) in asked.permissions.iter().filter(|(of, _)| of == audience) {
            if name != ".default" {
                names.push(name.clone());
                continue;
            }
            let prefix = format!("{audience}/");
            let all = given.into_iter().flatten().filter_map(|one| one.strip_prefix(&prefix));
            names.extend(all.filter(|name| *name != ".default").map(str::to_owned));
        }
        names.dedup();
        names
    }

    /// A new access token for the app itself.
    pub(crate) fn app_access(&mut self, app: &App, tid: &str, audience: &str) -> Result<(String, u64), Fault> {
        let offered = super::scope::resource(audience).map_or(&[][..], |resource| resource.roles);
        let granted = self.tenant(tid).is_some_and(|tenant| tenant.roles_granted.contains(&app.client_id));
        let roles: Vec<&String> = app.roles.iter().filter(|role| granted && offered.contains(&role.as_str())).collect();
        let oid = pairwise("service-principal", &app.client_id);
        let mut claims = json!({"oid": oid, "sub": oid, "idtyp": "app"});
        if !roles.is_empty() {
            claims["roles"] = json!(roles);
        }
        self.issue(app, tid, audience, claims, None)
    }

    fn issue(
        &mut self,
        app: &App,
        tid: &str,
        audience: &str,
        mut claims: Value,
        family: Option<String>,
    ) -> Result<(String, u64), Fault> {
        let range = &self.settings.access_seconds;
        let seconds = random::between(*range.start(), *range.end());
        let now = self.now().as_second();
        // Tokens for Exchange and Graph are of version 1.0 ("Access tokens in the Microsoft identity platform").
        let common = json!({
            "aud": audience, "iss": format!("{}/{tid}/", self.url), "tid": tid, "appid": app.client_id,
            "iat": now, "nbf": now, "exp": now + seconds as i64, "ver": "1.0", "uti": random::token(16),
        });
        merge(&mut claims, common);
        let token = self.sign(&claims)?;
        self.access.insert(token.clone(), Access { family, claims });
        Ok((token, seconds))
    }

    /// An id_token ("ID tokens in the Microsoft identity platform"; OpenID Connect Core 1.0, section 2).
    pub(crate) fn id_token(&self, app: &App, user: &User, asked: &Asked, nonce: Option<&str>) -> Result<String, Fault> {
        let now = self.now().as_second();
        let mut claims = json!({
            "aud": app.client_id, "iss": format!("{}/{}/v2.0", self.url, user.tid), "tid": user.tid, "oid": user.oid,
            "sub": pairwise(&app.client_id, &user.oid), "iat": now, "nbf": now, "exp": now + 3900, "ver": "2.0",
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        if asked.profile {
            claims["preferred_username"] = json!(user.upn);
            claims["name"] = json!(user.upn.split('@').next().unwrap_or(&user.upn));
        }
        if asked.email {
            claims["email"] = json!(user.upn);
        }
        self.sign(&claims)
    }

    fn sign(&self, claims: &Value) -> Result<String, Fault> {
        self.signer.sign(claims).map_err(|error| {
            Fault::new("server_error", 0, error.to_string()).status(http::StatusCode::INTERNAL_SERVER_ERROR)
        })
    }

    /// The claims of an access token that is genuine, in time and not revoked.
    pub(crate) fn valid(&self, token: &str) -> Option<&Value> {
        let access = self.access.get(token)?;
        let ends = access.claims.get("exp").and_then(Value::as_i64)?;
        let revoked = access.family.as_ref().is_some_and(|family| self.revoked_families.contains(family));
        (self.now().as_second() < ends && !revoked).then_some(&access.claims)
    }
}

/// `sub` is pairwise: another value for each app (OpenID Connect Core 1.0, section 8.1).
fn pairwise(client_id: &str, oid: &str) -> String {
    use base64::Engine as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{client_id}/{oid}").as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_ref())
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}
