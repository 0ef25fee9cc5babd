//! OAuth 2.0 for a mailbox: requests and answers of each grant flow. Pure: the random bytes, the clock
//! and the HTTP function are arguments.
//!
//! The request itself is sent by [`crate::grant`], the one caller of the token endpoint.

mod answer;
pub mod assertion;
pub mod claims;
mod code;
pub mod entra;
mod id_token;
mod invitation;
pub mod open_id;
pub mod provider;
mod state;

pub use answer::{Refusal, TokenResponse, Tokens, accept};
pub use code::{Endpoint, admin_consent_url, authorization_url, endpoint};
pub use id_token::{IdTokenError, Principal, verify_id_token};
pub use invitation::{Invitation, InvitationError};
pub use state::{Pending, SigningKey, sha256_hex};
