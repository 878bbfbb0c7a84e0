//! The XML that STS answers with.
//!
//! Every text goes through `escape`; nothing writes a value into markup by itself.

use crate::exchange::aws::Refusal;

/// The namespace of all answers. Source: clouds.md 1.3.
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Markup that is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::exchange) struct Xml(String);

impl Xml {
    /// Returns an element that holds text.
    pub(in crate::exchange) fn text(name: &str, text: &str) -> Self {
        Self(format!("<{name}>{}</{name}>", escape(text)))
    }

    /// Returns an element that holds elements.
    pub(in crate::exchange) fn parent(name: &str, children: &[Self]) -> Self {
        let inner: String = children.iter().map(|child| child.0.as_str()).collect();
        Self(format!("<{name}>{inner}</{name}>"))
    }

    /// Returns the answer to `action`: its result and the request's id.
    pub(in crate::exchange) fn answer(action: &str, result: &[Self], request_id: &str) -> String {
        Self::answer_in(NAMESPACE, (action, result), request_id)
    }

    /// Returns the answer to `action` of a service with another namespace.
    pub(in crate::exchange) fn answer_in(
        namespace: &str,
        (action, result): (&str, &[Self]),
        request_id: &str,
    ) -> String {
        let result = Self::parent(&format!("{action}Result"), result);
        let metadata = Self::parent("ResponseMetadata", &[Self::text("RequestId", request_id)]);
        format!(
            "<{action}Response xmlns=\"{namespace}\">{}{}</{action}Response>",
            result.0, metadata.0
        )
    }

    /// Returns the error envelope.
    pub(in crate::exchange) fn error(refusal: &Refusal, request_id: &str) -> String {
        let error = Self::parent(
            "Error",
            &[
                Self::text("Type", refusal.code.fault()),
                Self::text("Code", refusal.code.name()),
                Self::text("Message", &refusal.message),
            ],
        );
        let request_id = Self::text("RequestId", request_id);
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\">{}{}</ErrorResponse>",
            error.0, request_id.0
        )
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            // XML 1.0 has no way to write the other control characters.
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_stays_text() {
        let element = Xml::text("Message", "<b>&\"'\u{0}</b>");

        assert_eq!(
            element.0,
            "<Message>&lt;b&gt;&amp;&quot;&apos;\u{fffd}&lt;/b&gt;</Message>"
        );
    }
}
