//! `rebond kit`: the scripts an administrator can read and run, filled with this account's own values.

use crate::place::{Place, Where};
use crate::quote::{comment, powershell, shell};
pub use crate::registration::Way;
use crate::registration::{self, Permission};
use crate::{account, app};
use anyhow::bail;
use clap::Args;
use rebond::account::{Account, AccountId, App, Cloud, Protocol};
use rebond::oauth::entra;
use std::process::ExitCode;

const PERSON: &str = include_str!("../../entra/person.ps1");
const APP: &str = include_str!("../../entra/app.ps1");
const GRAPH: &str = include_str!("../../entra/graph.ps1");
const REGISTRATION: &str = include_str!("../../entra/registration.sh");

/// Mailboxes that one management scope names; a longer filter is refused by Exchange.
const MAILBOXES: usize = 100;

/// Entries of the audit that are searched for who tried to connect.
const TRIED: usize = 50;

/// For which account, and which script.
#[derive(Debug, Args)]
pub struct KitArgs {
    /// Which account
    account: AccountId,
    /// The calls of the Azure CLI that bring the registration into form, in place of the Exchange script
    #[arg(long)]
    az: bool,
    /// Who opens the mailbox: a person who signs in, or the app itself [default: as the account is set]
    #[arg(long, value_enum)]
    way: Option<Way>,
    /// The person who signs in for the mailbox [default: who connected it, or who tried to last]
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Object ID of the enterprise application, where the script should not look it up
    #[arg(long, value_name = "GUID")]
    object_id: Option<uuid::Uuid>,
    /// Issuer of tokens that prove the app without a secret (for --az): the URL that AWS gives your account
    #[arg(long, value_name = "URL", requires = "subjects")]
    issuer: Option<url::Url>,
    /// Subject of such tokens: the ARN of a function's role; may be given several times
    #[arg(long = "subject", id = "subjects", value_name = "ARN", requires = "issuer")]
    subjects: Vec<String>,
}

/// What the scripts are filled with.
#[derive(Debug, Clone)]
pub struct Kit {
    /// The account asked for.
    pub account: AccountId,
    /// Its app.
    pub app: App,
    /// How its mailbox is read.
    pub protocol: Protocol,
    /// Who opens the mailbox.
    pub way: Way,
    /// The mailbox of the account first, then those of other accounts that the same app opens by itself.
    pub mailboxes: Vec<String>,
    /// Who signs in, where that is known.
    pub person: Option<String>,
    /// Object ID of the enterprise application.
    pub object_id: Option<uuid::Uuid>,
    /// Issuer of the tokens of a federated credential.
    pub issuer: Option<String>,
    /// Their subjects.
    pub subjects: Vec<String>,
}

pub(crate) async fn run(at: &Where, args: KitArgs) -> anyhow::Result<ExitCode> {
    let place = at.open().await?;
    let az = args.az;
    let kit = gather(&place, args).await?;
    print!("{}", if az { kit.registration() } else { kit.exchange()? });
    Ok(ExitCode::SUCCESS)
}

async fn gather(place: &Place, args: KitArgs) -> anyhow::Result<Kit> {
    let item = account::find(place, &args.account).await?;
    let id = &args.account;
    let Some(app_id) = item.account.app() else {
        bail!("{id} is opened with a password: there is nothing for an administrator to run")
    };
    let app = app::whole(place, app_id).await?;
    let way = args.way.unwrap_or(if item.account.needs_person() { Way::Person } else { Way::App });
    let mut mailboxes = vec![item.account.mailbox.clone()];
    if way == Way::App {
        let accounts = place.table().accounts().await?;
        let same = |other: &Account| other.app() == Some(app_id) && other.protocol == item.account.protocol;
        let others = accounts.into_iter().filter(|other| same(&other.account));
        mailboxes.extend(others.map(|other| other.account.mailbox).filter(|mailbox| *mailbox != item.account.mailbox));
        mailboxes[1..].sort();
        mailboxes.dedup();
    }
    let person = match (args.person, item.principal.map(|who| who.name)) {
        (Some(name), _) | (None, Some(name)) => Some(name),
        (None, None) => place.table().audited(id, TRIED).await?.into_iter().find_map(|entry| entry.who),
    };
    Ok(Kit {
        account: args.account,
        app,
        protocol: item.account.protocol,
        way,
        mailboxes,
        person: person.filter(|name| !name.is_empty()),
        object_id: args.object_id,
        issuer: args.issuer.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        subjects: args.subjects,
    })
}

impl Kit {
    /// The script for Exchange Online PowerShell. Errors: more mailboxes than one scope takes, or a person by Graph.
    pub fn exchange(&self) -> anyhow::Result<String> {
        if self.mailboxes.len() > MAILBOXES {
            bail!(
                "app {} opens more than {MAILBOXES} mailboxes: scope it by a group in place of single mailboxes",
                self.app.id
            );
        }
        let account = self.account.to_string();
        let mailbox = self.mailboxes.first().map(String::as_str).unwrap_or_default();
        let list: Vec<String> = self.mailboxes.iter().map(|mailbox| powershell(mailbox)).collect();
        let count = match self.mailboxes.as_slice() {
            [one] => comment(one),
            more => format!("{} mailboxes", more.len()),
        };
        Ok(fill(
            match (self.way, self.protocol) {
                (Way::App, Protocol::Graph) => GRAPH,
                (Way::App, _) => APP,
                (Way::Person, _) => PERSON,
            },
            &[
                ("account", account),
                ("protocol", self.protocol.as_str().to_owned()),
                ("permission", entra::app_role(self.protocol).to_owned()),
                ("permission_id", registration::mail_permission(Way::App, self.protocol).id.to_owned()),
                ("enabled", self.enabled()?.to_owned()),
                ("mailbox", powershell(mailbox)),
                ("mailbox.comment", comment(mailbox)),
                ("mailboxes", list.join(", ")),
                ("count", count),
                ("person", powershell(self.person.as_deref().unwrap_or(mailbox))),
                ("client_id", powershell(&self.app.client_id)),
                ("client_id.comment", comment(&self.app.client_id)),
                ("name", powershell(&self.name())),
                ("object_id", self.object_id_lines()),
                ("scope", powershell(&format!("{} mailboxes", self.name()))),
                ("filter", powershell(&self.filter())),
                ("environment", environment(self.app.cloud).to_owned()),
            ],
        ))
    }

    /// The calls of the Azure CLI, for a POSIX shell.
    pub fn registration(&self) -> String {
        fill(
            REGISTRATION,
            &[
                ("account", self.account.to_string()),
                ("app", self.app.id.to_string()),
                ("tenant.comment", comment(&self.app.tenant.to_string())),
                ("cloud", cloud_line(self.app.cloud)),
                ("client_id", shell(&self.app.client_id)),
                ("redirect_uri", shell(&self.app.redirect_uri)),
                ("name", shell(&self.name())),
                ("permissions", self.permissions()),
                ("credential", self.credential()),
            ],
        )
    }

    /// The property of a mailbox that switches the protocol on.
    fn enabled(&self) -> anyhow::Result<&'static str> {
        Ok(match self.protocol {
            Protocol::Imap => "ImapEnabled",
            Protocol::Pop3 => "PopEnabled",
            // Nothing to switch on: the script of an app asks for no such thing.
            Protocol::Graph if self.way == Way::App => "",
            Protocol::Graph => bail!(
                "{} is read by Graph as a person, for which there is no Exchange script: --az prints what its \
                 registration needs. A shared mailbox also wants full access for who signs in (Add-MailboxPermission)",
                self.account
            ),
        })
    }

    fn name(&self) -> String {
        format!("Rebond {}", self.app.id)
    }

    fn object_id_lines(&self) -> String {
        match self.object_id {
            Some(id) => format!("$ObjectId = {}", powershell(&id.to_string())),
            None => format!(
                "Connect-MgGraph -Scopes 'Application.Read.All' -NoWelcome{}\n\
                 $ObjectId = (Get-MgServicePrincipal -Filter \"appId eq '$AppId'\").Id",
                match self.app.cloud {
                    Cloud::Global => "",
                    Cloud::GccHigh => " -Environment USGov",
                    Cloud::Dod => " -Environment USGovDoD",
                    Cloud::China => " -Environment China",
                }
            ),
        }
    }

    /// OPATH: a string stands between single quotes, which are doubled within.
    fn filter(&self) -> String {
        let one = |mailbox: &String| format!("PrimarySmtpAddress -eq '{}'", mailbox.replace('\'', "''"));
        self.mailboxes.iter().map(one).collect::<Vec<_>>().join(" -or ")
    }

    fn permissions(&self) -> String {
        let (api, resource, kind) = self.way.api(self.protocol);
        let az_kind = if self.way == Way::App { "Role" } else { "Scope" };
        let call = |(number, Permission { name, id }): (usize, &Permission)| {
            let of = if number == 0 { format!(" of {api} ({kind})") } else { String::new() };
            format!(
                "#    {name}{of}\naz ad app permission add --id \"$APP_ID\" --api {resource} --api-permissions {id}={az_kind}"
            )
        };
        let calls: Vec<String> = self.way.permissions(self.protocol).iter().enumerate().map(call).collect();
        calls.join("\n")
    }

    fn credential(&self) -> String {
        let Some(issuer) = &self.issuer else {
            return "#    Best is a federated credential, which leaves no secret anywhere (rebond kit … --issuer URL --subject ARN).\n\
                    #    A client secret: the line that is printed is the Value, the only time it is shown.\n\
                    # az ad app credential reset --id \"$APP_ID\" --append --years 1 --display-name Rebond --query password --output tsv"
                .to_owned();
        };
        let one = |(number, subject): (usize, &String)| {
            let name = format!("rebond-{}", number + 1);
            let parameters = serde_json::json!({
                "name": name, "issuer": issuer, "subject": subject, "audiences": ["api://AzureADTokenExchange"],
            });
            format!(
                "az ad app federated-credential create --id \"$APP_ID\" --parameters {} --output none",
                shell(&parameters.to_string())
            )
        };
        let calls: Vec<String> = self.subjects.iter().enumerate().map(one).collect();
        format!(
            "#    Federated: issuer, subject and audience are compared letter by letter, and case counts. A second run\n\
             #    is refused for names that are there already.\n{}",
            calls.join("\n")
        )
    }
}

/// What `Connect-ExchangeOnline` must be told about a cloud.
fn environment(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Global => "",
        Cloud::GccHigh => " -ExchangeEnvironmentName O365USGovGCCHigh",
        Cloud::Dod => " -ExchangeEnvironmentName O365USGovDoD",
        Cloud::China => " -ExchangeEnvironmentName O365China",
    }
}

fn cloud_line(cloud: Cloud) -> String {
    let name = match cloud {
        Cloud::Global => "AzureCloud",
        Cloud::GccHigh | Cloud::Dod => "AzureUSGovernment",
        Cloud::China => "AzureChinaCloud",
    };
    format!("az cloud set --name {name}")
}

/// Puts values in place in one pass, so that a value that looks like a placeholder stays what it is.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        if let Some((_, value)) = values.iter().find(|(of, _)| *of == name) {
            filled.push_str(value);
        }
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_what_it_is() {
        let values = [("a", "{{b}}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(fill("1 {{a}} 2 {{b}} {{", &values), "1 {{b}} 2 x {{");
    }
}
