//! The server that takes what is forwarded: the same way up as to the mailbox, as far as the login. No mail is sent.

use super::diagnosis::Fault;
use super::{Climb, settings_of};
use crate::account::{Encryption, Forwarding, RelayLogin};
use crate::mailbox::submission::Approached;
use crate::mailbox::{Login, MailboxFault, Rung};
use crate::poll::Poller;
use tokio::time::Instant;

impl Poller {
    pub(super) async fn climb_forwarding(
        &self,
        climb: &mut Climb<'_>,
        forwarding: &Forwarding,
        deadline: Instant,
    ) -> Result<(), Fault> {
        climb.trail.start(Rung::Settings);
        climb.trail.end(settings(forwarding));
        let (tls, seen) = self.tls.keeping().map_err(MailboxFault::from)?;
        climb.seen = seen;
        let server = &forwarding.server;
        if server.encryption == Encryption::None && forwarding.login != RelayLogin::None {
            climb.warnings.push((Rung::Settings, "in-clear"));
        }
        let reached = Approached::reach(server, &self.reach, &tls, deadline, &mut climb.trail).await;
        climb.warn_of_certificate((self.clock)());
        let reached = reached?;
        let mut login = None;
        if forwarding.login != RelayLogin::None {
            climb.trail.start(Rung::Token);
            login = self.relay_login(climb.item, forwarding).await.map_err(Fault::of)?;
            self.say_credential(climb, login.as_ref()).await?;
        }
        climb.trail.start(Rung::Authentication);
        let relay = reached.log_in(server, login.as_ref(), deadline).await?;
        climb.trail.end(match &login {
            None => "nobody logs in, as the settings say".to_owned(),
            Some(Login::XOAuth2 { mailbox, .. }) => format!("the token lets in {mailbox}"),
            Some(Login::Password { user, .. }) => format!("the password lets in {user}"),
        });
        relay.close().await;
        Ok(())
    }
}

fn settings(forwarding: &Forwarding) -> String {
    let login = match &forwarding.login {
        RelayLogin::None => "without a login".to_owned(),
        RelayLogin::Mailbox => "with the mailbox's own login".to_owned(),
        RelayLogin::Password { user } => format!("with the password of {user}"),
    };
    format!("to {} by {}, {login}", forwarding.to, settings_of("SMTP", &forwarding.server))
}
