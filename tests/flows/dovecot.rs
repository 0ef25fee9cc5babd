//! A real Dovecot that asks the stand-in Entra about each token: connect, poll, renew, poll, revoke; all over TLS.

use jiff::SignedDuration;
use rebond::account::{AfterReading, Encryption, HealthState};
use rebond_tests::dovecot::Dovecot;
use rebond_tests::mail::{bounce, letter};
use rebond_tests::world::{MAILBOX, World};

/// Dovecot and a world around it whose identity provider it asks about each token.
pub async fn trusting(dir: &std::path::Path) -> (Dovecot, World) {
    trusting_with(dir, "").await
}

/// The same; `settings` are added to its configuration.
pub async fn trusting_with(dir: &std::path::Path, settings: &str) -> (Dovecot, World) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Dovecot's authority must be known to the world, and the provider's address to Dovecot: the port is chosen before both.
    let entra_port = rebond_tests::process::free_port().unwrap();
    let settings = introspection(dir, &format!("http://127.0.0.1:{entra_port}"), "email") + settings;
    let dovecot = Dovecot::start_with(&settings).await.unwrap();
    let world = World::start_at(entra_port, &dovecot.ca_pem).await.unwrap();
    (dovecot, world)
}

/// Another place to ask about tokens, beside the harness's own: the identity provider of this world. `mailbox` is the claim
/// that names whose token it is.
pub fn introspection(dir: &std::path::Path, provider: &str, mailbox: &str) -> String {
    let path = dir.join("provider.conf.ext");
    std::fs::write(
        &path,
        format!(
            "introspection_mode = post\nintrospection_url = {}/introspect\nusername_attribute = {mailbox}\n\
             username_format = %Lu\nactive_attribute = active\nactive_value = true\ntimeout_msecs = 3000\n",
            provider.replace("localhost", "127.0.0.1")
        ),
    )
    .unwrap();
    let path = path.display();
    format!("passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {path}\n}}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_opens_for_the_tokens_that_entra_gave() {
    let dir = tempfile::tempdir().unwrap();
    let (dovecot, world) = trusting(dir.path()).await;
    dovecot.deliver(MAILBOX, (0..20).map(bounce).chain([letter(1)])).unwrap();
    dovecot.doveadm(&["mailbox", "create", "-u", MAILBOX, "Done"]).unwrap();

    for (id, port, encryption) in
        [("implicit", dovecot.imaps, Encryption::Tls), ("starttls", dovecot.imap, Encryption::Starttls)]
    {
        let change = |account: &mut rebond::account::Account| {
            account.server.port = port;
            account.server.encryption = encryption;
            if id == "starttls" {
                account.reports = AfterReading::Move("Done".into());
            }
        };
        let id = world.add_connected(id, change).await.unwrap_or_else(|error| panic!("{error}\n{}", dovecot.log()));
        let first = world.poll(&id).await.unwrap();
        assert_eq!(first.health.as_ref().unwrap().state, HealthState::Active, "{first:?}\n{}", dovecot.log());
        assert_eq!((first.messages, first.reports, first.recorded), (21, 20, 21));
        // Past the token's end Dovecot refuses it; the poll comes with a new one.
        world.advance(SignedDuration::from_hours(2));
        let before = world.token_calls("refresh_token");
        let second = world.poll(&id).await.unwrap();
        assert_eq!((second.messages, second.health.unwrap().state), (0, HealthState::Active));
        assert_eq!(world.token_calls("refresh_token"), before + 1);
        assert_eq!(world.facts(&id).await.unwrap().len(), 21);
    }
    let left = dovecot.doveadm(&["search", "-u", MAILBOX, "mailbox", "INBOX", "ALL"]).unwrap();
    let moved = dovecot.doveadm(&["search", "-u", MAILBOX, "mailbox", "Done", "ALL"]).unwrap();
    assert_eq!((left.lines().count(), moved.lines().count()), (1, 20));

    // Alex's token is good, and of another mailbox: Dovecot does not open this one for it.
    let id = world.add("foreign", |account| account.server.port = dovecot.imaps).await.unwrap();
    let begun = world.begin(&id, &world.person("alex@example.org")).await.unwrap();
    let page = world.deliver(&begun).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.body);
    assert!(page.body.contains("The mailbox is not connected"));
    assert!(world.item(&id).await.unwrap().principal.is_none());

    // Revoked at the provider: the next renewal says so.
    world.entra.revoke_all();
    world.advance(SignedDuration::from_hours(2));
    let implicit = "implicit".parse().unwrap();
    let health = world.poll(&implicit).await.unwrap().health.unwrap();
    assert_eq!(health.state, HealthState::NeedsReconnect, "{health:?}");
}
