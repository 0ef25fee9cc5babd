//! What SASL mechanisms send. Each result holds a credential.

use super::{FaultKind, Login};
use crate::secret::{ExposeSecret, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The mechanism of a login, as capabilities name it behind `AUTH=`.
pub(super) fn mechanism(login: &Login) -> &'static str {
    match login {
        Login::XOAuth2 { .. } => "XOAUTH2",
        Login::Password { .. } => "PLAIN",
    }
}

/// The first message of the client.
/// XOAUTH2: `user=` mailbox ^A `auth=Bearer ` token ^A ^A. PLAIN (RFC 4616 §2): NUL user NUL password.
pub(super) fn message(login: &Login) -> Result<Secret, FaultKind> {
    Ok(Secret::from(match login {
        Login::XOAuth2 { mailbox, token } => {
            let token = token.expose_secret();
            refuse_control(mailbox, "the mailbox name")?;
            refuse_control(token, "the access token")?;
            format!("user={mailbox}\x01auth=Bearer {token}\x01\x01")
        }
        Login::Password { user, password } => {
            let password = password.expose_secret();
            refuse_line_breaks(user, "the user name")?;
            refuse_line_breaks(password, "the password")?;
            format!("\0{user}\0{password}")
        }
    }))
}

/// The same in base64, as it stands in a command line.
fn first_message(login: &Login) -> Result<Secret, FaultKind> {
    Ok(Secret::from(STANDARD.encode(message(login)?.expose_secret())))
}

/// A login, with what is sent for it and what of it must never be shown.
pub(super) struct Credential<'a> {
    /// The login.
    pub login: &'a Login,
    /// As [`first_message`] has it.
    pub first_message: Secret,
    /// The credential as it was given, quoted, and as the first message.
    pub secrets: Vec<Secret>,
}

impl<'a> Credential<'a> {
    pub fn of(login: &'a Login) -> Result<Self, FaultKind> {
        let first_message = first_message(login)?;
        let credential = match login {
            Login::XOAuth2 { token, .. } => token.clone(),
            Login::Password { password, .. } => password.clone(),
        };
        let quoted = credential.expose_secret().replace('\\', "\\\\").replace('"', "\\\"");
        let secrets = vec![Secret::from(quoted), credential, first_message.clone()];
        Ok(Self { login, first_message, secrets })
    }
}

/// The `status` of the JSON with which a server explains a refused token, by name alone: the rest is not needed.
pub(super) fn refusal_status(challenge: &[u8]) -> Option<String> {
    let json = STANDARD.decode(challenge.trim_ascii()).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&json).ok()?;
    let status = value.get("status")?;
    let status = status.as_str().map_or_else(|| status.to_string(), str::to_owned);
    Some(status.chars().filter(char::is_ascii_alphanumeric).take(20).collect())
}

/// No NUL, CR or LF: neither PLAIN nor LOGIN can carry them.
pub(super) fn refuse_line_breaks(text: &str, what: &'static str) -> Result<(), FaultKind> {
    if text.contains(['\0', '\r', '\n']) { Err(FaultKind::Unsendable(what)) } else { Ok(()) }
}

fn refuse_control(text: &str, what: &'static str) -> Result<(), FaultKind> {
    if text.chars().any(char::is_control) { Err(FaultKind::Unsendable(what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn xoauth2(mailbox: &str, token: &str) -> Login {
        Login::XOAuth2 { mailbox: mailbox.into(), token: Secret::from(token.to_owned()) }
    }
    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.into(), password: Secret::from(password.to_owned()) }
    }

    #[test]
    fn first_messages() {
        let check = |login: Login, message: &str| {
            let sent = first_message(&login).unwrap();
            assert_eq!(STANDARD.decode(sent.expose_secret()).unwrap(), message.as_bytes());
        };
        check(xoauth2("bounce@example.com", "abc"), "user=bounce@example.com\x01auth=Bearer abc\x01\x01");
        check(password("büro", "pä ss\"\\"), "\0büro\0pä ss\"\\");
    }

    #[test]
    fn f30_what_could_inject_is_refused() {
        for login in [
            xoauth2("a\x01auth=Bearer b", "c"),
            xoauth2("a", "b\x01"),
            xoauth2("a\r\n", "b"),
            password("a\0b", "c"),
            password("a", "b\r\nA1 LOGOUT"),
            password("a", "b\0"),
        ] {
            assert!(matches!(first_message(&login), Err(FaultKind::Unsendable(_))), "{login:?}");
        }
    }

    #[test]
    fn refusals_of_a_token() {
        let check = |json: &str, status: Option<&str>| {
            assert_eq!(refusal_status(STANDARD.encode(json).as_bytes()).as_deref(), status, "{json}");
        };
        check(r#"{"status":"401","schemes":"bearer","scope":"mail"}"#, Some("401"));
        check(r#"{"status":400}"#, Some("400"));
        check(r#"{"schemes":"bearer"}"#, None);
        check("no json", None);
        assert_eq!(refusal_status(b"!!!"), None);
    }
}
