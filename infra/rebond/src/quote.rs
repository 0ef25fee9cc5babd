//! Text as one word of a script: mailbox names are input, and a script is run by an administrator.

/// One PowerShell string. Between single quotes nothing is expanded; a quote is doubled, and PowerShell takes four
/// typographic quotes for single ones, too (about_Quoting_Rules).
pub fn powershell(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in printable(text) {
        quoted.push(c);
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

/// One word of a POSIX shell (XCU §2.2.2).
pub fn shell(text: &str) -> String {
    let text: String = printable(text).collect();
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text of a comment: it cannot end the line, nor a block comment.
pub fn comment(text: &str) -> String {
    printable(text).collect::<String>().replace("#>", "# >")
}

/// A control or direction character would end a line or make a script look like another one.
fn printable(text: &str) -> impl Iterator<Item = char> + '_ {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(move |c| !hidden(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_quotation() {
        for (text, in_powershell, in_shell) in [
            ("bounces@example.com", "'bounces@example.com'", "'bounces@example.com'"),
            ("o'neil@example.com", "'o''neil@example.com'", r"'o'\''neil@example.com'"),
            ("a\u{2019}; Remove-Mailbox x", "'a\u{2019}\u{2019}; Remove-Mailbox x'", "'a\u{2019}; Remove-Mailbox x'"),
            ("$(whoami)`id`\"", "'$(whoami)`id`\"'", "'$(whoami)`id`\"'"),
            ("a\nb\r\u{202e}c", "'abc'", "'abc'"),
        ] {
            assert_eq!(powershell(text), in_powershell);
            assert_eq!(shell(text), in_shell);
        }
        assert_eq!(comment("x\nRemove-Mailbox #> y"), "xRemove-Mailbox # > y");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["o'neil", "$(id)", "a b  c", "`x`", "\\", "'", "\"", "é’", "*?[a]~"] {
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", shell(text))).output();
            assert_eq!(output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).ok().as_deref(), Some(text));
        }
    }
}
