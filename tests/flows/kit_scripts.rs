//! The scripts of `rebond kit`, whole: compared with what was read and found right, and with what a shell makes of them.

use rebond::account::{App, Cloud, Protocol};
use rebond_cli::kit::{Kit, Way};
use rebond_tests::process::workspace;
use std::process::Command;

fn app() -> App {
    serde_json::from_value(serde_json::json!({
        "id": "m365", "cloud": "global", "tenant": "example.com",
        "client_id": "33333333-3333-4333-8333-333333333333",
        "redirect_uri": "https://mail.example.com/oauth/callback", "credential": "client-secret",
    }))
    .unwrap()
}

fn kit(way: Way) -> Kit {
    Kit {
        account: "bounces".parse().unwrap(),
        app: app(),
        protocol: Protocol::Imap,
        way,
        mailboxes: vec!["bounces@example.com".into()],
        person: None,
        object_id: None,
        issuer: None,
        subjects: vec![],
    }
}

/// `REBOND_WRITE_DOCS=1` writes the files anew.
fn golden(name: &str, text: &str) {
    assert!(!text.contains("{{") && !text.contains("}}"), "{name}: a placeholder is left\n{text}");
    let path = workspace().join("tests/fixtures/kit").join(name);
    if std::env::var_os("REBOND_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

#[test]
fn the_scripts_are_those_that_were_read() {
    golden("person.ps1", &kit(Way::Person).exchange().unwrap());
    let delegate = Kit { person: Some("alex@example.com".into()), ..kit(Way::Person) };
    golden("delegate.ps1", &delegate.exchange().unwrap());
    let app = Kit {
        mailboxes: vec!["bounces@example.com".into(), "o'neil@example.com".into()],
        object_id: Some(uuid::Uuid::from_u128(0x55555555_5555_4555_8555_555555555555)),
        ..kit(Way::App)
    };
    golden("app.ps1", &app.exchange().unwrap());
    let us = Kit { app: App { cloud: Cloud::GccHigh, ..self::app() }, ..kit(Way::App) };
    golden("app-gcc-high.ps1", &us.exchange().unwrap());
    let graph = Kit {
        protocol: Protocol::Graph,
        mailboxes: vec!["bounces@example.com".into(), "o'neil@example.com".into()],
        ..kit(Way::App)
    };
    golden("graph.ps1", &graph.exchange().unwrap());
    golden("person.sh", &kit(Way::Person).registration());
    let federated = Kit {
        issuer: Some("https://abc123.tokens.sts.global.api.aws".into()),
        subjects: vec![
            "arn:aws:iam::123456789012:role/rebond-BouncePollRole".into(),
            "arn:aws:iam::123456789012:role/rebond-OauthCallbackRole".into(),
        ],
        ..kit(Way::App)
    };
    golden("app-federated.sh", &federated.registration());
}

/// Names are input: whatever stands in them stays one word of the script.
#[test]
fn a_hostile_name_stays_a_name() {
    let hostile = "x'; Remove-Mailbox *; '\u{2019}; $(id)\n#>\nRemove-Mailbox *";
    for (way, protocol) in [(Way::Person, Protocol::Imap), (Way::App, Protocol::Imap), (Way::App, Protocol::Graph)] {
        let plain = Kit { protocol, ..kit(way) };
        let kit = Kit { mailboxes: vec![hostile.into()], person: Some(hostile.into()), ..plain.clone() };
        let script = kit.exchange().unwrap();
        // Outside of quotation and comments the command stands nowhere.
        for line in script.lines() {
            assert!(!outside_quotes(line).contains("Remove-Mailbox *"), "{line}");
        }
        assert_eq!(script.lines().count(), plain.exchange().unwrap().lines().count());
    }
    let app = App { redirect_uri: "https://x/'; touch /tmp/owned; '".into(), ..app() };
    let script = Kit { app, ..kit(Way::Person) }.registration();
    assert!(script.contains(r"REDIRECT_URI='https://x/'\''; touch /tmp/owned; '\'''"), "{script}");
}

/// A line without its comment and without what stands between single quotes, PowerShell's typographic ones included.
fn outside_quotes(line: &str) -> String {
    let (mut outside, mut quoted) = (String::new(), false);
    for c in line.chars() {
        match c {
            '\'' | '\u{2018}'..='\u{201b}' => quoted = !quoted,
            '#' if !quoted => break,
            c if !quoted => outside.push(c),
            _ => {}
        }
    }
    outside
}

#[test]
fn a_shell_can_read_the_registration_script() {
    for kit in [kit(Way::Person), kit(Way::App)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registration.sh");
        std::fs::write(&path, kit.registration()).unwrap();
        // Run with an `az` that only notes its arguments: what an administrator's would be called with.
        let az = dir.path().join("az");
        std::fs::write(&az, "#!/bin/sh\nprintf '%s\\n' \"$*\" >> \"$0.log\"\n").unwrap();
        Command::new("chmod").arg("+x").arg(&az).status().unwrap();
        let path_with_az = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let run = Command::new("sh").arg(&path).current_dir(dir.path()).env("PATH", path_with_az).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let log = std::fs::read_to_string(dir.path().join("az.log")).unwrap();
        let id = &app().client_id;
        assert!(
            log.contains(&format!(
                "ad app update --id {id} --web-redirect-uris https://mail.example.com/oauth/callback"
            )),
            "{log}"
        );
        assert!(log.contains(&format!("ad app permission admin-consent --id {id}")), "{log}");
        assert!(!log.contains("ad app create"), "{log}");
    }
}
