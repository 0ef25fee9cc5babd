//! The stand-ins alone, for a person to try, until Ctrl-C: `standin --help` says which.
#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use rebond_standin::{
    Entra, ExchangeFront, FrontSettings, GraphServer, GraphSettings, ImapServer, ImapSettings, Settings, demo_mail,
};

const HELP: &str = "\
standin [REDIRECT-URI] [ENTRA-PORT] [IMAP-TLS-PORT]
    An identity provider, an IMAP server and a Graph that answer as Microsoft's do, with some mail in them.

standin front IMAP-HOST:PORT POP3-HOST:PORT [IMAP-TLS-PORT] [POP3-TLS-PORT] [--no-passwords]
    A front before a mail server of yours, which it speaks to in clear: over TLS it speaks IMAP and POP3 as Exchange
    does (greetings, capabilities, refusals, limits). --no-passwords: as Exchange Online, which takes tokens alone.

    standin front localhost:143 localhost:110 1993 1995

Ports that are left out are any that are free. All listen on this machine alone, until Ctrl-C. Rebond trusts them with the
certificate authority that is printed (its file as `extra_ca` in rebond.toml) and `reach = \"loopback\"`.";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--help" | "-h" | "help") => println!("{HELP}"),
        Some("front") => front(&arguments[1..]).await?,
        _ => all(&arguments).await?,
    }
    Ok(())
}

/// The port at a place, or any.
fn port(arguments: &[&str], at: usize) -> anyhow::Result<u16> {
    let Some(text) = arguments.get(at) else { return Ok(0) };
    text.parse().with_context(|| format!("{text} is no port: see standin --help"))
}

async fn front(arguments: &[String]) -> anyhow::Result<()> {
    let (flags, places): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let [imap, pop3, ..] = places[..] else {
        anyhow::bail!("which server is behind it? standin front IMAP-HOST:PORT POP3-HOST:PORT")
    };
    if let Some(unknown) = flags.iter().find(|flag| **flag != "--no-passwords") {
        anyhow::bail!("{unknown} is nothing that the front knows: see standin --help");
    }
    for place in [imap, pop3] {
        tokio::net::TcpStream::connect(place).await.with_context(|| format!("no connection to {place}"))?;
    }
    let settings = FrontSettings {
        imap: imap.to_owned(),
        pop3: pop3.to_owned(),
        ports: [port(&places, 2)?, port(&places, 3)?],
        passwords: flags.is_empty(),
        ..FrontSettings::new(0, 0)
    };
    let front = ExchangeFront::start(settings).await?;
    println!("IMAP  localhost:{} (TLS), before {imap}", front.imap_port());
    println!("POP3  localhost:{} (TLS), before {pop3}", front.pop3_port());
    println!("certificate authority of both:\n{}", front.ca_pem());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn all(arguments: &[String]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let redirect_uri = arguments.first().copied().unwrap_or("http://localhost:8080/oauth/callback");
    if !redirect_uri.starts_with("http") {
        anyhow::bail!("{redirect_uri} is no redirect URI: see standin --help");
    }
    let entra = Entra::start(Settings { port: port(&arguments, 1)?, ..Settings::demo(redirect_uri) }).await?;
    let tls_port = port(&arguments, 2)?;
    let imap = ImapServer::start(ImapSettings { tls_port, ..ImapSettings::new(entra.gate()) }).await?;
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
