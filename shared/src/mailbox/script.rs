//! A scripted server in memory, for the tests of the engines: what a real one would never do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What the server has to say, and what it heard.
pub struct Script {
    /// How each line of the client must begin, behind its tag, and what is answered; `#` stands for the tag.
    pub steps: VecDeque<(String, Vec<u8>)>,
    pub out: VecDeque<u8>,
    pub heard: Arc<Mutex<String>>,
    line: Vec<u8>,
    tag: String,
    /// Said over and over when all else is said.
    pub forever: &'static [u8],
    /// When all is said: hang up, or keep silent.
    pub hangs_up: bool,
    /// No read goes across this byte of what is said.
    pub split_at: usize,
    said: usize,
    /// Time between two bytes.
    pub pause: Option<Duration>,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl Script {
    pub fn new(greeting: &str, steps: &[(&str, &str)]) -> Self {
        let steps = steps.iter().map(|(command, reply)| ((*command).to_owned(), reply.as_bytes().to_vec()));
        Self {
            steps: steps.collect(),
            out: greeting.bytes().collect(),
            heard: Arc::default(),
            line: vec![],
            tag: String::new(),
            forever: b"",
            hangs_up: false,
            split_at: usize::MAX,
            said: 0,
            pause: None,
            pausing: None,
        }
    }

    fn hear(&mut self, line: &str) {
        self.heard.lock().unwrap().push_str(line);
        let command = match line.split_once(' ') {
            // Ours before the session, async-imap's within it.
            Some((tag, command)) if tag.starts_with(['R', 'A']) && tag[1..].parse::<u32>().is_ok() => {
                self.tag = tag.to_owned();
                command
            }
            _ => line,
        };
        let Some((expected, reply)) = self.steps.pop_front() else { return };
        assert!(command.starts_with(&expected), "the client sent {line:?} where {expected:?} was due");
        let reply = String::from_utf8(reply).unwrap().replace("\n#", &format!("\n{}", self.tag));
        self.out.extend(reply.strip_prefix('#').map_or(reply.clone(), |rest| format!("{}{rest}", self.tag)).bytes());
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(pause) = self.pause {
            let pausing = self.pausing.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(pausing.as_mut().poll(cx));
            self.pausing = None;
        }
        if self.out.is_empty() {
            let forever = self.forever;
            while !forever.is_empty() && self.out.len() < 60_000 {
                self.out.extend(forever);
            }
        }
        if self.out.is_empty() {
            return if self.hangs_up { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let until_split = self.split_at.checked_sub(self.said).filter(|left| *left > 0).unwrap_or(usize::MAX);
        let most = if self.pause.is_some() { 1 } else { until_split };
        let count = self.out.len().min(buf.remaining()).min(most);
        let bytes: Vec<u8> = self.out.drain(..count).collect();
        self.said += count;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.line.extend(bytes);
        while let Some(end) = self.line.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.line.drain(..end + 2).collect();
            self.hear(std::str::from_utf8(&line).unwrap());
        }
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
