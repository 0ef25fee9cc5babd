//! Sockets, by one policy: what may be reached, resolving then connecting to the checked address, TLS, HTTP as one
//! function.

mod certificate;
mod connect;
mod http;
mod reach;
mod tls;

pub use self::certificate::{Certificate, Seen};
pub use self::connect::{connect_to, resolve};
pub use self::http::{Http, retry_after};
pub use self::reach::{Reach, Refused, is_near};
pub use self::tls::{Tls, TlsFault, protocol};

/// Why a connection or an HTTP exchange failed, in a sentence for a person. Never holds a URL's query or a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The name has no address, or the resolver did not answer.
    #[error("{host} could not be resolved: {why}")]
    Resolve {
        /// The name asked for.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// The reach policy forbids every address of the host.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No address of the host took the connection, or it broke.
    #[error("no connection to {host} port {port}: {why}")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the system said.
        why: String,
    },
    /// Nothing came within the time allowed.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The answer is longer than we read.
    #[error("{host} answered with more than {limit} bytes")]
    TooLong {
        /// The host.
        host: String,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The exchange broke in another way.
    #[error("{host}: {why}")]
    Http {
        /// The host.
        host: String,
        /// What broke.
        why: String,
    },
}

impl NetError {
    /// Whether the same attempt may succeed later without anybody acting.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Timeout(_) | Self::Http { .. } => true,
            Self::Tls(fault) => matches!(fault, TlsFault::Broken(_)),
            Self::Refused(_) | Self::TooLong { .. } => false,
        }
    }
}
