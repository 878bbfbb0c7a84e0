//! The constraints of an AWS API model, and how the services word their violations.
//!
//! Never echoes what the model marks sensitive.

use std::ops::RangeInclusive;

use super::{
    Code, Refusal,
    role_session::{is_name_char, is_tag_char},
};

const NAME_PATTERN: &str = r"[\w+=,.@-]*";
const TAG_KEY_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+";
const TAG_VALUE_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*";
const POLICY_PATTERN: &str = r"[\u0009\u000A\u000D\u0020-\u00FF]+";

/// The pattern that a text must match.
#[derive(Clone, Copy)]
pub(in crate::exchange) enum Pattern {
    Free,
    Name,
    Policy,
    TagKey,
    TagValue,
}

impl Pattern {
    fn text(self) -> &'static str {
        match self {
            Self::Free => ".*",
            Self::Name => NAME_PATTERN,
            Self::Policy => POLICY_PATTERN,
            Self::TagKey => TAG_KEY_PATTERN,
            Self::TagValue => TAG_VALUE_PATTERN,
        }
    }

    fn matches(self, value: &str) -> bool {
        value.chars().all(|character| match self {
            Self::Free => true,
            Self::Name => is_name_char(character),
            Self::Policy => matches!(character, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
            Self::TagKey | Self::TagValue => is_tag_char(character),
        })
    }
}

/// Collects violations, because the cloud reports them all at once.
#[derive(Default)]
pub(in crate::exchange) struct Violations(Vec<String>);

impl Violations {
    pub(in crate::exchange) fn name(
        &mut self,
        member: &str,
        value: Option<&str>,
        bounds: &RangeInclusive<usize>,
        pattern: Pattern,
    ) {
        let shown = value.map_or_else(|| "Value null".to_owned(), |value| format!("Value '{value}'"));
        self.text(&format!("{shown} at '{member}'"), value, bounds, pattern);
    }

    pub(in crate::exchange) fn sensitive(
        &mut self,
        member: &str,
        value: Option<&str>,
        bounds: &RangeInclusive<usize>,
        pattern: Pattern,
    ) {
        let shown = if value.is_some() { "Value" } else { "Value null" };
        self.text(&format!("{shown} at '{member}'"), value, bounds, pattern);
    }

    fn text(&mut self, shown: &str, value: Option<&str>, bounds: &RangeInclusive<usize>, pattern: Pattern) {
        let Some(value) = value else {
            return self.add(shown, "Member must not be null");
        };
        let (least, most) = (bounds.start(), bounds.end());
        if length(value) < *least {
            self.add(
                shown,
                &format!("Member must have length greater than or equal to {least}"),
            );
        }
        if length(value) > *most {
            self.add(shown, &format!("Member must have length less than or equal to {most}"));
        }
        if !pattern.matches(value) {
            self.add(
                shown,
                &format!("Member must satisfy regular expression pattern: {}", pattern.text()),
            );
        }
    }

    pub(in crate::exchange) fn number(&mut self, member: &str, value: i64, bounds: &RangeInclusive<i64>) {
        let shown = format!("Value '{value}' at '{member}'");
        if value < *bounds.start() {
            self.add(
                &shown,
                &format!("Member must have value greater than or equal to {}", bounds.start()),
            );
        }
        if value > *bounds.end() {
            self.add(
                &shown,
                &format!("Member must have value less than or equal to {}", bounds.end()),
            );
        }
    }

    pub(in crate::exchange) fn add(&mut self, shown: &str, constraint: &str) {
        self.0
            .push(format!("{shown} failed to satisfy constraint: {constraint}"));
    }

    pub(in crate::exchange) fn into_result(self) -> Result<(), Refusal> {
        let noun = match self.0.len() {
            0 => return Ok(()),
            1 => "error",
            _more => "errors",
        };
        let text = format!("{} validation {noun} detected: {}", self.0.len(), self.0.join("; "));
        Err(Refusal::known(Code::ValidationError, text))
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}
