//! `standin [REDIRECT-URI] [ENTRA-PORT] [IMAP-TLS-PORT]`: the stand-ins alone, for a person to try, until Ctrl-C.
#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use rebond_standin::{Entra, GraphServer, GraphSettings, ImapServer, ImapSettings, Settings, demo_mail};

const USAGE: &str = "standin [REDIRECT-URI] [ENTRA-PORT] [IMAP-TLS-PORT]";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let redirect_uri = arguments.first().map_or("http://localhost:8080/oauth/callback", String::as_str);
    let port = |at: usize| -> anyhow::Result<u16> {
        let Some(text) = arguments.get(at) else { return Ok(0) };
        text.parse().with_context(|| format!("{text} is no port; usage: {USAGE}"))
    };
    if !redirect_uri.starts_with("http") {
        anyhow::bail!("{redirect_uri} is no redirect URI; usage: {USAGE}");
    }
    let entra = Entra::start(Settings { port: port(1)?, ..Settings::demo(redirect_uri) }).await?;
    let imap = ImapServer::start(ImapSettings { tls_port: port(2)?, ..ImapSettings::new(entra.gate()) }).await?;
    let graph = GraphServer::start(GraphSettings::new(entra.graph_gate())).await?;
    let demo = Settings::demo(redirect_uri);
    for (number, bytes) in demo_mail().into_iter().enumerate() {
        let arrival = Timestamp::now() - SignedDuration::from_mins(60 - number as i64);
        imap.deliver("bounces@example.org", "INBOX", bytes.to_vec(), arrival);
        graph.mail().deliver("bounces@example.org", "INBOX", bytes.to_vec(), arrival);
    }
    println!("identity provider  {}/common", entra.url());
    for app in &demo.apps {
        println!("client id          {}", app.client_id);
        app.secrets.iter().for_each(|secret| println!("client secret      {}", secret.value));
        app.redirect_uris.iter().for_each(|uri| println!("redirect URI       {}", uri.uri));
    }
    demo.users.iter().for_each(|user| println!("sign in as         {} / {}", user.upn, user.password));
    println!("IMAP               127.0.0.1:{} (TLS), 127.0.0.1:{} (STARTTLS)", imap.tls_port(), imap.plain_port());
    println!("Graph              https://localhost:{}/v1.0", graph.port());
    println!("certificate authority of Graph:\n{}", graph.ca_pem());
    println!("certificate authority of the IMAP server:\n{}", imap.ca_pem());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
