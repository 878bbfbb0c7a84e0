//! Where we listen, and whose word about a caller's address we take.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Profile,
    diagnostic::{Fault, Problems},
    path::KeyPath,
};
use crate::fetch::{AddressBlock, NotABlock};

/// `[listen]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    /// Address and port of discovery, JWKS and bundle: what clouds must reach.
    #[schemars(required, extend("examples" = ["0.0.0.0:8443"]))]
    metadata: Option<String>,
    /// Address and port of the token exchange: what workloads must reach.
    #[schemars(required, extend("examples" = ["0.0.0.0:9443"]))]
    exchange: Option<String>,
    /// Unix socket of the admin listener, as `unix:` and an absolute path of at most 107 bytes.
    #[schemars(required, extend("examples" = ["unix:/run/cambio/admin.sock"]))]
    admin: Option<String>,
    /// Addresses or networks of at most 64 proxies; only from these is a forwarded source address read.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    trusted_proxies: Vec<String>,
}

/// Where we listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Discovery, JWKS and bundle.
    pub metadata: SocketAddr,
    /// Token exchange.
    pub exchange: SocketAddr,
    /// The admin listener's socket.
    pub admin: PathBuf,
    /// Only from these is a forwarded source address read.
    pub trusted_proxies: Vec<AddressBlock>,
}

/// Reads `[listen]`.
pub(super) fn read(raw: RawListen, profile: Profile, path: &KeyPath, problems: &mut Problems) -> Option<Listen> {
    let mut socket = |key: &str, text: Option<String>| {
        let text = text?;
        problems.take(&path.key(key), address(&text, profile))
    };
    let metadata = socket("metadata", raw.metadata);
    let exchange = socket("exchange", raw.exchange);
    let admin = raw
        .admin
        .and_then(|text| problems.take(&path.key("admin"), admin(&text)));
    let proxies = path.key("trusted_proxies");
    if raw.trusted_proxies.len() > MAX_PROXIES {
        let found = format!("{} networks", raw.trusted_proxies.len());
        problems.refuse(&proxies, Fault::new("config.out_of_range", found, "at most 64"));
    }
    let trusted_proxies = raw
        .trusted_proxies
        .iter()
        .take(MAX_PROXIES)
        .enumerate()
        .filter_map(|(index, text)| problems.take(&proxies.index(index), proxy(text)))
        .collect();
    if let (Some(metadata), Some(exchange)) = (metadata, exchange)
        && metadata.port() == exchange.port()
        && metadata.port() != 0
    {
        let found = format!("port {} as for `listen.metadata`", exchange.port());
        let expected = "a port of its own: discovery must stay up whatever the exchange suffers";
        problems.refuse(
            &path.key("exchange"),
            Fault::new("config.listen_conflict", found, expected),
        );
    }
    Some(Listen {
        metadata: metadata?,
        exchange: exchange?,
        admin: admin?,
        trusted_proxies,
    })
}

fn address(text: &str, profile: Profile) -> Result<SocketAddr, Fault> {
    let expected = "an IP address and a port, such as 0.0.0.0:8443 or [::]:8443";
    let address: SocketAddr = text
        .parse()
        .map_err(|why| Fault::new("config.value_invalid", format_args!("`{text}` ({why})"), expected))?;
    match profile {
        Profile::Development if !address.ip().is_loopback() => Err(Fault::new(
            "config.listen_not_loopback",
            format_args!("`{text}`"),
            "a loopback address: the development gateway trusts simulated clouds",
        )),
        Profile::Production if address.port() == 0 => Err(Fault::value(text, "a port from 1 to 65535")),
        Profile::Development | Profile::Production => Ok(address),
    }
}

fn admin(text: &str) -> Result<PathBuf, Fault> {
    let expected = "`unix:` and an absolute path: the admin listener never stands on a public port";
    let path = text
        .strip_prefix("unix:")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .ok_or_else(|| Fault::new("config.admin_not_unix", format_args!("`{text}`"), expected))?;
    let bytes = path.as_os_str().len();
    if bytes > MAX_SOCKET_PATH {
        return Err(Fault::new(
            "config.out_of_range",
            format_args!("a path of {bytes} bytes"),
            "at most 107",
        ));
    }
    Ok(path)
}

fn proxy(text: &str) -> Result<AddressBlock, Fault> {
    let expected = "an address or network such as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32";
    let network: AddressBlock = text
        .parse()
        .map_err(|why: NotABlock| Fault::value(&why.found, expected))?;
    if network.is_everything() {
        let expected = "the networks of your proxies: anybody could name any source address";
        return Err(Fault::new(
            "config.proxy_range_too_wide",
            format_args!("`{text}`"),
            expected,
        ));
    }
    Ok(network)
}

/// More would be looked through on every request.
const MAX_PROXIES: usize = 64;

/// Linux: `sun_path` holds 108 bytes with the closing zero (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

#[cfg(test)]
mod tests;
