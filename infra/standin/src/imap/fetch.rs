//! FETCH items (RFC 3501, section 6.4.5): UID, FLAGS, RFC822.SIZE, INTERNALDATE and the sections of BODY.

use jiff::tz::TimeZone;

use super::command::Word;
use super::store::Message;

/// One thing to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Uid,
    Flags,
    Size,
    InternalDate,
    /// A section of the message.
    Body {
        section: Section,
        peek: bool,
        partial: Option<(usize, usize)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Whole,
    Header,
    Text,
    /// Named fields, or all but these.
    Fields(Vec<String>, bool),
}

/// Reads the items of a FETCH; `None` for one that this server does not know.
pub(super) fn items(word: &Word) -> Option<Vec<Item>> {
    let words = match word {
        Word::List(words) => words.clone(),
        word => vec![word.clone()],
    };
    let mut items = Vec::new();
    for word in words {
        let name = word.text()?.to_ascii_uppercase();
        match name.as_str() {
            "UID" => items.push(Item::Uid),
            "FLAGS" => items.push(Item::Flags),
            "RFC822.SIZE" => items.push(Item::Size),
            "INTERNALDATE" => items.push(Item::InternalDate),
            "FAST" => items.extend([Item::Flags, Item::InternalDate, Item::Size]),
            _ => items.push(body(&name)?),
        }
    }
    Some(items)
}

fn body(name: &str) -> Option<Item> {
    let (peek, rest) = match name.strip_prefix("BODY.PEEK[") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("BODY[")?),
    };
    let (section, tail) = rest.split_once(']')?;
    let partial = match tail {
        "" => None,
        _ => {
            let (from, length) = tail.strip_prefix('<')?.strip_suffix('>')?.split_once('.')?;
            Some((from.parse().ok()?, length.parse().ok().filter(|length| *length > 0)?))
        }
    };
    let named = |list: &str| Some(list.strip_prefix('(')?.strip_suffix(')')?.split(' ').map(str::to_owned).collect());
    let section = match section {
        "" => Section::Whole,
        "HEADER" => Section::Header,
        "TEXT" => Section::Text,
        _ => match section.strip_prefix("HEADER.FIELDS ") {
            Some(list) => Section::Fields(named(list)?, true),
            None => Section::Fields(named(section.strip_prefix("HEADER.FIELDS.NOT ")?)?, false),
        },
    };
    Some(Item::Body { section, peek, partial })
}

/// Whether fetching these sets `\Seen`.
pub(super) fn marks_seen(items: &[Item]) -> bool {
    items.iter().any(|item| matches!(item, Item::Body { peek: false, .. }))
}

/// The untagged answer for one message.
pub(super) fn answer(number: u32, message: &Message, items: &[Item]) -> Vec<u8> {
    let mut out = format!("* {number} FETCH (").into_bytes();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        match item {
            Item::Uid => out.extend(format!("UID {}", message.uid).bytes()),
            Item::Flags => out.extend(format!("FLAGS ({})", flags(message)).bytes()),
            Item::Size => out.extend(format!("RFC822.SIZE {}", message.bytes.len()).bytes()),
            Item::InternalDate => {
                let time = message.arrival.to_zoned(TimeZone::UTC);
                out.extend(format!("INTERNALDATE \"{}\"", time.strftime("%e-%b-%Y %H:%M:%S +0000")).bytes());
            }
            Item::Body { section, partial, .. } => write_body(&mut out, message, section, *partial),
        }
    }
    out.extend(b")\r\n");
    out
}

pub(super) fn flags(message: &Message) -> String {
    message.flags.iter().cloned().collect::<Vec<_>>().join(" ")
}

fn write_body(out: &mut Vec<u8>, message: &Message, section: &Section, partial: Option<(usize, usize)>) {
    let bytes = &message.bytes;
    let split = header_end(bytes);
    let (name, content): (String, Vec<u8>) = match section {
        Section::Whole => (String::new(), bytes.to_vec()),
        Section::Header => ("HEADER".to_owned(), bytes[..split].to_vec()),
        Section::Text => ("TEXT".to_owned(), bytes[split..].to_vec()),
        Section::Fields(names, wanted) => {
            let not = if *wanted { "" } else { ".NOT" };
            (format!("HEADER.FIELDS{not} ({})", names.join(" ")), (fields(bytes, names, *wanted) + "\r\n").into_bytes())
        }
    };
    let (origin, content) = match partial {
        None => (String::new(), content.as_slice()),
        Some((from, length)) => {
            let from_here = content.get(from..).unwrap_or_default();
            (format!("<{from}>"), from_here.get(..length).unwrap_or(from_here))
        }
    };
    out.extend(format!("BODY[{name}]{origin} {{{}}}\r\n", content.len()).bytes());
    out.extend(content);
}

/// Where the text begins: after the empty line, or at the end of a message that has none.
fn header_end(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4)
}

/// The named header fields with their continuation lines, or all others.
pub(super) fn fields(bytes: &[u8], names: &[String], wanted: bool) -> String {
    let header = String::from_utf8_lossy(&bytes[..header_end(bytes)]).into_owned();
    let mut taken = String::new();
    let mut taking = false;
    for line in header.split_inclusive("\r\n").filter(|line| !line.trim().is_empty()) {
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default();
            taking = names.iter().any(|one| one.eq_ignore_ascii_case(name)) == wanted;
        }
        if taking {
            taken.push_str(line);
        }
    }
    taken
}
