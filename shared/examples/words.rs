//! Prints what a text on standard input announces.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
fn main() {
    let text = std::io::read_to_string(std::io::stdin()).unwrap();
    for f in rebond::report::words::in_body(&text) {
        println!("{:?} {} {:?}", f.notice, f.rule, &text[f.span]);
    }
    println!("subject: {:?}", rebond::report::words::in_subject(text.lines().next().unwrap_or_default()));
}
