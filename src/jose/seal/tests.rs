use super::*;
use crate::secret::SystemRandom;

#[derive(Debug)]
struct Broken;

impl Random for Broken {
    fn fill(&self, _out: &mut [u8]) -> Result<(), NoRandomness> {
        Err(NoRandomness)
    }
}

const PLACE: [&[u8]; 2] = [b"kid-1", b"jwt"];

fn seal() -> Seal {
    Seal::new(&[7; 32]).unwrap()
}

fn sealed() -> Vec<u8> {
    seal().seal(b"private key", &PLACE, &SystemRandom).unwrap()
}

#[test]
fn opens_what_it_sealed() {
    assert_eq!(seal().open(&sealed(), &PLACE).unwrap().as_slice(), b"private key");
}

#[test]
fn seals_nothing_at_all_too() {
    let sealed = seal().seal(b"", &PLACE, &SystemRandom).unwrap();

    assert_eq!(seal().open(&sealed, &PLACE).unwrap().as_slice(), b"");
}

#[test]
fn sealed_bytes_do_not_hold_the_plain_text_and_never_repeat() {
    let (one, two) = (sealed(), sealed());

    assert!(!one.windows(11).any(|window| window == b"private key"));
    assert_ne!(one, two);
    assert_eq!(one.len(), 1 + 12 + 11 + 16);
}

#[test]
fn refuses_another_place() {
    for place in [
        &[&b"kid-2"[..], b"jwt"][..],
        &[b"kid-1", b"audit"],
        &[b"kid-1"],
        &[b"kid-1jwt"],
        &[b"kid-", b"1jwt"],
        &[b"jwt", b"kid-1"],
        &[],
    ] {
        let refused = seal().open(&sealed(), place).unwrap_err();
        assert!(matches!(refused, SealFailed::Open(_)), "{place:?}");
    }
}

#[test]
fn refuses_another_key_encryption_key() {
    let refused = Seal::new(&[8; 32]).unwrap().open(&sealed(), &PLACE).unwrap_err();

    assert!(matches!(refused, SealFailed::Open(_)));
}

#[test]
fn refuses_every_flipped_bit_and_every_cut() {
    let sealed = sealed();

    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(seal().open(&changed, &PLACE).is_err(), "bit {bit}");
    }
    for cut in 0..sealed.len() {
        assert!(seal().open(&sealed[..cut], &PLACE).is_err(), "prefix {cut}");
        assert!(seal().open(&sealed[cut + 1..], &PLACE).is_err(), "suffix {cut}");
    }
}

#[test]
fn names_a_version_it_does_not_know_and_a_length_that_cannot_be() {
    let mut newer = sealed();
    newer[0] = 2;

    assert!(matches!(
        seal().open(&newer, &PLACE),
        Err(SealFailed::Version { found: 2 })
    ));
    assert!(matches!(
        seal().open(&[], &PLACE),
        Err(SealFailed::TooShort { found: 0 })
    ));
    assert!(matches!(
        seal().open(&[1; 12], &PLACE),
        Err(SealFailed::TooShort { found: 12 })
    ));
}

#[test]
fn seals_nothing_without_randomness() {
    let refused = seal().seal(b"x", &PLACE, &Broken).unwrap_err();

    assert!(matches!(refused, SealFailed::Random(_)));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", seal()), "Seal([redacted])");
}
