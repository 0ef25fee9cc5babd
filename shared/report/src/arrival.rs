//! When a message arrived, by what the last server wrote above it.

use super::field;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The time of the topmost Received (RFC 5321 §4.4), which the server that keeps the message wrote; `None` where there is
/// none that can be read. Older fields are the sender's to forge.
pub fn arrival(message: &[u8]) -> Option<Timestamp> {
    let lines = super::with_line_feeds(&message[..message.len().min(64 << 10)]);
    let (fields, _) = field::split(&lines);
    let received = fields.text("received")?;
    let (_, date) = received.rsplit_once(';')?;
    rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_received_alone() {
        let check = |header: &str, expected: Option<&str>| {
            let message = format!("{header}Subject: x\r\n\r\nReceived: x; Mon, 1 Jan 2001 00:00:00 +0000\r\n");
            assert_eq!(arrival(message.as_bytes()).map(|at| at.to_string()).as_deref(), expected, "{header}");
        };
        let first = "Received: from a by b (x; y)\r\n\tid 7; Sun, 1 Nov 2026 12:00:00 +0100 (CET)\r\n";
        check(first, Some("2026-11-01T11:00:00Z"));
        check(
            &format!("Return-Path: <>\r\n{first}Received: x; Mon, 1 Jan 2001 00:00:00 +0000\r\n"),
            Some("2026-11-01T11:00:00Z"),
        );
        check("Received: from a by b; yesterday\r\n", None);
        check("Received: from a by b\r\n", None);
        check("", None);
    }
}
