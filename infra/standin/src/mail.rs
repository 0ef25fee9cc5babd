//! Messages as a bounce mailbox receives them, written from the documents of what sends them: Postfix bounce(5), the Exim
//! specification, sendmail's and qmail's manuals, "NDRs in Exchange Online", RFC 3464, RFC 5965 and RFC 3834. None was ever
//! sent; all names are of example domains.

/// The demo's messages, in the order of their arrival; lines end with CRLF.
pub fn demo_mail() -> Vec<&'static [u8]> {
    vec![
        include_bytes!("mail/01-postfix-unknown-user.eml"),
        include_bytes!("mail/02-postfix-mailbox-full.eml"),
        include_bytes!("mail/03-exim-unknown-user.eml"),
        include_bytes!("mail/04-exchange-online-unknown-user.eml"),
        include_bytes!("mail/05-sendmail-host-unknown.eml"),
        include_bytes!("mail/06-postfix-delayed.eml"),
        include_bytes!("mail/07-postfix-spam-refused.eml"),
        include_bytes!("mail/08-three-fates.eml"),
        include_bytes!("mail/09-postfix-delivered.eml"),
        include_bytes!("mail/10-abuse-complaint.eml"),
        include_bytes!("mail/11-automatic-reply.eml"),
        include_bytes!("mail/12-person-asks-about-a-bounce.eml"),
        include_bytes!("mail/13-qmail-unknown-user.eml"),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_ends_with_crlf_and_only_example_domains_occur() {
        for bytes in super::demo_mail() {
            let text = String::from_utf8_lossy(bytes);
            let bare = text.replace("\r\n", "").contains(['\r', '\n']);
            assert!(!bare && text.ends_with("\r\n"), "{}", text.lines().take(3).collect::<String>());
            let whole = text.replace("=\r\n", "");
            let words = whole.split(|c: char| !(c.is_ascii_alphanumeric() || "@.-_".contains(c)));
            for domain in words.filter_map(|word| word.rsplit_once('@')).map(|(_, domain)| domain.trim_end_matches('.'))
            {
                let example = ["example.com", "example.net", "example.org"].iter().any(|one| domain.ends_with(one));
                // Exchange writes Message-IDs of its own servers.
                assert!(domain.is_empty() || example || domain.ends_with(".PROD.OUTLOOK.COM"), "{domain}");
            }
        }
    }
}
