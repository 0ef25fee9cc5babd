//! Who sits at the browser: the session cookie, the sign-in form and the second factor, the same for every flow.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use super::fault::Fault;
use super::settings::{App, User};
use super::state::{Session, State};
use super::{field, pages};
use crate::random;

const COOKIE: &str = "standin-session";

/// What a request tells about the person.
pub(super) enum Arrival {
    /// Signed in; a new cookie beside it when that happened just now.
    Known(User, Option<String>),
    /// The password was right; the second factor is missing. The cookie is new.
    Half(User, String),
    /// Nobody yet.
    Unknown,
    /// Refused: the name that was typed, and why.
    Refused(String, Fault),
}

/// Reads the cookie and the form.
pub(super) fn arrive(state: &mut State, headers: &HeaderMap, tenant: &str, body: &str) -> Arrival {
    let known = cookie(headers).and_then(|name| Some((state.sessions.get(&name)?.clone(), name)));
    if let Some(password) = field(body, "passwd") {
        let login = field(body, "login").unwrap_or_default();
        let user = match check_person(state, tenant, &login, &password) {
            Ok(user) => user,
            Err(fault) => return Arrival::Refused(login, fault),
        };
        let cookie = random::token(32);
        state.sessions.insert(cookie.clone(), Session { oid: user.oid.clone(), complete: !user.mfa });
        return if user.mfa { Arrival::Half(user, cookie) } else { Arrival::Known(user, Some(cookie)) };
    }
    let Some((mut session, name)) = known else { return Arrival::Unknown };
    if field(body, "factor").as_deref() == Some("approve") {
        session.complete = true;
        state.sessions.insert(name, session.clone());
    }
    match state.user(&session.oid).filter(|_| session.complete) {
        Some(user) => Arrival::Known(user.clone(), None),
        None => Arrival::Unknown,
    }
}

/// The page for a person who has not arrived yet; `action` is where its form goes.
pub(super) fn ask(state: &State, app: &App, action: &str, login_hint: &str, arrival: &Arrival) -> Response {
    let line = &state.settings.sign_in_hint;
    match arrival {
        Arrival::Half(user, cookie) => with_cookie(pages::second_factor(user, action), Some(cookie)),
        Arrival::Refused(login, fault) => pages::sign_in(app, action, login, Some(fault), line),
        Arrival::Known(..) | Arrival::Unknown => pages::sign_in(app, action, login_hint, None, line),
    }
}

pub(super) fn with_cookie(mut response: Response, cookie: Option<&String>) -> Response {
    let line = cookie.map(|cookie| format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax"));
    if let Some(value) = line.and_then(|line| HeaderValue::from_str(&line).ok()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

fn check_person(state: &State, tenant: &str, login: &str, password: &str) -> Result<User, Fault> {
    let Some(user) = state.user_named(login) else {
        let text = format!(
            "The user account {} does not exist in the {} directory. To sign into this application, the account must be \
             added to the directory.",
            login.trim(),
            tenant
        );
        return Err(Fault::new("invalid_grant", 50034, text));
    };
    if user.password != password {
        let text = "Error validating credentials due to invalid username or password.";
        return Err(Fault::new("invalid_grant", 50126, text));
    }
    if user.disabled {
        return Err(Fault::new("invalid_grant", 50057, "The user account is disabled."));
    }
    Ok(user.clone())
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}
