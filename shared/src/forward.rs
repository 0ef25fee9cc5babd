//! A message that brings another one to a person, untouched; and whether the other one may be brought at all. It never
//! answers anything: its envelope has no sender (RFC 5321 §4.5.5), its header says that a program wrote it (RFC 3834 §5),
//! and what has come from here, or goes in circles, is not forwarded.

use crate::limits;
use crate::oauth::sha256_hex;
use crate::report::field;
use crate::standing::AddressKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use memchr::memmem;

/// The header field that says that a message was forwarded by us, or by another Rebond.
pub const MARK: &str = "Rebond-Forwarded";
/// Bytes of a line without its end (RFC 5322 §2.1.1).
const LINE: usize = 998;
/// Base64 characters on a line (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;

/// What is told of a message beside bringing it.
#[derive(Debug, Clone)]
pub struct Cover<'a> {
    /// The mailbox it arrived in: the address that the cover is from.
    pub mailbox: &'a str,
    /// Whom it is for.
    pub to: &'a str,
    /// The account.
    pub account: &'a str,
    /// The folder it is in, and stays in or is moved from.
    pub folder: &'a str,
    /// The fact's key.
    pub key: &'a str,
    /// When it arrived, in seconds since 1970.
    pub arrived: i64,
    /// Whether it is longer than what is brought.
    pub cut: bool,
    /// The time.
    pub now: Timestamp,
}

/// Why a message is not forwarded, where it would go in circles: it was forwarded before, it answers what was forwarded,
/// it comes from whom it would go to, or it has passed more servers than any honest message.
pub fn circle(original: &[u8], to: &str) -> Option<&'static str> {
    let (fields, _) = field::split(original);
    if fields.get(MARK).is_some() {
        return Some("it was forwarded before");
    }
    let answers = |name| fields.all(name).any(|field| field.raw().contains(ID_MARK));
    if answers("In-Reply-To") || answers("References") {
        return Some("it answers what was forwarded");
    }
    let to: Option<AddressKey> = to.parse().ok();
    let is_to = |text: &str| text.parse::<AddressKey>().is_ok_and(|address| Some(&address) == to.as_ref());
    let senders = ["From", "Sender", "Return-Path"].into_iter().flat_map(|name| fields.all(name));
    for sender in senders {
        let text = sender.unfolded();
        let bare = text.rsplit_once('<').map_or(&*text, |(_, rest)| rest.split('>').next().unwrap_or(rest));
        if is_to(bare) {
            return Some("it comes from whom it would go to");
        }
    }
    (fields.all("Received").count() > limits::RECEIVED).then_some("it has passed too many servers")
}

/// What stands in the id of each cover.
const ID_MARK: &str = ".forwarded@rebond.";

/// The cover with the message in it, lines ended by CR LF. Where the message has lines that SMTP cannot carry, or eight bits
/// and the server none, it goes as a file in base64: its bytes are what they were either way.
pub fn compose(cover: &Cover<'_>, original: &[u8], eight_bit: bool) -> Vec<u8> {
    let way = Way::of(original, cover.cut, eight_bit);
    let boundary = boundary(cover.key, original);
    let domain = cover.mailbox.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| "localhost".to_owned());
    let from = match cover.mailbox.parse::<AddressKey>() {
        Ok(address) if address.as_str().is_ascii() => format!("<{address}>"),
        _ => format!("<{}@{domain}>", cover.account),
    };
    // ASCII alone: a folder's or a mailbox's name is written as it is escaped.
    let folder: String = cover.folder.chars().flat_map(char::escape_default).take(200).collect();
    let arrived = Timestamp::from_second(cover.arrived).unwrap_or(cover.now);
    let brought = match cover.cut {
        true => format!("It is longer than is read: the first {} bytes of it are attached.", original.len()),
        false => "It is attached as it came.".to_owned(),
    };
    let head = format!(
        "Date: {date}\r\nFrom: Rebond {from}\r\nTo: <{to}>\r\nSubject: [Rebond {account}] Mail to look at\r\n\
         Message-ID: <{key}{ID_MARK}{domain}>\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n\
         {MARK}: {account}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
         --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         A message arrived in the mailbox of account {account}, and its settings say to forward it.\r\n{brought}\r\n\
         The message itself was not deleted.\r\n\r\n\
         folder   {folder}\r\narrived  {arrived}\r\nfact     {key}\r\n\r\n\
         Do not reply: nobody reads the answer.\r\n\r\n--{boundary}\r\n{part}\r\n",
        date = rfc5322(cover.now),
        to = cover.to,
        account = cover.account,
        key = cover.key,
        part = way.head(),
    );
    let mut message = head.into_bytes();
    match way {
        Way::SevenBit | Way::EightBit => message.extend_from_slice(original),
        Way::File { .. } => {
            for line in STANDARD.encode(original).as_bytes().chunks(BASE64_LINE) {
                message.extend_from_slice(line);
                message.extend_from_slice(b"\r\n");
            }
        }
    }
    message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    message
}

/// How the original travels.
enum Way {
    SevenBit,
    EightBit,
    /// As a file: `message/rfc822` may not be encoded (RFC 2046 §5.2.1).
    File {
        cut: bool,
    },
}

impl Way {
    fn of(original: &[u8], cut: bool, eight_bit: bool) -> Self {
        let travels = |text: &[u8]| text.len() <= LINE && !text.contains(&b'\r') && !text.contains(&0);
        let lines_travel = original.split_inclusive(|&byte| byte == b'\n').all(|line| match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").is_some_and(travels),
            // The last line need not be ended.
            None => travels(line),
        });
        match original.is_ascii() {
            _ if cut || !lines_travel => Self::File { cut },
            true => Self::SevenBit,
            false if eight_bit => Self::EightBit,
            false => Self::File { cut },
        }
    }

    fn head(&self) -> &'static str {
        match self {
            Self::SevenBit => "Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n",
            Self::EightBit => {
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\nContent-Disposition: attachment\r\n"
            }
            Self::File { cut: false } => {
                "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
                 Content-Disposition: attachment; filename=\"original.eml\"\r\n"
            }
            Self::File { cut: true } => {
                "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
                 Content-Disposition: attachment; filename=\"beginning-of-original.eml\"\r\n"
            }
        }
    }
}

/// A boundary that the message does not hold.
fn boundary(key: &str, original: &[u8]) -> String {
    let mut boundary = format!("rebond-{}", &sha256_hex(key.as_bytes())[..32]);
    while memmem::find(original, boundary.as_bytes()).is_some() {
        boundary = format!("rebond-{}", &sha256_hex(boundary.as_bytes())[..32]);
    }
    boundary
}

fn rfc5322(now: Timestamp) -> String {
    now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cover(cut: bool) -> Cover<'static> {
        Cover {
            mailbox: "bounces@example.com",
            to: "people@example.org",
            account: "bounces",
            folder: "Büro",
            key: "0123abcd",
            arrived: 1_700_000_000,
            cut,
            now: Timestamp::from_second(1_700_000_100).unwrap(),
        }
    }

    /// The attached part as it travels, its header and its bytes.
    fn part(message: &[u8]) -> (String, Vec<u8>) {
        let text = String::from_utf8_lossy(message).into_owned();
        let boundary = text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let start = memmem::rfind(message, format!("--{boundary}\r\n").as_bytes()).unwrap() + boundary.len() + 4;
        let end = memmem::rfind(message, format!("\r\n--{boundary}--").as_bytes()).unwrap();
        let part = &message[start..end];
        let at = memmem::find(part, b"\r\n\r\n").unwrap();
        (String::from_utf8(part[..at].to_vec()).unwrap(), part[at + 4..].to_vec())
    }

    fn brought(original: &[u8], cut: bool, eight_bit: bool) -> &'static str {
        let (head, bytes) = part(&compose(&cover(cut), original, eight_bit));
        let bytes = match head.contains("base64") {
            true => {
                let text: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
                STANDARD.decode(text).unwrap()
            }
            false => bytes,
        };
        assert_eq!(bytes, original);
        match head {
            head if head.contains("beginning-of-original.eml") => "beginning",
            head if head.contains("original.eml") => "file",
            head if head.contains("8bit") => "8bit",
            head if head.contains("message/rfc822") => "7bit",
            head => panic!("{head}"),
        }
    }

    #[test]
    fn the_original_is_brought_byte_by_byte() {
        let long = [b"X: ".as_slice(), &[b'a'; 999], b"\r\n\r\nb\r\n"].concat();
        for (original, eight_bit, way) in [
            (&b"Subject: a\r\n\r\n.\r\n..dots\r\n"[..], false, "7bit"),
            (b"no line end", false, "7bit"),
            (b"", false, "7bit"),
            ("Subject: é\r\n\r\nö\r\n".as_bytes(), true, "8bit"),
            ("Subject: é\r\n\r\nö\r\n".as_bytes(), false, "file"),
            (b"bare\nline feed\r\n", true, "file"),
            (b"bare\rreturn\r\n", true, "file"),
            (b"a\0b\r\n", true, "file"),
            (&long, true, "file"),
        ] {
            assert_eq!(brought(original, false, eight_bit), way, "{:?}", String::from_utf8_lossy(original));
        }
        assert_eq!(brought(b"Subject: a\r\n\r\nbegin", true, true), "beginning");
        // It may hold the boundary that would be taken.
        let first = boundary("0123abcd", b"");
        brought(format!("--{first}\r\n").as_bytes(), false, false);
    }

    #[test]
    fn the_cover_says_that_a_program_wrote_it() {
        let message = String::from_utf8(compose(&cover(false), b"Subject: a\r\n\r\nb\r\n", true)).unwrap();
        for field in [
            "From: Rebond <bounces@example.com>\r\n",
            "To: <people@example.org>\r\n",
            "Date: Tue, 14 Nov 2023 22:15:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Auto-Response-Suppress: All\r\n",
            "Rebond-Forwarded: bounces\r\n",
            "Message-ID: <0123abcd.forwarded@rebond.example.com>\r\n",
            "folder   B\\u{fc}ro\r\n",
        ] {
            assert!(message.contains(field), "{field:?} is not in\n{message}");
        }
        assert!(message.is_ascii());
        assert_eq!(circle(message.as_bytes(), "others@example.org"), Some("it was forwarded before"));
    }

    #[test]
    fn circles_are_seen() {
        let check = |header: &str, why: Option<&str>| {
            let message = format!("Subject: x\r\n{header}\r\nbody\r\n");
            assert_eq!(circle(message.as_bytes(), "people@example.org"), why, "{header}");
        };
        check("", None);
        check("From: a@example.net\r\n", None);
        check("From: People <People@EXAMPLE.org>\r\n", Some("it comes from whom it would go to"));
        check("From: a@example.net\r\nSender: people@example.org\r\n", Some("it comes from whom it would go to"));
        check("rebond-forwarded: x\r\n", Some("it was forwarded before"));
        check("In-Reply-To: <k.forwarded@rebond.example.com>\r\n", Some("it answers what was forwarded"));
        check("References: <a@b>\r\n <k.forwarded@rebond.example.com>\r\n", Some("it answers what was forwarded"));
        check(&"Received: by a\r\n".repeat(limits::RECEIVED), None);
        check(&"Received: by a\r\n".repeat(limits::RECEIVED + 1), Some("it has passed too many servers"));
    }
}
