//! How often one source or one workload may ask.
//!
//! The tables are bounded: a key that has not asked for a while is forgotten, and beyond the bound all new keys share one.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// A sustained rate and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second.
    pub per_second: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// A rate kept for each key.
#[derive(Debug)]
pub struct Rates<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    per_second: u32,
}

/// More than the rate; when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The sustained rate.
    pub per_second: u32,
    /// Whole seconds, at least one.
    pub retry_after_seconds: u64,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// Keeps `rate` for each key.
    pub fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            per_second: rate.per_second.get(),
        }
    }

    /// Counts one request of `key`.
    ///
    /// # Errors
    /// Refuses the request above the rate.
    pub fn count(&self, key: &K) -> Result<(), Exceeded> {
        if self.limiter.len() >= MAX_KEYS {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|later| {
            let wait = later.wait_time_from(self.limiter.clock().now());
            Exceeded {
                per_second: self.per_second,
                retry_after_seconds: wait.as_secs().max(1),
            }
        })
    }
}

/// Bounds the memory of a table to about 10 MiB.
const MAX_KEYS: usize = 100_000;

/// Returns what a source address is counted as: an IPv6 host owns its whole /64.
pub fn source_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = || {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            };
            address.to_ipv4_mapped().map_or_else(network, IpAddr::V4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_second: u32, burst: u32) -> Rates<u8> {
        let number = |number| NonZeroU32::new(number).unwrap();
        Rates::new(Rate {
            per_second: number(per_second),
            burst: number(burst),
        })
    }

    #[test]
    fn takes_a_burst_of_200_and_refuses_the_201st() {
        let rates = rates(1, 200);

        assert!((0..200).all(|_| rates.count(&1).is_ok()));
        assert_eq!(
            rates.count(&1),
            Err(Exceeded {
                per_second: 1,
                retry_after_seconds: 1
            })
        );
    }

    #[test]
    fn one_key_does_not_spend_another_ones_rate() {
        let rates = rates(1, 1);

        assert!(rates.count(&1).is_ok());
        assert!(rates.count(&1).is_err());
        assert!(rates.count(&2).is_ok());
    }

    #[test]
    fn an_ipv6_host_is_counted_by_its_64_bit_prefix() {
        let address = |text: &str| source_key(text.parse().unwrap());

        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
