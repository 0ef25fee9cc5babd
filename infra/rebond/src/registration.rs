//! What a registration at an identity provider must have, in the provider's own words: for the kit's calls, and for
//! whoever clicks it together.

use clap::ValueEnum;
use rebond::account::App;
use rebond::account::lint::{EXCHANGE, GRAPH, IMAP_AS_APP, IMAP_AS_USER};
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

const AS_APP: [Permission; 1] = [Permission { name: "IMAP.AccessAsApp", id: IMAP_AS_APP }];
const AS_PERSON: [Permission; 5] = [
    Permission { name: "IMAP.AccessAsUser.All", id: IMAP_AS_USER },
    Permission { name: "offline_access", id: "7427e0e9-2fba-42fe-b0c0-848c9e6a8182" },
    Permission { name: "openid", id: "37f7f235-527c-4136-accd-4a02d197296e" },
    Permission { name: "profile", id: "14dad69e-099b-42c9-810b-d002981feec1" },
    Permission { name: "email", id: "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0" },
];

impl Way {
    /// The API that the permissions are of: its name, its GUID, and the kind of permission.
    pub fn api(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::App => ("Office 365 Exchange Online", EXCHANGE, "application"),
            Self::Person => ("Microsoft Graph", GRAPH, "delegated"),
        }
    }

    /// What the registration asks for.
    pub fn permissions(self) -> &'static [Permission] {
        match self {
            Self::App => &AS_APP,
            Self::Person => &AS_PERSON,
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
        let (name, id, kind) = one.api();
        text += &format!("permissions  {name} ({id}), {kind} – {words}:\n");
        for permission in one.permissions() {
            text += &format!("               {:<22} {}\n", permission.name, permission.id);
        }
    }
    if way != Some(Way::Person) {
        text += "             An administrator then presses \"Grant admin consent\", and runs what `rebond kit ACCOUNT` prints.\n";
    }
    text + "do not tick  Access tokens, ID tokens (implicit grant)\n\
            do not add   full_access_as_app, EWS.AccessAsUser.All, IMAP.AccessUser.All\n"
}
