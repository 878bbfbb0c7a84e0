//! What of a line is shown.

use super::*;
use crate::config::tests::Case;

#[test]
fn counts_lines_and_columns_in_characters() {
    let lines = Lines::of("a = 1\nä = \"é\" # x\n");

    assert_eq!(lines.position(0), Position { line: 1, column: 1 });
    assert_eq!(lines.position(6), Position { line: 2, column: 1 });
    assert_eq!(lines.position(11), Position { line: 2, column: 5 });
    assert_eq!(lines.position(999), Position { line: 3, column: 1 });
}

#[test]
fn shows_no_value_of_a_key_that_bears_a_secret() {
    for line in [
        "client_secret = \"hunter2\"",
        "password = \"hunter2\"",
        "options = { api_key = \"hunter2\", kind = 1 }",
        "token = [\"hunter2\"]",
        "credentials = { a = \"hunter2\" }",
        "private = \"\"\"\nhunter2\"\"\"",
        "endpoint = \"https://u:hunter2@acme.example\"",
    ] {
        // Given a plugin's table with a secret in it, when a value of the same line is refused.
        let text = format!("[[attestor]]\n{line}\n");
        let document = Document::parse(std::path::Path::new("x"), text.clone()).unwrap();
        let hidden = Hidden::of(&document, &BTreeSet::new());
        let lines = Lines::of(&text);

        // Then no line shows it.
        for offset in 0..text.len() {
            let shown = lines.excerpt(&(offset..offset + 1), &hidden).text;
            assert!(!shown.contains("hunter2"), "{line:?}: {shown}");
        }
    }
}

#[test]
fn shows_where_a_secret_is() {
    assert!(!is_secret("token_file"));
    assert!(!is_secret("kek_file"));
    assert!(!is_secret("token_endpoint"));
    assert!(is_secret("Client_Secret"));
}

#[test]
fn shows_no_value_of_an_unknown_key() {
    let report = Case::sample()
        .with("[store]", "[store]\npasswrod = \"hunter2\"")
        .report();

    assert!(report.contains("passwrod = [redacted]"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn shows_no_secret_of_a_file_that_is_not_toml() {
    for text in [
        "password = \"hunter2",
        "url = \"postgres://u:hunter2@db",
        "passwrod = \"hunter2",
        "store = { password = \"hunter2\", ",
        "issuer = \"\"\"\nhunter2\\q\"\"\"",
        "hunter2",
        "x = [\n\"hunter2\", ? ]",
    ] {
        let report = Case::sample().text(text).report();
        assert!(report.contains("config.syntax"), "{report}");
        assert!(!report.contains("hunter2"), "{text:?}: {report}");
    }
}

#[test]
fn shows_a_line_that_is_not_toml_where_its_key_is_known() {
    let report = Case::sample().text("issuer = https://id.acme.example\n").report();

    assert!(report.contains("1 | issuer = https://id.acme.example"), "{report}");
}

#[test]
fn shows_no_character_that_moves_the_cursor() {
    let text = "issuer = \"a\u{202e}b\" # \u{1b}[2J";
    let shown = Lines::of(text).excerpt(&(9..10), &Hidden::default()).text;

    assert_eq!(shown, "issuer = \"a\u{fffd}b\" # \u{fffd}[2J");
}

#[test]
fn cuts_a_long_line_around_the_mark() {
    let text = format!("issuer = \"{}\" # here", "a".repeat(1_000));
    let mark = text.len() - 4;

    let shown = Lines::of(&text).excerpt(&(mark..mark + 4), &Hidden::default());

    let marked: String = shown.text.chars().skip(shown.before).take(shown.marked).collect();
    assert_eq!(marked, "here");
    assert!(shown.text.chars().count() <= MAX_LINE);
}

#[test]
fn shows_a_line_of_4096_bytes_and_none_of_4097() {
    let shown = |bytes: usize| Lines::of(&"a".repeat(bytes)).excerpt(&(0..1), &Hidden::default()).text;

    assert!(shown(4_096).starts_with("aaa"));
    assert_eq!(shown(4_097), TOO_LONG);
}
