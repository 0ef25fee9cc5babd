//! Header fields as they stand in the message (RFC 5322 §2.2): borrowed, still folded, in order.

use super::text;
use crate::limits;
use memchr::memchr;
use std::borrow::Cow;

/// One field: its name, and its value with folds and without the line end.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Its name, as it is written.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether this is the field of that name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value as text, still folded, bounded.
    pub fn raw(&self) -> Cow<'a, str> {
        let end = self.value.len().min(limits::HEADER_BYTES);
        text::from_unlabelled(&self.value[..end])
    }

    /// The value unfolded (RFC 5322 §2.2.3), encoded words left as they are.
    pub fn unfolded(&self) -> Cow<'a, str> {
        let plain = self.value[..self.value.len().min(limits::HEADER_BYTES)].trim_ascii();
        if text::is_plain(plain)
            && let Ok(plain) = std::str::from_utf8(plain)
        {
            return Cow::Borrowed(plain);
        }
        text::squeeze(self.raw())
    }

    /// The value unfolded, with its encoded words decoded (RFC 2047).
    pub fn decoded(&self) -> String {
        text::decode_words(&self.unfolded())
    }
}

/// The fields of one entity.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    list: Vec<Field<'a>>,
    /// A bit for each name that is here: most of what is asked for is not, and this tells it at once.
    present: u128,
    /// More fields than `limits::HEADERS`: the rest was not read.
    pub cut: bool,
}

impl<'a> Fields<'a> {
    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.likely(name).iter().find(|f| f.is(name))
    }

    /// Every field of that name.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &Field<'a>> {
        self.likely(name).iter().filter(move |f| f.is(name))
    }

    /// The fields, or none where the name is surely not among them.
    fn likely(&self, name: &str) -> &[Field<'a>] {
        if self.present & bit(name.as_bytes()) == 0 { &[] } else { &self.list }
    }

    fn push(&mut self, field: Field<'a>) {
        if self.list.is_empty() {
            self.list.reserve(USUAL);
        }
        self.present |= bit(field.name);
        self.list.push(field);
    }

    /// The first field of that name, unfolded; `None` where it is absent or empty.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(Field::unfolded).filter(|v| !v.is_empty())
    }

    /// The first field of that name, unfolded and decoded.
    pub fn decoded(&self, name: &str) -> Option<String> {
        self.get(name).map(Field::decoded).filter(|v| !v.is_empty())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Fields of a usual header.
const USUAL: usize = 20;

/// One bit of 128 for a name in any case.
fn bit(name: &[u8]) -> u128 {
    let letter = |at: usize| name.get(at).map_or(0, |c| usize::from(c | 0x20));
    1 << ((name.len() + 5 * letter(0) + 17 * letter(2) + 31 * letter(name.len().wrapping_sub(1))) % 128)
}

/// Splits an entity into its fields and its body. Total: whatever is no field begins the body.
///
/// Tolerated, because real reports have them: empty lines and an mbox `From ` line before the
/// first field, a line without a colon between fields, white space before the colon.
pub fn split(entity: &[u8]) -> (Fields<'_>, &[u8]) {
    let mut rest = skip_front(entity);
    let mut fields = Fields::default();
    while !rest.is_empty() {
        let (line, after) = text::take_line(rest);
        if line.is_empty() {
            return (fields, after);
        }
        match colon(line) {
            Some(at) => {
                let (value, after) = take_value(rest, at + 1, line.len(), after);
                if fields.list.len() < limits::HEADERS {
                    fields.push(Field { name: line[..at].trim_ascii_end(), value });
                } else {
                    fields.cut = true;
                }
                rest = after;
            }
            // A stray line is stepped over where fields go on after it; else the body begins here.
            None if colon(text::take_line(after).0).is_some() && !fields.is_empty() && !line.starts_with(b"--") => {
                rest = after;
            }
            None => return (fields, rest),
        }
    }
    (fields, rest)
}

/// The name's length, where the line is a field: printable ASCII up to a colon (RFC 5322 §3.6.8).
pub(crate) fn colon(line: &[u8]) -> Option<usize> {
    let end = line.len().min(80);
    let at = memchr(b':', &line[..end])?;
    let name = line[..at].trim_ascii_end();
    (!name.is_empty() && name.iter().all(|c| (33..127).contains(c))).then_some(at)
}

fn skip_front(mut entity: &[u8]) -> &[u8] {
    loop {
        let (line, after) = text::take_line(entity);
        let mbox = line.starts_with(b"From ") || line.starts_with(b">From ");
        if (line.trim_ascii().is_empty() || mbox) && !after.is_empty() {
            entity = after;
        } else {
            return entity;
        }
    }
}

/// The value that begins at `from` in the line of `length` bytes, with its folded lines; and what follows. `after` is
/// what follows the line.
fn take_value<'a>(bytes: &'a [u8], from: usize, length: usize, mut after: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let mut end = length;
    // A line of white space alone ends the header: some relays strip what stood on it.
    while matches!(after.first(), Some(b' ' | b'\t')) {
        let (line, next) = text::take_line(after);
        if line.trim_ascii().is_empty() {
            break;
        }
        end = bytes.len() - after.len() + line.len();
        after = next;
    }
    (&bytes[from..end], after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_body() {
        let (fields, body) = split(b"From x\r\nSubject : a\r\n b\r\nX-Y:\r\n\r\nbody");
        assert_eq!(fields.text("subject").as_deref(), Some("a b"));
        assert_eq!(fields.text("x-y"), None);
        assert_eq!(body, b"body");
    }

    #[test]
    fn what_is_no_field_begins_the_body() {
        let (fields, body) = split(b"A: 1\nnonsense\nB: 2\nHello you\nthere\n");
        assert_eq!(fields.iter().count(), 2);
        assert_eq!(body, b"Hello you\nthere\n");
    }
}
