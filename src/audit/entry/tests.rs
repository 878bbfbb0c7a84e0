use super::*;

#[test]
fn keeps_512_bytes_and_cuts_the_513th() {
    assert_eq!(text(&"a".repeat(512)).len(), 512);
    assert_eq!(text(&"a".repeat(513)).len(), 512);
}

#[test]
fn escapes_control_and_bidi_characters() {
    assert_eq!(text("a\n\u{1b}[1m\u{202e}b"), "a\\u{a}\\u{1b}[1m\\u{202e}b");
}
