//! How Google turns a token's claims into a principal: attribute mapping and attribute condition, in CEL.
//!
//! What Google's dialect has and this evaluator has not is refused when compiled, never ignored when evaluated.

use std::collections::{BTreeMap, HashMap};

use cel::{Context, Env};
use serde_json::Value;

mod expression;

#[cfg(test)]
mod tests;

use self::expression::Expression;
pub use self::expression::Uncompilable;
use super::{
    Mark, Origin,
    limits::{MAPPED_BYTES, SUBJECT_BYTES},
    part,
    provider::Provider,
};

/// The compiled expressions of one provider.
#[derive(Debug)]
pub struct Trust {
    mapping: BTreeMap<String, Expression>,
    condition: Option<Expression>,
}

/// What a token's claims were mapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// `google.subject`.
    pub subject: String,
    /// `google.groups`.
    pub groups: Vec<String>,
    /// The custom attributes, without the prefix `attribute.`.
    pub attributes: BTreeMap<String, String>,
}

impl Trust {
    /// Compiles the expressions of `provider`.
    ///
    /// A mapping may name `assertion` only, a condition also `google` and `attribute` (documented).
    ///
    /// # Errors
    /// [`Uncompilable`] for what is no CEL, names anything else, or calls a function this evaluator has not.
    pub fn compile(provider: &Provider) -> Result<Self, Uncompilable> {
        let settings = provider.settings();
        let mapping = settings
            .attribute_mapping
            .iter()
            .map(|(key, text)| Ok((key.clone(), Expression::compile(text, &["assertion"])?)))
            .collect::<Result<_, Uncompilable>>()?;
        let condition = settings
            .attribute_condition
            .as_ref()
            .map(|text| Expression::compile(text, &["assertion", "google", "attribute"]))
            .transpose()?;
        Ok(Self { mapping, condition })
    }

    /// Maps verified claims, then asks the condition.
    ///
    /// # Errors
    /// [`Rejected`], which tells why.
    pub fn evaluate(&self, claims: &Value) -> Result<Mapped, Rejected> {
        expression::on_a_large_stack(|| self.judge(claims)).unwrap_or_else(|| {
            Err(Rejected::Condition {
                why: "the evaluator gave up on the provider's expressions".to_owned(),
            })
        })
    }

    fn judge(&self, claims: &Value) -> Result<Mapped, Rejected> {
        let mut context = context()?;
        context.add_variable_from_value("assertion", expression::from_json(claims));
        let mapped = self.map(&context)?;
        let Some(condition) = &self.condition else {
            return Ok(mapped);
        };
        let (google, attribute) = mapped.variables();
        context.add_variable_from_value("google", google);
        context.add_variable_from_value("attribute", attribute);
        match condition.evaluate(&context) {
            Ok(cel::Value::Bool(true)) => Ok(mapped),
            Ok(cel::Value::Bool(false)) => Err(Rejected::Condition {
                why: condition.why_not(&context),
            }),
            Ok(other) => Err(Rejected::Condition {
                why: format!(
                    "the condition gives {}, expected true or false",
                    expression::show(&other)
                ),
            }),
            Err(why) => Err(Rejected::Condition { why }),
        }
    }

    fn map(&self, context: &Context<'_, '_>) -> Result<Mapped, Rejected> {
        let mut mapped = Mapped {
            subject: String::new(),
            groups: Vec::new(),
            attributes: BTreeMap::new(),
        };
        let mut bytes = 0;
        for (key, expression) in &self.mapping {
            let value = expression.evaluate(context).map_err(|why| match key.as_str() {
                "google.subject" => Rejected::SubjectUnmapped { why },
                attribute => Rejected::Unmapped {
                    attribute: attribute.to_owned(),
                    why,
                },
            })?;
            bytes += mapped.put(key, &value)?;
        }
        if mapped.subject.is_empty() {
            return Err(Rejected::SubjectUnmapped {
                why: "google.subject is empty, expected a text".to_owned(),
            });
        }
        if mapped.subject.len() > SUBJECT_BYTES {
            return Err(Rejected::SubjectTooLong {
                found: mapped.subject.len(),
            });
        }
        if bytes > MAPPED_BYTES {
            return Err(Rejected::TooLarge { found: bytes });
        }
        Ok(mapped)
    }
}

impl Mapped {
    fn put(&mut self, key: &str, value: &cel::Value) -> Result<usize, Rejected> {
        let wrong = |expected| Rejected::WrongType {
            attribute: key.to_owned(),
            found: value.type_of().to_string(),
            expected,
        };
        if key == "google.groups" {
            self.groups = expression::texts(value).ok_or_else(|| wrong("a list of strings"))?;
            return Ok(self.groups.iter().map(String::len).sum());
        }
        let cel::Value::String(text) = value else {
            return Err(wrong("a string"));
        };
        match key.strip_prefix("attribute.") {
            Some(name) => {
                self.attributes.insert(name.to_owned(), text.to_string());
            }
            None => self.subject = text.to_string(),
        }
        Ok(text.len())
    }

    fn variables(&self) -> (cel::Value, cel::Value) {
        let text = |text: &String| cel::Value::from(text.clone());
        let google = HashMap::from([
            ("subject".to_owned(), text(&self.subject)),
            (
                "groups".to_owned(),
                cel::Value::from(self.groups.iter().map(text).collect::<Vec<_>>()),
            ),
        ]);
        let attribute: HashMap<String, cel::Value> = self
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        (google.into(), attribute.into())
    }
}

fn context<'p, 'v>() -> Result<Context<'p, 'v>, Rejected> {
    let mut environment = Env::stdlib();
    let declared = environment
        .add_extension(cel::extensions::strings)
        .map(|()| Context::with_env(environment.into()))
        .and_then(|mut context| {
            context.add_function("extract", expression::extract)?;
            Ok(context)
        });
    declared.map_err(|why| Rejected::Condition { why: why.to_string() })
}

/// Google's refusal of a verified token by a provider's expressions; `Display` is Google's `error_description`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// The attribute condition is not true (observed).
    #[error("The given credential is rejected by the attribute condition.")]
    Condition {
        /// Which part of the condition failed, and on what.
        why: String,
    },
    /// `google.subject` has more than 127 bytes (text documented, code unverified).
    #[error("The size of mapped attribute exceeds the 127 bytes limit.")]
    SubjectTooLong {
        /// The subject's bytes.
        found: usize,
    },
    /// `google.subject` could not be evaluated (unverified).
    #[error(
        "Could not obtain a value for google.subject from the given credential. \
         Verify that the subject claim mapping is correct."
    )]
    SubjectUnmapped {
        /// What the expression failed on.
        why: String,
    },
    /// The attributes together have more than 8 KB (rule documented, text unverified).
    #[error("The size of mapped attributes is {found} bytes and exceeds the {MAPPED_BYTES} bytes limit.")]
    TooLarge {
        /// The bytes of all attributes.
        found: usize,
    },
    /// Another attribute could not be evaluated (unverified).
    #[error("Could not obtain a value for {attribute} from the given credential.")]
    Unmapped {
        /// The attribute.
        attribute: String,
        /// What the expression failed on.
        why: String,
    },
    /// An attribute has another type than Google takes (unverified).
    #[error("The mapped attribute {attribute} is of type {found}, expected {expected}.")]
    WrongType {
        /// The attribute.
        attribute: String,
        /// The type its expression gave.
        found: String,
        /// The type Google takes.
        expected: &'static str,
    },
}

impl Rejected {
    /// Returns the value of the field `error`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Condition { .. } => "unauthorized_client",
            Self::SubjectTooLong { .. }
            | Self::SubjectUnmapped { .. }
            | Self::TooLarge { .. }
            | Self::Unmapped { .. }
            | Self::WrongType { .. } => "invalid_request",
        }
    }

    /// Returns where code and text are known from.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Condition { .. } => Origin::new(part::TOKEN_ENDPOINT, Mark::Observed),
            Self::SubjectTooLong { .. }
            | Self::SubjectUnmapped { .. }
            | Self::TooLarge { .. }
            | Self::Unmapped { .. }
            | Self::WrongType { .. } => Origin::new(part::TOKEN_ENDPOINT, Mark::Unverified),
        }
    }

    /// Returns what Google does not say: which part failed, and on what.
    pub fn why(&self) -> String {
        match self {
            Self::Condition { why } | Self::SubjectUnmapped { why } | Self::Unmapped { why, .. } => why.clone(),
            Self::SubjectTooLong { found } => format!("google.subject has {found} bytes, expected {SUBJECT_BYTES}"),
            Self::TooLarge { .. } | Self::WrongType { .. } => self.to_string(),
        }
    }
}
