//! IMAP as Exchange speaks it. Answers of its own are for commands that no client sends ahead.

use super::Shared;
use super::relay::{Lines, Reader, Writer, mailbox, pass, say};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

const GREETING: &str = "* OK The Microsoft Exchange IMAP4 service is ready. [UwBUAEEATgBEAEkATgA=]";
/// Exchange has no CONDSTORE.
const CAPABILITIES: &str = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";

pub(super) async fn serve(
    shared: &Shared,
    mut client: Lines<Reader>,
    mut writer: Writer,
    server: TcpStream,
    over: bool,
) -> std::io::Result<()> {
    if over {
        return say(&mut writer, "* BYE Connection closed. 14").await;
    }
    let (reader, mut server) = server.into_split();
    let mut answers = Lines::new(reader);
    answers.next().await?;
    say(&mut writer, GREETING).await?;
    let Some(connected) = log_in(shared, &mut client, &mut writer, &mut answers, &mut server).await? else {
        return Ok(());
    };
    let writer = Arc::new(Mutex::new(writer));
    let passing = tokio::spawn(pass(answers.into_inner(), Arc::clone(&writer)));
    while let Some(line) = client.next().await? {
        let (tag, command, name) = parts(&line);
        let answer = match shared.hear(&name) {
            Some(refusal) if refusal.answer.starts_with("BYE") => Some((format!("* {}", refusal.answer), true)),
            Some(refusal) => Some((format!("{tag} {}", refusal.answer), refusal.ends)),
            None if name == "CAPABILITY" => Some((format!("{CAPABILITIES}\r\n{tag} OK CAPABILITY completed."), false)),
            None if !connected && name != "LOGOUT" => {
                Some((format!("{tag} BAD User is authenticated but not connected."), false))
            }
            None => None,
        };
        match answer {
            None => server.write_all(format!("{tag} {command}\r\n").as_bytes()).await?,
            Some((answer, ends)) => {
                say(&mut *writer.lock().await, &answer).await?;
                if ends {
                    break;
                }
            }
        }
    }
    passing.abort();
    writer.lock().await.shutdown().await
}

/// Tag, the rest, and the name of the command.
fn parts(line: &str) -> (&str, &str, String) {
    let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = command.split(' ').map(str::to_ascii_uppercase);
    let name = words.next().unwrap_or_default();
    let name = if name == "UID" { format!("UID {}", words.next().unwrap_or_default()) } else { name };
    (tag, command, name)
}

/// Until somebody is let in: whether the mailbox is connected. None when the client leaves.
async fn log_in(
    shared: &Shared,
    client: &mut Lines<Reader>,
    writer: &mut Writer,
    answers: &mut Lines<OwnedReadHalf>,
    server: &mut OwnedWriteHalf,
) -> std::io::Result<Option<bool>> {
    while let Some(line) = client.next().await? {
        let (tag, command, name) = parts(&line);
        let mechanism = command.split(' ').nth(1).unwrap_or_default().to_ascii_uppercase();
        if let Some(refusal) = shared.hear(&name) {
            let sign = if refusal.answer.starts_with("BYE") { "*" } else { tag };
            say(writer, &format!("{sign} {}", refusal.answer)).await?;
            if refusal.ends {
                return Ok(None);
            }
            continue;
        }
        match name.as_str() {
            "CAPABILITY" => say(writer, &format!("{CAPABILITIES}\r\n{tag} OK CAPABILITY completed.")).await?,
            "LOGOUT" => {
                say(
                    writer,
                    &format!("* BYE Microsoft Exchange Server IMAP4 server signing off.\r\n{tag} OK LOGOUT completed."),
                )
                .await?;
                return Ok(None);
            }
            "LOGIN" | "AUTHENTICATE" if mechanism != "XOAUTH2" && !shared.settings.passwords => {
                say(writer, &format!("{tag} NO Basic authentication is disabled.")).await?;
            }
            "LOGIN" | "AUTHENTICATE" => {
                server.write_all(format!("{tag} {command}\r\n").as_bytes()).await?;
                let mut message = command.split(' ').nth(2).map(str::to_owned);
                if name == "LOGIN" {
                    message = None;
                }
                let mut asked = message.is_some() || name == "LOGIN";
                loop {
                    let Some(answer) = answers.next().await? else { return Ok(None) };
                    if answer.starts_with('+') && !asked {
                        say(writer, "+").await?;
                        let Some(line) = client.next().await? else { return Ok(None) };
                        server.write_all(format!("{line}\r\n").as_bytes()).await?;
                        (message, asked) = (Some(line), true);
                    } else if answer.starts_with('+') {
                        // The server behind explains a refused token; Exchange does not.
                        server.write_all(b"\r\n").await?;
                    } else if answer.starts_with(&format!("{tag} OK")) {
                        say(writer, &format!("{tag} OK {name} completed.")).await?;
                        return Ok(Some(shared.is_connected(&mailbox(&message.unwrap_or_default()))));
                    } else if answer.starts_with(&format!("{tag} ")) {
                        say(writer, &format!("{tag} NO {name} failed.")).await?;
                        break;
                    }
                }
            }
            _ => say(writer, &format!("{tag} BAD Command received in Invalid state.")).await?,
        }
    }
    Ok(None)
}
