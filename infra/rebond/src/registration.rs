//! What a registration at an identity provider must have, in the provider's own words: for the kit's calls, and for
//! whoever clicks it together.

use clap::ValueEnum;
use rebond::account::lint::{
    EXCHANGE, GRAPH, GRAPH_AS_APP, GRAPH_AS_USER, GRAPH_AS_USER_SHARED, IMAP_AS_APP, IMAP_AS_USER, POP_AS_APP,
    POP_AS_USER,
};
use rebond::account::{App, Protocol};
use rebond::oauth::entra;

/// Who opens the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// A person who signs in
    Person,
    /// The app itself
    App,
}

/// One permission of a registration.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    /// As the portal calls it.
    pub name: &'static str,
    /// Its GUID.
    pub id: &'static str,
}

/// What signing in asks for beside the mailbox.
const SIGN_IN: [Permission; 4] = [
    Permission { name: "offline_access", id: "7427e0e9-2fba-42fe-b0c0-848c9e6a8182" },
    Permission { name: "openid", id: "37f7f235-527c-4136-accd-4a02d197296e" },
    Permission { name: "profile", id: "14dad69e-099b-42c9-810b-d002981feec1" },
    Permission { name: "email", id: "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0" },
];

/// What Graph asks for besides, where who signs in opens somebody else's mailbox.
const SHARED: Permission = Permission { name: "Mail.ReadWrite.Shared", id: GRAPH_AS_USER_SHARED };

/// The permission that opens the mailbox.
pub fn mail_permission(way: Way, protocol: Protocol) -> Permission {
    let (name, id) = match (way, protocol) {
        (Way::App, Protocol::Imap) => (entra::app_role(protocol), IMAP_AS_APP),
        (Way::App, Protocol::Pop3) => (entra::app_role(protocol), POP_AS_APP),
        (Way::App, Protocol::Graph) => (entra::app_role(protocol), GRAPH_AS_APP),
        (Way::Person, Protocol::Imap) => (entra::user_permission(protocol), IMAP_AS_USER),
        (Way::Person, Protocol::Pop3) => (entra::user_permission(protocol), POP_AS_USER),
        (Way::Person, Protocol::Graph) => (entra::user_permission(protocol), GRAPH_AS_USER),
    };
    Permission { name, id }
}

impl Way {
    /// The API that the permissions are of: its name, its GUID, and the kind of permission.
    pub fn api(self, protocol: Protocol) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::App if protocol == Protocol::Graph => ("Microsoft Graph", GRAPH, "application"),
            Self::App => ("Office 365 Exchange Online", EXCHANGE, "application"),
            Self::Person => ("Microsoft Graph", GRAPH, "delegated"),
        }
    }

    /// What the registration asks for.
    pub fn permissions(self, protocol: Protocol) -> Vec<Permission> {
        let mail = std::iter::once(mail_permission(self, protocol));
        match self {
            Self::App => mail.collect(),
            Self::Person if protocol == Protocol::Graph => mail.chain([SHARED]).chain(SIGN_IN).collect(),
            Self::Person => mail.chain(SIGN_IN).collect(),
        }
    }
}

/// The registration, line by line. `way` where it is known who opens the mailbox; both otherwise.
pub fn describe(app: &App, way: Option<Way>) -> String {
    if let Some(provider) = &app.provider {
        return format!(
            "At {} the client must have exactly this redirect URI:\n\n    {}\n\nIt is asked for: {}\n",
            provider.issuer,
            app.redirect_uri,
            provider.scopes.join(" ")
        );
    }
    let mut text = format!(
        "At {}, App registrations, its registration must have:\n\n\
         platform     Web (not \"Mobile and desktop\", not \"Single-page application\")\n\
         redirect URI exactly this one:\n\n    {}\n\n",
        entra::hosts(app.cloud).portal,
        app.redirect_uri
    );
    for (one, words) in [(Way::App, "nobody signs in: for an unattended poller"), (Way::Person, "a person signs in")] {
        if way.is_some_and(|way| way != one) {
            continue;
        }
        let (name, id, kind) = one.api(Protocol::Imap);
        text += &format!("permissions  {name} ({id}), {kind} – {words}:\n");
        for permission in one.permissions(Protocol::Imap) {
            text += &format!("               {:<22} {}\n", permission.name, permission.id);
        }
        let pop = mail_permission(one, Protocol::Pop3);
        text += &format!("               {:<22} {} instead of the first, where it is read by POP3\n", pop.name, pop.id);
        let (graph, (of, ..)) = (mail_permission(one, Protocol::Graph), one.api(Protocol::Graph));
        text += &format!("               {:<22} {} of {of} instead, where it is read by Graph\n", graph.name, graph.id);
    }
    if way != Some(Way::Person) {
        text += "             An administrator then presses \"Grant admin consent\", and runs what `rebond kit ACCOUNT` prints.\n";
    }
    text + "do not tick  Access tokens, ID tokens (implicit grant)\n\
            do not add   full_access_as_app, EWS.AccessAsUser.All, IMAP.AccessUser.All\n"
}
