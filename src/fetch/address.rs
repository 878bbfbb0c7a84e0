//! Which addresses an issuer's document may be fetched from.
//!
//! It must never let a name that an attacker controls lead into our own network, and never to an instance's metadata.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses, for example `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock {
    first: IpAddr,
    prefix_bits: u8,
}

impl AddressBlock {
    const fn v4(a: u8, b: u8, c: u8, prefix_bits: u8) -> Self {
        Self {
            first: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)),
            prefix_bits,
        }
    }

    const fn v6(segments: [u16; 3], prefix_bits: u8) -> Self {
        let [a, b, c] = segments;
        Self {
            first: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
            prefix_bits,
        }
    }

    /// Tells whether every address lies in the block.
    pub fn is_everything(&self) -> bool {
        self.prefix_bits == 0
    }

    /// Tells whether `address` lies in the block; an IPv4 address never lies in an IPv6 block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits)).unwrap_or(0);
                first.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                first.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

/// The text is not a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a block of addresses: expected `<first address>/<prefix length>` or one address")]
pub struct NotABlock {
    /// What was found.
    pub found: String,
}

impl FromStr for AddressBlock {
    type Err = NotABlock;

    /// Reads a block; bits after the prefix must be zero, so that `10.1.2.3/8` is not taken for one host.
    fn from_str(text: &str) -> Result<Self, NotABlock> {
        let refused = || NotABlock { found: text.to_owned() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_source| refused())?;
        let longest: u8 = if first.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_source| refused())?
            }
            Some(_) => return Err(refused()),
        };
        let block = Self { first, prefix_bits };
        if prefix_bits <= longest && block.contains(first) {
            Ok(block)
        } else {
            Err(refused())
        }
    }
}

/// Tells why nothing may be fetched from `address`; `None` if it is public, or if `allowed` lists it.
///
/// Link-local, metadata, multicast and unspecified addresses cannot be allowed.
pub(super) fn refusal(address: IpAddr, allowed: &[AddressBlock]) -> Option<&'static str> {
    if let Some(reason) = never(address) {
        return Some(reason);
    }
    if let IpAddr::V6(address) = address
        && let Some(embedded) = embedded_v4(address)
        && let Some(reason) = refusal(IpAddr::V4(embedded), allowed)
    {
        return Some(reason);
    }
    let reason = special(address)?;
    let listed = allowed.iter().any(|block| block.contains(address));
    (!listed).then_some(reason)
}

fn never(address: IpAddr) -> Option<&'static str> {
    find(NEVER, address)
}

fn special(address: IpAddr) -> Option<&'static str> {
    find(SPECIAL, address).or_else(|| {
        // All public IPv6 addresses lie in 2000::/3 (RFC 4291 section 2.4, IANA IPv6 address space).
        let public = AddressBlock::v6([0x2000, 0, 0], 3);
        (address.is_ipv6() && !public.contains(address)).then_some("not a public address")
    })
}

fn find(blocks: &[(AddressBlock, &'static str)], address: IpAddr) -> Option<&'static str> {
    blocks
        .iter()
        .find(|(block, _)| block.contains(address))
        .map(|(_, reason)| *reason)
}

/// Returns the IPv4 address that a packet to `address` may end at.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, _, _, _, _, high, low] = address.segments();
    let from = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    let within = |block: AddressBlock| block.contains(IpAddr::V6(address));
    let [_, six_high, six_low, ..] = address.segments();
    if within(AddressBlock::v6([0x2002, 0, 0], 16)) {
        return from(six_high, six_low); // 6to4, RFC 3056 section 2
    }
    if a == 0x2001 && b == 0 {
        return from(!high, !low); // Teredo, RFC 4380 section 4
    }
    let mapped = address.to_ipv4_mapped().is_some();
    let compatible = address.segments().iter().take(6).all(|segment| *segment == 0);
    let nat64 = within(AddressBlock::v6([0x64, 0xff9b, 0], 96)) || within(AddressBlock::v6([0x64, 0xff9b, 1], 48));
    (mapped || (compatible && high != 0) || nat64)
        .then(|| from(high, low))
        .flatten()
}

/// Refused also where `allow_addresses` lists them (LIMITS.md: link-local never).
const NEVER: &[(AddressBlock, &str)] = &[
    (AddressBlock::v4(169, 254, 0, 16), "link-local"), // RFC 3927; every cloud's metadata
    (AddressBlock::v6([0xfe80, 0, 0], 10), "link-local"),
    (metadata_v4(168, 63, 129, 16), "Azure's instance agent"),
    (metadata_v4(100, 100, 100, 200), "Alibaba's instance metadata"),
    (metadata_v6(0xfd00, 0xec2, 0x254), "AWS's instance metadata"),
    (metadata_v6(0xfd20, 0xce, 0x254), "Google's instance metadata"),
    (AddressBlock::v4(224, 0, 0, 4), "multicast"),
    (AddressBlock::v6([0xff00, 0, 0], 8), "multicast"),
    (AddressBlock::v4(0, 0, 0, 8), "unspecified"),
    (AddressBlock::v6([0, 0, 0], 128), "unspecified"),
];

/// Refused unless `allow_addresses` lists them; the IANA special-purpose registries.
const SPECIAL: &[(AddressBlock, &str)] = &[
    (AddressBlock::v4(10, 0, 0, 8), "private"),
    (AddressBlock::v4(100, 64, 0, 10), "carrier-grade NAT"),
    (AddressBlock::v4(127, 0, 0, 8), "loopback"),
    (AddressBlock::v4(172, 16, 0, 12), "private"),
    (AddressBlock::v4(192, 0, 0, 24), "a protocol assignment"),
    (AddressBlock::v4(192, 0, 2, 24), "documentation"),
    (AddressBlock::v4(192, 88, 99, 24), "a 6to4 relay"),
    (AddressBlock::v4(192, 168, 0, 16), "private"),
    (AddressBlock::v4(198, 18, 0, 15), "benchmarking"),
    (AddressBlock::v4(198, 51, 100, 24), "documentation"),
    (AddressBlock::v4(203, 0, 113, 24), "documentation"),
    (AddressBlock::v4(240, 0, 0, 4), "reserved"),
    (AddressBlock::v6([0x64, 0xff9b, 0], 32), "NAT64"),
    (AddressBlock::v6([0x2001, 0, 0], 23), "a protocol assignment"),
    (AddressBlock::v6([0x2001, 0xdb8, 0], 32), "documentation"),
    (AddressBlock::v6([0x2002, 0, 0], 16), "6to4"),
    (AddressBlock::v6([0x3fff, 0, 0], 20), "documentation"),
    (AddressBlock::v6([0xfc00, 0, 0], 7), "unique local"),
];

const fn metadata_v4(a: u8, b: u8, c: u8, d: u8) -> AddressBlock {
    AddressBlock {
        first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        prefix_bits: 32,
    }
}

const fn metadata_v6(a: u16, b: u16, last: u16) -> AddressBlock {
    AddressBlock {
        first: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, last)),
        prefix_bits: 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(texts: &[&str]) -> Vec<AddressBlock> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn refused(address: &str, allowed: &[&str]) -> Option<&'static str> {
        refusal(address.parse().unwrap(), &blocks(allowed))
    }

    #[test]
    fn takes_public_addresses() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "140.82.112.3",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860::1",
        ] {
            assert_eq!(refused(address, &[]), None, "{address}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn tm_09_refuses_every_special_address() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "::7f00:1",
            "::a9fe:a9fe",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(refused(address, &[]).is_some(), "{address}");
        }
    }

    #[test]
    fn takes_a_private_address_that_is_listed_and_no_neighbour() {
        let allowed = ["10.1.0.0/16", "127.0.0.1", "fd12:3456::/32"];

        assert_eq!(refused("10.1.255.255", &allowed), None);
        assert_eq!(refused("10.2.0.0", &allowed), Some("private"));
        assert_eq!(refused("127.0.0.1", &allowed), None);
        assert_eq!(refused("127.0.0.2", &allowed), Some("loopback"));
        assert_eq!(refused("fd12:3456:ffff::1", &allowed), None);
        assert_eq!(refused("fd12:3457::1", &allowed), Some("unique local"));
    }

    #[test]
    fn refuses_link_local_and_metadata_also_when_everything_is_listed() {
        let all = ["0.0.0.0/0", "::/0"];

        for address in [
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "::a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "2001:0:1:2:3:4:5601:5601",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "100.100.100.200",
            "224.0.0.1",
            "ff02::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(refused(address, &all).is_some(), "{address}");
        }
        assert_eq!(refused("127.0.0.1", &all), None);
        assert_eq!(refused("::1", &all), None);
    }

    #[test]
    fn a_listed_nat64_prefix_does_not_open_private_addresses_behind_it() {
        let allowed = ["64:ff9b::/96"];

        assert_eq!(refused("64:ff9b::808:808", &allowed), None);
        assert_eq!(refused("64:ff9b::a00:1", &allowed), Some("private"));
    }

    #[test]
    fn reads_blocks_and_refuses_what_is_none() {
        assert_eq!("10.0.0.0/8".parse::<AddressBlock>().unwrap().to_string(), "10.0.0.0/8");
        assert_eq!("::1".parse::<AddressBlock>().unwrap().to_string(), "::1/128");
        for text in [
            "",
            "10.0.0.0/33",
            "10.1.2.3/8",
            "::/129",
            "::1/64",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "localhost",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "0x0a.0.0.0/8",
        ] {
            assert!(text.parse::<AddressBlock>().is_err(), "{text:?}");
        }
    }
}
