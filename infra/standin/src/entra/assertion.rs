//! Client assertions (RFC 7523, section 2.2): signed with a registered certificate ("Microsoft identity platform application
//! authentication certificate credentials"), or by an outside issuer that a federated credential names ("Workload identity
//! federation").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use super::fault::{Fault, fine};
use super::settings::App;
use super::state::State;

const CERTIFICATES: &str = "https://learn.microsoft.com/entra/identity-platform/certificate-credentials";
const FEDERATION: &str = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

/// A JWT taken apart.
struct Assertion {
    header: Value,
    claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Assertion {
    fn read(text: &str) -> Option<Assertion> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        Some(Assertion {
            header: part(header)?,
            claims: part(claims)?,
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    fn header(&self, name: &str) -> &str {
        self.header.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn claim(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the key verifies it: PS256, or RS256, which is still accepted.
    fn verifies(&self, public_key: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.header("alg") {
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        UnparsedPublicKey::new(algorithm, public_key).verify(self.signed.as_bytes(), &self.signature).is_ok()
    }
}

/// Whether the assertion proves that the caller is the app. `tenant` is the one of the token endpoint's path.
pub(super) fn check(state: &mut State, tenant: &str, app: &App, text: &str) -> Result<(), Fault> {
    let Some(assertion) = Assertion::read(text) else {
        return Err(Fault::new("invalid_client", 50027, "JWT token is invalid or malformed."));
    };
    if assertion.claim("iss") == app.client_id || !assertion.header("x5t#S256").is_empty() {
        check_certificate(state, tenant, app, &assertion)?;
    } else {
        check_federated(state, app, &assertion)?;
    }
    check_times(&assertion, state.now())?;
    let jti = (app.client_id.clone(), assertion.claim("jti").to_owned());
    if !jti.1.is_empty() && !state.assertions.insert(jti) && state.settings.refuse_replayed_assertions {
        // Entra documents `jti` as unique and does not document what happens otherwise.
        let text = "the assertion's jti was used before (refused here on demand; RFC 7523, section 3, item 7).";
        return Err(Fault::new("invalid_client", 0, text));
    }
    Ok(())
}

fn check_certificate(state: &State, tenant: &str, app: &App, assertion: &Assertion) -> Result<(), Fault> {
    let unsigned = |reason: &str| {
        let text = format!(
            "Client assertion contains an invalid signature. [Reason - {reason}, Thumbprint of key used by client: '{}', \
             Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id \
             '{}'. Review the documentation at {CERTIFICATES} .",
            hex(assertion.header("x5t#S256")),
            app.client_id
        );
        Err(Fault::new("invalid_client", 700027, text))
    };
    let thumbprint = assertion.header("x5t#S256");
    let Some(certificate) = app.certificates.iter().find(|one| one.thumbprint == thumbprint) else {
        return unsigned("The key was not found.");
    };
    if !assertion.verifies(&certificate.public_key) {
        return unsigned("Key was found, but use of the key to verify the signature failed.");
    }
    let url = &state.url;
    let directory = state.tenant(tenant).map_or(tenant, |tenant| tenant.id.as_str());
    let audiences = [
        format!("{url}/{tenant}/oauth2/v2.0/token"),
        format!("{url}/{directory}/oauth2/v2.0/token"),
        format!("{url}/{directory}/v2.0"),
    ];
    if !audiences.iter().any(|audience| audience == assertion.claim("aud")) {
        let text = format!(
            "Client assertion audience claim does not match Realm issuer. Review the documentation at {CERTIFICATES} ."
        );
        return Err(Fault::new("invalid_client", 700023, text));
    }
    if assertion.claim("iss") != app.client_id || assertion.claim("sub") != app.client_id {
        let text = format!(
            "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at \
             {CERTIFICATES} ."
        );
        return Err(Fault::new("invalid_client", 700021, text));
    }
    Ok(())
}

/// Issuer, subject and audience must equal a federated credential's, with regard to case; then the issuer's key decides.
fn check_federated(state: &State, app: &App, assertion: &Assertion) -> Result<(), Fault> {
    let (issuer, subject) = (assertion.claim("iss"), assertion.claim("sub"));
    let unmatched = |code: u32, what: &str, value: &str| {
        let text = format!(
            "No matching federated identity record found for presented assertion {what} '{value}'. Check your federated \
             identity credential Subject, Audience and Issuer against the presented assertion. {FEDERATION}"
        );
        Err(Fault::new("invalid_client", code, text))
    };
    let of_issuer: Vec<_> = app.federated.iter().filter(|one| one.issuer == issuer).collect();
    if of_issuer.is_empty() {
        return unmatched(700211, "issuer", issuer);
    }
    let Some(credential) = of_issuer.iter().find(|one| one.subject == subject) else {
        if of_issuer.iter().any(|one| one.subject.eq_ignore_ascii_case(subject)) {
            let text = format!(
                "No matching federated identity record found for presented assertion subject '{subject}'. The subject \
                 matches with case-insensitive comparison, but not with case-sensitive comparison. Check your federated \
                 identity credential Subject, Audience and Issuer against the presented assertion. See documentation at: \
                 {FEDERATION}."
            );
            return Err(Fault::new("invalid_client", 7002138, text));
        }
        return unmatched(700213, "subject", subject);
    };
    if credential.audience != assertion.claim("aud") {
        return unmatched(700212, "audience", assertion.claim("aud"));
    }
    let keys = state.settings.issuers.get(issuer).map_or(&[][..], Vec::as_slice);
    // Only RS256 is read from outside issuers.
    if assertion.header("alg") == "RS256" && keys.iter().any(|key| assertion.verifies(key)) {
        return Ok(());
    }
    let text = "Client assertion contains an invalid signature. [Reason - The key was not found.]";
    Err(Fault::new("invalid_client", 700027, text))
}

fn check_times(assertion: &Assertion, now: Timestamp) -> Result<(), Fault> {
    let time = |name: &str| assertion.claims.get(name).and_then(Value::as_i64);
    let (from, to) = (time("nbf").unwrap_or_default(), time("exp").unwrap_or_default());
    // Five minutes for clocks that differ.
    if from - 300 <= now.as_second() && now.as_second() < to + 300 {
        return Ok(());
    }
    let at = |second: i64| fine(Timestamp::from_second(second).unwrap_or(Timestamp::MAX));
    let text = format!(
        "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of \
         assertion {}. Review the documentation at {CERTIFICATES} .",
        fine(now),
        at(from),
        at(to)
    );
    Err(Fault::new("invalid_client", 700024, text))
}

/// base64url to upper-case hexadecimal, as the portal shows thumbprints.
fn hex(thumbprint: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(thumbprint).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
