//! Lines in, bytes through.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::server::TlsStream;

/// What comes from the client.
pub(super) type Reader = ReadHalf<TlsStream<TcpStream>>;
/// What goes to the client.
pub(super) type Writer = WriteHalf<TlsStream<TcpStream>>;

/// A line of a client, Exchange's bound for IMAP.
const LINE_BYTES: u64 = 16 << 10;

/// Reads lines, bounded.
pub(super) struct Lines<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self(BufReader::new(reader))
    }

    /// The next line without its end; none at the end.
    pub async fn next(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        (&mut self.0).take(LINE_BYTES).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// What was read and not taken, and the rest.
    pub fn into_inner(self) -> BufReader<R> {
        self.0
    }
}

/// Sends a line.
pub(super) async fn say<W: AsyncWrite + Unpin>(writer: &mut W, line: &str) -> std::io::Result<()> {
    writer.write_all(format!("{line}\r\n").as_bytes()).await?;
    writer.flush().await
}

/// Sends the client what the server says, as it is, until it ends.
pub(super) async fn pass<R: AsyncRead + Unpin>(mut server: R, writer: Arc<Mutex<Writer>>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = server.read(&mut bytes).await {
        let mut writer = writer.lock().await;
        if writer.write_all(&bytes[..count]).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.lock().await.shutdown().await;
}

/// Whose mailbox a SASL message opens: XOAUTH2's `user=`, PLAIN's second field.
pub(super) fn mailbox(message: &str) -> String {
    let bytes = STANDARD.decode(message.trim()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if let Some(rest) = text.strip_prefix("user=") {
        return rest.split('\x01').next().unwrap_or_default().to_owned();
    }
    text.split('\0').nth(1).unwrap_or_default().to_owned()
}
