//! CSV as RFC 4180 has it, and so that a spreadsheet takes no value for a formula.

use anyhow::bail;
use std::io::BufRead;

/// Bytes of one record.
pub const RECORD_BYTES: u64 = 64 << 10;

/// One line of values.
pub fn line<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |value: &str| {
        let guarded = if is_formula(value) { format!("'{value}") } else { value.to_owned() };
        match guarded.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", guarded.replace('"', "\"\"")),
            false => guarded,
        }
    };
    let values: Vec<String> = values.into_iter().map(quoted).collect();
    format!("{}\r\n", values.join(","))
}

/// What spreadsheets run.
fn is_formula(value: &str) -> bool {
    value.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// The next record; none at the end. Empty lines are passed over.
pub fn record(reader: &mut impl BufRead) -> anyhow::Result<Option<Vec<String>>> {
    let (mut values, mut value, mut raw) = (Vec::new(), Vec::new(), 0u64);
    let (mut quoted, mut any) = (false, false);
    loop {
        let mut one = [0];
        let read = loop {
            match std::io::Read::read(reader, &mut one) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        raw += read as u64;
        if raw > RECORD_BYTES {
            bail!("a record of more than {RECORD_BYTES} bytes: is a quotation mark open?");
        }
        match (read, one[0]) {
            (0, _) if quoted => bail!("the file ends within quotation marks"),
            (0, _) if !any => return Ok(None),
            (0, _) => break,
            (_, b'"') if quoted => {
                if reader.fill_buf()?.first() == Some(&b'"') {
                    reader.consume(1);
                    value.push(b'"');
                } else {
                    quoted = false;
                }
            }
            (_, byte) if quoted => value.push(byte),
            // Spaces before the mark are none of the value, though RFC 4180 knows none there.
            (_, b'"') if value.iter().all(u8::is_ascii_whitespace) => {
                value.clear();
                (quoted, any) = (true, true);
            }
            (_, b',') => {
                any = true;
                values.push(std::mem::take(&mut value));
            }
            (_, b'\r') => {}
            (_, b'\n') if any => break,
            (_, b'\n') => {}
            (_, byte) => {
                any = true;
                value.push(byte);
            }
        }
    }
    values.push(value);
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        // What `line` put before it.
        match text.strip_prefix('\'') {
            Some(rest) if is_formula(rest) => rest.to_owned(),
            _ => text,
        }
    };
    Ok(Some(values.into_iter().map(text).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all(text: &str) -> Vec<Vec<String>> {
        let mut reader = text.as_bytes();
        std::iter::from_fn(|| record(&mut reader).unwrap()).collect()
    }

    #[test]
    fn f37_what_is_written_is_read_again_and_no_spreadsheet_runs_it() {
        for values in [
            ["a", "b", ""],
            ["a,b", "c\"d\"", "e\r\nf"],
            ["=1+1", "+a@example.com", "-x"],
            ["", "", ""],
            ["é", "\u{202e}x", "'quoted'"],
        ] {
            let text = line(values);
            assert_eq!(all(&format!("{text}{text}")), [values, values], "{text:?}");
            for value in text.trim_end_matches("\r\n").split(',') {
                assert!(!is_formula(value.trim_start_matches('"')), "{text:?}");
            }
        }
    }

    #[test]
    fn lines_of_others_are_read() {
        assert_eq!(all("a,b\nc,d"), [["a", "b"], ["c", "d"]]);
        assert_eq!(all("\n\r\na\r\n\n"), [["a"]]);
        assert_eq!(all(" a , \"b,\nc\" \n"), [["a", "b,\nc"]]);
        let mut open = "\"a".as_bytes();
        assert!(record(&mut open).is_err());
        let endless = format!("\"{}", "a".repeat(100_000));
        assert!(record(&mut endless.as_bytes()).is_err());
    }
}
