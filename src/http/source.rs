//! Where a request comes from.
//!
//! A forwarded address is read only where the connection itself comes from a trusted proxy (T-40g).

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::fetch::AddressBlock;

/// The proxies whose `X-Forwarded-For` is read.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<AddressBlock>);

impl TrustedProxies {
    /// Trusts the addresses in these blocks.
    pub fn new(blocks: Vec<AddressBlock>) -> Self {
        Self(blocks)
    }

    /// Returns the source of a request: the peer, or what a trusted peer says, read from the right.
    ///
    /// The first address from the right that is not a trusted proxy is the source; what stands left of it could be
    /// anybody's invention.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut source = peer;
        let lines = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|line| line.to_str().ok());
        let mut hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        while self.0.iter().any(|block| block.contains(source.to_canonical())) {
            let Some(Ok(hop)) = hops.pop().map(|hop| hop.trim().parse()) else {
                break;
            };
            source = hop;
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies::new(proxies.iter().map(|proxy| proxy.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies.source(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn t_40g_an_untrusted_peer_cannot_name_another_source() {
        assert_eq!(source(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_source_and_what_the_client_invented_is_ignored() {
        assert_eq!(
            source(&["10.0.0.1"], "10.0.0.1", &["203.0.113.9, 198.51.100.7"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_and_garbage_ends_it() {
        assert_eq!(
            source(&["10.0.0.1", "10.0.0.2"], "10.0.0.1", &["198.51.100.7", "10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(source(&["10.0.0.1"], "10.0.0.1", &["garbage"]), "10.0.0.1");
    }
}
