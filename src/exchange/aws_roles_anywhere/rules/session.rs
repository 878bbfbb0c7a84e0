//! What a certificate's session is called, whose it is, and what it brings to a role's trust policy.
//!
//! Source: clouds.md 2.2 [D RA-guide]. Judges nothing: the trust policy does.

use std::fmt::Write as _;

use super::{certificate::EndEntity, resource::ResourceArn};
use crate::{
    exchange::aws::trust::{Action, Context, Key, Principal},
    secret::hex,
};

/// Characters of a common name that fit behind `CN=` in a source identity of 64.
const PREFIXED_NAME: usize = 61;
/// Characters of a common name that fit without it.
const BARE_NAME: usize = 64;

/// Returns the source identity: `CN=<name>`, the bare name where the prefix would not fit, or `ID=<serial>` without a name.
///
/// A name of more than 64 characters, which X.520 forbids, counts as none `[M]`.
pub fn source_identity(certificate: &EndEntity) -> String {
    match certificate.subject.common_name() {
        Some(name) if name.chars().count() <= PREFIXED_NAME => format!("CN={name}"),
        Some(name) if name.chars().count() <= BARE_NAME => name.to_owned(),
        Some(_) | None => format!("ID={}", hex_serial(&certificate.serial)),
    }
}

/// Returns the serial number in hex digits, of which there is an even number.
///
/// It is also the name of a session that the caller does not name [D/O RA-helper #19].
pub fn hex_serial(serial: &[u8]) -> String {
    let first = serial.iter().position(|byte| *byte != 0);
    match first.and_then(|first| serial.get(first..)) {
        None => "00".to_owned(),
        Some(number) => hex(number),
    }
}

/// Returns the serial number in decimal digits, as it stands in the credential scope [D RA-guide].
pub fn decimal_serial(serial: &[u8]) -> String {
    // Limbs of nine digits, the lowest first: each byte multiplies the number by 256 and adds itself.
    let mut limbs: Vec<u64> = vec![0];
    for byte in serial {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let wider = *limb * 256 + carry;
            *limb = wider % LIMB;
            carry = wider / LIMB;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut digits = String::new();
    for limb in limbs.iter().rev() {
        let written = if digits.is_empty() {
            write!(digits, "{limb}")
        } else {
            write!(digits, "{limb:09}")
        };
        debug_assert!(written.is_ok(), "a String takes any text");
    }
    digits
}

const LIMB: u64 = 1_000_000_000;

/// Returns what a session brings to the trust policy of the role it is for.
pub fn context(
    anchor: (&str, &ResourceArn),
    tags: &[(String, String)],
    source_identity: &str,
    session_name: &str,
) -> Context {
    let (anchor_arn, anchor) = anchor;
    let mut keys = vec![
        (Key::RoleSessionName, vec![session_name.to_owned()]),
        (Key::SourceAccount, vec![anchor.account.clone()]),
        (Key::SourceArn, vec![anchor_arn.to_owned()]),
        (Key::SourceIdentity, vec![source_identity.to_owned()]),
    ];
    for (tag, value) in tags {
        keys.push((Key::principal_tag(tag), vec![value.clone()]));
    }
    // All three must be allowed, whatever the certificate holds.
    let actions = [Action::AssumeRole, Action::TagSession, Action::SetSourceIdentity];
    Context::new(Principal::RolesAnywhere, actions, keys)
}
