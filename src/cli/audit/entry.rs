//! One entry of the trail, for people.

use serde::Deserialize;

use crate::cli::failure::plain;

/// What a line of text shows of an entry.
#[derive(Debug, Deserialize)]
pub struct Shown {
    /// The chain.
    pub writer: String,
    /// The position in the chain.
    pub sequence: u64,
    /// When, RFC 3339.
    pub time: String,
    kind: String,
    #[serde(default)]
    exchange_id: String,
    #[serde(default)]
    spiffe_id: String,
    #[serde(default)]
    relying_party: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
    gateway: Option<Gateway>,
}

/// Which gateway began or ended.
#[derive(Debug, Deserialize)]
struct Gateway {
    version: String,
    policy_generation: u64,
    store_format: String,
}

impl Shown {
    /// Reads an entry; `None` for a line of a form that this program does not know.
    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Returns the entry as one line.
    pub fn line(&self) -> String {
        let of = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text) };
        let what = match (self.code.is_empty(), self.detail.is_empty()) {
            (true, true) => String::new(),
            (true, false) => plain(&self.detail),
            (false, true) => plain(&self.code),
            (false, false) => format!("{}: {}", plain(&self.code), plain(&self.detail)),
        };
        let what = self.gateway.as_ref().map_or(what, |gateway| {
            format!(
                "cambio {}, policy generation {}, store format {}, writer {}",
                plain(&gateway.version),
                gateway.policy_generation,
                plain(&gateway.store_format),
                plain(&self.writer)
            )
        });
        let line = format!(
            "{}  {:<8}{:<20}{}  {}  {what}",
            plain(&self.time),
            plain(&self.kind),
            of(&self.relying_party),
            of(&self.spiffe_id),
            of(&self.exchange_id),
        );
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_who_where_and_why_and_nothing_that_a_terminal_obeys() {
        let line = r#"{"v":1,"writer":"w","sequence":3,"time":"2026-01-16T14:40:00Z","prev":"0","kind":"denial",
            "exchange_id":"x1","spiffe_id":"spiffe://a.test/w","relying_party":"aws","code":"authorize.no_grant","detail":"no\u001bgrant"}"#;

        let shown = Shown::read(line).unwrap().line();

        insta::assert_snapshot!(shown, @"2026-01-16T14:40:00Z  denial  aws                 spiffe://a.test/w  x1  authorize.no_grant: no?grant");
        assert!(Shown::read("{}").is_none());
    }

    #[test]
    fn a_start_shows_which_gateway_began() {
        let line = r#"{"v":1,"writer":"w","sequence":1,"time":"2026-01-16T14:40:00Z","prev":"0","kind":"start",
            "gateway":{"version":"0.1.0","policy_generation":1,"store_format":"1"}}"#;

        let shown = Shown::read(line).unwrap().line();

        insta::assert_snapshot!(shown, @"2026-01-16T14:40:00Z  start   -                   -  -  cambio 0.1.0, policy generation 1, store format 1, writer w");
    }
}
