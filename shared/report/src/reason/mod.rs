//! Why a message came back: the words and codes said about one recipient, weighed.
//!
//! # The order of evidence
//! 1. **The refusing server's words**, by the rules in `rules/`, decisive ones (`!`, a server's own token) first.
//! 2. **The enhanced code within those words** (RFC 3463), where it says enough: `5.1.1` does, `5.7.1` does not.
//! 3. **The reply code** (RFC 5321 §4.2), where it says enough: `551`, `556`. What PowerMTA made of words and codes
//!    (`bad-mailbox`) comes next, where it says enough.
//! 4. **The Status field** (RFC 3464 §2.3.4). `5.0.0` says nothing; neither does a `5.1.1` that the reporting server
//!    made of a bare "550 denied".
//! 5. **The reporting server's own words.**
//! 6. **Weak words** (`~`, such as "recipient rejected"), the refusing server's first; then **hints** (`?`): one telling word
//!    of the refusing server's, such as "relay" or "certificate", in a sentence that no phrase reads; then a bare
//!    refusal (`=`, "denied"). No hint is hard. What a bare refusal refused, the step of the dialogue tells where it is
//!    stated: the host at the greeting, the sender after MAIL.
//! 7. **Codes that say little**: `5.7.1` alone is a policy, `4.3.0` alone a fault of the system.
//! 8. **What the refusing server's sentences mean**, where nothing else reads them: `rules/concepts` names what a sentence
//!    may speak of and say, `rules/meanings` which of them together give a reason, in whatever order they stand.
//! 9. What is still being tried is late (`expired`); words that nobody can read are `on-hold`; where no word
//!    and no code says anything (`5.0.0` does not) the verdict is `undefined`.
//!
//! Where two rules of one rank fit one text, the table that stands first in `rules/order` wins (and in it the rule that
//! stands first): a full mailbox before an unknown user. A destination whose published code list gives a code a meaning
//! of its own is asked before the common registry ([`code`]), and one that says less on the wire than in its own
//! sentence is read there first ([`code::speaks_in_its_own_sentence`]). Weak words make no dead address where a code beside them says "for now" or
//! "by policy". How a delivery program ended (`X-Unix; 77`) comes after what it said.
//!
//! Words before the answer that a text quotes ("…rejected by the server; it said: 550 …") lead up to it, and count after
//! the answer's own. A phrase never joins the words before `Recipient address rejected:` or `Reason:` to those after.
//!
//! *Hard* follows from the reason alone ([`Reason::is_hard`]), except that a host which takes no mail *for now* is not
//! dead. *Permanent* follows from the class of the best status, or else of the reply code, or else from the action.
//!
//! # How a rule is added
//! Each table `rules/REASON.rules` holds the rules of one reason. At the margin stand the rule's id, its language and
//! its source; below it, indented, phrases, and after `>` examples of what a server really says:
//!
//! ```text
//! box-full en RFC 3463 §3.3 (X.2.2 Mailbox full)
//!   {box} ..3 {full}
//!   > 552 5.2.2 <a@example.com>: user is over quota
//! ```
//!
//! A phrase is a row of words (see [`crate::words::token`] for what a word is). `(a|b c)` is either of two,
//! `{box}` one of a named set of `rules/sets`, `stem*` any word that begins so, `word?` may be missing, `..3` lets up
//! to three words stand between, `@` is an address, `:` a colon, `^` and `$` are the ends of the text. Case, accents, articles,
//! addresses, numbers and codes between words do not matter. The tests prove that each example is given the reason of
//! its table by its own rule, so a new rule cannot be dead and cannot be shadowed.

pub mod code;
mod meaning;
mod numbers;
mod stage;
mod tables;
mod weigh;

#[cfg(test)]
#[path = "../../../../tests/report/held_out.rs"]
mod held_out;
#[cfg(test)]
mod tests;

pub use weigh::weigh;
pub(crate) use weigh::{Numbers, numbers, weigh_lazily};

use super::{Action, Reason};

/// What a message says about one recipient. The texts are unfolded UTF-8 in their original case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clue<'a> {
    /// The refusing server's own words: Diagnostic-Code (RFC 3464 §2.3.6), or the SMTP answer that a report quotes.
    pub remote: &'a str,
    /// The reporting server's own words about this recipient.
    pub local: &'a str,
    /// What the reporting server made of the answer in a word: PowerMTA's `X-PowerMTA-BounceCategory`.
    pub category: &'a str,
    /// The Status field (RFC 3464 §2.3.4), such as `5.1.1`; a comment after it does no harm.
    pub status: Option<&'a str>,
    /// The Action field.
    pub action: Option<Action>,
    /// The address.
    pub address: &'a str,
    /// The host that refused.
    pub remote_mta: Option<&'a str>,
    /// The host that reports.
    pub reporting_mta: Option<&'a str>,
    /// It is still being tried.
    pub delayed: bool,
}

/// Which text or field decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// [`Clue::remote`].
    Remote,
    /// [`Clue::local`].
    Local,
    /// [`Clue::status`].
    Status,
    /// [`Clue::category`].
    Category,
    /// [`Clue::action`], or [`Clue::delayed`].
    Action,
    /// Nothing was said.
    Nothing,
}

/// The reason, and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// Whether the address is dead.
    pub hard: bool,
    /// Whether this message was refused for good.
    pub permanent: bool,
    /// The best enhanced status: that of the words, unless the field says more.
    pub status: Option<String>,
    /// SMTP reply code.
    pub reply_code: Option<u16>,
    /// Id of the rule, such as `user-unknown/box-gone` or `code/5.1.1`.
    pub rule: &'static str,
    /// The text or field that it read.
    pub source: Source,
    /// Whether words or a telling code decided, so that no more words need be asked for.
    pub sure: bool,
    /// The words, in bytes of that text.
    pub span: std::ops::Range<usize>,
}
