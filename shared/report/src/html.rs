//! HTML to the text that a person sees: enough for a notice, no more.

/// Whether text that is not called HTML is HTML all the same.
pub(crate) fn looks_like(text: &str) -> bool {
    let front = text.trim_start().as_bytes();
    let starts = |known: &str| front.get(..known.len()).is_some_and(|f| f.eq_ignore_ascii_case(known.as_bytes()));
    starts("<html") || starts("<!doctype html") || starts("<body")
}

/// The visible text. Block elements end a line; script, style and comments vanish; linear.
pub(crate) fn to_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&', '\n', '\r']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let used = match tail.as_bytes()[0] {
            b'<' => markup(tail, &mut out),
            b'&' => entity(tail, &mut out),
            _ => {
                space(&mut out); // line ends are white space in HTML
                1
            }
        };
        rest = &tail[used..];
    }
    out.push_str(rest);
    out
}

fn space(out: &mut String) {
    if !out.ends_with([' ', '\n']) {
        out.push(' ');
    }
}

/// One tag or comment at the start of `tail`; returns its length.
fn markup(tail: &str, out: &mut String) -> usize {
    if tail.starts_with("<!--") {
        return tail.find("-->").map_or(tail.len(), |n| n + 3);
    }
    let next = tail.as_bytes().get(1).copied().unwrap_or(b' ');
    if !(next.is_ascii_alphabetic() || next == b'/' || next == b'!' || next == b'?') || is_address(tail) {
        out.push('<');
        return 1;
    }
    let Some(end) = tail.find('>') else { return tail.len() };
    let closing = next == b'/';
    let name_from = if closing { 2 } else { 1 };
    let name = tail[name_from..end].split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is = |known: &[&str]| known.iter().any(|k| name.eq_ignore_ascii_case(k));
    if !closing && is(&["script", "style", "title"]) {
        return closing_tag(tail, end + 1, name);
    }
    if is(&[
        "br",
        "p",
        "div",
        "tr",
        "li",
        "ul",
        "ol",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "hr",
        "pre",
        "title",
    ]) {
        while out.ends_with(' ') {
            out.pop();
        }
        if !out.ends_with("\n\n") {
            out.push('\n');
        }
    } else if is(&["td", "th"]) {
        space(out);
    }
    end + 1
}

/// `<user@example.com>` is no tag.
fn is_address(tail: &str) -> bool {
    let end = tail.find(['>', ' ', '\n', '=']).unwrap_or(tail.len());
    tail.as_bytes().get(end) == Some(&b'>') && tail[..end].contains('@')
}

/// The length up to the end of `</name>`, or all where it never closes.
fn closing_tag(tail: &str, from: usize, name: &str) -> usize {
    let mut at = from;
    while let Some(found) = tail[at..].find("</") {
        let start = at + found + 2;
        if tail.as_bytes().get(start..start + name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes())) {
            return tail[start..].find('>').map_or(tail.len(), |n| start + n + 1);
        }
        at = start;
    }
    tail.len()
}

/// One character reference at the start of `tail`; returns its length.
fn entity(tail: &str, out: &mut String) -> usize {
    let window = super::text::prefix(tail, 12);
    let Some(end) = window.find(';') else {
        out.push('&');
        return 1;
    };
    let name = &window[1..end];
    let number = match name.strip_prefix('#') {
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        },
        None => named(name).map(u32::from),
    };
    match number.and_then(char::from_u32) {
        Some('\u{a0}') => out.push(' '),
        Some(c) => out.push(c),
        None => {
            out.push('&');
            return 1;
        }
    }
    end + 1
}

/// The references that notices use.
fn named(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "agrave" => 'à',
        "aacute" => 'á',
        "acirc" => 'â',
        "atilde" => 'ã',
        "auml" => 'ä',
        "Auml" => 'Ä',
        "ccedil" => 'ç',
        "egrave" => 'è',
        "eacute" => 'é',
        "Eacute" => 'É',
        "ecirc" => 'ê',
        "euml" => 'ë',
        "iacute" => 'í',
        "icirc" => 'î',
        "ntilde" => 'ñ',
        "oacute" => 'ó',
        "ocirc" => 'ô',
        "otilde" => 'õ',
        "ouml" => 'ö',
        "Ouml" => 'Ö',
        "szlig" => 'ß',
        "ugrave" => 'ù',
        "uacute" => 'ú',
        "ucirc" => 'û',
        "uuml" => 'ü',
        "Uuml" => 'Ü',
        "rsquo" | "lsquo" => '\'',
        "rdquo" | "ldquo" => '"',
        "ndash" | "mdash" => '-',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_text() {
        let check = |html: &str, expected: &str| assert_eq!(to_text(html), expected);
        check("<p>a &lt;b@example.com&gt;<br>c</p>", "\na <b@example.com>\nc\n");
        check("<style>p { x }</style>x<!-- no -->y", "xy");
        check("a < b <c@example.org> &unknown; &#233;", "a < b <c@example.org> &unknown; é");
        check("<script>never closed", "");
    }
}
