//! Why a mailbox does not answer: from the account's settings up to one message that was read, by the very steps of a poll;
//! then, where mail is forwarded, up to the login at the server that takes it. At the first step that does not end well, what
//! it means and who must act.
//!
//! No mail is sent, moved or deleted; no cursor, no health is changed. A token that is refused is renewed once, as a poll does.

mod diagnosis;
mod forwarding;
mod ports;

use self::diagnosis::{Broken, Fault};
use crate::account::{Account, AccountId, Authentication, Encryption, Forwarding, Protocol, Server, Since};
use crate::limits;
use crate::mailbox::{self, FaultKind, Listed, Login, Mailbox, MailboxFault, Rung, Trail};
use crate::net::{Seen, Tls};
use crate::oauth::claims::{self, Claim};
use crate::poll::{PollError, Poller, Stop};
use crate::report;
use crate::table::{AccountItem, Folder};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A certificate that ends so soon is worth a warning.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Where nothing is new, a message of the last days is read.
const RECENT: Since = Since::Days(30);
/// Characters shown of what was said on a rung.
const SAID_CHARS: usize = 400;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// The account.
    pub account: AccountId,
    /// The rungs that were climbed, the last one broken where there is a diagnosis.
    pub rungs: Vec<Climbed>,
    /// What is wrong; none where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// A rung that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Climbed {
    /// Which.
    pub rung: Rung,
    /// Whether it is of the server that takes what is forwarded, and not of the mailbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarding: bool,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// What was found or said: no secrets, no control characters, bounded.
    pub said: String,
    /// The advice of a warning, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// How a rung ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should.
    Good,
    /// Well enough to go on.
    Warning,
    /// It holds nobody.
    Broken,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The rung that broke.
    pub rung: Rung,
    /// Whether it is of the server that takes what is forwarded, and not of the mailbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarding: bool,
    /// What it means and who must act: an advice by its id.
    pub advice: String,
}

/// How far it went.
struct Climb<'a> {
    item: &'a AccountItem,
    /// Where it goes up to the server that takes what is forwarded.
    forwarding: Option<&'a Forwarding>,
    trail: Trail,
    /// Warnings by rung.
    warnings: Vec<(Rung, &'static str)>,
    /// What the token says that it should not.
    differing: Vec<Claim>,
    /// The certificate that was shown.
    seen: Seen,
}

impl Poller {
    /// Climbs until `deadline`. An error is a fault of our own: no such account, our table, our vault.
    pub fn examine<'a>(
        &'a self,
        id: &'a AccountId,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Examination, PollError>> {
        Box::pin(self.examine_account(id, deadline))
    }

    async fn examine_account(&self, id: &AccountId, deadline: Instant) -> Result<Examination, PollError> {
        let item = self.table.account(id).await?.ok_or_else(|| PollError::NoAccount(id.clone()))?;
        let mut climb = Climb::of(&item, None);
        let climbed = self.climb(&mut climb, deadline).await;
        let mut found = climb.examination(climbed)?;
        if let (None, Some(forwarding)) = (&found.diagnosis, &item.account.forwarding) {
            let mut climb = Climb::of(&item, Some(forwarding));
            let climbed = self.climb_forwarding(&mut climb, forwarding, deadline).await;
            let further = climb.examination(climbed)?;
            found.rungs.extend(further.rungs);
            found.diagnosis = further.diagnosis;
        }
        Ok(found)
    }

    async fn climb(&self, climb: &mut Climb<'_>, deadline: Instant) -> Result<(), Fault> {
        let account = &climb.item.account;
        self.check_settings(climb).await?;
        let (tls, seen) = self.tls.keeping().map_err(MailboxFault::from)?;
        climb.seen = seen;
        let tls = &tls;
        let server = &account.server;
        let trail = &mut climb.trail;
        let reached = mailbox::approach(server, account.protocol, &self.reach, tls, deadline, trail).await;
        climb.warn_of_certificate((self.clock)());
        let reached = match reached {
            Err(fault) if ports::nothing_listens(climb.trail.broken(), &fault) => {
                return Err(ports::look_elsewhere(account, fault, &self.reach, deadline).await);
            }
            reached => reached?,
        };
        climb.trail.start(Rung::Token);
        let login = self.login(climb.item, false).await.map_err(Fault::of)?;
        self.say_credential(climb, Some(&login)).await?;
        climb.trail.start(Rung::Authentication);
        let opened = reached.log_in(server, &login, &self.reach, tls, deadline).await;
        let refused = |fault: &MailboxFault| matches!(fault.kind, FaultKind::LoginRefused | FaultKind::NotPermitted);
        let opened = match opened {
            Err(fault) if account.app().is_some() && refused(&fault) => self.try_renewed(climb, tls, deadline).await?,
            opened => opened,
        };
        let mut mailbox = opened.map_err(|fault| climb.past_login(fault))?;
        climb.trail.end(how_logged_in(&login));
        let read = self.read_one(climb, &mut *mailbox).await;
        // Nothing was changed that a farewell could fail to bring about.
        let _ = mailbox.close().await;
        read
    }

    async fn check_settings(&self, climb: &mut Climb<'_>) -> Result<(), Fault> {
        climb.trail.start(Rung::Settings);
        let account = &climb.item.account;
        account.check().map_err(|invalid| Fault::Settings(invalid.0))?;
        if let Some(id) = account.app()
            && self.table.app(id).await.map_err(PollError::from)?.is_none()
        {
            return Err(Fault::NoApp(id.clone()));
        }
        climb.trail.end(settings(account));
        if !account.enabled {
            climb.warnings.push((Rung::Settings, "account-off"));
        } else if account.server.encryption == Encryption::None {
            climb.warnings.push((Rung::Settings, "in-clear"));
        }
        Ok(())
    }

    /// A token that was refused is renewed once, and all begins anew over another connection.
    async fn try_renewed(
        &self,
        climb: &mut Climb<'_>,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Result<Box<dyn Mailbox>, MailboxFault>, Fault> {
        let account = &climb.item.account;
        climb.trail.start(Rung::Token);
        let login = self.login(climb.item, true).await.map_err(Fault::of)?;
        climb.trail.steps.retain(|step| step.rung != Rung::Token);
        climb.differing.clear();
        climb.warnings.retain(|(rung, _)| *rung != Rung::Token);
        self.say_credential(climb, Some(&login)).await?;
        climb.trail.start(Rung::Authentication);
        let mut again = Trail::default();
        let reached =
            mailbox::approach(&account.server, account.protocol, &self.reach, tls, deadline, &mut again).await?;
        Ok(reached.log_in(&account.server, &login, &self.reach, tls, deadline).await)
    }

    /// Ends the rung of the token: what is in it beside what is wanted, never the token.
    async fn say_credential(&self, climb: &mut Climb<'_>, login: Option<&Login>) -> Result<(), Fault> {
        let account = &climb.item.account;
        let token = match (login, account.app()) {
            (Some(Login::XOAuth2 { token, .. }), Some(app)) => Some((token, app)),
            _ => None,
        };
        let Some((token, app)) = token else {
            climb.trail.end("the password is in the vault");
            return Ok(());
        };
        let app = self.table.app(app).await.map_err(PollError::from)?.ok_or_else(|| Fault::NoApp(app.clone()))?;
        let Some(found) = claims::claims(token) else {
            climb.trail.end("the token is opaque: only its provider and the mail server can read it");
            return Ok(());
        };
        let rows = match climb.forwarding {
            None => claims::compare(&found, account, &app, (self.clock)().as_second()),
            // All else was looked at on the way to the mailbox.
            Some(_) => claims::to_send(&found, account, &app).into_iter().collect(),
        };
        if rows.is_empty() {
            climb.trail.end("the mailbox's own token");
            return Ok(());
        }
        climb.trail.end(said_of_claims(&rows));
        climb.differing = rows.into_iter().filter(|row| !row.good).collect();
        if !climb.differing.is_empty() {
            climb.warnings.push((Rung::Token, "token-differs"));
        }
        Ok(())
    }

    /// The folders, what is in them for the next poll, and one message.
    async fn read_one(&self, climb: &mut Climb<'_>, mailbox: &mut dyn Mailbox) -> Result<(), Fault> {
        let account = &climb.item.account;
        climb.trail.start(Rung::Mailbox);
        // Those that read mail is moved to: were they missing, it would show after the first report.
        let folders: Vec<&String> = account.moves_to().chain(&account.folders).collect();
        for name in &folders {
            mailbox.select(name).await?;
        }
        climb.trail.end(format!("{} opened", folders.iter().map(|name| &name[..]).collect::<Vec<_>>().join(", ")));
        climb.trail.start(Rung::Count);
        let (now, mut counts, mut one) = ((self.clock)(), vec![], None);
        for name in &account.folders {
            mailbox.select(name).await?;
            let cursor = self.table.cursor(&account.id, &Folder(name.clone())).await.map_err(PollError::from)?;
            let position = cursor.map(|cursor| cursor.position);
            // By POP3 a first poll asks for the head of each message to leave the old ones out: here one is enough.
            let (since, what) = match (account.protocol, &position) {
                (Protocol::Pop3, None) => (Since::All, "in it"),
                _ => (account.since, "to read"),
            };
            let mut listed = mailbox.list(position.as_ref(), since, now).await?;
            counts.push(format!("{name}: {} {what}", listed.len()));
            if listed.is_empty() && (position.is_some() || since == Since::New) {
                let again = if account.protocol == Protocol::Pop3 { Since::All } else { RECENT };
                listed = mailbox.list(None, again, now).await?;
            }
            if let Some(last) = listed.pop() {
                one = Some(last);
                break;
            }
        }
        climb.trail.end(counts.join(", "));
        if let Some(one) = one {
            climb.trail.start(Rung::Message);
            let said = read_message(mailbox, &one).await?;
            climb.trail.end(said);
        }
        Ok(())
    }
}

impl<'a> Climb<'a> {
    fn of(item: &'a AccountItem, forwarding: Option<&'a Forwarding>) -> Self {
        let (trail, seen) = (Trail::default(), Seen::default());
        Self { item, forwarding, trail, warnings: vec![], differing: vec![], seen }
    }

    /// What Graph says at its first request, and Exchange behind a login, is about the mailbox: the login was good.
    fn past_login(&mut self, fault: MailboxFault) -> Fault {
        if matches!(fault.kind, FaultKind::NotConnected | FaultKind::NotPermitted | FaultKind::NoMailbox) {
            self.trail.end("the token was taken");
            self.trail.start(Rung::Mailbox);
        }
        fault.into()
    }

    fn warn_of_certificate(&mut self, now: Timestamp) {
        let ends = self.seen.certificate().and_then(|certificate| certificate.ends);
        if ends.is_some_and(|ends| ends.duration_since(now) < ENDS_SOON) {
            self.warnings.push((Rung::Tls, "tls-ends-soon"));
        }
    }

    /// What was found, or a fault of our own.
    fn examination(self, climbed: Result<(), Fault>) -> Result<Examination, PollError> {
        let fault = match climbed {
            Ok(()) => None,
            Err(Fault::Ours(error)) => return Err(error),
            Err(fault) => Some(fault),
        };
        let forwarding = self.forwarding.is_some();
        let certificate = self.seen.certificate().map(|it| {
            let ends = it.ends.map_or(String::new(), |ends| ends.strftime("%Y-%m-%d").to_string());
            let issuer = if it.self_signed { "itself" } else { &it.issuer };
            format!("certificate for {}, signed by {issuer}, ends {ends}", it.names.join(", "))
        });
        let shown = |rung: Rung, said: &str| match (&certificate, rung) {
            (Some(certificate), Rung::Tls) => bounded(&format!("{said}; {certificate}")),
            _ => bounded(said),
        };
        let climbed = |step: &mailbox::Step| {
            let warning = self.warnings.iter().find(|(rung, _)| *rung == step.rung).map(|(_, id)| (*id).to_owned());
            let verdict = if warning.is_some() { Verdict::Warning } else { Verdict::Good };
            let milliseconds = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
            Climbed { rung: step.rung, forwarding, verdict, milliseconds, said: shown(step.rung, &step.said), warning }
        };
        let mut rungs: Vec<Climbed> = self.trail.steps.iter().map(climbed).collect();
        let diagnosis = fault.map(|fault| {
            let (rung, took) = self.trail.broken().unwrap_or((Rung::Settings, std::time::Duration::ZERO));
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let (verdict, said) = (Verdict::Broken, shown(rung, &fault.to_string()));
            rungs.push(Climbed { rung, forwarding, verdict, milliseconds, said, warning: None });
            let broken = Broken {
                rung,
                fault: &fault,
                item: self.item,
                forwarding: self.forwarding,
                trail: &self.trail,
                differing: &self.differing,
            };
            Diagnosis { rung, forwarding, advice: diagnosis::of(&broken).to_owned() }
        });
        Ok(Examination { account: self.item.account.id.clone(), rungs, diagnosis })
    }
}

/// One line for people.
fn bounded(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(SAID_CHARS).collect();
    if text.chars().nth(SAID_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn settings(account: &Account) -> String {
    let opened = match &account.authentication {
        Authentication::Password { user } => format!("with the password of {user}"),
        Authentication::OauthUser { app } => format!("by OAuth with app {app}"),
        Authentication::OauthApp { app } => format!("by app {app} itself"),
    };
    format!("{} by {}, {opened}", account.mailbox, settings_of(account.protocol.as_str(), &account.server))
}

fn settings_of(protocol: &str, server: &Server) -> String {
    let encryption = match server.encryption {
        Encryption::Tls => "tls",
        Encryption::Starttls => "starttls",
        Encryption::None => "not encrypted",
    };
    format!("{protocol} at {} port {}, {encryption}", server.host, server.port)
}

fn how_logged_in(login: &Login) -> String {
    match login {
        Login::XOAuth2 { mailbox, .. } => format!("the token lets in to {mailbox}"),
        Login::Password { user, .. } => format!("the password lets in {user}"),
    }
}

fn said_of_claims(rows: &[Claim]) -> String {
    let said = rows.iter().map(|row| match row.good {
        true => format!("{} {}", row.name, row.found),
        false if row.found.is_empty() => format!("{} missing, wanted {}", row.name, row.wanted),
        false => format!("{} {} where {} is wanted", row.name, row.found, row.wanted),
    });
    said.collect::<Vec<_>>().join("; ")
}

/// Reads a message, and says what kind it is; never its words.
async fn read_message(mailbox: &mut dyn Mailbox, one: &Listed) -> Result<String, Fault> {
    let (sender, mut receiver) = mpsc::channel(1);
    let wanted = std::slice::from_ref(one);
    let (missed, came) = tokio::join!(mailbox.fetch(wanted, sender), receiver.recv());
    if let Some(refused) = missed?.into_iter().find_map(|missed| missed.refused) {
        return Err(Fault::Message(refused));
    }
    let Some(came) = came else { return Ok("it was taken away meanwhile".to_owned()) };
    let report = report::read(&came.bytes);
    let arrived = came.arrival.map_or(String::new(), |at| format!(", arrived {}", at.strftime("%Y-%m-%d %H:%M UTC")));
    let cut = if came.cut { format!(" (read as far as {} bytes)", limits::MESSAGE_BYTES) } else { String::new() };
    Ok(format!("{} bytes{cut}{arrived}: {}", came.bytes.len(), report.kind.as_str()))
}
