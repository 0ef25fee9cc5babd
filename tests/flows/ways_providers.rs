//! Providers other than Entra, by their discovery document: against a certified server that nobody here wrote.

use crate::dovecot::introspection;
use rebond::account::{App, HealthState};
use rebond::net::Http;
use rebond::oauth::open_id;
use rebond::vault::Name;
use rebond_standin::person::Browser;
use rebond_standin::{Admission, ImapServer, ImapSettings};
use rebond_tests::dovecot::Dovecot;
use rebond_tests::mail::bounce;
use rebond_tests::oidc_provider::{CLIENT_ID, CLIENT_SECRET, MAIL_SERVER, OidcProvider};
use rebond_tests::world::{MAILBOX, World};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

pub(crate) const SCOPE: &str = "https://outlook.office.com/IMAP.AccessAsUser.All";

/// What the provider says of a token (RFC 7662), asked as a mail server asks.
pub(crate) fn introspect(issuer: &str, token: &str) -> Value {
    let address = issuer.strip_prefix("http://").unwrap();
    let form = [("token", token), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /introspect HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let json = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
    serde_json::from_str(json).unwrap()
}

fn action(html: &str) -> String {
    let at = html.find("action=\"").unwrap_or_else(|| panic!("no form: {html}")) + 8;
    html[at..].split('"').next().unwrap().to_owned()
}

/// Somebody signs in and consents on the provider's own pages; the page that it ends at.
pub(crate) async fn sign_in(link: &str, name: &str) -> (u16, String) {
    let mut browser = Browser::new().unwrap();
    let (_, page) = browser.get(link).await.unwrap();
    let form = [("prompt", "login"), ("login", name), ("password", "any")];
    let (_, page) = browser.post(&action(&page), &form).await.unwrap();
    browser.post(&action(&page), &[("prompt", "consent")]).await.unwrap()
}

/// The provider by its discovery document, as an app of this world.
async fn add_app(world: &mut World, provider: &OidcProvider) {
    let http = Http::new(&world.machine.reach, &world.machine.tls).unwrap();
    let own = open_id::issuer(provider.issuer()).unwrap();
    let request = http::Request::get(open_id::discovery_url(&own)).body(Vec::new()).unwrap();
    let document = http.send(request).await.unwrap();
    let described = open_id::read_discovery(&own, document.body(), &[SCOPE.to_owned()]).unwrap();
    assert!(described.token_endpoint.starts_with(&own) && !described.basic, "{described:?}");
    let id = "generic".parse().unwrap();
    let app = App::entra(id, "common".parse().unwrap(), CLIENT_ID, world.app.redirect_uri.clone());
    let app = App { provider: Some(described), ..app };
    app.check().unwrap();
    world.machine.table.add_app(&app).await.unwrap();
    let name = Name::App(app.id.clone());
    world.machine.vault.put(&name, uuid::Uuid::nil(), &CLIENT_SECRET.to_owned().into()).await.unwrap();
    world.app = app;
}

#[tokio::test]
async fn a_provider_by_its_discovery_document_connects_renews_and_is_held_to_its_word() {
    let issuer: Arc<Mutex<String>> = Arc::default();
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let (asked, seen) = (Arc::clone(&issuer), Arc::clone(&tokens));
    // A mail server that asks the provider about each token.
    let gate = move |mailbox: &str, token: &str| {
        seen.lock().unwrap().push(token.to_owned());
        let said = introspect(&asked.lock().unwrap(), token);
        match (said["active"] == true, said["sub"] == mailbox) {
            (false, _) => Admission::Refused,
            (true, false) => Admission::NotConnected,
            (true, true) => Admission::Connected,
        }
    };
    let imap = ImapServer::start(ImapSettings::new(Arc::new(gate))).await.unwrap();
    imap.renumber(MAILBOX, "INBOX");
    let mut world = World::start_trusting(imap.ca_pem()).await.unwrap();
    let provider = OidcProvider::start(&world.app.redirect_uri).unwrap();
    *issuer.lock().unwrap() = provider.issuer().to_owned();

    add_app(&mut world, &provider).await;
    let account = world.add("box", |account| account.server.port = imap.tls_port()).await.unwrap();

    // Somebody whose token does not open the mailbox, then its owner.
    let (status, page) = sign_in(&world.link(&account).await.unwrap(), "alex@example.org").await;
    assert_eq!(status, 400, "{page}");
    let (status, page) = sign_in(&world.link(&account).await.unwrap(), MAILBOX).await;
    assert_eq!(status, 200, "{page}\n{}", provider.output());
    let item = world.item(&account).await.unwrap();
    let who = item.principal.clone().unwrap();
    assert_eq!((who.directory.as_str(), who.subject.as_str()), (provider.issuer(), MAILBOX));
    assert_eq!(world.poll(&account).await.unwrap().health.unwrap().state, HealthState::Active);

    // Each renewal rotates; the provider revokes the family when an old token comes again, so none ever did.
    for _ in 0..3 {
        let summary = world.machine.token_refresh().run(Some(&account), "test", world.now()).await.unwrap();
        assert_eq!(summary.renewed, 1, "{}", provider.output());
    }
    assert_eq!(world.poll(&account).await.unwrap().health.unwrap().state, HealthState::Active);
    assert_eq!(world.item(&account).await.unwrap().generation, item.generation + 3);

    // Somebody else may not take it over.
    let (status, page) = sign_in(&world.link(&account).await.unwrap(), "alex@example.org").await;
    assert_eq!(status, 400, "{page}");
    assert_eq!(world.item(&account).await.unwrap().principal.unwrap(), who);
    assert!(app_only_is_refused(&world.app));
    let opened = tokens.lock().unwrap().len();
    assert!(opened >= 4, "the mail server asked about {opened} tokens");
}

/// A mail server and an authorization server of others, with nothing of ours between them.
#[tokio::test(flavor = "multi_thread")]
async fn dovecot_opens_for_the_tokens_that_a_certified_provider_gave() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let port = rebond_tests::process::free_port().unwrap();
    let asked = introspection(dir.path(), &format!("http://{MAIL_SERVER}@127.0.0.1:{port}"), "sub");
    let dovecot = Dovecot::start_with(&asked).await.unwrap();
    let mut world = World::start_trusting(&dovecot.ca_pem).await.unwrap();
    let provider = OidcProvider::start_at(port, &world.app.redirect_uri).unwrap();
    add_app(&mut world, &provider).await;
    dovecot.deliver(MAILBOX, (0..5).map(bounce)).unwrap();
    let account = world.add("box", |account| account.server.port = dovecot.imaps).await.unwrap();

    let (status, page) = sign_in(&world.link(&account).await.unwrap(), "alex@example.org").await;
    assert_eq!(status, 400, "{page}");
    let (status, page) = sign_in(&world.link(&account).await.unwrap(), MAILBOX).await;
    assert_eq!(status, 200, "{page}\n{}\n{}", provider.output(), dovecot.log());
    let first = world.poll(&account).await.unwrap();
    assert_eq!((first.messages, first.recorded), (5, 5), "{first:?}\n{}", dovecot.log());

    // A rotated grant's token opens it as well, and one that the provider no longer knows does not.
    let renewed = world.machine.token_refresh().run(Some(&account), "test", world.now()).await.unwrap();
    assert_eq!(renewed.renewed, 1, "{}", provider.output());
    dovecot.deliver(MAILBOX, [bounce(5)]).unwrap();
    assert_eq!(world.poll(&account).await.unwrap().recorded, 1, "{}", dovecot.log());
    drop(provider);
    let refused = world.poll(&account).await.unwrap().health.unwrap();
    assert_ne!(refused.state, HealthState::Active, "nobody vouches for the token: {refused:?}");
    assert_eq!(world.facts(&account).await.unwrap().len(), 6);
}

fn app_only_is_refused(app: &App) -> bool {
    let said = app.check_app_only().unwrap_err().to_string();
    said.contains(&app.provider.as_ref().unwrap().issuer) && app.check_admin_consent().is_err()
}
