//! What servers say, and the reason it gives: sentences of their documents and sources, beside the rules' own examples.

#![cfg(test)]
#![allow(clippy::unwrap_used)]

use super::{Clue, Reason, weigh};
use Reason::*;

fn check(wrong: &mut Vec<String>, reason: Reason, remote: &str) {
    let verdict = weigh(&Clue { remote, ..Clue::default() });
    if verdict.reason != reason {
        let said = &remote[verdict.span.clone()];
        wrong.push(format!(
            "{} by {} ({said:?}), not {}: {remote}",
            verdict.reason.as_str(),
            verdict.rule,
            reason.as_str()
        ));
    }
}

/// Reason, then what is said.
const SAID: &[(Reason, &str)] = &[
    // Postfix
    (UserUnknown, "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in relay recipient table"),
    (UserUnknown, "unknown user: \"someone\""),
    (HostUnknown, "Host or domain name not found. Name service error for name=example.invalid type=A: Host not found"),
    (NetworkError, "connect to example.com[192.0.2.1]:25: Connection refused"),
    (NetworkError, "connect to example.com[192.0.2.1]:25: Network is unreachable"),
    (Expired, "connect to example.com[192.0.2.1]:25: Operation timed out"),
    (Expired, "connect to example.com[192.0.2.1]:25: Connection timed out"),
    (NetworkError, "lost connection with example.com[192.0.2.1] while sending RCPT TO"),
    (NetworkError, "mail for example.com loops back to myself"),
    (NetworkError, "mail forwarding loop for a@example.com"),
    (MailboxFull, "maildir delivery failed: Disk quota exceeded"),
    (
        MailboxFull,
        "cannot update mailbox /var/mail/someone for user someone. error writing message: Disk quota exceeded",
    ),
    (MessageTooBig, "message size 20480000 exceeds size limit 10240000 of server mx.example.com[192.0.2.1]"),
    (MessageTooBig, "552 5.3.4 Error: message file too big"),
    (SystemFull, "452 4.3.1 Insufficient system resources"),
    (SystemFull, "452 4.3.1 Insufficient system storage"),
    (NoRelaying, "454 4.7.1 <a@example.com>: Relay access denied"),
    (Rejected, "450 4.1.8 <a@example.com>: Sender address rejected: Domain not found"),
    (Rejected, "550 5.1.0 <a@example.com>: Sender address rejected: User unknown in virtual mailbox table"),
    (RequirePtr, "450 4.7.25 Client host rejected: cannot find your reverse hostname, [192.0.2.1]"),
    (Blocked, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
    (
        Blocked,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1",
    ),
    (TooManyConnections, "421 4.7.0 mx.example.com Error: too many connections from 192.0.2.1"),
    (Speeding, "450 4.7.1 Error: too much mail from 192.0.2.1"),
    (FailedStarttls, "TLS is required, but was not offered by host mx.example.com[192.0.2.1]"),
    (FailedStarttls, "Cannot start TLS: handshake failure"),
    (SyntaxError, "501 5.1.3 Bad recipient address syntax"),
    (NotCompliantRfc, "550 5.6.0 Message header missing: From"),
    (NotAccept, "Domain example.com does not accept mail (nullMX)"),
    (
        SecurityError,
        "SASL authentication failed; server mx.example.com[192.0.2.1] said: 535 5.7.8 Error: authentication failed",
    ),
    (MailerError, "Command died with status 127: \"/usr/local/bin/filter\". Command output: sh: filter: not found"),
    // sendmail
    (UserUnknown, "550 5.1.1 <a@example.com>... User unknown"),
    (HostUnknown, "550 5.1.2 <a@example.invalid>... Host unknown (Name server: example.invalid: host not found)"),
    (Rejected, "553 5.5.4 <root>... Domain name required for sender address root"),
    (Rejected, "553 5.1.8 <a@example.invalid>... Domain of sender address a@example.invalid does not exist"),
    (NoRelaying, "550 5.7.1 <a@example.com>... Relaying denied. Proper authentication required."),
    (NetworkError, "554 5.4.6 Too many hops 26 (25 max): from <a@example.com> via mx.example.com, to <b@example.com>"),
    (NetworkError, "553 5.3.5 mx.example.com. config error: mail loops back to me (MX problem?)"),
    (HasMoved, "551 5.1.6 <a@example.com>... User has moved; please try <b@example.com>"),
    (MailerError, "554 5.3.0 unknown mailer error 2"),
    // qmail and its kin
    (UserUnknown, "Sorry, no mailbox here by that name. vpopmail (#5.1.1)"),
    (MailboxFull, "user over quota. (#5.1.1)"),
    (HostUnknown, "Sorry, I couldn't find any host named example.invalid. (#5.1.2)"),
    (NetworkError, "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)"),
    (HostUnknown, "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)"),
    (NoRelaying, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
    (NetworkError, "CNAME lookup failed temporarily. (#4.4.3)"),
    (MessageTooBig, "552 sorry, that message size exceeds my databytes limit (#5.3.4)"),
    (NetworkError, "This message is looping: it already has my Delivered-To line. (#5.4.6)"),
    (Rejected, "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)"),
    (SystemError, "Unable to switch to this user's home directory. (#4.3.0)"),
    // Exim
    (UserUnknown, "Unrouteable address"),
    (UserUnknown, "550 Unknown user"),
    (HostUnknown, "all relevant MX records point to non-existent hosts"),
    (NotAccept, "an MX or SRV record indicated no SMTP service"),
    (Expired, "retry timeout exceeded"),
    (NoRelaying, "550 relay not permitted"),
    (Rejected, "550 Sender verify failed"),
    (MessageTooBig, "552 Message size exceeds maximum permitted"),
    (Expired, "all hosts for 'example.com' have been failing for a long time (and retry time not reached)"),
    (NetworkError, "550 Too many \"Received\" headers - suspected mail loop"),
    (MailerError, "local delivery failed"),
    (MailboxFull, "mailbox is full (MTA-imposed quota exceeded while writing to file /var/mail/someone)"),
    (ContentError, "550 Administrative prohibition: message contains NUL characters"),
    (PolicyViolation, "550 Administrative prohibition"),
    // Exchange and Exchange Online
    (UserUnknown, "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"),
    (
        UserUnknown,
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient someone@example.com not found by SMTP address lookup",
    ),
    (
        UserUnknown,
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [X.eop-eur05.prod.protection.outlook.com]",
    ),
    (NoRelaying, "550 5.4.1 [a@example.com]: Relay access denied"),
    (NoRelaying, "550 5.7.64 TenantAttribution; Relay Access Denied [X.protection.outlook.com]"),
    (
        MailboxFull,
        "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
    ),
    (Speeding, "550 5.2.2 STOREDRV.Submit; Submission quota exceeded"),
    (ExceedLimit, "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient"),
    (
        Rejected,
        "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group",
    ),
    (Blocked, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]"),
    (AuthFailure, "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification"),
    (AuthFailure, "550 5.7.23 The message was rejected because of Sender Policy Framework violation"),
    (
        Rejected,
        "550 5.1.8 Access denied, bad outbound sender. For more information please go to http://go.microsoft.com/fwlink/?LinkId=875724. S(9999)",
    ),
    (Rejected, "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains"),
    (NetworkError, "554 5.4.14 Hop count exceeded - possible mail loop ATTR34"),
    (Expired, "550 4.4.7 QUEUE.Expired; message expired"),
    (Expired, "550 5.4.300 Message expired -> 421 4.4.2 Connection dropped"),
    (HostUnknown, "550 5.4.310 DNS domain example.invalid does not exist [Message=InfoDomainNonexistent]"),
    (
        FailedStarttls,
        "550 5.4.317 Message expired, cannot establish session with remote server [Message=451 5.7.3 STARTTLS is required to send mail]",
    ),
    (SecurityError, "530 5.7.57 Client not authenticated to send mail"),
    (SpamDetected, "550 5.7.501 Service unavailable, spam abuse detected from 192.0.2.1"),
    (
        PolicyViolation,
        "550 5.7.520 Access denied, Your organization does not allow external forwarding. Please contact your administrator for further assistance. AS(7555)",
    ),
    (
        BadReputation,
        "421 RP-001 (BAY004-MC1F1) Unfortunately, some messages from 192.0.2.1 weren't sent. The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed. Reason for rate limitation is related to IP/domain reputation.",
    ),
    (
        Blocked,
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).",
    ),
    (
        Blocked,
        "550 SC-001 (BAY004-MC1F1) Unfortunately, messages from 192.0.2.1 weren't sent. Please contact your Internet service provider since part of their network is on our block list.",
    ),
    (UserUnknown, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)."),
    (TooManyConnections, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded"),
    (TooManyConnections, "452 4.5.3 Too many recipients"),
    (TooManyConnections, "451 4.5.3 Too many recipients (AS780090)"),
    (Suspend, "550 5.2.1 Mailbox cannot be accessed; mailbox disabled"),
    // Google
    (
        UserUnknown,
        "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. For more information, go to 550 5.1.1 https://support.google.com/mail/?p=NoSuchUser x - gsmtp",
    ),
    (
        Suspend,
        "550-5.2.1 The email account that you tried to reach is disabled. For more information, go to 550 5.2.1 https://support.google.com/mail/?p=DisabledUser x - gsmtp",
    ),
    (
        MailboxFull,
        "452-4.2.2 The recipient's inbox is out of storage space. Please direct the 452-4.2.2 recipient to 452 4.2.2 https://support.google.com/mail/?p=OverQuotaTemp x - gsmtp",
    ),
    (
        Speeding,
        "450-4.2.1 The user you are trying to contact is receiving mail at a rate that 450-4.2.1 prevents additional messages from being delivered. 450 4.2.1 https://support.google.com/mail/?p=ReceivingRate x - gsmtp",
    ),
    (
        Speeding,
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.",
    ),
    (
        SpamDetected,
        "550-5.7.1 Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.",
    ),
    (
        BadReputation,
        "421-4.7.0 This message is suspicious due to the nature of the content and/or the very low reputation of the sending IP address",
    ),
    (
        AuthFailure,
        "550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.",
    ),
    (AuthFailure, "550-5.7.1 Unauthenticated email from example.com is not accepted due to domain's DMARC policy."),
    (
        RequirePtr,
        "550-5.7.25 The IP address sending this message does not have a PTR record setup, or the corresponding forward DNS entry does not point to the sending IP.",
    ),
    (
        VirusDetected,
        "552-5.7.0 This message was blocked because its content presents a potential security issue. Please visit https://support.google.com/mail/?p=BlockedMessage",
    ),
    (
        MessageTooBig,
        "552-5.3.4 Your message exceeded Google's message size limits. Please visit https://support.google.com/mail/?p=MaxSizeError",
    ),
    (SyntaxError, "553-5.1.3 The recipient address <a@> is not a valid RFC-5321 address."),
    (NotCompliantRfc, "550-5.7.1 [192.0.2.1] Messages missing a valid messageId header are not accepted."),
    (Speeding, "550 5.4.5 Daily user sending limit exceeded. https://support.google.com/mail/?p=UserDailyLimit"),
    (
        PolicyViolation,
        "550-5.7.1 The user or domain that you are sending to (or from) has a policy that prohibited the mail that you sent.",
    ),
    // Yahoo, AOL
    (
        UserUnknown,
        "554 delivery error: dd Requested mail action aborted - This user doesn't have a yahoo.com account (someone@yahoo.com) [0] - mta1.mail.yahoo.com",
    ),
    (UserUnknown, "552 1 Requested mail action aborted, mailbox not found"),
    (Suspend, "554 30 Sorry, your message to someone@aol.com cannot be delivered. This mailbox is disabled (554.30)."),
    (MailboxFull, "552 This user is over quota"),
    (
        BadReputation,
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
    ),
    (
        BadReputation,
        "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
    ),
    (
        PolicyViolation,
        "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
    ),
    (Blocked, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list"),
    (SpamDetected, "554 5.7.5 Message rejected as spam: AUP#1260"),
    // Apple
    (MailboxFull, "552 5.2.2 <a@icloud.com>: user is over quota"),
    (UserUnknown, "550 5.1.1 <a@icloud.com>: user does not exist"),
    (
        PolicyViolation,
        "550 5.7.1 [HM08] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
    ),
    (Blocked, "554 5.7.1 [HME1] This message was blocked: your IP is listed"),
    // Comcast, Charter, AT&T, Cox
    (UserUnknown, "550 5.1.1 Not our Customer <a@comcast.net>"),
    (
        Speeding,
        "421 4.1.0 192.0.2.1 Throttled - try again later. Please see https://postmaster.comcast.net/smtp-error-codes.php#RL000010",
    ),
    (
        Blocked,
        "554 resimta mx.comcast.net comcast 192.0.2.1 Comcast block for spam. Please see https://postmaster.comcast.net/smtp-error-codes.php#BL000001",
    ),
    (RequirePtr, "421 mx.comcast.net comcast Reverse DNS failure: try again later."),
    (UserUnknown, "550 5.1.1 <a@att.net>... no such user"),
    (
        Blocked,
        "553 5.3.0 flph829 DNSBL:ATTRBL 521< 192.0.2.1 >_is_blocked.For assistance forward this error to abuse_rbl@abuse-att.net",
    ),
    (UserUnknown, "550 5.1.1 unknown or illegal alias: a@example.com"),
    // European receivers
    (UserUnknown, "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR204_416 [416]"),
    (MailboxFull, "552 5.2.2 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]"),
    (
        TooManyConnections,
        "421 mwinf5c04 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]",
    ),
    (
        Blocked,
        "550 mwinf5c08 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102 Ref http://csi.cloudmark.com [102]",
    ),
    (
        UserUnknown,
        "550 Requested action not taken: mailbox unavailable For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=mbu",
    ),
    (
        Blocked,
        "554-No SMTP service IP address is black listed. For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=bl",
    ),
    (
        MailboxFull,
        "552-Requested mail action aborted: exceeded storage allocation 552-Quota exceeded. For explanation visit https://postmaster.web.de/",
    ),
    (
        Blocked,
        "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (BL)",
    ),
    (UserUnknown, "550 5.1.1 <a@libero.it> recipient rejected"),
    (UserUnknown, "550 RCP-P1 http://postmaster.free.fr User unknown"),
    (BadReputation, "421 Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/"),
    // Russia
    (
        UserUnknown,
        "550 Message was not accepted -- invalid mailbox. Local mailbox a@mail.ru is unavailable: user not found",
    ),
    (
        Suspend,
        "550 Message was not accepted -- invalid mailbox. Local mailbox a@mail.ru is unavailable: account is disabled",
    ),
    (MailboxFull, "550 Message was not accepted -- mailbox full: a@mail.ru over quota"),
    (
        SpamDetected,
        "550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=x or report details to abuse@corp.mail.ru.",
    ),
    (SpamDetected, "554 5.7.1 [1] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc"),
    (UserUnknown, "550 5.7.1 No such user!"),
    (Suspend, "550 5.7.1 Policy rejection on the target address: user is blocked"),
    // China, Japan, Korea
    (UserUnknown, "550 Mailbox not found. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000728"),
    (SpamDetected, "550 Mail content denied. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000726"),
    (TooManyConnections, "550 Ip frequency limited. http://service.mail.qq.com/"),
    (UserUnknown, "550 User not found: a@163.com"),
    (UserUnknown, "550 Invalid User: a@126.com"),
    (MailboxFull, "552 Quota exceeded or service disabled"),
    (SpamDetected, "554 DT:SPM 163 mx1,x, please see http://mail.163.com/help/help_spam_16.htm"),
    (UserUnknown, "550 Unknown user a@docomo.ne.jp"),
    (UserUnknown, "550 <a@ezweb.ne.jp>: User unknown"),
    (UserUnknown, "550 Invalid recipient: <a@softbank.ne.jp>"),
    (UserUnknown, "550 5.1.1 No such user x - nsmtp"),
    (MailboxFull, "552 5.2.2 Over quota x - nsmtp"),
    // Gateways
    (UserUnknown, "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [x.uk123]"),
    (
        PolicyViolation,
        "550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550",
    ),
    (Rejected, "550 Rejected by header based manually Blocked Senders: a@example.com"),
    (
        Blocked,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using Barracuda Reputation; http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1",
    ),
    (Blocked, "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1"),
    (UserUnknown, "550 5.1.1 User Unknown - psmtp"),
    (UserUnknown, "550 No such user (a@example.com) -ERR a@example.com not found"),
    (UserUnknown, "550 #5.1.0 Address rejected."),
    (
        BadReputation,
        "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means.",
    ),
    (UserUnknown, "550 permanent failure for one or more recipients (a@example.com:550 5.1.1 User unknown)"),
    (PolicyViolation, "554 5.7.1 You are not allowed to connect; rejected by policy"),
    (Blocked, "550 5.7.1 Mail from 192.0.2.1 was rejected due to listing in Spamhaus SBL"),
    (SpamDetected, "554 5.7.1 Message scored too high on spam scale."),
    (SpamDetected, "550 This message was classified as SPAM and may not be delivered"),
    (VirusDetected, "554 5.7.1 virus Win.Test.EICAR_HDB-1 detected by ClamAV - http://www.clamav.net"),
    (VirusDetected, "552 5.7.0 Message contains malware"),
    (VirusDetected, "554 rejected due to virus"),
    (PolicyViolation, "451 4.7.1 Greylisting in action, please come back later"),
    (
        PolicyViolation,
        "450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html",
    ),
    (SystemError, "421 Service not available, closing transmission channel"),
    // Sending services
    (
        Suppressed,
        "Amazon SES did not send the message to this address because it is on the suppression list for your account.",
    ),
    (Suppressed, "550 5.1.1 Recipient address suppressed: on account suppression list"),
    (Suppressed, "Not delivering to previously bounced address"),
    (Suppressed, "550 5.0.0 Bounced Address"),
    // Codes alone
    (UserUnknown, "550 5.1.1"),
    (MailboxFull, "552 5.2.2"),
    (HostUnknown, "550 5.1.2"),
    (HasMoved, "551"),
    (NotAccept, "556"),
    (NotAccept, "521 mx.example.com does not accept mail"),
    (AuthFailure, "550 5.7.20"),
    (RequirePtr, "550 5.7.25"),
    (MessageTooBig, "552 5.3.4"),
    (ExceedLimit, "550 5.2.3"),
    (OnHold, "550 Error"),
    (PolicyViolation, "550 5.7.1"),
];

#[test]
fn what_servers_say_is_understood() {
    let mut wrong = Vec::new();
    for &(reason, remote) in SAID {
        check(&mut wrong, reason, remote);
    }
    assert!(wrong.is_empty(), "{}\n{} of {} wrong", wrong.join("\n"), wrong.len(), SAID.len());
}
