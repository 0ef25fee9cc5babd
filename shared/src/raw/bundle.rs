//! One object of kept mail: messages in mbox form (RFC 4155), each a gzip member of its own (RFC 1952 §2.2). So the whole
//! is an mbox for `zcat`, and a range of it is one message.

use crate::limits;
use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use std::io::{Read, Write};
use std::ops::Range;

/// Bytes of a gzip member that holds nothing, without its filling: header, length of the filling, an empty block, trailer.
const EMPTY: usize = 22;
/// What its filling has at most: the length of an extra field has two bytes (RFC 1952 §2.3).
const FILLING: usize = u16::MAX as usize;

/// An object that is being filled.
#[derive(Debug, Default)]
pub struct Bundle {
    bytes: Vec<u8>,
}

impl Bundle {
    /// Adds a message as it was fetched, that arrived at `arrived` (seconds since 1970); where in the object it lies.
    pub fn add(&mut self, message: &[u8], arrived: i64) -> Range<usize> {
        let start = self.bytes.len();
        let mut text = Vec::with_capacity(message.len() + 64);
        let time = Timestamp::from_second(arrived).unwrap_or_default();
        text.extend_from_slice(time.strftime("From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n").to_string().as_bytes());
        quote(message, &mut text);
        let mut member = GzBuilder::new().write(std::mem::take(&mut self.bytes), Compression::default());
        // A vector takes whatever is written to it.
        let _ = member.write_all(&text);
        self.bytes = member.finish().unwrap_or_default();
        start..self.bytes.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it is time to write it down: a message more may double it, and no more.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= limits::RAW_OBJECT_BYTES / 4
    }

    /// The object.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A line that begins with `From `, behind any number of `>`, gets one `>` more (mboxrd), so that taking one away gives the
/// message again; a blank line ends it.
fn quote(message: &[u8], text: &mut Vec<u8>) {
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if is_from(line) {
            text.push(b'>');
        }
        text.extend_from_slice(line);
    }
    if message.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    text.push(b'\n');
}

fn is_from(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    line[quotes..].starts_with(b"From ")
}

/// The message in the text of a member: as it was fetched, but for the end of its last line, which it has here in any case.
/// None where nothing is left of it.
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let begins = text.starts_with(b"From ").then(|| memchr::memchr(b'\n', text)).flatten()? + 1;
    let text = text[begins..].strip_suffix(b"\n")?;
    let mut message = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        message.extend_from_slice(if line.starts_with(b">") && is_from(line) { &line[1..] } else { line });
    }
    Some(message)
}

/// What cannot be read as an object of kept mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged from byte {0} on")]
pub struct Damaged(pub usize);

/// The messages of an object, and where each lies; what was erased is left out.
pub fn messages(object: &[u8]) -> impl Iterator<Item = Result<(Range<usize>, Vec<u8>), Damaged>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < object.len() {
            let start = at;
            let Some((text, rest)) = member(&object[start..]) else {
                at = object.len();
                return Some(Err(Damaged(start)));
            };
            at = object.len() - rest.len();
            if let Some(message) = unquote(&text) {
                return Some(Ok((start..at, message)));
            }
        }
        None
    })
}

/// The text of the first gzip member, and what comes behind it.
fn member(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    // Quoting makes a message longer by a sixth at most.
    let most = 2 * limits::MESSAGE_BYTES as u64;
    let (mut decoder, mut text) = (GzDecoder::new(bytes), Vec::new());
    decoder.by_ref().take(most).read_to_end(&mut text).ok()?;
    (text.len() as u64 != most).then(|| (text, decoder.into_inner()))
}

/// The message that lies at a range of an object; none where it was erased, or there is no such range.
pub fn message(object: &[u8], range: Range<usize>) -> Option<Vec<u8>> {
    unquote(&member(object.get(range)?)?.0)
}

/// Puts nothing where a message lay, so that all others stay where they are.
pub fn blank(object: &mut [u8], range: Range<usize>) {
    let Some(mut left) = object.get_mut(range) else { return };
    while left.len() >= EMPTY {
        // What stays behind must be long enough for another.
        let filling = match left.len() - EMPTY {
            whole if whole <= FILLING => whole,
            whole => FILLING.min(whole - EMPTY),
        };
        let (here, rest) = left.split_at_mut(EMPTY + filling);
        here.fill(0);
        // RFC 1952 §2.3.1: deflate, an extra field, no time, an unknown system.
        here[..10].copy_from_slice(&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff]);
        here[10..12].copy_from_slice(&u16::try_from(filling).unwrap_or_default().to_le_bytes());
        // RFC 1951 §3.2.6: a last block with fixed codes that ends at once. Check and length of nothing are nought.
        here[12 + filling..14 + filling].copy_from_slice(&[3, 0]);
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn all(object: &[u8]) -> Vec<Vec<u8>> {
        messages(object).map(|found| found.unwrap().1).collect()
    }

    fn ended(message: &[u8]) -> Vec<u8> {
        let end: &[u8] = if message.ends_with(b"\n") { b"" } else { b"\n" };
        [message, end].concat()
    }

    #[test]
    fn an_object_is_an_mbox_and_a_range_of_it_a_message() {
        let mut bundle = Bundle::default();
        let first = bundle.add(b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n", 1_772_366_400);
        let second = bundle.add(b"Subject: b\n\nno end", 0);
        let object = bundle.into_bytes();
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&object[..]).read_to_string(&mut text).unwrap();
        assert_eq!(
            text,
            "From MAILER-DAEMON Sun Mar  1 12:00:00 2026\nSubject: a\r\n\r\n>From here\r\n>>From there\r\n\n\
             From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nSubject: b\n\nno end\n\n"
        );
        assert_eq!(message(&object, first).unwrap(), b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n");
        assert_eq!(message(&object, second).unwrap(), b"Subject: b\n\nno end\n");
    }

    #[test]
    fn what_was_erased_leaves_the_others_where_they_are() {
        // Longer than one filling, since these bytes cannot be compressed.
        let mut noise = 1u32;
        let mut byte = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        for size in [1, 60_000, 65_400, 65_500, 65_530, 65_550, 66_000, 131_000, 200_000] {
            let secret: Vec<u8> = (0..size).map(|_| byte()).collect();
            let mut bundle = Bundle::default();
            bundle.add(b"first\n", 0);
            let range = bundle.add(&secret, 0);
            let last = bundle.add(b"last\n", 0);
            let mut object = bundle.into_bytes();
            assert_eq!(message(&object, range.clone()).unwrap(), ended(&secret));
            blank(&mut object, range.clone());
            assert_eq!(all(&object), [b"first\n".to_vec(), b"last\n".to_vec()], "{size}");
            assert_eq!(message(&object, last).unwrap(), b"last\n");
            assert_eq!(message(&object, range.clone()), None);
            let mut text = Vec::new();
            flate2::read::MultiGzDecoder::new(&object[..]).read_to_end(&mut text).unwrap();
            assert_eq!(text.windows(5).filter(|window| window == b"From ").count(), 2);
            assert!(object[range].iter().filter(|byte| **byte != 0).count() < 50, "nothing of it is left");
        }
    }

    #[test]
    fn damage_is_told_and_nothing_makes_it_read_for_ever() {
        let mut bundle = Bundle::default();
        bundle.add(b"good\n", 0);
        let range = bundle.add(b"bad\n", 0);
        let mut object = bundle.into_bytes();
        object.truncate(range.end - 3);
        let found: Vec<_> = messages(&object).collect();
        assert_eq!(found[0].as_ref().unwrap().1, b"good\n");
        assert_eq!(found[1], Err(Damaged(range.start)));
        assert_eq!(found.len(), 2);
        // A few kilobytes that would be more than any message is.
        let mut bomb = GzBuilder::new().write(Vec::new(), Compression::fast());
        for _ in 0..3 {
            bomb.write_all(&vec![b'x'; limits::MESSAGE_BYTES]).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert_eq!(messages(&bomb).collect::<Vec<_>>(), [Err(Damaged(0))]);
        assert_eq!(message(&bomb, 0..bomb.len()), None);
        assert_eq!(message(b"", 5..9), None);
    }

    proptest! {
        #[test]
        fn every_message_comes_back(some in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "(>{0,3}From [a-z]{0,4}(\r\n|\n|)|[a-z]{0,3}\r\n){0,6}".prop_map(String::into_bytes),
            ], 0..6)) {
            let mut bundle = Bundle::default();
            let ranges: Vec<_> = some.iter().map(|message| bundle.add(message, 0)).collect();
            let object = bundle.into_bytes();
            prop_assert_eq!(all(&object), some.iter().map(|message| ended(message)).collect::<Vec<_>>());
            for (range, expected) in ranges.into_iter().zip(&some) {
                prop_assert_eq!(message(&object, range).unwrap(), ended(expected));
            }
        }
    }
}
