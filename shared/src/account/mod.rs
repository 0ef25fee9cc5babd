//! Apps and accounts: what the operator named, checked at the edge so that nothing below re-checks it.

mod app;
mod forecast;
mod forwarding;
mod health;
mod id;
pub mod lint;
mod settings;

pub use app::{App, Cloud, Credential, OpenIdProvider, SecretSource, Tenant};
pub use forecast::{Ending, Forecast, SignInEnded};
pub use forwarding::{Forwarding, RelayLogin};
pub use health::{Health, HealthState, state_after_refusal};
pub use id::{AccountId, AppId, EndpointId, InvalidId, KeyId, ListId, RouteId, RuleId};
pub use settings::{
    Account, AfterReading, Authentication, Encryption, Invalid, Limits, Protocol, Purpose, Server, Since,
    check_sends_as,
};
