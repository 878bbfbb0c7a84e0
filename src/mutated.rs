//! Documents in order, changed in a few places: what property tests feed to the parsers besides any bytes.
//!
//! It must never give back the document itself: a test may demand that whatever it gives does not verify.

use proptest::{collection, prelude::*};

/// One change, at a place that is counted modulo the length.
#[derive(Clone, Debug)]
enum Change {
    Cut(usize),
    Delete(usize),
    Flip(usize, u8),
    Insert(usize, u8),
    Repeat(usize, usize),
    Replace(usize, u8),
}

/// Returns `document` after one to four changes: a bit, a byte, a part that is gone, a part that is there twice.
pub(crate) fn mutated(document: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let before = document.clone();
    collection::vec(change(), 1..5)
        .prop_map(move |changes| changes.iter().fold(document.clone(), apply))
        .prop_filter("the changes undo each other", move |after| *after != before)
}

/// Returns text after changes that leave it text.
pub(crate) fn mutated_text(text: &str) -> impl Strategy<Value = String> {
    let is_text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    mutated(text.as_bytes().to_vec()).prop_filter_map("the changes leave no text", is_text)
}

fn change() -> impl Strategy<Value = Change> {
    // Signs of the grammars more often than by chance.
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\0\n \"%&'+,-./0:=?[\\]_a{}"[..])];
    let at = any::<usize>();
    prop_oneof![
        1 => at.prop_map(Change::Cut),
        3 => at.prop_map(Change::Delete),
        4 => (at, 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (at, byte.clone()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => (at, 1..64_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        4 => (at, byte).prop_map(|(at, byte)| Change::Replace(at, byte)),
    ]
}

fn apply(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    let length = bytes.len();
    match *change {
        Change::Insert(at, byte) => bytes.insert(at % (length + 1), byte),
        Change::Cut(_) | Change::Delete(_) | Change::Flip(..) | Change::Repeat(..) | Change::Replace(..)
            if length == 0 => {}
        Change::Cut(at) => bytes.truncate(at % length),
        Change::Delete(at) => drop(bytes.remove(at % length)),
        Change::Flip(at, bit) => bytes[at % length] ^= 1 << bit,
        Change::Repeat(at, part) => {
            let at = at % length;
            let part = bytes[at..length.min(at + part)].to_vec();
            bytes.splice(at..at, part);
        }
        Change::Replace(at, byte) => bytes[at % length] = byte,
    }
    bytes
}
