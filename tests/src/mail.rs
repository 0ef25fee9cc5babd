//! Messages that a test makes by the thousand: bounces as RFC 3464 describes them, and mail of people.

use std::fmt::Write;

/// A bounce of `user{number}@example.net`, with a Message-ID of its own.
#[must_use]
pub fn bounce(number: usize) -> Vec<u8> {
    bounce_of(number, &[format!("user{number}@example.net")])
}

/// One bounce of many recipients.
#[must_use]
pub fn bounce_of(number: usize, recipients: &[String]) -> Vec<u8> {
    let mut status = "Reporting-MTA: dns; mx.example.org\r\n".to_owned();
    for address in recipients {
        let _ = write!(
            status,
            "\r\nFinal-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.example.net\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 <{address}>: Recipient address rejected: User unknown\r\n"
        );
    }
    format!(
        "From: MAILER-DAEMON@mx.example.org\r\nTo: bounces@example.org\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <bounce-{number}@mx.example.org>\r\nMIME-Version: 1.0\r\n\
         Auto-Submitted: auto-replied\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"=-b\"\r\n\r\n\
         --=-b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n\
         --=-b\r\nContent-Type: message/delivery-status\r\n\r\n{status}\r\n\
         --=-b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: news@example.org\r\nSubject: News {number}\r\n\
         Message-ID: <news-{number}@example.org>\r\n\r\n--=-b--\r\n"
    )
    .into_bytes()
}

/// A message that a person wrote.
#[must_use]
pub fn letter(number: usize) -> Vec<u8> {
    format!(
        "From: alex@example.com\r\nTo: bounces@example.org\r\nSubject: Lunch {number}\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <letter-{number}@example.com>\r\n\r\n\
         Shall we meet on day {number}?\r\n"
    )
    .into_bytes()
}
