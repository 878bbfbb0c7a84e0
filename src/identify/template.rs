//! Templates of SPIFFE IDs: `/ci/acme/{ci.repo_name}`.
//!
//! They must never rewrite a value: what does not fit into one segment is refused (SPIFFE-ID section 2.2; T-09).

use crate::{
    attest::Attributes,
    spiffe::{SegmentRefused, is_template_value, refuse_template_value},
};

/// The path of a SPIFFE ID, in which each segment may hold one attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template(Box<[Segment]>);

/// One segment: literal text around at most one value, so that two sets of values never give one segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Segment {
    pub(crate) before: String,
    pub(crate) attribute: Option<String>,
    pub(crate) after: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Refuses a path without a leading `/`, a segment that could not be one, a second placeholder in one segment, and
    /// braces that do not enclose an attribute.
    pub fn parse(text: &str) -> Result<Self, TemplateRefused> {
        let path = text
            .strip_prefix('/')
            .ok_or_else(|| TemplateRefused::NotAPath { found: shown(text) })?;
        let segments: Result<Vec<Segment>, TemplateRefused> = path.split('/').map(Segment::parse).collect();
        Ok(Self(segments?.into_boxed_slice()))
    }

    /// Returns the attributes whose values it takes.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| segment.attribute.as_deref())
    }

    /// Returns the path of a template without placeholders.
    pub fn fixed(&self) -> Option<String> {
        self.placeholders()
            .next()
            .is_none()
            .then(|| self.0.iter().flat_map(|segment| ["/", &segment.before]).collect())
    }

    /// Tells whether the first segment is literally `segment`.
    pub fn begins_with(&self, segment: &str) -> bool {
        self.0
            .first()
            .is_some_and(|first| first.attribute.is_none() && first.before == segment)
    }

    /// Puts the values in their places and returns the path.
    ///
    /// # Errors
    /// Refuses an attribute that is absent and a value that is not one segment, naming it.
    pub fn fill(&self, attributes: &Attributes) -> Result<String, Unfillable> {
        let mut path = String::new();
        for segment in &self.0 {
            path.push('/');
            path.push_str(&segment.before);
            if let Some(attribute) = &segment.attribute {
                path.push_str(value(attributes, attribute)?);
            }
            path.push_str(&segment.after);
        }
        Ok(path)
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.0
    }
}

fn value<'a>(attributes: &'a Attributes, attribute: &str) -> Result<&'a str, Unfillable> {
    let value = attributes.get(attribute).ok_or_else(|| Unfillable::Absent {
        attribute: attribute.to_owned(),
    })?;
    match refuse_template_value(value) {
        Ok(()) => Ok(value),
        Err(source) => Err(Unfillable::Value {
            attribute: attribute.to_owned(),
            source,
        }),
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, TemplateRefused> {
        let refuse = || TemplateRefused::Segment { found: shown(text) };
        let (before, attribute, after) = match text.split_once('{') {
            None => (text, None, ""),
            Some((before, rest)) => {
                let (attribute, after) = rest.split_once('}').ok_or_else(refuse)?;
                (before, Some(attribute), after)
            }
        };
        let literal = |part: &str| part.is_empty() || is_template_value(&format!("_{part}"));
        let sound = match attribute {
            None => is_template_value(before),
            Some(attribute) => is_template_value(attribute) && literal(before) && literal(after),
        };
        if !sound {
            return Err(refuse());
        }
        Ok(Self {
            before: before.to_owned(),
            attribute: attribute.map(str::to_owned),
            after: after.to_owned(),
        })
    }
}

/// Returns the beginning of a wrong template, with which no line can be broken.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

/// How much of a wrong template is shown.
const SHOWN: usize = 120;

/// The text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateRefused {
    /// It does not begin with `/`.
    #[error("found `{found}`, expected a path that begins with `/`")]
    NotAPath {
        /// The text.
        found: String,
    },
    /// A segment can never be one.
    #[error(
        "found the segment `{found}`, expected letters, digits, `.`, `-`, `_`, not `.` or `..`, around at most one {{attribute}}"
    )]
    Segment {
        /// The segment.
        found: String,
    },
}

/// A value does not fit the template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfillable {
    /// The workload does not have the attribute.
    #[error("attribute `{attribute}` is absent, expected a value")]
    Absent {
        /// The attribute.
        attribute: String,
    },
    /// The value is not one segment of a path.
    #[error("attribute `{attribute}` cannot be a segment of a SPIFFE ID: {source}")]
    Value {
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        source: SegmentRefused,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mutated::mutated_text;

    fn attributes(value: &str) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.insert("ci.repo_name", value).unwrap();
        attributes
    }

    #[test]
    fn fills_each_value_into_its_segment() {
        let template = Template::parse("/ci/acme/repo-{ci.repo_name}.git").unwrap();

        assert_eq!(template.fill(&attributes("shop")).unwrap(), "/ci/acme/repo-shop.git");
        assert_eq!(template.fixed(), None);
    }

    #[test]
    fn a_template_without_placeholders_is_its_own_path() {
        assert_eq!(
            Template::parse("/ci/acme").unwrap().fixed().as_deref(),
            Some("/ci/acme")
        );
    }

    #[test]
    fn t_09_refuses_values_that_are_not_one_segment_and_rewrites_none() {
        let template = Template::parse("/ci/{ci.repo_name}").unwrap();

        for value in [
            "..",
            ".",
            "a/b",
            "%2e%2e",
            "",
            "shop/",
            "a\u{2215}b",
            "a b",
            "shop\u{200b}",
        ] {
            let refused = template.fill(&attributes(value)).unwrap_err();
            assert!(matches!(refused, Unfillable::Value { .. }), "{value:?}");
        }
    }

    #[test]
    fn t_09_a_relative_value_is_refused_inside_literal_text_too() {
        let template = Template::parse("/ci/a{ci.repo_name}").unwrap();

        assert!(template.fill(&attributes("..")).is_err());
    }

    #[test]
    fn refuses_an_attribute_that_is_absent() {
        let refused = Template::parse("/ci/{ci.ref}").unwrap().fill(&attributes("shop"));

        assert_eq!(
            refused,
            Err(Unfillable::Absent {
                attribute: "ci.ref".to_owned()
            })
        );
    }

    #[test]
    fn t_13_shows_a_wrong_template_escaped() {
        for text in ["ci\u{1b}", "/ci\n", "/\u{202e}"] {
            let refused = Template::parse(text).unwrap_err().to_string();
            assert!(refused.is_ascii() && !refused.contains(char::is_control), "{refused:?}");
        }
    }

    #[test]
    fn spiffe_id_10_and_12_refuse_a_template_that_no_value_makes_a_path() {
        for text in [
            "ci/acme", "", "/", "/ci//x", "/ci/", "/./x", "/ci/..", "/ci/ü", "/{a}{b}", "/{a", "/a}", "/{}", "/{a b}",
            "/ci%2fx", "/x?y",
        ] {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn t_09_a_value_never_leaves_its_segment(
            text in mutated_text("/ci/{ci.repo_name}/x-{ci.repo_name}_y"),
            value in "(\\PC{0,12}|[A-Za-z0-9._-]{1,12})",
        ) {
            if let Ok(template) = Template::parse(&text)
                && let Ok(path) = template.fill(&attributes(&value))
            {
                let ours = crate::spiffe::TrustDomain::parse("acme.example").unwrap();
                prop_assert!(crate::spiffe::SpiffeId::generate(&ours, &path).is_ok(), "{}", path);
                prop_assert_eq!(path, text.replace("{ci.repo_name}", &value));
            }
        }
    }
}
