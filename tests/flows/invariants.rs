//! "Must never be", by number: what the compiler does not keep by itself. ARCHITECTURE.md lists them.

use rebond_tests::process::workspace;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name and version of every crate that a tree holds.
fn crates(arguments: &[&str]) -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn versions<'a>(crates: &'a BTreeSet<(String, String)>, name: &str) -> Vec<&'a str> {
    crates.iter().filter(|(of, _)| of == name).map(|(_, version)| version.as_str()).collect()
}

/// The Rust files below a folder of the workspace.
fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => walk(&path, found),
                false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&workspace().join(folder), &mut found);
    found.sort();
    found
}

/// A file's code: without comments, and without the test module that ends it.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Whether a file is compiled for tests alone: its room says so.
fn is_for_tests(path: &Path) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_stem()) else { return false };
    let room = std::fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    room.contains(&format!("#[cfg(test)]\nmod {};", name.display()))
}

/// Whether `word` stands in `code` as an identifier or path of its own.
fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(part) && (word.ends_with('_') || !after.is_some_and(part))
    })
}

#[test]
fn the_search_for_a_name_finds_names() {
    for (code, word, expected) in [
        ("use tokio::net::TcpStream;", "tokio", true),
        ("let tokios = 1;", "tokio", false),
        ("aws_sdk_dynamodb::Client", "aws_", true),
        ("let draws_ = 1;", "aws_", false),
        ("std::time::Instant::now()", "Instant", true),
        ("Instantaneous", "Instant", false),
    ] {
        assert_eq!(names(code, word), expected, "{word} in {code}");
    }
}

/// What a pure room may not name: services, threads, sockets, files, environment, clocks, random sources.
const IMPURE: &[&str] = &[
    "aws_",
    "tokio",
    "reqwest",
    "rustls",
    "async_imap",
    "dynoxide",
    "std::net",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "rand",
    "SystemRandom",
    "new_v4",
    "now_v7",
    "thread_local",
];

const PURE_ROOMS: &[&str] = &["standing", "incident", "oauth", "account", "advice", "proof", "events"];

#[test]
fn invariant_1_pure_rooms_name_no_service_socket_file_clock_or_random_source() {
    let mut read = 0;
    let files =
        ["cursor", "erase", "forward", "page", "qualify"].map(|file| workspace().join(format!("shared/src/{file}.rs")));
    for room in PURE_ROOMS.iter().copied().chain(["files", "report"]) {
        let of_room = match room {
            "files" => files.to_vec(),
            "report" => sources("shared/report/src"),
            _ => sources(&format!("shared/src/{room}")),
        };
        for path in of_room {
            if is_for_tests(&path) {
                continue;
            }
            let code = code(&path);
            read += 1;
            for word in IMPURE {
                // A standard trait for addresses in text is no socket.
                let code = code
                    .replace("std::net::IpAddr", "")
                    .replace("std::net::Ipv4Addr", "")
                    .replace("std::net::Ipv6Addr", "");
                assert!(!names(&code, word), "{} names {word}", path.display());
            }
        }
    }
    assert!(read > 10, "only {read} files were read");
}

#[test]
fn invariant_1_the_common_crate_without_features_has_no_runtime_and_no_socket() {
    let pure = crates(&["-p", "rebond", "--no-default-features", "-e", "normal"]);
    assert!(pure.iter().any(|(name, _)| name == "rebond"));
    for (name, _) in &pure {
        let banned = ["tokio", "mio", "socket2", "hyper", "reqwest", "rustls", "async-imap", "lambda_runtime"];
        assert!(!banned.contains(&name.as_str()) && !name.starts_with("aws-"), "{name}");
    }
}

/// Whether a path begins with a crate of AWS. A log filter may name one in a string.
fn names_aws(code: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .any(|path| path.trim_start_matches("::").starts_with("aws_") && path.contains("::"))
}

#[test]
fn invariant_2_aws_crates_are_named_in_their_rooms_alone() {
    let allowed = [
        "shared/src/table/",
        "shared/src/vault/",
        "shared/src/queue/",
        "shared/src/identity/",
        "shared/src/deployment",
        // The shapes of events, which are the functions' own input.
        "functions/bounce-poll/src/lib.rs",
        "functions/event-delivery/src/lib.rs",
        "functions/standing-update/src/lib.rs",
    ];
    let mut found = 0;
    for path in sources("shared").into_iter().chain(sources("functions")) {
        let name = path.strip_prefix(workspace()).unwrap().display().to_string();
        let is_main = name.ends_with("/main.rs");
        if names_aws(&code(&path)) {
            found += 1;
            assert!(is_main || allowed.iter().any(|place| name.starts_with(place)), "{name} names aws_*");
        }
    }
    assert!(found > 3, "only {found} files name aws_*: the search is broken");
}

/// Of all code what hands mail to a server is one file, and what calls it two more: one only forwards, and the other, which
/// is the doctor's, goes no further than the login.
#[test]
fn invariant_4_mail_is_sent_by_forwarding_alone() {
    let (mut sends, mut calls) = (vec![], vec![]);
    for path in sources("shared").into_iter().chain(sources("functions")).chain(sources("infra/rebond")) {
        if is_for_tests(&path) {
            continue;
        }
        let (name, code) = (path.strip_prefix(workspace()).unwrap().display().to_string(), code(&path));
        // As a command, and as a call: what is said of them is no sending.
        if ["\"MAIL FROM:", "sendMail", "SendEmail", "SendRawEmail"].iter().any(|words| code.contains(words)) {
            sends.push(name.clone());
        }
        if names(&code, "submission") && name != "shared/src/mailbox/mod.rs" {
            calls.push(name);
        }
    }
    assert_eq!(sends, ["shared/src/mailbox/submission/mod.rs"]);
    assert_eq!(calls, ["shared/src/doctor/forwarding.rs", "shared/src/poll/forward.rs"]);
    assert!(!code(&workspace().join(&calls[0])).contains(".send("), "the doctor sends nothing");
}

#[test]
fn each_dependency_has_its_reason_in_the_architecture() {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[workspace.dependencies]\n").unwrap();
    let table = rest.split("\n[").next().unwrap();
    let foreign = table.lines().filter(|line| !line.starts_with('#') && !line.contains("path = "));
    let used: BTreeSet<&str> = foreign.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let document = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = document.split_once("| crate | for | instead of |\n|---|---|---|\n").unwrap();
    let rows = rest.lines().take_while(|line| line.starts_with("| "));
    let named: Vec<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split(','))
        .filter_map(|name| name.split_whitespace().next())
        .collect();
    assert!(used.len() > 50, "only {} dependencies were read", used.len());
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), used);
    assert_eq!(named.len(), used.len(), "a crate has two rows");
}

#[test]
fn each_main_only_wires_its_function() {
    let mains: Vec<_> = sources("functions").into_iter().filter(|path| path.ends_with("src/main.rs")).collect();
    assert!(mains.len() >= 5);
    for path in mains {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 60, "{} has {lines} lines", path.display());
    }
}

#[test]
fn one_crypto_provider_one_tls_stack_one_http_client() {
    let all = crates(&["--workspace", "-e", "normal,build"]);
    for banned in [
        "aws-lc-rs",
        "aws-lc-sys",
        "aws-lc-fips-sys",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "s2n-tls",
        "mbedtls",
        "curl",
        "ureq",
        "isahc",
        "surf",
        "attohttpc",
        "minreq",
        "awc",
    ] {
        assert_eq!(versions(&all, banned), [""; 0], "{banned}");
    }
    for single in ["ring", "rustls", "tokio-rustls", "hyper", "reqwest", "tokio", "h2"] {
        assert!(versions(&all, single).len() <= 1, "{single}: {:?}", versions(&all, single));
    }
    for present in ["ring", "rustls", "hyper", "reqwest"] {
        assert_eq!(versions(&all, present).len(), 1, "{present}");
    }
}
