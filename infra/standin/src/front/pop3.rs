//! POP3 as Exchange speaks it: no pipelining, no response codes, and the first message of AUTH on a line of its own.

use super::Shared;
use super::relay::{Lines, Reader, Writer, mailbox, pass, say};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

const GREETING: &str = "+OK The Microsoft Exchange POP3 service is ready. [UwBUAEEATgBEAEkATgA=]";
const CAPABILITIES: &str = "+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN XOAUTH2\r\nUSER\r\n.";

pub(super) async fn serve(
    shared: &Shared,
    mut client: Lines<Reader>,
    mut writer: Writer,
    server: TcpStream,
    over: bool,
) -> std::io::Result<()> {
    if over {
        return say(&mut writer, "-ERR Connection closed. 14").await;
    }
    let (reader, mut server) = server.into_split();
    let mut answers = Lines::new(reader);
    answers.next().await?;
    say(&mut writer, GREETING).await?;
    let Some(connected) = log_in(shared, &mut client, &mut writer, &mut answers, &mut server).await? else {
        return writer.shutdown().await;
    };
    let writer = Arc::new(Mutex::new(writer));
    let passing = tokio::spawn(pass(answers.into_inner(), Arc::clone(&writer)));
    while let Some(line) = client.next().await? {
        let name = name(&line);
        let answer = match shared.hear(&name) {
            Some(refusal) => Some((refusal.answer, refusal.ends)),
            None if name == "CAPA" => Some((CAPABILITIES.to_owned(), false)),
            None if !connected && name != "QUIT" => {
                Some(("-ERR User is authenticated but not connected.".to_owned(), false))
            }
            None => None,
        };
        match answer {
            None => server.write_all(format!("{line}\r\n").as_bytes()).await?,
            Some((answer, ends)) => {
                say(&mut *writer.lock().await, &answer).await?;
                if ends {
                    passing.abort();
                    return writer.lock().await.shutdown().await;
                }
            }
        }
    }
    passing.abort();
    Ok(())
}

fn name(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_ascii_uppercase()
}

/// Until somebody is let in: whether the mailbox is connected. None when the client leaves, or is shown the door.
async fn log_in(
    shared: &Shared,
    client: &mut Lines<Reader>,
    writer: &mut Writer,
    answers: &mut Lines<OwnedReadHalf>,
    server: &mut OwnedWriteHalf,
) -> std::io::Result<Option<bool>> {
    let mut user = String::new();
    while let Some(line) = client.next().await? {
        let name = name(&line);
        if let Some(refusal) = shared.hear(&name) {
            say(writer, &refusal.answer).await?;
            if refusal.ends {
                return Ok(None);
            }
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let by_password = name != "AUTH" || !words.get(1).is_some_and(|word| word.eq_ignore_ascii_case("XOAUTH2"));
        match name.as_str() {
            "CAPA" => say(writer, CAPABILITIES).await?,
            "QUIT" => {
                say(writer, "+OK Microsoft Exchange Server POP3 server signing off.").await?;
                return Ok(None);
            }
            "USER" | "PASS" | "AUTH" if by_password && !shared.settings.passwords => {
                say(writer, "-ERR Basic authentication is disabled.").await?;
            }
            "AUTH" if words.len() > 2 => {
                say(writer, "-ERR Protocol error. Connection is closed. 10").await?;
                return Ok(None);
            }
            "USER" => {
                user = words.get(1).copied().unwrap_or_default().to_owned();
                server.write_all(format!("{line}\r\n").as_bytes()).await?;
                answers.next().await?;
                say(writer, "+OK").await?;
            }
            "PASS" | "AUTH" => {
                server.write_all(format!("{line}\r\n").as_bytes()).await?;
                let mut asked = name == "PASS";
                loop {
                    let Some(answer) = answers.next().await? else { return Ok(None) };
                    if answer.starts_with("+OK") {
                        say(writer, "+OK User successfully authenticated.").await?;
                        return Ok(Some(shared.is_connected(&user)));
                    } else if answer.starts_with('+') && !asked {
                        say(writer, "+").await?;
                        let Some(line) = client.next().await? else { return Ok(None) };
                        user = mailbox(&line);
                        server.write_all(format!("{line}\r\n").as_bytes()).await?;
                        asked = true;
                    } else if answer.starts_with('+') {
                        // The server behind explains a refused token; Exchange does not.
                        server.write_all(b"\r\n").await?;
                    } else {
                        say(writer, "-ERR Authentication failure: unknown user name or bad password.").await?;
                        break;
                    }
                }
            }
            _ => say(writer, "-ERR Command is not valid in this state.").await?,
        }
    }
    Ok(None)
}
