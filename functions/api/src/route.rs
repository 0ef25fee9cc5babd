//! What a path names.

use http::Method;
use rebond::standing::Deed;
use rebond::table::Scope;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /check`
    Check,
    /// `GET /addresses/{address}`
    Address(String),
    /// `POST /addresses/{address}/release|deny|quarantine`
    Decide(String, Deed),
    /// `GET /accounts`
    Accounts,
    /// `GET /reports`
    Reports,
    /// `GET /incidents`
    Incidents,
    /// `GET /deliveries`
    Deliveries,
    /// `POST /deliveries`
    Tell,
    /// `GET /deliveries/{id}`
    Delivery(String),
    /// `POST /deliveries/{id}/sent`
    Sent(String),
    /// `GET /openapi.json`
    Description,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const GET_AND_POST: &[Method] = &[Method::GET, Method::POST];

impl Route {
    /// What a key must be allowed.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Check => Scope::Check,
            Self::Address(_) | Self::Accounts | Self::Incidents | Self::Reports | Self::Description => Scope::Read,
            Self::Deliveries | Self::Delivery(_) => Scope::Read,
            Self::Tell | Self::Sent(_) => Scope::Deliveries,
            Self::Decide(..) => Scope::Write,
        }
    }

    /// The names that its query may hold.
    pub fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::Reports => &["account", "since", "limit", "cursor"],
            Self::Accounts | Self::Incidents | Self::Deliveries => &["limit", "cursor"],
            _ => &[],
        }
    }

    /// What is asked for by a method, where a path takes several.
    pub fn by(self, method: &Method) -> Self {
        match self {
            Self::Deliveries if method == Method::POST => Self::Tell,
            other => other,
        }
    }
}

/// What a path names, and the methods it takes.
pub fn find(path: &str) -> Option<(Route, &'static [Method])> {
    let rest = path.strip_prefix("/api/v1/")?;
    let mut segments = rest.split('/').map(decoded);
    let found = match (segments.next()?.as_str(), segments.next(), segments.next()) {
        ("check", None, None) => (Route::Check, POST),
        ("accounts", None, None) => (Route::Accounts, GET),
        ("reports", None, None) => (Route::Reports, GET),
        ("incidents", None, None) => (Route::Incidents, GET),
        ("deliveries", None, None) => (Route::Deliveries, GET_AND_POST),
        ("deliveries", Some(id), None) if !id.is_empty() => (Route::Delivery(id), GET),
        ("deliveries", Some(id), Some(sent)) if !id.is_empty() && sent == "sent" => (Route::Sent(id), POST),
        ("openapi.json", None, None) => (Route::Description, GET),
        ("addresses", Some(address), None) if !address.is_empty() => (Route::Address(address), GET),
        ("addresses", Some(address), Some(deed)) if !address.is_empty() => {
            let deed = match deed.as_str() {
                "release" => Deed::Released,
                "deny" => Deed::Denied,
                "quarantine" => Deed::Quarantined,
                _ => return None,
            };
            (Route::Decide(address, deed), POST)
        }
        _ => return None,
    };
    segments.next().is_none().then_some(found)
}

/// A segment of a path without its percent signs (RFC 3986 §2.1); what is no UTF-8 is replaced.
fn decoded(segment: &str) -> String {
    // What a form would read otherwise.
    let text = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_name_what_they_name_and_nothing_else() {
        let address = |path: &str| match find(path).unwrap().0 {
            Route::Address(address) => address,
            other => panic!("{other:?}"),
        };
        for (path, expected) in [
            ("jane@example.com", "jane@example.com"),
            ("jane%40example.com", "jane@example.com"),
            ("jane+news@example.com", "jane+news@example.com"),
            ("a%2Fb&c=d@example.com", "a/b&c=d@example.com"),
            ("50%25@example.com", "50%@example.com"),
            ("%C3%A9@example.com", "\u{e9}@example.com"),
            ("%ff@example.com", "\u{fffd}@example.com"),
        ] {
            assert_eq!(address(&format!("/api/v1/addresses/{path}")), expected);
        }
        let denied = Route::Decide("a@example.com".into(), Deed::Denied);
        assert_eq!(find("/api/v1/addresses/a@example.com/deny").unwrap().0, denied);
        assert_eq!(find("/api/v1/deliveries/march/sent").unwrap(), (Route::Sent("march".into()), POST));
        for path in [
            "",
            "/",
            "/api/v1",
            "/api/v1/",
            "/api/v2/check",
            "/api/v1/check/",
            "/api/v1/addresses",
            "/api/v1/addresses/",
            "/api/v1/addresses/a@b.example/erase",
            "/api/v1/addresses/a@b.example/deny/x",
            "/api/v1/addresses//deny",
            "/api/v1/deliveries/",
            "/api/v1/deliveries//sent",
            "/api/v1/deliveries/march/close",
            "/api/v1/deliveries/march/sent/x",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
