//! Every bound on what a message can make the reader do.

/// Bytes of one message that are fetched and read; a longer one is cut here and says so.
/// A report's machine-readable part stands near its front: the returned message is what is long.
pub const MESSAGE_BYTES: usize = 4 << 20;
/// Bytes of one header field after unfolding; the rest is cut.
pub const HEADER_BYTES: usize = 16 << 10;
/// Header fields read of one entity.
pub const HEADERS: usize = 1_000;
/// Parts looked at in one message.
pub const PARTS: usize = 256;
/// Nesting of multiparts and attached messages that is followed.
pub const DEPTH: usize = 12;
/// Outcomes kept of one report.
pub const RECIPIENTS: usize = 10_000;
/// Characters kept of a diagnostic text.
pub const DIAGNOSTIC_CHARS: usize = 2_000;
/// Characters kept of an address: RFC 5321 §4.5.3.1 allows 64 + 1 + 255; prefixes come on top.
pub const ADDRESS_CHARS: usize = 400;
/// Decoded bytes of a text part that are read as a notice.
pub const NOTICE_BYTES: usize = 64 << 10;
/// Recipients of one report for whom the words for people are searched one by one; the fields of
/// the machine-readable part are read for all of them.
pub const SEARCHED_RECIPIENTS: usize = 20;
/// Characters of evidence shown.
pub const EVIDENCE_CHARS: usize = 300;
