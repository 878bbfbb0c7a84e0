//! The fingerprint of RSA keys made by the faulty generator of CVE-2017-15361 (ROCA).

/// Tells whether a big-endian modulus has the structure of the fault.
///
/// The generator made primes as `k * M + (65537^a mod M)` with M the product of the first primes, so that modulo each of
/// them the modulus lies in the subgroup that 65537 generates. A sound modulus does so by chance in 1 of 2^27.
pub(in crate::jose) fn has_roca_structure(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let remainder = modulus
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        powers_of_65537(*prime).any(|power| power == remainder)
    })
}

/// Returns the subgroup that 65537 generates modulo `prime`; it has at most `prime - 1` members.
fn powers_of_65537(prime: u32) -> impl Iterator<Item = u32> {
    (1..prime).scan(1, move |power, _| {
        *power = *power * (65_537 % prime) % prime;
        Some(*power)
    })
}

// The primes that every key length of the faulty generator shares, 2 left out (65537 is odd, so is every modulus).
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_65537_has_the_structure() {
        assert!(has_roca_structure(&65_537_u32.to_be_bytes()));
        assert!(has_roca_structure(&(65_537_u64 * 65_537).to_be_bytes()));
    }

    #[test]
    fn a_number_outside_one_subgroup_has_not() {
        // Modulo 11, where 65537 is 10, the subgroup is {1, 10}.
        assert!(!has_roca_structure(&2_u32.to_be_bytes()));
    }
}
