//! What follows from outcomes: may an address be written to? Pure: the clock is an argument.
//!
//! An outcome that says something about an address is a [`Cause`]; the causes of an address on a list, bounded and
//! without order, are its [`History`]; [`read`] folds them, by the thresholds of the [`List`], into a [`Standing`].
//! So the same outcomes in any order, any number of times, give one standing, and it ends by the clock when it is read.

mod address;
mod campaign;
mod effect;
mod fold;
mod history;
mod hold;
mod list;

pub use address::{AddressKey, NoAddress};
pub use campaign::adobe_reason_code;
pub use effect::{Effect, effect};
pub use fold::{Standing, State, read, read_held};
pub use history::{Act, Cause, Deed, History, mark};
pub use hold::Hold;
pub use list::{List, Thresholds};

#[cfg(test)]
mod replace_tests;
#[cfg(test)]
mod tests;
