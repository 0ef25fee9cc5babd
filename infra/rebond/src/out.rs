//! Standard output: `println!` and `print!` of this crate. Those of the standard library panic when the reader has gone
//! (`rebond reports bounces | head`); here what nobody reads any more is not written, and the command goes on to its end.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes text; whatever else than a reader that went away hinders it is said once on standard error.
pub fn write(text: Arguments<'_>) {
    match std::io::stdout().lock().write_fmt(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => eprintln!("rebond: standard output: {error}"),
        _ => {}
    }
}

macro_rules! print {
    ($($words:tt)*) => { $crate::out::write(format_args!($($words)*)) };
}

macro_rules! println {
    () => { $crate::out::write(format_args!("\n")) };
    ($($words:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($words)*))) };
}
