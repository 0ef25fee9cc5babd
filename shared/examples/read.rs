//! Reads files or directories and prints one JSON object for each message.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
fn main() {
    let mut files: Vec<std::path::PathBuf> = std::env::args().skip(1).map(Into::into).collect();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let mut value = serde_json::to_value(rebond::report::read(&std::fs::read(&path).unwrap())).unwrap();
        value["path"] = path.to_string_lossy().into();
        println!("{value}");
    }
}
