//! Routing: how the mail of some deliveries goes out, and who goes on when one is over.

use crate::account::{Invalid, RouteId};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Mail.
    #[default]
    Email,
}

/// Who sends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Another system.
    #[default]
    External,
}

impl FromStr for Channel {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "email" => Ok(Self::Email),
            _ => Err(Invalid(format!(
                "{text:?} cannot be routed: the channel is email, for nothing else comes back by mail"
            ))),
        }
    }
}

impl FromStr for Mode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "external" => Ok(Self::External),
            _ => Err(Invalid(format!("{text:?} is no mode: it is external, for Rebond sends no mail itself"))),
        }
    }
}

/// A route: deliveries name it, and when one of them closes, that is told under the name of its activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its name.
    pub id: RouteId,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What is sent.
    pub channel: Channel,
    /// Who sends it.
    pub mode: Mode,
    /// What goes on when a delivery is over, as the other system names it.
    pub activity: String,
}

impl Route {
    /// Checks the settings.
    pub fn check(&self) -> Result<(), Invalid> {
        let unfit = |text: &str, most: usize| text.chars().count() > most || text.contains(char::is_control);
        if self.activity.trim().is_empty() || unfit(&self.activity, limits::ACTIVITY_CHARS) {
            let most = limits::ACTIVITY_CHARS;
            return Err(Invalid(format!("the activity must have 1 to {most} characters, and no control characters")));
        }
        if self.label.as_ref().is_some_and(|label| unfit(label, 200)) {
            return Err(Invalid("the label must have 200 characters at most, and no control characters".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn mail_that_others_send_is_routed_and_nothing_else() {
        assert_eq!(("email".parse(), "external".parse()), (Ok(Channel::Email), Ok(Mode::External)));
        for (text, says) in [("sms", "\"sms\" cannot be routed: the channel is email"), ("Email", "cannot be routed")] {
            assert!(text.parse::<Channel>().unwrap_err().to_string().contains(says));
        }
        let refused = "mid-sourcing".parse::<Mode>().unwrap_err().to_string();
        assert!(refused.contains("\"mid-sourcing\" is no mode: it is external"), "{refused}");
    }

    #[test]
    fn an_activity_has_a_name() {
        let route = |activity: &str| Route {
            id: "news".parse().unwrap(),
            label: None,
            channel: Channel::Email,
            mode: Mode::External,
            activity: activity.to_owned(),
        };
        assert!(route("Tell the editors").check().is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(201)] {
            assert!(route(bad).check().is_err(), "{bad:?}");
        }
    }
}
