//! What IAM demands of an OIDC provider: its URL, client ids, thumbprints, documents and keys.
//!
//! Source where no other stands: clouds.md 1.1 [D botocore iam; IAM-guide]; texts are `[M]` unless said otherwise.
//! Never fetches anything.

use std::net::IpAddr;

use serde_json::Value;
use url::{Host, Url};

use super::token;
use crate::exchange::aws::{Code, Refusal};

/// Length of the URL.
pub const URL_LENGTH: usize = 255;
/// Client ids of one provider.
pub const CLIENT_IDS: usize = 100;
/// Length of a client id.
pub const CLIENT_ID_LENGTH: usize = 255;
/// Thumbprints of one provider.
pub const THUMBPRINTS: usize = 5;
/// Hex digits of a thumbprint, which is a SHA-1 digest.
pub const THUMBPRINT_LENGTH: usize = 40;
/// Keys of each type in a key set. Source: clouds.md 1.1 [D IAM-guide id_roles_providers_create_oidc].
pub const KEYS_OF_A_TYPE: usize = 100;

/// Checks a provider's URL: `https`, no query, no port, 1 to 255 characters.
///
/// A port is let pass on a loopback host only: no cloud reaches one, and a simulated cloud has nowhere else to look.
///
/// # Errors
/// `InvalidInput` with what was found.
pub fn url(text: &str) -> Result<(), Refusal> {
    let refused = |why: &str| {
        Err(Refusal::unverified(
            Code::InvalidInput,
            format!("Invalid Open ID Connect Provider URL: {why}"),
        )
        .because(format!("found `{text}`, expected `https://host[/path]`")))
    };
    if text.is_empty() || text.chars().count() > URL_LENGTH {
        return refused("its length is not between 1 and 255");
    }
    if !text.starts_with("https://") {
        return refused("it does not begin with https://");
    }
    let Ok(parsed) = Url::parse(text) else {
        return refused("it is not a URL");
    };
    if text.contains(['?', '#', '@']) || text.chars().any(char::is_whitespace) {
        return refused("it has a query, a fragment, credentials or white space");
    }
    if parsed.port().is_some() && !is_loopback(&parsed) {
        return refused("it has a port");
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Checks the client id list: at most 100 of 1 to 255 characters.
///
/// # Errors
/// `LimitExceeded` for the 101st, `InvalidInput` for a length.
pub fn client_ids(ids: &[String]) -> Result<(), Refusal> {
    if ids.len() > CLIENT_IDS {
        let text = format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS}");
        return Err(Refusal::unverified(Code::LimitExceeded, text));
    }
    for id in ids {
        let length = id.chars().count();
        if !(1..=CLIENT_ID_LENGTH).contains(&length) {
            let text = format!("a client id has {length} characters, expected 1 to {CLIENT_ID_LENGTH}");
            return Err(Refusal::unverified(Code::InvalidInput, text));
        }
    }
    Ok(())
}

/// Checks the thumbprints: none to five of 40 hex digits.
///
/// # Errors
/// `InvalidInput` with what was found.
pub fn thumbprints(prints: &[String]) -> Result<(), Refusal> {
    if prints.len() > THUMBPRINTS {
        let text = format!("Thumbprint list must contain fewer than {THUMBPRINTS} entries.");
        return Err(Refusal::unverified(Code::InvalidInput, text)
            .because(format!("found {}, expected at most {THUMBPRINTS}", prints.len())));
    }
    for print in prints {
        let is_hex = print.bytes().all(|byte| byte.is_ascii_hexdigit());
        if print.len() != THUMBPRINT_LENGTH || !is_hex {
            let text = format!("thumbprint `{print}` is not {THUMBPRINT_LENGTH} hex digits");
            return Err(Refusal::unverified(Code::InvalidInput, text));
        }
    }
    Ok(())
}

/// Returns the URL without its scheme: the beginning of condition keys and the end of the ARN.
pub fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

/// Returns the ARN of the provider with this URL.
pub fn arn(partition: &str, account: &str, url: &str) -> String {
    format!("arn:{partition}:iam::{account}:oidc-provider/{}", without_scheme(url))
}

/// Checks a discovery document as the prerequisites of the IAM guide demand.
///
/// The fields are `[M]`; the text is documented [D re:Post-oidc].
///
/// # Errors
/// `InvalidInput`; its detail names the field.
pub fn discovery(document: &Value, url: &str) -> Result<(), Refusal> {
    let refused = |why: String| {
        let text = format!("Please check .well-known/openid-configuration of provider: {url} is valid");
        Err(Refusal::known(Code::InvalidInput, text).because(why))
    };
    let issuer = document.get("issuer").and_then(Value::as_str);
    if issuer != Some(url) {
        return refused(format!(
            "`issuer` is `{}`, expected `{url}`",
            issuer.unwrap_or("absent")
        ));
    }
    if !document
        .get("jwks_uri")
        .and_then(Value::as_str)
        .is_some_and(|uri| uri.starts_with("https://"))
    {
        return refused("`jwks_uri` is absent or not https".to_owned());
    }
    for (field, wanted) in [
        ("response_types_supported", &["id_token"][..]),
        ("subject_types_supported", &["public"][..]),
        ("id_token_signing_alg_values_supported", &token::ALGORITHMS[..]),
        ("claims_supported", &[][..]),
    ] {
        let Some(values) = document.get(field).and_then(Value::as_array) else {
            return refused(format!("`{field}` is absent or not a list"));
        };
        let holds = |value: &Value| value.as_str().is_some_and(|value| wanted.contains(&value));
        if !wanted.is_empty() && !values.iter().any(holds) {
            return refused(format!("`{field}` holds none of `{}`", wanted.join("`, `")));
        }
    }
    Ok(())
}

/// Checks that a key set holds a key at all and at most 100 of the type that `algorithm` needs.
///
/// # Errors
/// `InvalidIdentityToken`; the code is `[M]`, so is the text.
pub fn key_count(jwks: &Value, algorithm: &str) -> Result<(), Refusal> {
    let keys = jwks.get("keys").and_then(Value::as_array);
    let key_type = if algorithm.starts_with("ES") { "EC" } else { "RSA" };
    let of_type = |key: &&Value| key.get("kty").and_then(Value::as_str) == Some(key_type);
    let count = keys.map_or(0, |keys| keys.iter().filter(of_type).count());
    if keys.is_none_or(Vec::is_empty) {
        return Err(Refusal::no_verification_key().because("the key set holds no key, expected at least one"));
    }
    if count > KEYS_OF_A_TYPE {
        return Err(Refusal::no_verification_key().because(format!(
            "the key set holds {count} {key_type} keys, expected at most {KEYS_OF_A_TYPE}"
        )));
    }
    Ok(())
}
