//! Text cut into words, the same way at build time (for the tables) and at run time (for mail).
//!
//! A *word* is a run of letters and digits; each Chinese, Japanese or Korean character is a word by itself, as those
//! scripts write no spaces. `_`, `-`, `/`, `.` part words, so that `NO_SUCH_USER` and "no such user" are the same three.
//! "doesn't" is cut into "does" and "not", and so is "cannot". Addresses, numbers and status codes are *transparent*:
//! they stand between words without parting them, so "user \<a@example.com\> unknown" reads as "user unknown", and the
//! `550-5.7.1` at the head of each line of a long answer does no harm.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word, or one ideograph.
    Word,
    /// The "n't" of a contraction: stands for "not".
    Not,
    /// Digits alone.
    Number,
    /// An enhanced status code (RFC 3463 §2).
    Code,
    /// Something with an `@` in it.
    Address,
    /// A colon: parts no words, and may be asked for after the first word of a subject ("Read: …").
    Colon,
    /// The end of a sentence: no phrase goes across it.
    Stop,
}

/// A piece of text and where it stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
}

const SPACE: u8 = 0;
const OTHER: u8 = 1;
const DELIMITER: u8 = 2;
const LETTER: u8 = 3;
const DIGIT: u8 = 4;
const WIDE: u8 = 5;

/// One class for each byte; `DELIMITER` ends an address, `OTHER` may stand in one.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        table[byte] = match value {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b',' | b';' | b':' | b'|' | b'`' => {
                DELIMITER
            }
            0..=b' ' | 0x7f => SPACE,
            0x80.. => WIDE,
            _ => OTHER,
        };
        byte += 1;
    }
    table
}

/// Hands every piece of `text` to `take`, in order. One pass: each byte is looked at twice at the most.
pub fn cut(text: &str, mut take: impl FnMut(Token)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    // Up to here it is known that no address stands.
    let mut plain = before_address(text, 0);
    while at < bytes.len() {
        let class = CLASS[bytes[at] as usize];
        if at >= plain && !matches!(class, SPACE | DELIMITER) {
            let (end, address) = chunk(bytes, at);
            if address {
                take(Token { kind: Kind::Address, start: at, end });
                at = end;
                plain = before_address(text, end);
                continue;
            }
            plain = before_address(text, end.max(at + 1));
        }
        at = match class {
            SPACE => blank(bytes, at, &mut take),
            DELIMITER => mark(bytes, at, &mut take),
            OTHER => punctuation(bytes, at, &mut take),
            DIGIT => number(text, at, &mut take),
            _ => word(text, at, &mut take),
        };
    }
}

/// Where what stands together around the next `@` begins, `from` at the least; the end of the text where there is none.
fn before_address(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    // A lone `@` may be followed by the rest of a character.
    let Some(sign) = text.get(from..).and_then(|rest| rest.find('@')) else {
        return if text.is_char_boundary(from) { bytes.len() } else { from };
    };
    let parts = |byte: &u8| matches!(CLASS[*byte as usize], SPACE | DELIMITER) || (0xe3..=0xef).contains(byte);
    from + bytes[from..from + sign].iter().rposition(parts).map_or(0, |last| last + 1)
}

/// The end of what stands together from `at` on, and whether there is an `@` in it.
fn chunk(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut address = false;
    for (index, &byte) in bytes.iter().enumerate().skip(at) {
        match CLASS[byte as usize] {
            SPACE | DELIMITER => return (index, address && index > at + 1),
            // Scripts without spaces: the address ends where they begin (lead bytes of U+3000 and above).
            WIDE if (0xe3..=0xef).contains(&byte) => return (index, address && index > at + 1),
            _ => address |= byte == b'@',
        }
    }
    (bytes.len(), address && bytes.len() > at + 1)
}

/// White space; an empty line ends a sentence.
fn blank(bytes: &[u8], at: usize, take: &mut impl FnMut(Token)) -> usize {
    let mut end = at;
    let mut lines = 0;
    while end < bytes.len() && CLASS[bytes[end] as usize] == SPACE {
        lines += usize::from(bytes[end] == b'\n');
        end += 1;
    }
    if lines > 1 {
        take(Token { kind: Kind::Stop, start: at, end });
    }
    end
}

/// A colon; `<<<` and `>>>`, which part the lines of a transcript (sendmail), end a sentence.
fn mark(bytes: &[u8], at: usize, take: &mut impl FnMut(Token)) -> usize {
    if bytes[at] == b':' {
        take(Token { kind: Kind::Colon, start: at, end: at + 1 });
    } else if matches!(bytes.get(at..at + 3), Some(b"<<<" | b">>>")) {
        take(Token { kind: Kind::Stop, start: at, end: at + 3 });
        return at + 3;
    }
    at + 1
}

/// `.`, `!` and `?` before white space end a sentence; the three dots of sendmail do not.
fn punctuation(bytes: &[u8], at: usize, take: &mut impl FnMut(Token)) -> usize {
    let ends = matches!(bytes[at], b'.' | b'!' | b'?');
    let before_blank = bytes.get(at + 1).is_none_or(|&next| CLASS[next as usize] == SPACE);
    let dotted = at > 0 && bytes[at - 1] == b'.';
    if ends && before_blank && !dotted {
        take(Token { kind: Kind::Stop, start: at, end: at + 1 });
    }
    at + 1
}

/// Digits, a status code, or a word that begins with a digit.
fn number(text: &str, at: usize, take: &mut impl FnMut(Token)) -> usize {
    let bytes = text.as_bytes();
    if let Some(end) = code(bytes, at) {
        take(Token { kind: Kind::Code, start: at, end });
        return end;
    }
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = at + digits;
    match bytes.get(end) {
        Some(&next) if CLASS[next as usize] == LETTER => word(text, at, take),
        _ => {
            take(Token { kind: Kind::Number, start: at, end });
            end
        }
    }
}

/// `class.subject.detail` of RFC 3463 §2 at this place, not part of a longer number such as an IP address.
pub fn code(bytes: &[u8], at: usize) -> Option<usize> {
    if !matches!(bytes[at], b'2' | b'4' | b'5') || bytes.get(at + 1) != Some(&b'.') {
        return None;
    }
    if at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'.') {
        return None;
    }
    // Subjects 0 to 7 are registered; a wider net would catch versions and dates.
    if !matches!(bytes.get(at + 2), Some(b'0'..=b'7')) || bytes.get(at + 3) != Some(&b'.') {
        return None;
    }
    let detail = bytes[at + 4..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let end = at + 4 + detail;
    let longer = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    let glued = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
    ((1..=3).contains(&detail) && !longer && !glued).then_some(end)
}

/// A word of letters and digits, or one ideograph; punctuation beyond ASCII.
fn word(text: &str, at: usize, take: &mut impl FnMut(Token)) -> usize {
    let bytes = text.as_bytes();
    let mut end = at;
    while end < bytes.len() {
        match CLASS[bytes[end] as usize] {
            LETTER | DIGIT => end += 1,
            WIDE => {
                let Some(character) = text[end..].chars().next() else { break };
                if is_ideograph(character) || !character.is_alphanumeric() && !is_mark(character) {
                    break;
                }
                end += character.len_utf8();
            }
            _ => break,
        }
    }
    if end == at {
        return wide(text, at, take);
    }
    contraction(bytes, at, end, take)
}

/// Combining marks stay within their word.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{ad}' | '\u{200b}'..='\u{200d}')
}

/// One ideograph, or the full stops of scripts that have their own.
fn wide(text: &str, at: usize, take: &mut impl FnMut(Token)) -> usize {
    let Some(character) = text[at..].chars().next() else { return text.len() };
    let end = at + character.len_utf8();
    if is_ideograph(character) {
        take(Token { kind: Kind::Word, start: at, end });
    } else if matches!(character, '。' | '．' | '！' | '？' | '｡') {
        take(Token { kind: Kind::Stop, start: at, end });
    } else if character == '：' {
        take(Token { kind: Kind::Colon, start: at, end });
    }
    end
}

/// "doesn't" is "does" "not", "cannot" is "can" "not"; any other word is itself.
fn contraction(bytes: &[u8], at: usize, end: usize, take: &mut impl FnMut(Token)) -> usize {
    let rest = &bytes[end..];
    if !matches!(rest.first(), Some(b'\'' | 0xe2)) && end - at != 6 {
        take(Token { kind: Kind::Word, start: at, end });
        return end;
    }
    let mark = if rest.first() == Some(&b'\'') {
        1
    } else if rest.starts_with("’".as_bytes()) {
        "’".len()
    } else {
        0
    };
    let t = end + mark;
    let ends_there = bytes.get(t + 1).is_none_or(|&next| !matches!(CLASS[next as usize], LETTER | DIGIT | WIDE));
    let split = mark > 0 && bytes.get(t).is_some_and(|byte| byte | 0x20 == b't') && ends_there;
    if split && bytes[end - 1] | 0x20 == b'n' && end - at > 1 {
        let stem = if end - at == 3 && bytes[at] | 0x20 == b'c' { end } else { end - 1 };
        take(Token { kind: Kind::Word, start: at, end: stem });
        take(Token { kind: Kind::Not, start: stem, end: t + 1 });
        return t + 1;
    }
    if end - at == 6 && bytes[at..end].eq_ignore_ascii_case(b"cannot") {
        take(Token { kind: Kind::Word, start: at, end: at + 3 });
        take(Token { kind: Kind::Word, start: at + 3, end });
        return end;
    }
    take(Token { kind: Kind::Word, start: at, end });
    end
}

/// Scripts written without spaces, and Hangul, whose particles cling to the noun.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}')
}

/// A character in lower case and without its accent, so that "Boîte" is "boite" and "REJETÉ" is "rejete".
/// Hands over one or two characters, or none for a combining mark.
pub fn fold(character: char, mut take: impl FnMut(char)) {
    match character {
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' => take('a'),
        'Æ' | 'æ' => {
            take('a');
            take('e');
        }
        'Ç' | 'ç' | 'Ć'..='č' => take('c'),
        'Ď'..='đ' | 'Ð' | 'ð' => take('d'),
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' => take('e'),
        'Ĝ'..='ģ' => take('g'),
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' => take('i'),
        'Ķ' | 'ķ' => take('k'),
        'Ĺ'..='ł' => take('l'),
        'Ñ' | 'ñ' | 'Ń'..='ň' => take('n'),
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ō'..='ő' => take('o'),
        'Œ' | 'œ' => {
            take('o');
            take('e');
        }
        'Ŕ'..='ř' => take('r'),
        'ß' => {
            take('s');
            take('s');
        }
        'Ś'..='š' | 'Ș' | 'ș' => take('s'),
        'Ţ'..='ŧ' | 'Ț' | 'ț' => take('t'),
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' => take('u'),
        'Ý' | 'ý' | 'ÿ' | 'Ÿ' | 'Ŷ' | 'ŷ' => take('y'),
        'Ź'..='ž' => take('z'),
        'Ạ'..='ặ' => take('a'),
        'Ẹ'..='ệ' => take('e'),
        'Ỉ'..='ị' => take('i'),
        'Ọ'..='ợ' | 'Ơ' | 'ơ' => take('o'),
        'Ụ'..='ự' | 'Ư' | 'ư' => take('u'),
        'Ỳ'..='ỹ' => take('y'),
        'Ё' | 'ё' => take('е'),
        'ά' | 'Ά' => take('α'),
        'έ' | 'Έ' => take('ε'),
        'ή' | 'Ή' => take('η'),
        'ί' | 'Ί' | 'ϊ' => take('ι'),
        'ό' | 'Ό' => take('ο'),
        'ύ' | 'Ύ' => take('υ'),
        'ώ' | 'Ώ' => take('ω'),
        'ς' => take('σ'),
        '\u{300}'..='\u{36f}' | '\u{ad}' | '\u{200b}'..='\u{200d}' => {}
        '\u{ff01}'..='\u{ff5e}' => {
            let half = char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character);
            take(half.to_ascii_lowercase());
        }
        _ => character.to_lowercase().for_each(take),
    }
}
