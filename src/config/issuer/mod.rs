//! Who we are: the trust domain, the issuer URL and the address of the token endpoint.
//!
//! None of them is ever derived from a request.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Profile, diagnostic::Fault};
use crate::spiffe::TrustDomain;

/// Reads the trust domain's name.
///
/// # Errors
/// Refuses what is not a SPIFFE trust domain name, and in development what does not end in `.test`.
pub(super) fn trust_domain(text: &str, profile: Profile) -> Result<TrustDomain, Fault> {
    let domain = TrustDomain::parse(text).map_err(|why| {
        let expected = "1 to 255 characters of a-z, 0-9, `.`, `-`, `_`, without `spiffe://`";
        Fault::new(
            "config.trust_domain_invalid",
            format_args!("`{text}` ({why})"),
            expected,
        )
    })?;
    match profile {
        // RFC 2606 section 2: no certificate authority and no cloud will ever vouch for a name below `.test`.
        Profile::Development if text.strip_suffix(".test").is_none() => Err(Fault::new(
            "config.trust_domain_not_test",
            format_args!("`{text}`"),
            "a name that ends in `.test`: the development gateway stands for no other",
        )),
        Profile::Development | Profile::Production => Ok(domain),
    }
}

/// Reads the issuer URL, which stands in tokens exactly as written here.
///
/// # Errors
/// Refuses what a cloud could write or fetch in two ways; in development a loopback address may have a port.
pub(super) fn issuer(text: &str, profile: Profile) -> Result<String, Fault> {
    let url = https(text, "config.issuer_invalid", ISSUER)?;
    if text.len() > MAX_BYTES {
        let found = format!("{} characters", text.len());
        return Err(Fault::new("config.issuer_invalid", found, "at most 255 characters"));
    }
    if has_port(text) {
        match profile {
            Profile::Development if is_loopback(&url) => {}
            Profile::Development => {
                return Err(Fault::new(
                    "config.issuer_port_loopback",
                    format_args!("`{text}`"),
                    "a loopback address: only there may a development issuer have a port",
                ));
            }
            Profile::Production => {
                return Err(Fault::new("config.issuer_port", format_args!("`{text}`"), ISSUER)
                    .hint("clouds fetch an issuer's keys from port 443 only; forward it to `listen.metadata`"));
            }
        }
    }
    exact(text, &url, "config.issuer_invalid", ISSUER)
}

/// Reads the address of the token endpoint, which DPoP proofs name.
///
/// # Errors
/// Refuses what is more than scheme, host and port; in development what is not a loopback address.
pub(super) fn exchange_url(text: &str, profile: Profile) -> Result<String, Fault> {
    let code = "config.exchange_url_invalid";
    let url = https(text, code, EXCHANGE_URL)?;
    if url.path() != "/" {
        return Err(Fault::new(
            code,
            format_args!("`{text}` with the path `{}`", url.path()),
            EXCHANGE_URL,
        ));
    }
    match profile {
        Profile::Development if !is_loopback(&url) => Err(Fault::new(
            code,
            format_args!("`{text}`"),
            "a loopback address in development",
        )),
        Profile::Development | Profile::Production => exact(text, &url, code, EXCHANGE_URL),
    }
}

fn https(text: &str, code: &'static str, expected: &str) -> Result<Url, Fault> {
    let refuse = |found: String| Fault::new(code, found, expected);
    let url = Url::parse(text).map_err(|why| refuse(format!("`{text}` ({why})")))?;
    if url.scheme() != "https" {
        return Err(refuse(format!("`{text}` with the scheme `{}`", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a URL with a user name or password".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse(format!("`{text}` with a query or fragment")));
    }
    if text.ends_with('/') {
        let bare = text.trim_end_matches('/');
        return Err(refuse(format!("`{text}` with a slash at its end")).hint(format!("write `{bare}`")));
    }
    Ok(url)
}

/// Refuses what a reader would write differently: an upper-case host, `..`, `:443`, an escaped letter.
fn exact(text: &str, url: &Url, code: &'static str, expected: &str) -> Result<String, Fault> {
    let normal = url.as_str().trim_end_matches('/');
    if normal == text {
        Ok(normal.to_owned())
    } else {
        let fault = Fault::new(code, format_args!("`{text}`, which others write `{normal}`"), expected);
        Err(fault.hint(format!("write `{normal}`")))
    }
}

/// Returns whether a port is written out, also the default one, which a parsed URL no longer tells.
fn has_port(text: &str) -> bool {
    let authority = text
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap_or("");
    let after_address = authority.rsplit(']').next().unwrap_or("");
    after_address.contains(':')
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

const ISSUER: &str = "an https URL in lower case without port, user, query, fragment and slash at its end";
const EXCHANGE_URL: &str =
    "an https URL of host and port only, without path, user, query, fragment and slash at its end";

/// AWS takes provider URLs of up to 255 characters.
const MAX_BYTES: usize = 255;

#[cfg(test)]
mod tests;
