//! The few pieces of DER that neither rcgen nor x509-parser writes or splits for us.
//!
//! Never reads what a stranger sent: requests go through x509-parser.

/// Writes a non-negative INTEGER from its big-endian bytes.
pub(in crate::mint) fn integer(number: &[u8]) -> Vec<u8> {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = number.get(first..).unwrap_or_default();
    let sign = number.first().is_none_or(|byte| *byte >= 0x80).then_some(0);
    tagged(0x02, sign.into_iter().chain(number.iter().copied()).collect())
}

/// Writes a SEQUENCE.
pub(in crate::mint) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, parts.concat())
}

/// Writes a BIT STRING of whole bytes.
pub(in crate::mint) fn bit_string(content: &[u8]) -> Vec<u8> {
    tagged(0x03, [&[0], content].concat())
}

fn tagged(tag: u8, content: Vec<u8>) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let first = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = length.get(first..).unwrap_or_default();
    let mut written = Vec::with_capacity(content.len() + 2 + length.len());
    written.push(tag);
    match length {
        [short] if *short < 0x80 => written.push(*short),
        long => {
            written.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            written.extend(long);
        }
    }
    written.extend(content);
    written
}

/// Writes a JOSE signature, which is `r` and `s` at full length, as X.509 wants it.
pub(in crate::mint) fn ecdsa_signature(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    sequence(&[integer(r), integer(s)])
}

/// Splits certificates that were written one after the other; `None` where they are not whole SEQUENCEs.
pub(in crate::mint) fn split(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = match bytes {
            [0x30, 0x81, length, ..] => usize::from(*length) + 3,
            [0x30, 0x82, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])) + 4,
            [0x30, length, ..] if *length < 0x80 => usize::from(*length) + 2,
            _longer_or_no_sequence => return None,
        };
        let (one, rest) = bytes.split_at_checked(length)?;
        found.push(one);
        bytes = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_as_short_as_possible_and_never_negative() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0, 1, 0]), [2, 2, 1, 0]);
    }

    #[test]
    fn bit_strings_have_no_unused_bits() {
        assert_eq!(bit_string(&[]), [3, 1, 0]);
        assert_eq!(bit_string(&[0x80, 1]), [3, 3, 0, 0x80, 1]);
    }

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        for (length, head) in [
            (0x7f, vec![0x30, 0x7f]),
            (0x80, vec![0x30, 0x81, 0x80]),
            (0x100, vec![0x30, 0x82, 1, 0]),
        ] {
            assert!(sequence(&[vec![5; length]]).starts_with(&head), "{length}");
        }
    }

    #[test]
    fn splits_what_was_written_and_nothing_else() {
        let parts: Vec<_> = [0, 5, 0x80, 0x200].map(|length| sequence(&[vec![5; length]])).into();

        assert_eq!(split(&parts.concat()).unwrap(), parts);
        assert_eq!(split(&[]).unwrap(), Vec::<&[u8]>::new());
        assert!(split(&[0x30, 2, 0]).is_none());
        assert!(split(&[0x31, 0]).is_none());
        assert!(split(&[0x30]).is_none());
    }
}
