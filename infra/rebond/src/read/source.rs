//! Where messages come from: files, folders, Maildirs, mbox files, standard input.

use rebond::limits;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// One message, or the reason why it cannot be had.
#[derive(Debug)]
pub enum Message {
    /// A file, read when its turn comes.
    File(PathBuf),
    /// A message that was cut out of a stream.
    Cut { name: String, bytes: Vec<u8> },
    /// Something that could not be opened.
    Missing(String),
}

impl Message {
    /// The path that is shown.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Message::File(path) => path.to_string_lossy(),
            Message::Cut { name, .. } => Cow::Borrowed(name),
            Message::Missing(_) => Cow::Borrowed(""),
        }
    }

    /// The message's bytes, no more than are read of one and one more, so that the cut is told.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Message::File(path) => {
                let mut bytes = Vec::new();
                File::open(path)
                    .and_then(|file| file.take(limits::MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes))
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Cow::Owned(bytes))
            }
            Message::Cut { bytes, .. } => Ok(Cow::Borrowed(bytes)),
            Message::Missing(error) => Err(error.clone()),
        }
    }
}

/// Everything that the arguments name, in order.
pub struct Messages {
    waiting: VecDeque<PathBuf>,
    opened: usize,
    mbox: Option<Mbox>,
}

impl Messages {
    /// The messages of these paths.
    pub fn of(paths: Vec<PathBuf>) -> Self {
        let mut waiting = VecDeque::new();
        for path in paths {
            if path.is_dir() { add_folder(&path, &mut waiting) } else { waiting.push_back(path) }
        }
        Messages { waiting, opened: 0, mbox: None }
    }

    /// Files that are known of.
    pub fn total(&self) -> usize {
        self.opened + self.waiting.len()
    }

    /// Files that were begun.
    pub fn opened(&self) -> usize {
        self.opened
    }

    /// The next messages, at most so many and about so many bytes. Empty at the end.
    pub fn next_batch(&mut self, most: usize, bytes: usize) -> Vec<Message> {
        let (mut batch, mut held) = (Vec::new(), 0);
        while batch.len() < most && held < bytes {
            let Some(message) = self.next() else { break };
            held += match &message {
                Message::Cut { bytes, .. } => bytes.len(),
                Message::File(path) => path.metadata().map_or(0, |m| (m.len() as usize).min(limits::MESSAGE_BYTES)),
                Message::Missing(_) => 0,
            };
            batch.push(message);
        }
        batch
    }

    fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(mbox) = &mut self.mbox {
                match mbox.next() {
                    Some(message) => return Some(message),
                    None => self.mbox = None,
                }
            }
            let path = self.waiting.pop_front()?;
            self.opened += 1;
            let opened: Result<Box<dyn Read>, _> = if path.as_os_str() == "-" {
                Ok(Box::new(std::io::stdin()))
            } else {
                File::open(&path).map(|file| Box::new(file) as Box<dyn Read>)
            };
            let stream = match opened {
                Ok(stream) => BufReader::new(stream),
                Err(error) => return Some(Message::Missing(format!("{}: {error}", path.display()))),
            };
            match Mbox::open(path, stream) {
                Ok(Opened::Mbox(mbox)) => self.mbox = Some(mbox),
                Ok(Opened::File(path)) => return Some(Message::File(path)),
                Err(error) => return Some(Message::Missing(error)),
            }
        }
    }
}

/// Every file beneath a folder, sorted. Of a Maildir, the messages and not what the server keeps beside them.
fn add_folder(folder: &Path, found: &mut VecDeque<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        found.push_back(folder.to_owned()); // opening it will tell why not
        return;
    };
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    entries.sort();
    let maildir = folder.join("cur").is_dir() && folder.join("new").is_dir();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = name.starts_with('.');
        if path.is_symlink() && path.is_dir() {
            continue; // a link may lead back here
        } else if path.is_dir() {
            if !(maildir && name == "tmp") && (!hidden || maildir) {
                add_folder(&path, found);
            }
        } else if !maildir && !hidden {
            found.push_back(path);
        }
    }
}

enum Opened {
    Mbox(Mbox),
    File(PathBuf),
}

/// An mbox file (RFC 4155), cut as it is read.
struct Mbox {
    name: String,
    lines: BufReader<Box<dyn Read>>,
    number: usize,
    /// The separator line that begins the next message.
    separator: Option<Vec<u8>>,
    single: bool,
}

impl Mbox {
    /// Opens a stream: a file that is no mbox is left to be read whole.
    fn open(path: PathBuf, mut lines: BufReader<Box<dyn Read>>) -> Result<Opened, String> {
        let name = path.to_string_lossy().into_owned();
        let stdin = name == "-";
        let front = lines.fill_buf().map_err(|error| format!("{name}: {error}"))?;
        if !front.starts_with(b"From ") && !stdin {
            return Ok(Opened::File(path));
        }
        let single = !front.starts_with(b"From ");
        Ok(Opened::Mbox(Mbox { name, lines, number: 0, separator: Some(Vec::new()), single }))
    }

    fn next(&mut self) -> Option<Message> {
        let mut bytes = self.separator.take()?;
        let mut blank = false;
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line without an end is taken in pieces.
            match (&mut self.lines).take(limits::MESSAGE_BYTES as u64).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Some(Message::Missing(format!("{}: {error}", self.name))),
            }
            if blank && !self.single && is_separator(&line) {
                self.separator = Some(std::mem::take(&mut line));
                break;
            }
            blank = line.trim_ascii().is_empty();
            if bytes.len() <= limits::MESSAGE_BYTES {
                bytes.extend_from_slice(&line);
            }
        }
        if bytes.is_empty() && self.number > 0 {
            return None;
        }
        self.number += 1;
        // One message with an mbox line before it is a file like any other.
        let alone = self.number == 1 && self.separator.is_none();
        let name = if alone { self.name.clone() } else { format!("{}#{}", self.name, self.number) };
        Some(Message::Cut { name, bytes })
    }
}

/// `From sender date`, with a time of day and a year: what a sentence that begins so has not.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).skip(1);
    let time = |w: &[u8]| w.iter().filter(|c| **c == b':').count() >= 1 && w.first().is_some_and(u8::is_ascii_digit);
    let year = |w: &[u8]| w.len() == 4 && w.iter().all(u8::is_ascii_digit);
    let (mut timed, mut dated) = (false, false);
    for word in words.by_ref().take(10) {
        timed |= time(word);
        dated |= year(word);
    }
    timed && dated
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(paths: Vec<PathBuf>) -> Vec<String> {
        let mut messages = Messages::of(paths);
        let batch = messages.next_batch(100, 1 << 20);
        batch.iter().map(|m| m.name().rsplit('/').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn files_folders_maildirs_and_mboxes() {
        let at = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = at.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        put("folder/b.eml", "A: b\n\nx");
        put("folder/a.eml", "A: b\n\nx");
        put("folder/.hidden", "no");
        for file in ["box/cur/1", "box/new/2", "box/tmp/3", "box/dovecot.index", "box/.Sent/cur/4", "box/.Sent/new/5"] {
            put(file, "A: b\n\nx");
        }
        let two = "From a@b Thu Apr 29 23:34:45 2015\nA: 1\n\nFrom here on.\n\nFrom a@b Thu Apr 29 23:34:45 2015\nA: 2\n\nx\n";
        let mbox = put("two.mbox", two);
        let one = put("one.eml", "From a@b Thu Apr 29 23:34:45 2015\nA: 1\n\nx\n");
        assert_eq!(names(vec![at.path().join("folder")]), ["a.eml", "b.eml"]);
        assert_eq!(names(vec![at.path().join("box")]), ["4", "5", "1", "2"]);
        assert_eq!(names(vec![mbox, one]), ["two.mbox#1", "two.mbox#2", "one.eml"]);
    }

    #[test]
    fn what_is_missing_is_told_in_its_place() {
        let batch = Messages::of(vec![PathBuf::from("/nowhere/at/all")]).next_batch(10, 10);
        assert!(batch[0].bytes().is_err_and(|e| e.contains("/nowhere/at/all")));
    }
}
