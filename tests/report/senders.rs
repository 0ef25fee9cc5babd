//! Messages in the forms of many senders, and automatic replies beside ordinary mail that looks like them: what each must
//! be read as stands above it.

use rebond_report::read;

/// The messages of a file, each with the words of its heading.
fn messages(file: &str) -> Vec<(Vec<&str>, &str)> {
    let blocks = file.split("\n==== ").skip(1);
    blocks.filter_map(|block| block.split_once('\n')).map(|(head, mail)| (head.split(' ').collect(), mail)).collect()
}

fn check(file: &str, at_least: usize) {
    let all = messages(file);
    assert!(all.len() >= at_least, "{} messages", all.len());
    let mut wrong = Vec::new();
    for (head, mail) in all {
        let report = read(mail.as_bytes());
        let mut found = vec![head[0].to_owned(), report.kind.as_str().to_owned()];
        if head.len() > 2 {
            found.extend(report.recipients.iter().flat_map(|o| [o.address.clone(), o.reason.as_str().to_owned()]));
        }
        let fits = |(said, wanted): (&String, &&str)| wanted.split('|').any(|one| one == said);
        if found.len() != head.len() || !found.iter().zip(&head).all(fits) {
            wrong.push(format!("{} is read as {}", head.join(" "), found[1..].join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn senders_of_all_kinds_are_understood() {
    check(include_str!("../fixtures/senders.mails"), 60);
}

#[test]
fn automatic_replies_are_told_from_ordinary_mail() {
    check(include_str!("../fixtures/replies.mails"), 90);
}
