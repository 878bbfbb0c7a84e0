//! The relying party kind `svid`: a relying party without a cloud; its grant releases the SVID itself.
//!
//! It never takes a name from a request: DNS names are configured, and the grant says who gets them.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use super::{Builtin, Exchanged, RelyingParty, RelyingPartyContext, budget::Upstream};
use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, Permission, RelyingPartyName, Terms},
    exchange::CloudRefusal,
    jose::SigningAlgorithm,
    mint::{
        EXCHANGED_SVID_LIFE, JwtShape, MAX_RELEASED_SVID_LIFE, MAX_X509_SVID_LIFE, SubjectKey, Svid, SvidShape,
        X509Shape,
    },
    secret::Digest,
    store::Unreleased,
};

/// The kind `svid`.
pub const BUILTIN: Builtin = Builtin {
    kind: "svid",
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    configure,
    #[cfg(feature = "dev")]
    sim: None,
};

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    algorithm: Option<Algorithm>,
    #[serde(default)]
    audience: Option<String>,
    #[serde(default)]
    dns_names: Vec<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    x509: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "RS256")]
    Rs256,
}

#[derive(Debug)]
struct SvidParty {
    name: RelyingPartyName,
    terms: Terms,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Jwt(SigningAlgorithm),
    X509 { dns_names: Vec<String> },
}

fn configure(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let table: Table = table.try_into().map_err(|problem: toml::de::Error| Misconfigured {
        code: "config.value_invalid",
        key: String::new(),
        problem: problem.message().to_owned(),
    })?;
    let (audience, maximum, form) = if table.x509 {
        let form = certificate(&table)?;
        // A certificate has no audience: whoever trusts the trust domain takes it.
        (context.trust_domain.id().as_str().to_owned(), MAX_X509_SVID_LIFE, form)
    } else {
        let (audience, form) = token(&table)?;
        (audience, MAX_RELEASED_SVID_LIFE, form)
    };
    let terms = Terms {
        audience,
        subject: table.subject,
        minimum: Duration::from_secs(1),
        maximum,
        lifetime_mode: LifetimeMode::FollowsSvid,
        session_policy: false,
        svid_is_credential: true,
    };
    let name = context.name;
    Ok(Arc::new(SvidParty { name, terms, form }))
}

fn token(table: &Table) -> Result<(String, Form), Misconfigured> {
    let audience = table.audience.clone().unwrap_or_default();
    let found_bytes = audience.len();
    if found_bytes == 0 || found_bytes > MAX_AUDIENCE_BYTES || audience.chars().any(char::is_control) {
        let problem =
            format!("the audience has {found_bytes} bytes, expected 1 to {MAX_AUDIENCE_BYTES} printable ones");
        return Err(invalid("audience", problem));
    }
    if !table.dns_names.is_empty() {
        return Err(invalid(
            "dns_names",
            "a JWT-SVID has no DNS names, expected them with `x509 = true`".to_owned(),
        ));
    }
    let algorithm = match table.algorithm {
        Some(Algorithm::Es256) => SigningAlgorithm::Es256,
        Some(Algorithm::Rs256) | None => SigningAlgorithm::Rs256,
    };
    Ok((audience, Form::Jwt(algorithm)))
}

fn certificate(table: &Table) -> Result<Form, Misconfigured> {
    if table.audience.is_some() {
        return Err(invalid(
            "audience",
            "an X.509-SVID has no audience, expected none with `x509 = true`".to_owned(),
        ));
    }
    if table.algorithm.is_some() {
        let problem = "the intermediate's key decides, expected none with `x509 = true`".to_owned();
        return Err(invalid("algorithm", problem));
    }
    let found = table.dns_names.len();
    if found > MAX_DNS_NAMES {
        return Err(invalid(
            "dns_names",
            format!("{found} names, at most {MAX_DNS_NAMES} are allowed"),
        ));
    }
    for (position, name) in table.dns_names.iter().enumerate() {
        if !is_dns_name(name) || table.dns_names.iter().take(position).any(|before| before == name) {
            let problem = format!("`{name}` is there twice or no lower-case DNS name without wildcard");
            return Err(invalid("dns_names", problem));
        }
    }
    let dns_names = table.dns_names.clone();
    Ok(Form::X509 { dns_names })
}

/// RFC 1035 section 2.3.4: labels of 1 to 63 bytes, 253 in all. A wildcard would name other workloads.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253
        && name.split('.').all(is_label)
        && name.split('.').next_back().is_some_and(|top| {
            // An address is no name.
            top.bytes().any(|byte| byte.is_ascii_lowercase())
        })
}

fn invalid(key: &str, problem: String) -> Misconfigured {
    Misconfigured {
        code: "config.value_invalid",
        key: key.to_owned(),
        problem,
    }
}

/// The smallest limit of a known verifier: AWS client ids have at most 255 characters.
const MAX_AUDIENCE_BYTES: usize = 255;
/// So that a certificate stays small; Roles Anywhere maps the first alone (clouds.md 2.1).
const MAX_DNS_NAMES: usize = 16;

impl RelyingParty for SvidParty {
    fn name(&self) -> &RelyingPartyName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        BUILTIN.kind
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn shape(&self, _permission: &Permission) -> Result<SvidShape, CloudRefusal> {
        Ok(match &self.form {
            Form::Jwt(algorithm) => SvidShape::Jwt(JwtShape {
                algorithm: *algorithm,
                claims: serde_json::Map::new(),
                life: EXCHANGED_SVID_LIFE,
            }),
            Form::X509 { dns_names } => SvidShape::X509(X509Shape {
                key: SubjectKey::Requested,
                dns_names: dns_names.clone(),
                life: EXCHANGED_SVID_LIFE,
            }),
        })
    }

    fn request_digest(&self, _permission: &Permission) -> Option<Digest> {
        None
    }

    fn upstream(&self) -> Option<Upstream> {
        None
    }

    fn scope(&self) -> Option<&str> {
        None
    }

    fn exchange(&self, svid: Svid, _now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>> {
        let refusal = CloudRefusal::Unavailable {
            cloud: "svid",
            reason: "there is no cloud behind this kind".to_owned(),
        };
        let digest = refusal.digest(svid.permission().exchange_id().as_str(), self.name.as_str());
        Box::pin(async move { Err(Unreleased::new(refusal, digest)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FakeClock;

    fn configured(table: &str) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
        let context = RelyingPartyContext {
            name: RelyingPartyName::parse("mesh").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: crate::spiffe::TrustDomain::parse("prod.acme.example").unwrap(),
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
        };
        configure(context, table.parse().unwrap())
    }

    #[test]
    fn a_certificate_has_the_trust_domain_as_its_audience_and_lives_a_day_at_most() {
        let party = configured("x509 = true\ndns_names = [\"shop.acme.example\", \"shop\"]").unwrap();

        assert_eq!(party.terms().audience, "spiffe://prod.acme.example");
        assert_eq!(party.terms().maximum, Duration::from_hours(24));
    }

    #[test]
    fn refuses_what_does_not_go_with_the_form() {
        for (table, key) in [
            ("", "audience"),
            ("audience = \"\"", "audience"),
            ("audience = \"a\"\ndns_names = [\"a\"]", "dns_names"),
            ("x509 = true\naudience = \"a\"", "audience"),
            ("x509 = true\nalgorithm = \"ES256\"", "algorithm"),
        ] {
            assert_eq!(configured(table).unwrap_err().key, key, "{table}");
        }
    }

    #[test]
    fn x509_svid_2_refuses_dns_names_that_are_none_or_name_others() {
        let label = "a".repeat(63);
        for name in [
            "",
            "*.acme.example",
            "Shop",
            "shop.",
            ".shop",
            "-a",
            "a-",
            "a_b",
            "10.0.0.1",
            "a b",
            &format!("{label}a"),
            &[label.as_str(); 4].join("."),
        ] {
            let table = format!("x509 = true\ndns_names = [\"{name}\"]");
            assert!(configured(&table).is_err(), "{name}");
        }
        assert!(configured(&format!("x509 = true\ndns_names = [\"{label}\"]")).is_ok());
        assert!(configured("x509 = true\ndns_names = [\"a\", \"a\"]").is_err());
    }

    #[test]
    fn takes_16_dns_names_and_refuses_17() {
        let names = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("\"n{n}\"")).collect();
            format!("x509 = true\ndns_names = [{}]", names.join(","))
        };

        assert!(configured(&names(16)).is_ok());
        assert!(configured(&names(17)).is_err());
    }
}
